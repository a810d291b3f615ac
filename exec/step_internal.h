/*
 * One command in one container, the trees given as paths: the part of
 * exec_run that knows no store. Makes the bundle in dir, starts the helper,
 * passes on output, and judges what came back.
 */
#ifndef SHALE_EXEC_STEP_INTERNAL_H
#define SHALE_EXEC_STEP_INTERNAL_H

#include "exec/run.h"
#include "exec/runtime_internal.h"

struct step {
    const struct exec_spec *spec;
    const struct runtime *runtime;
    const char *dir;   /* absolute path of an empty directory for this step alone */
    const char *upper; /* absolute path of the upper directory, on the same file system */
    const char *id;    /* of the container; unique on this machine; also its cgroup's name */
    const char *store; /* absolute path of the store: links below it are not followed for mounts */
    const struct strv *lowers;       /* absolute paths, lowest first */
    const struct strv *mount_lowers; /* for each of spec's mounts; only LAYERS have some */
    struct observer *observer;       /* started; lowers name its mounts' places. Or NULL */
};

/* ret->upper is left alone. */
int step_run(const struct step *step, struct exec_result *ret, struct err *err);

/*
 * Refuses what would lead the runtime astray: a working directory or mount target in /proc, /sys or
 * /dev (CVE-2024-21626), a root file system where those are no directories. ERR_USAGE,
 * ERR_UNSUPPORTED.
 */
int step_check(const struct exec_spec *spec, struct err *err);

#endif
