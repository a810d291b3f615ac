#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "remote/registry.h"
#include "remote/registry_internal.h"

/*
 * The fake registry: it takes uploads as the specification has it, and the repository's name says
 * what it does otherwise. What was completed is in committed.
 */
#define TOKEN "secret-token"
#define SESSIONS 64
#define BLOB_LEN 5000

struct world {
    struct fake *registry, *other; /* other: another server that uploads may be sent to */
    struct http *h;
    char blob[BLOB_LEN];
    atomic_int n_head, n_post, n_put, n_patch, n_get, n_delete, n_too_large, n_other, n_bodies;
    pthread_mutex_t lock; /* of what follows */
    struct buf sessions[SESSIONS];
    size_t n_sessions;
    struct strv committed; /* digests */
    struct strv ranges;    /* Content-Range of each PATCH */
    struct strv puts;      /* paths */
};

typedef bool (*serve_fn)(struct fake_conn *c, const struct fake_request *q, struct world *w);

struct behaviour {
    const char *name; /* of the repository */
    serve_fn serve;
};
static const struct behaviour behaviours[];

static bool is(const struct fake_request *q, const char *method)
{
    return strcmp(q->method, method) == 0;
}

/* --- a registry as it should be --------------------------------------------------------------- */

static bool reply_session(struct fake_conn *c, const char *status, const char *path, size_t id,
                          size_t n)
{
    AUTO(mem_free)
    char *headers =
        str_printf("Location: %.*s%zu?_state=a%%2Fb==\r\nRange: 0-%zu\r\n",
                   (int)(strstr(path, "/uploads/") + 9 - path), path, id, n > 0 ? n - 1 : 0);
    return fake_reply(c, status, headers, "");
}

static bool serve_post(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    w->n_post++;
    pthread_mutex_lock(&w->lock);
    size_t id = w->n_sessions++;
    pthread_mutex_unlock(&w->lock);
    if (id >= SESSIONS)
        return fake_reply(c, "507 Full", "", "");
    return reply_session(c, "202 Accepted", q->path, id, 0);
}

static struct buf *session_of(const struct fake_request *q, struct world *w, size_t *ret_id)
{
    const char *at = strstr(q->path, "/uploads/");
    *ret_id = at != NULL ? strtoul(at + 9, NULL, 10) : SESSIONS;
    return *ret_id < SESSIONS ? &w->sessions[*ret_id] : NULL;
}

static bool serve_patch(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    size_t id;
    struct buf *session = session_of(q, w, &id);
    AUTO(mem_free) char *range = fake_header(q->head.data, "Content-Range");
    w->n_patch++;
    pthread_mutex_lock(&w->lock);
    strv_add(&w->ranges, range != NULL ? range : "none");
    pthread_mutex_unlock(&w->lock);
    if (session == NULL || range == NULL || strtoul(range, NULL, 10) != session->len)
        return fake_reply(c, "416 Range Not Satisfiable", "", "") && false;
    return fake_body(c, q, session) && reply_session(c, "202 Accepted", q->path, id, session->len);
}

static bool serve_put(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    size_t id;
    struct buf *session = session_of(q, w, &id);
    const char *want = strstr(q->path, "digest=");
    struct digest have;
    w->n_put++;
    pthread_mutex_lock(&w->lock);
    strv_add(&w->puts, q->path);
    pthread_mutex_unlock(&w->lock);
    if (session == NULL || want == NULL || !fake_body(c, q, session))
        return false;
    w->n_bodies++;
    digest_of(buf_str(session), session->len, &have);
    if (strcmp(want + 7, DIGEST_S(&have)) != 0)
        return fake_reply(c, "400 Bad Request", "",
                          "{\"errors\":[{\"code\":\"DIGEST_INVALID\",\"message\":\"not it\"}]}");
    pthread_mutex_lock(&w->lock);
    strv_add(&w->committed, want + 7);
    pthread_mutex_unlock(&w->lock);
    AUTO(mem_free) char *headers = str_printf("Docker-Content-Digest: %s\r\n", want + 7);
    return fake_reply(c, "201 Created", headers, "");
}

static bool serve_head(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    const char *digest = strstr(q->path, "sha256:");
    w->n_head++;
    pthread_mutex_lock(&w->lock);
    bool has = digest != NULL && strv_has(&w->committed, digest);
    pthread_mutex_unlock(&w->lock);
    return fake_reply(c, has ? "200 OK" : "404 Not Found", "", "");
}

static bool good(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    size_t id;
    struct buf *session = session_of(q, w, &id);
    if (is(q, "HEAD"))
        return serve_head(c, q, w);
    if (is(q, "POST"))
        return serve_post(c, q, w);
    if (is(q, "PATCH"))
        return serve_patch(c, q, w);
    if (is(q, "PUT"))
        return serve_put(c, q, w);
    w->n_get += is(q, "GET");
    w->n_delete += is(q, "DELETE");
    return session != NULL && is(q, "GET")
               ? reply_session(c, "204 No Content", q->path, id, session->len)
               : fake_reply(c, "204 No Content", "", "");
}

