/*
 * Where COPY, ADD and bind mounts take files from: the build context, a named
 * context, another stage, an image. Each is one file system of entries. A
 * directory of this machine stays one (a struct context: scanned as far as
 * somebody asks, owners 0:0); all else is a stack of layers.
 *
 *     files_open -> look at files.view -> files_origin* / files_stack -> files_release
 *
 * One thread; the stage or context behind it may be used by several.
 */
#ifndef SHALE_ENGINE_FILES_H
#define SHALE_ENGINE_FILES_H

#include "engine/build_internal.h"
#include "engine/layer_plan.h"

struct files {
    struct build *b;
    struct context *context;       /* borrowed; NULL: layers */
    const struct listing *listing; /* of the context, as far as it was asked for */
    const struct layer **layers;   /* lowest first */
    size_t n_layers;
    struct view *view;       /* of what has been asked for; files_want makes it anew */
    char *shown;             /* for messages: from's word, or "context" */
    struct layer_plan *plan; /* of files_identify, for files_stack; made on */
    struct view *nothing;
    int64_t made_s; /* of files_stack: when the layer was made; 0: it was not made for this */
};
void files_release(struct files *f);
DEFINE_AUTO_VALUE(struct files, files_release);

/*
 * from as the instruction has it; NULL and "" are the main context. Else a named context goes
 * before a stage before st, which goes before an image ("scratch": no files). Waits for the stage.
 * wants: the paths of a context that will be looked at (see context_scan), "" all of it.
 */
int files_open(struct build_stage *st, const char *from, const struct strv *wants,
               struct files *ret, struct err *err);
/* More of a context, for links that lead on; nothing to do for layers. */
int files_want(struct files *f, const struct strv *wants, struct err *err);
/* "not found", as BuildKit says it, of a path without its leading slash. shown: as files.shown.
 * Returns the code. */
int files_not_found(const char *shown, const char *path, struct err *err);
/* Whether there may be a file with several names at or below path (resolved). */
bool files_have_links(const struct files *f, const char *path);
/* Where an entry of the view comes from, and where a file's bytes are. Borrows the path. */
void files_origin(const struct files *f, const struct entry *e, size_t layer, struct origin *ret);

/*
 * What is at and below path (resolved, of the view), as a mount or FROM would show it: its
 * identity, times left out.
 */
int files_identify(struct files *f, const char *path, struct content_id *ret, struct err *err);
/*
 * The same as layers, for exec_mount.layers. A directory of this machine becomes a layer that
 * holds path and what is below it and nothing else (made when no such layer is known: one with
 * other times would tell a build tool in the step something wrong); layers are given as they are.
 * Borrowed from f. files_identify(path) comes before.
 */
int files_stack(struct files *f, const struct layer *const **ret, size_t *ret_n, struct err *err);

#endif
