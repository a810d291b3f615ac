#include "image/listing.h"
#include "image/listing_internal.h"

#include "tests/unit/image_help.h"
#include "base/clock.h"

static void entries_come_out_in_path_order(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_file("a.b", "1"), a_file("a/z", "2"), a_dir("a"), a_file("a-", "3"), a_dir(""),
                a_file("a/b/c", "4"), a_file("a/b.c", "5"));
    assert_listing(l, "d |d a|f a/b/c|f a/b.c|f a/z|f a-|f a.b");
    for (size_t i = 1; i < listing_len(l); i++) {
        struct entry x, y;
        listing_at(l, i - 1, &x);
        listing_at(l, i, &y);
        assert_true(path_cmp(x.path, y.path) < 0);
    }
}

static void every_field_comes_back(void **state)
{
    (void)state;
    const struct entry_xattr xattrs[] = { { "user.b", "\0\xff", 2 }, { "security.a", "", 0 } };
    struct entry f = a_file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"), e;
    f.mode = 04751;
    f.uid = 4000000000u;
    f.gid = 7;
    f.mtime = -5;
    f.mtime_ns = 999999999;
    f.xattrs = xattrs;
    f.n_xattrs = 2;
    struct entry dev = { .path = "dev/null", .type = ENTRY_CHAR, .dev_major = 1, .dev_minor = 3 };
    AUTO(listing_free) struct listing *l = LISTING(f, dev, a_link("l", "../x"));
    assert_true(listing_find(l, "etc/passwd", &e));
    assert_true(entry_same(&e, &f) == false); /* f's xattrs are not sorted */
    assert_int_equal(e.mode, 04751);
    assert_int_equal(e.uid, 4000000000u);
    assert_int_equal(e.mtime, -5);
    assert_int_equal(e.mtime_ns, 999999999);
    assert_int_equal(e.n_xattrs, 2);
    assert_string_equal(e.xattrs[0].name, "security.a");
    assert_int_equal(e.xattrs[0].len, 0);
    assert_memory_equal(e.xattrs[1].value, "\0\xff", 2);
    assert_memory_equal(e.inline_data, f.inline_data, f.size);
    assert_true(listing_find(l, "dev/null", &e));
    assert_int_equal(e.dev_major * 1000 + e.dev_minor, 1003);
    assert_true(listing_find(l, "l", &e));
    assert_string_equal(e.target, "../x");
    assert_int_equal(listing_total_size(l), f.size);
    assert_false(listing_find(l, "etc", &e));
    assert_false(listing_find(l, "zzz", NULL));
}

static void a_subtree_is_one_range(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *l = LISTING(a_dir("a"), a_file("a/x", ""), a_file("a/y/z", ""),
                                a_file("a.x", ""), a_file("b", ""));
    size_t first = 99, end = 99;
    assert_true(listing_range(l, "a", &first, &end));
    assert_int_equal(first * 10 + end, 3);
    assert_true(listing_range(l, "a/y", &first, &end)); /* has no entry of its own */
    assert_int_equal(first * 10 + end, 23);
    assert_true(listing_range(l, "", &first, &end));
    assert_int_equal(first * 10 + end, 5);
    assert_false(listing_range(l, "c", &first, &end));
    assert_false(listing_range(l, "a/xx", &first, &end));
}

static void later_entries_replace_earlier_ones(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_dir("d"), a_file("d/f", "1"), a_dir("d"), a_dir("e"), a_file("e/f", "2"),
                a_link("e", "d"), a_file("g", "old"), a_file("g", "newer"));
    struct entry e;
    assert_listing(l, "d d|f d/f|l e|f g");
    assert_true(listing_find(l, "g", &e));
    assert_int_equal(e.size, 5);
}

static void remove_takes_all_below_with_it(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct entry e[] = { a_dir("a"), a_file("a/b/c", ""), a_file("a/d", ""), a_file("z", "") };
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(e); i++)
            assert_ok(listing_builder_add(b, &e[i], &err), &err);
        assert_int_equal(listing_builder_len(b), 4);
        listing_builder_remove(b, "a");
        listing_builder_remove(b, "nothing/here");
        assert_int_equal(listing_builder_len(b), 1);
    }
    assert_ok(listing_builder_write(b, &bytes, NULL, &err), &err);
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    assert_listing(l, "f z");
}

