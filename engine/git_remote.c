#include "engine/git_remote.h"

#include "base/fs.h"
#include "base/log.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

void git_remote_release(struct git_remote *r)
{
    mem_free(r->url);
    mem_free(r->credentials);
    mem_free(r->ref);
    mem_free(r->subdir);
    mem_free(r->checksum);
}

void git_found_release(struct git_found *f)
{
    mem_free(f->name);
}

/* --- words ------------------------------------------------------------------------------------ */

bool git_is_commit_prefix(const char *s)
{
    return *s != '\0' && s[strspn(s, "0123456789abcdefABCDEF")] == '\0';
}

bool git_is_commit(const char *s)
{
    size_t n = strspn(s, "0123456789abcdef");
    return s[n] == '\0' && (n == 40 || n == 64);
}

static bool has_control(const char *s)
{
    for (; *s != '\0'; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return true;
    return false;
}

bool git_is_safe_ref(const char *s)
{
    return *s != '\0' && *s != '-' && !has_control(s);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NULL for a "%" without two hex digits behind it, and for a NUL. */
static char *percent_decode(const char *s, size_t n, bool plus_is_space)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        char c = plus_is_space && s[i] == '+' ? ' ' : s[i];
        if (c == '%') {
            int high = n - i > 2 ? hex_value(s[i + 1]) : -1;
            int low = n - i > 2 ? hex_value(s[i + 2]) : -1;
            if (high < 0 || low < 0 || high + low == 0)
                return NULL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        buf_addc(&b, c);
    }
    return buf_take(&b);
}

/* Go's %q for what can stand in a Dockerfile's line. */
static char *quoted(const char *s)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_addc(&b, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\')
            buf_addc(&b, '\\');
        log_escape(&b, s, 1);
    }
    buf_addc(&b, '"');
    return buf_take(&b);
}

/* --- query ------------------------------------------------------------------------------------ */

/* Go's strconv.ParseBool; "" is true. */
static int parse_bool(const char *key, const char *value, enum instr_tri *ret, struct err *err)
{
    static const char *const yes[] = { "", "1", "t", "T", "TRUE", "true", "True" };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (str_eq(value, yes[i])) {
            *ret = INSTR_TRUE;
            return 0;
        }
    for (size_t i = 0; i < ARRAY_LEN(no); i++)
        if (str_eq(value, no[i])) {
            *ret = INSTR_FALSE;
            return 0;
        }
    AUTO(mem_free) char *shown = quoted(value);
    return err_set(err, ERR_USAGE, "invalid %s value: %s", key, shown);
}

/* Takes value over as *field; what is there already must be the same. */
static int set_once(const char *what, char **field, char *value, struct err *err)
{
    AUTO(mem_free) char *taken = value;
    if (*field != NULL && **field != '\0' && !str_eq(*field, value)) {
        AUTO(mem_free) char *old = quoted(*field);
        AUTO(mem_free) char *new = quoted(value);
        return err_set(err, ERR_USAGE, "%s conflicts: %s vs %s", what, old, new);
    }
    mem_free(*field);
    *field = TAKE(taken);
    return 0;
}

#define QUERIES_MAX 64

struct query {
    struct git_remote *r;
    char *tag, *branch;
};

enum query_kind {
    QUERY_REF,
    QUERY_TAG,
    QUERY_BRANCH,
    QUERY_SUBDIR,
    QUERY_SUM,
    QUERY_MTIME,
    QUERY_KEEP,
    QUERY_SUBMODULES,
    QUERY_BY_COMMIT
};

static const struct {
    const char *name;
    enum query_kind kind;
} query_names[] = {
    { "ref", QUERY_REF },
    { "tag", QUERY_TAG },
    { "branch", QUERY_BRANCH },
    { "subdir", QUERY_SUBDIR },
    { "checksum", QUERY_SUM },
    { "commit", QUERY_SUM },
    { "mtime", QUERY_MTIME },
    { "keep-git-dir", QUERY_KEEP },
    { "submodules", QUERY_SUBMODULES },
    { "fetch-by-commit", QUERY_BY_COMMIT },
};

static int parse_mtime(const char *value, bool *ret_commit, struct err *err)
{
    AUTO(mem_free) char *shown = quoted(value);
    if (!str_eq(value, "checkout") && !str_eq(value, "commit"))
        return err_set(err, ERR_USAGE, "invalid mtime value: %s", shown);
    *ret_commit = str_eq(value, "commit");
    return 0;
}

