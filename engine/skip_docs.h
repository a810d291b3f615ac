/*
 * --skip-docs: when all that changed since the last successful build of this
 * image is documentation that came in by a broad COPY, that image is the
 * result, as it is.
 *
 * It is tried before anything is made: the stages are walked with nothing
 * made, and a COPY whose files differ from those of the last good build in
 * documentation alone takes the layer that it had then. When every step is
 * known that way, and the image that comes of them is that build's image, it
 * is the answer; else the trial is forgotten and everything is built with what
 * the context has now.
 *
 * A file that its own COPY names, that a mount shows, or that a pattern finds
 * which is not "*", is no documentation, whatever its name is.
 */
#ifndef SHALE_ENGINE_SKIP_DOCS_H
#define SHALE_ENGINE_SKIP_DOCS_H

#include "engine/build_internal.h"

struct docs_trial {
    struct ignore *patterns;
    struct strv left_out; /* changes, as shown; under b->lock */
};

/* A step of a trial: the answer of the last good build, when only documentation differs. */
bool docs_answer(struct step *s, struct answer *ret);
/*
 * Walks the stages of b, which are planned. *ret_skipped: the image of the last good build is the
 * result; the target's state is that image's, and ret_config and ret its configuration. Else the
 * stages are as they were before. Fails only when interrupted, and over patterns that are none.
 */
int skip_docs_try(struct build *b, bool *ret_skipped, struct blob_id *ret_config,
                  struct image_config *ret, struct err *err);

/* copy_docs.c: step_ops.is_docs of COPY and ADD. */
bool copy_is_docs(struct step *s, const struct file_changes *c);

#endif
