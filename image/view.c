#include "image/view.h"
#include "image/listing_internal.h"
#include "image/resolve_internal.h"

#include "base/mem.h"
#include <errno.h>

/*
 * What overlayfs makes of layers, on their tables: the topmost layer that has
 * a name decides what it is; directories merge; a whiteout, an opaque
 * directory and anything that is no directory hide what layers below have
 * under that name. A directory that a layer has only as part of longer paths
 * is one all the same ("implied"): its attributes are the next lower layer's.
 */
struct view {
    const struct listing **layers;
    size_t n;
};

#define NO_LAYER SIZE_MAX

static const struct entry bare_dir = { .path = "", .type = ENTRY_DIR, .mode = 0755 };

void view_free(struct view *v)
{
    if (v == NULL)
        return;
    mem_free(v->layers);
    mem_free(v);
}

struct view *view_new(const struct listing *const *layers, size_t n)
{
    struct view *v = mem_zalloc(sizeof(*v));
    v->layers = mem_calloc(n, sizeof(*v->layers));
    for (size_t i = 0; i < n; i++)
        v->layers[i] = layers[i];
    v->n = n;
    return v;
}

/* ---- One name in one layer ---- */

struct place {
    size_t i;    /* of the entry at or after the path */
    bool exact;  /* the entry is there */
    bool below;  /* not the entry, but some below it */
    bool hidden; /* what lower layers have at the path cannot be seen through this one */
};

static bool is_prefix(const char *dir, size_t n, const char *path, size_t len)
{
    return n < len && memcmp(dir, path, n) == 0 && (n == 0 || path[n] == '/');
}

static bool has_opaque_ancestor(const struct listing *l, const char *path, size_t len)
{
    struct entry e;
    char dir[LISTING_PATH_MAX + 1];
    memcpy(dir, path, len);
    while (len > 0) {
        const char *slash = memrchr(dir, '/', len);
        len = slash ? (size_t)(slash - dir) : 0;
        dir[len] = '\0';
        if (listing_find(l, dir, &e) && e.opaque)
            return true;
    }
    return false;
}

static struct place place_of(const struct listing *l, const char *path, size_t len)
{
    struct place p = { .i = listing_lower_bound(l, path, len) };
    size_t n;
    if (p.i < listing_len(l)) {
        const char *at = listing_path(l, p.i, &n);
        p.exact = n == len && memcmp(at, path, len) == 0;
        p.below = !p.exact && is_prefix(path, len, at, n);
    }
    /* Nothing can be below what is no directory, so that would stand right before. */
    if (p.i > 0 && listing_type(l, p.i - 1) != ENTRY_DIR) {
        const char *before = listing_path(l, p.i - 1, &n);
        p.hidden = is_prefix(before, n, path, len);
    }
    if (!p.hidden && (listing_facts(l) & LISTING_HAS_OPAQUE))
        p.hidden = has_opaque_ancestor(l, path, len);
    return p;
}

bool view_find(const struct view *v, const char *path, struct entry *ret, size_t *ret_layer)
{
    size_t len = strlen(path), implied = NO_LAYER;
    struct entry e;
    if (len > LISTING_PATH_MAX)
        return false;
    for (size_t k = v->n; k-- > 0;) {
        struct place p = place_of(v->layers[k], path, len);
        if (p.exact) {
            listing_at(v->layers[k], p.i, &e);
            if (e.type == ENTRY_WHITEOUT || (e.type != ENTRY_DIR && implied != NO_LAYER))
                break;
            if (ret)
                *ret = e;
            if (ret_layer)
                *ret_layer = k;
            return true;
        }
        if (p.below && implied == NO_LAYER)
            implied = k;
        if (p.hidden)
            break;
    }
    if (implied == NO_LAYER && len > 0)
        return false;
    if (ret) {
        *ret = bare_dir;
        ret->path = path;
    }
    if (ret_layer)
        *ret_layer = implied == NO_LAYER ? 0 : implied;
    return true;
}

