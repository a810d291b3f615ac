#include "tests/unit/unit.h"

#include "base/clock.h"
#include "cache/context.h"
#include "cache/digest_memory.h"
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

struct place {
    char path[64];
    int fd;
    struct store *store;
    struct pool *pool;
};

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    struct err err = ERR_INIT;
    p->fd = scratch_make(p->path);
    AUTO(mem_free) char *root = str_printf("%s/store", p->path);
    p->store = store_open(root, &err);
    if (p->store == NULL)
        fail_msg("%s", err.msg);
    p->pool = pool_new(2);
    assert_ok(dir_make(p->fd, "ctx", 0755, &err), &err);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    pool_free(p->pool);
    store_close(p->store);
    scratch_remove(p->fd, p->path);
    mem_free(p);
    return 0;
}

static void put(const struct place *p, const char *path, const char *text)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *full = str_printf("ctx/%s", path);
    AUTO(mem_free) char *dir = path_dir(full);
    assert_ok(dir_make(p->fd, dir, 0755, &err), &err);
    AUTO(fd_close) int fd = openat(p->fd, full, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_ok(fd_write_full(fd, text, strlen(text), &err), &err);
}

/* Makes all files look long settled, so that their digests may be remembered. */
static void settle(void)
{
    struct timespec t = { .tv_nsec = 150 * 1000 * 1000 };
    nanosleep(&t, NULL);
}

static struct context *open_ctx(const struct place *p, const char *ignore_text)
{
    struct err err = ERR_INIT;
    struct ignore *ig = NULL;
    if (ignore_text != NULL) {
        ig = ignore_parse(ignore_text, strlen(ignore_text), &err);
        assert_non_null(ig);
    }
    AUTO(mem_free) char *path = str_printf("%s/ctx", p->path);
    struct context *c = context_open(path, ig, p->store, p->pool, NULL, &err);
    if (c == NULL)
        fail_msg("%s", err.msg);
    return c;
}

static const struct listing *scan(struct context *c, const char *path)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct listing *l = NULL;
    strv_add(&wants, path);
    assert_ok(context_scan(c, &wants, &l, &err), &err);
    return l;
}

static void only_what_is_asked_for_is_scanned(void **state)
{
    const struct place *p = *state;
    put(p, "a/x", "1");
    put(p, "b/y", "2");
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    const struct listing *l = scan(c, "a");
    assert_true(listing_find(l, "a/x", NULL));
    assert_true(listing_find(l, "a", NULL));
    assert_false(listing_find(l, "b/y", NULL));
    l = scan(c, "b/y");
    assert_true(listing_find(l, "a/x", NULL));
    assert_true(listing_find(l, "b/y", NULL));
    scan(c, "nothing/here");
}

static void links_on_the_way_bring_what_they_point_to(void **state)
{
    const struct place *p = *state;
    put(p, "real/x", "1");
    assert_int_equal(symlinkat("real", p->fd, "ctx/link"), 0);
    assert_int_equal(symlinkat("/real/../../../link", p->fd, "ctx/again"), 0);
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    const struct listing *l = scan(c, "again/x");
    assert_true(listing_find(l, "again", NULL));
    assert_true(listing_find(l, "link", NULL));
    assert_true(listing_find(l, "real/x", NULL));
}

static void a_link_in_what_was_scanned_is_followed_when_it_is_asked_for(void **state)
{
    const struct place *p = *state;
    put(p, "shared/x", "1");
    put(p, "conf/y", "2");
    assert_int_equal(symlinkat("../shared/x", p->fd, "ctx/conf/x"), 0);
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    const struct listing *l = scan(c, "conf");
    assert_false(listing_find(l, "shared/x", NULL));
    l = scan(c, "conf/x");
    assert_true(listing_find(l, "shared/x", NULL));
    assert_true(listing_find(l, "conf/y", NULL));
    assert_ptr_equal(scan(c, "conf/x"), l);
}

static void ignored_files_are_not_there_and_exceptions_come_with_their_directories(void **state)
{
    const struct place *p = *state;
    put(p, "out/a", "1");
    put(p, "out/keep/b", "2");
    put(p, "logs/c", "3");
    AUTO(context_free) struct context *c = open_ctx(p, "out\n!out/keep/b\nlogs\n");
    const struct listing *l = scan(c, "");
    assert_false(listing_find(l, "out/a", NULL));
    assert_true(listing_find(l, "out", NULL));
    assert_true(listing_find(l, "out/keep/b", NULL));
    assert_false(listing_find(l, "logs", NULL));
}

