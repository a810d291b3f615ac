#include "remote/registry.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include "remote/url.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ASK_TIMEOUT_S 120
#define COMMIT_TIMEOUT_S                                                    \
    300 /* storage that puts a large blob together says nothing for minutes \
         */
#define GIVE_UP_TIMEOUT_S 10
#define LAST_WORD_S 2 /* the same, when somebody waits for us to end */
#define CHUNK_MAX (16u << 20)
#define CHUNK_MIN (256u << 10)
#define SKIP_SIZE (64u << 10)

static char *blob_url(const struct registry *r, const struct digest *d)
{
    return str_printf("%s/v2/%s/blobs/%s", r->base, r->path, DIGEST_S(d));
}

/* An answer that is no success, in words. */
static int refused(const struct registry *r, const char *what, const struct http_response *p,
                   struct err *err)
{
    if (p->status == 403 && url_same_origin(p->url, r->base))
        return registry_denied(r, p, err);
    return registry_refused(r, what, p, err);
}

static int protocol_error(struct err *err, const struct http_response *p, const char *what)
{
    AUTO(mem_free) char *peer = url_host_port(p->url);
    err_set(err, ERR_NET, "%s %s", peer, what);
    err->sys = EPROTO;
    return err->code;
}

/* What the registry says it took; digests of other algorithms say nothing. */
static int check_taken(const struct http_response *p, const struct digest *want, struct err *err)
{
    const char *said = http_header(p, "docker-content-digest");
    struct digest have;
    struct err bad = ERR_INIT;
    if (said == NULL || digest_parse(said, &have, &bad) == ERR_UNSUPPORTED)
        return 0;
    AUTO(mem_free) char *peer = url_host_port(p->url);
    if (bad.code != ERR_NONE)
        return err_set(err, ERR_CORRUPT, "%s says no digest of what it took", peer);
    if (digest_eq(&have, want))
        return 0;
    return err_set(err, ERR_CORRUPT, "%s took %s instead of %s", peer, DIGEST_S(&have),
                   DIGEST_S(want));
}

/* --- what is there ---------------------------------------------------------------------------- */

int registry_has_blob(struct registry *r, const struct digest *d, struct err *err)
{
    AUTO(mem_free) char *url = blob_url(r, d);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "HEAD",
                              .url = url,
                              .idle_timeout_s = r->idle_timeout_s,
                              .total_timeout_s = ASK_TIMEOUT_S };
    if (registry_ask_patiently(r, &q, &p, err) < 0)
        return err->code;
    bool is_own = url_same_origin(p.url, r->base);
    if (registry_is_busy(p.status) || (is_own && (p.status == 401 || p.status == 403)))
        return refused(r, "cannot ask for it", &p, err);
    return p.status == 200;
}

/* --- the bytes -------------------------------------------------------------------------------- */

/*
 * A blob's bytes on their way into requests: hashed from the first one on, and the last one is
 * handed out only when the digest is right. So no body is ever complete that is another blob's.
 */
struct reader {
    struct source source; /* what requests read; nothing is freed with it */
    const struct registry_upload *what;
    struct source *from;
    struct hasher *hasher;
    uint64_t at;         /* bytes read and hashed */
    uint64_t first, end; /* of them the request's body */
};

static int reader_check(struct reader *b, struct err *err)
{
    char more;
    struct digest have;
    ssize_t n = source_read(b->from, &more, 1, err);
    if (n < 0)
        return (int)n;
    if (n > 0)
        return err_set(err, ERR_CORRUPT,
                       "what was to be sent is longer than the %" PRIu64
                       " bytes that it should have",
                       b->what->what->size);
    hasher_end(b->hasher, &have);
    if (!digest_eq(&have, &b->what->what->id.d))
        return err_set(err, ERR_CORRUPT, "what was to be sent has digest %s", DIGEST_S(&have));
    return 0;
}

