#include "image/oci.h"
#include "image/oci_internal.h"

#include "base/mem.h"
#include <string.h>
#include <strings.h>

#define LAYERS_MAX 10000u
#define MANIFESTS_MAX 10000u
#define MEDIA_TYPE_MAX 255u

/* ---- Media types ---- */

static const struct doc {
    const char *media_type;
    bool index;
} docs[] = {
    [DOC_OCI_INDEX] = { "application/vnd.oci.image.index.v1+json", true },
    [DOC_DOCKER_LIST] = { "application/vnd.docker.distribution.manifest.list.v2+json", true },
    [DOC_OCI_MANIFEST] = { "application/vnd.oci.image.manifest.v1+json", false },
    [DOC_DOCKER_MANIFEST] = { "application/vnd.docker.distribution.manifest.v2+json", false },
};

/* The first row of a family and compression is the one that is written. */
static const struct layer_media {
    const char *media_type;
    enum compression compression;
    bool docker, foreign;
} layer_media[] = {
    { MEDIA_OCI_LAYER, COMPRESSION_NONE, false, false },
    { MEDIA_OCI_LAYER "+gzip", COMPRESSION_GZIP, false, false },
    { MEDIA_OCI_LAYER "+zstd", COMPRESSION_ZSTD, false, false },
    { "application/vnd.docker.image.rootfs.diff.tar", COMPRESSION_NONE, true, false },
    { MEDIA_DOCKER_LAYER, COMPRESSION_GZIP, true, false },
    { "application/vnd.docker.image.rootfs.diff.tar.zstd", COMPRESSION_ZSTD, true, false },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar", COMPRESSION_NONE, false, true },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", COMPRESSION_GZIP, false,
      true },
    { "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", COMPRESSION_ZSTD, false,
      true },
    { "application/vnd.docker.image.rootfs.foreign.diff.tar", COMPRESSION_NONE, true, true },
    { "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", COMPRESSION_GZIP, true, true },
};

enum doc_kind doc_kind_of(const char *media_type)
{
    for (size_t i = 1; media_type && i < ARRAY_LEN(docs); i++)
        if (strcmp(docs[i].media_type, media_type) == 0)
            return (enum doc_kind)i;
    return DOC_UNKNOWN;
}

const char *doc_media_type(enum doc_kind kind)
{
    return (size_t)kind < ARRAY_LEN(docs) ? docs[kind].media_type : NULL;
}

const char *layer_media_type(enum compression c, bool docker)
{
    for (size_t i = 0; i < ARRAY_LEN(layer_media); i++)
        if (layer_media[i].compression == c && layer_media[i].docker == docker)
            return layer_media[i].media_type;
    return NULL;
}

int layer_media_parse(const char *media_type, enum compression *ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(layer_media); i++)
        if (strcmp(layer_media[i].media_type, media_type) == 0) {
            *ret = layer_media[i].compression;
            return 0;
        }
    return err_set(err, ERR_UNSUPPORTED, "'%.128s' is not the media type of a layer", media_type);
}

/* ---- Reading what all documents have ---- */

json_t *doc_read(const char *p, size_t n, const char *what, struct err *err)
{
    if (n > MANIFEST_MAX) {
        err_set(err, ERR_CORRUPT, "%s: larger than %u bytes", what, MANIFEST_MAX);
        return NULL;
    }
    json_t *doc = json_parse(p, n, what, err);
    if (doc == NULL || json_is_object(doc))
        return doc;
    json_decref(doc);
    err_set(err, ERR_CORRUPT, "%s: not an object", what);
    return NULL;
}

/*
 * Docker's parser takes "Layers" for "layers"; a document that has both, or
 * the wrong one, would mean one thing here and another there.
 */
int doc_names(const json_t *obj, const char *const *known, size_t n, const char *what,
              struct err *err)
{
    json_t *o = json_incref((json_t *)(uintptr_t)obj);
    const char *key;
    json_t *value;
    int code = 0;
    json_object_foreach(o, key, value) for (size_t i = 0; code == 0 && i < n;
                                            i++) if (strcasecmp(key, known[i]) == 0 &&
                                                     strcmp(key, known[i]) != 0) code =
        err_set(err, ERR_CORRUPT, "%s: '%s' for '%s'", what, key, known[i]);
    json_decref(o);
    return code;
}

