#include "dockerfile/instr_internal.h"
#include "dockerfile/runes_internal.h"
#include "dockerfile/suggest.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const type_names[] = {
    [MOUNT_BIND] = "bind",     [MOUNT_CACHE] = "cache", [MOUNT_TMPFS] = "tmpfs",
    [MOUNT_SECRET] = "secret", [MOUNT_SSH] = "ssh",
};

static const char *const sharing_names[] = {
    [MOUNT_SHARED - 1] = "shared",
    [MOUNT_PRIVATE - 1] = "private",
    [MOUNT_LOCKED - 1] = "locked",
};

/* A mount while its fields are read. */
struct mount_reader {
    struct run_mount m;
    bool says_access; /* ro or rw was given */
};

static void reader_release(struct mount_reader *r)
{
    run_mount_release(&r->m);
}
DEFINE_AUTO_VALUE(struct mount_reader, reader_release);

const char *mount_type_name(enum mount_type type)
{
    return type_names[type];
}

void run_mount_release(struct run_mount *m)
{
    mem_free(m->from);
    mem_free(m->source);
    mem_free(m->target);
    mem_free(m->id);
    mem_free(m->env);
    *m = (struct run_mount){ .from = NULL };
}

void run_mount_copy(struct run_mount *dst, const struct run_mount *src)
{
    *dst = *src;
    dst->from = str_dup(src->from);
    dst->source = str_dup(src->source);
    dst->target = str_dup(src->target);
    dst->id = str_dup(src->id);
    dst->env = str_dup(src->env);
}

/* Behind a quoted field's closing quote, or NULL. */
static const char *quoted_field(const char *s, struct buf *field)
{
    for (s++; *s != '\0'; s++) {
        if (*s == '"' && s[1] != '"')
            return s + 1;
        s += *s == '"';
        buf_addc(field, *s);
    }
    return NULL;
}

int csv_fields(const char *s, const char *what, struct strv *ret, struct err *err)
{
    if (*s == '\0')
        return err_set(err, ERR_USAGE, "failed to parse csv %s: EOF", what);
    for (;;) {
        AUTO(buf_release) struct buf field = BUF_INIT;
        if (*s == '"') {
            s = quoted_field(s, &field);
            if (s == NULL || (*s != ',' && *s != '\0'))
                return err_set(err, ERR_USAGE,
                               "failed to parse csv %s: extraneous or missing \" in quoted-field",
                               what);
        } else {
            size_t n = strcspn(s, ",");
            if (memchr(s, '"', n) != NULL)
                return err_set(err, ERR_USAGE,
                               "failed to parse csv %s: bare \" in non-quoted-field", what);
            buf_add(&field, s, n);
            s += n;
        }
        strv_add(ret, buf_str(&field));
        if (*s == '\0')
            return 0;
        s++;
    }
}

static char *key_of(const char *field)
{
    char *key = str_ndup(field, strcspn(field, "="));
    for (char *c = key; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return key;
}

int run_mount_check(const char *spec, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    if (csv_fields(spec, "mounts", &fields, err) < 0)
        return err->code;
    for (size_t i = 0; i < fields.n; i++) {
        AUTO(mem_free) char *key = key_of(fields.v[i]);
        const char *dollar = strchr(fields.v[i], '$');
        if (strcmp(key, "from") == 0 && dollar != NULL && dollar[1] != '\0')
            return err_set(err, ERR_USAGE,
                           "'from' doesn't support variable expansion, define alias stage instead");
    }
    return 0;
}

static int bad_value(const char *key, const char *value, struct err *err)
{
    return err_set(err, ERR_USAGE, "invalid value for %s: %s", key, value);
}

/* Go's strconv.ParseBool. */
static int parse_bool(const char *key, const char *value, bool *ret, struct err *err)
{
    static const char *const words[] = { "1", "t", "T", "true",  "TRUE",  "True",
                                         "0", "f", "F", "false", "FALSE", "False" };
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strcmp(value, words[i]) == 0) {
            *ret = i < ARRAY_LEN(words) / 2;
            return 0;
        }
    }
    return bad_value(key, value, err);
}

static int parse_number(const char *key, const char *value, int base, uint32_t *ret,
                        struct err *err)
{
    const char *allowed = base == 8 ? "01234567" : "0123456789";
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, base);
    if (*value == '\0' || value[strspn(value, allowed)] != '\0' || errno != 0 || n > UINT32_MAX)
        return err_set(err, ERR_USAGE, "invalid value %s for %s", value, key);
    *ret = (uint32_t)n;
    return 0;
}

/* "64m", "1.5 GiB": a number and a unit of 1024. */
static int parse_size(const char *key, const char *value, uint64_t *ret, struct err *err)
{
    static const char units[] = "kmgtpe";
    size_t n = strspn(value, "0123456789.");
    char *end = NULL;
    AUTO(mem_free) char *digits = str_ndup(value, n);
    double number = strtod(digits, &end);
    const char *unit = value + n;
    if (n == 0 || !isdigit((unsigned char)*value) || *end != '\0')
        return bad_value(key, value, err);
    unit += *unit == ' ';
    if (*unit != '\0') {
        const char *at = strchr(units, tolower((unsigned char)*unit));
        for (ptrdiff_t i = 0; at != NULL && i <= at - units; i++)
            number *= 1024;
        unit += at != NULL;
        unit += at != NULL && tolower((unsigned char)*unit) == 'i' &&
                tolower((unsigned char)unit[1]) == 'b';
        unit += tolower((unsigned char)*unit) == 'b';
    }
    if (*unit != '\0' || number >= 9223372036854775807.0)
        return bad_value(key, value, err);
    *ret = (uint64_t)number;
    return 0;
}

