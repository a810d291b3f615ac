#include "tests/unit/unit.h"

#include "base/clock.h"
#include "base/proc.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int run(const struct proc_spec *spec)
{
    struct err err = ERR_INIT;
    int status = -1;
    pid_t pid = proc_start(spec, &err);

    assert_ok(pid, &err);
    assert_ok(proc_wait(pid, NULL, SIGTERM, 0, &status, &err), &err);
    return status;
}

static void both_outputs_and_the_status_are_collected(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(buf_release) struct buf diag = BUF_INIT;
    int status = 0;

    buf_adds(&out, "old");
    assert_ok(proc_output(ARGV("sh", "-c", "echo out; echo err >&2; exit 3"), 100, &out, &diag,
                          &status, &err),
              &err);
    assert_string_equal(buf_str(&out), "out\n");
    assert_string_equal(buf_str(&diag), "err\n");
    assert_int_equal(status, 3);
}

static void output_beyond_the_cap_is_dropped_not_waited_for(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(buf_release) struct buf diag = BUF_INIT;
    int status = 9;

    assert_ok(proc_output(ARGV("sh", "-c", "head -c 1000000 /dev/zero; echo end >&2"), 10, &out,
                          &diag, &status, &err),
              &err);
    assert_int_equal(out.len, 10);
    assert_string_equal(buf_str(&diag), "end\n");
    assert_int_equal(status, 0);
}

