/*
 * Writes a listing whose entries come in order, as a walk gives them, each
 * path once. A builder (listing.h) takes them in any order, at several times the cost.
 *
 *     listing_writer_new -> listing_writer_add* -> listing_writer_end -> listing_writer_free
 *
 * One thread.
 */
#ifndef SHALE_IMAGE_LISTING_WRITER_H
#define SHALE_IMAGE_LISTING_WRITER_H

#include "image/listing.h"

struct listing_writer;
void listing_writer_free(struct listing_writer *w);
DEFINE_AUTO(struct listing_writer, listing_writer_free);
struct listing_writer *listing_writer_new(void) OWNED(listing_writer_free) NONNULL;
/*
 * Everything is copied. A hard link repeats all that its target says, which came before it.
 * ERR_CORRUPT: not after the one before, a path that is not clean, below something that is no
 * directory, xattrs out of order, a link to what is no file, too much.
 */
int listing_writer_add(struct listing_writer *w, const struct entry *e, struct err *err);
/* The format, as listing_builder_write gives it, and the content id; either may be NULL. Once. */
void listing_writer_end(struct listing_writer *w, struct buf *ret, struct content_id *ret_id);

#endif
