#include "remote/registry_internal.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "remote/url.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

#define CHALLENGE_MAX 8192
#define TOKEN_MAX (64u << 10) /* of the token itself; its document may have 1 MiB */
#define TOKEN_TIMEOUT_S 60
#define EXPIRES_USUAL_S 60 /* as the specification has it */
#define EXPIRES_MAX_S 86400
#define EARLY_MS 10000

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

/* --- tokens ----------------------------------------------------------------------------------- */

void registry_want_scope(struct registry *r, const char *repository)
{
    pthread_mutex_lock(&r->lock);
    if (!str_eq(repository, r->path) && !strv_has(&r->wanted, repository)) {
        strv_add(&r->wanted, repository);
        if (r->challenge.is_bearer) /* what is at hand is of a narrower scope */
            r->until_ms = 0;
    }
    pthread_mutex_unlock(&r->lock);
}

/* "http://host:" with whatever port, of the registry that was itself asked so. */
static bool is_plain_neighbour(const struct registry *r, const char *realm)
{
    if (url_is_https(r->base) || url_is_https(realm) || !url_is_valid(realm))
        return false;
    return url_same_host(r->base, realm);
}

/*
 * Who may be asked for tokens: https, or plain http on this machine when the registry itself is
 * that, or plain http on the registry's host when the registry is asked so (it is configured as
 * insecure). A registry elsewhere cannot make us call local services.
 */
static bool is_realm_allowed(const struct registry *r, const char *realm)
{
    return (url_is_https(realm) && url_is_valid(realm)) ||
           (url_is_loopback(realm) && url_is_loopback(r->base) &&
            strncasecmp(realm, "http://", 7) == 0) ||
           is_plain_neighbour(r, realm);
}

/*
 * What the challenge wants; what we know we want; and to read what blobs are mounted from. The
 * challenge to a read of a repository that is to be pushed to asks for too little.
 */
/* "repository:PATH:pull,push" of this repository: a name may have "push" in it, too. */
static bool may_push(const struct registry *r, const char *scope)
{
    AUTO(mem_free) char *own = str_printf("repository:%s:", r->path);
    if (!str_starts(scope, own))
        return false;
    AUTO(strv_release) struct strv actions = STRV_INIT;
    strv_split(&actions, scope + strlen(own), ',');
    return strv_has(&actions, "push") || strv_has(&actions, "*");
}

static void list_scopes(const struct registry *r, const struct challenge *c, struct strv *ret)
{
    bool is_enough = false;
    strv_split(ret, c->scope != NULL ? c->scope : "", ' ');
    for (size_t i = 0; i < ret->n; i++)
        is_enough = is_enough || r->access == REGISTRY_PULL || may_push(r, ret->v[i]);
    if (!is_enough) {
        strv_clear(ret);
        strv_addf(ret, "repository:%s:%s", r->path,
                  r->access == REGISTRY_PUSH ? "pull,push" : "pull");
    }
    for (size_t i = 0; i < r->wanted.n; i++)
        strv_addf(ret, "repository:%s:pull", r->wanted.v[i]);
}

static void add_field(struct buf *b, char *sep, const char *name, const char *value,
                      const char *keep)
{
    if (*sep != '\0')
        buf_addc(b, *sep);
    buf_addf(b, "%s=", name);
    url_escape(b, value, keep);
    *sep = '&';
}

static char *token_url(const struct challenge *c, const struct strv *scopes)
{
    AUTO(buf_release) struct buf url = BUF_INIT;
    buf_add(&url, c->realm, strcspn(c->realm, "#"));
    char sep = strchr(buf_str(&url), '?') != NULL ? '&' : '?';
    if (c->service != NULL)
        add_field(&url, &sep, "service", c->service, "");
    for (size_t i = 0; i < scopes->n; i++)
        add_field(&url, &sep, "scope", scopes->v[i], ":/,");
    return buf_take(&url);
}

