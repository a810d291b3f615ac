/* What comes of a plan: its changes, their identity, the layer. */
#include "engine/layer_plan_internal.h"

#include "base/fs.h"
#include "image/listing_writer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A range of the spool as a source. */
struct spool_source {
    struct source s;
    int fd;
    uint64_t offset, left;
};

static ssize_t spool_read(struct source *s, void *buf, size_t n, struct err *err)
{
    struct spool_source *x = (struct spool_source *)s;
    if (n > x->left)
        n = x->left;
    if (n == 0)
        return 0;
    ssize_t got = pread(x->fd, buf, n, (off_t)x->offset);
    if (got < 0)
        return err_sys(err, errno, "cannot read scratch");
    x->offset += (uint64_t)got;
    x->left -= (uint64_t)got;
    return got;
}

static void spool_free(struct source *s)
{
    mem_free(s);
}

static struct source *spool_source(int fd, uint64_t offset, uint64_t size)
{
    struct spool_source *x = mem_zalloc(sizeof(*x));
    x->s.read = spool_read;
    x->s.free = spool_free;
    x->fd = fd;
    x->offset = offset;
    x->left = size;
    return &x->s;
}

static struct source *open_context(const struct origin *o, struct err *err)
{
    struct stat st;
    AUTO(fd_close) int fd = context_open_file(o->context, o->path, err);
    bool other = fd < 0 ? err->code == ERR_NOT_FOUND || err->sys == ELOOP
                        : fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
    if (other)
        err_set(err, ERR_CORRUPT, "'%s' is no longer the file that it was", o->path);
    return fd < 0 || other ? NULL : source_fd(TAKE_FD(fd), true);
}

static struct source *open_layer(struct layer_plan *p, const struct origin *o, struct err *err)
{
    struct entry e;
    if (!listing_find(o->layer->listing, o->path, &e)) {
        err_set(err, ERR_CORRUPT, "'%s' is not in its layer", o->path);
        return NULL;
    }
    if (e.inline_data != NULL)
        return source_mem(e.inline_data, e.size);
    return content_open(p->content, o->layer, &e, err);
}

/* layer_content_fn */
static struct source *open_planned(void *arg, const struct entry *e, struct err *err)
{
    struct layer_plan *p = arg;
    const struct planned *x = plan_table_find(&p->table, e->path, strlen(e->path));
    const struct origin *o = x ? &x->origin : NULL;
    switch (o ? o->kind : ORIGIN_NONE) {
    case ORIGIN_CONTEXT:
        return open_context(o, err);
    case ORIGIN_LAYER:
        return open_layer(p, o, err);
    case ORIGIN_BYTES:
        return source_mem(buf_str(&o->bytes), o->bytes.len);
    case ORIGIN_SPOOL:
        return spool_source(p->spool_fd, o->offset, o->size);
    default:
        err_set(err, ERR_CORRUPT, "no bytes are known for '/%s'", e->path);
        return NULL;
    }
}

static int read_planned(struct layer_plan *p, const struct entry *e, struct buf *ret,
                        struct err *err)
{
    AUTO(source_free) struct source *s = open_planned(p, e, err);
    if (s == NULL)
        return err->code;
    buf_clear(ret);
    ssize_t n = source_read_full(s, buf_room(ret, e->size + 1), e->size + 1, err);
    if (n < 0)
        return err->code;
    ret->len = (size_t)n;
    struct digest d;
    digest_of(ret->data, ret->len, &d);
    if (ret->len != e->size || !digest_eq(&d, &e->content))
        return err_set(err, ERR_CORRUPT, "'/%s' is not what it was", e->path);
    return 0;
}

/* Whether there is below already, just so (times aside), what is planned. */
static bool is_below(const struct layer_plan *p, const struct planned *x, struct entry *there,
                     size_t *ret_layer)
{
    if (x->bare || x->e.opaque || plan_hides(p, x->e.path))
        return false;
    struct entry e = plan_entry_of(p, x);
    return view_find(p->below, e.path, there, ret_layer) && entry_same(&e, there);
}

/* A file with several names: below they have to be names of one file too. */
static void look_at_name(struct layer_plan *p, const struct planned *x)
{
    struct group *g = &p->groups[x->group - 1];
    struct entry there;
    size_t layer;
    if (!is_below(p, x, &there, &layer)) {
        g->changes = true;
        return;
    }
    const char *first = there.hardlink ? there.hardlink : there.path;
    if (g->is_seen && (g->layer != layer || !str_eq(g->first, first)))
        g->changes = true;
    g->is_seen = true;
    g->layer = layer;
    g->first = first;
}

static void look_at_groups(struct layer_plan *p)
{
    const struct planned *x;
    if (p->n_groups == 0)
        return;
    for (size_t i = 0; i < p->n_groups; i++)
        p->groups[i].changes = p->groups[i].is_seen = false;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (x->group > 0)
            look_at_name(p, x);
    }
}

static bool changes_nothing(const struct layer_plan *p, const struct planned *x)
{
    struct entry there;
    size_t layer;
    if (x->group > 0)
        return !p->groups[x->group - 1].changes;
    return is_below(p, x, &there, &layer);
}

/* A layer holds what is not below it already, and the directories that lead there. */
static void mark_changes(struct layer_plan *p)
{
    struct planned *x;
    look_at_groups(p);
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        x->changes = false;
    }
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (!x->changes && !changes_nothing(p, x))
            for (struct planned *d = x; d != NULL && !d->changes; d = d->above)
                d->changes = true;
    }
}

static int by_path(const void *a, const void *b)
{
    const struct planned *const *x = a, *const *y = b;
    return path_cmp((*x)->e.path, (*y)->e.path);
}

