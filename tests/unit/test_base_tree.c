#include "tests/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CANNOT_MOUNT 77

static void touch(int dirfd, const char *name)
{
    AUTO(fd_close) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
}

static bool exists(int dirfd, const char *name)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* depth levels of "dddd", each with a file; far longer than PATH_MAX. */
static void make_deep(int dirfd, int depth)
{
    int fd = dup(dirfd);

    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, "dddd", 0700), 0);
        touch(fd, "file");
        int next = openat(fd, "dddd", O_RDONLY | O_DIRECTORY);
        fd_close(fd);
        assert_true(next >= 0);
        fd = next;
    }
    fd_close(fd);
}

static void a_deep_tree_goes_with_few_fds(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct rlimit old, few = { 32, 32 };
    char path[64];
    int fd = scratch_make(path);

    assert_int_equal(mkdirat(fd, "top", 0700), 0);
    AUTO(fd_close) int top = openat(fd, "top", O_RDONLY | O_DIRECTORY);
    make_deep(top, 3000);
    getrlimit(RLIMIT_NOFILE, &old);
    few.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_NOFILE, &few);
    int r = tree_remove(fd, "top", &err);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_ok(r, &err);
    assert_false(exists(fd, "top"));
    scratch_remove(fd, path);
}

static void a_broad_tree_goes(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char path[64];
    int fd = scratch_make(path);

    for (int i = 0; i < 500; i++) {
        AUTO(mem_free) char *dir = str_printf("t/%d/x", i);
        assert_ok(dir_make(fd, dir, 0700, &err), &err);
        AUTO(mem_free) char *file = str_printf("t/%d/file", i);
        touch(fd, file);
    }
    assert_ok(tree_remove(fd, "t", &err), &err);
    assert_false(exists(fd, "t"));
    scratch_remove(fd, path);
}

static void links_are_removed_not_followed(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char path[64];
    int fd = scratch_make(path);

    assert_ok(dir_make(fd, "keep/sub", 0700, &err), &err);
    touch(fd, "keep/file");
    assert_ok(dir_make(fd, "t/a", 0700, &err), &err);
    assert_int_equal(symlinkat("../keep", fd, "t/link"), 0);
    assert_int_equal(symlinkat("../../keep/", fd, "t/a/link"), 0);
    assert_int_equal(symlinkat("keep", fd, "toplink"), 0);
    assert_int_equal(mkfifoat(fd, "t/fifo", 0600), 0);
    assert_ok(tree_remove(fd, "t", &err), &err);
    assert_ok(tree_remove(fd, "toplink/", &err), &err);
    assert_false(exists(fd, "t"));
    assert_false(exists(fd, "toplink"));
    assert_true(exists(fd, "keep/sub"));
    assert_true(exists(fd, "keep/file"));
    scratch_remove(fd, path);
}

static void missing_is_fine_and_dots_are_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char path[64];
    int fd = scratch_make(path);

    assert_ok(tree_remove(fd, "none", &err), &err);
    assert_ok(tree_remove(fd, "none/below", &err), &err);
    touch(fd, "file");
    assert_ok(tree_remove(fd, "file", &err), &err);
    assert_int_equal(tree_remove(fd, "", &err), ERR_USAGE);
    assert_int_equal(tree_remove(fd, ".", &err), ERR_USAGE);
    assert_int_equal(tree_remove(fd, "x/../..", &err), ERR_USAGE);
    assert_int_equal(tree_remove(fd, "/", &err), ERR_USAGE);
    scratch_remove(fd, path);
}

/* Runs test in a child, as another user where we are root. */
static int in_child(int (*test)(int fd), int fd, uid_t uid)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (uid != 0 && (setgid(uid) < 0 || setuid(uid) < 0))
            _exit(98);
        _exit(test(fd));
    }
    assert_true(pid > 0);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static int remove_locked(int fd)
{
    struct err err = ERR_INIT;

    if (dir_make(fd, "t/a/b", 0700, &err) < 0 || dir_make(fd, "t/c", 0700, &err) < 0)
        return 1;
    fd_close(openat(fd, "t/a/file", O_CREAT | O_WRONLY, 0));
    if (fchmodat(fd, "t/a/b", 0000, 0) < 0 || fchmodat(fd, "t/a", 0500, 0) < 0 ||
        fchmodat(fd, "t/c", 0000, 0) < 0 || fchmodat(fd, "t", 0000, 0) < 0)
        return 2;
    if (tree_remove(fd, "t", &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 3;
    }
    return exists(fd, "t") ? 4 : 0;
}

static void directories_without_permissions_go_for_their_owner(void **state UNUSED)
{
    char path[64];
    int fd = scratch_make(path);

    assert_int_equal(fchmod(fd, 0777), 0);
    assert_int_equal(in_child(remove_locked, fd, geteuid() == 0 ? 65534 : 0), 0);
    scratch_remove(fd, path);
}

/* Paths, not fds: those lead to the mounts of the namespace that was left. */
static int remove_around_mount(int fd)
{
    struct err err = ERR_INIT;
    char link[64], path[256] = "";

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof(path) - 1) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return CANNOT_MOUNT;
    AUTO(mem_free) char *from = str_printf("%s/keep", path);
    AUTO(mem_free) char *at = str_printf("%s/t/mnt", path);
    AUTO(mem_free) char *tree = str_printf("%s/t", path);
    if (mount(from, at, NULL, MS_BIND, NULL) < 0) /* the same file system: st_dev tells nothing */
        return CANNOT_MOUNT;
    if (tree_remove(AT_FDCWD, tree, &err) != ERR_IO || err.sys != EBUSY)
        return 1;
    if (tree_remove(AT_FDCWD, at, &err) != ERR_IO || err.sys != EBUSY)
        return 2;
    return exists(fd, "keep/file") && !exists(fd, "t/zz") && !exists(fd, "t/aa") ? 0 : 3;
}

static void a_bind_mount_inside_is_not_entered(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char path[64];
    int fd = scratch_make(path);

    assert_ok(dir_make(fd, "t/mnt", 0700, &err), &err);
    assert_ok(dir_make(fd, "t/aa/x", 0700, &err), &err);
    assert_ok(dir_make(fd, "t/zz/x", 0700, &err), &err);
    assert_ok(dir_make(fd, "keep", 0700, &err), &err);
    touch(fd, "keep/file");
    int r = in_child(remove_around_mount, fd, 0);
    scratch_remove(fd, path);
    if (r == CANNOT_MOUNT)
        skip();
    assert_int_equal(r, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deep_tree_goes_with_few_fds),
        cmocka_unit_test(a_broad_tree_goes),
        cmocka_unit_test(links_are_removed_not_followed),
        cmocka_unit_test(missing_is_fine_and_dots_are_refused),
        cmocka_unit_test(directories_without_permissions_go_for_their_owner),
        cmocka_unit_test(a_bind_mount_inside_is_not_entered),
    };

    return UNIT_RUN("base_tree", tests);
}
