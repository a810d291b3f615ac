#include "cmd/terminal_text.h"
#include <stdio.h>
#include <string.h>

#define ESC 0x1b

enum verdict { WANTS_MORE, PASS, REFUSE };

static bool is_control(unsigned char c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* Whether what is held, two characters at least, is a sequence that may pass. */
static enum verdict judge(const char *s, size_t n)
{
    unsigned char last = (unsigned char)s[n - 1];
    switch ((unsigned char)s[0]) {
    case 0xc2: /* U+0080..U+009F are control characters */
        return last <= 0x9f ? REFUSE : PASS;
    case ESC:
        if (s[1] != '[')
            return REFUSE;
        if (n == 2 || (last >= '0' && last <= '9') || last == ';' || last == ':')
            return WANTS_MORE;
        return last == 'm' || last == 'K' ? PASS : REFUSE;
    default:
        return REFUSE;
    }
}

static void add_escaped(struct buf *out, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (is_control(c) || (c >= 0x80 && n == 2))
            buf_addf(out, "\\x%02x", c);
        else
            buf_addc(out, (char)c);
    }
}

static void refuse(struct terminal_filter *f, struct buf *out)
{
    /* The last character may begin something of its own, or be a line's end. */
    size_t n = f->n_held;
    add_escaped(out, f->held, f->held[0] == ESC ? n - 1 : n);
    f->n_held = 0;
}

/* Whether c goes on with what is held, or begins something of its own. */
static bool is_next(const struct terminal_filter *f, char c)
{
    if (f->held[0] == '\r')
        return false;
    return (unsigned char)f->held[0] != 0xc2 || ((unsigned char)c & 0xc0) == 0x80;
}

/* True when c is done with. */
static bool go_on(struct terminal_filter *f, char c, struct buf *out)
{
    bool is_esc = f->held[0] == ESC;
    f->held[f->n_held++] = c;
    enum verdict v = judge(f->held, f->n_held);
    if (v == WANTS_MORE && f->n_held < sizeof(f->held))
        return true;
    if (v != PASS) {
        refuse(f, out);
        return !is_esc;
    }
    buf_add(out, f->held, f->n_held);
    f->n_held = 0;
    return true;
}

static void add_one(struct terminal_filter *f, char c, struct buf *out)
{
    if (f->n_held > 0 && is_next(f, c)) {
        if (go_on(f, c, out))
            return;
    } else if (f->n_held > 0) { /* a carriage return before a line feed is dropped */
        f->n_held = 0;
        if (f->held[0] != '\r' || c != '\n')
            buf_addc(out, f->held[0]);
    }
    if (c == '\r' || c == ESC || (unsigned char)c == 0xc2) {
        f->held[0] = c;
        f->n_held = 1;
    } else if (is_control((unsigned char)c)) {
        buf_addf(out, "\\x%02x", (unsigned char)c);
    } else {
        buf_addc(out, c);
    }
}

void terminal_filter_add(struct terminal_filter *f, const char *p, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        add_one(f, p[i], out);
}

void terminal_filter_end(struct terminal_filter *f, struct buf *out)
{
    if (f->n_held > 0 && f->held[0] != '\r')
        add_escaped(out, f->held, f->n_held);
    f->n_held = 0;
}

void terminal_flatten(const char *line, struct buf *out)
{
    size_t start = out->len;
    for (const char *s = line; *s != '\0'; s++) {
        if (*s == '\r') {
            buf_truncate(out, start);
        } else if (*s == ESC) {
            while (*s != '\0' && *s != 'm' && *s != 'K')
                s++;
            if (*s == '\0')
                return;
        } else if (*s == '\t') {
            do
                buf_addc(out, ' ');
            while ((out->len - start) % 8 != 0);
        } else {
            buf_addc(out, *s);
        }
    }
}

size_t text_next(const char *s, size_t n, uint32_t *ret_cp)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *p = (const unsigned char *)s;
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xc2 ? 0
                 : p[0] < 0xe0 ? 2
                 : p[0] < 0xf0 ? 3
                 : p[0] < 0xf5 ? 4
                               : 0;
    *ret_cp = 0xfffd;
    if (len == 0 || len > n)
        return 1;
    uint32_t cp = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if (cp < least[len] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 1;
    *ret_cp = cp;
    return len;
}

/* Coarse: combining marks take no column, East Asian wide and emoji two. */
static size_t char_width(uint32_t cp)
{
    static const struct {
        uint32_t first, last;
        size_t width;
    } ranges[] = {
        { 0x0300, 0x036f, 0 }, { 0x1100, 0x115f, 2 },   { 0x200b, 0x200f, 0 },
        { 0x2e80, 0xa4cf, 2 }, { 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 },
        { 0xfe00, 0xfe0f, 0 }, { 0xfe30, 0xfe6f, 2 },   { 0xff00, 0xff60, 2 },
        { 0xffe0, 0xffe6, 2 }, { 0x1f300, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
    };
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        if (cp >= ranges[i].first && cp <= ranges[i].last)
            return ranges[i].width;
    }
    return 1;
}

size_t text_width(const char *s)
{
    size_t width = 0, n = strlen(s);
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        i += text_next(s + i, n - i, &cp);
        width += char_width(cp);
    }
    return width;
}

size_t text_fit(const char *s, size_t columns)
{
    size_t width = 0, n = strlen(s), i = 0;
    while (i < n) {
        uint32_t cp;
        size_t len = text_next(s + i, n - i, &cp);
        width += char_width(cp);
        if (width > columns)
            return i;
        i += len;
    }
    return n;
}

void text_add_utf8(struct buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        size_t len = text_next(s + i, n - i, &cp);
        if (cp == 0xfffd)
            buf_adds(b, "\xef\xbf\xbd");
        else
            buf_add(b, s + i, len);
        i += len;
    }
}
