/*
 * "user[:group]" of --chown, and of USER for a directory that WORKDIR makes,
 * as BuildKit reads it: which is not how a process's user is read
 * (view_user). A user alone brings its group: the primary one of a name, the
 * same number of a number. "root" and nothing are 0 everywhere.
 */
#ifndef SHALE_ENGINE_OWNER_H
#define SHALE_ENGINE_OWNER_H

#include "image/view.h"

struct owner {
    uint32_t uid, gid;
};

/*
 * A name that the view does not know leaves 0 (a group: the user's), and ret_unknown (empty
 * before, may be NULL) says so: Docker builds on silently.
 * ERR_UNSUPPORTED: passwd or group cannot be read.
 */
int owner_resolve(const struct view *v, const char *spec, struct owner *ret,
                  struct buf *ret_unknown, struct err *err);
/* Whether a name would have to be looked up. */
bool owner_has_names(const char *spec);

#endif
