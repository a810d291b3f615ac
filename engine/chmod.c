#include "engine/chmod.h"

#include <stdlib.h>
#include <string.h>

static int parse_octal(const char *text, struct chmod_spec *ret, struct err *err)
{
    char *end;
    unsigned long mode = strtoul(text, &end, 8);
    if (*end != '\0' || mode > 07777)
        return err_set(err, ERR_USAGE,
                       "invalid chmod parameter: '%s'. it should be octal string and between 0 "
                       "and 07777",
                       text);
    ret->octal = true;
    ret->mode = (uint16_t)mode;
    return 0;
}

static const char *parse_who(const char *p, struct chmod_op *ret)
{
    static const char letters[] = "ogua";
    static const uint8_t values[] = { 1, 2, 4, 7 };
    for (const char *at; *p != '\0' && (at = strchr(letters, *p)) != NULL; p++)
        ret->who |= values[at - letters];
    ret->who = ret->who == 0 ? 7 : ret->who;
    return p;
}

static const char *parse_perms(const char *p, struct chmod_op *o)
{
    if (*p == 'u' || *p == 'g' || *p == 'o') {
        o->copy = *p;
        return p + 1;
    }
    for (; *p != '\0' && strchr("rwxXst", *p) != NULL; p++) {
        o->bits |= *p == 'r' ? 4 : *p == 'w' ? 2 : *p == 'x' ? 1 : 0;
        o->exec_if = o->exec_if || *p == 'X';
        o->set_id = o->set_id || *p == 's';
        o->sticky = o->sticky || *p == 't';
    }
    return p;
}

/* "ug+x-w": who once, then operators. NULL: not well formed. */
static const char *parse_clause(const char *p, struct chmod_spec *ret)
{
    struct chmod_op who = { 0 };
    p = parse_who(p, &who);
    if (*p == '\0' || strchr("+-=", *p) == NULL)
        return NULL;
    while (*p != '\0' && strchr("+-=", *p) != NULL) {
        if (ret->n_ops == CHMOD_OPS_MAX)
            return NULL;
        struct chmod_op *o = &ret->ops[ret->n_ops++];
        *o = who;
        o->op = *p;
        p = parse_perms(p + 1, o);
    }
    return p;
}

int chmod_parse(const char *text, struct chmod_spec *ret, struct err *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->set = true;
    if (*text >= '0' && *text <= '9')
        return parse_octal(text, ret, err);
    for (const char *p = text;; p++) {
        p = parse_clause(p, ret);
        if (p == NULL || (*p != '\0' && *p != ','))
            return err_set(err, ERR_USAGE, "invalid chmod parameter: '%s': invalid syntax", text);
        if (*p == '\0')
            return 0;
    }
}

static uint16_t three_of(uint16_t mode, char who)
{
    int shift = who == 'u' ? 6 : who == 'g' ? 3 : 0;
    return (mode >> shift) & 7;
}

/*
 * The finer points are those of BuildKit: X looks at the mode from before all clauses, "=" takes
 * set-ID bits away unless it copies, the sticky bit goes with u and stays at "=".
 */
static uint16_t apply_op(const struct chmod_op *o, uint16_t mode, bool any_exec)
{
    uint16_t three = o->copy ? three_of(mode, o->copy) : o->bits;
    if (o->exec_if && any_exec)
        three |= 1;
    uint16_t bits = 0, all = 0;
    for (int i = 0; i < 3; i++) { /* others, group, user */
        if ((o->who & 1 << i) == 0)
            continue;
        uint16_t id = i == 0 || o->copy ? 0 : i == 1 ? 02000 : 04000;
        bits |= (uint16_t)(three << 3 * i) | (o->set_id ? id : 0);
        all |= (uint16_t)(7 << 3 * i) | id;
    }
    if (o->sticky && (o->who & 4) != 0)
        bits |= 01000;
    if (o->op == '+')
        return mode | bits;
    return o->op == '-' ? mode & (uint16_t)~bits : (mode & (uint16_t)~all) | bits;
}

uint16_t chmod_apply(const struct chmod_spec *c, uint16_t old, bool is_dir)
{
    if (!c->set || c->octal)
        return c->set ? c->mode : old;
    bool any_exec = is_dir || (old & 0111) != 0;
    for (size_t i = 0; i < c->n_ops; i++)
        old = apply_op(&c->ops[i], old, any_exec);
    return old;
}
