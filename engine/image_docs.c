#include "engine/image_docs.h"

#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include "engine/image_docs_internal.h"
#include <string.h>

static void image_doc_release(struct image_doc *d)
{
    mem_free(d->blobs);
    mem_free(d->layers);
    listings_doc_release(&d->listings);
    manifest_release(&d->manifest);
    buf_release(&d->manifest_text);
    buf_release(&d->config_text);
}

void image_docs_release(struct image_docs *d)
{
    for (size_t i = 0; i < d->n_images; i++)
        image_doc_release(&d->images[i]);
    mem_free(d->images);
    for (size_t i = 0; i < d->n_extra; i++) {
        descriptor_release(&d->extra[i].what);
        buf_release(&d->extra[i].text);
    }
    mem_free(d->extra);
    index_release(&d->index);
    buf_release(&d->index_text);
    descriptor_release(&d->top);
}

/* Annotations. */

static bool is_for(const struct annotation *a, const struct platform *p)
{
    char want[64], have[64];
    return !a->has_platform ||
           (p != NULL && str_eq(platform_format(&a->platform, want), platform_format(p, have)));
}

/* p: of the image; NULL for the index. */
static void annotate(const struct doc_options *o, enum annotation_place place,
                     const struct platform *p, json_t **ret)
{
    for (size_t i = 0; i < o->n_annotations; i++) {
        const struct annotation *a = &o->annotations[i];
        if (a->place == place && is_for(a, p))
            annotation_set(ret, a->key, a->value);
    }
}

int image_docs_check(const struct doc_options *o, bool has_index, struct err *err)
{
    for (size_t i = 0; !has_index && i < o->n_annotations; i++)
        if (o->annotations[i].place == ANNOTATION_INDEX ||
            o->annotations[i].place == ANNOTATION_INDEX_DESCRIPTOR)
            return err_set(err, ERR_USAGE,
                           "index annotations not supported for single platform export");
    return 0;
}

/* Layers: their blobs in the wanted encoding, made side by side where they are not there yet. */

/*
 * Bytes that came from elsewhere, or are still there, keep the name that they have there (as
 * without force-compression in BuildKit): who has the base has them. What the store would not keep
 * as it came has no such name. 1: *ret is it.
 */
static int find_named_elsewhere(struct store *s, const struct layer *l, const struct doc_options *o,
                                struct layer_blob *ret, struct err *err)
{
    const struct layer_place *p = layer_place(l);
    if (o->compression != NULL && o->force_compression)
        return 0;
    if (p != NULL && p->blob.compression != COMPRESSION_NONE) {
        *ret = p->blob;
        return 1;
    }
    return o->compression != NULL ? layer_came_as(s, l, *o->compression, ret, err) : 0;
}

int image_docs_blob(struct engine *e, const struct layer *l, const struct doc_options *o,
                    struct layer_blob *ret, struct err *err)
{
    int found = find_named_elsewhere(e->store, l, o, ret, err);
    if (found != 0)
        return found < 0 ? found : 0;
    if (o->compression == NULL)
        return layer_blob(e->store, l, NULL, ret, err);
    struct pack_options how = PACK_AS(*o->compression);
    how.level = o->level != NULL ? *o->level : how.level;
    how.force = o->force_compression;
    return layer_blob(e->store, l, &how, ret, err);
}

struct blob_job {
    struct engine *e;
    const struct diff_id *diff;
    const struct layer **layer; /* NULL there: to be looked up */
    const struct doc_options *how;
    struct layer_blob *ret;
};

static int blob_job(void *arg, struct err *err)
{
    struct blob_job *j = arg;
    if (*j->layer == NULL)
        *j->layer = layer_get(j->e->store, j->diff, err);
    return *j->layer == NULL ? err->code : image_docs_blob(j->e, *j->layer, j->how, j->ret, err);
}

