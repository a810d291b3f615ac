/* Mounts, in child processes with mount namespaces of their own: needs root. */
#include "tests/unit/unit.h"

#include "exec/overlay_internal.h"
#include "exec/stub_internal.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define LONG \
    "a-directory-name-that-is-long-enough-for-forty-of-them-to-fill-a-page-of-mount-options"

struct dirs {
    char path[64];
    enum overlay_marks marks;
    int fd;
    struct strv lowers;
    char *upper, *work, *names, *target;
};

static char *sub(struct dirs *d, const char *name)
{
    struct err err = ERR_INIT;

    assert_ok(dir_make(d->fd, name, 0755, &err), &err);
    return path_join(d->path, name);
}

static int dirs_setup(void **state)
{
    struct dirs *d = mem_zalloc(sizeof(*d));

    d->fd = scratch_make(d->path);
    d->upper = sub(d, "upper");
    d->work = sub(d, "work");
    d->names = sub(d, "names");
    d->target = sub(d, "target");
    *state = d;
    return 0;
}

static int dirs_teardown(void **state)
{
    struct dirs *d = *state;

    scratch_remove(d->fd, d->path);
    strv_release(&d->lowers);
    mem_free(d->upper);
    mem_free(d->work);
    mem_free(d->names);
    mem_free(d->target);
    mem_free(d);
    return 0;
}

static void put(struct dirs *d, const char *path, const char *text)
{
    AUTO(mem_free) char *dir = path_dir(path);
    struct err err = ERR_INIT;

    assert_ok(dir_make(d->fd, dir, 0755, &err), &err);
    assert_ok(file_replace(d->fd, path, text, strlen(text), 0644, false, &err), &err);
}

/* Runs fn where its mounts are its own; it returns 0 when all was well, else says why on stderr. */
static void in_namespace(int (*fn)(struct dirs *d), struct dirs *d)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
            _exit(99);
        _exit(fn(d));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

#define TRY(expr)                                                                   \
    do {                                                                            \
        if (!(expr)) {                                                              \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #expr, strerror(errno)); \
            return 1;                                                               \
        }                                                                           \
    } while (0)

static int try_mount(struct dirs *d, bool classic, bool with_upper)
{
    struct overlay o = { .lowers = &d->lowers,
                         .upper = with_upper ? d->upper : NULL,
                         .work = with_upper ? d->work : NULL,
                         .names = d->names,
                         .classic = classic,
                         .marks = d->marks };
    struct err err = ERR_INIT;

    if (overlay_mount(&o, d->target, &err) == 0)
        return 0;
    fprintf(stderr, "overlay_mount: %s\n", err.msg);
    return 1;
}

static bool holds(struct dirs *d, const char *path, const char *want)
{
    AUTO(mem_free) char *full = path_join(d->target, path);
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct err err = ERR_INIT;

    return file_read(AT_FDCWD, full, 4096, &b, &err) == 0 && str_eq(buf_str(&b), want);
}

static void make_many(struct dirs *d, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTO(mem_free) char *dir = str_printf("%s-%zu", LONG, i);
        AUTO(mem_free) char *own = str_printf("%s/own-%zu", dir, i);
        AUTO(mem_free) char *same = str_printf("%s/same", dir);
        AUTO(mem_free) char *text = str_printf("%zu", i);
        put(d, own, text);
        put(d, same, text);
        strv_take(&d->lowers, path_join(d->path, dir));
    }
}

static int check_many(struct dirs *d, bool classic)
{
    TRY(try_mount(d, classic, true) == 0);
    TRY(holds(d, "same", "299"));
    TRY(holds(d, "own-0", "0"));
    TRY(holds(d, "own-150", "150"));
    AUTO(mem_free) char *path = path_join(d->target, "new");
    TRY(mkdir(path, 0755) == 0);
    return 0;
}

static int many_by_fd(struct dirs *d)
{
    return check_many(d, false);
}

