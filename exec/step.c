#include "exec/step_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/userns.h"
#include "exec/bundle_internal.h"
#include "exec/cgroup_internal.h"
#include "exec/helper_internal.h"
#include "exec/machine_internal.h"
#include "exec/observe_internal.h"
#include "exec/sys_bind_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define RESOLV_CONF "resolv.conf"
#define HOSTS "hosts"
#define HOST_FILE_MAX (1u << 20)
#define LOG_MAX (1u << 20)
#define REPORT_MAX (1u << 20)
#define CANCEL_GRACE_MS 10000

void exec_result_release(struct exec_result *r)
{
    mem_free(r->upper);
    mem_free(r->note);
    strv_release(&r->stubs);
    *r = (struct exec_result){ .status = 0 };
}

/* ---- what is refused ---- */

static bool is_at_or_below(const char *path, const char *dir)
{
    return str_eq(path, dir) || path_is_below(path, dir);
}

/* Where file systems of the step's own are mounted over the image. */
static const char *const system_dirs[] = { "dev", "proc", "sys" };

static bool is_in_system_dir(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++)
        if (is_at_or_below(path, system_dirs[i]))
            return true;
    return false;
}

static int check_cwd(const struct exec_spec *spec, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;

    if (spec->cwd[0] != '/')
        return err_set(err, ERR_USAGE, "working directory '%s' is not absolute", spec->cwd);
    if (view_resolve(spec->view, spec->cwd, true, &real, &missing, err) < 0)
        return err_wrap(err, "working directory '%s'", spec->cwd);
    if (is_in_system_dir(real))
        return err_set(err, ERR_USAGE, "working directory '%s' is in '/%.*s'", spec->cwd,
                       (int)strcspn(real, "/"), real);
    return 0;
}

/* It goes into /etc/hosts as it is. */
static int check_hostname(const char *name, struct err *err)
{
    if (name == NULL)
        return 0;
    if (*name == '\0' || strlen(name) > HOST_NAME_MAX || strpbrk(name, " \t\r\n") != NULL)
        return err_set(err, ERR_USAGE, "'%s' cannot be a host name", name);
    return 0;
}

static int check_system_dirs(const struct view *v, struct err *err)
{
    struct entry e;

    for (size_t i = 0; i < ARRAY_LEN(system_dirs); i++)
        if (view_find(v, system_dirs[i], &e, NULL) && e.type != ENTRY_DIR)
            return err_set(err, ERR_UNSUPPORTED, "'/%s' of the root file system is not a directory",
                           system_dirs[i]);
    return 0;
}

/* /dev is a tmpfs of the step's own, so below it is fine. */
static int check_target(const char *given, const char *real, struct err *err)
{
    if (*real == '\0' || is_at_or_below(real, "proc") || is_at_or_below(real, "sys") ||
        str_eq(real, "dev"))
        return err_set(err, ERR_USAGE, "cannot mount on '%s'", given);
    return 0;
}

static int check_mount(const struct exec_spec *spec, const struct exec_mount *m, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;

    switch (m->kind) {
    case EXEC_MOUNT_BIND:
    case EXEC_MOUNT_TMPFS:
    case EXEC_MOUNT_LAYERS:
        break;
    case EXEC_MOUNT_FILE:
        if (m->n_bytes > EXEC_FILE_MAX)
            return err_set(err, ERR_USAGE, "the file for '%s' is too large", m->target);
        break;
    default:
        return err_set(err, ERR_USAGE, "unknown kind of mount %d", (int)m->kind);
    }
    if (view_resolve(spec->view, m->target, true, &real, &missing, err) < 0)
        return err_wrap(err, "mount target '%s'", m->target);
    return check_target(m->target, real, err);
}

/* What is not known must not pass for the least confined of what is. */
static int check_network(enum exec_network n, struct err *err)
{
    if (n == EXEC_NET_DEFAULT || n == EXEC_NET_HOST || n == EXEC_NET_NONE)
        return 0;
    return err_set(err, ERR_USAGE, "unknown network mode %d", (int)n);
}

