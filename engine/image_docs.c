#include "engine/image_docs.h"

#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include <string.h>

static void image_doc_release(struct image_doc *d)
{
    mem_free(d->blobs);
    mem_free(d->layers);
    manifest_release(&d->manifest);
    buf_release(&d->manifest_text);
    buf_release(&d->config_text);
}

void image_docs_release(struct image_docs *d)
{
    for (size_t i = 0; i < d->n_images; i++)
        image_doc_release(&d->images[i]);
    mem_free(d->images);
    descriptor_release(&d->top);
}

/* Layers: their blobs in the wanted encoding, made side by side where they are not there yet. */

struct blob_job {
    struct store *store;
    const struct diff_id *diff;
    const struct layer **layer; /* NULL there: to be looked up */
    const enum compression *want;
    struct layer_blob *ret;
};

/* Bytes that are elsewhere keep the name that they have there, whatever is wanted: they are not
 * fetched to be packed otherwise. What the store does not keep as it came has no such name. */
static const struct layer_place *named_elsewhere(const struct layer *l)
{
    const struct layer_place *p = layer_place(l);
    return p != NULL && p->blob.compression != COMPRESSION_NONE ? p : NULL;
}

static int blob_job(void *arg, struct err *err)
{
    struct blob_job *j = arg;
    if (*j->layer == NULL)
        *j->layer = layer_get(j->store, j->diff, err);
    if (*j->layer == NULL)
        return err->code;
    const struct layer_place *elsewhere = named_elsewhere(*j->layer);
    if (elsewhere == NULL) {
        struct pack_options how = PACK_AS(j->want != NULL ? *j->want : COMPRESSION_NONE);
        return layer_blob(j->store, *j->layer, j->want != NULL ? &how : NULL, j->ret, err);
    }
    *j->ret = elsewhere->blob;
    return 0;
}

static int get_blobs(struct engine *e, const struct built_image *image,
                     const enum compression *want, struct image_doc *d, struct err *err)
{
    const struct image_config *c = image->config;
    d->n_blobs = c->n_layers;
    d->blobs = mem_calloc(c->n_layers + 1, sizeof(*d->blobs));
    d->layers = mem_calloc(c->n_layers + 1, sizeof(*d->layers));
    AUTO(mem_free) struct blob_job *jobs = mem_calloc(c->n_layers + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(e->pool);
    for (size_t i = 0; i < c->n_layers; i++) {
        d->layers[i] = image->layers != NULL ? image->layers[i] : NULL;
        jobs[i] = (struct blob_job){ .store = e->store,
                                     .diff = &c->layers[i],
                                     .layer = &d->layers[i],
                                     .want = want,
                                     .ret = &d->blobs[i] };
        group_run(g, blob_job, &jobs[i]);
    }
    return group_wait(g, err);
}

int image_doc_bring(struct engine *e, const struct image_doc *d, const bool *has, struct err *err)
{
    AUTO(mem_free) const struct layer **wanted = mem_calloc(d->n_blobs + 1, sizeof(*wanted));
    size_t n = 0;
    for (size_t i = 0; i < d->n_blobs; i++)
        if (has == NULL || !has[i])
            wanted[n++] = d->layers[i];
    return fetch_layers(e, wanted, n, err);
}

static void set_config(struct manifest *m, const struct blob_id *id, uint64_t size)
{
    m->config.media_type = str_dup(MEDIA_OCI_CONFIG);
    m->config.id = *id;
    m->config.size = size;
}

static void write_manifest(struct image_doc *d)
{
    d->manifest.kind = DOC_OCI_MANIFEST;
    set_config(&d->manifest, &d->config_id, d->config_text.len);
    for (size_t i = 0; i < d->n_blobs; i++)
        manifest_add_layer(&d->manifest, layer_media_type(d->blobs[i].compression, false),
                           &d->blobs[i].id, d->blobs[i].size);
    manifest_write(&d->manifest, &d->manifest_text);
    digest_of(d->manifest_text.data, d->manifest_text.len, &d->manifest_id.d);
}

static int make_one(struct engine *e, const struct built_image *image, const struct doc_options *o,
                    struct image_doc *ret, struct err *err)
{
    ret->config_id = image->config_id;
    ret->platform = image->config->platform;
    if (get_blobs(e, image, o->compression, ret, err) < 0 ||
        blob_read(e->store, &image->config_id, MANIFEST_MAX, &ret->config_text, err) < 0)
        return err->code;
    write_manifest(ret);
    return 0;
}

static void describe(const struct image_doc *d, struct descriptor *ret)
{
    ret->media_type = str_dup(doc_media_type(d->manifest.kind));
    ret->id = d->manifest_id;
    ret->size = d->manifest_text.len;
    ret->has_platform = true;
    ret->platform = d->platform;
}

int image_docs_make(struct engine *e, const struct built_image *images, size_t n,
                    const struct doc_options *o, struct image_docs *ret, struct err *err)
{
    ret->images = mem_calloc(n, sizeof(*ret->images));
    ret->n_images = n;
    for (size_t i = 0; i < n; i++)
        if (make_one(e, &images[i], o, &ret->images[i], err) < 0)
            return err->code;
    describe(&ret->images[0], &ret->top);
    return 0;
}
