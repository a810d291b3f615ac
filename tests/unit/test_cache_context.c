#include "tests/unit/unit.h"

#include "base/clock.h"
#include "cache/context.h"
#include "cache/digest_memory.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/fanotify.h>
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
    struct volume v = { .dev = st.st_dev };
    digest_of("1", 1, &d);
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        memory_put(m, &v, &st, &d, true, INT64_MAX);
        assert_ok(memory_save(m, false, &err), &err);
    }
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        assert_true(memory_find(m, &v, &st, &got, &plain));
        assert_true(digest_eq(&d, &got));
        st.st_ctim.tv_nsec ^= 1;
        assert_false(memory_find(m, &v, &st, &got, &plain));
        st.st_ctim.tv_nsec ^= 1;
    }
    AUTO(fd_close) int fd = openat(p->fd, "memory", O_RDWR);
    char byte = 0x5a;
    assert_int_equal(pwrite(fd, &byte, 1, 40 + 70), 1); /* within the row's digest */
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    assert_false(memory_find(m, &v, &st, &got, &plain));
}

/* ---- Several threads ---- */

static void put_many(const struct place *p)
{
    for (int i = 0; i < 400; i++) {
        AUTO(mem_free) char *path = str_printf("d%d/e%d/f.%d", i % 7, i % 40, i);
        put(p, path, path);
    }
}

static void threads_do_not_change_what_is_found(void **state)
{
    struct place *p = *state;
    put_many(p);
    const unsigned n_threads[] = { 1, 8 };
    struct content_id ids[2];
    for (size_t i = 0; i < 2; i++) {
        pool_free(p->pool);
        p->pool = pool_new(n_threads[i]);
        AUTO(context_free) struct context *c = open_ctx(p, "d3\n!d3/e3\nd4/*/f.1*\n");
        const struct listing *l = scan(c, "");
        struct err err = ERR_INIT;
        ids[i] = *listing_content_id(l);
        assert_ok(listing_verify(l, &err), &err);
        assert_true(listing_len(l) > 300);
        assert_true(listing_find(l, "d3/e3/f.3", NULL));
        assert_false(listing_find(l, "d3/e10", NULL));
        assert_false(listing_find(l, "d4/e11/f.11", NULL));
    }
    assert_true(digest_eq(&ids[0].d, &ids[1].d));
}

static void a_large_file_is_hashed_whole(void **state)
{
    const struct place *p = *state;
    const size_t sizes[] = { 4 << 20, (4 << 20) - 1, (9 << 20) + 17, 128 << 10, 0 };
    AUTO(mem_free) char *text = mem_alloc((9 << 20) + 18);
    for (size_t i = 0; i < (9 << 20) + 18; i++)
        text[i] = (char)('a' + i * 2654435761u % 23);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct digest want;
        struct entry e;
        char saved = text[sizes[i]];
        text[sizes[i]] = '\0';
        put(p, "large", text);
        text[sizes[i]] = saved;
        digest_of(text, sizes[i], &want);
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        assert_true(listing_find(scan(c, ""), "large", &e));
        assert_int_equal(e.size, sizes[i]);
        assert_true(digest_eq(&e.content, &want));
    }
}

struct toucher {
    int fd;
    atomic_bool stop;
};

static void *touch(void *arg)
{
    struct toucher *t = arg;
    while (!atomic_load(&t->stop))
        if (futimens(t->fd, NULL) < 0)
            break;
    return NULL;
}

