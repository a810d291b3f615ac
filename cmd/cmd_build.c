#include "base/log.h"
#include "cmd/build_request.h"
#include "cmd/command.h"
#include "cmd/display.h"
#include "cmd/exit_status.h"
#include "cmd/frame.h"
#include "engine/lint_use.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* --check */

static bool is_check(const struct options *o)
{
    return option_on(o, "check") || str_eq(option_str(o, "call"), "check");
}

static int run_check(struct session *s, const struct build_options *b, struct display *d,
                     struct check_result *ret, struct err *err)
{
    AUTO(engine_close)
    struct engine *e = engine_open(s->store_root, s->cancel, display_progress(d), err);
    return e != NULL ? engine_check(e, b, ret, err) : err->code;
}

/* What can be wrong in one line comes before what can be wrong in the next. */
static int by_line(const void *a, const void *b)
{
    const struct lint_warning *const *x = a, *const *y = b;
    if ((*x)->line != (*y)->line)
        return (*x)->line < (*y)->line ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static void add_finding(struct buf *b, const struct check_result *r, const struct lint_warning *w)
{
    buf_addf(b, "\nWARNING: %s - %s\n", w->rule, w->url);
    log_escape(b, w->text, strlen(w->text));
    buf_addc(b, '\n');
    frame_add(b, r->path, buf_str(&r->text), r->text.len, w->line, w->line_end);
}

/* As docker prints them: sorted by line, and nothing where the text is wrong and nothing was found.
 */
static void print_findings(const struct check_result *r)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    size_t n = r->report.n;
    AUTO(mem_free) const struct lint_warning **sorted = mem_calloc(n + 1, sizeof(*sorted));
    for (size_t i = 0; i < n; i++)
        sorted[i] = &r->report.v[i];
    qsort(sorted, n, sizeof(*sorted), by_line);
    if (n > 0)
        buf_addf(&b, "Check complete, %zu warning%s found!\n", n,
                 n == 1 ? " has been" : "s have been");
    else if (r->error.code == ERR_NONE)
        buf_adds(&b, "Check complete, no warnings found.\n");
    for (size_t i = 0; i < n; i++)
        add_finding(&b, r, sorted[i]);
    if (n > 0 && r->error.code != ERR_NONE)
        buf_addc(&b, '\n');
    fwrite(buf_str(&b), 1, b.len, stdout);
    fflush(stdout);
}

/* Why a build would fail. */
static void print_check_error(const struct check_result *r)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (r->error.code == ERR_NONE)
        return;
    buf_adds(&b, "ERROR: ");
    log_escape(&b, r->error.msg, strlen(r->error.msg));
    buf_addc(&b, '\n');
    if (r->error.line > 0)
        frame_add(&b, r->path, buf_str(&r->text), r->text.len, r->error.line, r->error.line_end);
    buf_addc(&b, '\n');
    fwrite(buf_str(&b), 1, b.len, stderr);
}

static int check(struct session *s, const struct build_options *b, enum display_mode mode)
{
    struct err err = ERR_INIT;
    AUTO(check_result_release) struct check_result result = { .path = NULL };
    AUTO(display_free) struct display *d = display_new(mode, STDERR_FILENO);
    display_set_cancel(d, s->cancel);
    int code = run_check(s, b, d, &result, &err);
    display_finish(d, NULL, s->debug);
    if (code < 0) {
        struct build_result none = { .has_image = false };
        return report(s, d, &none, &err);
    }
    print_findings(&result);
    print_check_error(&result);
    return result.report.n > 0 || result.error.code != ERR_NONE ? EXIT_FAILED : EXIT_OK;
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
    if (build_request_make(s, o, &r, &err) < 0 ||
        (!is_check(o) && remove_iidfile(r.build.iidfile, &err) < 0))
        return fail_early(s, &err);
    if (is_check(o))
        return check(s, &r.build, mode);
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
