#include "dockerfile/ast.h"
#include "dockerfile/expand.h"
#include "dockerfile/runes_internal.h"
#include <stdlib.h>
#include <string.h>

void ast_heredoc_release(struct ast_heredoc *h)
{
    mem_free(h->name);
    mem_free(h->body);
    *h = (struct ast_heredoc){ .name = NULL };
}

/* The part behind "[fd]<<[-] ", or NULL when word does not have that form. */
static const char *split_marker(const char *word, struct ast_heredoc *h)
{
    const char *p = word + strspn(word, "0123456789");
    if (p[0] != '<' || p[1] != '<')
        return NULL;
    unsigned long fd = strtoul(word, NULL, 10);
    h->fd = p == word ? 0 : fd > 0x7FFFFFFF ? 0x7FFFFFFF : (unsigned)fd;
    p += 2;
    h->chomp = *p == '-';
    p += h->chomp;
    p += strspn(p, "\t\n\f\r ");
    return *p == '\0' || strchr(p, '<') != NULL ? NULL : p;
}

static size_t count_quotes(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += *s == '\'' || *s == '"';
    return n;
}

int ast_heredoc_word(const char *word, struct ast_heredoc *ret, struct err *err)
{
    struct ast_heredoc h = { .name = NULL };
    const char *rest = split_marker(word, &h);
    if (rest == NULL)
        return 0;
    AUTO(expand_result_release) struct expand_result plain = EXPAND_RESULT_INIT;
    AUTO(expand_result_release) struct expand_result raw = EXPAND_RESULT_INIT;
    struct env_lookup none = env_lookup_none();
    struct expand_options options = { .escape = '\\', .skip_unset = true };
    if (expand(rest, &none, &options, &plain, err) < 0)
        return err->code;
    if (plain.words.n != 1)
        return 0;
    options.raw_quotes = true;
    if (expand(rest, &none, &options, &raw, err) < 0)
        return err->code;
    if (raw.words.n != 1)
        return err_set(err, ERR_USAGE,
                       "internal lexing of heredoc produced inconsistent results: %s", rest);
    /* A quote that did quote is in one of the two only; an escaped one is in both. */
    h.expand = count_quotes(plain.words.v[0]) == count_quotes(raw.words.v[0]);
    h.name = str_dup(plain.words.v[0]);
    *ret = h;
    return 1;
}

char *ast_chomp(const char *body)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    while (*body != '\0') {
        body += strspn(body, "\t");
        size_t n = strcspn(body, "\n");
        n += body[n] == '\n';
        buf_add(&b, body, n);
        body += n;
    }
    return buf_take(&b);
}
