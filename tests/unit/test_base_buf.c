#include "tests/unit/unit.h"

#include "base/buf.h"

static void an_empty_buf_reads_as_empty_text(void **state UNUSED)
{
    struct buf b = BUF_INIT;

    assert_string_equal(buf_str(&b), "");
    AUTO(mem_free) char *taken = buf_take(&b);
    assert_string_equal(taken, "");
}

static void a_buf_grows_and_always_ends_in_nul(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    for (int i = 0; i < 1000; i++) {
        buf_addc(&b, (char)('a' + i % 26));
        assert_int_equal(b.data[b.len], 0);
    }
    buf_addf(&b, "-%d", 42);
    assert_int_equal(b.len, 1003);
    assert_true(str_ends(buf_str(&b), "-42"));
    buf_truncate(&b, 3);
    assert_string_equal(buf_str(&b), "abc");
    buf_clear(&b);
    assert_string_equal(buf_str(&b), "");
}

static void a_buf_takes_bytes_with_nul(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_add(&b, NULL, 0);
    assert_int_equal(b.len, 3);
}

static void a_buf_may_add_its_own_bytes(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    buf_adds(&b, "0123456789");
    for (int i = 0; i < 8; i++)
        buf_add(&b, b.data, b.len);
    assert_int_equal(b.len, 2560);
    for (size_t i = 0; i < b.len; i++)
        assert_int_equal(b.data[i], '0' + i % 10);
}

static void room_is_filled_by_the_caller(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;

    memcpy(buf_room(&b, 4), "wxyz", 4);
    b.len += 4;
    buf_addc(&b, '!');
    assert_string_equal(buf_str(&b), "wxyz!");
}

static void a_strv_is_shaped_like_argv(void **state UNUSED)
{
    AUTO(strv_release) struct strv s = STRV_INIT;

    for (int i = 0; i < 100; i++) {
        strv_addf(&s, "%d", i);
        assert_null(s.v[s.n]);
    }
    strv_addn(&s, "abcdef", 3);
    strv_take(&s, str_dup("t"));
    assert_string_equal(s.v[99], "99");
    assert_string_equal(s.v[100], "abc");
    strv_remove(&s, 0);
    assert_string_equal(s.v[0], "1");
    assert_int_equal(s.n, 101);
    assert_null(s.v[s.n]);
    strv_clear(&s);
    assert_int_equal(s.n, 0);
    assert_null(s.v[0]);
}

static void strv_sorts_bytewise_and_finds(void **state UNUSED)
{
    AUTO(strv_release) struct strv s = STRV_INIT;
    AUTO(strv_release) struct strv t = STRV_INIT;

    strv_add(&s, "b");
    strv_add(&s, "\xc3\xa4");
    strv_add(&s, "B");
    strv_sort(&s);
    AUTO(mem_free) char *joined = strv_join(&s, "|");
    assert_string_equal(joined, "B|b|\xc3\xa4");
    assert_true(strv_has(&s, "b"));
    assert_false(strv_has(&s, "c"));
    strv_copy(&t, &s);
    AUTO(mem_free) char *copied = strv_join(&t, "|");
    assert_string_equal(copied, joined);
    strv_append(&t, &t);
    assert_int_equal(t.n, 6);
    assert_string_equal(t.v[3], s.v[0]);
}

static void split_keeps_empty_parts_but_not_of_nothing(void **state UNUSED)
{
    AUTO(strv_release) struct strv s = STRV_INIT;

    strv_split(&s, "", ',');
    assert_int_equal(s.n, 0);
    strv_split(&s, "a,,b,", ',');
    assert_int_equal(s.n, 4);
    AUTO(mem_free) char *joined = strv_join(&s, "/");
    assert_string_equal(joined, "a//b/");
    AUTO(strv_release) struct strv none = STRV_INIT;
    AUTO(mem_free) char *empty = strv_join(&none, ",");
    assert_string_equal(empty, "");
}

static void env_replaces_in_place(void **state UNUSED)
{
    AUTO(strv_release) struct strv env = STRV_INIT;

    env_set(&env, "PATH", "/bin");
    env_set(&env, "PA", "x");
    env_set(&env, "PATH", "/usr/bin");
    env_set(&env, "PATH", env_get(&env, "PATH"));
    assert_int_equal(env.n, 2);
    assert_string_equal(env.v[0], "PATH=/usr/bin");
    assert_string_equal(env_get(&env, "PA"), "x");
    assert_null(env_get(&env, "P"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buf_reads_as_empty_text),
        cmocka_unit_test(a_buf_grows_and_always_ends_in_nul),
        cmocka_unit_test(a_buf_takes_bytes_with_nul),
        cmocka_unit_test(a_buf_may_add_its_own_bytes),
        cmocka_unit_test(room_is_filled_by_the_caller),
        cmocka_unit_test(a_strv_is_shaped_like_argv),
        cmocka_unit_test(strv_sorts_bytewise_and_finds),
        cmocka_unit_test(split_keeps_empty_parts_but_not_of_nothing),
        cmocka_unit_test(env_replaces_in_place),
    };

    return UNIT_RUN("base_buf", tests);
}
