#include "dockerfile/expand_pattern_internal.h"
#include "dockerfile/runes_internal.h"
#include <stdint.h>
#include <string.h>

enum token_kind { TOKEN_TEXT, TOKEN_ONE, TOKEN_MANY };

struct token {
    enum token_kind kind;
    struct buf text;
};

struct pattern {
    struct token *tokens;
    size_t n, cap;
};

static void pattern_release(struct pattern *p)
{
    for (size_t i = 0; i < p->n; i++)
        buf_release(&p->tokens[i].text);
    mem_free(p->tokens);
}
DEFINE_AUTO_VALUE(struct pattern, pattern_release);

static void add_token(struct pattern *p, enum token_kind kind)
{
    MEM_ROOM(p->tokens, p->n, p->cap);
    p->tokens[p->n++] = (struct token){ .kind = kind };
}

static void add_text(struct pattern *p, const char *s, size_t n)
{
    if (p->n == 0 || p->tokens[p->n - 1].kind != TOKEN_TEXT)
        add_token(p, TOKEN_TEXT);
    buf_add(&p->tokens[p->n - 1].text, s, n);
}

/* c: what stands after the escape character. */
static int bad_escape(const char *pattern, const char *c, struct err *err)
{
    size_t n = *c != '\0';
    while (n > 0 && ((unsigned char)c[n] & 0xC0) == 0x80)
        n++;
    err_set(err, ERR_USAGE, "invalid escape");
    if (n > 0)
        err_set(err, ERR_USAGE, "invalid escape '\\%.*s'", (int)n, c);
    return err_wrap(err, "invalid pattern (%s) in substitution", pattern);
}

static int compile(const char *pattern, struct pattern *ret, struct err *err)
{
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '*' || *c == '?') {
            bool many = *c == '*';
            if (!many || ret->n == 0 || ret->tokens[ret->n - 1].kind != TOKEN_MANY)
                add_token(ret, many ? TOKEN_MANY : TOKEN_ONE);
            continue;
        }
        if (*c == '\\') {
            c++;
            if (*c == '\0' || strchr("*?\\}/", *c) == NULL)
                return bad_escape(pattern, c, err);
        }
        add_text(ret, c, 1);
    }
    return 0;
}

/* can[i][j]: the tokens from i on match some run of value that begins at j. */
struct table {
    const struct pattern *p;
    const char *value;
    size_t n;
    uint8_t *can;
};

static void table_release(struct table *t)
{
    mem_free(t->can);
}
DEFINE_AUTO_VALUE(struct table, table_release);

static bool can(const struct table *t, size_t i, size_t j)
{
    return t->can[i * (t->n + 1) + j] != 0;
}

/* The width of the character at j that a wildcard takes, 0 for none. */
static size_t wild_width(const struct table *t, size_t j)
{
    uint32_t r;
    if (j >= t->n || t->value[j] == '\n')
        return 0;
    return rune_get(t->value + j, t->n - j, &r);
}

static bool has_text(const struct table *t, const struct buf *text, size_t j)
{
    return text->len <= t->n - j && memcmp(t->value + j, text->data, text->len) == 0;
}

static bool compute(const struct table *t, size_t i, size_t j)
{
    const struct token *token = &t->p->tokens[i];
    size_t width;
    switch (token->kind) {
    case TOKEN_TEXT:
        return has_text(t, &token->text, j) && can(t, i + 1, j + token->text.len);
    case TOKEN_ONE:
        width = wild_width(t, j);
        return width > 0 && can(t, i + 1, j + width);
    case TOKEN_MANY:
        width = wild_width(t, j);
        return can(t, i + 1, j) || (width > 0 && can(t, i, j + width));
    }
    return false;
}

static int fill(struct table *t, size_t *work, struct err *err)
{
    size_t cells = (t->p->n + 1) * (t->n + 1);
    if (cells / (t->n + 1) != t->p->n + 1 || cells > *work)
        return err_set(err, ERR_USAGE, "pattern in substitution takes too many steps");
    *work -= cells;
    t->can = mem_alloc(cells);
    memset(t->can + t->p->n * (t->n + 1), 1, t->n + 1);
    for (size_t i = t->p->n; i-- > 0;) {
        for (size_t j = t->n + 1; j-- > 0;)
            t->can[i * (t->n + 1) + j] = compute(t, i, j);
    }
    return 0;
}

/* Where the match that begins at j ends; each '*' takes as much (or as little) as it can. */
static size_t match_end(const struct table *t, size_t j, bool longest)
{
    size_t i = 0;
    while (i < t->p->n) {
        const struct token *token = &t->p->tokens[i];
        size_t width = token->kind == TOKEN_TEXT ? token->text.len : wild_width(t, j);
        if (token->kind == TOKEN_MANY) {
            bool can_take = width > 0 && can(t, i, j + width);
            if (can_take && (longest || !can(t, i + 1, j))) {
                j += width;
                continue;
            }
            width = 0;
        }
        j += width;
        i++;
    }
    return j;
}

