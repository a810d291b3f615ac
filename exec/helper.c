#include "exec/helper_internal.h"

#include "base/fs.h"
#include "exec/cgroup_internal.h"
#include "exec/memory_files_internal.h"
#include "exec/observe_internal.h"
#include "exec/overlay_internal.h"
#include "exec/run.h"
#include "exec/stub_internal.h"
#include "exec/sys_bind_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ORDER_MAX (16u << 20)

/* ---- the inner process: init of its PID namespace ---- */

static int open_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? err_sys(err, errno, "cannot open '%s'", path) : fd;
}

static int make_dir(const char *path, struct err *err)
{
    if (mkdir(path, 0755) < 0)
        return err_sys(err, errno, "cannot make directory '%s'", path);
    return 0;
}

/* What we mount is seen by nobody else; /proc shows our own PID namespace, as the runtime needs it.
 */
static int enter_namespaces(struct err *err)
{
    if (unshare(CLONE_NEWNS) < 0)
        return err_sys(err, errno, "cannot make a mount namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(err, errno, "cannot make mounts private");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_sys(err, errno, "cannot mount /proc");
    return 0;
}

static int mount_root(const struct helper_order *o, const char *root, struct err *err)
{
    AUTO(mem_free) char *work = str_printf("%s/" HELPER_WORK, o->dir);
    AUTO(mem_free) char *names = str_printf("%s/" HELPER_NAMES, o->dir);
    struct overlay ov = { .lowers = &o->lowers,
                          .upper = o->upper,
                          .work = work,
                          .names = names,
                          .no_devices = o->no_devices,
                          .marks = overlay_marks() };

    if (make_dir(root, err) < 0 || make_dir(work, err) < 0 || make_dir(names, err) < 0)
        return err->code;
    return overlay_mount(&ov, root, err);
}

static int open_by(int dirfd, const char *path, uint64_t resolve)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = resolve };

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
}

/* With below, nothing that somebody else writes to can lead us elsewhere. */
static int open_source(const struct helper_mount *m, struct err *err)
{
    uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    AUTO(fd_close) int dir = AT_FDCWD;

    if (*m->below != '\0') {
        dir = open_dir(m->below, err);
        if (dir < 0)
            return err->code;
    } else {
        resolve = 0;
    }
    int fd = open_by(dir, *m->source ? m->source : ".", resolve);
    if (fd < 0)
        return err_sys(err, errno, "cannot mount '%s'", m->source);
    return fd;
}

/* The layers' own overlay; what a step writes into it is thrown away with the step's directory. */
static int mount_layers(const struct helper_order *o, const struct helper_mount *m, struct err *err)
{
    AUTO(mem_free) char *root = str_printf("%s/%s.root", o->dir, m->name);
    AUTO(mem_free) char *names = str_printf("%s/%s.names", o->dir, m->name);
    AUTO(mem_free) char *upper = str_printf("%s/%s.upper", o->dir, m->name);
    AUTO(mem_free) char *work = str_printf("%s/%s.work", o->dir, m->name);
    struct overlay ov = { .lowers = &m->lowers,
                          .upper = m->read_only ? NULL : upper,
                          .work = m->read_only ? NULL : work,
                          .names = names,
                          .no_devices = o->no_devices,
                          .marks = overlay_marks() };

    if (make_dir(root, err) < 0 || make_dir(names, err) < 0)
        return err->code;
    if (!m->read_only && (make_dir(upper, err) < 0 || make_dir(work, err) < 0))
        return err->code;
    if (overlay_mount(&ov, root, err) < 0)
        return err->code;
    AUTO(fd_close) int fd = open_dir(root, err);
    return fd < 0 ? err->code : inroot_open(fd, m->source, O_PATH, 0, err);
}

/* Binds what fd is to a name of ours: the runtime then gets it by a path that nobody can change. */
static int bind_fd(const struct helper_order *o, const struct helper_mount *m, int fd, bool is_dir,
                   struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s/%s", o->dir, m->name);
    AUTO(mem_free) char *source = str_printf("/proc/self/fd/%d", fd);

    if (is_dir && make_dir(path, err) < 0)
        return err->code;
    if (!is_dir) {
        AUTO(fd_close) int made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (made < 0)
            return err_sys(err, errno, "cannot make '%s'", path);
    }
    if (mount(source, path, NULL, MS_BIND, NULL) < 0)
        return err_sys(err, errno, "cannot mount '%s'", m->source);
    return 0;
}

