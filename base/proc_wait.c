#include "base/proc.h"
#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS 10 /* how often to look where there is no pidfd */

struct wait {
    pid_t pid;
    int pidfd; /* -1: a kernel or a filter without it */
    struct cancel *cancel;
    int term_signal, grace_ms;
    bool is_cancelled, is_killed;
    int64_t kill_at; /* clock_mono_ms */
};

static int status_of(int raw)
{
    return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
}

/* A process that leads a group is signalled with its group. */
static void send_signal(const struct wait *w, int signo)
{
    kill(getpgid(w->pid) == w->pid ? -w->pid : w->pid, signo);
}

static void begin_cancel(struct wait *w)
{
    w->is_cancelled = true;
    w->kill_at = clock_mono_ms() + w->grace_ms;
    if (w->term_signal != 0)
        send_signal(w, w->term_signal);
    else
        w->kill_at = 0;
}

static int timeout_of(const struct wait *w)
{
    int64_t ms = -1;

    if (w->is_cancelled && !w->is_killed) {
        ms = w->kill_at - clock_mono_ms();
        if (ms < 0)
            ms = 0;
    }
    if (w->pidfd < 0 && (ms < 0 || ms > POLL_MS))
        ms = POLL_MS;
    return (int)ms;
}

/* Sleeps until the process ends, the flag is set or the grace is over. */
static void sleep_for_news(struct wait *w)
{
    struct pollfd fds[] = {
        { .fd = w->pidfd, .events = POLLIN },
        { .fd = w->is_cancelled ? -1 : cancel_fd(w->cancel), .events = POLLIN },
    };

    poll(fds, ARRAY_LEN(fds), timeout_of(w));
    if (!w->is_cancelled && cancel_is_set(w->cancel)) {
        begin_cancel(w);
    } else if (w->is_cancelled && !w->is_killed && clock_mono_ms() >= w->kill_at) {
        w->is_killed = true;
        send_signal(w, SIGKILL);
    }
}

int proc_wait(pid_t pid, struct cancel *cancel, int term_signal, int grace_ms, int *ret_status,
              struct err *err)
{
    AUTO(fd_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct wait w = { .pid = pid,
                      .pidfd = pidfd,
                      .cancel = cancel,
                      .term_signal = term_signal,
                      .grace_ms = grace_ms };
    int raw = 0;
    pid_t r;

    while ((r = waitpid(pid, &raw, WNOHANG)) == 0 || (r < 0 && errno == EINTR))
        sleep_for_news(&w);
    if (r < 0)
        return err_sys(err, errno, "cannot wait for process %d", (int)pid);
    if (w.is_cancelled)
        return err_set(err, ERR_CANCELLED, "interrupted");
    *ret_status = status_of(raw);
    return 0;
}

/* A pipe's reading end and what came through it; past max bytes it is read on and dropped. */
struct outlet {
    int fd;
    struct buf *b;
    size_t max;
};

static int outlet_read(struct outlet *o, struct err *err)
{
    char p[16 << 10];
    ssize_t n = read(o->fd, p, sizeof(p));

    if (n < 0)
        return errno == EINTR ? 0 : err_sys(err, errno, "cannot read from the program");
    if (n == 0) {
        fd_close(o->fd);
        o->fd = -1;
        return 0;
    }
    size_t room = o->max - o->b->len;
    buf_add(o->b, p, (size_t)n < room ? (size_t)n : room);
    return 0;
}

static int outlets_read(struct outlet *o, size_t n, struct err *err)
{
    struct pollfd fds[2];

    while (o[0].fd >= 0 || o[1].fd >= 0) {
        for (size_t i = 0; i < n; i++)
            fds[i] = (struct pollfd){ .fd = o[i].fd, .events = POLLIN };
        if (poll(fds, n, -1) < 0 && errno != EINTR)
            return err_sys(err, errno, "cannot wait for output");
        for (size_t i = 0; i < n; i++)
            if (fds[i].revents != 0 && outlet_read(&o[i], err) < 0)
                return err->code;
    }
    return 0;
}

static int start_with_pipes(const char *const *argv, struct outlet o[2], pid_t *ret_pid,
                            struct err *err)
{
    AUTO(fd_close) int out = -1;
    AUTO(fd_close) int diag = -1;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    o[0].fd = ends[0];
    out = ends[1];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    o[1].fd = ends[0];
    diag = ends[1];
    struct proc_spec spec = { .argv = argv, .in = -1, .out = out, .err = diag };
    pid_t pid = proc_start(&spec, err);
    if (pid < 0)
        return (int)pid;
    *ret_pid = pid;
    return 0;
}

int proc_output(const char *const *argv, size_t max, struct buf *ret_out, struct buf *ret_err,
                int *ret_status, struct err *err)
{
    struct outlet o[] = { { .fd = -1, .b = ret_out, .max = max },
                          { .fd = -1, .b = ret_err, .max = max } };
    pid_t pid = -1;

    buf_clear(ret_out);
    buf_clear(ret_err);
    int r = start_with_pipes(argv, o, &pid, err);
    if (r == 0) {
        r = outlets_read(o, ARRAY_LEN(o), err);
        struct err late = ERR_INIT;
        if (r < 0)
            kill(pid, SIGKILL);
        if (proc_wait(pid, NULL, 0, 0, ret_status, &late) < 0 && r == 0)
            r = err_copy(err, &late);
    }
    fd_close(o[0].fd);
    fd_close(o[1].fd);
    return r;
}
