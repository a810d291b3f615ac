/*
 * Records: exact key -> what a step gave. A claim that can be lost at any
 * time; the layer it names is checked by layer_get. put replaces.
 */
#ifndef SHALE_STORE_RECORD_H
#define SHALE_STORE_RECORD_H

#include "base/cancel.h"
#include "store/store.h"

struct record {
    struct cache_key key;
    bool has_layer; /* false: the step changed no file and has no layer */
    struct diff_id layer;
    bool has_output; /* what the step printed, as a blob */
    struct blob_id output;
    struct blob_id fields; /* the key's fields as text, for explain; zero when not kept */
    char step[512];        /* the instruction as shown, cut */
    int64_t cost_ms;
    int64_t made_s; /* wall clock */
    int64_t used_s;
};
int record_get(struct store *s, const struct cache_key *key, struct record *ret, struct err *err);
int record_put(struct store *s, const struct record *r, struct err *err);
/*
 * Single flight: of all processes and threads that are about to make the same step, one has the
 * claim; the others wait for it, and then look again. An fd: closing it, or dying, gives it up.
 * ERR_CANCELLED when cancel (may be NULL) is set meanwhile.
 */
int record_claim(struct store *s, const struct cache_key *key, struct cancel *cancel,
                 struct err *err);
/* The same, but ERR_NOT_FOUND when somebody else has it for max_ms; 0: looks once. */
int record_claim_within(struct store *s, const struct cache_key *key, int64_t max_ms,
                        struct cancel *cancel, struct err *err);
/* Marks records and layers as used now, in one transaction; called once at a build's end. */
int record_touch(struct store *s, const struct cache_key *keys, size_t n, struct err *err);

#endif
