#include "tests/unit/unit.h"

#include "base/base64.h"
#include "base/digest.h"
#include <pthread.h>

#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void known_answers(void **state UNUSED)
{
    struct digest d;

    digest_of("abc", 3, &d);
    assert_string_equal(DIGEST_HEX(&d), ABC);
    assert_string_equal(DIGEST_S(&d), "sha256:" ABC);
    digest_of(NULL, 0, &d);
    assert_string_equal(DIGEST_HEX(&d), EMPTY);
    assert_false(digest_is_zero(&d));
    memset(&d, 0, sizeof(d));
    assert_true(digest_is_zero(&d));
}

static void a_hasher_starts_over_after_end(void **state UNUSED)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    struct digest d;

    for (int i = 0; i < 3; i++) {
        hasher_add(h, "a", 1);
        hasher_add(h, NULL, 0);
        hasher_add(h, "bc", 2);
        hasher_end(h, &d);
        assert_string_equal(DIGEST_HEX(&d), ABC);
    }
    hasher_end(h, &d);
    assert_string_equal(DIGEST_HEX(&d), EMPTY);
}

static void parse_takes_what_format_gives(void **state UNUSED)
{
    struct err err = ERR_INIT;
    struct digest a, b;

    digest_of("abc", 3, &a);
    assert_ok(digest_parse("sha256:" ABC, &b, &err), &err);
    assert_true(digest_eq(&a, &b));
    b.b[0]++;
    assert_false(digest_eq(&a, &b));
    assert_ok(digest_parse_hex(ABC, &b, &err), &err);
    assert_true(digest_eq(&a, &b));
}

static void parse_refuses_everything_else(void **state UNUSED)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        { "", ERR_CORRUPT },
        { "sha256:", ERR_CORRUPT },
        { ":" ABC, ERR_CORRUPT },
        { ABC, ERR_CORRUPT },
        { "sha256:" ABC "0", ERR_CORRUPT },
        { "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", ERR_CORRUPT },
        { "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a", ERR_CORRUPT },
        { "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a ", ERR_CORRUPT },
        { "sha256:../../../../../../../../../../../../../../../../../../../../etc/pw",
          ERR_CORRUPT },
        { "sha512:" ABC, ERR_UNSUPPORTED },
        { "md5:x", ERR_UNSUPPORTED },
    };
    struct digest d;

    memset(&d, 7, sizeof(d));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(digest_parse(rows[i].text, &d, &err), rows[i].code);
        assert_int_equal(err.code, rows[i].code);
    }
    for (size_t i = 0; i < DIGEST_LEN; i++)
        assert_int_equal(d.b[i], 7);
}

static void *hash_much(void *arg)
{
    struct digest want, d;
    char text[64];

    snprintf(text, sizeof(text), "thread %s", (const char *)arg);
    digest_of(text, strlen(text), &want);
    for (int i = 0; i < 5000; i++) {
        digest_of(text, strlen(text), &d);
        if (!digest_eq(&d, &want))
            return arg;
    }
    return NULL;
}

static void threads_hash_at_once(void **state UNUSED)
{
    char names[4][8] = { "a", "b", "c", "d" };
    pthread_t threads[4];
    void *bad;

    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_much, names[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

static void checksums_of_others_are_the_published_ones(void **state UNUSED)
{
    static const struct {
        const char *name, *hex; /* of "abc": FIPS 180-4 */
    } cases[] = {
        { "sha384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
                    "8086072ba1e7cc2358baeca134c825a7" },
        { "sha512", "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(buf_release) struct buf hex = BUF_INIT;
        AUTO(checksum_free) struct checksum *c = checksum_new(cases[i].name);
        assert_non_null(c);
        checksum_add(c, "a", 1);
        checksum_add(c, "bc", 2);
        checksum_end(c, &hex);
        assert_string_equal(buf_str(&hex), cases[i].hex);
    }
    assert_null(checksum_new("sha256"));
    assert_null(checksum_new("md5"));
}

static void base64_is_padded(void **state UNUSED)
{
    static const char *const want[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==" };

    for (size_t n = 0; n < ARRAY_LEN(want); n++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        base64_add(&b, "foob", n);
        assert_string_equal(buf_str(&b), want[n]);
    }
}

static void quick_hash_depends_on_bytes_and_seed(void **state UNUSED)
{
    assert_true(quick_hash("abc", 3, 0) == quick_hash("abc", 3, 0));
    assert_true(quick_hash("abc", 3, 0) != quick_hash("abd", 3, 0));
    assert_true(quick_hash("abc", 3, 0) != quick_hash("abc", 3, 1));
    assert_true(quick_hash("abc", 3, 0) == 0x78af5f94892f3950u); /* as XXH3 is specified */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(a_hasher_starts_over_after_end),
        cmocka_unit_test(parse_takes_what_format_gives),
        cmocka_unit_test(parse_refuses_everything_else),
        cmocka_unit_test(threads_hash_at_once),
        cmocka_unit_test(checksums_of_others_are_the_published_ones),
        cmocka_unit_test(base64_is_padded),
        cmocka_unit_test(quick_hash_depends_on_bytes_and_seed),
    };

    return UNIT_RUN("base_digest", tests);
}
