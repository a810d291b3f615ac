#include "tests/unit/store_scratch.h"

#include "store/last_build.h"

static struct last_build a_build(const char *subject, const char *context, const char *report)
{
    struct last_build b = { .context = (char *)(uintptr_t)context,
                            .report = (char *)(uintptr_t)report };

    digest_of(subject, strlen(subject), &b.subject);
    return b;
}

static void the_last_one_of_a_kind_comes_back(void **state)
{
    struct scratch *x = *state;
    struct last_build b = a_build("s", "/ctx", "one"), two = a_build("s", "/ctx", "two");
    AUTO(last_build_release) struct last_build got = { .built_s = 0 };

    digest_of("image", 5, &two.image.d);
    two.has_image = true;
    two.name = (char *)(uintptr_t) "docker.io/library/t:1";
    two.good_report = (char *)(uintptr_t) "good";
    assert_ok(last_build_put(x->store, &b, &x->err), &x->err);
    assert_ok(last_build_put(x->store, &two, &x->err), &x->err);
    store_again(x);
    assert_ok(last_build_get(x->store, &b.subject, &got, &x->err), &x->err);
    assert_string_equal(got.context, "/ctx");
    assert_string_equal(got.report, "two");
    assert_string_equal(got.good_report, "good");
    assert_string_equal(got.name, "docker.io/library/t:1");
    assert_true(got.has_image && digest_eq(&got.image.d, &two.image.d));
    assert_true(got.built_s > 0);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM last_builds"), 1);
}

static void what_was_never_built_is_not_found(void **state)
{
    struct scratch *x = *state;
    struct last_build b = a_build("s", "/ctx", "one"), got = { .built_s = 0 };

    assert_int_equal(last_build_get(x->store, &b.subject, &got, &x->err), ERR_NOT_FOUND);
    assert_int_equal(last_build_newest(x->store, NULL, &got, &x->err), ERR_NOT_FOUND);
    assert_ok(last_build_put(x->store, &b, &x->err), &x->err);
    assert_int_equal(last_build_newest(x->store, "/other", &got, &x->err), ERR_NOT_FOUND);
    assert_int_equal(last_build_named(x->store, "x", &got, &x->err), ERR_NOT_FOUND);
}

static const char *newest_report(struct scratch *x, const char *context, struct last_build *b)
{
    last_build_release(b);
    assert_ok(last_build_newest(x->store, context, b, &x->err), &x->err);
    return b->report;
}

static void the_newest_is_the_last_that_was_put(void **state)
{
    struct scratch *x = *state;
    struct last_build a = a_build("a", "/a", "a1"), b = a_build("b", "/b", "b1"),
                      again = a_build("a", "/a", "a2");
    AUTO(last_build_release) struct last_build got = { .built_s = 0 };

    assert_ok(last_build_put(x->store, &a, &x->err), &x->err);
    assert_ok(last_build_put(x->store, &b, &x->err), &x->err);
    assert_string_equal(newest_report(x, NULL, &got), "b1");
    assert_string_equal(newest_report(x, "/a", &got), "a1");
    assert_ok(last_build_put(x->store, &again, &x->err), &x->err);
    assert_string_equal(newest_report(x, NULL, &got), "a2");
}

static void of_a_kind_the_newest_eight_are_kept(void **state)
{
    struct scratch *x = *state;
    struct last_build other = a_build("other", "/o", "o");
    AUTO(last_build_release) struct last_build got = { .built_s = 0 };

    assert_ok(last_build_put(x->store, &other, &x->err), &x->err);
    for (int i = 0; i < 12; i++) {
        AUTO(mem_free) char *name = str_printf("name %d", i);
        struct last_build b = a_build(name, "/ctx", name);
        digest_of("kind", 4, &b.kind);
        assert_ok(last_build_put(x->store, &b, &x->err), &x->err);
    }
    assert_int_equal(ask_db(x, "SELECT count(*) FROM last_builds"), 9);
    struct digest kind;
    digest_of("kind", 4, &kind);
    assert_ok(last_build_of_kind(x->store, &kind, &got, &x->err), &x->err);
    assert_string_equal(got.report, "name 11");
}

static void by_name_only_what_gave_an_image_is_found(void **state)
{
    struct scratch *x = *state;
    struct last_build good = a_build("a", "/a", "good"), failed = a_build("b", "/b", "failed");
    AUTO(last_build_release) struct last_build got = { .built_s = 0 };

    good.name = failed.name = (char *)(uintptr_t) "docker.io/library/t:1";
    good.has_image = true;
    assert_ok(last_build_put(x->store, &good, &x->err), &x->err);
    assert_ok(last_build_put(x->store, &failed, &x->err), &x->err);
    assert_ok(last_build_named(x->store, "docker.io/library/t:1", &got, &x->err), &x->err);
    assert_string_equal(got.report, "good");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_one_of_a_kind_comes_back, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(what_was_never_built_is_not_found, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(the_newest_is_the_last_that_was_put, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(of_a_kind_the_newest_eight_are_kept, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(by_name_only_what_gave_an_image_is_found, scratch_setup,
                                        scratch_teardown),
    };
    return UNIT_RUN("store_last_build", tests);
}