int step_check(const struct exec_spec *spec, struct err *err)
{
    if (spec->argv->n == 0)
        return err_set(err, ERR_USAGE, "there is no command to run");
    if (check_network(spec->network, err) < 0 || check_hostname(spec->hostname, err) < 0 ||
        check_system_dirs(spec->view, err) < 0 || check_cwd(spec, err) < 0)
        return err->code;
    for (size_t i = 0; i < spec->n_mounts; i++)
        if (check_mount(spec, &spec->mounts[i], err) < 0)
            return err->code;
    return 0;
}

/* ---- the step's directory: files, configuration, order ---- */

/* The mounts in the order they are made in, with real targets. */
struct plan {
    struct bundle_mount *mounts;
    size_t *from; /* index in spec->mounts */
    size_t n;
    struct strv targets; /* absolute, real; by index in spec->mounts */
    struct strv sources;
    char *resolv_conf, *hosts; /* real targets, absolute */
    struct buf config;         /* the runtime's specification */
};

static void plan_release(struct plan *p)
{
    mem_free(p->mounts);
    mem_free(p->from);
    if (p->config.data != NULL)
        explicit_bzero(p->config.data, p->config.cap);
    buf_release(&p->config);
    mem_free(p->resolv_conf);
    mem_free(p->hosts);
    strv_release(&p->targets);
    strv_release(&p->sources);
}
DEFINE_AUTO_VALUE(struct plan, plan_release);

static char *real_target(const struct step *s, const char *path, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    size_t missing = 0;

    if (view_resolve(s->spec->view, path, true, &real, &missing, err) < 0)
        return NULL;
    return str_printf("/%s", real);
}

/* NULL for an image whose file is a link into what is no part of it, such as /dev/null: left alone.
 */
static int host_file_target(const struct step *s, const char *path, char **ret, struct err *err)
{
    AUTO(mem_free) char *real = real_target(s, path, err);

    if (real == NULL)
        return err_wrap(err, "'/%s'", path);
    *ret = is_in_system_dir(real + 1) ? NULL : TAKE(real);
    return 0;
}

/* A directory is mounted before what lies below it; otherwise as they were given. */
static void plan_sort(struct plan *p)
{
    for (size_t i = 1; i < p->n; i++)
        for (size_t j = i; j > 0; j--) {
            size_t a = p->from[j - 1], b = p->from[j];
            if (path_cmp(p->targets.v[a] + 1, p->targets.v[b] + 1) <= 0)
                break;
            p->from[j - 1] = b;
            p->from[j] = a;
        }
}

static int plan_make(const struct step *s, struct plan *p, struct err *err)
{
    const struct exec_spec *spec = s->spec;

    if (host_file_target(s, "etc/resolv.conf", &p->resolv_conf, err) < 0 ||
        host_file_target(s, "etc/hosts", &p->hosts, err) < 0)
        return err->code;
    p->n = spec->n_mounts;
    p->from = mem_calloc(p->n + 1, sizeof(*p->from));
    p->mounts = mem_calloc(p->n + 1, sizeof(*p->mounts));
    for (size_t i = 0; i < p->n; i++) {
        char *real = real_target(s, spec->mounts[i].target, err);
        if (real == NULL)
            return err->code;
        strv_take(&p->targets, real);
        strv_addf(&p->sources, "%s/m%zu", s->dir, i);
        p->from[i] = i;
    }
    plan_sort(p);
    for (size_t i = 0; i < p->n; i++) {
        const struct exec_mount *m = &spec->mounts[p->from[i]];
        p->mounts[i] = (struct bundle_mount){ .target = p->targets.v[p->from[i]],
                                              .read_only = m->read_only,
                                              .size = m->size,
                                              .mode = m->mode };
        if (m->kind != EXEC_MOUNT_TMPFS)
            p->mounts[i].source = p->sources.v[p->from[i]];
        p->mounts[i].is_secret = m->kind == EXEC_MOUNT_FILE;
    }
    return 0;
}

/* "name:ip", ip perhaps in brackets. */
static int add_host(struct buf *b, const char *host, struct err *err)
{
    size_t n = strcspn(host, ":=");
    const char *ip = host + n + (host[n] != '\0');
    size_t ip_len = strlen(ip);

    if (*ip == '[' && ip[ip_len - 1] == ']') {
        ip++;
        ip_len -= 2;
    }
    if (n == 0 || ip_len == 0 || strpbrk(host, " \t\r\n") != NULL)
        return err_set(err, ERR_USAGE, "'%s' is not of the form NAME:IP", host);
    buf_addf(b, "%.*s\t%.*s\n", (int)ip_len, ip, (int)n, host);
    return 0;
}

