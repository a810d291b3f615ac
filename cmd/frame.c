#include "cmd/frame.h"
#include "base/log.h"
#include <string.h>

#define RULE "--------------------\n"

static void add_line(struct buf *b, const char *line, size_t len, int number, bool marked)
{
    if (len > 0 && line[len - 1] == '\r')
        len--;
    buf_addf(b, " %3d | %s ", number, marked ? ">>>" : "   ");
    log_escape(b, line, len);
    buf_addc(b, '\n');
}

void frame_lines_init(struct frame_lines *l, const char *text, size_t len)
{
    size_t cap = 0, n = 0;
    *l = (struct frame_lines){ .text = text, .len = len };
    for (const char *p = text; p != NULL; n++) {
        MEM_ROOM(l->starts, n, cap);
        l->starts[n] = (size_t)(p - text);
        const char *nl = memchr(p, '\n', len - (size_t)(p - text));
        p = nl != NULL ? nl + 1 : NULL;
    }
    MEM_ROOM(l->starts, n, cap);
    l->starts[n] = len + 1; /* as if a newline stood behind the last line */
    l->n = (int)n;
}

void frame_lines_release(struct frame_lines *l)
{
    mem_free(l->starts);
}

void frame_add_lines(struct buf *b, const char *name, const struct frame_lines *l, int first,
                     int last)
{
    if (first < 1 || first > l->n)
        return;
    last = last < first ? first : last > l->n ? l->n : last;
    int around = first == last ? 2 : 1;
    log_escape(b, name, strlen(name));
    buf_addf(b, ":%d\n" RULE, first);
    for (int i = first > around ? first - around : 1; i <= l->n && i <= last + around; i++) {
        size_t start = l->starts[i - 1];
        add_line(b, l->text + start, l->starts[i] - start - 1, i, i >= first && i <= last);
    }
    buf_adds(b, RULE);
}

void frame_add(struct buf *b, const char *name, const char *text, size_t len, int first, int last)
{
    AUTO(frame_lines_release) struct frame_lines l;
    frame_lines_init(&l, text, len);
    frame_add_lines(b, name, &l, first, last);
}
