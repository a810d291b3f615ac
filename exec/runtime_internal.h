/*
 * Which OCI runtime is used, and how it is asked. crun, else runc, or what
 * SHALE_RUNTIME names (a name or a path); each with cgroups, else without.
 * What counts is that a container really ran, not a version.
 */
#ifndef SHALE_EXEC_RUNTIME_INTERNAL_H
#define SHALE_EXEC_RUNTIME_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "store/store.h"

struct runtime {
    char *path;
    bool cgroups; /* false: cgroups can't be made here, steps run without */
    char *how;    /* for people: "runc 1.1.5 (/usr/sbin/runc)" */
};
void runtime_release(struct runtime *r);
DEFINE_AUTO_VALUE(struct runtime, runtime_release);

/*
 * The one to use. Probed once per boot, the answer kept in the store's
 * "runtime.json". ERR_UNSUPPORTED with every candidate's reason.
 */
int runtime_pick(struct store *s, struct runtime *ret, struct err *err);
void runtime_forget(struct store *s); /* the kept answer: something is not as it was */

/* cgroupsPath for the group name, in parent unless that is NULL, owned; NULL when cgroups can't be
 * made. */
char *runtime_cgroup(const struct runtime *r, const char *parent, const char *name);
/* argv that runs bundle (a directory) as container id in the foreground. */
void runtime_argv(const struct runtime *r, const char *state, const char *log, const char *bundle,
                  const char *id, struct strv *ret);

/*
 * Reads the runtime's log after it ended with status. 0: the command ran, or could not be started
 * for a reason of its own: *ret_note (owned, else NULL) then says it and *ret_status is 127 (not
 * found) or 126 (cannot be run). ERR_IO: the runtime failed, with what it said.
 */
int runtime_judge(const struct runtime *r, const char *log, size_t log_len, int status,
                  int *ret_status, char **ret_note, struct err *err);

#endif
