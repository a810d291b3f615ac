#include "remote/registry_config.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOCKER_HUB "docker.io"
#define DAEMON_JSON "/etc/docker/daemon.json"
#define CERTS_DIR "/etc/docker/certs.d"
#define DAEMON_JSON_MAX (1u << 20)

struct mirror {
    char *host, *url;
};

struct block { /* of addresses */
    int family;
    unsigned char bytes[16];
    unsigned bits;
};

/* What was seen of hosts since; the config itself does not change. */
struct hosts {
    pthread_mutex_t lock;
    struct registry_host *first;
};

struct registry_config {
    char *certs_dir;
    struct mirror *mirrors;
    size_t n_mirrors, mirrors_cap;
    struct strv insecure;
    struct block *blocks;
    size_t n_blocks, blocks_cap;
    struct credential_file *credentials;
    int helper_ms;
    struct hosts *hosts;
};

void registry_config_free(struct registry_config *c)
{
    if (c == NULL)
        return;
    for (struct registry_host *t = c->hosts->first, *next; t != NULL; t = next) {
        next = t->next;
        registry_host_free(t);
    }
    pthread_mutex_destroy(&c->hosts->lock);
    mem_free(c->hosts);
    for (size_t i = 0; i < c->n_mirrors; i++) {
        mem_free(c->mirrors[i].host);
        mem_free(c->mirrors[i].url);
    }
    mem_free(c->mirrors);
    mem_free(c->blocks);
    strv_release(&c->insecure);
    credential_file_free(c->credentials);
    mem_free(c->certs_dir);
    mem_free(c);
}

/* --- mirrors and insecure hosts --------------------------------------------------------------- */

/* "host", "host:port", "[v6]:port" and nothing else: it becomes part of URLs and of a path. */
static bool is_host(const char *s)
{
    if (!isalnum((unsigned char)*s) && *s != '[')
        return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr(".-_:[]", *s) == NULL)
            return false;
    return true;
}

static const char *behind_scheme(const char *url)
{
    static const char *const schemes[] = { "https://", "http://" };
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            return url + strlen(schemes[i]);
    return NULL;
}

static int add_mirror(struct registry_config *c, const char *host, const char *url,
                      const char *where, struct err *err)
{
    AUTO(mem_free) char *clean = str_dup(url);
    size_t n = strlen(clean);
    if (n > 0 && clean[n - 1] == '/')
        clean[n - 1] = '\0';
    const char *name = behind_scheme(clean);
    if (name == NULL || !is_host(name) || !is_host(host)) /* not shown: may hold a password */
        return err_set(err, ERR_USAGE, "%s: a mirror is http:// or https:// and a host, not more",
                       where);
    MEM_ROOM(c->mirrors, c->n_mirrors, c->mirrors_cap);
    c->mirrors[c->n_mirrors++] = (struct mirror){ .host = str_dup(host), .url = TAKE(clean) };
    return 0;
}

/* "HOST=URL" or "URL". */
static int add_mirror_setting(struct registry_config *c, const char *text, struct err *err)
{
    size_t n = strcspn(text, "=");
    if (text[n] == '\0' || memchr(text, '/', n) != NULL)
        return add_mirror(c, DOCKER_HUB, text, "registry-mirror", err);
    AUTO(mem_free) char *host = str_ndup(text, n);
    return add_mirror(c, host, text + n + 1, "registry-mirror", err);
}

/* 1: an address block; 0: it is none. */
static int block_parse(const char *text, struct block *ret)
{
    const char *slash = strchr(text, '/');
    char *end;
    if (slash == NULL || !isdigit((unsigned char)slash[1]))
        return 0;
    AUTO(mem_free) char *address = str_ndup(text, (size_t)(slash - text));
    unsigned long bits = strtoul(slash + 1, &end, 10);
    ret->family = strchr(address, ':') != NULL ? AF_INET6 : AF_INET;
    ret->bits = (unsigned)bits;
    return *end == '\0' && bits <= (ret->family == AF_INET ? 32 : 128) &&
           inet_pton(ret->family, address, ret->bytes) == 1;
}

static int add_insecure(struct registry_config *c, const char *text, const char *where,
                        struct err *err)
{
    struct block b = { .family = 0 };
    const char *name = behind_scheme(text); /* Docker lets it stand there, too */
    if (block_parse(text, &b)) {
        MEM_ROOM(c->blocks, c->n_blocks, c->blocks_cap);
        c->blocks[c->n_blocks++] = b;
        return 0;
    }
    name = name != NULL ? name : text;
    if (!is_host(name))
        return err_set(err, ERR_USAGE, "%s: '%s' is no host and no address block", where, name);
    strv_add(&c->insecure, name);
    return 0;
}