static int many_classic(struct dirs *d)
{
    return check_many(d, true);
}

static void three_hundred_directories_by_the_new_calls(void **state)
{
    make_many(*state, 300);
    in_namespace(many_by_fd, *state);
}

static void three_hundred_directories_by_mount_2(void **state)
{
    make_many(*state, 300);
    in_namespace(many_classic, *state);
}

static int twice(struct dirs *d)
{
    TRY(try_mount(d, false, true) == 0);
    TRY(holds(d, "x/f", "of a"));
    TRY(holds(d, "x/g", "of b"));
    return 0;
}

static void one_directory_may_come_twice(void **state)
{
    struct dirs *d = *state;

    put(d, "a/x/f", "of a");
    put(d, "b/x/f", "of b");
    put(d, "b/x/g", "of b");
    strv_take(&d->lowers, path_join(d->path, "a"));
    strv_take(&d->lowers, path_join(d->path, "b"));
    strv_take(&d->lowers, path_join(d->path, "a"));
    in_namespace(twice, d);
}

static int none(struct dirs *d)
{
    TRY(try_mount(d, false, true) == 0);
    AUTO(mem_free) char *path = path_join(d->target, "new");
    TRY(mkdir(path, 0755) == 0);
    return 0;
}

static void no_directory_below_is_an_empty_root(void **state)
{
    in_namespace(none, *state);
}

static int read_only(struct dirs *d)
{
    TRY(try_mount(d, true, false) == 0);
    TRY(holds(d, "f", "1"));
    AUTO(mem_free) char *path = path_join(d->target, "new");
    TRY(mkdir(path, 0755) < 0 && errno == EROFS);
    return 0;
}

static void without_an_upper_directory_it_is_read_only(void **state)
{
    struct dirs *d = *state;

    put(d, "a/f", "1");
    strv_take(&d->lowers, path_join(d->path, "a"));
    in_namespace(read_only, d);
}

/* Renaming a directory from below copies it, as redirects are off: upper stands alone. */
static int rename_is_refused(struct dirs *d)
{
    AUTO(mem_free) char *from = path_join(d->target, "x");
    AUTO(mem_free) char *to = path_join(d->target, "y");

    TRY(try_mount(d, false, true) == 0);
    TRY(rename(from, to) < 0 && errno == EXDEV);
    AUTO(mem_free) char *file = path_join(d->target, "x/f");
    TRY(chmod(file, 0600) == 0);
    AUTO(mem_free) char *copied = path_join(d->upper, "x/f");
    char value[64];
    TRY(getxattr(copied, "trusted.overlay.metacopy", value, sizeof(value)) < 0);
    TRY(getxattr(d->upper, "trusted.overlay.uuid", value, sizeof(value)) < 0);
    return 0;
}

static void upper_needs_nothing_beside_itself(void **state)
{
    struct dirs *d = *state;

    put(d, "a/x/f", "1");
    strv_take(&d->lowers, path_join(d->path, "a"));
    in_namespace(rename_is_refused, d);
}

static void mark(struct dirs *d, const char *dir, const char *name)
{
    AUTO(mem_free) char *path = path_join(d->path, dir);

    assert_int_equal(setxattr(path, name, "y", 1, 0), 0);
}

static int user_marks(struct dirs *d, bool classic)
{
    AUTO(mem_free) char *dir = path_join(d->target, "x");
    AUTO(mem_free) char *copied = path_join(d->upper, "x");
    char value[64];

    d->marks = OVERLAY_MARKS_USER;
    TRY(try_mount(d, classic, true) == 0);
    TRY(!holds(d, "x/f", "1") && holds(d, "y/f", "1"));
    TRY(holds(d, "x/new", "1") && holds(d, "y/new", "1"));
    AUTO(mem_free) char *file = path_join(d->target, "x/new");
    TRY(unlink(file) == 0 && rmdir(dir) == 0 && mkdir(dir, 0700) == 0);
    TRY(getxattr(copied, "user.overlay.opaque", value, sizeof(value)) == 1);
    TRY(getxattr(copied, "trusted.overlay.opaque", value, sizeof(value)) < 0);
    return 0;
}

