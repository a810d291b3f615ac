#include "tests/unit/store_scratch.h"

#include "base/clock.h"
#include "store/blob.h"
#include "store/layer_away.h"
#include "store/record.h"
#include "store/trace.h"
#include "store/work.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/wait.h>

static unsigned mode_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static int count_entries(const char *path, const char *prefix)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
             str_starts(e->d_name, prefix);
    closedir(d);
    return n;
}

static void open_again(struct scratch *x, const char *root)
{
    store_close(TAKE(x->store));
    err_clear(&x->err);
    x->store = store_open(root, &x->err);
}

static void a_new_store_is_private_whatever_the_umask(void **state)
{
    struct scratch *x = *state;
    static const char *const names[] = { "", "blobs", "blobs/sha256", "trees", "work", "memory" };
    AUTO(mem_free) char *root = str_printf("%s/a/b", x->path);
    mode_t old = umask(0);

    open_again(x, root);
    umask(old);
    assert_non_null(x->store);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *path = str_printf("%s/%s", root, names[i]);
        assert_int_equal(mode_of(path), 0700);
    }
    AUTO(mem_free) char *db = str_printf("%s/shale.db", root);
    assert_int_equal(mode_of(db), 0600);
}

static void the_root_is_absolute_and_without_links(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *link = str_printf("%s/link", x->path);

    assert_int_equal(symlink("store", link), 0);
    open_again(x, link);
    assert_non_null(x->store);
    assert_string_equal(store_root(x->store), x->root);
}

static void the_environment_names_the_root(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *root = str_printf("%s/env", x->path);

    setenv("SHALE_ROOT", root, 1);
    open_again(x, NULL);
    unsetenv("SHALE_ROOT");
    assert_non_null(x->store);
    assert_string_equal(store_root(x->store), root);
}

static void a_store_that_is_open_to_others_is_refused(void **state)
{
    struct scratch *x = *state;

    chmod(x->root, 0750);
    open_again(x, x->root);
    assert_null(x->store);
    assert_int_equal(x->err.code, ERR_USAGE);
    assert_non_null(strstr(x->err.msg, "is open to others (mode 0750)"));
}

static void an_empty_directory_is_taken_over(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *root = str_printf("%s/empty", x->path);

    assert_int_equal(mkdir(root, 0755), 0);
    open_again(x, root);
    assert_non_null(x->store);
    assert_int_equal(mode_of(root), 0700);
}

static void a_store_of_another_user_is_refused(void **state)
{
    struct scratch *x = *state;

    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(x->root, 12345, 12345), 0);
    open_again(x, x->root);
    assert_null(x->store);
    assert_non_null(strstr(x->err.msg, "belongs to user 12345 and you are user 0"));
}

static void a_store_that_cannot_be_written_says_so_in_one_sentence(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *want = NULL;
    AUTO(mem_free) char *root = str_printf("%s/file/store", x->path);
    AUTO(mem_free) char *file = str_printf("%s/file", x->path);

    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    open_again(x, root);
    assert_null(x->store);
    assert_int_equal(x->err.code, ERR_IO);
    want = str_printf("cannot write the store '%s': Not a directory", root);
    assert_string_equal(x->err.msg, want);
    open_again(x, "/proc/store");
    assert_null(x->store);
    assert_non_null(strstr(x->err.msg, "cannot write the store '/proc/store': "));
}

/* Answers 0 when a store in a directory of root's was refused in the right words. */
static int open_as_nobody(const char *root)
{
    struct err err = ERR_INIT;

    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 2;
    struct store *s = store_open(root, &err);
    if (s != NULL || strstr(err.msg, "cannot write the store '") == NULL ||
        strstr(err.msg, "': Permission denied") == NULL) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    return 0;
}