static void owners_are_root_and_sockets_are_empty_files(void **state)
{
    const struct place *p = *state;
    put(p, "f", "1");
    assert_int_equal(fchownat(p->fd, "ctx/f", 12, 13, 0), 0);
    assert_int_equal(mknodat(p->fd, "ctx/s", S_IFSOCK | 0600, 0), 0);
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    const struct listing *l = scan(c, "");
    struct entry e;
    assert_true(listing_find(l, "f", &e));
    assert_int_equal(e.uid, 0);
    assert_int_equal(e.gid, 0);
    assert_true(listing_find(l, "s", &e));
    assert_int_equal(e.type, ENTRY_FILE);
    assert_int_equal(e.size, 0);
    assert_int_equal(e.mode, 0600);
}

static void names_of_one_file_are_hard_links(void **state)
{
    const struct place *p = *state;
    put(p, "d/b", "1");
    put(p, "d/c", "1");
    assert_int_equal(linkat(p->fd, "ctx/d/b", p->fd, "ctx/d/a", 0), 0);
    assert_int_equal(linkat(p->fd, "ctx/d/b", p->fd, "ctx/out", 0), 0);
    AUTO(context_free) struct context *c = open_ctx(p, "out\n");
    struct entry e;
    const struct listing *l = scan(c, "d/b"); /* no other name was asked for */
    assert_true(listing_find(l, "d/b", &e));
    assert_null(e.hardlink);
    l = scan(c, "");
    assert_true(listing_find(l, "d/a", &e));
    assert_null(e.hardlink);
    assert_true(listing_find(l, "d/b", &e));
    assert_string_equal(e.hardlink, "d/a");
    assert_int_equal(e.size, 1);
    assert_true(listing_find(l, "d/c", &e));
    assert_null(e.hardlink);
}

static void settled_files_are_read_once(void **state)
{
    const struct place *p = *state;
    put(p, "a", "1");
    put(p, "b", "2");
    settle();
    struct context_counts counts;
    for (int i = 0; i < 2; i++) {
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        scan(c, "");
        context_counts(c, &counts);
        assert_int_equal(counts.read_files, i == 0 ? 2 : 0);
        assert_int_equal(counts.files, 2);
    }
}

static void fresh_files_are_read_again(void **state)
{
    const struct place *p = *state;
    put(p, "a", "1");
    for (int i = 0; i < 2; i++) {
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        scan(c, "");
    }
    put(p, "a", "2"); /* may well have the ctime of the first write */
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    struct entry e;
    struct digest want;
    digest_of("2", 1, &want);
    assert_true(listing_find(scan(c, ""), "a", &e));
    assert_true(digest_eq(&e.content, &want));
}

/* moby/buildkit #4950: the old file is served. */
static void same_size_and_same_mtime_with_other_content_is_seen(void **state)
{
    const struct place *p = *state;
    struct timespec t[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
    struct entry e;
    struct digest want;
    put(p, "a", "old!");
    assert_int_equal(utimensat(p->fd, "ctx/a", t, 0), 0);
    settle();
    {
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        scan(c, "");
    }
    put(p, "a", "new!");
    assert_int_equal(utimensat(p->fd, "ctx/a", t, 0), 0);
    settle();
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    digest_of("new!", 4, &want);
    assert_true(listing_find(scan(c, ""), "a", &e));
    assert_true(digest_eq(&e.content, &want));
}

static void modes_and_xattrs_are_in_the_content_id(void **state)
{
    const struct place *p = *state;
    put(p, "a", "1");
    settle();
    struct content_id ids[3];
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            assert_int_equal(fchmodat(p->fd, "ctx/a", 0755, 0), 0);
        AUTO(mem_free) char *full = str_printf("%s/ctx/a", p->path);
        if (i == 2 && setxattr(full, "user.x", "v", 1, 0) < 0)
            fail_msg("the scratch file system has no user xattrs");
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        ids[i] = *listing_content_id(scan(c, ""));
    }
    assert_false(digest_eq(&ids[0].d, &ids[1].d));
    assert_false(digest_eq(&ids[1].d, &ids[2].d));
}

