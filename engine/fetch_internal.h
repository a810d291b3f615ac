/* What fetch_http.c and fetch_git.c share. */
#ifndef SHALE_ENGINE_FETCH_INTERNAL_H
#define SHALE_ENGINE_FETCH_INTERNAL_H

#include "engine/fetch.h"

/*
 * A secret as the value of a header: white space at its end cut off. ERR_NOT_FOUND: none of that
 * name was given; ERR_USAGE: it cannot stand in a header. secret_wipe it.
 */
int fetch_secret(struct build *b, const char *name, struct buf *ret, struct err *err);
/* "host" of a URL without port and brackets; "" when there is none. */
char *fetch_host(const char *url) OWNED(mem_free) NONNULL;

/* Adds "basic BASE64" of a and b one behind the other; room for it is there already. */
void fetch_basic(struct buf *ret, const char *a, const char *b);

/*
 * What a word meant when this build first asked: a copy of n bytes. False: it has not asked yet.
 * The word begins with the kind of thing ("url ", "git "): each kind keeps something else. The
 * claim on the thing is held between both calls.
 */
bool fetch_seen(struct build *b, const char *word, void *ret, size_t n);
void fetch_saw(struct build *b, const char *word, const void *p, size_t n);

/* For fetch_lost. */
void fetch_gave(struct build *b, const struct layer *layer);

/*
 * What a fetch gave, remembered under k's key: the layer, and note as the record's output (a
 * hint's headers); shown is what the record is called. k is used up.
 */
void fetch_remember(struct build *b, struct key *k, const struct layer *layer, const char *shown,
                    const struct buf *note);
/* The layer that is remembered under k's key, or NULL; note (may be NULL) gets its note. */
const struct layer *fetch_recall(struct build *b, struct key *k, struct buf *note);

#endif
