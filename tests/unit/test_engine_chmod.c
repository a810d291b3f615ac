#include "tests/unit/unit.h"

#include "base/buf.h"
#include "engine/chmod.h"

static uint16_t after(const char *text, uint16_t mode, bool is_dir)
{
    struct err err = ERR_INIT;
    struct chmod_spec c;
    assert_ok(chmod_parse(text, &c, &err), &err);
    return chmod_apply(&c, mode, is_dir);
}

static void a_number_is_the_whole_mode(void **state UNUSED)
{
    assert_int_equal(after("644", 04755, false), 0644);
    assert_int_equal(after("0", 0777, true), 0);
    assert_int_equal(after("7777", 0, true), 07777);
    assert_int_equal(after("00644", 0, false), 0644);
}

/* What BuildKit made of these, found by building them. */
static void clauses_give_what_docker_gives(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint16_t mode;
        bool is_dir;
        uint16_t want;
    } rows[] = {
        { "u=rwX,go=rX", 02755, true, 0755 }, { "u=rwX,go=rX", 0600, false, 0644 },
        { "u=rwX,go=rX", 0711, false, 0755 }, { "u+x", 0644, false, 0744 },
        { "a-r", 0711, false, 0311 },         { "go=", 02755, true, 0700 },
        { "+x", 0600, false, 0711 },          { "u=rwx,g=u,o=g", 0644, false, 0777 },
        { "ug+s", 0600, false, 06600 },       { "+t", 0711, false, 01711 },
        { "o+t", 0711, false, 0711 },         { "u+t", 04711, false, 05711 },
        { "o=u", 02755, true, 02757 },        { "g=u", 04711, false, 04771 },
        { "go=u", 06711, false, 06777 },      { "a-s", 06755, false, 0755 },
        { "a=rx", 01711, false, 01555 },      { "u=r+w-r", 0644, false, 0244 },
        { "u-x,a+X", 0700, false, 0711 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (after(rows[i].text, rows[i].mode, rows[i].is_dir) != rows[i].want)
            fail_msg("%s of %o is %o, not %o", rows[i].text, rows[i].mode,
                     after(rows[i].text, rows[i].mode, rows[i].is_dir), rows[i].want);
}

static void what_is_neither_is_refused(void **state UNUSED)
{
    static const char *const texts[] = { "",  "9",   "10000", "0o755", "u", "u=rwZ",   "u=rw,",
                                         ",", "z=r", "755x",  "X",     "-", "u=r,,g=r" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = ERR_INIT;
        struct chmod_spec c;
        if (strcmp(texts[i], "-") == 0) { /* "nothing from all", as chmod(1) has it */
            assert_ok(chmod_parse(texts[i], &c, &err), &err);
            continue;
        }
        if (chmod_parse(texts[i], &c, &err) != ERR_USAGE)
            fail_msg("'%s' was taken", texts[i]);
    }
}

static void more_operators_than_fit_are_refused(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct chmod_spec c;
    AUTO(buf_release) struct buf text = BUF_INIT;
    buf_adds(&text, "u");
    for (int i = 0; i < CHMOD_OPS_MAX; i++)
        buf_adds(&text, "+r");
    assert_ok(chmod_parse(buf_str(&text), &c, &err), &err);
    buf_adds(&text, "+r");
    assert_int_equal(chmod_parse(buf_str(&text), &c, &err), ERR_USAGE);
}

static void a_spec_that_is_not_set_changes_nothing(void **state UNUSED)
{
    struct chmod_spec none = { 0 };
    assert_int_equal(chmod_apply(&none, 04711, false), 04711);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_the_whole_mode),
        cmocka_unit_test(clauses_give_what_docker_gives),
        cmocka_unit_test(what_is_neither_is_refused),
        cmocka_unit_test(more_operators_than_fit_are_refused),
        cmocka_unit_test(a_spec_that_is_not_set_changes_nothing),
    };
    return UNIT_RUN("engine_chmod", tests);
}
