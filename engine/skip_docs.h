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
 * A file that its own COPY names, that a mount shows, or that comes of a directory or pattern
 * of documentation is no documentation, whatever its name is; nor is what another stage's COPY or
 * a mount picks out of the files that were copied. When the ignore file, the instruction, or which
 * files are hard links has changed, that is another change. So is documentation that a RUN is known
 * to have looked at.
 */
#ifndef SHALE_ENGINE_SKIP_DOCS_H
#define SHALE_ENGINE_SKIP_DOCS_H

#include "engine/build_internal.h"

/* A layer of the last good build, in the place of one that has other documentation. */
struct docs_layer {
    const struct layer *layer;
    char *dest;        /* where the COPY put its files; "" is the root */
    struct strv paths; /* of the image: documentation that differs */
    struct strv moved; /* those of them that are new, gone, or of another type */
};

struct docs_trial {
    struct ignore *patterns;
    /* under b->lock: */
    struct map *told; /* changes, as shown */
    struct docs_layer *layers;
    size_t n_layers, cap_layers;
    const struct layer **handed_on; /* of steps that took all of it from another stage */
    size_t n_handed_on, cap_handed_on;
    bool gave_up; /* something is picked out of what was left out */
};

/* A step of a trial: the answer of the last good build, when only documentation differs. */
bool docs_answer(struct step *s, struct answer *ret);
/*
 * Files of another stage or image that a step takes, at and below path (resolved, no leading
 * slash): the trial gives up when documentation that was left out is picked out of them; or taken
 * from a stage that has it from another one, for then nobody knows its places. is_pick: any that is
 * taken counts. True: all that a COPY brought is taken, documentation with it. Nothing to do
 * outside of a trial.
 */
bool docs_check_taken(struct build *b, const struct layer *const *layers, size_t n,
                      const char *path, bool is_pick);
/* The layer of a step for which that was true. */
void docs_hand_on(struct build *b, const struct layer *l);
/*
 * A RUN of a trial that is known: the trial gives up when its run is known to have looked at
 * documentation that was left out (run_trace.h). Of one that was not observed nothing is known.
 */
void docs_check_run(struct step *s);
/*
 * Walks the stages of b, which are planned. *ret_skipped: the image of the last good build is the
 * result; the target's state and configuration are that image's. Else the stages are as they were
 * before. Nothing is skipped in a build of several platforms. Fails only when interrupted, and over
 * patterns that are none.
 */
int skip_docs_try(struct build *b, bool *ret_skipped, struct err *err);

/* copy_docs.c: step_ops.is_docs of COPY and ADD. */
bool copy_is_docs(struct step *s, const struct file_changes *c, char **ret_dest);

#endif
