/*
 * Child processes, started with posix_spawn semantics: no shell, no inherited
 * fds but those given. Any thread; one proc is used by one thread.
 */
#ifndef SHALE_BASE_PROC_H
#define SHALE_BASE_PROC_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/own.h"
#include <sys/types.h>

struct proc_spec {
    const char *const *argv; /* argv[0] is looked up in PATH unless it has a slash */
    const char *const *env;  /* NULL: ours */
    int in, out, err;        /* fds for 0, 1, 2; -1: /dev/null */
    const int *keep;         /* further fds to be seen as 3, 4, ...; may be NULL */
    size_t n_keep;
    bool new_group;   /* its own process group: signals of the terminal do not reach it */
    bool new_session; /* the same, and no terminal: it can ask nobody anything */
    int death_signal; /* sent to it when the thread that started it ends; 0: none */
    /* set-id bits and file capabilities give it nothing; a program with such forgets death_signal
     * without this */
    bool no_new_privs;
};

/* The pid, or a negative code (ERR_NOT_FOUND when there is no such program). */
pid_t proc_start(const struct proc_spec *spec, struct err *err);
/*
 * Waits. *ret_status is the exit code, or 128 + signal. When cancel is set
 * first: sends term_signal (0: none), after grace_ms SIGKILL, waits, returns
 * ERR_CANCELLED. cancel may be NULL. A process that leads a group (new_group,
 * new_session) is signalled with its group.
 */
int proc_wait(pid_t pid, struct cancel *cancel, int term_signal, int grace_ms, int *ret_status,
              struct err *err);
/* Runs to the end and collects both outputs (cleared first, each at most max bytes; the rest is
 * dropped). */
int proc_output(const char *const *argv, size_t max, struct buf *ret_out, struct buf *ret_err,
                int *ret_status, struct err *err);

#endif
