/* Drive points for tests; not in the help, and no promise of staying as they are. */
#include "cmd/debug_internal.h"
#include "cmd/exit_status.h"
#include <errno.h>
#include <stdio.h>

static const struct drive_point {
    const char *name;
    debug_answer answer;
} batches[] = {
    { "lint", debug_lint },     { "parse", debug_parse },         { "word", debug_word },
    { "ignore", debug_ignore }, { "directive", debug_directive }, { "heredoc", debug_heredoc },
    { "device", debug_device },
};

static int print_tree(struct session *s, const struct options *o, struct err *err)
{
    json_auto_t *tree = NULL;
    if (o->args.n != 2)
        return err_set(err, ERR_USAGE, "'shale debug tree' requires 1 argument: IMAGE or oci:DIR");
    if (debug_tree(s, o->args.v[1], &tree, err) < 0)
        return err->code;
    if (json_dumpf(tree, stdout, JSON_INDENT(1) | JSON_SORT_KEYS) < 0 || putchar('\n') == EOF)
        return err_sys(err, errno, "cannot write to standard output");
    return 0;
}

static int drive(struct session *s, const struct options *o, struct err *err)
{
    const char *what = o->args.v[0];
    if (str_eq(what, "tree"))
        return print_tree(s, o, err);
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        if (!str_eq(what, batches[i].name))
            continue;
        if (!option_on(o, "batch") || o->args.n != 1)
            return err_set(err, ERR_USAGE, "'shale debug %s' takes --batch and no argument", what);
        return debug_batch(batches[i].answer, option_on(o, "detail"), s->cancel, err);
    }
    return err_set(err, ERR_USAGE, "unknown drive point: %s", what);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    if (drive(s, o, &err) < 0)
        return command_fail(&command_debug, s, &err);
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "batch", 0, OPTION_FLAG, .help = "Read JSON lines, answer with JSON lines" },
    { "detail", 0, OPTION_FLAG, .help = "Answer with more members" },
    { .name = NULL },
};

const struct command command_debug = {
    .name = "debug",
    .args = "parse|word|ignore|lint --batch | tree IMAGE|oci:DIR",
    .about = "Drive parts of shale for tests",
    .hidden = true,
    .specs = specs,
    .min_args = 1,
    .max_args = 2,
    .error_prefix = "shale: ",
    .run = run,
};