static bool serve_registry(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    for (const struct behaviour *b = behaviours; b->name != NULL; b++) {
        AUTO(mem_free) char *prefix = str_printf("/v2/%s/", b->name);
        AUTO(mem_free) char *token = str_printf("/token/%s", b->name);
        if (str_starts(q->path, prefix) || str_starts(q->path, token))
            return b->serve(c, q, arg);
    }
    return fake_reply(c, "404 Not Found", "", "");
}

static bool serve_other(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    struct world *w = arg;
    w->n_other++;
    return good(c, q, w);
}

/* --- and otherwise ---------------------------------------------------------------------------- */

static bool mounts(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "POST") || strstr(q->path, "?mount=sha256:") == NULL)
        return good(c, q, w);
    if (strstr(q->path, "&from=team/has") != NULL) {
        w->n_post++;
        return fake_reply(c, "201 Created", "Location: /v2/x\r\n", "");
    }
    if (strstr(q->path, "&from=team/secret") != NULL) {
        w->n_post++;
        return fake_reply(c, "403 Forbidden", "", "");
    }
    return good(c, q, w);
}

/* The first PUT on a connection that was used before gets no answer: a connection that had died. */
static bool dies_once(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (is(q, "PUT") && w->n_put == 0) {
        w->n_put++;
        fake_take(c, 10, NULL);
        return false;
    }
    return good(c, q, w);
}

static bool too_large(struct fake_conn *c, const struct fake_request *q, struct world *w,
                      size_t max)
{
    AUTO(mem_free) char *length = fake_header(q->head.data, "Content-Length");
    if (length == NULL || strtoul(length, NULL, 10) <= max)
        return good(c, q, w);
    w->n_too_large++;
    fake_body(c, q, NULL);
    return fake_reply(c, "413 Request Entity Too Large", "", "<html>");
}

static bool takes_300(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return too_large(c, q, w, 300);
}

static bool takes_3(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return too_large(c, q, w, 3);
}

/* Its POST says OCI-Chunk-Min-Length: 2000. */
static bool wants_chunks(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "POST"))
        return good(c, q, w);
    AUTO(mem_free)
    char *headers =
        str_printf("OCI-Chunk-Min-Length: 2000\r\nLocation: %s%zu\r\n", q->path, w->n_sessions++);
    w->n_post++;
    return fake_reply(c, "202 Accepted", headers, "");
}

/* The second chunk breaks off after 100 of its bytes. */
static bool chunk_breaks(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    size_t id;
    struct buf *session = session_of(q, w, &id);
    if (is(q, "PATCH") && session != NULL && w->n_patch == 1) {
        w->n_patch++;
        fake_take(c, 100, session);
        return false;
    }
    return good(c, q, w);
}

static bool loses_session(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (is(q, "PATCH") && w->n_patch == 1) {
        w->n_patch++;
        fake_body(c, q, NULL);
        return fake_reply(c, "404 Not Found", "", "");
    }
    if (is(q, "GET"))
        return fake_reply(c, "404 Not Found", "", "");
    return good(c, q, w);
}

static bool resets_once(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };
    if (!is(q, "PUT") || w->n_put > 0)
        return good(c, q, w);
    w->n_put++;
    fake_take(c, 1000, NULL);
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    return false;
}

static bool resets_always(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    w->n_put++;
    fake_take(c, 1000, NULL);
    return false;
}

/* Takes it, and breaks off instead of saying so. */
static bool loses_answer(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    w->n_put++;
    fake_body(c, q, &bytes);
    pthread_mutex_lock(&w->lock);
    strv_add(&w->committed, strstr(q->path, "digest=") + 7);
    pthread_mutex_unlock(&w->lock);
    fake_puts(c, "HTTP/1.1 201 Cre\r\n"); /* more than nothing: curl does not ask again itself */
    return false;
}

static bool busy_twice(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT") || w->n_put >= 2)
        return good(c, q, w);
    fake_body(c, q, NULL);
    return fake_reply(c, w->n_put++ == 0 ? "503 Busy" : "429 Slow Down", "Retry-After: 0\r\n", "");
}

static bool answers_put(struct fake_conn *c, const struct fake_request *q, struct world *w,
                        const char *status, const char *headers, const char *body)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    w->n_put++;
    return fake_body(c, q, NULL) && fake_reply(c, status, headers, body);
}

static bool busy_always(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return answers_put(c, q, w, "429 Too Many Requests", "Retry-After: 999999999999\r\n", "");
}

static bool fails_always(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return answers_put(c, q, w, "500 Oops", "", "<html>secret</html>");
}

#define OTHER_DIGEST "sha256:0000000000000000000000000000000000000000000000000000000000000001"

static bool other_digest(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return answers_put(c, q, w, "201 Created", "Docker-Content-Digest: " OTHER_DIGEST "\r\n", "");
}

static bool no_digest(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return answers_put(c, q, w, "201 Created", "Docker-Content-Digest: sha256:../x\r\n", "");
}