static bool is_in_block(const struct block *b, const char *address)
{
    unsigned char bytes[16];
    if (inet_pton(b->family, address, bytes) != 1)
        return false;
    for (unsigned i = 0; i < b->bits; i++)
        if (((bytes[i / 8] ^ b->bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
            return false;
    return true;
}

/* An address block is for addresses: a name server has no say in what is verified. */
bool registry_config_is_insecure(const struct registry_config *c, const char *name)
{
    bool is_v6 = name[0] == '[';
    AUTO(mem_free) char *address = str_ndup(name + is_v6, strcspn(name + is_v6, is_v6 ? "]" : ":"));
    for (size_t i = 0; i < c->insecure.n; i++)
        if (strcasecmp(c->insecure.v[i], name) == 0)
            return true;
    for (size_t i = 0; i < c->n_blocks; i++)
        if (is_in_block(&c->blocks[i], address))
            return true;
    return false;
}

void registry_config_mirrors(const struct registry_config *c, const char *name, struct strv *ret)
{
    for (size_t i = 0; i < c->n_mirrors; i++)
        if (strcasecmp(c->mirrors[i].host, name) == 0 && !strv_has(ret, c->mirrors[i].url))
            strv_add(ret, c->mirrors[i].url);
}

/* --- files ------------------------------------------------------------------------------------ */

/* An array of strings of daemon.json, or none. */
static int daemon_list(const json_t *doc, const char *path, const char *key, struct strv *ret,
                       struct err *err)
{
    const json_t *j = json_object_get(doc, key);
    struct err why = ERR_INIT;
    if (j == NULL || json_is_null(j))
        return 0;
    if (!json_is_array(j) || json_get_strv(doc, key, ret, &why) < 0)
        return err_set(err, ERR_USAGE, "'%s': %s is no list of texts", path, key);
    return 0;
}

static int take_daemon(struct registry_config *c, const json_t *doc, const char *path,
                       struct err *err)
{
    AUTO(strv_release) struct strv mirrors = STRV_INIT;
    AUTO(strv_release) struct strv insecure = STRV_INIT;
    AUTO(mem_free) char *where = str_printf("'%s'", path);
    if (!json_is_object(doc))
        return err_set(err, ERR_USAGE, "'%s' is no JSON object", path);
    if (daemon_list(doc, path, "registry-mirrors", &mirrors, err) < 0 ||
        daemon_list(doc, path, "insecure-registries", &insecure, err) < 0)
        return err->code;
    for (size_t i = 0; i < mirrors.n; i++)
        if (add_mirror(c, DOCKER_HUB, mirrors.v[i], where, err) < 0)
            return err->code;
    for (size_t i = 0; i < insecure.n; i++)
        if (add_insecure(c, insecure.v[i], where, err) < 0)
            return err->code;
    return 0;
}

static int read_daemon(struct registry_config *c, const char *path, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *where = str_printf("'%s'", path);
    struct err why = ERR_INIT;
    int bad = file_read(AT_FDCWD, path, DAEMON_JSON_MAX, &text, &why);
    if (bad < 0 && (bad == ERR_NOT_FOUND || why.sys == EACCES || why.sys == ENOTDIR)) {
        log_debug("remote", "%s", why.msg); /* the engine's own: nobody named it */
        return 0;
    }
    if (bad < 0)
        return err_set(err, ERR_USAGE, "%s", why.msg);
    if (text.len == 0)
        return 0;
    json_auto_t *doc = json_parse(text.data, text.len, where, &why);
    if (doc == NULL)
        return err_set(err, ERR_USAGE, "%s", why.msg);
    return take_daemon(c, doc, path, err);
}

static int take_settings(struct registry_config *c, const struct registry_settings *s,
                         struct err *err)
{
    for (size_t i = 0; i < s->mirrors.n; i++)
        if (add_mirror_setting(c, s->mirrors.v[i], err) < 0)
            return err->code;
    for (size_t i = 0; i < s->insecure.n; i++)
        if (add_insecure(c, s->insecure.v[i], "insecure-registry", err) < 0)
            return err->code;
    return 0;
}

static struct registry_config *config_new(const char *certs_dir)
{
    struct registry_config *c = mem_zalloc(sizeof(*c));
    c->certs_dir = str_dup(certs_dir);
    c->helper_ms = CREDENTIAL_HELPER_MS;
    c->hosts = mem_zalloc(sizeof(*c->hosts));
    pthread_mutex_init(&c->hosts->lock, NULL);
    return c;
}

struct registry_config *registry_config_none(void)
{
    return config_new(NULL);
}

struct registry_config *registry_config_read(const struct registry_settings *settings,
                                             struct err *err)
{
    static const struct registry_settings usual = { .certs_dir = NULL };
    const struct registry_settings *s = settings != NULL ? settings : &usual;
    AUTO(registry_config_free)
    struct registry_config *c = config_new(s->certs_dir != NULL ? s->certs_dir : CERTS_DIR);
    const char *daemon = s->daemon_json != NULL ? s->daemon_json : DAEMON_JSON;
    if (take_settings(c, s, err) < 0 || read_daemon(c, daemon, err) < 0)
        return NULL;
    c->credentials = credential_file_read(err);
    return c->credentials != NULL ? TAKE(c) : NULL;
}

const struct credential_file *registry_config_credentials(const struct registry_config *c)
{
    return c->credentials;
}

int registry_config_helper_ms(const struct registry_config *c)
{
    return c->helper_ms;
}

void registry_config_set_helper_ms(struct registry_config *c, int ms)
{
    c->helper_ms = ms;
}

/* --- hosts ------------------------------------------------------------------------------------ */

struct registry_host *registry_config_host(const struct registry_config *c, const char *name,
                                           const char *url, struct err *err)
{
    struct hosts *hosts = c->hosts;
    const char *own = url != NULL ? behind_scheme(url) : name;
    pthread_mutex_lock(&hosts->lock);
    struct registry_host *t = hosts->first;
    while (t != NULL && !(str_eq(t->name, own) && t->is_mirror == (url != NULL) &&
                          (url == NULL || str_eq(t->base, url))))
        t = t->next;
    if (t == NULL && (t = registry_host_new(c, own, url, c->certs_dir, err)) != NULL) {
        t->next = hosts->first;
        hosts->first = t;
    }
    pthread_mutex_unlock(&hosts->lock);
    return t;
}
