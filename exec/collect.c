#include "exec/run_internal.h"

#include "base/fs.h"
#include "base/map.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define XATTR_NAMES_MAX 65536 /* the kernel's limits */
#define XATTR_VALUE_MAX 65536

/* A directory on the way down. */
struct frame {
    struct strv names; /* what is in it, sorted */
    size_t next;
    struct stat st; /* before we took anything out of it */
    size_t path_len;
    bool is_opaque;   /* hides something that view has */
    bool has_listed;  /* something below it is in the listing */
    bool has_removed; /* we took something out: its time has to be put back */
};

/*
 * One fd, of the directory the walk is in, however deep that is: up again goes
 * by ".." and a look whether it is the directory we came from.
 */
struct walk {
    int fd;
    struct buf path; /* of what is looked at, relative to the root */
    struct frame *stack;
    size_t n, cap;
    const char *marks; /* what names of overlay's own attributes begin with */
    const struct view *view;
    struct listing_builder *b;
    struct map *links; /* "device:inode" -> path of the first name */
};

static void walk_release(struct walk *w)
{
    for (size_t i = 0; i < w->n; i++)
        strv_release(&w->stack[i].names);
    mem_free(w->stack);
    buf_release(&w->path);
    map_free(w->links);
    fd_close(w->fd);
}
DEFINE_AUTO_VALUE(struct walk, walk_release);

static struct frame *top(struct walk *w)
{
    return &w->stack[w->n - 1];
}

/* ---- extended attributes ---- */

struct xattrs {
    const char *marks; /* of the walk */
    struct entry_xattr *v;
    size_t n, cap;
    bool is_opaque; /* overlay's own */
};

static void xattrs_release(struct xattrs *x)
{
    for (size_t i = 0; i < x->n; i++) {
        mem_free((void *)(uintptr_t)x->v[i].name);
        mem_free((void *)(uintptr_t)x->v[i].value);
    }
    mem_free(x->v);
}
DEFINE_AUTO_VALUE(struct xattrs, xattrs_release);

/* What belongs to a file as such; labels of this machine's security modules don't. */
static bool is_kept(const char *name)
{
    return str_starts(name, "user.") || str_starts(name, "trusted.") ||
           str_starts(name, "system.posix_acl_") || str_eq(name, "security.capability");
}

/* Redirects and metadata-only copies were turned off: with one of them upper would be half a tree.
 */
static int note_overlay_xattr(struct xattrs *x, const char *name, const char *value, size_t n,
                              struct err *err)
{
    const char *what = name + strlen(x->marks);

    if (str_eq(what, "redirect") || str_eq(what, "metacopy"))
        return err_set(err, ERR_IO, "overlayfs has left '%s' although that was turned off", name);
    if (str_eq(what, "opaque"))
        x->is_opaque = n == 1 && *value == 'y'; /* "x" says something about whiteouts */
    return 0;
}

static int read_xattr(const char *proc, const char *name, struct xattrs *x, struct err *err)
{
    char value[XATTR_VALUE_MAX];
    ssize_t n = getxattr(proc, name, value, sizeof(value));

    if (n < 0)
        return err_sys(err, errno, "cannot read attribute '%s'", name);
    if (str_starts(name, x->marks))
        return note_overlay_xattr(x, name, value, (size_t)n, err);
    MEM_ROOM(x->v, x->n, x->cap);
    x->v[x->n++] = (struct entry_xattr){ .name = str_dup(name),
                                         .value = mem_dup(value, (size_t)n),
                                         .len = (size_t)n };
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct entry_xattr *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* fd may be O_PATH, of anything: a link's attributes are its own. */
static int read_xattrs(int fd, struct xattrs *x, struct err *err)
{
    char proc[48], names[XATTR_NAMES_MAX];

    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    ssize_t n = listxattr(proc, names, sizeof(names));
    if (n < 0 && errno == ENOTSUP)
        return 0;
    if (n < 0)
        return err_sys(err, errno, "cannot list attributes");
    for (const char *name = names; name < names + n; name += strlen(name) + 1)
        if ((is_kept(name) || str_starts(name, x->marks)) && read_xattr(proc, name, x, err) < 0)
            return err->code;
    if (x->n > 1)
        qsort(x->v, x->n, sizeof(*x->v), by_name);
    return 0;
}

static bool same_xattrs(const struct xattrs *x, const struct entry *e)
{
    if (x->n != e->n_xattrs)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (!str_eq(x->v[i].name, e->xattrs[i].name) || x->v[i].len != e->xattrs[i].len ||
            memcmp(x->v[i].value, e->xattrs[i].value, x->v[i].len) != 0)
            return false;
    return true;
}

/* ---- entries ---- */

/* Seconds, as layers carry times. */
static struct entry entry_of(const struct walk *w, const struct stat *st, const struct xattrs *x)
{
    return (struct entry){ .path = buf_str(&w->path),
                           .mode = st->st_mode & 07777,
                           .uid = st->st_uid,
                           .gid = st->st_gid,
                           .mtime = st->st_mtim.tv_sec,
                           .xattrs = x->v,
                           .n_xattrs = x->n };
}

static int add_entry(struct walk *w, const struct entry *e, struct err *err)
{
    if (listing_builder_add(w->b, e, err) < 0)
        return err->code;
    top(w)->has_listed = true;
    return 0;
}

/* The first name in listing order is the file, the others are links to it. */
static int add_file(struct walk *w, struct entry *e, const struct stat *st, struct err *err)
{
    char key[64];

    e->type = ENTRY_FILE;
    e->size = (uint64_t)st->st_size;
    if (st->st_nlink > 1) {
        snprintf(key, sizeof(key), "%llx:%llx", (unsigned long long)st->st_dev,
                 (unsigned long long)st->st_ino);
        e->hardlink = map_get(w->links, key);
        if (e->hardlink == NULL)
            map_set(w->links, key, str_dup(e->path));
    }
    return add_entry(w, e, err);
}

static int add_link(struct walk *w, struct entry *e, const char *name, struct err *err)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(w->fd, name, target, sizeof(target) - 1);

    if (n < 0)
        return err_sys(err, errno, "cannot read link '%s'", e->path);
    target[n] = '\0';
    e->type = ENTRY_LINK;
    e->target = target;
    return add_entry(w, e, err);
}

