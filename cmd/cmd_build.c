#include "base/fs.h"
#include "base/log.h"
#include "cmd/build_fail.h"
#include "cmd/build_request.h"
#include "cmd/call.h"
#include "cmd/command.h"
#include "cmd/display.h"
#include "cmd/exit_status.h"
#include "cmd/session_engine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --quiet is a progress mode under another name. */
static int choose_display(const struct options *o, enum display_mode *ret, struct err *err)
{
    const char *mode = option_str(o, "progress");
    if (!option_on(o, "quiet"))
        return display_mode_parse(mode, STDERR_FILENO, ret, err);
    if (!str_eq(mode, "auto") && !str_eq(mode, "quiet"))
        return err_set(err, ERR_USAGE, "progress=%s and quiet cannot be used together", mode);
    *ret = DISPLAY_QUIET;
    return 0;
}

static int check_place(const char *path, struct err *err)
{
    struct stat st;
    AUTO(mem_free) char *dir = path != NULL ? path_dir(path) : NULL;
    if (dir == NULL || stat(dir, &st) == 0)
        return 0;
    return err_set(err, ERR_USAGE, "invalid output path: stat %s: %s", dir,
                   errno == ENOENT ? "no such file or directory" : strerror(errno));
}

/* Nobody builds for an hour to learn of a typo; and an old file must not be taken for this build's.
 */
static int prepare_results(const struct build_options *b, struct err *err)
{
    if (check_place(b->iidfile, err) < 0 || check_place(b->metadata_file, err) < 0)
        return err->code;
    if (b->iidfile != NULL && unlink(b->iidfile) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove '%s'", b->iidfile);
    return 0;
}

static int run_build(struct session *s, const struct options *o, const struct build_options *b,
                     struct display *d, struct build_result *result, struct err *err)
{
    AUTO(engine_close)
    struct engine *e = session_engine(s, display_progress(d), err);
    if (e == NULL)
        return err->code;
    if (option_on(o, "no-durable"))
        store_set_durable(engine_store(e), false);
    return engine_build(e, b, result, err);
}

static int build(struct session *s, const struct options *o, const struct build_options *b,
                 enum display_mode mode)
{
    struct err err = ERR_INIT;
    AUTO(build_result_release) struct build_result result = { .has_image = false };
    AUTO(display_free) struct display *d = display_new(mode, STDERR_FILENO);
    display_set_cancel(d, s->cancel);
    int code = run_build(s, o, b, d, &result, &err);
    display_finish(d, &result, s->debug);
    if (code < 0)
        return build_fail(s, d, &result, &err);
    if (mode == DISPLAY_QUIET && result.has_image)
        printf("%s\n", DIGEST_S(&result.id.d));
    return EXIT_OK;
}

/* --call: something else than a build. */

static void print_to(FILE *to, const struct buf *b)
{
    fwrite(buf_str(b), 1, b->len, to);
    fflush(to);
}

static int run_check(struct session *s, const struct build_options *b, struct display *d,
                     struct check_result *ret, struct err *err)
{
    AUTO(engine_close)
    struct engine *e = session_engine(s, display_progress(d), err);
    return e != NULL ? engine_check(e, b, ret, err) : err->code;
}

static int check(struct session *s, const struct build_options *b, const struct call *call,
                 struct display *d)
{
    struct err err = ERR_INIT;
    AUTO(check_result_release) struct check_result r = { .path = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(buf_release) struct buf wrong = BUF_INIT;
    int code = run_check(s, b, d, &r, &err);
    display_finish(d, NULL, s->debug);
    if (code < 0) {
        struct build_result none = { .has_image = false };
        return build_fail(s, d, &none, &err);
    }
    call_print_check(&out, &r, call->json);
    call_print_check_error(&wrong, &r);
    print_to(stdout, &out);
    print_to(stderr, &wrong);
    bool warned = r.report.n > 0 && !call->ignore_status;
    return warned || r.error.code != ERR_NONE ? EXIT_FAILED : EXIT_OK;
}

static int run_describe(struct session *s, const struct build_options *b, bool outline,
                        struct display *d, struct description *ret, struct err *err)
{
    AUTO(engine_close)
    struct engine *e = session_engine(s, display_progress(d), err);
    return e != NULL ? engine_describe(e, b, outline, ret, err) : err->code;
}

static int describe(struct session *s, const struct build_options *b, const struct call *call,
                    struct display *d)
{
    struct err err = ERR_INIT;
    AUTO(description_release) struct description r = { .path = NULL };
    AUTO(build_result_release) struct build_result shown = { .has_image = false };
    AUTO(buf_release) struct buf out = BUF_INIT;
    bool outline = call->method == CALL_OUTLINE;
    int code = run_describe(s, b, outline, d, &r, &err);
    if (r.path != NULL)
        shown.dockerfile_name = str_dup(path_base(r.path));
    buf_add(&shown.dockerfile, buf_str(&r.text), r.text.len);
    display_finish(d, &shown, s->debug);
    if (code < 0)
        return build_fail(s, d, &shown, &err);
    if (outline)
        call_print_outline(&out, &r, call->json);
    else
        call_print_targets(&out, &r, call->json);
    print_to(stdout, &out);
    return EXIT_OK;
}

static int methods(const struct call *call)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    call_print_methods(&out, call->json);
    print_to(stdout, &out);
    return EXIT_OK;
}

static int call_instead(struct session *s, const struct build_options *b, const struct call *call,
                        enum display_mode mode)
{
    if (call->method == CALL_METHODS)
        return methods(call);
    AUTO(display_free) struct display *d = display_new(mode, STDERR_FILENO);
    display_set_cancel(d, s->cancel);
    return call->method == CALL_CHECK ? check(s, b, call, d) : describe(s, b, call, d);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    enum display_mode mode = DISPLAY_PLAIN;
    struct call call = { .method = CALL_BUILD };
    AUTO(build_request_release) struct build_request r = { .outputs.v = NULL };
    if (option_on(o, "debug")) {
        s->debug = true;
        log_set_level(LOG_DEBUG);
    }
    if (choose_display(o, &mode, &err) < 0)
        return command_fail(&command_build, s, &err);
    if (call_parse(o, &call, &err) < 0 || build_request_make(s, o, &r, &err) < 0 ||
        (call.method == CALL_BUILD && prepare_results(&r.build, &err) < 0))
        return build_fail_early(&command_build, s, &err);
    if (call.method != CALL_BUILD)
        return call_instead(s, &r.build, &call, mode);
    return build(s, o, &r.build, mode);
}

const struct command command_build = {
    .name = "build",
    .also = "buildx build,buildx b,builder build,image build",
    .args = "[OPTIONS] PATH | URL | -",
    .about = "Build an image from a Dockerfile",
    .specs = build_specs,
    .min_args = 1,
    .max_args = 1,
    .error_prefix = "ERROR: ",
    .run = run,
};
