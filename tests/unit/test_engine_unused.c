#include "tests/unit/image_help.h"

#include "engine/context_places.h"

/* needed: paths, space separated. want: the paths that go, "files bytes" behind them. */
static void check(const struct listing *l, const char *needed, const char *want)
{
    AUTO(strv_release) struct strv keep = STRV_INIT;
    AUTO(strv_release) struct strv paths = STRV_INIT;
    uint64_t files = 9, bytes = 9;
    AUTO(mem_free) bool *flags = mem_calloc(listing_len(l) + 1, sizeof(*flags));
    strv_split(&keep, needed, ' ');
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        flags[i] = strv_has(&keep, e.path);
    }
    unused_fold(l, flags, &paths, &files, &bytes);
    AUTO(mem_free) char *all = strv_join(&paths, " ");
    AUTO(mem_free) char *got = str_printf("%s: %d %d", all, (int)files, (int)bytes);
    assert_string_equal(got, want);
}

static void a_directory_stands_for_all_that_is_in_it(UNUSED void **state)
{
    AUTO(listing_free)
    struct listing *l = LISTING(a_file("a", "1"), a_dir("d"), a_file("d/a", "22"), a_dir("d/e"),
                                a_file("d/e/b", "333"), a_link("d/link", "a"), a_file("d-", "4"),
                                a_dir("f"), a_dir("f/g"), a_file("z", "55555"));
    check(l, "", "a d/ d- f/ z: 6 12");
    check(l, "a", "d/ d- f/ z: 5 11");
    check(l, "d/e/b", "a d/a d/link d- f/ z: 5 9");
    check(l, "d/e", "a d/a d/e/b d/link d- f/ z: 6 12");
    check(l, "d", "a d/a d/e/ d/link d- f/ z: 6 12");
    check(l, "f/g", "a d/ d- z: 6 12");
    check(l, "a d/a d/e/b d/link d- z f/g", ": 0 0");
}

static void the_context_itself_never_goes(UNUSED void **state)
{
    AUTO(listing_free) struct listing *l = LISTING(a_dir(""), a_dir("d"), a_file("d/a", "22"));
    check(l, "", "d/: 1 2");
    AUTO(listing_free) struct listing *nothing = listing_empty();
    check(nothing, "", ": 0 0");
}

static void a_directory_without_an_entry_is_left_to_its_files(UNUSED void **state)
{
    AUTO(listing_free) struct listing *l = LISTING(a_file("d/a", "1"), a_file("d/b", "1"));
    check(l, "", "d/a d/b: 2 2");
    check(l, "d/a", "d/b: 1 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_stands_for_all_that_is_in_it),
        cmocka_unit_test(the_context_itself_never_goes),
        cmocka_unit_test(a_directory_without_an_entry_is_left_to_its_files),
    };
    return UNIT_RUN("engine_unused", tests);
}
