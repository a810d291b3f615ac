/*
 * Images that a build takes files or a configuration from (FROM, --from, from=): each is looked up
 * once a build for a name and platform, by whichever stage asks first. Any thread.
 */
#ifndef SHALE_ENGINE_BASE_IMAGES_H
#define SHALE_ENGINE_BASE_IMAGES_H

#include "engine/build_internal.h"

struct base_image {
    const struct found_image *found; /* borrowed from the build */
    char *canonical;
};
void base_image_release(struct base_image *x);
DEFINE_AUTO_VALUE(struct base_image, base_image_release);

/*
 * name as written. Shows "[internal] load metadata for NAME" the first time, and fails in
 * BuildKit's words for FROM; with a label (of a named context): that is shown, and the error does
 * not begin with the name.
 */
int base_image_find(struct build *b, const char *name, const struct platform *platform,
                    const char *label, struct base_image *ret, struct err *err);
/* Shows "FROM NAME" once, for an image that files are only copied from. */
void base_image_show(struct build *b, const struct base_image *x, const struct platform *platform);
/* Each that was found, with its platform as text. While one thread has the build. */
typedef void (*base_image_fn)(void *arg, const char *canonical, const char *platform,
                              const struct found_image *found);
void base_images_each(const struct build *b, base_image_fn fn, void *arg);
/* A layer of one of them has left the store since it was looked up. */
/* ... or its image said of one what is not true. */
bool base_images_refuted(const struct build *b);
bool base_images_lost(const struct build *b);

#endif
