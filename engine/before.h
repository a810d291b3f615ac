/*
 * The build before this one of the same kind (context, Dockerfile, target,
 * platform) and name: its steps, so that each step can say what differs, and at the
 * end this build in its place (store/last_build.h).
 *
 *     before_load -> before_match* (any stage's thread) -> before_save -> before_release
 *
 * Without one nothing fails; there are only no reasons.
 */
#ifndef SHALE_ENGINE_BEFORE_H
#define SHALE_ENGINE_BEFORE_H

#include "engine/report.h"
#include "store/last_build.h"

struct before {
    struct digest subject, kind;
    bool has_subject, is_there;
    struct last_build row; /* when is_there */
    struct build_report steps;
    bool *taken; /* of steps: a step of this build is the same */
};
void before_release(struct before *x);

struct build;
struct build_stage;
/* After the stages are planned. good: the last successful build, not just the last. */
void before_load(struct build *b, bool good);
/*
 * Finds the step of the build before that r is now and sets r->before: of the same stage, written
 * the same way; else what was at the same place with the same instruction, when the stage does not
 * have that any more. Each is found once.
 */
void before_match(struct build_stage *st, struct step_report *r);
/* After a build that failed: its stages' other steps, with the keys that they had. */
void before_add_not_reached(struct build *b);
/*
 * b's report in the place of the last one. image: of a build that succeeded, else NULL; then the
 * last good build stays what it was.
 */
void before_save(struct build *b, const struct blob_id *image);

#endif
