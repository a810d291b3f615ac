#include "dockerfile/expand.h"
#include "dockerfile/expand_pattern_internal.h"
#include "dockerfile/runes_internal.h"
#include "base/map.h"
#include <stdint.h>
#include <string.h>

#define MAX_DEPTH 100
#define MAX_WORK ((size_t)16 << 20) /* table cells of all patterns of one word */
#define QUOTED_IN_ERROR 200

#define END UINT32_MAX /* peek at the end of the word */

/* Words being collected; white space of values and of unquoted text splits them. */
struct splitter {
    struct buf word;
    bool in_word;
    struct strv *words;
};

struct lexer {
    const char *p;
    size_t n;
    const struct env_lookup *env;
    const struct expand_options *options;
    bool raw_escapes;
    int depth;
    size_t work;
    struct map *matched, *unmatched;
};

static const char *get_from_strv(const void *arg, const char *name)
{
    const struct strv *env = arg;
    for (size_t i = env->n; i-- > 0;) {
        const char *s = env->v[i];
        size_t n = 0;
        while (name[n] != '\0' && s[n] == name[n])
            n++;
        if (name[n] == '\0' && (s[n] == '=' || s[n] == '\0'))
            return s[n] == '=' ? s + n + 1 : "";
    }
    return NULL;
}

static const char *get_nothing(const void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NULL;
}

struct env_lookup env_lookup_strv(const struct strv *env)
{
    return (struct env_lookup){ .get = get_from_strv, .arg = env };
}

struct env_lookup env_lookup_none(void)
{
    return (struct env_lookup){ .get = get_nothing };
}

void expand_result_release(struct expand_result *r)
{
    mem_free(r->word);
    strv_release(&r->words);
    strv_release(&r->matched);
    strv_release(&r->unmatched);
    *r = (struct expand_result)EXPAND_RESULT_INIT;
}

static uint32_t peek(const struct lexer *lx)
{
    uint32_t r;
    if (lx->n == 0)
        return END;
    rune_get(lx->p, lx->n, &r);
    return r;
}

static uint32_t next(struct lexer *lx)
{
    uint32_t r;
    if (lx->n == 0)
        return END;
    size_t width = rune_get(lx->p, lx->n, &r);
    lx->p += width;
    lx->n -= width;
    return r;
}

static void split_raw(struct splitter *sp, const char *s, size_t n)
{
    if (sp == NULL)
        return;
    buf_add(&sp->word, s, n);
    sp->in_word = true;
}

static void split_end(struct splitter *sp)
{
    if (sp == NULL || sp->word.len == 0)
        return;
    strv_add(sp->words, buf_str(&sp->word));
    buf_clear(&sp->word);
    sp->in_word = false;
}

static void split_text(struct splitter *sp, const char *s, size_t n)
{
    uint32_t r;
    while (sp != NULL && n > 0) {
        size_t width = rune_get(s, n, &r);
        if (!rune_is_space(r))
            split_raw(sp, s, width);
        else if (sp->in_word)
            split_end(sp);
        s += width;
        n -= width;
    }
}

static int too_large(struct err *err)
{
    return err_set(err, ERR_USAGE, "expanded value is larger than 1 MiB");
}

static const char *look_up(struct lexer *lx, const char *name)
{
    const char *value = lx->env->get(lx->env->arg, name);
    map_set(value != NULL ? lx->matched : lx->unmatched, name, lx);
    return value;
}

static int process_until(struct lexer *lx, uint32_t stop, bool raw_escapes, struct buf *out,
                         struct splitter *sp, struct err *err);

/* A name, a number, one of the shell's special characters, or nothing. */
static void read_name(struct lexer *lx, struct buf *name)
{
    uint32_t r = peek(lx);
    if (r < 0x80 && r != '\0' && strchr("@*#?-$!", (int)r) != NULL) {
        rune_put(name, next(lx));
        return;
    }
    bool number = r != END && rune_is_digit(r);
    while ((r = peek(lx)) != END) {
        if (!rune_is_digit(r) && (number || (r != '_' && !rune_is_letter(r))))
            return;
        rune_put(name, next(lx));
    }
}

static int bad_modifier(struct err *err, bool colon, uint32_t op)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (colon)
        buf_addc(&b, ':');
    rune_put(&b, op); /* at the end of the word U+FFFD, as in BuildKit's message */
    return err_set(err, ERR_USAGE, "unsupported modifier (%s) in substitution", buf_str(&b));
}

