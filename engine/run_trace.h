/*
 * Precise RUN: the second answer of a RUN whose exact key is not known. Runs
 * of a command are observed (exec/observe.h): what they ask of the soft
 * layers below them, those that COPY and ADD of files made and bind mounts of
 * a context, is kept as a question set with the answers (cache/questions.h,
 * store/trace.h). A later build with other layers whose answers are the same takes that
 * run's result. docs/precise-run.md has the argument.
 *
 * The run id names the command: the fields of the exact key without what is soft, and in its place
 * all that shale itself took out of the file system without asking through it (the user's ids,
 * where links lead on the way to the working directory and to mounts).
 *
 * One struct run_trace for one step, zeroed; that step's thread.
 */
#ifndef SHALE_ENGINE_RUN_TRACE_H
#define SHALE_ENGINE_RUN_TRACE_H

#include "engine/build_internal.h"
#include "exec/observe.h"
#include "store/trace.h"

/* A layer that is asked, not part of the run id. */
struct soft {
    const struct listing *listing;
    struct listing *own;       /* the same, when it is nobody else's */
    const struct layer *layer; /* below the step; NULL: of a mount */
    size_t below, mount;       /* index in the state's layers; else in the mounts */
    bool is_fresh;             /* no other RUN stands between it and the step */
};

struct run_trace {
    bool is_ready;     /* run, soft and listings are known */
    struct digest run; /* run id */
    struct soft *soft; /* layers, lowest first, then mounts in order */
    size_t n;
    const struct listing **listings; /* of soft */
    size_t n_files;
    struct trace used; /* by the answer */
};
void run_trace_release(struct run_trace *t);
/* Whether a layer of the state is soft. */
bool run_trace_has_layer(const struct run_trace *t, size_t below);

/*
 * step_ops.reuse of RUN: the result of an earlier run whose observations hold, with what is said of
 * it in the report; else the report's why says which observation does not hold.
 */
bool run_trace_reuse(struct step *s, struct answer *ret);
/* step_ops.looked_at of RUN. */
bool run_trace_looked_at(struct step *s, const struct layer *l, const struct strv *paths,
                         bool moved);
/* Who observes the step that is about to run; NULL: it is not observed, for a reason that is none
 * of the user's business but for the debug log. */
struct observer *run_trace_observer(struct step *s) OWNED(observer_free);
/* Keeps what o has seen of a run that has succeeded and gave l. Nothing fails: there is only no
 * trace.
 */
void run_trace_keep(struct step *s, const struct observer *o, const struct layer *l);
/* A run could not be observed to its end and is to be run again: says so. */
void run_trace_lost(struct step *s, const struct err *why);

/* ---- for run_verify.c ---- */

/*
 * What o has seen as the bytes of a question set, and the soft layers' answers to it (ret_answers,
 * ret_each may be NULL). ret_read: files that were read.
 */
int run_trace_questions(struct step *s, const struct observer *o, struct buf *ret,
                        struct digest *ret_answers, struct buf *ret_each, uint64_t *ret_read,
                        struct err *err);
void run_trace_count(struct step *s, const char *counter, uint64_t n);

/* run_verify.c: step_ops.settle of RUN. */
int run_settle(struct step *s, struct answer *a, enum settled *ret, struct err *err);

#endif
