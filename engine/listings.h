/*
 * Listings beside an image in a registry, so that who builds upon it, or pushes it elsewhere, need
 * not fetch its layers to know what is in them. docs/listings-in-registries.md.
 *
 * The manifest of a pushed image has an annotation with the digest of an artifact in the same
 * repository (a manifest without a tag), which names one blob for each layer: its listing, with the
 * diff id that it is for. So the chain from the image's digest to the listing's bytes is whole:
 * nobody but the image's author can have put another listing there. That it is true of the layer
 * is the author's claim: store/layer_away.h.
 */
#ifndef SHALE_ENGINE_LISTINGS_H
#define SHALE_ENGINE_LISTINGS_H

#include "engine/engine.h"
#include "image/oci.h"
#include "remote/registry.h"
#include "store/layer_away.h"

#define LISTINGS_ANNOTATION "dev.shale.listings" /* "sha256:..." of the artifact */

/* The artifact of an image's layers: the same bytes for the same layers. */
struct listings_doc {
    struct buf text;
    struct blob_id id;
    const struct descriptor *blobs; /* what it names: blobs of the store */
    size_t n_blobs;
    struct manifest m;      /* owns them */
    struct buf config_text; /* the empty configuration */
};
void listings_doc_release(struct listings_doc *d);
DEFINE_AUTO_VALUE(struct listings_doc, listings_doc_release);
/*
 * For a push into this repository (canonical; NULL: into several). What another image said of a
 * layer, and its bytes have not shown, is not passed on, but to where it was said. Start ret
 * zeroed.
 */
void listings_doc_make(const struct layer *const *layers, size_t n, const char *repository,
                       struct listings_doc *ret);

/* What an artifact says of layers. */
struct listing_claim {
    struct diff_id diff;
    struct descriptor blob;
    uint64_t tar_size;
};
struct listing_claims {
    struct registry *from; /* borrowed */
    struct listing_claim *v;
    size_t n;
};
void listing_claims_release(struct listing_claims *c);
DEFINE_AUTO_VALUE(struct listing_claims, listing_claims_release);
/* Reads an artifact's text strictly. */
int listing_claims_parse(const char *p, size_t n, struct listing_claims *ret, struct err *err);
/*
 * Of the image with this manifest in the repository; the artifact is fetched unless the store has
 * it. ERR_NOT_FOUND: the manifest names none. Start ret zeroed.
 */
int listing_claims_fetch(struct engine *e, struct registry *from, const struct manifest *m,
                         struct listing_claims *ret, struct err *err);
/*
 * A layer by what is claimed of it, its listing fetched into the store unless it is there; NULL
 * when nothing is claimed of it, or the claim cannot be had (said in the debug log).
 */
const struct layer *listing_claims_layer(struct engine *e, const struct listing_claims *c,
                                         const struct diff_id *id, const struct layer_place *where);

#endif