static void a_user_without_permission_is_told_so(void **state)
{
    struct scratch *x = *state;
    int status;

    if (geteuid() != 0)
        skip();
    store_close(TAKE(x->store));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(open_as_nobody(x->root));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void opening_an_existing_store_is_quick(void **state)
{
    struct scratch *x = *state;
    int64_t best = INT64_MAX;

    store_close(TAKE(x->store));
    for (int i = 0; i < 20; i++) {
        int64_t start = clock_mono_us();
        x->store = store_open(x->root, &x->err);
        int64_t took = clock_mono_us() - start;
        assert_non_null(x->store);
        store_close(TAKE(x->store));
        best = took < best ? took : best;
    }
    print_message("# store_open: %lld us\n", (long long)best);
    assert_true(best < 3000 * 10); /* sanitizers are slow */
}

static void no_fd_is_left_open(void **state)
{
    struct scratch *x = *state;

    store_close(TAKE(x->store));
    size_t before = count_fds();
    x->store = store_open(x->root, &x->err);
    work_free(work_open(x->store, &x->err));
    store_close(TAKE(x->store));
    assert_int_equal(count_fds(), before);
}

/* The index. */

static void put_record_and_blob(struct scratch *x, struct cache_key *ret_key,
                                struct blob_id *ret_blob)
{
    struct record r = { .cost_ms = 7 };

    digest_of("key", 3, &r.key.d);
    assert_ok(blob_put(x->store, "hello", 5, ret_blob, &x->err), &x->err);
    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    *ret_key = r.key;
}

static void a_newer_index_is_refused_and_untouched(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    exec_sql(x, "PRAGMA user_version = 99");
    open_again(x, x->root);
    assert_null(x->store);
    assert_int_equal(x->err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(x->err.msg, "was written by a newer shale"));
    assert_int_equal(ask_db(x, "PRAGMA user_version"), 99);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM records"), 1);
    assert_int_equal(count_entries(x->root, "shale.db.damaged"), 0);
}

/* The table of versions 1 and 2, with a tree. */
#define TREES_2                                                                            \
    "DROP TABLE trees; CREATE TABLE trees(diff BLOB PRIMARY KEY REFERENCES layers"         \
    " ON DELETE CASCADE, size INTEGER NOT NULL, boot TEXT NOT NULL,"                       \
    " made_s INTEGER NOT NULL, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"              \
    "INSERT INTO layers VALUES (zeroblob(32), zeroblob(32), zeroblob(32), 0, 0, 1, 0, 0);" \
    "INSERT INTO trees VALUES (zeroblob(32), 5, 'boot', 6, 7);"

/* An index as version 3 had it, and as version 2. */
#define SINCE_VERSION_4 "DROP TABLE origins; DROP TABLE tag_platforms; "
#define SINCE_VERSION_3                                                              \
    SINCE_VERSION_4                                                                  \
    "DROP TABLE traces; DROP TABLE trace_reuses; DROP TABLE trace_runs; DROP TABLE " \
    "counters; " TREES_2

static void an_index_of_version_2_gets_what_it_lacks_and_keeps_the_rest(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    struct record r;

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    long long tables = ask_db(x, "SELECT count(*) FROM sqlite_schema");
    exec_sql(x, SINCE_VERSION_3 "PRAGMA user_version = 2");
    assert_true(ask_db(x, "SELECT count(*) FROM sqlite_schema") < tables);
    store_again(x);
    assert_int_equal(count_entries(x->root, "unsynced"), 0); /* that was said by version 2 */
    assert_ok(record_get(x->store, &key, &r, &x->err), &x->err);
    assert_ok(counter_add(x->store, "trace.runs", 1, &x->err), &x->err);
    store_again(x);
    assert_int_equal(ask_db(x, "PRAGMA user_version"), 4);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM sqlite_schema"), tables);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM records"), 1);
    assert_int_equal(ask_db(x, "SELECT n FROM counters"), 1);
    assert_int_equal(count_entries(x->root, "shale.db.damaged"), 0);
}

static void an_index_of_version_3_gets_what_it_lacks_and_keeps_the_rest(void **state)
{
    struct scratch *x = *state;
    AUTO(strv_release) struct strv origins = STRV_INIT;
    struct cache_key key;
    struct blob_id blob;
    struct record r;

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    exec_sql(x, SINCE_VERSION_4 "PRAGMA user_version = 3");
    store_again(x);
    assert_ok(record_get(x->store, &key, &r, &x->err), &x->err);
    assert_ok(blob_origin_add(x->store, &blob, "localhost:5000/a", &x->err), &x->err);
    store_again(x);
    assert_int_equal(ask_db(x, "PRAGMA user_version"), 4);
    assert_ok(blob_origins(x->store, &blob, &origins, &x->err), &x->err);
    assert_int_equal(origins.n, 1);
    assert_string_equal(origins.v[0], "localhost:5000/a");
}

