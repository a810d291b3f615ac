#include "tests/unit/store_scratch.h"

#include "store/feed.h"
#include "store/layer.h"
#include "store/work.h"
#include <pthread.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

/* One of everything that needs no PAX header. */
static const struct tar_member members[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/passwd", '0', 0644, 0, 0, "root:x:0:0:root:/root:/bin/sh\n", 0, 0 },
    { "usr/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "usr/bin/", '5', 0711, 3, 4, NULL, 0, 0 },
    { "usr/bin/tool", '0', 04755, 5, 6, "#!/bin/sh\n", 0, 0 },
    { "usr/bin/alias", '1', 04755, 5, 6, "usr/bin/tool", 0, 0 },
    { "usr/bin/link", '2', 0777, 7, 8, "/etc/passwd", 0, 0 },
    { "dev/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "dev/null", '3', 0666, 0, 0, NULL, 1, 3 },
    { "dev/loop", '4', 0660, 0, 6, NULL, 7, 1 },
    { "dev/fifo", '6', 0600, 0, 0, NULL, 0, 0 },
    { "var/.wh.gone", '0', 0644, 0, 0, NULL, 0, 0 },
    { "var/lib/", '5', 01777, 0, 0, NULL, 0, 0 },
    { "var/lib/.wh..wh..opq", '0', 0644, 0, 0, NULL, 0, 0 },
    { "var/lib/empty", '0', 0, 0, 0, NULL, 0, 0 },
};

static const struct layer *ingest(struct scratch *x, const struct buf *bytes)
{
    AUTO(source_free) struct source *from = source_mem(bytes->data, bytes->len);
    const struct layer *l = layer_ingest(x->store, from, NULL, 0, NULL, &x->err);

    if (l == NULL)
        fail_msg("layer_ingest: %s", x->err.msg);
    return l;
}

static const struct layer *ingest_members(struct scratch *x, const struct tar_member *m, size_t n)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;

    tar_make(&tar, m, n);
    return ingest(x, &tar);
}

static void read_tar(struct scratch *x, const struct layer *l, struct buf *ret)
{
    AUTO(source_free) struct source *from = layer_tar_source(x->store, l, &x->err);
    AUTO(sink_free) struct sink *to = sink_buf(ret, SIZE_MAX);

    buf_clear(ret);
    assert_non_null(from);
    assert_ok(stream_copy(from, to, NULL, &x->err), &x->err);
}

static void stat_in(const char *tree, const char *path, struct stat *st)
{
    AUTO(mem_free) char *p = str_printf("%s/%s", tree, path);

    if (lstat(p, st) < 0)
        fail_msg("no '%s' in the tree", path);
}

static void ingest_keeps_gzip_and_zstd_as_they_come(void **state)
{
    struct scratch *x = *state;
    static const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_ZSTD };
    AUTO(buf_release) struct buf tar = BUF_INIT;

    tar_make(&tar, members, ARRAY_LEN(members));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO(buf_release) struct buf packed = BUF_INIT;
        struct blob_id id;
        struct diff_id diff;
        struct layer_blob b;
        compress_buf(&tar, kinds[i], &packed);
        digest_of(packed.data, packed.len, &id.d);
        digest_of(tar.data, tar.len, &diff.d);
        AUTO(source_free) struct source *from = source_mem(packed.data, packed.len);
        const struct layer *l = layer_ingest(x->store, from, &id, packed.len, &diff, &x->err);
        assert_non_null(l);
        assert_true(digest_eq(&l->diff_id.d, &diff.d));
        assert_int_equal(l->tar_size, tar.len);
        assert_ok(layer_blob(x->store, l, &PACK_AS(kinds[i]), &b, &x->err), &x->err);
        assert_true(digest_eq(&b.id.d, &id.d));
        assert_int_equal(b.size, packed.len);
        AUTO(buf_release) struct buf again = BUF_INIT;
        read_tar(x, l, &again);
        assert_int_equal(again.len, tar.len);
        assert_memory_equal(again.data, tar.data, tar.len);
    }
}

static void ingest_packs_a_plain_tar(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    struct blob_id id;
    struct layer_blob b;

    tar_make(&tar, members, ARRAY_LEN(members));
    digest_of(tar.data, tar.len, &id.d);
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(x->store, from, &id, tar.len, NULL, &x->err);
    assert_non_null(l);
    assert_ok(layer_blob(x->store, l, NULL, &b, &x->err), &x->err);
    assert_int_equal(b.compression, COMPRESSION_ZSTD);
    assert_true(b.size < tar.len / 4);
    struct entry e;
    assert_true(listing_find(l->listing, "usr/bin/tool", &e));
    assert_int_equal(e.mode, 04755);
    assert_true(listing_find(l->listing, "etc/passwd", &e));
    assert_non_null(e.inline_data);
}

static void ingest_packs_xz_and_checks_its_digest(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    AUTO(mem_free) char *file = str_printf("%s/t", x->path);
    AUTO(mem_free) char *command = str_printf("xz -k %s", file);
    struct blob_id id;
    struct layer_blob b;

    tar_make(&tar, members, ARRAY_LEN(members));
    assert_ok(file_replace(AT_FDCWD, file, tar.data, tar.len, 0600, false, &x->err), &x->err);
    if (system(command) != 0)
        fail_msg("'%s' does not run here", command);
    AUTO(mem_free) char *xz = str_printf("%s.xz", file);
    assert_ok(file_read(AT_FDCWD, xz, 1 << 20, &packed, &x->err), &x->err);
    digest_of("wrong", 5, &id.d);
    AUTO(source_free) struct source *bad = source_mem(packed.data, packed.len);
    assert_null(layer_ingest(x->store, bad, &id, 0, NULL, &x->err));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    digest_of(packed.data, packed.len, &id.d);
    AUTO(source_free) struct source *from = source_mem(packed.data, packed.len);
    const struct layer *l = layer_ingest(x->store, from, &id, packed.len, NULL, &x->err);
    assert_non_null(l);
    assert_ok(layer_blob(x->store, l, NULL, &b, &x->err), &x->err);
    assert_int_equal(b.compression, COMPRESSION_ZSTD);
}

