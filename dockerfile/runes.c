#include "dockerfile/runes_internal.h"
#include "dockerfile/runes_table_internal.h"
#include "base/own.h"
#include <string.h>

static bool continues(const char *s, size_t n, size_t i)
{
    return i < n && ((unsigned char)s[i] & 0xC0) == 0x80;
}

size_t rune_get(const char *s, size_t n, uint32_t *ret)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)s[0];
    size_t width = c < 0x80 ? 1 : c < 0xC2 ? 0 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 0;
    uint32_t r = width == 1 ? c : width == 2 ? c & 0x1F : width == 3 ? c & 0x0F : c & 0x07;
    for (size_t i = 1; i < width; i++) {
        if (!continues(s, n, i))
            width = 0;
        else
            r = r << 6 | ((unsigned char)s[i] & 0x3F);
    }
    if (width == 0 || r < least[width] || r > 0x10FFFF || (r >= 0xD800 && r < 0xE000)) {
        *ret = RUNE_BAD;
        return 1;
    }
    *ret = r;
    return width;
}

size_t rune_width_before(const char *s, size_t n)
{
    for (size_t w = 1; w <= 4 && w <= n; w++) {
        uint32_t r;
        if (((unsigned char)s[n - w] & 0xC0) != 0x80)
            return rune_get(s + n - w, w, &r) == w ? w : 1;
    }
    return 1;
}

void rune_put(struct buf *b, uint32_t r)
{
    char out[4];
    size_t n = 0;
    if (r > 0x10FFFF || (r >= 0xD800 && r < 0xE000))
        r = RUNE_BAD;
    if (r < 0x80) {
        out[n++] = (char)r;
    } else if (r < 0x800) {
        out[n++] = (char)(0xC0 | r >> 6);
    } else if (r < 0x10000) {
        out[n++] = (char)(0xE0 | r >> 12);
        out[n++] = (char)(0x80 | (r >> 6 & 0x3F));
    } else {
        out[n++] = (char)(0xF0 | r >> 18);
        out[n++] = (char)(0x80 | (r >> 12 & 0x3F));
        out[n++] = (char)(0x80 | (r >> 6 & 0x3F));
    }
    if (r >= 0x80)
        out[n++] = (char)(0x80 | (r & 0x3F));
    buf_add(b, out, n);
}

bool rune_is_space(uint32_t r)
{
    if (r < 0x80)
        return r == ' ' || (r >= '\t' && r <= '\r');
    return r == 0x85 || r == 0xA0 || r == 0x1680 || (r >= 0x2000 && r <= 0x200A) || r == 0x2028 ||
           r == 0x2029 || r == 0x202F || r == 0x205F || r == 0x3000;
}

static bool in_ranges(const struct rune_range *v, size_t n, uint32_t r)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r < v[mid].first)
            high = mid;
        else if (r > v[mid].last)
            low = mid + 1;
        else
            return true;
    }
    return false;
}

bool rune_is_letter(uint32_t r)
{
    if (r < 0x80)
        return (r | 0x20) >= 'a' && (r | 0x20) <= 'z';
    return in_ranges(letters, ARRAY_LEN(letters), r);
}

bool rune_is_digit(uint32_t r)
{
    if (r < 0x80)
        return r >= '0' && r <= '9';
    return in_ranges(digits, ARRAY_LEN(digits), r);
}

const char *text_trim_left(const char *s, size_t n, size_t *ret_n)
{
    uint32_t r;
    while (n > 0) {
        size_t w = rune_get(s, n, &r);
        if (!rune_is_space(r))
            break;
        s += w;
        n -= w;
    }
    *ret_n = n;
    return s;
}

const char *text_trim(const char *s, size_t n, size_t *ret_n)
{
    s = text_trim_left(s, n, &n);
    while (n > 0) {
        uint32_t r;
        size_t w = rune_width_before(s, n);
        rune_get(s + n - w, w, &r);
        if (!rune_is_space(r))
            break;
        n -= w;
    }
    *ret_n = n;
    return s;
}

/* Go's unicode.IsPrint, as far as assigned characters go. */
static bool is_print(uint32_t r)
{
    static const struct rune_range hidden[] = {
        { 0x7F, 0xA0 },     { 0xAD, 0xAD },       { 0x61C, 0x61C },      { 0x1680, 0x1680 },
        { 0x180E, 0x180E }, { 0x2000, 0x200F },   { 0x2028, 0x202F },    { 0x205F, 0x206F },
        { 0x3000, 0x3000 }, { 0xD800, 0xF8FF },   { 0xFEFF, 0xFEFF },    { 0xFFF0, 0xFFFB },
        { 0xFFFE, 0xFFFF }, { 0xE0000, 0xE00FF }, { 0xF0000, 0x10FFFF },
    };
    return r >= ' ' && !in_ranges(hidden, ARRAY_LEN(hidden), r);
}

static void quote_rune(struct buf *b, uint32_t r)
{
    static const char named[] = "abtnvfr"; /* 7 to 13 */
    if (r == '"' || r == '\\')
        buf_addf(b, "\\%c", (char)r);
    else if (is_print(r))
        rune_put(b, r);
    else if (r >= 7 && r <= 13)
        buf_addf(b, "\\%c", named[r - 7]);
    else if (r < ' ' || r == 0x7F)
        buf_addf(b, "\\x%02x", r);
    else
        buf_addf(b, r < 0x10000 ? "\\u%04x" : "\\U%08x", r);
}

void text_quote(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    buf_addc(b, '"');
    while (n > 0) {
        uint32_t r;
        size_t w = rune_get(s, n, &r);
        if (n >= 2 && (unsigned char)s[0] == 0xC0 && (unsigned char)s[1] == 0x80) {
            buf_adds(b, "\\x00");
            w = 2;
        } else if (r == RUNE_BAD && w == 1) {
            buf_addf(b, "\\x%02x", (unsigned char)s[0]);
        } else {
            quote_rune(b, r);
        }
        s += w;
        n -= w;
    }
    buf_addc(b, '"');
}
