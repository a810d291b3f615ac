#include "tests/unit/unit.h"

#include "engine/context_named.h"
#include "image/platform.h"
#include <string.h>

static void specs_are_normalized_as_image_names(void **state UNUSED)
{
    static const struct {
        const char *given, *spec;
    } rows[] = {
        { "foo=dir", "foo=dir" },
        { "foo:latest=dir", "foo=dir" },
        { "docker.io/library/foo=dir", "foo=dir" },
        { "docker.io/a/foo:1=a=b", "a/foo:1=a=b" },
        { "localhost:5000/x=docker-image://y", "localhost:5000/x=docker-image://y" },
        { "foo=", "foo=" },
        { "foo::linux/amd64=dir", "foo::linux/amd64=dir" },
        { "foo:latest::linux/aarch64=dir", "foo::linux/arm64=dir" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *spec = context_spec_parse(rows[i].given, &err);
        assert_non_null(spec);
        assert_string_equal(spec, rows[i].spec);
    }
}

static void what_is_no_spec_is_refused_in_the_words_of_buildx(void **state UNUSED)
{
    static const struct {
        const char *given, *message;
    } rows[] = {
        { "foo", "invalid context value: foo, expected key=value" },
        { "=a", "invalid context name : invalid reference format" },
        { "a b=a", "invalid context name a b: invalid reference format" },
        { "Foo/BAR:1=a", "invalid context name Foo/BAR:1: invalid reference format" },
        { "foo::=a", "invalid context name foo::" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        assert_null(context_spec_parse(rows[i].given, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.msg, rows[i].message));
    }
}

static const char *value_of(const struct strv *specs, const char *word, const char *platform)
{
    struct platform p;
    struct err err = ERR_INIT;
    struct context_spec spec;
    assert_int_equal(platform_parse(platform, &p, &err), 0);
    return context_spec_find(specs, word, &p, &spec) ? spec.value : "none";
}

static void a_word_finds_its_context(void **state UNUSED)
{
    AUTO(strv_release) struct strv specs = STRV_INIT;
    strv_add(&specs, "foo=1");
    strv_add(&specs, "foo::linux/arm64=2");
    strv_add(&specs, "a/b:3=3");
    strv_add(&specs, "twice=4");
    strv_add(&specs, "twice=5");
    strv_add(&specs, "scratch=6");
    strv_add(&specs, "context=7");
    assert_string_equal(value_of(&specs, "foo", "linux/amd64"), "1");
    assert_string_equal(value_of(&specs, "foo:latest", "linux/amd64"), "1");
    assert_string_equal(value_of(&specs, "docker.io/library/foo", "linux/amd64"), "1");
    assert_string_equal(value_of(&specs, "foo", "linux/arm64"), "2");
    assert_string_equal(value_of(&specs, "foo:1", "linux/amd64"), "none");
    assert_string_equal(value_of(&specs, "fo", "linux/amd64"), "none");
    assert_string_equal(value_of(&specs, "FOO", "linux/amd64"), "none");
    assert_string_equal(value_of(&specs, "a/b:3", "linux/amd64"), "3");
    assert_string_equal(value_of(&specs, "twice", "linux/amd64"), "5");
    assert_string_equal(value_of(&specs, "scratch", "linux/amd64"), "none");
    assert_string_equal(value_of(&specs, "Context", "linux/amd64"), "none");
}

static void layout_references_are_taken_apart(void **state UNUSED)
{
    static const struct {
        const char *text, *path, *tag, *digest;
    } rows[] = {
        { "dir", "dir", "latest", "" },
        { "/a/b:1", "/a/b", "1", "" },
        { "dir@sha256:ab", "dir", "latest", "sha256:ab" },
        { "dir:t@sha256:ab", "dir", "t", "sha256:ab" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(layout_ref_release) struct layout_ref r = { .path = NULL };
        layout_ref_parse(rows[i].text, &r);
        assert_string_equal(r.path, rows[i].path);
        assert_string_equal(r.tag, rows[i].tag);
        assert_string_equal(r.digest ? r.digest : "", rows[i].digest);
    }
}

static void archives_are_told_by_their_first_bytes(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        size_t n;
        bool is_archive;
    } rows[] = {
        { "\x1f\x8b\x08", 10, true },
        { "BZh91AY&SY", 10, true },
        { "\xfd"
          "7zXZ",
          10, true },
        { "\x28\xb5\x2f\xfd", 10, true },
        { "FROM scratch\n", 13, false },
        { "", 0, false },
        { "", 512, false },
    };
    char head[CONTEXT_HEAD];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memset(head, 0, sizeof(head));
        memcpy(head, rows[i].bytes, strlen(rows[i].bytes));
        assert_int_equal(context_is_archive(head, rows[i].n), rows[i].is_archive);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs_are_normalized_as_image_names),
        cmocka_unit_test(what_is_no_spec_is_refused_in_the_words_of_buildx),
        cmocka_unit_test(a_word_finds_its_context),
        cmocka_unit_test(layout_references_are_taken_apart),
        cmocka_unit_test(archives_are_told_by_their_first_bytes),
    };
    return UNIT_RUN("engine_context_named", tests);
}