struct expectation {
    const char *what;
    bool blob, size, diff; /* which of them is wrong */
    int cut, extra;        /* bytes taken from the end, or put there */
    enum compression compression;
};

static void expect_refused(struct scratch *x, const struct expectation *t)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf packed = BUF_INIT;
    struct blob_id id;
    struct diff_id diff;

    tar_make(&tar, members, ARRAY_LEN(members));
    compress_buf(&tar, t->compression, &packed);
    buf_truncate(&packed, packed.len - (size_t)t->cut);
    for (int i = 0; i < t->extra; i++)
        buf_addc(&packed, 'x');
    digest_of(t->blob ? "x" : packed.data, t->blob ? 1 : packed.len, &id.d);
    digest_of(t->diff ? "x" : tar.data, t->diff ? 1 : tar.len, &diff.d);
    AUTO(source_free) struct source *from = source_mem(packed.data, packed.len);
    uint64_t size = packed.len + (t->size ? 1 : 0);
    const struct layer *l = layer_ingest(x->store, from, &id, size, &diff, &x->err);
    if (l != NULL || x->err.code != ERR_CORRUPT)
        fail_msg("%s: %s", t->what, l ? "taken" : x->err.msg);
    err_clear(&x->err);
}

static void ingest_refuses_what_is_not_as_promised(void **state)
{
    struct scratch *x = *state;
    static const struct expectation rows[] = {
        { "gzip: blob", true, false, false, 0, 0, COMPRESSION_GZIP },
        { "gzip: size", false, true, false, 0, 0, COMPRESSION_GZIP },
        { "gzip: diff", false, false, true, 0, 0, COMPRESSION_GZIP },
        { "gzip: cut", false, false, false, 9, 0, COMPRESSION_GZIP },
        { "gzip: garbage behind", false, false, false, 0, 20, COMPRESSION_GZIP },
        { "zstd: blob", true, false, false, 0, 0, COMPRESSION_ZSTD },
        { "zstd: cut", false, false, false, 3, 0, COMPRESSION_ZSTD },
        { "zstd: garbage behind", false, false, false, 0, 20, COMPRESSION_ZSTD },
        { "plain: blob", true, false, false, 0, 0, COMPRESSION_NONE },
        { "plain: diff", false, false, true, 0, 0, COMPRESSION_NONE },
        { "plain: cut", false, false, false, 2000, 0, COMPRESSION_NONE },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_refused(x, &rows[i]);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layers"), 0);
    store_again(x);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM blobs"), 0);
}

static void a_size_that_is_too_small_stops_the_download(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    uint64_t n = 0;

    tar_make(&tar, members, ARRAY_LEN(members));
    AUTO(source_free)
    struct source *from = source_count(source_mem(tar.data, tar.len), &n);
    assert_null(layer_ingest(x->store, from, NULL, 1024, NULL, &x->err));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    assert_true(n <= 1025);
}

static void bytes_behind_the_end_of_a_tar_are_in_the_diff_id(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    struct diff_id diff;

    tar_make(&tar, members, 2);
    for (int i = 0; i < 100000; i++)
        buf_addc(&tar, (char)i);
    digest_of(tar.data, tar.len, &diff.d);
    const struct layer *l = ingest(x, &tar);
    assert_true(digest_eq(&l->diff_id.d, &diff.d));
    assert_int_equal(l->tar_size, tar.len);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
}

/* Trees. */

static void check_tree(struct scratch *x, const char *tree)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(mem_free) char *tool = str_printf("%s/usr/bin/tool", tree);
    AUTO(mem_free) char *opaque = str_printf("%s/var/lib", tree);
    AUTO(mem_free) char *link = str_printf("%s/usr/bin/link", tree);
    struct stat st, other;
    char text[100];

    stat_in(tree, "usr/bin/tool", &st);
    stat_in(tree, "usr/bin/alias", &other);
    assert_int_equal(st.st_mode, S_IFREG | 04755);
    assert_int_equal(st.st_uid, 5);
    assert_int_equal(st.st_gid, 6);
    assert_int_equal(st.st_mtime, 1000000000);
    assert_int_equal(st.st_ino, other.st_ino);
    assert_ok(file_read(AT_FDCWD, tool, 100, &b, &x->err), &x->err);
    assert_string_equal(buf_str(&b), "#!/bin/sh\n");
    stat_in(tree, "usr/bin", &st);
    assert_int_equal(st.st_mode, S_IFDIR | 0711);
    assert_int_equal(st.st_mtime, 1000000000);
    stat_in(tree, "usr/bin/link", &st);
    assert_true(S_ISLNK(st.st_mode) && st.st_uid == 7 && st.st_gid == 8);
    assert_int_equal(readlink(link, text, sizeof(text)), 11);
    stat_in(tree, "dev/null", &st);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    stat_in(tree, "dev/loop", &st);
    assert_true(S_ISBLK(st.st_mode) && st.st_rdev == makedev(7, 1));
    stat_in(tree, "dev/fifo", &st);
    assert_true(S_ISFIFO(st.st_mode));
    stat_in(tree, "var/gone", &st);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    stat_in(tree, "var", &st); /* nobody named it */
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
    stat_in(tree, "var/lib", &st);
    assert_int_equal(st.st_mode, S_IFDIR | 01777);
    assert_int_equal(getxattr(opaque, "trusted.overlay.opaque", text, sizeof(text)), 1);
    assert_int_equal(text[0], 'y');
    stat_in(tree, "var/lib/empty", &st);
    assert_int_equal(st.st_mode, S_IFREG);
}

static void a_tree_has_what_the_listing_says(void **state)
{
    struct scratch *x = *state;

    if (geteuid() != 0)
        skip();
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    if (tree == NULL)
        fail_msg("%s", x->err.msg);
    assert_true(layer_has_tree(x->store, l));
    assert_string_equal(path_base(tree), DIGEST_HEX(&l->diff_id.d));
    check_tree(x, tree);
}

static void an_empty_layer_has_a_tree_too(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, NULL, 0);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    struct stat st;

    assert_non_null(tree);
    stat_in(tree, "", &st);
    assert_int_equal(st.st_mode, S_IFDIR | 0755);
}

