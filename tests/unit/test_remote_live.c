/*
 * Against the real things: docker-registry, started here on a port of its own
 * (skipped when it is not installed), and the engines that SHALE_TEST_ENGINES
 * names ("unix:///a.sock unix:///b.sock"; left out without).
 */
#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "base/proc.h"
#include "remote/docker.h"
#include "remote/registry.h"
#include "remote/registry_internal.h"
#include <signal.h>

/* --- a registry ------------------------------------------------------------------------------- */

struct live {
    char dir[64];
    int fd, port;
    pid_t pid;
    struct http *h;
};

static int live_start(void **state)
{
    struct err err = ERR_INIT;
    struct live *l = mem_zalloc(sizeof(*l));
    *state = l;
    l->fd = scratch_make(l->dir);
    l->port = fake_free_port();
    l->h = http_new(NULL);
    AUTO(mem_free) char *config = str_printf("%s/config.yml", l->dir);
    AUTO(mem_free)
    char *text = str_printf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: "
                            "{rootdirectory: %s/data}}\nhttp: {addr: \"127.0.0.1:%d\"}\n",
                            l->dir, l->port);
    const char *const argv[] = { "docker-registry", "serve", config, NULL };
    struct proc_spec spec = {
        .argv = argv, .in = -1, .out = -1, .err = -1, .death_signal = SIGKILL
    };
    if (file_replace(AT_FDCWD, config, text, strlen(text), 0644, false, &err) < 0)
        return -1;
    l->pid = proc_start(&spec, &err);
    return 0;
}

static int live_stop(void **state)
{
    struct err err = ERR_INIT;
    struct live *l = *state;
    int status;
    if (l->pid > 0) {
        kill(l->pid, SIGKILL);
        proc_wait(l->pid, NULL, 0, 0, &status, &err);
    }
    http_free(l->h);
    scratch_remove(l->fd, l->dir);
    mem_free(l);
    return 0;
}

/* Sends and wants this status; the answer is the caller's. */
static void send_to(struct live *l, const char *method, const char *url, const char *type,
                    const char *bytes, int want, struct http_response *ret)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv headers = STRV_INIT;
    strv_addf(&headers, "Content-Type: %s", type);
    AUTO(source_free) struct source *body = source_mem(bytes, strlen(bytes));
    struct http_request q = { .method = method,
                              .url = url,
                              .headers = &headers,
                              .body = body,
                              .body_size = (int64_t)strlen(bytes) };
    assert_ok(http_do(l->h, &q, ret, &err), &err);
    if (ret->status != want)
        fail_msg("%s %s: %d %s", method, url, ret->status, buf_str(&ret->body));
}

static void push_blob(struct live *l, const char *bytes, struct digest *ret)
{
    AUTO(mem_free)
    char *start = str_printf("http://127.0.0.1:%d/v2/some/thing/blobs/uploads/", l->port);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    AUTO(http_response_release) struct http_response done = { .status = 0 };
    digest_of(bytes, strlen(bytes), ret);
    send_to(l, "POST", start, "text/plain", "", 202, &r);
    const char *location = http_header(&r, "location");
    assert_non_null(location);
    AUTO(mem_free)
    char *url =
        str_printf("%s%cdigest=%s", location, strchr(location, '?') ? '&' : '?', DIGEST_S(ret));
    send_to(l, "PUT", url, "application/octet-stream", bytes, 201, &done);
}

static void push_image(struct live *l, struct digest *ret_layer, char **ret_manifest)
{
    struct digest config;
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    AUTO(mem_free)
    char *url = str_printf("http://127.0.0.1:%d/v2/some/thing/manifests/1", l->port);
    push_blob(l, "a layer", ret_layer);
    push_blob(l, "{}", &config);
    *ret_manifest = str_printf(
        "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
        "\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
        "\"size\":2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
        "\"digest\":\"%s\",\"size\":7}]}",
        DIGEST_S(&config), DIGEST_S(ret_layer));
    send_to(l, "PUT", url, "application/vnd.oci.image.manifest.v1+json", *ret_manifest, 201, &r);
}

/* Waits until it answers. */
static void wait_for(struct live *l)
{
    if (l->pid <= 0)
        fail_msg("docker-registry is not installed");
    AUTO(mem_free) char *url = str_printf("http://127.0.0.1:%d/v2/", l->port);
    for (int i = 0; i < 200; i++) {
        struct err err = ERR_INIT;
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        struct http_request q = { .method = "GET", .url = url };
        if (http_do(l->h, &q, &r, &err) == 0 && r.status == 200)
            return;
        assert_ok(http_wait(l->h, 50, &err), &err);
    }
    fail_msg("docker-registry does not answer");
}

