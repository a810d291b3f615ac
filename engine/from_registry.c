/*
 * Pulling: the manifest, then the layers that are not here, side by side, each straight into blob
 * and listing. Of a layer whose listing is known, or said by the image or by one that the user
 * trusts, nothing is fetched before something needs its bytes.
 */
#include "engine/from_internal.h"

#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/fetch_layer.h"
#include "engine/listings.h"
#include <string.h>

struct pull {
    struct engine *e;
    struct registry *registry; /* borrowed from the engine */
    char *repository;
    const struct find_options *o;
    struct manifest manifest;
    struct image_config config;
    bool answered;               /* the registry has named the image */
    const struct layer **layers; /* one for each of the configuration */
};

static void pull_release(struct pull *p)
{
    mem_free(p->repository);
    mem_free(p->layers);
    manifest_release(&p->manifest);
    image_config_release(&p->config);
}
DEFINE_AUTO_VALUE(struct pull, pull_release);

static void place_of(const struct pull *p, size_t i, struct layer_place *ret)
{
    const struct descriptor *d = &p->manifest.layers[i];
    struct err ignored = ERR_INIT;
    *ret = (struct layer_place){ .repository = p->repository };
    ret->blob.id = d->id;
    ret->blob.size = d->size;
    layer_media_parse(d->media_type, &ret->blob.compression, &ignored); /* looked at before */
}

/* Layers that are here, or known by a listing of our own. */
static size_t know_layers(struct pull *p)
{
    size_t n_unknown = 0;
    for (size_t i = 0; i < p->config.n_layers; i++) {
        struct layer_place where;
        struct err miss = ERR_INIT;
        place_of(p, i, &where);
        p->layers[i] = layer_get(p->e->store, &p->config.layers[i], &miss);
        if (p->layers[i] == NULL)
            p->layers[i] = layer_away_known(p->e->store, &p->config.layers[i], &where, &miss);
        n_unknown += p->layers[i] == NULL;
    }
    return n_unknown;
}

/* Takes what the image with this manifest in that repository says of layers that are not known. */
static size_t take_claims(struct pull *p, struct registry *from, const struct manifest *m,
                          const char *heard_from, size_t n_unknown)
{
    AUTO(listing_claims_release) struct listing_claims claims = { .n = 0 };
    struct err err = ERR_INIT;
    if (listing_claims_fetch(p->e, from, m, &claims, &err) < 0) {
        log_debug("engine", "%s", err.msg);
        return n_unknown;
    }
    for (size_t i = 0; i < p->config.n_layers; i++) {
        struct layer_place where;
        place_of(p, i, &where);
        where.heard_from = heard_from;
        if (p->layers[i] == NULL)
            p->layers[i] = listing_claims_layer(p->e, &claims, &p->config.layers[i], &where);
        else
            continue;
        n_unknown -= p->layers[i] != NULL;
    }
    return n_unknown;
}

/* The manifest under reference; an index leads to the entry for the platform. ret_top: what the
 * reference names itself. */
static int get_image_manifest(struct registry *r, const char *reference,
                              const struct platform *platform, struct blob_id *ret_top,
                              struct blob_id *ret_id, struct manifest *ret, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *media = NULL;
    if (registry_manifest(r, reference, &text, &media, ret_top, err) < 0)
        return err->code;
    *ret_id = *ret_top;
    enum doc_kind kind = doc_kind_of(media);
    if (kind == DOC_OCI_MANIFEST || kind == DOC_DOCKER_MANIFEST)
        return manifest_parse(text.data, text.len, media, ret, err);
    if (kind != DOC_OCI_INDEX && kind != DOC_DOCKER_LIST)
        return err_set(err, ERR_UNSUPPORTED, "the registry answers with '%s', which is no image",
                       media);
    AUTO(index_release) struct index index = { 0 };
    if (index_parse(text.data, text.len, media, &index, err) < 0)
        return err->code;
    const struct descriptor *d = index_pick(&index, platform);
    char wanted[64];
    if (d == NULL)
        return err_set(err, ERR_USAGE, "no match for platform in manifest: not found (%s)",
                       platform_format(platform, wanted));
    AUTO(buf_release) struct buf inner = BUF_INIT;
    AUTO(mem_free) char *inner_media = NULL;
    if (registry_manifest(r, DIGEST_S(&d->id.d), &inner, &inner_media, ret_id, err) < 0)
        return err->code;
    return manifest_parse(inner.data, inner.len, inner_media, ret, err);
}

