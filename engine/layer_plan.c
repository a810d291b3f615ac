#include "engine/layer_plan.h"

#include "base/fs.h"
#include "base/map.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SET_GROUP_ID 02000

/* What the names of one file have in common, once it was set for all of them. */
struct group {
    bool is_set;
    uint16_t mode;
    uint32_t uid, gid;
    int64_t mtime;
    bool changes, is_seen; /* whether what is below is the same file under the same names */
    size_t layer;          /* of what is below */
    const char *first;
};

struct layer_plan {
    struct store *store;
    const struct view *below;
    bool reads_context; /* a file of it can change under our hands */
    uint32_t uid, gid;
    int64_t dir_mtime;
    uint16_t dir_mode;
    bool owned; /* new directories do not inherit a group */
    bool hides; /* something planned takes away what was below it */
    struct group *groups;
    size_t n_groups, cap_groups;
    struct map *planned; /* path -> struct planned */
    int spool_fd;
    struct content *content;
};

/* An entry with strings of its own. */
struct planned {
    struct entry e;
    char *path, *target;
    size_t group; /* names of one file share it, from 1; 0: it has this name only */
    struct entry_xattr *xattrs;
    struct origin origin;
    bool changes; /* it, or something in it, is not below just so */
};

static void origin_release(struct origin *o)
{
    mem_free(o->path);
    buf_release(&o->bytes);
}

static void planned_free(void *arg)
{
    struct planned *x = arg;
    mem_free(x->path);
    mem_free(x->target);
    for (size_t i = 0; i < x->e.n_xattrs; i++) {
        mem_free((void *)(uintptr_t)x->xattrs[i].name);
        mem_free((void *)(uintptr_t)x->xattrs[i].value);
    }
    mem_free(x->xattrs);
    origin_release(&x->origin);
    mem_free(x);
}

void plan_free(struct layer_plan *p)
{
    if (p == NULL)
        return;
    map_free(p->planned);
    mem_free(p->groups);
    content_free(p->content);
    fd_close(p->spool_fd);
    mem_free(p);
}

struct layer_plan *plan_new(struct store *s, const struct view *below, uint32_t uid, uint32_t gid,
                            int64_t dir_mtime)
{
    struct layer_plan *p = mem_zalloc(sizeof(*p));
    p->store = s;
    p->below = below;
    p->uid = uid;
    p->gid = gid;
    p->dir_mtime = dir_mtime;
    p->dir_mode = 0755;
    p->owned = uid != 0 || gid != 0;
    p->planned = map_new(planned_free);
    p->spool_fd = -1;
    return p;
}

void plan_new_dirs(struct layer_plan *p, uint16_t mode, bool owned)
{
    p->dir_mode = mode;
    p->owned = owned || p->uid != 0 || p->gid != 0;
}

void plan_new_owner(struct layer_plan *p, uint32_t uid, uint32_t gid)
{
    p->uid = uid;
    p->gid = gid;
}

/* Whether something planned above path takes away what the view has there. */
static bool is_hidden(const struct layer_plan *p, const char *path)
{
    AUTO(mem_free) char *above = str_dup(p->hides ? path : "");
    for (char *slash; (slash = strrchr(above, '/')) != NULL;) {
        *slash = '\0';
        const struct planned *x = map_get(p->planned, above);
        if (x != NULL && (x->e.type != ENTRY_DIR || x->e.opaque))
            return true;
    }
    return false;
}

bool plan_find(const struct layer_plan *p, const char *path, struct entry *ret)
{
    const struct planned *x = map_get(p->planned, path);
    if (x == NULL)
        return !is_hidden(p, path) && view_find(p->below, path, ret, NULL);
    if (ret != NULL)
        *ret = x->e;
    return true;
}

static struct planned *planned_of(const struct entry *e)
{
    struct planned *x = mem_zalloc(sizeof(*x));
    x->e = *e;
    x->e.path = x->path = str_dup(e->path);
    x->e.target = x->target = str_dup(e->target);
    x->e.hardlink = NULL;
    x->e.inline_data = NULL;
    x->xattrs = mem_calloc(e->n_xattrs + 1, sizeof(*x->xattrs));
    for (size_t i = 0; i < e->n_xattrs; i++) {
        x->xattrs[i].name = str_dup(e->xattrs[i].name);
        x->xattrs[i].value = mem_dup(e->xattrs[i].value, e->xattrs[i].len);
        x->xattrs[i].len = e->xattrs[i].len;
    }
    x->e.xattrs = x->xattrs;
    return x;
}

