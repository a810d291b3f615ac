#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "base/clock.h"
#include "remote/registry.h"
#include "remote/registry_internal.h"

/*
 * The fake registry: the repository's name says how it behaves. Every blob is
 * BLOB and every manifest MANIFEST unless the behaviour is to say otherwise.
 */
#define BLOB "0123456789"
#define MANIFEST "{\"schemaVersion\":2}"
#define TOKEN "secret-token"
#define JSON_TYPE "Content-Type: application/vnd.oci.image.manifest.v1+json; charset=utf-8\r\n"

struct world {
    struct fake *registry, *other; /* other: where blobs are stored */
    atomic_int n_tokens, n_tries;
};

struct behaviour {
    const char *name; /* of the repository */
    bool (*serve)(struct fake_conn *c, const struct fake_request *q, struct world *w);
};

static const struct behaviour behaviours[];

static char *digest_text(const char *bytes)
{
    struct digest d;
    digest_of(bytes, strlen(bytes), &d);
    return str_dup(DIGEST_S(&d));
}

static bool serve_registry(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    for (const struct behaviour *b = behaviours; b->name != NULL; b++) {
        AUTO(mem_free) char *prefix = str_printf("/v2/%s/", b->name);
        AUTO(mem_free) char *token = str_printf("/token/%s", b->name);
        if (str_starts(q->path, prefix) ||
            (str_starts(q->path, token) && strchr("?", q->path[strlen(token)])))
            return b->serve(c, q, arg);
    }
    return fake_reply(c, "404 Not Found", "",
                      "{\"errors\":[{\"code\":\"NAME_UNKNOWN\",\"message\":\"repository name not "
                      "known\\u001b[31m\\n\"}]}");
}

static bool serve_other(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    struct world *w = arg;
    if (str_starts(q->path, "/token"))
        w->n_tokens++;
    if (strcmp(q->path, "/denied") == 0) {
        AUTO(mem_free)
        char *header = str_printf(
            "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token\"\r\n", c->fake->port);
        return fake_reply(c, "401 Unauthorized", header, "");
    }
    return fake_reply(c, "200 OK", "", BLOB);
}

static void world_start(struct world *w)
{
    *w = (struct world){ .registry = NULL };
    w->other = fake_start(serve_other, w);
    w->registry = fake_start(serve_registry, w);
}

static void world_stop(struct world *w)
{
    fake_stop(w->registry);
    fake_stop(w->other);
}

static struct http *new_http(void)
{
    return http_new(NULL);
}

static struct registry *open_registry(struct http *h, const struct world *w, const char *path)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = str_printf("127.0.0.1:%d/%s", w->registry->port, path);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    assert_ok(image_name_parse(text, &name, &err), &err);
    struct registry *r = registry_open(h, NULL, &name, REGISTRY_PULL, &err);
    assert_non_null(r);
    r->backoff_ms = 1;
    r->wait_max_ms = 20;
    return r;
}

static int get_blob(struct registry *r, const char *bytes, struct buf *got, struct err *err)
{
    struct descriptor d = { .size = strlen(bytes) };
    digest_of(bytes, strlen(bytes), &d.id.d);
    AUTO(sink_free) struct sink *to = sink_buf(got, 1000);
    err_clear(err);
    return registry_blob(r, &d, to, err);
}

static int get_manifest(struct registry *r, const char *reference, struct buf *got, struct err *err)
{
    AUTO(mem_free) char *type = NULL;
    struct blob_id id;
    err_clear(err);
    return registry_manifest(r, reference, got, &type, &id, err);
}

/* --- behaviours ------------------------------------------------------------------------------- */

static bool is_blob(const struct fake_request *q)
{
    return strstr(q->path, "/blobs/") != NULL;
}

static bool good(struct fake_conn *c, const struct fake_request *q, UNUSED struct world *w)
{
    if (is_blob(q))
        return fake_reply(c, "200 OK", "", BLOB);
    AUTO(mem_free) char *digest = digest_text(MANIFEST);
    AUTO(mem_free) char *headers = str_printf(JSON_TYPE "Docker-Content-Digest: %s\r\n", digest);
    if (strcmp(q->method, "HEAD") == 0) {
        AUTO(mem_free) char *head = str_printf("HTTP/1.1 200 OK\r\n%s\r\n", headers);
        return fake_puts(c, head);
    }
    return fake_reply(c, "200 OK", headers, MANIFEST);
}

