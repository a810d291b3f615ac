/*
 * The answer to "has this step been made before?": the record of its exact
 * key, with the layer it names checked to be there. A record whose layer is
 * gone is a miss, never an error; the step's next record takes its place. Any thread.
 */
#ifndef SHALE_CACHE_ANSWER_H
#define SHALE_CACHE_ANSWER_H

#include "store/layer.h"
#include "store/record.h"

struct answer {
    struct record record;
    const struct layer *layer; /* NULL when the record has none */
};

/* ERR_NOT_FOUND: a miss. */
int answer_find(struct store *s, const struct cache_key *key, struct answer *ret, struct err *err);
/*
 * Keeps what a step gave. fields: the key's text (may be empty); output: what it printed (may be
 * empty); both are kept as blobs.
 */
int answer_keep(struct store *s, struct record *r, const struct buf *fields,
                const struct buf *output, struct err *err);

#endif
