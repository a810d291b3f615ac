/*
 * Blobs. Written once, under the name of their SHA-256, whole and synced, or
 * never.
 *
 *     blob_writer_open -> blob_writer_sink (or blob_writer_add*) -> blob_writer_commit
 *
 * A failed add is remembered and reported by commit. One writer, one thread;
 * the rest from any thread. A blob that is gone or has another size than the
 * index says is ERR_NOT_FOUND; one whose bytes are not its name is
 * ERR_CORRUPT, is removed, and is a miss from then on.
 */
#ifndef SHALE_STORE_BLOB_H
#define SHALE_STORE_BLOB_H

#include "base/stream.h"
#include "store/store.h"

struct blob_writer;
void blob_writer_free(struct blob_writer *w); /* drops the bytes unless committed */
DEFINE_AUTO(struct blob_writer, blob_writer_free);
struct blob_writer *blob_writer_open(struct store *s, struct err *err) OWNED(blob_writer_free);
int blob_writer_add(struct blob_writer *w, const void *p, size_t n, struct err *err);
/* A sink that adds to w; w stays the caller's. */
struct sink *blob_writer_sink(struct blob_writer *w) OWNED(sink_free) NONNULL;
/* Fails with ERR_CORRUPT when want is given and differs. ret_size may be NULL. */
int blob_writer_commit(struct blob_writer *w, const struct blob_id *want, struct blob_id *ret_id,
                       uint64_t *ret_size, struct err *err);

int blob_put(struct store *s, const void *p, size_t n, struct blob_id *ret_id, struct err *err);
bool blob_has(struct store *s, const struct blob_id *id, uint64_t *ret_size);
/* fd at offset 0; the bytes are not verified by this. */
int blob_open(struct store *s, const struct blob_id *id, uint64_t *ret_size, struct err *err);
/* The whole blob, verified. */
int blob_read(struct store *s, const struct blob_id *id, size_t max, struct buf *ret,
              struct err *err);
/* A source that fails with ERR_CORRUPT at its end when the bytes were not the blob's. */
struct source *blob_source(struct store *s, const struct blob_id *id, struct err *err)
    OWNED(source_free);

#endif
