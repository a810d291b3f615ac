/*
 * Where the files of the main context go in a dry walk, for unused.h: notes
 * that the steps leave. A place is a path of a layer, or of what a mount shows;
 * what a COPY --from takes of a place is a place of the same file.
 *
 *     context_places_new -> build.places, the walk -> context_places_end -> context_places_free
 *
 * The notes do nothing where build.places is NULL. They are taken from any thread.
 */
#ifndef SHALE_ENGINE_CONTEXT_PLACES_H
#define SHALE_ENGINE_CONTEXT_PLACES_H

#include "engine/files.h"
#include "engine/layer_plan.h"
#include "engine/run_mounts.h"
#include "engine/unused.h"

struct context_places;
void context_places_free(struct context_places *p);
DEFINE_AUTO(struct context_places, context_places_free);
struct context_places *context_places_new(void) OWNED(context_places_free) NONNULL;

/* A source of a COPY, ADD or mount as it is written, and where links lead from there: without
 * either of them the build fails. */
void context_places_source(struct build *b, const struct files *f, const char *path,
                           const char *real);
/* A COPY or ADD that has an answer; is_whole: all that it took is needed, as what it makes of it is
 * no copy of single files. Its layer is the topmost of the stage, when there are more than n_below.
 */
void context_places_copy(struct build_stage *st, const struct layer_plan *p, size_t n_below,
                         bool is_whole);
/* A RUN that has an answer. n_below of the stage's layers are below it. */
void context_places_run(struct build_stage *st, const struct step_report *r, size_t n_below,
                        const struct run_mounts *mounts);

/*
 * When the walk is over, while its stages are there: fills ret, but for refused and lines.
 * ret_paths: what is not needed, in the order of listings, a directory for all that is in it.
 */
int context_places_end(struct context_places *p, struct build *b, struct unused *ret,
                       struct strv *ret_paths, struct err *err);

/*
 * Pure. needed: one for each entry of l. Adds those that are not, a directory alone where nothing
 * in it is; ret_files and ret_bytes: how much that is.
 */
void unused_fold(const struct listing *l, const bool *needed, struct strv *ret_paths,
                 uint64_t *ret_files, uint64_t *ret_bytes);

#endif
