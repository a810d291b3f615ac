#include "base/json.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include "remote/url.h"
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 300 /* of what others say, in a message */

/* What an error document says: {"errors":[{"code":"...","message":"..."}]}; else nothing. */
static void error_words(const struct http_response *p, struct buf *ret)
{
    struct err ignored = ERR_INIT;
    json_auto_t *doc = json_parse(buf_str(&p->body), p->body.len, "error", &ignored);
    const json_t *first = doc ? json_array_get(json_get_arr(doc, "errors"), 0) : NULL;
    const char *text = first ? json_get_str(first, "message") : NULL;
    if (text == NULL || *text == '\0')
        text = first ? json_get_str(first, "code") : NULL;
    static const char *const of_token_servers[] = { "details", "message", "error_description",
                                                    "error" };
    for (size_t i = 0; text == NULL && doc != NULL && i < ARRAY_LEN(of_token_servers); i++)
        text = json_get_str(doc, of_token_servers[i]);
    if (text != NULL)
        log_escape(ret, text, strnlen(text, WORDS_MAX));
}

int registry_denied(const struct registry *r, const struct http_response *p, struct err *err)
{
    AUTO(buf_release) struct buf words = BUF_INIT;
    if (p != NULL)
        error_words(p, &words);
    return err_set(err, ERR_AUTH,
                   "%s access denied for %s, repository does not exist or may require "
                   "authorization%s%s",
                   r->access == REGISTRY_PUSH ? "push" : "pull", r->name,
                   words.len > 0 ? ": server message: " : "", buf_str(&words));
}

/* --- limits ----------------------------------------------------------------------------------- */

/* "6 h", "90 s" */
static void add_span(struct buf *b, long s)
{
    static const struct {
        long s;
        const char *unit;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (s >= units[i].s && s % units[i].s == 0) {
            buf_addf(b, "%ld %s", s / units[i].s, units[i].unit);
            return;
        }
    buf_addf(b, "%ld s", s);
}

/* A number of at most nine digits, -1 for anything else; *ret_end: what is behind it. */
static long number_of(const char *text, const char **ret_end)
{
    size_t n = text != NULL ? strspn(text, "0123456789") : 0;
    if (n == 0 || n > 9)
        return -1;
    *ret_end = text + n;
    return strtol(text, NULL, 10);
}

/* "ratelimit-limit: 100;w=21600", "ratelimit-remaining: 0;w=21600" (Docker Hub), "retry-after" */
static void add_limit(struct buf *b, const struct http_response *p)
{
    const char *end = "", *ignored = "";
    const char *before = " (";
    long limit = number_of(http_header(p, "ratelimit-limit"), &end);
    long left = number_of(http_header(p, "ratelimit-remaining"), &ignored);
    long window = limit >= 0 && str_starts(end, ";w=") ? number_of(end + 3, &ignored) : -1;
    int64_t wait = http_retry_after_ms(p);
    if (limit >= 0) {
        buf_addf(b, "%s%ld", before, limit);
        if (window > 0) {
            buf_adds(b, " in ");
            add_span(b, window);
        }
        before = ", ";
    }
    if (left >= 0) {
        buf_addf(b, "%s%ld left", before, left);
        before = ", ";
    }
    if (wait >= 0) {
        buf_addf(b, "%sagain in ", before);
        add_span(b, (long)((wait + 999) / 1000));
        before = ", ";
    }
    if (before[0] == ',')
        buf_addc(b, ')');
}

static int limited(const struct registry *r, const char *what, const struct http_response *p,
                   struct err *err)
{
    AUTO(buf_release) struct buf limit = BUF_INIT;
    AUTO(buf_release) struct buf words = BUF_INIT;
    AUTO(mem_free) char *peer = url_host_port(p->url);
    add_limit(&limit, p);
    error_words(p, &words);
    bool is_own = url_same_origin(p->url, r->base);
    const char *how = "";
    if (is_own && r->at->is_known) /* then it is no use to log in */
        how = "; a mirror (registry-mirror) has limits of its own";
    else if (is_own)
        how = "; log in with 'docker login' for a higher limit, or use a mirror (registry-mirror)";
    return err_set(err, ERR_NET, "%s: %s limits how often it may be asked%s%s%s%s (HTTP 429)", what,
                   peer, buf_str(&limit), how, words.len > 0 ? ": " : "", buf_str(&words));
}

bool registry_is_used_up(const struct http_response *p)
{
    const char *end;
    return p->status == 429 && number_of(http_header(p, "ratelimit-remaining"), &end) == 0 &&
           http_retry_after_ms(p) < 0;
}

/* What servers written in Go answer in the clear when they speak TLS; to this machine we do ask so.
 */
static bool wants_tls(const struct registry *r, const struct http_response *p)
{
    static const char words[] = "HTTP request to an HTTPS server";
    return p->status == 400 && !url_is_https(r->base) &&
           memmem(buf_str(&p->body), p->body.len, words, sizeof(words) - 1) != NULL;
}

/* --- any other answer ------------------------------------------------------------------------- */

int registry_refused(const struct registry *r, const char *what, const struct http_response *p,
                     struct err *err)
{
    static const struct {
        int status;
        enum err_code code;
        const char *meaning;
    } table[] = {
        { 400, ERR_NET, "the request was refused" },
        { 403, ERR_AUTH, "access denied" },
        { 404, ERR_NOT_FOUND, "not found" },
        { 410, ERR_NOT_FOUND, "not found" },
        { 405, ERR_NET, "it takes no such request" },
        { 413, ERR_NET, "too large" },
        { 409, ERR_NET, "what is there may not be changed" },
        { 412, ERR_NET, "what is there may not be changed" },
        { 500, ERR_NET, "error of the server" },
        { 502, ERR_NET, "error of the server" },
        { 503, ERR_NET, "not available now" },
        { 504, ERR_NET, "error of the server" },
    };
    AUTO(buf_release) struct buf words = BUF_INIT;
    enum err_code code = ERR_NET;
    const char *meaning = "unexpected answer";
    if (p->status == 401)
        return registry_denied(r, p, err);
    if (p->status == 429)
        return limited(r, what, p, err);
    if (wants_tls(r, p))
        return err_set(err, ERR_NET,
                       "%s: %s speaks https: put its CA into certs.d/%s, or name it as "
                       "insecure-registry",
                       what, r->at->name, r->at->name);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == p->status) {
            code = table[i].code;
            meaning = table[i].meaning;
        }
    error_words(p, &words);
    AUTO(mem_free) char *peer = url_host_port(p->url);
    return err_set(err, code, "%s: %s (HTTP %d from %s)", what,
                   words.len > 0 ? words.data : meaning, p->status, peer);
}
