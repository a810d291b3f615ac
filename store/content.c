#include "store/layer.h"
#include "store/layer_internal.h"

#include "base/fs.h"
#include "store/feed.h"
#include "store/layer_away.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define TRIES 4
#define OPENED_MAX 4 /* files of trees that content_at keeps open */

/* Content taken out of a tar: a range of the scratch file. */
struct taken {
    bool is_here;
    uint64_t at, size;
};

/* What is wanted of one layer. */
struct wants {
    const struct layer *layer;
    struct map *by_content; /* hex digest -> struct taken */
    size_t n_missing;
    int tree; /* fd, -1: not opened */
};

/* A file of a tree that was asked for lately. */
struct opened {
    const struct layer *layer; /* NULL: none */
    char *path;
    int fd;
};

struct content {
    struct store *store;
    struct wants *wants;
    size_t n, cap;
    int scratch; /* an unnamed file, -1: not made yet */
    uint64_t used;
    struct opened opened[OPENED_MAX];
    size_t next_opened; /* the place that is taken next */
};

struct content *content_new(struct store *s)
{
    struct content *c = mem_zalloc(sizeof(*c));

    c->store = s;
    c->scratch = -1;
    return c;
}

static void opened_release(struct opened *o)
{
    if (o->layer == NULL)
        return;
    fd_close(o->fd);
    mem_free(o->path);
    *o = (struct opened){ .layer = NULL };
}

void content_free(struct content *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < OPENED_MAX; i++)
        opened_release(&c->opened[i]);
    for (size_t i = 0; i < c->n; i++) {
        map_free(c->wants[i].by_content);
        fd_close(c->wants[i].tree);
    }
    mem_free(c->wants);
    fd_close(c->scratch);
    mem_free(c);
}

static struct wants *wants_of(struct content *c, const struct layer *l)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->wants[i].layer == l)
            return &c->wants[i];
    MEM_ROOM(c->wants, c->n, c->cap);
    c->wants[c->n] = (struct wants){ .layer = l, .by_content = map_new(mem_free), .tree = -1 };
    return &c->wants[c->n++];
}

static bool has_bytes_elsewhere(const struct entry *e)
{
    return e->type == ENTRY_FILE && e->size > 0 && e->inline_data == NULL;
}

void content_want(struct content *c, const struct layer *l, const struct entry *e)
{
    struct wants *w = wants_of(c, l);
    char hex[DIGEST_HEX_LEN + 1];

    if (!has_bytes_elsewhere(e) || map_has(w->by_content, digest_hex(&e->content, hex)))
        return;
    struct taken *t = mem_zalloc(sizeof(*t));
    t->size = e->size;
    map_set(w->by_content, hex, t);
    w->n_missing++;
}

/* Taking bytes out of a layer's tar. */

