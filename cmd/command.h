/*
 * Subcommands: one constant row each, in a file of its own (cmd_NAME.c), and
 * one table of them in command.c. A command's function returns the process's
 * exit status; it prints its own errors through command_fail.
 */
#ifndef SHALE_CMD_COMMAND_H
#define SHALE_CMD_COMMAND_H

#include "base/cancel.h"
#include "base/err.h"
#include "cmd/option.h"
#include <stdbool.h>

/* What a command gets from main. */
struct config;
struct session {
    struct cancel *cancel;  /* set by SIGINT, SIGTERM and SIGHUP */
    const char *store_root; /* --root, or NULL */
    bool debug;
    struct config *config; /* of session_engine; NULL until then */
};

struct command {
    const char *name;
    const char *also;  /* comma list of other spellings: "buildx build,image build"; may be NULL */
    const char *args;  /* of the usage line: "[OPTIONS] PATH | URL | -" */
    const char *about; /* one line */
    bool hidden;       /* not in the list of commands */
    const struct option_spec *specs; /* up to one without a name; may be NULL */
    int min_args, max_args;          /* max_args -1: any number */
    bool stops_at_argument;          /* what follows the first argument is not ours */
    const char *error_prefix;        /* before every message: "ERROR: " */
    int (*run)(struct session *s, const struct options *o);
};

extern const struct command command_build, command_plan, command_explain, command_images,
    command_rmi, command_tag, command_run, command_import, command_version, command_help,
    command_push, command_doctor, command_stats, command_debug, command_trace, command_ignore;

/* By its words; *ret_n is how many of argv they are. NULL: there is none. */
const struct command *command_find(int argc, char *const *argv, int *ret_n);
/* Parses, answers --help, checks the number of arguments, runs. argv begins behind the command's
 * words. */
int command_start(const struct command *c, struct session *s, int argc, char *const *argv);
/* "PREFIX: message", escaped for terminals, on stderr. Returns the exit status for err. */
int command_fail(const struct command *c, const struct session *s, const struct err *err);
/* What `shale NAME --help` and `shale --help` print. */
void command_help_text(const struct command *c, struct buf *b);
void command_list_text(const struct option_spec *specs, struct buf *b);

#endif
