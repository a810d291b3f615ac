/*
 * What the files of the engine share about one build: the build, its stages,
 * and the state of a stage. A stage is walked by one thread; what others look
 * at (stage.phase, vertex numbers, the first error) is under build.lock.
 */
#ifndef SHALE_ENGINE_BUILD_INTERNAL_H
#define SHALE_ENGINE_BUILD_INTERNAL_H

#include "cache/answer.h"
#include "cache/context.h"
#include "cache/file_changes.h"
#include "cache/key.h"
#include "dockerfile/instr.h"
#include "engine/before.h"
#include "engine/build.h"
#include "engine/foresee.h"
#include "engine/image_docs.h"
#include "image/name.h"
#include "image/oci.h"
#include "image/view.h"
#include "store/layer_away.h"
#include "store/tag.h"
#include <pthread.h>

/* A declared ARG. */
struct arg {
    char *key, *value; /* value NULL: declared, not set */
};

/* A stage at one moment: its layers, its configuration, and what RUN would see. */
struct state {
    const struct layer **layers; /* borrowed from the store */
    size_t n_layers, cap_layers;
    /* of each layer the step that gave it; NULL: it came with the base image */
    const struct step_report **made_by;
    char *undecided;   /* a plan: the step that has to be made before more is known; else NULL */
    bool is_blank;     /* ... and not even the configuration is known: the base is not here */
    struct view *view; /* of the layers; made by state_view */
    struct image_config config; /* history's created is set for steps with a layer only */
    struct strv env;            /* what a process would see: ENV and ARG, the later wins */
    struct arg *args;
    size_t n_args;
    size_t history_bytes;  /* of the texts added here */
    size_t counted;        /* state_check_size: what there was, 0: never counted ... */
    size_t counted_at;     /* ... and history_bytes then */
    size_t n_base_history; /* entries that came with the base image */
    bool cmd_set;          /* CMD stood in this stage */
};
void state_init(struct state *s);
void state_release(struct state *s);
void state_copy(struct state *dst, const struct state *src);
/* Base configuration and layers into an empty state: env, PATH default. */
void state_from_image(struct state *s, const struct image_config *config,
                      const struct layer *const *layers, size_t n);
const struct view *state_view(struct state *s);
/* made_by: borrowed from its stage's report; NULL: no step's. */
void state_add_layer(struct state *s, const struct layer *l, const struct step_report *made_by);
void state_declare_arg(struct state *s, const char *key, const char *value);
/* Adds an entry; created_s 0: no layer of its own. */
void state_add_history(struct state *s, const char *created_by, bool has_layer, int64_t created_s);
/*
 * ERR_USAGE when environment, labels and history have grown beyond STATE_TEXT_MAX together: one
 * value is bounded by expansion, many of them are not ("ENV b=$a$a" and a thousand names).
 */
#define STATE_TEXT_MAX (16u << 20)
int state_check_size(struct state *s, struct err *err);
/* The key fields that say what is below a step. */
void state_key(struct key *k, const struct state *s);
void state_key_layer(struct key *k, const struct state *s, size_t i); /* those of one layer */

struct build;

/* One platform that is built for, with stages of its own. */
struct build_target {
    struct platform platform;
    struct strv globals; /* "K=V" of ARGs before the first FROM, and the platform's */
    size_t first;        /* of its stages in build.stages: as many as the Dockerfile has */
    size_t stage;        /* the one that is its image, in build.stages */
    struct blob_id config_id;
    struct image_config config; /* of the finished image */
};

struct build_stage {
    struct build *b;
    struct build_target *target;
    size_t index; /* in build.stages */
    const struct stage *def;
    char *shown;    /* "build", "stage-1" or "" */
    char *base;     /* FROM's word, expanded */
    int base_stage; /* index of the stage it names, or -1 */
    bool replaced;  /* a named context has this stage's name: nothing of it is carried out */
    const char
        *base_context; /* the named context that FROM means, or has replaced the stage; NULL */
    int waits_for;     /* the stage that its thread waits for, or -1 */
    struct platform platform;
    bool needed;
    int n_shown, n_total; /* numbering of "[build 2/5]" */
    struct state state;
    enum { STAGE_WAITING, STAGE_DONE, STAGE_FAILED } phase;
    struct build_report report; /* of its steps, in order */
};

/* What one attempt of a build leaves to the next, when it begins again; under build.lock. */
struct carried {
    const struct layer *context; /* from standard input, which is read once; NULL: there is none */
    struct cache_key *made_keys; /* of steps that were made: --no-cache makes each once */
    size_t n_made, cap_made;
    bool no_claims;         /* one of them was refuted */
    struct map *new_caches; /* name of a cache mount -> "busy", "done": run_cache_mount.c */
};
void carried_release(struct carried *c);
DEFINE_AUTO_VALUE(struct carried, carried_release);