static int open_mounted(const struct helper_order *o, const struct helper_mount *m, struct err *err)
{
    if (m->kind == HELPER_MOUNT_FILE)
        return memory_files_open(o, m, err);
    return m->kind == HELPER_MOUNT_LAYERS ? mount_layers(o, m, err) : open_source(m, err);
}

static int prepare_mount(const struct helper_order *o, const struct helper_mount *m,
                         bool *ret_is_dir, struct err *err)
{
    AUTO(fd_close) int fd = -1;
    struct stat st;

    *ret_is_dir = m->kind == HELPER_MOUNT_STUB_DIR;
    if (m->kind == HELPER_MOUNT_STUB_DIR || m->kind == HELPER_MOUNT_STUB_FILE)
        return 0;
    fd = open_mounted(o, m, err);
    if (fd < 0)
        return err->code;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at '%s'", m->source);
    if (S_ISLNK(st.st_mode))
        return err_set(err, ERR_USAGE, "cannot mount '%s': it is a symbolic link", m->source);
    *ret_is_dir = S_ISDIR(st.st_mode);
    return bind_fd(o, m, fd, *ret_is_dir, err);
}

/*
 * The runtime mounts over these: a link in their place would lead it into something else. Where
 * they are missing they are made and stay, as docker build leaves them.
 */