/* Members that come more than once, by way of links, or under names that others take over. */
static void a_tree_has_the_bytes_of_the_listing_however_odd_the_tar(void **state)
{
    struct scratch *x = *state;
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
    const struct layer *l = ingest_members(x, odd, ARRAY_LEN(odd));
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    static const char *const want[][2] = {
        { "a", "two" },
        { "kept", "one" },
        { "real/file", "through a link" },
        { "real/out", "not outside" },
        { "zz", "same" },
        { "aa", "same" },
    };

    if (tree == NULL)
        fail_msg("%s", x->err.msg);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        AUTO(mem_free) char *path = str_printf("%s/%s", tree, want[i][0]);
        assert_ok(file_read(AT_FDCWD, path, 100, &b, &x->err), &x->err);
        assert_string_equal(buf_str(&b), want[i][1]);
    }
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trees"), 1);
}

struct unpacker {
    struct scratch *x;
    const struct layer *layer;
    char *failed;
};

static void *unpack_one(void *arg)
{
    struct unpacker *u = arg;
    struct err err = ERR_INIT;
    AUTO(mem_free) char *tree = layer_tree(u->x->store, u->layer, &err);
    const enum compression gzip = COMPRESSION_GZIP;
    struct layer_blob b;

    if (tree == NULL || layer_blob(u->x->store, u->layer, &PACK_AS(gzip), &b, &err) < 0)
        u->failed = str_dup(err.msg);
    return NULL;
}

static void threads_that_want_one_tree_unpack_it_once(void **state)
{
    struct scratch *x = *state;
    struct unpacker us[6];
    pthread_t threads[6];

    if (geteuid() != 0)
        skip();
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    for (size_t i = 0; i < ARRAY_LEN(us); i++) {
        us[i] = (struct unpacker){ .x = x, .layer = l };
        assert_int_equal(pthread_create(&threads[i], NULL, unpack_one, &us[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(us); i++) {
        pthread_join(threads[i], NULL);
        if (us[i].failed)
            fail_msg("%s", us[i].failed);
    }
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trees"), 1);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layer_blobs"), 2);
}

static int unpack_as_another(const char *root, const struct diff_id *id)
{
    struct err err = ERR_INIT;
    AUTO(store_close) struct store *s = store_open(root, &err);
    const struct layer *l = s ? layer_get(s, id, &err) : NULL;
    AUTO(mem_free) char *tree = l ? layer_tree(s, l, &err) : NULL;

    if (tree == NULL)
        fprintf(stderr, "%s\n", err.msg);
    return tree == NULL;
}

static void processes_that_want_one_tree_all_get_it(void **state)
{
    struct scratch *x = *state;
    pid_t pids[4];
    int status;

    if (geteuid() != 0)
        skip();
    struct diff_id id = ingest_members(x, members, ARRAY_LEN(members))->diff_id;
    store_close(TAKE(x->store));
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(unpack_as_another(x->root, &id));
    }
    for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    store_again(x);
    AUTO(mem_free) char *path = str_printf("%s/trees/%s", x->root, DIGEST_HEX(&id.d));
    check_tree(x, path);
}

static void a_killed_unpacker_leaves_no_half_tree(void **state)
{
    struct scratch *x = *state;
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(mem_free) char *work = store_at(x, "work");

    for (int i = 0; i < 3000; i++) {
        AUTO(mem_free) char *name = str_printf("file-%04d", i);
        tar_add(&tar, &(struct tar_member){ name, '0', 0644, 0, 0, name, 0, 0 });
    }
    tar_end(&tar);
    struct diff_id id = ingest(x, &tar)->diff_id;
    store_close(TAKE(x->store));
    for (int i = 0; i < 10; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(unpack_as_another(x->root, &id));
        usleep(1000 + (unsigned)i * 3000);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        AUTO(mem_free) char *path = str_printf("%s/trees/%s/file-2999", x->root, DIGEST_HEX(&id.d));
        AUTO(mem_free) char *tree = str_printf("%s/trees/%s", x->root, DIGEST_HEX(&id.d));
        if (access(tree, F_OK) == 0)
            assert_int_equal(access(path, F_OK), 0);
    }
    assert_int_equal(unpack_as_another(x->root, &id), 0);
    store_again(x);
    AUTO(mem_free) char *lock = str_printf("%s/.lock", work);
    assert_int_equal(unlink(lock), 0);
    assert_int_equal(rmdir(work), 0); /* nothing is left behind */
}

static void a_leftover_without_a_row_is_replaced(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    AUTO(mem_free) char *path = str_printf("%s/trees/%s", x->root, DIGEST_HEX(&l->diff_id.d));
    AUTO(mem_free) char *wrong = str_printf("%s/wrong", path);

    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mkdir(wrong, 0755), 0);
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
    assert_int_equal(access(wrong, F_OK), -1);
}

static void a_tree_of_another_boot_that_was_not_synced_is_not_believed(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);

    assert_non_null(tree);
    assert_true(layer_has_tree(x->store, l));
    assert_int_equal(ask_db(x, "UPDATE trees SET boot = 'another'"), -1);
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *again = layer_tree(x->store, l, &x->err);
    assert_non_null(again);
    assert_true(layer_has_tree(x->store, l));
}

/* Making and adopting. */

static struct source *content_from_string(void *arg, const struct entry *e, struct err *err UNUSED)
{
    assert_non_null(e);
    return source_mem(arg, strlen(arg));
}

static void make_writes_tar_and_blob_and_can_be_read_back(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    char text[] = "content";
    struct entry e = { .path = "f", .type = ENTRY_FILE, .mode = 0644, .size = strlen(text) };
    struct layer_blob blob;

    digest_of(text, strlen(text), &e.content);
    assert_ok(listing_builder_add(b, &e, &x->err), &x->err);
    const struct layer *l = layer_make(x->store, b, content_from_string, text, &x->err);
    assert_non_null(l);
    assert_ok(layer_blob(x->store, l, NULL, &blob, &x->err), &x->err);
    assert_int_equal(blob.compression, COMPRESSION_ZSTD);
    AUTO(buf_release) struct buf tar = BUF_INIT;
    struct digest d;
    read_tar(x, l, &tar);
    digest_of(tar.data, tar.len, &d);
    assert_true(digest_eq(&d, &l->diff_id.d));
    store_again(x);
    struct diff_id id = { d };
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_true(listing_find(l->listing, "f", &e));
}