static bool only_accepts(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return answers_put(c, q, w, "202 Accepted", "", "");
}

static bool forbids(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "POST"))
        return good(c, q, w);
    return fake_reply(c, "403 Forbidden", "",
                      "{\"errors\":[{\"code\":\"DENIED\",\"message\":\"read only\"}]}");
}

static bool no_pushes(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "POST"))
        return good(c, q, w);
    return fake_reply(c, "405 Method Not Allowed", "", "");
}

static bool location_is(struct fake_conn *c, const struct fake_request *q, struct world *w,
                        const char *location)
{
    if (!is(q, "POST"))
        return good(c, q, w);
    w->n_post++;
    AUTO(mem_free) char *headers = str_printf("Location: %s\r\n", location);
    return fake_reply(c, "202 Accepted", headers, "");
}

static bool no_location(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "POST"))
        return good(c, q, w);
    return fake_reply(c, "202 Accepted", "", "");
}

static bool location_ftp(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    return location_is(c, q, w, "ftp://example.com/upload");
}

static bool endless_headers(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    fake_puts(c, "HTTP/1.1 201 Created\r\n");
    while (fake_puts(c, "X-More: and more, and more, and more, and more, and more, and more\r\n"))
        ;
    return false;
}

static bool endless_body(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    fake_body(c, q, NULL);
    fake_puts(c, "HTTP/1.1 201 Created\r\n\r\n");
    while (fake_puts(c, "0123456789012345678901234567890123456789012345678901234567890123456789"))
        ;
    return false;
}

static bool silent(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PUT"))
        return good(c, q, w);
    w->n_put++;
    fake_hang(c);
    return false;
}

static bool nonsense_range(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    if (!is(q, "PATCH"))
        return wants_chunks(c, q, w);
    w->n_patch++;
    fake_body(c, q, NULL);
    return fake_reply(c, "202 Accepted", "Range: 0-99999999\r\n", "");
}

/* Wants a token; uploads go to the other server, by its other name. */
static bool to_other(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free) char *auth = fake_header(q->head.data, "Authorization");
    AUTO(mem_free)
    char *challenge = str_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token/"
                                 "to-other\",service=\"s\"\r\n",
                                 w->registry->port);
    AUTO(mem_free)
    char *location =
        str_printf("http://localhost:%d/v2/x/blobs/uploads/7?sig=%%2B/", w->other->port);
    if (str_starts(q->path, "/token"))
        return fake_reply(c, "200 OK", "", "{\"token\":\"" TOKEN "\"}");
    if (!str_eq(auth, "Bearer " TOKEN))
        return fake_reply(c, "401 Unauthorized", challenge, "");
    return location_is(c, q, w, location);
}

static bool token_loop(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    AUTO(mem_free)
    char *challenge = str_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token/"
                                 "token-loop\"\r\n",
                                 w->registry->port);
    if (str_starts(q->path, "/token"))
        return fake_reply(c, "200 OK", "", "{\"token\":\"wrong\"}");
    return fake_reply(c, "401 Unauthorized", challenge, "{}");
}

/* PUT of a manifest: its reference says how it is answered. */
static bool manifests(struct fake_conn *c, const struct fake_request *q, struct world *w)
{
    struct digest have;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    AUTO(mem_free) char *type = fake_header(q->head.data, "Content-Type");
    const char *tag = strstr(q->path, "/manifests/") + 11;
    w->n_put++;
    if (!fake_body(c, q, &bytes))
        return false;
    digest_of(bytes.data, bytes.len, &have);
    if (strcmp(tag, "busy") == 0 && w->n_put < 3)
        return fake_reply(c, "503 Busy", "Retry-After: 0\r\n", "");
    if (strcmp(tag, "immutable") == 0)
        return fake_reply(c, "409 Conflict", "", "");
    if (strcmp(tag, "words") == 0)
        return fake_reply(c, "400 Bad Request", "",
                          "{\"errors\":[{\"code\":\"TAG_INVALID\",\"message\":\"tag is "
                          "immutable\\u001b[1m\"}]}");
    if (strcmp(tag, "large") == 0)
        return fake_reply(c, "413 Too Large", "", "");
    if (strcmp(tag, "twice") == 0)
        return fake_reply(c, "400 Bad Request", "",
                          "{\"errors\":[{\"message\":\"a\",\"message\":\"b\"}]}");
    if (strcmp(tag, "lies") == 0 || !str_eq(type, doc_media_type(DOC_OCI_MANIFEST)))
        return fake_reply(c, "201 Created", "Docker-Content-Digest: " OTHER_DIGEST "\r\n", "");
    AUTO(mem_free) char *headers = str_printf("Docker-Content-Digest: %s\r\n", DIGEST_S(&have));
    return fake_reply(c, "201 Created", headers, "");
}

