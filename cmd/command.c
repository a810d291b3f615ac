#include "cmd/command.h"
#include "base/log.h"
#include "cmd/exit_status.h"
#include <stdio.h>
#include <string.h>

/* In the order of `shale help`. */
static const struct command *const commands[] = {
    &command_build,  &command_plan,   &command_explain, &command_trace,
    &command_ignore, &command_images, &command_tag,     &command_push,
    &command_rmi,    &command_import, &command_run,     &command_doctor,
    &command_stats,  &command_help,   &command_version, &command_debug,
};

/* How many words of argv words (space separated) are; 0: they are others. */
static int match(const char *words, int argc, char *const *argv)
{
    AUTO(strv_release) struct strv list = STRV_INIT;
    strv_split(&list, words, ' ');
    if (list.n > (size_t)argc)
        return 0;
    for (size_t i = 0; i < list.n; i++) {
        if (!str_eq(list.v[i], argv[i]))
            return 0;
    }
    return (int)list.n;
}

const struct command *command_find(int argc, char *const *argv, int *ret_n)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        AUTO(strv_release) struct strv names = STRV_INIT;
        if (commands[i]->also != NULL)
            strv_split(&names, commands[i]->also, ',');
        strv_add(&names, commands[i]->name);
        for (size_t j = 0; j < names.n; j++) {
            int n = match(names.v[j], argc, argv);
            if (n > 0) {
                *ret_n = n;
                return commands[i];
            }
        }
    }
    return NULL;
}

static void print_message(const char *prefix, const char *msg)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, prefix);
    log_escape(&b, msg, strlen(msg));
    fprintf(stderr, "%s\n", buf_str(&b));
}

int command_fail(const struct command *c, const struct session *s, const struct err *err)
{
    print_message(c->error_prefix, err->msg);
    return exit_status(err, s->cancel);
}

static int fail_usage(const struct command *c, const char *prefix, const char *msg, int status)
{
    print_message(prefix, msg);
    fprintf(stderr, "\nUsage:  shale %s %s\n\nRun 'shale %s --help' for more information\n",
            c->name, c->args, c->name);
    return status;
}

static const char *plural(int n)
{
    return n == 1 ? "" : "s";
}

static int check_count(const struct command *c, size_t n_args)
{
    int n = n_args > 1000 ? 1000 : (int)n_args;
    if (n >= c->min_args && (c->max_args < 0 || n <= c->max_args))
        return 0;
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, "'shale %s' ", c->name);
    if (c->max_args == 0)
        buf_adds(&b, "accepts no arguments");
    else if (c->min_args == c->max_args)
        buf_addf(&b, "requires %d argument%s", c->min_args, plural(c->min_args));
    else if (n < c->min_args)
        buf_addf(&b, "requires at least %d argument%s", c->min_args, plural(c->min_args));
    else
        buf_addf(&b, "requires at most %d argument%s", c->max_args, plural(c->max_args));
    return fail_usage(c, c->error_prefix, buf_str(&b), EXIT_FAILED);
}

int command_start(const struct command *c, struct session *s, int argc, char *const *argv)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    if (options_parse(c->specs, !c->stops_at_argument, argc, argv, &o, &err) < 0)
        return fail_usage(c, "", err.msg, EXIT_BAD_OPTION);
    if (o.help) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        command_help_text(c, &b);
        fputs(buf_str(&b), stdout);
        return EXIT_OK;
    }
    int status = check_count(c, o.args.n);
    if (status != 0)
        return status;
    if (options_check_standing(&o, &err) < 0)
        return command_fail(c, s, &err);
    return c->run(s, &o);
}

void command_help_text(const struct command *c, struct buf *b)
{
    buf_addf(b, "Usage:  shale %s %s\n\n%s\n", c->name, c->args, c->about);
    if (c->also != NULL) {
        AUTO(strv_release) struct strv names = STRV_INIT;
        strv_split(&names, c->also, ',');
        buf_addf(b, "\nAliases:\n  shale %s", c->name);
        for (size_t i = 0; i < names.n; i++)
            buf_addf(b, ", shale %s", names.v[i]);
        buf_addc(b, '\n');
    }
    if (c->specs != NULL) {
        buf_adds(b, "\nOptions:\n");
        options_help(c->specs, b);
    }
}

void command_list_text(const struct option_spec *specs, struct buf *b)
{
    buf_adds(b,
             "Usage:  shale [OPTIONS] COMMAND [ARG...]\n\nBuilds container images\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (!commands[i]->hidden)
            buf_addf(b, "  %-10s  %s\n", commands[i]->name, commands[i]->about);
    }
    buf_adds(b, "\nOptions:\n");
    options_help(specs, b);
    buf_adds(b, "\nRun 'shale COMMAND --help' for more information on a command\n");
}