struct build {
    struct engine *e;
    const struct build_options *o;
    const struct progress *progress;
    struct store *store;
    struct dockerfile *df;
    struct contexts *contexts; /* contexts.h */
    struct carried *carried;
    struct strv context_wants; /* what all needed stages will ask of the main one */
    int64_t epoch;             /* SOURCE_DATE_EPOCH, or -1 */
    char *epoch_text;          /* what ARG gives for it; NULL: it was not asked for */
    struct build_target *targets;
    size_t n_targets;
    bool is_split; /* by platform: in what is shown, and in directories that are written */
    struct build_stage *stages;
    size_t n_stages; /* of all targets */
    pthread_mutex_t lock;
    pthread_cond_t phase_changed;
    struct err first_error;
    struct build_result *result;
    struct group *packing;        /* layers being packed in the background */
    struct push_output **pushers; /* push_output.h: one an output, NULL: it pushes nothing */
    bool pushes;                  /* one of them does */
    struct cache_key *used_keys;  /* records that were hit or made */
    size_t n_used, cap_used;
    struct map *bases; /* canonical name and platform -> struct base, of base_images.c */
    /* What was asked for outside -> what it was: one build sees one state of it. fetch_http.c */
    struct map *fetched;
    struct map *materials; /* provenance.h: URI -> "sha256:..." */
    char *context_uri;     /* of the main context among them; NULL */
    struct clock_time started;
    char id[26];          /* build_id */
    json_t *warnings;     /* deliver_warning; NULL: none */
    bool context_changed; /* between being scanned and read: the build begins again */
    bool is_plan;         /* nothing is fetched or kept */
    bool is_dry;          /* no step is made or shown: a plan, or a trial of skip_docs.h */
    struct digest rules;  /* SHA-256 of the main context's ignore file */
    struct before before; /* before.h */
    struct foreseen foreseen;
    struct docs_trial *docs;       /* skip_docs.h; NULL: not one */
    struct context_places *places; /* context_places.h; NULL: nobody asks */
    const struct strv *more_rules; /* lines for the ignore file of the main context; may be NULL */
};

/* epoch.c: sets b->epoch from --build-arg or ARGs before the first FROM, which are then numbers.
 * After the contexts and globals are there. */
int epoch_read(struct build *b, struct err *err);
/*
 * epoch_times.c: what of a step's layer has the time that b->epoch says: what is later than that,
 * and what the rule adds. Other times tell of where files came from, not of the machine or the
 * hour.
 */
struct epoch_rule {
    bool all;                      /* files as a checkout left them */
    bool dirs;                     /* directories */
    int64_t since_s;               /* the step wrote it itself; 0: none */
    const struct listing *planned; /* the times that it would get now; NULL: those that it has */
};
/* *l is replaced when times of it are others. */
int epoch_times(struct build *b, const struct epoch_rule *rule, const struct layer **l,
                struct err *err);
/* The value of --build-arg, SOURCE_DATE_EPOCH resolved; or NULL. */
const char *epoch_build_arg(const struct build *b, const char *key);

/* progress.c: the calls of struct progress, silent when there is none. */
int vertex_begin(struct engine *e, const char *fmt, ...) PRINTF(2, 3);
void vertex_end(struct engine *e, int v, enum vertex_end how, const char *message, int64_t ms);
void vertex_note(struct engine *e, int v, const char *fmt, ...) PRINTF(3, 4);
void vertex_status(struct engine *e, int v, const char *what, uint64_t now, uint64_t total,
                   bool done);
void vertex_log(struct engine *e, int v, int stream, const char *p, size_t n);
/* end with what err says: DONE, ERROR or CANCELED. Returns rc. */
int vertex_close(struct engine *e, int v, int rc, int64_t started_ms, const struct err *err);

/* provenance.c: what this build is called elsewhere, random. One thread. */
const char *build_id(struct build *b);

/*
 * build.c: err is why files of c (NULL: no context's) could not be made a layer. When it is that
 * they have changed since they were scanned, that is noted.
 */
void build_note_change(struct build *b, const struct context *c, const struct err *err);
/* build.c: packs the layer's blob in the background when the image will have it. */
void build_pack(struct build_stage *st, const struct layer *l);
/* The target's image has the stage's layers. */
bool build_is_of_image(const struct build_stage *st);
/* plan_stages.c: index of the stage that --from=X means in st; -1: none. */
int build_stage_ref(const struct build_stage *st, const char *from);
/* Of the stage that has this number in the Dockerfile, for st's platform. */
size_t build_stage_index(const struct build_stage *st, int number);
/* The stage that is the image of the i-th target. */
struct build_stage *build_target_stage(const struct build *b, size_t i);

