#include "base/proc.h"
#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Functions of the child never return on its stack, which would leave ASan's marks behind in our
 * memory. */
#define IN_CHILD __attribute__((no_sanitize_address))

/* TSan takes every clone for a fork, and then for our own threads what the child does: let it have
 * its own memory. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define CLONE_FLAGS (CLONE_VFORK | SIGCHLD)
#else
#define CLONE_FLAGS (CLONE_VM | CLONE_VFORK | SIGCHLD)
#endif

#define STACK_SIZE ((size_t)64 << 10)
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Everything the child needs, made before it exists: it shares our memory until exec and may call
 * nothing else. */
struct child {
    const char *path;
    char *const *argv;
    char *const *env;
    int *fds; /* what becomes 0, 1, 2, 3, ...; overwritten by the child */
    int n_fds;
    int status; /* where errno goes when exec fails */
    bool new_group, new_session, no_new_privs;
    int death_signal;
    pid_t parent;
};

static bool is_program(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

/* An empty or relative element of PATH would mean the current directory, which is somebody's source
 * tree. */
static char *find_program(const char *name, struct err *err)
{
    const char *path = getenv("PATH");
    AUTO(strv_release) struct strv dirs = STRV_INIT;

    if (strchr(name, '/') != NULL)
        return str_dup(name);
    strv_split(&dirs, path ? path : DEFAULT_PATH, ':');
    for (size_t i = 0; i < dirs.n && *name != '\0'; i++) {
        if (dirs.v[i][0] != '/')
            continue;
        AUTO(mem_free) char *full = str_printf("%s/%s", dirs.v[i], name);
        if (is_program(full))
            return TAKE(full);
    }
    err_set(err, ERR_NOT_FOUND, "no program '%s' in PATH", name);
    return NULL;
}

/*
 * A handler of ours must not run in the child: it would act on memory that is
 * ours. So all signals are blocked here on, and those handlers taken away.
 * The system call, as libraries keep accounts of handlers in that memory.
 */
IN_CHILD static void reset_signals(void)
{
    static const uint64_t by_default[8];
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        syscall(SYS_rt_sigaction, i, by_default, NULL, (size_t)(NSIG - 1) / 8);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All sources go above the targets first, so that no dup2 overwrites what is still needed. */
IN_CHILD static int arrange_fds(struct child *c)
{
    c->status = fcntl(c->status, F_DUPFD_CLOEXEC, c->n_fds);
    if (c->status < 0)
        return -1;
    for (int i = 0; i < c->n_fds; i++)
        if ((c->fds[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, c->n_fds)) < 0)
            return -1;
    for (int i = 0; i < c->n_fds; i++)
        if (dup2(c->fds[i], i) < 0)
            return -1;
    return 0;
}

/* Linux before 5.11 has no CLOSE_RANGE_CLOEXEC. */
IN_CHILD static void close_others_at_exec(int from)
{
    struct rlimit limit = { .rlim_cur = 1024 };

    if (syscall(SYS_close_range, (unsigned)from, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = from; (rlim_t)fd < limit.rlim_cur && fd < 1 << 16; fd++)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

IN_CHILD static int prepare_child(struct child *c)
{
    if (arrange_fds(c) < 0)
        return -1;
    close_others_at_exec(c->n_fds);
    if (c->new_session ? setsid() < 0 : c->new_group && setpgid(0, 0) < 0)
        return -1;
    if (c->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    if (c->death_signal != 0 && prctl(PR_SET_PDEATHSIG, c->death_signal) < 0)
        return -1;
    if (c->death_signal != 0 && getppid() != c->parent) {
        errno = ECHILD; /* it died before the line above */
        return -1;
    }
    return 0;
}

IN_CHILD static int child_run(void *arg)
{
    struct child *c = arg;

    reset_signals();
    if (prepare_child(c) == 0)
        execve(c->path, c->argv, c->env);
    int sys = errno;
    while (write(c->status, &sys, sizeof(sys)) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* As vfork, on a stack of its own: this thread sleeps until the child's exec or end. */
static pid_t clone_child(struct child *c)
{
    sigset_t all, old;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    if (stack == MAP_FAILED)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = clone(child_run, stack + STACK_SIZE, CLONE_FLAGS, c);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    munmap(stack, STACK_SIZE);
    errno = saved;
    return pid;
}

/* errno of the child's failure, 0 when it runs the program. */
static int read_status(int fd)
{
    int sys = 0;
    size_t n = 0;
    struct err ignored = ERR_INIT;

    if (fd_read_full(fd, &sys, sizeof(sys), &n, &ignored) < 0 || n != sizeof(sys))
        return 0;
    return sys;
}

static pid_t start_child(struct child *c, struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, errno, "cannot make a pipe");
    c->status = ends[1];
    pid_t pid = clone_child(c);
    int sys = pid < 0 ? errno : 0;
    fd_close(ends[1]);
    if (pid > 0)
        sys = read_status(ends[0]);
    fd_close(ends[0]);
    if (sys == 0)
        return pid;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return err_sys(err, sys, "cannot run '%s'", c->argv[0]);
}

/* 0, 1, 2 and what keep names; a missing one is null. */
static int *list_fds(const struct proc_spec *spec, int null)
{
    int *fds = mem_calloc(3 + spec->n_keep, sizeof(*fds));

    fds[0] = spec->in < 0 ? null : spec->in;
    fds[1] = spec->out < 0 ? null : spec->out;
    fds[2] = spec->err < 0 ? null : spec->err;
    for (size_t i = 0; i < spec->n_keep; i++)
        fds[3 + i] = spec->keep[i] < 0 ? null : spec->keep[i];
    return fds;
}

pid_t proc_start(const struct proc_spec *spec, struct err *err)
{
    assert(spec->argv != NULL && spec->argv[0] != NULL);
    AUTO(mem_free) char *path = find_program(spec->argv[0], err);
    if (path == NULL)
        return err->code;
    AUTO(fd_close) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(err, errno, "cannot open '/dev/null'");
    AUTO(mem_free) int *fds = list_fds(spec, null);
    /* execve's types date from before const. */
    struct child c = {
        .path = path,
        .argv = (char *const *)(uintptr_t)spec->argv,
        .env = spec->env ? (char *const *)(uintptr_t)spec->env : environ,
        .fds = fds,
        .n_fds = 3 + (int)spec->n_keep,
        .new_group = spec->new_group,
        .new_session = spec->new_session,
        .death_signal = spec->death_signal,
        .no_new_privs = spec->no_new_privs,
        .parent = getpid(),
    };
    return start_child(&c, err);
}
