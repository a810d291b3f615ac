#include "cmd/output_spec.h"
#include "cmd/csv.h"
#include "engine/output_options.h"
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

enum dest_rule {
    DEST_NONE,      /* has no dest */
    DEST_ARCHIVE,   /* a file; without one: stdout */
    DEST_FILE,      /* a file, or none */
    DEST_DIRECTORY, /* a directory, never stdout */
};

static const struct output_type {
    const char *name;
    enum dest_rule dest;
    bool pushes, is_image;
} output_types[] = {
    { .name = "image", .is_image = true, .dest = DEST_NONE },
    { .name = "docker", .is_image = true, .dest = DEST_FILE },
    { .name = "oci", .is_image = true, .dest = DEST_ARCHIVE },
    { .name = "tar", .dest = DEST_ARCHIVE },
    { .name = "local", .dest = DEST_DIRECTORY },
    { .name = "registry", .is_image = true, .dest = DEST_NONE, .pushes = true },
    { .name = "cacheonly", .dest = DEST_NONE },
};

static void output_release(struct build_output *o)
{
    mem_free(o->type);
    mem_free(o->dest);
    map_free(o->attrs);
    *o = (struct build_output){ .type = NULL };
}
DEFINE_AUTO_VALUE(struct build_output, output_release);

void output_list_release(struct output_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        output_release(&l->v[i]);
    mem_free(l->v);
    *l = (struct output_list){ .v = NULL };
}

static void replace(char **text, const char *value)
{
    mem_free(*text);
    *text = str_dup(value);
}

static int add_field(struct build_output *o, const char *field, struct err *err)
{
    const char *eq = strchr(field, '=');
    if (eq == NULL)
        return err_set(err, ERR_USAGE, "invalid value %s", field);
    AUTO(mem_free) char *key = str_ndup(field, (size_t)(eq - field));
    for (char *s = key; *s != '\0'; s++)
        *s = (char)tolower((unsigned char)*s);
    const char *name = key + strspn(key, " ");
    if (str_eq(name, "type"))
        replace(&o->type, eq + 1);
    else if (str_eq(name, "dest"))
        replace(&o->dest, eq + 1);
    else
        map_set(o->attrs, name, str_dup(eq + 1));
    return 0;
}

/* The short forms: one bare field that is the whole text and does not name a type. */
static bool short_form(struct build_output *o, const char *text, const struct strv *fields)
{
    if (fields->n != 1 || !str_eq(fields->v[0], text) || str_starts(text, "type="))
        return false;
    replace(&o->type, str_eq(text, "-") ? "tar" : "local");
    replace(&o->dest, text);
    return true;
}

