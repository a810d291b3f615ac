#include "tests/unit/store_scratch.h"

#include "engine/build_internal.h"
#include "engine/image_docs.h"

/* An engine, and an image of one layer in its store. */
struct place {
    char path[64];
    int fd;
    struct engine *engine;
    struct image_config config;
    struct built_image image;
    struct image_docs docs;
    struct err err;
};

static const struct tar_member member = { "f", '0', 0644, 0, 0, "x", 0, 0 };

static void make_image(struct place *p)
{
    struct store *s = engine_store(p->engine);
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    tar_make(&tar, &member, 1);
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(s, from, NULL, 0, NULL, &p->err);
    if (l == NULL)
        fail_msg("%s", p->err.msg);
    image_config_init(&p->config);
    p->config.created = str_dup("2020-01-01T00:00:00Z");
    assert_ok(platform_parse("linux/amd64", &p->config.platform, &p->err), &p->err);
    image_config_add_layer(&p->config, &l->diff_id);
    image_config_write(&p->config, &text);
    assert_ok(blob_put(s, text.data, text.len, &p->image.config_id, &p->err), &p->err);
    p->image.config = &p->config;
}

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    p->fd = scratch_make(p->path);
    AUTO(mem_free) char *root = str_printf("%s/store", p->path);
    p->engine = engine_open(root, NULL, NULL, &p->err);
    if (p->engine == NULL)
        fail_msg("%s", p->err.msg);
    make_image(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    image_docs_release(&p->docs);
    image_config_release(&p->config);
    engine_close(p->engine);
    scratch_remove(p->fd, p->path);
    mem_free(p);
    return 0;
}

static int make(struct place *p, const struct doc_options *o)
{
    image_docs_release(&p->docs);
    p->docs = (struct image_docs){ .n_images = 0 };
    return image_docs_make(p->engine, &p->image, 1, o, &p->docs, &p->err);
}

static void assert_is(const struct blob_id *id, const struct buf *text)
{
    struct digest d;
    digest_of(text->data, text->len, &d);
    assert_true(digest_eq(&d, &id->d));
}

static json_t *parsed(const struct buf *text)
{
    struct err err = ERR_INIT;
    json_t *doc = json_parse(text->data, text->len, "document", &err);
    if (doc == NULL)
        fail_msg("%s", err.msg);
    return doc;
}

static void one_image_is_its_manifest(void **state)
{
    struct place *p = *state;
    static const enum compression gzip = COMPRESSION_GZIP;
    struct doc_options o = { .compression = &gzip };
    assert_ok(make(p, &o), &p->err);
    assert_false(p->docs.has_index);
    assert_int_equal(p->docs.n_extra, 0);
    assert_true(digest_eq(&p->docs.top.id.d, &p->docs.images[0].manifest_id.d));
    assert_is(&p->docs.top.id, &p->docs.images[0].manifest_text);
    assert_string_equal(p->docs.top.media_type, doc_media_type(DOC_OCI_MANIFEST));
    assert_string_equal(p->docs.images[0].manifest.layers[0].media_type, MEDIA_OCI_LAYER "+gzip");
    assert_string_equal(json_get_str(p->docs.top.annotations, "org.opencontainers.image.created"),
                        "2020-01-01T00:00:00Z");
}

static void a_layer_alone_gets_the_blob_that_the_image_names(void **state)
{
    struct place *p = *state;
    static const enum compression none = COMPRESSION_NONE;
    struct doc_options o = { .compression = &none };
    struct layer_blob blob;
    const struct layer *l = layer_get(engine_store(p->engine), &p->config.layers[0], &p->err);
    assert_ok(image_docs_blob(p->engine, l, &o, &blob, &p->err), &p->err);
    assert_ok(make(p, &o), &p->err);
    assert_true(digest_eq(&blob.id.d, &p->docs.images[0].manifest.layers[0].id.d));
    assert_true(digest_eq(&blob.id.d, &l->diff_id.d));
}

static void dockers_types_are_written_when_asked_for(void **state)
{
    struct place *p = *state;
    static const enum compression gzip = COMPRESSION_GZIP;
    struct doc_options o = { .compression = &gzip, .docker_types = true };
    assert_ok(make(p, &o), &p->err);
    const struct manifest *m = &p->docs.images[0].manifest;
    assert_string_equal(p->docs.top.media_type, doc_media_type(DOC_DOCKER_MANIFEST));
    assert_string_equal(m->config.media_type, MEDIA_DOCKER_CONFIG);
    assert_string_equal(m->layers[0].media_type, MEDIA_DOCKER_LAYER);
    o.is_index = true;
    assert_ok(make(p, &o), &p->err);
    assert_string_equal(p->docs.top.media_type, doc_media_type(DOC_DOCKER_LIST));
}

static char key[] = "k", low_key[] = "a", value[] = "v", last[] = "w";