static struct registry *open_for(struct live *l, const char *path, enum registry_access access)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = str_printf("localhost:%d/%s", l->port, path);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    assert_ok(image_name_parse(text, &name, &err), &err);
    return registry_open(l->h, NULL, &name, access, &err);
}

static struct registry *open_live(struct live *l, const char *path)
{
    return open_for(l, path, REGISTRY_PULL);
}

static void a_real_registry_gives_what_was_pushed(void **state)
{
    struct live *l = *state;
    struct err err = ERR_INIT;
    struct blob_id by_tag, resolved, by_digest;
    struct descriptor layer = { .size = 7 };
    AUTO(mem_free) char *manifest = NULL;
    AUTO(mem_free) char *type = NULL;
    AUTO(mem_free) char *type2 = NULL;
    AUTO(buf_release) struct buf doc = BUF_INIT;
    AUTO(buf_release) struct buf doc2 = BUF_INIT;
    AUTO(buf_release) struct buf got = BUF_INIT;
    wait_for(l);
    push_image(l, &layer.id.d, &manifest);
    AUTO(registry_free) struct registry *r = open_live(l, "some/thing");
    assert_ok(registry_manifest(r, "1", &doc, &type, &by_tag, &err), &err);
    assert_string_equal(buf_str(&doc), manifest);
    assert_string_equal(type, "application/vnd.oci.image.manifest.v1+json");
    AUTO(manifest_release) struct manifest parsed = { .kind = DOC_UNKNOWN };
    assert_ok(manifest_parse(doc.data, doc.len, type, &parsed, &err), &err);
    assert_true(digest_eq(&parsed.layers[0].id.d, &layer.id.d));
    assert_ok(registry_resolve(r, "1", &resolved, &err), &err);
    assert_true(digest_eq(&resolved.d, &by_tag.d));
    assert_ok(registry_manifest(r, DIGEST_S(&by_tag.d), &doc2, &type2, &by_digest, &err), &err);
    AUTO(sink_free) struct sink *to = sink_buf(&got, 100);
    assert_ok(registry_blob(r, &layer, to, &err), &err);
    assert_string_equal(buf_str(&got), "a layer");
}

static void a_real_registry_knows_ranges(void **state)
{
    struct live *l = *state;
    struct err err = ERR_INIT;
    struct digest d;
    wait_for(l);
    push_blob(l, "0123456789", &d);
    AUTO(mem_free)
    char *url = str_printf("http://127.0.0.1:%d/v2/some/thing/blobs/%s", l->port, DIGEST_S(&d));
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct http_request q = { .method = "GET", .url = url, .resume_from = 6 };
    assert_ok(http_do(l->h, &q, &r, &err), &err);
    assert_int_equal(r.status, 206);
    assert_string_equal(buf_str(&r.body), "6789");
}

static void a_real_registry_says_what_it_lacks(void **state)
{
    struct live *l = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf doc = BUF_INIT;
    AUTO(mem_free) char *type = NULL;
    struct blob_id id;
    wait_for(l);
    AUTO(registry_free) struct registry *r = open_live(l, "no/thing");
    assert_int_equal(registry_manifest(r, "1", &doc, &type, &id, &err), ERR_NOT_FOUND);
    AUTO(mem_free)
    char *want = str_printf(
        "localhost:%d/no/thing:1: manifest unknown (HTTP 404 from localhost:%d)", l->port, l->port);
    assert_string_equal(err.msg, want);
    assert_int_equal(registry_resolve(r, "1", &id, &err), ERR_NOT_FOUND);
    struct descriptor blob = { .size = 1 };
    AUTO(sink_free) struct sink *to = sink_null();
    assert_int_equal(registry_blob(r, &blob, to, &err), ERR_NOT_FOUND);
}

/* --- pushing --------------------------------------------------------------------------------- */

struct bytes {
    const char *p;
    size_t n;
};

static struct source *bytes_open(void *arg, UNUSED struct err *err)
{
    const struct bytes *b = arg;
    return source_mem(b->p, b->n);
}

static enum registry_pushed push(struct registry *r, const char *p, size_t n, const char *from)
{
    struct err err = ERR_INIT;
    enum registry_pushed how = REGISTRY_WAS_THERE;
    struct bytes b = { p, n };
    struct descriptor d = { .size = n };
    AUTO(strv_release) struct strv mounts = STRV_INIT;
    if (from != NULL)
        strv_add(&mounts, from);
    digest_of(p, n, &d.id.d);
    struct registry_upload u = { .what = &d, .mount_from = &mounts, .open = bytes_open, .arg = &b };
    assert_ok(registry_push_blob(r, &u, &how, &err), &err);
    assert_int_equal(registry_has_blob(r, &d.id.d, &err), 1);
    return how;
}