static const struct behaviour behaviours[] = {
    { "good", good },
    { "mounts", mounts },
    { "dies-once", dies_once },
    { "takes-300", takes_300 },
    { "takes-3", takes_3 },
    { "wants-chunks", wants_chunks },
    { "chunk-breaks", chunk_breaks },
    { "loses-session", loses_session },
    { "resets-once", resets_once },
    { "resets-always", resets_always },
    { "loses-answer", loses_answer },
    { "busy-twice", busy_twice },
    { "busy-always", busy_always },
    { "fails-always", fails_always },
    { "other-digest", other_digest },
    { "no-digest", no_digest },
    { "only-accepts", only_accepts },
    { "forbids", forbids },
    { "no-pushes", no_pushes },
    { "no-location", no_location },
    { "location-ftp", location_ftp },
    { "endless-headers", endless_headers },
    { "endless-body", endless_body },
    { "silent", silent },
    { "nonsense-range", nonsense_range },
    { "to-other", to_other },
    { "token-loop", token_loop },
    { "documents", manifests },
    { NULL, NULL },
};

/* --- pushing into it -------------------------------------------------------------------------- */

static int world_start(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    pthread_mutex_init(&w->lock, NULL);
    for (size_t i = 0; i < BLOB_LEN; i++)
        w->blob[i] = (char)('a' + i % 23 + i / 251 % 3);
    w->other = fake_start(serve_other, w);
    w->registry = fake_start(serve_registry, w);
    w->h = http_new(NULL);
    *state = w;
    return 0;
}

static int world_stop(void **state)
{
    struct world *w = *state;
    http_free(w->h);
    fake_stop(w->registry);
    fake_stop(w->other);
    for (size_t i = 0; i < SESSIONS; i++)
        buf_release(&w->sessions[i]);
    strv_release(&w->committed);
    strv_release(&w->ranges);
    strv_release(&w->puts);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
    return 0;
}

static struct registry *open_registry(struct world *w, const char *path)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = str_printf("127.0.0.1:%d/%s", w->registry->port, path);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    assert_ok(image_name_parse(text, &name, &err), &err);
    struct registry *r = registry_open(w->h, NULL, &name, REGISTRY_PUSH, &err);
    assert_non_null(r);
    r->backoff_ms = 1;
    r->wait_max_ms = 20;
    r->chunk_max = 4096;
    return r;
}

/* What is sent, and what the source gives, which may be something else. */
struct sent {
    const char *p;
    size_t n;
    const char *gives;
    size_t n_gives;
    int n_opened;
    uint64_t last; /* progress */
};

static struct source *sent_open(void *arg, UNUSED struct err *err)
{
    struct sent *s = arg;
    s->n_opened++;
    return source_mem(s->gives, s->n_gives);
}

static void sent_progress(void *arg, uint64_t bytes, uint64_t total)
{
    struct sent *s = arg;
    if (total == s->n)
        s->last = bytes;
}

static int push_as(struct registry *r, struct sent *s, const struct strv *from,
                   enum registry_pushed *how, struct err *err)
{
    struct descriptor d = { .size = s->n };
    struct registry_upload u = {
        .what = &d, .mount_from = from, .open = sent_open, .arg = s, .sent = sent_progress
    };
    digest_of(s->p, s->n, &d.id.d);
    err_clear(err);
    return registry_push_blob(r, &u, how, err);
}

static struct sent all_of(const struct world *w)
{
    return (struct sent){ .p = w->blob, .n = BLOB_LEN, .gives = w->blob, .n_gives = BLOB_LEN };
}

/* The whole blob into the repository of that name; it must go. */
static void push_into(struct world *w, const char *path, const struct strv *from,
                      enum registry_pushed want)
{
    struct err err = ERR_INIT;
    enum registry_pushed how = REGISTRY_WAS_THERE;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, path);
    assert_ok(push_as(r, &s, from, &how, &err), &err);
    assert_int_equal(how, want);
    if (want == REGISTRY_SENT)
        assert_int_equal(s.last, BLOB_LEN);
}

