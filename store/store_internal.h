/* What the files of store/ share: the store's insides and the locks between processes. */
#ifndef SHALE_STORE_STORE_INTERNAL_H
#define SHALE_STORE_STORE_INTERNAL_H

#include "base/cancel.h"
#include "base/map.h"
#include "base/userns.h"
#include "store/index_internal.h"
#include "store/layer_away.h"
#include "store/store.h"
#include "store/work.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#define BOOT_LEN 32

/* The state of a listing's file when its bytes were found good (layer_listing.c); "" is none. */
struct listing_stamp {
    char text[200];
};
struct pending_stamp {
    struct blob_id listing;
    struct listing_stamp stamp;
};

struct store {
    char *root; /* absolute, without links */
    int dirfd;  /* of root */
    int blobs;  /* blobs/sha256 */
    int trees;  /* trees, or those of this user namespace: trees-<form> */
    char *trees_name;
    struct userns ns;        /* trees and cache mounts have its owners */
    int work;                /* work */
    char boot[BOOT_LEN + 1]; /* this boot of the machine: hex digits */
    atomic_bool durable;
    atomic_uint next_work;
    struct db *db;
    pthread_mutex_t lock; /* over what follows */
    struct map *layers;   /* hex of diff id -> struct layer, for ever */
    struct layer **away;  /* of layer_away.h, for ever */
    size_t n_away, cap_away;
    layer_fetch_fn fetch;
    void *fetch_arg;
    struct work *scratch;         /* the store's own, made when first wanted */
    struct pending_stamp *stamps; /* to be written when it is closed */
    size_t n_stamps, cap_stamps;
};

/* Name of a directory of files with owners: of our own where the machine's root has another. */
char *store_owned_name(const struct store *s, const char *name) OWNED(mem_free);
/* Scratch of the store itself; borrowed. */
struct work *store_scratch(struct store *s, struct err *err);
/* mkdir with exactly this mode, whatever the umask; what is there already is fine. */
int store_make_dir(int dirfd, const char *name, mode_t mode, struct err *err);
/*
 * Whether somebody wrote here without syncing. Since the machine was started: then that something
 * is there does not mean that it outlasts a power cut. Ask after having seen it. Before that: then
 * a power cut may have left something else under its name, of the right size perhaps. One who did
 * so now may have done so before.
 */
enum unsynced { UNSYNCED_NEVER, UNSYNCED_BEFORE, UNSYNCED_NOW };
enum unsynced store_unsynced(struct store *s);
static inline bool store_has_unsynced(struct store *s)
{
    return store_unsynced(s) == UNSYNCED_NOW;
}
/* Says so, for the boot that is given: before the first write that is not synced. */
int store_say_unsynced(int dirfd, const char *boot, struct err *err);
/* Durable: all that is there and may not be synced is, when this returns. */
int store_settle(struct store *s, struct err *err);
/* What was learnt of listings goes into the index (layer_listing.c). */
void layer_stamps_write(struct store *s);
/* record_put inside of a db_fn (record.c). */
struct record;
int record_put_row(struct db *ix, const struct record *r, struct err *err);
/* Removes scratch of processes that are gone (work.c). */
void work_clear_dead(struct store *s);

/*
 * A lock between everybody, threads of this process included: the byte of a
 * lock file that the digest falls on. It dies with the process. Who holds several has asked for
 * them in the order record (a step that is made), fetching, packing, tree.
 */
enum claim_kind { CLAIM_TREE, CLAIM_PACK, CLAIM_RECORD, CLAIM_FETCH };
/* An fd to be closed, or a negative code. */
int store_claim(struct store *s, enum claim_kind kind, const struct digest *d, struct err *err);
/* Waits for an exclusive lock on one byte that belongs to the open file description. */
int lock_byte(int fd, uint64_t at, struct err *err);
/* 1: got it, 0: somebody has it, or a negative code. */
int lock_try_byte(int fd, uint64_t at, struct err *err);
/* The same for a lock that several can have; one that was exclusive becomes such. */
int lock_try_share_byte(int fd, uint64_t at, struct err *err);
int unlock_byte(int fd, uint64_t at, struct err *err);
/*
 * Waits for such a lock by looking again, for hours if need be: a lock's own wait cannot be
 * cancelled. cancel (may be NULL) ends it: ERR_CANCELLED. So does max_ms, unless LOCK_FOREVER:
 * ERR_NOT_FOUND.
 */
#define LOCK_FOREVER (-1)
int lock_await_byte(int fd, uint64_t at, bool exclusive, int64_t max_ms, struct cancel *cancel,
                    struct err *err);

#endif
