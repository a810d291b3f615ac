/* RUN --mount=type=cache: which directory of the store, and what it begins with. */
#include "engine/run_mounts.h"

#include "engine/engine_internal.h"
#include "store/unpack.h"
#include <string.h>

#define NAMESPACE "BUILDKIT_CACHE_MOUNT_NS"
#define CACHE_MODE 0755

void run_cache_name(const struct build *b, struct run_mounted *x)
{
    const struct run_mount *m = x->m;
    struct cache_key name;
    AUTO(key_free) struct key *k = key_new("cache-mount");
    const char *ns = env_get(&b->o->build_args, NAMESPACE);
    key_str(k, "cache.namespace", ns ? ns : "");
    key_str(k, "cache.id", x->id);
    key_u64(k, "cache.mode", m->has_mode ? m->mode : CACHE_MODE);
    key_u64(k, "cache.uid", m->uid);
    key_u64(k, "cache.gid", m->gid);
    if (x->has_files && !x->is_whole_stack)
        key_digest(k, "cache.content", &x->content.d);
    for (size_t i = 0; x->is_whole_stack && i < x->files.n_layers; i++)
        key_digest(k, "cache.layer", &x->files.layers[i]->content_id.d);
    key_end(k, &name, NULL);
    x->cache_name = name.d;
}

/* ---- what a new one begins with ---- */

struct seed {
    struct run_mounted *x;
    struct layer_plan *plan;
};

/* view_fn: the entry, with source as the root directory */
static int put_below(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct seed *s = arg;
    size_t n = strlen(s->x->source);
    struct entry copy = *e;
    struct origin o;
    copy.path = e->path + n + (n > 0 && e->path[n] == '/');
    if (*copy.path == '\0')
        return 0;
    copy.hardlink = NULL;
    copy.opaque = false;
    files_origin(&s->x->files, e, layer, &o);
    return plan_put(s->plan, &copy, &o, err);
}

static const struct layer *seed_layer(struct build *b, struct run_mounted *x, struct err *err)
{
    AUTO(view_free) struct view *nothing = view_new(NULL, 0);
    AUTO(plan_free) struct layer_plan *plan = plan_new(b->store, nothing, 0, 0, 0);
    struct seed s = { .x = x, .plan = plan };
    if (view_walk(x->files.view, x->source, put_below, &s, err) < 0)
        return NULL;
    return plan_make(plan, err);
}

struct filling {
    struct build *b;
    struct run_mounted *x;
};

/* The fill of cache_mount_spec. */
static int fill(void *arg, int dirfd, int scratchfd, struct err *err)
{
    struct filling *f = arg;
    const struct layer *l = seed_layer(f->b, f->x, err);
    if (l == NULL)
        return err->code;
    AUTO(source_free) struct source *tar = layer_tar_source(f->b->store, l, err);
    return tar == NULL ? err->code : unpack_layer(dirfd, scratchfd, l->listing, tar, err);
}

/* ---- --no-cache ---- */

/*
 * A build with --no-cache makes each cache anew once: its steps see what those before them left.
 * True for the one that is to do it; the others wait for it.
 */
static bool is_to_renew(struct build *b, const char *name)
{
    const char *state;
    pthread_mutex_lock(&b->lock);
    if (b->carried->new_caches == NULL)
        b->carried->new_caches = map_new(mem_free);
    while ((state = map_get(b->carried->new_caches, name)) != NULL && str_eq(state, "busy"))
        pthread_cond_wait(&b->phase_changed, &b->lock);
    if (state == NULL)
        map_set(b->carried->new_caches, name, str_dup("busy"));
    pthread_mutex_unlock(&b->lock);
    return state == NULL;
}

static void has_renewed(struct build *b, const char *name, bool done)
{
    pthread_mutex_lock(&b->lock);
    if (done)
        map_set(b->carried->new_caches, name, str_dup("done"));
    else
        map_del(b->carried->new_caches, name);
    pthread_cond_broadcast(&b->phase_changed);
    pthread_mutex_unlock(&b->lock);
}

static void seed_owner(const struct run_mounted *x, struct cache_mount_spec *spec)
{
    struct entry e;
    if (x->has_files && view_find(x->files.view, x->source, &e, NULL)) {
        spec->uid = e.uid;
        spec->gid = e.gid;
        spec->mode = e.mode;
    }
    if (x->m->has_uid)
        spec->uid = x->m->uid;
    if (x->m->has_gid)
        spec->gid = x->m->gid;
    if (x->m->has_mode)
        spec->mode = x->m->mode;
}

int run_cache_take(struct build_stage *st, struct run_mounted *x, struct err *err)
{
    static const enum cache_sharing sharings[] = {
        [MOUNT_SHARING_UNSET] = CACHE_SHARED,
        [MOUNT_SHARED] = CACHE_SHARED,
        [MOUNT_PRIVATE] = CACHE_PRIVATE,
        [MOUNT_LOCKED] = CACHE_LOCKED,
    };
    struct build *b = st->b;
    char name[DIGEST_HEX_LEN + 1];
    struct filling filling = { .b = b, .x = x };
    struct cache_mount_spec spec = { .name = x->cache_name,
                                     .sharing = sharings[x->m->sharing],
                                     .mode = CACHE_MODE,
                                     .fill = x->has_files ? fill : NULL,
                                     .arg = &filling };
    seed_owner(x, &spec);
    digest_hex(&x->cache_name, name);
    spec.anew = stage_no_cache(st) && is_to_renew(b, name);
    x->cache = cache_mount_open(b->store, &spec, engine_cancel(b->e), err);
    if (spec.anew)
        has_renewed(b, name, x->cache != NULL);
    return x->cache == NULL ? err_wrap(err, "cache '%s'", x->id) : 0;
}
