/* The socket of RUN --mount=type=ssh: what goes through it, one message after the other. */
#include "engine/ssh_internal.h"

#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX (256u << 10) /* OpenSSH's agent takes no more either */
#define CONNECTIONS_MAX 64
#define SOCKET "socket"
#define AGENT "agent"

/* draft-miller-ssh-agent: uint32 length, byte type, the rest. */
enum {
    SSH_AGENT_FAILURE = 5,
    SSH_AGENTC_REQUEST_IDENTITIES = 11,
    SSH_AGENT_IDENTITIES_ANSWER = 12,
    SSH_AGENTC_SIGN_REQUEST = 13,
    SSH_AGENT_SIGN_RESPONSE = 14,
};

/* A connection has one message under way, in one of these places. */
enum phase { FROM_STEP, TO_AGENT, FROM_AGENT, TO_STEP };

struct connection {
    int step, agent; /* agent: -1 until something is asked of it */
    enum phase phase;
    struct buf message;
    size_t done; /* bytes of it that are read or written */
};

struct ssh_forward {
    struct work *work;
    char *name; /* of the directory in work */
    char *path; /* of the socket */
    char *agent_path;
    int dirfd, listener, stop[2];
    pid_t agent; /* ours, or 0 */
    pthread_t thread;
    bool is_running;
    struct connection v[CONNECTIONS_MAX];
    size_t n;
};

static uint32_t message_length(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int message_type(const struct connection *c)
{
    return (unsigned char)c->message.data[4];
}

static void message_begin(struct connection *c, enum phase phase)
{
    c->phase = phase;
    c->done = 0;
    if (phase == FROM_STEP || phase == FROM_AGENT)
        buf_clear(&c->message);
}

static void answer_failure(struct connection *c)
{
    buf_clear(&c->message);
    buf_add(&c->message, "\0\0\0\1\5", 5);
    message_begin(c, TO_STEP);
}

/* ---- to the agent ---- */

static int agent_connect(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(a.sun_path)) {
        errno = fd < 0 ? errno : ENAMETOOLONG;
        return -1;
    }
    memcpy(a.sun_path, path, strlen(path));
    return connect(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -1 : TAKE_FD(fd);
}

static void ask_agent(const struct ssh_forward *f, struct connection *c)
{
    int type = message_type(c);

    if (type != SSH_AGENTC_REQUEST_IDENTITIES && type != SSH_AGENTC_SIGN_REQUEST) {
        log_debug("engine", "a step asked the SSH agent for request %d: refused", type);
        answer_failure(c);
        return;
    }
    if (c->agent < 0)
        c->agent = agent_connect(f->agent_path);
    if (c->agent < 0) {
        log_debug("engine", "cannot connect to the SSH agent at '%s': %s", f->agent_path,
                  strerror(errno));
        answer_failure(c);
        return;
    }
    message_begin(c, TO_AGENT);
}

static void pass_answer(struct connection *c)
{
    int type = message_type(c);

    if (type == SSH_AGENT_IDENTITIES_ANSWER || type == SSH_AGENT_SIGN_RESPONSE)
        message_begin(c, TO_STEP);
    else
        answer_failure(c);
}

/* ---- a message in pieces ---- */

enum outcome { WAIT, WHOLE, BROKEN };

static enum outcome after_error(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? WAIT : BROKEN;
}

/* The length first, then as much as it says. */
static enum outcome message_read(struct connection *c, int fd)
{
    for (;;) {
        size_t want = 4;
        if (c->message.len >= 4) {
            uint32_t n = message_length((const unsigned char *)c->message.data);
            if (n == 0 || n > MESSAGE_MAX)
                return BROKEN;
            want += n;
        }
        if (c->message.len == want)
            return WHOLE;
        char *p = buf_room(&c->message, want - c->message.len);
        ssize_t n = recv(fd, p, want - c->message.len, 0);
        if (n <= 0)
            return after_error(n);
        c->message.len += (size_t)n;
    }
}

static enum outcome message_write(struct connection *c, int fd)
{
    while (c->done < c->message.len) {
        ssize_t n = send(fd, c->message.data + c->done, c->message.len - c->done, MSG_NOSIGNAL);
        if (n < 0)
            return after_error(n);
        c->done += (size_t)n;
    }
    return WHOLE;
}

/* As far as it goes without waiting. False: the connection is at its end. */
static bool connection_go_on(const struct ssh_forward *f, struct connection *c)
{
    for (;;) {
        bool reads = c->phase == FROM_STEP || c->phase == FROM_AGENT;
        int fd = c->phase == FROM_STEP || c->phase == TO_STEP ? c->step : c->agent;
        enum outcome p = reads ? message_read(c, fd) : message_write(c, fd);
        if (p != WHOLE)
            return p == WAIT;
        switch (c->phase) {
        case FROM_STEP:
            ask_agent(f, c);
            break;
        case TO_AGENT:
            message_begin(c, FROM_AGENT);
            break;
        case FROM_AGENT:
            pass_answer(c);
            break;
        case TO_STEP:
            message_begin(c, FROM_STEP);
            break;
        }
    }
}

/* ---- the thread ---- */

static void connection_end(struct ssh_forward *f, size_t i)
{
    struct connection *c = &f->v[i];

    fd_close(c->step);
    fd_close(c->agent);
    buf_release(&c->message);
    f->v[i] = f->v[--f->n];
}

static void take_connection(struct ssh_forward *f)
{
    int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd >= 0)
        f->v[f->n++] = (struct connection){ .step = fd, .agent = -1 };
}

