#include "engine/output_options.h"

#include "base/log.h"
#include "image/name.h"
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ANNOTATION "annotation"

void output_options_init(struct output_options *x)
{
    *x = (struct output_options){ .compression = COMPRESSION_GZIP, .is_tar = true };
    x->docs.compression = &x->compression;
    x->docs.names = &x->names;
}

void annotation_release(struct annotation *a)
{
    mem_free(a->key);
    mem_free(a->value);
}

void output_options_release(struct output_options *x)
{
    for (size_t i = 0; i < x->n_annotations; i++)
        annotation_release(&x->annotations[i]);
    mem_free(x->annotations);
    strv_release(&x->names);
    mem_free(x->epoch);
}

int build_canonical_names(const struct strv *tags, struct strv *ret, struct err *err)
{
    for (size_t i = 0; i < tags->n; i++) {
        AUTO(image_name_release) struct image_name n = { 0 };
        if (image_name_parse(tags->v[i], &n, err) < 0)
            return err_wrap(err, "invalid tag \"%s\"", tags->v[i]);
        if (n.has_digest)
            return err_set(err, ERR_USAGE, "invalid tag \"%s\": a tag has no digest", tags->v[i]);
        strv_take(ret, image_name_canonical(&n));
    }
    return 0;
}

/* Annotations. */

bool annotation_place_parse(const char *name, enum annotation_place *ret)
{
    static const char *const names[] = {
        [ANNOTATION_MANIFEST] = "manifest",
        [ANNOTATION_MANIFEST_DESCRIPTOR] = "manifest-descriptor",
        [ANNOTATION_INDEX] = "index",
        [ANNOTATION_INDEX_DESCRIPTOR] = "index-descriptor",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(name, names[i])) {
            *ret = (enum annotation_place)i;
            return true;
        }
    return false;
}

static int take_platform(const char *text, size_t n, struct annotation *ret, struct err *err)
{
    AUTO(mem_free) char *platform = str_ndup(text, n);
    ret->has_platform = true;
    return platform_parse(platform, &ret->platform, err);
}

int annotation_parse(const char *name, struct annotation *ret, struct err *err)
{
    struct annotation a = { .place = ANNOTATION_MANIFEST };
    const char *s = name + strlen(ANNOTATION);
    if (!str_starts(name, ANNOTATION) || (*s != '-' && *s != '[' && *s != '.'))
        return 0;
    if (*s == '-') {
        size_t n = strcspn(++s, "[.");
        AUTO(mem_free) char *place = str_ndup(s, n);
        if (!annotation_place_parse(place, &a.place))
            return err_set(err, ERR_USAGE, "unrecognized annotation type %s", place);
        s += n;
    }
    if (*s == '[') {
        size_t n = strcspn(++s, "]");
        if (take_platform(s, n, &a, err) < 0)
            return err->code;
        s += n + (s[n] != '\0');
    }
    if (s[0] != '.' || s[1] == '\0')
        return err_set(err, ERR_USAGE, "failed to parse annotation \"%s\"", name);
    a.key = str_dup(s + 1);
    *ret = a;
    return 1;
}

static void add_annotation(struct output_options *x, const struct annotation *a, const char *value)
{
    MEM_ROOM(x->annotations, x->n_annotations, x->cap_annotations);
    struct annotation *to = &x->annotations[x->n_annotations++];
    *to = *a;
    to->value = str_dup(value);
}

/* Attributes by name. */

static int take_compression(struct output_options *x, const char *value, struct err *err)
{
    static const enum compression all[] = { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (str_eq(value, compression_name(all[i]))) {
            x->compression = all[i];
            return 0;
        }
    if (str_eq(value, "estargz"))
        return err_set(err, ERR_UNSUPPORTED,
                       "compression type estargz is not supported by this version of shale: "
                       "use gzip, zstd or uncompressed");
    return err_set(err, ERR_USAGE, "unsupported compression type %s", value);
}

static int take_level(struct output_options *x, const char *value, struct err *err)
{
    char *end;
    errno = 0;
    long level = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0)
        return err_set(err, ERR_USAGE,
                       "non-integer value %s specified for compression-level: strconv.ParseInt: "
                       "parsing \"%s\": invalid syntax",
                       value, value);
    x->level = level < 0 ? 0 : level > 22 ? 22 : (int)level;
    x->docs.level = &x->level;
    return 0;
}

static int take_names(struct output_options *x, const char *value, struct err *err)
{
    AUTO(strv_release) struct strv given = STRV_INIT;
    if (x->names.n > 0 || *value == '\0') /* tags stand in its place, as with buildx */
        return 0;
    strv_split(&given, value, ',');
    return build_canonical_names(&given, &x->names, err);
}

static int take_epoch(struct output_options *x, const char *value, struct err *err UNUSED)
{
    mem_free(x->epoch);
    x->epoch = *value != '\0' ? str_dup(value) : NULL;
    return 0;
}

