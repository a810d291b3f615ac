/* The documents and blobs that an image is sent as; shared by archive.c and deliver.c. */
#ifndef SHALE_ENGINE_ARCHIVE_INTERNAL_H
#define SHALE_ENGINE_ARCHIVE_INTERNAL_H

#include "engine/build_internal.h"

struct image_parts {
    struct layer_blob *blobs; /* one a layer, lowest first */
    size_t n_blobs;
    struct manifest manifest;
    struct blob_id manifest_id;
    struct buf config_text, manifest_text, index_text, docker_text;
};
void image_parts_release(struct image_parts *p);
DEFINE_AUTO_VALUE(struct image_parts, image_parts_release);
/* Start ret zeroed. Makes the layers' blobs where they are not there. */
int image_parts_make(struct engine *e, const struct blob_id *config_id,
                     const struct image_config *config, const struct archive_options *o,
                     struct image_parts *ret, struct err *err);

#endif
