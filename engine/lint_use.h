/*
 * Build checks where a build meets them: what dockerfile/lint.h asks of its
 * caller, `--check`, and the warnings of an ordinary build.
 */
#ifndef SHALE_ENGINE_LINT_USE_H
#define SHALE_ENGINE_LINT_USE_H

#include "dockerfile/lint.h"
#include "engine/build.h"

/* For struct lint_options. arg is not looked at. */
bool lint_is_image_name(void *arg, const char *name);
int lint_read_platform(void *arg, const char *text, struct lint_platform *ret, struct err *err);
void lint_platform_of(const struct platform *p, struct lint_platform *ret);
/* BUILDPLATFORM, TARGETARCH, ... of this machine and that target; TARGETSTAGE is not among them. */
void lint_add_globals(const struct platform *target, struct strv *ret);

/* What `--check` found. */
struct check_result {
    struct lint_report report;
    struct err error; /* why the build would fail over the text; code ERR_NONE: it would not */
    char *path;       /* of the Dockerfile, as it was found */
    bool is_file;     /* path is one of this machine */
    struct buf text;
};
void check_result_release(struct check_result *r);
DEFINE_AUTO_VALUE(struct check_result, check_result_release);

/* Reads and checks, builds nothing. Fails when there is nothing that could be checked. */
int engine_check(struct engine *e, const struct build_options *o, struct check_result *ret,
                 struct err *err);

/*
 * The text alone, and what is wrong with the stages that the target needs: their warnings are told,
 * and it fails as a build would fail over the text. ret->path and ret->text stand then too.
 */
int lint_target(struct engine *e, const struct build_options *o, struct check_result *ret,
                struct err *err);
/* Without looking at what it says. */
int lint_load(struct engine *e, const struct build_options *o, struct check_result *ret,
              struct err *err);

struct build;
struct build_stage;
/* Warns of an image that is not for the platform that FROM means: known when it has been found. */
void lint_found_base(const struct build_stage *st, const struct platform *found);
/*
 * An ordinary build's: tells the warnings while the Dockerfile's vertex v is open, ends it, and
 * fails when the Dockerfile wants that. rc: how reading went. path: NULL: it is no file.
 */
int build_lint(struct build *b, const char *path, int v, int rc, int64_t started_ms,
               struct err *err);

#endif
