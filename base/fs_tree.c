#include "base/fs.h"
#include "base/fs_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * One fd, whatever the depth: down by name, up by "..", and what that leads
 * to is compared with what was there on the way down, so that a directory
 * moved by somebody else meanwhile ends the walk instead of misleading it.
 */
struct level {
    char *name; /* in the level above */
    dev_t dev;
    ino_t ino;
    struct strv dirs; /* directories still to be removed */
};

struct walk {
    struct level *levels;
    size_t n, cap;
    int fd;         /* the deepest level */
    struct err err; /* the first; the walk goes on, to free as much as can be freed */
};

static void keep_first(struct walk *w, int sys, const char *what, const char *name)
{
    struct err now = ERR_INIT;

    err_sys(&now, sys, "cannot %s '%s'", what, name);
    if (w->err.code == ERR_NONE)
        w->err = now;
}

static void level_release(struct level *l)
{
    mem_free(l->name);
    strv_release(&l->dirs);
}

static void walk_release(struct walk *w)
{
    while (w->n > 0)
        level_release(&w->levels[--w->n]);
    mem_free(w->levels);
    fd_close(w->fd);
}
DEFINE_AUTO_VALUE(struct walk, walk_release);

/* A directory of ours without rwx for us; done through an fd, so that no link is followed. */
static void make_accessible(int dirfd, const char *name)
{
    char proc[64];
    struct stat st;
    AUTO(fd_close) int fd = openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & 0700) == 0700)
        return;
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    if (chmod(proc, 0700) < 0)
        return; /* what needs it says so */
}

/* Never into another mount, be it a bind mount of the same file system. */
static int open_dir(int dirfd, const char *name)
{
    make_accessible(dirfd, name);
    int fd = sys_openat2(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                         RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS);
    if (fd < 0 && errno == EXDEV)
        errno = EBUSY;
    return fd;
}

/* Removes what is no directory, and directories that are empty; lists the others. */
static void remove_entry(struct walk *w, struct level *l, const struct dirent *e)
{
    bool is_dir = e->d_type == DT_DIR;

    if (!is_dir && (unlinkat(w->fd, e->d_name, 0) == 0 || errno == ENOENT))
        return;
    if (!is_dir && errno != EISDIR && !(errno == EPERM && e->d_type == DT_UNKNOWN)) {
        keep_first(w, errno, "remove", e->d_name);
        return;
    }
    if (unlinkat(w->fd, e->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return;
    if (errno == ENOTEMPTY || errno == EEXIST)
        strv_add(&l->dirs, e->d_name);
    else
        keep_first(w, errno, "remove directory", e->d_name);
}

static void empty_level(struct walk *w)
{
    struct level *l = &w->levels[w->n - 1];
    int fd = fcntl(w->fd, F_DUPFD_CLOEXEC, 3);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);

    if (d == NULL) {
        keep_first(w, errno, "read directory", l->name);
        fd_close(fd);
        return;
    }
    for (struct dirent *e; errno = 0, (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_entry(w, l, e);
    if (errno != 0)
        keep_first(w, errno, "read directory", l->name);
    closedir(d);
}

/* Takes over name. */
static bool go_down(struct walk *w, int from, char *name)
{
    struct stat st;
    int fd = open_dir(from, name);

    if (fd < 0 || fstat(fd, &st) < 0) {
        if (errno != ENOENT)
            keep_first(w, errno, "remove directory", name);
        fd_close(fd);
        mem_free(name);
        return false;
    }
    fd_close(w->fd);
    w->fd = fd;
    MEM_ROOM(w->levels, w->n, w->cap);
    w->levels[w->n++] = (struct level){ .name = name, .dev = st.st_dev, .ino = st.st_ino };
    empty_level(w);
    return true;
}

/* False: the tree is no longer what it was. */
static bool go_up(struct walk *w)
{
    struct level *above = &w->levels[w->n - 2], *here = &w->levels[w->n - 1];
    struct stat st;
    int fd = openat(w->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != above->dev || st.st_ino != above->ino) {
        keep_first(w, fd < 0 ? errno : EBUSY, "leave directory", here->name);
        fd_close(fd);
        return false;
    }
    fd_close(w->fd);
    w->fd = fd;
    if (unlinkat(fd, here->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        keep_first(w, errno, "remove directory", here->name);
    level_release(here);
    w->n--;
    return true;
}

static char *strv_pop(struct strv *s)
{
    char *last = s->v[--s->n];

    s->v[s->n] = NULL;
    return last;
}

static void walk_down(struct walk *w, int parent, const char *name)
{
    if (!go_down(w, parent, str_dup(name)))
        return;
    for (;;) {
        struct level *l = &w->levels[w->n - 1];
        if (l->dirs.n > 0)
            go_down(w, w->fd, strv_pop(&l->dirs));
        else if (w->n == 1 || !go_up(w))
            break;
    }
    if (w->n == 1 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        keep_first(w, errno, "remove directory", name);
}

static int remove_in(int parent, const char *name, struct err *err)
{
    AUTO(walk_release) struct walk w = { .fd = -1, .err = ERR_INIT };

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_sys(err, errno, "cannot remove '%s'", name);
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == ENOTEMPTY || errno == EEXIST)
        walk_down(&w, parent, name);
    else
        keep_first(&w, errno, "remove", name);
    return err_copy(err, &w.err);
}

int tree_remove(int dirfd, const char *name, struct err *err)
{
    AUTO(mem_free) char *clean = path_clean(name);
    AUTO(mem_free) char *dir = path_dir(clean);
    const char *leaf = path_base(clean);

    if (*leaf == '\0' || strcmp(leaf, ".") == 0 || strcmp(leaf, "..") == 0)
        return err_set(err, ERR_USAGE, "cannot remove '%s'", name);
    AUTO(fd_close) int parent = dir_open(dirfd, dir, err);
    if (parent == ERR_NOT_FOUND)
        return 0;
    if (parent < 0 || remove_in(parent, leaf, err) < 0)
        return err_wrap(err, "cannot remove '%s'", name);
    return 0;
}
