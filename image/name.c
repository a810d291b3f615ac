#include "image/name.h"

#include "base/mem.h"
#include <ctype.h>
#include <string.h>

#define DEFAULT_DOMAIN "docker.io"
#define OLD_DOMAIN "index.docker.io"
#define OFFICIAL "library/"
#define NAME_MAX_LEN 255
#define TAG_MAX_LEN 128

static bool is_lower_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alnum(char c)
{
    return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool has_upper(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            return true;
    return false;
}

/* The length of the separator between two runs of letters: one of . _ __ or any number of -; 0:
 * none. */
static size_t separator_len(const char *s, size_t n)
{
    size_t i = 0;
    if (n == 0)
        return 0;
    if (s[0] == '.')
        return 1;
    if (s[0] == '_')
        return n > 1 && s[1] == '_' ? 2 : 1;
    while (i < n && s[i] == '-')
        i++;
    return i;
}

static bool path_component_ok(const char *s, size_t n)
{
    size_t i = 0;
    for (;;) {
        size_t run = i;
        while (i < n && is_lower_alnum(s[i]))
            i++;
        if (i == run)
            return false;
        if (i == n)
            return true;
        size_t sep = separator_len(s + i, n - i);
        if (sep == 0)
            return false;
        i += sep;
    }
}

static bool each_component(const char *s, size_t n, char sep, bool (*ok)(const char *, size_t))
{
    for (;;) {
        const char *end = memchr(s, sep, n);
        size_t len = end ? (size_t)(end - s) : n;
        if (!ok(s, len))
            return false;
        if (end == NULL)
            return true;
        s += len + 1;
        n -= len + 1;
    }
}

static bool domain_component_ok(const char *s, size_t n)
{
    if (n == 0 || s[0] == '-' || s[n - 1] == '-')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_alnum(s[i]) && s[i] != '-')
            return false;
    return true;
}

static bool port_ok(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_digit(s[i]))
            return false;
    return n > 0;
}

/* "[2001:db8::1]"; returns its length, 0: none. */
static size_t ipv6_len(const char *s, size_t n)
{
    size_t i = 1;
    if (n == 0 || s[0] != '[')
        return 0;
    while (i < n && (isxdigit((unsigned char)s[i]) || s[i] == ':'))
        i++;
    return i > 1 && i < n && s[i] == ']' ? i + 1 : 0;
}

static bool domain_ok(const char *s, size_t n)
{
    size_t host = ipv6_len(s, n);
    if (host == 0) {
        const char *colon = memchr(s, ':', n);
        host = colon ? (size_t)(colon - s) : n;
        if (!each_component(s, host, '.', domain_component_ok))
            return false;
    }
    return host == n || (s[host] == ':' && port_ok(s + host + 1, n - host - 1));
}

static bool tag_ok(const char *s, size_t n)
{
    if (n == 0 || n > TAG_MAX_LEN || !(is_alnum(s[0]) || s[0] == '_'))
        return false;
    for (size_t i = 1; i < n; i++)
        if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
            return false;
    return true;
}

static int bad_format(struct err *err)
{
    return err_set(err, ERR_USAGE, "invalid reference format");
}

/* Digests that the grammar knows but this program does not are told apart from nonsense. */
static int digest_part(const char *s, struct digest *ret, struct err *err)
{
    struct err why = ERR_INIT;
    if (digest_parse(s, ret, &why) == 0)
        return 0;
    const char *colon = strchr(s, ':');
    size_t algo = colon ? (size_t)(colon - s) : 0;
    size_t hex = colon ? strspn(colon + 1, "0123456789abcdefABCDEF") : 0;
    if (algo == 0 || !is_alnum(s[0]) || hex < 32 || colon[1 + hex] != '\0')
        return bad_format(err);
    if (why.code == ERR_UNSUPPORTED)
        return err_set(err, ERR_USAGE, "unsupported digest algorithm");
    return err_set(err, ERR_USAGE,
                   hex == DIGEST_HEX_LEN ? "invalid checksum digest format"
                                         : "invalid checksum digest length");
}

static bool is_bare_hex(const char *s)
{
    return strlen(s) == DIGEST_HEX_LEN && strspn(s, "0123456789abcdef") == DIGEST_HEX_LEN;
}

/* Docker's rule for what stands before the first slash: a host, or a part of the path? */
static bool is_domain(const char *s, size_t n)
{
    return (n == strlen("localhost") && memcmp(s, "localhost", n) == 0) || memchr(s, '.', n) ||
           memchr(s, ':', n) || has_upper(s, n);
}

/* Cuts s into domain (owned, default filled in) and the rest (borrowed). */
static const char *split_domain(const char *s, char **ret_domain)
{
    const char *slash = strchr(s, '/');
    if (slash == NULL || !is_domain(s, (size_t)(slash - s))) {
        *ret_domain = str_dup(DEFAULT_DOMAIN);
        return s;
    }
    size_t n = (size_t)(slash - s);
    bool old = n == strlen(OLD_DOMAIN) && memcmp(s, OLD_DOMAIN, n) == 0;
    *ret_domain = old ? str_dup(DEFAULT_DOMAIN) : str_ndup(s, n);
    return slash + 1;
}