static void a_tree_of_version_2_is_of_the_machines_own_root(void **state)
{
    struct scratch *x = *state;

    store_close(TAKE(x->store));
    exec_sql(x, SINCE_VERSION_3 " PRAGMA user_version = 2");
    store_again(x);
    assert_int_equal(ask_db(x, "PRAGMA user_version"), 4);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trees WHERE form = '' AND size = 5"
                               " AND boot = 'boot' AND made_s = 6 AND used = 7"),
                     1);
    /* SQLite 3.40 finds fault with keys whose columns are not the first */
    assert_int_equal(
        ask_db(x, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    exec_sql(x, "PRAGMA foreign_keys = ON; DELETE FROM layers");
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trees"), 0); /* with its layer */
    assert_int_equal(count_entries(x->root, "shale.db.damaged"), 0);
}

static void an_index_of_version_1_gets_what_it_lacks_and_keeps_the_rest(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    struct record r;

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    long long tables = ask_db(x, "SELECT count(*) FROM sqlite_schema");
    exec_sql(x, SINCE_VERSION_3 "DROP TABLE listing_stamps; DROP TABLE last_builds;"
                                " ALTER TABLE records ADD COLUMN subject TEXT NOT NULL DEFAULT '';"
                                " CREATE INDEX records_by_subject ON records(subject, seq);"
                                " PRAGMA user_version = 1");
    assert_int_equal(count_entries(x->root, "unsynced"), 0);
    store_again(x);
    assert_int_equal(count_entries(x->root, "unsynced"), 1); /* for all that is known */
    assert_ok(record_get(x->store, &key, &r, &x->err), &x->err);
    store_again(x);
    assert_true(ask_db(x, "PRAGMA user_version") > 1);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM sqlite_schema"), tables);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM records"), 1);
    assert_int_equal(count_entries(x->root, "shale.db.damaged"), 0);
}

static void the_index_is_set_up_as_promised(void **state)
{
    struct scratch *x = *state;

    assert_int_equal(ask_db(x, "SELECT count(*) FROM pragma_journal_mode"
                               " WHERE journal_mode = 'wal'"),
                     1);
    assert_int_equal(ask_db(x, "PRAGMA application_id"), 0x53484c45);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main'"
                               " AND type = 'table' AND name NOT LIKE 'sqlite_%' AND strict = 0"),
                     0);
}

/* Whatever happened to the file: the store opens, the bytes are there, the answers are gone. */
static void expect_new_index(struct scratch *x, const struct cache_key *key,
                             const struct blob_id *blob)
{
    struct record r;

    open_again(x, x->root);
    assert_non_null(x->store);
    assert_int_equal(record_get(x->store, key, &r, &x->err), ERR_NOT_FOUND);
    assert_true(blob_has(x->store, blob, NULL));
    assert_true(count_entries(x->root, "shale.db.damaged-") > 0);
    assert_ok(record_put(x->store, &(struct record){ .key = *key }, &x->err), &x->err);
    store_again(x);
    assert_ok(record_get(x->store, key, &r, &x->err), &x->err);
}

static void an_index_that_is_garbage_is_moved_aside(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    AUTO(mem_free) char *path = store_at(x, "shale.db");

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    exec_sql(x, "PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(write(fd, "garbage", 7), 7);
    close(fd);
    expect_new_index(x, &key, &blob);
}

static void another_programs_database_is_moved_aside(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    AUTO(mem_free) char *path = store_at(x, "shale.db");

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    unlink(path);
    exec_sql(x, "CREATE TABLE theirs(x); PRAGMA user_version = 4");
    expect_new_index(x, &key, &blob);
}

static void an_index_without_a_table_is_moved_aside_when_it_is_missed(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    exec_sql(x, "DROP TABLE records; CREATE TABLE records(x)");
    open_again(x, x->root);
    struct record r;
    /* integrity_check has nothing against the file: to keep it would fail for ever */
    assert_int_equal(record_get(x->store, &key, &r, &x->err), ERR_NOT_FOUND);
    expect_new_index(x, &key, &blob);
}

static void pages_damaged_while_it_is_open_cost_answers_not_the_build(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *path = store_at(x, "shale.db");
    struct record r = { .cost_ms = 1 };
    char page[4096];

    for (int i = 0; i < 300; i++) {
        digest_of(&i, sizeof(i), &r.key.d);
        snprintf(r.step, sizeof(r.step), "%0500d", i);
        assert_ok(record_put(x->store, &r, &x->err), &x->err);
    }
    store_close(TAKE(x->store));
    exec_sql(x, "PRAGMA wal_checkpoint(TRUNCATE)");
    memset(page, 0xa5, sizeof(page));
    int fd = open(path, O_RDWR | O_CLOEXEC);
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = 5 * 4096; at < end; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof(page), at), 4096);
    close(fd);
    store_again(x); /* page 1 is good: nothing is noticed */
    for (int i = 0; i < 300; i++) {
        struct record got;
        struct cache_key key;
        digest_of(&i, sizeof(i), &key.d);
        int code = record_get(x->store, &key, &got, &x->err);
        assert_true(code == 0 || code == ERR_NOT_FOUND);
        err_clear(&x->err);
    }
    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    assert_true(count_entries(x->root, "shale.db.damaged-") > 0);
}

