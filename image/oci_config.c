#include "image/oci.h"
#include "image/oci_internal.h"

#include "base/mem.h"
#include <string.h>

#define LAYERS_MAX 10000u
#define HISTORY_MAX 20000u

static const char what[] = "image configuration";

/* The value of a map that is a set. */
static char present[] = "";

static int bad(struct err *err, const char *key, const char *why)
{
    return err_set(err, ERR_CORRUPT, "%s: '%s' %s", what, key, why);
}

/* ---- The value ---- */

static void config_empty(struct image_config *c)
{
    memset(c, 0, sizeof(*c));
    c->labels = map_new(mem_free);
    c->volumes = map_new(NULL);
    c->ports = map_new(NULL);
}

void image_config_init(struct image_config *c)
{
    config_empty(c);
    c->platform = platform_host();
}

static void history_release(struct history *h)
{
    mem_free(h->created);
    mem_free(h->created_by);
    mem_free(h->comment);
    mem_free(h->author);
}

void image_config_release(struct image_config *c)
{
    struct strv *lists[] = { &c->env,   &c->entrypoint, &c->cmd,
                             &c->shell, &c->onbuild,    &c->healthcheck.test };
    char *strings[] = { c->created, c->author, c->user, c->workdir, c->stop_signal };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        strv_release(lists[i]);
    for (size_t i = 0; i < ARRAY_LEN(strings); i++)
        mem_free(strings[i]);
    map_free(c->labels);
    map_free(c->volumes);
    map_free(c->ports);
    for (size_t i = 0; i < c->n_history; i++)
        history_release(&c->history[i]);
    mem_free(c->history);
    mem_free(c->layers);
    json_decref(c->extra);
    memset(c, 0, sizeof(*c));
}

static void copy_map(struct map *dst, const struct map *src, bool own_values)
{
    const char *key;
    void *value;
    for (size_t i = 0; src && map_next(src, &i, &key, &value);)
        map_set(dst, key, own_values ? (void *)str_dup(value) : present);
}

static void copy_lists(struct image_config *dst, const struct image_config *src)
{
    strv_copy(&dst->env, &src->env);
    strv_copy(&dst->entrypoint, &src->entrypoint);
    strv_copy(&dst->cmd, &src->cmd);
    strv_copy(&dst->shell, &src->shell);
    strv_copy(&dst->onbuild, &src->onbuild);
    copy_map(dst->labels, src->labels, true);
    copy_map(dst->volumes, src->volumes, false);
    copy_map(dst->ports, src->ports, false);
}

static struct history *history_new(struct image_config *c)
{
    c->history = mem_grow(c->history, c->n_history + 1, sizeof(*c->history));
    c->history[c->n_history] = (struct history){ .created = NULL };
    return &c->history[c->n_history++];
}

void image_config_copy(struct image_config *dst, const struct image_config *src)
{
    struct image_config c;
    config_empty(&c);
    c.platform = src->platform;
    c.created = str_dup(src->created);
    c.author = str_dup(src->author);
    c.user = str_dup(src->user);
    c.workdir = str_dup(src->workdir);
    c.stop_signal = str_dup(src->stop_signal);
    c.has_entrypoint = src->has_entrypoint;
    c.has_cmd = src->has_cmd;
    c.args_escaped = src->args_escaped;
    copy_lists(&c, src);
    c.has_healthcheck = src->has_healthcheck;
    c.healthcheck = src->healthcheck;
    c.healthcheck.test = (struct strv)STRV_INIT;
    strv_copy(&c.healthcheck.test, &src->healthcheck.test);
    for (size_t i = 0; i < src->n_layers; i++)
        image_config_add_layer(&c, &src->layers[i]);
    for (size_t i = 0; i < src->n_history; i++) {
        const struct history *from = &src->history[i];
        *history_new(&c) = (struct history){ .created = str_dup(from->created),
                                             .created_by = str_dup(from->created_by),
                                             .comment = str_dup(from->comment),
                                             .author = str_dup(from->author),
                                             .empty_layer = from->empty_layer };
    }
    c.extra = json_deep_copy(src->extra);
    image_config_release(dst);
    *dst = c;
}

void image_config_add_layer(struct image_config *c, const struct diff_id *id)
{
    struct diff_id copy = *id;
    c->layers = mem_grow(c->layers, c->n_layers + 1, sizeof(*c->layers));
    c->layers[c->n_layers++] = copy;
}

