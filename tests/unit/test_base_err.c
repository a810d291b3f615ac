#include "tests/unit/unit.h"

#include <errno.h>

static void set_gives_code_and_message(void **state UNUSED)
{
    struct err err = { .sys = 5, .line = 7, .line_end = 8 };

    assert_int_equal(err_set(&err, ERR_CORRUPT, "blob '%s' is %d", "x", 3), ERR_CORRUPT);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.msg, "blob 'x' is 3");
    assert_int_equal(err.sys, 0);
    assert_int_equal(err.line, 0);
}

static void set_may_use_the_old_message(void **state UNUSED)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_IO, "old");
    err_set(&err, ERR_NET, "new: %s", err.msg);
    assert_string_equal(err.msg, "new: old");
}

static void sys_makes_a_miss_of_enoent_only(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_int_equal(err_sys(&err, ENOENT, "cannot open '%s'", "f"), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "cannot open 'f': No such file or directory");
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(err_sys(&err, EACCES, "cannot open '%s'", "f"), ERR_IO);
    assert_string_equal(err.msg, "cannot open 'f': Permission denied");
}

static void sys_keeps_the_reason_of_a_long_message(void **state UNUSED)
{
    struct err err = ERR_INIT;
    char name[3000];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    err_sys(&err, ENOSPC, "%s", name);
    assert_true(strlen(err.msg) < sizeof(err.msg));
    assert_true(str_ends(err.msg, ": No space left on device"));
}

static void wrap_puts_text_before_and_keeps_the_rest(void **state UNUSED)
{
    struct err err = ERR_INIT;

    err_sys(&err, EACCES, "cannot read");
    err_at(&err, 3, 4);
    assert_int_equal(err_wrap(&err, "layer %d", 3), ERR_IO);
    assert_string_equal(err.msg, "layer 3: cannot read: Permission denied");
    assert_int_equal(err.sys, EACCES);
    assert_int_equal(err.line, 3);
}

static void wrap_cuts_what_does_not_fit(void **state UNUSED)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_IO, "x");
    for (int i = 0; i < 300; i++)
        err_wrap(&err, "more and more");
    assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
    assert_true(str_starts(err.msg, "more and more: more"));
}

static void at_keeps_the_first_lines(void **state UNUSED)
{
    struct err err = ERR_INIT;

    err_set(&err, ERR_USAGE, "x");
    assert_int_equal(err_at(&err, 5, 6), ERR_USAGE);
    err_at(&err, 1, 2);
    assert_int_equal(err.line, 5);
    assert_int_equal(err.line_end, 6);
}

static void copy_and_clear(void **state UNUSED)
{
    struct err a = ERR_INIT, b = ERR_INIT;

    err_set(&a, ERR_AUTH, "who");
    assert_int_equal(err_copy(&b, &a), ERR_AUTH);
    assert_string_equal(b.msg, "who");
    err_clear(&b);
    assert_int_equal(b.code, ERR_NONE);
    assert_string_equal(b.msg, "");
}

static void strings_compare_with_null(void **state UNUSED)
{
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq("", NULL));
    assert_true(str_eq("a", "a"));
    assert_false(str_eq("a", "b"));
    assert_true(str_starts("sha256:x", "sha256:"));
    assert_false(str_starts("sha", "sha256:"));
    assert_true(str_ends("a.tar", ".tar"));
    assert_false(str_ends("tar", ".tar"));
    assert_null(str_dup(NULL));
}

static void memory_is_cleared_copied_and_grown(void **state UNUSED)
{
    AUTO(mem_free) int *z = mem_calloc(100, sizeof(*z));
    AUTO(mem_free) char *none = mem_alloc(0);
    AUTO(mem_free) char *copy = mem_dup("abc", 4);
    AUTO(mem_free) char *part = str_ndup("abcdef", 2);
    AUTO(mem_free) char *text = str_printf("%d-%s", 4, "x");
    int *list = NULL;
    size_t n = 0, cap = 0;

    for (int i = 0; i < 100; i++)
        assert_int_equal(z[i], 0);
    assert_non_null(none);
    assert_string_equal(copy, "abc");
    assert_string_equal(part, "ab");
    assert_string_equal(text, "4-x");
    for (; n < 1000; n++) {
        MEM_ROOM(list, n, cap);
        list[n] = (int)n;
    }
    assert_int_equal(list[999], 999);
    mem_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_gives_code_and_message),
        cmocka_unit_test(set_may_use_the_old_message),
        cmocka_unit_test(sys_makes_a_miss_of_enoent_only),
        cmocka_unit_test(sys_keeps_the_reason_of_a_long_message),
        cmocka_unit_test(wrap_puts_text_before_and_keeps_the_rest),
        cmocka_unit_test(wrap_cuts_what_does_not_fit),
        cmocka_unit_test(at_keeps_the_first_lines),
        cmocka_unit_test(copy_and_clear),
        cmocka_unit_test(strings_compare_with_null),
        cmocka_unit_test(memory_is_cleared_copied_and_grown),
    };

    return UNIT_RUN("base_err", tests);
}
