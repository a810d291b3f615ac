#include "store/work.h"
#include "store/store_internal.h"

#include "base/fs.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LEASE "lease"

struct work {
    struct store *store; /* borrowed */
    char *name, *path;
    int dirfd;
    int lease;
    atomic_uint next_subdir;
};

/*
 * Making a directory with its lease, and deciding that one is dead, exclude
 * each other by a lock on work/.lock; else a directory between mkdir and lease
 * would look dead.
 */
static int lock_work(struct store *s, bool wait, struct err *err)
{
    AUTO(fd_close)
    int fd = openat(s->work, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s/work/.lock'", s->root);
    int r = wait ? lock_byte(fd, 0, err) : lock_try_byte(fd, 0, err);
    if (r < 0)
        return err_wrap(err, "'%s/work/.lock'", s->root);
    if (!wait && r == 0)
        return err_set(err, ERR_NOT_FOUND, "somebody else has it");
    return TAKE_FD(fd);
}

static bool lease_is_free(int dir)
{
    struct err ignored = ERR_INIT;
    AUTO(fd_close) int fd = openat(dir, LEASE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == EISDIR;
    return lock_try_byte(fd, 0, &ignored) == 1;
}

/* Under the lock: dead directories get another name, so that removing them can be done without it.
 */
static void find_dead(struct store *s, struct strv *ret)
{
    int fd = openat(s->work, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;

    if (d == NULL) {
        fd_close(fd);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        AUTO(fd_close)
        int dir = openat(s->work, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0 ? errno == ENOTDIR || errno == ELOOP
                    : str_starts(e->d_name, "dead-") || lease_is_free(dir))
            strv_add(ret, e->d_name);
    }
    closedir(d);
}

static void rename_dead(struct store *s, struct strv *names)
{
    for (size_t i = 0; i < names->n; i++) {
        if (str_starts(names->v[i], "dead-"))
            continue;
        char *dead = str_printf("dead-%s", names->v[i]);
        if (renameat(s->work, names->v[i], s->work, dead) < 0) {
            mem_free(dead);
            continue;
        }
        mem_free(names->v[i]);
        names->v[i] = dead;
    }
}

void work_clear_dead(struct store *s)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv dead = STRV_INIT;
    AUTO(fd_close) int lock = lock_work(s, false, &err);

    if (lock < 0)
        return; /* somebody else clears */
    find_dead(s, &dead);
    rename_dead(s, &dead);
    fd_close(TAKE_FD(lock));
    for (size_t i = 0; i < dead.n; i++) {
        err_clear(&err);
        if (tree_remove(s->work, dead.v[i], &err) < 0)
            log_debug("store", "leftover work/%s stays for now: %s", dead.v[i], err.msg);
    }
}

static int make_lease(struct work *w, struct err *err)
{
    w->lease = openat(w->dirfd, LEASE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->lease < 0)
        return err_sys(err, errno, "cannot make lease in '%s'", w->path);
    int r = lock_try_byte(w->lease, 0, err);
    return r == 1 ? 0 : r < 0 ? r : err_set(err, ERR_IO, "lease in '%s' is taken", w->path);
}

/* The number makes the name unique, also where pid namespaces share a store. */
static int make_dir(struct work *w, struct err *err)
{
    struct store *s = w->store;

    for (;;) {
        mem_free(w->name);
        w->name =
            str_printf("%s-%d-%u", s->boot, (int)getpid(), atomic_fetch_add(&s->next_work, 1));
        if (mkdirat(s->work, w->name, 0700) == 0)
            break;
        if (errno != EEXIST)
            return err_sys(err, errno, "cannot make '%s/work/%s'", s->root, w->name);
    }
    w->path = str_printf("%s/work/%s", s->root, w->name);
    if (fchmodat(s->work, w->name, 0700, 0) < 0)
        return err_sys(err, errno, "cannot set mode of '%s'", w->path);
    w->dirfd = openat(s->work, w->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return w->dirfd < 0 ? err_sys(err, errno, "cannot open '%s'", w->path) : make_lease(w, err);
}

struct work *work_open(struct store *s, struct err *err)
{
    AUTO(fd_close) int lock = lock_work(s, true, err);

    if (lock < 0)
        return NULL;
    AUTO(work_free) struct work *w = mem_zalloc(sizeof(*w));
    w->store = s;
    w->dirfd = w->lease = -1;
    return make_dir(w, err) < 0 ? NULL : TAKE(w);
}

void work_free(struct work *w)
{
    struct err err = ERR_INIT;

    if (w == NULL)
        return;
    fd_close(w->dirfd);
    if (w->path != NULL && tree_remove(w->store->work, w->name, &err) < 0)
        log_warn("store", "cannot remove scratch '%s': %s", w->path, err.msg);
    fd_close(w->lease); /* last: until here nobody else may take it for dead */
    mem_free(w->name);
    mem_free(w->path);
    mem_free(w);
}

int work_dirfd(const struct work *w)
{
    return w->dirfd;
}

const char *work_path(const struct work *w)
{
    return w->path;
}

const char *work_name(const struct work *w)
{
    return w->name;
}

char *work_subdir(struct work *w, const char *prefix, struct err *err)
{
    AUTO(mem_free)
    char *name = str_printf("%s-%u", prefix, atomic_fetch_add(&w->next_subdir, 1));

    if (mkdirat(w->dirfd, name, 0700) < 0 || fchmodat(w->dirfd, name, 0700, 0) < 0) {
        err_sys(err, errno, "cannot make '%s/%s'", w->path, name);
        return NULL;
    }
    return TAKE(name);
}
