/*
 * Inside remote/ only: one hop of a request (no redirects) on one of curl's
 * handles. http.c owns the handles and follows redirects; http_hop.c sets one
 * transfer up, bounds what comes in and says in words what went wrong.
 */
#ifndef SHALE_REMOTE_HTTP_INTERNAL_H
#define SHALE_REMOTE_HTTP_INTERNAL_H

#include "remote/curl_api_internal.h"
#include "remote/http.h"

#define HTTP_BODY_MAX (1u << 20)   /* of a 2xx body when the request says nothing */
#define HTTP_ERROR_MAX (64u << 10) /* of other bodies; the rest is not read */
#define HTTP_HEADERS_MAX (128u << 10)
#define HTTP_REDIRECTS_MAX 10

/* A handle of curl's with its own open connections; used by one transfer at a time. */
struct http_slot {
    CURL *easy;
    CURLM *multi;
    char *origin; /* whom it spoke to last */
    char error[CURL_ERROR_SIZE];
    struct http_slot *next;
};

struct http_hop {
    const struct http_request *q;
    char *url;
    const char *method;
    bool has_body;         /* false once a redirect turned the method into GET */
    struct source *opened; /* by body_open, or NULL */
    bool is_away;          /* left the first URL's origin: no credentials, for good */
    bool body_was_read;
    enum { SIDE_UNKNOWN, SIDE_OUTSIDE, SIDE_INSIDE } side; /* where the first hop led */

    /* The answer. */
    int status;
    bool headers_done;
    struct strv headers;
    size_t headers_len;
    struct buf answer;
    uint64_t seen;   /* bytes of a 2xx body */
    uint64_t skip;   /* of them not to be delivered */
    bool is_cut;     /* an error body was longer than is kept */
    struct err fail; /* what a callback found wrong */
};
void http_hop_release(struct http_hop *hop);
DEFINE_AUTO_VALUE(struct http_hop, http_hop_release);

/* Sends the request and takes the whole answer; hop's answer is cleared first. */
int http_hop_run(struct http_hop *hop, struct http_slot *slot, struct cancel *cancel,
                 struct err *err);
const char *http_header_of(const struct strv *headers, const char *lower_name);

#endif
