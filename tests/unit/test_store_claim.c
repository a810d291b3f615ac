#include "tests/unit/store_scratch.h"

#include "store/record.h"
#include <sys/wait.h>

static struct cache_key key_of(const char *text)
{
    struct cache_key k;
    digest_of(text, strlen(text), &k.d);
    return k;
}

static void a_claim_is_had_by_one_at_a_time(void **state)
{
    struct scratch *x = *state;
    struct err err = ERR_INIT;
    struct cache_key a = key_of("a"), b = key_of("b");
    AUTO(cancel_free) struct cancel *given_up = cancel_new();
    cancel_set(given_up, 0);
    AUTO(fd_close) int first = record_claim(x->store, &a, NULL, &err);
    assert_ok(first, &err);
    AUTO(fd_close) int other = record_claim(x->store, &b, NULL, &err);
    assert_ok(other, &err);
    assert_int_equal(record_claim(x->store, &a, given_up, &err), ERR_CANCELLED);
    fd_close(TAKE_FD(first));
    AUTO(fd_close) int second = record_claim(x->store, &a, given_up, &err);
    assert_ok(second, &err);
}

static void a_claim_that_another_has_is_a_miss_when_its_time_is_over(void **state)
{
    struct scratch *x = *state;
    struct err err = ERR_INIT;
    struct cache_key a = key_of("a");
    AUTO(fd_close) int first = record_claim_within(x->store, &a, 0, NULL, &err);
    assert_ok(first, &err);
    assert_int_equal(record_claim_within(x->store, &a, 0, NULL, &err), ERR_NOT_FOUND);
    assert_int_equal(record_claim_within(x->store, &a, 60, NULL, &err), ERR_NOT_FOUND);
    fd_close(TAKE_FD(first));
    err_clear(&err);
    AUTO(fd_close) int second = record_claim_within(x->store, &a, 0, NULL, &err);
    assert_ok(second, &err);
}

static void a_claim_dies_with_its_process(void **state)
{
    struct scratch *x = *state;
    struct err err = ERR_INIT;
    struct cache_key a = key_of("a");
    pid_t pid = fork();
    if (pid == 0)
        _exit(record_claim(x->store, &a, NULL, &err) < 0); /* the fd is left to the kernel */
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    AUTO(fd_close) int mine = record_claim(x->store, &a, NULL, &err);
    assert_ok(mine, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_claim_is_had_by_one_at_a_time, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_claim_that_another_has_is_a_miss_when_its_time_is_over,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_claim_dies_with_its_process, scratch_setup,
                                        scratch_teardown),
    };
    return UNIT_RUN("store_claim", tests);
}
