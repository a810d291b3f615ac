#include "tests/unit/unit.h"

#include "base/buf.h"
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

/* path/root is the root; path/secret and path/out lie outside of it. */
struct dir {
    char path[64];
    int fd, root;
};

static void put(int dirfd, const char *path, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(file_replace(dirfd, path, text, strlen(text), 0644, false, &err), &err);
}

static void link_to(int dirfd, const char *target, const char *path)
{
    assert_int_equal(symlinkat(target, dirfd, path), 0);
}

static int setup(void **state)
{
    struct err err = ERR_INIT;
    struct dir *d = mem_zalloc(sizeof(*d));

    d->fd = scratch_make(d->path);
    assert_ok(dir_make(d->fd, "root/etc", 0755, &err), &err);
    assert_ok(dir_make(d->fd, "root/usr/bin", 0755, &err), &err);
    assert_ok(dir_make(d->fd, "out", 0755, &err), &err);
    put(d->fd, "secret", "secret");
    put(d->fd, "root/etc/passwd", "inside");
    d->root = dir_open(d->fd, "root", &err);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct dir *d = *state;

    fd_close(d->root);
    scratch_remove(d->fd, d->path);
    mem_free(d);
    return 0;
}

static void assert_reads(int root, const char *path, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    assert_ok(inroot_read(root, path, 1000, &b, &err), &err);
    assert_string_equal(buf_str(&b), want);
}

static void absolute_and_dotted_paths_stay_inside(void **state)
{
    struct dir *d = *state;

    link_to(d->root, "/etc/passwd", "absolute");
    link_to(d->root, "../../../../../../etc/passwd", "climbing");
    link_to(d->root, "/", "slash");
    link_to(d->root, "../..", "usr/up");
    assert_reads(d->root, "etc/passwd", "inside");
    assert_reads(d->root, "/etc/passwd", "inside");
    assert_reads(d->root, "//etc/../etc/./passwd", "inside");
    assert_reads(d->root, "../../../etc/passwd", "inside");
    assert_reads(d->root, "absolute", "inside");
    assert_reads(d->root, "climbing", "inside");
    assert_reads(d->root, "slash/etc/passwd", "inside");
    assert_reads(d->root, "slash/slash/../slash/etc/passwd", "inside");
    assert_reads(d->root, "usr/up/etc/passwd", "inside");
}

static void nothing_outside_is_reached(void **state)
{
    struct dir *d = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(mem_free) char *secret = str_printf("%s/secret", d->path);
    const char *const paths[] = { "../secret", "/../secret", "usr/../../secret", "link",
                                  "up/secret", "none",       "etc/passwd/x" };

    link_to(d->root, secret, "link");
    link_to(d->root, "..", "up");
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct err err = ERR_INIT;
        if (inroot_read(d->root, paths[i], 1000, &b, &err) != ERR_NOT_FOUND)
            fail_msg("'%s': '%s' %s", paths[i], buf_str(&b), err.msg);
    }
}

static void proc_links_are_no_way_out(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    AUTO(mem_free) char *magic = str_printf("fd/%d", d->fd);
    AUTO(fd_close) int proc = open("/proc/self", O_RDONLY | O_DIRECTORY);

    assert_int_equal(inroot_open(proc, magic, O_RDONLY, 0, &err), ERR_IO);
    assert_int_equal(err.sys, ELOOP);
}

static void empty_and_slash_are_the_root(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    struct stat want, st;
    const char *const paths[] = { "", "/", ".", "..", "//", "/..", "etc/.." };

    assert_int_equal(fstat(d->root, &want), 0);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        AUTO(fd_close) int fd = inroot_open(d->root, paths[i], O_RDONLY | O_DIRECTORY, 0, &err);
        assert_ok(fd, &err);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_ino, want.st_ino);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        AUTO(fd_close) int made = inroot_make_dir(d->root, paths[i], 0755, &err);
        assert_ok(made, &err);
    }
}

static void a_file_is_made_through_a_link(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;

    link_to(d->root, "/usr/bin", "bin");
    AUTO(fd_close)
    int fd = inroot_open(d->root, "bin/tool", O_WRONLY | O_CREAT | O_EXCL, S_IFREG | 0755, &err);
    assert_ok(fd, &err);
    assert_ok(fd_write_full(fd, "x", 1, &err), &err);
    assert_reads(d->root, "usr/bin/tool", "x");
}

