/*
 * Unpacking a layer into a directory, for overlayfs to use as a lower one.
 *
 * What is made is what the listing says, and nothing else: directories, links,
 * devices, owners, modes, xattrs and times come from it, entry by entry, each
 * through its parent's fd below root. From the tar come bytes alone, and a
 * file is there only when its bytes have the listing's digest. So the
 * tree cannot differ from what was planned on, whatever order, duplicates
 * or links a tar has, and no path of a tar is ever followed.
 *
 * Whiteouts become 0:0 character devices and opaque directories get
 * trusted.overlay.opaque, in a user namespace user.overlay.opaque: what
 * overlayfs can read and write there. trusted.* of the layer are left out there. A 0:0 character
 * device of the layer itself, which would be taken for one, is left out. Parents that the layer
 * does not name are 0755, root's.
 */
#ifndef SHALE_STORE_UNPACK_H
#define SHALE_STORE_UNPACK_H

#include "base/stream.h"
#include "image/listing.h"
#include "store/loose.h"

/*
 * root: fd of an empty directory; scratch: of another one on the same file
 * system. tar is read to its end. ERR_CORRUPT: the tar does not have the listing's
 * files. ERR_UNSUPPORTED: this user may not make what the listing says (devices, owners that are
 * not mapped). On failure root holds what was made.
 */
int unpack_layer(int root, int scratch, const struct listing *l, struct source *tar,
                 struct err *err);
/* The same with the bytes of files that are there already. Some may be missing: ERR_NOT_FOUND. */
int unpack_loose(int root, const struct listing *l, struct loose *files, struct err *err);

#endif
