#include "tests/unit/unit.h"

#include "base/archive_api.h"
#include "base/dynlib.h"

struct c_api {
    __typeof__(&strtol) strtol_;
    __typeof__(&getppid) getppid_;
};

static void a_table_is_filled_in_the_order_of_the_names(void **state UNUSED)
{
    static const char *const names[] = { "strtol", "getppid" };
    struct c_api api = { .strtol_ = NULL };
    struct err err = ERR_INIT;

    assert_ok(dynlib_load("the C library", "libc.so.6", names, ARRAY_LEN(names), &api, &err), &err);
    assert_int_equal(api.strtol_("17", NULL, 10), 17);
    assert_int_equal(api.getppid_(), getppid());
}

static void a_library_that_is_missing_is_named(void **state UNUSED)
{
    static const char *const names[] = { "x_init" };
    void *table[1] = { NULL };
    struct err err = ERR_INIT;

    assert_int_equal(dynlib_load("libx", "libx-none.so.9", names, 1, table, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "this needs libx (libx-none.so.9): "));
    assert_null(table[0]);
}

static void a_library_that_lacks_a_function_is_named_and_so_is_the_function(void **state UNUSED)
{
    static const char *const names[] = { "getppid", "no_such_function" };
    void *table[2] = { NULL };
    struct err err = ERR_INIT;

    assert_int_equal(dynlib_load("the C library", "libc.so.6", names, 2, table, &err),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "this needs the C library (libc.so.6): "));
    assert_non_null(strstr(err.msg, "no_such_function"));
}

static void libarchive_is_loaded_whole(void **state UNUSED)
{
    struct err err = ERR_INIT;

    assert_ok(archive_load(&err), &err);
    assert_non_null(strstr(archive_api()->version_string(), "libarchive 3."));
    assert_non_null(archive_api()->error_number);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_filled_in_the_order_of_the_names),
        cmocka_unit_test(a_library_that_is_missing_is_named),
        cmocka_unit_test(a_library_that_lacks_a_function_is_named_and_so_is_the_function),
        cmocka_unit_test(libarchive_is_loaded_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
