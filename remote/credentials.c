#include "remote/credentials_internal.h"

#include "base/base64.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define DOCKER_HUB "docker.io"
#define NAME_MAX_LEN 64 /* of a helper */

struct credential_file {
    char *name; /* for messages */
    json_t *doc;
};

void secret_free(char *s)
{
    if (s != NULL)
        explicit_bzero(s, strlen(s));
    mem_free(s);
}

void credentials_release(struct credentials *c)
{
    secret_free(c->user);
    secret_free(c->secret);
    secret_free(c->identity_token);
    secret_free(c->registry_token);
    *c = (struct credentials){ .user = NULL };
}

void credentials_copy(struct credentials *dst, const struct credentials *src)
{
    credentials_release(dst);
    dst->user = str_dup(src->user);
    dst->secret = str_dup(src->secret);
    dst->identity_token = str_dup(src->identity_token);
    dst->registry_token = str_dup(src->registry_token);
}

bool credentials_are_there(const struct credentials *c)
{
    return c->user != NULL || c->identity_token != NULL || c->registry_token != NULL;
}

static void wipe(struct buf *b)
{
    if (b->data != NULL)
        explicit_bzero(b->data, b->cap);
    buf_release(b);
}
DEFINE_AUTO_VALUE(struct buf, wipe);

/* --- config.json ------------------------------------------------------------------------------ */

void credential_file_free(struct credential_file *f)
{
    if (f == NULL)
        return;
    json_decref(f->doc);
    mem_free(f->name);
    mem_free(f);
}

/* A helper is a program of PATH and nothing else. */
static bool is_helper_name(const json_t *j)
{
    const char *s = json_string_value(j);
    if (s == NULL || strlen(s) > NAME_MAX_LEN)
        return false;
    for (const char *c = s; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 127 || *c == '/')
            return false;
    return true;
}

static int check_helpers(const struct credential_file *f, struct err *err)
{
    const char *host;
    json_t *value, *store = json_object_get(f->doc, "credsStore");
    json_t *helpers = json_object_get(f->doc, "credHelpers");
    if (store != NULL && !json_is_null(store) && !is_helper_name(store))
        return err_set(err, ERR_USAGE, "'%s': credsStore is no name of a helper", f->name);
    if (helpers != NULL && !json_is_null(helpers) && !json_is_object(helpers))
        return err_set(err, ERR_USAGE, "'%s': credHelpers is no object", f->name);
    json_object_foreach(helpers, host, value) if (!is_helper_name(value)) return err_set(
        err, ERR_USAGE, "'%s': credHelpers of '%s' is no name of a helper", f->name, host);
    return 0;
}

static int check_auths(const struct credential_file *f, struct err *err)
{
    const char *host;
    json_t *value, *auths = json_object_get(f->doc, "auths");
    if (auths != NULL && !json_is_null(auths) && !json_is_object(auths))
        return err_set(err, ERR_USAGE, "'%s': auths is no object", f->name);
    json_object_foreach(auths, host, value) if (!json_is_object(value)) return err_set(
        err, ERR_USAGE, "'%s': auths of '%s' is no object", f->name, host);
    return 0;
}

struct credential_file *credential_file_parse(const char *text, size_t n, const char *name,
                                              struct err *err)
{
    AUTO(credential_file_free) struct credential_file *f = mem_zalloc(sizeof(*f));
    f->name = str_dup(name);
    AUTO(mem_free) char *shown = str_printf("'%s'", name);
    f->doc = json_parse(text, n, shown, err);
    if (f->doc == NULL) {
        err->code = ERR_USAGE;
        char *near = strstr(err->msg, " near '"); /* may be a piece of a secret */
        if (near != NULL)
            *near = '\0';
        return NULL;
    }
    if (!json_is_object(f->doc)) {
        err_set(err, ERR_USAGE, "'%s' is no JSON object", name);
        return NULL;
    }
    if (check_helpers(f, err) < 0 || check_auths(f, err) < 0)
        return NULL;
    return TAKE(f);
}

static char *file_path(void)
{
    const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    if (dir != NULL && *dir != '\0')
        return str_printf("%s/config.json", dir);
    return home != NULL && *home != '\0' ? str_printf("%s/.docker/config.json", home) : NULL;
}

