/*
 * The runtime's specification (OCI runtime-spec 1.0.2, config.json). This is
 * the one place that says what a step may do: Docker's 14 capabilities, system
 * calls, hidden paths, devices; --security=insecure takes all of it away and
 * nothing in between exists. Pure: no file is touched.
 */
#ifndef SHALE_EXEC_BUNDLE_INTERNAL_H
#define SHALE_EXEC_BUNDLE_INTERNAL_H

#include "base/json.h"
#include "base/userns.h"
#include "exec/run.h"

#define DEFAULT_HOSTNAME "buildkitsandbox"

/* One mount of the step, its target resolved; in the order in which they are made. */
struct bundle_mount {
    const char *source; /* path on the host; NULL: a tmpfs */
    const char *target; /* absolute path in the container */
    bool read_only;
    bool is_secret; /* a file that is only read, and cannot be run */
    uint64_t size;  /* tmpfs */
    unsigned mode;  /* tmpfs */
};

struct bundle {
    const struct exec_spec *spec;    /* argv, env, cwd, user, hostname, network, insecure, tty */
    const char *rootfs;              /* absolute path of the root file system */
    const char *resolv_conf, *hosts; /* files of ours on the host */
    const char *resolv_conf_target,
        *hosts_target; /* where they are seen, links resolved; or NULL */
    const struct bundle_mount *mounts;
    size_t n_mounts;
    const char *cgroup;                /* cgroupsPath; NULL: run without cgroups */
    const struct exec_ulimit *ulimits; /* those of spec that can be given */
    size_t n_ulimits;
    unsigned n_loops;        /* insecure: loop devices to show */
    const struct userns *ns; /* that the runtime runs in; NULL: the machine's own */
    const char *sys;         /* a mount to show as /sys; NULL: a new one */
};

json_t *bundle_config(const struct bundle *b); /* new reference; an unlimited limit is INT64_MAX */
void bundle_write(const struct bundle *b, struct buf *ret); /* config.json */

/* Docker's default profile for this machine's architecture: a new reference. */
json_t *seccomp_profile(void);

#endif