static void make_refuses_content_that_is_not_the_listings(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    char text[] = "changed";
    struct entry e = { .path = "f", .type = ENTRY_FILE, .mode = 0644, .size = strlen(text) };

    digest_of("as it was", 9, &e.content);
    assert_ok(listing_builder_add(b, &e, &x->err), &x->err);
    assert_null(layer_make(x->store, b, content_from_string, text, &x->err));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layers"), 0);
}

/* An upper directory as overlayfs leaves it, and its entries; the digests are left to layer_adopt.
 */
static void make_upper(struct scratch *x, struct work *w, const char *name,
                       struct listing_builder *b)
{
    AUTO(fd_close) int up = openat(work_dirfd(w), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct entry_xattr user = { "user.note", "hi", 2 };
    const struct entry entries[] = {
        { .path = "d", .type = ENTRY_DIR, .mode = 0750, .opaque = true },
        { .path = "d/z",
          .type = ENTRY_FILE,
          .mode = 0644,
          .size = 5,
          .xattrs = &user,
          .n_xattrs = 1 },
        { .path = "d/a", .type = ENTRY_FILE, .hardlink = "d/z" },
        { .path = "d/empty", .type = ENTRY_FILE, .mode = 0600 },
        { .path = "etc/passwd", .type = ENTRY_FILE, .mode = 0644, .size = 7 },
        { .path = "gone", .type = ENTRY_WHITEOUT },
        { .path = "l", .type = ENTRY_LINK, .target = "d/z" },
    };

    assert_int_equal(mkdirat(up, "d", 0750), 0);
    assert_int_equal(mkdirat(up, "etc", 0755), 0);
    assert_ok(file_replace(up, "d/z", "hello", 5, 0644, false, &x->err), &x->err);
    assert_ok(file_replace(up, "d/empty", "", 0, 0600, false, &x->err), &x->err);
    assert_ok(file_replace(up, "etc/passwd", "root:x:", 7, 0644, false, &x->err), &x->err);
    assert_int_equal(linkat(up, "d/z", up, "d/a", 0), 0);
    assert_int_equal(symlinkat("d/z", up, "l"), 0);
    assert_int_equal(mknodat(up, "gone", S_IFCHR, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        assert_ok(listing_builder_add(b, &entries[i], &x->err), &x->err);
}

static void check_adopted(struct scratch *x, const struct layer *l)
{
    struct digest hello;
    struct entry e;

    digest_of("hello", 5, &hello);
    assert_true(listing_find(l->listing, "d/a", &e));
    assert_true(digest_eq(&e.content, &hello));
    assert_null(e.hardlink);
    assert_true(listing_find(l->listing, "d/z", &e));
    assert_true(digest_eq(&e.content, &hello));
    assert_string_equal(e.hardlink, "d/a");
    assert_int_equal(e.n_xattrs, 1);
    assert_true(listing_find(l->listing, "d", &e) && e.opaque);
    assert_true(listing_find(l->listing, "etc/passwd", &e));
    assert_non_null(e.inline_data);
    assert_memory_equal(e.inline_data, "root:x:", 7);
    AUTO(mem_free) char *path = layer_tree(x->store, l, &x->err);
    struct stat st;
    stat_in(path, "d/z", &st);
    assert_int_equal(st.st_nlink, 2);
}

static void adopt_reads_hashes_and_takes_the_directory(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
    AUTO(buf_release) struct buf tar = BUF_INIT;
    struct layer_blob blob;
    struct digest d;

    if (geteuid() != 0) {
        work_free(w);
        skip();
    }
    make_upper(x, w, name, b);
    const struct layer *l = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
    if (l == NULL)
        fail_msg("%s", x->err.msg);
    assert_int_equal(faccessat(work_dirfd(w), name, F_OK, 0), -1);
    work_free(w);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layer_blobs"), 0);
    assert_int_equal(ask_db(x, "SELECT boot = '' FROM trees"), 1); /* synced */
    check_adopted(x, l);
    /* The tar comes from the tree now, and it is the one that was hashed. */
    read_tar(x, l, &tar);
    digest_of(tar.data, tar.len, &d);
    assert_true(digest_eq(&d, &l->diff_id.d));
    assert_int_equal(tar.len, l->tar_size);
    const enum compression kinds[] = { COMPRESSION_GZIP, COMPRESSION_NONE, COMPRESSION_ZSTD };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        assert_ok(layer_blob(x->store, l, &PACK_AS(kinds[i]), &blob, &x->err), &x->err);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layer_blobs"), 3);
    store_again(x);
    struct diff_id id = { d };
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    check_adopted(x, l);
}

static void an_adopted_layer_unpacks_to_what_it_was(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
    struct layer_blob blob;
    struct stat st;
    char note[10];

    if (geteuid() != 0) {
        work_free(w);
        skip();
    }
    make_upper(x, w, name, b);
    const struct layer *l = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
    work_free(w);
    assert_non_null(l);
    assert_ok(layer_blob(x->store, l, NULL, &blob, &x->err), &x->err);
    AUTO(mem_free) char *tree = str_printf("%s/trees/%s", x->root, DIGEST_HEX(&l->diff_id.d));
    assert_ok(tree_remove(AT_FDCWD, tree, &x->err), &x->err);
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *again = layer_tree(x->store, l, &x->err);
    assert_string_equal(again, tree);
    check_adopted(x, l);
    stat_in(tree, "gone", &st);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    AUTO(mem_free) char *dir = str_printf("%s/d", tree);
    AUTO(mem_free) char *file = str_printf("%s/d/z", tree);
    assert_int_equal(getxattr(dir, "trusted.overlay.opaque", note, sizeof(note)), 1);
    assert_int_equal(getxattr(file, "user.note", note, sizeof(note)), 2);
}

static void adopting_the_same_twice_leaves_the_second_directory(void **state)
{
    struct scratch *x = *state;
    const struct layer *ls[2];

    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 2; i++) {
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(work_free) struct work *w = work_open(x->store, &x->err);
        AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
        make_upper(x, w, name, b);
        ls[i] = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
        assert_non_null(ls[i]);
        assert_int_equal(faccessat(work_dirfd(w), name, F_OK, 0), i == 0 ? -1 : 0);
    }
    assert_ptr_equal(ls[0], ls[1]);
}

static void adopting_what_there_is_only_a_foreign_tree_of_makes_it_ours(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = NULL;

    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 2; i++) {
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(work_free) struct work *w = work_open(x->store, &x->err);
        AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
        make_upper(x, w, name, b);
        l = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
        if (l == NULL)
            fail_msg("%s", x->err.msg);
        /* as one that was fetched, and has lost its blob since */
        if (i == 0)
            ask_db(x, "UPDATE layers SET is_ours = 0");
    }
    assert_int_equal(ask_db(x, "SELECT is_ours FROM layers"), 1);
    assert_int_equal(ask_db(x, "SELECT boot = '' FROM trees"), 1);
    assert_non_null(layer_get(x->store, &l->diff_id, &x->err));
}

static void adopting_what_there_is_an_unsynced_tree_of_syncs_it(void **state)
{
    struct scratch *x = *state;

    if (geteuid() != 0)
        skip();
    for (int i = 0; i < 3; i++) {
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(work_free) struct work *w = work_open(x->store, &x->err);
        AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
        make_upper(x, w, name, b);
        store_set_durable(x->store, i == 1);
        assert_non_null(layer_adopt(x->store, b, work_dirfd(w), name, &x->err));
        assert_int_equal(ask_db(x, "SELECT boot = '' FROM trees"), i > 0);
    }
}

static void adopt_refuses_a_file_that_is_not_as_listed(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(work_free) struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
    struct entry e = { .path = "f", .type = ENTRY_FILE, .size = 3 };

    AUTO(fd_close) int up = openat(work_dirfd(w), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_ok(listing_builder_add(b, &e, &x->err), &x->err);
    assert_int_equal(symlinkat("/etc/passwd", up, "f"), 0);
    assert_null(layer_adopt(x->store, b, work_dirfd(w), name, &x->err));
    assert_int_equal(unlinkat(up, "f", 0), 0);
    assert_ok(file_replace(up, "f", "four", 4, 0644, false, &x->err), &x->err);
    err_clear(&x->err);
    assert_null(layer_adopt(x->store, b, work_dirfd(w), name, &x->err));
    assert_int_equal(x->err.code, ERR_CORRUPT);
}

/* Damage. */

static void damage_blob(struct scratch *x, const struct blob_id *id)
{
    AUTO(mem_free) char *path = blob_file(x, &id->d);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    damage_file(path, st.st_size / 2);
}

static void a_layer_whose_blob_is_damaged_becomes_a_miss(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    struct diff_id id = l->diff_id;
    struct layer_blob blob;

    assert_ok(layer_blob(x->store, l, NULL, &blob, &x->err), &x->err);
    damage_blob(x, &blob.id);
    assert_null(layer_tree(x->store, l, &x->err));
    assert_int_equal(x->err.code, ERR_NOT_FOUND);
    assert_null(layer_get(x->store, &id, &x->err));
    assert_int_equal(x->err.code, ERR_NOT_FOUND);
    l = ingest_members(x, members, 2); /* fetched again */
    assert_non_null(layer_get(x->store, &id, &x->err));
    err_clear(&x->err);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
}

static void a_level_is_forced_or_left_as_it_is(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    struct pack_options o = { .compression = COMPRESSION_GZIP, .level = 1 };
    struct layer_blob first, nine, again;

    assert_ok(layer_blob(x->store, l, &o, &first, &x->err), &x->err);
    o.level = 9;
    assert_ok(layer_blob(x->store, l, &o, &again, &x->err), &x->err);
    assert_true(digest_eq(&first.id.d, &again.id.d)); /* good enough */
    o.force = true;
    assert_ok(layer_blob(x->store, l, &o, &nine, &x->err), &x->err);
    assert_false(digest_eq(&first.id.d, &nine.id.d));
    assert_int_equal(nine.compression, COMPRESSION_GZIP);
    assert_true(nine.size < first.size);
    o.level = 1; /* both are here: each is found as what it is */
    assert_ok(layer_blob(x->store, l, &o, &again, &x->err), &x->err);
    assert_true(digest_eq(&first.id.d, &again.id.d));
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
}

static void another_encoding_steps_in_for_a_damaged_one(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    const enum compression zstd = COMPRESSION_ZSTD, gzip = COMPRESSION_GZIP;
    struct layer_blob a, b;

    assert_ok(layer_blob(x->store, l, &PACK_AS(zstd), &a, &x->err), &x->err);
    assert_ok(layer_blob(x->store, l, &PACK_AS(gzip), &b, &x->err), &x->err);
    damage_blob(x, &a.id);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    if (tree == NULL)
        fail_msg("%s", x->err.msg);
    assert_false(blob_has(x->store, &a.id, NULL));
    assert_true(blob_has(x->store, &b.id, NULL));
}

static void a_changed_tree_is_found_when_it_is_packed(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
    struct layer_blob blob;

    if (geteuid() != 0) {
        work_free(w);
        skip();
    }
    make_upper(x, w, name, b);
    const struct layer *l = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
    work_free(w);
    assert_non_null(l);
    AUTO(mem_free)
    char *file = str_printf("%s/trees/%s/d/a", x->root, DIGEST_HEX(&l->diff_id.d));
    damage_file(file, 1);
    struct diff_id id = l->diff_id;
    assert_true(layer_blob(x->store, l, NULL, &blob, &x->err) < 0);
    assert_false(layer_has_tree(x->store, l));
    assert_null(layer_get(x->store, &id, &x->err));
    assert_int_equal(ask_db(x, "SELECT count(*) FROM layer_blobs"), 0);
}

static void a_lost_or_damaged_listing_is_made_again(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    struct diff_id id = l->diff_id;
    struct content_id content = l->content_id;
    AUTO(mem_free) char *path = blob_file(x, &l->listing_id.d);

    store_close(TAKE(x->store));
    damage_file(path, 150);
    store_again(x);
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_true(digest_eq(&l->content_id.d, &content.d));
    store_close(TAKE(x->store));
    assert_int_equal(unlink(path), 0);
    store_again(x);
    assert_non_null(layer_get(x->store, &id, &x->err));
    assert_int_equal(access(path, F_OK), 0);
}

/* ---- What was found good is not looked at again ---- */

static void settle(void)
{
    usleep(200000); /* longer than a tick of the file system's clock */
}

/* Asks for the layer in a store opened anew, and closes that: what was learnt is in the index. */
static void get_and_close(struct scratch *x, const struct diff_id *id)
{
    store_again(x);
    assert_non_null(layer_get(x->store, id, &x->err));
    store_close(TAKE(x->store));
}

/* Stamps say how they were come by: this makes "no opaque directory" a lie that can be seen. */
static void lie_about_opaque(struct scratch *x)
{
    exec_sql(x, "UPDATE listing_stamps SET stamp = substr(stamp, 1, length(stamp) - 1) || 'b'");
}

static void a_listing_is_checked_once_and_then_opened_by_its_stamp(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    struct diff_id id = l->diff_id;

    assert_false(listing_facts(l->listing) & LISTING_HAS_OPAQUE);
    settle();
    get_and_close(x, &id);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM listing_stamps WHERE stamp LIKE '%.a'"), 1);
    lie_about_opaque(x);
    store_again(x);
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_true(listing_facts(l->listing) & LISTING_HAS_OPAQUE);
    assert_true(listing_find(l->listing, "etc/passwd", NULL));
}

static void a_stamp_remembers_opaque_directories(void **state)
{
    struct scratch *x = *state;
    struct diff_id id = ingest_members(x, members, ARRAY_LEN(members))->diff_id;

    settle();
    get_and_close(x, &id);
    assert_int_equal(
        ask_db(x, "SELECT count(*) FROM listing_stamps WHERE stamp LIKE '%.b' OR stamp LIKE '%.d'"),
        1);
    store_again(x);
    const struct layer *l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_true(listing_facts(l->listing) & LISTING_HAS_OPAQUE);
}

static void a_stamp_of_another_boot_or_file_says_nothing(void **state)
{
    struct scratch *x = *state;
    static const char *const changes[] = {
        "UPDATE listing_stamps SET stamp = substr(stamp, 1, length(stamp) - 4) || 'zz.b'",
        "UPDATE listing_stamps SET stamp = '1' || substr(stamp, 1, length(stamp) - 1) || 'b'",
        "UPDATE listing_stamps SET stamp = 'b'",
        "UPDATE listing_stamps SET stamp = substr(stamp, 1, length(stamp) - 1)",
        "UPDATE listing_stamps SET stamp = stamp || 'b'",
    };
    struct diff_id id = ingest_members(x, members, 2)->diff_id;

    settle();
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        get_and_close(x, &id);
        exec_sql(x, changes[i]);
        store_again(x);
        const struct layer *l = layer_get(x->store, &id, &x->err);
        assert_non_null(l);
        assert_false(listing_facts(l->listing) & LISTING_HAS_OPAQUE);
    }
}

static void a_file_as_young_as_the_clock_is_coarse_gets_no_stamp(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    struct diff_id id = l->diff_id;
    AUTO(mem_free) char *path = blob_file(x, &l->listing_id.d);

    settle();
    assert_int_equal(chmod(path, 0600), 0); /* moves the ctime to now */
    get_and_close(x, &id);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM listing_stamps"), 0);
}

static void a_write_that_hides_behind_the_old_mtime_is_seen(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    struct diff_id id = l->diff_id;
    struct stat st;
    AUTO(mem_free) char *path = blob_file(x, &l->listing_id.d);

    settle();
    get_and_close(x, &id);
    assert_int_equal(stat(path, &st), 0);
    damage_file(path, 150);
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[2]){ st.st_atim, st.st_mtim }, 0),
                     0);
    store_again(x);
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_true(listing_find(l->listing, "usr/bin/tool", NULL));
    assert_ok(listing_verify(l->listing, &x->err), &x->err);
}