/* A byte now and then, for ever as far as anybody would wait. */
static bool drips(struct fake_conn *c, const struct fake_request *q, UNUSED struct world *w)
{
    if (!is_blob(q) || !fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"))
        return false;
    for (int i = 0; i < 1000 && !c->fake->is_stopping; i++) {
        if (!fake_puts(c, "d"))
            return false;
        poll(NULL, 0, 100);
    }
    return false;
}

static bool empty(struct fake_conn *c, UNUSED const struct fake_request *q, UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", "", "");
}

static bool no_head(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (strcmp(q->method, "HEAD") == 0)
        return fake_puts(c, "HTTP/1.1 405 Method Not Allowed\r\n\r\n");
    return good(c, q, w);
}

static bool silent_head(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (strcmp(q->method, "HEAD") == 0)
        return fake_puts(c, "HTTP/1.1 200 OK\r\n\r\n");
    return good(c, q, w);
}

static bool other_bytes(struct fake_conn *c, const struct fake_request *q, UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", JSON_TYPE, is_blob(q) ? "012345678X" : "{}");
}

static bool lying_header(struct fake_conn *c, UNUSED const struct fake_request *q,
                         UNUSED struct world *w)
{
    AUTO(mem_free) char *digest = digest_text("something else");
    AUTO(mem_free) char *headers = str_printf(JSON_TYPE "Docker-Content-Digest: %s\r\n", digest);
    return fake_reply(c, "200 OK", headers, MANIFEST);
}

static bool nonsense_header(struct fake_conn *c, UNUSED const struct fake_request *q,
                            UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", JSON_TYPE "Docker-Content-Digest: sha256:../x\r\n", MANIFEST);
}

static bool twice_the_key(struct fake_conn *c, UNUSED const struct fake_request *q,
                          UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", JSON_TYPE, "{\"schemaVersion\":2,\"schemaVersion\":2}");
}

static bool other_type(struct fake_conn *c, UNUSED const struct fake_request *q,
                       UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", JSON_TYPE,
                      "{\"schemaVersion\":2,\"mediaType\":"
                      "\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}");
}

static bool too_long(struct fake_conn *c, UNUSED const struct fake_request *q,
                     UNUSED struct world *w)
{
    return fake_reply(c, "200 OK", "", BLOB "!");
}

static bool too_short(struct fake_conn *c, UNUSED const struct fake_request *q, struct world *w)
{
    w->n_tries++;
    return fake_reply(c, "200 OK", "", "01234");
}

static bool short_then_416(struct fake_conn *c, const struct fake_request *q,
                           UNUSED struct world *w)
{
    AUTO(mem_free) char *range = fake_header(q->head.data, "Range");
    return range ? fake_reply(c, "416 Range Not Satisfiable", "", "")
                 : fake_reply(c, "200 OK", "", "01234");
}

static bool endless(struct fake_conn *c, UNUSED const struct fake_request *q,
                    UNUSED struct world *w)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\n\r\n");
    while (fake_puts(c, "0123456789012345678901234567890123456789012345678901234567890123456789"))
        ;
    return false;
}

/* Three bytes a time. */
static bool breaks_off(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *range = fake_header(q->head.data, "Range");
    unsigned from = 0;
    w->n_tries++;
    if (range != NULL && sscanf(range, "bytes=%u-", &from) == 1) {
        AUTO(mem_free)
        char *head = str_printf("HTTP/1.1 206 Partial Content\r\nContent-Length: %u\r\n"
                                "Content-Range: bytes %u-9/10\r\n\r\n",
                                10 - from, from);
        fake_puts(c, head);
    } else {
        fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    }
    fake_send(c, &BLOB[from], from + 3 < 10 ? 3 : 10 - from);
    return false;
}

