#include "engine/git_run.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "remote/url.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OUT_MAX (64u << 20)
#define ERRORS_MAX 65536
#define SHOWN_MAX 1000
#define GRACE_MS 3000
#define CONFIG_FD "/proc/self/fd/3" /* keep[0] of the child */

void git_box_release(struct git_box *g)
{
    strv_release(&g->env);
    fd_close(g->config);
}

static void pass_on(struct git_box *g)
{
    static const char *const names[] = {
        "PATH",       "TMPDIR",      "http_proxy", "https_proxy", "all_proxy",     "no_proxy",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",  "NO_PROXY",    "SSL_CERT_FILE", "SSL_CERT_DIR",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = getenv(names[i]);
        if (value != NULL)
            env_set(&g->env, names[i], value);
    }
}

static const char *const environment[][2] = {
    { "HOME", "/dev/null" },
    { "LC_ALL", "C" },
    { "GIT_CONFIG_NOSYSTEM", "1" },
    { "GIT_CONFIG_GLOBAL", CONFIG_FD },
    { "GIT_ATTR_NOSYSTEM", "1" },
    { "GIT_TEMPLATE_DIR", "" },
    { "GIT_TERMINAL_PROMPT", "0" },
    { "GIT_ASKPASS", "/bin/false" },
    { "GIT_ALLOW_PROTOCOL", GIT_PROTOCOLS },
    /* above what a repository could write into its own configuration, and for submodules too */
    { "GIT_CONFIG_PARAMETERS", "'core.hooksPath=/dev/null' 'core.fsmonitor=false'" },
    { "GIT_NO_REPLACE_OBJECTS", "1" },
};

static const char *const settings[][4] = {
    { "protocol", "file", "allow", "never" },
    { "protocol", "ext", "allow", "never" },
    { "core", NULL, "hooksPath", "/dev/null" },
    { "core", NULL, "fsmonitor", "false" },
    { "core", NULL, "autocrlf", "false" },
    { "core", NULL, "logAllRefUpdates", "false" }, /* times would stand in it */
    { "credential", NULL, "helper", "" },
    { "gc", NULL, "auto", "0" },
    { "maintenance", NULL, "auto", "false" },
    { "fetch", NULL, "recurseSubmodules", "false" },
    { "submodule", NULL, "recurse", "false" },
    { "init", NULL, "defaultBranch", "master" },
    { "advice", NULL, "detachedHead", "false" },
    { "http", NULL, "lowSpeedLimit", "1" },
    { "http", NULL, "lowSpeedTime", "60" },
};

int git_box_init(struct git_box *g, struct cancel *cancel, struct err *err)
{
    *g = (struct git_box){ .cancel = cancel };
    g->config = memfd_create("gitconfig", MFD_CLOEXEC);
    if (g->config < 0)
        return err_sys(err, errno, "cannot make a memory file");
    pass_on(g);
    for (size_t i = 0; i < ARRAY_LEN(environment); i++)
        env_set(&g->env, environment[i][0], environment[i][1]);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (git_box_config(g, settings[i][0], settings[i][1], settings[i][2], settings[i][3], err) <
            0)
            return err->code;
    return 0;
}

static void add_quoted(struct buf *b, const char *s)
{
    buf_addc(b, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            buf_addc(b, '\\');
        buf_addc(b, *s);
    }
    buf_addc(b, '"');
}

int git_box_config(struct git_box *g, const char *section, const char *subsection, const char *key,
                   const char *value, struct err *err)
{
    struct buf b = BUF_INIT;
    buf_room(&b,
             strlen(section) + strlen(key) + 2 * strlen(value) + 64 +
                 2 * strlen(subsection ? subsection : "")); /* grown once: no copy stays behind */
    buf_addf(&b, "[%s", section);
    if (subsection != NULL) {
        buf_addc(&b, ' ');
        add_quoted(&b, subsection);
    }
    buf_addf(&b, "]\n\t%s = ", key);
    add_quoted(&b, value);
    buf_addc(&b, '\n');
    int rc = fd_write_full(g->config, b.data, b.len, err);
    explicit_bzero(b.data, b.cap);
    buf_release(&b);
    return rc;
}

/* --- the child -------------------------------------------------------------------------------- */

struct child {
    struct git_box *g;
    pid_t pid;
    int out, errors; /* our ends; -1 when they have ended */
    struct buf *to, said;
    int64_t deadline;
};

static void child_release(struct child *c)
{
    fd_close(c->out);
    fd_close(c->errors);
    buf_release(&c->said);
}
DEFINE_AUTO_VALUE(struct child, child_release);