/* The form of an OAuth2 refresh (RFC 6749, section 6), as the distribution's oauth page has it. */
static char *token_form(const struct challenge *c, const struct strv *scopes, const char *token)
{
    AUTO(buf_release) struct buf form = BUF_INIT;
    AUTO(mem_free) char *scope = strv_join(scopes, " ");
    char sep = '\0';
    add_field(&form, &sep, "grant_type", "refresh_token", "");
    add_field(&form, &sep, "service", c->service != NULL ? c->service : "", "");
    add_field(&form, &sep, "client_id", "shale", "");
    add_field(&form, &sep, "scope", scope, "");
    add_field(&form, &sep, "refresh_token", token, "");
    return buf_take(&form);
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

/* A header value and how long it may be used. */
struct grant {
    char *value;
    int64_t until_ms; /* clock_mono_ms */
};
static void grant_release(struct grant *g)
{
    secret_free(g->value);
}
DEFINE_AUTO_VALUE(struct grant, grant_release);

/* Some time before it ends: what is asked for now may take a while to be answered. */
static int64_t end_of(const json_t *doc)
{
    json_int_t s = json_get_int(doc, "expires_in", EXPIRES_USUAL_S);
    if (s <= 0)
        s = EXPIRES_USUAL_S;
    if (s > EXPIRES_MAX_S)
        s = EXPIRES_MAX_S;
    int64_t early_ms = s * 1000 / 4 < EARLY_MS ? s * 1000 / 4 : EARLY_MS;
    return clock_mono_ms() + s * 1000 - early_ms;
}

static int token_read(const struct http_response *p, struct grant *ret, struct err *err)
{
    struct err why = ERR_INIT; /* its text may have a piece of the token */
    json_auto_t *doc = json_parse(buf_str(&p->body), p->body.len, "token", &why);
    const char *token = doc != NULL ? json_get_str(doc, "token") : NULL;
    if (token == NULL && doc != NULL)
        token = json_get_str(doc, "access_token");
    if (token == NULL || !is_token(token))
        return err_set(err, ERR_CORRUPT, "the answer has no usable token");
    ret->value = str_printf("Bearer %s", token);
    ret->until_ms = end_of(doc);
    return 0;
}

static char *basic(const char *user, const char *secret)
{
    AUTO(mem_free) char *pair = str_printf("%s:%s", user, secret != NULL ? secret : "");
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "Basic ");
    base64_add(&b, pair, strlen(pair));
    explicit_bzero(pair, strlen(pair));
    return buf_take(&b);
}

/* One question to the token server. The registry's own CAs count there, too, as in Docker; that it
 * is not verified only for its own host. */
static int ask_realm(const struct registry *r, struct http_request *q, struct http_response *ret,
                     struct err *err)
{
    registry_host_secure(r->at, q);
    q->total_timeout_s = TOKEN_TIMEOUT_S;
    q->from_outside = r->is_outside; /* then it cannot send us to the inside */
    q->is_inside = r->is_outside ? registry_inside(r) : NULL;
    q->is_unverified = q->is_unverified && url_same_host(q->url, r->base);
    if (!url_same_origin(q->url, r->base))
        q->cert_file = q->key_file = NULL;
    if (http_do(r->http, q, ret, err) < 0)
        return err_wrap(err, "cannot get a token for %s", r->name);
    return 0;
}

static int refresh(const struct registry *r, const struct challenge *c, const struct strv *scopes,
                   const char *token, struct http_response *ret, struct err *err)
{
    AUTO(secret_free) char *form = token_form(c, scopes, token);
    AUTO(strv_release) struct strv headers = STRV_INIT;
    AUTO(source_free) struct source *body = source_mem(form, strlen(form));
    strv_add(&headers, "Content-Type: application/x-www-form-urlencoded");
    struct http_request q = { .method = "POST",
                              .url = c->realm,
                              .headers = &headers,
                              .body = body,
                              .body_size = (int64_t)strlen(form),
                              .stays = true };
    return ask_realm(r, &q, ret, err);
}

