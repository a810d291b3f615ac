#include "base/fs.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/session_engine.h"
#include "engine/image_ops.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "K" takes the value of our environment, as with --build-arg. */
static int take_env(struct strv *ret, const struct strv *given, struct err *err)
{
    for (size_t i = 0; i < given->n; i++) {
        const char *pair = given->v[i], *eq = strchr(pair, '=');
        if (*pair == '\0' || *pair == '=')
            return err_set(err, ERR_USAGE, "invalid environment variable: %s", pair);
        AUTO(mem_free) char *key = str_ndup(pair, eq != NULL ? (size_t)(eq - pair) : strlen(pair));
        const char *value = eq != NULL ? eq + 1 : getenv(key);
        if (value != NULL)
            env_set(ret, key, value);
    }
    return 0;
}

/* Without --interactive the command reads nothing of ours. */
static int close_stdin(struct err *err)
{
    AUTO(fd_close) int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup2(fd, STDIN_FILENO) < 0)
        return err_sys(err, errno, "cannot open /dev/null");
    return 0;
}

static int prepare_stdin(const struct options *o, struct err *err)
{
    bool interactive = option_on(o, "interactive");
    if (option_on(o, "tty") && interactive && !isatty(STDIN_FILENO))
        return err_set(err, ERR_USAGE, "the input device is not a TTY");
    if (option_on(o, "tty") && !isatty(STDOUT_FILENO))
        return err_set(err, ERR_USAGE, "the output device is not a TTY");
    return interactive || option_on(o, "tty") ? 0 : close_stdin(err);
}

static int start(struct session *s, const struct options *o, struct run_options *r, int *ret_status,
                 struct err *err)
{
    r->image = o->args.v[0];
    for (size_t i = 1; i < o->args.n; i++)
        strv_add(&r->command, o->args.v[i]);
    if (take_env(&r->env, option_list(o, "env"), err) < 0 || prepare_stdin(o, err) < 0)
        return err->code;
    strv_copy(&r->volumes, option_list(o, "volume"));
    r->entrypoint = option_str(o, "entrypoint");
    r->user = option_str(o, "user");
    r->workdir = option_str(o, "workdir");
    r->network = option_str(o, "network");
    r->tty = option_on(o, "tty");
    AUTO(engine_close) struct engine *e = session_engine(s, NULL, err);
    if (e == NULL)
        return err->code;
    return engine_run(e, r, ret_status, err);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    struct run_options r = { .image = NULL };
    int status = EXIT_BAD_OPTION;
    int code = start(s, o, &r, &status, &err);
    strv_release(&r.command);
    strv_release(&r.env);
    strv_release(&r.volumes);
    if (code == 0)
        return status;
    command_fail(&command_run, s, &err);
    return exit_status_of_run(&err, s->cancel);
}

static const struct option_spec specs[] = {
    { "entrypoint", 0, OPTION_TEXT, .help = "Overwrite the default ENTRYPOINT of the image" },
    { "env", 'e', OPTION_LIST, .help = "Set environment variables" },
    { "interactive", 'i', OPTION_FLAG, .help = "Keep STDIN open" },
    { "network", 0, OPTION_TEXT, .help = "\"host\" (default) or \"none\"" },
    { "rm", 0, OPTION_FLAG, STANDING_VOID, .help = "Accepted: a container is always removed" },
    { "tty", 't', OPTION_FLAG, .help = "Allocate a pseudo-TTY" },
    { "user", 'u', OPTION_TEXT, .help = "Username or UID (format: \"<name|uid>[:<group|gid>]\")" },
    { "volume", 'v', OPTION_LIST, .help = "Bind mount a volume (format: \"host:container[:ro]\")" },
    { "workdir", 'w', OPTION_TEXT, .help = "Working directory inside the container" },
    { .name = NULL },
};

const struct command command_run = {
    .name = "run",
    .also = "container run",
    .args = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    .about = "Run a command in a new container of an image",
    .specs = specs,
    .min_args = 1,
    .max_args = -1,
    .stops_at_argument = true,
    .error_prefix = "shale: ",
    .run = run,
};
