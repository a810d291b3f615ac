#include "image/view.h"

#include "tests/unit/image_help.h"

static const char passwd[] = "# comment\n"
                             "root:x:0:0:root:/root:/bin/sh\n"
                             "bad:x:nonsense:0::/:/bin/sh\n"
                             "short:x:3\n"
                             "app:x:1000:100:App,,,:/home/app:/bin/sh\n"
                             "app:x:2000:200:second:/x:/bin/sh\n"
                             "12:x:77:78::/twelve:\n"
                             "nohome:x:5:6:::\n"
                             "last:x:8:9::/last";
static const char group[] = "root:x:0:\n"
                            "users:x:100:app\n"
                            "wheel:x:10:root,app\n"
                            "appx:x:11:apple,xapp\n"
                            "bad:x:zz:app\n"
                            "docker:x:999:nobody,app,";

static const struct row {
    const char *spec;
    uint32_t uid, gid;
    const char *home, *groups; /* groups in order */
} rows[] = {
    { "", 0, 0, "/root", "0 10" },
    { "root", 0, 0, "/root", "0 10" },
    { "0", 0, 0, "/root", "0 10" },
    { "app", 1000, 100, "/home/app", "100 10 999" },
    { "1000", 1000, 100, "/home/app", "100 10 999" },
    { "app:", 1000, 100, "/home/app", "100 10 999" },
    { "app:wheel", 1000, 10, "/home/app", "10" },
    { "app:55", 1000, 55, "/home/app", "55" },
    { "4321", 4321, 42, "/", "42" },
    { "4321:users", 4321, 100, "/", "100" },
    { "12", 12, 42, "/", "42" }, /* a number is a number, whoever is called so */
    { "nohome", 5, 6, "/", "6" },
    { "last", 8, 9, "/last", "9" },
    { ":wheel", 0, 10, "/root", "10" },
    { "2147483647", 2147483647, 42, "/", "42" },
};

static struct listing *users(void)
{
    return LISTING(a_file("etc/passwd", passwd), a_file("etc/group", group));
}

static void users_are_looked_up_as_docker_does(void **state)
{
    (void)state;
    AUTO(listing_free) struct listing *l = users();
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l }, 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(user_ids_release) struct user_ids u = { .home = NULL };
        AUTO(buf_release) struct buf groups = BUF_INIT;
        struct err err = ERR_INIT;
        assert_ok(view_user(v, rows[i].spec, 42, &u, &err), &err);
        for (size_t k = 0; k < u.n_groups; k++)
            buf_addf(&groups, "%s%u", k ? " " : "", u.groups[k]);
        assert_int_equal(u.uid, rows[i].uid);
        assert_int_equal(u.gid, rows[i].gid);
        assert_string_equal(u.home, rows[i].home);
        assert_string_equal(buf_str(&groups), rows[i].groups);
    }
}

static void assert_fails(const struct view *v, const char *spec, enum err_code code,
                         const char *message)
{
    struct user_ids u;
    struct err err = ERR_INIT;
    assert_int_equal(view_user(v, spec, 0, &u, &err), code);
    assert_string_equal(err.msg, message);
}

static void unknown_names_fail_in_dockers_words(void **state)
{
    (void)state;
    AUTO(listing_free) struct listing *l = users();
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l }, 1);
    AUTO(view_free) struct view *none = view_new(NULL, 0);
    assert_fails(v, "ghost", ERR_NOT_FOUND,
                 "unable to find user ghost: no matching entries in passwd file");
    assert_fails(v, "bad", ERR_NOT_FOUND,
                 "unable to find user bad: no matching entries in passwd file");
    assert_fails(v, "-1", ERR_NOT_FOUND,
                 "unable to find user -1: no matching entries in passwd file");
    assert_fails(v, "app:ghost", ERR_NOT_FOUND,
                 "unable to find group ghost: no matching entries in group file");
    assert_fails(v, "2147483648", ERR_USAGE, "uids and gids must be in range 0-2147483647");
    assert_fails(v, "app:99999999999", ERR_USAGE, "uids and gids must be in range 0-2147483647");
    assert_fails(none, "app", ERR_NOT_FOUND,
                 "unable to find user app: no matching entries in passwd file");
}

static void numbers_need_no_files(void **state)
{
    (void)state;
    AUTO(view_free) struct view *none = view_new(NULL, 0);
    AUTO(user_ids_release) struct user_ids u = { .home = NULL };
    struct err err = ERR_INIT;
    assert_ok(view_user(none, "5:6", 0, &u, &err), &err);
    assert_int_equal(u.uid * 10 + u.gid, 56);
    assert_string_equal(u.home, "/");
}

static void more_groups_than_fit_are_an_error(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf text = BUF_INIT;
    for (int i = 0; i < 300; i++)
        buf_addf(&text, "g%d:x:%d:app\n", i, 3000 + i);
    AUTO(listing_free)
    struct listing *l = LISTING(a_file("etc/passwd", passwd), a_file("etc/group", buf_str(&text)));
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l }, 1);
    assert_fails(v, "app", ERR_UNSUPPORTED, "a user with more than 256 groups");
}

static void a_file_that_is_not_carried_does_not_pass_for_an_empty_one(void **state)
{
    (void)state;
    struct user_ids u;
    struct err err = ERR_INIT;
    struct entry big = a_file("etc/passwd", passwd);
    big.inline_data = NULL;
    AUTO(listing_free) struct listing *l = LISTING(big);
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l }, 1);
    assert_int_equal(view_user(v, "app", 0, &u, &err), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_looked_up_as_docker_does),
        cmocka_unit_test(unknown_names_fail_in_dockers_words),
        cmocka_unit_test(numbers_need_no_files),
        cmocka_unit_test(more_groups_than_fit_are_an_error),
        cmocka_unit_test(a_file_that_is_not_carried_does_not_pass_for_an_empty_one),
    };
    return UNIT_RUN("image_user", tests);
}
