#include "image/name.h"

#include "tests/unit/unit.h"

static const struct row {
    const char *in, *canonical, *familiar, *repository;
} good[] = {
    { "alpine", "docker.io/library/alpine:latest", "alpine:latest", "docker.io/library/alpine" },
    { "alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19", "docker.io/library/alpine" },
    { "a/b", "docker.io/a/b:latest", "a/b:latest", "docker.io/a/b" },
    { "docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest",
      "docker.io/library/alpine" },
    { "index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest",
      "docker.io/library/alpine" },
    { "localhost/x", "localhost/x:latest", "localhost/x:latest", "localhost/x" },
    { "localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x:1", "localhost:5000/x" },
    { "Host/x", "Host/x:latest", "Host/x:latest", "Host/x" },
    { "ghcr.io/a/b/c:V1", "ghcr.io/a/b/c:V1", "ghcr.io/a/b/c:V1", "ghcr.io/a/b/c" },
    { "[2001:db8::1]:5000/x", "[2001:db8::1]:5000/x:latest", "[2001:db8::1]:5000/x:latest",
      "[2001:db8::1]:5000/x" },
    { "a__b--c.d", "docker.io/library/a__b--c.d:latest", "a__b--c.d:latest",
      "docker.io/library/a__b--c.d" },
    { "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "docker.io/library/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "docker.io/library/x" },
    { "x:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "docker.io/library/x:1@sha256:"
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "x:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "docker.io/library/x" },
};

static void names_are_read_as_docker_reads_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(image_name_release) struct image_name n = { .domain = NULL };
        struct err err = ERR_INIT;
        assert_ok(image_name_parse(good[i].in, &n, &err), &err);
        AUTO(mem_free) char *canonical = image_name_canonical(&n);
        AUTO(mem_free) char *familiar = image_name_familiar(&n);
        AUTO(mem_free) char *repository = image_name_repository(&n);
        assert_string_equal(canonical, good[i].canonical);
        assert_string_equal(familiar, good[i].familiar);
        assert_string_equal(repository, good[i].repository);
    }
}

static const struct bad {
    const char *in, *message;
} bad[] = {
    { "", "invalid reference format" },
    { "/x", "invalid reference format" },
    { "x/", "invalid reference format" },
    { "a//b", "invalid reference format" },
    { "x:", "invalid reference format" },
    { "x:.tag", "invalid reference format" },
    { "x:a b", "invalid reference format" },
    { "-x", "invalid reference format" },
    { "x-", "invalid reference format" },
    { "a..b", "invalid reference format" },
    { "a___b", "invalid reference format" },
    { "x@", "invalid reference format" },
    { "x@sha256:abc", "invalid reference format" },
    { "-host.io/x", "invalid reference format" },
    { "host.io:/x", "invalid reference format" },
    { "host.io:80a/x", "invalid reference format" },
    { "https://host.io/x", "invalid reference format" },
    { "x\xff", "invalid reference format" },
    { "Foo", "invalid reference format: repository name (library/Foo) must be lowercase" },
    { "a/Foo:1", "invalid reference format: repository name (a/Foo) must be lowercase" },
    { "x@sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "unsupported digest algorithm" },
    { "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4", "invalid checksum digest length" },
    { "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
      "invalid repository name (e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855), "
      "cannot specify 64-byte hexadecimal strings" },
};

static void bad_names_are_refused_in_dockers_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct image_name n = { .domain = NULL };
        struct err err = ERR_INIT;
        assert_int_equal(image_name_parse(bad[i].in, &n, &err), ERR_USAGE);
        assert_string_equal(err.msg, bad[i].message);
        assert_null(n.domain);
    }
}

static void a_path_of_more_than_255_characters_is_refused(void **state)
{
    (void)state;
    char name[300];
    struct image_name n;
    struct err err = ERR_INIT;
    memset(name, 'a', 299);
    name[299] = '\0';
    name[1] = '/';
    assert_int_equal(image_name_parse(name, &n, &err), ERR_USAGE);
    assert_string_equal(err.msg, "repository name must not be more than 255 characters");
}

static void a_package_url_is_the_familiar_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *url;
    } cases[] = {
        { "alpine", "pkg:docker/alpine@latest?platform=linux%2Farm%2Fv7" },
        { "user/app:1", "pkg:docker/user/app@1?platform=linux%2Farm%2Fv7" },
        { "localhost:5000/a:2", "pkg:docker/localhost:5000/a@2?platform=linux%2Farm%2Fv7" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(image_name_release) struct image_name n = { 0 };
        assert_ok(image_name_parse(cases[i].name, &n, &err), &err);
        AUTO(mem_free) char *url = image_name_package_url(&n, "linux/arm/v7");
        assert_string_equal(url, cases[i].url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_as_docker_reads_them),
        cmocka_unit_test(bad_names_are_refused_in_dockers_words),
        cmocka_unit_test(a_path_of_more_than_255_characters_is_refused),
        cmocka_unit_test(a_package_url_is_the_familiar_name),
    };
    return UNIT_RUN("image_name", tests);
}
