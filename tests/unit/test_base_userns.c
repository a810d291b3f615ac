#include "tests/unit/userns_child.h"

#include "base/userns.h"

struct asked {
    bool wants_ids;
    int pipe[2];
};

static int say(void *arg)
{
    static const uint32_t ids[] = { 0, 1, 999, 1000, 1001, 2000, 2009, 2010, UINT32_MAX };
    const struct asked *a = arg;
    AUTO(userns_release) struct userns u = { .is_initial = true };
    struct err err = ERR_INIT;

    if (userns_read(&u, &err) < 0 || u.is_initial || userns_is_initial())
        return 1;
    if (!a->wants_ids)
        dprintf(a->pipe[1], "%s", u.form);
    for (size_t i = 0; a->wants_ids && i < ARRAY_LEN(ids); i++)
        if (userns_has_uid(&u, ids[i]) && userns_has_gid(&u, ids[i]))
            dprintf(a->pipe[1], "%u ", ids[i]);
    return 0;
}

/* What a child says of itself in a namespace with these maps. */
static void ask(const char *map, bool wants_ids, char ret[200])
{
    struct asked a = { .wants_ids = wants_ids };

    assert_int_equal(pipe(a.pipe), 0);
    in_userns(map, say, &a);
    ssize_t n = read(a.pipe[0], ret, 199);
    assert_true(n > 0);
    ret[n] = '\0';
    close(a.pipe[0]);
    close(a.pipe[1]);
}

static void the_machines_own_has_all_ids_and_no_form(void **state)
{
    AUTO(userns_release) struct userns u = { .is_initial = false };
    struct err err = ERR_INIT;

    (void)state;
    if (!userns_is_initial())
        skip(); /* the tests themselves run in another one */
    assert_ok(userns_read(&u, &err), &err);
    assert_true(u.is_initial);
    assert_string_equal(u.form, "");
    assert_true(userns_has_uid(&u, 0) && userns_has_uid(&u, 4000000000u));
    assert_true(userns_has_gid(&u, 0) && userns_has_gid(&u, 4000000000u));
}

static void ids_are_those_of_the_maps(void **state)
{
    char said[200];

    (void)state;
    ask("0 0 1\n1000 100000 1\n2000 200000 10\n", true, said);
    assert_string_equal(said, "0 1000 2000 2009 ");
}

static void namespaces_have_one_form_when_their_maps_are_the_same(void **state)
{
    char one[200], same[200], other[200];

    (void)state;
    ask("0 0 1\n1 100000 100\n", false, one);
    ask("0 0 1\n1 100000 100\n", false, same);
    ask("0 0 1\n1 200000 100\n", false, other);
    assert_int_equal(strlen(one), USERNS_FORM_LEN);
    assert_string_equal(one, same);
    assert_string_not_equal(one, other);
}

/* All ids, and still not the machine's own root. */
static void one_that_maps_everything_to_itself_is_not_the_machines_own(void **state)
{
    char said[200];

    (void)state;
    ask("0 0 4294967295\n", false, said);
    assert_int_equal(strlen(said), USERNS_FORM_LEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machines_own_has_all_ids_and_no_form),
        cmocka_unit_test(ids_are_those_of_the_maps),
        cmocka_unit_test(namespaces_have_one_form_when_their_maps_are_the_same),
        cmocka_unit_test(one_that_maps_everything_to_itself_is_not_the_machines_own),
    };

    return UNIT_RUN("base_userns", tests);
}
