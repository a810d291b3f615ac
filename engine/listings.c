#include "engine/listings.h"

#include "base/log.h"
#include "engine/engine_internal.h"
#include "store/blob.h"
#include "store/layer_away.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEDIA_LISTINGS "application/vnd.shale.listings.v1" /* artifactType */
#define MEDIA_LISTING "application/vnd.shale.listing.v1"   /* docs/listing-format.md */
#define MEDIA_EMPTY "application/vnd.oci.empty.v1+json"    /* image-spec, manifest.md */
#define EMPTY "{}"
#define KEY_DIFF "dev.shale.diff-id"
#define KEY_TAR_SIZE "dev.shale.tar-size"

#define LISTING_BYTES_MAX (UINT64_C(512) << 20) /* of one that is fetched */

/* --- writing ---------------------------------------------------------------------------------- */

void listings_doc_release(struct listings_doc *d)
{
    buf_release(&d->text);
    buf_release(&d->config_text);
    manifest_release(&d->m);
}

static void add_listing(struct manifest *m, const struct layer *l)
{
    AUTO(mem_free) char *size = str_printf("%llu", (unsigned long long)l->tar_size);
    manifest_add_layer(m, MEDIA_LISTING, &l->listing_id, listing_size(l->listing));
    m->layers[m->n_layers - 1].annotations =
        json_pack("{s:s, s:s}", KEY_DIFF, DIGEST_S(&l->diff_id.d), KEY_TAR_SIZE, size);
}

static bool has_diff(const struct layer *const *layers, size_t n, const struct diff_id *id)
{
    for (size_t i = 0; i < n; i++)
        if (digest_eq(&layers[i]->diff_id.d, &id->d))
            return true;
    return false;
}

static bool may_be_told(const struct layer *l, const char *repository)
{
    const struct layer_place *p = layer_place(l);
    return p == NULL || p->heard_from == NULL || !layer_is_away(l) ||
           (repository != NULL && str_eq(p->heard_from, repository));
}

void listings_doc_make(const struct layer *const *layers, size_t n, const char *repository,
                       struct listings_doc *ret)
{
    struct manifest *m = &ret->m;
    m->kind = DOC_OCI_MANIFEST;
    m->artifact_type = str_dup(MEDIA_LISTINGS);
    m->config.media_type = str_dup(MEDIA_EMPTY);
    m->config.size = strlen(EMPTY);
    buf_adds(&ret->config_text, EMPTY);
    digest_of(EMPTY, strlen(EMPTY), &m->config.id.d);
    for (size_t i = 0; i < n; i++)
        if (!has_diff(layers, i, &layers[i]->diff_id) && may_be_told(layers[i], repository))
            add_listing(m, layers[i]);
    manifest_write(m, &ret->text);
    digest_of(ret->text.data, ret->text.len, &ret->id.d);
    ret->blobs = m->layers;
    ret->n_blobs = m->n_layers;
}

/* --- reading ---------------------------------------------------------------------------------- */

void listing_claims_release(struct listing_claims *c)
{
    for (size_t i = 0; i < c->n; i++)
        descriptor_release(&c->v[i].blob);
    mem_free(c->v);
}

static int read_number(const char *text, uint64_t *ret)
{
    char *end;
    if (text == NULL || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 ? 0 : -1;
}

/* False: none of ours. */
static bool read_claim(struct descriptor *d, struct listing_claim *ret)
{
    struct err ignored = ERR_INIT;
    const char *diff = d->annotations ? json_get_str(d->annotations, KEY_DIFF) : NULL;
    const char *size = d->annotations ? json_get_str(d->annotations, KEY_TAR_SIZE) : NULL;
    if (!str_eq(d->media_type, MEDIA_LISTING) || diff == NULL || d->size > LISTING_BYTES_MAX ||
        digest_parse(diff, &ret->diff.d, &ignored) < 0 || read_number(size, &ret->tar_size) < 0)
        return false;
    ret->blob = *d;
    memset(d, 0, sizeof(*d));
    return true;
}

int listing_claims_parse(const char *p, size_t n, struct listing_claims *ret, struct err *err)
{
    AUTO(manifest_release) struct manifest m = { .n_layers = 0 };
    if (manifest_parse(p, n, doc_media_type(DOC_OCI_MANIFEST), &m, err) < 0)
        return err->code;
    if (!str_eq(m.artifact_type, MEDIA_LISTINGS))
        return err_set(err, ERR_UNSUPPORTED, "it has no listings");
    ret->v = mem_calloc(m.n_layers + 1, sizeof(*ret->v));
    for (size_t i = 0; i < m.n_layers; i++)
        ret->n += read_claim(&m.layers[i], &ret->v[ret->n]);
    return 0;
}

static int get_artifact(struct engine *e, struct registry *from, const struct blob_id *id,
                        struct buf *ret, struct err *err)
{
    AUTO(mem_free) char *media = NULL;
    struct blob_id got;
    struct err miss = ERR_INIT;
    if (blob_read(e->store, id, MANIFEST_MAX, ret, &miss) == 0)
        return 0;
    buf_clear(ret);
    if (registry_manifest(from, DIGEST_S(&id->d), ret, &media, &got, err) < 0)
        return err->code;
    return blob_put(e->store, ret->data, ret->len, &got, err);
}

int listing_claims_fetch(struct engine *e, struct registry *from, const struct manifest *m,
                         struct listing_claims *ret, struct err *err)
{
    struct blob_id id;
    AUTO(buf_release) struct buf text = BUF_INIT;
    const char *named = m->annotations ? json_get_str(m->annotations, LISTINGS_ANNOTATION) : NULL;
    if (named == NULL)
        return err_set(err, ERR_NOT_FOUND, "the image has no listings beside it");
    if (digest_parse(named, &id.d, err) < 0 || get_artifact(e, from, &id, &text, err) < 0)
        return err_wrap(err, "listings");
    ret->from = from;
    return listing_claims_parse(text.data, text.len, ret, err);
}

static int get_listing(struct engine *e, struct registry *from, const struct descriptor *d,
                       struct err *err)
{
    uint64_t size;
    if (blob_has(e->store, &d->id, &size) && size == d->size)
        return 0;
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(e->store, err);
    if (w == NULL)
        return err->code;
    AUTO(sink_free) struct sink *to = blob_writer_sink(w);
    if (registry_blob(from, d, to, err) < 0 || sink_finish(to, err) < 0)
        return err->code;
    return blob_writer_commit(w, &d->id, NULL, NULL, err);
}

static const struct listing_claim *find_claim(const struct listing_claims *c,
                                              const struct diff_id *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (digest_eq(&c->v[i].diff.d, &id->d))
            return &c->v[i];
    return NULL;
}

const struct layer *listing_claims_layer(struct engine *e, const struct listing_claims *c,
                                         const struct diff_id *id, const struct layer_place *where)
{
    struct err err = ERR_INIT;
    const struct listing_claim *claim = find_claim(c, id);
    if (claim == NULL)
        return NULL;
    const struct layer *l = NULL;
    if (get_listing(e, c->from, &claim->blob, &err) == 0)
        l = layer_away(e->store, id, &claim->blob.id, claim->tar_size, where, &err);
    if (l == NULL)
        log_debug("engine", "the listing of layer %s: %s", DIGEST_S(&id->d), err.msg);
    return l;
}
