#include "remote/http_internal.h"
#include "base/fs.h"
#include "base/log.h"
#include "remote/url.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_TIMEOUT_S 10
#define IDLE_TIMEOUT_S 60
#define LINES_MAX 500
#define CA_FILE_MAX (4u << 20)

static void slist_free_at(struct curl_slist **l)
{
    curl_api()->slist_free_all(*l);
}

void http_hop_release(struct http_hop *hop)
{
    mem_free(hop->url);
    strv_release(&hop->headers);
    buf_release(&hop->answer);
    source_free(hop->opened);
}

static int connect_timeout(const struct http_request *q)
{
    return q->connect_timeout_s > 0 ? q->connect_timeout_s : CONNECT_TIMEOUT_S;
}

static int idle_timeout(const struct http_request *q)
{
    return q->idle_timeout_s > 0 ? q->idle_timeout_s : IDLE_TIMEOUT_S;
}

/* "host:port", "unix:///path" or what is behind it. */
static char *peer_name(const struct http_hop *hop)
{
    if (hop->q->dial != NULL)
        return str_dup(hop->q->dial->name);
    return hop->q->unix_socket != NULL ? str_printf("unix://%s", hop->q->unix_socket)
                                       : url_host_port(hop->url);
}

static int refuse(struct http_hop *hop, int sys, const char *what)
{
    AUTO(mem_free) char *peer = peer_name(hop);
    err_set(&hop->fail, ERR_NET, "%s %s", peer, what);
    hop->fail.sys = sys;
    return -1;
}

/* --- what comes in ---------------------------------------------------------------------------- */

const char *http_header_of(const struct strv *headers, const char *lower_name)
{
    size_t len = strlen(lower_name);
    for (size_t i = 0; i < headers->n; i++)
        if (strncmp(headers->v[i], lower_name, len) == 0 && headers->v[i][len] == ':')
            return headers->v[i] + len + 2;
    return NULL;
}

static bool is_success(int status)
{
    return status >= 200 && status < 300;
}

/* A 206 must be the rest that was asked for, whatever it says of itself. */
static int check_range(struct http_hop *hop)
{
    uint64_t from = hop->q->resume_from, first;
    if (hop->status == 206) {
        const char *range = http_header_of(&hop->headers, "content-range");
        if (from == 0)
            return refuse(hop, EPROTO, "sent a part of what was asked for whole");
        if (range == NULL || sscanf(range, "bytes %" SCNu64 "-", &first) != 1 || first != from)
            return refuse(hop, EPROTO, "sent another part than was asked for");
    } else if (is_success(hop->status)) {
        hop->skip = from;
    }
    return 0;
}

static void status_line(struct http_hop *hop, const char *line)
{
    int status = 0;
    hop->status = sscanf(line, "HTTP/%*s %3d", &status) == 1 ? status : 0;
    strv_clear(&hop->headers);
}

static void header_line(struct http_hop *hop, const char *p, size_t n)
{
    const char *colon = memchr(p, ':', n);
    if (colon == NULL || isspace((unsigned char)*p))
        return;
    AUTO(buf_release) struct buf line = BUF_INIT;
    for (const char *c = p; c < colon; c++)
        buf_addc(&line, (char)tolower((unsigned char)*c));
    buf_adds(&line, ": ");
    const char *value = colon + 1, *end = p + n;
    while (value < end && isspace((unsigned char)*value))
        value++;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    buf_add(&line, value, (size_t)(end - value));
    strv_add(&hop->headers, buf_str(&line));
}

static size_t on_header(char *p, size_t size, size_t count, void *arg)
{
    struct http_hop *hop = arg;
    size_t n = size * count;
    hop->headers_len += n;
    if (hop->headers_len > HTTP_HEADERS_MAX || hop->headers.n >= LINES_MAX) {
        refuse(hop, EPROTO, "sent too many header lines");
        return 0;
    }
    if (hop->headers_done) /* trailers are nobody's */
        return n;
    AUTO(mem_free) char *line = str_ndup(p, n);
    if (str_starts(line, "HTTP/")) {
        status_line(hop, line);
    } else if (n <= 2 && line[0] != '\0' && isspace((unsigned char)line[0])) {
        hop->headers_done = hop->status >= 200; /* else a 1xx: the real one follows */
        if (hop->headers_done && check_range(hop) < 0)
            return 0;
    } else {
        header_line(hop, line, strlen(line));
    }
    return n;
}

