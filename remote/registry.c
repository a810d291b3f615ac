#include "remote/registry.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include "remote/url.h"
#include "remote/verify_sink.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DOCUMENT_TIMEOUT_S 120
#define DOCKER_HUB "registry-1.docker.io" /* where docker.io answers */

void registry_free(struct registry *r)
{
    if (r == NULL)
        return;
    mem_free(r->name);
    mem_free(r->base);
    mem_free(r->host);
    mem_free(r->path);
    mem_free(r->authorization);
    strv_release(&r->wanted);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

struct registry *registry_open(struct http *h, UNUSED const struct registry_config *config,
                               const struct image_name *name, enum registry_access access,
                               UNUSED struct err *err)
{
    const char *host = str_eq(name->domain, "docker.io") ? DOCKER_HUB : name->domain;
    struct registry *r = mem_zalloc(sizeof(*r));
    r->http = h;
    r->name = image_name_repository(name);
    r->base = str_printf("%s://%s", url_host_is_loopback(host) ? "http" : "https", host);
    r->host = str_dup(host);
    r->path = str_dup(name->path);
    r->access = access;
    r->backoff_ms = 250;
    r->wait_max_ms = REGISTRY_WAIT_MAX_MS;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

const char *registry_host(const struct registry *r)
{
    return r->host;
}

const char *registry_path(const struct registry *r)
{
    return r->path;
}

/* --- asking, with a token and again ----------------------------------------------------------- */

int registry_ask(struct registry *r, const struct http_request *q, struct http_response *ret,
                 struct err *err)
{
    for (int n = 0;; n++) {
        unsigned number;
        AUTO(mem_free) char *authorization = registry_authorization(r, &number);
        AUTO(http_response_release) struct http_response p = { .status = 0 };
        struct http_request one = *q;
        one.authorization = authorization;
        int bad = http_do(r->http, &one, &p, err);
        if (bad == 0 || http_is_broken_off(err))
            r->answered = true;
        if (bad < 0)
            return bad;
        if (p.status != 401 || n == 1) {
            *ret = p;
            p = (struct http_response){ .status = 0 };
            return 0;
        }
        if (registry_renew(r, &p, number, err) < 0)
            return err->code;
    }
}

bool registry_is_busy(int status)
{
    return status == 429 || status == 500 || (status >= 502 && status <= 504);
}

bool registry_may_pass(struct registry *r, const struct err *err)
{
    return http_is_broken_off(err) || (err->code == ERR_NET && err->sys != EPROTO && r->answered);
}

int registry_back_off(struct registry *r, int n, const struct http_response *p, const char *why,
                      struct err *err)
{
    int64_t ms = p != NULL ? http_retry_after_ms(p) : -1;
    if (ms < 0)
        ms = r->backoff_ms << n;
    if (ms > r->wait_max_ms)
        ms = r->wait_max_ms;
    log_info("remote", "%s: %s; trying again in %lld ms", r->name, why, (long long)ms);
    return http_wait(r->http, ms, err);
}

int registry_ask_patiently(struct registry *r, const struct http_request *q,
                           struct http_response *ret, struct err *err)
{
    for (int n = 0;; n++) {
        AUTO(http_response_release) struct http_response p = { .status = 0 };
        struct err now = ERR_INIT;
        int bad = registry_ask(r, q, &p, &now);
        bool again = bad < 0 ? registry_may_pass(r, &now) : registry_is_busy(p.status);
        if (!again || n + 1 == REGISTRY_TRIES) {
            if (bad < 0)
                return err_copy(err, &now);
            *ret = p;
            p = (struct http_response){ .status = 0 };
            return 0;
        }
        char status[32];
        snprintf(status, sizeof(status), "HTTP %d", p.status);
        if (registry_back_off(r, n, bad < 0 ? NULL : &p, bad < 0 ? now.msg : status, err) < 0)
            return err->code;
    }
}

/* --- manifests -------------------------------------------------------------------------------- */

static bool is_tag(const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0'; n++) {
        unsigned char c = (unsigned char)s[n];
        bool is_word = c < 128 && (isalnum(c) || c == '_');
        if (!is_word && (n == 0 || (c != '.' && c != '-')))
            return false;
    }
    return n > 0 && n <= 128;
}

/* Which digest the reference asks for, if it is one. */
static int reference_parse(const char *reference, bool *ret_has, struct digest *ret,
                           struct err *err)
{
    *ret_has = strchr(reference, ':') != NULL;
    if (*ret_has)
        return digest_parse(reference, ret, err);
    if (!is_tag(reference))
        return err_set(err, ERR_USAGE, "'%s' is no tag", reference);
    return 0;
}

static void manifest_request(const struct registry *r, const char *reference, char **ret_url,
                             struct strv *ret_headers)
{
    static const enum doc_kind kinds[] = { DOC_OCI_INDEX, DOC_DOCKER_LIST, DOC_OCI_MANIFEST,
                                           DOC_DOCKER_MANIFEST };
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        strv_addf(ret_headers, "Accept: %s", doc_media_type(kinds[i]));
    *ret_url = str_printf("%s/v2/%s/manifests/%s", r->base, r->path, reference);
}

/* "docker.io/library/alpine:3", "...@sha256:..." */
static char *full_name(const struct registry *r, const char *reference)
{
    return str_printf("%s%c%s", r->name, strchr(reference, ':') ? '@' : ':', reference);
}

static int corrupt(struct err *err, const char *name, const char *what, const struct digest *have,
                   const struct digest *want)
{
    return err_set(err, ERR_CORRUPT, "%s: what came has digest %s, %s %s", name, DIGEST_S(have),
                   what, DIGEST_S(want));
}

/* The header's digest; ERR_NOT_FOUND without one (or with one that is not SHA-256). */
static int header_digest(const struct http_response *p, struct digest *ret, struct err *err)
{
    const char *text = http_header(p, "docker-content-digest");
    if (text == NULL)
        return err_set(err, ERR_NOT_FOUND, "no digest");
    if (digest_parse(text, ret, err) == ERR_UNSUPPORTED)
        err->code = ERR_NOT_FOUND;
    return err->code;
}

static int verify_document(const struct http_response *p, const char *name,
                           const struct digest *want, struct digest *ret, struct err *err)
{
    struct digest have, said;
    struct err none = ERR_INIT;
    digest_of(buf_str(&p->body), p->body.len, &have);
    if (want != NULL && !digest_eq(&have, want))
        return corrupt(err, name, "not", &have, want);
    int bad = header_digest(p, &said, &none);
    if (bad < 0 && bad != ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT, "%s: Docker-Content-Digest is no digest", name);
    if (bad == 0 && !digest_eq(&have, &said))
        return corrupt(err, name, "where its header says", &have, &said);
    *ret = have;
    return 0;
}

int registry_manifest(struct registry *r, const char *reference, struct buf *ret,
                      char **ret_media_type, struct blob_id *ret_id, struct err *err)
{
    bool has_digest;
    struct digest want, have;
    AUTO(mem_free) char *url = NULL;
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (reference_parse(reference, &has_digest, &want, err) < 0)
        return err->code;
    AUTO(mem_free) char *name = full_name(r, reference);
    manifest_request(r, reference, &url, &headers);
    struct http_request q = { .method = "GET",
                              .url = url,
                              .headers = &headers,
                              .max = MANIFEST_MAX,
                              .total_timeout_s = DOCUMENT_TIMEOUT_S };
    if (registry_ask_patiently(r, &q, &p, err) < 0)
        return err->code == ERR_AUTH ? err->code : err_wrap(err, "%s", name);
    if (p.status != 200)
        return registry_refused(r, name, &p, err);
    if (verify_document(&p, name, has_digest ? &want : NULL, &have, err) < 0)
        return err->code;
    *ret_media_type = http_media_type(&p);
    ret_id->d = have;
    buf_release(ret);
    *ret = p.body;
    p.body = (struct buf)BUF_INIT;
    return 0;
}

static int resolve_by_get(struct registry *r, const char *tag, struct blob_id *ret_id,
                          struct err *err)
{
    AUTO(buf_release) struct buf doc = BUF_INIT;
    AUTO(mem_free) char *type = NULL;
    return registry_manifest(r, tag, &doc, &type, ret_id, err);
}

int registry_resolve(struct registry *r, const char *tag, struct blob_id *ret_id, struct err *err)
{
    bool has_digest;
    struct digest want, said;
    struct err none = ERR_INIT;
    AUTO(mem_free) char *url = NULL;
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (reference_parse(tag, &has_digest, &want, err) < 0)
        return err->code;
    AUTO(mem_free) char *name = full_name(r, tag);
    manifest_request(r, tag, &url, &headers);
    struct http_request q = {
        .method = "HEAD", .url = url, .headers = &headers, .total_timeout_s = DOCUMENT_TIMEOUT_S
    };
    if (registry_ask_patiently(r, &q, &p, err) < 0)
        return err->code == ERR_AUTH ? err->code : err_wrap(err, "%s", name);
    if (p.status == 401 || p.status == 403 || p.status == 404 || registry_is_busy(p.status))
        return registry_refused(r, name, &p, err);
    if (p.status != 200 || header_digest(&p, &said, &none) < 0)
        return resolve_by_get(r, tag, ret_id, err);
    if (has_digest && !digest_eq(&want, &said))
        return corrupt(err, name, "not", &said, &want);
    ret_id->d = said;
    return 0;
}

/* --- blobs ------------------------------------------------------------------------------------ */

struct download {
    struct registry *r;
    const struct descriptor *what;
    char *url;
    struct sink *to; /* verify_sink */
};

enum outcome { DOWNLOAD_DONE, DOWNLOAD_AGAIN, DOWNLOAD_FAILED };

/* What an answer means. A whole answer that brought nothing new will bring nothing next time. */
static enum outcome download_answered(struct download *d, uint64_t before,
                                      const struct http_response *p, struct err *err)
{
    bool is_past_end = p->status == 416 && before > 0;
    if (p->status != 200 && p->status != 206 && !is_past_end) {
        registry_refused(d->r, "download failed", p, err);
        return registry_is_busy(p->status) ? DOWNLOAD_AGAIN : DOWNLOAD_FAILED;
    }
    if (verify_sink_is_whole(d->to))
        return DOWNLOAD_DONE;
    verify_sink_check(d->to, &d->what->id.d, err);
    return verify_sink_done(d->to) > before ? DOWNLOAD_AGAIN : DOWNLOAD_FAILED;
}

static enum outcome download_try(struct download *d, struct http_response *ret, struct err *err)
{
    uint64_t before = verify_sink_done(d->to);
    struct http_request q = {
        .method = "GET", .url = d->url, .to = d->to, .max = UINT64_MAX, .resume_from = before
    };
    if (registry_ask(d->r, &q, ret, err) == 0)
        return download_answered(d, before, ret, err);
    return !verify_sink_is_broken(d->to) && registry_may_pass(d->r, err) ? DOWNLOAD_AGAIN
                                                                         : DOWNLOAD_FAILED;
}

static int download(struct download *d, struct err *err)
{
    for (int n = 0;; n++) {
        struct err now = ERR_INIT, stopped = ERR_INIT;
        AUTO(http_response_release) struct http_response p = { .status = 0 };
        enum outcome outcome = download_try(d, &p, &now);
        if (outcome == DOWNLOAD_DONE)
            return verify_sink_check(d->to, &d->what->id.d, err);
        if (outcome == DOWNLOAD_FAILED || n + 1 == REGISTRY_TRIES)
            return err_copy(err, &now);
        if (registry_back_off(d->r, n, p.status != 0 ? &p : NULL, now.msg, &stopped) < 0)
            return err_copy(err, &stopped);
    }
}

int registry_blob(struct registry *r, const struct descriptor *d, struct sink *to, struct err *err)
{
    AUTO(sink_free) struct sink *verified = verify_sink_new(to, d->size);
    AUTO(mem_free)
    char *url = str_printf("%s/v2/%s/blobs/%s", r->base, r->path, DIGEST_S(&d->id.d));
    struct download load = { .r = r, .what = d, .url = url, .to = verified };
    int bad = download(&load, err);
    if (bad < 0 && bad != ERR_AUTH && bad != ERR_CANCELLED)
        err_wrap(err, "blob %s of %s", DIGEST_S(&d->id.d), r->name);
    return bad;
}
