#include "tests/unit/image_help.h"

#include "engine/owner.h"

static const char passwd[] = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
static const char group[] = "root:x:0:\nstaff:x:50:app\n";

static void resolve(const char *spec, uint32_t uid, uint32_t gid, const char *unknown)
{
    struct err err = ERR_INIT;
    AUTO(listing_free)
    struct listing *l =
        LISTING(a_dir("etc"), a_file("etc/passwd", passwd), a_file("etc/group", group));
    const struct listing *layers[] = { l };
    AUTO(view_free) struct view *v = view_new(layers, 1);
    AUTO(buf_release) struct buf said = BUF_INIT;
    struct owner o;
    assert_ok(owner_resolve(v, spec, &o, &said, &err), &err);
    assert_int_equal(o.uid, uid);
    assert_int_equal(o.gid, gid);
    assert_string_equal(buf_str(&said), unknown);
}

static void a_number_alone_is_the_group_too(void **state UNUSED)
{
    resolve("5", 5, 5, "");
    resolve("1000", 1000, 1000, "");
    resolve("2147483647", INT32_MAX, INT32_MAX, "");
    resolve("2147483648", 0, 0, ""); /* for Docker a user that is not there */
    resolve("4294967295", 0, 0, "");
    resolve("5:2147483648", 5, 5, "");
}

static void a_name_alone_brings_its_primary_group(void **state UNUSED)
{
    resolve("app", 1000, 1001, "");
}

static void a_group_is_a_name_or_a_number(void **state UNUSED)
{
    resolve("app:staff", 1000, 50, "");
    resolve("7:staff", 7, 50, "");
    resolve("app:99", 1000, 99, "");
}

static void nothing_and_root_are_0(void **state UNUSED)
{
    resolve(":staff", 0, 50, "");
    resolve("app:", 1000, 0, "");
    resolve("root:root", 0, 0, "");
}

static void unknown_names_leave_root_and_are_named(void **state UNUSED)
{
    resolve("ghost", 0, 0, "unable to find user ghost: no matching entries in passwd file");
    resolve("ghost:7", 0, 7, "unable to find user ghost: no matching entries in passwd file");
    resolve("app:ghosts", 1000, 1001,
            "unable to find group ghosts: no matching entries in group file");
}

static void names_are_told_from_numbers(void **state UNUSED)
{
    assert_true(owner_has_names("app"));
    assert_true(owner_has_names("1:staff"));
    assert_false(owner_has_names("1:2"));
    assert_false(owner_has_names("root:"));
    assert_false(owner_has_names("4294967296"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_alone_is_the_group_too),
        cmocka_unit_test(a_name_alone_brings_its_primary_group),
        cmocka_unit_test(a_group_is_a_name_or_a_number),
        cmocka_unit_test(nothing_and_root_are_0),
        cmocka_unit_test(unknown_names_leave_root_and_are_named),
        cmocka_unit_test(names_are_told_from_numbers),
    };
    return UNIT_RUN("engine_owner", tests);
}