/* Gives the stamp that is there the file's present times: as if nothing had been written. */
static void stamp_again(struct scratch *x, const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    AUTO(mem_free)
    char *sql = str_printf("UPDATE listing_stamps SET stamp = '%llx.%llx.%llx.%lld.%ld.%lld.%ld'"
                           " || substr(stamp, -35)", /* the boot and the end */
                           (unsigned long long)st.st_dev, (unsigned long long)st.st_ino,
                           (unsigned long long)st.st_size, (long long)st.st_mtim.tv_sec,
                           st.st_mtim.tv_nsec, (long long)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    exec_sql(x, sql);
}

static void damage_that_no_time_tells_of_is_noticed_and_mended(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    struct diff_id id = l->diff_id;
    struct entry e;
    AUTO(mem_free) char *path = blob_file(x, &l->listing_id.d);

    settle();
    get_and_close(x, &id);
    damage_file(path, 64 + 3); /* where the first entry's path is */
    stamp_again(x, path);
    store_again(x);
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    for (size_t i = 0; i < listing_len(l->listing); i++)
        listing_at(l->listing, i, &e);
    assert_true(listing_is_damaged(l->listing));
    store_close(TAKE(x->store));
    assert_int_equal(ask_db(x, "SELECT count(*) FROM listing_stamps"), 0);
    store_again(x);
    l = layer_get(x->store, &id, &x->err);
    assert_non_null(l);
    assert_ok(listing_verify(l->listing, &x->err), &x->err);
}

static void a_foreign_layer_of_which_only_the_tree_is_left_is_a_miss(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, 2);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    struct layer_blob blob;

    assert_non_null(tree);
    assert_ok(layer_blob(x->store, l, NULL, &blob, &x->err), &x->err);
    AUTO(mem_free) char *path = blob_file(x, &blob.id.d);
    assert_int_equal(unlink(path), 0);
    assert_null(layer_get(x->store, &l->diff_id, &x->err));
    assert_int_equal(x->err.code, ERR_NOT_FOUND);
    err_clear(&x->err);
    assert_int_equal(layer_blob(x->store, l, NULL, &blob, &x->err), ERR_NOT_FOUND);
    assert_true(layer_has_tree(x->store, l)); /* it is as good as before */
}