static int get_blobs(struct engine *e, const struct built_image *image, const struct doc_options *o,
                     struct image_doc *d, struct err *err)
{
    const struct image_config *c = image->config;
    d->n_blobs = c->n_layers;
    d->blobs = mem_calloc(c->n_layers + 1, sizeof(*d->blobs));
    d->layers = mem_calloc(c->n_layers + 1, sizeof(*d->layers));
    AUTO(mem_free) struct blob_job *jobs = mem_calloc(c->n_layers + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(e->pool);
    for (size_t i = 0; i < c->n_layers; i++) {
        d->layers[i] = image->layers != NULL ? image->layers[i] : NULL;
        jobs[i] = (struct blob_job){
            .e = e, .diff = &c->layers[i], .layer = &d->layers[i], .how = o, .ret = &d->blobs[i]
        };
        group_run(g, blob_job, &jobs[i]);
    }
    return group_wait(g, err);
}

int bring_blob(struct engine *e, const struct layer *l, const struct blob_id *id, struct err *err)
{
    const struct layer_place *place = layer_place(l);
    bool is_there = place == NULL || !digest_eq(&place->blob.id.d, &id->d);
    return is_there ? 0 : fetch_blob(e, place, err);
}

int image_doc_bring(struct engine *e, const struct image_doc *d, const bool *has, struct err *err)
{
    AUTO(mem_free) const struct layer **wanted = mem_calloc(d->n_blobs + 1, sizeof(*wanted));
    size_t n = 0;
    for (size_t i = 0; i < d->n_blobs; i++)
        if (has == NULL || !has[i])
            wanted[n++] = d->layers[i];
    if (fetch_layers(e, wanted, n, err) < 0)
        return err->code;
    for (size_t i = 0; i < d->n_blobs; i++)
        if ((has == NULL || !has[i]) && bring_blob(e, d->layers[i], &d->blobs[i].id, err) < 0)
            return err->code;
    return 0;
}

/* Manifests. */

static void name_listings(struct image_doc *d, const char *repository)
{
    d->has_listings = true;
    listings_doc_make(d->layers, d->n_blobs, repository, &d->listings);
    annotation_set(&d->manifest.annotations, LISTINGS_ANNOTATION, DIGEST_S(&d->listings.id.d));
}

static void write_manifest(struct image_doc *d, const struct doc_options *o)
{
    struct manifest *m = &d->manifest;
    m->kind = o->docker_types ? DOC_DOCKER_MANIFEST : DOC_OCI_MANIFEST;
    m->config = (struct descriptor){ .media_type = str_dup(o->docker_types ? MEDIA_DOCKER_CONFIG
                                                                           : MEDIA_OCI_CONFIG),
                                     .id = d->config_id,
                                     .size = d->config_text.len };
    for (size_t i = 0; i < d->n_blobs; i++)
        manifest_add_layer(m, layer_media_type(d->blobs[i].compression, o->docker_types),
                           &d->blobs[i].id, d->blobs[i].size);
    if (o->has_listings && !o->docker_types && d->n_blobs > 0)
        name_listings(d, o->listings_for);
    annotate(o, ANNOTATION_MANIFEST, &d->platform, &m->annotations);
    manifest_write(m, &d->manifest_text);
    digest_of(d->manifest_text.data, d->manifest_text.len, &d->manifest_id.d);
}

static int make_one(struct engine *e, const struct built_image *image, const struct doc_options *o,
                    struct image_doc *ret, struct err *err)
{
    ret->config_id = image->config_id;
    ret->platform = image->platform ? *image->platform : image->config->platform;
    if (get_blobs(e, image, o, ret, err) < 0 ||
        blob_read(e->store, &image->config_id, MANIFEST_MAX, &ret->config_text, err) < 0)
        return err->code;
    write_manifest(ret, o);
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

/* The index. */

static void write_index(struct image_docs *d, const struct built_image *images,
                        const struct doc_options *o)
{
    struct index *x = &d->index;
    d->has_index = true;
    x->kind = o->docker_types ? DOC_DOCKER_LIST : DOC_OCI_INDEX;
    for (size_t i = 0; i < d->n_images; i++) {
        struct descriptor *entry = index_add(x);
        describe(&d->images[i], entry);
        annotate(o, ANNOTATION_MANIFEST_DESCRIPTOR, &d->images[i].platform, &entry->annotations);
    }
    for (size_t i = 0; i < d->n_images; i++)
        if (images[i].n_attestations > 0)
            image_docs_attest(d, &d->images[i], &images[i], o);
    annotate(o, ANNOTATION_INDEX, NULL, &x->annotations);
    index_write(x, &d->index_text);
    digest_of(d->index_text.data, d->index_text.len, &d->index_id.d);
    d->top = (struct descriptor){ .media_type = str_dup(doc_media_type(x->kind)),
                                  .id = d->index_id,
                                  .size = d->index_text.len };
    annotate(o, ANNOTATION_INDEX_DESCRIPTOR, NULL, &d->top.annotations);
}

static bool has_attestations(const struct built_image *images, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (images[i].n_attestations > 0)
            return true;
    return false;
}

int image_docs_make(struct engine *e, const struct built_image *images, size_t n,
                    const struct doc_options *o, struct image_docs *ret, struct err *err)
{
    struct doc_options how = *o;
    bool attested = has_attestations(images, n);
    how.is_index = o->is_index || n > 1 || attested;
    how.docker_types = o->docker_types && !attested;
    if (image_docs_check(o, how.is_index, err) < 0)
        return err->code;
    ret->images = mem_calloc(n, sizeof(*ret->images));
    ret->n_images = n;
    for (size_t i = 0; i < n; i++)
        if (make_one(e, &images[i], &how, &ret->images[i], err) < 0)
            return err->code;
    if (how.is_index)
        write_index(ret, images, &how);
    else
        describe(&ret->images[0], &ret->top);
    if (images[0].config->created != NULL)
        annotation_set(&ret->top.annotations, "org.opencontainers.image.created",
                       images[0].config->created);
    return 0;
}
