/* What push.c (the order of things) and push_parcel.c (one blob) share. */
#ifndef SHALE_ENGINE_PUSH_INTERNAL_H
#define SHALE_ENGINE_PUSH_INTERNAL_H

#include "engine/push.h"

#include "base/map.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include <pthread.h>
#include <stdatomic.h>

#define PUSHING_LAYERS "pushing layers" /* a status, in BuildKit's words */

/* A repository that the image goes to. */
struct push_target {
    struct image_name name;    /* the first of its names: for domain and path */
    char *repository;          /* "docker.io/library/x" */
    struct strv names;         /* canonical, with the tags that are set there */
    struct registry *registry; /* owned */
};

/*
 * One blob and its way into every repository. Whoever holds the lock carries it; who comes second
 * finds it delivered.
 */
struct parcel {
    struct pusher *p;
    struct descriptor what;    /* digest and size */
    const struct layer *layer; /* it has the bytes; NULL: */
    const struct buf
        *text; /* a document; borrowed from the image_docs; NULL: a blob of the store */
    pthread_mutex_t lock;
    size_t n_there;   /* the first so many targets have it */
    uint64_t counted; /* bytes of it that are in pusher.n_sent */
};

struct pusher {
    struct engine *e;
    struct doc_options options;
    enum compression compression; /* options.compression points here, when it is not NULL */
    struct registry_config *own_config;
    struct http *http;
    struct push_target *targets;
    size_t n_targets;
    const struct push_watch *watch;
    struct pool *pool;       /* those who send wait for the network, and no others wait for them */
    struct group *packing;   /* on the engine's threads */
    struct group *sending;   /* in the background, before pusher_finish */
    struct group *finishing; /* what pusher_finish waits for */
    pthread_mutex_t lock;    /* of parcels and calls of watch */
    struct map *parcels;     /* digest in hex -> struct parcel */
    atomic_int vertex;       /* 0 before pusher_finish */
    _Atomic uint64_t n_sent; /* bytes, those that were sent again counted again */
    struct cancel *stop;     /* the pusher ends */
    struct cancel *hang_up;  /* http's: connections are cut */
    pthread_t guard;
    bool has_guard;
};

/* push.c: a manifest or index into a repository. */
int pusher_put(struct pusher *p, const struct push_target *t, const char *reference,
               const char *media_type, const struct buf *text, struct err *err);
void pusher_send_early(struct pusher *p, struct parcel *k);
int pusher_send_now(void *parcel, struct err *err); /* a task of p->finishing */

/* push_parcel.c */
/* Drops the parcels of documents: nothing of them is under way. */
void pusher_forget_texts(struct pusher *p);
void parcel_free(void *parcel);
/* The parcel of that digest, made at its first mention. Any thread. */
struct parcel *parcel_of(struct pusher *p, const struct blob_id *id, uint64_t size,
                         const struct layer *layer, const struct buf *text);
int parcel_send(struct parcel *k, struct err *err);
/* Nothing more is to be sent: ERR_CANCELLED. */
int pusher_check(struct pusher *p, struct err *err);
int push_failed(const char *name, struct err *err); /* "failed to push NAME: ..." */

#endif