/* Text up to stop inside ${}; what ends before it lacks the closing character. */
static int process_operand(struct lexer *lx, char stop, bool raw_escapes, struct buf *out,
                           struct err *err)
{
    if (process_until(lx, (uint32_t)stop, raw_escapes, out, NULL, err) == 0)
        return 0;
    if (lx->n > 0)
        return err->code;
    return err_set(err, ERR_USAGE,
                   stop == '/' ? "syntax error: missing '/' in ${}" : "syntax error: missing '}'");
}

/* ${name:?word} and ${name?word} when the test fails. */
static int missing(const char *name, const char *word, bool unset, struct err *err)
{
    if (*word == '\0')
        word = unset ? "is not allowed to be unset" : "is not allowed to be empty";
    return err_set(err, ERR_USAGE, "%s: %s", name, word);
}

static int trim(struct lexer *lx, char op, const char *pattern, const char *value, struct buf *out,
                struct err *err)
{
    bool longest = *pattern == op;
    AUTO(mem_free) char *copy = str_dup(value != NULL ? value : "");
    return (op == '%' ? pattern_trim_suffix : pattern_trim_prefix)(pattern + longest, copy, longest,
                                                                   &lx->work, out, err);
}

/* ${name<op>word} with op one of + - ? # %, colon: ${name:<op>word}. */
static int process_modifier(struct lexer *lx, const char *name, bool colon, uint32_t op,
                            struct buf *out, struct err *err)
{
    AUTO(buf_release) struct buf operand = BUF_INIT;
    bool trims = op == '#' || op == '%';
    if (colon && trims)
        return bad_modifier(err, colon, op);
    if (process_operand(lx, '}', trims, &operand, err) < 0)
        return err->code;
    const char *word = buf_str(&operand), *value = look_up(lx, name);
    if (value == NULL && lx->options->skip_unset) {
        buf_addf(out, "${%s%s", name, colon ? ":" : "");
        if (op != END)
            rune_put(out, op);
        buf_addf(out, "%s}", word);
        return 0;
    }
    bool usable = value != NULL && !(colon && *value == '\0');
    switch (op) {
    case '-':
        buf_adds(out, usable ? value : word);
        return 0;
    case '+':
        buf_adds(out, usable ? word : "");
        return 0;
    case '?':
        if (!usable)
            return missing(name, word, value == NULL, err);
        buf_adds(out, value);
        return 0;
    case '#':
    case '%':
        return trim(lx, (char)op, word, value, out, err);
    default:
        return bad_modifier(err, colon, op);
    }
}

/* ${name/pattern/replacement} and ${name//pattern/replacement}. */
static int process_replace(struct lexer *lx, const char *name, struct buf *out, struct err *err)
{
    AUTO(buf_release) struct buf pattern = BUF_INIT;
    AUTO(buf_release) struct buf replacement = BUF_INIT;
    bool all = peek(lx) == '/';
    if (all)
        next(lx);
    if (process_operand(lx, '/', true, &pattern, err) < 0 ||
        process_operand(lx, '}', true, &replacement, err) < 0)
        return err->code;
    const char *value = look_up(lx, name);
    if (value == NULL && lx->options->skip_unset) {
        buf_addf(out, "${%s/%s/%s}", name, buf_str(&pattern), buf_str(&replacement));
        return 0;
    }
    AUTO(mem_free) char *copy = str_dup(value != NULL ? value : "");
    return pattern_replace(buf_str(&pattern), copy, buf_str(&replacement), all, &lx->work, out,
                           err);
}

/* Behind "${". */
static int process_braces(struct lexer *lx, struct buf *out, struct err *err)
{
    AUTO(buf_release) struct buf name = BUF_INIT;
    uint32_t first = peek(lx);
    if (first == END)
        return err_set(err, ERR_USAGE, "syntax error: missing '}'");
    if (first == '{' || first == '}' || first == ':')
        return err_set(err, ERR_USAGE, "syntax error: bad substitution");
    read_name(lx, &name);
    uint32_t op = next(lx);
    const char *value;
    switch (op) {
    case '}':
        value = look_up(lx, buf_str(&name));
        if (value == NULL && lx->options->skip_unset)
            buf_addf(out, "${%s}", buf_str(&name));
        else
            buf_adds(out, value != NULL ? value : "");
        return 0;
    case ':':
        return process_modifier(lx, buf_str(&name), true, next(lx), out, err);
    case '+':
    case '-':
    case '?':
    case '#':
    case '%':
        return process_modifier(lx, buf_str(&name), false, op, out, err);
    case '/':
        return process_replace(lx, buf_str(&name), out, err);
    default:
        return bad_modifier(err, false, op);
    }
}