/* As breaks_off, but knows no ranges: always from the beginning, a bit further each time. */
static bool breaks_off_without_ranges(struct fake_conn *c, UNUSED const struct fake_request *q,
                                      struct world *w)
{
    int n = 3 * ++w->n_tries;
    fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    fake_send(c, BLOB, n < 10 ? (size_t)n : 10);
    return false;
}

static bool always_breaks_off(struct fake_conn *c, UNUSED const struct fake_request *q,
                              struct world *w)
{
    w->n_tries++;
    fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123");
    return false;
}

static bool bad_chunks(struct fake_conn *c, UNUSED const struct fake_request *q, struct world *w)
{
    w->n_tries++;
    fake_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n");
    return false;
}

static bool busy_twice(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (++w->n_tries <= 2)
        return fake_reply(c, w->n_tries == 1 ? "503 Busy" : "429 Slow Down", "Retry-After: 0\r\n",
                          "");
    return good(c, q, w);
}

static bool always_busy(struct fake_conn *c, UNUSED const struct fake_request *q, struct world *w)
{
    w->n_tries++;
    return fake_reply(c, "429 Too Many Requests", "Retry-After: 3600\r\n",
                      "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"pull limit\"}]}");
}

static bool always_failing(struct fake_conn *c, UNUSED const struct fake_request *q,
                           struct world *w)
{
    w->n_tries++;
    return fake_reply(c, "500 Internal Server Error", "", "<html>secret</html>");
}

static bool to_storage(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    AUTO(mem_free)
    char *location =
        str_printf("Location: http://localhost:%d/blob?signature=1\r\n", w->other->port);
    AUTO(mem_free)
    char *challenge = str_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token/"
                                 "to-storage\",service=\"s\"\r\n",
                                 w->registry->port);
    if (str_starts(q->path, "/token"))
        return fake_reply(c, "200 OK", "", "{\"token\":\"" TOKEN "\"}");
    if (auth == NULL)
        return fake_reply(c, "401 Unauthorized", challenge, "");
    return fake_reply(c, "307 Temporary Redirect", location, "");
}

static bool to_thief(struct fake_conn *c, UNUSED const struct fake_request *q, struct world *w)
{
    AUTO(mem_free)
    char *location = str_printf("Location: http://localhost:%d/denied\r\n", w->other->port);
    return fake_reply(c, "302 Found", location, "");
}

/* Answers 401 with this challenge ("%d": the registry's port) unless the token comes along. */
static bool ask_for_token(struct fake_conn *c, const struct fake_request *q, struct world *w,
                          const char *challenge)
{
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    if (str_eq(auth, "Bearer " TOKEN))
        return good(c, q, w);
    return fake_reply(c, "401 Unauthorized", challenge, "{}");
}

static char *challenge_to(const struct world *w, const char *path)
{
    return str_printf("WWW-Authenticate: Basic realm=\"x\", Bearer realm=\"http://127.0.0.1:%d%s\","
                      "service=\"a service\",scope=\"repository:with-token:pull\"\r\n",
                      w->registry->port, path);
}

static bool with_token(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *challenge = challenge_to(w, "/token/with-token?account=1");
    if (!str_starts(q->path, "/token"))
        return ask_for_token(c, q, w, challenge);
    w->n_tokens++;
    bool is_right = strcmp(q->path, "/token/with-token?account=1&service=a%20service&scope="
                                    "repository:with-token:pull") == 0;
    return fake_reply(c, is_right ? "200 OK" : "400 Bad Request", "",
                      "{\"access_token\":\"" TOKEN "\",\"expires_in\":60}");
}

/* The token is never good enough. */
static bool token_loop(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *challenge = challenge_to(w, "/token/token-loop");
    if (!str_starts(q->path, "/token"))
        return fake_reply(c, "401 Unauthorized", challenge, "{}");
    w->n_tokens++;
    return fake_reply(c, "200 OK", "", "{\"token\":\"wrong\"}");
}