static void assert_committed(struct world *w, size_t n)
{
    struct digest d;
    digest_of(w->blob, BLOB_LEN, &d);
    assert_int_equal(w->committed.n, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(w->committed.v[i], DIGEST_S(&d));
}

static void a_blob_is_sent_in_one_request_to_where_the_registry_says(void **state)
{
    struct world *w = *state;
    struct digest d;
    push_into(w, "good", NULL, REGISTRY_SENT);
    assert_committed(w, 1);
    assert_int_equal(w->n_head, 1);
    assert_int_equal(w->n_post, 1);
    assert_int_equal(w->n_put, 1);
    assert_int_equal(w->n_patch, 0);
    digest_of(w->blob, BLOB_LEN, &d);
    AUTO(mem_free)
    char *want = str_printf("/v2/good/blobs/uploads/0?_state=a%%2Fb==&digest=%s", DIGEST_S(&d));
    assert_string_equal(w->puts.v[0], want);
    AUTO(mem_free) char *type = fake_seen(w->registry, 2, "Content-Type");
    assert_string_equal(type, "application/octet-stream");
}

static void a_blob_that_is_there_is_not_sent(void **state)
{
    struct world *w = *state;
    push_into(w, "good", NULL, REGISTRY_SENT);
    push_into(w, "good", NULL, REGISTRY_WAS_THERE);
    assert_int_equal(w->n_post, 1);
}

static void an_empty_blob_is_sent(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how = REGISTRY_WAS_THERE;
    struct sent empty = { .p = "", .gives = "" }, more = { .p = "", .gives = "x", .n_gives = 1 };
    AUTO(registry_free) struct registry *r = open_registry(w, "good");
    assert_int_equal(push_as(r, &more, NULL, &how, &err), ERR_CORRUPT);
    assert_int_equal(w->committed.n, 0);
    assert_ok(push_as(r, &empty, NULL, &how, &err), &err);
    assert_int_equal(w->committed.n, 1);
}

static void a_blob_is_mounted_where_another_repository_has_it(void **state)
{
    struct world *w = *state;
    AUTO(strv_release) struct strv from = STRV_INIT;
    strv_add(&from, "mounts"); /* itself: not asked */
    strv_add(&from, "team/secret");
    strv_add(&from, "team/lacks");
    strv_add(&from, "team/has");
    push_into(w, "mounts", &from, REGISTRY_MOUNTED);
    assert_int_equal(w->n_post, 3);
    assert_int_equal(w->n_put, 0);
    assert_int_equal(w->n_delete, 1); /* the session that the second one began */
}

static void a_mount_that_does_not_go_is_an_upload(void **state)
{
    struct world *w = *state;
    AUTO(strv_release) struct strv from = STRV_INIT;
    AUTO(strv_release) struct strv secret = STRV_INIT;
    strv_add(&from, "team/lacks");
    push_into(w, "mounts", &from, REGISTRY_SENT);
    assert_int_equal(w->n_post, 1);
    strv_clear(&w->committed);
    strv_add(&secret, "team/secret");
    push_into(w, "mounts", &secret, REGISTRY_SENT);
    assert_int_equal(w->n_post, 3);
    assert_int_equal(w->n_delete, 0);
    assert_committed(w, 1);
}

static void twenty_blobs_go_over_one_connection(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    AUTO(registry_free) struct registry *r = open_registry(w, "good");
    for (size_t i = 0; i < 20; i++) {
        struct sent s = { .p = w->blob + i, .n = 4000, .gives = w->blob + i, .n_gives = 4000 };
        assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    }
    assert_int_equal(w->committed.n, 20);
    assert_int_equal(w->registry->n_connections, 1);
}

struct worker {
    struct world *w;
    struct registry *r;
    size_t first;
    pthread_t thread;
    struct err err;
};

static void *push_five(void *arg)
{
    struct worker *k = arg;
    enum registry_pushed how;
    for (size_t i = k->first; i < k->first + 5; i++) {
        struct sent s = {
            .p = k->w->blob + i, .n = 4000, .gives = k->w->blob + i, .n_gives = 4000
        };
        if (push_as(k->r, &s, NULL, &how, &k->err) < 0)
            return NULL;
    }
    return NULL;
}

static void several_threads_push_into_one_repository(void **state)
{
    struct world *w = *state;
    AUTO(registry_free) struct registry *r = open_registry(w, "good");
    struct worker workers[4];
    for (size_t i = 0; i < 4; i++) {
        workers[i] = (struct worker){ .w = w, .r = r, .first = 5 * i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, push_five, &workers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++)
        pthread_join(workers[i].thread, NULL);
    for (size_t i = 0; i < 4; i++)
        assert_ok(workers[i].err.code, &workers[i].err);
    assert_int_equal(w->committed.n, 20);
    assert_true(w->registry->n_connections <= 4);
}

static void a_connection_that_had_died_gets_the_whole_body_again(void **state)
{
    struct world *w = *state;
    push_into(w, "dies-once", NULL, REGISTRY_SENT);
    assert_committed(w, 1);
    assert_int_equal(w->n_put, 2);
    assert_int_equal(w->n_post, 1); /* curl did it: no new upload */
}

/* --- other bytes than named ------------------------------------------------------------------- */

static void a_source_of_other_bytes_never_completes_an_upload(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how = REGISTRY_MOUNTED;
    static const char *const says[] = { "what was to be sent has digest sha256:",
                                        "what was to be sent ends after 4999 of 5000 bytes",
                                        "what was to be sent is longer than the 5000 bytes" };
    char *other = mem_zalloc(BLOB_LEN + 1);
    static const size_t sizes[] = { BLOB_LEN, BLOB_LEN - 1, BLOB_LEN + 1 };
    for (size_t chunk = 0; chunk <= 1000; chunk += 1000)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            struct sent s = all_of(w);
            AUTO(registry_free) struct registry *r = open_registry(w, "good");
            r->chunk = chunk;
            memcpy(other, w->blob, BLOB_LEN);
            other[BLOB_LEN - 1] = i == 0 ? '!' : other[BLOB_LEN - 1];
            s.gives = other;
            s.n_gives = sizes[i];
            assert_int_equal(push_as(r, &s, NULL, &how, &err), ERR_CORRUPT);
            assert_non_null(strstr(err.msg, says[i]));
            assert_int_equal(s.n_opened, 1);
        }
    mem_free(other);
    assert_int_equal(w->committed.n, 0);
    assert_int_equal(w->n_bodies, 0); /* no PUT was ever whole */
    assert_int_equal(w->n_delete, 6);
    assert_int_equal(how, REGISTRY_MOUNTED);
}

static struct source *no_open(UNUSED void *arg, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "the layer is gone");
    return NULL;
}

