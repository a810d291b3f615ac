#include "remote/http.h"
#include "base/clock.h"
#include "base/log.h"
#include "remote/http_internal.h"
#include "remote/url.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_SLOTS_MAX 16

struct http {
    struct cancel *cancel; /* borrowed */
    pthread_mutex_t lock;  /* of the idle slots */
    struct http_slot *idle;
    unsigned n_idle;
    /*
     * DNS answers and TLS sessions. Not connections: libcurl documents those as
     * unsafe to share between threads; they stay with their slot, and a slot is
     * picked by whom it spoke to last.
     */
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
};

/* --- handles ---------------------------------------------------------------------------------- */

static void share_lock(UNUSED CURL *easy, curl_lock_data what, UNUSED curl_lock_access access,
                       void *arg)
{
    struct http *h = arg;
    pthread_mutex_lock(&h->share_locks[what]);
}

static void share_unlock(UNUSED CURL *easy, curl_lock_data what, void *arg)
{
    struct http *h = arg;
    pthread_mutex_unlock(&h->share_locks[what]);
}

static void slot_free(struct http_slot *slot)
{
    if (slot == NULL)
        return;
    curl_api()->easy_cleanup(slot->easy);
    curl_api()->multi_cleanup(slot->multi);
    mem_free(slot->origin);
    mem_free(slot);
}
DEFINE_AUTO(struct http_slot, slot_free);

static struct http_slot *slot_new(struct http *h, struct err *err)
{
    AUTO(slot_free) struct http_slot *slot = mem_zalloc(sizeof(*slot));
    slot->easy = curl_api()->easy_init();
    slot->multi = curl_api()->multi_init();
    if (slot->easy == NULL || slot->multi == NULL ||
        CURL_SET(slot->easy, CURLOPT_SHARE, h->share) != CURLE_OK) {
        err_set(err, ERR_UNSUPPORTED, "cannot make a transfer handle of libcurl");
        return NULL;
    }
    return TAKE(slot);
}

static struct http_slot *unlink_slot(struct http *h, struct http_slot **at)
{
    struct http_slot *slot = *at;
    *at = slot->next;
    slot->next = NULL;
    h->n_idle--;
    return slot;
}

/* One that has a connection to this origin if there is one, else any, else a new one. */
static struct http_slot *slot_take(struct http *h, const char *origin, struct err *err)
{
    struct http_slot *slot = NULL;
    pthread_mutex_lock(&h->lock);
    struct http_slot **at = &h->idle;
    while (*at != NULL && !str_eq((*at)->origin, origin))
        at = &(*at)->next;
    if (*at == NULL)
        at = &h->idle;
    if (*at != NULL)
        slot = unlink_slot(h, at);
    pthread_mutex_unlock(&h->lock);
    return slot != NULL ? slot : slot_new(h, err);
}

static void slot_give(struct http *h, struct http_slot *slot, const char *origin)
{
    mem_free(slot->origin);
    slot->origin = str_dup(origin);
    pthread_mutex_lock(&h->lock);
    bool is_kept = h->n_idle < IDLE_SLOTS_MAX;
    if (is_kept) {
        slot->next = h->idle;
        h->idle = slot;
        h->n_idle++;
    }
    pthread_mutex_unlock(&h->lock);
    if (!is_kept)
        slot_free(slot);
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    while (h->idle != NULL)
        slot_free(unlink_slot(h, &h->idle));
    CURLSHcode left = h->share ? curl_api()->share_cleanup(h->share) : CURLSHE_OK;
    assert(left == CURLSHE_OK); /* a transfer is still going on */
    (void)left;
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&h->share_locks[i]);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

void http_warm_up(void)
{
    struct err later = ERR_INIT; /* who asks for something is told */
    curl_load(&later);
}

struct http *http_new(struct cancel *cancel)
{
    struct http *h = mem_zalloc(sizeof(*h));
    h->cancel = cancel;
    pthread_mutex_init(&h->lock, NULL);
    for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&h->share_locks[i], NULL);
    return h;
}

