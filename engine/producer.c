/* Turns "write it all into a sink" into "read from a source": a thread and a pipe. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct producer {
    struct source s;
    produce_fn fn;
    void *arg;
    int read_fd, write_fd;
    pthread_t thread;
    bool joined;
    int rc;
    struct err err;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    struct sink *to = sink_fd(p->write_fd, true);
    p->rc = p->fn(p->arg, to, &p->err);
    if (p->rc == 0)
        p->rc = sink_finish(to, &p->err);
    sink_free(to); /* closes: the reader sees the end */
    return NULL;
}

static void join(struct producer *p)
{
    if (!p->joined)
        pthread_join(p->thread, NULL);
    p->joined = true;
}

static ssize_t producer_read(struct source *s, void *buf, size_t n, struct err *err)
{
    struct producer *p = (struct producer *)s;
    ssize_t got;
    do
        got = read(p->read_fd, buf, n);
    while (got < 0 && errno == EINTR);
    if (got > 0)
        return got;
    if (got < 0)
        return err_sys(err, errno, "cannot read from a pipe");
    join(p);
    return p->rc < 0 ? err_copy(err, &p->err) : 0;
}

static void producer_free(struct source *s)
{
    struct producer *p = (struct producer *)s;
    fd_close(p->read_fd); /* the writer gets EPIPE and ends */
    join(p);
    mem_free(p);
}

struct source *producer_source(produce_fn fn, void *arg, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0) {
        err_sys(err, errno, "cannot make a pipe");
        return NULL;
    }
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20); /* fewer switches; a refusal does no harm */
    struct producer *p = mem_zalloc(sizeof(*p));
    p->s.read = producer_read;
    p->s.free = producer_free;
    p->fn = fn;
    p->arg = arg;
    p->read_fd = fds[0];
    p->write_fd = fds[1];
    int rc = pthread_create(&p->thread, NULL, produce, p);
    if (rc != 0) {
        err_sys(err, rc, "cannot start a thread");
        fd_close(fds[0]);
        fd_close(fds[1]);
        mem_free(p);
        return NULL;
    }
    return &p->s;
}
