#include "tests/unit/unit.h"

#include "base/buf.h"
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

struct dir {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    struct dir *d = mem_zalloc(sizeof(*d));

    d->fd = scratch_make(d->path);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct dir *d = *state;

    scratch_remove(d->fd, d->path);
    mem_free(d);
    return 0;
}

static void put(int dirfd, const char *path, const char *text)
{
    struct err err = ERR_INIT;

    assert_ok(file_replace(dirfd, path, text, strlen(text), 0644, false, &err), &err);
}

static void assert_content(int dirfd, const char *path, const char *want)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    assert_ok(file_read(dirfd, path, 1 << 20, &b, &err), &err);
    assert_string_equal(buf_str(&b), want);
}

static size_t count_entries(const char *path)
{
    AUTO(mem_free) char *command = str_printf("ls -A %s | wc -l", path);
    FILE *f = popen(command, "r");
    size_t n = 999;

    assert_int_equal(fscanf(f, "%zu", &n), 1);
    pclose(f);
    return n;
}

static void read_all_keeps_to_the_cap(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    put(d->fd, "f", "12345");
    buf_adds(&b, "old");
    assert_ok(file_read(d->fd, "f", 5, &b, &err), &err);
    assert_string_equal(buf_str(&b), "12345");
    assert_int_equal(file_read(d->fd, "f", 4, &b, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "'f'"));
    assert_int_equal(b.len, 0);
    assert_int_equal(file_read(d->fd, "g", 4, &b, &err), ERR_NOT_FOUND);
    /* A file that says it is empty and is not. */
    assert_ok(file_read(AT_FDCWD, "/proc/self/status", 1 << 20, &b, &err), &err);
    assert_non_null(strstr(buf_str(&b), "Pid:"));
}

static void full_reads_and_writes_survive_short_ones(void **state UNUSED)
{
    struct err err = ERR_INIT;
    int ends[2];
    size_t n = 0;
    char p[10];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0); /* one read, one packet */
    for (int i = 0; i < 4; i++)
        assert_ok(fd_write_full(ends[0], "ab", 2, &err), &err);
    fd_close(ends[0]);
    assert_ok(fd_read_full(ends[1], p, sizeof(p), &n, &err), &err);
    assert_int_equal(n, 8);
    assert_memory_equal(p, "abababab", 8);
    fd_close(ends[1]);
    assert_int_equal(fd_read_full(-1, p, 1, &n, &err), ERR_IO);
    assert_int_equal(fd_write_full(-1, p, 1, &err), ERR_IO);
    assert_int_equal(err.sys, EBADF);
}

static void copy_moves_the_rest_of_files_and_pipes(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    uint64_t n = 0;
    int ends[2];

    put(d->fd, "a", "0123456789");
    AUTO(fd_close) int from = openat(d->fd, "a", O_RDONLY);
    AUTO(fd_close) int to = openat(d->fd, "b", O_RDWR | O_CREAT, 0600);
    assert_int_equal(lseek(from, 4, SEEK_SET), 4);
    assert_ok(fd_copy(from, to, &n, &err), &err);
    assert_int_equal(n, 6);
    assert_content(d->fd, "b", "456789");
    assert_int_equal(pipe(ends), 0);
    assert_ok(fd_write_full(ends[1], "xyz", 3, &err), &err);
    fd_close(ends[1]);
    assert_ok(fd_copy(ends[0], to, &n, &err), &err);
    fd_close(ends[0]);
    assert_int_equal(n, 3);
    assert_content(d->fd, "b", "456789xyz");
    AUTO(fd_close) int proc = open("/proc/self/status", O_RDONLY);
    assert_ok(fd_copy(proc, to, &n, &err), &err);
    assert_true(n > 100);
}

