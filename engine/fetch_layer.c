#include "engine/fetch_layer.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"

struct download {
    struct registry *from;
    struct descriptor what;
};

static int download(void *arg, struct sink *to, struct err *err)
{
    struct download *d = arg;
    return registry_blob(d->from, &d->what, to, err);
}

static const struct layer *ingest(struct engine *e, struct registry *from, const struct diff_id *id,
                                  const struct layer_place *where, bool with_tree, struct err *err)
{
    struct download d = { .from = from };
    d.what.id = where->blob.id;
    d.what.size = where->blob.size;
    AUTO(source_free) struct source *bytes = producer_source(download, &d, err);
    if (bytes == NULL)
        return NULL;
    return (with_tree ? layer_ingest_tree : layer_ingest)(e->store, bytes, &where->blob.id,
                                                          where->blob.size, id, err);
}

/* That it was there is a hint for later; it is no reason to fail. */
static void note_origin(struct engine *e, const struct layer_place *where)
{
    struct err err = ERR_INIT;
    if (blob_origin_add(e->store, &where->blob.id, where->repository, &err) < 0)
        log_debug("engine", "%s", err.msg);
}

const struct layer *fetch_layer(struct engine *e, struct registry *from, const struct diff_id *id,
                                const struct layer_place *where, bool with_tree, int vertex,
                                struct err *err)
{
    char shown[DIGEST_STR_LEN + 1];
    struct err miss = ERR_INIT;
    AUTO(fd_close) int claim = layer_fetch_claim(e->store, id, e->cancel, err);
    if (claim < 0)
        return NULL;
    const struct layer *l = layer_get(e->store, id, &miss);
    if (l != NULL)
        return l;
    digest_str(&where->blob.id.d, shown);
    vertex_status(e, vertex, shown, 0, where->blob.size, false);
    l = ingest(e, from, id, where, with_tree, err);
    if (l == NULL && err->code == ERR_CORRUPT && registry_has_mirrors(from)) {
        err_clear(err); /* a mirror's bytes, perhaps; it is not asked again */
        l = ingest(e, from, id, where, with_tree, err);
    }
    if (l == NULL) {
        if (err->code == ERR_NOT_FOUND) /* the image is there, but not whole */
            err->code = ERR_CORRUPT;
        err_wrap(err, "layer %s", shown);
        return NULL;
    }
    vertex_status(e, vertex, shown, where->blob.size, where->blob.size, true);
    note_origin(e, where);
    return l;
}

/* r NULL: only looks. Else it stays, unless somebody was quicker, and is freed then. */
static struct registry *repository_there(struct engine *e, const char *repository,
                                         struct registry *r)
{
    pthread_mutex_lock(&e->lock);
    struct registry *there = map_get(e->repositories, repository);
    if (there == NULL && r != NULL)
        map_set(e->repositories, repository, r);
    pthread_mutex_unlock(&e->lock);
    if (there == NULL)
        return r;
    registry_free(r);
    return there;
}

/* Opening asks an insecure host how it speaks, and that may take long: not under the lock. */
struct registry *engine_repository(struct engine *e, const char *repository, struct err *err)
{
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    struct registry *there = repository_there(e, repository, NULL);
    if (there != NULL)
        return there;
    const struct registry_config *config = engine_registries(e, err);
    if (config == NULL || image_name_parse(repository, &name, err) < 0)
        return NULL;
    struct registry *r = registry_open(engine_http(e), config, &name, REGISTRY_PULL, err);
    return r != NULL ? repository_there(e, repository, r) : NULL;
}

static const struct layer *fetch_absent(struct engine *e, const struct diff_id *id,
                                        const struct layer_place *where, bool with_tree,
                                        struct err *err)
{
    struct registry *from = engine_repository(e, where->repository, err);
    if (from == NULL)
        return NULL;
    int64_t started = clock_mono_ms();
    int v = vertex_begin(e, "[internal] fetch layers of %s", where->repository);
    const struct layer *l = fetch_layer(e, from, id, where, with_tree, v, err);
    vertex_close(e, v, l == NULL ? err->code : 0, started, err);
    return l;
}

const struct layer *fetch_absent_layer(void *arg, const struct diff_id *id,
                                       const struct layer_place *where, struct err *err)
{
    return fetch_absent(arg, id, where, false, err);
}

static int blob_into(struct engine *e, const struct layer_place *where, struct blob_writer *w,
                     struct err *err)
{
    struct descriptor what = { .id = where->blob.id, .size = where->blob.size };
    struct registry *from = engine_repository(e, where->repository, err);
    AUTO(sink_free) struct sink *to = from != NULL ? blob_writer_sink(w) : NULL;
    if (to == NULL || registry_blob(from, &what, to, err) < 0)
        return err->code;
    return sink_finish(to, err);
}

int fetch_blob(struct engine *e, const struct layer_place *where, struct err *err)
{
    if (blob_has(e->store, &where->blob.id, NULL))
        return 0;
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(e->store, err);
    if (w == NULL || blob_into(e, where, w, err) < 0)
        return err->code;
    return blob_writer_commit(w, &where->blob.id, NULL, NULL, err);
}

struct fetching {
    struct engine *e;
    const struct layer *layer;
    bool with_tree;
};

static int fetch_one(void *arg, struct err *err)
{
    struct fetching *f = arg;
    const struct layer *l = f->layer;
    if (f->with_tree && fetch_absent(f->e, &l->diff_id, layer_place(l), true, err) == NULL)
        return err->code;
    /* Finds what is here, and holds it against the listing that was taken for it. */
    return layer_whole(f->e->store, f->layer, err) == NULL ? err->code : 0;
}

static int fetch_all(struct engine *e, const struct layer *const *layers, size_t n, bool with_tree,
                     struct err *err)
{
    AUTO(mem_free) struct fetching *jobs = mem_calloc(n + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(e->pool);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (struct fetching){ .e = e, .layer = layers[i], .with_tree = with_tree };
        if (layer_is_away(layers[i]))
            group_run(g, fetch_one, &jobs[i]);
    }
    return group_wait(g, err);
}

int fetch_layers(struct engine *e, const struct layer *const *layers, size_t n, struct err *err)
{
    return fetch_all(e, layers, n, false, err);
}

int fetch_layers_to_run_on(struct engine *e, const struct layer *const *layers, size_t n,
                           struct err *err)
{
    return fetch_all(e, layers, n, true, err);
}