static size_t keep_error_body(struct http_hop *hop, const char *p, size_t n)
{
    size_t room = HTTP_ERROR_MAX - hop->answer.len;
    buf_add(&hop->answer, p, n < room ? n : room);
    hop->is_cut = n > room;
    return hop->is_cut ? 0 : n;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct http_hop *hop = arg;
    size_t n = size * count;
    if (!is_success(hop->status))
        return keep_error_body(hop, p, n);
    size_t drop = hop->skip < n ? (size_t)hop->skip : n;
    hop->skip -= drop;
    hop->seen += n - drop;
    uint64_t max = hop->q->max > 0 ? hop->q->max : HTTP_BODY_MAX;
    if (hop->seen > max) {
        AUTO(mem_free) char *peer = peer_name(hop);
        err_set(&hop->fail, ERR_CORRUPT, "%s sent more than %" PRIu64 " bytes", peer, max);
        return 0;
    }
    if (hop->q->to == NULL)
        buf_add(&hop->answer, p + drop, n - drop);
    else if (n > drop && sink_write(hop->q->to, p + drop, n - drop, &hop->fail) < 0)
        return 0;
    return n;
}

/* --- what goes out ---------------------------------------------------------------------------- */

static size_t on_read(char *p, size_t size, size_t count, void *arg)
{
    struct http_hop *hop = arg;
    const struct http_request *q = hop->q;
    hop->body_was_read = true;
    if (q->body_open != NULL && hop->opened == NULL)
        hop->opened = q->body_open(q->body_arg, &hop->fail);
    struct source *body = q->body_open != NULL ? hop->opened : q->body;
    ssize_t n = body != NULL ? source_read(body, p, size * count, &hop->fail) : -1;
    return n < 0 ? CURL_READFUNC_ABORT : (size_t)n;
}

