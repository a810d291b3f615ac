/*
 * An image into a Docker engine, and of it only what the engine lacks.
 *
 * The engine is asked what stands under the image's names; what shale saw it to have earlier
 * (store/engine_memo.h) says which other image to ask for. The image is there already: nothing is
 * sent, or a name is set. Else layers that the engine has are named and left out. An engine that
 * then refuses, having lost something meanwhile, gets the image whole, in the same call.
 */
#ifndef SHALE_ENGINE_LOAD_ENGINE_H
#define SHALE_ENGINE_LOAD_ENGINE_H

#include "engine/build_internal.h"
#include "remote/docker.h"

struct engine_load {
    const struct blob_id *config_id;
    const struct image_config *config;
    const struct layer *const *layers; /* its layers, or NULL: as the store has them */
    const struct strv *names;          /* canonical */
    const char *base; /* a name under which the engine may have its lowest layers, or NULL */
};
struct engine_loaded {
    bool was_there;    /* under all names */
    bool has_manifest; /* the engine names images by it */
    struct blob_id manifest;
    uint64_t manifest_size;
};
int engine_load(struct engine *e, struct docker *docker, const struct engine_load *what, int vertex,
                struct engine_loaded *ret, struct err *err);

/*
 * load_platforms.c: images of several platforms under the same names, as an index and whole. Only
 * containerd's store can hold them: ERR_UNSUPPORTED, in buildx's words.
 */
int engine_load_platforms(struct engine *e, struct docker *docker, const struct built_image *images,
                          size_t n, const struct strv *names, int vertex, struct blob_id *ret_index,
                          struct err *err);
/* The error for whatever cannot hold them. */
int engine_refuse_platforms(struct err *err);

#endif
