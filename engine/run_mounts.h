/*
 * RUN --mount, all five types: the one place that turns the options of an
 * instruction into what its key says, what its container gets, and what has to
 * be given back afterwards.
 *
 *     run_mounts_open -> run_mounts_env, run_mounts_key -> run_mounts_prepare -> exec_run
 *     -> run_mounts_release
 *
 * Opening looks at what is shown (other stages are waited for) and takes nothing;
 * secrets are read and caches taken by run_mounts_prepare, so by a step that
 * really runs. One thread.
 */
#ifndef SHALE_ENGINE_RUN_MOUNTS_H
#define SHALE_ENGINE_RUN_MOUNTS_H

#include "engine/files.h"
#include "engine/redact.h"
#include "engine/secret.h"
#include "exec/run.h"
#include "store/cache_mount.h"

/* One --mount. */
struct run_mounted {
    const struct run_mount *m;
    char *target;   /* absolute */
    char *source;   /* BIND, CACHE with files: real path in them; CACHE else: inside the cache */
    char *id;       /* CACHE, SECRET, SSH */
    bool has_files; /* BIND; CACHE with from= */
    struct files files;  /* what is shown, or what a new cache begins with */
    bool is_whole_stack; /* the root of layers: their ids stand for the content */
    bool is_soft;        /* a run id has no content of it (run_trace.h) */
    struct content_id content;
    struct digest cache_name;  /* CACHE */
    struct cache_mount *cache; /* NULL: another mount of this step has it */
    char *host_path;           /* CACHE: in the store */
    struct buf secret;
    struct ssh_forward *ssh;
};

struct run_mounts {
    struct build_stage *st;
    struct run_mounted *v;
    size_t n;
    struct exec_mount *exec; /* made by run_mounts_prepare; room for one more */
    size_t n_exec;
    const struct layer *nothing; /* for files without a layer */
};
void run_mounts_release(struct run_mounts *r);
DEFINE_AUTO_VALUE(struct run_mounts, run_mounts_release);

/* What can be told wrong before anything is built: a target that is "/". run has been expanded. */
int run_mounts_targets(struct build_stage *st, const struct instr_run *run, struct run_mounts *ret,
                       struct err *err);
/* Follows run_mounts_targets. run is borrowed until the release. */
int run_mounts_open(struct run_mounts *r, struct err *err);
/* The variables that mounts add and that are no secret: SSH_AUTH_SOCK where there is none. */
void run_mounts_env(const struct run_mounts *r, struct strv *env);
/* docs/cache-keys.md; never a secret's value, nor what a cache holds. is_run_id: without the
 * content of those that are soft. */
void run_mounts_key(const struct run_mounts *r, bool is_run_id, struct key *k);
/* The files of a context that a bind mount shows; NULL for every other mount. After
 * run_mounts_open. */
struct listing *run_mount_listing(struct run_mounted *x, struct err *err) OWNED(listing_free);
/* The layer of the same files, after run_mounts_prepare. */
const struct layer *run_mount_layer(const struct run_mounted *x);
/*
 * Fills r->exec, and env with secrets that are variables. Waits for caches that others have locked,
 * always in the order of their names, so that no two steps wait for each other.
 */
int run_mounts_prepare(struct run_mounts *r, struct work *w, struct strv *env, struct err *err);
/* What preparing would find missing, without reading it: a secret or agent that is required. */
int run_mounts_check(const struct run_mounts *r, struct err *err);
/* After run_mounts_prepare: what the step must not print. to may not outlive r. */
void run_mounts_redact(const struct run_mounts *r, struct redactor *to);
/* Overwrites the values of those variables before they are freed. */
void run_mounts_wipe_env(const struct run_mounts *r, struct strv *env);

/* run_cache_mount.c: type=cache. name: of the directory, from all that tells two caches apart. */
void run_cache_name(const struct build *b, struct run_mounted *x);
int run_cache_take(struct build_stage *st, struct run_mounted *x, struct err *err);

#endif