/* Passwords that others can read are worth a word. */
static void warn_of_readers(const struct credential_file *f, const char *path)
{
    struct stat st;
    const char *host;
    json_t *value;
    bool has_secrets = false;
    json_object_foreach(json_get_obj(f->doc, "auths"), host, value) has_secrets =
        has_secrets || json_object_size(value) > 0;
    if (has_secrets && stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        log_info("remote", "'%s' holds credentials and can be read by others (chmod 600)", path);
}

struct credential_file *credential_file_read(struct err *err)
{
    AUTO(mem_free) char *path = file_path();
    AUTO(wipe) struct buf text = BUF_INIT;
    struct err why = ERR_INIT;
    if (path == NULL)
        return credential_file_parse("{}", 2, "config.json", err);
    int bad = file_read(AT_FDCWD, path, CREDENTIAL_FILE_MAX, &text, &why);
    if (bad == ERR_NOT_FOUND || (bad < 0 && why.sys == ENOTDIR))
        return credential_file_parse("{}", 2, path, err);
    if (bad < 0) {
        err_set(err, ERR_USAGE, "%s", why.msg);
        return NULL;
    }
    if (text.len == 0) /* Docker takes an empty file for none */
        buf_adds(&text, "{}");
    struct credential_file *f = credential_file_parse(text.data, text.len, path, err);
    if (f != NULL)
        warn_of_readers(f, path);
    return f;
}

/* --- which entry ------------------------------------------------------------------------------ */

static bool is_hub(const char *host, size_t n)
{
    static const char *const names[] = { DOCKER_HUB, "index.docker.io", "registry-1.docker.io" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == n && strncasecmp(names[i], host, n) == 0)
            return true;
    return false;
}

struct key {
    const char *host, *path; /* the path without slashes around it */
    size_t host_len, path_len;
    bool is_https; /* says so */
};

/* "host", "host/path" as podman writes it, "https://host/v1/" as Docker does: there the path is
 * none of a repository. */
static struct key key_parse(const char *text)
{
    struct key k = { .is_https = strncasecmp(text, "https://", 8) == 0 };
    const char *scheme = strstr(text, "://");
    k.host = scheme != NULL ? scheme + 3 : text;
    k.host_len = strcspn(k.host, "/");
    k.path = k.host + k.host_len;
    k.path += strspn(k.path, "/");
    k.path_len = strlen(k.path);
    while (k.path_len > 0 && k.path[k.path_len - 1] == '/')
        k.path_len--;
    bool is_version = k.path_len == 2 && k.path[0] == 'v' && (k.path[1] == '1' || k.path[1] == '2');
    if (scheme != NULL || is_version)
        k.path_len = 0;
    return k;
}

static bool is_of_host(const struct key *k, const char *host)
{
    if (is_hub(k->host, k->host_len))
        return str_eq(host, DOCKER_HUB);
    return strlen(host) == k->host_len && strncasecmp(host, k->host, k->host_len) == 0;
}

/* Whether the key's path is the repository's or one above it. */
static bool is_above(const struct key *k, const char *path)
{
    return strncmp(path, k->path, k->path_len) == 0 &&
           (k->path_len == 0 || path[k->path_len] == '\0' || path[k->path_len] == '/');
}

const char *credential_file_helper(const struct credential_file *f, const char *host)
{
    const char *text, *store = json_get_str(f->doc, "credsStore");
    json_t *value;
    json_object_foreach(json_get_obj(f->doc, "credHelpers"), text, value)
    {
        struct key k = key_parse(text);
        if (k.path_len == 0 && is_of_host(&k, host))
            return *json_string_value(value) != '\0' ? json_string_value(value) : NULL;
    }
    return store != NULL && *store != '\0' ? store : NULL;
}

/* The entry that says most; of two that say the same the one written as Docker writes it. */
static const json_t *find_auth(const struct credential_file *f, const char *host, const char *path,
                               bool is_https, const char **ret_key)
{
    const json_t *best = NULL;
    size_t best_len = 0;
    const char *text;
    json_t *value;
    json_object_foreach(json_get_obj(f->doc, "auths"), text, value)
    {
        struct key k = key_parse(text);
        if (!is_of_host(&k, host) || !is_above(&k, path) || (k.is_https && !is_https))
            continue;
        if (best == NULL || k.path_len > best_len || (k.path_len == best_len && k.is_https)) {
            best = value;
            best_len = k.path_len;
            *ret_key = text;
        }
    }
    return best;
}

/* --- what an entry says ----------------------------------------------------------------------- */

static char *text_of(const json_t *entry, const char *key)
{
    const char *s = json_get_str(entry, key);
    return s != NULL && *s != '\0' ? str_dup(s) : NULL;
}

/* "auth": base64 of USER:PASSWORD. */
static bool take_auth(const char *auth, struct credentials *c)
{
    AUTO(wipe) struct buf b = BUF_INIT;
    if (!base64_decode(&b, auth))
        return false;
    while (b.len > 0 && b.data[b.len - 1] == '\0') /* old clients padded with them */
        buf_truncate(&b, b.len - 1);
    const char *colon = memchr(buf_str(&b), ':', b.len);
    if (colon == NULL || strlen(b.data) != b.len)
        return false;
    secret_free(c->user);
    secret_free(c->secret);
    c->user = str_ndup(b.data, (size_t)(colon - b.data));
    c->secret = str_dup(colon + 1);
    return true;
}

static bool has_other_types(const json_t *entry)
{
    static const char *const keys[] = { "auth", "username", "password", "identitytoken",
                                        "registrytoken" };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const json_t *j = json_object_get(entry, keys[i]);
        if (j != NULL && !json_is_string(j) && !json_is_null(j))
            return true;
    }
    return false;
}

/* From here on there is a secret in memory: no core file of ours. */
static void no_core(const struct credentials *c)
{
    if (credentials_are_there(c))
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int credential_file_auth(const struct credential_file *f, const char *host, const char *path,
                         bool is_https, struct credentials *ret, struct err *err)
{
    AUTO(credentials_release) struct credentials c = { .user = NULL };
    const char *key = NULL;
    const json_t *entry = find_auth(f, host, path, is_https, &key);
    const char *auth = entry != NULL ? json_get_str(entry, "auth") : NULL;
    if (entry == NULL)
        return 0;
    c.user = text_of(entry, "username");
    c.secret = text_of(entry, "password");
    c.identity_token = text_of(entry, "identitytoken");
    c.registry_token = text_of(entry, "registrytoken");
    if (has_other_types(entry) || (auth != NULL && *auth != '\0' && !take_auth(auth, &c)))
        return err_set(err, ERR_USAGE, "'%s': auths of '%s' cannot be read", f->name, key);
    no_core(&c);
    *ret = c;
    c = (struct credentials){ .user = NULL };
    return 0;
}