/* Which name of a list value is, -1 for none. */
static int place_of(const char *value, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(value, names[i]) == 0)
            return (int)i;
    }
    return -1;
}

static int unsupported(const char *what, const char *value, const char *const *names, size_t n,
                       struct err *err)
{
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, value);
    err_set(err, ERR_USAGE, "unsupported %s %s", what, buf_str(&quoted));
    suggest_add(err, value, names, n, false);
    return err->code;
}

static int not_for_type(const char *key, enum mount_type type, struct err *err)
{
    return err_set(err, ERR_USAGE, "unexpected key '%s' for mount type '%s'", key,
                   type_names[type]);
}

static int set_type(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    (void)key;
    int at = place_of(value, type_names, ARRAY_LEN(type_names));
    if (at < 0)
        return unsupported("mount type", value, type_names, ARRAY_LEN(type_names), err);
    r->m.type = (enum mount_type)at;
    return 0;
}

static int set_sharing(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    (void)key;
    int at = place_of(value, sharing_names, ARRAY_LEN(sharing_names));
    if (at < 0)
        return unsupported("sharing value", value, sharing_names, ARRAY_LEN(sharing_names), err);
    r->m.sharing = (enum mount_sharing)(at + 1);
    return 0;
}

static int set_access(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    bool yes = true;
    if (value != NULL && parse_bool(key, value, &yes, err) < 0)
        return err->code;
    bool says_read_only = strcmp(key, "ro") == 0 || strcmp(key, "readonly") == 0;
    r->m.read_only = says_read_only ? yes : !yes;
    r->says_access = true;
    return 0;
}

static int set_required(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    bool yes = true;
    if (r->m.type != MOUNT_SECRET && r->m.type != MOUNT_SSH)
        return not_for_type(key, r->m.type, err);
    if (value != NULL && parse_bool(key, value, &yes, err) < 0)
        return err->code;
    r->m.required = yes;
    return 0;
}

static int set_size(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    if (r->m.type != MOUNT_TMPFS)
        return not_for_type(key, r->m.type, err);
    return parse_size(key, value, &r->m.size, err);
}

static int set_ids(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    bool is_mode = *key == 'm', is_uid = *key == 'u';
    uint32_t *field = is_mode ? &r->m.mode : is_uid ? &r->m.uid : &r->m.gid;
    if (parse_number(key, value, is_mode ? 8 : 10, field, err) < 0)
        return err->code;
    *(is_mode ? &r->m.has_mode : is_uid ? &r->m.has_uid : &r->m.has_gid) = true;
    return 0;
}

static int set_text(struct mount_reader *r, const char *key, const char *value, struct err *err)
{
    (void)err;
    char **field = *key == 'f'               ? &r->m.from
                   : *key == 's'             ? &r->m.source
                   : strcmp(key, "id") == 0  ? &r->m.id
                   : strcmp(key, "env") == 0 ? &r->m.env
                                             : &r->m.target;
    mem_free(*field);
    *field = *value != '\0' ? str_dup(value) : NULL;
    return 0;
}

static const struct mount_key {
    const char *name;
    bool bare; /* may come without a value */
    int (*set)(struct mount_reader *r, const char *key, const char *value, struct err *err);
} mount_keys[] = {
    { "type", false, set_type },        { "from", false, set_text },
    { "source", false, set_text },      { "target", false, set_text },
    { "readonly", true, set_access },   { "id", false, set_text },
    { "sharing", false, set_sharing },  { "required", true, set_required },
    { "size", false, set_size },        { "mode", false, set_ids },
    { "uid", false, set_ids },          { "gid", false, set_ids },
    { "src", false, set_text },         { "dst", false, set_text },
    { "destination", false, set_text }, { "ro", true, set_access },
    { "rw", true, set_access },         { "readwrite", true, set_access },
    { "env", false, set_text },
};

static int unknown_key(const char *key, const char *field, struct err *err)
{
    const char *names[ARRAY_LEN(mount_keys)];
    for (size_t i = 0; i < ARRAY_LEN(mount_keys); i++)
        names[i] = mount_keys[i].name;
    err_set(err, ERR_USAGE, "unexpected key '%s' in '%s'", key, field);
    suggest_add(err, key, names, ARRAY_LEN(names), false);
    return err->code;
}