static int start(struct child *c, const struct strv *argv, struct err *err)
{
    int out[2], errors[2];
    strv_add(&c->g->env, ""); /* makes sure of the array */
    strv_remove(&c->g->env, c->g->env.n - 1);
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    c->out = out[0];
    AUTO(fd_close) int out_end = out[1];
    if (pipe2(errors, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    c->errors = errors[0];
    AUTO(fd_close) int errors_end = errors[1];
    struct proc_spec spec = {
        .argv = (const char *const *)argv->v,
        .env = (const char *const *)c->g->env.v,
        .in = -1,
        .out = out_end,
        .err = errors_end,
        .keep = &c->g->config,
        .n_keep = 1,
        .new_group = true,
        .death_signal = SIGKILL,
    };
    c->pid = proc_start(&spec, err);
    if (c->pid == ERR_NOT_FOUND)
        return err_set(err, ERR_UNSUPPORTED,
                       "git repositories need the program 'git', which is not here (package git)");
    return c->pid < 0 ? err->code : 0;
}

/* Reads what there is; closes the fd at its end. */
static void drain(int *fd, struct child *c)
{
    char chunk[16384];
    ssize_t n = read(*fd, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        fd_close(TAKE_FD(*fd));
        return;
    }
    struct buf *to = fd == &c->out ? c->to : &c->said;
    size_t max = fd == &c->out ? OUT_MAX : ERRORS_MAX;
    size_t room = to == NULL || to->len >= max ? 0 : max - to->len;
    if (room > 0)
        buf_add(to, chunk, (size_t)n < room ? (size_t)n : room);
    if (fd == &c->errors && c->g->say != NULL)
        c->g->say(c->g->say_arg, chunk, (size_t)n);
}

/* Until both outputs have ended; false when it is to be killed. */
static bool follow(struct child *c)
{
    while (c->out >= 0 || c->errors >= 0) {
        struct pollfd fds[] = {
            { .fd = c->out, .events = POLLIN },
            { .fd = c->errors, .events = POLLIN },
            { .fd = cancel_fd(c->g->cancel), .events = POLLIN },
        };
        int64_t left = c->deadline - clock_mono_ms();
        if (left <= 0 || cancel_is_set(c->g->cancel))
            return false;
        poll(fds, ARRAY_LEN(fds), left > 60000 ? 60000 : (int)left);
        if (c->out >= 0 && fds[0].revents != 0)
            drain(&c->out, c);
        if (c->errors >= 0 && fds[1].revents != 0)
            drain(&c->errors, c);
    }
    return true;
}

/* Its helpers are in its group, and go with it. */
static int finish(struct child *c, bool is_killed, int *ret_status, struct err *err)
{
    AUTO(cancel_free) struct cancel *now = cancel_new();
    struct err ended = ERR_INIT;
    if (!is_killed)
        return proc_wait(c->pid, c->g->cancel, SIGTERM, GRACE_MS, ret_status, err);
    cancel_set(now, 0);
    proc_wait(c->pid, now, SIGTERM, GRACE_MS, ret_status, &ended);
    kill(-c->pid, SIGKILL);
    return 0;
}

/* The lines that it said, in one. */
static void add_said(struct buf *b, const struct child *c)
{
    AUTO(strv_release) struct strv lines = STRV_INIT;
    AUTO(mem_free) char *safe = url_redact(buf_str(&c->said));
    strv_split(&lines, safe, '\n');
    bool is_first = true;
    for (size_t i = 0; i < lines.n && b->len < SHOWN_MAX; i++) {
        const char *line = lines.v[i];
        if (*line == '\0' || str_starts(line, "warning: "))
            continue;
        if (!is_first)
            buf_adds(b, "; ");
        is_first = false;
        log_escape(b, line, strnlen(line, SHOWN_MAX));
    }
}

static int failed(const struct child *c, int status, bool is_late, int timeout_s, struct err *err)
{
    AUTO(buf_release) struct buf said = BUF_INIT;
    if (cancel_check(c->g->cancel, err) < 0)
        return err->code;
    add_said(&said, c);
    if (is_late)
        return err_set(err, ERR_NET, "git took longer than %d s", timeout_s);
    return err_set(err, ERR_NET, "git stderr: %s: exit status %d", buf_str(&said), status);
}

int git_run(struct git_box *g, const char *dir, const char *const *args, int timeout_s,
            struct buf *ret_out, struct err *err)
{
    AUTO(strv_release) struct strv argv = STRV_INIT;
    AUTO(child_release)
    struct child c = { .g = g,
                       .out = -1,
                       .errors = -1,
                       .to = ret_out,
                       .deadline = clock_mono_ms() + (int64_t)timeout_s * 1000 };
    int status = 0;
    strv_add(&argv, "git");
    if (dir != NULL) {
        strv_add(&argv, "-C");
        strv_add(&argv, dir);
    }
    for (size_t i = 0; args[i] != NULL; i++)
        strv_add(&argv, args[i]);
    if (cancel_check(g->cancel, err) < 0 || start(&c, &argv, err) < 0)
        return err->code;
    bool is_whole = follow(&c);
    if (finish(&c, !is_whole, &status, err) < 0)
        return err->code;
    return is_whole && status == 0 ? 0 : failed(&c, status, !is_whole, timeout_s, err);
}