static int check_system_dirs(int rootfd, struct err *err)
{
    static const char *const names[] = { "dev", "proc", "sys" };
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (mkdirat(rootfd, names[i], 0755) == 0)
            continue;
        if (errno != EEXIST || fstatat(rootfd, names[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(err, errno, "cannot make '/%s'", names[i]);
        if (!S_ISDIR(st.st_mode))
            return err_set(err, ERR_UNSUPPORTED, "'/%s' of the root file system is not a directory",
                           names[i]);
    }
    return 0;
}

/* Of the first n mounts the one that path lies in, or NULL. */
static const struct helper_mount *mount_around(const struct helper_order *o, size_t n,
                                               const char *path)
{
    while (n-- > 0)
        if (path_is_below(path, o->mounts[n].target))
            return &o->mounts[n];
    return NULL;
}

/*
 * The runtime finds the rest of a path in a mount itself, and not every one minds where links lead:
 * into /proc, say (CVE-2024-21626). Inside the mount they may.
 */
static int check_nested(const struct helper_order *o, size_t n, const char *path, struct err *err)
{
    const struct helper_mount *around = mount_around(o, n, path);

    if (around == NULL || around->kind == HELPER_MOUNT_STUB_DIR ||
        around->kind == HELPER_MOUNT_STUB_FILE)
        return 0;
    AUTO(mem_free) char *source = str_printf("%s/%s", o->dir, around->name);
    AUTO(fd_close) int dir = open(source, O_PATH | O_CLOEXEC);
    if (dir < 0)
        return err_sys(err, errno, "cannot open '%s'", source);
    AUTO(fd_close)
    int fd =
        open_by(dir, path + strlen(around->target) + 1, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
    if (fd < 0 && (errno == EXDEV || errno == ELOOP))
        return err_set(err, ERR_USAGE, "cannot use '/%s': a link leads out of the mount on '/%s'",
                       path, around->target);
    return 0;
}

static int make_mount_points(const struct helper_order *o, int rootfd, struct stubs *stubs,
                             struct err *err)
{
    for (size_t i = 0; i < o->n_mounts; i++) {
        const struct helper_mount *m = &o->mounts[i];
        bool is_dir = false;
        if (prepare_mount(o, m, &is_dir, err) < 0 || check_nested(o, i, m->target, err) < 0)
            return err->code;
        if (m->makes_stub && stubs_make(stubs, m->target, is_dir, err) < 0)
            return err->code;
        if (m->makes_stub && m->kind == HELPER_MOUNT_STUB_DIR)
            stubs_set_mode(stubs, m->target, 01777); /* runtimes give a tmpfs its mount point's */
    }
    if (check_nested(o, o->n_mounts, o->cwd, err) < 0)
        return err->code;
    return check_system_dirs(rootfd, err);
}

static void reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As init we also reap what others left behind. */
static int wait_for(pid_t pid)
{
    int raw = 0;
    pid_t r;

    while ((r = waitpid(-1, &raw, 0)) != pid)
        if (r < 0 && errno != EINTR)
            return 255;
    return WIFSIGNALED(raw) ? 128 + WTERMSIG(raw) : WEXITSTATUS(raw);
}

/*
 * A core file would lie in the layer, or beside our files, with all that its process was given. A
 * step that wants some may raise this.
 */
static void no_core_files(void)
{
    struct rlimit core;

    if (getrlimit(RLIMIT_CORE, &core) < 0)
        return;
    core.rlim_cur = 0;
    setrlimit(RLIMIT_CORE, &core);
}

static int run_runtime(const struct helper_order *o, int *ret_status, struct err *err)
{
    if (chdir(o->dir) < 0)
        return err_sys(err, errno, "cannot enter '%s'", o->dir);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(err, errno, "cannot start the container runtime");
    if (pid == 0) {
        reset_signals();
        no_core_files();
        syscall(SYS_close_range, 3U, ~0U, 0);
        execv(o->runtime.v[0], o->runtime.v);
        _exit(127);
    }
    *ret_status = wait_for(pid);
    return 0;
}

static int run_in_root(const struct helper_order *o, const char *root, struct helper_report *report,
                       struct err *err)
{
    AUTO(fd_close) int rootfd = open_dir(root, err);

    if (rootfd < 0)
        return err->code;
    AUTO(stubs_free) struct stubs *stubs = stubs_new(rootfd);
    int r = make_mount_points(o, rootfd, stubs, err);
    if (r == 0)
        r = run_runtime(o, &report->status, err);
    stubs_remove(stubs, &report->stubs);
    return r;
}

/* What was asked so far is all that there is: overlays are unmounted after that, then their layers.
 */
static void seal_observed(const struct helper_order *o, struct helper_report *report)
{
    report->unsealed = (int)observed_seal(o->dir, o->n_observed, o->seal);
}

/* Unmounted by hand: at the end of a namespace it would happen some time after our end. */
static void inner_unmount(const struct helper_order *o, const char *root)
{
    if (chdir("/") < 0 || umount2(root, 0) < 0)
        umount2(root, MNT_DETACH);
    for (size_t i = 0; i < o->n_mounts; i++) {
        const struct helper_mount *m = &o->mounts[i];
        AUTO(mem_free) char *path = str_printf("%s/%s", o->dir, m->name ? m->name : "");
        AUTO(mem_free) char *layers = str_printf("%s.root", path);
        if (m->kind != HELPER_MOUNT_STUB_DIR && m->kind != HELPER_MOUNT_STUB_FILE)
            umount2(path, MNT_DETACH);
        if (m->kind == HELPER_MOUNT_LAYERS)
            umount2(layers, MNT_DETACH);
    }
    observed_unmount(o->dir, o->n_observed);
    sys_unbind(o);
    memory_files_unmount(o);
}

static int inner_run(const struct helper_order *o, struct helper_report *report)
{
    AUTO(mem_free) char *root = str_printf("%s/" HELPER_ROOT, o->dir);
    struct err *err = &report->failed;

    umask(022);
    if (enter_namespaces(err) < 0)
        return err->code;
    int files = memory_files_make(o, HELPER_BYTES_FD, err);
    close(HELPER_BYTES_FD); /* what nobody holds any more the kernel frees */
    if (files < 0 || sys_bind(o, err) < 0 ||
        observed_attach(o->dir, o->n_observed, HELPER_FIRST_OBSERVED_FD, err) < 0 ||
        mount_root(o, root, err) < 0)
        return err->code;
    int r = run_in_root(o, root, report, err);
    seal_observed(o, report);
    inner_unmount(o, root);
    return r;
}

static void send_report(const struct helper_report *report)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct err ignored = ERR_INIT;

    helper_report_write(report, &b);
    fd_write_full(HELPER_REPORT_FD, buf_str(&b), b.len, &ignored);
}

/* life: a pipe whose other end is the outer process's. Closed already: it died before prctl. */
static int inner_main(const struct helper_order *o, int life)
{
    AUTO(helper_report_release) struct helper_report report = { .status = 0 };
    struct pollfd p = { .fd = life, .events = POLLIN };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || poll(&p, 1, 0) != 0)
        return 1;
    inner_run(o, &report);
    send_report(&report);
    return 0;
}

/* ---- the outer process ---- */

static void block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT); /* of the terminal: the command's business */
    sigaddset(ret, SIGQUIT);
    sigaddset(ret, SIGHUP);
    sigaddset(ret, SIGCHLD);
    sigprocmask(SIG_SETMASK, ret, NULL);
}