static int check_path(const struct image_name *n, struct err *err)
{
    size_t len = strlen(n->path);
    if (!each_component(n->path, len, '/', path_component_ok))
        return bad_format(err);
    if (len > NAME_MAX_LEN)
        return err_set(err, ERR_USAGE, "repository name must not be more than %d characters",
                       NAME_MAX_LEN);
    return 0;
}

/* Asked before anything else, of all that stands before the first colon. */
static int check_case(const struct image_name *n, const char *rest, struct err *err)
{
    size_t len = strcspn(rest, ":");
    bool official = str_eq(n->domain, DEFAULT_DOMAIN) && strchr(rest, '/') == NULL;
    if (!has_upper(rest, len))
        return 0;
    return err_set(err, ERR_USAGE,
                   "invalid reference format: repository name (%s%.*s) must be lowercase",
                   official ? OFFICIAL : "", (int)len, rest);
}

static int parse_parts(const char *rest, struct image_name *n, struct err *err)
{
    if (check_case(n, rest, err) < 0)
        return err->code;
    const char *at = strchr(rest, '@');
    size_t len = at ? (size_t)(at - rest) : strlen(rest);
    const char *colon = memchr(rest, ':', len);
    size_t path = colon ? (size_t)(colon - rest) : len;
    bool official = str_eq(n->domain, DEFAULT_DOMAIN) && memchr(rest, '/', path) == NULL;

    n->path = str_printf("%s%.*s", official && path > 0 ? OFFICIAL : "", (int)path, rest);
    if (check_path(n, err) < 0)
        return err->code;
    if (colon && !tag_ok(colon + 1, len - path - 1))
        return bad_format(err);
    if (colon)
        n->tag = str_ndup(colon + 1, len - path - 1);
    else if (at == NULL)
        n->tag = str_dup("latest");
    n->has_digest = at != NULL;
    return at ? digest_part(at + 1, &n->digest, err) : 0;
}

int image_name_parse(const char *s, struct image_name *ret, struct err *err)
{
    AUTO(image_name_release) struct image_name n = { .domain = NULL };
    if (strlen(s) > 4096)
        return bad_format(err);
    if (is_bare_hex(s))
        return err_set(err, ERR_USAGE,
                       "invalid repository name (%s), cannot specify 64-byte hexadecimal strings",
                       s);
    const char *rest = split_domain(s, &n.domain);
    if (!domain_ok(n.domain, strlen(n.domain)))
        return bad_format(err);
    if (parse_parts(rest, &n, err) < 0)
        return err->code;
    *ret = n;
    n = (struct image_name){ .domain = NULL };
    return 0;
}

void image_name_release(struct image_name *n)
{
    mem_free(n->domain);
    mem_free(n->path);
    mem_free(n->tag);
    *n = (struct image_name){ .domain = NULL };
}

static void add_tail(struct buf *b, const struct image_name *n)
{
    if (n->tag)
        buf_addf(b, ":%s", n->tag);
    if (n->has_digest)
        buf_addf(b, "@%s", DIGEST_S(&n->digest));
}

char *image_name_canonical(const struct image_name *n)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, "%s/%s", n->domain, n->path);
    add_tail(&b, n);
    return buf_take(&b);
}

static void add_familiar(struct buf *b, const struct image_name *n)
{
    const char *path = n->path;
    if (!str_eq(n->domain, DEFAULT_DOMAIN))
        buf_addf(b, "%s/", n->domain);
    else if (str_starts(path, OFFICIAL) && strchr(path + strlen(OFFICIAL), '/') == NULL)
        path += strlen(OFFICIAL);
    buf_adds(b, path);
}

char *image_name_familiar(const struct image_name *n)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    add_familiar(&b, n);
    add_tail(&b, n);
    return buf_take(&b);
}

char *image_name_package_url(const struct image_name *n, const char *platform)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "pkg:docker/");
    add_familiar(&b, n);
    if (n->tag != NULL)
        buf_addf(&b, "@%s", n->tag);
    if (n->has_digest)
        buf_addf(&b, "?digest=%s", DIGEST_S(&n->digest));
    if (platform != NULL)
        buf_adds(&b, n->has_digest ? "&platform=" : "?platform=");
    for (const char *s = platform; s != NULL && *s != '\0'; s++)
        if (*s == '/')
            buf_adds(&b, "%2F");
        else
            buf_addc(&b, *s);
    return buf_take(&b);
}

char *image_name_repository(const struct image_name *n)
{
    return str_printf("%s/%s", n->domain, n->path);
}

char *image_name_reference(const struct image_name *n)
{
    return str_dup(n->has_digest ? DIGEST_S(&n->digest) : n->tag);
}
