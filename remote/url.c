#include "remote/url.h"
#include "remote/curl_api_internal.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

static void curl_free_at(char **p)
{
    if (*p)
        curl_api()->free(*p);
}

static void curlu_free_at(CURLU **u)
{
    if (*u)
        curl_api()->url_cleanup(*u);
}
#define AUTO_CURLU __attribute__((cleanup(curlu_free_at)))
#define AUTO_CURL __attribute__((cleanup(curl_free_at)))

/* NULL when it is no http or https URL, or there is no libcurl to read it (url_check says which).
 */
static CURLU *url_parse(const char *url)
{
    struct err ignored = ERR_INIT;
    if (curl_load(&ignored) < 0)
        return NULL;
    CURLU *u = curl_api()->url();
    char *scheme = NULL;
    bool ok = u != NULL && curl_api()->url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_api()->url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
    curl_api()->free(scheme);
    if (ok)
        return u;
    curl_api()->url_cleanup(u);
    return NULL;
}

/* Owned by libcurl; NULL when the part is not there. */
static char *url_part(CURLU *u, CURLUPart part)
{
    char *s = NULL;
    return curl_api()->url_get(u, part, &s, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ==
                   CURLUE_OK
               ? s
               : NULL;
}

bool url_host_is_loopback(const char *host)
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    char name[64];
    if (len >= sizeof(name) || len > strlen(host))
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    struct in_addr v4;
    if (inet_pton(AF_INET, name, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0;
}

bool url_is_loopback(const char *url)
{
    AUTO_CURLU CURLU *u = url_parse(url);
    AUTO_CURL char *host = u ? url_part(u, CURLUPART_HOST) : NULL;
    return host != NULL && url_host_is_loopback(host);
}

bool url_is_https(const char *url)
{
    return strncasecmp(url, "https://", 8) == 0;
}

bool url_is_valid(const char *url)
{
    AUTO_CURLU CURLU *u = url_parse(url);
    return u != NULL;
}

int url_check(const char *url, struct err *err)
{
    AUTO(mem_free) char *shown = url_show(url);
    if (curl_load(err) < 0)
        return err->code;
    return url_is_valid(url) ? 0 : err_set(err, ERR_USAGE, "'%s' is no http or https URL", shown);
}

static bool same_part(CURLU *a, CURLU *b, CURLUPart part)
{
    AUTO_CURL char *x = url_part(a, part);
    AUTO_CURL char *y = url_part(b, part);
    return x != NULL && y != NULL && strcasecmp(x, y) == 0;
}

static bool same_origin(CURLU *a, CURLU *b)
{
    return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) &&
           same_part(a, b, CURLUPART_PORT);
}

bool url_same_origin(const char *a, const char *b)
{
    AUTO_CURLU CURLU *x = url_parse(a);
    AUTO_CURLU CURLU *y = url_parse(b);
    return x != NULL && y != NULL && same_origin(x, y);
}

bool url_same_host(const char *a, const char *b)
{
    AUTO_CURLU CURLU *x = url_parse(a);
    AUTO_CURLU CURLU *y = url_parse(b);
    return x != NULL && y != NULL && same_part(x, y, CURLUPART_HOST);
}

char *url_resolve(const char *base, const char *location, struct err *err)
{
    AUTO_CURLU CURLU *from = url_parse(base);
    AUTO_CURLU CURLU *to = from ? curl_api()->url_dup(from) : NULL;
    AUTO_CURL char *joined = NULL;
    AUTO_CURL char *text = NULL;
    AUTO_CURLU CURLU *checked = NULL;
    /* Set, get, parse again: only the last step shows whether the scheme is one of ours. */
    if (to != NULL && curl_api()->url_set(to, CURLUPART_URL, location, 0) == CURLUE_OK)
        joined = url_part(to, CURLUPART_URL);
    if (joined != NULL)
        checked = url_parse(joined);
    if (checked != NULL) {
        curl_api()->url_set(checked, CURLUPART_FRAGMENT, NULL, 0);
        if (!same_origin(from, checked)) {
            curl_api()->url_set(checked, CURLUPART_USER, NULL, 0);
            curl_api()->url_set(checked, CURLUPART_PASSWORD, NULL, 0);
        }
        text = url_part(checked, CURLUPART_URL);
    }
    if (text == NULL) {
        err_set(err, ERR_NET, "redirected to an address that is no http or https URL");
        return NULL;
    }
    return str_dup(text);
}

char *url_host_port(const char *url)
{
    AUTO_CURLU CURLU *u = url_parse(url);
    AUTO_CURL char *host = u ? url_part(u, CURLUPART_HOST) : NULL;
    AUTO_CURL char *port = u ? url_part(u, CURLUPART_PORT) : NULL;
    return host != NULL && port != NULL ? str_printf("%s:%s", host, port) : str_dup("?");
}

char *url_show(const char *url)
{
    AUTO_CURLU CURLU *u = url_parse(url);
    AUTO_CURL char *text = NULL;
    if (u != NULL) {
        curl_api()->url_set(u, CURLUPART_USER, NULL, 0);
        curl_api()->url_set(u, CURLUPART_PASSWORD, NULL, 0);
        curl_api()->url_set(u, CURLUPART_QUERY, NULL, 0);
        curl_api()->url_set(u, CURLUPART_FRAGMENT, NULL, 0);
        text = url_part(u, CURLUPART_URL);
    }
    return str_dup(text != NULL ? text : "?");
}

/* A network: its first bits. */
struct net {
    uint32_t base;
    int bits;
};

static bool v4_is_inside(uint32_t ip)
{
    static const struct net nets[] = {
        { 0x00000000, 8 },  { 0x0a000000, 8 },  { 0x64400000, 10 }, { 0x7f000000, 8 },
        { 0xa9fe0000, 16 }, { 0xac100000, 12 }, { 0xc0000000, 24 }, { 0xc0a80000, 16 },
        { 0xc6120000, 15 }, { 0xe0000000, 4 },  { 0xf0000000, 4 },
    };
    for (size_t i = 0; i < ARRAY_LEN(nets); i++)
        if ((ip ^ nets[i].base) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

static uint32_t v4_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Addresses of version 4 stand in ::a.b.c.d, ::ffff:a.b.c.d, 64:ff9b::a.b.c.d and 2002:AABB:CCDD::.
 */
static bool v6_is_inside(const uint8_t a[16])
{
    static const uint8_t zeros[12], mapped[12] = { [10] = 0xff, [11] = 0xff },
                                    nat[12] = { 0x00, 0x64, 0xff, 0x9b };
    if (memcmp(a, zeros, 12) == 0 || memcmp(a, mapped, 12) == 0 || memcmp(a, nat, 12) == 0)
        return v4_is_inside(v4_at(a + 12)); /* :: and ::1 are in 0.0.0.0/8 */
    if (a[0] == 0x20 && a[1] == 0x02)
        return v4_is_inside(v4_at(a + 2));
    return (a[0] & 0xfe) == 0xfc || a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0x80) == 0x80) ||
           (a[0] == 0x00 && a[1] == 0x64 && a[2] == 0xff && a[3] == 0x9b);
}

bool url_ip_is_inside(const char *ip)
{
    char name[64];
    size_t skip = ip[0] == '[', len = strcspn(ip + skip, "]%"); /* "%eth0": the zone */
    struct in_addr v4;
    struct in6_addr v6;
    if (len >= sizeof(name))
        return false;
    memcpy(name, ip + skip, len);
    name[len] = '\0';
    if (inet_pton(AF_INET, name, &v4) == 1)
        return v4_is_inside(ntohl(v4.s_addr));
    return inet_pton(AF_INET6, name, &v6) == 1 && v6_is_inside(v6.s6_addr);
}

char *url_redact(const char *text)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *p = text, *mark;
    while ((mark = strstr(p, "://")) != NULL) {
        const char *user = mark + 3;
        size_t n = strcspn(user, "/?# \t\n\"'");
        const char *at = memrchr(user, '@', n);
        buf_add(&b, p, (size_t)(user - p));
        p = user;
        if (at == NULL)
            continue;
        buf_adds(&b, memchr(user, ':', (size_t)(at - user)) != NULL ? "xxxxx:xxxxx" : "xxxxx");
        p = at;
    }
    buf_adds(&b, p);
    return buf_take(&b);
}

void url_escape(struct buf *b, const char *s, const char *keep)
{
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        bool plain =
            (c < 128 && isalnum(c)) || strchr("-._~", c) != NULL || strchr(keep, c) != NULL;
        if (plain)
            buf_addc(b, (char)c);
        else
            buf_addf(b, "%%%02X", c);
    }
}
