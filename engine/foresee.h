/*
 * Layers that nobody has made yet: what a step will give, as far as its
 * listing says it, so that a plan can go on above it. They have a listing and
 * a content id, no bytes, and are no layers of the store; they live as long
 * as the build. Any thread.
 */
#ifndef SHALE_ENGINE_FORESEE_H
#define SHALE_ENGINE_FORESEE_H

#include "image/listing.h"
#include "store/layer.h"

struct foreseen {
    struct layer **v;
    size_t n, cap;
};
void foreseen_release(struct foreseen *f);

struct build;
/* l is taken over. */
const struct layer *foresee_layer(struct build *b, struct listing *l) NONNULL;

#endif