static int write_hosts(const struct step *s, int dirfd, struct err *err)
{
    const struct strv *more = s->spec->add_hosts;
    AUTO(buf_release) struct buf b = BUF_INIT;

    buf_addf(&b, "127.0.0.1\tlocalhost %s\n",
             s->spec->hostname ? s->spec->hostname : DEFAULT_HOSTNAME);
    buf_adds(&b, "::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (size_t i = 0; more != NULL && i < more->n; i++)
        if (add_host(&b, more->v[i], err) < 0)
            return err->code;
    return file_replace(dirfd, HOSTS, buf_str(&b), b.len, 0644, false, err);
}

/* The step is on the host's network, so the host's own resolver, also on 127.0.0.53, is the right
 * one. */
static int write_resolv_conf(int dirfd, struct err *err)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    if (file_read(AT_FDCWD, "/etc/resolv.conf", HOST_FILE_MAX, &b, err) < 0) {
        log_debug("exec", "no resolv.conf for the step: %s", err->msg);
        err_clear(err);
        buf_clear(&b);
    }
    return file_replace(dirfd, RESOLV_CONF, buf_str(&b), b.len, 0644, false, err);
}

/* The environment may hold secrets, so nothing of this goes to a disk. */
static int make_config(const struct step *s, struct plan *p, struct err *err)
{
    AUTO(mem_free)
    struct exec_ulimit *ulimits = mem_calloc(s->spec->n_ulimits + 1, sizeof(*ulimits));
    AUTO(mem_free) char *root = str_printf("%s/" HELPER_ROOT, s->dir);
    AUTO(mem_free) char *resolv_conf = str_printf("%s/" RESOLV_CONF, s->dir);
    AUTO(mem_free) char *hosts = str_printf("%s/" HOSTS, s->dir);
    AUTO(mem_free) char *sys = str_printf("%s/" HELPER_SYS, s->dir);
    AUTO(mem_free) char *cgroup = runtime_cgroup(s->runtime, s->spec->cgroup_parent, s->id);
    AUTO(userns_release) struct userns ns = { .is_initial = true };

    if (userns_read(&ns, err) < 0)
        return err->code;
    struct bundle b = { .spec = s->spec,
                        .rootfs = root,
                        .resolv_conf = resolv_conf,
                        .hosts = hosts,
                        .resolv_conf_target = p->resolv_conf,
                        .hosts_target = p->hosts,
                        .mounts = p->mounts,
                        .n_mounts = p->n,
                        .cgroup = cgroup,
                        .ulimits = ulimits,
                        .n_loops = s->spec->insecure ? machine_loops() : 0,
                        .ns = &ns,
                        .sys = ns.is_initial ? NULL : sys };

    if (machine_ulimits(s->spec, ulimits, &b.n_ulimits, err) < 0)
        return err->code;
    bundle_write(&b, &p->config);
    return 0;
}

/* Below /dev, and in another mount, mount points are not the root file system's. */
static bool target_needs_stub(const struct plan *p, size_t i)
{
    const char *target = p->mounts[i].target + 1;

    if (path_is_below(target, "dev"))
        return false;
    for (size_t j = 0; j < i; j++)
        if (path_is_below(target, p->mounts[j].target + 1))
            return false;
    return true;
}

static void order_source(const struct step *s, const struct exec_mount *m, struct helper_mount *h)
{
    size_t n = strlen(s->store);

    h->source = str_dup(m->source);
    if (m->kind == EXEC_MOUNT_BIND && str_starts(m->source, s->store) && m->source[n] == '/') {
        mem_free(h->source);
        h->source = str_dup(m->source + n + strspn(m->source + n, "/"));
        h->below = str_dup(s->store);
    }
}

static void order_mount(const struct step *s, const struct plan *p, size_t i,
                        struct helper_order *o)
{
    static const enum helper_mount_kind kinds[] = {
        [EXEC_MOUNT_BIND] = HELPER_MOUNT_BIND,
        [EXEC_MOUNT_TMPFS] = HELPER_MOUNT_STUB_DIR,
        [EXEC_MOUNT_LAYERS] = HELPER_MOUNT_LAYERS,
        [EXEC_MOUNT_FILE] = HELPER_MOUNT_FILE,
    };
    const struct exec_mount *m = &s->spec->mounts[p->from[i]];
    struct helper_mount *h = helper_order_add(o, kinds[m->kind], p->mounts[i].target + 1);