static void a_file_that_keeps_changing_is_an_error(void **state)
{
    const struct place *p = *state;
    put(p, "busy", "");
    AUTO(fd_close) int fd = openat(p->fd, "ctx/busy", O_RDWR);
    assert_int_equal(ftruncate(fd, 64 << 20), 0); /* so large that both threads get their turn */
    struct toucher t = { .fd = fd };
    pthread_t thread;
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct listing *l;
    struct err err = ERR_INIT;
    strv_add(&wants, "");
    assert_int_equal(pthread_create(&thread, NULL, touch, &t), 0);
    int rc = context_scan(c, &wants, &l, &err);
    atomic_store(&t.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(rc, ERR_IO);
    assert_string_equal(err.msg, "'busy' keeps changing while the context is read");
    assert_true(listing_find(scan(c, ""), "busy", NULL)); /* it has settled */
}

/*
 * Removes the file when the first of the others is opened to be read: the kernel asks then
 * (fanotify). These are larger, so that it comes after them.
 */
struct remover {
    const struct place *p;
    int fd;
};

static void *remove_when_asked(void *arg)
{
    const struct remover *r = arg;
    struct fanotify_event_metadata e;
    for (int i = 0; i < 4 && read(r->fd, &e, sizeof(e)) == sizeof(e); i++) {
        struct fanotify_response yes = { .fd = e.fd, .response = FAN_ALLOW };
        unlinkat(r->p->fd, "ctx/d/gone", 0);
        if (write(r->fd, &yes, sizeof(yes)) < 0)
            break;
        close(e.fd);
    }
    return NULL;
}

static void a_file_that_goes_before_it_is_read_was_not_there(void **state)
{
    const struct place *p = *state;
    AUTO(fd_close) int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
    if (fd < 0)
        skip(); /* only root is asked */
    struct remover r = { .p = p, .fd = fd };
    pthread_t thread;
    put(p, "d/gone", "x");
    for (int i = 0; i < 4; i++) {
        AUTO(mem_free) char *name = str_printf("large%d", i);
        AUTO(mem_free) char *path = str_printf("%s/ctx/%s", p->path, name);
        put(p, name, "larger");
        if (fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, path) < 0)
            skip();
    }
    assert_int_equal(pthread_create(&thread, NULL, remove_when_asked, &r), 0);
    AUTO(context_free) struct context *c = open_ctx(p, "d\n!d/gone\n");
    const struct listing *l = scan(c, "");
    pthread_join(thread, NULL);
    assert_true(listing_find(l, "large3", NULL));
    assert_false(listing_find(l, "d/gone", NULL));
    assert_false(listing_find(l, "d", NULL)); /* it was there for that file only */
}

/* What root may not do either: reading as somebody else. */
static int scan_as_nobody(struct place *p, struct err *err)
{
    AUTO(mem_free) char *store = str_printf("%s/store", p->path);
    AUTO(mem_free) char *memory = str_printf("%s/store/memory", p->path);
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct listing *l;
    bool root = geteuid() == 0;
    AUTO(context_free) struct context *c = open_ctx(p, NULL);
    strv_add(&wants, "");
    mkdir(memory, 0700);
    assert_int_equal(chmod(p->path, 0755), 0);
    assert_int_equal(chmod(store, 0755), 0);
    assert_int_equal(root ? chown(memory, 65534, 65534) : 0, 0);
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    int rc = context_scan(c, &wants, &l, err);
    assert_int_equal(root ? seteuid(0) : 0, 0);
    return rc;
}

static void the_error_does_not_depend_on_the_threads(void **state)
{
    struct place *p = *state;
    put_many(p);
    put(p, "d1/small", "x");
    put(p, "d5/large", "xxx");
    assert_int_equal(fchmodat(p->fd, "ctx/d1/small", 0, 0), 0);
    assert_int_equal(fchmodat(p->fd, "ctx/d5/large", 0, 0), 0);
    pool_free(p->pool);
    p->pool = pool_new(8);
    for (int i = 0; i < 40; i++) {
        struct err err = ERR_INIT;
        if (i == 20) {
            assert_int_equal(fchmodat(p->fd, "ctx/d6", 0, 0), 0);
            assert_int_equal(fchmodat(p->fd, "ctx/d2/e2", 0, 0), 0);
        }
        assert_int_equal(scan_as_nobody(p, &err), ERR_IO);
        const char *want = i < 20 ? "cannot open 'd5/large' in the context"
                                  : "cannot open directory 'd2/e2' of the context";
        assert_int_equal(strncmp(err.msg, want, strlen(want)), 0);
    }
    assert_int_equal(fchmodat(p->fd, "ctx/d6", 0755, 0), 0);
    assert_int_equal(fchmodat(p->fd, "ctx/d2/e2", 0755, 0), 0);
}

/* ---- The memory ---- */

static void what_another_build_does_not_look_at_stays_remembered(void **state)
{
    const struct place *p = *state;
    struct context_counts counts;
    put(p, "a/x", "1");
    put(p, "b/y", "2");
    settle();
    for (int i = 0; i < 3; i++) {
        if (i == 1) {
            put(p, "a/x", "3");
            settle();
        }
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        scan(c, i == 1 ? "a" : "");
        context_counts(c, &counts);
        assert_int_equal(counts.read_files, i == 0 ? 2 : i == 1 ? 1 : 0);
    }
}

