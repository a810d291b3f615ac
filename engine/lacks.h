/*
 * Which layers of an image an engine lacks, from what is known of images that it has. Pure: who
 * learns from an image has seen that the engine has it whole.
 */
#ifndef SHALE_ENGINE_LACKS_H
#define SHALE_ENGINE_LACKS_H

#include "base/digest.h"
#include "base/json.h"
#include "store/engine_memo.h"

/* Layers of the image that is to be there, lowest first; borrowed. */
struct lacks {
    const struct engine_layer *layers;
    size_t n;
    bool by_blob; /* the engine keeps blobs; else chains of layers */
    bool *has;    /* one a layer */
    size_t n_has; /* of them */
};
/*
 * An image with these layers is there. Engines with chains have a layer only upon the same layers;
 * engines with blobs have a blob wherever it is used, and what an image without known blobs has
 * is not known.
 */
void lacks_learn(struct lacks *l, const struct engine_layer *theirs, size_t n);
/* How many more would be known to be there. */
size_t lacks_gain(const struct lacks *l, const struct engine_layer *theirs, size_t n);

/*
 * What `GET /images/NAME/json` says. containerd's store answers for an image whose blobs are not
 * all there, too, and then names no layers.
 */
struct inspected {
    struct digest id;
    struct engine_layer *layers; /* without blobs */
    size_t n_layers;
    bool has_descriptor; /* of a manifest: of containerd's store alone, since API 1.48 */
};
void inspected_release(struct inspected *i);
DEFINE_AUTO_VALUE(struct inspected, inspected_release);
int inspected_parse(const json_t *answer, struct inspected *ret, struct err *err);

#endif
