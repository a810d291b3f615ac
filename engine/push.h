/*
 * An image into a registry, and of it only what the registry lacks.
 *
 * A pusher is opened for the names that the image is to have there and may be given layers as they
 * are made: they are packed and sent while the build goes on. At the end the documents say what
 * else there is to send; manifests come last, so that a name never stands for half an image.
 * Layers that came from a registry are named by the blob that they had there and are mounted from
 * there or found to be there already; only what no other way brings is fetched to be sent.
 */
#ifndef SHALE_ENGINE_PUSH_H
#define SHALE_ENGINE_PUSH_H

#include "engine/image_docs.h"

struct pusher;
/* Stops what is under way. */
void pusher_free(struct pusher *p);
DEFINE_AUTO(struct pusher, pusher_free);
/* names: canonical, with tag (a digest is refused), copied. Nothing is sent by this. */
struct pusher *pusher_open(struct engine *e, const struct strv *names, const struct doc_options *o,
                           struct err *err) OWNED(pusher_free);
/*
 * A layer that the image will have: its blob is made and sent in the background, into each
 * repository of the names. What goes wrong is tried again by pusher_finish. Any thread.
 */
void pusher_layer(struct pusher *p, const struct layer *l);
/*
 * Sends what is missing: layers and configurations, several at once, then manifests, then the index
 * under the names (by_digest: under its digest alone). vertex: "pushing layers", "pushing manifest
 * for NAME@DIGEST" as BuildKit shows them.
 */
int pusher_finish(struct pusher *p, const struct image_docs *docs, bool by_digest, int vertex,
                  struct err *err);

#endif