static int check_archive(const struct build_output *o, bool stdout_is_terminal, struct err *err)
{
    struct stat st;
    if (str_eq(o->dest, "-")) {
        if (stdout_is_terminal)
            return err_set(err, ERR_USAGE,
                           "dest file is required for %s exporter. refusing to write to console",
                           o->type);
        return 0;
    }
    const char *as_tar = map_get(o->attrs, "tar");
    if (!str_eq(as_tar, "false") && stat(o->dest, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, ERR_USAGE, "destination file %s is a directory", o->dest);
    return 0;
}

static int check_dest(struct build_output *o, enum dest_rule rule, bool stdout_is_terminal,
                      struct err *err)
{
    if (o->dest != NULL && *o->dest == '\0') {
        mem_free(o->dest);
        o->dest = NULL;
    }
    switch (rule) {
    case DEST_NONE:
        if (o->dest != NULL)
            return err_set(err, ERR_USAGE, "dest is not supported by the %s exporter", o->type);
        return 0;
    case DEST_DIRECTORY:
        if (o->dest == NULL)
            return err_set(err, ERR_USAGE, "dest is required for %s exporter", o->type);
        if (str_eq(o->dest, "-"))
            return err_set(err, ERR_USAGE, "dest cannot be stdout for %s exporter", o->type);
        return 0;
    case DEST_ARCHIVE:
        if (o->dest == NULL)
            replace(&o->dest, "-");
        return check_archive(o, stdout_is_terminal, err);
    case DEST_FILE:
        return o->dest != NULL ? check_archive(o, stdout_is_terminal, err) : 0;
    }
    return 0;
}

static void set_push(struct build_output *o)
{
    map_set(o->attrs, "push", str_dup("true"));
}

/* As buildx does, which leaves push=false as it is. */
static void make_image(struct build_output *o)
{
    replace(&o->type, "image");
    if (!map_has(o->attrs, "push"))
        set_push(o);
}

/* What is true or false must be one of them. */
static int check_flags(const struct build_output *o, struct err *err)
{
    static const char *const names[] = { "push", "push-by-digest", "name-canonical",
                                         "registry.insecure" };
    bool ignored;
    for (size_t i = 0; str_eq(o->type, "image") && i < ARRAY_LEN(names); i++)
        if (output_attr_bool(o, names[i], &ignored, err) < 0)
            return err->code;
    return 0;
}

/* mode=delete would remove what the image does not have: not to be taken for a copy. */
static int check_mode(const struct build_output *o, struct err *err)
{
    const char *mode = map_get(o->attrs, "mode");
    if (!str_eq(o->type, "local") || mode == NULL || *mode == '\0' || str_eq(mode, "copy"))
        return 0;
    return err_set(err, str_eq(mode, "delete") ? ERR_UNSUPPORTED : ERR_USAGE,
                   "mode=%s of the local exporter is not supported by this version of shale", mode);
}

static int check(struct build_output *o, bool stdout_is_terminal, struct err *err)
{
    if (o->type == NULL || *o->type == '\0')
        return err_set(err, ERR_USAGE, "type is required for output");
    for (size_t i = 0; i < ARRAY_LEN(output_types); i++) {
        if (!str_eq(output_types[i].name, o->type))
            continue;
        if (check_dest(o, output_types[i].dest, stdout_is_terminal, err) < 0 ||
            check_mode(o, err) < 0)
            return err->code;
        if (output_types[i].pushes)
            make_image(o);
        return check_flags(o, err);
    }
    return err_set(err, ERR_USAGE, "failed to solve: exporter \"%s\" could not be found", o->type);
}

int output_list_add(struct output_list *l, const char *text, bool stdout_is_terminal,
                    struct err *err)
{
    AUTO(strv_release) struct strv fields = STRV_INIT;
    if (csv_parse(text, &fields, err) < 0)
        return err->code;
    if (fields.n == 0)
        return 0;
    AUTO(output_release) struct build_output o = { .attrs = map_new(mem_free) };
    if (!short_form(&o, text, &fields)) {
        for (size_t i = 0; i < fields.n; i++) {
            if (add_field(&o, fields.v[i], err) < 0)
                return err->code;
        }
    }
    if (check(&o, stdout_is_terminal, err) < 0)
        return err->code;
    MEM_ROOM(l->v, l->n, l->cap);
    l->v[l->n++] = o;
    o = (struct build_output){ .type = NULL };
    return 0;
}

void output_list_push(struct output_list *l)
{
    bool used = false;
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].type, "image")) {
            set_push(&l->v[i]);
            used = true;
        }
    if (used)
        return;
    MEM_ROOM(l->v, l->n, l->cap);
    l->v[l->n] = (struct build_output){ .type = str_dup("image"), .attrs = map_new(mem_free) };
    set_push(&l->v[l->n++]);
}

int output_list_check_names(const struct output_list *l, bool has_tags, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct build_output *o = &l->v[i];
        const char *name = map_get(o->attrs, "name");
        bool push = false;
        if (!str_eq(o->type, "image") || output_attr_bool(o, "push", &push, err) < 0)
            continue;
        if (push && !has_tags && (name == NULL || *name == '\0'))
            return err_set(err, ERR_USAGE, "tag is needed when pushing to registry");
    }
    return 0;
}

int output_list_stdout(const struct output_list *l, bool *ret_any, struct err *err)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += str_eq(l->v[i].dest, "-");
    if (n > 1)
        return err_set(err, ERR_USAGE, "only one output can be written to stdout");
    *ret_any = n > 0;
    return 0;
}

static bool is_image(const struct build_output *o)
{
    for (size_t i = 0; i < ARRAY_LEN(output_types); i++)
        if (str_eq(output_types[i].name, o->type))
            return output_types[i].is_image;
    return false;
}

int output_list_check(const struct output_list *l, const struct build_options *b, struct err *err)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct build_output *o = &l->v[i];
        if (b->iidfile != NULL && (str_eq(o->type, "local") || str_eq(o->type, "tar")))
            return err_set(err, ERR_USAGE,
                           "local and tar exporters are incompatible with image ID file");
        AUTO(output_options_release) struct output_options x;
        output_options_init(&x);
        if (is_image(o) && output_options_parse(&x, o, b, err) < 0)
            return err_wrap(err, "failed to solve");
    }
    return 0;
}