/* Content. */

static void read_content(struct content *c, const struct layer *l, const char *path,
                         struct buf *ret)
{
    struct err err = ERR_INIT;
    struct entry e;
    AUTO(sink_free) struct sink *to = sink_buf(ret, SIZE_MAX);

    buf_clear(ret);
    assert_true(listing_find(l->listing, path, &e));
    AUTO(source_free) struct source *from = content_open(c, l, &e, &err);
    if (from == NULL)
        fail_msg("content of '%s': %s", path, err.msg);
    assert_ok(stream_copy(from, to, NULL, &err), &err);
}

static void content_comes_from_the_blob_or_the_tree(void **state)
{
    struct scratch *x = *state;
    static const struct tar_member files[] = {
        { "a", '0', 0644, 0, 0, "one", 0, 0 },     { "kept", '1', 0644, 0, 0, "a", 0, 0 },
        { "a", '0', 0644, 0, 0, "two", 0, 0 },     { "real/", '5', 0755, 0, 0, NULL, 0, 0 },
        { "way", '2', 0777, 0, 0, "/real", 0, 0 }, { "way/file", '0', 0644, 0, 0, "link", 0, 0 },
        { "zz", '0', 0644, 0, 0, "same", 0, 0 },   { "aa", '1', 0644, 0, 0, "zz", 0, 0 },
        { "empty", '0', 0644, 0, 0, NULL, 0, 0 },  { "etc/passwd", '0', 0644, 0, 0, "p", 0, 0 },
    };
    static const char *const want[][2] = {
        { "a", "two" },   { "kept", "one" }, { "real/file", "link" }, { "zz", "same" },
        { "aa", "same" }, { "empty", "" },   { "etc/passwd", "p" },
    };
    const struct layer *l = ingest_members(x, files, ARRAY_LEN(files));
    AUTO(buf_release) struct buf b = BUF_INIT;

    for (int round = 0; round < 2; round++) {
        AUTO(content_free) struct content *c = content_new(x->store);
        for (size_t i = 0; i < ARRAY_LEN(want); i += 2) { /* the others nobody said before */
            struct entry e;
            assert_true(listing_find(l->listing, want[i][0], &e));
            content_want(c, l, &e);
        }
        for (size_t i = 0; i < ARRAY_LEN(want); i++) {
            read_content(c, l, want[i][0], &b);
            assert_string_equal(buf_str(&b), want[i][1]);
        }
        AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
        assert_non_null(tree);
    }
}