static void the_first_hard_link_in_order_carries_the_content(void **state)
{
    (void)state;
    struct entry f = a_file("z", "content");
    f.mode = 0600;
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_hardlink("b", "m"), a_hardlink("m", "z"), f, a_hardlink("a", "b"));
    struct entry e;
    assert_listing(l, "f a|f b|f m|f z");
    for (size_t i = 0; i < 4; i++) {
        listing_at(l, i, &e);
        assert_true(entry_same(&e, &f));
        assert_true(i == 0 ? e.hardlink == NULL : strcmp(e.hardlink, "a") == 0);
    }
    assert_int_equal(listing_total_size(l), 7);
}

static void hard_links_are_found_one_by_one(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *l = LISTING(a_dir("d"), a_file("d/a", "x"), a_hardlink("d/b", "d/a"),
                                a_file("e", "x"), a_hardlink("f", "d/a"));
    AUTO(listing_free) struct listing *none = LISTING(a_dir("d"), a_file("d/a", "x"));
    struct entry e;
    size_t i = 0;
    assert_true(listing_next_hardlink(l, &i, &e));
    assert_string_equal(e.path, "d/b");
    assert_string_equal(e.hardlink, "d/a");
    assert_true(listing_next_hardlink(l, &i, &e));
    assert_string_equal(e.path, "f");
    assert_string_equal(e.hardlink, "d/a");
    assert_false(listing_next_hardlink(l, &i, &e));
    i = 0;
    assert_false(listing_next_hardlink(none, &i, &e));
}

static void a_hard_link_keeps_what_it_was_bound_to(void **state)
{
    (void)state;
    AUTO(listing_free)
    struct listing *l = LISTING(a_file("f", "old"), a_hardlink("h", "f"), a_file("f", "newer"));
    struct entry e;
    assert_true(listing_find(l, "h", &e));
    assert_int_equal(e.size, 3);
    assert_null(e.hardlink);
}

static void assert_write_fails(const struct entry *entries, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    int code = 0;
    for (size_t i = 0; i < n && code == 0; i++)
        code = listing_builder_add(b, &entries[i], &err);
    if (code == 0)
        code = listing_builder_write(b, &bytes, NULL, &err);
    assert_int_equal(code, ERR_CORRUPT);
    assert_int_equal(bytes.len, 0);
}

#define ASSERT_WRITE_FAILS(...)                               \
    assert_write_fails((const struct entry[]){ __VA_ARGS__ }, \
                       ARRAY_LEN(((const struct entry[]){ __VA_ARGS__ })))

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    const struct entry_xattr twice[] = { { "a", "1", 1 }, { "a", "2", 1 } };
    struct entry e = a_file("x", "");
    ASSERT_WRITE_FAILS(a_hardlink("a", "missing"));
    ASSERT_WRITE_FAILS(a_hardlink("a", "b"), a_hardlink("b", "c"), a_hardlink("c", "a"));
    ASSERT_WRITE_FAILS(a_hardlink("a", "a"));
    ASSERT_WRITE_FAILS(a_dir("d"), a_hardlink("a", "d"));
    ASSERT_WRITE_FAILS(a_hardlink("a", "d"), a_dir("d"));
    ASSERT_WRITE_FAILS(a_file("f", ""), a_file("f/g", ""));
    ASSERT_WRITE_FAILS(a_hardlink("a", "f"), a_file("a/b", ""), a_file("f", ""));
    ASSERT_WRITE_FAILS(a_file("", ""));
    ASSERT_WRITE_FAILS(a_whiteout(""));
    ASSERT_WRITE_FAILS(a_dir("/a"));
    ASSERT_WRITE_FAILS(a_dir("a/"));
    ASSERT_WRITE_FAILS(a_dir("a//b"));
    ASSERT_WRITE_FAILS(a_dir("a/../b"));
    ASSERT_WRITE_FAILS(a_dir("."));
    ASSERT_WRITE_FAILS(a_link("l", ""));
    e.type = 'x';
    ASSERT_WRITE_FAILS(e);
    e = a_file("x", "");
    e.xattrs = twice;
    e.n_xattrs = 2;
    ASSERT_WRITE_FAILS(e);
}

