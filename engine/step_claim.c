#include "engine/step_claim.h"

#include "base/fs.h"
#include "engine/engine_internal.h"
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 500 /* of a step that waits, before it says so */

/* What makes a step wait says so before people wonder. */
static int claim_or_wait(struct step *s, const struct cache_key *key, struct err *err)
{
    struct build *b = s->st->b;
    int claim = record_claim_within(b->store, key, PATIENCE_MS, b->e->cancel, err);
    if (claim != ERR_NOT_FOUND)
        return claim;
    err_clear(err);
    vertex_note(b->e, s->vertex,
                "waiting for the same step, which another build or stage is running");
    return record_claim(b->store, key, b->e->cancel, err);
}

/* The claim of a step that takes nobody's result, but what this build has made of it. */
static void own_key(const struct build *b, const struct cache_key *key, struct cache_key *ret)
{
    AUTO(mem_free)
    char *text = str_printf("%s %d %p", DIGEST_HEX(&key->d), (int)getpid(), (const void *)b);
    digest_of(text, strlen(text), &ret->d);
}

void step_claims_release(struct step_claims *c)
{
    fd_close(c->shared);
    fd_close(c->own);
}

int step_claim(struct step *s, const struct cache_key *key, struct step_claims *ret,
               struct err *err)
{
    struct build *b = s->st->b;
    struct cache_key own;
    struct err busy = ERR_INIT;
    if (!stage_no_cache(s->st)) {
        ret->shared = claim_or_wait(s, key, err);
        return ret->shared < 0 ? err->code : 0;
    }
    own_key(b, key, &own);
    ret->own = claim_or_wait(s, &own, err);
    if (ret->own < 0)
        return err->code;
    int shared = record_claim_within(b->store, key, 0, b->e->cancel, &busy);
    ret->shared = shared < 0 ? -1 : shared;
    return 0;
}