/* At '$'. */
static int process_dollar(struct lexer *lx, struct buf *out, struct err *err)
{
    AUTO(buf_release) struct buf name = BUF_INIT;
    next(lx);
    if (peek(lx) == '{') {
        next(lx);
        return process_braces(lx, out, err);
    }
    read_name(lx, &name);
    if (name.len == 0) {
        buf_addc(out, '$');
        return 0;
    }
    const char *value = look_up(lx, buf_str(&name));
    if (value != NULL)
        buf_adds(out, value);
    else if (lx->options->skip_unset)
        buf_addf(out, "$%s", buf_str(&name));
    return 0;
}

static int process_single_quote(struct lexer *lx, struct buf *out, struct err *err)
{
    uint32_t r = next(lx);
    if (lx->options->raw_quotes)
        rune_put(out, r);
    for (;;) {
        r = next(lx);
        if (r == END)
            return err_set(err, ERR_USAGE,
                           "unexpected end of statement while looking for matching single-quote");
        if (r != '\'' || lx->options->raw_quotes)
            rune_put(out, r);
        if (r == '\'')
            return 0;
    }
}

/* Inside double quotes the escape character works before '"', '$' and itself. */
static void process_quoted_escape(struct lexer *lx, struct buf *out)
{
    uint32_t escape = (uint32_t)lx->options->escape, r = peek(lx);
    if (lx->raw_escapes)
        rune_put(out, escape);
    if (r == '"' || r == '$' || r == escape)
        rune_put(out, next(lx));
    else if (r != END)
        rune_put(out, escape);
}

static int process_double_quote(struct lexer *lx, struct buf *out, struct err *err)
{
    uint32_t r = next(lx);
    if (lx->options->raw_quotes)
        rune_put(out, r);
    for (;;) {
        r = peek(lx);
        if (r == END)
            return err_set(err, ERR_USAGE,
                           "unexpected end of statement while looking for matching double-quote");
        if (r == '$') {
            if (process_dollar(lx, out, err) < 0)
                return err->code;
            if (out->len > EXPAND_MAX_BYTES)
                return too_large(err);
            continue;
        }
        next(lx);
        if (r == '"') {
            if (lx->options->raw_quotes)
                rune_put(out, r);
            return 0;
        }
        if (r == (uint32_t)lx->options->escape)
            process_quoted_escape(lx, out);
        else
            rune_put(out, r);
    }
}

/* "<<" and "<<-" take the blanks behind them into their word, so that "<< EOF" is one. */
static void process_less(struct lexer *lx, struct buf *out)
{
    rune_put(out, next(lx));
    if (peek(lx) != '<')
        return;
    rune_put(out, next(lx));
    if (peek(lx) == '-')
        rune_put(out, next(lx));
    while (peek(lx) != END && rune_is_space(peek(lx)))
        rune_put(out, next(lx));
}

/* One plain character, or an escaped one. False: an escape character was the last. */
static bool process_char(struct lexer *lx, struct buf *out, struct splitter *sp)
{
    size_t before = out->len;
    uint32_t r = next(lx);
    if (r != (uint32_t)lx->options->escape) {
        rune_put(out, r);
        split_text(sp, out->data + before, out->len - before);
        return true;
    }
    if (lx->raw_escapes)
        rune_put(out, r);
    r = next(lx);
    if (r != END)
        rune_put(out, r);
    if (out->len > before)
        split_raw(sp, out->data + before, out->len - before);
    return r != END;
}

/* Something that a special character begins; its text goes to out and to the words. */
static int process_special(struct lexer *lx, uint32_t r, struct buf *out, struct splitter *sp,
                           struct err *err)
{
    AUTO(buf_release) struct buf piece = BUF_INIT;
    int rc = 0;
    if (r == '$')
        rc = process_dollar(lx, &piece, err);
    else if (r == '<')
        process_less(lx, &piece);
    else
        rc = (r == '"' ? process_double_quote : process_single_quote)(lx, &piece, err);
    if (rc < 0)
        return rc;
    if (out->len + piece.len > EXPAND_MAX_BYTES)
        return too_large(err);
    buf_add(out, buf_str(&piece), piece.len);
    if (r == '$')
        split_text(sp, buf_str(&piece), piece.len);
    else
        split_raw(sp, buf_str(&piece), piece.len);
    return 0;
}

static bool is_special(const struct lexer *lx, uint32_t r)
{
    return r == '$' || r == '<' || (!lx->options->skip_quotes && (r == '"' || r == '\''));
}

