#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "base/clock.h"
#include "base/digest.h"
#include "remote/registry.h"
#include "remote/registry_internal.h"
#include <sys/stat.h>

/*
 * A directory of its own for config.json, daemon.json, certs.d and helpers; and registries whose
 * answers are chosen by the first word of the repository's name.
 */
#define BLOB "0123456789"
#define MANIFEST "{\"schemaVersion\":2}"
#define BASIC_U_P "Basic dTpw" /* u:p */

struct world {
    char dir[64];
    int fd;
    struct fake *registry, *other;
    atomic_int n_tokens, n_posts;
    struct buf form; /* of the last POST */
    struct registry_settings settings;
    char *certs, *daemon;
    struct cancel *cancel;
    struct http *h;
    struct registry_config *config;
};

static void put(const struct world *w, const char *name, const char *text, mode_t mode)
{
    struct err err = ERR_INIT;
    assert_ok(file_replace(w->fd, name, text, strlen(text), mode, false, &err), &err);
    assert_int_equal(fchmodat(w->fd, name, mode, 0), 0);
}

static bool manifest(struct fake_conn *c)
{
    return fake_reply(c, "200 OK", "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n",
                      MANIFEST);
}

static bool challenge(struct fake_conn *c, const char *text)
{
    AUTO(mem_free) char *line = str_printf("WWW-Authenticate: %s\r\n", text);
    return fake_reply(c, "401 Unauthorized", line,
                      "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"who are you\"}]}");
}

static bool serve_token(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    bool is_post = strcmp(q->method, "POST") == 0;
    AUTO(mem_free)
    char *away = str_printf("Location: http://127.0.0.1:%d/token/away\r\n", w->other->port);
    AUTO(mem_free) char *number = NULL;
    if (is_post) {
        buf_clear(&w->form);
        fake_body(c, q, &w->form);
        w->n_posts++;
    }
    if (str_starts(q->path, "/token/redirected"))
        return fake_reply(c, is_post ? "307 Temporary Redirect" : "302 Found", away, "");
    if (is_post && str_starts(q->path, "/token/no-post"))
        return fake_reply(c, "404 Not Found", "", "");
    if (str_starts(q->path, "/token/refused"))
        return fake_reply(c, "401 Unauthorized", "", "{\"details\":\"incorrect password\"}");
    if (str_starts(q->path, "/token/limited"))
        return fake_reply(c, "429 Too Many Requests", "Retry-After: 0\r\n", "");
    number = str_printf("{\"token\":\"t%d\",\"expires_in\":300}", ++w->n_tokens);
    return fake_reply(c, "200 OK", "", number);
}

/* /v2/bearer-X/...: a token of /token/X, which must be the last that was given. */
static bool serve_bearer(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    AUTO(mem_free) char *last = str_printf("Bearer t%d", w->n_tokens);
    const char *kind = q->path + strlen("/v2/bearer-");
    AUTO(mem_free)
    char *text = str_printf("Bearer realm=\"http://127.0.0.1:%d/token/%.*s\",service=\"s v\"",
                            w->registry->port, (int)strcspn(kind, "/"), kind);
    if (str_eq(auth, last) || str_eq(auth, "Bearer ready"))
        return manifest(c);
    return challenge(c, text);
}

static bool serve_limits(struct fake_conn *c, const struct fake_request *q)
{
    static const char body[] = "{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"You have "
                               "reached your pull rate limit.\"}]}";
    bool is_hub = strstr(q->path, "limited-hub") != NULL;
    return fake_reply(c, "429 Too Many Requests",
                      is_hub ? "ratelimit-limit: 100;w=21600\r\nratelimit-remaining: 0;w=21600\r\n"
                             : "Retry-After: 0\r\n",
                      is_hub ? body : "");
}

static bool serve_blob(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free)
    char *away = str_printf("Location: http://127.0.0.1:%d/storage\r\n", w->other->port);
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    if (!str_eq(auth, BASIC_U_P))
        return challenge(c, "Basic realm=\"r\"");
    return fake_reply(c, "307 Temporary Redirect", away, "");
}

static bool serve(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    struct world *w = arg;
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    if (str_starts(q->path, "/token/"))
        return serve_token(c, q, w);
    if (str_starts(q->path, "/v2/bearer-"))
        return serve_bearer(c, q, w);
    if (str_starts(q->path, "/v2/limited"))
        return serve_limits(c, q);
    if (str_starts(q->path, "/v2/far-realm"))
        return challenge(c, "Bearer realm=\"http://192.0.2.1/token\"");
    if (strstr(q->path, "/blobs/") != NULL && str_starts(q->path, "/v2/basic"))
        return serve_blob(c, q, w);
    if (str_starts(q->path, "/v2/basic") && !str_eq(auth, BASIC_U_P))
        return challenge(c, "Basic realm=\"r\"");
    return strstr(q->path, "/blobs/") != NULL ? fake_reply(c, "200 OK", "", BLOB) : manifest(c);
}

/* Storage, a mirror, another registry: what it does stands in the path, too. */
static bool serve_other(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    if (str_starts(q->path, "/v2/missing"))
        return fake_reply(c, "404 Not Found", "", "");
    if (str_starts(q->path, "/v2/closed"))
        return challenge(c, "Basic realm=\"r\"");
    if (str_starts(q->path, "/v2/lying"))
        return strstr(q->path, "/blobs/") != NULL ? fake_reply(c, "200 OK", "", "012345678X")
                                                  : manifest(c);
    if (str_starts(q->path, "/v2/breaking") && strstr(q->path, "/blobs/") != NULL) {
        fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
        return false;
    }
    if (str_starts(q->path, "/token"))
        return fake_reply(c, "200 OK", "", "{\"token\":\"stolen\"}");
    return strstr(q->path, "/v2/") != NULL && strstr(q->path, "/blobs/") == NULL
               ? manifest(c)
               : fake_reply(c, "200 OK", "", BLOB);
}

