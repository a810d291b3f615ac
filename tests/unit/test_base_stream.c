#include "tests/unit/unit.h"

#include "base/stream.h"
#include <errno.h>

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* Fails at the n-th call of write, or of finish; counts what is called. */
struct faulty {
    struct sink base;
    int fail_at, writes, finishes;
    bool fail_finish;
    bool *freed;
    unsigned slow_us;
};

static int faulty_write(struct sink *s, const void *p UNUSED, size_t n UNUSED, struct err *err)
{
    struct faulty *f = (struct faulty *)s;

    if (f->slow_us)
        usleep(f->slow_us);
    return ++f->writes == f->fail_at ? err_set(err, ERR_IO, "disk is full") : 0;
}

static int faulty_finish(struct sink *s, struct err *err)
{
    struct faulty *f = (struct faulty *)s;

    f->finishes++;
    return f->fail_finish ? err_set(err, ERR_NET, "gone") : 0;
}

static void faulty_free(struct sink *s)
{
    *((struct faulty *)s)->freed = true;
    mem_free(s);
}

/* noinline here and below: gcc would see mem_zalloc answered by sink_free. */
__attribute__((noinline)) static struct faulty *faulty_new(bool *freed)
{
    struct faulty *f = mem_zalloc(sizeof(*f));

    *freed = false;
    *f = (struct faulty){
        .base = { .write = faulty_write, .finish = faulty_finish, .free = faulty_free },
        .freed = freed,
    };
    return f;
}

/* Gives n bytes, one at a time, then the end or an error. */
struct dribble {
    struct source base;
    const char *p;
    size_t n;
    bool fail;
};

static ssize_t dribble_read(struct source *s, void *p, size_t n UNUSED, struct err *err)
{
    struct dribble *d = (struct dribble *)s;

    if (d->n == 0)
        return d->fail ? err_set(err, ERR_NET, "reset") : 0;
    *(char *)p = *d->p++;
    d->n--;
    return 1;
}

static void dribble_free(struct source *s)
{
    mem_free(s);
}

__attribute__((noinline)) static struct source *dribble_new(const char *p, size_t n, bool fail)
{
    struct dribble *d = mem_zalloc(sizeof(*d));

    *d = (struct dribble){
        .base = { .read = dribble_read, .free = dribble_free }, .p = p, .n = n, .fail = fail
    };
    return &d->base;
}

static void a_chain_hashes_counts_and_tees(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf a = BUF_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct digest d;
    uint64_t n = 99;
    AUTO(sink_free)
    struct sink *s = sink_count(
        sink_tee(sink_hash(sink_buf(&a, 10), &d), sink_tee(sink_buf(&b, 10), sink_null())), &n);

    assert_int_equal(n, 0);
    assert_ok(sink_write(s, "a", 1, &err), &err);
    assert_ok(sink_write(s, "bc", 2, &err), &err);
    assert_ok(sink_write(s, NULL, 0, &err), &err);
    assert_ok(sink_finish(s, &err), &err);
    assert_ok(sink_finish(s, &err), &err);
    assert_int_equal(n, 3);
    assert_string_equal(buf_str(&a), "abc");
    assert_string_equal(buf_str(&b), "abc");
    assert_string_equal(DIGEST_HEX(&d), ABC);
}

static void a_hash_needs_no_sink_behind_it(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct digest d;
    AUTO(sink_free) struct sink *s = sink_hash(NULL, &d);

    assert_ok(sink_write(s, "abc", 3, &err), &err);
    assert_ok(sink_finish(s, &err), &err);
    assert_string_equal(DIGEST_HEX(&d), ABC);
}

static void a_buf_sink_keeps_to_its_cap(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(sink_free) struct sink *s = sink_buf(&b, 4);

    assert_ok(sink_write(s, "1234", 4, &err), &err);
    assert_int_equal(sink_write(s, "5", 1, &err), ERR_CORRUPT);
    assert_string_equal(buf_str(&b), "1234");
}

static void a_failed_write_fails_what_follows(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool freed;
    struct faulty *f = faulty_new(&freed);
    uint64_t n;
    struct sink *s = sink_count(&f->base, &n);

    f->fail_at = 2;
    assert_ok(sink_write(s, "x", 1, &err), &err);
    assert_int_equal(sink_write(s, "x", 1, &err), ERR_IO);
    err_clear(&err);
    assert_int_equal(sink_write(s, "x", 1, &err), ERR_IO);
    assert_string_equal(err.msg, "disk is full");
    err_clear(&err);
    assert_int_equal(sink_finish(s, &err), ERR_IO);
    assert_string_equal(err.msg, "disk is full");
    assert_int_equal(f->writes, 2);
    assert_int_equal(f->finishes, 0);
    assert_int_equal(n, 1);
    sink_free(s);
    assert_true(freed);
}

