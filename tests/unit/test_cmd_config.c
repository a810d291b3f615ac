#include "tests/unit/unit.h"

#include "cmd/config.h"

static void parse(const char *text, struct config *ret)
{
    struct err err = ERR_INIT;
    *ret = (struct config){ .has_docs = false };
    assert_ok(config_parse(text, strlen(text), "shale.conf", ret, &err), &err);
}

static void nothing_is_set_where_nothing_is_said(void **state UNUSED)
{
    AUTO(config_release) struct config c;
    parse("\n# docs = *.md\n   \n", &c);
    assert_false(c.has_docs);
}

static void patterns_are_words(void **state UNUSED)
{
    AUTO(config_release) struct config c;
    parse("  docs=*.md\t docs/**  \r\n", &c);
    assert_true(c.has_docs);
    assert_int_equal(c.docs.n, 2);
    assert_string_equal(c.docs.v[0], "*.md");
    assert_string_equal(c.docs.v[1], "docs/**");
}

static void the_last_line_counts_and_may_be_empty(void **state UNUSED)
{
    AUTO(config_release) struct config c;
    parse("docs = a b\ndocs = c\ndocs =", &c);
    assert_true(c.has_docs && c.docs.n == 0);
}

static void registries_are_lists_that_grow(void **state UNUSED)
{
    AUTO(config_release) struct config c;
    parse("registry-mirror = https://m.example, a.b=https://n.example\n"
          "insecure-registry = a.b:5000 10.0.0.0/8\ninsecure-registry=c.d\n"
          "registry-certs = /etc/certs \n",
          &c);
    AUTO(mem_free) char *mirrors = strv_join(&c.registries.mirrors, "|");
    AUTO(mem_free) char *insecure = strv_join(&c.registries.insecure, "|");
    assert_string_equal(mirrors, "https://m.example|a.b=https://n.example");
    assert_string_equal(insecure, "a.b:5000|10.0.0.0/8|c.d");
    assert_string_equal(c.registries.certs_dir, "/etc/certs");
}

static void what_is_no_line_is_named(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct config c = { .has_docs = false };
    assert_int_equal(config_parse("docs = a\nnonsense\n", 18, "x.conf", &c, &err), ERR_USAGE);
    assert_string_equal(err.msg, "'x.conf', line 2: it is no KEY = VALUE");
    assert_int_equal(config_parse("docs = a\0b\n", 11, "x.conf", &c, &err), ERR_USAGE);
    assert_false(c.has_docs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_set_where_nothing_is_said),
        cmocka_unit_test(patterns_are_words),
        cmocka_unit_test(the_last_line_counts_and_may_be_empty),
        cmocka_unit_test(registries_are_lists_that_grow),
        cmocka_unit_test(what_is_no_line_is_named),
    };
    return UNIT_RUN("cmd_config", tests);
}