/* ---- Walking: the layers' tables merged ---- */

struct cursor {
    const struct listing *l;
    size_t layer, i, end;
    const char *path;
    size_t len;
};

/* A name on the way to where the walk is. */
struct level {
    size_t len;   /* of its path */
    size_t floor; /* the lowest layer whose entries below it can be seen */
};

struct merge {
    const struct view *v;
    view_fn fn;
    void *arg;
    size_t top_len; /* of the path where the walk began */
    size_t top_floor;
    struct cursor *heap;
    size_t n;
    struct cursor *group; /* those that were at the same path, topmost layer first */
    size_t n_group;
    struct level *levels;
    size_t n_levels, cap_levels;
    struct buf path; /* of the deepest level */
};

/* By path; of equal ones the topmost layer first. */
static bool comes_first(const struct cursor *a, const struct cursor *b)
{
    size_t common;
    int order = path_cmp_n(a->path, a->len, b->path, b->len, &common);
    return order < 0 || (order == 0 && a->layer > b->layer);
}

static void sift_down(struct merge *m, size_t i)
{
    struct cursor c = m->heap[i];
    for (size_t child; (child = 2 * i + 1) < m->n; i = child) {
        if (child + 1 < m->n && comes_first(&m->heap[child + 1], &m->heap[child]))
            child++;
        if (!comes_first(&m->heap[child], &c))
            break;
        m->heap[i] = m->heap[child];
    }
    m->heap[i] = c;
}

static void load(struct cursor *c)
{
    c->path = listing_path(c->l, c->i, &c->len);
}

static void merge_begin(struct merge *m, const char *path)
{
    size_t len = strlen(path);
    m->heap = mem_calloc(m->v->n, sizeof(*m->heap));
    m->group = mem_calloc(m->v->n, sizeof(*m->group));
    m->top_len = len;
    for (size_t k = m->v->n; k-- > 0;) {
        const struct listing *l = m->v->layers[k];
        struct place p = place_of(l, path, len);
        if (p.exact || p.below) {
            size_t end = listing_subtree_end(l, p.i, path, len);
            m->heap[m->n] = (struct cursor){ .l = l, .layer = k, .i = p.i, .end = end };
            load(&m->heap[m->n++]);
        }
        if (p.hidden) {
            m->top_floor = k;
            break;
        }
    }
    for (size_t i = m->n / 2; i-- > 0;)
        sift_down(m, i);
}

static void merge_end(struct merge *m)
{
    mem_free(m->heap);
    mem_free(m->group);
    mem_free(m->levels);
    buf_release(&m->path);
}

/*
 * Moves the cursors at the next path into the group, and on. A layer has a path once; the bound is
 * for a listing that was damaged after it was checked, here and in add_names.
 */
static void next_group(struct merge *m)
{
    m->n_group = 0;
    do {
        struct cursor *c = &m->heap[0];
        m->group[m->n_group++] = *c;
        if (++c->i < c->end)
            load(c);
        else
            *c = m->heap[--m->n];
        if (m->n > 0)
            sift_down(m, 0);
    } while (m->n > 0 && m->n_group < m->v->n && m->heap[0].len == m->group[0].len &&
             memcmp(m->heap[0].path, m->group[0].path, m->heap[0].len) == 0);
}

static size_t floor_of(const struct merge *m)
{
    return m->n_levels ? m->levels[m->n_levels - 1].floor : m->top_floor;
}

/* The deepest level is above path, or there is none. */
static void push_level(struct merge *m, const char *path, size_t len, size_t floor)
{
    MEM_ROOM(m->levels, m->n_levels, m->cap_levels);
    m->levels[m->n_levels++] = (struct level){ .len = len, .floor = floor };
    buf_clear(&m->path);
    buf_add(&m->path, path, len);
}

/* Leaves the names that path is not below. */
static void pop_levels(struct merge *m, const char *path, size_t len)
{
    while (m->n_levels > 0 &&
           !is_prefix(buf_str(&m->path), m->levels[m->n_levels - 1].len, path, len))
        m->n_levels--;
}