static int setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    *state = w;
    w->fd = scratch_make(w->dir);
    w->other = fake_start(serve_other, w);
    w->registry = fake_start(serve, w);
    w->certs = str_printf("%s/certs.d", w->dir);
    w->daemon = str_printf("%s/daemon.json", w->dir);
    w->settings.certs_dir = w->certs;
    w->settings.daemon_json = w->daemon;
    w->cancel = cancel_new();
    w->h = http_new(w->cancel);
    AUTO(mem_free) char *path = str_printf("%s:/usr/bin:/bin", w->dir);
    setenv("DOCKER_CONFIG", w->dir, 1);
    setenv("PATH", path, 1);
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    registry_config_free(w->config);
    http_free(w->h);
    cancel_free(w->cancel);
    fake_stop(w->registry);
    fake_stop(w->other);
    strv_release(&w->settings.mirrors);
    strv_release(&w->settings.insecure);
    buf_release(&w->form);
    mem_free(w->certs);
    mem_free(w->daemon);
    scratch_remove(w->fd, w->dir);
    mem_free(w);
    return 0;
}

static void read_config(struct world *w)
{
    struct err err = ERR_INIT;
    registry_config_free(w->config);
    w->config = registry_config_read(&w->settings, &err);
    assert_ok(err.code, &err);
}

/* config.json with "%d" for the registry's port, read. */
static void configure(struct world *w, const char *before, const char *after)
{
    AUTO(mem_free) char *text = str_printf("%s127.0.0.1:%d%s", before, w->registry->port, after);
    put(w, "config.json", text, 0600);
    read_config(w);
}

static struct registry *open_at(struct world *w, const char *host, const char *path,
                                enum registry_access access)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = str_printf("%s/%s", host, path);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    assert_ok(image_name_parse(text, &name, &err), &err);
    struct registry *r = registry_open(w->h, w->config, &name, access, &err);
    assert_ok(err.code, &err);
    r->backoff_ms = 1;
    return r;
}

static struct registry *open_path(struct world *w, const char *path, enum registry_access access)
{
    AUTO(mem_free) char *host = str_printf("127.0.0.1:%d", w->registry->port);
    return open_at(w, host, path, access);
}

static int get(struct registry *r, struct err *err)
{
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(mem_free) char *type = NULL;
    struct blob_id id;
    err_clear(err);
    return registry_manifest(r, "1", &got, &type, &id, err);
}

static int get_path(struct world *w, const char *path, struct err *err)
{
    AUTO(registry_free) struct registry *r = open_path(w, path, REGISTRY_PULL);
    return get(r, err);
}

static int get_blob(struct registry *r, struct buf *got, struct err *err)
{
    struct descriptor d = { .size = 10 };
    digest_of(BLOB, 10, &d.id.d);
    AUTO(sink_free) struct sink *to = sink_buf(got, 100);
    err_clear(err);
    return registry_blob(r, &d, to, err);
}

static void assert_seen(struct fake *f, size_t i, const char *want)
{
    AUTO(mem_free) char *have = fake_seen(f, i, "Authorization");
    if (!str_eq(have, want))
        fail_msg("request %zu: '%s', not '%s'", i, have, want);
}

/* Nobody there got anything that proves who we are. */
static void assert_none_seen(struct fake *f)
{
    for (int i = 0; i < f->n_requests; i++)
        assert_seen(f, (size_t)i, NULL);
}

static void assert_says(const struct err *err, const char *text)
{
    if (strstr(err->msg, text) == NULL)
        fail_msg("'%s' does not say '%s'", err->msg, text);
}

/* --- config.json ------------------------------------------------------------------------------ */