static int user_marks_by_fd(struct dirs *d)
{
    return user_marks(d, false);
}

static int user_marks_classic(struct dirs *d)
{
    return user_marks(d, true);
}

static int root_marks(struct dirs *d)
{
    TRY(try_mount(d, false, true) == 0);
    TRY(holds(d, "x/f", "1") && !holds(d, "y/f", "1"));
    return 0;
}

/* In x a mark of user namespaces, in y one of the machine's root. */
static void put_marks(struct dirs *d)
{
    static const char *const files[] = { "a/x/f", "a/y/f", "b/x/new", "b/y/new" };

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        put(d, files[i], "1");
    mark(d, "b/x", "user.overlay.opaque");
    mark(d, "b/y", "trusted.overlay.opaque");
    strv_take(&d->lowers, path_join(d->path, "a"));
    strv_take(&d->lowers, path_join(d->path, "b"));
}

static void marks_of_a_user_namespace_are_read_and_written_there(void **state)
{
    put_marks(*state);
    in_namespace(user_marks_by_fd, *state);
}

static void by_mount_too(void **state)
{
    put_marks(*state);
    in_namespace(user_marks_classic, *state);
}

static void the_machines_root_does_not_read_them(void **state)
{
    put_marks(*state);
    in_namespace(root_marks, *state);
}

static int on_proc(struct dirs *d)
{
    struct overlay o = { .lowers = &d->lowers,
                         .upper = "/proc/self/fdinfo",
                         .work = "/proc/self/task",
                         .names = d->names };
    struct err err = ERR_INIT;

    TRY(overlay_mount(&o, d->target, &err) == ERR_UNSUPPORTED);
    TRY(strstr(err.msg, "the store must be on a file system") != NULL);
    return 0;
}

static void file_system_that_cannot_is_named_with_what_to_do(void **state)
{
    in_namespace(on_proc, *state);
}

/* ---- mount points ---- */

static struct timespec mtime_of(int dirfd, const char *path)
{
    struct stat st;

