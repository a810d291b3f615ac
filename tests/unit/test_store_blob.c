#include "tests/unit/store_scratch.h"

#include "store/blob.h"
#include <pthread.h>
#include <sys/wait.h>

static void put_gives_the_digest_and_read_the_bytes(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id, want;
    uint64_t size = 0;

    digest_of("hello", 5, &want.d);
    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    assert_true(digest_eq(&id.d, &want.d));
    assert_true(blob_has(x->store, &id, &size));
    assert_int_equal(size, 5);
    assert_ok(blob_read(x->store, &id, 5, &b, &x->err), &x->err);
    assert_string_equal(buf_str(&b), "hello");
    assert_int_equal(blob_read(x->store, &id, 4, &b, &x->err), ERR_CORRUPT); /* over max */
    assert_true(blob_has(x->store, &id, NULL));                              /* and yet whole */
}

static void an_empty_blob_is_a_blob(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id;

    assert_ok(blob_put(x->store, "", 0, &id, &x->err), &x->err);
    assert_ok(blob_read(x->store, &id, 0, &b, &x->err), &x->err);
    assert_int_equal(b.len, 0);
}

static void commit_refuses_a_wrong_digest(void **state)
{
    struct scratch *x = *state;
    struct blob_id want, real;
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(x->store, &x->err);

    assert_non_null(w);
    digest_of("other", 5, &want.d);
    digest_of("hello", 5, &real.d);
    assert_ok(blob_writer_add(w, "hello", 5, &x->err), &x->err);
    assert_int_equal(blob_writer_commit(w, &want, NULL, NULL, &x->err), ERR_CORRUPT);
    assert_non_null(strstr(x->err.msg, DIGEST_S(&real.d)));
    assert_false(blob_has(x->store, &want, NULL));
    assert_false(blob_has(x->store, &real, NULL));
}

static void a_writer_that_is_dropped_leaves_nothing(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *dir = store_at(x, "blobs/sha256");
    struct stat st;
    struct blob_writer *w = blob_writer_open(x->store, &x->err);

    assert_ok(blob_writer_add(w, "hello", 5, &x->err), &x->err);
    blob_writer_free(w);
    assert_int_equal(rmdir(dir), 0); /* empty: nothing was made */
    assert_int_equal(stat(dir, &st), -1);
}

static void blobs_have_mode_0600_whatever_the_umask(void **state)
{
    struct scratch *x = *state;
    struct blob_id id;
    struct stat st;
    mode_t old = umask(0);

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    umask(old);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void a_missing_blob_is_a_miss_and_its_row_goes(void **state)
{
    struct scratch *x = *state;
    struct blob_id id;

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    store_again(x); /* the row is written at the end */
    assert_int_equal(ask_db(x, "SELECT count(*) FROM blobs"), 1);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(blob_open(x->store, &id, NULL, &x->err), ERR_NOT_FOUND);
    assert_false(blob_has(x->store, &id, NULL));
    assert_int_equal(ask_db(x, "SELECT count(*) FROM blobs"), 0);
}

static void a_blob_of_another_size_is_a_miss_and_can_be_put_again(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id;

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    store_again(x);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    assert_int_equal(truncate(path, 3), 0);
    assert_int_equal(blob_read(x->store, &id, 100, &b, &x->err), ERR_NOT_FOUND);
    assert_int_equal(access(path, F_OK), -1);
    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    assert_int_equal(truncate(path, 0), 0); /* a power cut under --no-durable */
    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    assert_ok(blob_read(x->store, &id, 100, &b, &x->err), &x->err);
    assert_string_equal(buf_str(&b), "hello");
}

static void a_damaged_blob_is_found_removed_and_then_a_miss(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id;

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    damage_file(path, 2);
    assert_int_equal(blob_read(x->store, &id, 100, &b, &x->err), ERR_CORRUPT);
    assert_int_equal(b.len, 0);
    assert_int_equal(blob_read(x->store, &id, 100, &b, &x->err), ERR_NOT_FOUND);
}

static void a_source_says_at_its_end_that_a_blob_is_damaged(void **state)
{
    struct scratch *x = *state;
    struct blob_id id;
    char p[100];

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    AUTO(source_free) struct source *good = blob_source(x->store, &id, &x->err);
    assert_int_equal(source_read_full(good, p, sizeof(p), &x->err), 5);
    assert_int_equal(source_read(good, p, sizeof(p), &x->err), 0);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    damage_file(path, 2);
    AUTO(source_free) struct source *bad = blob_source(x->store, &id, &x->err);
    assert_int_equal(source_read(bad, p, 5, &x->err), 5);
    assert_int_equal(source_read(bad, p, 5, &x->err), ERR_CORRUPT);
    assert_null(blob_source(x->store, &id, &x->err));
    assert_int_equal(x->err.code, ERR_NOT_FOUND);
}

static void a_link_in_a_blobs_place_is_not_followed(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id;

    assert_ok(blob_put(x->store, "hello", 5, &id, &x->err), &x->err);
    AUTO(mem_free) char *path = blob_file(x, &id.d);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_true(blob_read(x->store, &id, 100, &b, &x->err) < 0);
    assert_false(blob_has(x->store, &id, NULL));
}

static void *put_many(void *arg)
{
    struct scratch *x = arg;

    for (int i = 0; i < 200; i++) {
        AUTO(mem_free) char *text = str_printf("blob %d", i);
        struct blob_id id;
        struct err err = ERR_INIT;
        if (blob_put(x->store, text, strlen(text), &id, &err) < 0 || !blob_has(x->store, &id, NULL))
            return str_dup(err.msg);
    }
    return NULL;
}

static void threads_put_the_same_blobs_at_once(void **state)
{
    struct scratch *x = *state;
    pthread_t threads[4];
    void *failed;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, x), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    store_again(x);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM blobs"), 200);
}