static int bad(struct err *err, const char *what, const char *why)
{
    return err_set(err, ERR_CORRUPT, "%s: %s", what, why);
}

static int string_member(const json_t *obj, const char *key, const char *what, char **ret,
                         struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    const char *s = json_string_value(v);
    if (s == NULL || *s == '\0' || strlen(s) > MEDIA_TYPE_MAX)
        return err_set(err, ERR_CORRUPT, "%s: no usable '%s'", what, key);
    *ret = str_dup(s);
    return 0;
}

static int annotations(const json_t *obj, const char *what, json_t **ret, struct err *err)
{
    json_t *v = json_object_get(obj, "annotations"), *value;
    const char *key;
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_object(v))
        return bad(err, what, "'annotations' is not an object");
    json_object_foreach(v, key, value) if (!json_is_string(value)) return bad(
        err, what, "an annotation that is not a string");
    *ret = json_incref(v);
    return 0;
}

/* ---- Descriptors ---- */

void descriptor_release(struct descriptor *d)
{
    mem_free(d->media_type);
    json_decref(d->annotations);
    memset(d, 0, sizeof(*d));
}

static int descriptor_fill(const json_t *obj, const char *what, struct descriptor *d,
                           struct err *err)
{
    static const char *const names[] = { "mediaType", "digest", "size", "platform", "annotations" };
    const json_t *size = json_object_get(obj, "size"), *platform;
    const char *digest = json_get_str(obj, "digest");
    if (!json_is_object(obj))
        return bad(err, what, "a descriptor that is not an object");
    if (doc_names(obj, names, ARRAY_LEN(names), what, err) < 0 ||
        string_member(obj, "mediaType", what, &d->media_type, err) < 0)
        return err->code;
    if (digest == NULL)
        return bad(err, what, "no usable 'digest'");
    if (digest_parse(digest, &d->id.d, err) < 0)
        return err_wrap(err, "%s", what);
    if (!json_is_integer(size) || json_integer_value(size) < 0)
        return bad(err, what, "no usable 'size'");
    d->size = (uint64_t)json_integer_value(size);
    platform = json_object_get(obj, "platform");
    if (platform && !json_is_null(platform)) {
        if (platform_from_json(platform, &d->platform, err) < 0)
            return err_wrap(err, "%s", what);
        d->has_platform = true;
    }
    return annotations(obj, what, &d->annotations, err);
}

static int descriptor_list(const json_t *list, size_t max, const char *what,
                           struct descriptor **ret, size_t *ret_n, struct err *err)
{
    size_t n = json_array_size(list);
    if (!json_is_array(list))
        return bad(err, what, "a list is missing");
    if (n > max)
        return err_set(err, ERR_CORRUPT, "%s: more than %zu entries", what, max);
    *ret = mem_calloc(n, sizeof(**ret));
    for (size_t i = 0; i < n; i++) {
        *ret_n = i + 1;
        if (descriptor_fill(json_array_get(list, i), what, &(*ret)[i], err) < 0)
            return err->code;
    }
    return 0;
}

static json_t *platform_json(const struct platform *p)
{
    json_t *o = json_object();
    json_object_set_new(o, "architecture", json_from_str(p->arch));
    json_object_set_new(o, "os", json_from_str(p->os));
    if (p->os_version[0])
        json_object_set_new(o, "os.version", json_from_str(p->os_version));
    if (p->variant[0])
        json_object_set_new(o, "variant", json_from_str(p->variant));
    return o;
}

void descriptor_copy(struct descriptor *dst, const struct descriptor *src)
{
    *dst = *src;
    dst->media_type = src->media_type ? str_dup(src->media_type) : NULL;
    dst->annotations = src->annotations ? json_deep_copy(src->annotations) : NULL;
}

void annotation_set(json_t **annotations, const char *key, const char *value)
{
    if (*annotations == NULL)
        *annotations = json_object();
    json_t *clean = json_from_str(key);
    json_object_set_new(*annotations, json_string_value(clean), json_from_str(value));
    json_decref(clean);
}

