#include "image/oci.h"

#include "tests/unit/unit.h"

#define D1 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define D2 "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OCI_M "application/vnd.oci.image.manifest.v1+json"
#define OCI_I "application/vnd.oci.image.index.v1+json"
#define DOCKER_M "application/vnd.docker.distribution.manifest.v2+json"

#define CONFIG_DESC                                                                               \
    "{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"" D1 "\",\"size\":" \
    "7}"
#define LAYER_DESC                                                                    \
    "{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar+gzip\",\"digest\":\"" D2 \
    "\",\"size\":32}"

static int parse_manifest(const char *text, const char *type, struct manifest *m, struct err *err)
{
    return manifest_parse(text, strlen(text), type, m, err);
}

static void a_manifest_is_read_and_written(void **state)
{
    (void)state;
    AUTO(manifest_release) struct manifest m = { .kind = 0 };
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(parse_manifest("{\"schemaVersion\":2,\"mediaType\":\"" OCI_M
                             "\",\"config\":" CONFIG_DESC ",\"layers\":[" LAYER_DESC
                             "],\"annotations\":{\"a\":\"b\"}}",
                             OCI_M, &m, &err),
              &err);
    assert_int_equal(m.kind, DOC_OCI_MANIFEST);
    assert_int_equal(m.n_layers, 1);
    assert_int_equal(m.layers[0].size, 32);
    assert_string_equal(DIGEST_S(&m.layers[0].id.d), D2);
    manifest_add_layer(&m, MEDIA_OCI_LAYER "+zstd", &m.layers[0].id, 5);
    manifest_write(&m, &out);
    assert_string_equal(buf_str(&out), "{\n"
                                       "  \"schemaVersion\": 2,\n"
                                       "  \"mediaType\": \"" OCI_M "\",\n"
                                       "  \"config\": {\n"
                                       "    \"mediaType\": \"" MEDIA_OCI_CONFIG "\",\n"
                                       "    \"digest\": \"" D1 "\",\n"
                                       "    \"size\": 7\n"
                                       "  },\n"
                                       "  \"layers\": [\n"
                                       "    {\n"
                                       "      \"mediaType\": \"" MEDIA_OCI_LAYER "+gzip\",\n"
                                       "      \"digest\": \"" D2 "\",\n"
                                       "      \"size\": 32\n"
                                       "    },\n"
                                       "    {\n"
                                       "      \"mediaType\": \"" MEDIA_OCI_LAYER "+zstd\",\n"
                                       "      \"digest\": \"" D2 "\",\n"
                                       "      \"size\": 5\n"
                                       "    }\n"
                                       "  ],\n"
                                       "  \"annotations\": {\n"
                                       "    \"a\": \"b\"\n"
                                       "  }\n"
                                       "}");
}

static const struct bad {
    const char *text, *type;
    enum err_code code;
} bad_manifests[] = {
    { "", OCI_M, ERR_CORRUPT },
    { "[]", OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":1}", OCI_M, ERR_UNSUPPORTED },
    { "{\"schemaVersion\":2}", NULL, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"layers\":[]}", OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC "}", OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[]}", OCI_I, ERR_UNSUPPORTED },
    { "{\"schemaVersion\":2,\"mediaType\":\"" OCI_I "\",\"config\":" CONFIG_DESC ",\"layers\":[]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_M "\",\"config\":" CONFIG_DESC
      ",\"layers\":[]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"mediaType\":5,\"config\":" CONFIG_DESC ",\"layers\":[]}", OCI_M,
      ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[],\"manifests\":[]}", OCI_M,
      ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[],\"Layers\":[" LAYER_DESC "]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[],\"layers\":[]}", OCI_M,
      ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[5]}", OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC
      ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"../../etc/passwd\",\"size\":1}]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC
      ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" D1 "\",\"size\":-1}]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC
      ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" D1 "\",\"size\":1.5}]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[{\"digest\":\"" D1
      "\",\"size\":1}]}",
      OCI_M, ERR_CORRUPT },
    { "{\"schemaVersion\":2,\"config\":" CONFIG_DESC ",\"layers\":[],\"annotations\":{\"a\":1}}",
      OCI_M, ERR_CORRUPT },
};

