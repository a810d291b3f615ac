#include "cmd/frame.h"
#include "base/log.h"
#include <string.h>

#define RULE "--------------------\n"

static int count_lines(const char *text, size_t len)
{
    int n = 1;
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

static void add_line(struct buf *b, const char *line, size_t len, int number, bool marked)
{
    if (len > 0 && line[len - 1] == '\r')
        len--;
    buf_addf(b, " %3d | %s ", number, marked ? ">>>" : "   ");
    log_escape(b, line, len);
    buf_addc(b, '\n');
}

void frame_add(struct buf *b, const char *name, const char *text, size_t len, int first, int last)
{
    int n = count_lines(text, len);
    if (first < 1 || first > n)
        return;
    last = last < first ? first : last > n ? n : last;
    int around = first == last ? 2 : 1;
    log_escape(b, name, strlen(name));
    buf_addf(b, ":%d\n" RULE, first);
    const char *p = text, *end = text + len;
    for (int i = 1; i <= n && i <= last + around; i++) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t line_len = nl != NULL ? (size_t)(nl - p) : (size_t)(end - p);
        if (i >= first - around)
            add_line(b, p, line_len, i, i >= first && i <= last);
        p += line_len + (nl != NULL);
    }
    buf_adds(b, RULE);
}