/* What an image that the user named as a cache says, when it can be had. */
static size_t ask_cache(struct pull *p, const char *canonical, size_t n_unknown)
{
    struct err err = ERR_INIT;
    struct blob_id top, id;
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    AUTO(manifest_release) struct manifest m = { .n_layers = 0 };
    if (image_name_parse(canonical, &name, &err) < 0)
        return n_unknown;
    AUTO(mem_free) char *repository = image_name_repository(&name);
    AUTO(mem_free) char *reference = image_name_reference(&name);
    struct registry *r = engine_repository(p->e, repository, &err);
    if (r == NULL || get_image_manifest(r, reference, p->o->platform, &top, &id, &m, &err) < 0) {
        log_debug("engine", "%s", err.msg);
        return n_unknown;
    }
    return take_claims(p, r, &m, repository, n_unknown);
}

struct layer_pull {
    struct pull *p;
    size_t i;
};

static int pull_layer(void *arg, struct err *err)
{
    struct layer_pull *l = arg;
    struct pull *p = l->p;
    struct layer_place where;
    place_of(p, l->i, &where);
    p->layers[l->i] = fetch_layer(p->e, p->registry, &p->config.layers[l->i], &where,
                                  p->o->is_run_on, p->o->vertex, err);
    return p->layers[l->i] == NULL ? err->code : 0;
}

static int check_layers(const struct pull *p, struct err *err)
{
    const struct manifest *m = &p->manifest;
    enum compression c;
    if (m->n_layers != p->config.n_layers)
        return err_set(err, ERR_CORRUPT, "the manifest has %zu layers, the configuration %zu",
                       m->n_layers, p->config.n_layers);
    for (size_t i = 0; i < m->n_layers; i++)
        if (layer_media_parse(m->layers[i].media_type, &c, err) < 0)
            return err->code;
    return 0;
}

static int pull_layers(struct pull *p, struct err *err)
{
    if (check_layers(p, err) < 0)
        return err->code;
    size_t n = p->config.n_layers;
    p->layers = mem_calloc(n + 1, sizeof(*p->layers));
    size_t n_unknown = know_layers(p);
    if (n_unknown > 0 && !p->o->no_claims)
        n_unknown = take_claims(p, p->registry, &p->manifest, NULL, n_unknown);
    for (size_t i = 0;
         p->o->caches != NULL && !p->o->no_claims && i < p->o->caches->n && n_unknown > 0; i++)
        n_unknown = ask_cache(p, p->o->caches->v[i], n_unknown);
    AUTO(mem_free) struct layer_pull *jobs = mem_calloc(n + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(p->e->pool);
    for (size_t i = 0; i < n; i++) {
        jobs[i] = (struct layer_pull){ .p = p, .i = i };
        if (p->layers[i] == NULL)
            group_run(g, pull_layer, &jobs[i]);
    }
    return group_wait(g, err);
}

static int get_config_once(struct pull *p, struct err *err)
{
    const struct descriptor *d = &p->manifest.config;
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&text, MANIFEST_MAX);
    if (blob_read(p->e->store, &d->id, MANIFEST_MAX, &text, err) < 0) {
        err_clear(err);
        buf_clear(&text);
        struct blob_id id;
        if (registry_blob(p->registry, d, to, err) < 0 ||
            blob_put(p->e->store, text.data, text.len, &id, err) < 0) {
            if (err->code == ERR_NOT_FOUND) /* the image is there, but not whole */
                err->code = ERR_CORRUPT;
            return err_wrap(err, "configuration");
        }
    }
    image_config_release(&p->config);
    return image_config_parse(text.data, text.len, &p->config, err);
}

static int get_config(struct pull *p, struct err *err)
{
    if (get_config_once(p, err) != ERR_CORRUPT || !registry_has_mirrors(p->registry))
        return err->code;
    err_clear(err); /* a mirror's bytes, perhaps; it is not asked again */
    return get_config_once(p, err);
}

