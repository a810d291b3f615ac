/*
 * What a built image is outside of the store: a manifest for each platform, an index where there
 * are several or where attestations stand beside them, and the blobs that these name. Made once for
 * one set of options; archive.c writes it into files, push.c into a registry, load_engine.c into an
 * engine. image-spec v1.1: manifest.md, image-index.md, image-layout.md.
 */
#ifndef SHALE_ENGINE_IMAGE_DOCS_H
#define SHALE_ENGINE_IMAGE_DOCS_H

#include "engine/engine.h"
#include "image/oci.h"
#include "store/layer_away.h"

/* One platform's image; borrowed. */
struct built_image {
    struct blob_id config_id;
    const struct image_config *config;
    /* Its layers, lowest first; NULL: as the store has them. One whose bytes are away goes under
     * the name that they have where they are. */
    const struct layer *const *layers;
};

/* "-o" attributes that decide what the documents and blobs are. */
struct doc_options {
    const enum compression *compression; /* NULL: as the store has it */
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
};
/* Start it zeroed. */
struct image_docs {
    struct image_doc *images; /* in the order given */
    size_t n_images;
    struct descriptor top; /* what the image's names stand for: the only manifest, or the index */
};
void image_docs_release(struct image_docs *d);
DEFINE_AUTO_VALUE(struct image_docs, image_docs_release);
/* Makes the layers' blobs where they are not there. At least one image. */
int image_docs_make(struct engine *e, const struct built_image *images, size_t n,
                    const struct doc_options *o, struct image_docs *ret, struct err *err);
/* Brings here those layers' bytes that are not; has (may be NULL): one a layer, not needed. */
int image_doc_bring(struct engine *e, const struct image_doc *d, const bool *has, struct err *err);

#endif