static int open_scratch(struct content *c, struct err *err)
{
    struct work *w = c->scratch < 0 ? store_scratch(c->store, err) : NULL;

    if (c->scratch >= 0)
        return 0;
    if (w == NULL)
        return err->code;
    c->scratch = openat(work_dirfd(w), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (c->scratch >= 0)
        return 0;
    AUTO(mem_free) char *name = work_subdir(w, "content", err); /* its own directory: a free name */
    if (name == NULL)
        return err->code;
    AUTO(mem_free) char *path = str_printf("%s/bytes", name);
    c->scratch = openat(work_dirfd(w), path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (c->scratch < 0)
        return err_sys(err, errno, "cannot make scratch in '%s'", work_path(w));
    return unlinkat(work_dirfd(w), path, 0) < 0 ? err_sys(err, errno, "cannot remove '%s'", path)
                                                : 0;
}

/*
 * Whether a member's bytes have to be looked at. The listing knows what the
 * last member of a path is; thorough: also others may be it, a file that was replaced
 * later but kept by a hard link, or one that came by way of a link.
 */
static bool is_candidate(const struct wants *w, const struct entry *member, bool thorough)
{
    struct entry e;

    if (member->type != ENTRY_FILE || member->hardlink != NULL || member->size == 0)
        return false;
    if (thorough)
        return true;
    return listing_find(w->layer->listing, member->path, &e) && e.type == ENTRY_FILE &&
           map_has(w->by_content, DIGEST_HEX(&e.content));
}

struct taker {
    struct content *content;
    struct wants *wants;
    struct tar_reader *tar;
    struct hasher *hasher;
    char *chunk;
};

static int write_at(int fd, const char *p, size_t n, uint64_t at, struct err *err)
{
    while (n > 0) {
        ssize_t put = pwrite(fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(err, errno, "cannot write scratch");
        p += put;
        n -= (size_t)put;
        at += (uint64_t)put;
    }
    return 0;
}

/* Bytes that turn out to be unwanted are written over by the next. */
static int take(struct taker *t, struct err *err)
{
    struct content *c = t->content;
    uint64_t at = c->used;
    struct digest d;
    ssize_t n;

    while ((n = tar_reader_read(t->tar, t->chunk, CHUNK, err)) > 0) {
        hasher_add(t->hasher, t->chunk, (size_t)n);
        if (write_at(c->scratch, t->chunk, (size_t)n, at, err) < 0)
            return err->code;
        at += (uint64_t)n;
    }
    hasher_end(t->hasher, &d);
    struct taken *found = n < 0 ? NULL : map_get(t->wants->by_content, DIGEST_HEX(&d));
    if (found == NULL || found->is_here)
        return (int)n;
    *found = (struct taken){ .is_here = true, .at = c->used, .size = at - c->used };
    c->used = at;
    t->wants->n_missing--;
    return 0;
}

static int take_all(struct taker *t, bool thorough, struct err *err)
{
    struct entry member;
    int r = 1;

    while (t->wants->n_missing > 0 && (r = tar_reader_next(t->tar, &member, err)) > 0)
        if (is_candidate(t->wants, &member, thorough) && take(t, err) < 0)
            return err->code;
    return r < 0 ? r : 0;
}

static int take_from(struct content *c, struct wants *w, bool thorough, struct err *err)
{
    AUTO(source_free) struct source *plain = layer_tar_source(c->store, w->layer, err);

    if (plain == NULL || open_scratch(c, err) < 0)
        return err->code;
    AUTO(source_free) struct source *ahead = source_ahead(TAKE(plain));
    AUTO(tar_reader_free) struct tar_reader *tar = tar_reader_new(ahead, err);
    if (tar == NULL)
        return err->code;
    AUTO(hasher_free) struct hasher *hasher = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(CHUNK);
    struct taker t = { .content = c, .wants = w, .tar = tar, .hasher = hasher, .chunk = chunk };
    return take_all(&t, thorough, err);
}

static int take_once(struct content *c, struct wants *w, struct err *err)
{
    if (w->n_missing > 0 && take_from(c, w, false, err) < 0)
        return err->code;
    if (w->n_missing > 0 && take_from(c, w, true, err) < 0)
        return err->code;
    return 0;
}

/* What was damaged is gone after a try: the next one reads from something else. */
static int take_wanted(struct content *c, struct wants *w, struct err *err)
{
    int r = ERR_CORRUPT;

    for (int i = 0; r == ERR_CORRUPT && i < TRIES; i++) {
        err_clear(err);
        r = take_once(c, w, err);
    }
    return r;
}

/* Giving it. */

struct range_source {
    struct source base;
    int fd; /* borrowed */
    uint64_t at, left;
};

static ssize_t range_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct range_source *r = (struct range_source *)s;
    ssize_t got;

    if (n > r->left)
        n = (size_t)r->left;
    if (n == 0)
        return 0;
    do
        got = pread(r->fd, p, n, (off_t)r->at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(err, errno, "cannot read scratch");
    if (got == 0)
        return err_set(err, ERR_IO, "scratch has become shorter");
    r->at += (uint64_t)got;
    r->left -= (uint64_t)got;
    return got;
}

static void range_free(struct source *s)
{
    mem_free(s);
}

static struct source *source_range(int fd, uint64_t at, uint64_t size)
{
    struct range_source *r = mem_zalloc(sizeof(*r));

    *r = (struct range_source){
        .base = { .read = range_read, .free = range_free }, .fd = fd, .at = at, .left = size
    };
    return &r->base;
}

/* ERR_NOT_FOUND: there is no tree, or it has no such file any more. */
static int open_in_tree(struct content *c, struct wants *w, const struct entry *e, struct err *err)
{
    if (w->tree < 0) {
        if (!tree_is_there(c->store, &w->layer->diff_id))
            return err_set(err, ERR_NOT_FOUND, "no tree");
        w->tree = tree_open(c->store, &w->layer->diff_id, err);
        if (w->tree < 0)
            return err->code;
    }
    return tree_open_file(w->tree, e, err);
}

static bool is_elsewhere(const struct err *err)
{
    return err->code == ERR_NOT_FOUND || err->code == ERR_CORRUPT;
}

static const struct taken *find_taken(struct content *c, struct wants *w, const struct entry *e,
                                      struct err *err)
{
    content_want(c, w->layer, e); /* in case nobody said so */
    const struct taken *t = map_get(w->by_content, DIGEST_HEX(&e->content));
    if (!t->is_here && take_wanted(c, w, err) < 0)
        return NULL;
    if (t->is_here)
        return t;
    err_set(err, ERR_CORRUPT, "layer '%s' does not have the bytes of '/%s'",
            DIGEST_S(&w->layer->diff_id.d), e->path);
    return NULL;
}

struct source *content_open(struct content *c, const struct layer *l, const struct entry *e,
                            struct err *err)
{
    if (e->type != ENTRY_FILE) {
        err_set(err, ERR_USAGE, "'/%s' is not a file", e->path);
        return NULL;
    }
    if (!has_bytes_elsewhere(e))
        return source_mem(e->inline_data, (size_t)(e->inline_data ? e->size : 0));
    if (layer_whole(c->store, l, err) == NULL)
        return NULL;
    struct wants *w = wants_of(c, l);
    int fd = open_in_tree(c, w, e, err);
    if (fd >= 0)
        return source_fd(fd, true);
    if (!is_elsewhere(err))
        return NULL;
    err_clear(err);
    const struct taken *t = find_taken(c, w, e, err);
    return t ? source_range(c->scratch, t->at, t->size) : NULL;
}

static int find_opened(struct content *c, const struct layer *l, const char *path)
{
    for (size_t i = 0; i < OPENED_MAX; i++)
        if (c->opened[i].layer == l && strcmp(c->opened[i].path, path) == 0)
            return c->opened[i].fd;
    return -1;
}

static void keep_opened(struct content *c, const struct layer *l, const char *path, int fd)
{
    struct opened *o = &c->opened[c->next_opened++ % OPENED_MAX];

    opened_release(o);
    *o = (struct opened){ .layer = l, .path = str_dup(path), .fd = fd };
}

static int at_taken(struct content *c, struct wants *w, const struct entry *e,
                    struct content_place *ret, struct err *err)
{
    const struct taken *t = find_taken(c, w, e, err);

    if (t == NULL)
        return err->code;
    *ret = (struct content_place){ .fd = c->scratch, .at = t->at };
    return 0;
}

/* Taken from the tar already: the tree need not be looked for. */
static bool is_taken(const struct wants *w, const struct entry *e)
{
    const struct taken *t = map_get(w->by_content, DIGEST_HEX(&e->content));

    return t != NULL && t->is_here;
}

int content_at(struct content *c, const struct layer *l, const struct entry *e,
               struct content_place *ret, struct err *err)
{
    int fd = find_opened(c, l, e->path);

    if (fd >= 0) {
        *ret = (struct content_place){ .fd = fd, .is_file = true };
        return 0;
    }
    if (!has_bytes_elsewhere(e))
        return err_set(err, ERR_USAGE, "'/%s' has no bytes of its own", e->path);
    if (layer_whole(c->store, l, err) == NULL)
        return err->code;
    struct wants *w = wants_of(c, l);
    if (is_taken(w, e))
        return at_taken(c, w, e, ret, err);
    fd = open_in_tree(c, w, e, err);
    if (fd < 0 && !is_elsewhere(err))
        return err->code;
    if (fd < 0) {
        err_clear(err);
        return at_taken(c, w, e, ret, err);
    }
    keep_opened(c, l, e->path, fd);
    *ret = (struct content_place){ .fd = fd, .is_file = true };
    return 0;
}