static void ambiguous_and_broken_manifests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_manifests); i++) {
        struct manifest m = { .kind = 0 };
        struct err err = ERR_INIT;
        const struct bad *b = &bad_manifests[i];
        int code = parse_manifest(b->text, b->type, &m, &err);
        if (code != (int)b->code)
            fail_msg("%s: %d %s", b->text, code, err.msg);
        assert_int_equal(m.n_layers, 0);
    }
}

static void documents_too_large_are_refused(void **state)
{
    (void)state;
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct manifest m;
    struct image_config c;
    struct err err = ERR_INIT;
    while (text.len <= MANIFEST_MAX)
        buf_adds(&text, "                                                                ");
    assert_int_equal(manifest_parse(text.data, text.len, OCI_M, &m, &err), ERR_CORRUPT);
    buf_clear(&text);
    buf_adds(&text, "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"");
    for (int i = 0; i < 10000; i++)
        buf_adds(&text, ",\"" D1 "\"");
    buf_adds(&text, "]}}");
    assert_int_equal(image_config_parse(text.data, text.len, &c, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "too long"));
}

#define ENTRY(n, platform) \
    "{\"mediaType\":\"" OCI_M "\",\"digest\":\"" D1 "\",\"size\":" n platform "}"
#define PLATFORM(os, arch, variant) \
    ",\"platform\":{\"architecture\":\"" arch "\",\"os\":\"" os "\",\"variant\":\"" variant "\"}"

#define ATTESTATION ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}"

/* clang-format off */
static const char index_text[] = "{\"schemaVersion\":2,\"manifests\":["
    ENTRY("1", PLATFORM("unknown", "unknown", "")) ","
    ENTRY("2", PLATFORM("linux", "386", "")) ","
    ENTRY("3", PLATFORM("linux", "arm64", "v8")) ","
    ENTRY("4", PLATFORM("linux", "arm", "v6")) ","
    ENTRY("5", PLATFORM("linux", "amd64", "")) ","
    ENTRY("6", PLATFORM("linux", "s390x", "") ATTESTATION) ","
    ENTRY("7", "") "]}";
/* clang-format on */

static int pick(const struct index *x, const char *platform)
{
    struct platform p;
    struct err err = ERR_INIT;
    assert_ok(platform_parse(platform, &p, &err), &err);
    const struct descriptor *d = index_pick(x, &p);
    return d ? (int)d->size : -1;
}

static void the_best_manifest_of_an_index_is_picked(void **state)
{
    (void)state;
    AUTO(index_release) struct index x = { .kind = 0 };
    AUTO(index_release) struct index again = { .kind = 0 };
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    assert_ok(index_parse(index_text, strlen(index_text), OCI_I, &x, &err), &err);
    assert_int_equal(pick(&x, "linux/amd64"), 5);
    assert_int_equal(pick(&x, "linux/amd64/v3"), 5);
    assert_int_equal(pick(&x, "linux/386"), 2);
    assert_int_equal(pick(&x, "linux/arm64"), 3);
    assert_int_equal(pick(&x, "linux/arm/v7"), 4);
    assert_int_equal(pick(&x, "linux/s390x"), 7); /* the one that says nothing */
    index_write(&x, &out);
    assert_ok(index_parse(out.data, out.len, NULL, &again, &err), &err);
    assert_int_equal(again.n_manifests, 7);
    assert_int_equal(pick(&again, "linux/arm/v7"), 4);
    again.n_manifests--;
    assert_int_equal(pick(&again, "linux/s390x"), -1);
    again.n_manifests++;
}

static void an_index_that_is_a_manifest_too_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}",
        "{\"schemaVersion\":2,\"manifests\":[],\"config\":" CONFIG_DESC "}",
        "{\"schemaVersion\":2,\"mediaType\":\"" OCI_M "\",\"manifests\":[]}",
        "{\"schemaVersion\":2}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct index x;
        struct err err = ERR_INIT;
        assert_int_equal(index_parse(texts[i], strlen(texts[i]), OCI_I, &x, &err), ERR_CORRUPT);
    }
}

