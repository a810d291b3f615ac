/*
 * HTTP over libcurl: one request at a time per call, from any thread.
 * Connections, TLS sessions and DNS answers are shared. Bodies are bounded.
 * Redirects are followed by us (at most 10), never from https to http, and
 * credentials never go to another scheme, host or port.
 *
 * libcurl is loaded for the first request (ERR_UNSUPPORTED: it is missing).
 * Proxies as curl takes them from the environment, except that a loopback
 * address is always asked directly. A cancel ends a transfer at once.
 *
 *     struct http_request q = { .method = "GET", .url = url };
 *     AUTO(http_response_release) struct http_response r = { .status = 0 };
 *     if (http_do(h, &q, &r, err) < 0)
 *         return err->code;
 *     if (r.status != 200) ...
 */
#ifndef SHALE_REMOTE_HTTP_H
#define SHALE_REMOTE_HTTP_H

#include "base/buf.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/own.h"
#include "base/stream.h"
#include <stdbool.h>
#include <stdint.h>

struct http; /* shared state; locked inside */
void http_free(struct http *h);
DEFINE_AUTO(struct http, http_free);
/* cancel is borrowed and may be NULL. */
struct http *http_new(struct cancel *cancel) OWNED(http_free) NONNULL;
/* Loads what the first request would have to wait for. Any thread. */
void http_warm_up(void);
const char *http_library(struct err *err); /* libcurl's version */
struct cancel *http_cancel(const struct http *h);

/* Behind http_request.unix_socket is a listening socket of the caller's. */
struct http_dial {
    const char *name; /* of whom it leads to, for messages */
    /* There is a connection, perhaps a new one: takes what has connected. Any thread. */
    int (*accept)(void *arg, struct err *err);
    void *arg;
};

struct http_request {
    const char *method; /* "GET", "HEAD", "POST", "PUT", ... */
    const char *url;
    const char *unix_socket;      /* path, or NULL */
    const struct http_dial *dial; /* or NULL */
    const char *authorization;    /* header value for this URL's origin only, or NULL */
    const struct strv *headers;   /* "Name: value", or NULL */
    struct source *body;          /* or NULL; sent chunked when body_size < 0 */
    int64_t body_size;
    /*
     * Or a body that can be had again, from its beginning at each call (freed by us): where the
     * first connection was a dead one, and after a redirect. Only such requests take a connection
     * that is open already; a body that is read once has one made for it.
     */
    struct source *(*body_open)(void *arg, struct err *err);
    void *body_arg;
    struct sink *to; /* gets a 2xx body; not finished by this; NULL: into response.body */
    uint64_t max;    /* cap of the 2xx body in bytes; 0: 1 MiB */
    /*
     * > 0: Range: bytes=N-. The body's first N bytes are never delivered: a 206 must begin at N
     * (else ERR_NET), and of a 200, which is the whole thing again, N bytes are dropped.
     */
    uint64_t resume_from;
    int connect_timeout_s;                      /* 0: 10 */
    int idle_timeout_s;                         /* no byte for so long: ERR_NET; 0: 60 */
    int min_speed;                              /* bytes a second, over that time; 0: 1 */
    int total_timeout_s;                        /* for one hop, all in all; 0: none */
    const char *ca_file, *cert_file, *key_file; /* or NULL */
    /* Of the first URL's origin alone, as the certificate is. */
    const char *ca_extra; /* PEM text: CAs beside the system's; or NULL */
    bool is_unverified;   /* any certificate will do */
    bool stays;           /* a redirect away from the origin is refused (ERR_NET) */
    /*
     * Whether an address is of the inside (this machine, this network): url_ip_is_inside. A
     * redirect from outside to there is refused (ERR_NET), by the address that was really connected
     * to. NULL: not asked. What a proxy connects to is judged by the URL alone.
     */
    bool (*is_inside)(const char *ip);
    bool despite_cancel; /* a last word, with a short total_timeout_s: cancel does not end it */
    bool from_outside;   /* an outside server named this URL: what a redirect may not, it may not */
};

struct http_response {
    int status;
    struct strv headers; /* "name: value", names in lower case, of the last answer */
    struct buf body;     /* error bodies: at most 64 KiB */
    char *url;           /* where the answer came from, after redirects */
    bool is_outside;     /* is_inside was given, and said no of whom the request went to first */
};
void http_response_release(struct http_response *r);
DEFINE_AUTO_VALUE(struct http_response, http_response_release);
const char *http_header(const struct http_response *r, const char *lower_name); /* NULL: none */

/*
 * 0 for any answer (look at status); ERR_NET: "cannot reach HOST: why"; a body over max is
 * ERR_CORRUPT; what is no URL is ERR_USAGE; errors of the sink and of the body's source as they
 * are. ret is overwritten.
 */
int http_do(struct http *h, const struct http_request *q, struct http_response *ret,
            struct err *err);

/*
 * Why an ERR_NET came, as its err.sys: ECONNRESET when a connection that was
 * made broke off or stalled (asking again may help), EPROTO when asking again
 * cannot help (a certificate, a forbidden redirect), else connect's errno or 0.
 */
bool http_is_broken_off(const struct err *err);
/* Sleeps; ERR_CANCELLED ends it early. */
int http_wait(struct http *h, int64_t ms, struct err *err);
/* What a Retry-After header asks for in milliseconds (seconds or a date), -1 without one. */
int64_t http_retry_after_ms(const struct http_response *r);
/* A date as in Last-Modified, in seconds since 1970; -1: none. */
int64_t http_date(const char *text);
/* The media type of Content-Type without parameters; NULL without one. */
char *http_media_type(const struct http_response *r) OWNED(mem_free);

#endif
