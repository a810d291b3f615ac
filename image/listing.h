/*
 * A listing: the sorted table of one layer's entries (or of a context). The
 * file system is planned on through listings; nothing is unpacked for it.
 *
 *     listing_builder_new -> listing_builder_add* -> listing_builder_write -> bytes
 *     listing_open(bytes) -> listing_find / listing_at -> listing_free
 *
 * A path is relative to the root, without leading slash, cleaned; "" is the
 * root directory itself. Order is path_cmp's: a directory comes straight
 * before all that is below it, so a subtree is one range. Sizes in bytes,
 * times in seconds and nanoseconds since 1970.
 *
 * A builder is used by one thread; an open listing is immutable, any thread. The bytes
 * are checked once, at open: every offset, order, path form and count; damage
 * is ERR_CORRUPT, and no accessor can fail later. docs/listing-format.md.
 */
#ifndef SHALE_IMAGE_LISTING_H
#define SHALE_IMAGE_LISTING_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LISTING_VERSION 1
#define LISTING_ENTRIES_MAX 10000000u
#define LISTING_INLINE_MAX 65536u /* larger files are never carried inline */

enum entry_type {
    ENTRY_FILE = 'f',
    ENTRY_DIR = 'd',
    ENTRY_LINK = 'l', /* symbolic */
    ENTRY_CHAR = 'c',
    ENTRY_BLOCK = 'b',
    ENTRY_FIFO = 'p',
    ENTRY_WHITEOUT = 'w', /* removes what layers below have under this path */
};

struct entry_xattr {
    const char *name;
    const void *value;
    size_t len;
};

/* One entry; all pointers are borrowed from the listing (or, for the builder, from the caller). */
struct entry {
    const char *path;
    enum entry_type type;
    bool opaque;   /* directory: hides what layers below have in it */
    uint16_t mode; /* 07777 */
    uint32_t uid, gid;
    uint64_t size; /* files */
    int64_t mtime;
    uint32_t mtime_ns;
    struct digest content; /* files: SHA-256 of the bytes */
    const char *target;    /* symbolic links: as written */
    const char *hardlink; /* files: path of the entry of this layer that it is a link to, or NULL */
    uint32_t dev_major, dev_minor;
    const struct entry_xattr *xattrs; /* sorted by name */
    size_t n_xattrs;
    const void *inline_data; /* files: the content, when carried; size bytes */
};

struct listing_builder;
void listing_builder_free(struct listing_builder *b);
DEFINE_AUTO(struct listing_builder, listing_builder_free);
struct listing_builder *listing_builder_new(void) OWNED(listing_builder_free) NONNULL;
/*
 * Any order; everything is copied; a later entry of the same path replaces the
 * earlier one (a directory over a directory keeps what is below). What its type has no use for (a
 * directory's size, a link's mode) is left out.
 *
 * A hard link takes size, mode, owner, times, xattrs and content of its target: of what is
 * there now, else of what is there at write. A target that is missing then, or a directory, is
 * ERR_CORRUPT; one that is neither is copied. In the listing the first of the names in order
 * carries the content and the others point to it, whichever way they came.
 *
 * A whiteout never takes an entry's place; a directory of the same path becomes opaque. A whiteout
 * with opaque set makes the directory of its path opaque (one is put there when none was added).
 * ERR_CORRUPT: a path that is not clean, an entry below something that is no directory, too much.
 */
int listing_builder_add(struct listing_builder *b, const struct entry *e, struct err *err);
size_t listing_builder_len(const struct listing_builder *b);
/*
 * Drops the entry and everything below; what a whiteout, or a file that takes
 * a directory's place, does inside one layer. Missing is fine.
 */
void listing_builder_remove(struct listing_builder *b, const char *path);
/* Writes the format; ret_id may be NULL. */
int listing_builder_write(struct listing_builder *b, struct buf *ret, struct content_id *ret_id,
                          struct err *err);

struct listing;
void listing_free(struct listing *l);
DEFINE_AUTO(struct listing, listing_free);
/* Takes over b's bytes, also on failure. */
struct listing *listing_open_buf(struct buf *b, struct err *err) OWNED(listing_free);
/* Maps the file; fd may be closed afterwards. */
struct listing *listing_open_fd(int fd, struct err *err) OWNED(listing_free);
/*
 * The same for a file of which the caller knows that its very bytes were found good by
 * listing_open_fd: only the header is looked at, whatever the size. facts is what
 * listing_facts said of them. Were they not good, then accessors give what cannot be, and the
 * order may be none, but they never leave the listing; listing_is_damaged says that one noticed.
 */
struct listing *listing_open_trusted(int fd, unsigned facts, struct err *err) OWNED(listing_free);
struct listing *listing_empty(void) OWNED(listing_free) NONNULL;

size_t listing_len(const struct listing *l);
uint64_t listing_size(const struct listing *l); /* of its bytes */
/* Identity of what it contains: SHA-256 over all entries without times. Stored in the header. */
const struct content_id *listing_content_id(const struct listing *l);
/* Recomputes it from the entries (check, tests). */
void listing_compute_content_id(const struct listing *l, struct content_id *ret);
/*
 * What open leaves out for speed: the hash of the bytes, and the content id,
 * which a listing from elsewhere only claims. ERR_CORRUPT.
 */
int listing_verify(const struct listing *l, struct err *err);
bool listing_is_damaged(const struct listing *l);     /* found out since it was opened */
uint64_t listing_quick_hash(const struct listing *l); /* XXH3 of all its bytes */
/* What the check of all entries finds out of them, and who trusts it has to remember. */
enum listing_fact {
    LISTING_HAS_OPAQUE = 1, /* a directory that is */
    LISTING_HAS_LINKS = 2,  /* a file with several names */
};
unsigned listing_facts(const struct listing *l);      /* enum listing_fact, ored */
uint64_t listing_total_size(const struct listing *l); /* sum of file sizes, hard links once */
void listing_at(const struct listing *l, size_t i, struct entry *ret);
/* The next entry from *i on that is a hard link to another; *i goes behind it. Reads no more of the
 * others than it has to. */
bool listing_next_hardlink(const struct listing *l, size_t *i, struct entry *ret);
bool listing_find(const struct listing *l, const char *path,
                  struct entry *ret); /* ret may be NULL */
/* The range [*ret_first, *ret_end) of path and all below it; false when empty. */
bool listing_range(const struct listing *l, const char *path, size_t *ret_first, size_t *ret_end);

/* Adds the fields of one entry that content ids are made of, path replaced by path. */
void entry_hash(struct hasher *h, const struct entry *e, const char *path);
/* Same type, mode, owner, xattrs, target, device and content (times, path and hard links aside). */
bool entry_same(const struct entry *a, const struct entry *b);
/* Paths whose content listings carry inline: what planning has to read. */
bool listing_wants_inline(const char *path);

#endif
