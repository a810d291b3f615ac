#include "remote/docker_ssh_internal.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SAID_MAX 8192
#define SHOWN_MAX 400
#define GRACE_MS 1000
#define LAST_WORDS_MS 500

struct child {
    pid_t pid; /* 0: it has ended */
    int said;  /* what it writes to its standard error */
    struct child *next;
};

struct docker_ssh {
    const struct docker_ssh_place *place; /* borrowed */
    char *dir, *socket;
    int listener;
    pthread_mutex_t lock;
    struct child *children; /* locked; newest first */
};

/* --- where libcurl connects to ---------------------------------------------------------------- */

/*
 * libcurl takes no connections that are made already, not in all its versions: so it connects to a
 * socket of ours, in a directory that nobody else may enter.
 */
static int listen_at(struct docker_ssh *s, struct err *err)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    const char *tmp = getenv("TMPDIR");
    bool is_short = tmp != NULL && *tmp == '/' && strlen(tmp) < sizeof(at.sun_path) - 32;
    s->dir = str_printf("%s/shale-ssh-XXXXXX", is_short ? tmp : "/tmp");
    if (mkdtemp(s->dir) == NULL) {
        err_sys(err, errno, "cannot make '%s'", s->dir);
        mem_free(TAKE(s->dir));
        return err->code;
    }
    s->socket = str_printf("%s/s", s->dir);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", s->socket);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(s->listener, 64) < 0)
        return err_sys(err, errno, "cannot listen at '%s'", s->socket);
    return 0;
}

struct docker_ssh *docker_ssh_new(const struct docker_ssh_place *place, struct err *err)
{
    AUTO(docker_ssh_free) struct docker_ssh *s = mem_zalloc(sizeof(*s));
    s->place = place;
    s->listener = -1;
    pthread_mutex_init(&s->lock, NULL);
    return listen_at(s, err) < 0 ? NULL : TAKE(s);
}

const char *docker_ssh_socket(const struct docker_ssh *s)
{
    return s->socket;
}

/* --- the processes ---------------------------------------------------------------------------- */

static void child_free(struct child *c)
{
    fd_close(c->said);
    mem_free(c);
}

static bool has_ended(struct child *c)
{
    if (c->pid != 0 && waitpid(c->pid, NULL, WNOHANG) != 0)
        c->pid = 0;
    return c->pid == 0;
}

/* What the newest said is kept for docker_ssh_explain. */
static void drop_ended(struct docker_ssh *s)
{
    struct child **at = s->children != NULL ? &s->children->next : &s->children;
    while (*at != NULL) {
        struct child *c = *at;
        if (!has_ended(c)) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        child_free(c);
    }
}

static void end_child(struct child *c)
{
    AUTO(cancel_free) struct cancel *now = cancel_new();
    struct err ignored = ERR_INIT;
    int status;
    cancel_set(now, SIGTERM);
    if (!has_ended(c))
        proc_wait(c->pid, now, SIGTERM, GRACE_MS, &status, &ignored);
}

void docker_ssh_free(struct docker_ssh *s)
{
    if (s == NULL)
        return;
    while (s->children != NULL) {
        struct child *c = s->children;
        s->children = c->next;
        end_child(c);
        child_free(c);
    }
    fd_close(s->listener);
    if (s->socket != NULL)
        unlink(s->socket);
    if (s->dir != NULL)
        rmdir(s->dir);
    mem_free(s->socket);
    mem_free(s->dir);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* A file in memory that cannot grow: what is beyond it is lost, and nobody needs to read along. */
static int make_said(struct err *err)
{
    AUTO(fd_close) int fd = memfd_create("ssh", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, SAID_MAX) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)
        return err_sys(err, errno, "cannot make a memory file");
    int ret = fd;
    fd = -1;
    return ret;
}

static void add_words(const struct docker_ssh_place *p, struct strv *argv)
{
    static const char *const first[] = { "ssh", "-o", "ConnectTimeout=30", "-T" };
    for (size_t i = 0; i < ARRAY_LEN(first); i++)
        strv_add(argv, first[i]);
    if (p->user != NULL) {
        strv_add(argv, "-l");
        strv_add(argv, p->user);
    }
    if (p->port != NULL) {
        strv_add(argv, "-p");
        strv_add(argv, p->port);
    }
    strv_add(argv, "--");
    strv_add(argv, p->host);
    strv_add(argv, "docker");
    if (p->path != NULL) {
        AUTO(mem_free) char *host = str_printf("--host=unix://%s", p->path);
        strv_add(argv, host);
    }
    strv_add(argv, "system");
    strv_add(argv, "dial-stdio");
}

static pid_t run(struct docker_ssh *s, int fd, int said, struct err *err)
{
    AUTO(strv_release) struct strv words = STRV_INIT;
    add_words(s->place, &words);
    AUTO(mem_free) const char **argv = mem_calloc(words.n + 1, sizeof(*argv));
    for (size_t i = 0; i < words.n; i++)
        argv[i] = words.v[i];
    struct proc_spec spec = { .argv = argv, .in = fd, .out = fd, .err = said, .new_session = true };
    pid_t pid = proc_start(&spec, err);
    if (pid == ERR_NOT_FOUND) /* that would be "no engine" */
        err->code = ERR_NET;
    return pid < 0 ? err->code : pid;
}

static int start(struct docker_ssh *s, int fd, struct err *err)
{
    AUTO(fd_close) int said = make_said(err);
    if (said < 0)
        return err->code;
    pid_t pid = run(s, fd, said, err);
    if (pid < 0)
        return err->code;
    struct child *c = mem_zalloc(sizeof(*c));
    *c = (struct child){ .pid = pid, .said = said };
    said = -1;
    pthread_mutex_lock(&s->lock);
    drop_ended(s);
    c->next = s->children;
    s->children = c;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* All that have connected: which of them the caller is makes no difference. */
int docker_ssh_accept(void *ssh, struct err *err)
{
    struct docker_ssh *s = ssh;
    for (;;) {
        AUTO(fd_close) int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return errno == EAGAIN ? 0 : err_sys(err, errno, "cannot take a connection");
        if (start(s, fd, err) < 0)
            return err->code;
    }
}

/* --- what they said --------------------------------------------------------------------------- */

/* Its last lines, on one. */
static void take_words(int said, struct buf *ret)
{
    char text[SAID_MAX + 1];
    ssize_t n = pread(said, text, SAID_MAX, 0);
    size_t len = strnlen(text, n > 0 ? (size_t)n : 0), from;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    from = len > SHOWN_MAX ? len - SHOWN_MAX : 0;
    for (size_t i = from; i < len; i++)
        if (text[i] == '\n')
            buf_adds(ret, "; ");
        else if (text[i] != '\r')
            log_escape(ret, &text[i], 1);
}

void docker_ssh_explain(struct docker_ssh *s, const char *host, struct err *err)
{
    AUTO(buf_release) struct buf words = BUF_INIT;
    pthread_mutex_lock(&s->lock);
    struct child *c = s->children;
    /* the connection ends a moment before the process */
    for (int64_t end = clock_mono_ms() + LAST_WORDS_MS;
         c != NULL && !has_ended(c) && clock_mono_ms() < end;)
        poll(NULL, 0, 5);
    if (c != NULL)
        take_words(c->said, &words);
    pthread_mutex_unlock(&s->lock);
    if (words.len > 0)
        err_set(err, ERR_NET, "lost the connection to %s: ssh says: %s", host, buf_str(&words));
}
