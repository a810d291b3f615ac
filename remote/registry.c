#include "remote/registry.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include "remote/url.h"
#include "remote/verify_sink.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DOCUMENT_TIMEOUT_S 120
#define MIRROR_TRIES 2 /* there is the registry itself */
#define MIRROR_WAIT_MAX_MS 1000

void registry_free(struct registry *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->n_mirrors; i++)
        registry_free(r->mirrors[i]);
    mem_free(r->mirrors);
    mem_free(r->name);
    mem_free(r->base);
    mem_free(r->host);
    mem_free(r->path);
    secret_free(r->authorization);
    strv_release(&r->wanted);
    challenge_release(&r->challenge);
    pthread_mutex_destroy(&r->lock);
    registry_config_free(r->own_config);
    mem_free(r);
}

/* Of one host; without its mirrors. */
static struct registry *new_registry(struct http *h, struct registry_host *at,
                                     const struct image_name *name, enum registry_access access)
{
    struct registry *r = mem_zalloc(sizeof(*r));
    const char *scheme_end = strstr(at->base, "://");
    r->http = h;
    r->at = at;
    r->name = image_name_repository(name);
    r->base = str_dup(at->base);
    r->host = str_dup(scheme_end != NULL ? scheme_end + 3 : at->base);
    r->path = str_dup(name->path);
    r->access = access;
    r->tries = at->is_mirror ? MIRROR_TRIES : REGISTRY_TRIES;
    r->backoff_ms = 250;
    r->wait_max_ms = at->is_mirror ? MIRROR_WAIT_MAX_MS : REGISTRY_WAIT_MAX_MS;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

static int add_mirrors(struct registry *r, const struct registry_config *config,
                       const struct image_name *name, struct err *err)
{
    AUTO(strv_release) struct strv urls = STRV_INIT;
    registry_config_mirrors(config, name->domain, &urls);
    r->mirrors = mem_calloc(urls.n + 1, sizeof(r->mirrors[0]));
    for (size_t i = 0; i < urls.n; i++) {
        struct registry_host *at = registry_config_host(config, name->domain, urls.v[i], err);
        if (at == NULL)
            return err->code;
        r->mirrors[r->n_mirrors++] = new_registry(r->http, at, name, REGISTRY_PULL);
    }
    return 0;
}

struct registry *registry_open(struct http *h, const struct registry_config *config,
                               const struct image_name *name, enum registry_access access,
                               struct err *err)
{
    AUTO(registry_config_free) struct registry_config *own = NULL;
    if (config == NULL)
        config = own = registry_config_none();
    struct registry_host *at = registry_config_host(config, name->domain, NULL, err);
    if (at == NULL || registry_host_settle(at, h, err) < 0)
        return NULL;
    AUTO(registry_free) struct registry *r = new_registry(h, at, name, access);
    r->own_config = TAKE(own);
    if (access == REGISTRY_PULL && add_mirrors(r, config, name, err) < 0)
        return NULL;
    return TAKE(r);
}

bool (*registry_inside(const struct registry *r))(const char *)
{
    return r->is_inside != NULL ? r->is_inside : url_ip_is_inside;
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

static int ask_once(struct registry *r, const struct http_request *q, const char *authorization,
                    struct http_response *ret, struct err *err)
{
    struct http_request one = *q;
    one.authorization = authorization;
    registry_host_secure(r->at, &one);
    int bad = http_do(r->http, &one, ret, err);
    if (bad == 0 || http_is_broken_off(err))
        r->answered = true;
    return bad;
}

int registry_ask(struct registry *r, const struct http_request *q, struct http_response *ret,
                 struct err *err)
{
    for (bool is_new = false;;) { /* the token: its refusal is the last word */
        unsigned number;
        AUTO(secret_free) char *authorization = registry_authorization(r, &number);
        AUTO(http_response_release) struct http_response p = { .status = 0 };
        if (ask_once(r, q, authorization, &p, err) < 0)
            return err->code;
        if (p.status != 401 || is_new) {
            *ret = p;
            p = (struct http_response){ .status = 0 };
            return 0;
        }
        int got = registry_renew(r, &p, number, err);
        if (got < 0)
            return err->code;
        is_new = got == 0;
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
        bool again = bad < 0 ? registry_may_pass(r, &now)
                             : registry_is_busy(p.status) && !registry_is_used_up(&p);
        if (!again || n + 1 == r->tries) {
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

int registry_reference(const char *reference, bool *ret_has, struct digest *ret, struct err *err)
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

static int manifest_from(struct registry *r, const char *reference, struct buf *ret,
                         char **ret_media_type, struct blob_id *ret_id, struct err *err)
{
    bool has_digest;
    struct digest want, have;
    AUTO(mem_free) char *url = NULL;
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (registry_reference(reference, &has_digest, &want, err) < 0)
        return err->code;
    AUTO(mem_free) char *name = full_name(r, reference);
    manifest_request(r, reference, &url, &headers);
    struct http_request q = { .method = "GET",
                              .url = url,
                              .headers = &headers,
                              .max = MANIFEST_MAX,
                              .is_inside = registry_inside(r),
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

/* The next mirror that may be asked, from *i on; NULL: the registry itself is next. */
static struct registry *next_mirror(struct registry *r, size_t *i)
{
    while (*i < r->n_mirrors) {
        struct registry *m = r->mirrors[(*i)++];
        if (!m->at->is_off)
            return m;
    }
    return NULL;
}

/*
 * A mirror has failed; false: by a cancel, which ends it all. One that does not have something may
 * have the next thing; any other is not asked again.
 */
static bool pass_by(struct registry *mirror, const struct err *why)
{
    if (why->code == ERR_CANCELLED)
        return false;
    log_info("remote", "the mirror %s does not serve: %s", mirror->host, why->msg);
    if (why->code != ERR_NOT_FOUND && why->code != ERR_AUTH && why->code != ERR_USAGE)
        mirror->at->is_off = true;
    return true;
}

int registry_manifest(struct registry *r, const char *reference, struct buf *ret,
                      char **ret_media_type, struct blob_id *ret_id, struct err *err)
{
    struct registry *mirror;
    for (size_t i = 0; (mirror = next_mirror(r, &i)) != NULL;) {
        struct err why = ERR_INIT;
        if (manifest_from(mirror, reference, ret, ret_media_type, ret_id, &why) == 0)
            return 0;
        if (!pass_by(mirror, &why))
            return err_copy(err, &why);
    }
    return manifest_from(r, reference, ret, ret_media_type, ret_id, err);
}

static int resolve_by_get(struct registry *r, const char *tag, struct blob_id *ret_id,
                          struct err *err)
{
    AUTO(buf_release) struct buf doc = BUF_INIT;
    AUTO(mem_free) char *type = NULL;
    return manifest_from(r, tag, &doc, &type, ret_id, err);
}

static int resolve_at(struct registry *r, const char *tag, struct blob_id *ret_id, struct err *err)
{
    bool has_digest;
    struct digest want, said;
    struct err none = ERR_INIT;
    AUTO(mem_free) char *url = NULL;
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (registry_reference(tag, &has_digest, &want, err) < 0)
        return err->code;
    AUTO(mem_free) char *name = full_name(r, tag);
    manifest_request(r, tag, &url, &headers);
    struct http_request q = { .method = "HEAD",
                              .url = url,
                              .headers = &headers,
                              .is_inside = registry_inside(r),
                              .total_timeout_s = DOCUMENT_TIMEOUT_S };
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

int registry_resolve(struct registry *r, const char *tag, struct blob_id *ret_id, struct err *err)
{
    struct registry *mirror;
    for (size_t i = 0; (mirror = next_mirror(r, &i)) != NULL;) {
        struct err why = ERR_INIT;
        if (resolve_at(mirror, tag, ret_id, &why) == 0)
            return 0;
        if (!pass_by(mirror, &why))
            return err_copy(err, &why);
    }
    return resolve_at(r, tag, ret_id, err);
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
        return registry_is_busy(p->status) && !registry_is_used_up(p) ? DOWNLOAD_AGAIN
                                                                      : DOWNLOAD_FAILED;
    }
    if (verify_sink_is_whole(d->to))
        return DOWNLOAD_DONE;
    verify_sink_check(d->to, &d->what->id.d, err);
    return verify_sink_done(d->to) > before ? DOWNLOAD_AGAIN : DOWNLOAD_FAILED;
}

static enum outcome download_try(struct download *d, struct http_response *ret, struct err *err)
{
    uint64_t before = verify_sink_done(d->to);
    struct http_request q = { .method = "GET",
                              .url = d->url,
                              .to = d->to,
                              .max = UINT64_MAX,
                              .resume_from = before,
                              .idle_timeout_s = d->r->idle_timeout_s,
                              .min_speed = REGISTRY_MIN_SPEED,
                              .is_inside = registry_inside(d->r) };
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
        if (outcome == DOWNLOAD_FAILED || n + 1 == d->r->tries)
            return err_copy(err, &now);
        if (registry_back_off(d->r, n, p.status != 0 ? &p : NULL, now.msg, &stopped) < 0)
            return err_copy(err, &stopped);
    }
}

/* Goes on where another has stopped, so that a mirror's failure costs nothing that has come. */
static int blob_from(struct registry *r, const struct descriptor *d, struct sink *verified,
                     struct err *err)
{
    AUTO(mem_free)
    char *url = str_printf("%s/v2/%s/blobs/%s", r->base, r->path, DIGEST_S(&d->id.d));
    struct download load = { .r = r, .what = d, .url = url, .to = verified };
    int bad = download(&load, err);
    if (bad < 0 && bad != ERR_AUTH && bad != ERR_CANCELLED)
        err_wrap(err, "blob %s of %s", DIGEST_S(&d->id.d), r->name);
    return bad;
}

/* 0: it has come; 1: the next one may go on with it; else it cannot come any more. */
static int blob_from_mirror(struct registry *mirror, const struct descriptor *d,
                            struct sink *verified, struct err *err)
{
    if (blob_from(mirror, d, verified, err) == 0)
        return 0;
    bool is_wrong = err->code == ERR_CORRUPT && verify_sink_is_whole(verified);
    if (!pass_by(mirror, err) || verify_sink_is_broken(verified) || is_wrong)
        return err->code;
    return 1;
}

int registry_blob(struct registry *r, const struct descriptor *d, struct sink *to, struct err *err)
{
    AUTO(sink_free) struct sink *verified = verify_sink_new(to, d->size);
    struct registry *mirror;
    for (size_t i = 0; (mirror = next_mirror(r, &i)) != NULL;) {
        struct err why = ERR_INIT;
        int got = blob_from_mirror(mirror, d, verified, &why);
        if (got < 0)
            return err_copy(err, &why);
        if (got == 0)
            return 0;
    }
    return blob_from(r, d, verified, err);
}

bool registry_has_mirrors(const struct registry *r)
{
    return r->n_mirrors > 0;
}