/* What another process does that finds the index damaged. */
static void move_index_away(struct scratch *x)
{
    static const char *const names[] = { "shale.db-wal", "shale.db-shm", "shale.db" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *from = store_at(x, names[i]);
        AUTO(mem_free) char *to = str_printf("%s/moved-%s", x->root, names[i]);
        assert_int_equal(rename(from, to), 0);
    }
}

static void what_is_written_after_somebody_else_began_a_new_index_is_in_that(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    struct record r;

    digest_of("key", 3, &key.d);
    assert_int_equal(record_get(x->store, &key, &r, &x->err), ERR_NOT_FOUND); /* it is in use */
    move_index_away(x);
    AUTO(store_close) struct store *other = store_open(x->root, &x->err);
    assert_non_null(other);
    put_record_and_blob(x, &key, &blob);
    err_clear(&x->err);
    assert_ok(record_get(other, &key, &r, &x->err), &x->err);
    assert_ok(record_get(x->store, &key, &r, &x->err), &x->err);
    assert_int_equal(count_entries(x->root, "shale.db.damaged-"), 0); /* the new one is sound */
}

static void an_empty_or_missing_index_is_made_anew(void **state)
{
    struct scratch *x = *state;
    struct cache_key key;
    struct blob_id blob;
    struct record r;
    AUTO(mem_free) char *path = store_at(x, "shale.db");

    put_record_and_blob(x, &key, &blob);
    store_close(TAKE(x->store));
    assert_int_equal(unlink(path),
                     0); /* its log is still there, and must not be taken for the new one's */
    open_again(x, x->root);
    assert_non_null(x->store);
    assert_int_equal(record_get(x->store, &key, &r, &x->err), ERR_NOT_FOUND);
    assert_true(blob_has(x->store, &blob, NULL));
    store_close(TAKE(x->store));
    exec_sql(x, "PRAGMA wal_checkpoint(TRUNCATE)");
    assert_int_equal(truncate(path, 0), 0);
    open_again(x, x->root);
    assert_non_null(x->store);
    assert_ok(record_put(x->store, &(struct record){ .key = key }, &x->err), &x->err);
}

struct writer {
    const char *root;
    int from;
};

static void *write_records(void *arg)
{
    const struct writer *w = arg;
    struct err err = ERR_INIT;
    AUTO(store_close) struct store *s = store_open(w->root, &err);
    struct record r = { .cost_ms = 1 };

    for (int i = 0; s != NULL && i < 100; i++) {
        int n = w->from + i;
        digest_of(&n, sizeof(n), &r.key.d);
        if (record_put(s, &r, &err) < 0)
            return str_dup(err.msg);
    }
    return s ? NULL : str_dup(err.msg);
}