static void the_parent_is_found_and_the_leaf_left_alone(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    struct stat st;
    const char *leaf = NULL;

    link_to(d->root, "/usr/bin", "bin");
    link_to(d->root, "/../../secret", "usr/bin/trap");
    AUTO(fd_close) int parent = inroot_open_parent(d->root, "/bin/trap", &leaf, &err);
    assert_ok(parent, &err);
    assert_string_equal(leaf, "trap");
    assert_int_equal(fstatat(parent, leaf, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    AUTO(fd_close) int top = inroot_open_parent(d->root, "etc", &leaf, &err);
    assert_ok(top, &err);
    assert_string_equal(leaf, "etc");
    assert_int_equal(inroot_open_parent(d->root, "none/x", &leaf, &err), ERR_NOT_FOUND);
}

static void a_parent_needs_a_leaf_that_stays_in_it(void **state)
{
    struct dir *d = *state;
    const char *const paths[] = { "", "/", ".", "..", "usr/..", "usr/.", "usr/", "../" };
    const char *leaf = "untouched";

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(inroot_open_parent(d->root, paths[i], &leaf, &err), ERR_USAGE);
    }
    assert_string_equal(leaf, "untouched");
}

static void assert_makes(int root, const char *path, const char *where)
{
    struct err err = ERR_INIT;
    struct stat a, b;
    AUTO(fd_close) int fd = inroot_make_dir(root, path, 0751, &err);

    assert_ok(fd, &err);
    assert_int_equal(fstat(fd, &a), 0);
    assert_int_equal(fstatat(root, where, &b, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_mode & 07777, 0751);
}

static void make_dir_follows_links_inside_only(void **state)
{
    struct dir *d = *state;
    mode_t old = umask(077);

    link_to(d->root, "/usr/bin", "bin");
    link_to(d->root, "/var/run/deep", "dangling");
    link_to(d->root, "../../../../climbed/", "usr/climbing");
    link_to(d->root, "dangling", "twice");
    assert_makes(d->root, "a/b/c", "a/b/c");
    assert_makes(d->root, "/x//y/", "x/y");
    assert_makes(d->root, "bin/sub", "usr/bin/sub");
    assert_makes(d->root, "dangling/more", "var/run/deep/more");
    assert_makes(d->root, "twice/again", "var/run/deep/again");
    assert_makes(d->root, "usr/climbing/z", "climbed/z");
    assert_makes(d->root, "new/../other", "other");
    assert_makes(d->root, "../../top", "top");
    umask(old);
}

static void make_dir_fails_on_files_and_loops(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;

    link_to(d->root, "loop", "loop");
    link_to(d->root, "pong/x", "ping");
    link_to(d->root, "ping/x", "pong");
    assert_int_equal(inroot_make_dir(d->root, "etc/passwd", 0755, &err), ERR_IO);
    assert_int_equal(err.sys, ENOTDIR);
    assert_int_equal(inroot_make_dir(d->root, "etc/passwd/x", 0755, &err), ERR_IO);
    assert_int_equal(inroot_make_dir(d->root, "loop/x", 0755, &err), ERR_IO);
    assert_int_equal(err.sys, ELOOP);
    assert_int_equal(inroot_make_dir(d->root, "ping", 0755, &err), ERR_IO);
}

static void read_takes_regular_files_only(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    assert_int_equal(mkfifoat(d->root, "fifo", 0600), 0);
    assert_int_equal(inroot_read(d->root, "fifo", 10, &b, &err), ERR_IO); /* and does not hang */
    assert_int_equal(inroot_read(d->root, "etc", 10, &b, &err), ERR_IO);
    assert_int_equal(inroot_read(d->root, "etc/passwd", 5, &b, &err), ERR_CORRUPT);
    if (mknodat(d->root, "zero", S_IFCHR | 0666, 0x105) == 0)
        assert_int_equal(inroot_read(d->root, "zero", 10, &b, &err), ERR_IO);
}

struct race {
    struct dir *d;
    int stop;
};

/* Moves a directory in and out of the root while the other side goes up from it. */
static void *move_about(void *arg)
{
    struct race *r = arg;

    while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
        renameat(r->d->root, "m/n", r->d->fd, "out/n");
        renameat(r->d->fd, "out/n", r->d->root, "m/n");
    }
    return NULL;
}

static void renames_meanwhile_open_no_way_out(void **state)
{
    struct dir *d = *state;
    struct race race = { .d = d };
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    pthread_t thread;

    assert_ok(dir_make(d->root, "m/n/o", 0755, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, move_about, &race), 0);
    for (int i = 0; i < 3000; i++) {
        int r = inroot_read(d->root, "m/n/o/../../../../secret", 100, &b, &err);
        if (r != ERR_NOT_FOUND)
            fail_msg("%d: '%s' %s", r, buf_str(&b), err.msg);
    }
    __atomic_store_n(&race.stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

static void *make_same(void *arg)
{
    struct dir *d = arg;

    for (int i = 0; i < 200; i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *path = str_printf("same/%d/x", i);
        AUTO(fd_close) int fd = inroot_make_dir(d->root, path, 0755, &err);
        if (fd < 0)
            return arg;
    }
    return NULL;
}

static void two_threads_make_the_same_directories(void **state)
{
    pthread_t threads[2];
    void *bad;

    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_same, *state), 0);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(absolute_and_dotted_paths_stay_inside),
        CASE(nothing_outside_is_reached),
        CASE(proc_links_are_no_way_out),
        CASE(empty_and_slash_are_the_root),
        CASE(a_file_is_made_through_a_link),
        CASE(the_parent_is_found_and_the_leaf_left_alone),
        CASE(a_parent_needs_a_leaf_that_stays_in_it),
        CASE(make_dir_follows_links_inside_only),
        CASE(make_dir_fails_on_files_and_loops),
        CASE(read_takes_regular_files_only),
        CASE(renames_meanwhile_open_no_way_out),
        CASE(two_threads_make_the_same_directories),
    };

    return UNIT_RUN("base_inroot", tests);
}