static json_t *sorted(json_t *annotations)
{
    AUTO(strv_release) struct strv keys = STRV_INIT;
    json_t *ret = json_object(), *value;
    const char *key;
    json_object_foreach(annotations, key, value) strv_add(&keys, key);
    strv_sort(&keys);
    for (size_t i = 0; i < keys.n; i++)
        json_object_set(ret, keys.v[i], json_object_get(annotations, keys.v[i]));
    return ret;
}

static void add_annotations(json_t *to, json_t *annotations)
{
    if (json_object_size(annotations) > 0)
        json_object_set_new(to, "annotations", sorted(annotations));
}

json_t *descriptor_to_json(const struct descriptor *d)
{
    json_t *o = json_object();
    json_object_set_new(o, "mediaType", json_from_str(d->media_type ? d->media_type : ""));
    json_object_set_new(o, "digest", json_string(DIGEST_S(&d->id.d)));
    json_object_set_new(o, "size", json_integer((json_int_t)d->size));
    add_annotations(o, d->annotations);
    if (d->has_platform)
        json_object_set_new(o, "platform", platform_json(&d->platform));
    return o;
}

static void descriptors_release(struct descriptor *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        descriptor_release(&list[i]);
    mem_free(list);
}

static json_t *descriptors_json(const struct descriptor *list, size_t n)
{
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, descriptor_to_json(&list[i]));
    return a;
}

/* ---- Kind ---- */

/*
 * What a document is, told by its transport, must be what it says itself and
 * what it looks like (CVE-2021-41190: one blob, read as a manifest here and as an index there).
 */
static int doc_kind(const json_t *doc, const char *media_type, const char *what, enum doc_kind *ret,
                    struct err *err)
{
    static const char *const names[] = { "schemaVersion", "mediaType",   "config",      "layers",
                                         "manifests",     "annotations", "artifactType" };
    const json_t *own = json_object_get(doc, "mediaType");
    const char *own_type = json_string_value(own);
    if (doc_names(doc, names, ARRAY_LEN(names), what, err) < 0)
        return err->code;
    if (json_get_int(doc, "schemaVersion", 0) != 2)
        return err_set(err, ERR_UNSUPPORTED, "%s: schemaVersion is not 2", what);
    if (own && own_type == NULL)
        return bad(err, what, "'mediaType' is not a string");
    if (own_type == NULL && media_type == NULL)
        return bad(err, what, "no 'mediaType'");
    if (own_type && media_type && strcmp(own_type, media_type) != 0)
        return err_set(err, ERR_CORRUPT, "%s: said to be '%.128s', says '%.128s'", what, media_type,
                       own_type);
    *ret = doc_kind_of(own_type ? own_type : media_type);
    return 0;
}

static bool has_any(const json_t *doc, const char *const *keys, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_object_get(doc, keys[i]))
            return true;
    return false;
}

/* ---- Manifests ---- */

void manifest_release(struct manifest *m)
{
    descriptor_release(&m->config);
    descriptors_release(m->layers, m->n_layers);
    descriptor_release(&m->subject);
    mem_free(m->artifact_type);
    json_decref(m->annotations);
    memset(m, 0, sizeof(*m));
}

int manifest_parse(const char *p, size_t n, const char *media_type, struct manifest *ret,
                   struct err *err)
{
    static const char what[] = "manifest";
    static const char *const foreign[] = { "manifests", "fsLayers" };
    json_auto_t *doc = doc_read(p, n, what, err);
    AUTO(manifest_release) struct manifest m = { .kind = DOC_UNKNOWN };
    if (doc == NULL || doc_kind(doc, media_type, what, &m.kind, err) < 0)
        return err->code;
    if (m.kind != DOC_OCI_MANIFEST && m.kind != DOC_DOCKER_MANIFEST)
        return err_set(err, ERR_UNSUPPORTED, "manifest: not a manifest of an image");
    if (has_any(doc, foreign, ARRAY_LEN(foreign)))
        return bad(err, what, "it is an index too");
    if (descriptor_fill(json_object_get(doc, "config"), what, &m.config, err) < 0 ||
        descriptor_list(json_object_get(doc, "layers"), LAYERS_MAX, what, &m.layers, &m.n_layers,
                        err) < 0 ||
        annotations(doc, what, &m.annotations, err) < 0)
        return err->code;
    m.artifact_type = str_dup(json_get_str(doc, "artifactType"));
    *ret = m;
    memset(&m, 0, sizeof(m));
    return 0;
}

