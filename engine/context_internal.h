/* What the files of contexts share: contexts.c has the list, the others each a kind of source. */
#ifndef SHALE_ENGINE_CONTEXT_INTERNAL_H
#define SHALE_ENGINE_CONTEXT_INTERNAL_H

#include "engine/context_named.h"
#include "engine/contexts.h"

/* A layer that is made for a context, once. */
struct context_layer {
    const char *shown; /* what its record is called */
    const struct layer *(*make)(void *arg, struct err *err);
    /* A plan: what it would hold; NULL: that is not known before. */
    struct listing *(*foresee)(void *arg, struct err *err);
    void *arg;
    int64_t made_s; /* set: when it was made; 0: it was not (a plan) */
};
/* Remembered under k's key (k is used up): made when it is not known. */
const struct layer *context_layer_once(struct build *b, struct key *k, struct context_layer *x,
                                       struct err *err);

/* One layer as what a context is. */
void context_take_layer(struct build_context *c, const struct layer *l);

/*
 * context_tar.c: the files of a tar (plain or compressed) as a layer: in the archive's order, with
 * its owners; names that begin with ".wh." are left out, with a warning, as no layer can have them.
 * from is borrowed.
 */
const struct layer *context_tar_layer(struct build *b, struct source *from, struct err *err);
/* context_layout.c: the image of an OCI layout directory ("path[:tag][@digest]"); shown for it:
 * "[context key] ...". */
int context_open_layout(struct build *b, const char *key, const char *ref,
                        const struct platform *platform, struct found_image *ret, struct err *err);

/* context_remote.c */
/* The main context behind a URL, in a git repository, or from standard input. *ret_vertex is shown
 * and left open. */
int context_open_remote(struct build *b, struct build_context *c, int *ret_vertex, struct err *err);
/* The files of a fetched archive; *ret NULL: it is none. */
struct fetched_file;
int context_unpack(struct build *b, const struct fetched_file *file, const struct layer **ret,
                   struct err *err);
/* A named one. */
int context_open_url(struct build *b, const char *key, const char *url, struct build_context *c,
                     struct err *err);

#endif
