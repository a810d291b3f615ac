/* What is done where the kernel, a file system or a sandbox lacks something: each case in a child
 * behind a filter. */
#include "tests/unit/unit.h"

#include "base/cancel.h"
#include "base/proc.h"
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define CANNOT_FILTER 77

/* From here on the call fails with sys, if argument arg (0 to 5) has all bits of mask; mask 0:
 * always. */
static bool deny(long call, unsigned arg, unsigned mask, int sys)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, args) + 8 * arg),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mask, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)sys),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = { .len = ARRAY_LEN(code), .filter = code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

/* test gives 0, or the number of the check that failed. */
static void in_child(int (*test)(int fd))
{
    char path[64];
    int fd = scratch_make(path), status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(test(fd));
    assert_true(pid > 0);
    waitpid(pid, &status, 0);
    scratch_remove(fd, path);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_FILTER)
        print_message("no seccomp filters here\n");
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

static bool has(int fd, const char *path, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    return file_read(fd, path, 100, &b, &err) == 0 && strcmp(buf_str(&b), want) == 0;
}

/* Only "s" and what the name fits: nothing temporary. */
static bool has_no_temporary(int fd)
{
    AUTO(mem_free)
    char *command = str_printf("test -z \"$(ls -A /proc/%d/fd/%d/ | grep tmp)\"", getpid(), fd);

    return system(command) == 0;
}

static int publish(int fd, const char *text)
{
    struct err err = ERR_INIT;
    AUTO(pubfile_free) struct pubfile *f = pubfile_open(fd, 0640, &err);
    struct stat st;

    if (f == NULL || fd_write_full(pubfile_fd(f), text, strlen(text), &err) < 0 ||
        pubfile_publish(f, "s", "name", true, &err) < 0)
        return -1;
    return fstatat(fd, "s/name", &st, 0) == 0 && (st.st_mode & 07777) == 0640 ? 0 : -1;
}

static int publish_thrice(int fd)
{
    struct err err = ERR_INIT;

    if (publish(fd, "first") < 0 || publish(fd, "second") < 0)
        return 1;
    if (!has(fd, "s/name", "first"))
        return 2;
    pubfile_free(pubfile_open(fd, 0640, &err));
    return has_no_temporary(fd) ? 0 : 3;
}

static int without_tmpfile(int fd)
{
    if (!deny(SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP))
        return CANNOT_FILTER;
    return publish_thrice(fd);
}

static int without_tmpfile_and_links(int fd)
{
    if (!deny(SYS_openat, 2, O_TMPFILE & ~O_DIRECTORY, EOPNOTSUPP) ||
        !deny(SYS_linkat, 0, 0, EPERM))
        return CANNOT_FILTER;
    return publish_thrice(fd);
}

static int without_copy_file_range(int fd)
{
    struct err err = ERR_INIT;
    uint64_t n = 0;

    if (!deny(SYS_copy_file_range, 0, 0, ENOSYS))
        return CANNOT_FILTER;
    if (file_replace(fd, "a", "text", 4, 0600, false, &err) < 0)
        return 1;
    AUTO(fd_close) int from = openat(fd, "a", O_RDONLY);
    AUTO(fd_close) int to = openat(fd, "b", O_WRONLY | O_CREAT, 0600);
    if (fd_copy(from, to, &n, &err) < 0 || n != 4)
        return 2;
    return has(fd, "b", "text") ? 0 : 3;
}

static int without_openat2(int fd)
{
    struct err err = ERR_INIT;

    if (!deny(SYS_openat2, 0, 0, ENOSYS))
        return CANNOT_FILTER;
    if (inroot_open(fd, "x", O_RDONLY, 0, &err) != ERR_UNSUPPORTED)
        return 1;
    return inroot_make_dir(fd, "x", 0755, &err) == ERR_UNSUPPORTED ? 0 : 2;
}

static int run_script(const char *script, struct cancel *c, int *ret_status)
{
    struct err err = ERR_INIT;
    struct proc_spec spec = {
        .argv = (const char *const[]){ "sh", "-c", script, NULL }, .in = -1, .out = -1, .err = -1
    };
    pid_t pid = proc_start(&spec, &err);

    return pid < 0 ? (int)pid : proc_wait(pid, c, SIGTERM, 1000, ret_status, &err);
}

static int without_pidfd(int fd UNUSED)
{
    AUTO(cancel_free) struct cancel *c = cancel_new();
    int status = 0;

    if (!deny(SYS_pidfd_open, 0, 0, ENOSYS))
        return CANNOT_FILTER;
    if (run_script("sleep 0.1; exit 5", c, &status) != 0 || status != 5)
        return 1;
    cancel_set(c, SIGINT);
    return run_script("exec sleep 60", c, &status) == ERR_CANCELLED ? 0 : 2;
}

static int without_close_range(int fd)
{
    int status = 0, leak = fcntl(fd, F_DUPFD, 200);
    AUTO(mem_free) char *script = str_printf("test ! -e /proc/self/fd/%d", leak);

    if (leak < 0 || !deny(SYS_close_range, 0, 0, EINVAL))
        return CANNOT_FILTER;
    return run_script(script, NULL, &status) == 0 && status == 0 ? 0 : 1;
}

static void publishing_works_without_o_tmpfile(void **state UNUSED)
{
    in_child(without_tmpfile);
}

static void publishing_works_without_hard_links(void **state UNUSED)
{
    in_child(without_tmpfile_and_links);
}

static void copying_works_without_copy_file_range(void **state UNUSED)
{
    in_child(without_copy_file_range);
}

static void a_kernel_without_openat2_is_named(void **state UNUSED)
{
    in_child(without_openat2);
}

static void waiting_works_without_pidfd(void **state UNUSED)
{
    in_child(without_pidfd);
}

static void fds_are_closed_without_close_range(void **state UNUSED)
{
    in_child(without_close_range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishing_works_without_o_tmpfile),
        cmocka_unit_test(publishing_works_without_hard_links),
        cmocka_unit_test(copying_works_without_copy_file_range),
        cmocka_unit_test(a_kernel_without_openat2_is_named),
        cmocka_unit_test(waiting_works_without_pidfd),
        cmocka_unit_test(fds_are_closed_without_close_range),
    };

    return UNIT_RUN("base_fallbacks", tests);
}