static void media_types_of_layers_are_known_both_ways(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    enum compression got;
    for (int docker = 0; docker < 2; docker++)
        for (int c = COMPRESSION_NONE; c <= COMPRESSION_ZSTD; c++) {
            const char *type = layer_media_type((enum compression)c, docker);
            assert_ok(layer_media_parse(type, &got, &err), &err);
            assert_int_equal(got, c);
        }
    assert_null(layer_media_type(COMPRESSION_XZ, false));
    assert_ok(
        layer_media_parse("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", &got, &err),
        &err);
    assert_int_equal(layer_media_parse("text/plain", &got, &err), ERR_UNSUPPORTED);
    for (enum doc_kind k = DOC_OCI_INDEX; k <= DOC_DOCKER_MANIFEST; k++)
        assert_int_equal(doc_kind_of(doc_media_type(k)), k);
    assert_int_equal(doc_kind_of("text/plain"), DOC_UNKNOWN);
    assert_int_equal(doc_kind_of(NULL), DOC_UNKNOWN);
}

static const char config_text[] =
    "{\"architecture\":\"arm\",\"author\":\"me\",\"config\":{\"User\":\"app\","
    "\"ExposedPorts\":{\"443/tcp\":{},\"80/tcp\":{}},\"Env\":[\"PATH=/bin\",\"A=b & <c>\"],"
    "\"Entrypoint\":[\"/e\"],\"Cmd\":[],\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/w\","
    "\"Labels\":{\"a\":\"1\",\"b\":\"\"},\"StopSignal\":\"SIGINT\",\"ArgsEscaped\":true,"
    "\"Healthcheck\":{\"Test\":[\"CMD-SHELL\",\"x\"],\"Interval\":30000000000,\"Timeout\":5,"
    "\"StartPeriod\":6,\"StartInterval\":7,\"Retries\":3},\"OnBuild\":[\"RUN x\"],"
    "\"Shell\":[\"/bin/sh\",\"-c\"],\"Hostname\":\"h\",\"StopTimeout\":9},"
    "\"created\":\"2024-01-02T03:04:05Z\","
    "\"history\":[{\"created\":\"2024-01-02T03:04:05Z\",\"created_by\":\"ADD x /\"},"
    "{\"created_by\":\"ENV A=b\",\"author\":\"me\",\"comment\":\"buildkit.dockerfile.v0\","
    "\"empty_layer\":true}],\"os\":\"linux\","
    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D1 "\"]},\"variant\":\"v6\"}";

