/* `shale plan`: what `shale build` would do, without doing it. */
#include "cmd/build_fail.h"
#include "cmd/build_request.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/session_engine.h"
#include "cmd/step_table.h"
#include <stdio.h>
#include <unistd.h>

#define EXIT_WOULD_RUN 10 /* --exit-code */
#define COST_TOLD_MS 1000 /* steps that take less are not worth a word */

static int64_t cost_of(const struct build_report *r)
{
    int64_t ms = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i]->answer == STEP_TO_MAKE && r->v[i]->cost_ms > 0)
            ms += r->v[i]->cost_ms;
    return ms;
}

static void print_sum(struct buf *b, const struct build_result *r)
{
    size_t make = build_report_count(&r->report, STEP_TO_MAKE);
    size_t undecided = build_report_count(&r->report, STEP_UNDECIDED);
    size_t known = build_report_known(&r->report);
    int64_t cost = cost_of(&r->report);
    const char *known_all = r->is_up_to_date ? "nothing to do" : "every step is known";
    if (r->is_up_to_date || r->reason != NULL)
        buf_addf(b, "\n%s%s", known_all, r->reason ? ", but " : "");
    if (r->reason != NULL)
        buf_adds(b, r->reason);
    if (r->docs_skipped != NULL)
        buf_addf(b, ": only documentation changed (%s)", r->docs_skipped);
    if (r->is_up_to_date || r->reason != NULL)
        buf_addc(b, '\n');
    if (make + undecided == 0)
        return;
    buf_addf(b, "\n%zu to make", make);
    if (cost >= COST_TOLD_MS) {
        buf_adds(b, " (");
        step_table_seconds(b, cost);
        buf_adds(b, " the last time)");
    }
    buf_addf(b, ", %zu undecided, %zu known\n", undecided, known);
}

static void print_json(struct buf *b, const struct build_result *r)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < r->report.n; i++)
        json_array_append_new(steps, step_report_json(r->report.v[i]));
    json_auto_t *j =
        json_pack("{s:i, s:b, s:o}", "version", 1, "up_to_date", r->is_up_to_date, "steps", steps);
    if (r->has_image)
        json_object_set_new(j, "image", json_string(DIGEST_S(&r->config.d)));
    if (r->reason != NULL)
        json_object_set_new(j, "reason", json_from_str(r->reason));
    if (r->docs_skipped != NULL)
        json_object_set_new(j, "docs_skipped", json_from_str(r->docs_skipped));
    json_write_pretty(j, b, 2);
}

static int make_plan(struct session *s, const struct build_options *b, struct build_result *ret,
                     struct err *err)
{
    AUTO(engine_close) struct engine *e = session_engine(s, NULL, err);
    return e != NULL ? engine_plan(e, b, ret, err) : err->code;
}

static int plan(struct session *s, const struct options *o, const struct build_options *b)
{
    struct err err = ERR_INIT;
    AUTO(build_result_release) struct build_result r = { .has_image = false };
    AUTO(display_free) struct display *d = display_new(DISPLAY_NONE, STDERR_FILENO);
    AUTO(buf_release) struct buf out = BUF_INIT;
    if (make_plan(s, b, &r, &err) < 0)
        return build_fail(s, d, &r, &err);
    if (option_on(o, "json")) {
        print_json(&out, &r);
    } else {
        step_table(&out, &r.report, option_on(o, "no-trunc"));
        print_sum(&out, &r);
    }
    fputs(buf_str(&out), stdout);
    if (option_on(o, "json"))
        putchar('\n');
    return option_on(o, "exit-code") && !r.is_up_to_date ? EXIT_WOULD_RUN : EXIT_OK;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(build_request_release) struct build_request r = { .outputs.v = NULL };
    if (build_request_make_dry(s, o, &r, &err) < 0)
        return build_fail_early(&command_plan, s, &err);
    return plan(s, o, &r.build);
}

static const struct option_spec specs[] = {
    { "exit-code", 0, OPTION_FLAG,
      .help = "Exit with 10 when something would be done, 0 when nothing would" },
    { "json", 0, OPTION_FLAG, .help = "Print the plan as JSON" },
    { "no-trunc", 0, OPTION_FLAG, .help = "Don't cut long instructions" },
#include "cmd/build_specs.inc"
    { .name = NULL },
};

const struct command command_plan = {
    .name = "plan",
    .args = "[OPTIONS] PATH | URL | -",
    .about = "Show what a build would do, and why, without doing it",
    .specs = specs,
    .min_args = 1,
    .max_args = 1,
    .error_prefix = "ERROR: ",
    .run = run,
};
