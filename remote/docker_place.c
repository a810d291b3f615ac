#include "remote/docker_internal.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_MAX (4u << 20)

static void ssh_place_free(struct docker_ssh_place *s)
{
    if (s == NULL)
        return;
    mem_free(s->user);
    mem_free(s->host);
    mem_free(s->port);
    mem_free(s->path);
    mem_free(s);
}
DEFINE_AUTO(struct docker_ssh_place, ssh_place_free);

void docker_place_release(struct docker_place *p)
{
    ssh_place_free(p->ssh);
    mem_free(p->host);
    mem_free(p->socket);
    mem_free(p->url);
    mem_free(p->ca);
    mem_free(p->cert);
    mem_free(p->key);
    *p = (struct docker_place){ .host = NULL };
}

/* NULL when unset or empty. */
static const char *env(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : NULL;
}

/* $DOCKER_CONFIG or ~/.docker */
static char *config_dir(void)
{
    const char *dir = env("DOCKER_CONFIG");
    return dir != NULL ? str_dup(dir) : str_printf("%s/.docker", env("HOME") ? env("HOME") : "");
}

/* --- addresses -------------------------------------------------------------------------------- */

static int parse_unix(const char *path, UNUSED bool with_tls, struct docker_place *p,
                      struct err *err)
{
    if (*path != '/')
        return err_set(err, ERR_USAGE, "'%s' has no absolute path", p->host);
    p->socket = str_dup(path);
    p->url = str_dup("http://localhost");
    return 0;
}

/* "host[:port][/...]": what follows the port is not part of the engine's address. */
static int parse_tcp(const char *rest, bool with_tls, struct docker_place *p, struct err *err)
{
    AUTO(mem_free) char *at = str_ndup(rest, strcspn(rest, "/?#"));
    const char *after = at[0] == '[' && strchr(at, ']') ? strchr(at, ']') : at;
    const char *port = strchr(after, ':');
    if (*at == '\0' || port == at || strchr(at, '@') != NULL ||
        (port != NULL && (port[1] == '\0' || port[1 + strspn(port + 1, "0123456789")] != '\0')))
        return err_set(err, ERR_USAGE, "'%s' is no address of an engine", p->host);
    p->url = str_printf("http%s://%s%s", with_tls ? "s" : "", at,
                        port != NULL ? ""
                        : with_tls   ? ":2376"
                                     : ":2375");
    return 0;
}

static int parse_http(const char *rest, UNUSED bool with_tls, struct docker_place *p,
                      struct err *err)
{
    return parse_tcp(rest, with_tls || str_starts(p->host, "https://"), p, err);
}

/* Whether ssh, or the shell of the other machine, takes it for a word and no more. */
static bool is_plain(const char *s, const char *also)
{
    if (*s == '\0' || *s == '-')
        return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr(also, *s) == NULL)
            return false;
    return true;
}

/* "[user@]host[:port]", the host in brackets when it has colons. */
static bool split_ssh(char *at, struct docker_ssh_place *s)
{
    char *sign = strrchr(at, '@'), *host = sign != NULL ? sign + 1 : at;
    if (sign != NULL) {
        *sign = '\0';
        s->user = str_dup(at);
    }
    char *end = host + strcspn(host, ":");
    if (*host == '[') {
        host++;
        end = host + strcspn(host, "]");
        if (*end != ']' || (end[1] != '\0' && end[1] != ':'))
            return false;
        *end++ = '\0';
    }
    if (*end == ':')
        s->port = str_dup(end + 1);
    *end = '\0';
    s->host = str_dup(host);
    return true;
}

static bool is_sound_ssh(const struct docker_ssh_place *s)
{
    return is_plain(s->host, "._-:%") && (s->user == NULL || is_plain(s->user, "._-+")) &&
           (s->port == NULL || (*s->port != '\0' && strlen(s->port) < 6 &&
                                s->port[strspn(s->port, "0123456789")] == '\0')) &&
           (s->path == NULL || is_plain(s->path, "/._-+@:,="));
}

static int parse_ssh(const char *rest, UNUSED bool with_tls, struct docker_place *p,
                     struct err *err)
{
    AUTO(mem_free) char *at = str_ndup(rest, strcspn(rest, "/"));
    const char *path = rest + strlen(at);
    const char *sign = strrchr(at, '@');
    AUTO(ssh_place_free) struct docker_ssh_place *s = mem_zalloc(sizeof(*s));
    if (sign != NULL && memchr(at, ':', (size_t)(sign - at)) != NULL) /* not to be repeated */
        return err_set(err, ERR_USAGE, "an engine's address by ssh may not have a password");
    if (*path != '\0' && !str_eq(path, "/"))
        s->path = str_dup(path);
    if (!split_ssh(at, s) || !is_sound_ssh(s))
        return err_set(err, ERR_USAGE, "'%s' is no address of an engine", p->host);
    p->url = str_dup("http://127.0.0.1"); /* one address, so that one connection is made */
    p->ssh = TAKE(s);
    return 0;
}

static int parse_unsupported(UNUSED const char *rest, UNUSED bool with_tls, struct docker_place *p,
                             struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "an engine at '%s' cannot be used: only unix://, tcp:// and ssh://", p->host);
}

