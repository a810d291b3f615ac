#include "tests/unit/image_help.h"

#include "image/listing_writer.h"

static int add(struct listing_writer *w, struct entry e, struct err *err)
{
    err_clear(err);
    return listing_writer_add(w, &e, err);
}

/* The same entries by the builder, which takes any order. */
static void entries_in_order_give_the_builders_bytes(void **state UNUSED)
{
    struct entry_xattr x[] = { { "security.capability", "cap", 3 }, { "user.a", "", 0 } };
    struct entry with = a_file("d/x", "x"), again = a_file("d/y", "x"), entries[8];
    with.xattrs = again.xattrs = x;
    with.n_xattrs = again.n_xattrs = 2;
    again.hardlink = "d/x";
    struct entry opaque = a_dir("o");
    opaque.opaque = true;
    opaque.size = 5; /* means nothing */
    struct entry all[] = { a_dir(""), a_dir("d"), a_link("d.l", "d"), with,
                           again,     opaque,     a_file("z", "zz"),  a_whiteout("zz") };
    memcpy(entries, all, sizeof(all));
    entries[2] = all[3], entries[3] = all[4], entries[4] = all[2]; /* '/' sorts lowest */
    AUTO(listing_writer_free) struct listing_writer *w = listing_writer_new();
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct err err = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        assert_ok(listing_writer_add(w, &entries[i], &err), &err);
        assert_ok(listing_builder_add(b, &entries[ARRAY_LEN(entries) - 1 - i], &err), &err);
    }
    AUTO(buf_release) struct buf one = BUF_INIT;
    AUTO(buf_release) struct buf other = BUF_INIT;
    struct content_id id, id_of_builder;
    listing_writer_end(w, &one, &id);
    assert_ok(listing_builder_write(b, &other, &id_of_builder, &err), &err);
    assert_true(digest_eq(&id.d, &id_of_builder.d));
    assert_int_equal(one.len, other.len);
    assert_memory_equal(one.data, other.data, one.len);
    AUTO(listing_free) struct listing *l = listing_open_buf(&one, &err);
    assert_non_null(l);
    assert_ok(listing_verify(l, &err), &err);
}

static void what_is_out_of_order_or_no_listing_is_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(listing_writer_free) struct listing_writer *w = listing_writer_new();
    assert_ok(add(w, a_dir("a"), &err), &err);
    assert_ok(add(w, a_file("a/f", "1"), &err), &err);
    assert_int_equal(add(w, a_file("a/f", "1"), &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_file("a/e", "1"), &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_file("a/f/below", "1"), &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_file("a/../b", "1"), &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_file("a//g", "1"), &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_file("b/", "1"), &err), ERR_CORRUPT);
    struct entry link = a_file("c", "1");
    link.hardlink = "missing";
    assert_int_equal(add(w, link, &err), ERR_CORRUPT);
    link.hardlink = "a";
    assert_int_equal(add(w, link, &err), ERR_CORRUPT);
    struct entry_xattr x[] = { { "user.b", "1", 1 }, { "user.a", "1", 1 } };
    struct entry twisted = a_file("c", "1");
    twisted.xattrs = x;
    twisted.n_xattrs = 2;
    assert_int_equal(add(w, twisted, &err), ERR_CORRUPT);
    assert_int_equal(add(w, a_link("c", ""), &err), ERR_CORRUPT);
    assert_ok(add(w, a_file("c", "1"), &err), &err);
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    listing_writer_end(w, &bytes, NULL);
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    assert_non_null(l);
    assert_int_equal(listing_len(l), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_in_order_give_the_builders_bytes),
        cmocka_unit_test(what_is_out_of_order_or_no_listing_is_refused),
    };
    return UNIT_RUN("image_writer", tests);
}