static int share_open(struct http *h, struct err *err)
{
    if (curl_load(err) < 0)
        return err->code;
    h->share = curl_api()->share_init();
    if (h->share == NULL)
        return err_set(err, ERR_UNSUPPORTED, "cannot share what libcurl remembers");
    curl_api()->share_setopt(h->share, CURLSHOPT_LOCKFUNC, share_lock);
    curl_api()->share_setopt(h->share, CURLSHOPT_UNLOCKFUNC, share_unlock);
    curl_api()->share_setopt(h->share, CURLSHOPT_USERDATA, h);
    curl_api()->share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_api()->share_setopt(h->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    return 0;
}

/* With the first request: most builds make none, and libcurl is not loaded for them. */
static int start(struct http *h, struct err *err)
{
    pthread_mutex_lock(&h->lock);
    int r = h->share ? 0 : share_open(h, err);
    pthread_mutex_unlock(&h->lock);
    return r;
}

/* --- redirects -------------------------------------------------------------------------------- */

/* Where the answer sends us; NULL when it is the answer. */
static const char *redirect_of(const struct http_hop *hop)
{
    static const int statuses[] = { 301, 302, 303, 307, 308 };
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
        if (hop->status == statuses[i])
            return http_header_of(&hop->headers, "location");
    return NULL;
}

static int refuse_redirect(struct err *err, const struct http_hop *hop, const char *why)
{
    AUTO(mem_free) char *peer = url_host_port(hop->url);
    err_set(err, ERR_NET, "%s %s", peer, why);
    err->sys = EPROTO;
    return err->code;
}

static int follow(struct http_hop *hop, const char *location, struct err *err)
{
    AUTO(mem_free) char *to = url_resolve(hop->url, location, err);
    if (to == NULL) {
        err->sys = EPROTO;
        return err->code;
    }
    bool is_same = url_same_origin(hop->url, to);
    if (url_is_https(hop->url) && !url_is_https(to))
        return refuse_redirect(err, hop, "redirects from https to http");
    if (hop->q->unix_socket != NULL && !is_same)
        return refuse_redirect(err, hop, "redirects away from its socket");
    if (hop->q->stays && !is_same)
        return refuse_redirect(err, hop, "redirects to another server what is for it alone");
    bool is_read = str_eq(hop->method, "GET") || str_eq(hop->method, "HEAD");
    if (!is_read && (hop->status == 303 || (hop->status < 303 && str_eq(hop->method, "POST")))) {
        hop->method = "GET";
        hop->has_body = false;
    }
    if (hop->has_body && hop->q->body_open == NULL && hop->body_was_read)
        return refuse_redirect(err, hop, "redirects a request whose body was sent already");
    hop->is_away = hop->is_away || !is_same;
    mem_free(hop->url);
    hop->url = TAKE(to);
    return 0;
}

/* --- requests --------------------------------------------------------------------------------- */

static int run_hop(struct http *h, struct http_hop *hop, struct err *err)
{
    int64_t start = clock_mono_ms();
    AUTO(mem_free)
    char *origin = hop->q->unix_socket ? str_dup(hop->q->unix_socket) : url_host_port(hop->url);
    struct cancel *cancel = hop->q->despite_cancel ? NULL : h->cancel;
    if (cancel_check(cancel, err) < 0)
        return err->code;
    struct http_slot *slot = slot_take(h, origin, err);
    if (slot == NULL)
        return err->code;
    int bad = http_hop_run(hop, slot, cancel, err);
    slot_give(h, slot, origin);
    if (log_level() >= LOG_DEBUG) {
        AUTO(mem_free) char *shown = url_show(hop->url);
        log_debug("remote", "%s %s: %d %s, %lld ms", hop->method, shown, hop->status,
                  bad < 0 ? err->msg : "", (long long)(clock_mono_ms() - start));
    }
    return bad;
}

int http_do(struct http *h, const struct http_request *q, struct http_response *ret,
            struct err *err)
{
    AUTO(http_hop_release)
    struct http_hop hop = { .q = q,
                            .url = str_dup(q->url),
                            .method = q->method,
                            .has_body = q->body != NULL || q->body_open != NULL,
                            .side = q->from_outside ? SIDE_OUTSIDE : SIDE_UNKNOWN };
    if (start(h, err) < 0)
        return err->code;
    if (!url_is_valid(q->url))
        return err_set(err, ERR_USAGE, "'%s' is no http or https URL", q->url);
    for (int n = 0;; n++) {
        if (run_hop(h, &hop, err) < 0)
            return err->code;
        const char *location = redirect_of(&hop);
        if (location == NULL)
            break;
        if (n == HTTP_REDIRECTS_MAX)
            return refuse_redirect(err, &hop, "redirects without end");
        if (follow(&hop, location, err) < 0)
            return err->code;
    }
    *ret = (struct http_response){
        .status = hop.status, .headers = hop.headers, .body = hop.answer, .url = TAKE(hop.url)
    };
    ret->is_outside = hop.side == SIDE_OUTSIDE;
    hop.headers = (struct strv)STRV_INIT;
    hop.answer = (struct buf)BUF_INIT;
    return 0;
}

struct cancel *http_cancel(const struct http *h)
{
    return h->cancel;
}

bool http_is_broken_off(const struct err *err)
{
    return err->code == ERR_NET && err->sys == ECONNRESET;
}

int http_wait(struct http *h, int64_t ms, struct err *err)
{
    int64_t end = clock_mono_ms() + ms, left;
    while ((left = end - clock_mono_ms()) > 0 && !cancel_is_set(h->cancel)) {
        struct pollfd p = { .fd = cancel_fd(h->cancel), .events = POLLIN };
        poll(&p, 1, left > 60000 ? 60000 : (int)left);
    }
    return cancel_check(h->cancel, err);
}

/* --- answers ---------------------------------------------------------------------------------- */

void http_response_release(struct http_response *r)
{
    strv_release(&r->headers);
    buf_release(&r->body);
    mem_free(r->url);
    *r = (struct http_response){ .status = 0 };
}

const char *http_header(const struct http_response *r, const char *lower_name)
{
    return http_header_of(&r->headers, lower_name);
}

int64_t http_retry_after_ms(const struct http_response *r)
{
    const char *value = http_header(r, "retry-after");
    if (value == NULL || *value == '\0')
        return -1;
    if (strspn(value, "0123456789") == strlen(value))
        return strlen(value) > 9 ? INT64_C(1000000000) * 1000 : strtoll(value, NULL, 10) * 1000;
    time_t when = curl_api()->getdate(value, NULL);
    if (when < 0)
        return -1;
    int64_t s = (int64_t)when - clock_wall_s();
    return s > 0 ? s * 1000 : 0;
}

int64_t http_date(const char *text)
{
    struct err ignored = ERR_INIT;
    return curl_load(&ignored) == 0 ? (int64_t)curl_api()->getdate(text, NULL) : -1;
}

const char *http_library(struct err *err)
{
    return curl_load(err) == 0 ? curl_api()->version_info(CURLVERSION_NOW)->version : NULL;
}

char *http_media_type(const struct http_response *r)
{
    const char *type = http_header(r, "content-type");
    if (type == NULL)
        return NULL;
    char *s = str_ndup(type, strcspn(type, "; \t"));
    for (char *c = s; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return s;
}
