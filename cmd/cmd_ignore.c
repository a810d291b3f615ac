/* `shale ignore`: lines for .dockerignore, of files that a build needs for nothing. */
#include "base/log.h"
#include "cmd/build_fail.h"
#include "cmd/build_request.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/human.h"
#include "cmd/session_engine.h"
#include "engine/unused.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void print_lines(const struct unused *u)
{
    for (size_t i = 0; i < u->lines.n; i++)
        printf("%s\n", u->lines.v[i]);
}

/* On standard error, where it is no line of the file. text is a name or message of somebody. */
static void say(const char *before, const char *text, const char *after)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "shale: ");
    buf_adds(&b, before);
    log_escape(&b, text, strlen(text));
    fprintf(stderr, "%s%s\n", buf_str(&b), after);
}

static void say_what_is_not_known(const struct unused *u)
{
    AUTO(mem_free) char *steps = strv_join(&u->unobserved, ", ");
    AUTO(mem_free) char *stages = strv_join(&u->others, ", ");
    if (u->unobserved.n > 0)
        say("", steps,
            u->unobserved.n == 1
                ? " was not observed: nothing that it could have read is proposed"
                : " were not observed: nothing that they could have read is proposed");
    if (u->others.n > 0)
        say("this build does without '", stages, "', which may need other files: see --target");
    if (u->refused != NULL)
        say("nothing is proposed: with these lines ", u->refused, "");
    if (u->copies_rules && u->lines.n > 0)
        say("", ".dockerignore", " is copied itself: what it is in changes with it, once");
}

static void say_sum(const struct unused *u)
{
    char bytes[HUMAN_LEN], all[HUMAN_LEN];
    fprintf(stderr, "# %zu line%s out %llu of %llu files, %s of %s\n", u->lines.n,
            u->lines.n == 1 ? " leaves" : "s leave", (unsigned long long)u->files,
            (unsigned long long)u->all_files, human_size(u->bytes, bytes),
            human_size(u->all_bytes, all));
}

static void print_json(const struct unused *u)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    json_auto_t *j =
        json_pack("{s:i, s:o, s:I, s:I, s:I, s:I, s:o, s:o, s:b}", "version", 1, "lines",
                  json_from_strv(&u->lines), "files", (json_int_t)u->files, "bytes",
                  (json_int_t)u->bytes, "of_files", (json_int_t)u->all_files, "of_bytes",
                  (json_int_t)u->all_bytes, "not_observed", json_from_strv(&u->unobserved),
                  "other_stages", json_from_strv(&u->others), "rules_are_copied", u->copies_rules);
    if (u->refused != NULL)
        json_object_set_new(j, "refused", json_from_str(u->refused));
    json_write_pretty(j, &out, 2);
    puts(buf_str(&out));
}

static int ask(struct session *s, const struct build_options *b, struct build_result *build,
               struct unused *ret, struct err *err)
{
    AUTO(engine_close) struct engine *e = session_engine(s, NULL, err);
    return e != NULL ? engine_unused(e, b, build, ret, err) : err->code;
}

static int propose(struct session *s, const struct options *o, const struct build_options *b)
{
    struct err err = ERR_INIT;
    AUTO(build_result_release) struct build_result build = { .has_image = false };
    AUTO(unused_release) struct unused u = { .refused = NULL };
    AUTO(display_free) struct display *d = display_new(DISPLAY_NONE, STDERR_FILENO);
    if (ask(s, b, &build, &u, &err) < 0)
        return build_fail(s, d, &build, &err);
    if (option_on(o, "json")) {
        print_json(&u);
        return EXIT_OK;
    }
    print_lines(&u);
    say_what_is_not_known(&u);
    say_sum(&u);
    return EXIT_OK;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(build_request_release) struct build_request r = { .outputs.v = NULL };
    if (build_request_make_dry(s, o, &r, &err) < 0)
        return build_fail_early(&command_ignore, s, &err);
    return propose(s, o, &r.build);
}

static const struct option_spec specs[] = {
    { "json", 0, OPTION_FLAG, .help = "Print as JSON" },
#include "cmd/build_specs.inc"
    { .name = NULL },
};

const struct command command_ignore = {
    .name = "ignore",
    .args = "[OPTIONS] PATH",
    .about = "Propose .dockerignore lines for files that a build needs for nothing",
    .specs = specs,
    .min_args = 1,
    .max_args = 1,
    .error_prefix = "ERROR: ",
    .run = run,
};