static int get(const struct registry *r, const struct challenge *c, const struct strv *scopes,
               const char *authorization, struct http_response *ret, struct err *err)
{
    AUTO(mem_free) char *url = token_url(c, scopes);
    struct http_request q = { .method = "GET", .url = url, .authorization = authorization };
    return ask_realm(r, &q, ret, err);
}

/* With an identity token by POST, or by GET where the server knows no POST. */
static int ask_for_token(const struct registry *r, const struct challenge *c,
                         const struct strv *scopes, const struct credentials *who,
                         struct http_response *ret, struct err *err)
{
    AUTO(secret_free) char *pair = NULL;
    if (who->identity_token != NULL) {
        if (refresh(r, c, scopes, who->identity_token, ret, err) < 0)
            return err->code;
        if (ret->status != 404 && ret->status != 405)
            return 0;
        http_response_release(ret);
        pair = basic("", who->identity_token);
    } else if (who->user != NULL) {
        pair = basic(who->user, who->secret);
    }
    return get(r, c, scopes, pair, ret, err);
}

static int token_fetch(const struct registry *r, const struct challenge *c,
                       const struct strv *scopes, const struct credentials *who, struct grant *ret,
                       struct err *err)
{
    AUTO(mem_free) char *where = url_show(c->realm);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (!is_realm_allowed(r, c->realm))
        return err_set(err, ERR_AUTH, "%s sends for tokens to '%s', which is not https", r->name,
                       where);
    int bad = ask_for_token(r, c, scopes, who, &p, err);
    if (bad < 0)
        return bad;
    if (p.status == 401 || p.status == 403 || (p.status == 400 && who->identity_token != NULL))
        return registry_denied(r, &p, err);
    if (p.status != 200) {
        AUTO(mem_free) char *what = str_printf("cannot get a token for %s", r->name);
        return registry_refused(r, what, &p, err);
    }
    if (token_read(&p, ret, err) < 0)
        return err_wrap(err, "cannot get a token for %s from %s", r->name, where);
    return 0;
}

/* --- tokens that all repositories of a registry share ----------------------------------------- */

static struct registry_token *token_find(struct registry_host *t, const char *key)
{
    struct registry_token *token = t->tokens;
    while (token != NULL && !str_eq(token->key, key))
        token = token->next;
    return token;
}

static void token_keep(struct registry_host *t, const char *key, const struct grant *g)
{
    struct registry_token *token = token_find(t, key);
    if (token == NULL) {
        token = mem_zalloc(sizeof(*token));
        token->key = str_dup(key);
        token->next = t->tokens;
        t->tokens = token;
    }
    secret_free(token->value);
    token->value = str_dup(g->value);
    token->until_ms = g->until_ms;
}

static char *token_key(const struct challenge *c, const struct strv *scopes,
                       const struct credentials *who)
{
    AUTO(mem_free) char *scope = strv_join(scopes, " ");
    return str_printf("%s\n%s\n%s\n%s", c->realm, c->service != NULL ? c->service : "", scope,
                      who->user != NULL ? who->user : "");
}

/* 1: one that was there. denied: what was refused just now, or NULL. */
static int token_get(struct registry *r, const struct challenge *c, const struct credentials *who,
                     const char *denied, struct grant *ret, struct err *err)
{
    AUTO(strv_release) struct strv scopes = STRV_INIT;
    list_scopes(r, c, &scopes);
    AUTO(mem_free) char *key = token_key(c, &scopes, who);
    pthread_mutex_lock(&r->at->lock);
    const struct registry_token *known = token_find(r->at, key);
    int result =
        known != NULL && known->until_ms > clock_mono_ms() && !str_eq(known->value, denied);
    if (result == 1) {
        ret->value = str_dup(known->value);
        ret->until_ms = known->until_ms;
    } else {
        result = token_fetch(r, c, &scopes, who, ret, err);
        if (result == 0)
            token_keep(r->at, key, ret);
    }
    pthread_mutex_unlock(&r->at->lock);
    return result;
}