static bool token_answer(struct fake_conn *c, const struct fake_request *q, struct world *w,
                         const char *path, const char *status, const char *answer)
{
    AUTO(mem_free) char *challenge = challenge_to(w, path);
    if (!str_starts(q->path, "/token"))
        return fake_reply(c, "401 Unauthorized", challenge, "{}");
    return fake_reply(c, status, "", answer);
}

static bool token_twice(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return token_answer(c, q, w, "/token/token-twice", "200 OK",
                        "{\"token\":\"a\",\"token\":\"b\"}");
}

static bool token_with_lines(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return token_answer(c, q, w, "/token/token-with-lines", "200 OK",
                        "{\"token\":\"a\\r\\nX-Evil: 1\"}");
}

static bool token_denied(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return token_answer(c, q, w, "/token/token-denied", "401 Unauthorized", "{}");
}

static bool token_broken(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return token_answer(c, q, w, "/token/token-broken", "500 Oops", "{}");
}

static bool realm_elsewhere(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return ask_for_token(c, q, w, "WWW-Authenticate: Bearer realm=\"http://192.0.2.1/token\"\r\n");
}

static bool realm_file(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return ask_for_token(c, q, w, "WWW-Authenticate: Bearer realm=\"file:///etc/passwd\"\r\n");
}

static bool only_basic(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return ask_for_token(c, q, w, "WWW-Authenticate: Basic realm=\"x\"\r\n");
}

static bool no_challenge(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return ask_for_token(c, q, w, "");
}

static bool nonsense_challenge(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return ask_for_token(c, q, w, "WWW-Authenticate: Bearer realm=\"unfinished\r\n");
}

static const struct behaviour behaviours[] = {
    { "good", good },
    { "empty", empty },
    { "no-head", no_head },
    { "silent-head", silent_head },
    { "other-bytes", other_bytes },
    { "lying-header", lying_header },
    { "nonsense-header", nonsense_header },
    { "twice-the-key", twice_the_key },
    { "other-type", other_type },
    { "too-long", too_long },
    { "too-short", too_short },
    { "short-then-416", short_then_416 },
    { "endless", endless },
    { "breaks-off", breaks_off },
    { "breaks-off-without-ranges", breaks_off_without_ranges },
    { "always-breaks-off", always_breaks_off },
    { "bad-chunks", bad_chunks },
    { "busy-twice", busy_twice },
    { "always-busy", always_busy },
    { "always-failing", always_failing },
    { "to-storage", to_storage },
    { "to-thief", to_thief },
    { "with-token", with_token },
    { "token-loop", token_loop },
    { "token-twice", token_twice },
    { "token-with-lines", token_with_lines },
    { "token-denied", token_denied },
    { "token-broken", token_broken },
    { "realm-elsewhere", realm_elsewhere },
    { "realm-file", realm_file },
    { "only-basic", only_basic },
    { "no-challenge", no_challenge },
    { "nonsense-challenge", nonsense_challenge },
    { "drips", drips },
    { .name = NULL },
};

/* --- where a registry is ---------------------------------------------------------------------- */

static void http_is_for_this_machine_alone(UNUSED void **state)
{
    static const struct {
        const char *name, *base;
    } rows[] = {
        { "alpine", "https://registry-1.docker.io" },
        { "docker.io/library/alpine", "https://registry-1.docker.io" },
        { "quay.io/a/b", "https://quay.io" },
        { "localhost:5000/a", "http://localhost:5000" },
        { "localhost/a", "http://localhost" },
        { "127.0.0.1:80/a", "http://127.0.0.1:80" },
        { "[::1]:5000/a", "http://[::1]:5000" },
        { "localhost.evil.com/a", "https://localhost.evil.com" },
        { "127.0.0.1.evil.com:5000/a", "https://127.0.0.1.evil.com:5000" },
    };
    AUTO(http_free) struct http *h = new_http();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(image_name_release) struct image_name name = { .domain = NULL };
        assert_ok(image_name_parse(rows[i].name, &name, &err), &err);
        AUTO(registry_free) struct registry *r = registry_open(h, NULL, &name, REGISTRY_PULL, &err);
        assert_string_equal(r->base, rows[i].base);
    }
}