static void the_entry_that_says_most_is_taken(UNUSED void **state)
{
    static const struct {
        const char *doc, *host, *path;
        bool is_https;
        const char *user, *secret;
    } rows[] = {
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}", "a.b", "x", true, "u", "p" },
        { "{\"auths\":{\"A.b\":{\"auth\":\"dTpw\"}}}", "a.b", "x", true, "u", "p" },
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}", "a.b", "x", false, "u", "p" },
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}", "a.b:443", "x", true, NULL, NULL },
        { "{\"auths\":{\"a.b:5\":{\"auth\":\"dTpw\"}}}", "a.b", "x", true, NULL, NULL },
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}", "c.a.b", "x", true, NULL, NULL },
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpw\"}}}", "a.bc", "x", true, NULL, NULL },
        { "{\"auths\":{\"https://a.b/v2/\":{\"auth\":\"dTpw\"}}}", "a.b", "x", true, "u", "p" },
        { "{\"auths\":{\"https://a.b\":{\"auth\":\"dTpw\"}}}", "a.b", "x", false, NULL, NULL },
        { "{\"auths\":{\"http://a.b/\":{\"auth\":\"dTpw\"}}}", "a.b", "x", false, "u", "p" },
        { "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}", "docker.io", "x",
          true, "u", "p" },
        { "{\"auths\":{\"docker.io\":{\"auth\":\"dTpw\"}}}", "docker.io", "x", true, "u", "p" },
        { "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"dTpw\"}}}", "a.b", "x", true,
          NULL, NULL },
        { "{\"auths\":{\"a.b\":{\"auth\":\"eDp5\"},\"a.b/team\":{\"auth\":\"dTpw\"},"
          "\"a.b/team/other\":{\"auth\":\"eDp5\"}}}",
          "a.b", "team/app", true, "u", "p" },
        { "{\"auths\":{\"a.b/team\":{\"auth\":\"dTpw\"}}}", "a.b", "teams/x", true, NULL, NULL },
        { "{\"auths\":{\"a.b/team/\":{\"auth\":\"dTpw\"}}}", "a.b", "team", true, "u", "p" },
        { "{\"auths\":{\"a.b\":{\"username\":\"u\",\"password\":\"p:q\"}}}", "a.b", "x", true, "u",
          "p:q" },
        { "{\"auths\":{\"a.b\":{\"auth\":\"dTpwOnE=\",\"username\":\"z\"}}}", "a.b", "x", true, "u",
          "p:q" },
        { "{\"auths\":{\"a.b\":{\"auth\":\"\"}}}", "a.b", "x", true, NULL, NULL },
        { "{\"auths\":{\"a.b\":{}},\"proxies\":{\"x\":[1]}}", "a.b", "x", true, NULL, NULL },
        { "{\"auths\":null}", "a.b", "x", true, NULL, NULL },
        { "{}", "a.b", "x", true, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(credentials_release) struct credentials c = { .user = NULL };
        AUTO(credential_file_free)
        struct credential_file *f =
            credential_file_parse(rows[i].doc, strlen(rows[i].doc), "c.json", &err);
        assert_ok(err.code, &err);
        assert_ok(credential_file_auth(f, rows[i].host, rows[i].path, rows[i].is_https, &c, &err),
                  &err);
        if (!str_eq(c.user, rows[i].user) || !str_eq(c.secret, rows[i].secret))
            fail_msg("%s for %s/%s: '%s'", rows[i].doc, rows[i].host, rows[i].path, c.user);
    }
}

static void a_bad_document_is_refused_without_its_secrets(UNUSED void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"auths\":{\"a.b\":{\"auth\" \"hunter2\"}}}",
        "{\"auths\":{\"a.b\":{\"auth\":\"hunter2\"\"}}}",
        "{\"auths\":{\"a.b\":{\"password\":\"hunter2\",\"password\":\"x\"}}}",
        "{\"auths\":[]}",
        "{\"auths\":{\"a.b\":\"hunter2\"}}",
        "{\"credsStore\":\"../hunter2\"}",
        "{\"credsStore\":\"a/hunter2\"}",
        "{\"credsStore\":1}",
        "{\"credHelpers\":\"hunter2\"}",
        "{\"credHelpers\":{\"a.b\":\"/bin/hunter2\"}}",
        "{\"credHelpers\":{\"a.b\":\"hunter2 x\"}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;
        assert_null(credential_file_parse(bad[i], strlen(bad[i]), "c.json", &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_says(&err, "'c.json'");
        assert_null(strstr(err.msg, "hunter2"));
    }
}

static void an_entry_that_cannot_be_read_matters_to_its_host_alone(UNUSED void **state)
{
    static const char *const entries[] = { "{\"auth\":\"hunter2\"}", "{\"auth\":\"dXA=\"}",
                                           "{\"auth\":5}", "{\"auth\":\"dTpw\\n\"}",
                                           "{\"identitytoken\":[\"hunter2\"]}" };
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        struct err err = ERR_INIT;
        AUTO(credentials_release) struct credentials c = { .user = NULL };
        AUTO(mem_free) char *doc = str_printf("{\"auths\":{\"a.b\":%s}}", entries[i]);
        AUTO(credential_file_free)
        struct credential_file *f = credential_file_parse(doc, strlen(doc), "c.json", &err);
        assert_ok(err.code, &err);
        assert_int_equal(credential_file_auth(f, "c.d", "x", true, &c, &err), 0);
        assert_int_equal(credential_file_auth(f, "a.b", "x", true, &c, &err), ERR_USAGE);
        assert_string_equal(err.msg, "'c.json': auths of 'a.b' cannot be read");
    }
}

static void a_host_has_its_own_helper_or_the_usual_one(UNUSED void **state)
{
    static const char doc[] = "{\"credsStore\":\"usual\",\"credHelpers\":{\"a.b\":\"own\","
                              "\"https://index.docker.io/v1/\":\"hub\",\"no.helper\":\"\"}}";
    struct err err = ERR_INIT;
    AUTO(credential_file_free)
    struct credential_file *f = credential_file_parse(doc, strlen(doc), "c.json", &err);
    assert_ok(err.code, &err);
    assert_string_equal(credential_file_helper(f, "a.b"), "own");
    assert_string_equal(credential_file_helper(f, "docker.io"), "hub");
    assert_string_equal(credential_file_helper(f, "a.b:5000"), "usual");
    assert_null(credential_file_helper(f, "no.helper"));
}

/* --- helpers ---------------------------------------------------------------------------------- */

static int ask_helper(struct world *w, const char *script, int timeout_ms, struct credentials *ret,
                      struct err *err)
{
    AUTO(mem_free) char *text = str_printf("#!/bin/sh\n%s\n", script);
    put(w, "docker-credential-test", text, 0755);
    err_clear(err);
    return credential_helper_get("test", "docker.io", w->cancel, timeout_ms, ret, err);
}