    h->name = str_printf("m%zu", p->from[i]);
    h->read_only = m->read_only;
    h->makes_stub = target_needs_stub(p, i);
    h->n_bytes = m->n_bytes;
    h->mode = m->mode;
    h->uid = m->uid;
    h->gid = m->gid;
    if (m->kind == EXEC_MOUNT_BIND || m->kind == EXEC_MOUNT_LAYERS)
        order_source(s, m, h);
    if (m->kind == EXEC_MOUNT_LAYERS)
        strv_copy(&h->lowers, &s->mount_lowers[p->from[i]]);
}

/* For cgroup_remove, owned; "" when there is none. */
static char *group_of(const struct step *s)
{
    const char *parent = s->spec->cgroup_parent;

    if (!s->runtime->cgroups)
        return str_dup("");
    return parent ? cgroup_path_in(parent, s->id) : str_dup(s->id);
}

static int write_order(const struct step *s, const struct plan *p, int dirfd, struct err *err)
{
    AUTO(helper_order_release) struct helper_order o = { .dir = str_dup(s->dir) };
    AUTO(mem_free) char *state = str_printf("%s/" HELPER_STATE, s->dir);
    AUTO(mem_free) char *log = str_printf("%s/" HELPER_LOG, s->dir);
    AUTO(mem_free) char *bundle = path_join(s->dir, HELPER_MEMORY);
    AUTO(buf_release) struct buf text = BUF_INIT;

    AUTO(mem_free) char *cwd = real_target(s, s->spec->cwd, err);
    if (cwd == NULL)
        return err->code;
    o.upper = str_dup(s->upper);
    o.cwd = str_dup(cwd + 1);
    o.cgroup = group_of(s);
    o.no_devices = !s->runtime->cgroups && !s->spec->insecure;
    if (s->observer != NULL) {
        o.n_observed = observer_len(s->observer);
        o.seal = str_dup(observer_seal(s->observer));
    }
    strv_copy(&o.lowers, s->lowers);
    o.n_config = p->config.len;
    runtime_argv(s->runtime, state, log, bundle, s->id, &o.runtime);
    if (p->resolv_conf != NULL)
        helper_order_add(&o, HELPER_MOUNT_STUB_FILE, p->resolv_conf + 1);
    if (p->hosts != NULL)
        helper_order_add(&o, HELPER_MOUNT_STUB_FILE, p->hosts + 1);
    for (size_t i = 0; i < p->n; i++)
        order_mount(s, p, i, &o);
    helper_order_write(&o, &text);
    return file_replace(dirfd, HELPER_ORDER, buf_str(&text), text.len, 0600, false, err);
}

static int write_all(const struct step *s, struct plan *p, struct err *err)
{
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, s->dir, err);

    if (dirfd < 0 || plan_make(s, p, err) < 0 || write_hosts(s, dirfd, err) < 0 ||
        write_resolv_conf(dirfd, err) < 0 || make_config(s, p, err) < 0)
        return err->code;
    return write_order(s, p, dirfd, err);
}

/* ---- the helper: starting, listening, stopping ---- */

enum { PIPE_OUT, PIPE_ERR, PIPE_REPORT, N_PIPES };

struct run {
    const struct exec_spec *spec;
    const struct plan *plan;
    pid_t pid;
    int from[N_PIPES]; /* reading ends; -1 when closed */
    struct buf report;
    bool is_cancelled, is_killed;
    int64_t kill_at;
};

static void run_release(struct run *r)
{
    for (size_t i = 0; i < N_PIPES; i++)
        fd_close(r->from[i]);
    buf_release(&r->report);
}
DEFINE_AUTO_VALUE(struct run, run_release);

/*
 * What the helper must not find on a disk: the runtime's specification, then the bytes of all
 * EXEC_MOUNT_FILE in the order in which they are mounted. A file of memory, or negative.
 */