static void store_entry(struct layer_plan *p, const struct entry *e, struct origin *o)
{
    struct planned *x = planned_of(e);
    if (o != NULL) {
        x->origin = *o;
        memset(o, 0, sizeof(*o));
    }
    map_set(p->planned, x->path, x);
}

static void parent_of(const char *path, struct buf *ret)
{
    const char *slash = strrchr(path, '/');
    buf_clear(ret);
    buf_add(ret, path, slash ? (size_t)(slash - path) : 0);
}

static void new_dir(struct layer_plan *p, const char *path, const char *parent)
{
    struct entry above = { 0 }, e = { .path = path,
                                      .type = ENTRY_DIR,
                                      .mode = p->dir_mode,
                                      .uid = p->uid,
                                      .gid = p->gid,
                                      .mtime = p->dir_mtime };
    bool has_above = plan_find(p, parent, &above);
    if (p->dir_mtime < 0)
        e.mtime = has_above ? above.mtime : 0;
    if (has_above && (above.mode & SET_GROUP_ID) != 0) {
        e.mode |= SET_GROUP_ID; /* mkdir(2) */
        e.gid = p->owned ? p->gid : above.gid;
    }
    store_entry(p, &e, NULL);
}

int plan_dir(struct layer_plan *p, const char *path, struct err *err)
{
    if (*path == '\0' || map_has(p->planned, path)) {
        const struct planned *x = *path ? map_get(p->planned, path) : NULL;
        if (x != NULL && x->e.type != ENTRY_DIR)
            return err_set(err, ERR_USAGE, "mkdir /%s: not a directory", path);
        return 0;
    }
    AUTO(buf_release) struct buf parent = BUF_INIT;
    parent_of(path, &parent);
    if (plan_dir(p, buf_str(&parent), err) < 0)
        return err->code;
    struct entry e;
    if (is_hidden(p, path) || !view_find(p->below, path, &e, NULL)) {
        new_dir(p, path, buf_str(&parent));
        return 0;
    }
    if (e.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "mkdir /%s: not a directory", path);
    e.path = path;
    e.opaque = false;
    store_entry(p, &e, NULL);
    return 0;
}

int plan_put(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err)
{
    AUTO(buf_release) struct buf parent = BUF_INIT;
    parent_of(e->path, &parent);
    struct entry there;
    bool exists = plan_find(p, e->path, &there);
    int rc = plan_dir(p, buf_str(&parent), err);
    if (rc == 0 && exists && there.type == ENTRY_DIR && e->type != ENTRY_DIR)
        rc = err_set(err, ERR_USAGE, "cannot replace to directory /%s with file", e->path);
    if (rc == 0 && exists && there.type != ENTRY_DIR && e->type == ENTRY_DIR)
        rc = err_set(err, ERR_USAGE, "cannot copy to non-directory: /%s", e->path);
    if (rc < 0) {
        if (o != NULL)
            origin_release(o);
        return rc;
    }
    store_entry(p, e, o);
    return 0;
}

/* Drops what is planned below path. */
static void forget_below(struct layer_plan *p, const char *path)
{
    size_t n = strlen(path);
    const char *key;
    void *value;
    for (size_t i = 0; map_next(p->planned, &i, &key, &value);)
        if (strncmp(key, path, n) == 0 && key[n] == '/')
            map_del(p->planned, key);
}

int plan_replace(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err)
{
    struct entry there, copy = *e;
    bool exists = plan_find(p, e->path, &there);
    bool merge = exists && there.type == ENTRY_DIR && e->type == ENTRY_DIR;
    copy.opaque = merge && there.opaque;
    if (exists && !merge) {
        forget_below(p, e->path);
        copy.opaque = e->type == ENTRY_DIR && view_find(p->below, e->path, &there, NULL) &&
                      there.type == ENTRY_DIR;
        map_del(p->planned, e->path);
        p->hides = true;
    }
    AUTO(buf_release) struct buf parent = BUF_INIT;
    parent_of(e->path, &parent);
    if (plan_dir(p, buf_str(&parent), err) < 0) {
        if (o != NULL)
            origin_release(o);
        return err->code;
    }
    store_entry(p, &copy, o);
    return 0;
}