/* plan_stages.c: b->stages, and which of them the targets need. */
int build_plan_stages(struct build *b, struct err *err);
/* build.c: all needed stages, side by side. */
int build_run_stages(struct build *b, struct err *err);
/* No step of any needed stage is to be made, or undecided. */
bool build_all_known(const struct build *b);
/*
 * build.c: engine_plan with two things more. more_rules (may be NULL): as if they stood at the end
 * of the ignore file. end: called after the walk, with its stages; may be NULL, as places.
 */
struct plan_extra {
    const struct strv *more_rules;
    struct context_places *places;
    int (*end)(void *arg, struct build *b, struct err *err);
    void *arg;
};
int build_plan(struct engine *e, const struct build_options *o, const struct plan_extra *extra,
               struct build_result *ret, struct err *err);
/* As after build_plan_stages, whatever came of running them. ERR_CANCELLED after a signal. */
int build_reset_stages(struct build *b, struct err *err);

void base_free(void *base); /* base_images.c */

/* stage.c */
int stage_run(struct build_stage *st, struct err *err);
/*
 * Waits, for st, until that stage is built; ERR_CANCELLED when it failed, ERR_USAGE when it waits
 * for st itself.
 */
int stage_wait(struct build_stage *st, size_t index, struct err *err);
/* "[build 2/5] TEXT" for the next step of the stage. */
char *stage_vertex_name(struct build_stage *st, const struct instr *i) OWNED(mem_free);
/* What its steps stand under in a report: "build", "", "linux/amd64->arm64 build". */
char *stage_report_name(const struct build_stage *st) OWNED(mem_free);
/* True: look nothing up for this stage. */
bool stage_no_cache(const struct build_stage *st);
void build_used_key(struct build *b, const struct cache_key *key);

/*
 * One step that has a key: looks it up, or calls make; adds layer, history and record; shows the
 * vertex. make gives the layer (NULL without error: the step has none) and what it printed.
 */
struct step {
    struct build_stage *st;
    const struct instr *i;
    struct key *key;        /* used up by step_do, freed by the caller */
    const char *created_by; /* history text */
    int vertex;             /* begun by step_do */
    struct buf output;      /* filled by make; released by the caller */
    int (*make)(struct step *s, const struct layer **ret, struct err *err);
    void *arg;
    const struct step_ops *ops;
    bool copies;                /* as step_report.copies */
    struct epoch_rule times;    /* with SOURCE_DATE_EPOCH; since_s not 0: since the step began */
    struct step_report *report; /* of its stage; set by step_do */
    struct buf fields;          /* the key's text; set and released by step_do */
};
/* What becomes of an answer that came of observations. */
enum settled {
    SETTLED_HOLDS,
    SETTLED_OTHER, /* the step was made after all, and gave another layer: it is in the answer now
                    */
    SETTLED_GONE,  /* found wrong by another build meanwhile; nothing was made */
};
/* What is known of a step beyond its key; each may be NULL. */
struct step_ops {
    const char *kind; /* of the key */
    /*
     * The files that the step's layer will have, without making it; NULL: they are not known
     * before. A plan goes on with them, and they say what has changed.
     */
    struct listing *(*foresee)(struct step *s, struct err *err);
    /* How a path of that layer is to be shown: as the path that it was copied from. NULL: as
     * itself. Owned by the caller. */
    char *(*shown_path)(void *step, const char *path);
    /*
     * Another answer, when the key has none: true, with report->reused; else report->why may say
     * why not.
     */
    bool (*reuse)(struct step *s, struct answer *ret);
    /* What is due for such an answer before it is used, not in a plan; the record included. */
    int (*settle)(struct step *s, struct answer *a, enum settled *ret, struct err *err);
    /* A plan: what would go wrong before the step begins. */
    int (*check)(struct step *s, struct err *err);
    /* skip_docs.h: whether all changes are documentation, and where the files went ("" is the
     * root; owned by the caller). */
    bool (*is_docs)(struct step *s, const struct file_changes *c, char **ret_dest);
    /* skip_docs.h: whether the run that made what is known is known to have looked at any of these
     * paths of the layer; moved: at their coming or going too. */
    bool (*looked_at)(struct step *s, const struct layer *l, const struct strv *paths, bool moved);
};
int step_do(struct step *s, struct err *err);
/*
 * A step that a plan can say nothing about, for what has to be made or fetched before: shown as
 * such, and so is all that stands on it.
 */
void step_undecided(struct build_stage *st, const struct instr *i, const char *waits_for);
/* A new entry of the stage's report. name: as stage_vertex_name gives it. */
struct step_report *step_report_begin(struct build_stage *st, const struct instr *i,
                                      const char *name) NONNULL;
/* A step that failed with err before it had a key. failed: what has shown that already, or 0: the
 * step is shown. Returns the code. */
