/*
 * What a built image is outside of the store: a manifest for each platform, an index where there
 * are several or where attestations stand beside them, and the blobs that these name. Made once for
 * one set of options; archive.c writes it into files, push.c into a registry, load_engine.c into an
 * engine. image-spec v1.1: manifest.md, image-index.md, image-layout.md; where it leaves a choice,
 * what BuildKit writes.
 */
#ifndef SHALE_ENGINE_IMAGE_DOCS_H
#define SHALE_ENGINE_IMAGE_DOCS_H

#include "engine/engine.h"
#include "engine/listings.h"
#include "image/oci.h"
#include "store/layer_away.h"

/* What is said about an image: an in-toto statement, its subject added when its manifest is made.
 */
struct attestation {
    const char *predicate_type; /* "https://slsa.dev/provenance/v1" */
    json_t *predicate;          /* an object */
};

/* One platform's image; borrowed. */
struct built_image {
    struct blob_id config_id;
    const struct image_config *config;
    /* What an index says that it is for: a stage of another platform may have been its last. NULL:
     * what its configuration says. */
    const struct platform *platform;
    /* Its layers, lowest first; NULL: as the store has them. One whose bytes are away goes under
     * the name that they have where they are. */
    const struct layer *const *layers;
    const struct attestation *attestations; /* none: no attestation manifest */
    size_t n_attestations;
};

struct annotation {
    enum annotation_place {
        ANNOTATION_MANIFEST,
        ANNOTATION_MANIFEST_DESCRIPTOR, /* in the index */
        ANNOTATION_INDEX,
        ANNOTATION_INDEX_DESCRIPTOR, /* where the index is named: index.json, the metadata file */
    } place;
    bool has_platform; /* only for images of that; never with the index's */
    struct platform platform;
    char *key, *value;
};

/* "-o" attributes that decide what the documents and blobs are. Borrowed; zero is as BuildKit does
 * it for "image", but that layers go as the store has them. */
struct doc_options {
    const enum compression *compression; /* NULL: as the store has it */
    const int *level;                    /* NULL: the compression's default */
    bool force_compression;
    /* oci-mediatypes=false: manifests and layers have Docker's types. Attestations forbid that and
     * win. */
    bool docker_types;
    bool artifact_attestations; /* oci-artifact: their manifests are artifacts with a subject */
    bool is_index;              /* an index even for one image alone */
    const struct annotation *annotations; /* a later one with the same key wins */
    size_t n_annotations;
    const struct strv *names; /* canonical: what statements are about; may be NULL */
    bool has_listings;        /* listings.h: OCI manifests name those of their layers */
    const char *listings_for; /* the only repository that it goes to, canonical; or NULL */
    bool no_listings;         /* nor does a pusher see to that */
};

/* One manifest with its blobs. */
struct image_doc {
    struct blob_id config_id;
    struct platform platform;
    struct layer_blob *blobs;    /* one a layer, lowest first */
    const struct layer **layers; /* the same; they have the bytes */
    size_t n_blobs;
    struct manifest manifest;
    struct blob_id manifest_id;
    struct buf config_text, manifest_text;
    bool has_listings; /* the manifest names this: */
    struct listings_doc listings;
};
/* A statement, or the configuration or manifest of an attestation. */
struct extra_doc {
    struct descriptor what; /* its media type, digest and size */
    struct buf text;
    bool is_manifest;
};
/* Start it zeroed. */
struct image_docs {
    struct image_doc *images; /* in the order given */
    size_t n_images;
    struct extra_doc *extra; /* what a manifest names stands before it */
    size_t n_extra;
    bool has_index;
    struct index index;
    struct blob_id index_id;
    struct buf index_text;
    /* What the image's names stand for: the only manifest, or the index. Annotations: those of the
     * index's descriptor, and when the image was created. */
    struct descriptor top;
};
void image_docs_release(struct image_docs *d);
DEFINE_AUTO_VALUE(struct image_docs, image_docs_release);
/*
 * Makes the layers' blobs where they are not there. At least one image. Annotations of an index
 * that there will not be are ERR_USAGE.
 */
/* The latter alone; for those who know before anything is built. */
int image_docs_check(const struct doc_options *o, bool has_index, struct err *err);
int image_docs_make(struct engine *e, const struct built_image *images, size_t n,
                    const struct doc_options *o, struct image_docs *ret, struct err *err);
/* The blob that image_docs_make would name for this layer: for those who send layers before the
 * image is there. Any thread. */
int image_docs_blob(struct engine *e, const struct layer *l, const struct doc_options *o,
                    struct layer_blob *ret, struct err *err);
/* The blob of a layer whose bytes are here now, when it is named as it is elsewhere and did not
 * come as that. */
int bring_blob(struct engine *e, const struct layer *l, const struct blob_id *id, struct err *err);
/* Brings here those layers' bytes that are not; has (may be NULL): one a layer, not needed. */
int image_doc_bring(struct engine *e, const struct image_doc *d, const bool *has, struct err *err);

#endif
