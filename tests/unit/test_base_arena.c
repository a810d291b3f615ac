#include "tests/unit/unit.h"

#include "base/arena.h"
#include <stdalign.h>

static void what_was_handed_out_stays_as_it_was(void **state UNUSED)
{
    AUTO(arena_release) struct arena a = ARENA_INIT;
    char *names[5000];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *name = str_printf("name-%zu", i);
        names[i] = arena_strn(&a, name, strlen(name));
        uint64_t *n = arena_alloc(&a, sizeof(*n));
        assert_int_equal((uintptr_t)n % alignof(max_align_t), 0);
        *n = UINT64_MAX;
    }
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *name = str_printf("name-%zu", i);
        assert_string_equal(names[i], name);
    }
}

static void large_and_empty_things_are_handed_out_too(void **state UNUSED)
{
    AUTO(arena_release) struct arena a = ARENA_INIT;
    assert_non_null(arena_dup(&a, NULL, 0));
    assert_null(arena_str(&a, NULL));
    assert_string_equal(arena_str(&a, ""), "");
    char *large = arena_zalloc(&a, 3000000);
    for (size_t i = 0; i < 3000000; i++)
        assert_int_equal(large[i], 0);
    large[2999999] = 'x';
    assert_string_equal(arena_str(&a, "after"), "after");
    arena_release(&a);
    assert_string_equal(arena_str(&a, "again"), "again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_handed_out_stays_as_it_was),
        cmocka_unit_test(large_and_empty_things_are_handed_out_too),
    };
    return UNIT_RUN("base_arena", tests);
}
