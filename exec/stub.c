#include "exec/stub_internal.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Both fds stay open: they keep the inodes from being used again for something else. */
struct stub {
    char *path;
    int parent; /* the directory it was made in */
    int fd;     /* O_PATH, itself */
    bool is_dir;
};

struct stubs {
    int rootfd;
    struct stub *v;
    size_t n, cap;
};

void stubs_free(struct stubs *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        mem_free(s->v[i].path);
        fd_close(s->v[i].parent);
        fd_close(s->v[i].fd);
    }
    mem_free(s->v);
    mem_free(s);
}

struct stubs *stubs_new(int rootfd)
{
    struct stubs *s = mem_zalloc(sizeof(*s));

    s->rootfd = rootfd;
    return s;
}

/* What a directory's modification time is, to be put back after we have changed what is in it. */
struct dir_time {
    int fd;
    struct timespec mtime;
    bool is_known;
};

static struct dir_time dir_time_of(int fd)
{
    struct stat st;
    struct dir_time t = { .fd = fd, .is_known = fstat(fd, &st) == 0 };

    if (t.is_known)
        t.mtime = st.st_mtim;
    return t;
}

static void dir_time_put_back(const struct dir_time *t)
{
    const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, t->mtime };

    if (t->is_known)
        futimens(t->fd, times);
}

static int make_one(int parent, const char *name, bool is_dir)
{
    if (is_dir)
        return mkdirat(parent, name, 0755);
    AUTO(fd_close)
    int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    return fd < 0 ? -1 : 0;
}

static int remember(struct stubs *s, int parent, const char *name, const char *path,
                    size_t path_len, bool is_dir, struct err *err)
{
    AUTO(fd_close) int fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    AUTO(fd_close) int dir = fcntl(parent, F_DUPFD_CLOEXEC, 3);

    if (fd < 0 || dir < 0)
        return err_sys(err, errno, "cannot open mount point '/%.*s'", (int)path_len, path);
    MEM_ROOM(s->v, s->n, s->cap);
    s->v[s->n++] = (struct stub){ .path = str_ndup(path, path_len),
                                  .parent = TAKE_FD(dir),
                                  .fd = TAKE_FD(fd),
                                  .is_dir = is_dir };
    return 0;
}

/* One component. 0 when it is there now. */
static int step_make(struct stubs *s, int parent, const char *path, size_t path_len, bool is_dir,
                     struct err *err)
{
    AUTO(mem_free) char *full = str_ndup(path, path_len);
    const char *name = path_base(full);
    struct stat st;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode) == is_dir && !S_ISLNK(st.st_mode))
            return 0;
        return err_set(err, ERR_UNSUPPORTED, "cannot mount a %s on '/%s': a %s is there",
                       is_dir ? "directory" : "file", full,
                       S_ISDIR(st.st_mode)   ? "directory"
                       : S_ISLNK(st.st_mode) ? "symbolic link"
                                             : "file");
    }
    if (errno != ENOENT)
        return err_sys(err, errno, "cannot look at mount point '/%s'", full);
    struct dir_time before = dir_time_of(parent);
    if (make_one(parent, name, is_dir) < 0)
        return err_sys(err, errno, "cannot make mount point '/%s'", full);
    dir_time_put_back(&before);
    return remember(s, parent, name, path, path_len, is_dir, err);
}

int stubs_make(struct stubs *s, const char *path, bool is_dir, struct err *err)
{
    AUTO(fd_close) int dir = fcntl(s->rootfd, F_DUPFD_CLOEXEC, 3);

    for (const char *p = path; dir >= 0 && *p != '\0';) {
        size_t n = strcspn(p, "/");
        bool is_last = p[n] == '\0';
        size_t len = (size_t)(p - path) + n;
        if (step_make(s, dir, path, len, !is_last || is_dir, err) < 0)
            return err->code;
        if (is_last)
            return 0;
        AUTO(mem_free) char *name = str_ndup(p, n);
        int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0)
            return err_sys(err, errno, "cannot open '/%.*s'", (int)len, path);
        fd_close(dir);
        dir = next;
        p += n + 1;
    }
    return dir < 0 ? err_sys(err, errno, "cannot use the root file system") : 0;
}

void stubs_set_mode(struct stubs *s, const char *path, unsigned mode)
{
    const struct stub *last = s->n > 0 ? &s->v[s->n - 1] : NULL;

    if (last != NULL && str_eq(last->path, path))
        (void)!fchmodat(last->parent, path_base(path), mode, 0);
}

/* Whether what is under the name now is what was made there, and nothing was put into it. */
static bool is_untouched(const struct stub *s)
{
    struct stat made, now;

    if (fstat(s->fd, &made) < 0 ||
        fstatat(s->parent, path_base(s->path), &now, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    return made.st_dev == now.st_dev && made.st_ino == now.st_ino &&
           S_ISDIR(now.st_mode) == s->is_dir && (s->is_dir || now.st_size == 0);
}

/* rmdir itself refuses a directory that is not empty. */
static bool stub_remove(const struct stub *s)
{
    struct dir_time before = dir_time_of(s->parent);

    if (!is_untouched(s) ||
        unlinkat(s->parent, path_base(s->path), s->is_dir ? AT_REMOVEDIR : 0) < 0)
        return false;
    dir_time_put_back(&before);
    return true;
}

void stubs_remove(struct stubs *s, struct strv *ret_paths)
{
    strv_clear(ret_paths);
    for (size_t i = s->n; i-- > 0;)
        if (stub_remove(&s->v[i]))
            strv_add(ret_paths, s->v[i].path);
}
