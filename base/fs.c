#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fs_internal.h"

void fd_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
}

int fd_read_full(int fd, void *p, size_t n, size_t *ret_n, struct err *err)
{
    size_t at = 0;

    while (at < n) {
        ssize_t got = read(fd, (char *)p + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read");
        if (got == 0)
            break;
        at += (size_t)got;
    }
    *ret_n = at;
    return 0;
}

int fd_write_full(int fd, const void *p, size_t n, struct err *err)
{
    for (size_t at = 0; at < n;) {
        ssize_t put = write(fd, (const char *)p + at, n - at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(err, errno, "cannot write");
        at += (size_t)put;
    }
    return 0;
}

/* A regular file in one read; others in pieces. */
static size_t guess_size(int fd, size_t max)
{
    struct stat st;
    size_t n = 64 << 10;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        n = (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
    return n < (16 << 20) ? n : 16 << 20;
}

static int read_up_to(int fd, size_t max, struct buf *b, struct err *err)
{
    size_t step = guess_size(fd, max);

    for (;;) {
        size_t want = max - b->len < step ? max - b->len : step, got = 0;
        if (fd_read_full(fd, buf_room(b, want + 1), want + 1, &got, err) < 0)
            return err->code;
        b->len += got;
        if (b->len > max)
            return err_set(err, ERR_CORRUPT, "larger than %zu bytes", max);
        b->data[b->len] = '\0';
        if (got <= want)
            return 0;
    }
}

int fd_read_all(int fd, size_t max, struct buf *ret, struct err *err)
{
    buf_clear(ret);
    int r = read_up_to(fd, max, ret, err);
    if (r < 0)
        buf_clear(ret);
    return r;
}

static int copy_by_hand(int from, int to, uint64_t *n, struct err *err)
{
    size_t size = 256 << 10, got;
    AUTO(mem_free) char *p = mem_alloc(size);

    do {
        if (fd_read_full(from, p, size, &got, err) < 0 || fd_write_full(to, p, got, err) < 0)
            return err->code;
        *n += got;
    } while (got == size);
    return 0;
}

int fd_copy(int from, int to, uint64_t *ret_n, struct err *err)
{
    uint64_t n = 0;
    ssize_t got;

    /* Files of /proc say 0 at once, others may refuse half-way: the end is what read says it is. */
    while ((got = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0 ||
           (got < 0 && errno == EINTR))
        n += got > 0 ? (uint64_t)got : 0;
    if (got < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
        return err_sys(err, errno, "cannot copy");
    if (copy_by_hand(from, to, &n, err) < 0)
        return err->code;
    if (ret_n != NULL)
        *ret_n = n;
    return 0;
}

int fd_sync(int fd, struct err *err)
{
    int r;

    do
        r = fsync(fd);
    while (r < 0 && errno == EINTR);
    return r < 0 ? err_sys(err, errno, "cannot sync") : 0;
}

int file_read(int dirfd, const char *path, size_t max, struct buf *ret, struct err *err)
{
    AUTO(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s'", path);
    if (fd_read_all(fd, max, ret, err) < 0)
        return err_wrap(err, "'%s'", path);
    return 0;
}

void temp_name(char ret[TEMP_NAME_LEN])
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
        r ^= (uint64_t)(uintptr_t)ret ^ (uint64_t)getpid() << 32;
    snprintf(ret, TEMP_NAME_LEN, ".tmp-%016llx", (unsigned long long)r);
}

int temp_open(int dirfd, char ret_name[TEMP_NAME_LEN])
{
    int fd = -1;

    for (int i = 0; i < 100 && fd < 0; i++) {
        temp_name(ret_name);
        fd = openat(dirfd, ret_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    return fd;
}

/* The directory that path is in. */
static int open_parent(int dirfd, const char *path, struct err *err)
{
    AUTO(mem_free) char *dir = path_dir(path);

    return dir_open(dirfd, dir, err);
}

/* A rename over /dev/null or a FIFO would break what others use. */
static int refuse_special(int dirfd, const char *name, struct err *err)
{
    struct stat st;

    if (fstatat(dirfd, name, &st, 0) == 0 && !S_ISREG(st.st_mode))
        return err_set(err, ERR_IO, "'%s' is not a regular file", name);
    return 0;
}

static int write_temp(int fd, const void *p, size_t n, mode_t mode, bool sync, struct err *err)
{
    if (fd_write_full(fd, p, n, err) < 0)
        return err->code;
    if (fchmod(fd, mode) < 0) /* open's mode went through the umask */
        return err_sys(err, errno, "cannot set mode");
    return sync ? fd_sync(fd, err) : 0;
}

static int replace(int dir, const char *name, const void *p, size_t n, mode_t mode, bool sync,
                   struct err *err)
{
    char temp[TEMP_NAME_LEN];

    AUTO(fd_close) int fd = temp_open(dir, temp);
    if (fd < 0)
        return err_sys(err, errno, "cannot make a temporary file");
    int r = write_temp(fd, p, n, mode, sync, err);
    if (r == 0 && renameat(dir, temp, dir, name) < 0)
        r = err_sys(err, errno, "cannot rename");
    if (r < 0) {
        unlinkat(dir, temp, 0);
        return r;
    }
    return sync ? fd_sync(dir, err) : 0;
}

/* Where a link leads, or NULL with errno. */
static char *read_link(int dir, const char *name)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

    return n < 0 ? NULL : str_ndup(target, (size_t)n);
}

/* Links are followed here and not by the kernel: the temporary file belongs beside the last one's
 * target. */
static int replace_following(int dirfd, const char *path, int links, const void *p, size_t n,
                             mode_t mode, bool sync, struct err *err)
{
    AUTO(fd_close) int dir = open_parent(dirfd, path, err);

    if (dir < 0)
        return err->code;
    if (refuse_special(dir, path_base(path), err) < 0)
        return err->code;
    AUTO(mem_free) char *target = read_link(dir, path_base(path));
    if (target == NULL)
        return replace(dir, path_base(path), p, n, mode, sync, err);
    if (links == 0)
        return err_sys(err, ELOOP, "cannot follow '%s'", target);
    return replace_following(dir, target, links - 1, p, n, mode, sync, err);
}

int file_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode, bool sync,
                 struct err *err)
{
    if (replace_following(dirfd, path, MAX_LINKS, p, n, mode, sync, err) < 0)
        return err_wrap(err, "cannot write '%s'", path);
    return 0;
}

/* mkdir; what is there already is fine if it is a directory. */
static int make_one(int dirfd, const char *path, mode_t mode)
{
    struct stat st;

    if (mkdirat(dirfd, path, mode) == 0)
        return 0;
    int sys = errno;
    if (sys == ENOENT || fstatat(dirfd, path, &st, 0) < 0)
        return sys;
    return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

int dir_make(int dirfd, const char *path, mode_t mode, struct err *err)
{
    int sys = make_one(dirfd, path, mode);

    if (sys == ENOENT && *path != '\0') {
        AUTO(mem_free) char *part = str_dup(path);
        sys = 0;
        for (char *s = part + 1; sys == 0 && *s != '\0'; s++) {
            if (*s != '/' || s[-1] == '/')
                continue;
            *s = '\0';
            sys = make_one(dirfd, part, mode);
            *s = '/';
        }
        if (sys == 0)
            sys = make_one(dirfd, path, mode);
    }
    return sys ? err_sys(err, sys, "cannot make directory '%s'", path) : 0;
}

int dir_open(int dirfd, const char *path, struct err *err)
{
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_sys(err, errno, "cannot open directory '%s'", path) : fd;
}

int fs_space(int fd, uint64_t *ret_free, uint64_t *ret_total, struct err *err)
{
    struct statvfs st;

    if (fstatvfs(fd, &st) < 0)
        return err_sys(err, errno, "cannot ask for free space");
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}
