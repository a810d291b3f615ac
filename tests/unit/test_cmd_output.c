#include "tests/unit/unit.h"

#include "cmd/output_spec.h"

static void outputs_are_read_as_docker_reads_them(void **state UNUSED)
{
    static const struct {
        const char *text, *type, *dest;
    } cases[] = {
        { "out", "local", "out" },
        { "-", "tar", "-" },
        { "dest=x", "local", "dest=x" },
        { "type=local,dest=out", "local", "out" },
        { "Type=tar,Dest=a b.tar", "tar", "a b.tar" },
        { "type=tar", "tar", "-" },
        { "type=oci,dest=", "oci", "-" },
        { "type=docker", "docker", NULL },
        { "type=docker,dest=-", "docker", "-" },
        { "\"type=tar\",\"dest=a,b\"", "tar", "a,b" },
        { "type=cacheonly", "cacheonly", NULL },
        { "type=image,name=x,push=false", "image", NULL },
        { "type=oci,dest=/tmp,tar=false", "oci", "/tmp" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(output_list_release) struct output_list l = { .v = NULL };
        assert_ok(output_list_add(&l, cases[i].text, false, &err), &err);
        assert_int_equal(l.n, 1);
        assert_string_equal(l.v[0].type, cases[i].type);
        assert_true(str_eq(l.v[0].dest, cases[i].dest));
    }
}

static void an_empty_output_is_none(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(output_list_release) struct output_list l = { .v = NULL };
    assert_ok(output_list_add(&l, "", false, &err), &err);
    assert_int_equal(l.n, 0);
}

static void attributes_are_kept(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(output_list_release) struct output_list l = { .v = NULL };
    assert_ok(output_list_add(&l, "type=oci,dest=x,Compression=zstd,name=a=b", false, &err), &err);
    assert_int_equal(map_len(l.v[0].attrs), 2);
    assert_string_equal(map_get(l.v[0].attrs, "compression"), "zstd");
    assert_string_equal(map_get(l.v[0].attrs, "name"), "a=b");
}

static void what_cannot_be_an_output_is_refused(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool terminal;
        int code;
        const char *message;
    } cases[] = {
        { "type=local", false, ERR_USAGE, "dest is required for local exporter" },
        { "type=local,dest=-", false, ERR_USAGE, "dest cannot be stdout for local exporter" },
        { "a=b,c", false, ERR_USAGE, "invalid value c" },
        { "a=b,c=d", false, ERR_USAGE, "type is required for output" },
        { "type=foo", false, ERR_USAGE, "failed to solve: exporter \"foo\" could not be found" },
        { "type=tar,dest=/tmp", false, ERR_USAGE, "destination file /tmp is a directory" },
        { "-", true, ERR_USAGE,
          "dest file is required for tar exporter. refusing to write to console" },
        { "type=docker,dest=-", true, ERR_USAGE,
          "dest file is required for docker exporter. refusing to write to console" },
        { "type=cacheonly,dest=x", false, ERR_USAGE,
          "dest is not supported by the cacheonly exporter" },
        { "type=registry,dest=x", false, ERR_USAGE,
          "dest is not supported by the registry exporter" },
        { "type=image,push=yes", false, ERR_USAGE, "non-bool value specified for push" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(output_list_release) struct output_list l = { .v = NULL };
        assert_int_equal(output_list_add(&l, cases[i].text, cases[i].terminal, &err),
                         cases[i].code);
        assert_string_equal(err.msg, cases[i].message);
        assert_int_equal(l.n, 0);
    }
}

static void assert_pushes(const struct output_list *l, size_t i, const char *want)
{
    assert_string_equal(l->v[i].type, "image");
    assert_true(str_eq(map_get(l->v[i].attrs, "push"), want));
}

static void a_registry_is_an_image_that_is_pushed(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(output_list_release) struct output_list l = { .v = NULL };
    assert_ok(output_list_add(&l, "type=registry", false, &err), &err);
    assert_ok(output_list_add(&l, "type=registry,push=0", false, &err), &err);
    assert_pushes(&l, 0, "true");
    assert_pushes(&l, 1, "0");
}

static void push_is_said_of_every_image_or_adds_one(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(output_list_release) struct output_list l = { .v = NULL };
    AUTO(output_list_release) struct output_list none = { .v = NULL };
    assert_ok(output_list_add(&l, "type=image", false, &err), &err);
    assert_ok(output_list_add(&l, "type=oci,dest=x", false, &err), &err);
    assert_ok(output_list_add(&l, "type=image,push=false,name=x", false, &err), &err);
    output_list_push(&l);
    assert_int_equal(l.n, 3);
    assert_pushes(&l, 0, "true");
    assert_pushes(&l, 2, "true");
    assert_null(map_get(l.v[1].attrs, "push"));
    output_list_push(&none);
    assert_int_equal(none.n, 1);
    assert_pushes(&none, 0, "true");
}

static void what_is_pushed_needs_a_name(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool has_tags;
        int code;
    } cases[] = {
        { "type=registry", false, ERR_USAGE }, { "type=registry", true, 0 },
        { "type=registry,name=x", false, 0 },  { "type=registry,name=", false, ERR_USAGE },
        { "type=image,push=false", false, 0 }, { "type=oci,dest=x", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(output_list_release) struct output_list l = { .v = NULL };
        assert_ok(output_list_add(&l, cases[i].text, false, &err), &err);
        assert_int_equal(output_list_check_names(&l, cases[i].has_tags, &err), cases[i].code);
    }
}

static void one_output_at_most_goes_to_stdout(void **state UNUSED)
{
    struct err err = ERR_INIT;
    bool any = true;
    AUTO(output_list_release) struct output_list l = { .v = NULL };
    assert_ok(output_list_add(&l, "type=docker", false, &err), &err);
    assert_ok(output_list_stdout(&l, &any, &err), &err);
    assert_false(any);
    assert_ok(output_list_add(&l, "-", false, &err), &err);
    assert_ok(output_list_stdout(&l, &any, &err), &err);
    assert_true(any);
    assert_ok(output_list_add(&l, "type=oci", false, &err), &err);
    assert_int_equal(output_list_stdout(&l, &any, &err), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_read_as_docker_reads_them),
        cmocka_unit_test(an_empty_output_is_none),
        cmocka_unit_test(attributes_are_kept),
        cmocka_unit_test(what_cannot_be_an_output_is_refused),
        cmocka_unit_test(a_registry_is_an_image_that_is_pushed),
        cmocka_unit_test(push_is_said_of_every_image_or_adds_one),
        cmocka_unit_test(what_is_pushed_needs_a_name),
        cmocka_unit_test(one_output_at_most_goes_to_stdout),
    };
    return UNIT_RUN("cmd_output", tests);
}