static void a_missing_program_is_a_miss(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct proc_spec spec = { .argv = ARGV("no-such-program-here") };

    spec.in = spec.out = spec.err = -1;
    assert_int_equal(proc_start(&spec, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "no program 'no-such-program-here' in PATH");
    spec.argv = ARGV("/no/such/program");
    assert_int_equal(proc_start(&spec, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "cannot run '/no/such/program': No such file or directory");
    spec.argv = ARGV("/etc/passwd");
    assert_int_equal(proc_start(&spec, &err), ERR_IO);
    assert_int_equal(err.sys, EACCES);
    spec.argv = ARGV("");
    assert_int_equal(proc_start(&spec, &err), ERR_NOT_FOUND);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child was left behind */
    assert_int_equal(errno, ECHILD);
}

static void the_current_directory_is_not_searched(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct proc_spec spec = { .argv = ARGV("trap"), .in = -1, .out = -1, .err = -1 };
    AUTO(mem_free) char *path = str_dup(getenv("PATH"));
    char dir[64], cwd[4096];
    int fd = scratch_make(dir);

    assert_non_null(getcwd(cwd, sizeof(cwd)));
    assert_ok(file_replace(fd, "trap", "#!/bin/sh\n", 10, 0755, false, &err), &err);
    assert_int_equal(fchdir(fd), 0);
    setenv("PATH", ":.:/nowhere", 1);
    int r = proc_start(&spec, &err);
    setenv("PATH", path, 1);
    assert_int_equal(chdir(cwd), 0);
    assert_int_equal(r, ERR_NOT_FOUND);
    spec.argv = (const char *const[]){ "trap", NULL };
    setenv("PATH", dir, 1);
    assert_int_equal(run(&spec), 0);
    setenv("PATH", path, 1);
    scratch_remove(fd, dir);
}

static void the_environment_is_the_given_one(void **state UNUSED)
{
    struct proc_spec spec = { .argv = ARGV("sh", "-c", "test \"$A-$SHALE_X\" = b-"),
                              .env = ARGV("A=b"),
                              .in = -1,
                              .out = -1,
                              .err = -1 };

    setenv("SHALE_X", "x", 1);
    assert_int_equal(run(&spec), 0);
    spec.env = NULL;
    spec.argv = ARGV("sh", "-c", "test \"$SHALE_X\" = x");
    assert_int_equal(run(&spec), 0);
}

static void only_the_given_fds_are_inherited(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct err err = ERR_INIT;
    int ends[2];
    int leak = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as a library might */

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct proc_spec spec = {
        .argv = ARGV("ls", "-l", "/proc/self/fd"),
        .in = -1,
        .out = ends[1],
        .err = -1,
    };
    pid_t pid = proc_start(&spec, &err);
    assert_ok(pid, &err);
    fd_close(ends[1]);
    assert_ok(fd_read_all(ends[0], 10000, &b, &err), &err);
    int status;
    assert_ok(proc_wait(pid, NULL, 0, 0, &status, &err), &err);
    fd_close(ends[0]);
    fd_close(leak);
    assert_non_null(strstr(buf_str(&b), " 0 -> /dev/null\n"));
    assert_non_null(strstr(buf_str(&b), " 1 -> pipe:["));
    const char *after = strstr(buf_str(&b), " 2 -> /dev/null\n");
    assert_non_null(after);
    after = strchr(after, '\n') + 1;
    /* One more, the directory that is listed. */
    assert_non_null(strstr(after, " -> /proc/"));
    assert_string_equal(strchr(after, '\n'), "\n");
}

/* 0, 1 and 2 permuted, and further ones in an order that a careless dup2 would break. */
static void fds_may_overlap_their_targets(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char dir[64];
    int fd = scratch_make(dir), f[5], saved[3];

    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 50);
    for (int i = 0; i < 5; i++) {
        char name[] = { (char)('a' + i), 0 };
        f[i] = openat(fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(f[i] >= 0);
    }
    for (int i = 0; i < 5; i++) /* now 0 to 4 are files a to e, whatever was there kept */
        f[i] = fcntl(f[i], F_DUPFD_CLOEXEC, 100);
    int old3 = fcntl(3, F_DUPFD_CLOEXEC, 60), old4 = fcntl(4, F_DUPFD_CLOEXEC, 60);
    for (int i = 0; i < 5; i++)
        dup2(f[i], i);
    struct proc_spec spec = {
        .argv = ARGV("/bin/sh", "-c", "echo 1; echo 2 >&2; echo 3 >&3; echo 4 >&4; echo 0 >&0"),
        .in = 3,                       /* d */
        .out = 2,                      /* c */
        .err = 1,                      /* b */
        .keep = (const int[]){ 4, 0 }, /* 3 is e, 4 is a */
        .n_keep = 2,
    };
    pid_t pid = proc_start(&spec, &err);
    int status = -1;
    int r = pid < 0 ? (int)pid : proc_wait(pid, NULL, 0, 0, &status, &err);
    for (int i = 0; i < 3; i++)
        dup2(saved[i], i);
    old3 < 0 ? close(3) : dup2(old3, 3);
    old4 < 0 ? close(4) : dup2(old4, 4);
    for (int i = 0; i < 5; i++)
        fd_close(f[i]);
    for (int i = 0; i < 3; i++)
        fd_close(saved[i]);
    fd_close(old3);
    fd_close(old4);
    assert_ok(r, &err);
    assert_int_equal(status, 0);
    static const char *const want[][2] = {
        { "a", "4\n" }, { "b", "2\n" }, { "c", "1\n" }, { "d", "0\n" }, { "e", "3\n" }
    };
    for (int i = 0; i < 5; i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        AUTO(mem_free) char *path = str_printf("%s/%s", dir, want[i][0]);
        assert_ok(file_read(AT_FDCWD, path, 100, &b, &err), &err);
        assert_string_equal(buf_str(&b), want[i][1]);
    }
    scratch_remove(fd, dir);
}

static void signals_are_as_a_fresh_process_has_them(void **state UNUSED)
{
    sigset_t set, old;
    struct proc_spec spec = { .argv = ARGV("sh", "-c",
                                           "grep -q 'SigBlk:.0*$' /proc/self/status && "
                                           "grep -q 'SigIgn:.0*$' /proc/self/status"),
                              .in = -1,
                              .out = -1,
                              .err = -1 };

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, &old);
    void (*was)(int) = signal(SIGPIPE, SIG_IGN);
    assert_int_equal(run(&spec), 0);
    signal(SIGPIPE, was);
    pthread_sigmask(SIG_SETMASK, &old, &set);
    assert_true(sigismember(&set, SIGUSR1) == 1); /* and ours were left alone */
}

static void a_signal_is_128_and_more(void **state UNUSED)
{
    struct proc_spec spec = {
        .argv = ARGV("sh", "-c", "kill -9 $$"), .in = -1, .out = -1, .err = -1
    };

    assert_int_equal(run(&spec), 137);
}

static void *cancel_later(void *c)
{
    usleep(50000);
    cancel_set(c, SIGINT);
    return NULL;
}

/* How long it took to end, in ms. */
static int64_t cancel_in_a_while(const char *script, int grace_ms, bool new_group)
{
    struct err err = ERR_INIT;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    struct proc_spec spec = {
        .argv = ARGV("sh", "-c", script), .in = -1, .out = -1, .err = -1, .new_group = new_group
    };
    pthread_t thread;
    int status = 55;
    int64_t start = clock_mono_ms();
    pid_t pid = proc_start(&spec, &err);

    assert_ok(pid, &err);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, c), 0);
    assert_int_equal(proc_wait(pid, c, SIGTERM, grace_ms, &status, &err), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_int_equal(status, 55);
    assert_int_equal(waitpid(pid, NULL, 0), -1);
    return clock_mono_ms() - start;
}

static void cancel_ends_the_wait(void **state UNUSED)
{
    assert_in_range(cancel_in_a_while("exec sleep 60", 30000, false), 50, 20000);
}

static void what_ignores_the_signal_is_killed_after_the_grace(void **state UNUSED)
{
    assert_in_range(cancel_in_a_while("trap '' TERM; while :; do sleep 0.01; done", 200, true), 250,
                    20000);
}