static ssize_t reader_take(struct reader *b, void *p, size_t n, uint64_t end, struct err *err)
{
    uint64_t left = end - b->at, size = b->what->what->size;
    if (left == 0)
        return 0;
    ssize_t got = source_read(b->from, p, n < left ? n : (size_t)left, err);
    if (got < 0)
        return got;
    if (got == 0)
        return err_set(err, ERR_CORRUPT,
                       "what was to be sent ends after %" PRIu64 " of %" PRIu64 " bytes", b->at,
                       size);
    hasher_add(b->hasher, p, (size_t)got);
    b->at += (uint64_t)got;
    return b->at == size && reader_check(b, err) < 0 ? err->code : got;
}

static ssize_t reader_read(struct source *s, void *p, size_t n, struct err *err)
{
    struct reader *b = (struct reader *)s;
    ssize_t got = reader_take(b, p, n, b->end, err);
    if (got > 0 && b->what->sent != NULL)
        b->what->sent(b->what->arg, b->at, b->what->what->size);
    return got;
}

static void reader_keep(UNUSED struct source *s)
{
}

static void reader_close(struct reader *b)
{
    source_free(TAKE(b->from));
    hasher_free(TAKE(b->hasher));
}

static int reader_open(struct reader *b, struct err *err)
{
    reader_close(b);
    b->at = 0;
    b->hasher = hasher_new();
    b->from = b->what->open(b->what->arg, err);
    if (b->from == NULL)
        return err->code;
    return b->what->what->size == 0 ? reader_check(b, err) : 0;
}

/* So that the next byte read is this one; all before it have been hashed then. */
static int reader_seek(struct reader *b, uint64_t to, struct err *err)
{
    if (b->from != NULL && b->at == to)
        return 0;
    if (reader_open(b, err) < 0)
        return err->code;
    AUTO(mem_free) char *room = mem_alloc(SKIP_SIZE);
    while (b->at < to)
        if (reader_take(b, room, SKIP_SIZE, to, err) < 0)
            return err->code;
    return 0;
}

/* http's body_open. */
static struct source *reader_body(void *arg, struct err *err)
{
    struct reader *b = arg;
    return reader_seek(b, b->first, err) < 0 ? NULL : &b->source;
}

/* --- what answers say ------------------------------------------------------------------------- */

static bool read_number(const char **at, uint64_t *ret)
{
    size_t n = strspn(*at, "0123456789");
    if (n == 0 || n > 18)
        return false;
    *ret = strtoull(*at, NULL, 10);
    *at += n;
    return true;
}

bool upload_range_parse(const char *text, uint64_t *ret_next)
{
    uint64_t first, last;
    const char *p = str_starts(text, "bytes=") ? text + 6 : text;
    if (!read_number(&p, &first) || *p++ != '-' || !read_number(&p, &last) || *p != '\0' ||
        first != 0)
        return false;
    *ret_next = last > 0 ? last + 1 : 0;
    return true;
}

static uint64_t header_number(const struct http_response *p, const char *name)
{
    const char *text = http_header(p, name);
    uint64_t n = 0;
    return text != NULL && read_number(&text, &n) && *text == '\0' ? n : 0;
}

/* --- upload sessions -------------------------------------------------------------------------- */

struct upload {
    struct registry *r;
    const struct descriptor *what;
    struct reader bytes;
    char *session;        /* its URL; NULL: none */
    bool is_outside;      /* the registry, which names the URL, is not on this network */
    uint64_t taken;       /* bytes that the session has */
    uint64_t chunk_min;   /* what chunks must have, the last one aside */
    bool is_unsure;       /* a chunk broke off: only the registry knows how much it has */
    bool may_be_complete; /* the last request broke off */
};

static void session_give_up(struct upload *u);

/* However it ended: a session that is still open is not left to the registry. */
static void upload_release(struct upload *u)
{
    reader_close(&u->bytes);
    session_give_up(u);
}
DEFINE_AUTO_VALUE(struct upload, upload_release);

