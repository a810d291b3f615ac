#include "base/fs.h"

#include <string.h>

/* Drops the last component of what was written so far, but never more than what keep protects. */
static size_t drop_last(const char *out, size_t len, size_t keep)
{
    while (len > keep && out[len - 1] != '/')
        len--;
    if (len > keep && len > 1)
        len--; /* the slash before it */
    return len;
}

char *path_clean(const char *path)
{
    bool rooted = *path == '/';
    char *out = mem_alloc(strlen(path) + 2);
    size_t len = 0, keep = rooted; /* keep: bytes that ".." cannot take away */

    if (rooted)
        out[len++] = '/';
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        bool up = n == 2 && memcmp(path, "..", 2) == 0;
        if (up && len > keep) {
            len = drop_last(out, len, keep);
        } else if (up ? !rooted : n > 0 && !(n == 1 && *path == '.')) {
            if (len > rooted)
                out[len++] = '/';
            memcpy(out + len, path, n);
            len += n;
            if (up)
                keep = len;
        }
        path += n + (path[n] == '/');
    }
    if (len == 0)
        out[len++] = '.';
    out[len] = '\0';
    return out;
}

char *path_join(const char *base, const char *path)
{
    if (*path == '/' || *base == '\0')
        return path_clean(path);
    AUTO(mem_free) char *both = str_printf("%s/%s", base, path);
    return path_clean(both);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

char *path_dir(const char *path)
{
    AUTO(mem_free) char *dir = str_ndup(path, (size_t)(path_base(path) - path));

    return path_clean(dir);
}

/* The end lowest, then the slash, then the other bytes in their order. */
static int rank(char c)
{
    if (c == '\0')
        return 0;
    return c == '/' ? 1 : (unsigned char)c + 1;
}

int path_cmp(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

bool path_is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    if (n == 0)
        return *path != '\0';
    if (dir[n - 1] == '/') /* "/" */
        n--;
    return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] != '\0';
}
