/*
 * What a build or a plan did with each of its steps, and why: shown by
 * `shale plan` and `shale explain`, and kept by the store as the last build
 * of its kind (store/last_build.h), which the next one is compared with.
 *
 * A report is filled by the engine, a stage's steps by that stage's thread;
 * afterwards it is plain data. The text form is JSON, version 1, and is ours
 * alone: what cannot be read is as if there had been no earlier build.
 */
#ifndef SHALE_ENGINE_REPORT_H
#define SHALE_ENGINE_REPORT_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "base/own.h"

enum step_answer {
    STEP_NOT_REACHED, /* the build ended before */
    STEP_CACHED,      /* known */
    STEP_REUSED,      /* known, although its key is new: nothing that it looked at has changed */
    STEP_MADE,        /* made by this build */
    STEP_TO_MAKE,     /* a plan: would be made */
    STEP_UNDECIDED,   /* a plan: known only when another step has been made */
    STEP_FAILED,
};

/* "cached", "reused", "made", "make", "undecided", "failed", "not reached". */
const char *step_answer_name(enum step_answer a);

struct step_report {
    char *stage;       /* as shown: "build", "stage-1", or "" where there is but one */
    int number, total; /* "[2/5]" */
    int line;          /* of the Dockerfile */
    char *kind;        /* of the key: "run", "copy", "workdir"; NULL: there was none */
    char *text;        /* the instruction, variables filled in, credentials crossed out */
    char *source;      /* as it is written; the same */
    enum step_answer answer;
    bool has_key, has_before;
    bool is_same;            /* before is of a step that reads the same, variables filled in */
    struct cache_key key;    /* now */
    struct cache_key before; /* of the same step in the build before */
    char *change;            /* how the two differ, one line; NULL: they do not, or nobody knows */
    char *why;               /* it is not cached; NULL: nobody knows */
    char *reused;            /* what a reused step looked at, one line; else NULL */
    int64_t cost_ms;         /* what it took when it was made; -1: not known */
    char *fields;            /* the key's text of a step that no record has (it failed), or NULL */
    /* Its layer holds files copied from a context, a stage or an image: what a RUN above it is
     * watched over. Not kept. */
    bool copies;
};

struct build_report {
    struct step_report **v; /* stages in the order of the Dockerfile */
    size_t n, cap;
    struct digest rules; /* SHA-256 of the context's ignore file; zero: not known */
};
void build_report_release(struct build_report *r);
DEFINE_AUTO_VALUE(struct build_report, build_report_release);
/* A new step at the end, all strings NULL; borrowed, and stays where it is. */
struct step_report *build_report_add(struct build_report *r) NONNULL;
/* All of from's steps, which is empty then. */
void build_report_move(struct build_report *dst, struct build_report *from);

size_t build_report_count(const struct build_report *r, enum step_answer a);
/* Those whose result is here: cached or reused. */
size_t build_report_known(const struct build_report *r);

/* "[build 2/5]" */
void step_report_place(const struct step_report *s, struct buf *b);
/* One step as JSON: what is known of it, keys in hex. A new reference. */
json_t *step_report_json(const struct step_report *s);
void build_report_write(const struct build_report *r, struct buf *ret);
/* ERR_CORRUPT. Start ret zeroed. */
int build_report_read(const char *text, size_t n, struct build_report *ret, struct err *err);

#endif