/* A request to the session's URL, which gets our credentials at the registry's own origin only. */
static int session_ask(struct upload *u, struct http_request *q, struct http_response *ret,
                       struct err *err)
{
    if (q->idle_timeout_s == 0 || u->r->idle_timeout_s > 0)
        q->idle_timeout_s = u->r->idle_timeout_s;
    if (url_same_origin(q->url, u->r->base))
        return registry_ask(u->r, q, ret, err);
    q->is_inside = registry_inside(u->r);
    q->from_outside = u->is_outside;
    return http_do(u->r->http, q, ret, err);
}

/* Where the next request goes: the answer's Location, relative or not, its query as it is. */
static int session_move(struct upload *u, const struct http_response *p, struct err *err)
{
    const char *location = http_header(p, "location");
    struct err none = ERR_INIT;
    if (location == NULL || *location == '\0')
        return u->session != NULL ? 0 : protocol_error(err, p, "does not say where to send to");
    AUTO(mem_free) char *to = url_resolve(p->url, location, &none);
    if (to == NULL)
        return protocol_error(err, p, "wants blobs sent to what is no http or https URL");
    if (url_is_https(u->r->base) && !url_is_https(to))
        return protocol_error(err, p, "wants blobs sent by http, though it speaks https itself");
    if (url_is_loopback(to) && !url_is_loopback(u->r->base))
        return protocol_error(err, p, "wants blobs sent to this machine");
    mem_free(u->session);
    u->session = TAKE(to);
    return 0;
}

static void session_forget(struct upload *u)
{
    mem_free(TAKE(u->session));
    u->taken = 0;
    u->is_unsure = false;
}

/* Tells the registry that nothing more comes, also when we are to end. It would find out some day
 * itself. */
static void session_give_up(struct upload *u)
{
    struct err ignored = ERR_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (u->session != NULL && url_same_origin(u->session, u->r->base)) {
        struct http_request q = { .method = "DELETE",
                                  .url = u->session,
                                  .connect_timeout_s = GIVE_UP_TIMEOUT_S,
                                  .total_timeout_s = GIVE_UP_TIMEOUT_S,
                                  .despite_cancel = true };
        if (cancel_is_set(http_cancel(u->r->http)))
            q.connect_timeout_s = q.total_timeout_s = LAST_WORD_S;
        registry_ask(u->r, &q, &p, &ignored);
    }
    session_forget(u);
}

static uint64_t largest_chunk(const struct registry *r)
{
    return r->chunk_max > 0 ? r->chunk_max : CHUNK_MAX;
}

/* The answer to a POST that begins a session. */
static int session_begun(struct upload *u, const struct http_response *p, struct err *err)
{
    session_forget(u);
    u->is_outside = p->is_outside;
    u->chunk_min = header_number(p, "oci-chunk-min-length");
    if (u->chunk_min > 0 && u->r->chunk < u->chunk_min)
        u->r->chunk = u->chunk_min > largest_chunk(u->r) ? u->chunk_min : largest_chunk(u->r);
    return session_move(u, p, err);
}

static char *uploads_url(const struct registry *r)
{
    return str_printf("%s/v2/%s/blobs/uploads/", r->base, r->path);
}

static struct http_request post_request(const struct registry *r, const char *url)
{
    return (struct http_request){ .method = "POST",
                                  .url = url,
                                  .idle_timeout_s = r->idle_timeout_s,
                                  .total_timeout_s = ASK_TIMEOUT_S,
                                  .is_inside = registry_inside(r) };
}

/* --- sending ---------------------------------------------------------------------------------- */

enum outcome { UPLOAD_DONE, UPLOAD_AGAIN, UPLOAD_AT_ONCE, UPLOAD_FAILED };

/* A request failed without an answer, err says why. */
static enum outcome broke_off(const struct upload *u, const struct err *err)
{
    return registry_may_pass(u->r, err) ? UPLOAD_AGAIN : UPLOAD_FAILED;
}

/*
 * Bodies were too large: smaller ones from now on, for all blobs. False when there is no smaller
 * size that would do. What a proxy takes is often 1 MiB, and nobody says how much it is.
 */
