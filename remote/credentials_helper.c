#include "remote/credentials_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/proc.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 200 /* of a helper's own, in a message */

struct pipe {
    int read, write;
};
static void pipe_close(struct pipe *p)
{
    if (p->read >= 0)
        fd_close(p->read);
    if (p->write >= 0)
        fd_close(p->write);
}

static int pipe_make(struct pipe *ret, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    *ret = (struct pipe){ .read = fds[0], .write = fds[1] };
    return 0;
}

/* One helper while it runs. */
struct run {
    const char *program;
    struct pipe in, out, words;
    pid_t pid;
    struct cancel *cancel;
    int64_t end; /* clock_mono_ms */
    struct buf answer, said;
    bool is_late;
};

static void run_release(struct run *r)
{
    pipe_close(&r->in);
    pipe_close(&r->out);
    pipe_close(&r->words);
    if (r->answer.data != NULL)
        explicit_bzero(r->answer.data, r->answer.cap);
    buf_release(&r->answer);
    buf_release(&r->said);
}
DEFINE_AUTO_VALUE(struct run, run_release);

/* Its standard input is written before it starts: a host name is shorter than a pipe. */
static int start(struct run *r, const char *server, struct err *err)
{
    if (pipe_make(&r->in, err) < 0 || pipe_make(&r->out, err) < 0 ||
        pipe_make(&r->words, err) < 0 ||
        fd_write_full(r->in.write, server, strlen(server), err) < 0)
        return err->code;
    const char *const argv[] = { r->program, "get", NULL };
    struct proc_spec spec = { .argv = argv,
                              .in = r->in.read,
                              .out = r->out.write,
                              .err = r->words.write,
                              .new_group = true };
    r->pid = proc_start(&spec, err);
    if (r->pid == ERR_NOT_FOUND)
        return err_set(err, ERR_AUTH, "there is no program '%s' in PATH", r->program);
    pipe_close(&r->in);
    r->in = (struct pipe){ .read = -1, .write = -1 };
    fd_close(TAKE_FD(r->out.write));
    fd_close(TAKE_FD(r->words.write));
    return r->pid < 0 ? err->code : 0;
}

/* What is there now; 0 at the end. What is over max is read and dropped. */
static ssize_t take_some(int fd, struct buf *to, size_t max)
{
    char chunk[4096];
    ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0 && to->len < max)
        buf_add(to, chunk, (size_t)n < max - to->len ? (size_t)n : max - to->len);
    explicit_bzero(chunk, sizeof(chunk));
    return n < 0 && errno == EINTR ? 1 : n;
}

/* Until it has closed its standard output, or its time is over, or a cancel. */
static void listen_to(struct run *r)
{
    bool is_talking = true;
    while (is_talking && !r->is_late && !cancel_is_set(r->cancel)) {
        struct pollfd fds[] = {
            { .fd = r->out.read, .events = POLLIN },
            { .fd = r->words.read, .events = POLLIN },
            { .fd = cancel_fd(r->cancel), .events = POLLIN },
        };
        int64_t left = r->end - clock_mono_ms();
        r->is_late = left <= 0 || poll(fds, ARRAY_LEN(fds), (int)left) == 0;
        if (fds[1].revents != 0 && take_some(r->words.read, &r->said, WORDS_MAX) <= 0)
            fd_close(TAKE_FD(r->words.read));
        if (fds[0].revents != 0)
            is_talking = take_some(r->out.read, &r->answer, CREDENTIAL_HELPER_MAX + 1) > 0;
    }
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = { .si_pid = 0 };
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* It may go on after its last word, but not for ever. */
static void wait_for_end(struct run *r)
{
    for (int ms = 1; !has_ended(r->pid) && !cancel_is_set(r->cancel); ms += ms < 50) {
        struct pollfd p = { .fd = cancel_fd(r->cancel), .events = POLLIN };
        poll(&p, 1, ms);
        if (clock_mono_ms() >= r->end) {
            r->is_late = true;
            kill(-r->pid, SIGKILL);
            return;
        }
    }
}

static int finish(struct run *r, int *ret_status, struct err *err)
{
    wait_for_end(r);
    if (proc_wait(r->pid, r->cancel, SIGTERM, 500, ret_status, err) < 0)
        return err->code;
    if (r->words.read >= 0 && fcntl(r->words.read, F_SETFL, O_NONBLOCK) == 0)
        while (take_some(r->words.read, &r->said, WORDS_MAX) > 0)
            ;
    return 0;
}

/* --- its answer ------------------------------------------------------------------------------- */

/* The programs of docker-credential-helpers print this on standard output and exit with 1. */
static bool knows_nothing(const struct run *r)
{
    static const char words[] = "credentials not found in native keychain";
    return strstr(buf_str(&r->answer), words) != NULL || strstr(buf_str(&r->said), words) != NULL;
}

/* In its own words, unless they may be the secret. */
static int helper_failed(const struct run *r, int status, struct err *err)
{
    AUTO(buf_release) struct buf words = BUF_INIT;
    const struct buf *from = r->answer.len > 0 ? &r->answer : &r->said;
    if (memchr(buf_str(from), '{', from->len) == NULL)
        log_escape(&words, buf_str(from),
                   strcspn(buf_str(from), "\n") < WORDS_MAX ? strcspn(buf_str(from), "\n")
                                                            : WORDS_MAX);
    return err_set(err, ERR_AUTH, "the credential helper '%s' failed%s%s (exit %d)", r->program,
                   words.len > 0 ? ": " : "", buf_str(&words), status);
}

static int read_answer(const struct run *r, struct credentials *ret, struct err *err)
{
    struct err ignored = ERR_INIT; /* its text may have a piece of the secret */
    json_auto_t *doc = r->answer.len <= CREDENTIAL_HELPER_MAX
                           ? json_parse(buf_str(&r->answer), r->answer.len, "", &ignored)
                           : NULL;
    const char *user = doc != NULL ? json_get_str(doc, "Username") : NULL;
    const char *secret = doc != NULL ? json_get_str(doc, "Secret") : NULL;
    if (user == NULL || secret == NULL)
        return err_set(err, ERR_AUTH, "the answer of the credential helper '%s' cannot be read",
                       r->program);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core file of ours from here on */
    if (str_eq(user, "<token>")) {
        ret->identity_token = str_dup(secret);
    } else if (*user != '\0' || *secret != '\0') {
        ret->user = str_dup(user);
        ret->secret = str_dup(secret);
    }
    return 0;
}

int credential_helper_get(const char *helper, const char *host, struct cancel *cancel,
                          int timeout_ms, struct credentials *ret, struct err *err)
{
    AUTO(mem_free) char *program = str_printf("docker-credential-%s", helper);
    const char *server = str_eq(host, "docker.io") ? "https://index.docker.io/v1/" : host;
    AUTO(run_release)
    struct run r = { .program = program,
                     .in = { -1, -1 },
                     .out = { -1, -1 },
                     .words = { -1, -1 },
                     .cancel = cancel,
                     .end = clock_mono_ms() + timeout_ms };
    int status = 0;
    if (start(&r, server, err) < 0)
        return err->code;
    listen_to(&r);
    if (finish(&r, &status, err) < 0)
        return err->code;
    if (r.is_late)
        return err_set(err, ERR_AUTH, "the credential helper '%s' gave no answer within %d s",
                       program, (timeout_ms + 999) / 1000);
    if (status != 0)
        return knows_nothing(&r) ? 0 : helper_failed(&r, status, err);
    return read_answer(&r, ret, err);
}
