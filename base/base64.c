#include "base/base64.h"
#include <stdint.h>
#include <string.h>

void base64_add(struct buf *b, const char *bytes, size_t n)
{
    static const char digits[] = BASE64_LETTERS;
    const unsigned char *p = (const unsigned char *)bytes;
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0;
        v |= i + 2 < n ? p[i + 2] : 0;
        buf_addc(b, digits[v >> 18]);
        buf_addc(b, digits[v >> 12 & 63]);
        buf_addc(b, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_addc(b, i + 2 < n ? digits[v & 63] : '=');
    }
}

/* Four letters of which the last n_padding are '='; false: another letter, or bits left over. */
static bool decode_four(struct buf *b, const char *four, size_t n_padding)
{
    static const char digits[] = BASE64_LETTERS;
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        const char *at = i < 4 - n_padding ? strchr(digits, four[i]) : digits;
        if (at == NULL || four[i] == '\0')
            return false;
        v = v << 6 | (uint32_t)(at - digits);
    }
    for (size_t i = 0; i < 3 - n_padding; i++)
        buf_addc(b, (char)(v >> (16 - 8 * i) & 255));
    return (v & ((UINT32_C(1) << 8 * n_padding) - 1)) == 0;
}

bool base64_decode(struct buf *b, const char *text)
{
    size_t n = strlen(text), before = b->len;
    size_t padding = n > 0 && text[n - 1] == '=' ? 1 + (n > 1 && text[n - 2] == '=') : 0;
    bool is_good = n % 4 == 0;
    for (size_t i = 0; is_good && i < n; i += 4)
        is_good = decode_four(b, text + i, i + 4 == n ? padding : 0);
    if (!is_good && b->data != NULL)
        buf_truncate(b, before);
    return is_good;
}
