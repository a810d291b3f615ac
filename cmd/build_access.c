#include "cmd/build_access.h"

#include "cmd/csv.h"
#include "engine/secret.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void build_access_release(struct build_access *a)
{
    for (size_t i = 0; i < a->n_secrets; i++) {
        mem_free(a->secrets[i].id);
        mem_free(a->secrets[i].path);
        mem_free(a->secrets[i].env);
    }
    for (size_t i = 0; i < a->n_ssh; i++) {
        mem_free(a->ssh[i].id);
        strv_release(&a->ssh[i].paths);
    }
    for (size_t i = 0; i < a->n_ulimits; i++)
        mem_free((void *)(uintptr_t)a->ulimits[i].name);
    mem_free(a->secrets);
    mem_free(a->ssh);
    mem_free(a->ulimits);
    *a = (struct build_access){ .secrets = NULL };
}

/* ---- --secret ---- */

struct secret_fields {
    char *id, *src, *env, *type;
};

static void secret_fields_release(struct secret_fields *f)
{
    mem_free(f->id);
    mem_free(f->src);
    mem_free(f->env);
    mem_free(f->type);
}
DEFINE_AUTO_VALUE(struct secret_fields, secret_fields_release);

static int secret_field(struct secret_fields *f, const char *field, struct err *err)
{
    const struct {
        const char *key;
        char **value;
    } keys[] = {
        { "id", &f->id },   { "src", &f->src },   { "source", &f->src },
        { "env", &f->env }, { "type", &f->type },
    };
    const char *eq = strchr(field, '=');

    if (eq == NULL)
        return err_set(err, ERR_USAGE, "invalid field '%s' must be a key=value pair", field);
    AUTO(mem_free) char *key = str_ndup(field, (size_t)(eq - field));
    for (char *p = key; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    if (str_eq(key, "type") && !str_eq(eq + 1, "file") && !str_eq(eq + 1, "env"))
        return err_set(err, ERR_USAGE, "unsupported secret type \"%s\"", eq + 1);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (str_eq(key, keys[i].key)) {
            mem_free(*keys[i].value);
            *keys[i].value = str_dup(eq + 1);
            return 0;
        }
    return err_set(err, ERR_USAGE, "unexpected key '%s' in '%s'", key, field);
}

static bool is_empty(const char *s)
{
    return s == NULL || *s == '\0';
}

/* What is missing is the id's: the variable of that name, or else the file. */
static void complete(struct secret_fields *f)
{
    if (str_eq(f->type, "env") && is_empty(f->env)) {
        mem_free(f->env);
        f->env = TAKE(f->src);
    }
    if (!is_empty(f->env) || !is_empty(f->src))
        return;
    if (getenv(f->id) != NULL) {
        mem_free(f->env);
        f->env = str_dup(f->id);
    } else {
        mem_free(f->src);
        f->src = str_dup(f->id);
    }
}

static int check_file(const struct secret_fields *f, struct err *err)
{
    struct stat st;

    if (is_empty(f->src))
        return 0;
    if (stat(f->src, &st) < 0)
        return err_set(err, ERR_USAGE, "failed to stat %s: stat %s: %s", f->src, f->src,
                       errno == ENOENT ? "no such file or directory" : strerror(errno));
    if (S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "read %s: is a directory", f->src);
    if (st.st_size > SECRET_MAX)
        return err_set(err, ERR_USAGE, "secret %s too big. max size 500KiB", f->id);
    return 0;
}

int build_access_secret(struct build_access *a, const char *text, struct err *err)
{
    AUTO(secret_fields_release) struct secret_fields f = { .id = NULL };
    AUTO(strv_release) struct strv fields = STRV_INIT;

    if (csv_parse(text, &fields, err) < 0)
        return err_wrap(err, "failed to parse csv secret");
    if (fields.n == 0)
        return 0;
    for (size_t i = 0; i < fields.n; i++)
        if (secret_field(&f, fields.v[i], err) < 0)
            return err->code;
    if (is_empty(f.id))
        return err_set(err, ERR_USAGE, "secret missing ID");
    complete(&f);
    if (check_file(&f, err) < 0)
        return err->code;
    MEM_ROOM(a->secrets, a->n_secrets, a->cap_secrets);
    a->secrets[a->n_secrets++] = (struct build_secret){
        .id = TAKE(f.id),
        .env = is_empty(f.env) ? NULL : str_dup(f.env),
        .path = is_empty(f.env) ? TAKE(f.src) : NULL, /* the variable goes first */
    };
    return 0;
}

/* ---- --ssh ---- */

int build_access_ssh(struct build_access *a, const char *text, struct err *err)
{
    const char *eq = strchr(text, '=');
    size_t n = eq ? (size_t)(eq - text) : strlen(text);
    struct build_ssh s = { .id = NULL };

    (void)err;
    if (*text == '\0')
        return 0;
    s.id = n > 0 ? str_ndup(text, n) : str_dup("default");
    if (eq != NULL)
        strv_split(&s.paths, eq + 1, ',');
    MEM_ROOM(a->ssh, a->n_ssh, a->cap_ssh);
    a->ssh[a->n_ssh++] = s;
    return 0;
}

/* ---- --allow ---- */

/* "device", "device=NAME" and "device=NAME,alias=NAME" too: that there is none of it here is said
 * where RUN asks for one. */
static int check_device(const char *text, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;

    if (csv_parse(text, &fields, err) < 0)
        return err->code;
    for (size_t i = 1; i < fields.n; i++) {
        size_t n = strcspn(fields.v[i], "=");
        if (fields.v[i][n] == '\0')
            return err_set(err, ERR_USAGE, "invalid device config \"%s\"", fields.v[i]);
        if (n != strlen("alias") || !str_starts(fields.v[i], "alias"))
            return err_set(err, ERR_USAGE, "unknown device config key \"%.*s\"", (int)n,
                           fields.v[i]);
    }
    return 0;
}

int build_access_allow(struct strv *ret, const char *text, struct err *err)
{
    static const char *const known[] = { "network.host", "security.insecure", "device" };

    if (*text == '\0')
        return 0;
    if (str_starts(text, "device=")) {
        if (check_device(text + strlen("device="), err) < 0)
            return err->code;
        strv_add(ret, text);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(text, known[i])) {
            strv_add(ret, text);
            return 0;
        }
    return err_set(err, ERR_USAGE, "unknown entitlement %s", text);
}

/* ---- --shm-size, --ulimit, --cgroup-parent ---- */

/* What stands behind the number: "", "b", "k", "kb", "kib" and so on, in any case. */
static int unit_shift(const char *unit)
{
    static const char letters[] = "kmgtp";
    char c = (char)tolower((unsigned char)*unit);
    const char *at = c != '\0' ? strchr(letters, c) : NULL;

    if (*unit == '\0' || strcasecmp(unit, "b") == 0)
        return 0;
    if (at == NULL ||
        (unit[1] != '\0' && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0))
        return -1;
    return (int)(at - letters + 1) * 10;
}

int build_access_size(const char *text, uint64_t *ret, struct err *err)
{
    char *end = NULL;
    size_t digits = strspn(text, "0123456789.");
    AUTO(mem_free) char *number = str_ndup(text, digits);
    double n = strtod(number, &end);
    int shift = unit_shift(text + digits + strspn(text + digits, " "));

    if (digits == 0 || *end != '\0' || shift < 0 || n * (double)(1ULL << shift) > 1e18)
        return err_set(err, ERR_USAGE, "invalid size: '%s'", text);
    *ret = (uint64_t)(n * (double)(1ULL << shift));
    return 0;
}

static int take_shm_size(struct build_options *b, const char *text, struct err *err)
{
    if (text == NULL || build_access_size(text, &b->shm_size, err) == 0)
        return 0;
    return err_wrap(err, "invalid argument \"%s\" for \"--shm-size\" flag", text);
}

/* -1 is no limit. */
static int limit_number(const char *text, int64_t *ret, struct err *err)
{
    char *end = NULL;

    errno = 0;
    *ret = strtoll(text, &end, 10);
    if (*text == '\0' || isspace((unsigned char)*text) || *end != '\0')
        return err_set(err, ERR_USAGE, "strconv.ParseInt: parsing \"%s\": invalid syntax", text);
    if (errno == ERANGE)
        return err_set(err, ERR_USAGE, "strconv.ParseInt: parsing \"%s\": value out of range",
                       text);
    return 0;
}

static int check_limits(int64_t soft, int64_t hard, struct err *err)
{
    if (hard == -1)
        return 0;
    if (soft == -1)
        return err_set(err, ERR_USAGE,
                       "ulimit soft limit must be less than or equal to hard limit: soft: -1 "
                       "(unlimited), hard: %lld",
                       (long long)hard);
    if (soft > hard)
        return err_set(err, ERR_USAGE,
                       "ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
                       (long long)soft, (long long)hard);
    return 0;
}

static int parse_limit(const char *text, struct exec_ulimit *ret, struct err *err)
{
    size_t n = strcspn(text, "=");
    AUTO(mem_free) char *name = str_ndup(text, n);
    AUTO(strv_release) struct strv parts = STRV_INIT;
    int64_t soft = 0, hard = 0;

    if (text[n] == '\0')
        return err_set(err, ERR_USAGE, "invalid ulimit argument: %s", text);
    if (!exec_is_ulimit(name))
        return err_set(err, ERR_USAGE, "invalid ulimit type: %s", name);
    strv_split(&parts, text + n + 1, ':');
    if (parts.n > 2)
        return err_set(err, ERR_USAGE,
                       "too many limit value arguments - %s, can only have up to two, "
                       "`soft[:hard]`",
                       text + n + 1);
    if (limit_number(parts.n > 0 ? parts.v[0] : "", &soft, err) < 0 ||
        limit_number(parts.n > 1   ? parts.v[1]
                     : parts.n > 0 ? parts.v[0]
                                   : "",
                     &hard, err) < 0 ||
        check_limits(soft, hard, err) < 0)
        return err->code;
    /* Negative ones are what they are as unsigned numbers: -1 is no limit. */
    *ret = (struct exec_ulimit){ .name = TAKE(name), (uint64_t)soft, (uint64_t)hard };
    return 0;
}

/* The later of one name replaces the earlier. */
int build_access_ulimit(struct build_access *a, const char *text, struct err *err)
{
    struct exec_ulimit u;

    if (parse_limit(text, &u, err) < 0)
        return err_wrap(err, "invalid argument \"%s\" for \"--ulimit\" flag", text);
    for (size_t i = 0; i < a->n_ulimits; i++)
        if (str_eq(a->ulimits[i].name, u.name)) {
            mem_free((void *)(uintptr_t)a->ulimits[i].name);
            a->ulimits[i] = u;
            return 0;
        }
    MEM_ROOM(a->ulimits, a->n_ulimits, a->cap_ulimits);
    a->ulimits[a->n_ulimits++] = u;
    return 0;
}

/* ---- all ---- */

static int each(struct build_access *a, const struct strv *given,
                int (*take)(struct build_access *, const char *, struct err *), struct err *err)
{
    for (size_t i = 0; i < given->n; i++)
        if (take(a, given->v[i], err) < 0)
            return err->code;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct exec_ulimit *x = a, *y = b;

    return strcmp(x->name, y->name);
}

int build_access_take(struct build_access *a, const struct options *o, struct build_options *b,
                      struct err *err)
{
    const struct strv *allow = option_list(o, "allow");
    const char *parent = option_str(o, "cgroup-parent");

    if (each(a, option_list(o, "ulimit"), build_access_ulimit, err) < 0 ||
        take_shm_size(b, option_str(o, "shm-size"), err) < 0 ||
        each(a, option_list(o, "secret"), build_access_secret, err) < 0 ||
        each(a, option_list(o, "ssh"), build_access_ssh, err) < 0 ||
        ssh_check(a->ssh, a->n_ssh, err) < 0)
        return err->code;
    for (size_t i = 0; i < allow->n; i++)
        if (build_access_allow(&b->allow, allow->v[i], err) < 0)
            return err->code;
    if (a->n_ulimits > 0) /* the order given decides nothing */
        qsort(a->ulimits, a->n_ulimits, sizeof(*a->ulimits), by_name);
    b->secrets = a->secrets;
    b->n_secrets = a->n_secrets;
    b->ssh = a->ssh;
    b->n_ssh = a->n_ssh;
    b->ulimits = a->ulimits;
    b->n_ulimits = a->n_ulimits;
    b->cgroup_parent = is_empty(parent) ? NULL : parent;
    return 0;
}