static void normalized_modes_are_those_that_git_keeps(void **state)
{
    static const struct {
        const char *path;
        mode_t mode;
        unsigned want, plain;
    } rows[] = {
        { "f", 0664, 0644, 0664 },
        { "x", 0775, 0755, 0775 },
        { "r", 0400, 0644, 0400 },
        { "group", 0674, 0644, 0674 },
        { "set", 06711, 0755, 06711 },
        { "d", 01777, 0755, 01777 },
        { "s", S_IFSOCK | 0600, 0644, 0600 },
    };
    const struct place *p = *state;
    assert_int_equal(mkdirat(p->fd, "ctx/d", 0700), 0);
    assert_int_equal(mknodat(p->fd, "ctx/s", S_IFSOCK | 0600, 0), 0);
    assert_int_equal(symlinkat("f", p->fd, "ctx/l"), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(mem_free) char *path = str_printf("ctx/%s", rows[i].path);
        if (rows[i].path[0] != 'd' && !S_ISSOCK(rows[i].mode))
            put(p, rows[i].path, "1");
        assert_int_equal(fchmodat(p->fd, path, rows[i].mode & 07777, 0), 0);
    }
    AUTO(context_free) struct context *plain = open_ctx(p, NULL);
    AUTO(context_free) struct context *normal = open_ctx(p, NULL);
    context_normalize_modes(normal);
    const struct listing *a = scan(plain, ""), *b = scan(normal, "");
    struct entry e;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(listing_find(a, rows[i].path, &e));
        assert_int_equal(e.mode, rows[i].plain);
        assert_true(listing_find(b, rows[i].path, &e));
        assert_int_equal(e.mode, rows[i].want);
    }
    assert_true(listing_find(b, "l", &e));
    assert_int_equal(e.type, ENTRY_LINK);
    assert_int_equal(e.mode, 0777);
}

static void times_are_not_in_the_content_id(void **state)
{
    const struct place *p = *state;
    put(p, "a", "1");
    struct content_id ids[2];
    for (int i = 0; i < 2; i++) {
        struct timespec t[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };
        assert_int_equal(utimensat(p->fd, "ctx/a", t, 0), 0);
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        ids[i] = *listing_content_id(scan(c, ""));
    }
    assert_true(digest_eq(&ids[0].d, &ids[1].d));
}

static void a_damaged_memory_is_an_empty_one(void **state)
{
    const struct place *p = *state;
    struct stat st;
    struct digest d, got;
    bool plain;
    struct err err = ERR_INIT;
    put(p, "a", "1");
    assert_int_equal(fstatat(p->fd, "ctx/a", &st, 0), 0);
    digest_of("1", 1, &d);
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        memory_put(m, &st, &d, true, INT64_MAX);
        assert_ok(memory_save(m, &err), &err);
    }
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        assert_true(memory_find(m, &st, &got, &plain));
        assert_true(digest_eq(&d, &got));
        st.st_ctim.tv_nsec ^= 1;
        assert_false(memory_find(m, &st, &got, &plain));
        st.st_ctim.tv_nsec ^= 1;
    }
    AUTO(fd_close) int fd = openat(p->fd, "memory", O_RDWR);
    char byte = 0x5a;
    assert_int_equal(pwrite(fd, &byte, 1, 24 + 45), 1); /* within the row's digest */
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    assert_false(memory_find(m, &st, &got, &plain));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(only_what_is_asked_for_is_scanned),
        CASE(links_on_the_way_bring_what_they_point_to),
        CASE(a_link_in_what_was_scanned_is_followed_when_it_is_asked_for),
        CASE(ignored_files_are_not_there_and_exceptions_come_with_their_directories),
        CASE(owners_are_root_and_sockets_are_empty_files),
        CASE(names_of_one_file_are_hard_links),
        CASE(settled_files_are_read_once),
        CASE(fresh_files_are_read_again),
        CASE(same_size_and_same_mtime_with_other_content_is_seen),
        CASE(modes_and_xattrs_are_in_the_content_id),
        CASE(normalized_modes_are_those_that_git_keeps),
        CASE(times_are_not_in_the_content_id),
        CASE(a_damaged_memory_is_an_empty_one),
    };
    return UNIT_RUN("cache_context", tests);
}
