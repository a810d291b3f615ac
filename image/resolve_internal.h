/*
 * The walk along a path that follows symbolic links inside a root, over
 * anything that can say what is at a name: a view, or a layer being listed.
 */
#ifndef SHALE_IMAGE_RESOLVE_INTERNAL_H
#define SHALE_IMAGE_RESOLVE_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

#define RESOLVE_LINKS_MAX 255

enum spot { SPOT_MISSING, SPOT_DIR, SPOT_LINK, SPOT_OTHER };

/* What is at path (clean, its parents are directories); *ret_target is set for links, borrowed. */
typedef enum spot (*spot_fn)(void *arg, const char *path, const char **ret_target);

struct resolved {
    enum spot spot; /* of the last component; SPOT_LINK only without follow_last */
    size_t missing; /* components at the end of the path that are not there */
};

/*
 * ret receives the real path (clear it before). ".." stops at the root. Fails
 * with ERR_CORRUPT for more than 255 links, ERR_NOT_FOUND (sys ENOTDIR) when a component or a
 * trailing slash asks for a directory where there is something else.
 */
int resolve_path(spot_fn look, void *arg, const char *path, bool follow_last, struct buf *ret,
                 struct resolved *ret_what, struct err *err);

#endif
