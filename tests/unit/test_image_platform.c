#include "image/platform.h"

#include "tests/unit/unit.h"

static const struct row {
    const char *in, *out;
} rows[] = {
    { "linux/amd64", "linux/amd64" },     { "linux/x86_64", "linux/amd64" },
    { "Linux/X86-64/v1", "linux/amd64" }, { "linux/amd64/v3", "linux/amd64/v3" },
    { "linux/aarch64", "linux/arm64" },   { "linux/arm64/v8", "linux/arm64" },
    { "linux/arm64/8", "linux/arm64" },   { "linux/arm", "linux/arm/v7" },
    { "linux/arm/6", "linux/arm/v6" },    { "linux/armhf", "linux/arm/v7" },
    { "linux/armel", "linux/arm/v6" },    { "linux/i386", "linux/386" },
    { "macos/arm64", "darwin/arm64" },    { "arm64", "linux/arm64" },
    { "riscv64", "linux/riscv64" },       { "windows(10.0.17763)/amd64", "windows/amd64" },
    { "linux/ppc64le", "linux/ppc64le" },
};

static void platforms_are_normalised(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct platform p;
        struct err err = ERR_INIT;
        char text[64];
        assert_ok(platform_parse(rows[i].in, &p, &err), &err);
        assert_string_equal(platform_format(&p, text), rows[i].out);
    }
}

static void an_operating_system_alone_is_of_the_hosts_architecture(void **state)
{
    (void)state;
    struct platform p, host = platform_host();
    struct err err = ERR_INIT;
    assert_ok(platform_parse("linux", &p, &err), &err);
    assert_string_equal(p.arch, host.arch);
    assert_string_not_equal(host.arch, "");
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "/",        "linux/",       "linux//v7", "a/b/c/d",
        "bogus", "lin ux/x", "linux/amd64/", "x(1",       "linux/a\n"
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct platform p;
        struct err err = ERR_INIT;
        assert_int_equal(platform_parse(bad[i], &p, &err), ERR_USAGE);
    }
}

static int match(const char *want, const char *have)
{
    struct platform w, h;
    struct err err = ERR_INIT;
    assert_ok(platform_parse(want, &w, &err), &err);
    assert_ok(platform_parse(have, &h, &err), &err);
    return platform_match(&w, &h);
}

static void older_variants_run_where_newer_are_asked_for(void **state)
{
    (void)state;
    assert_int_equal(match("linux/arm64", "linux/arm64/v8"), 0);
    assert_int_equal(match("linux/arm/v7", "linux/arm"), 0);
    assert_true(match("linux/arm/v7", "linux/arm/v6") > 0);
    assert_true(match("linux/arm/v7", "linux/arm/v5") > match("linux/arm/v7", "linux/arm/v6"));
    assert_true(match("linux/arm/v6", "linux/arm/v7") < 0);
    assert_true(match("linux/amd64/v3", "linux/amd64") > 0);
    assert_true(match("linux/amd64", "linux/amd64/v3") < 0);
    assert_true(match("linux/amd64", "linux/386") > match("linux/amd64/v4", "linux/amd64"));
    assert_true(match("linux/arm64", "linux/arm/v7") > 0);
    assert_true(match("linux/386", "linux/amd64") < 0);
    assert_true(match("linux/amd64", "windows/amd64") < 0);
    assert_true(match("linux/amd64", "linux/s390x") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(platforms_are_normalised),
        cmocka_unit_test(an_operating_system_alone_is_of_the_hosts_architecture),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(older_variants_run_where_newer_are_asked_for),
    };
    return UNIT_RUN("image_platform", tests);
}
