#include "remote/registry_internal.h"
#include "base/json.h"
#include "base/log.h"
#include "remote/url.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define CHALLENGE_MAX 8192
#define TOKEN_MAX (64u << 10) /* of the token itself; its document may have 1 MiB */
#define TOKEN_TIMEOUT_S 60

/* --- WWW-Authenticate (RFC 9110, 11.6.1) ------------------------------------------------------ */

void challenge_release(struct challenge *c)
{
    mem_free(c->realm);
    mem_free(c->service);
    mem_free(c->scope);
}

static bool is_token_char(unsigned char c)
{
    return c > 32 && c < 127 && strchr("()<>@,;:\\\"/[]?={}", c) == NULL;
}

static const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

static const char *token_end(const char *p)
{
    while (is_token_char((unsigned char)*p))
        p++;
    return p;
}

/* A token, or a quoted string without its quotes. NULL when it is neither. */
static const char *read_value(const char *p, struct buf *ret)
{
    buf_clear(ret);
    if (*p != '"') {
        const char *end = p;
        while (*end > 32 && *end != ',' && *end != '"' && *end < 127) /* some leave quotes out */
            end++;
        buf_add(ret, p, (size_t)(end - p));
        return end > p ? end : NULL;
    }
    for (p++; *p != '"'; p++) {
        if (*p == '\\' && p[1] != '\0')
            p++;
        if ((unsigned char)*p < 32 || *p == 127) /* the end of the text, too */
            return NULL;
        buf_addc(ret, *p);
    }
    return p + 1;
}

static void set_param(struct challenge *c, const char *name, size_t len, const struct buf *value)
{
    struct {
        const char *name;
        char **at;
    } known[] = { { "realm", &c->realm }, { "service", &c->service }, { "scope", &c->scope } };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strlen(known[i].name) == len && strncasecmp(known[i].name, name, len) == 0 &&
            *known[i].at == NULL)
            *known[i].at = str_dup(buf_str(value));
}

static bool is_word(const char *p, const char *end, const char *word)
{
    return (size_t)(end - p) == strlen(word) && strncasecmp(p, word, strlen(word)) == 0;
}

/*
 * One element of the list: "scheme", "scheme name=value", "name=value" or "scheme token68".
 * Returns where it ends, NULL when it is none of them. *in_bearer: whose parameters these are.
 */
static const char *read_element(const char *p, bool *in_bearer, struct challenge *c)
{
    AUTO(buf_release) struct buf value = BUF_INIT;
    const char *end = token_end(p);
    const char *next = skip_blanks(end);
    if (end == p)
        return NULL;
    if (*next != '=') {
        *in_bearer = is_word(p, end, "Bearer");
        c->is_bearer = c->is_bearer || *in_bearer;
        c->is_basic = c->is_basic || is_word(p, end, "Basic");
        p = next;
        if (*p == ',' || *p == '\0')
            return p;
        end = token_end(p);
        next = skip_blanks(end);
        if (end == p || *next != '=')
            return p + strcspn(p, ",");
    }
    const char *after = read_value(skip_blanks(next + 1), &value);
    if (after != NULL && *in_bearer)
        set_param(c, p, (size_t)(end - p), &value);
    return after;
}

int challenge_parse(const char *value, struct challenge *ret, struct err *err)
{
    AUTO(challenge_release) struct challenge c = { .realm = NULL };
    bool in_bearer = false;
    const char *p = strlen(value) <= CHALLENGE_MAX ? value : NULL;
    while (p != NULL && *(p = p + strspn(p, " \t,")) != '\0') {
        p = read_element(p, &in_bearer, &c);
        if (p != NULL) {
            p = skip_blanks(p);
            if (*p != ',' && *p != '\0')
                p = NULL;
        }
    }
    if (p == NULL || (!c.is_bearer && !c.is_basic))
        return err_set(err, ERR_CORRUPT, "the challenge in WWW-Authenticate cannot be read");
    *ret = c;
    c = (struct challenge){ .realm = NULL };
    return 0;
}

/* --- errors in words -------------------------------------------------------------------------- */

int registry_denied(const struct registry *r, struct err *err)
{
    return err_set(err, ERR_AUTH,
                   "pull access denied for %s, repository does not exist or may require "
                   "authorization",
                   r->name);
}

/* What an error document says: {"errors":[{"code":"...","message":"..."}]}; else nothing. */
static void error_words(const struct http_response *p, struct buf *ret)
{
    struct err ignored = ERR_INIT;
    json_auto_t *doc = json_parse(buf_str(&p->body), p->body.len, "error", &ignored);
    const json_t *first = doc ? json_array_get(json_get_arr(doc, "errors"), 0) : NULL;
    const char *text = first ? json_get_str(first, "message") : NULL;
    if (text == NULL || *text == '\0')
        text = first ? json_get_str(first, "code") : NULL;
    if (text == NULL && doc != NULL) /* token servers */
        text = json_get_str(doc, "details") ? json_get_str(doc, "details")
                                            : json_get_str(doc, "message");
    if (text != NULL)
        log_escape(ret, text, strnlen(text, 300));
}