void manifest_add_layer(struct manifest *m, const char *media_type, const struct blob_id *id,
                        uint64_t size)
{
    struct descriptor d = { .media_type = str_dup(media_type), .id = *id, .size = size };
    m->layers = mem_grow(m->layers, m->n_layers + 1, sizeof(*m->layers));
    m->layers[m->n_layers++] = d;
}

static json_t *doc_new(enum doc_kind kind)
{
    json_t *doc = json_object();
    json_object_set_new(doc, "schemaVersion", json_integer(2));
    json_object_set_new(doc, "mediaType", json_string(doc_media_type(kind)));
    return doc;
}

/* BuildKit indents these two kinds of documents, and only these. */
void manifest_write(const struct manifest *m, struct buf *b)
{
    json_auto_t *doc = doc_new(m->kind ? m->kind : DOC_OCI_MANIFEST);
    if (m->artifact_type != NULL)
        json_object_set_new(doc, "artifactType", json_string(m->artifact_type));
    json_object_set_new(doc, "config", descriptor_to_json(&m->config));
    json_object_set_new(doc, "layers", descriptors_json(m->layers, m->n_layers));
    if (m->subject.media_type != NULL)
        json_object_set_new(doc, "subject", descriptor_to_json(&m->subject));
    add_annotations(doc, m->annotations);
    json_write_pretty(doc, b, 2);
}

/* ---- Indexes ---- */

void index_release(struct index *x)
{
    descriptors_release(x->manifests, x->n_manifests);
    json_decref(x->annotations);
    memset(x, 0, sizeof(*x));
}

int index_parse(const char *p, size_t n, const char *media_type, struct index *ret, struct err *err)
{
    static const char what[] = "index";
    static const char *const foreign[] = { "config", "layers", "fsLayers" };
    json_auto_t *doc = doc_read(p, n, what, err);
    AUTO(index_release) struct index x = { .kind = DOC_UNKNOWN };
    if (doc == NULL || doc_kind(doc, media_type, what, &x.kind, err) < 0)
        return err->code;
    if (x.kind == DOC_UNKNOWN || !docs[x.kind].index)
        return err_set(err, ERR_UNSUPPORTED, "index: not an index of images");
    if (has_any(doc, foreign, ARRAY_LEN(foreign)))
        return bad(err, what, "it is a manifest too");
    if (descriptor_list(json_object_get(doc, "manifests"), MANIFESTS_MAX, what, &x.manifests,
                        &x.n_manifests, err) < 0 ||
        annotations(doc, what, &x.annotations, err) < 0)
        return err->code;
    *ret = x;
    memset(&x, 0, sizeof(x));
    return 0;
}

struct descriptor *index_add(struct index *x)
{
    x->manifests = mem_grow(x->manifests, x->n_manifests + 1, sizeof(*x->manifests));
    struct descriptor *d = &x->manifests[x->n_manifests++];
    *d = (struct descriptor){ .media_type = NULL };
    return d;
}

void index_write(const struct index *x, struct buf *b)
{
    json_auto_t *doc = doc_new(x->kind ? x->kind : DOC_OCI_INDEX);
    json_object_set_new(doc, "manifests", descriptors_json(x->manifests, x->n_manifests));
    add_annotations(doc, x->annotations);
    json_write_pretty(doc, b, 2);
}

static bool is_image(const struct descriptor *d)
{
    enum doc_kind kind = doc_kind_of(d->media_type);
    if (kind != DOC_OCI_MANIFEST && kind != DOC_DOCKER_MANIFEST)
        return false;
    if (json_object_get(d->annotations, "vnd.docker.reference.type"))
        return false;
    return !d->has_platform || strcmp(d->platform.os, "unknown") != 0;
}

/* An entry that says no platform may be any: after all that do. */
const struct descriptor *index_pick(const struct index *x, const struct platform *want)
{
    const struct descriptor *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < x->n_manifests; i++) {
        const struct descriptor *d = &x->manifests[i];
        if (!is_image(d))
            continue;
        int rank = d->has_platform ? platform_match(want, &d->platform) : 1000;
        if (rank >= 0 && (best == NULL || rank < best_rank)) {
            best = d;
            best_rank = rank;
        }
    }
    return best;
}
