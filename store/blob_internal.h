/* Blobs, for the rest of store/. */
#ifndef SHALE_STORE_BLOB_INTERNAL_H
#define SHALE_STORE_BLOB_INTERNAL_H

#include "store/blob.h"
#include "store/store_internal.h"

/* blob_has for one whose size the caller knows from a row of its own: the file's state alone
 * decides. */
bool blob_has_size(struct store *s, const struct blob_id *id, uint64_t size);
/* Reads the whole blob again. A blob that is not its name is removed, and so are the rows of it. */
bool blob_is_sound(struct store *s, const struct blob_id *id);

#endif