static int take_query(struct query *q, const char *key, const char *value, struct err *err)
{
    AUTO(mem_free) char *shown = quoted(key);
    enum instr_tri by_commit = INSTR_UNSET;
    size_t i = 0;
    while (i < ARRAY_LEN(query_names) && !str_eq(key, query_names[i].name))
        i++;
    bool is_known = i < ARRAY_LEN(query_names);
    if (*value == '\0' && !(is_known && query_names[i].kind >= QUERY_KEEP))
        return err_set(err, ERR_USAGE, "query %s has no value", shown);
    if (!is_known)
        return err_set(err, ERR_USAGE, "unexpected query %s", shown);
    switch (query_names[i].kind) {
    case QUERY_REF:
        return set_once("ref", &q->r->ref, str_dup(value), err);
    case QUERY_TAG:
        return set_once("tag", &q->tag, str_dup(value), err);
    case QUERY_BRANCH:
        return set_once("branch", &q->branch, str_dup(value), err);
    case QUERY_SUBDIR:
        return set_once("subdir", &q->r->subdir, str_dup(value), err);
    case QUERY_SUM:
        return set_once("checksum", &q->r->checksum, str_dup(value), err);
    case QUERY_MTIME:
        return parse_mtime(value, &q->r->commit_times, err);
    case QUERY_KEEP:
        return parse_bool(key, value, &q->r->keep_dir, err);
    case QUERY_SUBMODULES:
        return parse_bool(key, value, &q->r->submodules, err);
    case QUERY_BY_COMMIT:
        if (parse_bool(key, value, &by_commit, err) < 0)
            return err->code;
        q->r->fetch_by_commit = by_commit == INSTR_TRUE;
        return 0;
    }
    return 0;
}

static int set_named_ref(struct query *q, const char *prefix, const char *name, struct err *err)
{
    char *full = str_starts(name, prefix) ? str_dup(name) : str_printf("%s%s", prefix, name);
    return set_once("ref", &q->r->ref, full, err);
}

static int finish_query(struct query *q, struct err *err)
{
    if (q->tag != NULL && set_named_ref(q, "refs/tags/", q->tag, err) < 0)
        return err->code;
    if (q->branch != NULL && q->tag != NULL)
        return err_set(err, ERR_USAGE, "branch conflicts with tag");
    return q->branch != NULL ? set_named_ref(q, "refs/heads/", q->branch, err) : 0;
}

/* Keys and their values; what does not decode, or has a ";", is dropped as by Go's url.Query. */
static void split_pairs(const char *text, struct strv *keys, struct strv *values)
{
    AUTO(strv_release) struct strv pairs = STRV_INIT;
    strv_split(&pairs, text, '&');
    for (size_t i = 0; i < pairs.n; i++) {
        const char *pair = pairs.v[i], *equals = strchrnul(pair, '=');
        const char *value = *equals != '\0' ? equals + 1 : equals;
        AUTO(mem_free) char *k = percent_decode(pair, (size_t)(equals - pair), true);
        AUTO(mem_free) char *v = percent_decode(value, strlen(value), true);
        if (*pair == '\0' || k == NULL || v == NULL || strchr(pair, ';') != NULL)
            continue;
        strv_take(keys, TAKE(k));
        strv_take(values, TAKE(v));
    }
}

static int parse_pairs(struct query *q, const struct strv *keys, const struct strv *values,
                       struct err *err)
{
    for (size_t i = 0; i < keys->n; i++)
        for (size_t k = 0; k < i; k++)
            if (str_eq(keys->v[i], keys->v[k])) {
                AUTO(mem_free) char *shown = quoted(keys->v[i]);
                return err_set(err, ERR_USAGE, "query %s has multiple values", shown);
            }
    for (size_t i = 0; i < keys->n; i++)
        if (take_query(q, keys->v[i], values->v[i], err) < 0)
            return err->code;
    return finish_query(q, err);
}

static int parse_query(struct git_remote *r, const char *text, struct err *err)
{
    AUTO(strv_release) struct strv keys = STRV_INIT;
    AUTO(strv_release) struct strv values = STRV_INIT;
    struct query q = { .r = r };
    split_pairs(text, &keys, &values);
    int rc = 0;
    if (keys.n > QUERIES_MAX)
        rc = err_set(err, ERR_USAGE, "too many queries in a git URL");
    else
        rc = parse_pairs(&q, &keys, &values, err);
    mem_free(q.tag);
    mem_free(q.branch);
    return rc;
}

