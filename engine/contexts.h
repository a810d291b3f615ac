/*
 * The contexts of a build: the main one (the last argument of `shale build`)
 * and those of --build-context, each opened at most once, at first use.
 *
 * The main one is a directory (seen through its ignore file), nothing (a
 * Dockerfile from standard input), or, with no ignore file as in BuildKit,
 * a tar from standard input, a tar behind a URL, or a git repository. A named
 * one is a directory with an ignore file of its own, docker-image://,
 * oci-layout://, target:, a tar URL or a git repository. Directories are
 * scanned as steps ask; all else becomes layers of the store. Any thread.
 */
#ifndef SHALE_ENGINE_CONTEXTS_H
#define SHALE_ENGINE_CONTEXTS_H

#include "engine/build_internal.h"

enum context_kind { CONTEXT_EMPTY, CONTEXT_DIR, CONTEXT_LAYERS, CONTEXT_IMAGE, CONTEXT_STAGE };

struct build_context {
    enum context_kind kind;
    struct context *dir;         /* DIR */
    const struct layer **layers; /* LAYERS, IMAGE: lowest first */
    size_t n_layers;
    struct found_image image; /* IMAGE: its configuration, for FROM */
    int stage;                /* STAGE */
    bool is_file;             /* LAYERS: nothing but the file "context", which a URL gave */
    int vertex;               /* DIR: "[internal] load build context"; 0: not shown yet */
};

/*
 * The text of the ignore file of a directory: the Dockerfile's own beside it (dockerfile_path may
 * be NULL), else .dockerignore. Empty when there is none.
 */
int contexts_read_ignore(const char *context, const char *dockerfile_path, struct buf *ret,
                         struct err *err);
bool contexts_is_dir(const char *path);
/*
 * A file of this machine that the user named, or that stands by its name in a directory that the
 * user named. Its links are followed within its directory alone, as in BuildKit: what is in there
 * may be somebody else's. Of /dev and /proc ("/dev/stdin") as the system has it.
 */
int contexts_read_local(const char *path, size_t max, struct buf *ret, struct err *err);

struct contexts; /* locked inside */
void contexts_free(struct contexts *c);
/* Makes b->contexts; nothing is opened yet. */
void contexts_init(struct build *b);
/*
 * Opens the main one where it is no directory of this machine: before the Dockerfile is read.
 * *ret_vertex is shown for it and left open; 0: it is a directory, or there is none.
 */
int contexts_open_remote(struct build *b, int *ret_vertex, struct err *err);
/* True once the main one was opened as files in layers. */
bool contexts_is_remote(const struct build *b);
/* The remote main one is a Dockerfile, alone, of this name; NULL: it is not. */
const char *contexts_dockerfile(const struct build *b);
/* A file of the remote main one, links followed; ERR_NOT_FOUND. */
int contexts_read(struct build *b, const char *path, size_t max, struct buf *ret, struct err *err);
/* Opens the main one. dockerfile_path: for its own ignore file; may be NULL. */
int contexts_open_main(struct build *b, const char *dockerfile_path, struct err *err);

/* A layer of one of them has left the store since it was opened. */
bool contexts_lost(const struct build *b);

/*
 * name NULL: the main context (EMPTY: one without files, as BuildKit has it then). Else the named
 * context that a FROM, --from or from= of this word means for this platform
 * ("NAME::linux/arm64" goes before NAME); ERR_NOT_FOUND when there is none ("scratch" and "context"
 * cannot be named). *ret lives as long as the build.
 */
int contexts_find(struct build *b, const char *name, const struct platform *platform,
                  const struct build_context **ret, struct err *err);
/* Whether a word names a context; nothing is opened. */
bool contexts_has(const struct build *b, const char *name, const struct platform *platform);
/* The stage that a context of this name is (target:); -1: the context is none; ERR_USAGE. */
int contexts_stage(const struct build *b, const char *name, const struct platform *platform,
                   int *ret, struct err *err);
/*
 * Where to say what will be asked of the main context (from NULL or "") or of the one that
 * contexts_find would give, before the first scan; NULL: it is no directory, and nothing has to be
 * said. Borrowed; while one thread has the build.
 */
struct strv *contexts_wants(struct build *b, const char *from, const struct platform *platform);
/*
 * The listing of a directory context with what all needed stages ask of it, and paths. The first
 * call for it shows "[internal] load build context" (BuildKit's words for a named one).
 */
int contexts_scan(struct build *b, struct context *c, const struct strv *paths,
                  const struct listing **ret, struct err *err);

#endif