static bool make_smaller(struct upload *u, uint64_t sent)
{
    uint64_t chunk = largest_chunk(u->r);
    uint64_t least = chunk / (CHUNK_MAX / CHUNK_MIN);
    while (chunk >= sent && chunk > least)
        chunk /= 4;
    if (chunk < u->chunk_min || chunk >= sent)
        return false;
    uint64_t now = u->r->chunk;
    while ((now == 0 || now > chunk) && !atomic_compare_exchange_weak(&u->r->chunk, &now, chunk))
        ;
    return true;
}

/* What an answer means that did not take a body of this many bytes. */
static enum outcome not_taken(struct upload *u, const struct http_response *p, uint64_t sent,
                              struct err *err)
{
    refused(u->r, "upload failed", p, err);
    if (p->status == 413 && make_smaller(u, sent)) {
        log_info("remote", "%s: bodies of %" PRIu64 " bytes are too large; sending chunks",
                 u->r->name, sent);
        return UPLOAD_AT_ONCE;
    }
    if (p->status == 404 || p->status == 416) { /* the session is gone, or is elsewhere */
        u->is_unsure = true;
        return UPLOAD_AGAIN;
    }
    bool may_pass = registry_is_busy(p->status) && !registry_is_used_up(p);
    return may_pass ? UPLOAD_AGAIN : UPLOAD_FAILED;
}

/* A request with bytes [first, end) of the blob as its body. */
static int send_part(struct upload *u, const char *method, const char *url, uint64_t first,
                     uint64_t end, struct http_response *ret, struct err *err)
{
    AUTO(strv_release) struct strv headers = STRV_INIT;
    struct http_request q = {
        .method = method, .url = url, .headers = &headers, .body_size = (int64_t)(end - first)
    };
    q.min_speed = end > first ? REGISTRY_MIN_SPEED : 0;
    strv_add(&headers, "Content-Type: application/octet-stream");
    if (str_eq(method, "PATCH"))
        strv_addf(&headers, "Content-Range: %" PRIu64 "-%" PRIu64, first, end - 1);
    if (end == u->what->size)
        q.idle_timeout_s = COMMIT_TIMEOUT_S;
    u->bytes.first = first;
    u->bytes.end = end;
    if (end > first) {
        q.body_open = reader_body;
        q.body_arg = &u->bytes;
    }
    return session_ask(u, &q, ret, err);
}

/* The last request, which names the digest: with all of the bytes, or after all of them. */
static enum outcome commit(struct upload *u, struct http_response *ret, struct err *err)
{
    uint64_t n = u->what->size - u->taken;
    AUTO(mem_free)
    char *url = str_printf("%s%cdigest=%s", u->session, strchr(u->session, '?') ? '&' : '?',
                           DIGEST_S(&u->what->id.d));
    if (n == 0 && reader_seek(&u->bytes, u->what->size, err) < 0)
        return UPLOAD_FAILED;
    if (send_part(u, "PUT", url, u->taken, u->what->size, ret, err) < 0) {
        u->is_unsure = u->may_be_complete = true;
        return broke_off(u, err);
    }
    if (ret->status != 200 && ret->status != 201 && ret->status != 204)
        return not_taken(u, ret, n, err);
    session_forget(u);
    return check_taken(ret, &u->what->id.d, err) < 0 ? UPLOAD_FAILED : UPLOAD_DONE;
}

/* How much the session has, after an answer to a chunk or to the question. False: nonsense. */
static bool take_range(struct upload *u, const struct http_response *p, uint64_t sent)
{
    const char *range = http_header(p, "range");
    uint64_t next = sent;
    if (range != NULL && !upload_range_parse(range, &next))
        return false;
    u->taken = next;
    return next <= sent;
}

static enum outcome send_chunk(struct upload *u, uint64_t chunk, struct http_response *ret,
                               struct err *err)
{
    uint64_t before = u->taken, left = u->what->size - before;
    uint64_t end = before + (left < chunk ? left : chunk);
    if (send_part(u, "PATCH", u->session, before, end, ret, err) < 0) {
        u->is_unsure = true;
        return broke_off(u, err);
    }
    if (ret->status != 202 && ret->status != 201 && ret->status != 204) {
        u->is_unsure = true;
        return not_taken(u, ret, end - before, err);
    }
    if (session_move(u, ret, err) < 0)
        return UPLOAD_FAILED;
    if (take_range(u, ret, end) && u->taken > before)
        return UPLOAD_DONE;
    protocol_error(err, ret, "does not say how much of the blob it took");
    return UPLOAD_FAILED;
}

