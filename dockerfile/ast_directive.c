#include "dockerfile/ast.h"
#include "dockerfile/ast_directive_internal.h"
#include "dockerfile/runes_internal.h"
#include "base/json.h"
#include <ctype.h>
#include <string.h>

static const char *const known[] = { "syntax", "escape", "check" };

void ast_directive_release(struct ast_directive *d)
{
    mem_free(d->name);
    mem_free(d->value);
    *d = (struct ast_directive){ .name = NULL };
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v');
}

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
    while (i < n && is_blank(s[i]))
        i++;
    return i;
}

bool directive_read(const char *s, size_t n, const char *comment, struct ast_directive *ret)
{
    size_t len = strlen(comment), key, end;
    if (n < len || memcmp(s, comment, len) != 0)
        return false;
    s = text_trim_left(s + len, n - len, &n);
    for (key = 0; key < n && isalnum((unsigned char)s[key]); key++)
        ;
    if (key == 0 || !isalpha((unsigned char)s[0]))
        return false;
    size_t i = skip_blanks(s, n, key);
    if (i >= n || s[i] != '=')
        return false;
    i = skip_blanks(s, n, i + 1);
    for (end = n; end > i && is_blank(s[end - 1]); end--)
        ;
    if (end == i) { /* nothing but blanks: the last one is the value */
        if (!is_blank(s[n - 1]))
            return false;
        i = n - 1;
        end = n;
    }
    for (size_t k = 0; k < ARRAY_LEN(known); k++) {
        if (strlen(known[k]) == key && strncasecmp(known[k], s, key) == 0) {
            *ret = (struct ast_directive){ .name = str_dup(known[k]),
                                           .value = str_ndup(s + i, end - i) };
            return true;
        }
    }
    return false;
}

/* The directive of that name among the comments at the top; its first word is the value. */
static bool find_in_comments(const char *p, size_t n, const char *comment, const char *name,
                             struct ast_directive *ret)
{
    unsigned seen = 0;
    for (int line = 1; n > 0; line++) {
        AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
        const char *newline = memchr(p, '\n', n);
        size_t len = newline != NULL ? (size_t)(newline - p) : n;
        if (!directive_read(p, len, comment, &d))
            return false;
        if (strcmp(d.name, name) == 0) {
            *ret = d;
            ret->line = line;
            d = (struct ast_directive){ .name = NULL };
            return true;
        }
        unsigned bit = d.name[0] == 's' ? 1 : d.name[0] == 'e' ? 2 : 4;
        if ((seen & bit) != 0)
            return false;
        seen |= bit;
        p += len + (newline != NULL);
        n -= len + (newline != NULL);
    }
    return false;
}

static bool find_in_json(const char *p, size_t n, const char *name, struct ast_directive *ret)
{
    struct err err = ERR_INIT;
    size_t rest;
    const char *start = text_trim_left(p, n, &rest);
    if (rest == 0 || *start != '{')
        return false;
    json_t *doc = json_parse(start, rest, "dockerfile", &err);
    const char *value = doc != NULL ? json_get_str(doc, name) : NULL;
    if (value != NULL)
        *ret = (struct ast_directive){ .name = str_dup(name), .value = str_dup(value) };
    json_decref(doc);
    return value != NULL;
}

bool ast_find_directive(const char *text, size_t n, const char *name, struct ast_directive *ret)
{
    int before = 0;
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    if (n >= 2 && memcmp(text, "#!", 2) == 0) {
        const char *newline = memchr(text, '\n', n);
        size_t skip = newline != NULL ? (size_t)(newline - text) + 1 : n;
        text += skip;
        n -= skip;
        before = 1;
    }
    bool any_form = strcmp(name, "syntax") == 0;
    if (find_in_comments(text, n, "#", name, ret) ||
        (any_form && find_in_comments(text, n, "//", name, ret)) ||
        (any_form && find_in_json(text, n, name, ret))) {
        ret->line += before;
        return true;
    }
    return false;
}
