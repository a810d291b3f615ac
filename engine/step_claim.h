/* Who makes a step that several builds or stages need at once: one of them, the others wait. */
#ifndef SHALE_ENGINE_STEP_CLAIM_H
#define SHALE_ENGINE_STEP_CLAIM_H

#include "engine/build_internal.h"

struct step_claims {
    int own, shared; /* fds, or -1 */
};
void step_claims_release(struct step_claims *c);
DEFINE_AUTO_VALUE(struct step_claims, step_claims_release);

/*
 * Waits until the step is this build's to make; a note says so after a moment. Without the cache
 * only stages of this build wait for each other. Others' builds may wait for this one and take
 * what it makes; where one of them is at it already, both make it.
 */
int step_claim(struct step *s, const struct cache_key *key, struct step_claims *ret,
               struct err *err);

#endif
