#include "base/utf8_internal.h"

#include <stdint.h>

/* Continuation bytes that a lead byte announces, and the smallest code point that needs them. */
static const struct {
    unsigned char mask, lead;
    size_t len;
    uint32_t min;
} forms[] = {
    { 0x80, 0x00, 1, 0 },
    { 0xe0, 0xc0, 2, 0x80 },
    { 0xf0, 0xe0, 3, 0x800 },
    { 0xf8, 0xf0, 4, 0x10000 },
};

static size_t check(const unsigned char *s, size_t len, uint32_t point, uint32_t min)
{
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3f);
    }
    if (point < min || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return len;
}

size_t utf8_len(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; n > 0 && i < sizeof(forms) / sizeof(forms[0]); i++)
        if ((s[0] & forms[i].mask) == forms[i].lead)
            return n < forms[i].len
                       ? 0
                       : check(s, forms[i].len, s[0] & (unsigned char)~forms[i].mask, forms[i].min);
    return 0;
}
