/* Extended attributes of a context's files. */
#include "cache/context_internal.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#define NAMES_MAX 65536

/* Whose they are: an open file, or a path. */
struct subject {
    int fd;
    const char *path;
};

static ssize_t list(const struct subject *s, char *names, size_t n)
{
    return s->fd >= 0 ? flistxattr(s->fd, names, n) : llistxattr(s->path, names, n);
}

static ssize_t get(const struct subject *s, const char *name, void *value, size_t n)
{
    return s->fd >= 0 ? fgetxattr(s->fd, name, value, n) : lgetxattr(s->path, name, value, n);
}

static bool counts(const char *name)
{
    if (str_starts(name, "security."))
        return str_eq(name, "security.capability");
    return !str_starts(name, "system.") && !str_starts(name, "trusted.overlay.") &&
           !str_starts(name, "user.overlay.") && !str_starts(name, "com.apple.");
}

/* Into its place in the order of names. */
static void insert(struct item *it, struct arena *a, struct entry_xattr x)
{
    struct entry_xattr *all = arena_alloc(a, (it->n_xattrs + 1) * sizeof(*all));
    size_t at = 0;
    for (; at < it->n_xattrs && strcmp(it->xattrs[at].name, x.name) < 0; at++)
        all[at] = it->xattrs[at];
    all[at] = x;
    for (; at < it->n_xattrs; at++)
        all[at + 1] = it->xattrs[at];
    it->xattrs = all;
    it->n_xattrs++;
}

/* Of a call that failed: there is none, or nothing that could have one any more. */
static bool is_none(int sys)
{
    return sys == ENOTSUP || sys == ENODATA || sys == ENOENT || sys == ENOTDIR || sys == ENOSYS;
}

/* False: nobody knows what it is. */
static bool add(struct scan *s, struct item *it, const struct subject *of, const char *name)
{
    ssize_t n = get(of, name, NULL, 0);
    AUTO(mem_free) char *value = mem_alloc(n > 0 ? (size_t)n : 0);
    n = n < 0 ? n : get(of, name, value, (size_t)n);
    if (n < 0)
        return is_none(errno);
    pthread_mutex_lock(&s->lock);
    struct entry_xattr x = { .name = arena_str(&s->xattrs, name),
                             .value = arena_dup(&s->xattrs, value, (size_t)n),
                             .len = (size_t)n };
    insert(it, &s->xattrs, x);
    pthread_mutex_unlock(&s->lock);
    return true;
}

void item_read_xattrs(struct scan *s, struct item *it, int fd, const char *path)
{
    struct subject of = { .fd = fd, .path = path };
    ssize_t need = list(&of, NULL, 0);
    it->n_xattrs = 0;
    it->plain = need == 0 || (need < 0 && is_none(errno));
    if (need <= 0 || need > NAMES_MAX)
        return;
    AUTO(mem_free) char *names = mem_alloc((size_t)need);
    ssize_t n = list(&of, names, (size_t)need);
    bool known = n >= 0;
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
        if (counts(p))
            known = add(s, it, &of, p) && known;
    it->plain = known && it->n_xattrs == 0;
}
