/* Outputs that go to registries ("-o type=image,push=true"), and the layers that they are given
 * while the build runs. */
#ifndef SHALE_ENGINE_PUSH_OUTPUT_H
#define SHALE_ENGINE_PUSH_OUTPUT_H

#include "engine/build_internal.h"
#include "engine/output_options.h"
#include "engine/push.h"

struct push_output {
    struct output_options options;
    struct pusher *pusher; /* borrows the options */
};
/* Opens a pusher for each output that pushes; freed with the build. Before the stages run. */
int build_open_pushers(struct build *b, struct err *err);
void build_free_pushers(struct build *b);
/* A layer of a stage: on its way when the image will have it. Any thread. */
void build_send(struct build_stage *st, const struct layer *l);

/* NULL: the output pushes nothing. */
const struct push_output *build_push_output(const struct build *b, const struct build_output *o);

#endif