int step_without_key(struct build_stage *st, const struct instr *i, int failed, struct err *err);

/* The instructions that make layers, one file each; i is expanded. */
int do_run(struct build_stage *st, const struct instr *i, struct err *err);
int do_copy(struct build_stage *st, const struct instr *i, struct err *err); /* COPY, ADD */
int do_workdir(struct build_stage *st, const struct instr *i, struct err *err);
/* step_meta.c: those that change the configuration only. Also for import's --change. */
int do_meta(struct state *s, const struct instr *i, bool history, struct err *err);
bool is_meta(enum instr_kind kind);
/* EXPOSE's words as "80/tcp", ranges written out. ret NULL: only whether they are ports. */
int expose_ports(const struct strv *words, struct strv *ret, struct err *err);

/* created_by.c: the history text of an expanded instruction, as BuildKit writes it. */
void created_by_run(struct buf *b, const struct state *s, const struct strv *argv);
void created_by_copy(struct buf *b, const struct instr *i);
void created_by_meta(struct buf *b, const struct instr *i, const struct state *s);

/* context_use.c: the context as the steps see it. */
/* Adds the part of a COPY source that is a path for certain. */
void build_add_want(struct strv *wants, const char *source);
void build_collect_wants(struct build *b);
/* from.c: an image where FROM looks, with its layers in the store. */
struct found_image {
    struct blob_id config_id;
    bool has_manifest;
    struct blob_id manifest_id;
    struct image_config config;
    const struct layer **layers;
    size_t n_layers;
};
void found_image_release(struct found_image *f);
DEFINE_AUTO_VALUE(struct found_image, found_image_release);
struct find_options {
    const struct platform *platform;
    bool pull, offline;
    bool is_plan;              /* nothing is fetched: what would have to be is ERR_UNDECIDED */
    bool is_run_on;            /* a RUN stands on it: what is fetched is unpacked on the way */
    int vertex;                /* status goes here; 0: nowhere */
    bool no_claims;            /* what images say of layers is not taken: one was found to lie */
    const struct strv *caches; /* canonical names that may say what layers hold, or NULL */
};
int find_image(struct engine *e, const char *name, const struct find_options *o,
               struct found_image *ret, struct err *err);
/* The layers of a configuration, all of them in the store; ERR_NOT_FOUND when one is not. */
int config_layers(struct store *s, const struct image_config *c, const struct layer ***ret,
                  struct err *err);

/* assemble.c: the configuration of a target's image, finished and kept. */
int build_assemble(struct build *b, struct build_target *t, struct err *err);
/* The same, and nothing is kept: labels instead of those of the command line. ret_text may be NULL.
 */
void build_assemble_text(struct build *b, struct build_target *t, const struct strv *labels,
                         struct buf *ret_text);

/* deliver.c: a build that asks for files only leaves no image behind but those with a name. */
bool build_wants_image(const struct build_options *o);
/* deliver.c: whether the image goes into a Docker engine, when there is one. */
bool build_wants_engine(const struct build_options *o);
/* deliver.c: the targets' images: tags, engine, outputs, iidfile, metadata. */
int build_deliver(struct build *b, struct err *err);
/* ... and what of it is known to be refused; nothing has to be made. */
int build_check_delivery(const struct build *b, struct err *err);

/* archive.c: an image as `docker load` and OCI tools take it: an OCI layout. */
struct archive_options {
    bool docker;              /* with `docker save`'s manifest.json beside it: one image */
    const struct strv *names; /* canonical */
    const bool *has; /* one a layer: the receiver has its blob, which is named and not sent; NULL */
};
int archive_write(struct engine *e, const struct image_docs *d, const struct archive_options *o,
                  struct sink *to, struct err *err);
/* The same as a directory (dest must not exist or be an empty or OCI directory). */
int archive_write_dir(struct engine *e, const struct image_docs *d, const struct archive_options *o,
                      const char *dest, struct err *err);

/*
 * export_tree.c: merged file systems, as files in a directory or as a tar. Several that go into one
 * directory may have directories in common, not files: ERR_USAGE.
 */
struct exported {
    struct state *s;
    const char *dir;  /* of the destination; "": itself */
    const char *name; /* for the error: the platform */
};
int export_tree(struct engine *e, const struct exported *v, size_t n, const char *dest,
                struct err *err);
int export_tar(struct engine *e, const struct exported *v, size_t n, struct sink *to,
               struct err *err);

/* producer.c: a source of what fn writes into a sink, on a thread of its own. */
typedef int (*produce_fn)(void *arg, struct sink *to, struct err *err);
/* The producer's error, if any, is what the source's read returns at the end. */
struct source *producer_source(produce_fn fn, void *arg, struct err *err) OWNED(source_free);

#endif