static void nobody_listening_is_said_at_once(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http();
    AUTO(buf_release) struct buf got = BUF_INIT;
    int port = fake_free_port();
    AUTO(mem_free) char *text = str_printf("localhost:%d/x", port);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    assert_ok(image_name_parse(text, &name, &err), &err);
    AUTO(registry_free) struct registry *r = registry_open(h, NULL, &name, REGISTRY_PULL, &err);
    int64_t start = clock_mono_ms();
    assert_int_equal(get_manifest(r, "latest", &got, &err), ERR_NET);
    assert_true(clock_mono_ms() - start < 2000);
    AUTO(mem_free)
    char *want = str_printf("localhost:%d/x:latest: cannot reach localhost:%d: connection refused",
                            port, port);
    assert_string_equal(err.msg, want);
}

static void a_blob_that_drips_is_given_up(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    char bytes[1001];
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(http_free) struct http *h = new_http();
    world_start(&w);
    AUTO(registry_free) struct registry *r = open_registry(h, &w, "drips");
    memset(bytes, 'd', 1000);
    bytes[1000] = '\0';
    r->idle_timeout_s = 1;
    r->tries = 2;
    assert_int_equal(get_blob(r, bytes, &got, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "less than 1024 bytes a second for 1 s"));
    world_stop(&w);
}

/* --- challenges ------------------------------------------------------------------------------- */

static void challenges_are_read_however_they_are_written(UNUSED void **state)
{
    static const struct {
        const char *text, *realm, *service, *scope;
        bool fails;
    } rows[] = {
        { "Bearer realm=\"https://a/t\",service=\"s\",scope=\"repository:x:pull,push\"",
          "https://a/t", "s", "repository:x:pull,push", false },
        { "bearer  Realm = \"https://a/t\" , SERVICE=s", "https://a/t", "s", NULL, false },
        { "Bearer realm=https://a/t?x=1,service=s", "https://a/t?x=1", "s", NULL, false },
        { "Basic realm=\"b\", Bearer realm=\"https://a\"", "https://a", NULL, NULL, false },
        { "Bearer realm=\"https://a\", Basic realm=\"b\"", "https://a", NULL, NULL, false },
        { "Negotiate abc==, Bearer realm=\"https://a\"", "https://a", NULL, NULL, false },
        { "Bearer realm=\"a\\\"b\"", "a\"b", NULL, NULL, false },
        { "Bearer realm=\"first\",realm=\"second\"", "first", NULL, NULL, false },
        { ", ,Bearer realm=\"x\",,", "x", NULL, NULL, false },
        { "Basic realm=\"b\"", NULL, NULL, NULL, false },
        { "Bearer", NULL, NULL, NULL, false },
        { "", NULL, NULL, NULL, true },
        { "Negotiate", NULL, NULL, NULL, true },
        { "Bearer realm=\"unfinished", NULL, NULL, NULL, true },
        { "Bearer realm=\"unfinished\\", NULL, NULL, NULL, true },
        { "Bearer realm=", NULL, NULL, NULL, true },
        { "Bearer realm=\"a\" service=\"b\"", NULL, NULL, NULL, true },
        { "Bearer realm=\"a\001b\"", NULL, NULL, NULL, true },
        { "=,=", NULL, NULL, NULL, true },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(challenge_release) struct challenge c = { .realm = NULL };
        int bad = challenge_parse(rows[i].text, &c, &err);
        if (bad != (rows[i].fails ? ERR_CORRUPT : 0) || !str_eq(c.realm, rows[i].realm) ||
            !str_eq(c.service, rows[i].service) || !str_eq(c.scope, rows[i].scope))
            fail_msg("'%s': %d realm %s service %s scope %s", rows[i].text, bad, c.realm, c.service,
                     c.scope);
    }
}

struct puller {
    struct registry *r;
    atomic_int n_good;
};

static void *pull_blobs(void *arg)
{
    struct puller *p = arg;
    for (int i = 0; i < 5; i++) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf got = BUF_INIT;
        if (get_blob(p->r, BLOB, &got, &err) == 0 && str_eq(buf_str(&got), BLOB))
            p->n_good++;
    }
    return NULL;
}

