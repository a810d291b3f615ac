#include "engine/fetch.h"

#include "tests/unit/unit.h"
#include <string.h>

static void names_of_urls_are_one_component(void **state UNUSED)
{
    static const struct {
        const char *url, *want;
    } rows[] = {
        { "http://h/a/b.tar.gz", "b.tar.gz" },
        { "http://h/a/b/", "b" },
        { "http://h/a?x=/y#/z", "a" },
        { "http://h/a%20b", "a b" },
        { "http://h/a%2fb", "b" },
        { "http://h/%2e%2e", "__unnamed__" },
        { "http://h/x/..", "__unnamed__" },
        { "http://h/x/.", "__unnamed__" },
        { "http://h/x/..%2f..%2f", "__unnamed__" },
        { "http://h", "__unnamed__" },
        { "http://h/", "__unnamed__" },
        { "http://h?x", "__unnamed__" },
        { "http://h/a%00b", "__unnamed__" },
        { "http://h/a%0ab", "__unnamed__" },
        { "http://h/.wh.x", "__unnamed__" },
        { "http://h/%zz", "%zz" },
        { "http://h/a%", "a%" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(mem_free) char *got = fetch_file_name(rows[i].url);
        assert_string_equal(got, rows[i].want);
    }
}

static void a_name_is_no_longer_than_a_file_systems(void **state UNUSED)
{
    AUTO(buf_release) struct buf url = BUF_INIT;
    buf_adds(&url, "http://h/");
    for (int i = 0; i < 255; i++)
        buf_addc(&url, 'x');
    AUTO(mem_free) char *at = fetch_file_name(buf_str(&url));
    assert_int_equal(strlen(at), 255);
    buf_addc(&url, 'x');
    AUTO(mem_free) char *over = fetch_file_name(buf_str(&url));
    assert_string_equal(over, "__unnamed__");
}

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16

static void checksums_are_told_in_the_words_of_the_digest_package(void **state UNUSED)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "sha256:" HEX64, "" },
        { "sha384:" HEX64 HEX16 HEX16, "" },
        { "sha512:" HEX64 HEX64, "" },
        { "sha256:" HEX16, "invalid checksum digest length" },
        { "sha512:" HEX64, "invalid checksum digest length" },
        { "sha256:" HEX16 HEX16 HEX16 "0123456789ABCDEF", "invalid checksum digest format" },
        { "md5:7e55", "unsupported digest algorithm" },
        { "sha256+b64:7e55", "unsupported digest algorithm" },
        { "un_known:7e-=55", "unsupported digest algorithm" },
        { "MD5:7e55", "invalid checksum digest format" },
        { "md5:7e 55", "invalid checksum digest format" },
        { "+md5:7e55", "invalid checksum digest format" },
        { "md5:", "invalid checksum digest format" },
        { ":7e55", "invalid checksum digest format" },
        { "7e55", "invalid checksum digest format" },
        { "", "invalid checksum digest format" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        int rc = fetch_checksum_check(rows[i].text, &err);
        assert_string_equal(err.msg, rows[i].want);
        assert_int_equal(rc, *rows[i].want ? ERR_USAGE : 0);
    }
}

static void kinds_of_references_are_told_apart(void **state UNUSED)
{
    assert_true(fetch_is_http("http://h/x.tar"));
    assert_true(fetch_is_http("HTTPS://h/x"));
    assert_false(fetch_is_http("https://h/x.git"));
    assert_false(fetch_is_http("ftp://h/x"));
    assert_false(fetch_is_http("h/x"));
    assert_true(fetch_is_git("https://h/x.git#y"));
    assert_true(fetch_is_git("https://h/x.git?wrong=y"));
    assert_true(fetch_is_git("github.com/a/b"));
    assert_false(fetch_is_git("https://h/x"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_urls_are_one_component),
        cmocka_unit_test(a_name_is_no_longer_than_a_file_systems),
        cmocka_unit_test(checksums_are_told_in_the_words_of_the_digest_package),
        cmocka_unit_test(kinds_of_references_are_told_apart),
    };
    return UNIT_RUN("engine_fetch", tests);
}