/* In a child: its own store, as another shale. */
static void child(const char *root)
{
    struct err err = ERR_INIT;
    struct scratch x = { .store = store_open(root, &err) };
    char *failed = x.store ? put_many(&x) : str_dup(err.msg);

    if (failed)
        fprintf(stderr, "%s\n", failed);
    store_close(x.store);
    _exit(failed != NULL);
}

static void processes_put_the_same_blobs_at_once(void **state)
{
    struct scratch *x = *state;
    pid_t pids[4];
    int status;

    store_close(TAKE(x->store)); /* nobody forks with a database open */
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            child(x->root);
    }
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    store_again(x);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM blobs"), 200);
}

static void kill_at(const char *root, int delay_us)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        child(root);
    usleep((unsigned)delay_us);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_killed_writer_leaves_whole_blobs_or_none(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf b = BUF_INIT;

    store_close(TAKE(x->store));
    for (int i = 0; i < 30; i++)
        kill_at(x->root, 500 + i * 700);
    store_again(x);
    for (int i = 0; i < 200; i++) {
        AUTO(mem_free) char *text = str_printf("blob %d", i);
        struct blob_id id;
        digest_of(text, strlen(text), &id.d);
        int r = blob_read(x->store, &id, 100, &b, &x->err);
        assert_true(r == 0 || r == ERR_NOT_FOUND);
        if (r == 0)
            assert_string_equal(buf_str(&b), text);
    }
    assert_int_equal(ask_db(x, "SELECT count(*) FROM pragma_integrity_check"
                               " WHERE integrity_check <> 'ok'"),
                     0);
}

/* As a power cut leaves a file whose bytes were not synced: the size is right. */
static void zero_blob(struct scratch *x, const struct blob_id *id)
{
    AUTO(mem_free) char *path = blob_file(x, &id->d);
    AUTO(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(fd_write_full(fd, "\0\0\0\0", 4, &x->err), &x->err);
}

/* Through a writer, or at once. */
static void put_full(struct scratch *x, bool by_writer, struct blob_id *ret)
{
    if (!by_writer) {
        assert_ok(blob_put(x->store, "full", 4, ret, &x->err), &x->err);
        return;
    }
    AUTO(blob_writer_free) struct blob_writer *w = blob_writer_open(x->store, &x->err);
    assert_non_null(w);
    assert_ok(blob_writer_add(w, "full", 4, &x->err), &x->err);
    assert_ok(blob_writer_commit(w, NULL, ret, NULL, &x->err), &x->err);
}

static void the_right_size_is_not_enough_where_a_power_cut_may_have_been(void **state)
{
    struct scratch *x = *state;
    const char *boot = "0123456789abcdef0123456789abcdef"; /* an earlier one */
    static const struct {
        bool now, durable, by_writer;
    } cases[] = { { false, true, false }, { false, true, true },  { true, true, false },
                  { true, true, true },   { true, false, false }, { true, false, true } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        struct blob_id id;
        put_full(x, false, &id);
        if (cases[i].now)
            store_set_durable(x->store, false);
        else
            assert_ok(file_replace(store_dirfd(x->store), "unsynced", boot, strlen(boot), 0600,
                                   false, &x->err),
                      &x->err);
        store_set_durable(x->store, cases[i].durable);
        zero_blob(x, &id);
        put_full(x, cases[i].by_writer, &id);
        assert_ok(blob_read(x->store, &id, 4, &b, &x->err), &x->err);
        assert_string_equal(buf_str(&b), "full");
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(put_gives_the_digest_and_read_the_bytes),
        CASE(an_empty_blob_is_a_blob),
        CASE(commit_refuses_a_wrong_digest),
        CASE(a_writer_that_is_dropped_leaves_nothing),
        CASE(blobs_have_mode_0600_whatever_the_umask),
        CASE(a_missing_blob_is_a_miss_and_its_row_goes),
        CASE(a_blob_of_another_size_is_a_miss_and_can_be_put_again),
        CASE(a_damaged_blob_is_found_removed_and_then_a_miss),
        CASE(a_source_says_at_its_end_that_a_blob_is_damaged),
        CASE(a_link_in_a_blobs_place_is_not_followed),
        CASE(threads_put_the_same_blobs_at_once),
        CASE(processes_put_the_same_blobs_at_once),
        CASE(a_killed_writer_leaves_whole_blobs_or_none),
        CASE(the_right_size_is_not_enough_where_a_power_cut_may_have_been),
    };

    return UNIT_RUN("store_blob", tests);
}