static void one_token_serves_all_requests_of_all_threads(UNUSED void **state)
{
    struct world w;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "with-token");
        struct puller p = { .r = r };
        pthread_t threads[8];
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, pull_blobs, &p), 0);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(p.n_good, 40);
        assert_int_equal(w.n_tokens, 1);
    }
    world_stop(&w);
}

/* --- manifests -------------------------------------------------------------------------------- */

static void a_manifest_comes_with_its_type_and_digest(UNUSED void **state)
{
    static const char *const names[] = { "good", "with-token", "busy-twice" };
    struct world w;
    struct err err = ERR_INIT;
    struct digest want;
    digest_of(MANIFEST, strlen(MANIFEST), &want);
    AUTO(mem_free) char *by_digest = digest_text(MANIFEST);
    world_start(&w);
    for (size_t i = 0; i < 2 * ARRAY_LEN(names); i++) {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, names[i / 2]);
        AUTO(buf_release) struct buf got = BUF_INIT;
        AUTO(mem_free) char *type = NULL;
        struct blob_id id;
        assert_ok(registry_manifest(r, i % 2 ? by_digest : "a.tag", &got, &type, &id, &err), &err);
        assert_string_equal(buf_str(&got), MANIFEST);
        assert_string_equal(type, "application/vnd.oci.image.manifest.v1+json");
        assert_true(digest_eq(&id.d, &want));
    }
    world_stop(&w);
}

static void a_tag_is_resolved_by_head_or_else_by_get(UNUSED void **state)
{
    static const char *const names[] = { "good", "no-head", "silent-head", "with-token" };
    struct world w;
    struct err err = ERR_INIT;
    struct digest want;
    digest_of(MANIFEST, strlen(MANIFEST), &want);
    world_start(&w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, names[i]);
        struct blob_id id;
        assert_ok(registry_resolve(r, "latest", &id, &err), &err);
        assert_true(digest_eq(&id.d, &want));
    }
    world_stop(&w);
}

static void a_bad_reference_is_not_sent(UNUSED void **state)
{
    static const char *const bad[] = { "",   "a/b",        "..",        "a b",
                                       "-x", "sha256:123", "sha512:aa", "a?b" };
    struct world w;
    world_start(&w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "good");
        AUTO(buf_release) struct buf got = BUF_INIT;
        assert_true(get_manifest(r, bad[i], &got, &err) < 0);
    }
    assert_int_equal(w.registry->n_requests, 0);
    world_stop(&w);
}

struct failure {
    const char *name;
    enum err_code code;
    const char *text;
    int max_requests;
};

static void check_failure(const struct failure *f, int bad, const struct err *err,
                          const struct world *w, int64_t start)
{
    if (bad != (int)f->code || strstr(err->msg, f->text) == NULL)
        fail_msg("%s: %d '%s'", f->name, bad, err->msg);
    if (w->registry->n_requests > f->max_requests)
        fail_msg("%s: %d requests", f->name, w->registry->n_requests);
    for (const char *c = err->msg; *c != '\0'; c++)
        assert_true((unsigned char)*c >= 32);
    assert_true(clock_mono_ms() - start < 3000);
}

#define DENIED "repository does not exist or may require authorization"

