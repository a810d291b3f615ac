#include "cmd/stdin_source.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

struct stdin_source {
    struct source base;
    struct cancel *cancel;
};

static ssize_t read_stdin(struct source *base, void *p, size_t n, struct err *err)
{
    struct cancel *cancel = ((struct stdin_source *)base)->cancel;
    for (;;) {
        struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
                                { .fd = cancel_fd(cancel), .events = POLLIN } };
        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for standard input");
        if (cancel_check(cancel, err) < 0)
            return err->code;
        if (fds[0].revents == 0)
            continue;
        ssize_t got = read(STDIN_FILENO, p, n);
        if (got >= 0)
            return got;
        if (errno != EINTR && errno != EAGAIN)
            return err_sys(err, errno, "cannot read standard input");
    }
}

static void free_stdin(struct source *base)
{
    mem_free(base);
}

struct source *stdin_source(struct cancel *cancel)
{
    struct stdin_source *s = mem_zalloc(sizeof(*s));
    s->base = (struct source){ .read = read_stdin, .free = free_stdin };
    s->cancel = cancel;
    return &s->base;
}