    assert_int_equal(fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st.st_mtim;
}

static void age(int dirfd, const char *path)
{
    const struct timespec times[] = { { .tv_sec = 1000 }, { .tv_sec = 1000, .tv_nsec = 7 } };

    assert_int_equal(utimensat(dirfd, path, times, 0), 0);
}

static void stubs_come_and_go_with_the_times_as_before(void **state)
{
    struct dirs *d = *state;
    AUTO(stubs_free) struct stubs *s = stubs_new(d->fd);
    AUTO(strv_release) struct strv gone = STRV_INIT;
    struct err err = ERR_INIT;

    put(d, "etc/passwd", "x");
    age(d->fd, "etc");
    assert_ok(stubs_make(s, "etc/hosts", false, &err), &err);
    assert_ok(stubs_make(s, "etc/passwd", false, &err), &err);
    assert_ok(stubs_make(s, "etc/a/b/c", true, &err), &err);
    assert_int_equal(faccessat(d->fd, "etc/a/b/c", F_OK, 0), 0);
    assert_int_equal(mtime_of(d->fd, "etc").tv_nsec, 7);
    stubs_remove(s, &gone);
    AUTO(mem_free) char *all = strv_join(&gone, " ");
    assert_string_equal(all, "etc/a/b/c etc/a/b etc/a etc/hosts");
    assert_int_equal(mtime_of(d->fd, "etc").tv_sec, 1000);
    assert_int_equal(faccessat(d->fd, "etc/passwd", F_OK, 0), 0);
    assert_true(faccessat(d->fd, "etc/a", F_OK, 0) < 0);
}

static void stubs_that_were_used_or_replaced_stay(void **state)
{
    struct dirs *d = *state;
    AUTO(stubs_free) struct stubs *s = stubs_new(d->fd);
    AUTO(strv_release) struct strv gone = STRV_INIT;
    struct err err = ERR_INIT;

    put(d, "victim/file", "x");
    assert_ok(stubs_make(s, "full/dir", true, &err), &err);
    assert_ok(stubs_make(s, "written", false, &err), &err);
    assert_ok(stubs_make(s, "replaced", false, &err), &err);
    assert_ok(stubs_make(s, "linked/file", false, &err), &err);
    put(d, "full/dir/x", "");
    put(d, "written", "now with text");
    assert_int_equal(unlinkat(d->fd, "replaced", 0), 0);
    put(d, "replaced", "");
    /* A step moves the directory and puts a link to another place under its name. */
    assert_int_equal(renameat(d->fd, "linked", d->fd, "moved"), 0);
    put(d, "target/file", "");
    assert_int_equal(symlinkat("target", d->fd, "linked"), 0);
    stubs_remove(s, &gone);
    assert_int_equal(faccessat(d->fd, "full/dir/x", F_OK, 0), 0);
    assert_int_equal(faccessat(d->fd, "written", F_OK, 0), 0);
    assert_int_equal(faccessat(d->fd, "replaced", F_OK, 0), 0);
    assert_int_equal(faccessat(d->fd, "target/file", F_OK, 0), 0);
    assert_true(faccessat(d->fd, "moved/file", F_OK, 0) < 0);
}

static void stub_gets_a_mode_only_where_it_was_made(void **state)
{
    struct dirs *d = *state;
    AUTO(stubs_free) struct stubs *s = stubs_new(d->fd);
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(mkdirat(d->fd, "old", 0700), 0);
    assert_ok(stubs_make(s, "old", true, &err), &err);
    stubs_set_mode(s, "old", 01777);
    assert_int_equal(fstatat(d->fd, "old", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_ok(stubs_make(s, "new/dir", true, &err), &err);
    stubs_set_mode(s, "new/dir", 01777);
    assert_int_equal(fstatat(d->fd, "new/dir", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 01777);
    assert_int_equal(fstatat(d->fd, "new", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

static void stub_in_the_way_of_something_else_is_refused(void **state)
{
    struct dirs *d = *state;
    AUTO(stubs_free) struct stubs *s = stubs_new(d->fd);
    struct err err = ERR_INIT;

    put(d, "file", "x");
    assert_int_equal(symlinkat("/etc", d->fd, "link"), 0);
    assert_int_equal(stubs_make(s, "file", true, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.msg, "cannot mount a directory on '/file': a file is there");
    assert_int_equal(stubs_make(s, "file/below", true, &err), ERR_UNSUPPORTED);
    assert_int_equal(stubs_make(s, "link", false, &err), ERR_UNSUPPORTED);
    assert_int_equal(stubs_make(s, "link/x", false, &err), ERR_UNSUPPORTED);
    assert_true(access("/etc/x", F_OK) < 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, dirs_setup, dirs_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(three_hundred_directories_by_the_new_calls),
        CASE(three_hundred_directories_by_mount_2),
        CASE(one_directory_may_come_twice),
        CASE(no_directory_below_is_an_empty_root),
        CASE(without_an_upper_directory_it_is_read_only),
        CASE(upper_needs_nothing_beside_itself),
        CASE(marks_of_a_user_namespace_are_read_and_written_there),
        CASE(by_mount_too),
        CASE(the_machines_root_does_not_read_them),
        CASE(file_system_that_cannot_is_named_with_what_to_do),
        CASE(stubs_come_and_go_with_the_times_as_before),
        CASE(stubs_that_were_used_or_replaced_stay),
        CASE(stub_gets_a_mode_only_where_it_was_made),
        CASE(stub_in_the_way_of_something_else_is_refused),
    };
    return UNIT_RUN("exec_overlay", tests);
}
