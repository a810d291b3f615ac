/* "# check=" and what it asks for. */
#include "dockerfile/ast.h"
#include "dockerfile/lint_internal.h"
#include "dockerfile/quote.h"
#include "dockerfile/runes_internal.h"
#include <string.h>

void lint_check_release(struct lint_check *c)
{
    strv_release(&c->skip);
    strv_release(&c->experimental);
}

static char *trimmed(const char *s, size_t n)
{
    size_t left;
    const char *p = text_trim(s, n, &left);
    return str_ndup(p, left);
}

/* "all", or names separated by commas. */
static void read_rules(const char *value, bool *ret_all, struct strv *ret)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    *ret_all = strcmp(value, "all") == 0;
    strv_clear(ret);
    if (*ret_all)
        return;
    strv_split(&names, value, ',');
    for (size_t i = 0; i < names.n; i++)
        strv_take(ret, trimmed(names.v[i], strlen(names.v[i])));
}

/* Go's strconv.ParseBool. */
static int read_bool(const char *value, const char *option, bool *ret, struct err *err)
{
    static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
    static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
            *ret = strcmp(value, yes[i]) == 0;
            return 0;
        }
    }
    AUTO(buf_release) struct buf whole = BUF_INIT;
    AUTO(buf_release) struct buf bad = BUF_INIT;
    text_quote(&whole, option);
    text_quote(&bad, value);
    return err_set(err, ERR_USAGE,
                   "failed to parse check option %s: strconv.ParseBool: parsing %s: invalid syntax",
                   buf_str(&whole), buf_str(&bad));
}

static int invalid_option(const char *what, struct err *err)
{
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, what);
    return err_set(err, ERR_USAGE, "invalid check option %s", buf_str(&quoted));
}

static int read_option(const char *option, struct lint_check *ret, struct err *err)
{
    const char *equals = strchr(option, '=');
    if (equals == NULL)
        return invalid_option(option, err);
    AUTO(mem_free) char *key = trimmed(option, (size_t)(equals - option));
    AUTO(mem_free) char *value = trimmed(equals + 1, strlen(equals + 1));
    if (strcmp(key, "skip") == 0)
        read_rules(value, &ret->skip_all, &ret->skip);
    else if (strcmp(key, "experimental") == 0)
        read_rules(value, &ret->experimental_all, &ret->experimental);
    else if (strcmp(key, "error") == 0)
        return read_bool(value, option, &ret->error, err);
    else
        return invalid_option(key, err);
    return 0;
}

int lint_check_parse(const char *text, struct lint_check *ret, struct err *err)
{
    AUTO(mem_free) char *rest = trimmed(text, strlen(text));
    char *p = rest;
    for (int k = 0; *rest != '\0' && p != NULL; k++) {
        char *next = k < 2 ? strchr(p, ';') : NULL; /* a third ';' belongs to the value */
        if (next != NULL)
            *next++ = '\0';
        if (read_option(p, ret, err) < 0)
            return err->code;
        p = next;
    }
    return 0;
}

int lint_check_read(const char *text, size_t n, const struct strv *build_args,
                    struct lint_check *ret, struct err *err)
{
    const char *given = build_args != NULL ? env_get(build_args, LINT_CHECK_ARG) : NULL;
    if (given != NULL) {
        if (lint_check_parse(given, ret, err) < 0)
            return err_wrap(err, "failed to parse build-arg:" LINT_CHECK_ARG);
        return 0;
    }
    AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
    if (!ast_find_directive(text, n, "check", &d))
        return 0;
    if (lint_check_parse(d.value, ret, err) < 0)
        return err_wrap(err, "failed to parse check options");
    return 0;
}

int lint_verdict(const struct lint_check *check, const struct lint_report *r, struct err *err)
{
    AUTO(strv_release) struct strv rules = STRV_INIT;
    if (!check->error || r->n == 0)
        return 0;
    for (size_t i = 0; i < r->n; i++) {
        if (!strv_has(&rules, r->v[i].rule))
            strv_add(&rules, r->v[i].rule);
    }
    AUTO(mem_free) char *names = strv_join(&rules, ", ");
    return err_set(err, ERR_USAGE, "lint violation found for rules: %s", names);
}