static size_t new_group(struct layer_plan *p)
{
    MEM_ROOM(p->groups, p->n_groups, p->cap_groups);
    memset(&p->groups[p->n_groups], 0, sizeof(*p->groups));
    return ++p->n_groups;
}

static void origin_copy(struct origin *dst, const struct origin *src)
{
    *dst = *src;
    dst->path = str_dup(src->path);
    memset(&dst->bytes, 0, sizeof(dst->bytes));
    buf_add(&dst->bytes, src->bytes.data, src->bytes.len);
}

int plan_link(struct layer_plan *p, const char *path, const char *target, bool replace,
              struct err *err)
{
    struct planned *x = map_get(p->planned, target);
    if (x == NULL || x->e.type == ENTRY_DIR)
        return err_set(err, ERR_NOT_FOUND, "'/%s' cannot be linked to", target);
    if (str_eq(path, target))
        return 0;
    if (x->group == 0 && x->e.type == ENTRY_FILE)
        x->group = new_group(p);
    size_t group = x->group;
    struct entry e = x->e;
    struct origin o;
    origin_copy(&o, &x->origin);
    e.path = path;
    int rc = replace ? plan_replace(p, &e, &o, err) : plan_put(p, &e, &o, err);
    if (rc == 0)
        ((struct planned *)map_get(p->planned, path))->group = group;
    return rc;
}

void plan_touch(struct layer_plan *p, const char *path, const struct entry *e)
{
    struct planned *x = map_get(p->planned, path);
    if (x == NULL)
        return;
    struct group *g = x->group > 0 ? &p->groups[x->group - 1] : NULL;
    if (g != NULL)
        *g = (struct group){
            .is_set = true, .mode = e->mode, .uid = e->uid, .gid = e->gid, .mtime = e->mtime
        };
    if (x->e.type != ENTRY_LINK)
        x->e.mode = e->mode;
    x->e.uid = e->uid;
    x->e.gid = e->gid;
    x->e.mtime = e->mtime;
}

/* As it will be in the layer; its strings are x's. */
static struct entry entry_of(const struct layer_plan *p, const struct planned *x)
{
    struct entry e = x->e;
    const struct group *g = x->group > 0 ? &p->groups[x->group - 1] : NULL;
    if (g != NULL && g->is_set) {
        e.mode = g->mode;
        e.uid = g->uid;
        e.gid = g->gid;
        e.mtime = g->mtime;
    }
    return e;
}

int plan_spool(struct layer_plan *p, int workfd, struct err *err)
{
    if (p->spool_fd < 0)
        p->spool_fd = openat(workfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (p->spool_fd < 0)
        return err_sys(err, errno, "cannot make scratch");
    return p->spool_fd;
}

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
    int fd = context_open_file(o->context, o->path, err);
    return fd < 0 ? NULL : source_fd(fd, true);
}

static struct source *open_layer(struct layer_plan *p, const struct origin *o, struct err *err)
{
    struct entry e;
    if (!listing_find(o->layer->listing, o->path, &e)) {
        err_set(err, ERR_CORRUPT, "'%s' is not in its layer", o->path);
        return NULL;
    }
    return content_open(p->content, o->layer, &e, err);
}

/* layer_content_fn */
static struct source *open_planned(void *arg, const struct entry *e, struct err *err)
{
    struct layer_plan *p = arg;
    const struct planned *x = map_get(p->planned, e->path);
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

static bool same_xattrs(const struct entry *a, const struct entry *b)
{
    bool same = a->n_xattrs == b->n_xattrs;
    for (size_t i = 0; same && i < a->n_xattrs; i++)
        same = str_eq(a->xattrs[i].name, b->xattrs[i].name) &&
               a->xattrs[i].len == b->xattrs[i].len &&
               memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].len) == 0;
    return same;
}

/* Times aside, as everywhere where two contents are compared. */
static bool same_entry(const struct entry *a, const struct entry *b)
{
    if (a->type != b->type || a->mode != b->mode || a->uid != b->uid || a->gid != b->gid)
        return false;
    if (a->type == ENTRY_FILE && (a->size != b->size || !digest_eq(&a->content, &b->content)))
        return false;
    if (a->type == ENTRY_LINK && !str_eq(a->target, b->target))
        return false;
    return a->dev_major == b->dev_major && a->dev_minor == b->dev_minor && same_xattrs(a, b);
}