int docker_place_parse(const char *host, bool with_tls, struct docker_place *ret, struct err *err)
{
    static const struct {
        const char *scheme;
        int (*parse)(const char *rest, bool with_tls, struct docker_place *p, struct err *err);
    } schemes[] = {
        { "unix://", parse_unix },      { "tcp://", parse_tcp }, { "http://", parse_http },
        { "https://", parse_http },     { "ssh://", parse_ssh }, { "npipe://", parse_unsupported },
        { "fd://", parse_unsupported },
    };
    ret->host = str_dup(host);
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (str_starts(host, schemes[i].scheme))
            return schemes[i].parse(host + strlen(schemes[i].scheme), with_tls, ret, err);
    if (strstr(host, "://") == NULL && strchr(host, ':') != NULL && host[0] != '/')
        return parse_tcp(host, with_tls, ret, err);
    return err_set(err, ERR_USAGE, "'%s' is no address of an engine", host);
}

/* --- TLS files -------------------------------------------------------------------------------- */

/* dir/name when it can be read. */
static char *file_in(const char *dir, const char *name)
{
    AUTO(mem_free) char *path = str_printf("%s/%s", dir, name);
    return access(path, R_OK) == 0 ? TAKE(path) : NULL;
}

static void add_tls(struct docker_place *p, const char *dir)
{
    p->ca = file_in(dir, "ca.pem");
    p->cert = file_in(dir, "cert.pem");
    p->key = file_in(dir, "key.pem");
}

/* --- contexts --------------------------------------------------------------------------------- */

static json_t *read_json(const char *path, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (file_read(AT_FDCWD, path, CONFIG_MAX, &text, err) < 0)
        return NULL;
    return json_parse(buf_str(&text), text.len, path, err);
}

/* The name of the context to use; NULL: none, or the one called default. */
static char *context_name(const char *dir, struct err *err)
{
    const char *name = env("DOCKER_CONTEXT");
    json_auto_t *config = NULL;
    if (name == NULL) {
        AUTO(mem_free) char *path = str_printf("%s/config.json", dir);
        config = read_json(path, err);
        if (config == NULL && err->code == ERR_NOT_FOUND)
            err_clear(err);
        name = config != NULL ? json_get_str(config, "currentContext") : NULL;
    }
    return name == NULL || *name == '\0' || str_eq(name, "default") ? NULL : str_dup(name);
}

/* Contexts are kept under the SHA-256 of their names. */
static int context_place(const char *dir, const char *name, struct docker_place *ret,
                         struct err *err)
{
    struct digest id;
    digest_of(name, strlen(name), &id);
    AUTO(mem_free) char *path = str_printf("%s/contexts/meta/%s/meta.json", dir, DIGEST_HEX(&id));
    json_auto_t *meta = read_json(path, err);
    if (meta == NULL && err->code == ERR_NOT_FOUND)
        return err_set(err, ERR_USAGE, "there is no Docker context '%s'", name);
    if (meta == NULL)
        return err_wrap(err, "Docker context '%s'", name);
    json_t *ends = json_get_obj(meta, "Endpoints");
    json_t *end = ends ? json_get_obj(ends, "docker") : NULL;
    const char *host = end ? json_get_str(end, "Host") : NULL;
    if (host == NULL || *host == '\0')
        return err_set(err, ERR_USAGE, "the Docker context '%s' names no engine", name);
    AUTO(mem_free) char *tls = str_printf("%s/contexts/tls/%s/docker", dir, DIGEST_HEX(&id));
    bool skips = json_is_true(json_object_get(end, "SkipTLSVerify"));
    bool has_files = access(tls, F_OK) == 0;
    if (docker_place_parse(host, has_files || skips, ret, err) < 0)
        return err_wrap(err, "Docker context '%s'", name);
    if (has_files)
        add_tls(ret, tls);
    ret->is_unverified = skips;
    return 0;
}

/* --- which one -------------------------------------------------------------------------------- */

static int env_place(const char *host, struct docker_place *ret, struct err *err)
{
    bool is_verified = env("DOCKER_TLS_VERIFY") != NULL,
         with_tls = is_verified || env("DOCKER_TLS");
    if (docker_place_parse(host, with_tls, ret, err) < 0)
        return err_wrap(err, "DOCKER_HOST");
    if (ret->url != NULL && str_starts(ret->url, "https://")) {
        AUTO(mem_free)
        char *dir = env("DOCKER_CERT_PATH") ? str_dup(env("DOCKER_CERT_PATH")) : config_dir();
        add_tls(ret, dir);
        ret->is_unverified = with_tls && !is_verified;
    }
    return 0;
}

static int default_place(const char *socket, struct docker_place *ret, struct err *err)
{
    if (access(socket, F_OK) < 0)
        return err_set(err, ERR_NOT_FOUND, "there is no Docker engine at unix://%s", socket);
    AUTO(mem_free) char *host = str_printf("unix://%s", socket);
    return docker_place_parse(host, false, ret, err);
}

int docker_place_find(const char *default_socket, struct docker_place *ret, bool *ret_named,
                      struct err *err)
{
    AUTO(docker_place_release) struct docker_place p = { .host = NULL };
    AUTO(mem_free) char *dir = config_dir();
    const char *host = env("DOCKER_HOST");
    AUTO(mem_free) char *context = host == NULL ? context_name(dir, err) : NULL;
    *ret_named = host != NULL || context != NULL || err->code != ERR_NONE;
    if (err->code != ERR_NONE)
        return err->code;
    int bad = host != NULL      ? env_place(host, &p, err)
              : context != NULL ? context_place(dir, context, &p, err)
                                : default_place(default_socket, &p, err);
    if (bad < 0)
        return bad;
    p.is_named = *ret_named;
    *ret = p;
    p = (struct docker_place){ .host = NULL };
    return 0;
}
