/*
 * One scan of a context, in three steps: context_walk.c finds what is there, context_hash.c reads
 * the files whose digests are not remembered, context_listing.c writes it down.
 */
#ifndef SHALE_CACHE_CONTEXT_INTERNAL_H
#define SHALE_CACHE_CONTEXT_INTERNAL_H

#include "base/arena.h"
#include "cache/context.h"
#include "cache/digest_memory.h"
#include <pthread.h>
#include <stdatomic.h>

struct context {
    int fd;
    char *path;
    struct ignore *ignore;
    struct store *store;
    struct pool *pool;
    struct cancel *cancel;
    bool normalize_modes;
    pthread_mutex_t lock;
    struct strv wants;         /* what the last listing covers, cleaned; "" is all */
    struct listing **listings; /* the last one is current */
    size_t n_listings, cap_listings;
    struct context_counts counts;
};

/* One found name. */
struct item {
    const char *name, *target;
    struct stat st;
    const struct entry_xattr *xattrs;
    size_t n_xattrs;
    struct digest digest;
    struct found_dir *in, *dir;  /* dir: what is in it */
    bool ignored, unread, plain; /* plain: it has no xattrs, for certain */
    int64_t hashed_ns;
};

/* A directory and what was found in it. Written by the task that reads it, and by nobody after. */
struct found_dir {
    struct scan *scan;
    const char *path; /* from the context */
    struct item *item;
    struct volume volume;
    const uint8_t *state; /* of the ignore rules */
    bool covered;         /* all in it is wanted */
    int depth;
    struct arena arena;
    struct item **items; /* by name */
    size_t n, cap;
};

struct scan {
    struct context *c;
    struct found_dir *top;
    struct item top_item;
    struct memory *memory;
    struct group *group; /* of directories to be read */
    atomic_size_t n;
    pthread_mutex_t lock; /* of the next seven */
    struct arena xattrs;  /* memory for them */
    struct item **unread; /* files to be hashed */
    size_t n_unread, cap_unread;
    const struct found_dir *failed_dir;
    size_t failed_file; /* of unread */
    struct err err;     /* of it */
    atomic_size_t next; /* to be hashed */
    atomic_ullong read_files, read_bytes;
};

char *item_path(const struct item *it) OWNED(mem_free) NONNULL;

/* What somebody wants: path, or something above it. */
bool context_is_covered(const struct context *c, const char *path);
bool context_is_on_the_way(const struct context *c, const char *path);

int context_walk(struct scan *s, struct err *err);
void found_dir_free(struct found_dir *d);
int context_hash(struct scan *s, struct err *err);
int context_list(struct scan *s, struct err *err);

/* context_xattrs.c: those that layers have, of the open fd or, with fd -1, of path; links are not
 * followed. */
void item_read_xattrs(struct scan *s, struct item *it, int fd, const char *path);

#endif
