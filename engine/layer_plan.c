/* What a layer will hold, put together; layer_plan_make.c makes it. */
#include "engine/layer_plan_internal.h"

#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SET_GROUP_ID 02000

void origin_release(struct origin *o)
{
    buf_release(&o->bytes);
}

void plan_free(struct layer_plan *p)
{
    struct planned *x;
    if (p == NULL)
        return;
    TAILQ_FOREACH(x, &p->table.order, order)
    {
        if (!p->has_bytes)
            break; /* nothing else is to be freed one by one */
        origin_release(&x->origin);
    }
    plan_table_release(&p->table);
    arena_release(&p->arena);
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
    plan_table_init(&p->table);
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

static struct planned *find(const struct layer_plan *p, const char *path)
{
    return plan_table_find(&p->table, path, strlen(path));
}

/* How much of path is its directory's. */
static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* The planned directory of path; the last one more often than not. */
static struct planned *find_parent(struct layer_plan *p, const char *path)
{
    size_t n = parent_len(path);
    struct planned *last = p->last_dir;
    if (n == 0)
        return NULL;
    if (last == NULL || last->gone || last->path_len != n || memcmp(last->e.path, path, n) != 0)
        p->last_dir = last = plan_table_find(&p->table, path, n);
    return last;
}

bool plan_hides(const struct layer_plan *p, const char *path)
{
    size_t n = p->hides ? strlen(path) : 0;
    while (n > 0) {
        const char *slash = memrchr(path, '/', n);
        n = slash ? (size_t)(slash - path) : 0;
        const struct planned *x = n > 0 ? plan_table_find(&p->table, path, n) : NULL;
        if (x != NULL && (x->e.type != ENTRY_DIR || x->e.opaque))
            return true;
    }
    return false;
}

bool plan_find(const struct layer_plan *p, const char *path, struct entry *ret)
{
    const struct planned *x = find(p, path);
    if (x == NULL)
        return !plan_hides(p, path) && view_find(p->below, path, ret, NULL);
    if (ret != NULL)
        *ret = x->e;
    return true;
}

static void set_entry(struct layer_plan *p, struct planned *x, const struct entry *e)
{
    const char *path = x->e.path;
    struct entry_xattr *xattrs = NULL;
    if (e->n_xattrs > 0)
        xattrs = arena_alloc(&p->arena, e->n_xattrs * sizeof(*xattrs));
    for (size_t i = 0; i < e->n_xattrs; i++) {
        const struct entry_xattr *from = &e->xattrs[i];
        xattrs[i].name = arena_str(&p->arena, from->name);
        xattrs[i].value = arena_dup(&p->arena, from->value, from->len);
        xattrs[i].len = from->len;
    }
    const char *target = arena_str(&p->arena, e->target);
    x->e = *e;
    x->e.path = path;
    x->e.target = target;
    x->e.xattrs = xattrs;
    x->e.hardlink = NULL;
    x->e.inline_data = NULL;
}

static void set_origin(struct layer_plan *p, struct planned *x, struct origin *o)
{
    origin_release(&x->origin);
    memset(&x->origin, 0, sizeof(x->origin));
    if (o == NULL)
        return;
    p->has_bytes = p->has_bytes || o->bytes.data != NULL;
    x->origin = *o;
    x->origin.path = arena_str(&p->arena, o->path);
    memset(o, 0, sizeof(*o));
}

/* One that was not in the plan takes its place in its directory. */
static void settle(struct layer_plan *p, struct planned *x)
{
    struct planned *above = find_parent(p, x->e.path);
    x->above = above;
    if (above != NULL && !x->is_child) {
        x->next_child = above->children;
        above->children = x;
        x->is_child = true;
    }
    x->bare = (above != NULL && above->bare) || !view_find(p->below, x->e.path, NULL, NULL);
}

/* A directory over a planned one: what it has in it stays, and what it hides stays hidden. */
static struct planned *store_entry(struct layer_plan *p, const struct entry *e, struct origin *o)
{
    bool is_new;
    struct planned *x = plan_table_make(&p->table, &p->arena, e->path, &is_new);
    bool opaque = e->opaque;
    if (is_new)
        settle(p, x);
    else if (x->e.type == ENTRY_DIR && e->type == ENTRY_DIR)
        opaque = opaque || x->e.opaque;
    set_entry(p, x, e);
    set_origin(p, x, o);
    x->e.opaque = opaque;
    x->group = 0;
    return x;
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
    const struct planned *x = find(p, path);
    if (x != NULL && x->e.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "mkdir /%s: not a directory", path);
    if (x != NULL || *path == '\0')
        return 0;
    AUTO(mem_free) char *parent = str_ndup(path, parent_len(path));
    if (plan_dir(p, parent, err) < 0)
        return err->code;
    struct entry e;
    if (plan_hides(p, path) || !view_find(p->below, path, &e, NULL)) {
        new_dir(p, path, parent);
        return 0;
    }
    if (e.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "mkdir /%s: not a directory", path);
    e.path = path;
    e.opaque = false;
    store_entry(p, &e, NULL);
    return 0;
}

/* The directory of path. */
static int plan_parent(struct layer_plan *p, const char *path, struct err *err)
{
    const struct planned *above = find_parent(p, path);
    if (above != NULL && above->e.type == ENTRY_DIR)
        return 0;
    AUTO(mem_free) char *parent = str_ndup(path, parent_len(path));
    return plan_dir(p, parent, err);
}

/* As plan_find, when a new directory says it all sooner. */
static bool find_there(struct layer_plan *p, const char *path, struct entry *ret)
{
    const struct planned *above = find_parent(p, path);
    if (above == NULL || !above->bare)
        return plan_find(p, path, ret);
    const struct planned *x = find(p, path);
    if (x != NULL)
        *ret = x->e;
    return x != NULL;
}

int plan_put(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err)
{
    struct entry there;
    bool exists = find_there(p, e->path, &there);
    int rc = plan_parent(p, e->path, err);
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

/* Drops what is planned below it. */
static void forget_below(struct layer_plan *p, struct planned *x)
{
    struct planned *next;
    for (struct planned *c = x->children; c != NULL; c = next) {
        next = c->next_child;
        c->is_child = false;
        forget_below(p, c);
        if (!c->gone)
            plan_table_drop(&p->table, c);
    }
    x->children = NULL;
}

int plan_replace(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err)
{
    struct entry there, copy = *e;
    bool exists = plan_find(p, e->path, &there);
    copy.opaque = false;
    if (exists && !(there.type == ENTRY_DIR && e->type == ENTRY_DIR)) {
        struct planned *x = find(p, e->path);
        copy.opaque = e->type == ENTRY_DIR && view_find(p->below, e->path, &there, NULL) &&
                      there.type == ENTRY_DIR;
        if (x != NULL) {
            forget_below(p, x);
            plan_table_drop(&p->table, x);
        }
        p->hides = true;
    }
    if (plan_parent(p, e->path, err) < 0) {
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
    memset(&dst->bytes, 0, sizeof(dst->bytes));
    buf_add(&dst->bytes, src->bytes.data, src->bytes.len);
}

int plan_link(struct layer_plan *p, const char *path, const char *target, bool replace,
              struct err *err)
{
    struct planned *x = find(p, target);
    if (x == NULL || x->e.type == ENTRY_DIR)
        return err_set(err, ERR_NOT_FOUND, "'/%s' cannot be linked to", target);
    if (str_eq(path, target))
        return 0;
    size_t group = x->group;
    if (group == 0 && x->e.type == ENTRY_FILE)
        group = x->group = new_group(p);
    struct entry e = x->e;
    struct origin o;
    origin_copy(&o, &x->origin);
    e.path = path;
    int rc = replace ? plan_replace(p, &e, &o, err) : plan_put(p, &e, &o, err);
    if (rc == 0)
        find(p, path)->group = group;
    return rc;
}

void plan_touch(struct layer_plan *p, const char *path, const struct entry *e)
{
    struct planned *x = find(p, path);
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

struct entry plan_entry_of(const struct layer_plan *p, const struct planned *x)
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

void plan_keep_times(struct layer_plan *p, const struct listing *before)
{
    p->before = before;
}

int plan_spool(struct layer_plan *p, int workfd, struct err *err)
{
    if (p->spool_fd < 0)
        p->spool_fd = openat(workfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (p->spool_fd < 0)
        return err_sys(err, errno, "cannot make scratch");
    return p->spool_fd;
}
