#include "engine/engine.h"

#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"

static void repository_free(void *r)
{
    registry_free(r);
}

void engine_close(struct engine *e)
{
    if (e == NULL)
        return;
    if (e->is_warming)
        pthread_join(e->warming, NULL);
    pool_free(e->pool);
    docker_free(e->docker);
    map_free(e->repositories);
    http_free(e->http);
    registry_config_free(e->registries);
    work_free(e->work);
    store_close(e->store);
    cancel_free(e->own_cancel);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

struct engine *engine_open(const char *store_root, struct cancel *cancel,
                           const struct progress *progress, struct err *err)
{
    AUTO(engine_close) struct engine *e = mem_zalloc(sizeof(*e));
    pthread_mutex_init(&e->lock, NULL);
    e->own_cancel = cancel == NULL ? cancel_new() : NULL;
    e->cancel = cancel == NULL ? e->own_cancel : cancel;
    e->progress = progress;
    e->store = store_open(store_root, err);
    if (e->store == NULL)
        return NULL;
    e->pool = pool_new(0);
    e->repositories = map_new(repository_free);
    store_fetch_with(e->store, fetch_absent_layer, e);
    return TAKE(e);
}

struct store *engine_store(struct engine *e)
{
    return e->store;
}

struct cancel *engine_cancel(struct engine *e)
{
    return e->cancel;
}

struct pool *engine_pool(struct engine *e)
{
    return e->pool;
}

struct http *engine_http(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (e->http == NULL)
        e->http = http_new(e->cancel);
    struct http *h = e->http;
    pthread_mutex_unlock(&e->lock);
    return h;
}

void engine_set_registries(struct engine *e, const struct registry_settings *settings)
{
    e->registry_settings = settings;
}

const struct registry_config *engine_registries(struct engine *e, struct err *err)
{
    pthread_mutex_lock(&e->lock);
    if (e->registries == NULL && e->registries_err.code == ERR_NONE)
        e->registries = registry_config_read(e->registry_settings, &e->registries_err);
    struct registry_config *c = e->registries;
    if (c == NULL)
        err_copy(err, &e->registries_err);
    pthread_mutex_unlock(&e->lock);
    return c;
}

struct work *engine_work(struct engine *e, struct err *err)
{
    pthread_mutex_lock(&e->lock);
    if (e->work == NULL)
        e->work = work_open(e->store, err);
    struct work *w = e->work;
    pthread_mutex_unlock(&e->lock);
    return w;
}

static void *warm_up(void *arg UNUSED)
{
    http_warm_up();
    return NULL;
}

void engine_warm_up(struct engine *e)
{
    if (!e->is_warming)
        e->is_warming = pthread_create(&e->warming, NULL, warm_up, NULL) == 0;
}

struct docker *engine_docker(struct engine *e, bool *ret_named, struct err *err)
{
    struct http *h = engine_http(e);
    pthread_mutex_lock(&e->lock);
    if (!e->docker_asked) {
        e->docker = docker_open(h, &e->docker_named, &e->docker_err);
        e->docker_asked = true;
    }
    struct docker *d = e->docker;
    if (d == NULL)
        err_copy(err, &e->docker_err);
    if (ret_named != NULL)
        *ret_named = e->docker_named;
    pthread_mutex_unlock(&e->lock);
    return d;
}
