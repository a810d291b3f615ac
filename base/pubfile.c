#include "base/fs.h"
#include "base/fs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct pubfile {
    int dirfd; /* borrowed */
    int fd;
    char temp[TEMP_NAME_LEN]; /* "": it has no name */
};

void pubfile_free(struct pubfile *f)
{
    if (f == NULL)
        return;
    if (*f->temp != '\0')
        unlinkat(f->dirfd, f->temp, 0);
    fd_close(f->fd);
    mem_free(f);
}

struct pubfile *pubfile_open(int dirfd, mode_t mode, struct err *err)
{
    AUTO(pubfile_free) struct pubfile *f = mem_zalloc(sizeof(*f));

    f->dirfd = dirfd;
    /* Each file system refuses O_TMPFILE with an errno of its own: whatever it is, try a name. */
    f->fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (f->fd < 0) {
        f->fd = temp_open(dirfd, f->temp);
        if (f->fd < 0) {
            *f->temp = '\0';
            err_sys(err, errno, "cannot make a temporary file");
            return NULL;
        }
    }
    if (fchmod(f->fd, mode) < 0) {
        err_sys(err, errno, "cannot set mode");
        return NULL;
    }
    return TAKE(f);
}

int pubfile_fd(const struct pubfile *f)
{
    return f->fd;
}

/* A name for a file that has none. Without /proc the kernel wants CAP_DAC_READ_SEARCH. */
static int link_unnamed(const struct pubfile *f, int dir, const char *name)
{
    char proc[64];

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", f->fd);
    if (linkat(AT_FDCWD, proc, dir, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return -1;
    return linkat(f->fd, "", dir, name, AT_EMPTY_PATH);
}

/* The name moves; on a file system without hard links by a rename that replaces nothing. */
static int link_named(struct pubfile *f, int dir, const char *name)
{
    int r = linkat(f->dirfd, f->temp, dir, name, 0);

    if (r == 0) {
        unlinkat(f->dirfd, f->temp, 0);
    } else if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK) {
        r = renameat2(f->dirfd, f->temp, dir, name, RENAME_NOREPLACE);
    }
    if (r == 0)
        *f->temp = '\0';
    return r;
}

/* The directory to put the file in; what had to be made is synced too. */
static int open_target(const struct pubfile *f, const char *subdir, bool sync, struct err *err)
{
    if (*subdir == '\0')
        return dir_open(f->dirfd, ".", err);
    int fd = dir_open(f->dirfd, subdir, err);
    if (fd == ERR_NOT_FOUND)
        err_clear(err);
    else
        return fd;
    if (dir_make(f->dirfd, subdir, 0700, err) < 0)
        return err->code;
    if (sync) {
        AUTO(fd_close) int top = dir_open(f->dirfd, ".", err);
        if (top < 0 || fd_sync(top, err) < 0)
            return err->code;
    }
    return dir_open(f->dirfd, subdir, err);
}

int pubfile_publish(struct pubfile *f, const char *subdir, const char *name, bool sync,
                    struct err *err)
{
    AUTO(fd_close) int dir = open_target(f, subdir, sync, err);

    if (dir < 0)
        return err_wrap(err, "cannot publish '%s'", name);
    if (sync && fd_sync(f->fd, err) < 0)
        return err_wrap(err, "cannot publish '%s'", name);
    int r = *f->temp ? link_named(f, dir, name) : link_unnamed(f, dir, name);
    if (r < 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot publish '%s'", name);
    /* Also when it was there: who put it there may not have come to this line yet. */
    if (sync && fd_sync(dir, err) < 0)
        return err_wrap(err, "cannot publish '%s'", name);
    return 0;
}
