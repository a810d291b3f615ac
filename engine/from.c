/*
 * Where FROM looks: shale's own store, then a Docker engine's images, then
 * what a registry's name was last seen to be, then the registry. What a tag
 * was seen to be counts for an hour; then the registry is asked again, and
 * when nobody answers it counts on. What a digest names counts for ever.
 */
#include "engine/build_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/from_internal.h"
#include "engine/image_ops.h"
#include "remote/registry.h"
#include <string.h>

#define TAG_COUNTS_S (60 * 60)

void found_image_release(struct found_image *f)
{
    image_config_release(&f->config);
    mem_free(f->layers);
    memset(f, 0, sizeof(*f));
}

int config_layers(struct store *s, const struct image_config *c, const struct layer ***ret,
                  struct err *err)
{
    AUTO(mem_free) const struct layer **layers = mem_calloc(c->n_layers + 1, sizeof(*layers));
    for (size_t i = 0; i < c->n_layers; i++) {
        layers[i] = layer_get(s, &c->layers[i], err);
        if (layers[i] == NULL)
            return err->code;
    }
    *ret = TAKE(layers);
    return 0;
}

void found_take(struct found_image *ret, const struct blob_id *config_id,
                const struct blob_id *manifest, struct image_config *config,
                const struct layer ***layers)
{
    *ret = (struct found_image){ .config_id = *config_id,
                                 .has_manifest = manifest != NULL,
                                 .config = *config,
                                 .layers = TAKE(*layers),
                                 .n_layers = config->n_layers };
    if (manifest != NULL)
        ret->manifest_id = *manifest;
    image_config_init(config);
}

int found_from_config(struct engine *e, const struct blob_id *config_id,
                      const struct blob_id *manifest, struct found_image *ret, struct err *err)
{
    AUTO(image_config_release) struct image_config config;
    AUTO(mem_free) const struct layer **layers = NULL;
    image_config_init(&config);
    struct image_config stored;
    if (tag_config(e->store, config_id, &stored, err) < 0)
        return err->code;
    image_config_release(&config);
    config = stored;
    if (config_layers(e->store, &config, &layers, err) < 0)
        return err->code;
    found_take(ret, config_id, manifest, &config, &layers);
    return 0;
}

static int from_stored(struct engine *e, const struct stored_image *i, struct found_image *ret,
                       struct err *err)
{
    return found_from_config(e, &i->config, i->has_manifest ? &i->manifest : NULL, ret, err);
}

static int check_platform(const struct found_image *f, const struct platform *want,
                          const char *name, struct err *err)
{
    if (want == NULL || platform_match(want, &f->config.platform) >= 0)
        return 0;
    char wanted[64], have[64];
    return err_set(err, ERR_NOT_FOUND, "image '%s' is for %s, not for %s", name,
                   platform_format(&f->config.platform, have), platform_format(want, wanted));
}

/* By the name in the store. A damaged or incomplete image is a miss. */
static int from_own_tags(struct engine *e, const char *canonical, const struct find_options *o,
                         struct found_image *ret, struct err *err)
{
    AUTO(stored_image_release) struct stored_image i = { 0 };
    if (tag_get_for(e->store, canonical, o->platform, &i, err) < 0)
        return err->code;
    AUTO(found_image_release) struct found_image f = { 0 };
    if (from_stored(e, &i, &f, err) < 0) {
        log_warn("engine", "'%s' is in the store but not whole: %s", canonical, err->msg);
        return err_set(err, ERR_NOT_FOUND, "'%s' is not whole", canonical);
    }
    /* what a name has for a platform is that, whatever its last stage was */
    if (!i.is_chosen && check_platform(&f, o->platform, canonical, err) < 0)
        return err->code;
    *ret = f;
    memset(&f, 0, sizeof(f));
    return 0;
}

typedef int (*finder)(struct engine *e, const struct image_name *name, const char *canonical,
                      const struct find_options *o, struct found_image *ret, struct err *err);

static int find_own(struct engine *e, const struct image_name *name UNUSED, const char *canonical,
                    const struct find_options *o, struct found_image *ret, struct err *err)
{
    return from_own_tags(e, canonical, o, ret, err);
}

static int find_docker(struct engine *e, const struct image_name *name, const char *canonical,
                       const struct find_options *o, struct found_image *ret, struct err *err)
{
    if (name->has_digest)
        return err_set(err, ERR_NOT_FOUND, "digests are looked up in the registry");
    AUTO(found_image_release) struct found_image f = { 0 };
    if (from_docker(e, name, canonical, o, &f, err) < 0)
        return err->code;
    if (check_platform(&f, o->platform, canonical, err) < 0)
        return err->code;
    *ret = f;
    memset(&f, 0, sizeof(f));
    return 0;
}

static bool is_old(int64_t seen_s)
{
    int64_t now = clock_wall_s();
    return now - seen_s >= TAG_COUNTS_S || seen_s > now;
}