static void a_whiteout_beside_an_entry_makes_it_opaque(void **state)
{
    (void)state;
    const struct entry marker = { .path = "m", .type = ENTRY_WHITEOUT, .opaque = true };
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_whiteout("a"), a_dir("a"), a_dir("b"), a_whiteout("b"), a_whiteout("c"),
                a_file("c/x", ""), a_file("f", ""), a_whiteout("f"), marker, a_whiteout("w"));
    assert_listing(l, "d! a|d! b|d! c|f c/x|f f|d! m|w w");
}

static struct content_id id_of(struct listing *l)
{
    struct content_id id = *listing_content_id(l);
    listing_free(l);
    return id;
}

static void assert_other_id(struct entry a, struct entry b)
{
    struct content_id x = id_of(LISTING(a)), y = id_of(LISTING(b));
    assert_false(digest_eq(&x.d, &y.d));
    assert_false(entry_same(&a, &b) && strcmp(a.path, b.path) == 0 && a.opaque == b.opaque);
}

static void the_content_id_leaves_out_times_and_linkage_only(void **state)
{
    (void)state;
    const struct entry_xattr one[] = { { "a", "1", 1 } }, two[] = { { "a", "2", 1 } };
    struct entry f = a_file("f", "x"), g = f;
    g.mtime = 77;
    g.mtime_ns = 5;
    struct content_id x = id_of(LISTING(f)), y = id_of(LISTING(g));
    assert_true(digest_eq(&x.d, &y.d));
    x = id_of(LISTING(a_file("a", "x"), a_hardlink("b", "a")));
    y = id_of(LISTING(a_file("a", "x"), a_file("b", "x")));
    assert_true(digest_eq(&x.d, &y.d));

    assert_other_id(f, a_file("g", "x"));
    assert_other_id(f, a_file("f", "y"));
    assert_other_id(f, a_link("f", "x"));
    assert_other_id(a_link("f", "x"), a_link("f", "y"));
    assert_other_id(a_dir("d"), an_opaque_dir("d"));
    g = f, g.mode = 0600;
    assert_other_id(f, g);
    g = f, g.uid = 1;
    assert_other_id(f, g);
    g = f, g.gid = 1;
    assert_other_id(f, g);
    g = f, g.xattrs = one, g.n_xattrs = 1;
    assert_other_id(f, g);
    f.xattrs = two, f.n_xattrs = 1;
    assert_other_id(f, g);
}

static void the_recipe_of_the_content_id_is_the_documented_one(void **state)
{
    (void)state;
    /* docs/listing-format.md, written out: another value here means another version there. */
    AUTO(listing_free) struct listing *empty = listing_empty();
    AUTO(listing_free) struct listing *l = LISTING(an_opaque_dir("d"), a_file("d/f", "hi"));
    assert_string_equal(DIGEST_HEX(&listing_content_id(empty)->d),
                        "9f2bd60f590eb7dd9573eecdadecf7dd566c12ce28c335c537421adff44ee137");
    assert_string_equal(DIGEST_HEX(&listing_content_id(l)->d),
                        "701faa97ba45d83f4d2718e3b5def18939725a8ffcaff91cb1a65ceba3585131");
}

static void the_same_entries_give_the_same_bytes_in_any_order(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct entry e[] = { a_dir("a"), a_file("a/f", "1"), a_hardlink("b", "a/f"), a_link("c", "a") };
    AUTO(buf_release) struct buf first = BUF_INIT;
    for (int turn = 0; turn < 4; turn++) {
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(buf_release) struct buf bytes = BUF_INIT;
        for (size_t i = 0; i < 4; i++)
            assert_ok(listing_builder_add(b, &e[(i + (size_t)turn) % 4], &err), &err);
        assert_ok(listing_builder_write(b, &bytes, NULL, &err), &err);
        if (turn == 0)
            buf_add(&first, bytes.data, bytes.len);
        assert_int_equal(bytes.len, first.len);
        assert_memory_equal(bytes.data, first.data, first.len);
    }
}

static void sample(struct buf *ret)
{
    struct err err = ERR_INIT;
    const struct entry_xattr xattrs[] = { { "user.a", "1", 1 }, { "user.b", "22", 2 } };
    struct entry f = a_file("etc/passwd", "root:x:0:0::/:\n");
    f.xattrs = xattrs;
    f.n_xattrs = 2;
    struct entry e[] = { a_dir(""),          an_opaque_dir("etc"), f, a_hardlink("h", "etc/passwd"),
                         a_link("l", "etc"), a_whiteout("w") };
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    for (size_t i = 0; i < ARRAY_LEN(e); i++)
        assert_ok(listing_builder_add(b, &e[i], &err), &err);
    assert_ok(listing_builder_write(b, ret, NULL, &err), &err);
}