static void a_helper_is_given_the_host_and_gives_what_it_has(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(credentials_release) struct credentials c = { .user = NULL };
    AUTO(credentials_release) struct credentials token = { .user = NULL };
    AUTO(credentials_release) struct credentials none = { .user = NULL };
    assert_ok(
        ask_helper(w,
                   "read host; [ \"$1 $host\" = 'get https://index.docker.io/v1/' ] || exit 9; "
                   "echo '{\"ServerURL\":\"x\",\"Username\":\"u\",\"Secret\":\"p\"}'; "
                   "echo words >&2",
                   60000, &c, &err),
        &err);
    assert_string_equal(c.user, "u");
    assert_string_equal(c.secret, "p");
    assert_ok(
        ask_helper(w, "echo '{\"Username\":\"<token>\",\"Secret\":\"i\"}'", 60000, &token, &err),
        &err);
    assert_null(token.user);
    assert_string_equal(token.identity_token, "i");
    assert_ok(
        ask_helper(w, "echo credentials not found in native keychain; exit 1", 60000, &none, &err),
        &err);
    assert_false(credentials_are_there(&none));
}

static void each_failure_of_a_helper_is_one_sentence(void **state)
{
    static const struct {
        const char *script;
        int timeout_ms;
        const char *text;
    } rows[] = {
        { "echo the keyring is locked; echo more; exit 3", 60000,
          "'docker-credential-test' failed: the keyring is locked (exit 3)" },
        { "echo no session >&2; exit 1", 60000, "failed: no session (exit 1)" },
        { "echo '{\"Secret\":\"hunter2\"'; exit 1", 60000, "failed (exit 1)" },
        { "echo '{\"Username\":\"u\",\"Secret\" \"hunter2\"}'", 60000, "cannot be read" },
        { "echo '{\"Username\":\"u\"}'", 60000, "cannot be read" },
        { "echo '{\"Username\":\"u\",\"Secret\":\"a\",\"Secret\":\"b\"}'", 60000,
          "cannot be read" },
        { "head -c 200000 /dev/zero", 60000, "cannot be read" },
        { "exec sleep 100", 200, "gave no answer within 1 s" },
        { "sleep 100 & sleep 100", 200, "gave no answer within 1 s" },
        { "exec >&-; exec sleep 100", 200, "gave no answer within 1 s" },
    };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(credentials_release) struct credentials c = { .user = NULL };
        assert_int_equal(ask_helper(w, rows[i].script, rows[i].timeout_ms, &c, &err), ERR_AUTH);
        assert_says(&err, rows[i].text);
        assert_null(strstr(err.msg, "hunter2"));
    }
    struct err err = ERR_INIT;
    AUTO(credentials_release) struct credentials c = { .user = NULL };
    assert_int_equal(credential_helper_get("none-such", "a.b", NULL, 1000, &c, &err), ERR_AUTH);
    assert_string_equal(err.msg, "there is no program 'docker-credential-none-such' in PATH");
}

static void a_cancel_ends_a_helper(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(credentials_release) struct credentials c = { .user = NULL };
    cancel_set(w->cancel, 0);
    assert_int_equal(ask_helper(w, "exec sleep 100", 60000, &c, &err), ERR_CANCELLED);
}

static void a_helper_is_asked_once_and_not_before_the_registry_asks(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(mem_free)
    char *script = str_printf("#!/bin/sh\necho asked >>%s/asked\n"
                              "echo '{\"Username\":\"u\",\"Secret\":\"p\"}'\n",
                              w->dir);
    AUTO(buf_release) struct buf asked = BUF_INIT;
    put(w, "docker-credential-count", script, 0755);
    configure(w, "{\"credHelpers\":{\"", "\":\"count\"}}");
    assert_ok(get_path(w, "open/x", &err), &err);
    assert_int_equal(file_read(w->fd, "asked", 100, &asked, &err), ERR_NOT_FOUND);
    err_clear(&err);
    assert_ok(get_path(w, "basic/x", &err), &err);
    assert_ok(get_path(w, "basic/y", &err), &err);
    assert_ok(file_read(w->fd, "asked", 100, &asked, &err), &err);
    assert_string_equal(buf_str(&asked), "asked\n");
    put(w, "docker-credential-count", "#!/bin/sh\necho locked; exit 1\n", 0755);
    read_config(w);
    assert_int_equal(get_path(w, "basic/x", &err), ERR_AUTH);
    AUTO(mem_free)
    char *want = str_printf("cannot log in to 127.0.0.1:%d: the credential helper "
                            "'docker-credential-count' failed: locked (exit 1)",
                            w->registry->port);
    assert_string_equal(err.msg, want);
}

/* --- who we are, to whom ---------------------------------------------------------------------- */

static void a_password_is_sent_when_it_is_asked_for(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    AUTO(registry_free) struct registry *r = open_path(w, "basic/x", REGISTRY_PULL);
    assert_ok(get(r, &err), &err);
    assert_ok(get(r, &err), &err);
    assert_int_equal(w->registry->n_requests, 3);
    assert_seen(w->registry, 0, NULL);
    assert_seen(w->registry, 1, BASIC_U_P);
    assert_seen(w->registry, 2, BASIC_U_P);
}