void image_config_add_history(struct image_config *c, const char *created, const char *created_by,
                              const char *comment, bool empty_layer)
{
    struct history *h = history_new(c);
    h->created = str_dup(created);
    h->created_by = str_dup(created_by);
    h->comment = str_dup(comment);
    h->empty_layer = empty_layer;
}

/* ---- The members of "config", in the order of BuildKit's struct ---- */

enum member_kind {
    MEMBER_STRING,
    MEMBER_LIST,
    MEMBER_SET,
    MEMBER_LABELS,
    MEMBER_BOOL,
    MEMBER_HEALTH
};

#define AT(field) offsetof(struct image_config, field)

static const struct member {
    const char *key;
    enum member_kind kind;
    size_t at;
    size_t has; /* of the flag that tells an empty list from none, 0: there is none */
} members[] = {
    { "User", MEMBER_STRING, AT(user), 0 },
    { "ExposedPorts", MEMBER_SET, AT(ports), 0 },
    { "Env", MEMBER_LIST, AT(env), 0 },
    { "Entrypoint", MEMBER_LIST, AT(entrypoint), AT(has_entrypoint) },
    { "Cmd", MEMBER_LIST, AT(cmd), AT(has_cmd) },
    { "Volumes", MEMBER_SET, AT(volumes), 0 },
    { "WorkingDir", MEMBER_STRING, AT(workdir), 0 },
    { "Labels", MEMBER_LABELS, AT(labels), 0 },
    { "StopSignal", MEMBER_STRING, AT(stop_signal), 0 },
    { "ArgsEscaped", MEMBER_BOOL, AT(args_escaped), 0 },
    { "Healthcheck", MEMBER_HEALTH, AT(healthcheck), AT(has_healthcheck) },
    { "OnBuild", MEMBER_LIST, AT(onbuild), 0 },
    { "Shell", MEMBER_LIST, AT(shell), 0 },
};

static void *field(const struct image_config *c, size_t at)
{
    return (char *)(uintptr_t)c + at;
}

/* ---- Reading ---- */

/* NULL stays NULL for what is absent, null or empty. */
static int read_string(const json_t *obj, const char *key, char **ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_string(v))
        return bad(err, key, "is not a string");
    if (json_string_length(v) > 0)
        *ret = str_dup(json_string_value(v));
    return 0;
}

static int read_bool(const json_t *obj, const char *key, bool *ret, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (v && !json_is_null(v) && !json_is_boolean(v))
        return bad(err, key, "is not a boolean");
    *ret = json_is_true(v);
    return 0;
}

static int read_map(json_t *v, const char *key, bool strings, struct map *ret, struct err *err)
{
    const char *name;
    json_t *value;
    if (!json_is_object(v))
        return bad(err, key, "is not an object");
    json_object_foreach(v, name, value)
    {
        if (strings && !json_is_string(value))
            return bad(err, key, "holds something that is not a string");
        map_set(ret, name, strings ? (void *)str_dup(json_string_value(value)) : present);
    }
    return 0;
}

static int read_number(const json_t *obj, const char *key, int64_t max, int64_t *ret,
                       struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return bad(err, key, "is not a number in range");
    *ret = json_integer_value(v);
    return 0;
}

static int read_health(const json_t *v, struct healthcheck *h, struct err *err)
{
    int64_t retries = 0;
    if (!json_is_object(v))
        return bad(err, "Healthcheck", "is not an object");
    if (json_get_strv(v, "Test", &h->test, err) < 0)
        return err_wrap(err, "%s", what);
    if (read_number(v, "Interval", INT64_MAX, &h->interval, err) < 0 ||
        read_number(v, "Timeout", INT64_MAX, &h->timeout, err) < 0 ||
        read_number(v, "StartPeriod", INT64_MAX, &h->start_period, err) < 0 ||
        read_number(v, "StartInterval", INT64_MAX, &h->start_interval, err) < 0 ||
        read_number(v, "Retries", INT32_MAX, &retries, err) < 0)
        return err->code;
    h->retries = (int)retries;
    return 0;
}

static int read_member(const json_t *obj, const struct member *m, struct image_config *c,
                       struct err *err)
{
    json_t *v = json_object_get(obj, m->key);
    void *to = field(c, m->at);
    if (v == NULL || json_is_null(v))
        return 0;
    if (m->has)
        *(bool *)field(c, m->has) = true;
    switch (m->kind) {
    case MEMBER_STRING:
        return read_string(obj, m->key, to, err);
    case MEMBER_LIST:
        return json_get_strv(obj, m->key, to, err) < 0 ? err_wrap(err, "%s", what) : 0;
    case MEMBER_SET:
        return read_map(v, m->key, false, *(struct map **)to, err);
    case MEMBER_LABELS:
        return read_map(v, m->key, true, *(struct map **)to, err);
    case MEMBER_BOOL:
        return read_bool(obj, m->key, to, err);
    case MEMBER_HEALTH:
        return read_health(v, to, err);
    }
    return 0;
}

