/*
 * The JSON form of an instruction's arguments. The reader is our own because
 * what is not JSON has to become the shell form silently, with exactly the
 * verdicts of Go's decoder (bad UTF-8 and lone surrogates become U+FFFD, NUL is
 * allowed), which a library does not give.
 */
#include "dockerfile/ast_internal.h"
#include "dockerfile/runes_internal.h"
#include <ctype.h>
#include <string.h>

#define MAX_DEPTH 10000

static const char *skip_blanks(const char *p)
{
    return p + strspn(p, " \t\r\n");
}

static bool is_hex4(const char *p)
{
    for (int i = 0; i < 4; i++) {
        if (!isxdigit((unsigned char)p[i]))
            return false;
    }
    return true;
}

/* Behind the closing quote of the string at p, or NULL. */
static const char *string_end(const char *p)
{
    for (p++; *p != '"'; p++) {
        if ((unsigned char)*p < ' ')
            return NULL;
        if (*p != '\\')
            continue;
        p++;
        if (*p == 'u' && is_hex4(p + 1))
            p += 4;
        else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
            return NULL;
    }
    return p + 1;
}

static const char *digits_end(const char *p)
{
    size_t n = strspn(p, "0123456789");
    return n > 0 ? p + n : NULL;
}

static const char *number_end(const char *p)
{
    if (*p == '-')
        p++;
    p = *p == '0' ? p + 1 : digits_end(p);
    if (p != NULL && *p == '.')
        p = digits_end(p + 1);
    if (p != NULL && (*p == 'e' || *p == 'E')) {
        p++;
        p = digits_end(*p == '+' || *p == '-' ? p + 1 : p);
    }
    return p;
}

static const char *scalar_end(const char *p)
{
    static const char *const words[] = { "true", "false", "null" };
    if (*p == '"')
        return string_end(p);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    }
    return number_end(p);
}

/* Behind "key" and ':', or NULL. */
static const char *key_end(const char *p)
{
    p = skip_blanks(p);
    if (*p != '"' || (p = string_end(p)) == NULL)
        return NULL;
    p = skip_blanks(p);
    return *p == ':' ? p + 1 : NULL;
}

/*
 * Behind a value that has ended: closes what closes, passes a comma. NULL: not
 * JSON. *ret_done: the whole text has ended well.
 */
static const char *after_value(const char *p, struct buf *open, bool *ret_done)
{
    for (;;) {
        p = skip_blanks(p);
        if (open->len == 0) {
            *ret_done = *p == '\0';
            return *ret_done ? p : NULL;
        }
        char kind = open->data[open->len - 1];
        if (*p == ',')
            return kind == '{' ? key_end(p + 1) : p + 1;
        if (*p != (kind == '{' ? '}' : ']'))
            return NULL;
        buf_truncate(open, open->len - 1);
        p++;
    }
}

static bool json_is_valid(const char *p)
{
    AUTO(buf_release) struct buf open = BUF_INIT;
    bool done = false;
    while (!done) {
        p = skip_blanks(p);
        if (*p != '[' && *p != '{') {
            p = scalar_end(p);
            p = p != NULL ? after_value(p, &open, &done) : NULL;
        } else {
            char kind = *p;
            const char *inside = skip_blanks(p + 1);
            bool empty = *inside == (kind == '{' ? '}' : ']');
            if (open.len >= MAX_DEPTH)
                return false;
            buf_addc(&open, kind);
            if (empty)
                p = after_value(inside, &open, &done);
            else
                p = kind == '{' ? key_end(inside) : inside;
        }
        if (p == NULL)
            return false;
    }
    return true;
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        v = v << 4 | (isdigit(c) ? c - (uint32_t)'0' : (c | 0x20u) - 'a' + 10u);
    }
    return v;
}

/* p is behind "\u". Returns behind the escape, the second half of a pair included. */
static const char *put_unicode(const char *p, struct buf *b)
{
    uint32_t r = hex4(p);
    p += 4;
    if (r >= 0xD800 && r < 0xDC00 && p[0] == '\\' && p[1] == 'u') {
        uint32_t low = hex4(p + 2);
        if (low >= 0xDC00 && low < 0xE000) {
            r = 0x10000 + ((r - 0xD800) << 10) + (low - 0xDC00);
            p += 6;
        }
    }
    if (r == 0)
        buf_add(b, "\xC0\x80", 2); /* what text_quote shows as a NUL */
    else
        rune_put(b, r);
    return p;
}

/* Decodes the valid string at p into b; returns behind its closing quote. */
static const char *put_string(const char *p, struct buf *b)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    p++;
    while (*p != '"') {
        if (*p != '\\') {
            uint32_t r;
            p += rune_get(p, strnlen(p, 4), &r);
            rune_put(b, r);
        } else if (p[1] == 'u') {
            p = put_unicode(p + 2, b);
        } else {
            const char *named = strchr(from, p[1]);
            buf_addc(b, named != NULL ? to[named - from] : p[1]);
            p += 2;
        }
    }
    return p + 1;
}

int ast_json_words(const char *rest, struct strv *ret, struct err *err)
{
    AUTO(buf_release) struct buf word = BUF_INIT;
    size_t n;
    rest = text_trim_left(rest, strlen(rest), &n);
    if (*rest != '[' || !json_is_valid(rest))
        return 0;
    for (const char *p = skip_blanks(rest + 1); *p != ']'; p = skip_blanks(p)) {
        if (*p == ',') {
            p++;
            continue;
        }
        if (*p != '"')
            return err_set(
                err, ERR_USAGE,
                "when using JSON array syntax, arrays must be comprised of strings only");
        buf_clear(&word);
        p = put_string(p, &word);
        strv_add(ret, buf_str(&word));
    }
    return 1;
}