static void a_wrong_password_is_sent_once(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"username\":\"u\",\"password\":\"hunter2\"}}}");
    assert_int_equal(get_path(w, "basic/x", &err), ERR_AUTH);
    AUTO(mem_free)
    char *want = str_printf("pull access denied for 127.0.0.1:%d/basic/x, repository does not "
                            "exist or may require authorization: server message: who are you",
                            w->registry->port);
    assert_string_equal(err.msg, want);
    assert_int_equal(w->registry->n_requests, 2);
    AUTO(registry_free) struct registry *r = open_path(w, "basic/x", REGISTRY_PUSH);
    assert_int_equal(get(r, &err), ERR_AUTH);
    assert_int_equal(strncmp(err.msg, "push access denied for ", 23), 0);
}

static void storage_gets_no_password(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf got = BUF_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    AUTO(registry_free) struct registry *r = open_path(w, "basic/x", REGISTRY_PULL);
    assert_ok(get_blob(r, &got, &err), &err);
    assert_string_equal(buf_str(&got), BLOB);
    assert_int_equal(w->other->n_requests, 1);
    assert_none_seen(w->other);
}

static void another_port_is_another_registry(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    AUTO(mem_free) char *host = str_printf("127.0.0.1:%d", w->other->port);
    AUTO(mem_free) char *name = str_printf("localhost:%d", w->registry->port);
    AUTO(registry_free) struct registry *r = open_at(w, host, "closed/x", REGISTRY_PULL);
    AUTO(registry_free) struct registry *by_name = open_at(w, name, "basic/x", REGISTRY_PULL);
    assert_int_equal(get(r, &err), ERR_AUTH);
    assert_int_equal(get(by_name, &err), ERR_AUTH);
    assert_none_seen(w->other);
    assert_none_seen(w->registry);
}

static void the_token_server_gets_the_password_and_the_registry_the_token(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    assert_ok(get_path(w, "bearer-good/x", &err), &err);
    assert_seen(w->registry, 0, NULL);
    assert_seen(w->registry, 1, BASIC_U_P);
    assert_seen(w->registry, 2, "Bearer t1");
    assert_non_null(strstr(w->registry->heads.v[1],
                           "GET /token/good?service=s%20v&scope=repository:bearer-good/x:pull "));
}

static void where_a_token_server_redirects_to_gets_nothing(void **state)
{
    static const char *const entries[] = { "\":{\"auth\":\"dTpw\"}}}",
                                           "\":{\"identitytoken\":\"hunter2\"}}}" };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        struct err err = ERR_INIT;
        configure(w, "{\"auths\":{\"", entries[i]);
        assert_true(get_path(w, "bearer-redirected/x", &err) < 0);
        assert_null(strstr(err.msg, "hunter2"));
        assert_int_equal(w->other->n_requests, 1); /* the GET's, without a word of who we are */
        assert_none_seen(w->other);
    }
}

static void a_plain_realm_elsewhere_is_not_asked(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    assert_int_equal(get_path(w, "far-realm/x", &err), ERR_AUTH);
    assert_says(&err, "sends for tokens to 'http://192.0.2.1/token', which is not https");
}

static int n_judged;

/* The registry's address is of outside, that of the next server not. */
static bool later_is_inside(UNUSED const char *ip)
{
    return n_judged++ > 0;
}

static void a_registry_outside_cannot_send_us_to_the_inside(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf got = BUF_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    AUTO(registry_free) struct registry *r = open_path(w, "bearer-good/x", REGISTRY_PULL);
    AUTO(registry_free) struct registry *blobs = open_path(w, "basic/x", REGISTRY_PULL);
    assert_ok(get(blobs, &err), &err);
    r->is_inside = blobs->is_inside = later_is_inside;
    n_judged = 0;
    assert_int_equal(get(r, &err), ERR_NET);
    assert_says(&err, "is an address of the inside");
    assert_int_equal(w->n_tokens, 0);
    n_judged = 0;
    assert_int_equal(get_blob(blobs, &got, &err), ERR_NET);
    assert_says(&err, "is an address of the inside");
    assert_int_equal(w->other->n_requests, 0);
}

static void an_identity_token_is_posted(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\",\"identitytoken\":\"i&d\"}}}");
    assert_ok(get_path(w, "bearer-good/x", &err), &err);
    assert_string_equal(buf_str(&w->form),
                        "grant_type=refresh_token&service=s%20v&client_id=shale&"
                        "scope=repository%3Abearer-good%2Fx%3Apull&refresh_token=i%26d");
    assert_seen(w->registry, 1, NULL);
    assert_seen(w->registry, 2, "Bearer t1");
}

static void a_server_without_post_is_asked_by_get(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"identitytoken\":\"p\"}}}");
    assert_ok(get_path(w, "bearer-no-post/x", &err), &err);
    assert_int_equal(w->n_posts, 1);
    assert_seen(w->registry, 2, "Basic OnA="); /* :p */
    assert_seen(w->registry, 3, "Bearer t1");
}

static void a_registry_token_is_the_token(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"registrytoken\":\"ready\"}}}");
    assert_ok(get_path(w, "bearer-good/x", &err), &err);
    assert_int_equal(w->registry->n_requests, 2);
    assert_int_equal(w->n_tokens, 0);
}