static void a_source_that_cannot_be_opened_says_so(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct descriptor d = { .size = 10 };
    struct registry_upload u = { .what = &d, .open = no_open };
    AUTO(registry_free) struct registry *r = open_registry(w, "good");
    assert_int_equal(registry_push_blob(r, &u, &how, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.msg, "/good: the layer is gone"));
    assert_int_equal(w->n_delete, 1);
}

/* --- chunks ----------------------------------------------------------------------------------- */

static void bodies_that_are_too_large_are_cut_into_chunks(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "takes-300");
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    assert_committed(w, 1);
    assert_int_equal(w->n_too_large, 3); /* 5000, 4096, 1024 */
    assert_int_equal(w->n_patch, 20);    /* of 256 */
    assert_string_equal(w->ranges.v[0], "0-255");
    assert_string_equal(w->ranges.v[19], "4864-4999");
    /* The next one begins so. */
    strv_clear(&w->committed);
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    assert_int_equal(w->n_too_large, 3);
}

static void a_registry_that_wants_chunks_gets_them(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "wants-chunks");
    r->chunk_max = 1024;
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    assert_committed(w, 1);
    assert_int_equal(w->n_patch, 3);
    assert_string_equal(w->ranges.v[1], "2000-3999");
    assert_string_equal(w->ranges.v[2], "4000-4999");
}

static void a_chunk_that_breaks_off_is_gone_on_with_from_where_it_is(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "chunk-breaks");
    r->chunk = 2000;
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    assert_committed(w, 1);
    assert_int_equal(w->n_post, 1);
    assert_string_equal(w->ranges.v[0], "0-1999");
    assert_true(str_starts(w->ranges.v[1], "2000-") || str_starts(w->ranges.v[1], "2100-"));
    assert_string_equal(w->ranges.v[w->ranges.n - 1], "4100-4999");
}

static void an_upload_that_the_registry_forgot_is_begun_anew(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "loses-session");
    r->chunk = 2000;
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
    assert_committed(w, 1);
    assert_int_equal(w->n_post, 2);
}

