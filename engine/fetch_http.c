/* Files from URLs: spooled, checked, then a layer of one file. */
#include "engine/fetch_internal.h"
#include "engine/provenance.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/git_remote.h"
#include "engine/secret.h"
#include "remote/http.h"
#include "remote/url.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FILE_MAX (64ull << 30)
#define TOTAL_TIMEOUT_S (6 * 3600)
#define TRIES 3
#define RETRY_MS 500
#define NOTE_MAX 65536
#define HINT_MAX 1024 /* of an ETag */
#define NAME_BYTES_MAX 255
#define STATUS_EVERY_MS 200

void fetched_file_release(struct fetched_file *f)
{
    mem_free(f->name);
}

bool fetch_is_git(const char *text)
{
    struct err wrong = ERR_INIT;
    return git_remote_parse(text, NULL, &wrong) != 0;
}

bool fetch_is_http(const char *text)
{
    return (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0) &&
           !fetch_is_git(text);
}

/* --- what both kinds need --------------------------------------------------------------------- */

int fetch_secret(struct build *b, const char *name, struct buf *ret, struct err *err)
{
    if (secret_read(b->o, name, ret, err) < 0)
        return err->code;
    while (ret->len > 0 && isspace((unsigned char)ret->data[ret->len - 1]))
        buf_truncate(ret, ret->len - 1);
    for (size_t i = 0; i < ret->len; i++)
        if ((unsigned char)ret->data[i] < 0x20 || ret->data[i] == 0x7f) {
            secret_wipe(ret);
            return err_set(err, ERR_USAGE, "secret %s: it is no value for a header", name);
        }
    return 0;
}

char *fetch_host(const char *url)
{
    AUTO(mem_free) char *peer = url_host_port(url);
    char *colon = strrchr(peer, ':');
    if (colon != NULL)
        *colon = '\0';
    if (peer[0] == '[' && str_ends(peer, "]"))
        return str_ndup(peer + 1, strlen(peer) - 2);
    return str_dup(peer);
}

void fetch_basic(struct buf *ret, const char *a, const char *b)
{
    struct buf plain = BUF_INIT;
    size_t n = strlen(a) + strlen(b);
    buf_room(&plain, n + 1);
    buf_adds(&plain, a);
    buf_adds(&plain, b);
    buf_adds(ret, "basic ");
    buf_room(ret, n * 4 / 3 + 8); /* it does not move and leave a secret behind */
    base64_add(ret, buf_str(&plain), n);
    secret_wipe(&plain);
}

/* A key with nothing to read in it: parts of a URL may be secrets. */
static void end_key(struct build *b, struct key *k, struct cache_key *ret)
{
    key_end(k, ret, NULL);
    build_used_key(b, ret);
}

void fetch_remember(struct build *b, struct key *k, const struct layer *layer, const char *shown,
                    const struct buf *note)
{
    struct record r = { .has_layer = true, .layer = layer->diff_id, .made_s = clock_wall_s() };
    struct buf fields = BUF_INIT;
    struct err err = ERR_INIT;
    end_key(b, k, &r.key);
    snprintf(r.step, sizeof(r.step), "fetch %s", shown);
    if (answer_keep(b->store, &r, &fields, note, &err) < 0)
        log_warn("engine", "what was fetched cannot be remembered: %s", err.msg);
}

const struct layer *fetch_recall(struct build *b, struct key *k, struct buf *note)
{
    struct answer a;
    struct cache_key key;
    struct err miss = ERR_INIT;
    end_key(b, k, &key);
    if (answer_find(b->store, &key, &a, &miss) < 0)
        return NULL;
    if (note != NULL && a.record.has_output &&
        blob_read(b->store, &a.record.output, NOTE_MAX, note, &miss) < 0)
        buf_clear(note);
    return a.layer;
}

bool fetch_seen(struct build *b, const char *word, void *ret, size_t n)
{
    pthread_mutex_lock(&b->lock);
    const void *p = map_get(b->fetched, word);
    if (p != NULL)
        memcpy(ret, p, n);
    pthread_mutex_unlock(&b->lock);
    return p != NULL;
}

void fetch_saw(struct build *b, const char *word, const void *p, size_t n)
{
    pthread_mutex_lock(&b->lock);
    map_set(b->fetched, word, mem_dup(p, n));
    pthread_mutex_unlock(&b->lock);
}

#define GAVE "layer " /* and its diff id -> the layer */

void fetch_gave(struct build *b, const struct layer *layer)
{
    AUTO(mem_free) char *word = str_printf(GAVE "%s", DIGEST_S(&layer->diff_id.d));
    fetch_saw(b, word, &layer, sizeof(layer));
}