static void what_is_forgotten_is_read_again(void **state)
{
    const struct place *p = *state;
    struct context_counts counts;
    put(p, "a", "1");
    settle();
    for (int i = 0; i < 4; i++) {
        AUTO(context_free) struct context *c = open_ctx(p, NULL);
        if (i == 2)
            context_forget(c);
        scan(c, "");
        context_counts(c, &counts);
        assert_int_equal(counts.read_files, i == 0 || i == 2);
    }
}

static off_t memory_size(const struct place *p)
{
    struct stat st;
    assert_int_equal(fstatat(p->fd, "memory", &st, 0), 0);
    return st.st_size;
}

#define ROW_LEN 104 /* of the file, after a head of 40: its day is at 62, its check at the end */

/* Rows of files that have the numbers from..to-1. */
static void remember(const struct place *p, uint64_t from, uint64_t to, bool whole)
{
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    struct volume v = { .dev = 7 };
    struct stat st = { .st_dev = 7, .st_mode = S_IFREG | 0644 };
    struct err err = ERR_INIT;
    struct digest d;
    digest_of("1", 1, &d);
    for (st.st_ino = from; st.st_ino < to; st.st_ino++)
        memory_put(m, &v, &st, &d, true, INT64_MAX);
    assert_ok(memory_save(m, whole, &err), &err);
}

static bool knows(const struct memory *m, uint64_t ino)
{
    struct volume v = { .dev = 7 };
    struct stat st = { .st_dev = 7, .st_mode = S_IFREG | 0644, .st_ino = ino };
    struct digest got;
    bool plain;
    return memory_find(m, &v, &st, &got, &plain);
}

/* As if the first n rows had been written days ago. */
static void make_older(const struct place *p, size_t n, uint16_t days)
{
    AUTO(fd_close) int fd = openat(p->fd, "memory", O_RDWR);
    for (size_t i = 0; i < n; i++) {
        unsigned char row[ROW_LEN];
        uint16_t day;
        off_t at = 40 + (off_t)i * ROW_LEN;
        assert_int_equal(pread(fd, row, sizeof(row), at), sizeof(row));
        memcpy(&day, row + 62, sizeof(day));
        day = (uint16_t)(day - days);
        memcpy(row + 62, &day, sizeof(day));
        uint64_t check = quick_hash(row, ROW_LEN - 8, 0x7368616c65ULL);
        memcpy(row + ROW_LEN - 8, &check, sizeof(check));
        assert_int_equal(pwrite(fd, row, sizeof(row), at), sizeof(row));
    }
}

static void of_what_is_not_met_the_newest_is_kept_up_to_a_limit(void **state)
{
    const struct place *p = *state;
    remember(p, 0, 150000, false);
    assert_int_equal(memory_size(p), 40 + 150000 * ROW_LEN);
    make_older(p, 60000, 2);
    remember(p, 200000, 200001, false); /* 4 for it and 100,000 */
    assert_int_equal(memory_size(p), 40 + 100005 * ROW_LEN);
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    for (uint64_t i = 60000; i < 150000; i++)
        assert_true(knows(m, i));
    assert_true(knows(m, 200000));
    assert_true(knows(m, 10003));
    assert_false(knows(m, 10004));
}

static void what_is_not_met_for_a_month_goes(void **state)
{
    const struct place *p = *state;
    remember(p, 0, 10, false);
    make_older(p, 4, 30);
    make_older(p, 2, 1);
    remember(p, 20, 21, false);
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(knows(m, i), i >= 2);
}

static void what_a_scan_of_everything_does_not_meet_goes(void **state)
{
    const struct place *p = *state;
    remember(p, 0, 10, true);
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        assert_true(knows(m, 3));
    }
    remember(p, 8, 12, true);
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    for (uint64_t i = 0; i < 13; i++)
        assert_int_equal(knows(m, i), i >= 8 && i < 12);
}

/* Whether a file of that volume and change time, hashed then, is known afterwards. */
static bool is_remembered(const struct place *p, struct volume v, struct timespec ctime,
                          int64_t hashed_ns)
{
    struct stat st = { .st_dev = 7, .st_ino = 8, .st_mode = S_IFREG | 0644, .st_size = 9 };
    struct digest d, got;
    struct err err = ERR_INIT;
    bool plain;
    st.st_ctim = st.st_mtim = ctime;
    digest_of("1", 1, &d);
    unlinkat(p->fd, "memory", 0);
    {
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        memory_put(m, &v, &st, &d, true, hashed_ns);
        assert_ok(memory_save(m, false, &err), &err);
    }
    AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
    struct volume other = v;
    other.id++; /* the number of the device is another file system's now */
    assert_false(memory_find(m, &other, &st, &got, &plain));
    return memory_find(m, &v, &st, &got, &plain);
}