static const struct attribute {
    const char *name;
    int (*take)(struct output_options *x, const char *value, struct err *err);
    size_t flag; /* offset of a bool, when there is no take; 0: looked at, and without meaning */
    bool is_bool;
} attributes[] = {
    { "compression", .take = take_compression },
    { "compression-level", .take = take_level },
    { "name", .take = take_names },
    { "source-date-epoch", .take = take_epoch },
#define FLAG(m) .is_bool = true, .flag = offsetof(struct output_options, m)
    { "force-compression", FLAG(docs.force_compression) },
    { "oci-mediatypes", FLAG(oci_types) },
    { "oci-artifact", FLAG(docs.artifact_attestations) },
    { "attestation-inline", FLAG(inline_attestations) },
    { "push", FLAG(push) },
    { "push-by-digest", FLAG(by_digest) },
    { "registry.insecure", FLAG(insecure) },
    { "name-canonical", FLAG(name_canonical) },
    { "tar", FLAG(is_tar) },
    { "listings", FLAG(listings) }, /* ours: docs/listings-in-registries.md */
#undef FLAG
    { "prefer-nondist-layers", .is_bool = true },
    { "rewrite-timestamp", .is_bool = true }, /* with an epoch layers have its time anyway */
    { "unpack", .is_bool = true },
    { "store", .is_bool = true },
    { .name = "dangling-name-prefix" },
    { .name = "danling-name-prefix" },
    { .name = "context" },
};

static int take_bool(struct output_options *x, const struct attribute *a, const char *value,
                     struct err *err)
{
    bool on = true; /* "push=" is true */
    if (*value != '\0' && !str_to_bool(value, &on))
        return err_set(err, ERR_USAGE,
                       "non-bool value specified for %s: strconv.ParseBool: parsing \"%s\": "
                       "invalid syntax",
                       a->name, value);
    if (a->flag != 0)
        *(bool *)((char *)x + a->flag) = on;
    return 0;
}

static int take(struct output_options *x, const char *name, const char *value, struct err *err)
{
    struct annotation annotation;
    int rc = annotation_parse(name, &annotation, err);
    if (rc < 0)
        return rc;
    if (rc > 0) {
        add_annotation(x, &annotation, value);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
        const struct attribute *a = &attributes[i];
        if (!str_eq(name, a->name))
            continue;
        if (a->take != NULL)
            return a->take(x, value, err);
        return a->is_bool ? take_bool(x, a, value, err) : 0;
    }
    log_debug("engine", "output attribute %s has no effect", name);
    return 0;
}

/* In the order of their names: which error is said, and nothing else, depends on it. */
static int take_all(struct output_options *x, const struct map *attrs, struct err *err)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    const char *name;
    void *value;
    for (size_t i = 0; attrs != NULL && map_next(attrs, &i, &name, &value);)
        strv_add(&names, name);
    strv_sort(&names);
    for (size_t i = 0; i < names.n; i++)
        if (take(x, names.v[i], map_get(attrs, names.v[i]), err) < 0)
            return err->code;
    return 0;
}

/* The times of an image are the build's. */
static int check_times(const struct output_options *x, const struct build_options *b,
                       struct err *err)
{
    const char *epoch = env_get(&b->build_args, "SOURCE_DATE_EPOCH");
    if (x->epoch != NULL && !str_eq(x->epoch, epoch))
        return err_set(err, ERR_UNSUPPORTED,
                       "source-date-epoch of an output is not supported by this version of shale: "
                       "set SOURCE_DATE_EPOCH for the build");
    return 0;
}

/* A push by digest sets no tag, so none may be given: on the last part of the name. */
static int refuse_tags(const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        const char *slash = strrchr(given->v[i], '/');
        if (strchr(slash != NULL ? slash : given->v[i], ':') != NULL)
            return err_set(err, ERR_USAGE, "can't push tagged ref %s by digest", given->v[i]);
    }
    return 0;
}

static int check_by_digest(const struct output_options *x, const struct build_output *o,
                           const struct build_options *b, struct err *err)
{
    const char *name = o->attrs != NULL ? map_get(o->attrs, "name") : NULL;
    AUTO(strv_release) struct strv given = STRV_INIT;
    if (!x->push || !x->by_digest)
        return 0;
    if (b->tags.n > 0)
        return refuse_tags(&b->tags, err);
    strv_split(&given, name != NULL ? name : "", ',');
    return refuse_tags(&given, err);
}

int output_options_parse(struct output_options *x, const struct build_output *o,
                         const struct build_options *b, struct err *err)
{
    x->oci_types = !str_eq(o->type, "docker");
    x->listings = true;
    if (build_canonical_names(&b->tags, &x->names, err) < 0 || take_all(x, o->attrs, err) < 0 ||
        check_times(x, b, err) < 0 || check_by_digest(x, o, b, err) < 0)
        return err->code;
    for (size_t i = 0; i < b->n_annotations; i++) {
        struct annotation copy = b->annotations[i];
        copy.key = str_dup(copy.key);
        add_annotation(x, &copy, b->annotations[i].value);
    }
    x->docs.docker_types = !x->oci_types;
    x->docs.no_listings = !x->listings;
    x->docs.annotations = x->annotations;
    x->docs.n_annotations = x->n_annotations;
    return 0;
}
