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
    int vertex;               /* DIR: "[internal] load build context"; 0: not shown yet */
};

struct contexts; /* locked inside */
void contexts_free(struct contexts *c);
/* Makes b->contexts and opens the main one. dockerfile_path: for its own ignore file; may be NULL.
 */
int contexts_open_main(struct build *b, const char *dockerfile_path, struct err *err);

/*
 * name NULL: the main context (an empty one is ERR_USAGE: there is nothing to copy from). Else the
 * named context that a FROM, --from or from= of this word means for this platform
 * ("NAME::linux/arm64" goes before NAME); ERR_NOT_FOUND when there is none ("scratch" and "context"
 * cannot be named). *ret lives as long as the build.
 */
int contexts_find(struct build *b, const char *name, const struct platform *platform,
                  const struct build_context **ret, struct err *err);
/*
 * The listing of a directory context with what all needed stages ask of it, and paths. The first
 * call for it shows "[internal] load build context" (BuildKit's words for a named one).
 */
int contexts_scan(struct build *b, struct context *c, const struct strv *paths,
                  const struct listing **ret, struct err *err);

#endif
