/*
 * The bytes of a listing (docs/listing-format.md) and what listing.c,
 * listing_check.c, listing_builder.c and layer_tar.c share. Numbers are little-endian, nothing
 * is aligned.
 */
#ifndef SHALE_IMAGE_LISTING_INTERNAL_H
#define SHALE_IMAGE_LISTING_INTERNAL_H

#include "image/listing.h"
#include <endian.h>
#include <stdatomic.h>
#include <string.h>

#define LISTING_MAGIC "shalelst"
#define LISTING_RECIPE "shale content id 1" /* hashed first, with its NUL */
#define LISTING_PATH_MAX 4095u
#define LISTING_XATTR_MAX 65536u /* bytes of one value */
#define LISTING_XATTRS_MAX 4096u /* of one entry */
#define LISTING_NONE UINT32_MAX
/* Bytes of xattrs, targets and content that a builder keeps: a small tar can name very many. */
#define LISTING_KEPT_MAX ((uint64_t)1 << 30)

enum {
    HEAD_VERSION = 8,
    HEAD_ENTRIES = 12,
    HEAD_XATTRS = 16,
    HEAD_POOL = 20,
    HEAD_TOTAL = 24,
    HEAD_ID = 32,
    HEAD_LEN = 64,
};

enum {
    REC_PATH = 0,
    REC_PATH_LEN = 4,
    REC_MODE = 6,
    REC_TYPE = 8,
    REC_FLAGS = 9,
    REC_N_XATTRS = 10,
    REC_UID = 12,
    REC_GID = 16,
    REC_MTIME_NS = 20,
    REC_SIZE = 24,
    REC_MTIME = 32,
    REC_CONTENT = 40,
    REC_A = 72, /* file: 1 + index of the entry it is a link to; link: target; device: major */
    REC_B = 76, /* file: inline content; link: bytes of the target; device: minor */
    REC_XATTRS = 80,
    REC_LEN = 84,
};

enum { XATTR_NAME = 0, XATTR_VALUE = 4, XATTR_VALUE_LEN = 8, XATTR_LEN = 12 };
enum { TAIL_LEN = 8 };
enum { FLAG_OPAQUE = 1, FLAG_INLINE = 2 };

/* What is only known after it was opened: the one part that changes, for all threads. */
struct listing_late {
    _Atomic(struct entry_xattr *) xattrs; /* all tables one after the other; NULL: not asked for */
    atomic_bool is_damaged;
};

struct listing {
    const uint8_t *data;
    size_t len;
    void *owned;  /* memory of ours, or NULL */
    void *mapped; /* a mapping of len bytes, or NULL */

    const uint8_t *records, *xattrs;
    const char *pool;
    size_t n, n_xattrs, pool_len;
    uint64_t total_size;
    struct content_id id;
    unsigned facts;
    struct listing_late *late;
};

static inline const uint8_t *listing_record(const struct listing *l, size_t i)
{
    return l->records + i * REC_LEN;
}

/* The row of the xattr table; false when it points outside of the listing. */
bool listing_xattr(const struct listing *l, size_t i, struct entry_xattr *ret);
static inline bool listing_in_pool(const struct listing *l, uint64_t off, uint64_t len)
{
    return off <= l->pool_len && len <= l->pool_len - off;
}
/* A string of len bytes and its NUL. */
static inline bool listing_has_string(const struct listing *l, uint64_t off, uint64_t len)
{
    return listing_in_pool(l, off, len + 1) && l->pool[off + len] == '\0';
}

/* Each record and what it points to (listing_check.c); finds the facts out. */
int listing_check(struct listing *l, struct err *err);
/* listing_open_trusted of bytes in memory, for tests. Takes over b's bytes. */
struct listing *listing_trust_buf(struct buf *b, unsigned facts, struct err *err)
    OWNED(listing_free);

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return le16toh(v);
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return le32toh(v);
}

static inline uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return le64toh(v);
}

static inline void put16(uint8_t *p, uint16_t v)
{
    v = htole16(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof(v));
}

static inline void put64(uint8_t *p, uint64_t v)
{
    v = htole64(v);
    memcpy(p, &v, sizeof(v));
}

static inline int path_rank(unsigned char c)
{
    return c == '/' ? 0 : c + 1;
}

/* How many bytes a and b begin with together. */
static inline size_t common_len(const char *a, const char *b, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return i + (size_t)__builtin_ctzll(le64toh(x ^ y)) / 8;
    }
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* path_cmp on texts of known length; *ret_common is where they part. */
static inline int path_cmp_n(const char *a, size_t a_len, const char *b, size_t b_len,
                             size_t *ret_common)
{
    size_t n = a_len < b_len ? a_len : b_len;
    size_t i = common_len(a, b, n);
    *ret_common = i;
    if (i == a_len)
        return i == b_len ? 0 : -1;
    if (i == b_len)
        return 1;
    return path_rank((unsigned char)a[i]) - path_rank((unsigned char)b[i]);
}

/* The components of p, n bytes: none empty, "." or "..", no NUL. n is not 0. */
bool path_components_ok(const char *p, size_t n);

/* Of the whole: "" or clean, not too long. */
bool path_is_clean(const char *path);
/* ERR_CORRUPT, unless path, type and sizes are what a listing can hold. */
int entry_check(const struct entry *e, struct err *err);
int entry_bad(struct err *err, const struct entry *e, const char *what);
/* Only what the type has a use for, so that equal entries are equal bytes. Paths are not in it,
 * xattrs and strings are e's. */
struct entry entry_plain(const struct entry *e);

/* listing_writer.c: the next record. first: 1 + the record that it is a further name of, or 0. */
struct listing_writer;
int writer_put(struct listing_writer *w, const char *path, size_t len, const struct entry *e,
               uint32_t first, struct err *err);
uint32_t writer_len(const struct listing_writer *w);

/* The names of the numbers, for what only this folder asks. */
const char *listing_path(const struct listing *l, size_t i, size_t *ret_len);
enum entry_type listing_type(const struct listing *l, size_t i);
/* The first entry at or after path. */
size_t listing_lower_bound(const struct listing *l, const char *path, size_t len);
/* The first entry after i that is not below path; i is at or below it. */
size_t listing_subtree_end(const struct listing *l, size_t i, const char *path, size_t len);

/*
 * As listing_builder_add, for members of a layer in their order: links of the
 * layer on the way to path and to a hard link's target are followed in-root,
 * and a hard link's header gives its owner, mode and time to what it is a
 * link to, as unpacking does.
 */
int listing_builder_add_member(struct listing_builder *b, const struct entry *e, struct err *err);

#endif