/* The connection that curl had kept was dead: all again over another one. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_hop *hop = arg;
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    source_free(TAKE(hop->opened));
    return CURL_SEEKFUNC_OK;
}

/* What may go to another origin than the caller had in mind; anything else may be a secret. */
static bool is_harmless(const char *line)
{
    static const char *const names[] = { "Accept:", "Accept-Language:", "Content-Type:",
                                         "If-None-Match:", "If-Modified-Since:" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncasecmp(line, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static void slist_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_api()->slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
}

static struct curl_slist *request_headers(const struct http_hop *hop)
{
    const struct http_request *q = hop->q;
    struct curl_slist *list = NULL;
    bool has_type = false;
    for (size_t i = 0; q->headers != NULL && i < q->headers->n; i++) {
        const char *line = q->headers->v[i];
        if (hop->is_away && !is_harmless(line))
            continue;
        has_type = has_type || strncasecmp(line, "Content-Type:", 13) == 0;
        slist_add(&list, line);
    }
    if (q->authorization != NULL && !hop->is_away) {
        AUTO(mem_free) char *line = str_printf("Authorization: %s", q->authorization);
        slist_add(&list, line);
    }
    if (q->resume_from > 0) {
        AUTO(mem_free) char *line = str_printf("Range: bytes=%" PRIu64 "-", q->resume_from);
        slist_add(&list, line);
    }
    slist_add(&list, "Expect:"); /* curl would wait a second for 100 Continue */
    if (!has_type)
        slist_add(&list, "Content-Type:"); /* curl would call a body a form */
    return list;
}

static void set_method(CURL *easy, struct http_hop *hop)
{
    if (hop->has_body) {
        CURL_SET(easy, CURLOPT_UPLOAD, 1L);
        CURL_SET(easy, CURLOPT_READFUNCTION, on_read);
        CURL_SET(easy, CURLOPT_READDATA, hop);
        CURL_SET(easy, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
        CURL_SET(easy, CURLOPT_INFILESIZE_LARGE,
                 (curl_off_t)(hop->q->body_size < 0 ? -1 : hop->q->body_size));
        CURL_SET(easy, CURLOPT_SEEKFUNCTION, on_seek);
        CURL_SET(easy, CURLOPT_SEEKDATA, hop);
        /*
         * A body that is read once: no connection that may turn out to be dead. One that was
         * dialled costs more than a moment, and libcurl sees when what is behind it has ended.
         */
        CURL_SET(easy, CURLOPT_FRESH_CONNECT,
                 (long)(hop->q->body_open == NULL && hop->q->dial == NULL));
    } else if (str_eq(hop->method, "HEAD")) {
        CURL_SET(easy, CURLOPT_NOBODY, 1L);
        return;
    } else if (str_eq(hop->method, "POST") || str_eq(hop->method, "PUT")) {
        CURL_SET(easy, CURLOPT_POSTFIELDS, "");
        CURL_SET(easy, CURLOPT_POSTFIELDSIZE, 0L);
    }
    CURL_SET(easy, CURLOPT_CUSTOMREQUEST, hop->method);
}

/* libcurl takes the text instead of its own file of CAs, but keeps its directory of them. */
static void add_cas(CURL *easy, const char *extra)
{
    const curl_version_info_data *v = curl_api()->version_info(CURLVERSION_NOW);
    bool has_directory = v->age >= CURLVERSION_TENTH && v->capath != NULL;
    const char *file = v->age >= CURLVERSION_TENTH ? v->cainfo : NULL;
    AUTO(buf_release) struct buf all = BUF_INIT;
    struct err ignored = ERR_INIT; /* no file: the extra ones are all there is */
    if (!has_directory && file != NULL)
        file_read(AT_FDCWD, file, CA_FILE_MAX, &all, &ignored);
    buf_addf(&all, "\n%s", extra);
    struct curl_blob blob = { .data = all.data, .len = all.len, .flags = CURL_BLOB_COPY };
    CURL_SET(easy, CURLOPT_CAINFO_BLOB, &blob);
}

static void set_tls(CURL *easy, const struct http_hop *hop)
{
    const struct http_request *q = hop->q;
    if (q->ca_file != NULL) {
        CURL_SET(easy, CURLOPT_CAINFO, q->ca_file);
        CURL_SET(easy, CURLOPT_CAPATH, NULL);
    }
    if (q->ca_extra != NULL && !hop->is_away)
        add_cas(easy, q->ca_extra);
    if (q->is_unverified && !hop->is_away) {
        CURL_SET(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        CURL_SET(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (q->cert_file != NULL && q->key_file != NULL && !hop->is_away) {
        CURL_SET(easy, CURLOPT_SSLCERT, q->cert_file);
        CURL_SET(easy, CURLOPT_SSLKEY, q->key_file);
    }
}

static void set_route(CURL *easy, const struct http_hop *hop)
{
    const struct http_request *q = hop->q;
    CURL_SET(easy, CURLOPT_URL, hop->url);
    CURL_SET(easy, CURLOPT_PATH_AS_IS, 1L);
    CURL_SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    CURL_SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    CURL_SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    if (q->unix_socket != NULL)
        CURL_SET(easy, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
    if (q->unix_socket != NULL || url_is_loopback(hop->url))
        CURL_SET(easy, CURLOPT_PROXY, "");
    CURL_SET(easy, CURLOPT_NOSIGNAL, 1L);
    CURL_SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    CURL_SET(easy, CURLOPT_CONNECTTIMEOUT, (long)connect_timeout(q));
    CURL_SET(easy, CURLOPT_LOW_SPEED_LIMIT, (long)(q->min_speed > 0 ? q->min_speed : 1));
    CURL_SET(easy, CURLOPT_LOW_SPEED_TIME, (long)idle_timeout(q));
    CURL_SET(easy, CURLOPT_TIMEOUT, (long)q->total_timeout_s);
}

static void set_callbacks(struct http_slot *slot, struct http_hop *hop)
{
    slot->error[0] = '\0';
    CURL_SET(slot->easy, CURLOPT_ERRORBUFFER, slot->error);
    CURL_SET(slot->easy, CURLOPT_USERAGENT, "shale/" SHALE_VERSION);
    CURL_SET(slot->easy, CURLOPT_BUFFERSIZE, 128L << 10);
    CURL_SET(slot->easy, CURLOPT_HEADERFUNCTION, on_header);
    CURL_SET(slot->easy, CURLOPT_HEADERDATA, hop);
    CURL_SET(slot->easy, CURLOPT_WRITEFUNCTION, on_body);
    CURL_SET(slot->easy, CURLOPT_WRITEDATA, hop);
}

/* --- whom it connects to ---------------------------------------------------------------------- */

/* Whether the list ("a.b, .c") has the name, or a domain that it is in. */
static bool is_listed(const char *list, const char *host)
{
    size_t n_host = strlen(host), n;
    n_host -= n_host > 0 && host[n_host - 1] == '.';
    for (const char *p = list; *p != '\0'; p += n) {
        p += strspn(p, ", .");
        n = strcspn(p, ", ");
        size_t len = n > 0 && p[n - 1] == '.' ? n - 1 : n;
        if (len == 0 || len > n_host)
            continue;
        size_t before = n_host - len;
        if (strncasecmp(host + before, p, len) == 0 && (before == 0 || host[before - 1] == '.'))
            return true;
    }
    return str_eq(list, "*");
}

/* By name; of a URL with an address it makes no difference here who connects to it. */
static bool is_direct(const char *host)
{
    const char *list = getenv("no_proxy");
    list = list != NULL ? list : getenv("NO_PROXY");
    return list != NULL && is_listed(list, host);
}

/* The proxy that curl takes from the environment for this URL, NULL for none; no_proxy aside. */
static const char *proxy_of(const char *url)
{
    static const char *const https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY" };
    static const char *const http[] = { "http_proxy", "all_proxy", "ALL_PROXY" };
    bool is_https = url_is_https(url);
    for (size_t i = 0; i < (is_https ? ARRAY_LEN(https) : ARRAY_LEN(http)); i++) {
        const char *value = getenv(is_https ? https[i] : http[i]);
        if (value != NULL && *value != '\0')
            return value;
    }
    return NULL;
}

static int port_of(const char *host_port)
{
    const char *colon = strrchr(host_port, ':');
    return colon != NULL && strchr(colon, ']') == NULL ? atoi(colon + 1) : -1;
}

/* Whether the connection to this port leads to a proxy. */
static bool is_proxied(const struct http_hop *hop, int port)
{
    const char *proxy = proxy_of(hop->url);
    if (proxy == NULL || url_is_loopback(hop->url))
        return false;
    const char *scheme = strstr(proxy, "://");
    AUTO(mem_free) char *place = str_dup(scheme != NULL ? scheme + 3 : proxy);
    place[strcspn(place, "/")] = '\0';
    AUTO(mem_free) char *peer = url_host_port(hop->url);
    int proxy_port = port_of(place);
    return proxy_port > 0 ? port == proxy_port : port != port_of(peer);
}

/* curl's PREREQFUNCTION: connected, nothing sent yet; also for a connection that was open before.
 */
static int on_connected(void *arg, char *ip, UNUSED char *own_ip, int port, UNUSED int own_port)
{
    struct http_hop *hop = arg;
    AUTO(mem_free) char *peer = url_host_port(hop->url);
    AUTO(mem_free) char *host = str_dup(peer);
    char *colon = strrchr(host, ':');
    if (colon != NULL)
        *colon = '\0';
    bool proxied = !is_direct(host) && is_proxied(hop, port);
    bool is_inside =
        proxied ? url_is_loopback(hop->url) || hop->q->is_inside(host) : hop->q->is_inside(ip);
    if (hop->side == SIDE_UNKNOWN)
        hop->side = is_inside ? SIDE_INSIDE : SIDE_OUTSIDE;
    if (hop->side == SIDE_INSIDE || !is_inside)
        return CURL_PREREQFUNC_OK;
    refuse(hop, EPROTO, "is an address of the inside, which an outside server may not redirect to");
    return CURL_PREREQFUNC_ABORT;
}

static int on_dialled(void *arg, UNUSED char *ip, UNUSED char *own_ip, UNUSED int port,
                      UNUSED int own_port)
{
    struct http_hop *hop = arg;
    const struct http_dial *d = hop->q->dial;
    return d->accept(d->arg, &hop->fail) < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* --- what went wrong -------------------------------------------------------------------------- */

static int net_error(struct err *err, int sys, const char *before, const char *peer,
                     const char *why)
{
    AUTO(buf_release) struct buf safe = BUF_INIT;
    log_escape(&safe, why, strnlen(why, 300));
    size_t word = strcspn(buf_str(&safe), " :,.");
    bool is_name = false; /* "OpenSSL", "SSL" */
    for (size_t i = 1; i < word; i++)
        is_name = is_name || isupper((unsigned char)safe.data[i]);
    if (word > 0 && !is_name)
        safe.data[0] = (char)tolower((unsigned char)safe.data[0]);
    err_set(err, ERR_NET, "%s %s: %s", before, peer, buf_str(&safe));
    err->sys = sys;
    return err->code;
}

static const struct {
    CURLcode code;
    int sys;
    const char *why; /* NULL: curl's own words */
} unreachable[] = {
    { CURLE_COULDNT_RESOLVE_HOST, 0, "its name cannot be resolved" },
    { CURLE_COULDNT_RESOLVE_PROXY, 0, "the proxy's name cannot be resolved" },
    { CURLE_PROXY, 0, NULL },
    { CURLE_PEER_FAILED_VERIFICATION, EPROTO, NULL },
    { CURLE_SSL_CONNECT_ERROR, 0, NULL }, /* a reset during the handshake, too */
    { CURLE_SSL_CERTPROBLEM, EPROTO, NULL },
    { CURLE_SSL_CIPHER, EPROTO, NULL },
    { CURLE_SSL_CACERT_BADFILE, EPROTO, NULL },
    { CURLE_SSL_ISSUER_ERROR, EPROTO, NULL },
    { CURLE_UNSUPPORTED_PROTOCOL, EPROTO, NULL },
    { CURLE_URL_MALFORMAT, EPROTO, NULL },
    { CURLE_FAILED_INIT, EPROTO, NULL },
    { CURLE_TOO_MANY_REDIRECTS, EPROTO, NULL },
};

static int timeout_error(const struct http_hop *hop, CURL *easy, const char *peer, struct err *err)
{
    curl_off_t ready = 0, total = 0;
    curl_api()->easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
    curl_api()->easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
    int limit = hop->q->total_timeout_s;
    char why[64];
    if (limit > 0 && total > (curl_off_t)limit * 1000000 - 100000) { /* curl rounds */
        snprintf(why, sizeof(why), "not done within %d s", limit);
    } else if (ready == 0) {
        snprintf(why, sizeof(why), "no answer within %d s", connect_timeout(hop->q));
        return net_error(err, ETIMEDOUT, "cannot reach", peer, why);
    } else if (hop->q->min_speed > 0) {
        snprintf(why, sizeof(why), "less than %d bytes a second for %d s", hop->q->min_speed,
                 idle_timeout(hop->q));
    } else {
        snprintf(why, sizeof(why), "nothing came for %d s", idle_timeout(hop->q));
    }
    return net_error(err, ECONNRESET, "lost the connection to", peer, why);
}

/* "Failed to connect to HOST port ...": whom curl tried is not whom we named. */
static bool is_proxy_failure(const struct http_hop *hop, const struct http_slot *slot)
{
    AUTO(mem_free) char *peer = url_host_port(hop->url);
    size_t len = strcspn(peer, ":");
    AUTO(mem_free) char *host = str_ndup(peer, len);
    return hop->q->unix_socket == NULL && peer[0] != '[' && !url_is_loopback(hop->url) &&
           strstr(slot->error, " connect to ") != NULL && strstr(slot->error, host) == NULL;
}

static int hop_error(const struct http_hop *hop, const struct http_slot *slot, CURLcode code,
                     struct err *err)
{
    AUTO(mem_free) char *peer = peer_name(hop);
    const char *text = slot->error[0] != '\0' ? slot->error : curl_api()->easy_strerror(code);
    long sys = 0;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return timeout_error(hop, slot->easy, peer, err);
    if (code == CURLE_COULDNT_CONNECT) {
        curl_api()->easy_getinfo(slot->easy, CURLINFO_OS_ERRNO, &sys);
        return net_error(err, (int)sys,
                         is_proxy_failure(hop, slot) ? "the proxy does not answer for"
                                                     : "cannot reach",
                         peer, sys ? strerror((int)sys) : text);
    }
    for (size_t i = 0; i < ARRAY_LEN(unreachable); i++)
        if (unreachable[i].code == code)
            return net_error(err, unreachable[i].sys, "cannot reach", peer,
                             unreachable[i].why != NULL ? unreachable[i].why : text);
    return net_error(err, ECONNRESET, "lost the connection to", peer, text);
}

/* --- the transfer ----------------------------------------------------------------------------- */

/* Runs until curl is done with it; false when it was cancelled. */
static bool drive(struct http_slot *slot, struct cancel *cancel, CURLcode *ret)
{
    for (;;) {
        int running = 0, left = 0;
        CURLMcode bad = curl_api()->multi_perform(slot->multi, &running);
        const CURLMsg *m = curl_api()->multi_info_read(slot->multi, &left);
        if (m != NULL && m->msg == CURLMSG_DONE) {
            *ret = m->data.result;
            return true;
        }
        if (cancel_is_set(cancel))
            return false;
        struct curl_waitfd wake = { .fd = cancel_fd(cancel), .events = CURL_WAIT_POLLIN };
        if (bad == CURLM_OK)
            bad = curl_api()->multi_poll(slot->multi, &wake, wake.fd >= 0 ? 1 : 0, 1000, NULL);
        if (bad != CURLM_OK) {
            snprintf(slot->error, sizeof(slot->error), "%s", curl_api()->multi_strerror(bad));
            *ret = CURLE_FAILED_INIT;
            return true;
        }
    }
}

static void clear_answer(struct http_hop *hop)
{
    hop->status = 0;
    hop->headers_done = false;
    hop->headers_len = 0;
    hop->seen = hop->skip = 0;
    hop->is_cut = false;
    strv_clear(&hop->headers);
    buf_clear(&hop->answer);
    err_clear(&hop->fail);
    source_free(TAKE(hop->opened));
}

int http_hop_run(struct http_hop *hop, struct http_slot *slot, struct cancel *cancel,
                 struct err *err)
{
    clear_answer(hop);
    __attribute__((cleanup(slist_free_at))) struct curl_slist *headers = request_headers(hop);
    curl_api()->easy_reset(slot->easy);
    set_route(slot->easy, hop);
    set_method(slot->easy, hop);
    set_tls(slot->easy, hop);
    set_callbacks(slot, hop);
    if (hop->q->dial != NULL) {
        CURL_SET(slot->easy, CURLOPT_PREREQFUNCTION, on_dialled);
        CURL_SET(slot->easy, CURLOPT_PREREQDATA, hop);
    } else if (hop->q->is_inside != NULL) {
        CURL_SET(slot->easy, CURLOPT_PREREQFUNCTION, on_connected);
        CURL_SET(slot->easy, CURLOPT_PREREQDATA, hop);
    }
    CURL_SET(slot->easy, CURLOPT_HTTPHEADER, headers);

    CURLcode code = CURLE_FAILED_INIT;
    curl_api()->multi_add_handle(slot->multi, slot->easy);
    bool is_done = drive(slot, cancel, &code);
    if (!is_done) /* do not wait for a name server either */
        CURL_SET(slot->easy, CURLOPT_QUICK_EXIT, 1L);
    curl_api()->multi_remove_handle(slot->multi, slot->easy);
    CURL_SET(slot->easy, CURLOPT_HTTPHEADER, NULL);

    if (!is_done)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (hop->fail.code != ERR_NONE)
        return err_copy(err, &hop->fail);
    if (code != CURLE_OK && !hop->is_cut)
        return hop_error(hop, slot, code, err);
    if (!hop->headers_done) { /* curl takes it for an answer without a body */
        AUTO(mem_free) char *peer = peer_name(hop);
        return net_error(err, ECONNRESET, "lost the connection to", peer,
                         "its answer ends within the header lines");
    }
    return 0;
}