static void replace_is_whole_and_has_exactly_the_mode(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    struct stat st;
    mode_t old = umask(077);

    assert_ok(file_replace(d->fd, "f", "one", 3, 0664, true, &err), &err);
    umask(old);
    assert_int_equal(fstatat(d->fd, "f", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0664);
    assert_ok(file_replace(d->fd, "f", "two", 3, 0600, false, &err), &err);
    assert_content(d->fd, "f", "two");
    assert_int_equal(count_entries(d->path), 1);
    assert_int_equal(file_replace(d->fd, "no/f", "x", 1, 0600, false, &err), ERR_NOT_FOUND);
}

static void replace_refuses_special_files_and_follows_links(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(mkfifoat(d->fd, "fifo", 0600), 0);
    assert_int_equal(file_replace(d->fd, "fifo", "x", 1, 0600, false, &err), ERR_IO);
    assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
    assert_int_equal(file_replace(d->fd, "dir", "x", 1, 0600, false, &err), ERR_IO);
    put(d->fd, "target", "kept");
    assert_int_equal(symlinkat("target", d->fd, "link"), 0);
    put(d->fd, "link", "new");
    assert_content(d->fd, "target", "new");
    assert_int_equal(fstatat(d->fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(count_entries(d->path), 4);
    assert_int_equal(symlinkat("../made", d->fd, "dir/dangling"), 0);
    assert_int_equal(symlinkat("dir/dangling", d->fd, "twice"), 0);
    put(d->fd, "twice", "far");
    assert_content(d->fd, "made", "far");
    assert_int_equal(symlinkat("loop", d->fd, "loop"), 0);
    assert_int_equal(file_replace(d->fd, "loop", "x", 1, 0600, false, &err), ERR_IO);
    assert_int_equal(err.sys, ELOOP);
}

static void dir_make_makes_all_and_takes_what_is_there(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;

    assert_ok(dir_make(d->fd, "a//b/c/", 0755, &err), &err);
    assert_ok(dir_make(d->fd, "a/b", 0755, &err), &err);
    AUTO(mem_free) char *absolute = str_printf("%s/x/y", d->path);
    assert_ok(dir_make(AT_FDCWD, absolute, 0755, &err), &err);
    AUTO(fd_close) int fd = dir_open(d->fd, "x/y", &err);
    assert_true(fd >= 0);
    put(d->fd, "file", "");
    assert_int_equal(dir_make(d->fd, "file", 0755, &err), ERR_IO);
    assert_int_equal(err.sys, ENOTDIR);
    assert_int_equal(dir_make(d->fd, "file/x", 0755, &err), ERR_IO);
    assert_int_equal(dir_make(d->fd, "", 0755, &err), ERR_NOT_FOUND);
    assert_int_equal(dir_open(d->fd, "none", &err), ERR_NOT_FOUND);
}

static void publish(int dirfd, const char *subdir, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    AUTO(pubfile_free) struct pubfile *f = pubfile_open(dirfd, 0444, &err);

    if (f == NULL)
        fail_msg("%s", err.msg);
    assert_ok(fd_write_full(pubfile_fd(f), text, strlen(text), &err), &err);
    assert_ok(pubfile_publish(f, subdir, name, true, &err), &err);
}

static void a_published_file_appears_whole_in_its_subdirectory(void **state)
{
    struct dir *d = *state;
    struct stat st;

    publish(d->fd, "", "top", "1");
    publish(d->fd, "ab/cd", "deep", "2");
    publish(d->fd, "ab/cd", "again", "3");
    assert_content(d->fd, "top", "1");
    assert_content(d->fd, "ab/cd/deep", "2");
    assert_content(d->fd, "ab/cd/again", "3");
    assert_int_equal(fstatat(d->fd, "top", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(count_entries(d->path), 2);
}

static void the_first_published_file_wins(void **state)
{
    struct dir *d = *state;

    publish(d->fd, "s", "name", "first");
    publish(d->fd, "s", "name", "second");
    assert_content(d->fd, "s/name", "first");
}

static void an_unpublished_file_leaves_nothing(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    struct pubfile *f = pubfile_open(d->fd, 0644, &err);

    assert_non_null(f);
    assert_ok(fd_write_full(pubfile_fd(f), "x", 1, &err), &err);
    pubfile_free(f);
    assert_int_equal(count_entries(d->path), 0);
    pubfile_free(NULL);
}

static void publishing_into_a_file_fails(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;

    put(d->fd, "file", "");
    AUTO(pubfile_free) struct pubfile *f = pubfile_open(d->fd, 0644, &err);
    assert_int_equal(pubfile_publish(f, "file", "x", false, &err), ERR_IO);
    assert_int_equal(err.sys, ENOTDIR);
}

static void opening_below_nothing_fails(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_null(pubfile_open(-1, 0644, &err));
    assert_int_equal(err.code, ERR_IO);
}

static void space_is_known(void **state)
{
    struct dir *d = *state;
    struct err err = ERR_INIT;
    uint64_t left = 0, total = 0;

    assert_ok(fs_space(d->fd, &left, &total, &err), &err);
    assert_true(total > 0 && left <= total);
    assert_int_equal(fs_space(-1, &left, &total, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(read_all_keeps_to_the_cap, setup, teardown),
        cmocka_unit_test(full_reads_and_writes_survive_short_ones),
        cmocka_unit_test_setup_teardown(copy_moves_the_rest_of_files_and_pipes, setup, teardown),
        cmocka_unit_test_setup_teardown(replace_is_whole_and_has_exactly_the_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(replace_refuses_special_files_and_follows_links, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(dir_make_makes_all_and_takes_what_is_there, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_published_file_appears_whole_in_its_subdirectory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_first_published_file_wins, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unpublished_file_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(publishing_into_a_file_fails, setup, teardown),
        cmocka_unit_test(opening_below_nothing_fails),
        cmocka_unit_test_setup_teardown(space_is_known, setup, teardown),
    };

    return UNIT_RUN("base_fs", tests);
}