static int add_special(struct walk *w, struct entry *e, const struct stat *st, struct err *err)
{
    e->type = S_ISFIFO(st->st_mode) ? ENTRY_FIFO : S_ISCHR(st->st_mode) ? ENTRY_CHAR : ENTRY_BLOCK;
    if (e->type != ENTRY_FIFO) {
        e->dev_major = major(st->st_rdev);
        e->dev_minor = minor(st->st_rdev);
    }
    return add_entry(w, e, err);
}

/* Takes away what the layer will not have, so that the tree is what the listing says. */
static int drop(struct walk *w, const char *name, int flags, struct err *err)
{
    if (unlinkat(w->fd, name, flags) < 0)
        return err_sys(err, errno, "cannot remove '%s'", buf_str(&w->path));
    top(w)->has_removed = true;
    return 0;
}

/* Over nothing a whiteout says nothing. */
static int visit_whiteout(struct walk *w, const char *name, struct err *err)
{
    const struct entry e = { .path = buf_str(&w->path), .type = ENTRY_WHITEOUT };
    struct entry hidden;

    if (!view_find(w->view, e.path, &hidden, NULL))
        return drop(w, name, 0, err);
    return add_entry(w, &e, err);
}

static int visit_other(struct walk *w, const char *name, const struct stat *st, struct err *err)
{
    AUTO(fd_close) int fd = openat(w->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    AUTO(xattrs_release) struct xattrs x = { .marks = w->marks };

    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s'", buf_str(&w->path));
    if (read_xattrs(fd, &x, err) < 0)
        return err_wrap(err, "'%s'", buf_str(&w->path));
    struct entry e = entry_of(w, st, &x);
    if (S_ISREG(st->st_mode))
        return add_file(w, &e, st, err);
    if (S_ISLNK(st->st_mode))
        return add_link(w, &e, name, err);
    return add_special(w, &e, st, err);
}

/* ---- directories ---- */

static int list_names(int dirfd, struct strv *ret, struct err *err)
{
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;

    if (d == NULL) {
        int sys = errno;
        fd_close(fd);
        return err_sys(err, sys, "cannot list a directory");
    }
    while ((errno = 0, e = readdir(d)) != NULL)
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            strv_add(ret, e->d_name);
    int sys = errno;
    closedir(d);
    if (sys != 0)
        return err_sys(err, sys, "cannot list a directory");
    strv_sort(ret);
    return 0;
}

/*
 * overlayfs marks new directories opaque on speculation. Only where that hides
 * something is it part of the layer; elsewhere the mark goes, as the tree may lie on other layers
 * one day.
 */
static int settle_opaque(struct walk *w, int fd, bool *ret, struct err *err)
{
    AUTO(strv_release) struct strv hidden = STRV_INIT;
    AUTO(mem_free) char *mark = str_printf("%sopaque", w->marks);
    struct entry e;

    if (view_find(w->view, buf_str(&w->path), &e, NULL) && e.type == ENTRY_DIR &&
        view_children(w->view, buf_str(&w->path), &hidden, err) < 0)
        return err->code;
    *ret = hidden.n > 0;
    if (!*ret && fremovexattr(fd, mark) < 0)
        return err_sys(err, errno, "cannot remove an attribute");
    return 0;
}

/* Makes fd, taken over, the directory the walk is in. */
static int push(struct walk *w, int fd, struct err *err)
{
    struct frame f = { .path_len = w->path.len };

    fd_close(w->fd);
    w->fd = fd;
    if (fstat(fd, &f.st) < 0)
        return err_sys(err, errno, "cannot look at a directory");
    MEM_ROOM(w->stack, w->n, w->cap);
    w->stack[w->n++] = f;
    return list_names(fd, &top(w)->names, err);
}

static int visit_dir(struct walk *w, const char *name, struct err *err)
{
    int fd = openat(w->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "cannot open directory '%s'", buf_str(&w->path));
    if (push(w, fd, err) < 0)
        return err_wrap(err, "'%s'", buf_str(&w->path));
    return 0;
}

/* To the directory above, with the path of the one just left still standing. */
static int go_up(struct walk *w, struct err *err)
{
    int fd = openat(w->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct frame *above = &w->stack[w->n - 2];
    struct stat st;

    if (fd < 0)
        return err_sys(err, errno, "cannot leave directory '%s'", buf_str(&w->path));
    fd_close(w->fd);
    w->fd = fd;
    if (fstat(fd, &st) < 0 || st.st_dev != above->st.st_dev || st.st_ino != above->st.st_ino)
        return err_set(err, ERR_IO, "'%s' was moved while it was read", buf_str(&w->path));
    strv_release(&w->stack[--w->n].names);
    return 0;
}

static void put_time_back(const struct walk *w, const struct frame *f)
{
    const struct timespec times[] = { { .tv_nsec = UTIME_OMIT }, f->st.st_mtim };

    if (f->has_removed)
        futimens(w->fd, times);
}

/* Nanoseconds count where both sides have them. */
static bool same_time(const struct stat *st, const struct entry *e)
{
    if (st->st_mtim.tv_sec != e->mtime)
        return false;
    return e->mtime_ns == 0 || st->st_mtim.tv_nsec == 0 || st->st_mtim.tv_nsec == e->mtime_ns;
}

static bool is_as_in_view(const struct walk *w, const struct frame *f, const struct xattrs *x)
{
    struct entry e;

    return !f->is_opaque && view_find(w->view, buf_str(&w->path), &e, NULL) &&
           e.type == ENTRY_DIR && e.mode == (f->st.st_mode & 07777) && e.uid == f->st.st_uid &&
           e.gid == f->st.st_gid && same_xattrs(x, &e) && same_time(&f->st, &e);
}

/* The end of a directory below the root: listed, or found to be a mere copy and removed. */
static int leave_dir(struct walk *w, struct err *err)
{
    struct frame f = *top(w);
    AUTO(xattrs_release) struct xattrs x = { .marks = w->marks };

    if (read_xattrs(w->fd, &x, err) < 0 ||
        (x.is_opaque && settle_opaque(w, w->fd, &f.is_opaque, err) < 0))
        return err_wrap(err, "'%s'", buf_str(&w->path));
    put_time_back(w, &f);
    bool is_listed = f.has_listed || !is_as_in_view(w, &f, &x);
    if (go_up(w, err) < 0)
        return err->code;
    const char *name = path_base(buf_str(&w->path));
    if (!is_listed)
        return drop(w, name, AT_REMOVEDIR, err);
    struct entry e = entry_of(w, &f.st, &x);
    e.type = ENTRY_DIR;
    e.opaque = f.is_opaque;
    return add_entry(w, &e, err);
}

/* ---- the walk ---- */

static int visit(struct walk *w, const char *name, struct err *err)
{
    struct stat st;

    if (fstatat(w->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(err, errno, "cannot look at '%s'", buf_str(&w->path));
    if (S_ISDIR(st.st_mode))
        return visit_dir(w, name, err);
    if (S_ISCHR(st.st_mode) && st.st_rdev == 0)
        return visit_whiteout(w, name, err);
    if (S_ISSOCK(st.st_mode)) /* nobody listens on it any more, and a tar has no word for it */
        return drop(w, name, 0, err);
    return visit_other(w, name, &st, err);
}

static void set_path(struct walk *w, const char *name)
{
    buf_truncate(&w->path, top(w)->path_len);
    if (w->path.len > 0)
        buf_addc(&w->path, '/');
    buf_adds(&w->path, name);
}

static int walk_on(struct walk *w, struct err *err)
{
    struct frame *f = top(w);

    if (f->next < f->names.n) {
        AUTO(mem_free) char *name = str_dup(f->names.v[f->next++]);
        set_path(w, name);
        return visit(w, name, err);
    }
    buf_truncate(&w->path, f->path_len);
    return leave_dir(w, err);
}

int upper_list(int dirfd, enum overlay_marks marks, const struct view *v, struct listing_builder *b,
               struct err *err)
{
    AUTO(walk_release)
    struct walk w = {
        .fd = -1, .marks = overlay_prefix(marks), .view = v, .b = b, .links = map_new(mem_free)
    };
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "cannot open the upper directory");
    if (push(&w, fd, err) < 0)
        return err->code;
    while (w.n > 1 || top(&w)->next < top(&w)->names.n)
        if (walk_on(&w, err) < 0)
            return err->code;
    put_time_back(&w, top(&w));
    return 0;
}