static void get_back(struct registry *r, const char *p, size_t n)
{
    struct err err = ERR_INIT;
    struct descriptor d = { .size = n };
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&got, n);
    digest_of(p, n, &d.id.d);
    assert_ok(registry_blob(r, &d, to, &err), &err);
    assert_int_equal(got.len, n);
    assert_memory_equal(got.data, p, n);
}

#define LARGE (3u << 20)

static char *large_bytes(char seed)
{
    char *p = mem_alloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        p[i] = (char)((unsigned char)seed + i * 7 + i / 251);
    return p;
}

static void a_real_registry_takes_blobs_and_mounts_them(void **state)
{
    struct live *l = *state;
    AUTO(mem_free) char *large = large_bytes('a');
    wait_for(l);
    AUTO(registry_free) struct registry *r = open_for(l, "push/first", REGISTRY_PUSH);
    AUTO(registry_free) struct registry *second = open_for(l, "push/second", REGISTRY_PUSH);
    struct err err = ERR_INIT;
    struct digest none = { { 1 } };
    assert_int_equal(registry_has_blob(r, &none, &err), 0);
    assert_int_equal(push(r, large, LARGE, NULL), REGISTRY_SENT);
    assert_int_equal(push(r, large, LARGE, NULL), REGISTRY_WAS_THERE);
    assert_int_equal(push(r, "", 0, NULL), REGISTRY_SENT);
    get_back(r, large, LARGE);
    assert_int_equal(push(second, large, LARGE, "push/first"), REGISTRY_MOUNTED);
    get_back(second, large, LARGE);
    assert_int_equal(push(second, "elsewhere", 9, "push/first"), REGISTRY_SENT);
}

static void a_real_registry_takes_blobs_in_chunks(void **state)
{
    struct live *l = *state;
    AUTO(mem_free) char *large = large_bytes('b');
    wait_for(l);
    AUTO(registry_free) struct registry *r = open_for(l, "push/chunks", REGISTRY_PUSH);
    r->chunk = 1000000;
    assert_int_equal(push(r, large, LARGE, NULL), REGISTRY_SENT);
    get_back(r, large, LARGE);
}

static void a_real_registry_takes_manifests(void **state)
{
    struct live *l = *state;
    struct err err = ERR_INIT;
    struct blob_id id;
    AUTO(mem_free) char *got_type = NULL;
    AUTO(buf_release) struct buf got = BUF_INIT;
    const char *type = doc_media_type(DOC_OCI_MANIFEST);
    struct digest config, text;
    wait_for(l);
    AUTO(registry_free) struct registry *r = open_for(l, "push/manifests", REGISTRY_PUSH);
    digest_of("{}", 2, &config);
    AUTO(mem_free)
    char *doc = str_printf("{\"schemaVersion\":2,\"mediaType\":\"%s\",\"config\":{\"mediaType\":"
                           "\"" MEDIA_OCI_CONFIG "\",\"digest\":\"%s\",\"size\":2},\"layers\":[]}",
                           type, DIGEST_S(&config));
    digest_of(doc, strlen(doc), &text);
    assert_int_equal(registry_push_manifest(r, "1", type, doc, strlen(doc), &err), ERR_NET);
    AUTO(mem_free)
    char *want =
        str_printf("localhost:%d/push/manifests:1: blob unknown to registry (HTTP 400 from "
                   "localhost:%d)",
                   l->port, l->port);
    assert_string_equal(err.msg, want);
    err_clear(&err);
    push(r, "{}", 2, NULL);
    assert_ok(registry_push_manifest(r, "1", type, doc, strlen(doc), &err), &err);
    assert_ok(registry_push_manifest(r, DIGEST_S(&text), type, doc, strlen(doc), &err), &err);
    assert_ok(registry_manifest(r, "1", &got, &got_type, &id, &err), &err);
    assert_string_equal(buf_str(&got), doc);
    assert_int_equal(registry_push_manifest(r, DIGEST_S(&config), type, doc, strlen(doc), &err),
                     ERR_CORRUPT);
}

/* --- engines ---------------------------------------------------------------------------------- */

#define ENGINES "SHALE_TEST_ENGINES"
#define LIVE_NAME "shale-unit-live"

