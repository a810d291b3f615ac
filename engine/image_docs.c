#include "engine/image_docs.h"

#include "engine/engine_internal.h"
#include <string.h>

static void image_doc_release(struct image_doc *d)
{
    mem_free(d->blobs);
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
    const enum compression *want;
    struct layer_blob *ret;
};

static int blob_job(void *arg, struct err *err)
{
    struct blob_job *j = arg;
    const struct layer *l = layer_get(j->store, j->diff, err);
    return l == NULL ? err->code : layer_blob(j->store, l, j->want, j->ret, err);
}

static int get_blobs(struct engine *e, const struct image_config *c, const enum compression *want,
                     struct image_doc *d, struct err *err)
{
    d->n_blobs = c->n_layers;
    d->blobs = mem_calloc(c->n_layers + 1, sizeof(*d->blobs));
    AUTO(mem_free) struct blob_job *jobs = mem_calloc(c->n_layers + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(e->pool);
    for (size_t i = 0; i < c->n_layers; i++) {
        jobs[i] = (struct blob_job){
            .store = e->store, .diff = &c->layers[i], .want = want, .ret = &d->blobs[i]
        };
        group_run(g, blob_job, &jobs[i]);
    }
    return group_wait(g, err);
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
    if (get_blobs(e, image->config, o->compression, ret, err) < 0 ||
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