static void a_configuration_comes_back_byte_for_byte(void **state)
{
    (void)state;
    AUTO(image_config_release) struct image_config c = { .author = NULL };
    AUTO(image_config_release) struct image_config copy = { .author = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    image_config_init(&copy);
    assert_ok(image_config_parse(config_text, strlen(config_text), &c, &err), &err);
    assert_string_equal(c.platform.variant, "v6");
    assert_true(c.has_cmd && c.cmd.n == 0);
    assert_int_equal(c.healthcheck.interval, 30000000000);
    assert_string_equal(map_get(c.labels, "a"), "1");
    assert_true(map_has(c.ports, "80/tcp"));
    image_config_copy(&copy, &c);
    image_config_write(&copy, &out);
    assert_string_equal(buf_str(&out), config_text);
}

static void a_new_configuration_is_small(void **state)
{
    (void)state;
    AUTO(image_config_release) struct image_config c;
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    image_config_init(&c);
    assert_ok(platform_parse("linux/amd64", &c.platform, &err), &err);
    struct diff_id id;
    assert_ok(digest_parse(D2, &id.d, &err), &err);
    map_set(c.labels, "z", str_dup("2"));
    map_set(c.labels, "k", str_dup("1"));
    image_config_add_layer(&c, &id);
    image_config_add_history(&c, "2024-01-01T00:00:00Z", "COPY . . # buildkit",
                             "buildkit.dockerfile.v0", false);
    image_config_write(&c, &out);
    assert_string_equal(
        buf_str(&out),
        "{\"architecture\":\"amd64\",\"config\":{\"Labels\":{\"k\":\"1\",\"z\":\"2\"}},"
        "\"history\":[{\"created\":\"2024-01-01T00:00:00Z\",\"created_by\":\"COPY . . # "
        "buildkit\",\"comment\":\"buildkit.dockerfile.v0\"}],\"os\":\"linux\","
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" D2 "\"]}}");
}

static void broken_configurations_are_refused(void **state)
{
    (void)state;
#define ROOTFS "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}"
    static const char *const texts[] = {
        "{}",
        "{\"rootfs\":{\"type\":\"other\"}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[5]}}",
        "{\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:1\"]}}",
        "{\"config\":5," ROOTFS "}",
        "{\"config\":{\"Env\":\"A=b\"}," ROOTFS "}",
        "{\"config\":{\"Env\":[5]}," ROOTFS "}",
        "{\"config\":{\"env\":[]}," ROOTFS "}",
        "{\"config\":{\"Labels\":{\"a\":1}}," ROOTFS "}",
        "{\"config\":{\"Labels\":[]}," ROOTFS "}",
        "{\"config\":{\"User\":0}," ROOTFS "}",
        "{\"config\":{\"Healthcheck\":{\"Retries\":-1}}," ROOTFS "}",
        "{\"config\":{\"Healthcheck\":[]}," ROOTFS "}",
        "{\"history\":{}," ROOTFS "}",
        "{\"history\":[5]," ROOTFS "}",
        "{\"os\":\"this is no operating system\"," ROOTFS "}",
        "{\"architecture\":5," ROOTFS "}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct image_config c;
        struct err err = ERR_INIT;
        if (image_config_parse(texts[i], strlen(texts[i]), &c, &err) != ERR_CORRUPT)
            fail_msg("%s", texts[i]);
    }
}

static void annotations_are_written_sorted(void **state)
{
    (void)state;
    AUTO(index_release) struct index x = { .kind = DOC_OCI_INDEX };
    AUTO(index_release) struct index read = { .kind = DOC_UNKNOWN };
    AUTO(buf_release) struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    struct descriptor *d = index_add(&x);
    d->media_type = str_dup(OCI_M);
    annotation_set(&d->annotations, "z", "1");
    annotation_set(&d->annotations, "a.b", "2");
    annotation_set(&x.annotations, "k", "old");
    annotation_set(&x.annotations, "b", "\xff");
    annotation_set(&x.annotations, "k", "new");
    index_write(&x, &out);
    assert_non_null(strstr(buf_str(&out), "      \"annotations\": {\n"
                                          "        \"a.b\": \"2\",\n"
                                          "        \"z\": \"1\"\n"));
    assert_non_null(strstr(buf_str(&out), "  \"annotations\": {\n"
                                          "    \"b\": \"\xef\xbf\xbd\",\n"
                                          "    \"k\": \"new\"\n"
                                          "  }\n}"));
    assert_ok(index_parse(out.data, out.len, OCI_I, &read, &err), &err);
    assert_string_equal(json_get_str(read.annotations, "k"), "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_is_read_and_written),
        cmocka_unit_test(ambiguous_and_broken_manifests_are_refused),
        cmocka_unit_test(documents_too_large_are_refused),
        cmocka_unit_test(the_best_manifest_of_an_index_is_picked),
        cmocka_unit_test(an_index_that_is_a_manifest_too_is_refused),
        cmocka_unit_test(media_types_of_layers_are_known_both_ways),
        cmocka_unit_test(a_configuration_comes_back_byte_for_byte),
        cmocka_unit_test(a_new_configuration_is_small),
        cmocka_unit_test(broken_configurations_are_refused),
        cmocka_unit_test(annotations_are_written_sorted),
    };
    return UNIT_RUN("image_oci", tests);
}
