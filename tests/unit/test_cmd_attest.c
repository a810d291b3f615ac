#include "tests/unit/unit.h"

#include "cmd/attest_spec.h"

static void an_annotation_is_the_manifests_unless_it_says_so(void **state UNUSED)
{
    static const struct {
        const char *text, *key, *value;
        enum annotation_place place;
        const char *arch;
    } cases[] = {
        { "a.b=c", "a.b", "c", ANNOTATION_MANIFEST, "" },
        { "a=b=c:d", "a", "b=c:d", ANNOTATION_MANIFEST, "" },
        { "index:k=", "k", "", ANNOTATION_INDEX, "" },
        { "index-descriptor:k=v", "k", "v", ANNOTATION_INDEX_DESCRIPTOR, "" },
        { "manifest:a:b=v", "a:b", "v", ANNOTATION_MANIFEST, "" },
        { "manifest[linux/arm64]:k=v", "k", "v", ANNOTATION_MANIFEST, "arm64" },
        { "manifest-descriptor[linux/amd64]:K=v", "K", "v", ANNOTATION_MANIFEST_DESCRIPTOR,
          "amd64" },
        { "manifest[linux/amd64]k=v", "manifest[linux/amd64]k", "v", ANNOTATION_MANIFEST, "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
        assert_ok(attest_spec_annotation(&x, cases[i].text, &err), &err);
        assert_int_equal(x.n_annotations, 1);
        assert_string_equal(x.annotations[0].key, cases[i].key);
        assert_string_equal(x.annotations[0].value, cases[i].value);
        assert_int_equal(x.annotations[0].place, cases[i].place);
        assert_string_equal(x.annotations[0].platform.arch, cases[i].arch);
    }
}

static void several_places_take_one_annotation(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
    assert_ok(attest_spec_annotation(&x, "index,manifest[linux/arm64]:k=v", &err), &err);
    assert_int_equal(x.n_annotations, 2);
    assert_int_equal(x.annotations[0].place, ANNOTATION_INDEX);
    assert_false(x.annotations[0].has_platform);
    assert_true(x.annotations[1].has_platform);
}

static void provenance_is_off_until_it_is_asked_for(void **state UNUSED)
{
    static const struct {
        const char *text;
        bool wanted, max, v02;
    } cases[] = {
        { "", false, false, false },
        { "false", false, false, false },
        { "0", false, false, false },
        { "true", true, false, false },
        { "mode=min", true, false, false },
        { "mode=max,mode=min", true, false, false },
        { "Mode=max,version=v0.2", true, true, true },
        { "mode=max,disabled=true", false, true, false },
        { "mode=max,nobody=knows", true, true, false },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
        assert_ok(attest_spec_short(&x, "provenance", cases[i].text, &err), &err);
        assert_int_equal(x.provenance.is_wanted, cases[i].wanted);
        assert_int_equal(x.provenance.is_max, cases[i].max);
        assert_int_equal(x.provenance.is_v02, cases[i].v02);
    }
}

static void what_provenance_says_is_taken(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
    assert_ok(attest_spec_attest(&x,
                                 "type=provenance,\"builder-id=a,b\",inline-only=true,"
                                 "reproducible=1",
                                 &err),
              &err);
    assert_string_equal(x.builder, "a,b");
    assert_true(x.provenance.is_inline_only);
    assert_true(x.provenance.is_reproducible);
}

static void of_each_type_the_first_counts(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
    assert_ok(attest_spec_attest(&x, "type=provenance,disabled=true", &err), &err);
    assert_ok(attest_spec_short(&x, "provenance", "mode=max", &err), &err);
    assert_ok(attest_spec_short(&x, "sbom", "generator=x", &err), &err);
    assert_false(x.provenance.is_wanted);
    assert_true(x.sbom);
}

static void what_is_no_attestation_is_refused(void **state UNUSED)
{
    static const char *const texts[] = { "mode=max",
                                         "type=foo",
                                         "foo",
                                         "type=provenance,mode=foo",
                                         "type=provenance,version=v2",
                                         "type=sbom,disabled=maybe",
                                         "type=provenance,reproducible=x" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct err err = ERR_INIT;
        AUTO(attest_spec_release) struct attest_spec x = { .n_annotations = 0 };
        assert_int_equal(attest_spec_attest(&x, texts[i], &err), ERR_USAGE);
        assert_false(x.provenance.is_wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_annotation_is_the_manifests_unless_it_says_so),
        cmocka_unit_test(several_places_take_one_annotation),
        cmocka_unit_test(provenance_is_off_until_it_is_asked_for),
        cmocka_unit_test(what_provenance_says_is_taken),
        cmocka_unit_test(of_each_type_the_first_counts),
        cmocka_unit_test(what_is_no_attestation_is_refused),
    };
    return UNIT_RUN("cmd_attest", tests);
}
