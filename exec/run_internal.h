/* The steps of collecting that need no store, for tests. Inside exec/ only. */
#ifndef SHALE_EXEC_RUN_INTERNAL_H
#define SHALE_EXEC_RUN_INTERNAL_H

#include "exec/overlay_internal.h"
#include "exec/run.h"

/*
 * Makes dirfd/name, an empty directory, the upper directory over view: mode, owner, xattrs and
 * time of the root, as what is mounted has its root's from there.
 */
int upper_prepare(int dirfd, const char *name, const struct view *v, struct err *err);
/*
 * Walks the upper directory dirfd into b (files without content digests) and brings it into the
 * form of a lower directory: what is not listed is removed from it. marks: of the overlay that it
 * was mounted in.
 */
int upper_list(int dirfd, enum overlay_marks marks, const struct view *v, struct listing_builder *b,
               struct err *err);

#endif
