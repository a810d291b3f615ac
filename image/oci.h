/*
 * OCI image documents: configuration, manifest, index, and their Docker
 * schema 2 twins (image-spec v1.1, distribution manifest v2 schema 2).
 *
 * Read strictly (no duplicate keys, caps on count and size, mediaType must
 * agree with what the document holds: CVE-2021-41190); written in the key
 * order that Docker writes, so that equal images have equal bytes.
 */
#ifndef SHALE_IMAGE_OCI_H
#define SHALE_IMAGE_OCI_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/own.h"
#include "base/stream.h"
#include "image/platform.h"
#include <stdbool.h>
#include <stdint.h>

#define MANIFEST_MAX (4u << 20) /* bytes of a manifest, index or configuration that are read */

enum doc_kind {
    DOC_UNKNOWN,
    DOC_OCI_INDEX,
    DOC_DOCKER_LIST,
    DOC_OCI_MANIFEST,
    DOC_DOCKER_MANIFEST,
};
/* By media type; DOC_UNKNOWN for others. */
enum doc_kind doc_kind_of(const char *media_type);
const char *doc_media_type(enum doc_kind kind);

#define MEDIA_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER "application/vnd.oci.image.layer.v1.tar" /* + "", "+gzip", "+zstd" */
#define MEDIA_OCI_EMPTY "application/vnd.oci.empty.v1+json"      /* "{}" */
#define MEDIA_IN_TOTO "application/vnd.in-toto+json"
#define MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"

/* The layer media type for a compression, OCI or Docker; NULL when there is none. */
const char *layer_media_type(enum compression c, bool docker);
/* Both families, foreign layers included; ERR_UNSUPPORTED for what is not a layer. */
int layer_media_parse(const char *media_type, enum compression *ret, struct err *err);

struct descriptor {
    char *media_type;
    struct blob_id id;
    uint64_t size;
    bool has_platform;
    struct platform platform;
    json_t *annotations; /* object or NULL, owned */
};
void descriptor_release(struct descriptor *d);
void descriptor_copy(struct descriptor *dst, const struct descriptor *src); /* dst is zeroed */
/* New reference. Annotations are sorted, as Go writes them; so they are in all documents. */
json_t *descriptor_to_json(const struct descriptor *d);
/* Sets one annotation, in an object that is made when it is NULL. Text is mended to UTF-8. */
void annotation_set(json_t **annotations, const char *key, const char *value);

struct manifest {
    enum doc_kind kind;
    char *artifact_type; /* of what is no image (image-spec 1.1); or NULL */
    struct descriptor config;
    struct descriptor *layers;
    size_t n_layers;
    struct descriptor subject; /* written only, where it has a media type */
    json_t *annotations;
};
void manifest_release(struct manifest *m);
DEFINE_AUTO_VALUE(struct manifest, manifest_release);
/*
 * media_type: the Content-Type or descriptor's; NULL: from the document (required then). A document
 * of another kind, or another schema, is ERR_UNSUPPORTED; one that is both kinds, or names that
 * differ from the known ones in case only (Go takes them), ERR_CORRUPT.
 */
int manifest_parse(const char *p, size_t n, const char *media_type, struct manifest *ret,
                   struct err *err);
void manifest_add_layer(struct manifest *m, const char *media_type, const struct blob_id *id,
                        uint64_t size);
void manifest_write(const struct manifest *m, struct buf *b);

struct index {
    enum doc_kind kind;
    struct descriptor *manifests;
    size_t n_manifests;
    json_t *annotations;
};
void index_release(struct index *x);
DEFINE_AUTO_VALUE(struct index, index_release);
int index_parse(const char *p, size_t n, const char *media_type, struct index *ret,
                struct err *err);
/* A new entry, zeroed, to be filled; valid until the next. */
struct descriptor *index_add(struct index *x);
void index_write(const struct index *x, struct buf *b);
/*
 * The best entry for want; an entry that names no platform only when nothing else fits.
 * Attestations
 * ("unknown/unknown") and nested indexes never. NULL when none fits. Borrowed from x.
 */
const struct descriptor *index_pick(const struct index *x, const struct platform *want);

struct history {
    char *created;    /* RFC 3339 or NULL */
    char *created_by; /* or NULL */
    char *comment;    /* or NULL */
    char *author;     /* or NULL */
    bool empty_layer;
};

struct healthcheck {
    struct strv test; /* ["NONE"], ["CMD", ...], ["CMD-SHELL", "..."] */
    int64_t interval, timeout, start_period, start_interval; /* nanoseconds, 0: default */
    int retries;
};

/*
 * An image configuration. A value: start it IMAGE_CONFIG_INIT, copy it with
 * image_config_copy. Members that are not listed here and stand in a base
 * image's "config" object are kept in extra and written again.
 */
struct image_config {
    struct platform platform;
    char *created, *author;
    struct strv env;             /* "K=V" */
    struct strv entrypoint, cmd; /* n 0 and has_x: written as [] (cmd) */
    bool has_entrypoint, has_cmd;
    bool args_escaped;
    char *user, *workdir, *stop_signal;
    struct map *labels;  /* char * values */
    struct map *volumes; /* keys only (values non-NULL) */
    struct map *ports;   /* "80/tcp" keys only */
    struct strv shell, onbuild;
    bool has_healthcheck;
    struct healthcheck healthcheck;
    struct diff_id *layers;
    size_t n_layers;
    struct history *history;
    size_t n_history;
    json_t *extra;
};
void image_config_init(
    struct image_config *c); /* linux, host's architecture; the maps empty, not NULL */
void image_config_release(struct image_config *c);
DEFINE_AUTO_VALUE(struct image_config, image_config_release);
/* dst is released first: initialised, or all zero. */
void image_config_copy(struct image_config *dst, const struct image_config *src);
int image_config_parse(const char *p, size_t n, struct image_config *ret, struct err *err);
/* BuildKit's key order; maps sorted by key, as Go writes them. Text that is not UTF-8 is mended. */
void image_config_write(const struct image_config *c, struct buf *b);
void image_config_add_layer(struct image_config *c, const struct diff_id *id);
void image_config_add_history(struct image_config *c, const char *created, const char *created_by,
                              const char *comment, bool empty_layer);

#endif