static int check_size(const struct buf *out, struct err *err)
{
    if (out->len > 1 << 20)
        return err_set(err, ERR_USAGE, "expanded value is larger than 1 MiB");
    return 0;
}

int pattern_trim_prefix(const char *pattern, const char *value, bool longest, size_t *work,
                        struct buf *out, struct err *err)
{
    AUTO(pattern_release) struct pattern p = { .n = 0 };
    AUTO(table_release) struct table t = { .p = &p, .value = value, .n = strlen(value) };
    if (compile(pattern, &p, err) < 0 || fill(&t, work, err) < 0)
        return err->code;
    size_t skip = can(&t, 0, 0) ? match_end(&t, 0, longest) : 0;
    buf_add(out, value + skip, t.n - skip);
    return 0;
}

/* s from its end to its start; escapes: a backslash stays in front of what it protects. */
static char *reversed(const char *s, bool escapes)
{
    size_t n = strlen(s), at = n;
    char *copy = mem_alloc(n + 1);
    copy[n] = '\0';
    for (size_t i = 0; i < n;) {
        uint32_t r;
        size_t width = rune_get(s + i, n - i, &r);
        size_t lead = escapes && s[i] == '\\' && i + 1 < n;
        if (lead)
            width = 1 + rune_get(s + i + 1, n - i - 1, &r);
        at -= width;
        memcpy(copy + at, s + i, width);
        i += width;
    }
    return copy;
}

int pattern_trim_suffix(const char *pattern, const char *value, bool longest, size_t *work,
                        struct buf *out, struct err *err)
{
    AUTO(buf_release) struct buf rest = BUF_INIT;
    AUTO(mem_free) char *back_pattern = reversed(pattern, true);
    AUTO(mem_free) char *back_value = reversed(value, false);
    if (pattern_trim_prefix(back_pattern, back_value, longest, work, &rest, err) < 0)
        return err->code;
    buf_add(out, value, rest.len); /* what is left is as long, whichever way it is read */
    return 0;
}

/* The name behind '$' and the end of the reference; NULL when there is no reference. */
static const char *reference_end(const char *s, const char **ret_name, size_t *ret_n)
{
    bool brace = *s == '{';
    const char *name = s + brace, *p = name;
    uint32_t r;
    while (*p != '\0') {
        size_t width = rune_get(p, strnlen(p, 4), &r);
        if (r != '_' && !rune_is_letter(r) && !rune_is_digit(r))
            break;
        p += width;
    }
    if (p == name || (brace && *p != '}'))
        return NULL;
    *ret_name = name;
    *ret_n = (size_t)(p - name);
    return p + brace;
}

static void add_replacement(struct buf *out, const char *s, const char *match, size_t match_len)
{
    while (*s != '\0') {
        const char *name;
        size_t n = strcspn(s, "$"), name_len;
        buf_add(out, s, n);
        s += n;
        if (*s == '\0')
            return;
        s++;
        const char *end = *s == '$' ? s + 1 : reference_end(s, &name, &name_len);
        if (end == NULL || *s == '$')
            buf_addc(out, '$');
        else if (strspn(name, "0") >= name_len)
            buf_add(out, match, match_len);
        if (end != NULL)
            s = end;
    }
}

static int replace_all(const struct table *t, const char *replacement, struct buf *out,
                       struct err *err)
{
    size_t done = 0, from = 0;
    while (from <= t->n) {
        uint32_t r;
        size_t j = from;
        while (j <= t->n && !can(t, 0, j))
            j++;
        if (j > t->n)
            break;
        size_t end = match_end(t, j, true);
        buf_add(out, t->value + done, j - done);
        if (end > done || j == 0)
            add_replacement(out, replacement, t->value + j, end - j);
        if (check_size(out, err) < 0)
            return err->code;
        done = end;
        size_t width = from < t->n ? rune_get(t->value + from, t->n - from, &r) : 1;
        from = from + width > end ? from + width : end;
    }
    buf_add(out, t->value + done, t->n - done);
    return check_size(out, err);
}

static int replace_first(const struct table *t, const char *replacement, struct buf *out,
                         struct err *err)
{
    size_t j = 0;
    while (j <= t->n && !can(t, 0, j))
        j++;
    if (j > t->n) {
        buf_add(out, t->value, t->n);
        return 0;
    }
    size_t end = match_end(t, j, true);
    buf_add(out, t->value, j);
    buf_adds(out, replacement);
    buf_add(out, t->value + end, t->n - end);
    return check_size(out, err);
}

int pattern_replace(const char *pattern, const char *value, const char *replacement, bool all,
                    size_t *work, struct buf *out, struct err *err)
{
    AUTO(pattern_release) struct pattern p = { .n = 0 };
    AUTO(table_release) struct table t = { .p = &p, .value = value, .n = strlen(value) };
    if (compile(pattern, &p, err) < 0 || fill(&t, work, err) < 0)
        return err->code;
    return (all ? replace_all : replace_first)(&t, replacement, out, err);
}
