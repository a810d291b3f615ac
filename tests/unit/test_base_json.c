#include "tests/unit/unit.h"

#include "base/json.h"

static json_t *parse(const char *s)
{
    struct err err = ERR_INIT;
    json_t *j = json_parse(s, strlen(s), "document", &err);

    if (j == NULL)
        fail_msg("%s", err.msg);
    return j;
}

static void writes_as_it_was_read(void **state UNUSED)
{
    static const char *const rows[] = {
        "{\"z\":1,\"a\":\"/x/y\",\"m\":[true,null,\"\xc3\xa4\"]}", "[]", "\"text\"", "12", "null",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        json_auto_t *j = parse(rows[i]);
        json_write(j, &b);
        assert_string_equal(buf_str(&b), rows[i]);
    }
}

static void pretty_indents(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    json_auto_t *j = parse("{\"a\":[1]}");

    json_write_pretty(j, &b, 2);
    assert_string_equal(buf_str(&b), "{\n  \"a\": [\n    1\n  ]\n}");
}

static void refuses_what_is_not_strictly_json(void **state UNUSED)
{
    static const char *const rows[] = {
        "", "{\"a\":1,\"a\":2}", "{\"a\":1}x", "{a:1}", "[1,]", "\"\xff\"", "\"a\\u0000b\"", "01",
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        if (json_parse(rows[i], strlen(rows[i]), "manifest", &err) != NULL)
            fail_msg("'%s' was taken", rows[i]);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_true(str_starts(err.msg, "manifest: line 1: "));
    }
}

static void deep_nesting_is_an_error_not_a_crash(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;

    for (int i = 0; i < 200000; i++)
        buf_addc(&b, '[');
    assert_null(json_parse(b.data, b.len, "x", &err));
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void members_of_another_type_are_absent(void **state UNUSED)
{
    json_auto_t *j = parse("{\"s\":\"x\",\"i\":3,\"o\":{},\"l\":[],\"t\":true,\"n\":null}");

    assert_string_equal(json_get_str(j, "s"), "x");
    assert_null(json_get_str(j, "i"));
    assert_null(json_get_str(j, "none"));
    assert_null(json_get_str(NULL, "s"));
    assert_int_equal(json_get_int(j, "i", 9), 3);
    assert_int_equal(json_get_int(j, "s", 9), 9);
    assert_non_null(json_get_obj(j, "o"));
    assert_null(json_get_obj(j, "l"));
    assert_non_null(json_get_arr(j, "l"));
    assert_null(json_get_arr(j, "n"));
    assert_true(json_get_bool(j, "t", false));
    assert_true(json_get_bool(j, "i", true));
}

static void lists_of_strings_go_both_ways(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv s = STRV_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    json_auto_t *j = parse("{\"l\":[\"a\",\"b c\"],\"n\":null,\"bad\":[1],\"worse\":\"x\"}");

    assert_ok(json_get_strv(j, "l", &s, &err), &err);
    json_auto_t *list = json_from_strv(&s);
    json_write(list, &b);
    assert_string_equal(buf_str(&b), "[\"a\",\"b c\"]");
    assert_int_equal(json_get_strv(j, "bad", &s, &err), ERR_CORRUPT);
    assert_int_equal(json_get_strv(j, "worse", &s, &err), ERR_CORRUPT);
    assert_int_equal(s.n, 2); /* untouched by failures */
    assert_ok(json_get_strv(j, "n", &s, &err), &err);
    assert_int_equal(s.n, 0);
}

static void bytes_that_are_no_utf8_are_replaced_one_by_one(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    json_auto_t *j = json_from_str("a\xff\xc3\xa4\xed\xa0\x80z");

    json_write(j, &b);
    assert_string_equal(buf_str(&b),
                        "\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_as_it_was_read),
        cmocka_unit_test(pretty_indents),
        cmocka_unit_test(refuses_what_is_not_strictly_json),
        cmocka_unit_test(deep_nesting_is_an_error_not_a_crash),
        cmocka_unit_test(members_of_another_type_are_absent),
        cmocka_unit_test(lists_of_strings_go_both_ways),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_one_by_one),
    };

    return UNIT_RUN("base_json", tests);
}
