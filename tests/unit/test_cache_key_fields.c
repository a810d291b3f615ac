#include "tests/unit/unit.h"

#include "cache/key.h"
#include "cache/key_fields.h"

static void parse(const char *text, struct key_fields *ret)
{
    *ret = (struct key_fields){ .v = NULL };
    key_fields_parse(text, strlen(text), ret);
}

static void a_keys_text_is_read_back_field_by_field(void **state UNUSED)
{
    AUTO(key_free) struct key *k = key_new("run");
    AUTO(strv_release) struct strv list = STRV_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct cache_key id;
    strv_add(&list, "A=1\n2: x");
    strv_add(&list, "");
    key_strv(k, "run.env", &list);
    key_str(k, "run.script", NULL);
    key_end(k, &id, &text);
    AUTO(key_fields_release) struct key_fields f;
    parse(text.data, &f);
    assert_int_equal(f.n, 6);
    assert_string_equal(key_fields_find(&f, "kind", 0), "run");
    assert_string_equal(key_fields_find(&f, "run.env", 0), "A=1\\x0a2: x");
    assert_string_equal(key_fields_find(&f, "run.env", 1), "");
    assert_null(key_fields_find(&f, "run.env", 2));
    assert_string_equal(key_fields_find(&f, "run.script?", 0), "");
}

static void lines_that_are_no_field_are_left_out(void **state UNUSED)
{
    AUTO(key_fields_release) struct key_fields f;
    parse("a: 1\nnonsense\n\nb: 2", &f);
    assert_int_equal(f.n, 2);
    assert_string_equal(key_fields_find(&f, "b", 0), "2");
}

/* "name before now" lines, "-" for a side that has none. */
static char *compared(const char *before, const char *now)
{
    AUTO(key_fields_release) struct key_fields a;
    AUTO(key_fields_release) struct key_fields b;
    AUTO(key_pairs_release) struct key_pairs pairs = { .v = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    parse(before, &a);
    parse(now, &b);
    key_fields_compare(&a, &b, &pairs);
    for (size_t i = 0; i < pairs.n; i++)
        buf_addf(&out, "%s %s %s%s\n", pairs.v[i].name, pairs.v[i].before ? pairs.v[i].before : "-",
                 pairs.v[i].now ? pairs.v[i].now : "-", key_pair_same(&pairs.v[i]) ? "" : " *");
    return buf_take(&out);
}

static void variables_are_paired_by_name(void **state UNUSED)
{
    AUTO(mem_free)
    char *got = compared("run.env: B=1\nrun.env: AA=2\nrun.env: C=3\nx: 1\n",
                         "run.env: A=2\nrun.env: C=4\nrun.env: B=1\nx: 1\n");
    assert_string_equal(got, "run.env - A=2 *\n"
                             "run.env C=3 C=4 *\n"
                             "run.env B=1 B=1\n"
                             "run.env AA=2 - *\n"
                             "x 1 1\n");
}

static void other_lists_are_paired_by_place(void **state UNUSED)
{
    AUTO(mem_free)
    char *got = compared("below: 1\nbelow: 2\nbelow: 3\nold: x\n", "below: 1\nbelow: 4\nnew: y\n");
    assert_string_equal(got, "below 1 1\n"
                             "below 2 4 *\n"
                             "below 3 - *\n"
                             "new - y *\n"
                             "old x - *\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_keys_text_is_read_back_field_by_field),
        cmocka_unit_test(lines_that_are_no_field_are_left_out),
        cmocka_unit_test(variables_are_paired_by_name),
        cmocka_unit_test(other_lists_are_paired_by_place),
    };
    return UNIT_RUN("cache_key_fields", tests);
}
