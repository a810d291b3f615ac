#include "tests/unit/unit.h"

#include "base/pool.h"
#include <stdatomic.h>

static int add_one(void *arg, struct err *err UNUSED)
{
    atomic_fetch_add((atomic_int *)arg, 1);
    return 0;
}

static void every_task_runs_once(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(pool_free) struct pool *p = pool_new(4);
    AUTO(group_free) struct group *g = group_new(p);
    atomic_int n = 0;

    assert_ok(group_wait(g, &err), &err); /* of nothing */
    for (int round = 1; round <= 3; round++) {
        for (int i = 0; i < 5000; i++)
            group_run(g, add_one, &n);
        assert_ok(group_wait(g, &err), &err);
        assert_int_equal(n, 5000 * round);
    }
}

static void free_waits_for_what_was_started(void **state UNUSED)
{
    atomic_int n = 0;
    struct pool *p = pool_new(0);
    struct group *g = group_new(p);

    for (int i = 0; i < 100; i++)
        group_run(g, add_one, &n);
    group_free(g);
    assert_int_equal(n, 100);
    pool_free(p);
    group_free(NULL);
    pool_free(NULL);
}

struct ordered {
    int place;
    atomic_int *next;
    bool in_order;
};

static int note_order(void *arg, struct err *err UNUSED)
{
    struct ordered *o = arg;

    o->in_order = atomic_fetch_add(o->next, 1) == o->place;
    return 0;
}

static void one_thread_takes_tasks_in_order(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(pool_free) struct pool *p = pool_new(1);
    AUTO(group_free) struct group *g = group_new(p);
    struct ordered tasks[100];
    atomic_int next = 0;

    for (int i = 0; i < 100; i++) {
        tasks[i] = (struct ordered){ .place = i, .next = &next };
        group_run(g, note_order, &tasks[i]);
    }
    while (atomic_load(&next) < 100) /* not group_wait: that would run tasks beside the thread */
        usleep(100);
    assert_ok(group_wait(g, &err), &err);
    for (int i = 0; i < 100; i++)
        assert_true(tasks[i].in_order);
}

static int fail_with(void *arg, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "layer %s", (const char *)arg);
}

static void the_first_error_stays_and_the_others_run(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(pool_free) struct pool *p = pool_new(3);
    AUTO(group_free) struct group *g = group_new(p);
    AUTO(group_free) struct group *other = group_new(p);
    char first[] = "1", second[] = "2";
    atomic_int n = 0;

    group_run(g, fail_with, first);
    assert_int_equal(group_wait(g, &err), ERR_CORRUPT);
    assert_true(group_failed(g));
    group_run(g, fail_with, second);
    for (int i = 0; i < 100; i++)
        group_run(g, add_one, &n);
    assert_int_equal(group_wait(g, &err), ERR_CORRUPT);
    assert_string_equal(err.msg, "layer 1");
    assert_int_equal(n, 100);
    assert_false(group_failed(other));
    assert_ok(group_wait(other, &err), &err);
}

struct nest {
    struct pool *pool;
    int depth;
    atomic_int *n;
};

/* Each waits for four of the next depth: with fewer threads than waiters somebody has to help. */
static int nested(void *arg, struct err *err)
{
    struct nest *up = arg, down = { .pool = up->pool, .depth = up->depth - 1, .n = up->n };
    AUTO(group_free) struct group *g = NULL;

    atomic_fetch_add(up->n, 1);
    if (up->depth == 0)
        return 0;
    g = group_new(up->pool);
    for (int i = 0; i < 4; i++)
        group_run(g, nested, &down);
    return group_wait(g, err);
}

static void nested_groups_do_not_block_each_other(void **state UNUSED)
{
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct err err = ERR_INIT;
        AUTO(pool_free) struct pool *p = pool_new(threads);
        AUTO(group_free) struct group *g = group_new(p);
        atomic_int n = 0;
        struct nest top = { .pool = p, .depth = 5, .n = &n };

        group_run(g, nested, &top);
        group_run(g, nested, &top);
        assert_ok(group_wait(g, &err), &err);
        assert_int_equal(n, 2 * (1 + 4 + 16 + 64 + 256 + 1024));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(free_waits_for_what_was_started),
        cmocka_unit_test(one_thread_takes_tasks_in_order),
        cmocka_unit_test(the_first_error_stays_and_the_others_run),
        cmocka_unit_test(nested_groups_do_not_block_each_other),
    };

    return UNIT_RUN("base_pool", tests);
}