static bool is_member(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (strcmp(members[i].key, key) == 0)
            return true;
    return false;
}

static int read_members(json_t *obj, struct image_config *c, struct err *err)
{
    const char *names[ARRAY_LEN(members)], *key;
    json_t *value;
    if (obj == NULL || json_is_null(obj))
        return 0;
    if (!json_is_object(obj))
        return bad(err, "config", "is not an object");
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        names[i] = members[i].key;
    if (doc_names(obj, names, ARRAY_LEN(names), what, err) < 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (read_member(obj, &members[i], c, err) < 0)
            return err->code;
    json_object_foreach(obj, key, value)
    {
        if (is_member(key) || json_is_null(value))
            continue;
        c->extra = c->extra ? c->extra : json_object();
        json_object_set(c->extra, key, value);
    }
    return 0;
}

static int read_layers(const json_t *doc, struct image_config *c, struct err *err)
{
    const json_t *rootfs = json_object_get(doc, "rootfs");
    const char *type = json_get_str(rootfs, "type");
    const json_t *ids = json_object_get(rootfs, "diff_ids");
    size_t n = json_array_size(ids);
    if (!json_is_object(rootfs) || type == NULL || strcmp(type, "layers") != 0)
        return bad(err, "rootfs", "is not of layers");
    if (ids && !json_is_null(ids) && !json_is_array(ids))
        return bad(err, "diff_ids", "is not a list");
    if (n > LAYERS_MAX)
        return bad(err, "diff_ids", "is too long");
    for (size_t i = 0; i < n; i++) {
        const char *s = json_string_value(json_array_get(ids, i));
        struct diff_id id;
        if (s == NULL)
            return bad(err, "diff_ids", "holds something that is not a string");
        if (digest_parse(s, &id.d, err) < 0)
            return err_wrap(err, "%s: layer %zu", what, i);
        image_config_add_layer(c, &id);
    }
    return 0;
}

static int read_history(const json_t *doc, struct image_config *c, struct err *err)
{
    const json_t *list = json_object_get(doc, "history");
    if (list && !json_is_null(list) && !json_is_array(list))
        return bad(err, "history", "is not a list");
    if (json_array_size(list) > HISTORY_MAX)
        return bad(err, "history", "is too long");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        struct history *h = history_new(c);
        if (!json_is_object(o))
            return bad(err, "history", "holds something that is not an object");
        if (read_string(o, "created", &h->created, err) < 0 ||
            read_string(o, "created_by", &h->created_by, err) < 0 ||
            read_string(o, "comment", &h->comment, err) < 0 ||
            read_string(o, "author", &h->author, err) < 0 ||
            read_bool(o, "empty_layer", &h->empty_layer, err) < 0)
            return err->code;
    }
    return 0;
}

static int read_platform(const json_t *doc, struct image_config *c, struct err *err)
{
    struct platform host = platform_host();
    if (platform_from_json(doc, &c->platform, err) < 0)
        return err_wrap(err, "%s", what);
    if (c->platform.os[0] == '\0')
        memcpy(c->platform.os, host.os, sizeof(host.os));
    if (c->platform.arch[0] == '\0') {
        memcpy(c->platform.arch, host.arch, sizeof(host.arch));
        memcpy(c->platform.variant, host.variant, sizeof(host.variant));
    }
    return 0;
}

int image_config_parse(const char *p, size_t n, struct image_config *ret, struct err *err)
{
    static const char *const names[] = { "architecture", "author",  "config",
                                         "created",      "history", "os",
                                         "rootfs",       "variant", "os.version" };
    json_auto_t *doc = doc_read(p, n, what, err);
    if (doc == NULL || doc_names(doc, names, ARRAY_LEN(names), what, err) < 0)
        return err->code;
    AUTO(image_config_release) struct image_config c;
    config_empty(&c);
    if (read_platform(doc, &c, err) < 0 || read_string(doc, "created", &c.created, err) < 0 ||
        read_string(doc, "author", &c.author, err) < 0 ||
        read_members(json_object_get(doc, "config"), &c, err) < 0 ||
        read_layers(doc, &c, err) < 0 || read_history(doc, &c, err) < 0)
        return err->code;
    *ret = c;
    memset(&c, 0, sizeof(c));
    return 0;
}

