/*
 * The files of a layer while it is ingested: each is written under a number into scratch as it
 * comes out of the tar. Once the layer's bytes are verified and its listing is known, its tree is
 * made of them by renaming (unpack.h), and nothing has to be inflated, read or hashed again.
 *
 *     loose_new -> loose_watch (layer_tar_list_watched) -> loose_place* -> loose_free
 *
 * Saves work and promises nothing: what cannot be written is not there later. One thread.
 */
#ifndef SHALE_STORE_LOOSE_H
#define SHALE_STORE_LOOSE_H

#include "image/layer_tar.h"
#include "store/store.h"

struct loose;
void loose_free(struct loose *l); /* removes what is left */
DEFINE_AUTO(struct loose, loose_free);
/* NULL: no directory could be made. */
struct loose *loose_new(struct store *s) OWNED(loose_free);
struct layer_tar_watch loose_watch(struct loose *l);
/* Moves a file with these bytes to dirfd/name and opens it for reading. ERR_NOT_FOUND: there is
 * none (any more). */
int loose_place(struct loose *l, const struct digest *content, int dirfd, const char *name,
                struct err *err);

#endif
