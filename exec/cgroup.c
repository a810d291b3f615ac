#include "exec/cgroup_internal.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROC_MAX (4u << 20)

static void read_lines(const char *path, struct strv *ret)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;

    if (file_read(AT_FDCWD, path, PROC_MAX, &text, &ignored) == 0)
        strv_split(ret, buf_str(&text), '\n');
}

/* "a,b" and "b,c" have b in common; nothing has anything in common with "". */
static bool share_word(const char *a, const char *b)
{
    AUTO(strv_release) struct strv x = STRV_INIT;
    AUTO(strv_release) struct strv y = STRV_INIT;

    strv_split(&x, a, ',');
    strv_split(&y, b, ',');
    for (size_t i = 0; i < x.n; i++)
        if (*x.v[i] != '\0' && strv_has(&y, x.v[i]))
            return true;
    return false;
}

/*
 * Where this process is in the hierarchy with these controllers, owned. Lines of /proc/self/cgroup:
 * "number:controllers:path"; cgroup v2 has none: "0::path". NULL: nowhere.
 */
static char *own_group(const struct strv *own, bool is_v2, const char *options)
{
    for (size_t i = 0; i < own->n; i++) {
        const char *controllers = strchr(own->v[i], ':');
        const char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
            continue;
        AUTO(mem_free) char *names = str_ndup(controllers + 1, (size_t)(path - controllers) - 1);
        if (is_v2 ? *names == '\0' : share_word(names, options))
            return str_dup(path + 1);
    }
    return NULL;
}

/* In a container a mount may begin below the hierarchy's root: paths there leave that part out. */
static void add_own_place(const char *mountpoint, const char *root, const char *group,
                          struct strv *ret)
{
    size_t n = str_eq(root, "/") ? 0 : strlen(root);

    if (str_starts(group, root) && group[n] == '/' && group[n + 1] != '\0')
        strv_addf(ret, "%s%s", mountpoint, group + n);
}

/*
 * Directories that groups of steps may be in: each hierarchy's root, and our own group in it.
 * mountinfo: "id parent device root mountpoint options ... - type source options".
 */
static void list_places(struct strv *ret)
{
    AUTO(strv_release) struct strv mounts = STRV_INIT;
    AUTO(strv_release) struct strv own = STRV_INIT;

    read_lines("/proc/self/mountinfo", &mounts);
    read_lines("/proc/self/cgroup", &own);
    for (size_t i = 0; i < mounts.n; i++) {
        AUTO(strv_release) struct strv f = STRV_INIT;
        AUTO(strv_release) struct strv fs = STRV_INIT;
        const char *dash = strstr(mounts.v[i], " - ");
        strv_split(&f, mounts.v[i], ' ');
        strv_split(&fs, dash ? dash + 3 : "", ' ');
        if (f.n < 5 || fs.n < 3 || !str_starts(fs.v[0], "cgroup"))
            continue;
        strv_add(ret, f.v[4]);
        AUTO(mem_free) char *group = own_group(&own, str_eq(fs.v[0], "cgroup2"), fs.v[2]);
        if (group != NULL)
            add_own_place(f.v[4], f.v[3], group, ret);
    }
}

char *cgroup_path(const char *name, bool knows_relative)
{
    AUTO(strv_release) struct strv own = STRV_INIT;

    read_lines("/proc/self/cgroup", &own);
    bool is_v2_alone = own.n > 0 && str_starts(own.v[0], "0::/") && (own.n == 1 || !*own.v[1]);
    if (is_v2_alone)
        return path_join(own.v[0] + 3, name);
    return str_printf("%s%s", knows_relative ? "" : "/", name);
}

char *cgroup_path_in(const char *parent, const char *name)
{
    AUTO(mem_free) char *rooted = str_printf("/%s", parent);
    AUTO(mem_free) char *clean = path_clean(rooted);

    return path_join(clean, name);
}

/* A group is removed by rmdir, its files going with it, after the groups in it. True: it is gone.
 */
static bool remove_group(int dirfd, const char *name, int depth)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (d == NULL) {
        bool is_gone = fd < 0 && errno == ENOENT;
        fd_close(fd);
        return is_gone;
    }
    while (depth < 64 && (e = readdir(d)) != NULL)
        if (e->d_type == DT_DIR && e->d_name[0] != '.')
            remove_group(fd, e->d_name, depth + 1);
    closedir(d);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    log_debug("exec", "cannot remove cgroup '%s': %s", name, strerror(errno));
    return false;
}

bool cgroup_remove(const char *name)
{
    AUTO(strv_release) struct strv roots = STRV_INIT;
    bool is_gone = true;

    list_places(&roots);
    for (size_t i = 0; i < roots.n; i++) {
        AUTO(fd_close) int fd = open(roots.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && !remove_group(fd, name + strspn(name, "/"), 0))
            is_gone = false;
    }
    return is_gone;
}

/* What the names of our groups begin with. Another PID namespace has other processes' pids. */
static void add_prefix(struct buf *b)
{
    struct stat st;

    buf_addf(b, "shale-%ju-", stat("/proc/self/ns/pid", &st) == 0 ? (uintmax_t)st.st_ino : 0);
}

char *cgroup_name(const char *work, const char *run)
{
    AUTO(buf_release) struct buf prefix = BUF_INIT;

    add_prefix(&prefix);
    return str_printf("%s%s.%s", buf_str(&prefix), work, run);
}

/* The process that made it, or 0 when the name is not of our form. */
static pid_t maker_of(const char *name, const char *prefix)
{
    const char *end = strrchr(name, '.');
    size_t n = end ? (size_t)(end - name) : 0;
    AUTO(mem_free) char *work = str_ndup(name, n);
    char *dash = strrchr(work, '-');

    if (!str_starts(name, prefix) || dash == NULL)
        return 0;
    *dash = '\0';
    dash = strrchr(work, '-');
    return dash ? (pid_t)strtol(dash + 1, NULL, 10) : 0;
}

static void remove_dead_in(int dirfd, const char *prefix)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (d == NULL) {
        fd_close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        pid_t pid = maker_of(e->d_name, prefix);
        if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
            remove_group(dirfd, e->d_name, 0);
    }
    closedir(d);
}

static void add_places_in(struct strv *places, const char *parent)
{
    AUTO(mem_free) char *below = cgroup_path_in(parent, "");
    size_t n = places->n;

    for (size_t i = 0; i < n; i++)
        strv_addf(places, "%s%s", places->v[i], below);
}

void cgroup_remove_dead(const char *parent)
{
    AUTO(strv_release) struct strv roots = STRV_INIT;
    AUTO(buf_release) struct buf prefix = BUF_INIT;

    add_prefix(&prefix);
    list_places(&roots);
    if (parent != NULL)
        add_places_in(&roots, parent);
    for (size_t i = 0; i < roots.n; i++) {
        AUTO(fd_close) int fd = open(roots.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
            remove_dead_in(fd, buf_str(&prefix));
    }
}