/* ---- Writing ---- */

static void put_string(json_t *obj, const char *key, const char *s)
{
    if (s && *s)
        json_object_set_new(obj, key, json_from_str(s));
}

/* Sorted by key. */
static void put_map(json_t *obj, const char *key, const struct map *m, bool strings)
{
    AUTO(strv_release) struct strv keys = STRV_INIT;
    const char *name;
    void *value;
    for (size_t i = 0; m && map_next(m, &i, &name, &value);)
        strv_add(&keys, name);
    if (keys.n == 0)
        return;
    strv_sort(&keys);
    json_t *o = json_object();
    for (size_t i = 0; i < keys.n; i++) {
        json_auto_t *text = json_from_str(keys.v[i]);
        json_object_set_new(o, json_string_value(text),
                            strings ? json_from_str(map_get(m, keys.v[i])) : json_object());
    }
    json_object_set_new(obj, key, o);
}

static void put_number(json_t *obj, const char *key, int64_t v)
{
    if (v != 0)
        json_object_set_new(obj, key, json_integer(v));
}

static void put_health(json_t *obj, const struct healthcheck *h)
{
    json_t *o = json_object();
    if (h->test.n > 0)
        json_object_set_new(o, "Test", json_from_strv(&h->test));
    put_number(o, "Interval", h->interval);
    put_number(o, "Timeout", h->timeout);
    put_number(o, "StartPeriod", h->start_period);
    put_number(o, "StartInterval", h->start_interval);
    put_number(o, "Retries", h->retries);
    json_object_set_new(obj, "Healthcheck", o);
}

static void put_member(json_t *obj, const struct member *m, const struct image_config *c)
{
    const void *from = field(c, m->at);
    bool has = m->has && *(const bool *)field(c, m->has);
    const struct strv *list = from;
    switch (m->kind) {
    case MEMBER_STRING:
        put_string(obj, m->key, *(char *const *)from);
        break;
    case MEMBER_LIST:
        if (list->n > 0 || has)
            json_object_set_new(obj, m->key, json_from_strv(list));
        break;
    case MEMBER_SET:
        put_map(obj, m->key, *(struct map *const *)from, false);
        break;
    case MEMBER_LABELS:
        put_map(obj, m->key, *(struct map *const *)from, true);
        break;
    case MEMBER_BOOL:
        if (*(const bool *)from)
            json_object_set_new(obj, m->key, json_true());
        break;
    case MEMBER_HEALTH:
        if (has)
            put_health(obj, from);
        break;
    }
}

static json_t *members_json(const struct image_config *c)
{
    json_t *o = json_object();
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        put_member(o, &members[i], c);
    if (c->extra)
        json_object_update_missing(o, c->extra);
    return o;
}

static json_t *history_json(const struct image_config *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->n_history; i++) {
        const struct history *h = &c->history[i];
        json_t *o = json_object();
        put_string(o, "created", h->created);
        put_string(o, "created_by", h->created_by);
        put_string(o, "author", h->author);
        put_string(o, "comment", h->comment);
        if (h->empty_layer)
            json_object_set_new(o, "empty_layer", json_true());
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *rootfs_json(const struct image_config *c)
{
    json_t *o = json_object(), *ids = json_array();
    for (size_t i = 0; i < c->n_layers; i++)
        json_array_append_new(ids, json_string(DIGEST_S(&c->layers[i].d)));
    json_object_set_new(o, "type", json_string("layers"));
    json_object_set_new(o, "diff_ids", ids);
    return o;
}

/* BuildKit puts the top level together in a Go map: the keys are sorted. */
void image_config_write(const struct image_config *c, struct buf *b)
{
    json_auto_t *doc = json_object();
    put_string(doc, "architecture", c->platform.arch);
    put_string(doc, "author", c->author);
    json_object_set_new(doc, "config", members_json(c));
    put_string(doc, "created", c->created);
    if (c->n_history > 0)
        json_object_set_new(doc, "history", history_json(c));
    put_string(doc, "os", c->platform.os);
    put_string(doc, "os.version", c->platform.os_version);
    json_object_set_new(doc, "rootfs", rootfs_json(c));
    put_string(doc, "variant", c->platform.variant);
    json_write(doc, b);
}
