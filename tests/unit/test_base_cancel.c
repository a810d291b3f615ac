#include "tests/unit/unit.h"

#include "base/cancel.h"
#include <poll.h>
#include <signal.h>

static bool is_readable(struct cancel *c)
{
    struct pollfd p = { .fd = cancel_fd(c), .events = POLLIN };
    return poll(&p, 1, 0) == 1;
}

static void a_failure_can_be_taken_back_and_set_again(void **state UNUSED)
{
    AUTO(cancel_free) struct cancel *c = cancel_new();
    struct err err = ERR_INIT;
    assert_true(cancel_take_back(c));
    cancel_set(c, 0);
    cancel_set(c, 0);
    assert_true(is_readable(c));
    assert_int_equal(cancel_check(c, &err), ERR_CANCELLED);
    assert_true(cancel_take_back(c));
    assert_false(cancel_is_set(c));
    assert_false(is_readable(c));
    cancel_set(c, SIGTERM);
    assert_true(is_readable(c));
    assert_int_equal(cancel_signal(c), SIGTERM);
}

static void a_signal_is_not_taken_back(void **state UNUSED)
{
    AUTO(cancel_free) struct cancel *c = cancel_new();
    cancel_set(c, SIGINT);
    assert_false(cancel_take_back(c));
    assert_int_equal(cancel_signal(c), SIGINT);
    assert_true(is_readable(c));
}

static void a_signal_counts_for_more_than_a_failure_before_it(void **state UNUSED)
{
    AUTO(cancel_free) struct cancel *c = cancel_new();
    cancel_set(c, 0);
    cancel_set(c, SIGINT);
    cancel_set(c, SIGTERM);
    assert_int_equal(cancel_signal(c), SIGINT);
    assert_false(cancel_take_back(c));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_failure_can_be_taken_back_and_set_again),
        cmocka_unit_test(a_signal_is_not_taken_back),
        cmocka_unit_test(a_signal_counts_for_more_than_a_failure_before_it),
    };

    return UNIT_RUN("base_cancel", cases);
}
