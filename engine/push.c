#include "engine/push_internal.h"

#include "base/log.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

#define AT_ONCE 5 /* uploads, as Docker's max-concurrent-uploads */

/* Ending. */

int pusher_check(struct pusher *p, struct err *err)
{
    if (cancel_check(p->e->cancel, err) < 0 || cancel_check(p->stop, err) < 0)
        return err->code;
    if (group_failed(p->finishing)) /* another part has */
        return err_set(err, ERR_CANCELLED, "context canceled");
    return 0;
}

/* Cuts what is under way when the engine is cancelled or the pusher ends; sessions at the registry
 * are closed all the same (registry_push_blob). */
static void *guard(void *arg)
{
    struct pusher *p = arg;
    struct pollfd any[] = { { .fd = cancel_fd(p->e->cancel), .events = POLLIN },
                            { .fd = cancel_fd(p->stop), .events = POLLIN } };
    while (poll(any, ARRAY_LEN(any), -1) < 0 && errno == EINTR)
        ;
    cancel_set(p->hang_up, 0);
    return NULL;
}

static void target_release(struct push_target *t)
{
    image_name_release(&t->name);
    mem_free(t->repository);
    strv_release(&t->names);
    registry_free(t->registry);
}

void pusher_free(struct pusher *p)
{
    if (p == NULL)
        return;
    cancel_set(p->stop, 0);
    group_free(p->packing);
    group_free(p->sending);
    group_free(p->finishing);
    if (p->has_guard)
        pthread_join(p->guard, NULL);
    pool_free(p->pool);
    for (size_t i = 0; i < p->n_targets; i++)
        target_release(&p->targets[i]);
    mem_free(p->targets);
    map_free(p->parcels);
    http_free(p->http);
    registry_config_free(p->own_config);
    cancel_free(p->stop);
    cancel_free(p->hang_up);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* Opening. */

/* One for all of them: registries point into it. */
static const struct registry_config *insecure_config(struct pusher *p, struct err *err)
{
    AUTO(strv_release) struct strv insecure = STRV_INIT;
    struct registry_settings s = { .certs_dir = NULL };
    if (p->e->registry_settings != NULL)
        s = *p->e->registry_settings;
    strv_copy(&insecure, &s.insecure);
    for (size_t i = 0; i < p->n_targets; i++)
        strv_add(&insecure, p->targets[i].name.domain);
    s.insecure = insecure;
    p->own_config = registry_config_read(&s, err);
    return p->own_config;
}

static struct push_target *find_target(struct pusher *p, const char *repository)
{
    for (size_t i = 0; i < p->n_targets; i++)
        if (str_eq(p->targets[i].repository, repository))
            return &p->targets[i];
    struct push_target *t = &p->targets[p->n_targets++];
    t->repository = str_dup(repository);
    return t;
}

static int add_name(struct pusher *p, const char *name, struct err *err)
{
    AUTO(image_name_release) struct image_name n = { .domain = NULL };
    if (image_name_parse(name, &n, err) < 0)
        return err_wrap(err, "invalid tag \"%s\"", name);
    if (n.has_digest)
        return err_set(err, ERR_USAGE, "invalid tag \"%s\": a tag has no digest", name);
    AUTO(mem_free) char *repository = image_name_repository(&n);
    struct push_target *t = find_target(p, repository);
    if (!strv_has(&t->names, name))
        strv_add(&t->names, name);
    if (t->name.domain == NULL) {
        t->name = n;
        n = (struct image_name){ .domain = NULL };
    }
    return 0;
}

static int open_targets(struct pusher *p, bool insecure, struct err *err)
{
    const struct registry_config *c =
        insecure ? insecure_config(p, err) : engine_registries(p->e, err);
    for (size_t i = 0; i < p->n_targets; i++) {
        struct push_target *t = &p->targets[i];
        if (c != NULL)
            t->registry = registry_open(p->http, c, &t->name, REGISTRY_PUSH, err);
        if (t->registry == NULL)
            return push_failed(t->names.v[0], err);
    }
    return 0;
}

static struct pusher *pusher_new(struct engine *e, const struct doc_options *o)
{
    struct pusher *p = mem_zalloc(sizeof(*p));
    *p = (struct pusher){ .e = e,
                          .options = *o,
                          .pool = pool_new(AT_ONCE),
                          .packing = group_new(e->pool),
                          .parcels = map_new(parcel_free),
                          .stop = cancel_new(),
                          .hang_up = cancel_new() };
    if (o->compression != NULL) {
        p->compression = *o->compression;
        p->options.compression = &p->compression;
    }
    p->sending = group_new(p->pool);
    p->finishing = group_new(p->pool);
    p->http = http_new(p->hang_up);
    pthread_mutex_init(&p->lock, NULL);
    p->has_guard = pthread_create(&p->guard, NULL, guard, p) == 0;
    return p;
}

struct pusher *pusher_open(struct engine *e, const struct strv *names, const struct doc_options *o,
                           bool insecure, struct err *err)
{
    AUTO(pusher_free) struct pusher *p = pusher_new(e, o);
    p->targets = mem_calloc(names->n + 1, sizeof(*p->targets));
    for (size_t i = 0; i < names->n; i++)
        if (add_name(p, names->v[i], err) < 0)
            return NULL;
    if (!p->has_guard) {
        err_set(err, ERR_IO, "cannot start a thread");
        return NULL;
    }
    return open_targets(p, insecure, err) < 0 ? NULL : TAKE(p);
}

void pusher_repositories(const struct pusher *p, struct strv *ret)
{
    for (size_t i = 0; i < p->n_targets; i++)
        strv_add(ret, p->targets[i].repository);
}

void pusher_watch(struct pusher *p, const struct push_watch *w)
{
    p->watch = w;
}

/* In the background. */

static int send_early(void *arg, struct err *err UNUSED)
{
    struct err later = ERR_INIT;
    if (parcel_send(arg, &later) < 0 && later.code != ERR_CANCELLED)
        log_debug("engine", "to be tried again: %s", later.msg);
    return 0;
}

void pusher_send_early(struct pusher *p, struct parcel *k)
{
    group_run(p->sending, send_early, k);
}

struct early {
    struct pusher *p;
    const struct layer *layer;
};

static int pack_early(void *arg, struct err *err UNUSED)
{
    struct early *early = arg;
    struct pusher *p = early->p;
    struct layer_blob blob;
    struct err later = ERR_INIT;
    if (pusher_check(p, &later) == 0 &&
        image_docs_blob(p->e, early->layer, &p->options, &blob, &later) == 0)
        pusher_send_early(p, parcel_of(p, &blob.id, blob.size, early->layer, NULL));
    else if (later.code != ERR_CANCELLED)
        log_debug("engine", "to be tried again: %s", later.msg);
    mem_free(early);
    return 0;
}

void pusher_layer(struct pusher *p, const struct layer *l)
{
    struct early *early = mem_zalloc(sizeof(*early));
    *early = (struct early){ .p = p, .layer = l };
    group_run(p->packing, pack_early, early);
}

/* At the end: blobs. */

int pusher_send_now(void *arg, struct err *err)
{
    return parcel_send(arg, err);
}

static void send_image(struct pusher *p, const struct image_doc *d)
{
    for (size_t i = 0; i < d->n_blobs; i++)
        group_run(p->finishing, pusher_send_now,
                  parcel_of(p, &d->blobs[i].id, d->blobs[i].size, d->layers[i], NULL));
    group_run(p->finishing, pusher_send_now,
              parcel_of(p, &d->config_id, d->config_text.len, NULL, &d->config_text));
}

static struct parcel *parcel_of_text(struct pusher *p, const struct extra_doc *d)
{
    return parcel_of(p, &d->what.id, d->what.size, NULL, &d->text);
}

static int send_blobs(struct pusher *p, const struct image_docs *docs, struct err *err)
{
    vertex_status(p->e, p->vertex, PUSHING_LAYERS, p->n_sent, 0, false);
    for (size_t i = 0; i < docs->n_images; i++)
        send_image(p, &docs->images[i]);
    for (size_t i = 0; i < docs->n_extra; i++)
        if (!docs->extra[i].is_manifest)
            group_run(p->finishing, pusher_send_now, parcel_of_text(p, &docs->extra[i]));
    if (group_wait(p->finishing, err) < 0)
        return err->code;
    vertex_status(p->e, p->vertex, PUSHING_LAYERS, p->n_sent, 0, true);
    return 0;
}

/* At the end: documents. */

int pusher_put(struct pusher *p, const struct push_target *t, const char *reference,
               const char *media_type, const struct buf *text, struct err *err)
{
    if (pusher_check(p, err) < 0 ||
        registry_push_manifest(t->registry, reference, media_type, text->data, text->len, err) < 0)
        return push_failed(t->names.v[0], err);
    return 0;
}

/* What an index names, without a name of its own. */
static int put_parts(struct pusher *p, const struct push_target *t, const struct image_docs *docs,
                     struct err *err)
{
    for (size_t i = 0; docs->has_index && i < docs->n_images; i++) {
        const struct image_doc *d = &docs->images[i];
        if (pusher_put(p, t, DIGEST_S(&d->manifest_id.d), doc_media_type(d->manifest.kind),
                       &d->manifest_text, err) < 0)
            return err->code;
    }
    for (size_t i = 0; i < docs->n_extra; i++) {
        const struct extra_doc *x = &docs->extra[i];
        if (x->is_manifest &&
            pusher_put(p, t, DIGEST_S(&x->what.id.d), x->what.media_type, &x->text, err) < 0)
            return err->code;
    }
    return 0;
}

/* The document that the image's names stand for. */
static const struct buf *top_text(const struct image_docs *docs)
{
    return docs->has_index ? &docs->index_text : &docs->images[0].manifest_text;
}

static int put_top(struct pusher *p, const struct push_target *t, const char *name,
                   const char *reference, const struct image_docs *docs, struct err *err)
{
    AUTO(mem_free)
    char *what = str_printf("pushing manifest for %s@%s", name, DIGEST_S(&docs->top.id.d));
    vertex_status(p->e, p->vertex, what, 0, 0, false);
    if (pusher_put(p, t, reference, docs->top.media_type, top_text(docs), err) < 0)
        return err->code;
    vertex_status(p->e, p->vertex, what, 0, 0, true);
    if (p->watch != NULL && p->watch->named != NULL)
        p->watch->named(p->watch->arg, name, &docs->top);
    return 0;
}

static int put_names(struct pusher *p, const struct push_target *t, const struct image_docs *docs,
                     struct err *err)
{
    for (size_t i = 0; i < t->names.n; i++)
        if (put_top(p, t, t->names.v[i], strrchr(t->names.v[i], ':') + 1, docs, err) < 0)
            return err->code;
    return 0;
}

int pusher_finish(struct pusher *p, const struct image_docs *docs, bool by_digest, int vertex,
                  struct err *err)
{
    p->vertex = vertex;
    if (send_blobs(p, docs, err) < 0)
        return err->code;
    for (size_t i = 0; i < p->n_targets; i++)
        if (put_parts(p, &p->targets[i], docs, err) < 0)
            return err->code;
    for (size_t i = 0; i < p->n_targets; i++) {
        const struct push_target *t = &p->targets[i];
        int rc = by_digest ? put_top(p, t, t->repository, DIGEST_S(&docs->top.id.d), docs, err)
                           : put_names(p, t, docs, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