static struct pollfd what_to_wait_for(const struct connection *c)
{
    switch (c->phase) {
    case FROM_STEP:
        return (struct pollfd){ .fd = c->step, .events = POLLIN };
    case TO_STEP:
        return (struct pollfd){ .fd = c->step, .events = POLLOUT };
    case TO_AGENT:
        return (struct pollfd){ .fd = c->agent, .events = POLLOUT };
    case FROM_AGENT:
        break;
    }
    return (struct pollfd){ .fd = c->agent, .events = POLLIN };
}

/*
 * For each connection two rows: what it waits for, and its step's end, so that nobody's keys are
 * asked for on behalf of a process that is gone.
 */
static size_t fill_poll(const struct ssh_forward *f, struct pollfd *p)
{
    p[0] = (struct pollfd){ .fd = f->stop[0], .events = POLLIN };
    p[1] = (struct pollfd){ .fd = f->n < CONNECTIONS_MAX ? f->listener : -1, .events = POLLIN };
    for (size_t i = 0; i < f->n; i++) {
        p[2 + 2 * i] = what_to_wait_for(&f->v[i]);
        p[3 + 2 * i] = (struct pollfd){ .fd = f->v[i].step };
    }
    return 2 + 2 * f->n;
}

static void *forward_run(void *arg)
{
    struct ssh_forward *f = arg;
    struct pollfd p[2 + 2 * CONNECTIONS_MAX];

    for (;;) {
        size_t n = fill_poll(f, p);
        if (poll(p, n, -1) < 0)
            continue;
        if (p[0].revents != 0)
            return NULL;
        for (size_t i = f->n; i-- > 0;) { /* downwards: an end moves the last one here */
            bool is_gone =
                p[3 + 2 * i].revents & (POLLHUP | POLLERR) && !(p[2 + 2 * i].revents & POLLIN);
            if (is_gone || (p[2 + 2 * i].revents != 0 && !connection_go_on(f, &f->v[i])))
                connection_end(f, i);
        }
        if (p[1].revents != 0)
            take_connection(f);
    }
}

/* ---- opening and closing ---- */

static const struct build_ssh *find(const struct build_options *o, const char *id)
{
    for (size_t i = 0; i < o->n_ssh; i++)
        if (str_eq(o->ssh[i].id, id))
            return &o->ssh[i];
    return NULL;
}

static int make_directory(struct ssh_forward *f, struct err *err)
{
    f->name = work_subdir(f->work, "ssh", err);
    if (f->name == NULL)
        return err->code;
    AUTO(mem_free) char *dir = path_join(work_path(f->work), f->name);
    f->path = path_join(dir, SOCKET);
    f->dirfd = dir_open(work_dirfd(f->work), f->name, err);
    return f->dirfd < 0 ? f->dirfd : 0;
}

