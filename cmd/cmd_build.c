#include "base/log.h"
#include "cmd/build_request.h"
#include "cmd/command.h"
#include "cmd/display.h"
#include "cmd/exit_status.h"
#include "cmd/frame.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CANCELLED "failed to solve: Canceled: context canceled"

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

/* An old file must not be taken for this build's. */
static int remove_iidfile(const char *path, struct err *err)
{
    if (path != NULL && unlink(path) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove '%s'", path);
    return 0;
}

static int run_build(struct session *s, const struct options *o, const struct build_options *b,
                     struct display *d, struct build_result *result, struct err *err)
{
    AUTO(engine_close)
    struct engine *e = engine_open(s->store_root, s->cancel, display_progress(d), err);
    if (e == NULL)
        return err->code;
    if (option_on(o, "no-durable"))
        store_set_durable(engine_store(e), false);
    return engine_build(e, b, result, err);
}

/* What is wrong before a build begins. */
static int fail_early(const struct session *s, struct err *err)
{
    if (err->code == ERR_CANCELLED)
        err_set(err, ERR_CANCELLED, CANCELLED);
    err_wrap(err, "failed to build");
    return command_fail(&command_build, s, err);
}

/* The excerpt and the last line, as BuildKit ends a failed build. */
static int report(const struct session *s, struct display *d, const struct build_result *r,
                  const struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    bool cancelled = err->code == ERR_CANCELLED || cancel_signal(s->cancel) != 0;
    if (!cancelled && err->line > 0 && r->dockerfile_name != NULL)
        frame_add(&b, r->dockerfile_name, buf_str(&r->dockerfile), r->dockerfile.len, err->line,
                  err->line_end);
    buf_adds(&b, cancelled ? "ERROR: failed to build: " CANCELLED
                           : "ERROR: failed to build: failed to solve: ");
    if (!cancelled)
        log_escape(&b, err->msg, strlen(err->msg));
    buf_addc(&b, '\n');
    display_print(d, &b);
    return exit_status(err, s->cancel);
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
        return report(s, d, &result, &err);
    if (mode == DISPLAY_QUIET && result.has_image)
        printf("%s\n", DIGEST_S(&result.config.d));
    return EXIT_OK;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    enum display_mode mode = DISPLAY_PLAIN;
    AUTO(build_request_release) struct build_request r = { .outputs.v = NULL };
    if (option_on(o, "debug")) {
        s->debug = true;
        log_set_level(LOG_DEBUG);
    }
    if (choose_display(o, &mode, &err) < 0)
        return command_fail(&command_build, s, &err);
    if (build_request_make(s, o, &r, &err) < 0 || remove_iidfile(r.build.iidfile, &err) < 0)
        return fail_early(s, &err);
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