static int make_bytes(const struct run *r, struct err *err)
{
    const struct exec_spec *spec = r->spec;
    AUTO(fd_close) int fd = memfd_create("shale", MFD_CLOEXEC);

    if (fd < 0)
        return err_sys(err, errno, "cannot make a file of memory");
    if (fd_write_full(fd, buf_str(&r->plan->config), r->plan->config.len, err) < 0)
        return err->code;
    for (size_t i = 0; i < spec->n_mounts; i++) {
        const struct exec_mount *m = &spec->mounts[r->plan->from[i]];
        if (m->kind == EXEC_MOUNT_FILE && fd_write_full(fd, m->bytes, m->n_bytes, err) < 0)
            return err_wrap(err, "mount '%s'", m->target);
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot use a file of memory");
    return TAKE_FD(fd);
}

static int make_pipe(int *ret_from, int *ret_to, struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    *ret_from = ends[0];
    *ret_to = ends[1];
    return 0;
}

/* What the helper sees as 3, 4, ...; borrowed. */
static int *list_keep(const struct step *s, int report, int bytes, size_t *ret_n)
{
    size_t n_observed = s->observer ? observer_len(s->observer) : 0;
    int *keep = mem_calloc(2 + n_observed, sizeof(*keep));

    keep[0] = report;
    keep[1] = bytes;
    for (size_t i = 0; i < n_observed; i++)
        keep[2 + i] = observer_mount(s->observer, i);
    *ret_n = 2 + n_observed;
    return keep;
}

/*
 * SIGTERM, not SIGKILL, when we die: the helper then takes its container and cgroup along. Were it
 * killed itself, the kernel would still end the container, and a cgroup would be left to the next
 * run.
 */
static int run_start(const struct step *s, struct run *r, struct err *err)
{
    const char *const argv[] = { "/proc/self/exe", EXEC_HELPER_ARG, s->dir, NULL };
    bool interactive = s->spec->interactive;
    AUTO(fd_close) int out = -1;
    AUTO(fd_close) int diag = -1;
    AUTO(fd_close) int report = -1;
    AUTO(fd_close) int bytes = make_bytes(r, err);

    if (bytes < 0 || make_pipe(&r->from[PIPE_REPORT], &report, err) < 0)
        return err->code;
    if (!interactive && (make_pipe(&r->from[PIPE_OUT], &out, err) < 0 ||
                         make_pipe(&r->from[PIPE_ERR], &diag, err) < 0))
        return err->code;
    size_t n_keep;
    AUTO(mem_free) int *keep = list_keep(s, report, bytes, &n_keep);
    struct proc_spec spec = { .argv = argv,
                              .in = interactive ? STDIN_FILENO : -1,
                              .out = interactive ? STDOUT_FILENO : out,
                              .err = interactive ? STDERR_FILENO : diag,
                              .keep = keep,
                              .n_keep = n_keep,
                              .new_group = !interactive,
                              .death_signal = SIGTERM };
    r->pid = proc_start(&spec, err);
    if (s->observer != NULL)
        observer_close_mounts(s->observer); /* with the helper's namespace they shall end */
    return r->pid < 0 ? err_wrap(err, "cannot start the container's helper") : 0;
}

static void run_take(struct run *r, size_t which, const char *p, size_t n)
{
    if (which == PIPE_REPORT && r->report.len + n <= REPORT_MAX)
        buf_add(&r->report, p, n);
    else if (which != PIPE_REPORT && r->spec->output != NULL)
        r->spec->output(r->spec->output_arg, which == PIPE_OUT ? 1 : 2, p, n);
}

static void run_read(struct run *r, size_t which)
{
    char p[64 << 10];
    ssize_t n = read(r->from[which], p, sizeof(p));

    if (n > 0) {
        run_take(r, which, p, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        fd_close(r->from[which]);
        r->from[which] = -1;
    }
}

/* The helper needs a moment to see its namespace's end; one that hangs is killed. */
static int run_check_cancel(struct run *r)
{
    if (!r->is_cancelled && cancel_is_set(r->spec->cancel)) {
        r->is_cancelled = true;
        r->kill_at = clock_mono_ms() + CANCEL_GRACE_MS;
        kill(r->pid, SIGTERM);
    }
    if (!r->is_cancelled || r->is_killed)
        return -1;
    int64_t left = r->kill_at - clock_mono_ms();
    if (left > 0)
        return (int)left;
    r->is_killed = true;
    kill(r->pid, SIGKILL);
    return -1;
}

/*
 * Until all three pipes are closed. Everything that may hold one is in the PID namespace or the
 * helper itself, so a process that the command left in the background cannot keep us here.
 */
static void run_listen(struct run *r)
{
    for (;;) {
        int timeout = run_check_cancel(r);
        struct pollfd fds[N_PIPES + 1];
        bool is_open = false;
        for (size_t i = 0; i < N_PIPES; i++) {
            fds[i] = (struct pollfd){ .fd = r->from[i], .events = POLLIN };
            is_open |= r->from[i] >= 0;
        }
        fds[N_PIPES] = (struct pollfd){ .fd = r->is_cancelled ? -1 : cancel_fd(r->spec->cancel),
                                        .events = POLLIN };
        if (!is_open)
            return;
        if (poll(fds, N_PIPES + 1, timeout) <= 0)
            continue;
        for (size_t i = 0; i < N_PIPES; i++)
            if (fds[i].revents != 0)
                run_read(r, i);
    }
}

/* A runtime that is killed leaves the terminal as it had set it for the command. */
struct terminal {
    bool is_saved;
    struct termios state;
};

static int terminal_save(const struct exec_spec *spec, struct terminal *t, struct err *err)
{
    t->is_saved = false;
    if (!spec->interactive || !spec->tty)
        return 0;
    if (tcgetattr(STDIN_FILENO, &t->state) < 0)
        return err_set(err, ERR_USAGE, "the input is not a terminal");
    t->is_saved = true;
    return 0;
}

static void terminal_restore(const struct terminal *t)
{
    if (t->is_saved)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &t->state);
}

/* ---- what came back ---- */

static int read_report(const struct run *r, int status, struct helper_report *ret, struct err *err)
{
    if (r->report.len == 0)
        return err_set(err, ERR_IO, "the container's helper ended without a word (status %d)",
                       status);
    return helper_report_read(r->report.data, r->report.len, ret, err);
}

static int judge(const struct step *s, const struct helper_report *report, struct exec_result *ret,
                 struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s/" HELPER_LOG, s->dir);
    AUTO(buf_release) struct buf log = BUF_INIT;
    struct err missing = ERR_INIT;

    if (report->failed.code != ERR_NONE)
        return err_copy(err, &report->failed);
    if (file_read(AT_FDCWD, path, LOG_MAX, &log, &missing) < 0)
        buf_clear(&log);
    return runtime_judge(s->runtime, buf_str(&log), log.len, report->status, &ret->status,
                         &ret->note, err);
}

/* The helper's work, which it did not get to. The kernel may still be ending what is in the group.
 */
static void remove_left_cgroup(const struct step *s)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    AUTO(mem_free) char *group = group_of(s);

    for (int n = 0; n < 50 && !cgroup_remove(group); n++)
        nanosleep(&pause, NULL);
}

