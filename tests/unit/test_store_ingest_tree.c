/* Trees that are made while a layer is ingested: the same as those that are unpacked later, or
 * none. */
#include "tests/unit/store_scratch.h"

#include "base/fs.h"
#include "store/layer.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define BIG ((size_t)300 << 10)

static const struct tar_member members[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/passwd", '0', 0644, 0, 0, "root:x:0:0:root:/root:/bin/sh\n", 0, 0 },
    { "usr/bin/", '5', 0711, 3, 4, NULL, 0, 0 },
    { "usr/bin/tool", '0', 04755, 5, 6, "#!/bin/sh\n", 0, 0 },
    { "usr/bin/same", '0', 0600, 1, 1, "#!/bin/sh\n", 0, 0 },
    { "usr/bin/alias", '1', 04755, 5, 6, "usr/bin/tool", 0, 0 },
    { "usr/bin/link", '2', 0777, 7, 8, "/etc/passwd", 0, 0 },
    { "dev/null", '3', 0666, 0, 0, NULL, 1, 3 },
    { "dev/fifo", '6', 0600, 0, 0, NULL, 0, 0 },
    { "var/.wh.gone", '0', 0644, 0, 0, NULL, 0, 0 },
    { "var/lib/", '5', 01777, 0, 0, NULL, 0, 0 },
    { "var/lib/.wh..wh..opq", '0', 0644, 0, 0, NULL, 0, 0 },
    { "var/lib/empty", '0', 0, 0, 0, NULL, 0, 0 },
};
/* Members that come more than once, by way of links, or under names that others take over. */
static const struct tar_member odd[] = {
    { "a", '0', 0644, 0, 0, "one", 0, 0 },
    { "kept", '1', 0644, 0, 0, "a", 0, 0 },
    { "a", '0', 0644, 0, 0, "two", 0, 0 },
    { "real/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "way", '2', 0777, 0, 0, "/real", 0, 0 },
    { "way/file", '0', 0644, 0, 0, "through a link", 0, 0 },
    { "dir/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "dir/gone", '0', 0644, 0, 0, "gone", 0, 0 },
    { "dir", '2', 0777, 0, 0, "../../../../real", 0, 0 },
    { "dir/out", '0', 0644, 0, 0, "not outside", 0, 0 },
    { "zz", '0', 0644, 0, 0, "same", 0, 0 },
    { "aa", '1', 0644, 0, 0, "zz", 0, 0 },
};

static const struct layer *ingest(struct scratch *x, const struct buf *tar, bool with_tree,
                                  const struct diff_id *want)
{
    AUTO(source_free) struct source *from = source_mem(tar->data, tar->len);

    return with_tree ? layer_ingest_tree(x->store, from, NULL, 0, want, &x->err)
                     : layer_ingest(x->store, from, NULL, 0, want, &x->err);
}

/* All that can be seen of a tree. What no member sets the time of has today's. */
static void describe(const char *tree, struct buf *ret)
{
    static const char see[] =
        "find . -mindepth 1 -printf '%p %y %m %U:%G %n %l\\n' | sort &&"
        "find . -mtime +1 -printf '%p %T@\\n' | sort && find . -type f | sort | xargs cksum &&"
        "find . -type c | sort | xargs -r stat -c '%n %t:%T' &&"
        "getfattr -R -d -m - . 2>/dev/null | sort";
    AUTO(mem_free) char *command = str_printf("cd '%s' && %s", tree, see);
    FILE *p = popen(command, "r");
    char line[4096];

    assert_non_null(p);
    while (fgets(line, sizeof(line), p) != NULL)
        buf_adds(ret, line);
    assert_int_equal(pclose(p), 0);
}

static void assert_no_scratch(struct scratch *x)
{
    AUTO(mem_free) char *command = str_printf("ls '%s'/work/*/ | grep -q loose", x->root);

    assert_int_not_equal(system(command), 0);
}

static void assert_same_tree(struct scratch *x, const struct tar_member *m, size_t n)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf at_once = BUF_INIT;
    AUTO(buf_release) struct buf later = BUF_INIT;

    tar_make(&tar, m, n);
    const struct layer *l = ingest(x, &tar, true, NULL);
    if (l == NULL)
        fail_msg("%s", x->err.msg);
    assert_true(layer_has_tree(x->store, l));
    assert_no_scratch(x);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    describe(tree, &at_once);
    store_close(TAKE(x->store));
    snprintf(x->root, sizeof(x->root), "%s/other", x->path);
    store_again(x);
    l = ingest(x, &tar, false, NULL);
    assert_non_null(l);
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *other = layer_tree(x->store, l, &x->err);
    describe(other, &later);
    assert_true(at_once.len > 100);
    assert_string_equal(buf_str(&at_once), buf_str(&later));
}

static void a_tree_made_at_once_is_the_one_that_is_unpacked_later(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_same_tree(*state, members, ARRAY_LEN(members));
}

static void the_same_holds_for_odd_tars(void **state)
{
    assert_same_tree(*state, odd, ARRAY_LEN(odd));
}

static void bytes_that_are_not_as_promised_leave_no_tree(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    struct diff_id right;
    AUTO(mem_free) char *none = str_printf("test -z \"$(ls '%s/trees')\"", x->root);

    tar_make(&tar, odd, ARRAY_LEN(odd));
    digest_of(tar.data, tar.len, &right.d);
    struct diff_id wrong = right;
    wrong.d.b[0] ^= 1;
    assert_null(ingest(x, &tar, true, &wrong));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    assert_int_equal(system(none), 0);
    assert_no_scratch(x);
    err_clear(&x->err);
    tar.len -= 700; /* cut off */
    assert_null(ingest(x, &tar, true, &right));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    assert_int_equal(system(none), 0);
    assert_no_scratch(x);
}

/* Zeros: small as a blob, large as a file. */
static void a_file_that_cannot_be_written_costs_the_tree_alone(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct rlimit old, small;

    for (size_t i = 0; i < BIG; i++)
        buf_addc(&text, 'x');
    tar_add(&tar, &(struct tar_member){ "first", '0', 0644, 0, 0, "first", 0, 0 });
    tar_add(&tar, &(struct tar_member){ "big", '0', 0644, 0, 0, buf_str(&text), 0, 0 });
    tar_end(&tar);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){ .rlim_cur = BIG / 2, .rlim_max = old.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const struct layer *l = ingest(x, &tar, true, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    if (l == NULL)
        fail_msg("%s", x->err.msg);
    assert_false(layer_has_tree(x->store, l));
    assert_no_scratch(x);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
    AUTO(mem_free) char *path = str_printf("%s/big", tree);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, BIG);
}

static int ingest_as_another(const char *root, const struct buf *tar)
{
    struct err err = ERR_INIT;
    AUTO(source_free) struct source *from = source_mem(tar->data, tar->len);
    struct store *s = store_open(root, &err);
    const struct layer *l = s ? layer_ingest_tree(s, from, NULL, 0, NULL, &err) : NULL;
    bool good = l != NULL && layer_has_tree(s, l);

    if (l == NULL)
        fprintf(stderr, "%s\n", err.msg);
    store_close(s);
    return good ? 0 : 1;
}

static void processes_that_ingest_the_same_layer_all_have_it(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf seen = BUF_INIT;
    pid_t pids[4];
    int status;

    for (int i = 0; i < 1000; i++) {
        AUTO(mem_free) char *name = str_printf("file-%04d", i);
        tar_add(&tar, &(struct tar_member){ name, '0', 0644, 0, 0, name, 0, 0 });
    }
    tar_end(&tar);
    store_close(TAKE(x->store));
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(ingest_as_another(x->root, &tar));
    }
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    store_again(x);
    struct diff_id id;
    digest_of(tar.data, tar.len, &id.d);
    const struct layer *l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    AUTO(mem_free) char *last = str_printf("%s/file-0999", tree);
    assert_ok(file_read(AT_FDCWD, last, 100, &seen, &x->err), &x->err);
    assert_string_equal(buf_str(&seen), "file-0999");
    AUTO(mem_free) char *one = str_printf("test $(ls '%s/trees' | wc -l) = 1", x->root);
    assert_int_equal(system(one), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_tree_made_at_once_is_the_one_that_is_unpacked_later),
        CASE(the_same_holds_for_odd_tars),
        CASE(bytes_that_are_not_as_promised_leave_no_tree),
        CASE(a_file_that_cannot_be_written_costs_the_tree_alone),
        CASE(processes_that_ingest_the_same_layer_all_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