/* --- the whole -------------------------------------------------------------------------------- */

static bool parse_fragment(struct git_remote *r, const char *text)
{
    AUTO(mem_free) char *decoded = percent_decode(text, strlen(text), false);
    if (decoded == NULL)
        return false;
    char *colon = strchr(decoded, ':');
    if (colon != NULL) {
        *colon = '\0';
        r->subdir = str_dup(colon + 1);
    }
    r->ref = str_dup(decoded);
    return true;
}

/* What of the text is wrong for git, whoever wrote it; subdir becomes what it is in the tree. */
static int check(struct git_remote *r, struct err *err)
{
    if (r->ref == NULL)
        r->ref = str_dup("");
    if (*r->ref != '\0' && !git_is_safe_ref(r->ref)) {
        AUTO(mem_free) char *shown = quoted(r->ref);
        return err_set(err, ERR_USAGE, "invalid git ref %s", shown);
    }
    AUTO(mem_free) char *rooted = str_printf("/%s", r->subdir ? r->subdir : "");
    if (has_control(rooted))
        return err_set(err, ERR_USAGE, "invalid subdir: it has control characters");
    AUTO(mem_free) char *clean = path_clean(rooted);
    mem_free(r->subdir);
    r->subdir = str_dup(clean + 1);
    return 0;
}

static const char *const schemes[] = { "http", "https", "git", "ssh" };

/* The scheme of text in lower case when it is one of git's; *ret_rest is behind "://". */
static const char *scheme_of(const char *text, const char **ret_rest)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t n = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], n) == 0 && str_starts(text + n, "://")) {
            *ret_rest = text + n + 3;
            return schemes[i];
        }
    }
    return NULL;
}

/* host[:port]: what could be read as an option of ssh or git is none. */
static bool is_host(const char *s, size_t n)
{
    if (n == 0 || *s == '-' || *s == ':')
        return false;
    for (size_t i = 0; i < n; i++)
        if (isspace((unsigned char)s[i]) || strchr("<>\"'`\\|{}^", s[i]) != NULL)
            return false;
    return true;
}

/* "user:password@" of an authority: of http it is kept apart, of ssh the user stays. */
static bool take_user(struct git_remote *r, const char *scheme, const char *p, size_t n,
                      struct buf *url)
{
    if (str_starts(scheme, "http")) {
        r->credentials = percent_decode(p, n, false);
        return r->credentials != NULL && !has_control(r->credentials);
    }
    size_t user = strcspn(p, ":@");
    if (user == 0 || *p == '-')
        return false;
    buf_add(url, p, user < n ? user : n);
    buf_addc(url, '@');
    return true;
}

/* rest: authority and path, without query and fragment. False: no git repository. */
static bool parse_url(struct git_remote *r, const char *scheme, const char *rest)
{
    AUTO(buf_release) struct buf url = BUF_INIT;
    size_t n = strcspn(rest, "/");
    AUTO(mem_free) char *path = percent_decode(rest + n, strlen(rest + n), false);
    if (path == NULL || has_control(path))
        return false;
    if (str_starts(scheme, "http") && !str_ends(path, ".git"))
        return false;
    buf_addf(&url, "%s://", scheme);
    const char *at = memrchr(rest, '@', n);
    if (at != NULL && !take_user(r, scheme, rest, (size_t)(at - rest), &url))
        return false;
    const char *host = at != NULL ? at + 1 : rest;
    size_t n_host = n - (size_t)(host - rest);
    if (!is_host(host, n_host))
        return false;
    buf_add(&url, host, n_host);
    buf_adds(&url, rest + n);
    if (has_control(buf_str(&url)))
        return false;
    r->url = buf_take(&url);
    r->is_ssh = str_eq(scheme, "ssh");
    return true;
}

/* user@host:path */
static bool parse_scp(struct git_remote *r, const char *text)
{
    size_t user = 0;
    while (isalnum((unsigned char)text[user]) || text[user] == '_' || text[user] == '-')
        user++;
    if (user == 0 || text[user] != '@' || *text == '-')
        return false;
    const char *host = text + user + 1;
    size_t n = 0;
    while (isalnum((unsigned char)host[n]) || host[n] == '.' || host[n] == '-')
        n++;
    if (host[n] != ':' || !is_host(host, n) || has_control(text))
        return false;
    r->url = str_dup(text);
    r->is_ssh = true;
    return true;
}

