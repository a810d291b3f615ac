/*
 * What exec_run tells its helper process, and what comes back. The order is a
 * file in the step's directory, the report a pipe; both are lists of strings,
 * each ended by a NUL, so that any path fits.
 *
 * The helper is two processes. The outer one waits: it dies with the process
 * that started it, and at SIGTERM it ends the inner one. The inner one is init
 * of a PID namespace with a mount namespace of its own: it mounts, runs the
 * runtime, removes the mount points, unmounts. When it ends the kernel ends
 * all that is in there, however deep.
 */
#ifndef SHALE_EXEC_HELPER_INTERNAL_H
#define SHALE_EXEC_HELPER_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdint.h>

enum helper_mount_kind {
    HELPER_MOUNT_STUB_DIR, /* only the mount point: the runtime mounts something there */
    HELPER_MOUNT_STUB_FILE,
    HELPER_MOUNT_BIND,   /* source, bound to a name in the step's directory */
    HELPER_MOUNT_LAYERS, /* source inside an overlay of lowers, bound likewise */
    HELPER_MOUNT_FILE,   /* bytes of memory, bound likewise: see memory_files_internal.h */
};

struct helper_mount {
    enum helper_mount_kind kind;
    char *source;       /* BIND: absolute, or relative to below; LAYERS: path in the overlay */
    char *below;        /* BIND: a directory of ours; source leads through no link then. Or "" */
    struct strv lowers; /* LAYERS */
    char *name;         /* BIND, LAYERS, FILE: what it is bound to, in the step's directory */
    char *target;       /* where the mount point must be, relative to the root, links resolved */
    bool read_only;     /* LAYERS: else what is written goes to an upper directory of its own */
    bool makes_stub;    /* false: the target lies in another mount */
    uint64_t n_bytes;   /* FILE */
    unsigned mode;
    uint32_t uid, gid;
};

struct helper_order {
    char *dir;           /* the step's directory, absolute */
    char *upper;         /* absolute */
    char *cwd;           /* of the command, as a target */
    uint64_t n_config;   /* bytes of the runtime's specification */
    char *cgroup;        /* name to remove afterwards, or "" */
    struct strv lowers;  /* lowest first */
    struct strv runtime; /* argv of the runtime */
    struct helper_mount *mounts;
    size_t n_mounts;
    bool no_devices;     /* see struct overlay */
    uint64_t n_observed; /* mounts that come as fds, for directories "o0", ... of dir */
    char *seal;          /* a name to look for in each of them when the step is over */
};
void helper_order_release(struct helper_order *o);
DEFINE_AUTO_VALUE(struct helper_order, helper_order_release);
struct helper_mount *helper_order_add(struct helper_order *o, enum helper_mount_kind kind,
                                      const char *target);
void helper_order_write(const struct helper_order *o, struct buf *b);
int helper_order_read(const char *p, size_t n, struct helper_order *ret, struct err *err);

struct helper_report {
    struct err failed; /* code ERR_NONE: the runtime ran */
    int status;        /* of the runtime: exit code, or 128 + signal */
    struct strv stubs; /* mount points that were made and taken away again */
    int unsealed;      /* mounts of observed layers whose server had ended */
};
void helper_report_release(struct helper_report *r);
DEFINE_AUTO_VALUE(struct helper_report, helper_report_release);
void helper_report_write(const struct helper_report *r, struct buf *b);
int helper_report_read(const char *p, size_t n, struct helper_report *ret, struct err *err);

/* Names in the step's directory. */
#define HELPER_ORDER "order"
#define HELPER_ROOT "root"   /* where the overlay is mounted */
#define HELPER_WORK "work"   /* overlayfs's own */
#define HELPER_NAMES "names" /* short names of lower directories */
#define HELPER_LOG "runtime.log"
#define HELPER_MEMORY "memory"              /* a tmpfs; the runtime's bundle */
#define HELPER_STATE HELPER_MEMORY "/state" /* the runtime's */
#define HELPER_REPORT_FD 3
#define HELPER_BYTES_FD 4 /* see memory_files_internal.h */
#define HELPER_FIRST_OBSERVED_FD 5

#endif