static int process_plain_until(struct lexer *lx, uint32_t stop, struct buf *out,
                               struct splitter *sp, struct err *err)
{
    while (lx->n > 0) {
        uint32_t r = peek(lx);
        if (r == stop) {
            next(lx);
            split_end(sp);
            return 0;
        }
        if (is_special(lx, r)) {
            if (process_special(lx, r, out, sp, err) < 0)
                return err->code;
        } else if (!process_char(lx, out, sp)) {
            break;
        }
        if (out->len > EXPAND_MAX_BYTES)
            return too_large(err);
    }
    if (stop != END)
        return err_set(err, ERR_USAGE, "unexpected end of statement while looking for matching %c",
                       (char)stop);
    split_end(sp);
    return 0;
}

/* Everything up to stop (taken, not copied), or up to the end for END. */
static int process_until(struct lexer *lx, uint32_t stop, bool raw_escapes, struct buf *out,
                         struct splitter *sp, struct err *err)
{
    bool outer = lx->raw_escapes;
    if (lx->depth >= MAX_DEPTH)
        return err_set(err, ERR_USAGE, "substitutions are nested too deeply");
    lx->depth++;
    lx->raw_escapes = raw_escapes;
    int rc = process_plain_until(lx, stop, out, sp, err);
    lx->raw_escapes = outer;
    lx->depth--;
    return rc;
}

static void names_to_strv(const struct map *names, struct strv *ret)
{
    const char *name;
    strv_clear(ret);
    for (size_t i = 0; map_next(names, &i, &name, &(void *){ NULL });)
        strv_add(ret, name);
    strv_sort(ret);
}

static int failed(const char *word, struct err *err)
{
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, word);
    return err_wrap(err, "failed to process %.*s%s", QUOTED_IN_ERROR, buf_str(&quoted),
                    quoted.len > QUOTED_IN_ERROR ? "..." : "");
}

int expand(const char *word, const struct env_lookup *env, const struct expand_options *options,
           struct expand_result *ret, struct err *err)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(strv_release) struct strv words = STRV_INIT;
    AUTO(map_free) struct map *matched = map_new(NULL);
    AUTO(map_free) struct map *unmatched = map_new(NULL);
    struct splitter sp = { .words = &words };
    struct lexer lx = { .p = word,
                        .n = strlen(word),
                        .env = env,
                        .options = options,
                        .work = MAX_WORK,
                        .matched = matched,
                        .unmatched = unmatched };
    if (strncmp(word, "\xEF\xBB\xBF", 3) == 0) { /* Go's scanner drops a byte order mark */
        lx.p += 3;
        lx.n -= 3;
    }
    int rc = process_until(&lx, END, options->raw_escapes, &out, &sp, err);
    buf_release(&sp.word);
    names_to_strv(matched, &ret->matched);
    names_to_strv(unmatched, &ret->unmatched);
    if (rc < 0)
        return failed(word, err);
    mem_free(ret->word);
    ret->word = buf_take(&out);
    strv_copy(&ret->words, &words);
    return 0;
}

static void add_names(struct strv *dst, const struct strv *names)
{
    if (dst == NULL || names->n == 0)
        return;
    AUTO(map_free) struct map *there = map_new(NULL);
    for (size_t i = 0; i < dst->n; i++)
        map_set(there, dst->v[i], dst);
    for (size_t i = 0; i < names->n; i++) { /* each once among themselves */
        if (!map_has(there, names->v[i]))
            strv_add(dst, names->v[i]);
    }
}

static char *expand_with(const char *word, const struct env_lookup *env,
                         const struct expand_options *options, struct strv *unmatched,
                         struct err *err)
{
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    int rc = expand(word, env, options, &r, err);
    add_names(unmatched, &r.unmatched);
    return rc < 0 ? NULL : TAKE(r.word);
}

char *expand_word(const char *word, const struct env_lookup *env, char escape,
                  struct strv *unmatched, struct err *err)
{
    struct expand_options options = { .escape = escape };
    return expand_with(word, env, &options, unmatched, err);
}

int expand_words(const char *word, const struct env_lookup *env, char escape,
                 struct strv *unmatched, struct strv *ret, struct err *err)
{
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct expand_options options = { .escape = escape };
    int rc = expand(word, env, &options, &r, err);
    add_names(unmatched, &r.unmatched);
    if (rc == 0)
        strv_append(ret, &r.words);
    return rc;
}

char *expand_heredoc(const char *body, const struct env_lookup *env, struct strv *unmatched,
                     struct err *err)
{
    struct expand_options options = { .escape = '\\', .skip_quotes = true };
    return expand_with(body, env, &options, unmatched, err);
}
