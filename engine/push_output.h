/* Outputs that go to registries ("-o type=image,push=true"), and the layers that they are given
 * while the build runs. */
#ifndef SHALE_ENGINE_PUSH_OUTPUT_H
#define SHALE_ENGINE_PUSH_OUTPUT_H

#include "engine/build_internal.h"
#include "engine/push.h"

/* Opens a pusher for each output that pushes; freed with the build. Before the stages run. */
int build_open_pushers(struct build *b, struct err *err);
void build_free_pushers(struct build *b);
/* A layer of a stage: on its way when the image will have it. Any thread. */
void build_send(struct build_stage *st, const struct layer *l);

/* The output's pusher; NULL: it pushes nothing. */
struct pusher *build_pusher(const struct build *b, const struct build_output *o);
/* What image_docs_make needs for it; *c is where the compression is put. */
int push_output_options(const struct build_output *o, enum compression *c, struct doc_options *ret,
                        struct err *err);

#endif