/* Nobody else comes into the directory, so owner and mode can be set after the socket is there. */
static int make_listener(struct ssh_forward *f, uint32_t uid, uint32_t gid, unsigned mode,
                         struct err *err)
{
    AUTO(mem_free) char *path = ssh_socket_path(f->dirfd, SOCKET);
    struct sockaddr_un a = { .sun_family = AF_UNIX };

    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(a.sun_path, path, strlen(path));
    if (f->listener < 0 || bind(f->listener, (const struct sockaddr *)&a, sizeof(a)) < 0 ||
        fchownat(f->dirfd, SOCKET, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
        fchmodat(f->dirfd, SOCKET, mode & 07777, 0) < 0 || listen(f->listener, SOMAXCONN) < 0)
        return err_sys(err, errno, "cannot make a socket for the SSH agent");
    return 0;
}

static int find_agent(struct ssh_forward *f, const struct build_ssh *s, struct err *err)
{
    const char *socket = NULL;

    if (ssh_examine(s, &socket, err) < 0)
        return err->code;
    if (socket != NULL) {
        f->agent_path = str_dup(socket);
        return 0;
    }
    pid_t pid = ssh_agent_start(s, f->dirfd, AGENT, err);
    if (pid < 0)
        return (int)pid;
    f->agent = pid;
    f->agent_path = ssh_socket_path(f->dirfd, AGENT);
    return 0;
}

static int start_thread(struct ssh_forward *f, struct err *err)
{
    if (pipe2(f->stop, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    int sys = pthread_create(&f->thread, NULL, forward_run, f);
    if (sys != 0)
        return err_sys(err, sys, "cannot start a thread");
    f->is_running = true;
    return 0;
}

bool ssh_is_given(const struct build_options *o, const char *id)
{
    return find(o, id) != NULL;
}

struct ssh_forward *ssh_forward_open(const struct build_options *o, const char *id, struct work *w,
                                     uint32_t uid, uint32_t gid, unsigned mode, struct err *err)
{
    const struct build_ssh *s = find(o, id);
    AUTO(ssh_forward_close) struct ssh_forward *f = mem_zalloc(sizeof(*f));

    f->work = w;
    f->dirfd = f->listener = f->stop[0] = f->stop[1] = -1;
    if (s == NULL) {
        err_set(err, ERR_NOT_FOUND, "unset ssh forward key %s", id);
        return NULL;
    }
    if (make_directory(f, err) < 0 || find_agent(f, s, err) < 0 ||
        make_listener(f, uid, gid, mode, err) < 0 || start_thread(f, err) < 0) {
        if (err->code == ERR_NOT_FOUND) /* that means another thing here */
            err->code = ERR_IO;
        return NULL;
    }
    return TAKE(f);
}

int ssh_check(const struct build_ssh *v, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        const char *socket = NULL;
        for (size_t k = 0; k < i; k++)
            if (str_eq(v[i].id, v[k].id))
                return err_set(err, ERR_USAGE, "duplicate agent ID \"%s\"", v[i].id);
        if (ssh_examine(&v[i], &socket, err) < 0)
            return err->code;
    }
    return 0;
}

const char *ssh_forward_path(const struct ssh_forward *f)
{
    return f->path;
}

void ssh_forward_close(struct ssh_forward *f)
{
    struct err ignored = ERR_INIT;

    if (f == NULL)
        return;
    fd_close(f->stop[1]); /* the thread sees its end */
    if (f->is_running)
        pthread_join(f->thread, NULL);
    while (f->n > 0)
        connection_end(f, f->n - 1);
    if (f->agent > 0)
        ssh_agent_stop(f->agent);
    fd_close(f->stop[0]);
    fd_close(f->listener);
    fd_close(f->dirfd);
    if (f->name != NULL && tree_remove(work_dirfd(f->work), f->name, &ignored) < 0)
        log_debug("engine", "cannot remove scratch '%s': %s", f->name, ignored.msg);
    mem_free(f->name);
    mem_free(f->path);
    mem_free(f->agent_path);
    mem_free(f);
}