static int run_finish(const struct step *s, struct run *r, struct exec_result *ret, struct err *err)
{
    AUTO(helper_report_release) struct helper_report report = { .status = 0 };
    int status = 0;

    if (proc_wait(r->pid, NULL, 0, 0, &status, err) < 0)
        return err->code;
    if (status != 0 && s->runtime->cgroups)
        remove_left_cgroup(s);
    if (r->is_cancelled)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (read_report(r, status, &report, err) < 0 || judge(s, &report, ret, err) < 0)
        return err->code;
    strv_copy(&ret->stubs, &report.stubs);
    if (report.unsealed > 0)
        observer_was_lost(s->observer);
    return 0;
}

int step_run(const struct step *step, struct exec_result *ret, struct err *err)
{
    AUTO(plan_release) struct plan p = { .n = 0 };
    AUTO(run_release) struct run r = { .spec = step->spec, .plan = &p, .from = { -1, -1, -1 } };
    struct terminal terminal;
    int64_t begin = clock_mono_ms();

    if (write_all(step, &p, err) < 0)
        return err_wrap(err, "cannot prepare the container");
    if (terminal_save(step->spec, &terminal, err) < 0 || run_start(step, &r, err) < 0)
        return err->code;
    run_listen(&r);
    int code = run_finish(step, &r, ret, err);
    terminal_restore(&terminal);
    ret->ms = clock_mono_ms() - begin;
    return code;
}