/* Everything that the header promises of an open listing. */
static void use_all(const struct listing *l)
{
    struct entry e;
    struct content_id id;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        assert_true(listing_find(l, e.path, NULL));
        assert_true(strlen(e.path) <= LISTING_PATH_MAX);
    }
    listing_compute_content_id(l, &id);
}

static void no_damaged_byte_harms_and_all_are_found(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf good = BUF_INIT;
    sample(&good);
    for (size_t i = 0; i < good.len; i++)
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            struct err err = ERR_INIT;
            AUTO(buf_release) struct buf bytes = BUF_INIT;
            buf_add(&bytes, good.data, good.len);
            bytes.data[i] = (char)(bytes.data[i] ^ (char)flip);
            AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
            if (l == NULL) {
                assert_true(err.code == ERR_CORRUPT || err.code == ERR_UNSUPPORTED);
                continue;
            }
            use_all(l);
            assert_int_equal(listing_verify(l, &err), ERR_CORRUPT);
        }
}

/* Under ASan: what lies outside of the bytes is not touched. */
static void use_trusted(const struct listing *l)
{
    struct entry e;
    size_t sum = 0;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        sum += strlen(e.path) + (e.hardlink ? strlen(e.hardlink) : 0);
        sum += e.target ? strlen(e.target) : 0;
        sum += e.inline_data ? quick_hash(e.inline_data, e.size, 0) : 0;
        for (size_t k = 0; k < e.n_xattrs; k++)
            sum += strlen(e.xattrs[k].name) + quick_hash(e.xattrs[k].value, e.xattrs[k].len, 0);
        (void)listing_find(l, e.path, NULL);
        assert_true(e.mode <= 07777 && e.mtime_ns <= 999999999);
        assert_true(e.type != ENTRY_LINK || e.target != NULL);
    }
    for (size_t i = 0; listing_next_hardlink(l, &i, &e);)
        sum += strlen(e.hardlink);
    assert_true(sum != 1);
}

static void damage_behind_a_trusted_listing_stays_inside_of_it(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    size_t noticed = 0, opened = 0;
    AUTO(buf_release) struct buf good = BUF_INIT;
    sample(&good);
    for (size_t i = 0; i < good.len; i++)
        for (unsigned flip = 1; flip < 256; flip = flip * 2 + 1) {
            AUTO(buf_release) struct buf bytes = BUF_INIT;
            buf_add(&bytes, good.data, good.len);
            bytes.data[i] = (char)(bytes.data[i] ^ (char)flip);
            AUTO(listing_free) struct listing *l = listing_trust_buf(&bytes, 0, &err);
            if (l == NULL)
                continue;
            use_trusted(l);
            opened++;
            noticed += listing_is_damaged(l);
        }
    assert_true(noticed > 0 && noticed < opened);
    AUTO(listing_free) struct listing *whole = listing_trust_buf(&good, LISTING_HAS_OPAQUE, &err);
    use_trusted(whole);
    assert_false(listing_is_damaged(whole));
    assert_true(listing_facts(whole) & LISTING_HAS_OPAQUE);
}

