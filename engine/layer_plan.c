/* What a layer will hold, put together; layer_plan_make.c makes it. */
#include "engine/layer_plan_internal.h"

#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define SET_GROUP_ID 02000

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
    strv_release(&x->children);
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

bool plan_hides(const struct layer_plan *p, const char *path)
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
        return !plan_hides(p, path) && view_find(p->below, path, ret, NULL);
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

static void parent_of(const char *path, struct buf *ret)
{
    const char *slash = strrchr(path, '/');
    buf_clear(ret);
    buf_add(ret, path, slash ? (size_t)(slash - path) : 0);
}

static void add_child(struct layer_plan *p, const char *path)
{
    AUTO(buf_release) struct buf parent = BUF_INIT;
    parent_of(path, &parent);
    struct planned *above = map_get(p->planned, buf_str(&parent));
    if (above != NULL)
        strv_add(&above->children, path);
}

/* A directory over a planned one: what it has in it stays, and what it hides stays hidden. */
static void store_entry(struct layer_plan *p, const struct entry *e, struct origin *o)
{
    struct planned *x = planned_of(e), *old = map_get(p->planned, x->path);
    if (o != NULL) {
        x->origin = *o;
        memset(o, 0, sizeof(*o));
    }
    if (old == NULL)
        add_child(p, x->path);
    if (old != NULL && old->e.type == ENTRY_DIR && e->type == ENTRY_DIR) {
        x->e.opaque = x->e.opaque || old->e.opaque;
        x->children = old->children;
        old->children = (struct strv)STRV_INIT;
    }
    map_set(p->planned, x->path, x);
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
    if (plan_hides(p, path) || !view_find(p->below, path, &e, NULL)) {
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

/* Drops what is planned below a path. */
static void forget_below(struct layer_plan *p, const char *path)
{
    struct planned *x = map_get(p->planned, path);
    for (size_t i = 0; x != NULL && i < x->children.n; i++) {
        forget_below(p, x->children.v[i]);
        map_del(p->planned, x->children.v[i]);
    }
}

int plan_replace(struct layer_plan *p, const struct entry *e, struct origin *o, struct err *err)
{
    struct entry there, copy = *e;
    bool exists = plan_find(p, e->path, &there);
    copy.opaque = false;
    if (exists && !(there.type == ENTRY_DIR && e->type == ENTRY_DIR)) {
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

int plan_spool(struct layer_plan *p, int workfd, struct err *err)
{
    if (p->spool_fd < 0)
        p->spool_fd = openat(workfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (p->spool_fd < 0)
        return err_sys(err, errno, "cannot make scratch");
    return p->spool_fd;
}