bool fetch_lost(const struct build *b)
{
    const char *key;
    void *value;
    struct err ignored = ERR_INIT;
    for (size_t i = 0; map_next(b->fetched, &i, &key, &value);)
        if (str_starts(key, GAVE) &&
            layer_get(b->store, &(*(const struct layer **)value)->diff_id, &ignored) == NULL)
            return true;
    return false;
}

/* --- checksums -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t hex_len;
} algorithms[] = { { "sha256", 64 }, { "sha384", 96 }, { "sha512", 128 } };

/* "name", perhaps with more of them behind one of "+._-". */
static bool is_algorithm_word(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
            (i == 0 || i + 1 == n || strchr("+._-", s[i]) == NULL ||
             strchr("+._-", s[i - 1]) != NULL))
            return false;
    return n > 0;
}

int fetch_checksum_check(const char *text, struct err *err)
{
    size_t n = strcspn(text, ":"), len = strlen(text);
    if (n == 0 || n + 1 >= len)
        return err_set(err, ERR_USAGE, "invalid checksum digest format");
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        if (strlen(algorithms[i].name) != n || strncmp(text, algorithms[i].name, n) != 0)
            continue;
        if (len - n - 1 != algorithms[i].hex_len)
            return err_set(err, ERR_USAGE, "invalid checksum digest length");
        if (strspn(text + n + 1, "0123456789abcdef") != algorithms[i].hex_len)
            return err_set(err, ERR_USAGE, "invalid checksum digest format");
        return 0;
    }
    for (const char *p = text + n + 1; *p != '\0'; p++)
        if (!isalnum((unsigned char)*p) && strchr("=_-", *p) == NULL)
            return err_set(err, ERR_USAGE, "invalid checksum digest format");
    return err_set(err, ERR_USAGE,
                   is_algorithm_word(text, n) ? "unsupported digest algorithm"
                                              : "invalid checksum digest format");
}

/* --- one fetch -------------------------------------------------------------------------------- */

struct fetch {
    struct build *b;
    const struct fetch_http *q;
    struct http *http;
    char *name, *shown; /* shown: without credentials and query */
    struct buf authorization;
    /* remembered */
    const struct layer *hint;
    char *etag, *from; /* of the answer that hint is */
    /* what came */
    int spool;
    uint64_t size;
    struct digest content;
    struct http_response answer;
    int64_t mtime;
};

static void fetch_release(struct fetch *f)
{
    mem_free(f->name);
    mem_free(f->shown);
    secret_wipe(&f->authorization);
    mem_free(f->etag);
    mem_free(f->from);
    fd_close(f->spool);
    http_response_release(&f->answer);
}
DEFINE_AUTO_VALUE(struct fetch, fetch_release);

static bool is_file_name(const char *s)
{
    for (const char *p = s; *p != '\0'; p++)
        if (*p == '/' || (unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return *s != '\0' && strlen(s) <= NAME_BYTES_MAX && !str_eq(s, ".") && !str_eq(s, "..") &&
           !str_starts(s, ".wh.");
}

/* The last component of the decoded path; what is no name for a file is "__unnamed__". */
char *fetch_file_name(const char *url)
{
    const char *start = strstr(url, "://");
    start = start != NULL ? start + 3 : url;
    start += strcspn(start, "/?#");
    AUTO(buf_release) struct buf path = BUF_INIT;
    for (const char *p = start; *p != '\0' && *p != '?' && *p != '#'; p++) {
        unsigned value;
        if (*p == '%' && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]) &&
            sscanf(p + 1, "%2x", &value) == 1) {
            buf_addc(&path, (char)value);
            p += 2;
        } else {
            buf_addc(&path, *p);
        }
    }
    while (path.len > 0 && path.data[path.len - 1] == '/')
        buf_truncate(&path, path.len - 1);
    const char *base = path_base(buf_str(&path));
    bool is_whole = strlen(buf_str(&path)) == path.len; /* no NUL in it */
    return str_dup(is_whole && is_file_name(base) ? base : "__unnamed__");
}

static struct key *url_key(const struct fetch *f)
{
    const char *scheme = strstr(f->q->url, "://");
    const char *rest = scheme != NULL ? scheme + 3 : f->q->url;
    const char *at = memrchr(rest, '@', strcspn(rest, "/?#"));
    struct key *k = key_new("fetch.url");
    key_bytes(k, "scheme", f->q->url, (size_t)(rest - f->q->url));
    key_str(k, "place", at != NULL ? at + 1 : rest);
    return k;
}