static bool parse_place(struct git_remote *r, const char *text)
{
    const char *rest = NULL;
    const char *scheme = scheme_of(text, &rest);
    if (str_starts(text, "./") || str_starts(text, "../"))
        return false;
    if (scheme != NULL)
        return parse_url(r, scheme, rest);
    if (str_starts(text, "github.com/")) {
        r->is_like_path = true;
        r->url = str_printf("https://%s", text);
        return !has_control(text);
    }
    return strstr(text, "://") == NULL && parse_scp(r, text);
}

int git_remote_parse(const char *text, struct git_remote *ret, struct err *err)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    size_t n = strcspn(text, "?#");
    const char *hash = strchr(text, '#');
    AUTO(mem_free) char *place = str_ndup(text, n);
    AUTO(mem_free)
    char *query = text[n] == '?' ? str_ndup(text + n + 1, strcspn(text + n + 1, "#")) : NULL;
    if (!parse_place(&r, place) || (hash != NULL && !parse_fragment(&r, hash + 1)))
        return 0;
    if ((query != NULL && parse_query(&r, query, err) < 0) || check(&r, err) < 0)
        return err->code;
    if (ret != NULL) {
        *ret = r;
        memset(&r, 0, sizeof(r));
    }
    return 1;
}

/* --- what a remote says ----------------------------------------------------------------------- */

/* "ID\tNAME"; false for other lines. */
static bool parse_advert(char *line, struct git_advert *ret)
{
    char *tab = strchr(line, '\t');
    if (tab == NULL || (size_t)(tab - line) >= sizeof(ret->id))
        return false;
    *tab = '\0';
    if (!git_is_commit(line) || !git_is_safe_ref(tab + 1))
        return false;
    memcpy(ret->id, line, strlen(line) + 1);
    ret->name = tab + 1;
    return true;
}

static char *full_name(const char *prefix, const char *ref)
{
    return str_starts(ref, prefix) ? str_dup(ref) : str_printf("%s%s", prefix, ref);
}

/* The lines that may be meant, best first. */
enum { BY_NAME, BY_BRANCH, BY_TAG, BY_PEELED, N_WAYS };

struct search {
    char *names[N_WAYS];
    char ids[N_WAYS][65];
    char *head; /* of "ref: refs/heads/main\tHEAD" */
};

static void search_release(struct search *s)
{
    for (size_t i = 0; i < N_WAYS; i++)
        mem_free(s->names[i]);
    mem_free(s->head);
}
DEFINE_AUTO_VALUE(struct search, search_release);

static void look_at(struct search *s, char *line)
{
    struct git_advert a;
    char *tab = strchr(line, '\t');
    if (str_starts(line, "ref: ") && tab != NULL && str_eq(tab + 1, "HEAD") && s->head == NULL) {
        s->head = str_ndup(line + 5, (size_t)(tab - line - 5));
        return;
    }
    if (!parse_advert(line, &a))
        return;
    for (size_t i = 0; i < N_WAYS; i++)
        if (str_eq(a.name, s->names[i]))
            memcpy(s->ids[i], a.id, sizeof(a.id));
}

int git_find_ref(const char *lines, const char *ref, struct git_found *ret, struct err *err)
{
    AUTO(search_release) struct search s = { .names = { NULL } };
    AUTO(strv_release) struct strv v = STRV_INIT;
    bool is_head = *ref == '\0' || str_eq(ref, "HEAD");
    s.names[BY_NAME] = is_head ? str_dup("HEAD") : full_name("refs/", ref);
    s.names[BY_BRANCH] = full_name("refs/heads/", ref);
    s.names[BY_TAG] = full_name("refs/tags/", ref);
    s.names[BY_PEELED] = str_printf("%s^{}", s.names[BY_TAG]);
    strv_split(&v, lines, '\n');
    for (size_t i = 0; i < v.n; i++)
        look_at(&s, v.v[i]);
    size_t way = BY_NAME;
    while (way < BY_PEELED && s.ids[way][0] == '\0')
        way++;
    if (way == BY_PEELED)
        return err_set(err, ERR_NOT_FOUND, "repository does not contain ref %s", ref);
    bool is_tag = str_starts(s.names[way], "refs/tags/");
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->id, s.ids[way], sizeof(ret->id));
    if (is_tag)
        memcpy(ret->commit, s.ids[BY_PEELED], sizeof(ret->commit));
    if (is_head && s.head != NULL && git_is_safe_ref(s.head) && str_starts(s.head, "refs/heads/"))
        ret->name = TAKE(s.head);
    else
        ret->name = TAKE(s.names[way]);
    return 0;
}
