#include "base/fs.h"
#include "base/log.h"
#include "remote/registry_internal.h"
#include "remote/url.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define HUB_SERVER "registry-1.docker.io" /* where docker.io answers */
#define CA_MAX (1u << 20)                 /* of all CAs of one host */
#define CERT_FILES_MAX 1000
#define PROBE_TIMEOUT_S 30

static void tokens_free(struct registry_token *t)
{
    for (struct registry_token *next; t != NULL; t = next) {
        next = t->next;
        mem_free(t->key);
        secret_free(t->value);
        mem_free(t);
    }
}

void registry_host_free(struct registry_host *t)
{
    if (t == NULL)
        return;
    tokens_free(t->tokens);
    credentials_release(&t->from_helper);
    mem_free(t->name);
    mem_free(t->base);
    mem_free(t->ca);
    mem_free(t->cert_file);
    mem_free(t->key_file);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->helper_lock);
    mem_free(t);
}

/* --- certs.d ---------------------------------------------------------------------------------- */

static void dir_close_at(DIR **d)
{
    if (*d != NULL)
        closedir(*d);
}

/* Its names in order; 1: there is no such directory. */
static int list_names(const char *dir, struct strv *ret, struct err *err)
{
    __attribute__((cleanup(dir_close_at))) DIR *d = opendir(dir);
    if (d == NULL && (errno == ENOENT || errno == ENOTDIR))
        return 1;
    if (d == NULL)
        return err_set(err, ERR_USAGE, "cannot open '%s': %s", dir, strerror(errno));
    for (struct dirent *e; (e = readdir(d)) != NULL && ret->n < CERT_FILES_MAX;)
        if (e->d_name[0] != '.')
            strv_add(ret, e->d_name);
    strv_sort(ret);
    return 0;
}

static int add_ca(struct buf *all, const char *dir, const char *name, struct err *err)
{
    AUTO(mem_free) char *path = str_printf("%s/%s", dir, name);
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (file_read(AT_FDCWD, path, CA_MAX, &text, err) < 0)
        return err_set(err, ERR_USAGE, "cannot read the CA '%s'", path);
    if (all->len + text.len > CA_MAX)
        return err_set(err, ERR_USAGE, "'%s' holds too many CAs", dir);
    buf_addf(all, "%s\n", buf_str(&text));
    return 0;
}

/* NAME with another ending. */
static char *beside(const char *name, size_t ending, const char *other)
{
    return str_printf("%.*s%s", (int)(strlen(name) - ending), name, other);
}

/* One of the two alone is a mistake, as in Docker; of several pairs the first is used. */
static int take_pair(struct registry_host *t, const struct strv *names, const char *dir,
                     const char *name, struct err *err)
{
    bool is_cert = str_ends(name, ".cert");
    AUTO(mem_free) char *other = is_cert ? beside(name, 5, ".key") : beside(name, 4, ".cert");
    if (!strv_has(names, other))
        return err_set(err, ERR_USAGE, "'%s/%s' has no '%s' beside it%s", dir, name, other,
                       is_cert ? " (a CA's name ends in .crt)" : "");
    if (!is_cert || t->cert_file != NULL)
        return 0;
    t->cert_file = str_printf("%s/%s", dir, name);
    t->key_file = str_printf("%s/%s", dir, other);
    return 0;
}

/* 1: the host has no directory there. */
static int read_certs(struct registry_host *t, const char *certs_dir, struct err *err)
{
    AUTO(mem_free) char *dir = str_printf("%s/%s", certs_dir, t->name);
    AUTO(strv_release) struct strv names = STRV_INIT;
    AUTO(buf_release) struct buf all = BUF_INIT;
    int r = list_names(dir, &names, err);
    for (size_t i = 0; r == 0 && i < names.n; i++) {
        const char *name = names.v[i];
        if (str_ends(name, ".crt"))
            r = add_ca(&all, dir, name, err);
        else if (str_ends(name, ".cert") || str_ends(name, ".key"))
            r = take_pair(t, &names, dir, name, err);
    }
    if (r == 0 && all.len > 0)
        t->ca = buf_take(&all);
    return r;
}

/* --- which way -------------------------------------------------------------------------------- */

