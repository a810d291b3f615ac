#include "cmd/option.h"
#include "base/log.h"
#include "dockerfile/suggest.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX 96 /* options of one command that suggestions look at */

struct parse {
    const struct option_spec *specs;
    struct options *o;
    int argc, at;
    char *const *argv;
};

static size_t count(const struct option_spec *specs)
{
    size_t n = 0;
    while (specs != NULL && specs[n].name != NULL)
        n++;
    return n;
}

void options_release(struct options *o)
{
    for (size_t i = 0; o->values != NULL && i < o->n_specs; i++)
        strv_release(&o->values[i].texts);
    mem_free(o->values);
    strv_release(&o->args);
    *o = (struct options){ .specs = NULL };
}

static struct option_value *value_of(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->n_specs; i++) {
        if (str_eq(o->specs[i].name, name))
            return &o->values[i];
    }
    assert(!"an option that no row has");
    return NULL;
}

bool option_given(const struct options *o, const char *name)
{
    return value_of(o, name)->given;
}

bool option_on(const struct options *o, const char *name)
{
    return value_of(o, name)->on;
}

const char *option_str(const struct options *o, const char *name)
{
    const struct option_value *v = value_of(o, name);
    return v->texts.n > 0 ? v->texts.v[v->texts.n - 1] : o->specs[v - o->values].initial;
}

const struct strv *option_list(const struct options *o, const char *name)
{
    return &value_of(o, name)->texts;
}

static int set_value(struct parse *p, const struct option_spec *spec, const char *text,
                     struct err *err)
{
    struct option_value *v = &p->o->values[spec - p->specs];
    v->given = true;
    if (spec->kind == OPTION_FLAG) {
        if (str_to_bool(text, &v->on))
            return 0;
        if (spec->letter != 0)
            return err_set(err, ERR_USAGE,
                           "invalid argument \"%s\" for \"-%c, --%s\" flag: invalid syntax", text,
                           spec->letter, spec->name);
        return err_set(err, ERR_USAGE, "invalid argument \"%s\" for \"--%s\" flag: invalid syntax",
                       text, spec->name);
    }
    strv_add(&v->texts, text);
    return 0;
}

static int unknown_name(const struct parse *p, const char *name, size_t len, struct err *err)
{
    AUTO(mem_free) char *word = str_ndup(name, len);
    const char *names[NAMES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < p->o->n_specs && n < NAMES_MAX; i++) {
        if (p->specs[i].help != NULL)
            names[n++] = p->specs[i].name;
    }
    const char *near = len > 3 ? suggest(word, names, n, false) : NULL;
    if (near != NULL)
        return err_set(err, ERR_USAGE, "unknown flag: --%s (did you mean --%s?)", word, near);
    return err_set(err, ERR_USAGE, "unknown flag: --%s", word);
}

/* "--name", "--name=value", "--name" "value". */
static int parse_long(struct parse *p, const char *arg, struct err *err)
{
    const char *name = arg + 2;
    size_t len = strcspn(name, "=");
    if (len == 0 || name[0] == '-')
        return err_set(err, ERR_USAGE, "bad flag syntax: %s", arg);
    if (str_eq(name, "help")) {
        p->o->help = true;
        return 0;
    }
    const struct option_spec *spec = NULL;
    for (size_t i = 0; i < p->o->n_specs && spec == NULL; i++) {
        if (strlen(p->specs[i].name) == len && memcmp(p->specs[i].name, name, len) == 0)
            spec = &p->specs[i];
    }
    if (spec == NULL)
        return unknown_name(p, name, len, err);
    if (name[len] == '=')
        return set_value(p, spec, name + len + 1, err);
    if (spec->kind == OPTION_FLAG)
        return set_value(p, spec, "true", err);
    if (p->at >= p->argc)
        return err_set(err, ERR_USAGE, "flag needs an argument: --%s", spec->name);
    return set_value(p, spec, p->argv[p->at++], err);
}

