#include "tests/unit/unit.h"

#include "base/map.h"

static void keys_come_out_in_order_of_insertion(void **state UNUSED)
{
    AUTO(map_free) struct map *m = map_new(mem_free);
    const char *key;
    void *value;
    size_t n = 0;

    for (int i = 0; i < 5000; i++) {
        AUTO(mem_free) char *k = str_printf("key-%d", i * 7919 % 5003);
        map_set(m, k, str_printf("%d", i));
    }
    assert_int_equal(map_len(m), 5000);
    for (size_t i = 0; map_next(m, &i, &key, &value); n++) {
        assert_int_equal(atoi(value), n);
        assert_ptr_equal(map_get(m, key), value);
    }
    assert_int_equal(n, 5000);
}

static void a_replaced_value_is_freed_and_keeps_its_place(void **state UNUSED)
{
    AUTO(map_free) struct map *m = map_new(mem_free);
    const char *key;
    void *value;

    map_set(m, "a", str_dup("1"));
    map_set(m, "b", str_dup("2"));
    map_set(m, "a", str_dup("3"));
    map_set(m, "a", map_get(m, "a"));
    size_t i = 0;
    assert_true(map_next(m, &i, &key, &value));
    assert_string_equal(key, "a");
    assert_string_equal(value, "3");
    assert_int_equal(map_len(m), 2);
}

static void a_null_value_is_there(void **state UNUSED)
{
    AUTO(map_free) struct map *m = map_new(NULL);

    assert_false(map_has(m, "x"));
    map_set(m, "x", NULL);
    assert_true(map_has(m, "x"));
    assert_null(map_get(m, "x"));
    assert_true(map_del(m, "x"));
    assert_false(map_del(m, "x"));
    assert_false(map_has(m, "x"));
}

static void deleting_while_walking_is_allowed(void **state UNUSED)
{
    AUTO(map_free) struct map *m = map_new(mem_free);
    const char *key;
    void *value;

    for (int i = 0; i < 1000; i++) {
        AUTO(mem_free) char *k = str_printf("%d", i);
        map_set(m, k, str_dup(k));
    }
    for (size_t i = 0; map_next(m, &i, &key, &value);)
        if (atoi(value) % 2 == 0)
            assert_true(map_del(m, key));
    assert_int_equal(map_len(m), 500);
    assert_false(map_has(m, "10"));
    assert_true(map_has(m, "11"));
}

static void a_map_that_is_emptied_and_filled_again_does_not_grow_wrong(void **state UNUSED)
{
    AUTO(map_free) struct map *m = map_new(mem_free);

    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 200; i++) {
            AUTO(mem_free) char *k = str_printf("%d/%d", round, i);
            map_set(m, k, str_dup(k));
        }
        for (int i = 0; i < 200; i++) {
            AUTO(mem_free) char *k = str_printf("%d/%d", round, i);
            assert_string_equal(map_get(m, k), k);
            assert_true(map_del(m, k));
        }
    }
    assert_int_equal(map_len(m), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_out_in_order_of_insertion),
        cmocka_unit_test(a_replaced_value_is_freed_and_keeps_its_place),
        cmocka_unit_test(a_null_value_is_there),
        cmocka_unit_test(deleting_while_walking_is_allowed),
        cmocka_unit_test(a_map_that_is_emptied_and_filled_again_does_not_grow_wrong),
    };

    return UNIT_RUN("base_map", tests);
}