static int read_field(struct mount_reader *r, const char *field, const struct env_lookup *env,
                      char escape, struct strv *unmatched, struct err *err)
{
    AUTO(mem_free) char *key = key_of(field);
    const char *equals = strchr(field, '=');
    const struct mount_key *k = NULL;
    for (size_t i = 0; i < ARRAY_LEN(mount_keys); i++) {
        if (strcmp(mount_keys[i].name, key) == 0)
            k = &mount_keys[i];
    }
    if (equals == NULL && (k == NULL || !k->bare))
        return err_set(err, ERR_USAGE, "invalid field '%s' must be a key=value pair", field);
    if (equals == NULL)
        return k->set(r, key, NULL, err);
    AUTO(mem_free) char *value = expand_word(equals + 1, env, escape, unmatched, err);
    if (value == NULL)
        return err->code;
    if (k == NULL)
        return unknown_key(key, field, err);
    return k->set(r, key, value, err);
}

static int check_secret(const struct run_mount *m, struct err *err)
{
    if (m->from != NULL)
        return err_set(err, ERR_USAGE, "secret mount should not have a from");
    if (m->sharing != MOUNT_SHARING_UNSET)
        return err_set(err, ERR_USAGE, "secret mount should not define sharing");
    if (m->source == NULL && m->target == NULL && m->id == NULL)
        return err_set(err, ERR_USAGE, "invalid secret mount. one of source, target required");
    if (m->source != NULL && m->id != NULL)
        return err_set(err, ERR_USAGE, "both source and id can't be set");
    return 0;
}

static int check_mount(const struct run_mount *m, struct err *err)
{
    bool has_owner = m->type == MOUNT_SECRET || m->type == MOUNT_SSH || m->type == MOUNT_CACHE;
    const char *given = m->has_mode ? "mode" : m->has_uid ? "uid" : m->has_gid ? "gid" : NULL;
    if (!has_owner && given != NULL)
        return err_set(err, ERR_USAGE, "%s not allowed for \"%s\" type mounts", given,
                       type_names[m->type]);
    if (m->type == MOUNT_SECRET && check_secret(m, err) < 0)
        return err->code;
    if (m->sharing != MOUNT_SHARING_UNSET && m->type != MOUNT_CACHE)
        return err_set(err, ERR_USAGE, "invalid cache sharing set for %s mount",
                       type_names[m->type]);
    return 0;
}

int run_mount_parse(const char *spec, const struct env_lookup *env, char escape,
                    struct strv *unmatched, struct run_mount *ret, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    AUTO(reader_release) struct mount_reader r = { .says_access = false };
    if (csv_fields(spec, "mounts", &fields, err) < 0)
        return err->code;
    for (size_t i = 0; i < fields.n; i++) {
        if (read_field(&r, fields.v[i], env, escape, unmatched, err) < 0)
            return err->code;
    }
    if (!r.says_access)
        r.m.read_only = r.m.type != MOUNT_CACHE && r.m.type != MOUNT_TMPFS;
    if (check_mount(&r.m, err) < 0)
        return err->code;
    *ret = r.m;
    r.m = (struct run_mount){ .from = NULL };
    return 0;
}

void run_device_release(struct run_device *d)
{
    mem_free(d->name);
    *d = (struct run_device){ .name = NULL };
}

static int read_device_field(struct run_device *d, const char *field, struct err *err)
{
    static const char *const keys[] = { "name", "required" };
    AUTO(mem_free) char *key = key_of(field);
    const char *equals = strchr(field, '=');
    if (strcmp(key, "required") == 0 && equals == NULL) {
        d->required = true;
    } else if (strcmp(key, "required") == 0) {
        return parse_bool(key, equals + 1, &d->required, err);
    } else if (strcmp(key, "name") == 0 && equals != NULL) {
        if (d->name != NULL)
            return err_set(err, ERR_USAGE, "device name already set to %s", d->name);
        d->name = str_dup(equals + 1);
    } else if (d->name == NULL) {
        d->name = str_dup(field);
    } else if (equals == NULL) {
        return err_set(err, ERR_USAGE, "invalid field '%s' must be a key=value pair", field);
    } else {
        err_set(err, ERR_USAGE, "unexpected key '%s' in '%s'", key, field);
        suggest_add(err, key, keys, ARRAY_LEN(keys), false);
        return err->code;
    }
    return 0;
}

void instr_mount_froms(const struct instr *i, char escape, struct strv *ret)
{
    struct env_lookup none = env_lookup_none();
    for (size_t k = 0; i->kind == INSTR_RUN && k < i->run.mount_specs.n; k++) {
        struct err ignored = ERR_INIT;
        AUTO(run_mount_release) struct run_mount m = { .from = NULL };
        if (run_mount_parse(i->run.mount_specs.v[k], &none, escape, NULL, &m, &ignored) == 0 &&
            m.from != NULL)
            strv_add(ret, m.from);
    }
}

int run_device_parse(const char *spec, struct run_device *ret, struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    AUTO(run_device_release) struct run_device d = { .name = NULL };
    if (csv_fields(spec, "devices", &fields, err) < 0)
        return err->code;
    for (size_t i = 0; i < fields.n; i++) {
        if (read_device_field(&d, fields.v[i], err) < 0)
            return err->code;
    }
    if (d.name == NULL)
        d.name = str_dup("");
    *ret = d;
    d = (struct run_device){ .name = NULL };
    return 0;
}