/* What changes, in order; most plans are in order already. */
static struct planned **sort_changes(const struct layer_plan *p, size_t *ret_n)
{
    struct planned **all = mem_calloc(p->table.n, sizeof(struct planned *)), *x;
    size_t n = 0;
    bool sorted = true;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (!x->changes)
            continue;
        sorted = sorted && (n == 0 || path_cmp(all[n - 1]->e.path, x->e.path) < 0);
        all[n++] = x;
    }
    if (!sorted)
        qsort(all, n, sizeof(struct planned *), by_path);
    *ret_n = n;
    return all;
}

/* The listing of what the layer will hold, without the content of files that planning reads. */
static struct listing_writer *write_changes(struct layer_plan *p, struct err *err)
{
    AUTO(listing_writer_free) struct listing_writer *w = listing_writer_new();
    AUTO(mem_free) const char **first = mem_calloc(p->n_groups + 1, sizeof(*first));
    size_t n;
    mark_changes(p);
    AUTO(mem_free) struct planned **all = sort_changes(p, &n);
    for (size_t i = 0; i < n; i++) {
        struct entry e = plan_entry_of(p, all[i]);
        e.hardlink = first[all[i]->group];
        if (all[i]->group > 0 && e.hardlink == NULL)
            first[all[i]->group] = e.path;
        if (listing_writer_add(w, &e, err) < 0)
            return NULL;
    }
    return TAKE(w);
}

/* The same for the layer itself: the content of files that planning reads goes along. */
static struct listing_builder *build_listing(struct layer_plan *p, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(mem_free) const char **first = mem_calloc(p->n_groups + 1, sizeof(*first));
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    const struct planned *x;
    mark_changes(p);
    plan_take_times(p);
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        struct entry e = plan_entry_of(p, x);
        if (!x->changes)
            continue;
        e.hardlink = first[x->group];
        if (x->group > 0 && e.hardlink == NULL)
            first[x->group] = e.path;
        if (e.type == ENTRY_FILE && e.size <= LISTING_INLINE_MAX && listing_wants_inline(e.path)) {
            if (read_planned(p, &e, &bytes, err) < 0)
                return NULL;
            e.inline_data = buf_str(&bytes);
        }
        if (listing_builder_add(b, &e, err) < 0)
            return NULL;
    }
    return TAKE(b);
}

int plan_content_id(struct layer_plan *p, struct content_id *ret, struct err *err)
{
    AUTO(listing_writer_free) struct listing_writer *w = write_changes(p, err);
    if (w == NULL)
        return err->code;
    listing_writer_end(w, NULL, ret);
    return 0;
}

void plan_key_links(struct layer_plan *p, struct key *k)
{
    AUTO(mem_free) const char **first = mem_calloc(p->n_groups + 1, sizeof(*first));
    const struct planned *x;
    if (p->n_groups == 0)
        return;
    mark_changes(p);
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (x->group == 0 || !x->changes)
            continue;
        if (first[x->group] == NULL) {
            first[x->group] = x->e.path;
            continue;
        }
        key_str(k, "link", x->e.path);
        key_str(k, "link.to", first[x->group]);
    }
}

int plan_whole_id(struct layer_plan *p, struct digest *ret, struct err *err)
{
    AUTO(listing_writer_free) struct listing_writer *w = write_changes(p, err);
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (w == NULL)
        return err->code;
    listing_writer_end(w, &bytes, NULL);
    digest_of(bytes.data, bytes.len, ret);
    return 0;
}

/* Everything that is to come out of layers, so that a layer without a tree is read once. */
static void want_layers(struct layer_plan *p)
{
    const struct planned *x;
    p->content = content_new(p->store);
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        struct entry e;
        p->reads_context = p->reads_context || x->origin.kind == ORIGIN_CONTEXT;
        if (x->origin.kind == ORIGIN_LAYER &&
            listing_find(x->origin.layer->listing, x->origin.path, &e))
            content_want(p->content, x->origin.layer, &e);
    }
}

struct listing *plan_listing(struct layer_plan *p, struct err *err)
{
    want_layers(p);
    AUTO(listing_builder_free) struct listing_builder *b = build_listing(p, err);
    content_free(p->content);
    p->content = NULL;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (b == NULL || listing_builder_write(b, &bytes, NULL, err) < 0)
        return NULL;
    return listing_open_buf(&bytes, err);
}

const struct origin *plan_origin(const struct layer_plan *p, const char *path)
{
    const struct planned *x = plan_table_find(&p->table, path, strlen(path));
    return x != NULL ? &x->origin : NULL;
}

/* A file is not what its scan said: it has changed since, or what was remembered of it was wrong.
 */
static void forget_contexts(const struct layer_plan *p)
{
    const struct context *last = NULL;
    const struct planned *x;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (x->origin.kind != ORIGIN_CONTEXT || x->origin.context == last)
            continue;
        last = x->origin.context;
        context_forget(last);
    }
}

bool plan_any_origin(const struct layer_plan *p, plan_origin_fn is, void *arg)
{
    const struct planned *x;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (is(arg, &x->origin))
            return true;
    }
    return false;
}

void plan_each(const struct layer_plan *p, plan_each_fn fn, void *arg)
{
    const struct planned *x;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        fn(arg, x->e.path, &x->origin);
    }
}

const struct layer *plan_make(struct layer_plan *p, struct err *err)
{
    want_layers(p);
    AUTO(listing_builder_free) struct listing_builder *b = build_listing(p, err);
    const struct layer *l = b ? layer_make(p->store, b, open_planned, p, err) : NULL;
    if (l == NULL && err->code == ERR_CORRUPT && p->reads_context) {
        forget_contexts(p);
        err_wrap(err, "a file changed while it was copied");
    }
    content_free(p->content);
    p->content = NULL;
    return l;
}
