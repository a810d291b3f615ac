#include "tests/unit/unit.h"

#include "engine/copy_internal.h"

static void assert_split(const char *source, const char *pivot, const char *pattern)
{
    AUTO(mem_free) char *got_pivot = NULL;
    AUTO(mem_free) char *got_pattern = NULL;
    copy_split_pivot(source, &got_pivot, &got_pattern);
    assert_string_equal(got_pivot, pivot);
    assert_string_equal(got_pattern, pattern);
}

static void without_a_pivot_all_of_the_path_is_kept(void **state UNUSED)
{
    assert_split("a/b", "", "a/b");
    assert_split("/a//b/", "", "a/b");
    assert_split("./a/b/.", "", "a/b");
    assert_split("../../a", "", "a");
    assert_split("./", "", "");
}

static void the_first_pivot_counts(void **state UNUSED)
{
    assert_split("a/./b", "a", "b");
    assert_split("/a/b/./c/./d", "a/b", "c/d");
    assert_split("./a/./", "a", "");
    assert_split("/./a", "", "a");
    assert_split("a*/./../b", "a*", "b");
}

static struct strv wanted(const char *source, bool parents)
{
    struct strv wants = STRV_INIT;
    struct instr i = { .kind = INSTR_COPY, .copy.parents = parents };
    copy_want(&i, source, &wants);
    return wants;
}

static void what_is_asked_of_a_context_is_a_path_for_certain(void **state UNUSED)
{
    static const struct {
        const char *source, *want;
        bool parents;
    } rows[] = {
        { "a/b*/c", "a", false },    { "a/../b", "b", false }, { "a/./b/*.c", "a/b", true },
        { "a/./../b", "a/b", true }, { "**/b", "", true },     { "a/*/./b", "a", true },
    };
    for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
        AUTO(strv_release) struct strv wants = wanted(rows[k].source, rows[k].parents);
        assert_int_equal(wants.n, 1);
        assert_string_equal(wants.v[0], rows[k].want);
    }
}

static void only_capabilities_are_kept_of_xattrs(void **state UNUSED)
{
    const struct entry_xattr xattrs[] = { { .name = "security.capability", .value = "c", .len = 1 },
                                          { .name = "user.x", .value = "v", .len = 1 } };
    struct entry e = { .xattrs = xattrs, .n_xattrs = 2 };
    copy_drop_xattrs(&e);
    assert_int_equal(e.n_xattrs, 1);
    assert_string_equal(e.xattrs[0].name, "security.capability");
    e = (struct entry){ .xattrs = xattrs + 1, .n_xattrs = 1 };
    copy_drop_xattrs(&e);
    assert_int_equal(e.n_xattrs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_pivot_all_of_the_path_is_kept),
        cmocka_unit_test(the_first_pivot_counts),
        cmocka_unit_test(what_is_asked_of_a_context_is_a_path_for_certain),
        cmocka_unit_test(only_capabilities_are_kept_of_xattrs),
    };
    return UNIT_RUN("engine_parents", tests);
}
