/*
 * A source that another thread fills: the two ends run side by side, with a
 * bounded queue (about 4 MiB) between them. What is read is what the producer
 * wrote; the producer's error comes out where its bytes end. Freeing the source
 * makes the producer's next write fail and waits for it.
 */
#ifndef SHALE_STORE_FEED_H
#define SHALE_STORE_FEED_H

#include "base/stream.h"

/* Runs on a thread of its own; to is borrowed and needs no finish. */
typedef int (*feed_fn)(void *arg, struct sink *to, struct err *err);
/* free_arg (may be NULL) is called with arg when the thread has ended. */
struct source *source_feed(feed_fn produce, void *arg, void (*free_arg)(void *))
    OWNED(source_free) NONNULL;
/* Reads next, which it takes over, ahead of the reader. */
struct source *source_ahead(struct source *next) OWNED(source_free) NONNULL;
/* next stays the caller's; the first bytes that were taken from it already come first. */
#define SOURCE_HEAD_MAX 16
struct source *source_borrow(struct source *next, const void *head, size_t n)
    OWNED(source_free) NONNULL;

#endif