static void check_place(struct scratch *x, struct content *c, const struct layer *l,
                        const char *path, const char *want, bool is_file)
{
    struct content_place at;
    struct entry e;
    char got[64];

    assert_true(listing_find(l->listing, path, &e));
    assert_ok(content_at(c, l, &e, &at, &x->err), &x->err);
    assert_int_equal(at.is_file, is_file);
    assert_true(!is_file || at.at == 0);
    assert_int_equal(pread(at.fd, got, e.size, (off_t)at.at), (ssize_t)strlen(want));
    assert_memory_equal(got, want, strlen(want));
}

static void the_place_of_content_is_in_the_tree_or_in_scratch(void **state)
{
    struct scratch *x = *state;
    static const struct tar_member files[] = {
        { "a", '0', 0644, 0, 0, "first", 0, 0 },
        { "b", '0', 0644, 0, 0, "second one", 0, 0 },
        { "empty", '0', 0644, 0, 0, NULL, 0, 0 },
        { "etc/passwd", '0', 0644, 0, 0, "carried inline", 0, 0 },
    };
    const struct layer *l = ingest_members(x, files, ARRAY_LEN(files));
    AUTO(content_free) struct content *c = content_new(x->store);
    AUTO(content_free) struct content *other = content_new(x->store);
    struct content_place at;
    struct entry e;

    check_place(x, c, l, "b", "second one", false);
    check_place(x, c, l, "a", "first", false);
    size_t before = count_fds();
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
    check_place(x, c, l, "b", "second one", false); /* taken already */
    check_place(x, other, l, "b", "second one", true);
    check_place(x, other, l, "a", "first", true);
    check_place(x, other, l, "b", "second one", true);
    assert_true(listing_find(l->listing, "empty", &e));
    assert_int_equal(content_at(other, l, &e, &at, &x->err), ERR_USAGE);
    assert_true(listing_find(l->listing, "etc/passwd", &e));
    assert_int_equal(content_at(other, l, &e, &at, &x->err), ERR_USAGE);
    content_free(TAKE(other));
    assert_int_equal(count_fds(), before);
}

/* The reader of a damaged tree must not remove the sound one that was made meanwhile. */
static void a_tree_that_was_replaced_is_not_removed_for_the_old_ones_damage(void **state)
{
    struct scratch *x = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *name = work_subdir(w, "upper", &x->err);
    AUTO(sink_free) struct sink *nowhere = sink_null();

    if (geteuid() != 0) {
        work_free(w);
        skip();
    }
    make_upper(x, w, name, b);
    const struct layer *l = layer_adopt(x->store, b, work_dirfd(w), name, &x->err);
    work_free(w);
    assert_non_null(l);
    AUTO(mem_free) char *tree = str_printf("%s/trees/%s", x->root, DIGEST_HEX(&l->diff_id.d));
    AUTO(mem_free) char *file = str_printf("%s/d/a", tree);
    AUTO(mem_free) char *old = str_printf("%s/old", x->path);
    AUTO(mem_free) char *copy = str_printf("cp -a %s %s.new", tree, old);
    AUTO(mem_free) char *copied = str_printf("%s.new", old);
    assert_int_equal(system(copy), 0);
    damage_file(file, 1);
    AUTO(source_free) struct source *from = layer_tar_source(x->store, l, &x->err);
    assert_non_null(from);
    assert_int_equal(rename(tree, old), 0);
    assert_int_equal(rename(copied, tree), 0);
    assert_int_equal(stream_copy(from, nowhere, NULL, &x->err), ERR_CORRUPT);
    assert_true(layer_has_tree(x->store, l));
}

