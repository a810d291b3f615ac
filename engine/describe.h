/*
 * What `--call` shows of a Dockerfile without building anything: its stages,
 * and what its target takes from outside.
 */
#ifndef SHALE_ENGINE_DESCRIBE_H
#define SHALE_ENGINE_DESCRIBE_H

#include "dockerfile/outline.h"
#include "engine/build.h"

struct description {
    char *path; /* of the Dockerfile, as it was found */
    struct buf text;
    struct dockerfile *df;
    struct outline outline;
};
void description_release(struct description *d);
DEFINE_AUTO_VALUE(struct description, description_release);

/* Fails as a build would over the text; ret->path and ret->text stand then too, where they were
 * found. Without outline only the stages are looked at. */
int engine_describe(struct engine *e, const struct build_options *o, bool outline,
                    struct description *ret, struct err *err);

#endif
