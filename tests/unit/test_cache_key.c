#include "tests/unit/unit.h"

#include "cache/key.h"

static struct cache_key example(const char *value)
{
    AUTO(key_free) struct key *k = key_new("example");
    AUTO(strv_release) struct strv list = STRV_INIT;
    strv_add(&list, "x");
    strv_add(&list, "y");
    key_str(k, "a", value);
    key_strv(k, "l", &list);
    struct cache_key ret;
    key_end(k, &ret, NULL);
    return ret;
}

/* The bytes of docs/cache-keys.md, put together by hand. */
static void add_field(struct buf *b, const char *name, const char *value)
{
    const char *const parts[] = { name, value };
    for (size_t i = 0; i < 2; i++) {
        char length[8] = { (char)strlen(parts[i]) };
        buf_add(b, length, sizeof(length));
        buf_adds(b, parts[i]);
    }
}

static void the_documented_example_is_what_the_code_computes(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    add_field(&b, "version", "3");
    add_field(&b, "kind", "example");
    add_field(&b, "a", "b");
    add_field(&b, "l.n", "2");
    add_field(&b, "l", "x");
    add_field(&b, "l", "y");
    struct digest want;
    digest_of(b.data, b.len, &want);
    struct cache_key got = example("b");
    assert_true(digest_eq(&got.d, &want));
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(file_read(AT_FDCWD, "docs/cache-keys.md", 1 << 20, &text, &err), &err);
    assert_non_null(strstr(text.data, DIGEST_HEX(&want)));
}

static void every_value_counts(void **state UNUSED)
{
    struct cache_key b = example("b"), c = example("c"), empty = example(""),
                     absent = example(NULL);
    assert_false(digest_eq(&b.d, &c.d));
    assert_false(digest_eq(&empty.d, &absent.d));
    assert_false(digest_eq(&empty.d, &b.d));
}

static struct cache_key two(const char *name1, const char *v1, const char *name2, const char *v2)
{
    AUTO(key_free) struct key *k = key_new("t");
    key_str(k, name1, v1);
    key_str(k, name2, v2);
    struct cache_key ret;
    key_end(k, &ret, NULL);
    return ret;
}

static void fields_cannot_run_into_each_other(void **state UNUSED)
{
    struct cache_key a = two("n", "ab", "m", "c"), b = two("n", "a", "m", "bc");
    struct cache_key c = two("n", "a", "bm", "c"), d = two("na", "", "bm", "c");
    assert_false(digest_eq(&a.d, &b.d));
    assert_false(digest_eq(&b.d, &c.d));
    assert_false(digest_eq(&c.d, &d.d));
}

static void the_fields_can_be_read_as_text(void **state UNUSED)
{
    AUTO(key_free) struct key *k = key_new("run");
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct cache_key ignored;
    key_str(k, "run.cwd", "/a\nb");
    key_end(k, &ignored, &text);
    assert_string_equal(text.data, "version: 3\nkind: run\nrun.cwd: /a\\x0ab\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_documented_example_is_what_the_code_computes),
        cmocka_unit_test(every_value_counts),
        cmocka_unit_test(fields_cannot_run_into_each_other),
        cmocka_unit_test(the_fields_can_be_read_as_text),
    };
    return UNIT_RUN("cache_key", tests);
}
