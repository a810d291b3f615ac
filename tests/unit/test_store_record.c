#include "tests/unit/store_scratch.h"

#include "store/record.h"

static struct cache_key key_of(const char *text)
{
    struct cache_key k;

    digest_of(text, strlen(text), &k.d);
    return k;
}

static void what_is_put_comes_back(void **state)
{
    struct scratch *x = *state;
    struct record r = {
        .key = key_of("a"), .has_layer = true, .has_output = true, .cost_ms = 1234
    };
    struct record got;

    digest_of("layer", 5, &r.layer.d);
    digest_of("output", 6, &r.output.d);
    digest_of("fields", 6, &r.fields.d);
    snprintf(r.step, sizeof(r.step), "RUN make");
    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    assert_ok(record_get(x->store, &r.key, &got, &x->err), &x->err);
    assert_true(got.has_layer && digest_eq(&got.layer.d, &r.layer.d));
    assert_true(got.has_output && digest_eq(&got.output.d, &r.output.d));
    assert_true(digest_eq(&got.fields.d, &r.fields.d));
    assert_true(digest_eq(&got.key.d, &r.key.d));
    assert_string_equal(got.step, "RUN make");
    assert_int_equal(got.cost_ms, 1234);
    assert_true(got.made_s > 0 && got.used_s == got.made_s);
}

static void what_is_not_there_stays_not_there(void **state)
{
    struct scratch *x = *state;
    struct record r = { .key = key_of("a") }, got;

    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    store_again(x);
    assert_ok(record_get(x->store, &r.key, &got, &x->err), &x->err);
    assert_false(got.has_layer || got.has_output);
    assert_true(digest_is_zero(&got.fields.d));
}

static void a_miss_is_not_found(void **state)
{
    struct scratch *x = *state;
    struct cache_key key = key_of("nothing");
    struct record got;

    assert_int_equal(record_get(x->store, &key, &got, &x->err), ERR_NOT_FOUND);
}

static void put_replaces(void **state)
{
    struct scratch *x = *state;
    struct record r = { .key = key_of("a"), .cost_ms = 1 }, got;

    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    r.cost_ms = 2;
    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    assert_ok(record_get(x->store, &r.key, &got, &x->err), &x->err);
    assert_int_equal(got.cost_ms, 2);
}

static void touch_raises_the_order_of_use(void **state)
{
    struct scratch *x = *state;
    struct record a = { .key = key_of("a") }, b = { .key = key_of("b") };
    struct cache_key keys[] = { a.key, key_of("unknown") };

    assert_ok(record_put(x->store, &a, &x->err), &x->err);
    assert_ok(record_put(x->store, &b, &x->err), &x->err);
    assert_ok(record_touch(x->store, keys, ARRAY_LEN(keys), &x->err), &x->err);
    assert_ok(record_touch(x->store, NULL, 0, &x->err), &x->err);
    AUTO(mem_free)
    char *sql = str_printf("SELECT hex(key) = upper('%s') FROM records ORDER BY used DESC LIMIT 1",
                           DIGEST_HEX(&a.key.d));
    assert_int_equal(ask_db(x, sql), 1);
}

static void any_text_can_be_a_step(void **state)
{
    struct scratch *x = *state;
    struct record r = { .key = key_of("a") }, got;

    memset(r.step, '\'', sizeof(r.step) - 1);
    memcpy(r.step, "\xff\xfe\n; DROP TABLE records", 23);
    assert_ok(record_put(x->store, &r, &x->err), &x->err);
    assert_ok(record_get(x->store, &r.key, &got, &x->err), &x->err);
    assert_string_equal(got.step, r.step);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_put_comes_back),        CASE(what_is_not_there_stays_not_there),
        CASE(a_miss_is_not_found),           CASE(put_replaces),
        CASE(touch_raises_the_order_of_use), CASE(any_text_can_be_a_step),
    };

    return UNIT_RUN("store_record", tests);
}