static void content_comes_from_another_encoding_when_one_is_damaged(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    const enum compression zstd = COMPRESSION_ZSTD, gzip = COMPRESSION_GZIP;
    AUTO(content_free) struct content *c = content_new(x->store);
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct layer_blob a, other;

    assert_ok(layer_blob(x->store, l, &PACK_AS(zstd), &a, &x->err), &x->err);
    assert_ok(layer_blob(x->store, l, &PACK_AS(gzip), &other, &x->err), &x->err);
    damage_blob(x, &a.id);
    read_content(c, l, "usr/bin/tool", &b);
    assert_string_equal(buf_str(&b), "#!/bin/sh\n");
    assert_false(blob_has(x->store, &a.id, NULL));
}

static void content_that_is_gone_says_so(void **state)
{
    struct scratch *x = *state;
    const struct layer *l = ingest_members(x, members, ARRAY_LEN(members));
    AUTO(content_free) struct content *c = content_new(x->store);
    struct layer_blob blob;
    struct entry e;

    assert_true(listing_find(l->listing, "usr/bin/tool", &e));
    content_want(c, l, &e);
    assert_ok(layer_blob(x->store, l, NULL, &blob, &x->err), &x->err);
    damage_blob(x, &blob.id);
    assert_null(content_open(c, l, &e, &x->err));
    assert_true(x->err.code == ERR_CORRUPT || x->err.code == ERR_NOT_FOUND);
    assert_false(blob_has(x->store, &blob.id, NULL));
}

/* The queue. */

static int produce_numbers(void *arg, struct sink *to, struct err *err)
{
    const int *n = arg;

    for (int i = 0; i < *n; i++)
        if (sink_write(to, &i, sizeof(i), err) < 0)
            return err->code;
    return *n % 2 ? err_set(err, ERR_NET, "odd") : 0;
}

static void a_feed_gives_all_bytes_and_then_the_producers_error(void **state UNUSED)
{
    struct err err = ERR_INIT;
    static const int counts[] = { 0, 1, 65536, 65537, 3000001 };

    for (size_t k = 0; k < ARRAY_LEN(counts); k++) {
        int n = counts[k], v;
        AUTO(source_free) struct source *s = source_feed(produce_numbers, &n, NULL);
        for (int i = 0; i < n; i++) {
            assert_int_equal(source_read_full(s, &v, sizeof(v), &err), sizeof(v));
            assert_int_equal(v, i);
        }
        assert_int_equal(source_read(s, &v, sizeof(v), &err), n % 2 ? ERR_NET : 0);
        err_clear(&err);
    }
}

static void a_feed_nobody_reads_ends(void **state UNUSED)
{
    int n = 30000000;

    source_free(source_feed(produce_numbers, &n, NULL));
}

static void nothing_is_left_open(void **state)
{
    struct scratch *x = *state;

    store_again(x);
    size_t before = count_fds();
    const struct layer *l = ingest_members(x, members, 2);
    mem_free(layer_tree(x->store, l, &x->err));
    AUTO(buf_release) struct buf b = BUF_INIT;
    read_tar(x, l, &b);
    store_close(TAKE(x->store));
    x->store = store_open(x->root, &x->err);
    assert_int_equal(count_fds(), before);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ingest_keeps_gzip_and_zstd_as_they_come),
        CASE(ingest_packs_a_plain_tar),
        CASE(ingest_packs_xz_and_checks_its_digest),
        CASE(ingest_refuses_what_is_not_as_promised),
        CASE(a_size_that_is_too_small_stops_the_download),
        CASE(bytes_behind_the_end_of_a_tar_are_in_the_diff_id),
        CASE(a_tree_has_what_the_listing_says),
        CASE(an_empty_layer_has_a_tree_too),
        CASE(a_tree_has_the_bytes_of_the_listing_however_odd_the_tar),
        CASE(threads_that_want_one_tree_unpack_it_once),
        CASE(processes_that_want_one_tree_all_get_it),
        CASE(a_killed_unpacker_leaves_no_half_tree),
        CASE(a_leftover_without_a_row_is_replaced),
        CASE(a_tree_of_another_boot_that_was_not_synced_is_not_believed),
        CASE(make_writes_tar_and_blob_and_can_be_read_back),
        CASE(make_refuses_content_that_is_not_the_listings),
        CASE(adopt_reads_hashes_and_takes_the_directory),
        CASE(an_adopted_layer_unpacks_to_what_it_was),
        CASE(adopting_the_same_twice_leaves_the_second_directory),
        CASE(adopting_what_there_is_only_a_foreign_tree_of_makes_it_ours),
        CASE(adopting_what_there_is_an_unsynced_tree_of_syncs_it),
        CASE(adopt_refuses_a_file_that_is_not_as_listed),
        CASE(a_layer_whose_blob_is_damaged_becomes_a_miss),
        CASE(a_level_is_forced_or_left_as_it_is),
        CASE(another_encoding_steps_in_for_a_damaged_one),
        CASE(a_changed_tree_is_found_when_it_is_packed),
        CASE(a_lost_or_damaged_listing_is_made_again),
        CASE(a_listing_is_checked_once_and_then_opened_by_its_stamp),
        CASE(a_stamp_remembers_opaque_directories),
        CASE(a_stamp_of_another_boot_or_file_says_nothing),
        CASE(a_file_as_young_as_the_clock_is_coarse_gets_no_stamp),
        CASE(a_write_that_hides_behind_the_old_mtime_is_seen),
        CASE(damage_that_no_time_tells_of_is_noticed_and_mended),
        CASE(a_foreign_layer_of_which_only_the_tree_is_left_is_a_miss),
        CASE(content_comes_from_the_blob_or_the_tree),
        CASE(the_place_of_content_is_in_the_tree_or_in_scratch),
        CASE(a_tree_that_was_replaced_is_not_removed_for_the_old_ones_damage),
        CASE(content_comes_from_another_encoding_when_one_is_damaged),
        CASE(content_that_is_gone_says_so),
        cmocka_unit_test(a_feed_gives_all_bytes_and_then_the_producers_error),
        cmocka_unit_test(a_feed_nobody_reads_ends),
        CASE(nothing_is_left_open),
    };

    return UNIT_RUN("store_layer", tests);
}