/* Asks how much the session has. Where that fails it is begun anew. */
static void ask_where(struct upload *u)
{
    struct err ignored = ERR_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "GET",
                              .url = u->session,
                              .total_timeout_s = ASK_TIMEOUT_S };
    u->is_unsure = false;
    if (session_ask(u, &q, &p, &ignored) == 0 && (p.status == 204 || p.status == 202) &&
        http_header(&p, "range") != NULL && take_range(u, &p, u->bytes.end) &&
        session_move(u, &p, &ignored) == 0)
        return;
    if (p.status == 404)
        session_forget(u);
    else
        session_give_up(u);
}

static enum outcome begin(struct upload *u, struct http_response *ret, struct err *err)
{
    AUTO(mem_free) char *url = uploads_url(u->r);
    struct http_request q = post_request(u->r, url);
    if (registry_ask(u->r, &q, ret, err) < 0)
        return broke_off(u, err);
    if (ret->status != 202)
        return not_taken(u, ret, 0, err);
    return session_begun(u, ret, err) < 0 ? UPLOAD_FAILED : UPLOAD_DONE;
}

static bool is_sent_whole(const struct upload *u)
{
    uint64_t chunk = u->r->chunk;
    return chunk == 0 || (u->taken == 0 && u->what->size <= chunk);
}

/* *ret: the last answer, if it is one. */
static enum outcome upload_try(struct upload *u, struct http_response *ret, struct err *err)
{
    enum outcome outcome = UPLOAD_DONE;
    if (u->session != NULL && u->is_unsure && is_sent_whole(u))
        session_give_up(u);
    else if (u->session != NULL && u->is_unsure)
        ask_where(u);
    if (u->session == NULL)
        outcome = begin(u, ret, err);
    while (outcome == UPLOAD_DONE && !is_sent_whole(u) && u->taken < u->what->size) {
        http_response_release(ret);
        outcome = send_chunk(u, u->r->chunk, ret, err);
    }
    if (outcome != UPLOAD_DONE)
        return outcome;
    http_response_release(ret);
    return commit(u, ret, err);
}

/* Whether the request whose answer was lost did it. */
static bool is_complete(struct upload *u)
{
    struct err ignored = ERR_INIT;
    bool ask = u->may_be_complete;
    u->may_be_complete = false;
    return ask && registry_has_blob(u->r, &u->what->id.d, &ignored) == 1;
}

static int upload(struct upload *u, struct err *err)
{
    for (int n = 0;;) {
        struct err now = ERR_INIT, stopped = ERR_INIT;
        AUTO(http_response_release) struct http_response p = { .status = 0 };
        enum outcome outcome = upload_try(u, &p, &now);
        if (outcome == UPLOAD_DONE)
            return 0;
        if (outcome == UPLOAD_AT_ONCE) /* a size less each time */
            continue;
        if (outcome == UPLOAD_FAILED || ++n == u->r->tries)
            return err_copy(err, &now);
        if (registry_back_off(u->r, n - 1, p.status != 0 ? &p : NULL, now.msg, &stopped) < 0)
            return err_copy(err, &stopped);
        if (is_complete(u))
            return 0;
    }
}

/* --- mounts ----------------------------------------------------------------------------------- */

/* 1: mounted; 0: not, and the session that was begun instead, if any, is the upload's. */
static int mount_from(struct upload *u, const char *repository, struct err *err)
{
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    AUTO(buf_release) struct buf url = BUF_INIT;
    AUTO(mem_free) char *uploads = uploads_url(u->r);
    buf_addf(&url, "%s?mount=%s&from=", uploads, DIGEST_S(&u->what->id.d));
    url_escape(&url, repository, "/");
    registry_want_scope(u->r, repository);
    struct http_request q = post_request(u->r, buf_str(&url));
    int bad = registry_ask_patiently(u->r, &q, &p, err);
    if (bad == ERR_AUTH) /* of the other repository: sending may go */
        return 0;
    if (bad < 0)
        return bad;
    if (p.status == 201)
        return check_taken(&p, &u->what->id.d, err) < 0 ? err->code : 1;
    if (p.status != 202)
        return 0;
    session_give_up(u);
    return session_begun(u, &p, err);
}

