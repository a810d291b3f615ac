/*
 * Keys: SHA-256 over named, framed fields (length, name, length, bytes), so
 * that no two different inputs give the same stream. The same calls also write
 * text, one "name: value" line a field, for explaining. docs/cache-keys.md is
 * the recipe; KEY_VERSION changes whenever it does.
 *
 *     key_new("run") -> key_str / key_strv / key_digest / ...* -> key_end
 *
 * No secret's value may enter. One key, one thread.
 */
#ifndef SHALE_CACHE_KEY_H
#define SHALE_CACHE_KEY_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/own.h"

#define KEY_VERSION 3

struct key;
void key_free(struct key *k);
DEFINE_AUTO(struct key, key_free);
/* kind: "run", "copy", ...: the first field after the version. */
struct key *key_new(const char *kind) OWNED(key_free);
void key_bytes(struct key *k, const char *name, const void *p, size_t n);
void key_str(struct key *k, const char *name, const char *s); /* NULL is another value than "" */
void key_strv(struct key *k, const char *name, const struct strv *v);
void key_u64(struct key *k, const char *name, uint64_t v);
void key_digest(struct key *k, const char *name, const struct digest *d);
/* ret_text (may be NULL) gets the fields as text. The key is used up. */
void key_end(struct key *k, struct cache_key *ret, struct buf *ret_text);

#endif
