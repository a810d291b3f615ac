/*
 * A layer from the registry that an image of it was found in, straight into blob and listing. Who
 * needs the same layer at the same time, other processes included, waits and has it then. Any
 * thread.
 */
#ifndef SHALE_ENGINE_FETCH_LAYER_H
#define SHALE_ENGINE_FETCH_LAYER_H

#include "engine/engine.h"
#include "remote/registry.h"
#include "store/layer_away.h"

/* A repository ("docker.io/library/debian") to pull from, opened once an engine. Borrowed. */
struct registry *engine_repository(struct engine *e, const char *repository, struct err *err);
/* Shows its bytes as a status of the vertex (0: nowhere). with_tree: it will be run on, so that its
 * tree is made on the way. */
const struct layer *fetch_layer(struct engine *e, struct registry *from, const struct diff_id *id,
                                const struct layer_place *where, bool with_tree, int vertex,
                                struct err *err);
/* Brings here what of these layers is not, side by side. */
int fetch_layers(struct engine *e, const struct layer *const *layers, size_t n, struct err *err);
/* The same, with trees: a RUN is next. */
int fetch_layers_to_run_on(struct engine *e, const struct layer *const *layers, size_t n,
                           struct err *err);

/*
 * The very bytes that are named by where, when they are not here: the layer may have come in
 * another encoding meanwhile.
 */
int fetch_blob(struct engine *e, const struct layer_place *where, struct err *err);

/* engine.c: the store's way to the bytes of layers that are away. arg: struct engine. */
const struct layer *fetch_absent_layer(void *arg, const struct diff_id *id,
                                       const struct layer_place *where, struct err *err);

#endif