/* A plan: the image is known when all of it is here already, under whatever name. */
static int found_without_fetching(const struct pull *p, const char *canonical,
                                  const struct blob_id *manifest, struct found_image *ret,
                                  struct err *err)
{
    if (found_from_config(p->e, &p->manifest.config.id, manifest, ret, err) == 0)
        return 0;
    return err_set(err, ERR_UNDECIDED, "%s has to be fetched", canonical);
}

/* What a digest names never changes, whatever tag led to it. */
static char *name_by_digest(const struct image_name *name, const struct digest *d)
{
    AUTO(mem_free) char *repository = image_name_repository(name);
    return str_printf("%s@%s", repository, DIGEST_S(d));
}

char *from_remembered_name(const struct image_name *name, const char *canonical)
{
    return name->has_digest ? name_by_digest(name, &name->digest) : str_dup(canonical);
}

/* Under the tag, and under the digests that it led to, so that those are known without asking. */
static int remember(const struct pull *p, const struct image_name *name, const char *canonical,
                    const struct blob_id *top, const struct blob_id *id, struct err *err)
{
    char platform[64];
    platform_format(p->o->platform, platform);
    AUTO(mem_free) char *as_asked = from_remembered_name(name, canonical);
    AUTO(mem_free) char *by_top = name_by_digest(name, &top->d);
    AUTO(mem_free) char *by_id = name_by_digest(name, &id->d);
    const char *const names[] = { as_asked, by_top, by_id };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((i == 0 || !str_eq(names[i], names[i - 1])) &&
            remote_name_set(p->e->store, names[i], platform, id, &p->manifest.config.id, err) < 0)
            return err->code;
    return 0;
}

/*
 * A tag that was pulled before: its digest is asked for alone, which registries do not count as a
 * pull. 1: it is none that is known, or the tag is new here.
 */
static int find_unmoved(struct pull *p, const struct image_name *name, const char *canonical,
                        struct found_image *ret, struct err *err)
{
    char platform[64];
    struct blob_id top;
    struct err miss = ERR_INIT;
    AUTO(stored_image_release) struct stored_image known = { 0 };
    platform_format(p->o->platform, platform);
    if (name->has_digest || remote_name_get(p->e->store, canonical, platform, &known, &miss) < 0)
        return 1;
    if (registry_resolve(p->registry, name->tag, &top, err) < 0)
        return err->code;
    p->answered = true;
    stored_image_release(&known);
    AUTO(mem_free) char *by_digest = name_by_digest(name, &top.d);
    if (remote_name_get(p->e->store, by_digest, platform, &known, &miss) < 0 ||
        found_from_config(p->e, &known.config, &known.manifest, ret, &miss) < 0)
        return 1;
    if (p->o->is_plan)
        return 0;
    return remote_name_set(p->e->store, canonical, platform, &known.manifest, &known.config, err);
}

static int pull(struct pull *p, const struct image_name *name, const char *canonical,
                struct found_image *ret, struct err *err)
{
    AUTO(mem_free) char *reference = image_name_reference(name);
    struct blob_id top, id;
    if (get_image_manifest(p->registry, reference, p->o->platform, &top, &id, &p->manifest, err) <
        0)
        return err->code;
    p->answered = true;
    if (p->o->is_plan)
        return found_without_fetching(p, canonical, &id, ret, err);
    if (get_config(p, err) < 0 || pull_layers(p, err) < 0 ||
        remember(p, name, canonical, &top, &id, err) < 0)
        return err->code;
    found_take(ret, &p->manifest.config.id, &id, &p->config, &p->layers);
    return 0;
}

int from_registry(struct engine *e, const struct image_name *name, const char *canonical,
                  const struct find_options *o, bool *ret_answered, struct found_image *ret,
                  struct err *err)
{
    AUTO(pull_release) struct pull p = { .e = e, .o = o };
    image_config_init(&p.config);
    p.repository = image_name_repository(name);
    p.registry = engine_repository(e, p.repository, err);
    if (p.registry == NULL)
        return err->code;
    int rc = find_unmoved(&p, name, canonical, ret, err);
    if (rc > 0)
        rc = pull(&p, name, canonical, ret, err);
    if (ret_answered != NULL)
        *ret_answered = p.answered;
    return rc;
}
