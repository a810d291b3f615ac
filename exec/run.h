/*
 * Runs one command on a stack of layers, in a container of an OCI runtime.
 *
 *     exec_run -> (exec_collect -> layer) -> exec_result_release
 *
 * The layers' trees are the lower directories of an overlay; what the command
 * changes is in an upper directory in work. Mounts are made in a mount
 * namespace of a helper process (this program again, see exec_helper_main):
 * however we die, no mount and no container stays. Any thread; several at a time.
 */
#ifndef SHALE_EXEC_RUN_H
#define SHALE_EXEC_RUN_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "exec/observe.h"
#include "image/view.h"
#include "store/layer.h"
#include "store/work.h"

enum exec_network { EXEC_NET_DEFAULT /* the host's */, EXEC_NET_HOST, EXEC_NET_NONE };

enum exec_mount_kind {
    EXEC_MOUNT_BIND,
    EXEC_MOUNT_TMPFS,
    EXEC_MOUNT_LAYERS, /* the file system of another stage, or a context made a layer */
    EXEC_MOUNT_FILE,   /* a file of these bytes, read-only, kept in memory only: a secret */
};
#define EXEC_FILE_MAX (16u << 20) /* bytes of one EXEC_MOUNT_FILE */
/*
 * A mount point that is missing is made for the step, with its parents, and taken away again.
 * One below another mount's target lies in that, and no link may lead it out of there. On "/",
 * "/dev", and in /proc and /sys nothing can be mounted: ERR_USAGE. tmpfs, as Docker's: programs in
 * it can be run.
 */
struct exec_mount {
    enum exec_mount_kind kind;
    /* BIND: absolute host path of ours, already resolved; below the store no link in it is
     * followed. LAYERS: path inside, links followed in-root. A directory, file or socket. */
    const char *source;
    const char *target; /* absolute path in the container; links are followed in the view */
    bool read_only;     /* LAYERS when not: what is written is thrown away */
    uint64_t size;      /* TMPFS: bytes, 0: no limit */
    unsigned mode;      /* TMPFS; 0: 1777. FILE: as it is */
    const struct layer *const *layers; /* LAYERS: lowest first */
    size_t n_layers;
    const void *bytes; /* FILE; never written to a disk */
    size_t n_bytes;
    uint32_t uid, gid; /* FILE */
};

#define EXEC_UNLIMITED UINT64_MAX
struct exec_ulimit {
    const char *name; /* "nofile" */
    uint64_t soft, hard;
};
bool exec_is_ulimit(const char *name);

/* Borrowed for the call. */
struct exec_spec {
    const struct layer *const *layers; /* lowest first */
    size_t n_layers;
    const struct view *view; /* of the same layers */
    const struct strv *argv; /* argv[0] is looked up in the container's PATH */
    const struct strv *env;
    const char *cwd; /* absolute; in a mount no link may lead it out of there */
    const struct user_ids *user;
    const char *hostname;         /* NULL: "buildkitsandbox" */
    const struct strv *add_hosts; /* "name:ip", or NULL */
    const struct exec_mount *mounts;
    size_t n_mounts;
    enum exec_network network;
    bool insecure;     /* --security=insecure: BuildKit's, about docker run --privileged */
    uint64_t shm_size; /* of /dev/shm; 0: 64 MiB */
    /* One that may not be raised as far as that here is left as it is. */
    const struct exec_ulimit *ulimits;
    size_t n_ulimits;
    const char *cgroup_parent; /* group, from the hierarchies' root, that the step's is made in;
                                * NULL: the one that we are in */
    bool interactive; /* stdin, stdout and stderr of ours (shale run); output is not called */
    bool tty;         /* with interactive: a terminal for the command */
    /* What the command prints, as it comes; called from one thread. stream 1 or 2. */
    void (*output)(void *arg, int stream, const char *p, size_t n);
    void *output_arg;
    struct cancel *cancel; /* may be NULL */
    /* Serves those of the layers that were added to it, and ends with the run; NULL: nothing is
     * observed. Where it cannot be had the step runs on trees, and observer_check says so. */
    struct observer *observer;
};

struct exec_result {
    int status;        /* exit code, or 128 + signal */
    char *upper;       /* name of the upper directory below work_dirfd; NULL once collected */
    char *note;        /* what the runtime said when it could not start the command, or NULL */
    struct strv stubs; /* mount points that were made for the step and have been removed again */
    int64_t ms;
};
void exec_result_release(struct exec_result *r);
DEFINE_AUTO_VALUE(struct exec_result, exec_result_release);

/*
 * 0 when the command ran, whatever its status; also when it could not be started for a reason of
 * its own: status is 127 (not found) or 126 (cannot be run), and note says why. ERR_UNSUPPORTED:
 * containers cannot run here, with the reason and what to install or allow. ERR_USAGE: a working
 * directory or mount target that is refused. ERR_CANCELLED after the container is stopped.
 */
int exec_run(struct store *s, struct work *w, const struct exec_spec *spec, struct exec_result *ret,
             struct err *err);

/*
 * The layer of what the command changed: walks the upper directory once. A directory that is in
 * upper only because overlay copied it up, with the metadata it has in view, is left out; so are
 * sockets, the root directory itself, and mount points of ours. /dev, /proc and /sys where the
 * image had none stay, as docker build leaves them. NULL with ERR_NOT_FOUND when nothing changed
 * (an empty layer is the caller's choice).
 */
const struct layer *exec_collect(struct store *s, struct work *w, const struct exec_spec *spec,
                                 struct exec_result *r, struct err *err);

/*
 * Whether a RUN can run here: 0, with *ret_how (owned) for people, or ERR_UNSUPPORTED with the
 * reason. Probes by really running something; the answer is kept in the store for this boot.
 */
int exec_probe(struct store *s, char **ret_how, struct err *err);

/* main() of the helper process: argv as exec_run made it. Returns the exit status. */
int exec_helper_main(int argc, char **argv);
#define EXEC_HELPER_ARG "exec-helper" /* argv[1] of the helper; hidden from help */

#endif
