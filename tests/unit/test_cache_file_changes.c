#include "tests/unit/image_help.h"

#include "cache/file_changes.h"

/* All changes, a line each. */
static char *changes(const struct listing *before, const struct listing *now)
{
    AUTO(file_changes_release) struct file_changes c = { .v = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    file_changes_find(before, now, &c);
    for (size_t i = 0; i < c.n; i++) {
        buf_adds(&out, file_change_is_implied(&c, i) ? "(" : "");
        file_change_text(&c.v[i], c.v[i].path, &out);
        buf_adds(&out, file_change_is_implied(&c, i) ? ")\n" : "\n");
    }
    return buf_take(&out);
}

static void every_respect_has_its_words(void **state UNUSED)
{
    struct entry mode = a_file("mode", "x"), owner = a_file("owner", "x"), cap = a_file("cap", "x");
    struct entry_xattr xattr = { .name = "security.capability", .value = "v", .len = 1 };
    AUTO(listing_free)
    struct listing *a = LISTING(a_file("bytes", "1"), cap, a_file("gone", ""), a_link("link", "a"),
                                mode, owner, a_file("same", "x"), a_file("type", "x"));
    mode.mode = 0755;
    owner.uid = 5;
    cap.xattrs = &xattr;
    cap.n_xattrs = 1;
    AUTO(listing_free)
    struct listing *b = LISTING(a_file("bytes", "2"), cap, a_link("link", "b"), mode,
                                a_file("new", ""), owner, a_file("same", "x"), a_dir("type"));
    AUTO(mem_free) char *got = changes(a, b);
    assert_string_equal(got, "bytes changed\n"
                             "extended attributes of cap changed\n"
                             "gone is gone\n"
                             "link changed\n"
                             "mode of mode 644 → 755\n"
                             "new file new\n"
                             "owner of owner 0:0 → 5:0\n"
                             "type is a directory now\n");
}

static void times_are_no_change(void **state UNUSED)
{
    struct entry e = a_file("f", "x");
    AUTO(listing_free) struct listing *a = LISTING(e);
    e.mtime = 1000;
    AUTO(listing_free) struct listing *b = LISTING(e);
    AUTO(mem_free) char *got = changes(a, b);
    assert_string_equal(got, "");
}

static void a_directory_is_implied_by_what_comes_with_it(void **state UNUSED)
{
    AUTO(listing_free) struct listing *a = LISTING(a_dir("d"), a_file("d/f", "x"));
    AUTO(listing_free)
    struct listing *b = LISTING(a_dir("empty"), a_dir("n"), a_dir("n/m"), a_file("n/m/f", "x"));
    AUTO(mem_free) char *got = changes(a, b);
    assert_string_equal(got, "(d is gone)\n"
                             "d/f is gone\n"
                             "new directory empty\n"
                             "(new directory n)\n"
                             "(new directory n/m)\n"
                             "new file n/m/f\n");
}

static void listings_of_nothing_are_compared_too(void **state UNUSED)
{
    AUTO(listing_free) struct listing *none = listing_empty();
    AUTO(listing_free) struct listing *one = LISTING(a_file("f", "x"));
    AUTO(mem_free) char *added = changes(none, one);
    AUTO(mem_free) char *removed = changes(one, none);
    assert_string_equal(added, "new file f\n");
    assert_string_equal(removed, "f is gone\n");
}

static char *with_prefix(void *arg, const char *path)
{
    return path[0] == 'a' ? NULL : str_printf("%s%s", (const char *)arg, path);
}

static void one_line_names_the_first_and_counts_the_rest(void **state UNUSED)
{
    AUTO(listing_free) struct listing *none = listing_empty();
    AUTO(listing_free)
    struct listing *some = LISTING(a_file("a\n", "x"), a_file("b", ""), a_dir("c"),
                                   a_file("c/d", ""), a_file("e", ""));
    AUTO(file_changes_release) struct file_changes c = { .v = NULL };
    AUTO(buf_release) struct buf line = BUF_INIT;
    char prefix[] = "src/";
    file_changes_find(none, some, &c);
    file_changes_text(&c, with_prefix, prefix, &line);
    assert_string_equal(buf_str(&line), "new file /a\\x0a; new file src/b; and 2 more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_respect_has_its_words),
        cmocka_unit_test(times_are_no_change),
        cmocka_unit_test(a_directory_is_implied_by_what_comes_with_it),
        cmocka_unit_test(listings_of_nothing_are_compared_too),
        cmocka_unit_test(one_line_names_the_first_and_counts_the_rest),
    };
    return UNIT_RUN("cache_file_changes", tests);
}