/* 1 + the topmost layer that has something below path still to come; 0: none. */
static size_t topmost_below(const struct merge *m, const char *path, size_t len)
{
    size_t top = 0;
    if (m->n == 0 || !is_prefix(path, len, m->heap[0].path, m->heap[0].len))
        return 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->heap[i].layer >= top && is_prefix(path, len, m->heap[i].path, m->heap[i].len))
            top = m->heap[i].layer + 1;
    return top;
}

/* seen: a layer that has something at or below path; the topmost such is named. */
static int emit_implied(struct merge *m, const char *path, size_t len, size_t seen, size_t floor,
                        struct err *err)
{
    AUTO(mem_free) char *own = str_ndup(path, len);
    struct entry e = bare_dir;
    size_t above = topmost_below(m, path, len);
    e.path = own;
    push_level(m, path, len, floor);
    return m->fn(m->arg, &e, above > seen ? above - 1 : seen, err);
}

/* Directories from the deepest level down to path's parent: no layer has an entry for them. */
static int emit_parents(struct merge *m, const char *path, size_t len, size_t seen, struct err *err)
{
    int code = 0;
    if (m->n_levels == 0 && len > m->top_len)
        code = emit_implied(m, path, m->top_len, seen, m->top_floor, err);
    size_t at = m->n_levels ? m->levels[m->n_levels - 1].len : len;
    while (code == 0 && at < len) {
        const char *from = path + at + 1; /* no component is empty */
        const char *slash = memchr(from, '/', (size_t)(path + len - from));
        if (slash == NULL)
            break;
        at = (size_t)(slash - path);
        code = emit_implied(m, path, at, seen, floor_of(m), err);
    }
    return code;
}

/* What the group, seen from the top, amounts to. */
struct verdict {
    struct entry e;
    size_t layer; /* that e is of; NO_LAYER: no entry shows */
    size_t seen;  /* topmost layer of the group that is not hidden, or NO_LAYER */
    size_t floor; /* for what is below */
    size_t above; /* 1 + topmost layer that has something below, 0: none */
};

static struct verdict judge(const struct merge *m)
{
    struct verdict d = { .layer = NO_LAYER, .seen = NO_LAYER, .floor = floor_of(m) };
    struct entry e;
    for (size_t i = 0; i < m->n_group; i++) {
        const struct cursor *c = &m->group[i];
        if (c->layer < d.floor)
            break;
        if (d.seen == NO_LAYER)
            d.seen = c->layer;
        listing_at(c->l, c->i, &e);
        bool dir = e.type == ENTRY_DIR;
        if (!dir && d.above == 0)
            d.above = topmost_below(m, c->path, c->len);
        if (d.layer == NO_LAYER && (dir || (e.type != ENTRY_WHITEOUT && d.above <= c->layer + 1))) {
            d.e = e;
            d.layer = c->layer;
        }
        if (!dir)
            d.floor = c->layer + 1;
        else if (e.opaque)
            d.floor = c->layer;
    }
    return d;
}

static int emit_group(struct merge *m, struct err *err)
{
    const char *path = m->group[0].path;
    size_t len = m->group[0].len;
    pop_levels(m, path, len);
    struct verdict d = judge(m);
    if (d.seen == NO_LAYER)
        return 0;
    int code = emit_parents(m, path, len, d.seen, err);
    if (code != 0)
        return code;
    if (d.layer == NO_LAYER && d.above > d.floor)
        return emit_implied(m, path, len, d.above - 1, d.floor, err);
    push_level(m, path, len, d.floor);
    return d.layer == NO_LAYER ? 0 : m->fn(m->arg, &d.e, d.layer, err);
}

