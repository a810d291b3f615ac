/*
 * Directories of RUN --mount=type=cache: they outlive builds, are in no image
 * and in no key. Below the store as cache-mounts/<64 hex digits>[-N]; the name is a
 * digest that the caller makes of all that tells two caches apart, never a
 * path (CVE-2024-9675).
 *
 *     cache_mount_open -> bind cache_mount_path -> cache_mount_close
 *
 * Open ones are locked against removal, by a lock that dies with the process: on a byte of
 * cache-mounts/.lock, shared for CACHE_SHARED, else exclusive. Who removes one holds it
 * exclusively. A shared one waits for who has it locked. Any thread.
 */
#ifndef SHALE_STORE_CACHE_MOUNT_H
#define SHALE_STORE_CACHE_MOUNT_H

#include "base/cancel.h"
#include "store/store.h"

enum cache_sharing {
    CACHE_SHARED,  /* used by several at a time */
    CACHE_PRIVATE, /* another one of its own when it is in use */
    CACHE_LOCKED,  /* waits until nobody else uses it */
};

struct cache_mount_spec {
    struct digest name;
    enum cache_sharing sharing;
    uint32_t uid, gid; /* of the directory, when it is made */
    unsigned mode;
    bool anew; /* what is there is thrown away, once nobody uses it: --no-cache */
    /* Fills a new directory before anybody sees it; NULL: it is empty. scratch: another empty
     * directory on the same file system. Owner and mode are set afterwards. */
    int (*fill)(void *arg, int dirfd, int scratchfd, struct err *err);
    void *arg;
};

struct cache_mount;
void cache_mount_close(struct cache_mount *m);
DEFINE_AUTO(struct cache_mount, cache_mount_close);
/* cancel (may be NULL) ends waiting: ERR_CANCELLED. */
struct cache_mount *cache_mount_open(struct store *s, const struct cache_mount_spec *spec,
                                     struct cancel *cancel, struct err *err)
    OWNED(cache_mount_close);
const char *cache_mount_path(const struct cache_mount *m); /* absolute */

#endif
