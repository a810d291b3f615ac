/*
 * Files of the context that a build needs for nothing: they reach no layer of
 * the target's image, also not by COPY --from, and no command ever looked at
 * them (store/trace.h). For `shale ignore`.
 *
 * Two dry walks. The first notes where each entry of the context goes
 * (context_use.h) and gives what is not needed; the second is one of the same
 * build with the proposed lines in its ignore file: when a command would run
 * again, or the image had another layer, nothing is proposed. What has not been
 * built, or was not observed, counts as needed.
 */
#ifndef SHALE_ENGINE_UNUSED_H
#define SHALE_ENGINE_UNUSED_H

#include "engine/build.h"

struct unused {
    struct strv lines;             /* for the ignore file, sorted; a directory ends with a slash */
    uint64_t files, bytes;         /* that they leave out ... */
    uint64_t all_files, all_bytes; /* ... of those that the build asks for */
    struct strv unobserved; /* commands that stand on copied files and were not observed: "[2/3]" */
    struct strv others;     /* stages that the target does not need, and that take files too */
    char *refused;          /* why the second walk would not do; NULL: it did */
    bool copies_rules; /* the ignore file itself is needed: it changes what it is copied into */
};
void unused_release(struct unused *u);
DEFINE_AUTO_VALUE(struct unused, unused_release);

/*
 * o as for engine_plan, of which it is one; what would have its steps made again whatever the files
 * are (no_cache, the age of a trace) does not count. ERR_NOT_FOUND: a step has to be built first.
 * ERR_UNSUPPORTED: the context is no directory of this machine. build is filled for build_fail.
 * Start ret zeroed.
 */
int engine_unused(struct engine *e, const struct build_options *o, struct build_result *build,
                  struct unused *ret, struct err *err);

#endif
