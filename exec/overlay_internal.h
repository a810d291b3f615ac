/*
 * Mounting an overlay, with as many lower directories as the kernel takes
 * (500), however long their paths are. For the helper process only: one
 * thread, a mount namespace of its own; the working directory changes.
 */
#ifndef SHALE_EXEC_OVERLAY_INTERNAL_H
#define SHALE_EXEC_OVERLAY_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

/*
 * Where overlayfs keeps its marks (opaque directories, whiteouts of newer kinds): in attributes
 * that only the machine's root can set, or, by the option "userxattr" (since Linux 5.11), in some
 * that root of a user namespace can set too. It reads marks of the one kind alone.
 */
enum overlay_marks { OVERLAY_MARKS_TRUSTED, OVERLAY_MARKS_USER };
enum overlay_marks overlay_marks(void);               /* those in use here */
const char *overlay_prefix(enum overlay_marks marks); /* "trusted.overlay." or "user.overlay." */

struct overlay {
    const struct strv *lowers; /* absolute paths, lowest first; none is fine, one twice is too */
    const char *upper, *work;  /* absolute; NULL: a read-only overlay */
    const char *names;         /* absolute path of an empty directory: short names are made in it */
    bool no_devices;           /* device nodes can't be opened through it */
    bool classic;              /* mount(2), also where the newer calls are there */
    enum overlay_marks marks;
};

/*
 * upper becomes a tree that needs nothing else: no redirects, no metadata-only copies.
 * ERR_UNSUPPORTED when this kernel or file system can't, with the reason; else ERR_IO.
 */
int overlay_mount(const struct overlay *o, const char *target, struct err *err);

#endif
