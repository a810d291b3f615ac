#include "tests/unit/unit.h"

#include "engine/lacks.h"

/* "abc": three layers, each of its letter. Upper case: the blob of that letter, too. */
struct image {
    struct engine_layer layers[8];
    size_t n;
};

static struct image image_of(const char *letters)
{
    struct image i = { .n = strlen(letters) };
    for (size_t k = 0; k < i.n; k++) {
        i.layers[k].diff.d.b[0] = (uint8_t)(letters[k] | 0x20);
        if (letters[k] < 'a')
            i.layers[k].blob.d.b[0] = (uint8_t)letters[k];
    }
    return i;
}

/* What is left of ours once theirs is known: "ab--" when the upper two are there. */
static void check(const char *ours, bool by_blob, const char *const theirs[2], const char *want)
{
    bool has[8] = { false };
    char got[9] = "";
    struct image our = image_of(ours);
    struct lacks l = { .layers = our.layers, .n = our.n, .by_blob = by_blob, .has = has };
    size_t n_has = 0;
    for (size_t i = 0; i < 2 && theirs[i] != NULL; i++) {
        struct image their = image_of(theirs[i]);
        n_has += lacks_gain(&l, their.layers, their.n);
        lacks_learn(&l, their.layers, their.n);
        assert_int_equal(l.n_has, n_has);
        assert_int_equal(lacks_gain(&l, their.layers, their.n), 0);
    }
    for (size_t i = 0; i < our.n; i++)
        got[i] = has[i] ? '-' : ours[i];
    assert_string_equal(got, want);
}

static void a_layer_upon_others_is_another_chain(UNUSED void **state)
{
    check("abcd", false, (const char *[2]){ "abcd", NULL }, "----");
    check("abcd", false, (const char *[2]){ "abxd", NULL }, "--cd");
    check("abcd", false, (const char *[2]){ "ab", NULL }, "--cd");
    check("ab", false, (const char *[2]){ "abcd", NULL }, "--");
    check("abcd", false, (const char *[2]){ "bcd", NULL }, "abcd");
    check("abcd", false, (const char *[2]){ "", NULL }, "abcd");
    check("", false, (const char *[2]){ "abcd", NULL }, "");
    check("abcd", false, (const char *[2]){ "abx", "abc" }, "---d");
    check("abcd", false, (const char *[2]){ "abc", "a" }, "---d");
    check("aab", false, (const char *[2]){ "ab", NULL }, "-ab");
}

static void a_blob_is_there_wherever_it_is_used(UNUSED void **state)
{
    check("ABCD", true, (const char *[2]){ "XDYA", NULL }, "-BC-");
    check("ABCD", true, (const char *[2]){ "D", "C" }, "AB--");
    check("AAB", true, (const char *[2]){ "A", NULL }, "--B");
    check("ABCD", true, (const char *[2]){ "", NULL }, "ABCD");
}

static void blobs_that_are_not_known_are_not_there(UNUSED void **state)
{
    check("ABCD", true, (const char *[2]){ "abcd", NULL }, "ABCD");
    check("abCd", true, (const char *[2]){ "abCd", NULL }, "ab-d");
}

static int parse(const char *text, struct inspected *ret, struct err *err)
{
    json_auto_t *doc = json_loads(text, 0, NULL);
    assert_non_null(doc);
    err_clear(err);
    return inspected_parse(doc, ret, err);
}

#define HEX(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c

static void what_an_engine_shows_is_read(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(inspected_release) struct inspected i = { .n_layers = 0 };
    assert_ok(parse("{\"Id\":\"sha256:" HEX("ab") "\",\"RootFS\":{\"Layers\":[\"sha256:" HEX(
                        "01") "\","
                              "\"sha256:" HEX("02") "\"]}}",
                    &i, &err),
              &err);
    assert_int_equal(i.id.b[31], 0xab);
    assert_int_equal(i.n_layers, 2);
    assert_int_equal(i.layers[1].diff.d.b[0], 2);
    assert_true(digest_is_zero(&i.layers[1].blob.d));
}

static void an_image_without_layers_is_one_that_is_not_whole(UNUSED void **state)
{
    static const char *const texts[] = { "{\"Id\":\"sha256:" HEX("ab") "\",\"RootFS\":{}}",
                                         "{\"Id\":\"sha256:" HEX("ab") "\"}" };
    struct err err = ERR_INIT;
    for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
        AUTO(inspected_release) struct inspected i = { .n_layers = 0 };
        assert_ok(parse(texts[k], &i, &err), &err);
        assert_int_equal(i.n_layers, 0);
    }
}

static void an_answer_without_digests_is_refused(UNUSED void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"Id\":7}",
        "{\"Id\":\"" HEX("ab") "\"}",
        "{\"Id\":\"sha256:" HEX("ab") "\",\"RootFS\":{\"Layers\":[\"" HEX("01") "\"]}}",
        "{\"Id\":\"sha256:" HEX("ab") "\",\"RootFS\":{\"Layers\":[null]}}",
    };
    struct err err = ERR_INIT;
    AUTO(inspected_release) struct inspected i = { .n_layers = 0 };
    for (size_t k = 0; k < ARRAY_LEN(texts); k++)
        assert_true(parse(texts[k], &i, &err) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_upon_others_is_another_chain),
        cmocka_unit_test(a_blob_is_there_wherever_it_is_used),
        cmocka_unit_test(blobs_that_are_not_known_are_not_there),
        cmocka_unit_test(what_an_engine_shows_is_read),
        cmocka_unit_test(an_image_without_layers_is_one_that_is_not_whole),
        cmocka_unit_test(an_answer_without_digests_is_refused),
    };
    return UNIT_RUN("engine_lacks", tests);
}