static void annotations_go_where_they_are_meant(void **state)
{
    struct place *p = *state;
    struct annotation a[] = {
        { .place = ANNOTATION_MANIFEST, .key = key, .value = value },
        { .place = ANNOTATION_MANIFEST, .key = low_key, .value = value },
        { .place = ANNOTATION_MANIFEST, .key = key, .value = last },
        { .place = ANNOTATION_MANIFEST, .has_platform = true, .key = last, .value = value },
        { .place = ANNOTATION_MANIFEST_DESCRIPTOR, .key = key, .value = value },
        { .place = ANNOTATION_INDEX, .key = key, .value = last },
        { .place = ANNOTATION_INDEX_DESCRIPTOR, .key = low_key, .value = last },
    };
    struct doc_options o = { .annotations = a, .n_annotations = ARRAY_LEN(a), .is_index = true };
    assert_ok(platform_parse("linux/arm64", &a[3].platform, &p->err), &p->err);
    assert_ok(make(p, &o), &p->err);
    assert_non_null(strstr(buf_str(&p->docs.images[0].manifest_text),
                           "  \"annotations\": {\n    \"a\": \"v\",\n    \"k\": \"w\"\n  }\n}"));
    json_auto_t *index = parsed(&p->docs.index_text);
    json_t *entry = json_array_get(json_get_arr(index, "manifests"), 0);
    assert_string_equal(json_get_str(json_get_obj(entry, "annotations"), "k"), "v");
    assert_string_equal(json_get_str(json_get_obj(index, "annotations"), "k"), "w");
    assert_string_equal(json_get_str(p->docs.top.annotations, "a"), "w");
    assert_is(&p->docs.top.id, &p->docs.index_text);
}

static void annotations_of_no_index_are_refused(void **state)
{
    struct place *p = *state;
    struct annotation a = { .place = ANNOTATION_INDEX, .key = key, .value = value };
    struct doc_options o = { .annotations = &a, .n_annotations = 1 };
    assert_int_equal(make(p, &o), ERR_USAGE);
    assert_string_equal(p->err.msg, "index annotations not supported for single platform export");
}

static void attest(struct place *p, struct attestation *a, const struct doc_options *o)
{
    p->image.attestations = a;
    p->image.n_attestations = 1;
    assert_ok(make(p, o), &p->err);
}

static void an_attestation_stands_beside_the_image(void **state)
{
    struct place *p = *state;
    AUTO(strv_release) struct strv names = STRV_INIT;
    json_auto_t *predicate = json_pack("{s:s}", "what", "ever");
    struct attestation a = { .predicate_type = "https://example.com/p", .predicate = predicate };
    struct doc_options o = { .names = &names, .docker_types = true };
    strv_add(&names, "docker.io/library/app:1");
    attest(p, &a, &o);
    assert_true(p->docs.has_index);
    assert_int_equal(p->docs.n_extra, 3);
    for (size_t i = 0; i < 3; i++)
        assert_is(&p->docs.extra[i].what.id, &p->docs.extra[i].text);
    assert_string_equal(p->docs.images[0].manifest.config.media_type, MEDIA_OCI_CONFIG);
    AUTO(mem_free)
    char *statement =
        str_printf("{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"predicateType\":"
                   "\"https://example.com/p\",\"subject\":[{\"name\":\"pkg:docker/app@1?platform="
                   "linux%%2Famd64\",\"digest\":{\"sha256\":\"%s\"}}],\"predicate\":{\"what\":"
                   "\"ever\"}}",
                   DIGEST_HEX(&p->docs.images[0].manifest_id.d));
    assert_string_equal(buf_str(&p->docs.extra[0].text), statement);
    const struct descriptor *entry = &p->docs.index.manifests[1];
    assert_true(p->docs.extra[2].is_manifest);
    assert_true(digest_eq(&entry->id.d, &p->docs.extra[2].what.id.d));
    assert_string_equal(entry->platform.os, "unknown");
    assert_string_equal(json_get_str(entry->annotations, "vnd.docker.reference.digest"),
                        DIGEST_S(&p->docs.images[0].manifest_id.d));
}

static void an_attestation_may_be_an_artifact(void **state)
{
    struct place *p = *state;
    json_auto_t *predicate = json_object();
    struct attestation a = { .predicate_type = "https://example.com/p", .predicate = predicate };
    struct doc_options o = { .artifact_attestations = true };
    attest(p, &a, &o);
    assert_string_equal(buf_str(&p->docs.extra[1].text), "{}");
    json_auto_t *manifest = parsed(&p->docs.extra[2].text);
    assert_string_equal(json_get_str(manifest, "artifactType"),
                        "application/vnd.docker.attestation.manifest.v1+json");
    assert_string_equal(json_get_str(json_get_obj(manifest, "subject"), "digest"),
                        DIGEST_S(&p->docs.images[0].manifest_id.d));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(one_image_is_its_manifest),
        CASE(a_layer_alone_gets_the_blob_that_the_image_names),
        CASE(dockers_types_are_written_when_asked_for),
        CASE(annotations_go_where_they_are_meant),
        CASE(annotations_of_no_index_are_refused),
        CASE(an_attestation_stands_beside_the_image),
        CASE(an_attestation_may_be_an_artifact),
    };
    return UNIT_RUN("engine_image_docs", tests);
}
