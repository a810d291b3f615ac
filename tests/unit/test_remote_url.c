#include "tests/unit/unit.h"
#include "remote/url.h"

static void only_addresses_of_this_machine_are_loopback(UNUSED void **state)
{
    static const struct {
        const char *host;
        bool want;
    } rows[] = {
        { "localhost", true },
        { "LocalHost:5000", true },
        { "127.0.0.1", true },
        { "127.1.2.3:80", true },
        { "[::1]", true },
        { "[::1]:5000", true },
        { "localhost.evil.com", false },
        { "127.0.0.1.evil.com", false },
        { "127.evil", false },
        { "128.0.0.1", false },
        { "[::2]:5000", false },
        { "[::1", false },
        { "", false },
        { "docker.io", false },
        { "127.0.0.1x", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (url_host_is_loopback(rows[i].host) != rows[i].want)
            fail_msg("%s", rows[i].host);
    assert_true(url_is_loopback("http://127.0.0.9:1/x"));
    assert_false(url_is_loopback("http://127.0.0.1@evil.com/"));
    assert_false(url_is_loopback("ftp://localhost/"));
}

static void an_origin_is_scheme_host_and_port(UNUSED void **state)
{
    assert_true(url_same_origin("https://a/x", "https://A:443/y?z"));
    assert_true(url_same_origin("http://a", "http://a:80/"));
    assert_false(url_same_origin("https://a/", "http://a/"));
    assert_false(url_same_origin("https://a/", "https://a:444/"));
    assert_false(url_same_origin("https://a/", "https://b/"));
    assert_false(url_same_origin("https://a/", "https://a@b/"));
    assert_false(url_same_origin("x", "x"));
}

static void a_location_is_read_relative_to_its_page(UNUSED void **state)
{
    static const struct {
        const char *base, *location, *want;
    } rows[] = {
        { "http://a/x/y", "/z", "http://a/z" },
        { "http://a/x/y", "z?q=1#f", "http://a/x/z?q=1" },
        { "http://a/x/y", "//b/z", "http://b/z" },
        { "http://u:p@a/x", "/z", "http://u:p@a/z" },
        { "http://u:p@a/x", "http://v:w@b/z", "http://b/z" },
        { "http://a/", "https://b:8443/z", "https://b:8443/z" },
        { "http://a/", "file:///etc/passwd", NULL },
        { "http://a/", "gopher://b/", NULL },
        { "http://a/", "http://", NULL },
        { "http://a/", "http://b/\n", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *got = url_resolve(rows[i].base, rows[i].location, &err);
        if (rows[i].want == NULL) {
            assert_null(got);
            assert_int_equal(err.code, ERR_NET);
        } else {
            assert_ok(err.code, &err);
            assert_string_equal(got, rows[i].want);
        }
    }
}

static void what_is_shown_has_no_secrets(UNUSED void **state)
{
    AUTO(mem_free) char *shown = url_show("https://user:secret@host:1/p/q?token=secret#secret");
    assert_string_equal(shown, "https://host:1/p/q");
    AUTO(mem_free) char *port = url_host_port("https://user:secret@host/p");
    assert_string_equal(port, "host:443");
    AUTO(mem_free) char *none = url_host_port("nonsense://x");
    assert_string_equal(none, "?");
}

static void escaping_leaves_what_it_is_told(UNUSED void **state)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    url_escape(&b, "a b/c:d&\xc3\xa9", "/:");
    assert_string_equal(buf_str(&b), "a%20b/c:d%26%C3%A9");
}

static void addresses_of_the_inside_are_told(UNUSED void **state)
{
    static const char *const inside[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.1",
        "192.0.0.8",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "[::1]",
        "::ffff:10.0.0.1",
        "::ffff:a9fe:a9fe",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::1",
        "2002:0a00:0001::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12:3456::1",
        "ff02::1",
    };
    static const char *const outside[] = {
        "1.1.1.1",          "9.255.255.255",  "11.0.0.1",
        "100.63.255.255",   "100.128.0.1",    "172.15.0.1",
        "172.32.0.1",       "192.167.0.1",    "192.169.0.1",
        "198.20.0.1",       "223.255.0.1",    "2001:db8::1",
        "2606:4700::1111",  "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:0808:0808::", "[2606:4700::1]", "",
        "localhost",        "10.1",           "example.com",
    };
    for (size_t i = 0; i < ARRAY_LEN(inside); i++)
        if (!url_ip_is_inside(inside[i]))
            fail_msg("%s", inside[i]);
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        if (url_ip_is_inside(outside[i]))
            fail_msg("%s", outside[i]);
}

static void credentials_in_a_text_are_crossed_out(UNUSED void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "ADD http://u:p@h/x /", "ADD http://xxxxx:xxxxx@h/x /" },
        { "ADD http://u@h/x http://v:w@i:1/y z",
          "ADD http://xxxxx@h/x http://xxxxx:xxxxx@i:1/y z" },
        { "http://u:p@q@h/", "http://xxxxx:xxxxx@h/" },
        { "http://h/x@y", "http://h/x@y" },
        { "http://h?a@b http://", "http://h?a@b http://" },
        { "git@h:x a@b", "git@h:x a@b" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(mem_free) char *got = url_redact(rows[i].text);
        assert_string_equal(got, rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_addresses_of_this_machine_are_loopback),
        cmocka_unit_test(an_origin_is_scheme_host_and_port),
        cmocka_unit_test(a_location_is_read_relative_to_its_page),
        cmocka_unit_test(what_is_shown_has_no_secrets),
        cmocka_unit_test(escaping_leaves_what_it_is_told),
        cmocka_unit_test(addresses_of_the_inside_are_told),
        cmocka_unit_test(credentials_in_a_text_are_crossed_out),
    };
    return UNIT_RUN("remote_url", tests);
}
