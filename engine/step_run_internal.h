/*
 * What the files of RUN share: step_run.c (the step), run_trace.c (what its runs
 * looked at), run_verify.c (runs that are compared). A struct run lives for one step; one thread.
 */
#ifndef SHALE_ENGINE_STEP_RUN_INTERNAL_H
#define SHALE_ENGINE_STEP_RUN_INTERNAL_H

#include "engine/run_mounts.h"
#include "engine/run_trace.h"
#include "exec/observe.h"

struct run {
    struct build_stage *st;
    const struct instr *i;
    struct strv argv;
    struct user_ids user;
    enum exec_network network;
    const struct instr_file *script; /* a here-document with "#!", to be seen under PIPES_DIR */
    char *script_text;
    struct run_mounts mounts;
    struct redactor *redactor; /* between the command and on_output */
    char *script_dir;
    bool was_discarded; /* the last run: it could not be observed to its end */
    struct run_trace trace;
    struct comparison *comparison; /* run_verify.c: while it compares */
};

/*
 * The step's key; the fields of its run id with soft: the same, but what runs are observed to look
 * at is only said to be there.
 */
struct key *run_key(const struct run *r, const struct run_trace *soft);
/* The user that the command runs as. What an image does not know is the step's failure. */
int run_find_user(struct run *r, struct user_ids *ret, struct err *err);
/*
 * Runs the command once, between having made ready what it needs and giving it back. o (may be
 * NULL) observes it. *ret: what it changed; "empty" is a layer too. ERR_STEP when it ended with
 * another status than 0.
 */
typedef int (*run_fn)(struct step *s, struct work *w, const struct strv *env,
                      const struct layer **ret, struct err *err);
int run_prepared_as(struct step *s, run_fn fn, const struct layer **ret, struct err *err);
int run_command(struct step *s, struct work *w, const struct strv *env, struct observer *o,
                const struct layer **ret, struct err *err);

#endif