static void cancel_reaches_the_whole_group(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct proc_spec spec = { .argv = ARGV("sh", "-c", "sleep 60 & sleep 60"),
                              .in = -1,
                              .out = ends[1],
                              .err = -1,
                              .new_group = true };
    pid_t pid = proc_start(&spec, &err);
    assert_ok(pid, &err);
    fd_close(ends[1]);
    assert_int_equal(getpgid(pid), pid);
    cancel_set(c, 0);
    int status;
    usleep(100000);
    assert_int_equal(proc_wait(pid, c, SIGKILL, 1000, &status, &err), ERR_CANCELLED);
    struct pollfd p = { .fd = ends[0], .events = POLLIN };
    assert_int_equal(poll(&p, 1, 10000), 1); /* the last writer is gone */
    assert_true(p.revents & POLLHUP);
    fd_close(ends[0]);
}

static void what_ended_before_the_cancel_has_its_status(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    struct proc_spec spec = { .argv = ARGV("sh", "-c", "exit 4"), .in = -1, .out = -1, .err = -1 };
    int status = 0;
    pid_t pid = proc_start(&spec, &err);

    assert_ok(pid, &err);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    cancel_set(c, SIGINT);
    assert_ok(proc_wait(pid, c, SIGTERM, 0, &status, &err), &err);
    assert_int_equal(status, 4);
    assert_int_equal(proc_wait(pid, c, SIGTERM, 0, &status, &err), ERR_IO); /* nobody's child */
}

static void *start_and_end(void *arg)
{
    struct err err = ERR_INIT;
    struct proc_spec spec = {
        .argv = ARGV("sleep", "60"), .in = -1, .out = -1, .err = -1, .death_signal = SIGKILL
    };

    *(pid_t *)arg = proc_start(&spec, &err);
    return NULL;
}

static void the_death_signal_comes_with_the_end_of_the_thread(void **state UNUSED)
{
    struct err err = ERR_INIT;
    pthread_t thread;
    pid_t pid = -1;
    int status = 0;

    assert_int_equal(pthread_create(&thread, NULL, start_and_end, &pid), 0);
    pthread_join(thread, NULL);
    assert_true(pid > 0);
    assert_ok(proc_wait(pid, NULL, 0, 0, &status, &err), &err);
    assert_int_equal(status, 137);
}

static void *start_many(void *arg)
{
    struct proc_spec spec = { .argv = ARGV("true"), .in = -1, .out = -1, .err = -1 };

    for (int i = 0; i < 30; i++) {
        struct err err = ERR_INIT;
        int status = -1;
        pid_t pid = proc_start(&spec, &err);
        if (pid < 0 || proc_wait(pid, NULL, 0, 0, &status, &err) < 0 || status != 0)
            return arg;
    }
    return NULL;
}

static void threads_start_children_at_once(void **state UNUSED)
{
    pthread_t threads[4];
    char name[] = "failed";
    void *bad;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_many, name), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

static void the_first_reason_to_cancel_stays(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    struct pollfd p = { .fd = cancel_fd(c), .events = POLLIN };

    assert_false(cancel_is_set(c));
    assert_ok(cancel_check(c, &err), &err);
    assert_int_equal(poll(&p, 1, 0), 0);
    cancel_set(c, SIGINT);
    cancel_set(c, SIGTERM);
    assert_true(cancel_is_set(c));
    assert_int_equal(cancel_signal(c), SIGINT);
    assert_int_equal(cancel_check(c, &err), ERR_CANCELLED);
    assert_string_equal(err.msg, "interrupted");
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_int_equal(poll(&p, 1, 0), 1); /* stays readable */
    assert_false(cancel_is_set(NULL));
    assert_int_equal(cancel_fd(NULL), -1);
    assert_int_equal(cancel_signal(NULL), 0);
    assert_ok(cancel_check(NULL, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_outputs_and_the_status_are_collected),
        cmocka_unit_test(output_beyond_the_cap_is_dropped_not_waited_for),
        cmocka_unit_test(a_missing_program_is_a_miss),
        cmocka_unit_test(the_current_directory_is_not_searched),
        cmocka_unit_test(the_environment_is_the_given_one),
        cmocka_unit_test(only_the_given_fds_are_inherited),
        cmocka_unit_test(fds_may_overlap_their_targets),
        cmocka_unit_test(signals_are_as_a_fresh_process_has_them),
        cmocka_unit_test(a_signal_is_128_and_more),
        cmocka_unit_test(cancel_ends_the_wait),
        cmocka_unit_test(what_ignores_the_signal_is_killed_after_the_grace),
        cmocka_unit_test(cancel_reaches_the_whole_group),
        cmocka_unit_test(what_ended_before_the_cancel_has_its_status),
        cmocka_unit_test(the_death_signal_comes_with_the_end_of_the_thread),
        cmocka_unit_test(threads_start_children_at_once),
        cmocka_unit_test(the_first_reason_to_cancel_stays),
    };

    return UNIT_RUN("base_proc", tests);
}
