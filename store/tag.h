/*
 * Images under names. A name is canonical ("docker.io/library/x:latest",
 * image/name.h). The image is its configuration; the manifest is remembered when the image came
 * with one.
 */
#ifndef SHALE_STORE_TAG_H
#define SHALE_STORE_TAG_H

#include "image/oci.h"
#include "store/store.h"

struct stored_image {
    char *name;            /* canonical; NULL for an image without one */
    struct blob_id config; /* the image id */
    bool has_manifest;
    struct blob_id manifest; /* as pulled */
    int64_t tagged_s;        /* wall clock */
    uint64_t size;           /* sum of the uncompressed layers; filled by list and get */
};
void stored_image_release(struct stored_image *i);
DEFINE_AUTO_VALUE(struct stored_image, stored_image_release);

/*
 * Moves the name if it is there. The configuration's blob, its layers and the manifest (may be
 * NULL) must be in the store, else ERR_NOT_FOUND. name NULL: the image is remembered without one.
 */
int tag_set(struct store *s, const char *name, const struct blob_id *config,
            const struct blob_id *manifest, struct err *err);
int tag_get(struct store *s, const char *name, struct stored_image *ret, struct err *err);
/* ERR_NOT_FOUND when there is none. The image's bytes stay until they are reclaimed. */
int tag_delete(struct store *s, const char *name, struct err *err);
typedef int (*tag_fn)(void *arg, const struct stored_image *i, struct err *err);
/* In order of the name; then images without one, the newest first. */
int tag_list(struct store *s, tag_fn fn, void *arg, struct err *err);
/*
 * An image by what a user types: a name, or an id ("sha256:<hex>", or 4 and more hex digits that
 * no two images share: ERR_USAGE when they do). A name goes before the beginning of an id.
 * ERR_NOT_FOUND: "no such image: X".
 */
int tag_find(struct store *s, const char *what, struct stored_image *ret, struct err *err);
/* The configuration of an image, parsed and verified. What ret holds before is not released. */
int tag_config(struct store *s, const struct blob_id *config, struct image_config *ret,
               struct err *err);

/*
 * What a remote name was last seen to be: the digest of its manifest (already picked for the
 * platform), so that an unreachable registry is no error and an unchanged base costs no unpacking.
 */
int remote_name_set(struct store *s, const char *name, const char *platform,
                    const struct blob_id *manifest, const struct blob_id *config, struct err *err);
int remote_name_get(struct store *s, const char *name, const char *platform,
                    struct stored_image *ret, struct err *err);

#endif
