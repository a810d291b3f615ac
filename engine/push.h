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
#include "remote/registry.h"

struct pusher;
/*
 * Stops what is under way: uploads break off, and the registry is told so.
 * So it is when the engine is cancelled.
 */
void pusher_free(struct pusher *p);
DEFINE_AUTO(struct pusher, pusher_free);
/*
 * names: canonical, with tag (a digest is refused), copied; at least one. insecure: their
 * registries may be asked without TLS. Of o the compression is copied, the rest borrowed until
 * pusher_free. Nothing is sent by this.
 */
struct pusher *pusher_open(struct engine *e, const struct strv *names, const struct doc_options *o,
                           bool insecure, struct err *err) OWNED(pusher_free);

/* Adds them, canonical, without tags. */
void pusher_repositories(const struct pusher *p, struct strv *ret);

/* Told how things get there, from any thread, one at a time. Each may be NULL. */
struct push_watch {
    void *arg;
    /* A layer is in the repository of the first name. from: where it was mounted from, or NULL. */
    void (*layer)(void *arg, const struct layer *l, enum registry_pushed how, const char *from);
    void (*named)(void *arg, const char *name, const struct descriptor *what);
};
/* Borrowed. Before the first layer. */
void pusher_watch(struct pusher *p, const struct push_watch *w);
/*
 * A layer that the image will have: its blob is made and sent in the background, into each
 * repository of the names. What goes wrong is tried again by pusher_finish. Any thread.
 */
void pusher_layer(struct pusher *p, const struct layer *l);
/*
 * The documents of these images for the pusher's registries: with the listings of their layers
 * (listings.h), which are sent by this while layers are under way; without, where a registry does
 * not take them.
 */
int pusher_documents(struct pusher *p, const struct built_image *images, size_t n,
                     const struct doc_options *o, struct image_docs *ret, struct err *err);
/*
 * Sends what is missing: layers and configurations, several at once, then manifests, then the index
 * under the names (by_digest: under its digest alone). vertex: "pushing layers", "pushing manifest
 * for NAME@DIGEST" as BuildKit shows them.
 */
int pusher_finish(struct pusher *p, const struct image_docs *docs, bool by_digest, int vertex,
                  struct err *err);

#endif