/* An image with one empty directory as `docker load` takes it, made with tar and sha256 alone. */
static void tar_add(struct buf *tar, const char *name, char kind, const char *bytes, size_t n)
{
    static const char zeros[512];
    char head[512] = { 0 };
    unsigned sum = 0;
    snprintf(head, 100, "%s", name);
    snprintf(head + 100, 25, "%07o", kind == '5' ? 0755u : 0644u);
    snprintf(head + 108, 8, "%07o", 0u);
    snprintf(head + 116, 8, "%07o", 0u);
    snprintf(head + 124, 12, "%011zo", n);
    snprintf(head + 136, 12, "%011o", 0u);
    memset(head + 148, ' ', 8);
    head[156] = kind;
    memcpy(head + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof(head); i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    buf_add(tar, head, sizeof(head));
    buf_add(tar, bytes, n);
    buf_add(tar, zeros, (512 - n % 512) % 512);
}

static void tar_end(struct buf *tar)
{
    static const char zeros[1024];
    buf_add(tar, zeros, sizeof(zeros));
}

static void make_archive(struct buf *ret)
{
    struct digest layer_id, config_id;
    AUTO(buf_release) struct buf layer = BUF_INIT;
    tar_add(&layer, "made-by-a-test/", '5', "", 0);
    tar_end(&layer);
    digest_of(layer.data, layer.len, &layer_id);
    AUTO(mem_free)
    char *config = str_printf("{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},"
                              "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
                              DIGEST_S(&layer_id));
    digest_of(config, strlen(config), &config_id);
    AUTO(mem_free) char *config_name = str_printf("%s.json", DIGEST_HEX(&config_id));
    AUTO(mem_free)
    char *manifest = str_printf("[{\"Config\":\"%s\",\"RepoTags\":[\"" LIVE_NAME ":1\"],"
                                "\"Layers\":[\"layer.tar\"]}]",
                                config_name);
    tar_add(ret, "layer.tar", '0', layer.data, layer.len);
    tar_add(ret, config_name, '0', config, strlen(config));
    tar_add(ret, "manifest.json", '0', manifest, strlen(manifest));
    tar_end(ret);
}

static void check_engine(struct docker *d)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf archive = BUF_INIT;
    AUTO(buf_release) struct buf saved = BUF_INIT;
    make_archive(&archive);
    AUTO(source_free) struct source *tar = source_mem(archive.data, archive.len);
    AUTO(sink_free) struct sink *to = sink_buf(&saved, 1 << 20);
    assert_ok(docker_load(d, tar, &err), &err);
    json_auto_t *doc = docker_inspect(d, LIVE_NAME ":1", &err);
    assert_ok(err.code, &err);
    const char *id = json_get_str(doc, "Id");
    assert_true(id != NULL && str_starts(id, "sha256:"));
    assert_ok(docker_tag(d, id, LIVE_NAME "/other", "2", &err), &err);
    assert_ok(docker_save(d, LIVE_NAME "/other:2", to, &err), &err);
    assert_non_null(memmem(saved.data, saved.len, "made-by-a-test/", 15));
    assert_ok(docker_remove(d, LIVE_NAME "/other:2", &err), &err);
    assert_ok(docker_remove(d, LIVE_NAME ":1", &err), &err);
    assert_null(docker_inspect(d, LIVE_NAME ":1", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(docker_save(d, LIVE_NAME ":1", to, &err), ERR_NOT_FOUND);
    AUTO(source_free) struct source *junk = source_mem("no tar at all", 13);
    assert_true(docker_load(d, junk, &err) < 0);
    assert_non_null(strstr(err.msg, "the Docker engine cannot load the image: "));
    bool containerd = false;
    docker_is_containerd(d, &containerd, &err);
    print_message("%s: containerd %d, '%s'\n", docker_host(d), containerd, err.msg);
}

static void real_engines_load_show_save_tag_and_remove(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv hosts = STRV_INIT;
    strv_split(&hosts, getenv(ENGINES), ' ');
    AUTO(http_free) struct http *h = http_new(NULL);
    for (size_t i = 0; i < hosts.n; i++) {
        setenv("DOCKER_HOST", hosts.v[i], 1);
        AUTO(docker_free) struct docker *d = docker_open(h, NULL, &err);
        assert_ok(err.code, &err);
        check_engine(d);
    }
}

int main(void)
{
    const struct CMUnitTest registry[] = {
        cmocka_unit_test(a_real_registry_gives_what_was_pushed),
        cmocka_unit_test(a_real_registry_knows_ranges),
        cmocka_unit_test(a_real_registry_says_what_it_lacks),
        cmocka_unit_test(a_real_registry_takes_blobs_and_mounts_them),
        cmocka_unit_test(a_real_registry_takes_blobs_in_chunks),
        cmocka_unit_test(a_real_registry_takes_manifests),
    };
    const struct CMUnitTest engines[] = {
        cmocka_unit_test(real_engines_load_show_save_tag_and_remove),
    };
    const char *filter = getenv("SHALE_TEST_FILTER");
    if (filter != NULL && *filter != '\0')
        cmocka_set_test_filter(filter);
    int failed = cmocka_run_group_tests_name("remote_live", registry, live_start, live_stop);
    const char *hosts = getenv(ENGINES);
    if (hosts != NULL && hosts[strspn(hosts, " ")] != '\0')
        failed += cmocka_run_group_tests_name("remote_live_engines", engines, NULL, NULL);
    return failed;
}
