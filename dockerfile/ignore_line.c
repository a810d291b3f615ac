/* A path as a line of an ignore file. */
#include "dockerfile/ignore.h"

#include "dockerfile/runes_internal.h"
#include <string.h>

#define BYTE_ORDER_MARK 0xFEFF

/* Text that no pattern means for certain: a line ends there, or no two readers agree on it. */
static bool can_be_said(const char *path, size_t n)
{
    uint32_t r;
    for (size_t at = 0; at < n;) {
        size_t width = rune_get(path + at, n - at, &r);
        if (r == '\n' || (r == RUNE_BAD && width == 1) || (at == 0 && r == BYTE_ORDER_MARK))
            return false;
        at += width;
    }
    return n > 0;
}

/* White space at an end would be cut off; in a class it stays. */
static void add_rune(const char *path, size_t at, size_t width, uint32_t r, bool at_end,
                     struct buf *ret)
{
    bool is_first = at == 0 && (r == '!' || r == '#');
    if (at_end && rune_is_space(r)) {
        buf_addc(ret, '[');
        buf_add(ret, path + at, width);
        buf_addc(ret, ']');
        return;
    }
    if (is_first || (r < 0x80 && strchr("*?[]\\^", (int)r) != NULL))
        buf_addc(ret, '\\');
    buf_add(ret, path + at, width);
}

bool ignore_line(const char *path, struct buf *ret)
{
    size_t n = strlen(path), left, kept;
    uint32_t r;
    if (!can_be_said(path, n))
        return false;
    const char *first = text_trim_left(path, n, &left);
    text_trim(path, n, &kept);
    size_t from = (size_t)(first - path), to = from + kept;
    for (size_t at = 0; at < n;) {
        size_t width = rune_get(path + at, n - at, &r);
        add_rune(path, at, width, r, at < from || at >= to, ret);
        at += width;
    }
    return true;
}