/* Whether there is below already, just so, what is planned. */
static bool is_below(const struct layer_plan *p, const struct planned *x, struct entry *there,
                     size_t *ret_layer)
{
    struct entry e = entry_of(p, x);
    return !e.opaque && !is_hidden(p, x->path) && view_find(p->below, x->path, there, ret_layer) &&
           same_entry(&e, there);
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
    const char *path;
    void *value;
    for (size_t i = 0; i < p->n_groups; i++)
        p->groups[i].changes = p->groups[i].is_seen = false;
    for (size_t i = 0; map_next(p->planned, &i, &path, &value);)
        if (((struct planned *)value)->group > 0)
            look_at_name(p, value);
}

static bool changes_nothing(const struct layer_plan *p, const struct planned *x)
{
    struct entry there;
    size_t layer;
    if (x->group > 0)
        return !p->groups[x->group - 1].changes;
    return is_below(p, x, &there, &layer);
}

static void mark_with_parents(struct layer_plan *p, struct planned *x)
{
    AUTO(mem_free) char *path = str_dup(x->path);
    while (x != NULL && !x->changes) {
        x->changes = true;
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
        x = map_get(p->planned, path);
    }
}

/* A layer holds what is not below it already, and the directories that lead there. */
static void mark_changes(struct layer_plan *p)
{
    const char *path;
    void *value;
    for (size_t i = 0; map_next(p->planned, &i, &path, &value);)
        ((struct planned *)value)->changes = false;
    look_at_groups(p);
    for (size_t i = 0; map_next(p->planned, &i, &path, &value);)
        if (!changes_nothing(p, value))
            mark_with_parents(p, value);
}

/*
 * The planned entries. with_bytes: the content of files that planning reads goes along; without
 * it the listing has the same content id.
 */
static struct listing_builder *build_listing(struct layer_plan *p, bool with_bytes, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(mem_free) const char **first = mem_calloc(p->n_groups + 1, sizeof(*first));
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    const char *path;
    void *value;
    mark_changes(p);
    for (size_t i = 0; map_next(p->planned, &i, &path, &value);) {
        const struct planned *x = value;
        struct entry e = entry_of(p, x);
        if (!x->changes)
            continue;
        if (x->group > 0 && first[x->group] != NULL)
            e.hardlink = first[x->group];
        else
            first[x->group] = x->group > 0 ? path : NULL;
        if (with_bytes && e.type == ENTRY_FILE && e.size <= LISTING_INLINE_MAX &&
            listing_wants_inline(path)) {
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
    AUTO(listing_builder_free) struct listing_builder *b = build_listing(p, false, err);
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (b == NULL)
        return err->code;
    return listing_builder_write(b, &bytes, ret, err);
}

int plan_whole_id(struct layer_plan *p, struct digest *ret, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = build_listing(p, false, err);
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct content_id without_times;
    if (b == NULL || listing_builder_write(b, &bytes, &without_times, err) < 0)
        return err->code;
    digest_of(bytes.data, bytes.len, ret);
    return 0;
}

/* Everything that is to come out of layers, so that a layer without a tree is read once. */
static void want_layers(struct layer_plan *p)
{
    const char *path;
    void *value;
    p->content = content_new(p->store);
    for (size_t i = 0; map_next(p->planned, &i, &path, &value);) {
        const struct planned *x = value;
        struct entry e;
        p->reads_context = p->reads_context || x->origin.kind == ORIGIN_CONTEXT;
        if (x->origin.kind == ORIGIN_LAYER &&
            listing_find(x->origin.layer->listing, x->origin.path, &e))
            content_want(p->content, x->origin.layer, &e);
    }
}

const struct layer *plan_make(struct layer_plan *p, struct err *err)
{
    want_layers(p);
    AUTO(listing_builder_free) struct listing_builder *b = build_listing(p, true, err);
    const struct layer *l = b ? layer_make(p->store, b, open_planned, p, err) : NULL;
    if (l == NULL && err->code == ERR_CORRUPT && p->reads_context)
        err_wrap(err, "a file changed while it was copied");
    content_free(p->content);
    p->content = NULL;
    return l;
}