static void no_shortened_listing_opens(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf good = BUF_INIT;
    sample(&good);
    for (size_t n = 0; n < good.len; n++) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf bytes = BUF_INIT;
        buf_add(&bytes, good.data, n);
        assert_null(listing_open_buf(&bytes, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void content_that_is_carried_must_have_its_digest(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct entry e = a_file("etc/passwd", "evil:x:0:0::/:\n");
    digest_of("root", 4, &e.content);
    assert_ok(listing_builder_add(b, &e, &err), &err);
    assert_ok(listing_builder_write(b, &bytes, NULL, &err), &err);
    assert_null(listing_open_buf(&bytes, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void big(struct buf *ret)
{
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    for (int i = 0; i < 100000; i++) {
        AUTO(mem_free)
        char *path =
            str_printf("usr/lib/python3/dist-packages/package%03d/file%04d.py", i / 1000, i % 1000);
        struct entry e = a_file(path, "x");
        assert_ok(listing_builder_add(b, &e, &err), &err);
    }
    assert_ok(listing_builder_write(b, ret, NULL, &err), &err);
}

/* Prints, as a busy machine would decide a test of times. */
static void print_trusted(int fd, const struct listing *whole)
{
    struct err err = ERR_INIT;
    struct entry x, y;
    int64_t start = clock_mono_us(), opened, found;
    AUTO(listing_free) struct listing *l = listing_open_trusted(fd, 0, &err);
    opened = clock_mono_us();
    assert_non_null(l);
    assert_true(listing_find(l, "usr/lib/python3/dist-packages/package042/file0042.py", NULL));
    found = clock_mono_us();
    print_message("# opening it as one that was checked: %lld us, finding one: %lld us\n",
                  (long long)(opened - start), (long long)(found - opened));
    assert_int_equal(listing_len(l), listing_len(whole));
    assert_int_equal(listing_total_size(l), listing_total_size(whole));
    for (size_t i = 0; i < listing_len(l); i += 997) {
        listing_at(l, i, &x);
        listing_at(whole, i, &y);
        assert_string_equal(x.path, y.path);
        assert_true(entry_same(&x, &y));
    }
}

static void a_large_listing_is_mapped_from_its_file(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    char dir[64];
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    int dirfd = scratch_make(dir);
    big(&bytes);
    assert_ok(file_replace(dirfd, "l", bytes.data, bytes.len, 0600, false, &err), &err);
    int fd = openat(dirfd, "l", O_RDONLY | O_CLOEXEC);
    int64_t start = clock_mono_us(), took;
    AUTO(listing_free) struct listing *l = listing_open_fd(fd, &err);
    took = clock_mono_us() - start;
    assert_non_null(l);
    print_message("# opening 100000 entries, %zu bytes: %lld us\n", bytes.len, (long long)took);
    assert_true(took < 1000000);
    assert_int_equal(listing_len(l), 100000);
    assert_true(listing_find(l, "usr/lib/python3/dist-packages/package042/file0042.py", NULL));
    assert_ok(listing_verify(l, &err), &err);
    print_trusted(fd, l);
    fd_close(fd);
    scratch_remove(dirfd, dir);
}

static void dropping_over_and_over_does_not_get_slow(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct entry d = a_dir("d"), f = a_file("d", "");
    for (int i = 0; i < 20000; i++) {
        AUTO(mem_free) char *path = str_printf("d/%d", i);
        struct entry e = a_file(path, "");
        assert_ok(listing_builder_add(b, &e, &err), &err);
    }
    int64_t start = clock_mono_ms();
    for (int i = 0; i < 20000; i++) {
        assert_ok(listing_builder_add(b, &f, &err), &err);
        assert_ok(listing_builder_add(b, &d, &err), &err);
    }
    assert_true(clock_mono_ms() - start < 5000);
    assert_int_equal(listing_builder_len(b), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_out_in_path_order),
        cmocka_unit_test(every_field_comes_back),
        cmocka_unit_test(a_subtree_is_one_range),
        cmocka_unit_test(later_entries_replace_earlier_ones),
        cmocka_unit_test(remove_takes_all_below_with_it),
        cmocka_unit_test(the_first_hard_link_in_order_carries_the_content),
        cmocka_unit_test(hard_links_are_found_one_by_one),
        cmocka_unit_test(a_hard_link_keeps_what_it_was_bound_to),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_whiteout_beside_an_entry_makes_it_opaque),
        cmocka_unit_test(the_content_id_leaves_out_times_and_linkage_only),
        cmocka_unit_test(the_recipe_of_the_content_id_is_the_documented_one),
        cmocka_unit_test(the_same_entries_give_the_same_bytes_in_any_order),
        cmocka_unit_test(no_damaged_byte_harms_and_all_are_found),
        cmocka_unit_test(damage_behind_a_trusted_listing_stays_inside_of_it),
        cmocka_unit_test(no_shortened_listing_opens),
        cmocka_unit_test(content_that_is_carried_must_have_its_digest),
        cmocka_unit_test(a_large_listing_is_mapped_from_its_file),
        cmocka_unit_test(dropping_over_and_over_does_not_get_slow),
    };
    return UNIT_RUN("image_listing", tests);
}