static void a_refused_password_is_said_with_the_servers_words(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    assert_int_equal(get_path(w, "bearer-refused/x", &err), ERR_AUTH);
    assert_says(&err, "may require authorization: server message: incorrect password");
    assert_int_equal(w->registry->n_requests, 2);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void a_token_serves_all_objects_of_one_repository(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    read_config(w);
    for (int i = 0; i < 3; i++)
        assert_ok(get_path(w, "bearer-good/x", &err), &err);
    assert_int_equal(w->n_tokens, 1);
}

static void a_shared_token_that_is_refused_is_got_anew_once(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    read_config(w);
    assert_ok(get_path(w, "bearer-good/x", &err), &err);
    w->n_tokens++; /* the server has forgotten the first one */
    assert_ok(get_path(w, "bearer-good/x", &err), &err);
    assert_seen(w->registry, 4, "Bearer t1");
    assert_seen(w->registry, 6, "Bearer t3");
    assert_int_equal(w->registry->n_requests, 7);
}

static void a_token_is_renewed_before_it_ends(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    read_config(w);
    AUTO(registry_free) struct registry *r = open_path(w, "bearer-good/x", REGISTRY_PULL);
    assert_ok(get(r, &err), &err);
    assert_true(r->until_ms > clock_mono_ms() + 280 * 1000 &&
                r->until_ms <= clock_mono_ms() + 290 * 1000);
    r->until_ms = r->at->tokens->until_ms = clock_mono_ms();
    assert_ok(get(r, &err), &err);
    assert_int_equal(w->registry->n_requests, 5); /* no refusal between */
    assert_seen(w->registry, 4, "Bearer t2");
}

static void a_mount_widens_the_scope(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
    AUTO(registry_free) struct registry *r = open_path(w, "bearer-good/x", REGISTRY_PUSH);
    assert_ok(get(r, &err), &err);
    registry_want_scope(r, "team/base");
    registry_want_scope(r, "team/base");
    registry_want_scope(r, "bearer-good/x");
    assert_ok(get(r, &err), &err);
    assert_int_equal(w->registry->n_requests, 5);
    assert_non_null(strstr(w->registry->heads.v[1], "scope=repository:bearer-good/x:pull,push "));
    assert_non_null(strstr(w->registry->heads.v[3], "scope=repository:bearer-good/x:pull,push&"
                                                    "scope=repository:team/base:pull "));
}

/* --- limits ----------------------------------------------------------------------------------- */

static void a_limit_is_said_in_words(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    read_config(w);
    AUTO(mem_free)
    char *want = str_printf(
        "127.0.0.1:%d/limited-hub/x:1: 127.0.0.1:%d limits how often it may be asked (100 in 6 h, "
        "0 left); log in with 'docker login' for a higher limit, or use a mirror "
        "(registry-mirror): You have reached your pull rate limit. (HTTP 429)",
        w->registry->port, w->registry->port);
    assert_int_equal(get_path(w, "limited-hub/x", &err), ERR_NET);
    assert_string_equal(err.msg, want);
    assert_int_equal(w->registry->n_requests, 1); /* nothing is left: no use */
    assert_int_equal(get_path(w, "limited-for-now/x", &err), ERR_NET);
    assert_says(&err, "may be asked (again in 0 s); log in");
    assert_int_equal(w->registry->n_requests, 1 + REGISTRY_TRIES);
    assert_int_equal(get_path(w, "bearer-limited/x", &err), ERR_NET);
    assert_says(&err, "cannot get a token for ");
    assert_says(&err, "limits how often it may be asked");
}

/* --- hosts ------------------------------------------------------------------------------------ */

static void insecure_hosts_are_named_or_in_a_block(void **state)
{
    static const struct {
        const char *name;
        bool is_insecure;
    } rows[] = {
        { "a.b:5000", true },     { "a.b", false },          { "A.B:5000", true },
        { "c.d", true },          { "10.1.2.3:5000", true }, { "10.1.2.3", true },
        { "11.1.2.3", false },    { "192.0.2.129", true },   { "192.0.2.127", false },
        { "[fd00::1]:80", true }, { "[fe00::1]", false },    { "10.example.com", false },
        { "e.f:1", true },
    };
    struct world *w = *state;
    put(w, "daemon.json",
        "{\"insecure-registries\":[\"a.b:5000\",\"10.0.0.0/8\",\"fd00::/8\"],"
        "\"registry-mirrors\":[\"https://m1.example/\"],\"log-level\":\"warn\"}",
        0644);
    strv_add(&w->settings.insecure, "c.d");
    strv_add(&w->settings.insecure, "http://e.f:1");
    strv_add(&w->settings.insecure, "192.0.2.128/25");
    strv_add(&w->settings.mirrors, "https://m0.example");
    strv_add(&w->settings.mirrors, "a.b:5000=http://m2.example:8080");
    read_config(w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (registry_config_is_insecure(w->config, rows[i].name) != rows[i].is_insecure)
            fail_msg("%s", rows[i].name);
    AUTO(strv_release) struct strv hub = STRV_INIT;
    AUTO(strv_release) struct strv own = STRV_INIT;
    registry_config_mirrors(w->config, "docker.io", &hub);
    registry_config_mirrors(w->config, "a.b:5000", &own);
    AUTO(mem_free) char *hubs = strv_join(&hub, " ");
    AUTO(mem_free) char *owns = strv_join(&own, " ");
    assert_string_equal(hubs, "https://m0.example https://m1.example");
    assert_string_equal(owns, "http://m2.example:8080");
}

static void what_cannot_be_meant_is_said_with_its_place(void **state)
{
    static const char *const daemons[] = { "{\"insecure-registries\":\"a.b\"}",
                                           "{\"insecure-registries\":[1]}",
                                           "{\"insecure-registries\":[\"a b\"]}",
                                           "{\"insecure-registries\":[\"10.0.0.0/33\"]}",
                                           "{\"registry-mirrors\":[\"ftp://x\"]}",
                                           "{\"registry-mirrors\":[\"https://x/y\"]}",
                                           "{\"registry-mirrors\":[\"https://u:hunter2@x\"]}",
                                           "{\"registry-mirrors\":[\"https://../x\"]}",
                                           "{\"a\":1,\"a\":2}",
                                           "[]",
                                           "{" };
    static const char *const mirrors[] = { "", "x", "a.b=x", "a/b=https://x", "a.b=https://x?y" };
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_LEN(daemons); i++) {
        struct err err = ERR_INIT;
        put(w, "daemon.json", daemons[i], 0644);
        assert_null(registry_config_read(&w->settings, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_says(&err, w->daemon);
        assert_null(strstr(err.msg, "hunter2"));
    }
    put(w, "daemon.json", "{}", 0644);
    for (size_t i = 0; i < ARRAY_LEN(mirrors); i++) {
        struct err err = ERR_INIT;
        strv_clear(&w->settings.mirrors);
        strv_add(&w->settings.mirrors, mirrors[i]);
        assert_null(registry_config_read(&w->settings, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_says(&err, "registry-mirror: ");
    }
}

static void an_insecure_host_without_tls_is_asked_by_http(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    strv_addf(&w->settings.insecure, "127.0.0.1:%d", w->registry->port);
    read_config(w);
    AUTO(registry_free) struct registry *r = open_path(w, "open/x", REGISTRY_PULL);
    AUTO(mem_free) char *want = fake_url(w->registry, "");
    assert_string_equal(r->base, want);
    assert_ok(get(r, &err), &err);
    assert_int_equal(w->registry->n_requests, 1); /* the attempt by TLS was no request */
}

static void certificates_are_used_whole_or_refused(void **state)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        { "client.cert", "client.cert' has no 'client.key' beside it (a CA's name ends in .crt)" },
        { "client.key", "client.key' has no 'client.cert' beside it" },
    };
    struct world *w = *state;
    assert_int_equal(mkdirat(w->fd, "certs.d", 0755), 0);
    assert_int_equal(mkdirat(w->fd, "certs.d/a.b:5", 0755), 0);
    put(w, "certs.d/a.b:5/1.crt", "ONE", 0644);
    put(w, "certs.d/a.b:5/2.crt", "TWO\n", 0644);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *path = str_printf("certs.d/a.b:5/%s", rows[i].name);
        put(w, path, "x", 0600);
        read_config(w);
        assert_null(registry_config_host(w->config, "a.b:5", NULL, &err));
        assert_int_equal(err.code, ERR_USAGE);
        assert_says(&err, rows[i].text);
        assert_int_equal(unlinkat(w->fd, path, 0), 0);
    }
    struct err err = ERR_INIT;
    struct http_request q = { .method = "GET" };
    put(w, "certs.d/a.b:5/client.cert", "x", 0600);
    put(w, "certs.d/a.b:5/client.key", "x", 0600);
    read_config(w);
    struct registry_host *t = registry_config_host(w->config, "a.b:5", NULL, &err);
    assert_ok(err.code, &err);
    registry_host_secure(t, &q);
    assert_string_equal(q.ca_extra, "ONE\nTWO\n\n");
    assert_non_null(strstr(q.cert_file, "/certs.d/a.b:5/client.cert"));
    assert_non_null(strstr(q.key_file, "/certs.d/a.b:5/client.key"));
    assert_false(q.is_unverified);
}

/* A proxy is asked with whole URLs; it takes no part in TLS here. */
static bool serve_proxy(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    if (strcmp(q->method, "CONNECT") == 0)
        return fake_reply(c, "502 Bad Gateway", "", "");
    if (str_starts(q->path, "http://registry.test:5001/token?"))
        return fake_reply(c, "200 OK", "", "{\"token\":\"t\"}");
    if (!str_starts(q->path, "http://registry.test:5000/v2/x/"))
        return fake_reply(c, "404 Not Found", "", "");
    return str_eq(auth, "Bearer t")
               ? manifest(c)
               : challenge(c, "Bearer realm=\"http://registry.test:5001/token\"");
}

static void registry_and_token_server_are_asked_through_the_proxy(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    struct fake *proxy = fake_start(serve_proxy, w);
    AUTO(mem_free) char *url = fake_url(proxy, "");
    put(w, "config.json", "{\"auths\":{\"registry.test:5000\":{\"auth\":\"dTpw\"}}}", 0600);
    strv_add(&w->settings.insecure, "registry.test:5000");
    read_config(w);
    setenv("http_proxy", url, 1);
    setenv("https_proxy", url, 1);
    AUTO(registry_free)
    struct registry *r = open_at(w, "registry.test:5000", "x", REGISTRY_PULL);
    int bad = get(r, &err);
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    assert_ok(bad, &err);
    assert_int_equal(proxy->n_requests, 4);
    assert_non_null(strstr(proxy->heads.v[0], "CONNECT registry.test:5000 "));
    assert_seen(proxy, 0, NULL);
    assert_seen(proxy, 1, NULL);
    assert_seen(proxy, 2, BASIC_U_P); /* to registry.test:5001, in the clear as it was said to be */
    assert_seen(proxy, 3, "Bearer t");
    fake_stop(proxy);
}

/* --- mirrors ---------------------------------------------------------------------------------- */

static void use_mirror(struct world *w)
{
    strv_clear(&w->settings.mirrors);
    strv_addf(&w->settings.mirrors, "127.0.0.1:%d=http://127.0.0.1:%d", w->registry->port,
              w->other->port);
    configure(w, "{\"auths\":{\"", "\":{\"auth\":\"dTpw\"}}}");
}

static void a_mirror_is_asked_instead(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    struct blob_id id;
    AUTO(buf_release) struct buf got = BUF_INIT;
    use_mirror(w);
    AUTO(registry_free) struct registry *r = open_path(w, "basic/x", REGISTRY_PULL);
    assert_ok(get(r, &err), &err);
    assert_ok(get_blob(r, &got, &err), &err);
    assert_ok(registry_resolve(r, "1", &id, &err), &err);
    assert_int_equal(w->registry->n_requests, 0);
    assert_none_seen(w->other);
    AUTO(registry_free) struct registry *push = open_path(w, "open/x", REGISTRY_PUSH);
    int before = w->other->n_requests;
    assert_ok(get(push, &err), &err);
    assert_int_equal(w->other->n_requests, before);
}

static void whatever_goes_wrong_at_a_mirror_the_registry_is_asked(void **state)
{
    static const char *const names[] = { "missing/x", "closed/x", "breaking/x" };
    struct world *w = *state;
    use_mirror(w);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err = ERR_INIT;
        AUTO(buf_release) struct buf got = BUF_INIT;
        read_config(w);
        AUTO(registry_free) struct registry *r = open_path(w, names[i], REGISTRY_PULL);
        r->mirrors[0]->backoff_ms = 1;
        assert_ok(get(r, &err), &err);
        assert_ok(get_blob(r, &got, &err), &err);
        assert_string_equal(buf_str(&got), BLOB);
    }
    assert_none_seen(w->other);
}

static void wrong_bytes_of_a_mirror_are_never_taken(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(buf_release) struct buf again = BUF_INIT;
    use_mirror(w);
    AUTO(registry_free) struct registry *r = open_path(w, "lying/x", REGISTRY_PULL);
    assert_int_equal(get_blob(r, &got, &err), ERR_CORRUPT);
    assert_true(registry_has_mirrors(r));
    int before = w->other->n_requests;
    assert_ok(get_blob(r, &again, &err), &err);
    assert_string_equal(buf_str(&again), BLOB);
    assert_int_equal(w->other->n_requests, before);
}

static void a_mirror_that_is_down_is_tried_once(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    int port = fake_free_port();
    strv_addf(&w->settings.mirrors, "127.0.0.1:%d=http://127.0.0.1:%d", w->registry->port, port);
    read_config(w);
    AUTO(registry_free) struct registry *r = open_path(w, "open/x", REGISTRY_PULL);
    assert_ok(get(r, &err), &err);
    assert_true(r->mirrors[0]->at->is_off);
    cancel_set(w->cancel, 0);
    assert_int_equal(get(r, &err), ERR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_entry_that_says_most_is_taken),
        cmocka_unit_test(a_bad_document_is_refused_without_its_secrets),
        cmocka_unit_test(an_entry_that_cannot_be_read_matters_to_its_host_alone),
        cmocka_unit_test(a_host_has_its_own_helper_or_the_usual_one),
#define IN_A_WORLD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        IN_A_WORLD(a_helper_is_given_the_host_and_gives_what_it_has),
        IN_A_WORLD(each_failure_of_a_helper_is_one_sentence),
        IN_A_WORLD(a_cancel_ends_a_helper),
        IN_A_WORLD(a_helper_is_asked_once_and_not_before_the_registry_asks),
        IN_A_WORLD(a_password_is_sent_when_it_is_asked_for),
        IN_A_WORLD(a_wrong_password_is_sent_once),
        IN_A_WORLD(storage_gets_no_password),
        IN_A_WORLD(another_port_is_another_registry),
        IN_A_WORLD(the_token_server_gets_the_password_and_the_registry_the_token),
        IN_A_WORLD(where_a_token_server_redirects_to_gets_nothing),
        IN_A_WORLD(a_plain_realm_elsewhere_is_not_asked),
        IN_A_WORLD(a_registry_outside_cannot_send_us_to_the_inside),
        IN_A_WORLD(an_identity_token_is_posted),
        IN_A_WORLD(a_server_without_post_is_asked_by_get),
        IN_A_WORLD(a_registry_token_is_the_token),
        IN_A_WORLD(a_refused_password_is_said_with_the_servers_words),
        IN_A_WORLD(a_token_serves_all_objects_of_one_repository),
        IN_A_WORLD(a_shared_token_that_is_refused_is_got_anew_once),
        IN_A_WORLD(a_token_is_renewed_before_it_ends),
        IN_A_WORLD(a_mount_widens_the_scope),
        IN_A_WORLD(a_limit_is_said_in_words),
        IN_A_WORLD(insecure_hosts_are_named_or_in_a_block),
        IN_A_WORLD(what_cannot_be_meant_is_said_with_its_place),
        IN_A_WORLD(an_insecure_host_without_tls_is_asked_by_http),
        IN_A_WORLD(certificates_are_used_whole_or_refused),
        IN_A_WORLD(registry_and_token_server_are_asked_through_the_proxy),
        IN_A_WORLD(a_mirror_is_asked_instead),
        IN_A_WORLD(whatever_goes_wrong_at_a_mirror_the_registry_is_asked),
        IN_A_WORLD(wrong_bytes_of_a_mirror_are_never_taken),
        IN_A_WORLD(a_mirror_that_is_down_is_tried_once),
    };
    return UNIT_RUN("remote_registry_config", tests);
}
