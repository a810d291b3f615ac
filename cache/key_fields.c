#include "cache/key_fields.h"

#include "dockerfile/lint.h"
#include "remote/url.h"
#include <string.h>

#define VARIABLES "run.env" /* a list of NAME=VALUE */

void key_fields_release(struct key_fields *f)
{
    mem_free(f->v);
    mem_free(f->text);
    *f = (struct key_fields){ .v = NULL };
}

static void add_line(struct key_fields *f, size_t *cap, char *line)
{
    char *colon = strstr(line, ": ");
    if (colon == NULL)
        return;
    *colon = '\0';
    MEM_ROOM(f->v, f->n, *cap);
    f->v[f->n++] = (struct key_field){ .name = line, .value = colon + 2 };
}

void key_fields_parse(const char *text, size_t n, struct key_fields *ret)
{
    size_t cap = 0;
    ret->text = str_ndup(text, n);
    for (char *line = ret->text, *end; *line != '\0'; line = end) {
        end = line + strcspn(line, "\n");
        if (*end != '\0')
            *end++ = '\0';
        add_line(ret, &cap, line);
    }
}

const char *key_fields_find(const struct key_fields *f, const char *name, size_t i)
{
    for (size_t k = 0; k < f->n; k++)
        if (str_eq(f->v[k].name, name) && i-- == 0)
            return f->v[k].value;
    return NULL;
}

char *key_field_shown(const char *name, const char *value)
{
    if (value == NULL)
        return NULL;
    AUTO(mem_free) char *variable = str_ndup(value, strcspn(value, "="));
    if (str_eq(name, VARIABLES) && lint_names_secret(variable))
        return str_printf("%s=***", variable);
    return url_redact(value);
}

void key_pairs_release(struct key_pairs *p)
{
    mem_free(p->v);
    *p = (struct key_pairs){ .v = NULL };
}

static void add_pair(struct key_pairs *p, const char *name, const char *before, const char *now)
{
    MEM_ROOM(p->v, p->n, p->cap);
    p->v[p->n++] = (struct key_pair){ .name = name, .before = before, .now = now };
}

bool key_pair_same(const struct key_pair *p)
{
    return p->before != NULL && p->now != NULL && str_eq(p->before, p->now);
}

static bool same_variable(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && strncmp(a, b, n) == 0;
}

/* The field of before that stands against now's i-th; before->n: none does. */
static size_t partner(const struct key_fields *before, const bool *taken,
                      const struct key_field *now)
{
    bool by_variable = str_eq(now->name, VARIABLES);
    for (size_t k = 0; k < before->n; k++)
        if (!taken[k] && str_eq(before->v[k].name, now->name) &&
            (!by_variable || same_variable(before->v[k].value, now->value)))
            return k;
    return before->n;
}

static bool is_last_of_name(const struct key_fields *f, size_t i)
{
    for (size_t k = i + 1; k < f->n; k++)
        if (str_eq(f->v[k].name, f->v[i].name))
            return false;
    return true;
}

/* What before has and now has not; name NULL: of any name. */
static void add_rest(const struct key_fields *before, bool *taken, const char *name,
                     struct key_pairs *ret)
{
    for (size_t k = 0; k < before->n; k++) {
        if (taken[k] || (name != NULL && !str_eq(before->v[k].name, name)))
            continue;
        taken[k] = true;
        add_pair(ret, before->v[k].name, before->v[k].value, NULL);
    }
}

void key_fields_compare(const struct key_fields *before, const struct key_fields *now,
                        struct key_pairs *ret)
{
    AUTO(mem_free) bool *taken = mem_calloc(before->n + 1, sizeof(*taken));
    for (size_t i = 0; i < now->n; i++) {
        const struct key_field *f = &now->v[i];
        size_t k = partner(before, taken, f);
        if (k < before->n)
            taken[k] = true;
        add_pair(ret, f->name, k < before->n ? before->v[k].value : NULL, f->value);
        if (is_last_of_name(now, i))
            add_rest(before, taken, f->name, ret);
    }
    add_rest(before, taken, NULL, ret);
}