static struct key *content_key(const struct fetch *f, const char *checksum)
{
    struct key *k = key_new("fetch.file");
    key_str(k, "checksum", checksum);
    key_str(k, "name", f->name);
    return k;
}

/* Hints. */

static void load_hint(struct fetch *f)
{
    AUTO(key_free) struct key *k = url_key(f);
    AUTO(buf_release) struct buf note = BUF_INIT;
    struct err bad = ERR_INIT;
    f->hint = fetch_recall(f->b, k, &note);
    if (f->hint == NULL || note.len == 0)
        return;
    json_auto_t *j = json_parse(note.data, note.len, "note", &bad);
    if (j == NULL)
        return;
    f->etag = str_dup(json_get_str(j, "etag"));
    f->from = str_dup(json_get_str(j, "from"));
}

/*
 * Who answered in the end, as a digest: redirects may lead through what is secret. Of the query
 * nothing, as signatures in it are other ones each time.
 */
static void answered_from(const struct fetch *f, char hex[DIGEST_STR_LEN + 1])
{
    AUTO(mem_free) char *place = url_show(f->answer.url);
    struct digest d;
    digest_of(place, strlen(place), &d);
    digest_str(&d, hex);
}

/*
 * An ETag tells versions of one resource apart, and a URL that redirects may lead to another by
 * now, for which the same words mean other content.
 */
static bool is_hint_good(const struct fetch *f)
{
    char from[DIGEST_STR_LEN + 1];
    const char *etag = http_header(&f->answer, "etag");
    answered_from(f, from);
    return f->from != NULL && str_eq(f->from, from) && (etag == NULL || str_eq(etag, f->etag));
}

static void keep_hint(struct fetch *f, const struct layer *layer)
{
    const char *etag = http_header(&f->answer, "etag");
    char from[DIGEST_STR_LEN + 1];
    AUTO(buf_release) struct buf note = BUF_INIT;
    json_auto_t *j = json_object();
    answered_from(f, from);
    if (etag != NULL && *etag != '\0' && strlen(etag) <= HINT_MAX) {
        json_object_set_new(j, "etag", json_from_str(etag));
        json_object_set_new(j, "from", json_from_str(from));
    }
    json_write(j, &note);
    AUTO(key_free) struct key *k = url_key(f);
    fetch_remember(f->b, k, layer, f->shown, &note);
}

/* The request. */

static int load_authorization(struct fetch *f, struct err *err)
{
    AUTO(mem_free) char *host = fetch_host(f->q->url);
    AUTO(mem_free) char *header = str_printf("HTTP_AUTH_HEADER_%s", host);
    AUTO(mem_free) char *token = str_printf("HTTP_AUTH_TOKEN_%s", host);
    struct buf value = BUF_INIT;
    struct err miss = ERR_INIT;
    int rc = fetch_secret(f->b, token, &value, &miss);
    if (rc == 0) {
        buf_room(&f->authorization, value.len + 8);
        buf_addf(&f->authorization, "Bearer %s", buf_str(&value));
        secret_wipe(&value);
    } else if (rc == ERR_NOT_FOUND) {
        err_clear(&miss);
        rc = fetch_secret(f->b, header, &f->authorization, &miss);
    }
    return rc < 0 && rc != ERR_NOT_FOUND ? err_copy(err, &miss) : 0;
}

struct spool_sink {
    struct sink s;
    struct fetch *f;
    struct hasher *h;
    int64_t shown_ms;
    bool is_shown;
};

static int spool_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct spool_sink *x = (struct spool_sink *)s;
    struct fetch *f = x->f;
    hasher_add(x->h, p, n);
    f->size += n;
    int64_t now = clock_mono_ms();
    if (now - x->shown_ms >= STATUS_EVERY_MS) {
        x->shown_ms = now;
        x->is_shown = true;
        vertex_status(f->b->e, f->q->vertex, "downloading", f->size, 0, false);
    }
    return fd_write_full(f->spool, p, n, err);
}

static int spool_finish(struct sink *s, struct err *err)
{
    struct spool_sink *x = (struct spool_sink *)s;
    (void)err;
    hasher_end(x->h, &x->f->content);
    if (x->is_shown)
        vertex_status(x->f->b->e, x->f->q->vertex, "downloading", x->f->size, x->f->size, true);
    return 0;
}

static void spool_free(struct sink *s)
{
    hasher_free(((struct spool_sink *)s)->h);
    mem_free(s);
}

