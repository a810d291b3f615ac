#include "dockerfile/ast_internal.h"
#include "dockerfile/runes_internal.h"
#include <string.h>

/* One pass over an instruction's rest that collects words with their quotes. */
struct words {
    const char *p;
    size_t n;
    char escape;
    struct buf word;
    bool blank_ok; /* a quote was seen: an empty word counts too */
    struct strv *ret;
};

static uint32_t peek(const struct words *w)
{
    uint32_t r;
    rune_get(w->p, w->n, &r);
    return r;
}

static void take(struct words *w)
{
    uint32_t r;
    size_t width = rune_get(w->p, w->n, &r);
    rune_put(&w->word, r);
    w->p += width;
    w->n -= width;
}

static void end_word(struct words *w)
{
    if (w->blank_ok || w->word.len > 0)
        strv_add(w->ret, buf_str(&w->word));
    buf_clear(&w->word);
    w->blank_ok = false;
}

/* An escape character and what it protects; alone at the end it is dropped. */
static void take_escaped(struct words *w)
{
    if (w->n == 1) {
        w->p++;
        w->n--;
        return;
    }
    take(w);
    take(w);
}

static void take_quoted(struct words *w)
{
    char quote = *w->p;
    w->blank_ok = true;
    take(w);
    while (w->n > 0) {
        char c = *w->p;
        if (c == w->escape && quote != '\'') {
            take_escaped(w);
            continue;
        }
        take(w);
        if (c == quote)
            return;
    }
}

void ast_quoted_words(const char *rest, char escape, struct strv *ret)
{
    struct words w = { .p = rest, .n = strlen(rest), .escape = escape, .ret = ret };
    while (w.n > 0) {
        uint32_t r = peek(&w);
        if (rune_is_space(r)) {
            end_word(&w);
            size_t width = rune_get(w.p, w.n, &r);
            w.p += width;
            w.n -= width;
        } else if (r == '\'' || r == '"') {
            take_quoted(&w);
        } else if (r == (uint32_t)w.escape) {
            take_escaped(&w);
        } else {
            take(&w);
        }
    }
    end_word(&w);
    buf_release(&w.word);
}

void ast_plain_words(const char *rest, struct strv *ret)
{
    if (*rest == '\0')
        return;
    for (;;) {
        size_t n = strcspn(rest, AST_BLANKS);
        strv_addn(ret, rest, n);
        rest += n;
        if (*rest == '\0')
            return;
        rest += strspn(rest, AST_BLANKS);
    }
}

/* One word of flags: quotes are dropped, a backslash protects. Returns its end. */
static const char *flag_word(const char *p, struct buf *word, bool *blank_ok)
{
    char quote = '\0';
    for (; *p != '\0'; p++) {
        if (quote == '\0' && rune_is_space((unsigned char)*p & 0x80 ? 'x' : (uint32_t)*p))
            break;
        if (*p == quote) {
            quote = '\0';
        } else if (quote == '\0' && (*p == '\'' || *p == '"')) {
            quote = *p;
            *blank_ok = true;
        } else if (*p == '\\' && p[1] == '\0') {
            quote = '\0';
        } else {
            if (*p == '\\')
                p++;
            buf_addc(word, *p);
        }
    }
    return p;
}

const char *ast_take_flags(const char *rest, struct strv *flags)
{
    AUTO(buf_release) struct buf word = BUF_INIT;
    for (;;) {
        size_t n;
        bool blank_ok = false;
        rest = text_trim_left(rest, strlen(rest), &n);
        if (rest[0] != '-' || rest[1] != '-')
            return rest;
        buf_clear(&word);
        rest = flag_word(rest, &word, &blank_ok);
        if (strcmp(buf_str(&word), "--") == 0)
            return rest;
        if (blank_ok || word.len > 0)
            strv_add(flags, buf_str(&word));
    }
}
