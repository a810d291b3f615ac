#include "cmd/stdin_source.h"
#include "base/buf.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct stdin_source {
    struct source base;
    struct cancel *cancel;
    struct buf head; /* read already, given first */
    size_t given;
};

static ssize_t read_stdin(struct source *base, void *p, size_t n, struct err *err)
{
    struct stdin_source *s = (struct stdin_source *)base;
    struct cancel *cancel = s->cancel;
    if (s->given < s->head.len) {
        n = n < s->head.len - s->given ? n : s->head.len - s->given;
        memcpy(p, s->head.data + s->given, n);
        s->given += n;
        return (ssize_t)n;
    }
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
    buf_release(&((struct stdin_source *)base)->head);
    mem_free(base);
}

struct source *stdin_source(struct cancel *cancel)
{
    return stdin_source_after(cancel, NULL, 0);
}

struct source *stdin_source_after(struct cancel *cancel, const void *head, size_t n)
{
    struct stdin_source *s = mem_zalloc(sizeof(*s));
    s->base = (struct source){ .read = read_stdin, .free = free_stdin };
    s->cancel = cancel;
    buf_add(&s->head, head, n);
    return &s->base;
}
