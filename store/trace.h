/*
 * Traces: what earlier runs of a command looked at, and what came of it.
 *
 *     run id -> the question sets that its runs have asked -> for each set the
 *     answers of the layers now -> the exact key of the record with the result
 *
 * A claim that can be lost at any time, as records are. Of a run id the 16 sets
 * used last are kept, and of each the 32 traces used last. Any thread.
 */
#ifndef SHALE_STORE_TRACE_H
#define SHALE_STORE_TRACE_H

#include "store/record.h"
#include "store/store.h"

#define TRACE_SETS_MAX 16
#define TRACE_ANSWERS_MAX 32

struct trace {
    struct digest run;        /* run id: the command, and what is below it without soft layers */
    struct blob_id questions; /* the set: a blob, cache/questions.h */
    struct digest answers;    /* of the soft layers to it */
    struct blob_id each;      /* answer by answer, a blob, to say which one broke; zero: not kept */
    struct cache_key key;     /* exact key of the record that the run made ... */
    struct diff_id layer;     /* ... and its layer: a later run may have put another record */
    struct blob_id layers;    /* the soft layers then, a blob: their listings' ids, 32 bytes each,
                               * lowest first; zero: not kept */
    uint64_t n_files;         /* files in the soft layers ... */
    uint64_t n_read;          /* ... that were read */
    uint64_t requests;        /* of the kernel to the server */
    bool network;             /* the step could use the network: --trace-max-age counts */
    int64_t made_s;           /* wall clock */
    int64_t used_s;
    uint64_t hits;
};
/*
 * Replaces the trace of the same run, set and answers; drops what is over the limits. The record of
 * t->key has been made by this run, and is no reused one any more. made_s, used_s: 0 is now.
 */
int trace_put(struct store *s, const struct trace *t, struct err *err);
/* One for each question set of the run (the one used last), the set used last first; owned by the
 * caller (mem_free). None is no error. */
int trace_sets(struct store *s, const struct digest *run, struct trace **ret, size_t *ret_n,
               struct err *err);
/* ERR_NOT_FOUND. */
int trace_find(struct store *s, const struct digest *run, const struct blob_id *questions,
               const struct digest *answers, struct trace *ret, struct err *err);
/* The trace whose run made the record of this key, or of the record that it was reused from
 * (trace_reused_record); ERR_NOT_FOUND. */
int trace_of_key(struct store *s, const struct cache_key *key, struct trace *ret, struct err *err);
/*
 * A hit: counts it, notes that the record r holds what t's run made, and puts r, in one
 * transaction: nobody can drop the trace in between and miss the record. Not synced: who loses it
 * asks the trace again. ERR_NOT_FOUND: the trace was dropped meanwhile, and its result is not to be
 * used.
 */
int trace_reused_record(struct store *s, const struct trace *t, const struct record *r,
                        struct err *err);
/*
 * The traces of a run are wrong: they go, and with them the records that their results were reused
 * for, also those of traces that went before. What runs made stays. *ret_n: how many records.
 */
int trace_drop(struct store *s, const struct digest *run, size_t *ret_n, struct err *err);

/* What is known of a run id beside its traces: whether tracing it pays. */
struct trace_run {
    uint64_t traced;   /* runs that were traced */
    uint64_t wide;     /* of the last of them, in a row: those that read nearly everything */
    uint64_t untraced; /* runs since that were not, because it does not pay */
    uint64_t hits;
    uint64_t requests;     /* of the last traced run */
    bool not_reproducible; /* two runs on the same layers gave different results */
};
/* All zero when nothing is known. */
int trace_run_get(struct store *s, const struct digest *run, struct trace_run *ret,
                  struct err *err);
int trace_run_put(struct store *s, const struct digest *run, const struct trace_run *r,
                  struct err *err);

/* Counters of the store, for `shale stats`. Not synced; names are short words. fn gets them in the
 * order of their names, and may use the store. */
int counter_add(struct store *s, const char *name, uint64_t n, struct err *err);
typedef void (*counter_fn)(void *arg, const char *name, uint64_t n);
int counter_each(struct store *s, counter_fn fn, void *arg, struct err *err);

#endif