/* Returns when the inner process is dead, and with it all in its PID namespace. */
static void outer_wait(pid_t inner, const sigset_t *signals)
{
    pid_t r;

    while ((r = waitpid(inner, NULL, WNOHANG)) == 0 || (r < 0 && errno == EINTR)) {
        int signo = sigwaitinfo(signals, NULL);
        if (signo == SIGTERM || signo == SIGHUP)
            kill(inner, SIGKILL);
    }
}

/*
 * fork into a new PID namespace; what we start afterwards is in our own again. A user namespace
 * that our own does not belong to lets nobody back: there nothing can be started afterwards, and we
 * start nothing (a leak checker at our end would).
 */
static pid_t fork_init(struct err *err)
{
    AUTO(fd_close) int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

    if (own < 0 || unshare(CLONE_NEWPID) < 0)
        return err_sys(err, errno, "cannot make a PID namespace");
    pid_t pid = fork();
    if (pid == 0)
        return 0;
    int sys = errno;
    if (pid < 0)
        return err_sys(err, sys, "cannot start the container's init");
    if (setns(own, CLONE_NEWPID) < 0 && errno != EPERM)
        return err_sys(err, errno, "cannot go back to the PID namespace");
    return pid;
}

static int outer_run(const struct helper_order *o, struct err *err)
{
    sigset_t signals;
    int life[2];

    if (pipe2(life, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    block_signals(&signals);
    pid_t inner = fork_init(err);
    if (inner < 0)
        return err->code;
    if (inner == 0) {
        fd_close(life[1]);
        _exit(inner_main(o, life[0]));
    }
    fd_close(life[0]);
    syscall(SYS_close_range, (unsigned)HELPER_BYTES_FD,
            (unsigned)(HELPER_FIRST_OBSERVED_FD + o->n_observed - 1), 0);
    outer_wait(inner, &signals);
    if (*o->cgroup != '\0')
        cgroup_remove(o->cgroup);
    return 0;
}

static int read_order(const char *dir, struct helper_order *ret, struct err *err)
{
    AUTO(mem_free) char *path = path_join(dir, HELPER_ORDER);
    AUTO(buf_release) struct buf text = BUF_INIT;

    if (file_read(AT_FDCWD, path, ORDER_MAX, &text, err) < 0)
        return err->code;
    return helper_order_read(buf_str(&text), text.len, ret, err);
}

/* What we were given is for us alone; all else is no business of ours. */
static void arrange_fds(const struct helper_order *o)
{
    unsigned end = (unsigned)(HELPER_FIRST_OBSERVED_FD + o->n_observed);

    for (unsigned fd = HELPER_REPORT_FD; fd < end; fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, end, ~0U, 0);
}

int exec_helper_main(int argc, char **argv)
{
    AUTO(helper_order_release) struct helper_order o = { .dir = NULL };
    AUTO(helper_report_release) struct helper_report report = { .status = 0 };

    if (argc != 3)
        return 1;
    int r = read_order(argv[2], &o, &report.failed);
    arrange_fds(&o);
    if (r < 0 || outer_run(&o, &report.failed) < 0) {
        send_report(&report);
        return 1;
    }
    return 0;
}