static void choose_way(struct registry_host *t, bool has_certs)
{
    bool is_hub = str_eq(t->name, "docker.io");
    bool is_plain = url_host_is_loopback(t->name) && !has_certs && !t->is_insecure;
    t->base = str_printf("%s://%s", is_plain ? "http" : "https", is_hub ? HUB_SERVER : t->name);
    t->is_unverified = t->is_insecure;
    t->is_settled = !t->is_insecure;
}

struct registry_host *registry_host_new(const struct registry_config *c, const char *name,
                                        const char *url, const char *certs_dir, struct err *err)
{
    AUTO(registry_host_free) struct registry_host *t = mem_zalloc(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->helper_lock, NULL);
    t->config = c;
    t->name = str_dup(name);
    t->is_mirror = url != NULL;
    t->is_insecure = registry_config_is_insecure(c, name);
    int certs = certs_dir != NULL ? read_certs(t, certs_dir, err) : 1;
    if (certs < 0)
        return NULL;
    if (url == NULL) {
        choose_way(t, certs == 0);
        return TAKE(t);
    }
    t->base = str_dup(url);
    t->is_unverified = t->is_insecure && url_is_https(url);
    t->is_settled = true;
    return TAKE(t);
}

void registry_host_secure(const struct registry_host *t, struct http_request *q)
{
    q->ca_extra = t->ca;
    q->cert_file = t->cert_file;
    q->key_file = t->key_file;
    q->is_unverified = t->is_unverified;
}

/* Any answer will do: it speaks TLS. */
static int probe(const struct registry_host *t, struct http *h, struct err *err)
{
    AUTO(mem_free) char *url = str_printf("%s/v2/", t->base);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "GET", .url = url, .total_timeout_s = PROBE_TIMEOUT_S };
    registry_host_secure(t, &q);
    return http_do(h, &q, &p, err);
}

int registry_host_settle(struct registry_host *t, struct http *h, struct err *err)
{
    struct err why = ERR_INIT;
    int bad = 0;
    pthread_mutex_lock(&t->lock);
    if (!t->is_settled) {
        bad = probe(t, h, &why);
        t->is_settled = bad != ERR_CANCELLED;
        if (bad < 0 && bad != ERR_CANCELLED) {
            log_info("remote", "%s; asking by http", why.msg);
            char *plain = str_printf("http://%s", t->base + strlen("https://"));
            mem_free(t->base);
            t->base = plain;
            t->is_unverified = false;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return bad == ERR_CANCELLED ? err_copy(err, &why) : 0;
}

/* --- who we are ------------------------------------------------------------------------------- */

/* Under its lock. */
static int ask_helper(struct registry_host *t, const char *helper, struct cancel *cancel,
                      struct credentials *ret, struct err *err)
{
    if (!t->helper_was_asked) {
        credential_helper_get(helper, t->name, cancel, registry_config_helper_ms(t->config),
                              &t->from_helper, &t->helper_err);
        if (t->helper_err.code == ERR_CANCELLED) {
            err_copy(err, &t->helper_err);
            err_clear(&t->helper_err);
            return err->code;
        }
        t->helper_was_asked = true;
    }
    if (t->helper_err.code != ERR_NONE)
        return err_copy(err, &t->helper_err);
    credentials_copy(ret, &t->from_helper);
    return 0;
}

int registry_host_credentials(struct registry_host *t, const char *path, struct cancel *cancel,
                              struct credentials *ret, struct err *err)
{
    const struct credential_file *f = registry_config_credentials(t->config);
    bool is_https = url_is_https(t->base);
    if (f == NULL)
        return 0;
    /* In the clear only to this machine, and to whom the user said so. */
    if (!is_https && !t->is_insecure && !url_is_loopback(t->base))
        return 0;
    const char *helper = credential_file_helper(f, t->name);
    if (helper != NULL) {
        pthread_mutex_lock(&t->helper_lock);
        int bad = ask_helper(t, helper, cancel, ret, err);
        pthread_mutex_unlock(&t->helper_lock);
        return bad;
    }
    return credential_file_auth(f, t->name, path, is_https || url_is_loopback(t->base), ret, err);
}