static struct sink *spool_sink(struct fetch *f) OWNED(sink_free);
static struct sink *spool_sink(struct fetch *f)
{
    struct spool_sink *x = mem_zalloc(sizeof(*x));
    x->s = (struct sink){ .write = spool_write, .finish = spool_finish, .free = spool_free };
    x->f = f;
    x->h = hasher_new();
    x->shown_ms = clock_mono_ms();
    return &x->s;
}

static int empty_spool(struct fetch *f, struct err *err)
{
    struct work *w = f->spool < 0 ? engine_work(f->b->e, err) : NULL;
    if (f->spool < 0 && w == NULL)
        return err->code;
    if (f->spool < 0)
        f->spool = openat(work_dirfd(w), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    f->size = 0;
    if (f->spool < 0 || ftruncate(f->spool, 0) < 0 || lseek(f->spool, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot make scratch");
    return 0;
}

static int ask_once(struct fetch *f, const struct strv *headers, struct err *err)
{
    if (empty_spool(f, err) < 0)
        return err->code;
    AUTO(sink_free) struct sink *to = spool_sink(f);
    struct http_request request = {
        .method = "GET",
        .url = f->q->url,
        .headers = headers,
        .authorization = f->authorization.len > 0 ? buf_str(&f->authorization) : NULL,
        .to = to,
        .max = FILE_MAX,
        .total_timeout_s = TOTAL_TIMEOUT_S,
        .is_inside = url_ip_is_inside,
    };
    http_response_release(&f->answer);
    if (http_do(f->http, &request, &f->answer, err) < 0)
        return err->code;
    return sink_finish(to, err);
}

/* Asks again when a connection that stood broke off. */
static int ask_patiently(struct fetch *f, const struct strv *headers, struct err *err)
{
    for (int n = 1;; n++) {
        int rc = ask_once(f, headers, err);
        if (rc == 0 || !http_is_broken_off(err) || n == TRIES)
            return rc;
        log_debug("engine", "asked again: %s", err->msg);
        err_clear(err);
        if (http_wait(f->http, RETRY_MS * n, err) < 0)
            return err->code;
    }
}

static int ask(struct fetch *f, struct err *err)
{
    AUTO(strv_release) struct strv headers = STRV_INIT;
    if (f->q->checksum == NULL && f->hint != NULL && f->etag != NULL)
        strv_addf(&headers, "If-None-Match: %s", f->etag);
    if (ask_patiently(f, &headers, err) < 0)
        return err->code;
    if (f->answer.status == 304 && headers.n > 0 && !is_hint_good(f)) {
        strv_clear(&headers);
        if (ask_patiently(f, &headers, err) < 0)
            return err->code;
    }
    bool is_known = f->answer.status == 304 && headers.n > 0;
    if ((f->answer.status < 200 || f->answer.status > 299) && !is_known)
        return err_set(err, ERR_NET, "invalid response status %d", f->answer.status);
    return 0;
}

/* What came. */

/* The spool's digest by another algorithm than sha256, as "name:hex". */
static char *other_checksum(const struct fetch *f, const char *name, struct err *err)
{
    AUTO(mem_free) char *chunk = mem_alloc(1u << 16);
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(checksum_free) struct checksum *sum = checksum_new(name);
    ssize_t got = 1;
    for (uint64_t at = 0; sum != NULL && got > 0 && at < f->size; at += (uint64_t)got) {
        got = pread(f->spool, chunk, 1u << 16, (off_t)at);
        if (got > 0)
            checksum_add(sum, chunk, (size_t)got);
    }
    if (sum == NULL || got <= 0) {
        err_set(err, ERR_IO, "cannot compute %s of what was fetched", name);
        return NULL;
    }
    buf_addf(&text, "%s:", name);
    checksum_end(sum, &text);
    return buf_take(&text);
}

static int verify(const struct fetch *f, struct err *err)
{
    const char *want = f->q->checksum;
    char sha256[DIGEST_STR_LEN + 1];
    if (want == NULL)
        return 0;
    AUTO(mem_free) char *name = str_ndup(want, strcspn(want, ":"));
    AUTO(mem_free)
    char *got = str_eq(name, "sha256") ? str_dup(digest_str(&f->content, sha256))
                                       : other_checksum(f, name, err);
    if (got == NULL)
        return err->code;
    if (!str_eq(got, want))
        return err_set(err, ERR_CORRUPT, "digest mismatch %s: %s", got, want);
    return 0;
}

/* layer_content_fn */
static struct source *open_spool(void *arg, const struct entry *e UNUSED, struct err *err)
{
    struct fetch *f = arg;
    if (lseek(f->spool, 0, SEEK_SET) < 0) {
        err_sys(err, errno, "cannot read scratch");
        return NULL;
    }
    return source_fd(f->spool, false);
}

static const struct layer *make_layer(struct fetch *f, struct err *err)
{
    const char *modified = http_header(&f->answer, "last-modified");
    int64_t mtime = modified != NULL ? http_date(modified) : -1;
    struct entry root = { .path = "", .type = ENTRY_DIR, .mode = 0755 };
    struct entry e = { .path = f->name,
                       .type = ENTRY_FILE,
                       .mode = 0600,
                       .size = f->size,
                       .mtime = mtime > 0 ? mtime : 0,
                       .content = f->content };
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    if (listing_builder_add(lb, &root, err) < 0 || listing_builder_add(lb, &e, err) < 0)
        return NULL;
    return layer_make(f->b->store, lb, open_spool, f, err);
}

/* The layer of what came, made unless there is one of this content and name. */
static const struct layer *take(struct fetch *f, struct err *err)
{
    if (verify(f, err) < 0)
        return NULL;
    char sha256[DIGEST_STR_LEN + 1];
    struct buf none = BUF_INIT;
    digest_str(&f->content, sha256);
    AUTO(key_free) struct key *k = content_key(f, sha256);
    const struct layer *l = fetch_recall(f->b, k, NULL);
    if (f->b->is_plan) {
        if (l == NULL)
            err_set(err, ERR_UNDECIDED, "%s gives another file than before", f->shown);
        return l;
    }
    if (l == NULL)
        l = make_layer(f, err);
    if (l == NULL)
        return NULL;
    AUTO(key_free) struct key *known = content_key(f, sha256);
    fetch_remember(f->b, known, l, f->shown, &none);
    if (f->q->checksum != NULL && !str_eq(f->q->checksum, sha256)) {
        AUTO(key_free) struct key *other = content_key(f, f->q->checksum);
        fetch_remember(f->b, other, l, f->shown, &none);
    }
    keep_hint(f, l);
    return l;
}

static const struct layer *by_checksum(struct fetch *f)
{
    if (f->q->checksum == NULL)
        return NULL;
    AUTO(key_free) struct key *k = content_key(f, f->q->checksum);
    return fetch_recall(f->b, k, NULL);
}

static const struct layer *fetch_url(struct fetch *f, struct err *err)
{
    const struct layer *known = by_checksum(f);
    if (known != NULL)
        return known;
    AUTO(mem_free) char *word = str_printf("url %s", f->q->url);
    if (f->q->checksum == NULL && fetch_seen(f->b, word, &known, sizeof(known)))
        return known;
    load_hint(f);
    if (f->b->o->offline && f->q->checksum == NULL && f->hint != NULL)
        return f->hint;
    if (f->b->o->offline) {
        err_set(err, ERR_NET, "not known here, and nobody is asked (--offline)");
        return NULL;
    }
    f->http = engine_http(f->b->e);
    if (load_authorization(f, err) < 0 || ask(f, err) < 0)
        return NULL;
    known = f->answer.status == 304 ? f->hint : take(f, err);
    if (known != NULL)
        fetch_saw(f->b, word, &known, sizeof(known));
    return known;
}

static void saw_material(const struct fetch *f, const struct entry *e)
{
    provenance_saw(f->b, f->q->url, f->shown, "sha256", DIGEST_HEX(&e->content));
}

int fetch_http(struct build *b, const struct fetch_http *q, struct fetched_file *ret,
               struct err *err)
{
    AUTO(fetch_release)
    struct fetch f = { .b = b, .q = q, .spool = -1, .shown = url_show(q->url) };
    struct cache_key claimed;
    if (url_check(q->url, err) < 0)
        return err->code;
    if (q->checksum != NULL && fetch_checksum_check(q->checksum, err) < 0)
        return err->code;
    f.name = fetch_file_name(q->url);
    AUTO(key_free) struct key *k = url_key(&f);
    key_end(k, &claimed, NULL);
    AUTO(fd_close) int claim = record_claim(b->store, &claimed, b->e->cancel, err);
    if (claim < 0)
        return claim;
    const struct layer *l = fetch_url(&f, err);
    if (l == NULL)
        return err->code;
    fetch_gave(b, l);
    struct entry e;
    if (listing_find(l->listing, f.name, &e))
        saw_material(&f, &e);
    *ret = (struct fetched_file){ .layer = l, .name = TAKE(f.name) };
    return 0;
}