/* A bundle: "-it", "-fx", "-f=x", "-q=false". */
static int parse_letters(struct parse *p, const char *arg, struct err *err)
{
    for (const char *s = arg + 1; *s != '\0'; s++) {
        const struct option_spec *spec = NULL;
        for (size_t i = 0; i < p->o->n_specs && spec == NULL; i++) {
            if (p->specs[i].letter == *s)
                spec = &p->specs[i];
        }
        if (spec == NULL && *s == 'h') {
            p->o->help = true;
            return 0;
        }
        if (spec == NULL)
            return err_set(err, ERR_USAGE, "unknown shorthand flag: '%c' in %s", *s, arg);
        if (s[1] == '=')
            return set_value(p, spec, s + 2, err);
        if (spec->kind != OPTION_FLAG) {
            if (s[1] != '\0')
                return set_value(p, spec, s + 1, err);
            if (p->at >= p->argc)
                return err_set(err, ERR_USAGE, "flag needs an argument: '%c' in %s", *s, arg);
            return set_value(p, spec, p->argv[p->at++], err);
        }
        if (set_value(p, spec, "true", err) < 0)
            return err->code;
    }
    return 0;
}

static int parse_all(struct parse *p, bool interspersed, struct err *err)
{
    bool only_args = false;
    while (p->at < p->argc && !p->o->help) {
        const char *arg = p->argv[p->at++];
        if (only_args || arg[0] != '-' || arg[1] == '\0') {
            strv_add(&p->o->args, arg);
            only_args = only_args || !interspersed;
        } else if (str_eq(arg, "--")) {
            only_args = true;
        } else if (arg[1] == '-') {
            if (parse_long(p, arg, err) < 0)
                return err->code;
        } else if (parse_letters(p, arg, err) < 0) {
            return err->code;
        }
    }
    return 0;
}

int options_parse(const struct option_spec *specs, bool interspersed, int argc, char *const *argv,
                  struct options *ret, struct err *err)
{
    AUTO(options_release) struct options o = { .specs = specs, .n_specs = count(specs) };
    o.values = mem_calloc(o.n_specs, sizeof(*o.values));
    for (size_t i = 0; i < o.n_specs; i++)
        o.values[i].on = str_eq(specs[i].initial, "true");
    struct parse p = { .specs = specs, .o = &o, .argc = argc, .argv = argv };
    if (parse_all(&p, interspersed, err) < 0)
        return err->code;
    *ret = o;
    o = (struct options){ .specs = NULL };
    return 0;
}

static bool all_harmless(const struct option_spec *spec, const struct option_value *v)
{
    if (spec->kind == OPTION_FLAG)
        return !v->on;
    AUTO(strv_release) struct strv harmless = STRV_INIT;
    strv_split(&harmless, spec->harmless != NULL ? spec->harmless : "", ' ');
    for (size_t i = 0; i < v->texts.n; i++) {
        if (!strv_has(&harmless, v->texts.v[i]))
            return false;
    }
    return true;
}

int options_check_standing(const struct options *o, struct err *err)
{
    for (size_t i = 0; i < o->n_specs; i++) {
        const struct option_spec *spec = &o->specs[i];
        if (!o->values[i].given || spec->standing == STANDING_OBEYED)
            continue;
        if (spec->standing == STANDING_VOID || all_harmless(spec, &o->values[i])) {
            log_debug("cmd", "flag --%s has no effect", spec->name);
        } else if (spec->standing == STANDING_WARNED) {
            fprintf(
                stderr,
                "WARNING: flag --%s is not supported yet by this version; going on without it\n",
                spec->name);
        } else {
            return err_set(err, ERR_UNSUPPORTED, "flag --%s is not supported yet by this version",
                           spec->name);
        }
    }
    return 0;
}

static const char *value_word(const struct option_spec *spec)
{
    if (spec->kind == OPTION_FLAG)
        return "";
    return spec->value != NULL ? spec->value : spec->kind == OPTION_LIST ? "stringArray" : "string";
}

void options_help(const struct option_spec *specs, struct buf *b)
{
    size_t n_specs = count(specs);
    size_t width = 0;
    for (size_t i = 0; i < n_specs; i++) {
        size_t n = strlen(specs[i].name) + 1 + strlen(value_word(&specs[i]));
        if (specs[i].help != NULL && n > width)
            width = n;
    }
    for (size_t i = 0; i < n_specs; i++) {
        const struct option_spec *s = &specs[i];
        if (s->help == NULL)
            continue;
        if (s->letter != 0)
            buf_addf(b, "  -%c, --", s->letter);
        else
            buf_adds(b, "      --");
        AUTO(mem_free) char *left = str_printf("%s %s", s->name, value_word(s));
        buf_addf(b, "%-*s   %s", (int)width, left, s->help);
        if (s->initial != NULL && s->kind != OPTION_FLAG)
            buf_addf(b, " (default \"%s\")", s->initial);
        if (s->standing == STANDING_WARNED || s->standing == STANDING_REFUSED)
            buf_adds(b, " (not supported yet)");
        buf_addc(b, '\n');
    }
}