static void each_bad_manifest_ends_in_one_sentence(UNUSED void **state)
{
    static const struct failure rows[] = {
        { "missing", ERR_NOT_FOUND, "repository name not known\\x1b[31m", 1 },
        { "lying-header", ERR_CORRUPT, "where its header says", 1 },
        { "nonsense-header", ERR_CORRUPT, "is no digest", 1 },
        { "endless", ERR_CORRUPT, "sent more than 4194304 bytes", 1 },
        { "bad-chunks", ERR_NET, "lost the connection", 6 },
        { "always-breaks-off", ERR_NET, "lost the connection", 6 },
        { "always-busy", ERR_NET, "pull limit (HTTP 429", 6 },
        { "always-failing", ERR_NET, "error of the server (HTTP 500", 6 },
        { "token-loop", ERR_AUTH, "pull access denied for 127.0.0.1:", 3 },
        { "token-twice", ERR_CORRUPT, "cannot get a token", 2 },
        { "token-with-lines", ERR_CORRUPT, "no usable token", 2 },
        { "token-denied", ERR_AUTH, DENIED, 2 },
        { "token-broken", ERR_NET, "HTTP 500", 12 },
        { "realm-elsewhere", ERR_AUTH, "'http://192.0.2.1/token', which is not https", 1 },
        { "realm-file", ERR_AUTH, "which is not https", 1 },
        { "only-basic", ERR_AUTH, DENIED, 1 },
        { "no-challenge", ERR_AUTH, DENIED, 1 },
        { "nonsense-challenge", ERR_CORRUPT, "cannot be read", 1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        struct err err = ERR_INIT;
        world_start(&w);
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, rows[i].name);
        AUTO(buf_release) struct buf got = BUF_INIT;
        int64_t start = clock_mono_ms();
        int bad = get_manifest(r, "latest", &got, &err);
        check_failure(&rows[i], bad, &err, &w, start);
        assert_int_equal(got.len, 0);
        world_stop(&w);
    }
}

static void a_manifest_with_another_digest_is_refused(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "other-bytes");
        AUTO(mem_free) char *digest = digest_text(MANIFEST);
        AUTO(buf_release) struct buf got = BUF_INIT;
        struct blob_id id;
        assert_int_equal(get_manifest(r, digest, &got, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "what came has digest sha256:"));
        assert_non_null(strstr(err.msg, digest));
        assert_int_equal(registry_resolve(r, digest, &id, &err), ERR_CORRUPT);
    }
    world_stop(&w);
}

static void documents_that_can_be_read_in_two_ways_do_not_pass(UNUSED void **state)
{
    static const char *const names[] = { "twice-the-key", "other-type" };
    struct world w;
    world_start(&w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err = ERR_INIT;
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, names[i]);
        AUTO(buf_release) struct buf got = BUF_INIT;
        AUTO(mem_free) char *type = NULL;
        struct blob_id id;
        struct manifest m;
        assert_ok(registry_manifest(r, "latest", &got, &type, &id, &err), &err);
        assert_int_equal(manifest_parse(got.data, got.len, type, &m, &err), ERR_CORRUPT);
    }
    world_stop(&w);
}

/* --- blobs ------------------------------------------------------------------------------------ */

static void a_blob_comes_whole_in_spite_of_breaks(UNUSED void **state)
{
    static const struct {
        const char *name;
        int n_requests;
    } rows[] = {
        { "good", 1 },       { "with-token", 3 }, { "busy-twice", 3 },
        { "breaks-off", 4 }, { "to-storage", 3 }, { "breaks-off-without-ranges", 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        struct err err = ERR_INIT;
        world_start(&w);
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, rows[i].name);
        AUTO(buf_release) struct buf got = BUF_INIT;
        assert_ok(get_blob(r, BLOB, &got, &err), &err);
        assert_string_equal(buf_str(&got), BLOB);
        assert_int_equal(w.registry->n_requests, rows[i].n_requests);
        world_stop(&w);
    }
}

static void storage_elsewhere_sees_no_token(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "to-storage");
        AUTO(buf_release) struct buf got = BUF_INIT;
        assert_ok(get_blob(r, BLOB, &got, &err), &err);
        AUTO(mem_free) char *here = fake_seen(w.registry, 2, "Authorization");
        AUTO(mem_free) char *there = fake_seen(w.other, 0, "Authorization");
        assert_string_equal(here, "Bearer " TOKEN);
        assert_null(there);
        assert_int_equal(w.other->n_requests, 1);
    }
    world_stop(&w);
}

static void a_challenge_from_elsewhere_is_not_answered(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "to-thief");
        AUTO(buf_release) struct buf got = BUF_INIT;
        assert_int_equal(get_blob(r, BLOB, &got, &err), ERR_AUTH);
        assert_int_equal(w.n_tokens, 0);
        assert_int_equal(w.other->n_requests, 1);
    }
    world_stop(&w);
}