static int mount_blob(struct upload *u, const struct strv *from, struct err *err)
{
    int got = 0;
    for (size_t i = 0; from != NULL && i < from->n && got == 0; i++)
        if (!str_eq(from->v[i], u->r->path))
            got = mount_from(u, from->v[i], err);
    return got;
}

static int push_blob(struct registry *r, const struct registry_upload *what,
                     enum registry_pushed *ret, struct err *err)
{
    AUTO(upload_release)
    struct upload u = { .r = r,
                        .what = what->what,
                        .bytes = { .source = { .read = reader_read, .free = reader_keep },
                                   .what = what } };
    int got = registry_has_blob(r, &what->what->id.d, err);
    if (got == 1)
        *ret = REGISTRY_WAS_THERE;
    if (got != 0)
        return got < 0 ? got : 0;
    got = mount_blob(&u, what->mount_from, err);
    if (got == 1)
        *ret = REGISTRY_MOUNTED;
    if (got != 0)
        return got < 0 ? got : 0;
    *ret = REGISTRY_SENT;
    return upload(&u, err);
}

int registry_push_blob(struct registry *r, const struct registry_upload *u,
                       enum registry_pushed *ret, struct err *err)
{
    enum registry_pushed how;
    int bad = push_blob(r, u, &how, err);
    if (bad == 0)
        *ret = how;
    else if (bad != ERR_AUTH && bad != ERR_CANCELLED)
        err_wrap(err, "blob %s of %s", DIGEST_S(&u->what->id.d), r->name);
    return bad;
}

/* --- manifests -------------------------------------------------------------------------------- */

struct text {
    const void *p;
    size_t n;
};

static struct source *text_open(void *arg, UNUSED struct err *err)
{
    const struct text *t = arg;
    return source_mem(t->p, t->n);
}

static int check_reference(const char *reference, const struct digest *have, struct err *err)
{
    struct digest want;
    bool has_digest;
    if (registry_reference(reference, &has_digest, &want, err) < 0)
        return err->code;
    if (!has_digest)
        return 0;
    return digest_eq(&want, have)
               ? 0
               : err_set(err, ERR_CORRUPT, "what is to be sent has digest %s", DIGEST_S(have));
}

int registry_push_manifest(struct registry *r, const char *reference, const char *media_type,
                           const void *p, size_t n, struct err *err)
{
    struct digest have;
    struct text text = { p, n };
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(http_response_release) struct http_response answer = { .status = 0 };
    AUTO(mem_free) char *url = str_printf("%s/v2/%s/manifests/%s", r->base, r->path, reference);
    AUTO(mem_free)
    char *name = str_printf("%s%c%s", r->name, strchr(reference, ':') ? '@' : ':', reference);
    digest_of(p, n, &have);
    if (check_reference(reference, &have, err) < 0)
        return err_wrap(err, "%s", name);
    strv_addf(&headers, "Content-Type: %s", media_type);
    struct http_request q = { .method = "PUT",
                              .url = url,
                              .headers = &headers,
                              .body_open = text_open,
                              .body_arg = &text,
                              .body_size = (int64_t)n,
                              .idle_timeout_s = r->idle_timeout_s,
                              .total_timeout_s = ASK_TIMEOUT_S };
    if (registry_ask_patiently(r, &q, &answer, err) < 0)
        return err->code == ERR_AUTH ? err->code : err_wrap(err, "%s", name);
    if (answer.status != 201 && answer.status != 200)
        return refused(r, name, &answer, err);
    return check_taken(&answer, &have, err) < 0 ? err_wrap(err, "%s", name) : 0;
}