static void two_stores_of_one_process_write_at_once(void **state)
{
    struct scratch *x = *state;
    struct writer writers[3] = { { x->root, 0 }, { x->root, 1000 }, { x->root, 2000 } };
    pthread_t threads[3];
    void *failed;

    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, &writers[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(ask_db(x, "SELECT count(*) FROM records"), 300);
}

static void the_log_is_written_back_when_it_is_long(void **state)
{
    struct scratch *x = *state;
    struct record r = { .cost_ms = 1 };
    struct stat st;
    AUTO(mem_free) char *log = store_at(x, "shale.db-wal");

    store_set_durable(x->store, false);
    for (int i = 0; i < 700; i++) {
        digest_of(&i, sizeof(i), &r.key.d);
        assert_ok(record_put(x->store, &r, &x->err), &x->err);
    }
    assert_int_equal(stat(log, &st), 0);
    assert_true(st.st_size > 1000 * 4096);
    store_close(TAKE(x->store));
    assert_true(stat(log, &st) < 0 || st.st_size == 0);
    store_again(x);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM records"), 700);
}

/* Scratch. */

static void scratch_has_a_name_of_its_own_and_goes_away(void **state)
{
    struct scratch *x = *state;
    AUTO(work_free) struct work *a = work_open(x->store, &x->err);
    struct work *b = work_open(x->store, &x->err);

    assert_non_null(a);
    assert_non_null(b);
    assert_string_not_equal(work_name(a), work_name(b));
    AUTO(mem_free) char *sub = work_subdir(b, "tree", &x->err);
    AUTO(mem_free) char *other = work_subdir(b, "tree", &x->err);
    assert_string_not_equal(sub, other);
    assert_int_equal(mkdirat(work_dirfd(b), "tree-0/deep", 0), 0);
    AUTO(mem_free) char *path = str_dup(work_path(b));
    work_free(b);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(work_path(a), F_OK), 0);
}

static void scratch_of_the_living_stays_and_of_the_dead_goes(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *work = store_at(x, "work");
    int ready[2];
    char c;

    store_close(TAKE(x->store));
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = ERR_INIT;
        struct store *s = store_open(x->root, &err);
        struct work *w = s ? work_open(s, &err) : NULL;
        if (w == NULL || work_subdir(w, "made", &err) == NULL || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    store_again(x);
    assert_int_equal(count_entries(work, ""), 2); /* .lock and the child's */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    store_again(x);
    assert_int_equal(count_entries(work, ""), 1);
    close(ready[0]);
    close(ready[1]);
}

static void odd_things_among_the_scratch_do_not_disturb(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *work = store_at(x, "work");
    AUTO(mem_free) char *file = store_at(x, "work/file");
    AUTO(mem_free) char *link = store_at(x, "work/link");
    AUTO(mem_free) char *dir = store_at(x, "work/dir");
    AUTO(mem_free) char *dead = store_at(x, "work/dead-dir");

    close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(symlink("/etc", link), 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkdir(dead, 0), 0);
    store_again(x);
    assert_int_equal(count_entries(work, ""), 1);
    assert_int_equal(access("/etc/passwd", F_OK), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_store_is_private_whatever_the_umask),
        CASE(the_root_is_absolute_and_without_links),
        CASE(the_environment_names_the_root),
        CASE(a_store_that_is_open_to_others_is_refused),
        CASE(an_empty_directory_is_taken_over),
        CASE(a_store_of_another_user_is_refused),
        CASE(a_store_that_cannot_be_written_says_so_in_one_sentence),
        CASE(a_user_without_permission_is_told_so),
        CASE(opening_an_existing_store_is_quick),
        CASE(no_fd_is_left_open),
        CASE(a_newer_index_is_refused_and_untouched),
        CASE(an_index_of_version_1_gets_what_it_lacks_and_keeps_the_rest),
        CASE(an_index_of_version_2_gets_what_it_lacks_and_keeps_the_rest),
        CASE(an_index_of_version_3_gets_what_it_lacks_and_keeps_the_rest),
        CASE(a_tree_of_version_2_is_of_the_machines_own_root),
        CASE(the_index_is_set_up_as_promised),
        CASE(an_index_that_is_garbage_is_moved_aside),
        CASE(another_programs_database_is_moved_aside),
        CASE(an_index_without_a_table_is_moved_aside_when_it_is_missed),
        CASE(pages_damaged_while_it_is_open_cost_answers_not_the_build),
        CASE(what_is_written_after_somebody_else_began_a_new_index_is_in_that),
        CASE(an_empty_or_missing_index_is_made_anew),
        CASE(two_stores_of_one_process_write_at_once),
        CASE(the_log_is_written_back_when_it_is_long),
        CASE(scratch_has_a_name_of_its_own_and_goes_away),
        CASE(scratch_of_the_living_stays_and_of_the_dead_goes),
        CASE(odd_things_among_the_scratch_do_not_disturb),
    };

    return UNIT_RUN("store_open", tests);
}