/* The registry's word when it gives one, also that there is no such image; else known. */
static int ask_again(struct engine *e, const struct image_name *name, const char *canonical,
                     const struct find_options *o, const struct stored_image *known,
                     struct found_image *ret, struct err *err)
{
    char platform[64];
    struct found_image now = { 0 };
    struct err why = ERR_INIT;
    bool answered = false;
    int rc = from_registry(e, name, canonical, o, &answered, &now, &why);
    if (rc != 0 && (rc != ERR_NET || answered))
        return err_copy(err, &why); /* what it was before is not what it is */
    if (rc == 0) {
        found_image_release(ret);
        *ret = now;
        return 0;
    }
    log_debug("engine", "%s", why.msg);
    vertex_note(e, o->vertex, "%s does not answer: going on with what %s was before", name->domain,
                canonical);
    if (o->is_plan)
        return 0;
    /* so that not every build waits for nobody */
    return remote_name_set(e->store, canonical, platform_format(o->platform, platform),
                           &known->manifest, &known->config, err);
}

/* *ret_asked: the answer is the registry's. */
static int recall(struct engine *e, const struct image_name *name, const char *canonical,
                  const struct find_options *o, bool *ret_asked, struct found_image *ret,
                  struct err *err)
{
    char platform[64];
    AUTO(stored_image_release) struct stored_image known = { 0 };
    AUTO(found_image_release) struct found_image f = { 0 };
    AUTO(mem_free) char *remembered = from_remembered_name(name, canonical);
    platform_format(o->platform, platform);
    if (remote_name_get(e->store, remembered, platform, &known, err) < 0)
        return err->code;
    if (from_stored(e, &known, &f, err) < 0)
        return err_set(err, ERR_NOT_FOUND, "'%s' is not whole", canonical);
    *ret_asked = !name->has_digest && !o->offline && is_old(known.tagged_s);
    if (*ret_asked && ask_again(e, name, canonical, o, &known, &f, err) < 0)
        return err->code;
    *ret = f;
    memset(&f, 0, sizeof(f));
    return 0;
}

static int find_remembered(struct engine *e, const struct image_name *name, const char *canonical,
                           const struct find_options *o, struct found_image *ret, struct err *err)
{
    bool asked;
    return recall(e, name, canonical, o, &asked, ret, err);
}

static int say_not_found(int rc, const char *canonical, struct err *err)
{
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "%s: not found", canonical) : rc;
}

static int find_registry(struct engine *e, const struct image_name *name, const char *canonical,
                         const struct find_options *o, struct found_image *ret, struct err *err)
{
    if (o->offline)
        return err_set(err, ERR_NOT_FOUND, "'%s' is not here, and --offline forbids asking",
                       canonical);
    return say_not_found(from_registry(e, name, canonical, o, NULL, ret, err), canonical, err);
}

/* What the registry was seen to have, else what it has: it is asked once. */
static int find_remote(struct engine *e, const struct image_name *name, const char *canonical,
                       const struct find_options *o, struct found_image *ret, struct err *err)
{
    bool asked = false;
    int rc = recall(e, name, canonical, o, &asked, ret, err);
    if (rc == 0)
        return 0;
    if (asked)
        return say_not_found(rc, canonical, err);
    err_clear(err);
    return find_registry(e, name, canonical, o, ret, err);
}

int find_image(struct engine *e, const char *name, const struct find_options *o,
               struct found_image *ret, struct err *err)
{
    static const finder usual[] = { find_own, find_docker, find_remote, NULL };
    static const finder pulling[] = { find_registry, find_own, find_docker, find_remembered, NULL };
    AUTO(image_name_release) struct image_name n = { 0 };
    if (image_name_parse(name, &n, err) < 0)
        return err->code;
    struct platform host = platform_host();
    struct find_options options = *o;
    if (options.platform == NULL)
        options.platform = &host;
    AUTO(mem_free) char *canonical = image_name_canonical(&n);
    bool pull = o->pull && !o->offline && !n.has_digest; /* what a digest names cannot move */
    const finder *finders = pull ? pulling : usual;
    struct err last = ERR_INIT;
    for (size_t i = 0; finders[i] != NULL; i++) {
        struct err one = ERR_INIT;
        int rc = finders[i](e, &n, canonical, &options, ret, &one);
        if (rc == 0)
            return 0;
        log_debug("engine", "'%s': %s", canonical, one.msg);
        if (rc == ERR_CANCELLED || rc == ERR_UNDECIDED)
            return err_copy(err, &one);
        bool registry = finders[i] == find_registry || finders[i] == find_remote;
        if (registry && pull)
            return err_copy(err, &one); /* --pull asked for the registry's word */
        if (registry || last.code == ERR_NONE)
            last = one;
    }
    return err_copy(err, &last);
}
