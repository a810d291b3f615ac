/* What a context has: its directories are read by several threads, one task each. */
#include "cache/context_internal.h"

#include "base/fs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 512   /* directories within each other */
#define NAMES_LEN 32768 /* bytes of a directory that are read at once */

/* A directory while it is read. */
struct reading {
    struct scan *s;
    struct found_dir *d;
    int fd;
    struct buf path; /* of the name at hand */
    size_t prefix;   /* of it that is the directory's */
    uint8_t *state;  /* of the ignore rules for it; NULL: there are none */
    size_t n_unread;
};

void found_dir_free(struct found_dir *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->n; i++)
        found_dir_free(d->items[i]->dir);
    mem_free(d->items);
    arena_release(&d->arena);
    mem_free(d);
}

/* ---- One name ---- */

static struct item *add_item(struct reading *r, const char *name, const struct stat *st)
{
    struct found_dir *d = r->d;
    struct item *it = arena_zalloc(&d->arena, sizeof(*it));
    it->name = arena_str(&d->arena, name);
    it->st = *st;
    it->in = d;
    MEM_ROOM(d->items, d->n, d->cap);
    d->items[d->n++] = it;
    return it;
}

static int add_dir(struct reading *r, struct item *it, bool covered, struct err *err)
{
    if (r->d->depth >= DEPTH_MAX)
        return err_set(err, ERR_USAGE, "context '%s' is nested more than %d directories deep",
                       r->s->c->path, DEPTH_MAX);
    struct found_dir *d = mem_zalloc(sizeof(*d));
    d->scan = r->s;
    d->path = arena_str(&d->arena, buf_str(&r->path));
    d->item = it;
    d->volume = r->d->volume;
    if (r->state != NULL)
        d->state = arena_dup(&d->arena, r->state, ignore_state_size(r->s->c->ignore));
    d->covered = covered;
    d->depth = r->d->depth + 1;
    it->dir = d;
    return 0;
}

/* Of what no open file is at hand. */
static void read_xattrs(struct reading *r, struct item *it)
{
    AUTO(mem_free) char *path = str_printf("/proc/self/fd/%d/%s", r->fd, it->name);
    item_read_xattrs(r->s, it, -1, path);
}

static void add_file(struct reading *r, struct item *it)
{
    if (!memory_find(r->s->memory, &r->d->volume, &it->st, &it->digest, &it->plain)) {
        it->unread = true;
        r->n_unread++;
    } else if (!it->plain) {
        read_xattrs(r, it);
    }
}

/* Gone meanwhile, or another kind of thing: nothing to take back, it was not there. */
static int add_link(struct reading *r, const char *name, const struct stat *st, struct err *err)
{
    char target[4096];
    ssize_t n = readlinkat(r->fd, name, target, sizeof(target) - 1);
    if (n < 0 && (errno == ENOENT || errno == EINVAL))
        return 0;
    if (n < 0)
        return err_sys(err, errno, "cannot read link '%s'", buf_str(&r->path));
    struct item *it = add_item(r, name, st);
    it->target = arena_strn(&r->d->arena, target, (size_t)n);
    read_xattrs(r, it);
    return 0;
}

static int add_found(struct reading *r, const char *name, const struct stat *st, bool covered,
                     bool ignored, struct err *err)
{
    if (atomic_fetch_add(&r->s->n, 1) >= LISTING_ENTRIES_MAX)
        return err_set(err, ERR_USAGE, "context '%s' has over %u files", r->s->c->path,
                       LISTING_ENTRIES_MAX);
    if (S_ISLNK(st->st_mode))
        return add_link(r, name, st, err);
    struct item *it = add_item(r, name, st);
    it->ignored = ignored;
    if (S_ISDIR(st->st_mode))
        return add_dir(r, it, covered, err);
    if (S_ISREG(st->st_mode)) {
        add_file(r, it);
        return 0;
    }
    if (S_ISSOCK(st->st_mode))
        digest_of("", 0, &it->digest); /* an empty file, of size 0 here already */
    read_xattrs(r, it);
    return 0;
}

static bool is_ignored(struct reading *r)
{
    const struct ignore *ignore = r->s->c->ignore;
    return ignore != NULL && ignore_match_in(ignore, buf_str(&r->path), r->d->state, r->state);
}

