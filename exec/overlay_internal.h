/*
 * Mounting an overlay, with as many lower directories as the kernel takes
 * (500), however long their paths are. For the helper process only: one
 * thread, a mount namespace of its own; the working directory changes.
 */
#ifndef SHALE_EXEC_OVERLAY_INTERNAL_H
#define SHALE_EXEC_OVERLAY_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"

struct overlay {
    const struct strv *lowers; /* absolute paths, lowest first; none is fine, one twice is too */
    const char *upper, *work;  /* absolute; NULL: a read-only overlay */
    const char *names;         /* absolute path of an empty directory: short names are made in it */
    bool no_devices;           /* device nodes can't be opened through it */
    bool classic;              /* mount(2), also where the newer calls are there */
};

/*
 * upper becomes a tree that needs nothing else: no redirects, no metadata-only copies.
 * ERR_UNSUPPORTED when this kernel or file system can't, with the reason; else ERR_IO.
 */
int overlay_mount(const struct overlay *o, const char *target, struct err *err);

#endif
