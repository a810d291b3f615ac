/*
 * URLs: what belongs to one origin, where a redirect leads, what may be shown.
 * Pure functions of text, any thread.
 */
#ifndef SHALE_REMOTE_URL_H
#define SHALE_REMOTE_URL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

/* Whether "host", "host:port" or "[v6]:port" is localhost, in 127.0.0.0/8 or ::1. */
bool url_host_is_loopback(const char *host);
bool url_is_loopback(const char *url);
bool url_is_https(const char *url);
bool url_is_valid(const char *url); /* http or https, with a host */
/* The same: ERR_USAGE, or ERR_UNSUPPORTED where libcurl is missing, without which none is read. */
int url_check(const char *url, struct err *err);
/* Same scheme, host and port (written or by default). False for what is no URL. */
bool url_same_origin(const char *a, const char *b);
bool url_same_host(const char *a, const char *b); /* whatever scheme and port */
/*
 * Where a Location leads from base: http or https only, a fragment dropped,
 * user and password dropped unless the origin stays. ERR_NET for anything else.
 */
char *url_resolve(const char *base, const char *location, struct err *err) OWNED(mem_free);
/* "host:port" with the port always there; for messages. */
char *url_host_port(const char *url) OWNED(mem_free);
/* scheme://host/path: without user, password and query, which may be secrets. */
char *url_show(const char *url) OWNED(mem_free);
/*
 * Whether a numeric address (of version 6 also in brackets) leads to this machine or to a network
 * of its owner: loopback, link-local, private, carrier-grade NAT, unique local, multicast,
 * reserved, and all these inside version 6. False for names.
 */
bool url_ip_is_inside(const char *ip);
/*
 * A text (a line of a Dockerfile) with users and passwords of the URLs in it as "xxxxx", as
 * BuildKit writes them: "http://xxxxx:xxxxx@host/".
 */
char *url_redact(const char *text) OWNED(mem_free) NONNULL;
/* Adds s percent-encoded; what stands in keep ("/:") stays beside letters, digits and "-._~". */
void url_escape(struct buf *b, const char *s, const char *keep);

#endif