/* type: the directory's word for what it is; not all file systems give one. */
static int visit(struct reading *r, const char *name, unsigned char type, struct err *err)
{
    const struct context *c = r->s->c;
    buf_truncate(&r->path, r->prefix);
    buf_adds(&r->path, name);
    const char *path = buf_str(&r->path);
    bool covered = r->d->covered || context_is_covered(c, path);
    if (!covered && !context_is_on_the_way(c, path))
        return 0;
    bool ignored = is_ignored(r);
    if (ignored &&
        ((type != DT_DIR && type != DT_UNKNOWN) || !ignore_may_match_below(c->ignore, path)))
        return 0;
    struct stat st;
    if (fstatat(r->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot stat '%s' in the context", path);
    if (ignored && !S_ISDIR(st.st_mode))
        return 0;
    return add_found(r, name, &st, covered, ignored, err);
}

/* ---- One directory ---- */

static int by_name(const void *a, const void *b)
{
    const struct item *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int read_names(struct reading *r, struct err *err)
{
    _Alignas(struct dirent64) char names[NAMES_LEN];
    ssize_t n;
    while ((n = getdents64(r->fd, names, sizeof(names))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *e = (const struct dirent64 *)(const void *)(names + at);
            at += e->d_reclen;
            if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
                continue;
            if (visit(r, e->d_name, e->d_type, err) < 0)
                return err->code;
        }
    }
    if (n < 0)
        return err_sys(err, errno, "cannot read directory '%s' of the context", r->d->path);
    return 0;
}

static void add_unread(struct scan *s, struct found_dir *d)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < d->n; i++) {
        if (!d->items[i]->unread)
            continue;
        MEM_ROOM(s->unread, s->n_unread, s->cap_unread);
        s->unread[s->n_unread++] = d->items[i];
    }
    pthread_mutex_unlock(&s->lock);
}

static int read_opened(struct scan *s, struct found_dir *d, int fd, struct err *err)
{
    struct stat *st = &d->item->st;
    struct reading r = { .s = s, .d = d, .fd = fd };
    if (fstat(fd, st) < 0)
        return err_sys(err, errno, "cannot stat '%s' in the context", d->path);
    if (st->st_dev != d->volume.dev || *d->path == '\0') /* something is mounted here */
        volume_of(fd, st, &d->volume);
    item_read_xattrs(s, d->item, fd, NULL);
    buf_addf(&r.path, "%s%s", d->path, *d->path ? "/" : "");
    r.prefix = r.path.len;
    if (s->c->ignore != NULL)
        r.state = mem_zalloc(ignore_state_size(s->c->ignore));
    int rc = read_names(&r, err);
    if (rc == 0 && d->n > 0)
        qsort(d->items, d->n, sizeof(*d->items), by_name);
    if (rc == 0 && r.n_unread > 0)
        add_unread(s, d);
    buf_release(&r.path);
    mem_free(r.state);
    return rc;
}

static int read_dir(struct scan *s, struct found_dir *d, struct err *err)
{
    if (cancel_check(s->c->cancel, err) < 0)
        return err->code;
    AUTO(fd_close)
    int fd = inroot_open(s->c->fd, d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
    if (fd >= 0)
        return read_opened(s, d, fd, err);
    if (err->sys == ENOENT && *d->path)
        return err_clear(err), 0; /* gone meanwhile: it was empty, then */
    return err_sys(err, err->sys, "cannot open directory '%s' of the context", d->path);
}

/*
 * Errors are the same however the threads took turns: the walk goes on, and of all that come up
 * the one whose directory is first counts.
 */
static void fail_in(struct scan *s, const struct found_dir *d, const struct err *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->failed_dir == NULL || path_cmp(d->path, s->failed_dir->path) < 0) {
        s->failed_dir = d;
        s->err = *err;
    }
    pthread_mutex_unlock(&s->lock);
}

/* A task. */
static int read_and_go_on(void *arg, struct err *err UNUSED)
{
    struct found_dir *d = arg;
    struct err own = ERR_INIT;
    if (read_dir(d->scan, d, &own) < 0)
        fail_in(d->scan, d, &own);
    for (size_t i = 0; i < d->n; i++)
        if (d->items[i]->dir != NULL)
            group_run(d->scan->group, read_and_go_on, d->items[i]->dir);
    return 0;
}

int context_walk(struct scan *s, struct err *err)
{
    struct found_dir *top = mem_zalloc(sizeof(*top));
    top->scan = s;
    top->path = "";
    top->item = &s->top_item;
    top->covered = context_is_covered(s->c, "");
    s->top_item.dir = s->top = top;
    s->group = group_new(s->c->pool);
    group_run(s->group, read_and_go_on, top);
    group_wait(s->group, err);
    if (s->failed_dir != NULL)
        return err_copy(err, &s->err);
    return 0;
}
