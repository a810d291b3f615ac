/*
 * Layers whose bytes are not here, but where an image was found (a registry), with a listing that
 * came from elsewhere or that is kept of a layer whose bytes are gone.
 *
 * Such a struct layer is used like any other: it is planned on, copied from, keyed by. What needs
 * its bytes (layer_tree, layer_blob, layer_any_blob, layer_tar_source, content_*) has them fetched
 * first, through the function that the store was given; they are verified like all bytes from
 * outside, and the listing that is made of them is held against the one that was taken for it.
 *
 * A listing from elsewhere is a claim of whoever named it. It stays with the struct layer that it
 * was given to and is never found by layer_get: an image cannot say what another image's layers
 * hold. Any thread.
 */
#ifndef SHALE_STORE_LAYER_AWAY_H
#define SHALE_STORE_LAYER_AWAY_H

#include "base/cancel.h"
#include "store/layer.h"

/* Where the bytes are. */
struct layer_place {
    const char *repository; /* canonical, without tag: "docker.io/library/debian" */
    /* Of the image that said what is in the layer, when that is not the layer's own; or NULL. */
    const char *heard_from;
    struct layer_blob blob;
};
/*
 * listing: a blob of the store. ERR_NOT_FOUND: it is not here; ERR_CORRUPT: it is no listing, or
 * not of the content that it says. where is copied. The result is the store's, as with layer_get.
 */
const struct layer *layer_away(struct store *s, const struct diff_id *id,
                               const struct blob_id *listing, uint64_t tar_size,
                               const struct layer_place *where, struct err *err);
/* The same with the listing that the store has of the layer; ERR_NOT_FOUND: none. */
const struct layer *layer_away_known(struct store *s, const struct diff_id *id,
                                     const struct layer_place *where, struct err *err);
/* NULL: no layer of this kind. Stays when its bytes have come. */
const struct layer_place *layer_place(const struct layer *l);
/* Its bytes are not here as far as is known. */
bool layer_is_away(const struct layer *l);
/* Its bytes came and gave another listing: what was made with it is not to be used. */
bool layer_is_refuted(const struct layer *l);

/*
 * What was built with it is to be built again: it has left the store since it was looked up, or was
 * refuted. One that is away and not refuted is where it was.
 */
bool layer_is_lost(struct store *s, const struct layer *l);

/*
 * Brings the bytes here, when they are not, and gives the layer that they are: l itself for any
 * other layer. Asked for twice at the same time they are fetched once. ERR_CORRUPT: refuted.
 */
const struct layer *layer_whole(struct store *s, const struct layer *l, struct err *err);

/* Puts the layer into the store (layer_ingest). Called from any thread; set once, before layers of
 * this kind are made. */
typedef const struct layer *(*layer_fetch_fn)(void *arg, const struct diff_id *id,
                                              const struct layer_place *where, struct err *err);
void store_fetch_with(struct store *s, layer_fetch_fn fn, void *arg);

/*
 * The blob as which somebody else's layer came from a registry, one of that compression first when
 * several did. 1, 0: it is ours, or did not come so, or it is gone; or a negative code.
 */
int layer_came_as(struct store *s, const struct layer *l, enum compression preferred,
                  struct layer_blob *ret, struct err *err);

/*
 * One of those who would fetch a layer, threads and processes: an fd to be closed, or a negative
 * code. cancel (may be NULL) ends the waiting. Look for the layer afterwards.
 */
int layer_fetch_claim(struct store *s, const struct diff_id *id, struct cancel *cancel,
                      struct err *err);

/*
 * Repositories ("localhost:5000/app") that a blob was seen in: it was fetched from there or sent
 * there. A hint, for mounting it from there.
 */
int blob_origin_add(struct store *s, const struct blob_id *id, const char *repository,
                    struct err *err);
int blob_origins(struct store *s, const struct blob_id *id, struct strv *ret, struct err *err);

#endif
