/* Pulling: the manifest, then the layers that are not here, side by side, each straight into blob
 * and listing. */
#include "engine/from_internal.h"

#include "engine/engine_internal.h"
#include "remote/registry.h"
#include <string.h>

struct pull {
    struct engine *e;
    struct registry *registry;
    const struct find_options *o;
    struct manifest manifest;
    struct image_config config;
    bool answered; /* the registry has named the image */
};

static void pull_release(struct pull *p)
{
    registry_free(p->registry);
    manifest_release(&p->manifest);
    image_config_release(&p->config);
}
DEFINE_AUTO_VALUE(struct pull, pull_release);

/* One layer on its way. */
struct layer_pull {
    struct pull *p;
    const struct descriptor *d;
    const struct diff_id *diff;
};

static int download(void *arg, struct sink *to, struct err *err)
{
    struct layer_pull *l = arg;
    return registry_blob(l->p->registry, l->d, to, err);
}

static int pull_layer(void *arg, struct err *err)
{
    struct layer_pull *l = arg;
    struct pull *p = l->p;
    struct err miss = ERR_INIT;
    if (layer_get(p->e->store, l->diff, &miss) != NULL)
        return 0;
    char id[DIGEST_STR_LEN + 1];
    digest_str(&l->d->id.d, id);
    vertex_status(p->e, p->o->vertex, id, 0, l->d->size, false);
    AUTO(source_free) struct source *from = producer_source(download, l, err);
    if (from == NULL)
        return err->code;
    if (layer_ingest(p->e->store, from, &l->d->id, l->d->size, l->diff, err) == NULL)
        return err_wrap(err, "layer %s", id);
    vertex_status(p->e, p->o->vertex, id, l->d->size, l->d->size, true);
    return 0;
}

static int pull_layers(struct pull *p, struct err *err)
{
    const struct manifest *m = &p->manifest;
    if (m->n_layers != p->config.n_layers)
        return err_set(err, ERR_CORRUPT, "the manifest has %zu layers, the configuration %zu",
                       m->n_layers, p->config.n_layers);
    AUTO(mem_free) struct layer_pull *jobs = mem_calloc(m->n_layers + 1, sizeof(*jobs));
    AUTO(group_free) struct group *g = group_new(p->e->pool);
    for (size_t i = 0; i < m->n_layers; i++) {
        jobs[i] = (struct layer_pull){ .p = p, .d = &m->layers[i], .diff = &p->config.layers[i] };
        enum compression c;
        if (layer_media_parse(m->layers[i].media_type, &c, err) < 0)
            return err->code;
        group_run(g, pull_layer, &jobs[i]);
    }
    return group_wait(g, err);
}

/* The manifest under reference; an index leads to the entry for the platform. ret_top: what the
 * reference names itself. */
static int get_manifest(struct pull *p, const char *reference, struct blob_id *ret_top,
                        struct blob_id *ret_id, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *media = NULL;
    if (registry_manifest(p->registry, reference, &text, &media, ret_top, err) < 0)
        return err->code;
    *ret_id = *ret_top;
    enum doc_kind kind = doc_kind_of(media);
    if (kind == DOC_OCI_MANIFEST || kind == DOC_DOCKER_MANIFEST)
        return manifest_parse(text.data, text.len, media, &p->manifest, err);
    if (kind != DOC_OCI_INDEX && kind != DOC_DOCKER_LIST)
        return err_set(err, ERR_UNSUPPORTED, "the registry answers with '%s', which is no image",
                       media);
    AUTO(index_release) struct index index = { 0 };
    if (index_parse(text.data, text.len, media, &index, err) < 0)
        return err->code;
    const struct descriptor *d = index_pick(&index, p->o->platform);
    char wanted[64];
    if (d == NULL)
        return err_set(err, ERR_NOT_FOUND, "no match for platform in manifest: not found (%s)",
                       platform_format(p->o->platform, wanted));
    AUTO(buf_release) struct buf inner = BUF_INIT;
    AUTO(mem_free) char *inner_media = NULL;
    if (registry_manifest(p->registry, DIGEST_S(&d->id.d), &inner, &inner_media, ret_id, err) < 0)
        return err->code;
    return manifest_parse(inner.data, inner.len, inner_media, &p->manifest, err);
}

static int get_config(struct pull *p, struct err *err)
{
    const struct descriptor *d = &p->manifest.config;
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&text, MANIFEST_MAX);
    if (blob_read(p->e->store, &d->id, MANIFEST_MAX, &text, err) < 0) {
        err_clear(err);
        buf_clear(&text);
        struct blob_id id;
        if (registry_blob(p->registry, d, to, err) < 0 ||
            blob_put(p->e->store, text.data, text.len, &id, err) < 0)
            return err_wrap(err, "configuration");
    }
    image_config_release(&p->config);
    return image_config_parse(text.data, text.len, &p->config, err);
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
    AUTO(mem_free)
    char *reference = str_dup(name->has_digest ? DIGEST_S(&name->digest) : name->tag);
    struct blob_id top, id;
    if (get_manifest(p, reference, &top, &id, err) < 0)
        return err->code;
    p->answered = true;
    if (p->o->is_plan)
        return found_without_fetching(p, canonical, &id, ret, err);
    if (get_config(p, err) < 0 || pull_layers(p, err) < 0 ||
        remember(p, name, canonical, &top, &id, err) < 0)
        return err->code;
    return found_from_config(p->e, &p->manifest.config.id, &id, ret, err);
}

int from_registry(struct engine *e, const struct image_name *name, const char *canonical,
                  const struct find_options *o, bool *ret_answered, struct found_image *ret,
                  struct err *err)
{
    struct http *h = engine_http(e);
    AUTO(pull_release) struct pull p = { .e = e, .o = o };
    image_config_init(&p.config);
    const struct registry_config *config = engine_registries(e, err);
    if (config != NULL)
        p.registry = registry_open(h, config, name, REGISTRY_PULL, err);
    if (p.registry == NULL)
        return err->code;
    int rc = find_unmoved(&p, name, canonical, ret, err);
    if (rc > 0)
        rc = pull(&p, name, canonical, ret, err);
    if (ret_answered != NULL)
        *ret_answered = p.answered;
    return rc;
}