static void only_what_changed_long_enough_ago_is_remembered(void **state)
{
    const struct place *p = *state;
    const int64_t s = 1000000000, hour = 3600 * s, at = 1700000000 * s;
    const struct timespec fine = { 1700000000, 1000000 }, coarse = { 1700000000, 0 };
    struct volume local = { .dev = 7, .margin_ns = s / 10 };
    struct volume server = { .dev = 7, .margin_ns = hour };
    struct volume unsure = { .dev = 7, .margin_ns = -1 };
    struct volume other = { .dev = 6, .margin_ns = s / 10 };
    assert_false(is_remembered(p, local, fine, at));
    assert_false(is_remembered(p, local, fine, at + s / 20));
    assert_true(is_remembered(p, local, fine, at + s / 5));
    assert_false(is_remembered(p, local, coarse, at + 2 * s));
    assert_true(is_remembered(p, local, coarse, at + 4 * s));
    assert_false(is_remembered(p, server, fine, at + hour / 2));
    assert_true(is_remembered(p, server, fine, at + 2 * hour));
    assert_false(is_remembered(p, unsure, fine, at + 100 * hour));
    assert_false(is_remembered(p, other, fine, at + 100 * hour));
    /* from the future: the clock was set back, or is another's */
    assert_false(is_remembered(p, local, fine, at - s));
    assert_false(is_remembered(p, server, fine, at - 100 * hour));
}

static void nothing_is_remembered_when_the_clock_was_set_back(void **state)
{
    const struct place *p = *state;
    struct volume v = { .dev = 7 };
    struct timespec t = { 1700000000, 1 };
    const int64_t hashed = 1700000001LL * 1000000000;
    assert_true(is_remembered(p, v, t, hashed));
    AUTO(fd_close) int fd = openat(p->fd, "memory", O_RDWR);
    int64_t head[5]; /* magic, rows, time of the save, check */
    struct err err = ERR_INIT;
    size_t n;
    assert_ok(fd_read_full(fd, head, sizeof(head), &n, &err), &err);
    for (int i = 0; i < 2; i++) {
        head[3] += i == 0 ? -1000000000 : 3600 * 1000000000LL;
        head[4] = (int64_t)quick_hash(head, 32, 0x7368616c65ULL);
        assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
        struct stat st = { .st_dev = 7, .st_ino = 8, .st_mode = S_IFREG | 0644, .st_size = 9 };
        struct digest got;
        bool plain;
        st.st_ctim = st.st_mtim = t;
        AUTO(memory_free) struct memory *m = memory_open(p->fd, "memory");
        assert_int_equal(memory_find(m, &v, &st, &got, &plain), i == 0);
    }
}

static void a_file_system_that_makes_change_times_up_is_not_trusted(void **state UNUSED)
{
    struct volume v;
    struct stat st;
    AUTO(fd_close) int fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    volume_of(fd, &st, &v);
    assert_int_equal(v.dev, st.st_dev);
    assert_true(v.margin_ns < 0);
    AUTO(fd_close) int own = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* tmpfs */
    assert_int_equal(fstat(own, &st), 0);
    volume_of(own, &st, &v);
    assert_true(v.margin_ns > 0);
    volume_of(-1, &st, &v); /* nothing is known of it */
    assert_true(v.margin_ns < 0);
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
        CASE(threads_do_not_change_what_is_found),
        CASE(a_large_file_is_hashed_whole),
        CASE(a_file_that_keeps_changing_is_an_error),
        CASE(a_file_that_goes_before_it_is_read_was_not_there),
        CASE(the_error_does_not_depend_on_the_threads),
        CASE(what_another_build_does_not_look_at_stays_remembered),
        CASE(what_is_forgotten_is_read_again),
        CASE(of_what_is_not_met_the_newest_is_kept_up_to_a_limit),
        CASE(what_is_not_met_for_a_month_goes),
        CASE(what_a_scan_of_everything_does_not_meet_goes),
        CASE(only_what_changed_long_enough_ago_is_remembered),
        CASE(nothing_is_remembered_when_the_clock_was_set_back),
        CASE(a_file_system_that_makes_change_times_up_is_not_trusted),
    };
    return UNIT_RUN("cache_context", tests);
}
