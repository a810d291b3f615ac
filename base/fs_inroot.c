#include "base/fs.h"
#include "base/fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int sys_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    struct open_how how = { .flags = (uint64_t)(flags | O_CLOEXEC), .resolve = resolve };
    long fd;

    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
        how.mode = mode & 07777; /* any mode without these is EINVAL */
    for (int i = 0; i < 10000; i++) {
        fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
        if (i > 16)
            sched_yield();
    }
    return (int)fd;
}

/* "" and "/" are the root itself. -1 with errno. */
static int open_in(int rootfd, const char *path, int flags, mode_t mode)
{
    return sys_openat2(rootfd, *path ? path : ".", flags, mode,
                       RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

static int open_failed(struct err *err, int sys, const char *path)
{
    if (sys == ENOSYS)
        return err_set(err, ERR_UNSUPPORTED, "the kernel has no openat2 (Linux 5.6 brought it)");
    err_sys(err, sys, "cannot open '%s'", path);
    if (sys == ENOTDIR)
        err->code = ERR_NOT_FOUND;
    return err->code;
}

int inroot_open(int rootfd, const char *path, int flags, mode_t mode, struct err *err)
{
    int fd = open_in(rootfd, path, flags, mode);

    return fd < 0 ? open_failed(err, errno, path) : fd;
}

static bool is_dots(const char *leaf)
{
    return strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0;
}

/* Opens what path has before leaf, which points into it. -1 with errno. */
static int open_before(int rootfd, const char *path, const char *leaf)
{
    AUTO(mem_free) char *parent = str_ndup(path, (size_t)(leaf - path));

    return open_in(rootfd, parent, O_PATH | O_DIRECTORY, 0);
}

int inroot_open_parent(int rootfd, const char *path, const char **ret_leaf, struct err *err)
{
    const char *leaf = path_base(path);

    /* "x/" and ".." relative to an fd would follow a link, or step out of the root. */
    if (*leaf == '\0' || is_dots(leaf))
        return err_set(err, ERR_USAGE, "'%s' does not name an entry of a directory", path);
    AUTO(mem_free) char *parent = str_ndup(path, (size_t)(leaf - path));
    int fd = inroot_open(rootfd, parent, O_RDONLY | O_DIRECTORY, 0, err);
    if (fd >= 0)
        *ret_leaf = leaf;
    return fd;
}

/*
 * Makes leaf in dir with exactly this mode. Returns 1 when made, 0 when there
 * is something already, -1 with errno.
 */
static int make_leaf(int dir, const char *leaf, mode_t mode)
{
    if (mkdirat(dir, leaf, mode) < 0)
        return errno == EEXIST ? 0 : -1;
    AUTO(fd_close) int fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == EACCES ? 1 : -1; /* a mode that its owner cannot read */
    return fchmod(fd, mode) < 0 ? -1 : 1;
}

/* The path with the dangling link at its leaf replaced by what that says; NULL with errno, EINVAL:
 * no link. */
static char *follow_leaf(int dir, const char *prefix, const char *leaf)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, leaf, target, sizeof(target) - 1);

    if (n < 0)
        return NULL;
    target[n] = '\0';
    size_t keep = *target == '/' ? 0 : (size_t)(leaf - prefix);
    return str_printf("%.*s%s", (int)keep, prefix, target);
}

static int make_prefix(int rootfd, const char *path, mode_t mode, int links);

/* Sees to it that path (no trailing slash) is a directory, all before it being so. -1 with errno.
 */
static int make_last(int rootfd, const char *path, mode_t mode, int links)
{
    AUTO(fd_close) int there = open_in(rootfd, path, O_PATH | O_DIRECTORY, 0);
    const char *leaf = path_base(path);

    if (there >= 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    AUTO(fd_close) int dir = open_before(rootfd, path, leaf);
    if (dir < 0)
        return -1;
    int made = make_leaf(dir, leaf, mode);
    if (made != 0)
        return made < 0 ? -1 : 0;
    AUTO(mem_free) char *next = follow_leaf(dir, path, leaf);
    if (next == NULL && errno == EINVAL) { /* somebody else made it in between? */
        AUTO(fd_close) int again = open_in(rootfd, path, O_PATH | O_DIRECTORY, 0);
        return again < 0 ? -1 : 0;
    }
    if (next == NULL)
        return -1;
    if (links >= MAX_LINKS) {
        errno = ELOOP;
        return -1;
    }
    return make_prefix(rootfd, next, mode, links + 1);
}

/* Component by component. The depth of recursion is the number of dangling links, at most
 * MAX_LINKS. */
static int make_prefix(int rootfd, const char *path, mode_t mode, int links)
{
    AUTO(mem_free) char *part = str_dup(path);

    for (char *s = part; *s != '\0';) {
        s += strspn(s, "/");
        size_t n = strcspn(s, "/");
        if (n == 0)
            break;
        char after = s[n];
        s[n] = '\0';
        if (make_last(rootfd, part, mode, links) < 0)
            return -1;
        s[n] = after;
        s += n;
    }
    return 0;
}

int inroot_make_dir(int rootfd, const char *path, mode_t mode, struct err *err)
{
    int fd = open_in(rootfd, path, O_RDONLY | O_DIRECTORY, 0);

    if (fd < 0 && errno == ENOENT && make_prefix(rootfd, path, mode, 0) == 0)
        fd = open_in(rootfd, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        return fd;
    if (errno == ENOSYS)
        return open_failed(err, errno, path);
    return err_sys(err, errno, "cannot make directory '%s'", path);
}

/* A device may act on being opened: looked at first without opening it. */
static int check_regular(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at '%s'", path);
    return S_ISREG(st.st_mode) ? 0 : err_set(err, ERR_IO, "'%s' is not a regular file", path);
}

int inroot_read(int rootfd, const char *path, size_t max, struct buf *ret, struct err *err)
{
    AUTO(fd_close) int look = inroot_open(rootfd, path, O_PATH, 0, err);

    if (look < 0 || check_regular(look, path, err) < 0)
        return err->code;
    AUTO(fd_close)
    int fd = inroot_open(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
    if (fd < 0 || check_regular(fd, path, err) < 0)
        return err->code;
    if (fd_read_all(fd, max, ret, err) < 0)
        return err_wrap(err, "'%s'", path);
    return 0;
}
