/*
 * A build context: a directory, seen through its ignore rules as a listing.
 * Only what somebody needs is scanned; a file's bytes are read only when its
 * digest is not remembered (digest_memory.h). Owners are 0:0, sockets are
 * empty files and names of one file are hard links, as Docker's client sends
 * them.
 *
 *     context_open -> context_scan* -> context_open_file* -> context_free
 *
 * context_scan and context_open_file may be called from any thread.
 */
#ifndef SHALE_CACHE_CONTEXT_H
#define SHALE_CACHE_CONTEXT_H

#include "base/cancel.h"
#include "base/pool.h"
#include "dockerfile/ignore.h"
#include "image/listing.h"
#include "store/store.h"

struct context;
void context_free(struct context *c);
DEFINE_AUTO(struct context, context_free);
/* ignore (may be NULL) is taken over. pool and cancel are borrowed. ERR_NOT_FOUND: no such
 * directory. */
struct context *context_open(const char *path, struct ignore *ignore, struct store *s,
                             struct pool *pool, struct cancel *cancel, struct err *err)
    OWNED(context_free);

/*
 * Before the first scan: modes as git keeps them, so that the umask of whoever checked out does
 * not count. 0755 for directories and for what its owner may execute, else 0644.
 */
void context_normalize_modes(struct context *c);

/*
 * Drops the digests that are remembered: what is scanned from now on is read. For builds that trust
 * no cache, and where a file turned out to be another than was remembered.
 */
void context_forget(const struct context *c);

/*
 * The listing of everything at and below the given paths ("" is the whole context), with their
 * parents, and what symbolic links on the way there, or there, point to. A path that does not exist
 * adds nothing. What was scanned before is not scanned again. The listing lives as long as the
 * context. A file that changes while it is read is read again, and fails (ERR_IO) when it does not
 * settle.
 */
int context_scan(struct context *c, const struct strv *paths, const struct listing **ret,
                 struct err *err);

/* The file's bytes: an fd, or a negative code. Links are not followed. */
int context_open_file(const struct context *c, const char *path, struct err *err);

struct context_counts {
    uint64_t files, bytes;           /* in the listing */
    uint64_t read_files, read_bytes; /* of them read to be hashed */
};
void context_counts(struct context *c, struct context_counts *ret);

#endif
