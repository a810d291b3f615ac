#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/main_options.h"
#include <stdio.h>

static int run(struct session *s, const struct options *o)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    int n_words = 0;
    const struct command *c = command_find((int)o->args.n, o->args.v, &n_words);
    if (o->args.n > 0 && (c == NULL || (size_t)n_words != o->args.n)) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *words = strv_join(&o->args, " ");
        err_set(&err, ERR_USAGE, "unknown help topic: %s", words);
        return command_fail(&command_help, s, &err);
    }
    if (c != NULL)
        command_help_text(c, &b);
    else
        command_list_text(main_options, &b);
    fputs(buf_str(&b), stdout);
    return EXIT_OK;
}

const struct command command_help = {
    .name = "help",
    .args = "[COMMAND]",
    .about = "Show the commands, or one command's options",
    .max_args = -1,
    .error_prefix = "shale: ",
    .run = run,
};
