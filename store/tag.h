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
    bool is_chosen;          /* by tag_get_for, among the platforms of the name */
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
/*
 * A name may stand for images of several platforms: what tag_get gives is one of them (v[0]), the
 * others are found by their platform. Setting the name again, or deleting it, ends that.
 */
struct tag_platform {
    struct platform platform;
    struct blob_id config;
};
int tag_set_platforms(struct store *s, const char *name, const struct tag_platform *v, size_t n,
                      struct err *err);
/* The image of a name that suits the platform best; one that stands for one image alone gives that,
 * whatever its platform. */
int tag_get_for(struct store *s, const char *name, const struct platform *want,
                struct stored_image *ret, struct err *err);
/* All of them, freed by the caller; none when the name stands for one image alone. Order: by
 * platform. */
int tag_get_platforms(struct store *s, const char *name, struct tag_platform **ret, size_t *ret_n,
                      struct err *err);
/* Gives what has a name another one as well, all of its platforms. */
int tag_copy(struct store *s, const char *name, const char *as, struct err *err);
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