static void each_bad_blob_ends_in_one_sentence(UNUSED void **state)
{
    static const struct failure rows[] = {
        { "missing", ERR_NOT_FOUND, "repository name not known", 1 },
        { "other-bytes", ERR_CORRUPT, "what came has digest sha256:", 1 },
        { "too-long", ERR_CORRUPT, "longer than the 10 bytes", 1 },
        { "endless", ERR_CORRUPT, "longer than the 10 bytes", 1 },
        { "too-short", ERR_CORRUPT, "ends after 5 of 10 bytes", 2 },
        { "short-then-416", ERR_CORRUPT, "ends after 5 of 10 bytes", 2 },
        { "always-breaks-off", ERR_NET, "lost the connection", 6 },
        { "bad-chunks", ERR_NET, "lost the connection", 6 },
        { "always-busy", ERR_NET, "pull limit (HTTP 429", 6 },
        { "always-failing", ERR_NET, "error of the server (HTTP 500", 6 },
        { "token-loop", ERR_AUTH, DENIED, 3 },
        { "token-denied", ERR_AUTH, DENIED, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        struct err err = ERR_INIT;
        world_start(&w);
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, rows[i].name);
        AUTO(buf_release) struct buf got = BUF_INIT;
        int64_t start = clock_mono_ms();
        int bad = get_blob(r, BLOB, &got, &err);
        check_failure(&rows[i], bad, &err, &w, start);
        world_stop(&w);
    }
}

static void an_empty_blob_must_be_empty(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "good");
        AUTO(buf_release) struct buf got = BUF_INIT;
        assert_int_equal(get_blob(r, "", &got, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "longer than the 0 bytes"));
        AUTO(registry_free) struct registry *none = open_registry(h, &w, "empty");
        assert_ok(get_blob(none, "", &got, &err), &err);
    }
    world_stop(&w);
}

static int full_write(UNUSED struct sink *s, UNUSED const void *p, UNUSED size_t n, struct err *err)
{
    return err_set(err, ERR_NET, "the other end is full");
}

static void a_sink_that_fails_is_not_tried_again(UNUSED void **state)
{
    struct world w;
    struct err err = ERR_INIT;
    world_start(&w);
    {
        AUTO(http_free) struct http *h = new_http();
        AUTO(registry_free) struct registry *r = open_registry(h, &w, "good");
        struct sink to = { .write = full_write };
        struct descriptor d = { .size = 10 };
        digest_of(BLOB, 10, &d.id.d);
        assert_int_equal(registry_blob(r, &d, &to, &err), ERR_NET);
        assert_non_null(strstr(err.msg, "the other end is full"));
        assert_int_equal(w.registry->n_requests, 1);
        mem_free(to.failed);
    }
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_is_for_this_machine_alone),
        cmocka_unit_test(nobody_listening_is_said_at_once),
        cmocka_unit_test(a_blob_that_drips_is_given_up),
        cmocka_unit_test(challenges_are_read_however_they_are_written),
        cmocka_unit_test(one_token_serves_all_requests_of_all_threads),
        cmocka_unit_test(a_manifest_comes_with_its_type_and_digest),
        cmocka_unit_test(a_tag_is_resolved_by_head_or_else_by_get),
        cmocka_unit_test(a_bad_reference_is_not_sent),
        cmocka_unit_test(each_bad_manifest_ends_in_one_sentence),
        cmocka_unit_test(a_manifest_with_another_digest_is_refused),
        cmocka_unit_test(documents_that_can_be_read_in_two_ways_do_not_pass),
        cmocka_unit_test(a_blob_comes_whole_in_spite_of_breaks),
        cmocka_unit_test(storage_elsewhere_sees_no_token),
        cmocka_unit_test(a_challenge_from_elsewhere_is_not_answered),
        cmocka_unit_test(each_bad_blob_ends_in_one_sentence),
        cmocka_unit_test(an_empty_blob_must_be_empty),
        cmocka_unit_test(a_sink_that_fails_is_not_tried_again),
    };
    return UNIT_RUN("remote_registry", tests);
}
