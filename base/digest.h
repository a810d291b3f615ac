/*
 * SHA-256 digests, the names of everything, and XXH3 for hash tables and quick
 * damage checks (it never decides that two contents are equal). Hashing goes
 * through libcrypto with the algorithm fetched once. A hasher is used by one
 * thread at a time; the rest is immutable.
 */
#ifndef SHALE_BASE_DIGEST_H
#define SHALE_BASE_DIGEST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32
#define DIGEST_HEX_LEN 64
#define DIGEST_STR_LEN (7 + DIGEST_HEX_LEN) /* "sha256:" + hex */

struct digest {
    uint8_t b[DIGEST_LEN];
};

/* Meanings have types of their own, so that mixing them up does not compile. */
struct blob_id {
    struct digest d; /* of the bytes of a blob */
};
struct diff_id {
    struct digest d; /* of a layer's uncompressed tar */
};
struct content_id {
    struct digest d; /* of a listing without times */
};
struct cache_key {
    struct digest d; /* of named, framed fields */
};

bool digest_eq(const struct digest *a, const struct digest *b);
bool digest_is_zero(const struct digest *d);
/* 64 lower-case hex digits and a NUL. Returns ret. */
const char *digest_hex(const struct digest *d, char ret[DIGEST_HEX_LEN + 1]);
/* "sha256:<hex>" and a NUL. Returns ret. */
const char *digest_str(const struct digest *d, char ret[DIGEST_STR_LEN + 1]);
/* A compound literal's worth of text for messages: DIGEST_S(&d). Lives until the block ends. */
#define DIGEST_S(d) digest_str((d), (char[DIGEST_STR_LEN + 1]){ 0 })
#define DIGEST_HEX(d) digest_hex((d), (char[DIGEST_HEX_LEN + 1]){ 0 })
/* Exactly 64 lower-case hex digits. */
int digest_parse_hex(const char *hex, struct digest *ret, struct err *err);
/* Exactly "sha256:" and 64 lower-case hex digits; another algorithm is ERR_UNSUPPORTED. */
int digest_parse(const char *s, struct digest *ret, struct err *err);

struct hasher;
void hasher_free(struct hasher *h);
DEFINE_AUTO(struct hasher, hasher_free);
struct hasher *hasher_new(void) OWNED(hasher_free) NONNULL;
void hasher_add(struct hasher *h, const void *p, size_t n);
/* Gives the digest and starts over. */
void hasher_end(struct hasher *h, struct digest *ret);
void digest_of(const void *p, size_t n, struct digest *ret);

/*
 * A checksum that somebody else gives, of more bits than ours: "sha384" or "sha512". checksum_end
 * adds it in hex to ret and ends it: only checksum_free may follow.
 */
struct checksum;
void checksum_free(struct checksum *c);
DEFINE_AUTO(struct checksum, checksum_free);
struct checksum *checksum_new(const char *name) OWNED(checksum_free); /* NULL: not known */
void checksum_add(struct checksum *c, const void *p, size_t n);
void checksum_end(struct checksum *c, struct buf *ret);

uint64_t quick_hash(const void *p, size_t n, uint64_t seed); /* XXH3-64 */

#endif