static void finish_runs_once_and_its_error_stays(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool freed;
    struct faulty *f = faulty_new(&freed);
    struct digest d;
    struct sink *s = sink_hash(&f->base, &d);

    memset(&d, 9, sizeof(d));
    f->fail_finish = true;
    assert_int_equal(sink_finish(s, &err), ERR_NET);
    assert_int_equal(sink_finish(s, &err), ERR_NET);
    assert_int_equal(f->finishes, 1);
    assert_int_equal(d.b[0], 9); /* no digest of what failed */
    sink_free(s);
    assert_true(freed);
}

static void an_fd_sink_writes_and_reports(void **state UNUSED)
{
    struct err err = ERR_INIT;
    int ends[2];
    char p[4] = "";

    assert_int_equal(pipe(ends), 0);
    struct sink *s = sink_fd(ends[1], true);
    assert_ok(sink_write(s, "abc", 3, &err), &err);
    assert_ok(sink_finish(s, &err), &err);
    sink_free(s);
    assert_int_equal(read(ends[0], p, 4), 3);
    assert_int_equal(read(ends[0], p + 3, 1), 0); /* closed */
    fd_close(ends[0]);
    AUTO(fd_close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    AUTO(sink_free) struct sink *f = sink_fd(full, false);
    assert_int_equal(sink_write(f, "abc", 3, &err), ERR_IO);
    assert_int_equal(err.sys, ENOSPC);
}

static void sources_hash_count_tee_and_limit(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf copy = BUF_INIT;
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(sink_free) struct sink *tee = sink_buf(&copy, 100);
    AUTO(sink_free) struct sink *to = sink_buf(&out, 100);
    struct digest d;
    uint64_t n = 0, copied = 0;
    AUTO(source_free)
    struct source *s = source_limit(
        source_tee(source_count(source_hash(dribble_new("abc", 3, false), &d), &n), tee), 3, "x");

    assert_ok(stream_copy(s, to, &copied, &err), &err);
    assert_int_equal(copied, 3);
    assert_int_equal(n, 3);
    assert_string_equal(buf_str(&copy), "abc");
    assert_string_equal(buf_str(&out), "abc");
    assert_string_equal(DIGEST_HEX(&d), ABC);
    char more;
    assert_int_equal(source_read(s, &more, 1, &err), 0); /* the end again: the same digest */
    assert_string_equal(DIGEST_HEX(&d), ABC);
}

static void a_limit_names_what_is_too_large(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char p[10];
    AUTO(source_free) struct source *s = source_limit(source_mem("12345", 5), 4, "manifest");

    assert_int_equal(source_read_full(s, p, sizeof(p), &err), ERR_CORRUPT);
    assert_string_equal(err.msg, "manifest is larger than 4 bytes");
    AUTO(source_free) struct source *fits = source_limit(source_mem("12345", 5), 5, "manifest");
    assert_int_equal(source_read_full(fits, p, sizeof(p), &err), 5);
}

static void read_full_gathers_short_reads(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char p[8];
    AUTO(source_free) struct source *s = dribble_new("abcdefghij", 10, true);

    assert_int_equal(source_read_full(s, p, 8, &err), 8);
    assert_memory_equal(p, "abcdefgh", 8);
    assert_int_equal(source_read_full(s, p, 8, &err), ERR_NET);
}

static void a_copy_stops_at_the_first_error_of_either_side(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool freed;
    uint64_t n = 77;
    AUTO(source_free) struct source *broken = dribble_new("abc", 3, true);
    AUTO(sink_free) struct sink *null = sink_null();

    assert_int_equal(stream_copy(broken, null, &n, &err), ERR_NET);
    assert_int_equal(n, 77);
    struct faulty *f = faulty_new(&freed);
    f->fail_at = 2;
    AUTO(sink_free) struct sink *full = &f->base;
    AUTO(source_free) struct source *good = dribble_new("abc", 3, false);
    assert_int_equal(stream_copy(good, full, NULL, &err), ERR_IO);
}

static void an_fd_source_reads_to_the_end(void **state UNUSED)
{
    struct err err = ERR_INIT;
    int ends[2];
    char p[8];

    assert_int_equal(pipe(ends), 0);
    assert_ok(fd_write_full(ends[1], "abc", 3, &err), &err);
    fd_close(ends[1]);
    AUTO(source_free) struct source *s = source_fd(ends[0], true);
    assert_int_equal(source_read_full(s, p, 8, &err), 3);
    assert_int_equal(source_read(s, p, 8, &err), 0);
    AUTO(source_free) struct source *bad = source_fd(-1, false);
    assert_int_equal(source_read(bad, p, 8, &err), ERR_IO);
}

static void async_gives_the_same_bytes_in_order(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct digest direct, behind;
    AUTO(sink_free) struct sink *a = sink_hash(NULL, &direct);
    AUTO(sink_free) struct sink *b = sink_async(sink_hash(NULL, &behind));
    size_t size = 3 << 20;
    AUTO(mem_free) char *p = mem_alloc(size);

    for (size_t i = 0; i < size; i++)
        p[i] = (char)(i * 2654435761u >> 13);
    for (size_t n = 1; n < size; n = n * 3 + 1) {
        assert_ok(sink_write(a, p + size - n, n, &err), &err);
        assert_ok(sink_write(b, p + size - n, n, &err), &err);
    }
    for (int i = 0; i < 4; i++) {
        assert_ok(sink_write(a, p, size, &err), &err);
        assert_ok(sink_write(b, p, size, &err), &err);
    }
    assert_ok(sink_finish(a, &err), &err);
    assert_ok(sink_finish(b, &err), &err);
    assert_true(digest_eq(&direct, &behind));
}

static void async_delivers_the_error_of_what_is_behind_it(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool freed;
    struct faulty *f = faulty_new(&freed);
    size_t size = 1 << 20;
    AUTO(mem_free) char *p = mem_zalloc(size);
    int r = 0;

    f->fail_at = 3;
    struct sink *s = sink_async(&f->base);
    for (int i = 0; i < 100 && r == 0; i++) /* far more than the queue holds */
        r = sink_write(s, p, size, &err);
    assert_int_equal(r, ERR_IO);
    assert_string_equal(err.msg, "disk is full");
    err_clear(&err);
    assert_int_equal(sink_finish(s, &err), ERR_IO);
    assert_int_equal(f->finishes, 0);
    sink_free(s);
    assert_true(freed);
}

static void async_delivers_a_late_error_at_finish(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool freed;
    struct faulty *f = faulty_new(&freed);

    f->fail_finish = true;
    AUTO(sink_free) struct sink *s = sink_async(&f->base);
    assert_ok(sink_write(s, "x", 1, &err), &err);
    assert_int_equal(sink_finish(s, &err), ERR_NET);
    assert_string_equal(err.msg, "gone");
    assert_int_equal(sink_finish(s, &err), ERR_NET);
    assert_int_equal(f->finishes, 1);
}

static void async_freed_early_neither_hangs_nor_finishes(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *p = mem_zalloc(2 << 20);

    for (int i = 0; i < 50; i++) {
        bool freed;
        struct faulty *f = faulty_new(&freed);
        f->slow_us = 1000;
        f->fail_at = i % 2 ? 2 : 0;
        struct sink *s = sink_async(&f->base);
        if (i % 3)
            sink_write(s, p, i % 3 == 1 ? 1 : 2 << 20, &err);
        sink_free(s);
        assert_true(freed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_hashes_counts_and_tees),
        cmocka_unit_test(a_hash_needs_no_sink_behind_it),
        cmocka_unit_test(a_buf_sink_keeps_to_its_cap),
        cmocka_unit_test(a_failed_write_fails_what_follows),
        cmocka_unit_test(finish_runs_once_and_its_error_stays),
        cmocka_unit_test(an_fd_sink_writes_and_reports),
        cmocka_unit_test(sources_hash_count_tee_and_limit),
        cmocka_unit_test(a_limit_names_what_is_too_large),
        cmocka_unit_test(read_full_gathers_short_reads),
        cmocka_unit_test(a_copy_stops_at_the_first_error_of_either_side),
        cmocka_unit_test(an_fd_source_reads_to_the_end),
        cmocka_unit_test(async_gives_the_same_bytes_in_order),
        cmocka_unit_test(async_delivers_the_error_of_what_is_behind_it),
        cmocka_unit_test(async_delivers_a_late_error_at_finish),
        cmocka_unit_test(async_freed_early_neither_hangs_nor_finishes),
    };

    return UNIT_RUN("base_stream", tests);
}