static void what_a_session_has_is_read_strictly(UNUSED void **state)
{
    static const struct {
        const char *text;
        bool is_good;
        uint64_t next;
    } cases[] = {
        { "0-0", true, 0 },
        { "0-9", true, 10 },
        { "bytes=0-9", true, 10 },
        { "", false, 0 },
        { "0", false, 0 },
        { "0-", false, 0 },
        { "1-9", false, 0 },
        { "0-9 ", false, 0 },
        { "0--1", false, 0 },
        { "-0-9", false, 0 },
        { "0-0x9", false, 0 },
        { "0-9,11-12", false, 0 },
        { "bytes 0-9", false, 0 },
        { "0-999999999999999999", true, 1000000000000000000 },
        { "0-9999999999999999999", false, 0 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t next = 77;
        assert_int_equal(upload_range_parse(cases[i].text, &next), cases[i].is_good);
        assert_int_equal(next, cases[i].is_good ? cases[i].next : 77);
    }
}

/* --- what passes ------------------------------------------------------------------------------ */

static void an_upload_that_breaks_off_is_sent_again(void **state)
{
    struct world *w = *state;
    push_into(w, "resets-once", NULL, REGISTRY_SENT);
    assert_committed(w, 1);
}

static void an_upload_whose_answer_was_lost_is_looked_for(void **state)
{
    struct world *w = *state;
    push_into(w, "loses-answer", NULL, REGISTRY_SENT);
    assert_int_equal(w->n_put, 1);
    assert_int_equal(w->n_head, 2);
}

static void a_busy_registry_is_waited_for(void **state)
{
    struct world *w = *state;
    push_into(w, "busy-twice", NULL, REGISTRY_SENT);
    assert_committed(w, 1);
}

/* --- what does not ---------------------------------------------------------------------------- */

struct refusal {
    const char *path;
    enum err_code code;
    const char *says; /* behind "blob DIGEST of NAME: "; "PORT": the registry's */
    int n_put;        /* -1: any */
};

static void check_refusal(struct world *w, const struct refusal *c)
{
    struct err err = ERR_INIT;
    enum registry_pushed how = REGISTRY_WAS_THERE;
    struct sent s = all_of(w);
    struct digest d;
    AUTO(registry_free) struct registry *r = open_registry(w, c->path);
    r->idle_timeout_s = 1;
    if (str_eq(c->path, "silent")) /* each takes some seconds */
        r->tries = 1;
    w->n_put = 0;
    if (push_as(r, &s, NULL, &how, &err) != (int)c->code)
        fail_msg("%s: %d %s", c->path, err.code, err.msg);
    digest_of(w->blob, BLOB_LEN, &d);
    AUTO(buf_release) struct buf want = BUF_INIT;
    if (c->code != ERR_AUTH)
        buf_addf(&want, "blob %s of 127.0.0.1:%d/%s: ", DIGEST_S(&d), w->registry->port, c->path);
    const char *p = c->says, *port;
    for (; (port = strstr(p, "PORT")) != NULL; p = port + 4) {
        buf_add(&want, p, (size_t)(port - p));
        buf_addf(&want, "%d", w->registry->port);
    }
    buf_adds(&want, p);
    assert_string_equal(err.msg, want.data);
    if (c->n_put >= 0)
        assert_int_equal(w->n_put, c->n_put);
    assert_int_equal(w->committed.n, 0);
}

static void what_is_no_success_is_said_in_a_sentence(void **state)
{
    static const struct refusal cases[] = {
        { "busy-always", ERR_NET,
          "upload failed: 127.0.0.1:PORT limits how often it may be asked (again in 1000000000 s); "
          "log in with 'docker login' for a higher limit, or use a mirror (registry-mirror) (HTTP "
          "429)",
          6 },
        { "fails-always", ERR_NET,
          "upload failed: error of the server (HTTP 500 from 127.0.0.1:PORT)", 6 },
        { "only-accepts", ERR_NET,
          "upload failed: unexpected answer (HTTP 202 from 127.0.0.1:PORT)", 1 },
        { "no-pushes", ERR_NET,
          "upload failed: it takes no such request (HTTP 405 from 127.0.0.1:PORT)", 0 },
        { "takes-3", ERR_NET, "upload failed: too large (HTTP 413 from 127.0.0.1:PORT)", 0 },
        { "no-location", ERR_NET, "127.0.0.1:PORT does not say where to send to", 0 },
        { "location-ftp", ERR_NET,
          "127.0.0.1:PORT wants blobs sent to what is no http or https URL", 0 },
        { "nonsense-range", ERR_NET, "127.0.0.1:PORT does not say how much of the blob it took",
          0 },
        { "other-digest", ERR_CORRUPT, NULL, 1 },
        { "no-digest", ERR_CORRUPT, "127.0.0.1:PORT says no digest of what it took", 1 },
        { "endless-headers", ERR_NET, "127.0.0.1:PORT sent too many header lines", -1 },
        { "endless-body", ERR_CORRUPT, "127.0.0.1:PORT sent more than 1048576 bytes", -1 },
        { "silent", ERR_NET,
          "lost the connection to 127.0.0.1:PORT: less than 1024 bytes a second for 1 s", 1 },
        { "forbids", ERR_AUTH, NULL, 0 },
    };
    struct world *w = *state;
    struct digest d;
    digest_of(w->blob, BLOB_LEN, &d);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct refusal c = cases[i];
        AUTO(mem_free)
        char *other =
            str_printf("127.0.0.1:PORT took " OTHER_DIGEST " instead of %s", DIGEST_S(&d));
        if (str_eq(c.path, "other-digest"))
            c.says = other;
        if (str_eq(c.path, "forbids"))
            c.says =
                "push access denied for 127.0.0.1:PORT/forbids, repository does not exist or may "
                "require authorization: server message: read only";
        check_refusal(w, &c);
    }
}

static void an_upload_that_always_breaks_off_ends(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "resets-always");
    assert_int_equal(push_as(r, &s, NULL, &how, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "lost the connection to 127.0.0.1:"));
    assert_true(w->n_post == 6 && w->n_put <= 12);
    assert_int_equal(w->n_delete, 6);
}

static void a_token_that_never_helps_is_asked_for_once(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "token-loop");
    assert_int_equal(push_as(r, &s, NULL, &how, &err), ERR_AUTH);
    assert_non_null(strstr(err.msg, " access denied for 127.0.0.1:"));
    assert_int_equal(w->registry->n_requests, 3);
}

/* --- other servers ---------------------------------------------------------------------------- */

static void another_server_gets_the_bytes_and_no_credentials(void **state)
{
    struct world *w = *state;
    struct digest d;
    push_into(w, "to-other", NULL, REGISTRY_SENT);
    digest_of(w->blob, BLOB_LEN, &d);
    AUTO(mem_free)
    char *path = str_printf("/v2/x/blobs/uploads/7?sig=%%2B/&digest=%s", DIGEST_S(&d));
    assert_string_equal(w->puts.v[0], path);
    assert_int_equal(w->n_other, 1);
    assert_null(fake_seen(w->other, 0, "Authorization"));
    assert_null(fake_seen(w->other, 0, "Cookie"));
    assert_committed(w, 1);
}

static int n_asked;

/* The registry's address is of outside, that of the next server not. */
static bool later_is_inside(UNUSED const char *ip)
{
    return n_asked++ > 0;
}

static bool all_is_inside(UNUSED const char *ip)
{
    return true;
}

