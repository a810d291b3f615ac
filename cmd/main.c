#include "base/log.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/interrupt.h"
#include "cmd/main_options.h"
#include "cmd/session_engine.h"
#include "exec/run.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is opened later must not become 0, 1 or 2 and be taken for them. */
static int keep_standard_fds(void)
{
    for (;;) {
        int fd = open("/dev/null", O_RDWR);
        if (fd < 0)
            return -1;
        if (fd > STDERR_FILENO)
            return close(fd);
    }
}

static int fail(int status, const char *msg)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    log_escape(&b, msg, strlen(msg));
    fprintf(stderr, "%s\n\nRun 'shale --help' for more information\n", buf_str(&b));
    return status;
}

static int print_list(void)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    command_list_text(main_options, &b);
    fputs(buf_str(&b), stdout);
    return EXIT_OK;
}

static int start(struct session *s, int argc, char **argv)
{
    int n_words;
    const struct command *c = command_find(argc, argv, &n_words);
    if (c != NULL)
        return command_start(c, s, argc - n_words, argv + n_words);
    AUTO(mem_free) char *msg = str_printf("shale: unknown command: shale %s", argv[0]);
    return fail(EXIT_FAILED, msg);
}

static int run(struct session *s, int argc, char **argv)
{
    struct err err = ERR_INIT;
    AUTO(options_release) struct options o = { .specs = NULL };
    if (options_parse(main_options, false, argc, argv, &o, &err) < 0)
        return fail(EXIT_BAD_OPTION, err.msg);
    s->debug = option_on(&o, "debug");
    s->store_root = option_str(&o, "root");
    if (s->debug)
        log_set_level(LOG_DEBUG);
    if (option_given(&o, "host") && setenv("DOCKER_HOST", option_str(&o, "host"), 1) != 0)
        return fail(EXIT_FAILED, "shale: cannot set DOCKER_HOST");
    if (option_on(&o, "version"))
        return command_start(&command_version, s, 0, argv);
    if (o.help || o.args.n == 0)
        return print_list();
    return start(s, (int)o.args.n, o.args.v);
}

int main(int argc, char **argv)
{
    if (argc > 1 && str_eq(argv[1], EXEC_HELPER_ARG))
        return exec_helper_main(argc, argv);
    if (keep_standard_fds() < 0)
        return EXIT_FAILED;
    AUTO(cancel_free) struct cancel *cancel = cancel_new();
    interrupt_catch(cancel);
    struct session s = { .cancel = cancel };
    int status = argc > 0 ? run(&s, argc - 1, argv + 1) : EXIT_FAILED;
    session_release(&s);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "shale: cannot write to standard output: %s\n", strerror(errno));
        status = status == EXIT_OK ? EXIT_FAILED : status;
    }
    interrupt_release();
    return status;
}
