#include "tests/unit/unit.h"

#include "engine/output_options.h"

static char oci[] = "oci", docker[] = "docker";

struct given {
    struct build_options build;
    struct build_output output;
    struct output_options x;
    struct err err;
};

static int setup(void **state)
{
    struct given *g = mem_zalloc(sizeof(*g));
    g->output = (struct build_output){ .type = oci, .attrs = map_new(mem_free) };
    output_options_init(&g->x);
    *state = g;
    return 0;
}

static int teardown(void **state)
{
    struct given *g = *state;
    output_options_release(&g->x);
    map_free(g->output.attrs);
    strv_release(&g->build.tags);
    strv_release(&g->build.build_args);
    mem_free(g);
    return 0;
}

static void give(struct given *g, const char *name, const char *value)
{
    map_set(g->output.attrs, name, str_dup(value));
}

static int parse(struct given *g)
{
    return output_options_parse(&g->x, &g->output, &g->build, &g->err);
}

static void nothing_said_is_gzip_in_oci_types(void **state)
{
    struct given *g = *state;
    assert_ok(parse(g), &g->err);
    assert_int_equal(*g->x.docs.compression, COMPRESSION_GZIP);
    assert_null(g->x.docs.level);
    assert_false(g->x.docs.docker_types);
    assert_true(g->x.is_tar);
    assert_int_equal(g->x.names.n, 0);
}

static void dockers_archive_has_dockers_types(void **state)
{
    struct given *g = *state;
    g->output.type = docker;
    assert_ok(parse(g), &g->err);
    assert_true(g->x.docs.docker_types);
}

static void what_is_said_counts(void **state)
{
    struct given *g = *state;
    g->output.type = docker;
    give(g, "oci-mediatypes", "true");
    give(g, "compression", "zstd");
    give(g, "compression-level", "99");
    give(g, "force-compression", "1");
    give(g, "oci-artifact", "t");
    give(g, "tar", "false");
    give(g, "push", "");
    give(g, "nobody-knows", "this");
    give(g, "unpack", "true");
    assert_ok(parse(g), &g->err);
    assert_false(g->x.docs.docker_types);
    assert_int_equal(*g->x.docs.compression, COMPRESSION_ZSTD);
    assert_int_equal(*g->x.docs.level, 22);
    assert_true(g->x.docs.force_compression);
    assert_true(g->x.docs.artifact_attestations);
    assert_false(g->x.is_tar);
    assert_true(g->x.push);
}

static void tags_stand_in_the_place_of_a_name(void **state)
{
    struct given *g = *state;
    give(g, "name", "a,b:1");
    assert_ok(parse(g), &g->err);
    assert_int_equal(g->x.names.n, 2);
    assert_string_equal(g->x.names.v[1], "docker.io/library/b:1");
    output_options_release(&g->x);
    output_options_init(&g->x);
    strv_add(&g->build.tags, "c");
    assert_ok(parse(g), &g->err);
    assert_int_equal(g->x.names.n, 1);
    assert_string_equal(g->x.names.v[0], "docker.io/library/c:latest");
}

static void annotations_come_from_attributes_and_the_build(void **state)
{
    struct given *g = *state;
    static char key[] = "k", value[] = "w";
    struct annotation a = { .place = ANNOTATION_INDEX, .key = key, .value = value };
    g->build.annotations = &a;
    g->build.n_annotations = 1;
    give(g, "annotation.a.b", "v");
    give(g, "annotation-manifest-descriptor[linux/arm64].c", "v");
    give(g, "annotations", "no annotation");
    assert_ok(parse(g), &g->err);
    const struct annotation *all = g->x.docs.annotations;
    assert_int_equal(g->x.docs.n_annotations, 3);
    assert_int_equal(all[0].place, ANNOTATION_MANIFEST_DESCRIPTOR);
    assert_string_equal(all[0].platform.arch, "arm64");
    assert_string_equal(all[0].key, "c");
    assert_int_equal(all[1].place, ANNOTATION_MANIFEST);
    assert_string_equal(all[1].key, "a.b");
    assert_int_equal(all[2].place, ANNOTATION_INDEX);
    assert_string_equal(all[2].value, "w");
}

static void what_would_give_other_times_is_refused(void **state)
{
    struct given *g = *state;
    strv_add(&g->build.build_args, "SOURCE_DATE_EPOCH=7");
    give(g, "source-date-epoch", "7");
    assert_ok(parse(g), &g->err);
    give(g, "source-date-epoch", "8");
    assert_int_equal(parse(g), ERR_UNSUPPORTED);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_said_is_gzip_in_oci_types),
        CASE(dockers_archive_has_dockers_types),
        CASE(what_is_said_counts),
        CASE(tags_stand_in_the_place_of_a_name),
        CASE(annotations_come_from_attributes_and_the_build),
        CASE(what_would_give_other_times_is_refused),
    };
    return UNIT_RUN("engine_output_options", tests);
}
