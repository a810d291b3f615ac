/* Listings beside an image: blobs of the store, and the artifact that names them. */
#include "engine/push_internal.h"

#include "base/log.h"

static void send_layers(struct pusher *p, const struct image_doc *d)
{
    for (size_t i = 0; i < d->n_blobs; i++)
        pusher_send_early(p, parcel_of(p, &d->blobs[i].id, d->blobs[i].size, d->layers[i], NULL));
}

static void send_listings(struct pusher *p, const struct listings_doc *l, struct group *g)
{
    for (size_t i = 0; i < l->n_blobs; i++)
        group_run(g, pusher_send_now, parcel_of(p, &l->blobs[i].id, l->blobs[i].size, NULL, NULL));
    group_run(g, pusher_send_now,
              parcel_of(p, &l->m.config.id, l->m.config.size, NULL, &l->config_text));
}

static int put_artifacts(struct pusher *p, const struct push_target *t,
                         const struct image_docs *docs, struct err *err)
{
    for (size_t i = 0; i < docs->n_images; i++) {
        const struct image_doc *d = &docs->images[i];
        if (d->has_listings &&
            pusher_put(p, t, DIGEST_S(&d->listings.id.d), doc_media_type(DOC_OCI_MANIFEST),
                       &d->listings.text, err) < 0)
            return err->code;
    }
    return 0;
}

static int send_all(struct pusher *p, const struct image_docs *docs, struct err *err)
{
    AUTO(group_free) struct group *g = group_new(p->pool);
    for (size_t i = 0; i < docs->n_images; i++)
        if (docs->images[i].has_listings) {
            send_listings(p, &docs->images[i].listings, g);
            send_layers(p, &docs->images[i]);
        }
    if (group_wait(g, err) < 0)
        return err->code;
    for (size_t i = 0; i < p->n_targets; i++)
        if (put_artifacts(p, &p->targets[i], docs, err) < 0)
            return err->code;
    return 0;
}

int pusher_documents(struct pusher *p, const struct built_image *images, size_t n,
                     const struct doc_options *o, struct image_docs *ret, struct err *err)
{
    struct err why = ERR_INIT;
    struct doc_options how = *o;
    AUTO(image_docs_release) struct image_docs docs = { .n_images = 0 };
    how.has_listings = !o->no_listings;
    how.listings_for = p->n_targets == 1 ? p->targets[0].repository : NULL;
    if (image_docs_make(p->e, images, n, &how, &docs, err) < 0)
        return err->code;
    int rc = send_all(p, &docs, &why);
    if (rc == 0) {
        *ret = docs;
        docs = (struct image_docs){ .n_images = 0 };
        return 0;
    }
    if (rc == ERR_CANCELLED)
        return err_copy(err, &why);
    log_debug("engine", "going on without listings: %s", why.msg);
    pusher_forget_texts(p); /* of documents that end here */
    how.has_listings = false;
    return image_docs_make(p->e, images, n, &how, ret, err);
}