static void a_registry_outside_does_not_have_the_inside_sent_to(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    enum registry_pushed how;
    struct sent s = all_of(w);
    AUTO(registry_free) struct registry *r = open_registry(w, "to-other");
    r->is_inside = later_is_inside;
    n_asked = 1;
    assert_int_equal(registry_has_blob(r, &(struct digest){ { 1 } }, &err), 0); /* for the token */
    n_asked = 0;
    assert_int_equal(push_as(r, &s, NULL, &how, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "is an address of the inside"));
    assert_int_equal(w->n_other, 0);
    r->is_inside = all_is_inside;
    assert_ok(push_as(r, &s, NULL, &how, &err), &err);
}

/* --- manifests -------------------------------------------------------------------------------- */

#define MANIFEST "{\"schemaVersion\":2}"

static int put_manifest(struct registry *r, const char *reference, struct err *err)
{
    err_clear(err);
    return registry_push_manifest(r, reference, doc_media_type(DOC_OCI_MANIFEST), MANIFEST,
                                  strlen(MANIFEST), err);
}

static void a_manifest_is_sent_under_tag_and_digest(void **state)
{
    struct world *w = *state;
    struct err err = ERR_INIT;
    struct digest d;
    AUTO(registry_free) struct registry *r = open_registry(w, "documents");
    digest_of(MANIFEST, strlen(MANIFEST), &d);
    assert_ok(put_manifest(r, "1", &err), &err);
    assert_ok(put_manifest(r, DIGEST_S(&d), &err), &err);
    w->n_put = 0;
    assert_ok(put_manifest(r, "busy", &err), &err);
    assert_int_equal(w->n_put, 3);
    w->n_put = 0;
    assert_int_equal(put_manifest(r, OTHER_DIGEST, &err), ERR_CORRUPT);
    assert_int_equal(put_manifest(r, "../../x", &err), ERR_USAGE);
    assert_int_equal(w->n_put, 0);
}

static void a_manifest_that_is_not_taken_is_said_in_a_sentence(void **state)
{
    static const struct {
        const char *tag;
        enum err_code code;
        const char *says;
    } cases[] = {
        { "immutable", ERR_NET, "what is there may not be changed (HTTP 409 from 127.0.0.1:" },
        { "words", ERR_NET, "tag is immutable\\x1b[1m (HTTP 400 from 127.0.0.1:" },
        { "large", ERR_NET, "too large (HTTP 413 from 127.0.0.1:" },
        { "twice", ERR_NET, "the request was refused (HTTP 400 from 127.0.0.1:" },
        { "lies", ERR_CORRUPT, " took " OTHER_DIGEST " instead of sha256:" },
    };
    struct world *w = *state;
    struct err err = ERR_INIT;
    AUTO(registry_free) struct registry *r = open_registry(w, "documents");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        w->n_put = 0;
        assert_int_equal(put_manifest(r, cases[i].tag, &err), cases[i].code);
        AUTO(mem_free)
        char *name = str_printf("127.0.0.1:%d/documents:%s: ", w->registry->port, cases[i].tag);
        assert_true(str_starts(err.msg, name));
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("'%s', not '%s'", err.msg, cases[i].says);
        assert_int_equal(w->n_put, 1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_start, world_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_blob_is_sent_in_one_request_to_where_the_registry_says),
        TEST(a_blob_that_is_there_is_not_sent),
        TEST(an_empty_blob_is_sent),
        TEST(a_blob_is_mounted_where_another_repository_has_it),
        TEST(a_mount_that_does_not_go_is_an_upload),
        TEST(twenty_blobs_go_over_one_connection),
        TEST(several_threads_push_into_one_repository),
        TEST(a_connection_that_had_died_gets_the_whole_body_again),
        TEST(a_source_of_other_bytes_never_completes_an_upload),
        TEST(a_source_that_cannot_be_opened_says_so),
        TEST(bodies_that_are_too_large_are_cut_into_chunks),
        TEST(a_registry_that_wants_chunks_gets_them),
        TEST(a_chunk_that_breaks_off_is_gone_on_with_from_where_it_is),
        TEST(an_upload_that_the_registry_forgot_is_begun_anew),
        TEST(what_a_session_has_is_read_strictly),
        TEST(an_upload_that_breaks_off_is_sent_again),
        TEST(an_upload_whose_answer_was_lost_is_looked_for),
        TEST(a_busy_registry_is_waited_for),
        TEST(what_is_no_success_is_said_in_a_sentence),
        TEST(an_upload_that_always_breaks_off_ends),
        TEST(a_token_that_never_helps_is_asked_for_once),
        TEST(another_server_gets_the_bytes_and_no_credentials),
        TEST(a_registry_outside_does_not_have_the_inside_sent_to),
        TEST(a_manifest_is_sent_under_tag_and_digest),
        TEST(a_manifest_that_is_not_taken_is_said_in_a_sentence),
    };
    const char *filter = getenv("SHALE_TEST_FILTER");
    if (filter != NULL && *filter != '\0')
        cmocka_set_test_filter(filter);
    return cmocka_run_group_tests_name("remote_registry_push", tests, NULL, NULL);
}
