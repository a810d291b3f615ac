#include "tests/unit/unit.h"

static void clean_is_as_gos(void **state UNUSED)
{
    static const char *const rows[][2] = {
        { "", "." },
        { "abc", "abc" },
        { "abc/def", "abc/def" },
        { "/", "/" },
        { "//", "/" },
        { "///abc//", "/abc" },
        { ".", "." },
        { "./", "." },
        { "..", ".." },
        { "../", ".." },
        { "../../abc", "../../abc" },
        { "/abc/", "/abc" },
        { "abc//def//ghi", "abc/def/ghi" },
        { "abc/./def", "abc/def" },
        { "/./abc/def", "/abc/def" },
        { "abc/.", "abc" },
        { "abc/def/ghi/../jkl", "abc/def/jkl" },
        { "abc/def/..", "abc" },
        { "abc/def/../..", "." },
        { "/abc/def/../..", "/" },
        { "abc/def/../../..", ".." },
        { "/abc/def/../../..", "/" },
        { "abc/def/../../../ghi/jkl/../../../mno", "../../mno" },
        { "/../abc", "/abc" },
        { "abc/./../def", "def" },
        { "abc//./../def", "def" },
        { "abc/../../././../def", "../../def" },
        { "a/...", "a/..." },
        { "..a/b", "..a/b" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(mem_free) char *got = path_clean(rows[i][0]);
        if (strcmp(got, rows[i][1]) != 0)
            fail_msg("'%s' gave '%s', not '%s'", rows[i][0], got, rows[i][1]);
    }
}

static void join_base_and_dir(void **state UNUSED)
{
    static const char *const joins[][3] = {
        { "/a", "b", "/a/b" }, { "/a", "/b", "/b" }, { "/a", "../../b", "/b" },
        { "", "b/", "b" },     { "a", "", "a" },     { "/", "b", "/b" },
    };
    static const char *const dirs[][3] = {
        { "", ".", "" },     { "/", "/", "" },        { "/abc", "/", "abc" }, { "abc", ".", "abc" },
        { "a/b", "a", "b" }, { "/a/b/", "/a/b", "" }, { "a//b", "a", "b" },   { "../x", "..", "x" },
    };

    for (size_t i = 0; i < ARRAY_LEN(joins); i++) {
        AUTO(mem_free) char *got = path_join(joins[i][0], joins[i][1]);
        assert_string_equal(got, joins[i][2]);
    }
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        AUTO(mem_free) char *got = path_dir(dirs[i][0]);
        assert_string_equal(got, dirs[i][1]);
        assert_string_equal(path_base(dirs[i][0]), dirs[i][2]);
    }
}

static void a_directory_sorts_straight_before_what_it_holds(void **state UNUSED)
{
    static const char *const order[] = {
        "", "/", "a", "a/b", "a/b/c", "a/b-c", "a\x01", "a-b", "a.b", "ab", "\xc3\xa4",
    };

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        for (size_t k = 0; k < ARRAY_LEN(order); k++) {
            int c = path_cmp(order[i], order[k]);
            if ((c < 0) != (i < k) || (c > 0) != (i > k))
                fail_msg("'%s' and '%s' compare as %d", order[i], order[k], c);
        }
}

static void below_is_strict(void **state UNUSED)
{
    assert_true(path_is_below("a/b", "a"));
    assert_false(path_is_below("a", "a"));
    assert_false(path_is_below("a/", "a"));
    assert_false(path_is_below("ab", "a"));
    assert_true(path_is_below("a", ""));
    assert_false(path_is_below("", ""));
    assert_true(path_is_below("/a", "/"));
    assert_false(path_is_below("/", "/"));
    assert_false(path_is_below("a", "/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_is_as_gos),
        cmocka_unit_test(join_base_and_dir),
        cmocka_unit_test(a_directory_sorts_straight_before_what_it_holds),
        cmocka_unit_test(below_is_strict),
    };

    return UNIT_RUN("base_path", tests);
}
