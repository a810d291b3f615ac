/* One blob into every repository of a push: it is there, is mounted from elsewhere, or is sent. */
#include "engine/push_internal.h"

#include "base/log.h"
#include <string.h>

#define MOUNTS_MAX 3 /* places that are tried: each costs a request, and perhaps a token */

void parcel_free(void *parcel)
{
    struct parcel *k = parcel;
    pthread_mutex_destroy(&k->lock);
    mem_free(k);
}

struct parcel *parcel_of(struct pusher *p, const struct blob_id *id, uint64_t size,
                         const struct layer *layer, const struct buf *text)
{
    pthread_mutex_lock(&p->lock);
    struct parcel *k = map_get(p->parcels, DIGEST_HEX(&id->d));
    if (k == NULL) {
        k = mem_zalloc(sizeof(*k));
        *k = (struct parcel){ .p = p, .layer = layer, .text = text };
        k->what.id = *id;
        k->what.size = size;
        pthread_mutex_init(&k->lock, NULL);
        map_set(p->parcels, DIGEST_HEX(&id->d), k);
    }
    pthread_mutex_unlock(&p->lock);
    return k;
}

void pusher_forget_texts(struct pusher *p)
{
    const char *digest;
    void *value;
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; map_next(p->parcels, &i, &digest, &value);)
        if (((struct parcel *)value)->text != NULL)
            map_del(p->parcels, digest);
    pthread_mutex_unlock(&p->lock);
}

int push_failed(const char *name, struct err *err)
{
    return err->code == ERR_CANCELLED ? err->code : err_wrap(err, "failed to push %s", name);
}

/* Where it may be mounted from. */

static void add_place(const struct push_target *t, const char *repository, struct strv *ret)
{
    AUTO(image_name_release) struct image_name n = { .domain = NULL };
    struct err ignored = ERR_INIT;
    if (ret->n == MOUNTS_MAX || image_name_parse(repository, &n, &ignored) < 0)
        return;
    bool is_other = str_eq(n.domain, t->name.domain) && !str_eq(n.path, t->name.path);
    if (is_other && !strv_has(ret, n.path))
        strv_add(ret, n.path);
}

/*
 * Repositories of the target's registry that have the blob as far as is known: where this push has
 * brought it already, where its bytes have stayed, and where it was once seen.
 */
static void find_mounts(const struct parcel *k, const struct push_target *t, struct strv *ret)
{
    struct store *s = k->p->e->store;
    const struct layer_place *place = k->layer != NULL ? layer_place(k->layer) : NULL;
    struct err none = ERR_INIT;
    AUTO(strv_release) struct strv seen = STRV_INIT;
    for (size_t i = 0; i < k->n_there; i++)
        add_place(t, k->p->targets[i].repository, ret);
    if (place != NULL && digest_eq(&place->blob.id.d, &k->what.id.d))
        add_place(t, place->repository, ret);
    if (blob_origins(s, &k->what.id, &seen, &none) < 0)
        log_debug("engine", "%s", none.msg);
    for (size_t i = 0; i < seen.n; i++)
        add_place(t, seen.v[i], ret);
}

/* Its bytes. */

/* A source that ends with an error when the push has ended. */
struct sent_source {
    struct source base;
    struct source *next;
    struct pusher *p;
};

static ssize_t sent_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct sent_source *o = (struct sent_source *)s;
    return pusher_check(o->p, err) < 0 ? err->code : source_read(o->next, p, n, err);
}

static void sent_free(struct source *s)
{
    struct sent_source *o = (struct sent_source *)s;
    source_free(o->next);
    mem_free(o);
}

/* Asked for only when the registry has not got the blob in another way: now a layer whose bytes are
 * elsewhere is fetched. */
static struct source *open_parcel(void *arg, struct err *err)
{
    struct parcel *k = arg;
    struct store *s = k->p->e->store;
    struct source *bytes = NULL;
    if (pusher_check(k->p, err) < 0)
        return NULL;
    if (k->layer == NULL && k->text == NULL)
        bytes = blob_source(s, &k->what.id, err);
    else if (k->layer == NULL)
        bytes = source_mem(k->text->data, k->text->len);
    else if (layer_whole(s, k->layer, err) != NULL &&
             bring_blob(k->p->e, k->layer, &k->what.id, err) == 0)
        bytes = blob_source(s, &k->what.id, err);
    if (bytes == NULL)
        return NULL;
    struct sent_source *o = mem_zalloc(sizeof(*o));
    *o = (struct sent_source){ .base = { .read = sent_read, .free = sent_free },
                               .next = bytes,
                               .p = k->p };
    return &o->base;
}

/* Bytes so far, of all blobs together. */
static void count_sent(void *arg, uint64_t bytes, uint64_t total UNUSED)
{
    struct parcel *k = arg;
    struct pusher *p = k->p;
    uint64_t before = bytes < k->counted ? 0 : k->counted; /* from the beginning again */
    uint64_t all = atomic_fetch_add(&p->n_sent, bytes - before) + bytes - before;
    k->counted = bytes;
    vertex_status(p->e, p->vertex, PUSHING_LAYERS, all, 0, false);
}

/* One repository. */

static void tell(struct parcel *k, enum registry_pushed how, const struct strv *mounts)
{
    struct pusher *p = k->p;
    const struct push_watch *w = p->watch;
    if (w == NULL || w->layer == NULL || k->layer == NULL || k->n_there > 0)
        return;
    pthread_mutex_lock(&p->lock);
    w->layer(w->arg, k->layer, how,
             how == REGISTRY_MOUNTED && mounts->n == 1 ? mounts->v[0] : NULL);
    pthread_mutex_unlock(&p->lock);
}

/* That it is there now is a hint for later pushes; it is no reason to fail. */
static void note_place(const struct parcel *k, const struct push_target *t)
{
    struct err err = ERR_INIT;
    if (k->layer != NULL && blob_origin_add(k->p->e->store, &k->what.id, t->repository, &err) < 0)
        log_debug("engine", "%s", err.msg);
}

static int send_to(struct parcel *k, const struct push_target *t, struct err *err)
{
    AUTO(strv_release) struct strv mounts = STRV_INIT;
    enum registry_pushed how;
    find_mounts(k, t, &mounts);
    struct registry_upload u = {
        .what = &k->what, .mount_from = &mounts, .open = open_parcel, .arg = k, .sent = count_sent
    };
    if (pusher_check(k->p, err) < 0 || registry_push_blob(t->registry, &u, &how, err) < 0)
        return push_failed(t->names.v[0], err);
    tell(k, how, &mounts);
    note_place(k, t);
    return 0;
}

int parcel_send(struct parcel *k, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&k->lock);
    while (rc == 0 && k->n_there < k->p->n_targets) {
        rc = send_to(k, &k->p->targets[k->n_there], err);
        k->n_there += rc == 0;
    }
    pthread_mutex_unlock(&k->lock);
    return rc;
}