int registry_refused(const struct registry *r, const char *what, const struct http_response *p,
                     struct err *err)
{
    static const struct {
        int status;
        enum err_code code;
        const char *meaning;
    } table[] = {
        { 400, ERR_NET, "the request was refused" }, { 403, ERR_AUTH, "access denied" },
        { 404, ERR_NOT_FOUND, "not found" },         { 410, ERR_NOT_FOUND, "not found" },
        { 429, ERR_NET, "too many requests" },       { 500, ERR_NET, "error of the server" },
        { 502, ERR_NET, "error of the server" },     { 503, ERR_NET, "not available now" },
        { 504, ERR_NET, "error of the server" },
    };
    AUTO(buf_release) struct buf words = BUF_INIT;
    enum err_code code = ERR_NET;
    const char *meaning = "unexpected answer";
    if (p->status == 401)
        return registry_denied(r, err);
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

/* --- tokens ----------------------------------------------------------------------------------- */

char *registry_authorization(struct registry *r, unsigned *ret_number)
{
    pthread_mutex_lock(&r->lock);
    char *value = str_dup(r->authorization);
    *ret_number = r->token_number;
    pthread_mutex_unlock(&r->lock);
    return value;
}

void registry_want_scope(struct registry *r, const char *repository)
{
    pthread_mutex_lock(&r->lock);
    if (!str_eq(repository, r->path) && !strv_has(&r->wanted, repository)) {
        strv_add(&r->wanted, repository);
        mem_free(TAKE(r->authorization)); /* of a narrower scope */
    }
    pthread_mutex_unlock(&r->lock);
}

/*
 * Who may be asked for tokens: https, or plain http on this machine when the
 * registry itself is that. A registry elsewhere cannot make us call local services.
 */
static bool is_realm_allowed(const struct registry *r, const char *realm)
{
    return (url_is_https(realm) && url_is_valid(realm)) ||
           (url_is_loopback(realm) && url_is_loopback(r->base) &&
            strncasecmp(realm, "http://", 7) == 0);
}

static char *token_url(const struct registry *r, const struct challenge *c)
{
    AUTO(buf_release) struct buf url = BUF_INIT;
    AUTO(mem_free)
    char *scope = c->scope ? str_dup(c->scope)
                           : str_printf("repository:%s:%s", r->path,
                                        r->access == REGISTRY_PUSH ? "pull,push" : "pull");
    buf_add(&url, c->realm, strcspn(c->realm, "#"));
    char sep = strchr(buf_str(&url), '?') != NULL ? '&' : '?';
    if (c->service != NULL) {
        buf_addf(&url, "%cservice=", sep);
        url_escape(&url, c->service, "");
        sep = '&';
    }
    buf_addf(&url, "%cscope=", sep);
    url_escape(&url, scope, ":/,");
    return buf_take(&url);
}

/* The token goes into a header line: visible ASCII only. */
static bool is_token(const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0' && n <= TOKEN_MAX; n++)
        if (s[n] <= 32 || s[n] >= 127)
            return false;
    return n > 0 && n <= TOKEN_MAX;
}

static int token_read(const struct http_response *p, char **ret, struct err *err)
{
    json_auto_t *doc = json_parse(buf_str(&p->body), p->body.len, "token", err);
    if (doc == NULL)
        return err->code;
    const char *token = json_get_str(doc, "token");
    if (token == NULL)
        token = json_get_str(doc, "access_token");
    if (token == NULL || !is_token(token))
        return err_set(err, ERR_CORRUPT, "the answer has no usable token");
    *ret = str_printf("Bearer %s", token);
    return 0;
}

static int token_get(const struct registry *r, const struct challenge *c, char **ret,
                     struct err *err)
{
    if (!is_realm_allowed(r, c->realm)) {
        AUTO(mem_free) char *shown = url_show(c->realm);
        return err_set(err, ERR_AUTH, "%s sends for tokens to '%s', which is not https", r->name,
                       shown);
    }
    AUTO(mem_free) char *url = token_url(r, c);
    AUTO(mem_free) char *where = url_show(url);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "GET", .url = url, .total_timeout_s = TOKEN_TIMEOUT_S };
    if (http_do(r->http, &q, &p, err) < 0)
        return err_wrap(err, "cannot get a token for %s", r->name);
    if (p.status == 401 || p.status == 403)
        return registry_denied(r, err);
    if (p.status != 200)
        return err_set(err, ERR_NET, "cannot get a token for %s: HTTP %d from %s", r->name,
                       p.status, where);
    if (token_read(&p, ret, err) < 0)
        return err_wrap(err, "cannot get a token for %s from %s", r->name, where);
    return 0;
}

int registry_renew(struct registry *r, const struct http_response *denied, unsigned number,
                   struct err *err)
{
    AUTO(challenge_release) struct challenge c = { .realm = NULL };
    const char *header = http_header(denied, "www-authenticate");
    /* Storage that a blob was redirected to has no say in who gets what. */
    if (header == NULL || !url_same_origin(denied->url, r->base))
        return registry_denied(r, err);
    if (challenge_parse(header, &c, err) < 0)
        return err_wrap(err, "%s", r->name);
    if (!c.is_bearer || c.realm == NULL)
        return registry_denied(r, err);

    int bad = 0;
    pthread_mutex_lock(&r->lock);
    if (r->token_number == number) {
        char *authorization = NULL;
        bad = token_get(r, &c, &authorization, err);
        if (bad == 0) {
            mem_free(r->authorization);
            r->authorization = authorization;
            r->token_number++;
        }
    }
    pthread_mutex_unlock(&r->lock);
    return bad;
}