int view_walk(const struct view *v, const char *path, view_fn fn, void *arg, struct err *err)
{
    struct merge m = { .v = v, .fn = fn, .arg = arg };
    int code = 0;
    if (strlen(path) > LISTING_PATH_MAX)
        return 0;
    merge_begin(&m, path);
    if (m.n == 0 && *path == '\0')
        code = fn(arg, &bare_dir, 0, err);
    while (code == 0 && m.n > 0) {
        next_group(&m);
        code = emit_group(&m, err);
    }
    merge_end(&m);
    return code;
}

/* ---- Children ---- */

/* The names that a layer's table has straight below path, whatever they are. */
static void add_names(const struct listing *l, const char *path, size_t len, size_t i,
                      struct strv *names)
{
    size_t end = listing_subtree_end(l, i, path, len), n, next;
    while (i < end) {
        const char *at = listing_path(l, i, &n);
        size_t from = len ? len + 1 : 0;
        if (n <= len) {
            i++;
            continue;
        }
        size_t name = strcspn(at + from, "/");
        strv_addn(names, at + from, name);
        next = listing_subtree_end(l, i, at, from + name);
        i = next > i ? next : i + 1;
    }
}

static int need_dir(const struct view *v, const char *path, struct err *err)
{
    struct entry e;
    if (!view_find(v, path, &e, NULL))
        return err_set(err, ERR_NOT_FOUND, "'/%s': not found", path);
    if (e.type == ENTRY_DIR)
        return 0;
    err_set(err, ERR_NOT_FOUND, "'/%s': not a directory", path);
    err->sys = ENOTDIR;
    return err->code;
}

int view_children(const struct view *v, const char *path, struct strv *ret, struct err *err)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    AUTO(buf_release) struct buf child = BUF_INIT;
    struct entry e;
    size_t len = strlen(path);
    if (need_dir(v, path, err) < 0)
        return err->code;
    for (size_t k = v->n; k-- > 0;) {
        struct place p = place_of(v->layers[k], path, len);
        if (p.exact || p.below)
            add_names(v->layers[k], path, len, p.i, &names);
        if (p.hidden)
            break;
    }
    strv_sort(&names);
    strv_clear(ret);
    for (size_t i = 0; i < names.n; i++) {
        if (i > 0 && strcmp(names.v[i], names.v[i - 1]) == 0)
            continue;
        buf_clear(&child);
        buf_addf(&child, "%s%s%s", path, len ? "/" : "", names.v[i]);
        if (view_find(v, buf_str(&child), &e, NULL))
            strv_add(ret, names.v[i]);
    }
    return 0;
}

/* ---- Following links ---- */

struct look {
    const struct view *v;
    struct entry e;
};

static enum spot look(void *arg, const char *path, const char **ret_target)
{
    struct look *l = arg;
    if (!view_find(l->v, path, &l->e, NULL))
        return SPOT_MISSING;
    if (l->e.type == ENTRY_DIR)
        return SPOT_DIR;
    *ret_target = l->e.target;
    return l->e.type == ENTRY_LINK ? SPOT_LINK : SPOT_OTHER;
}

int view_resolve(const struct view *v, const char *path, bool follow_last, char **ret_path,
                 size_t *ret_missing, struct err *err)
{
    AUTO(buf_release) struct buf real = BUF_INIT;
    struct look l = { .v = v };
    struct resolved what;
    if (resolve_path(look, &l, path, follow_last, &real, &what, err) < 0)
        return err->code;
    if (what.missing > 0 && ret_missing == NULL)
        return err_set(err, ERR_NOT_FOUND, "'%s': not found", path);
    *ret_path = buf_take(&real);
    if (ret_missing)
        *ret_missing = what.missing;
    return 0;
}

const void *view_inline(const struct view *v, const char *path, size_t *ret_len)
{
    AUTO(mem_free) char *real = NULL;
    struct err err = ERR_INIT;
    struct entry e;
    if (view_resolve(v, path, true, &real, NULL, &err) < 0 || !view_find(v, real, &e, NULL))
        return NULL;
    if (e.type != ENTRY_FILE || e.inline_data == NULL)
        return NULL;
    *ret_len = e.size;
    return e.inline_data;
}