/* --- who we are, as the registry wants to hear it --------------------------------------------- */

/* Credentials that are their own proof: when they were refused, there is no second try. */
static int given(const struct registry *r, char *value, const char *denied,
                 const struct http_response *p, struct grant *ret, struct err *err)
{
    if (str_eq(value, denied)) {
        secret_free(value);
        return registry_denied(r, p, err);
    }
    *ret = (struct grant){ .value = value, .until_ms = INT64_MAX };
    return 0;
}

/* As token_get. p: the answer that has the challenge, or NULL. */
static int grant_get(struct registry *r, const struct challenge *c, const char *denied,
                     const struct http_response *p, struct grant *ret, struct err *err)
{
    AUTO(credentials_release) struct credentials who = { .user = NULL };
    if (registry_host_credentials(r->at, r->path, http_cancel(r->http), &who, err) < 0)
        return err_wrap(err, "cannot log in to %s", r->at->name);
    if (credentials_are_there(&who))
        r->at->is_known = true;
    bool is_bearer = c->is_bearer && c->realm != NULL;
    if (is_bearer && who.registry_token != NULL && is_token(who.registry_token))
        return given(r, str_printf("Bearer %s", who.registry_token), denied, p, ret, err);
    if (is_bearer)
        return token_get(r, c, &who, denied, ret, err);
    if (!c->is_basic || who.user == NULL)
        return registry_denied(r, p, err);
    return given(r, basic(who.user, who.secret), denied, p, ret, err);
}

static void use(struct registry *r, struct grant *g)
{
    secret_free(r->authorization);
    r->authorization = TAKE(g->value);
    r->until_ms = g->until_ms;
    r->token_number++;
}

/* Before it is refused: a body that was sent with a token too old is sent in vain. */
static void renew_early(struct registry *r)
{
    AUTO(grant_release) struct grant g = { .value = NULL };
    struct err why = ERR_INIT;
    if (grant_get(r, &r->challenge, NULL, NULL, &g, &why) < 0) {
        log_debug("remote", "%s", why.msg); /* the next refusal says it */
        r->until_ms = INT64_MAX;
        return;
    }
    use(r, &g);
}

char *registry_authorization(struct registry *r, unsigned *ret_number)
{
    pthread_mutex_lock(&r->lock);
    if (r->authorization != NULL && r->until_ms <= clock_mono_ms())
        renew_early(r);
    char *value = str_dup(r->authorization);
    *ret_number = r->token_number;
    pthread_mutex_unlock(&r->lock);
    return value;
}

int registry_renew(struct registry *r, const struct http_response *denied, unsigned number,
                   struct err *err)
{
    AUTO(challenge_release) struct challenge c = { .realm = NULL };
    AUTO(grant_release) struct grant g = { .value = NULL };
    const char *header = http_header(denied, "www-authenticate");
    /* Storage that a blob was redirected to has no say in who gets what. */
    if (header == NULL || !url_same_origin(denied->url, r->base))
        return registry_denied(r, denied, err);
    if (challenge_parse(header, &c, err) < 0)
        return err_wrap(err, "%s", r->name);

    int result = 0;
    pthread_mutex_lock(&r->lock);
    if (r->token_number == number) {
        r->is_outside = denied->is_outside;
        result = grant_get(r, &c, r->authorization, denied, &g, err);
        if (result >= 0) {
            use(r, &g);
            challenge_release(&r->challenge);
            r->challenge = c;
            c = (struct challenge){ .realm = NULL };
        }
    }
    pthread_mutex_unlock(&r->lock);
    return result;
}
