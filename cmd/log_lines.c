#include "cmd/log_lines.h"
#include <string.h>

#define BYTES_MAX (2u << 20) /* of one step that are kept */
#define LINE_MAX_BYTES 65536 /* a longer line is broken */

void log_lines_release(struct log_lines *l)
{
    for (size_t i = l->first; i < l->n; i++)
        mem_free(l->v[i].text);
    mem_free(l->v);
    buf_release(&l->partial);
    *l = (struct log_lines){ .v = NULL };
}

static void drop_first(struct log_lines *l)
{
    l->bytes -= strlen(l->v[l->first].text);
    mem_free(l->v[l->first++].text);
    if (l->first >= 64 && l->first * 2 >= l->n) {
        l->n -= l->first;
        memmove(l->v, l->v + l->first, l->n * sizeof(*l->v));
        l->first = 0;
    }
}

static void add_line(struct log_lines *l)
{
    MEM_ROOM(l->v, l->n, l->cap);
    l->bytes += l->partial.len;
    l->v[l->n++] = (struct log_line){ .text = buf_take(&l->partial), .ms = l->partial_ms };
    while (l->bytes > BYTES_MAX || (l->max_lines > 0 && l->n - l->first > l->max_lines))
        drop_first(l);
}

void log_lines_add(struct log_lines *l, const char *p, size_t n, int64_t ms)
{
    while (n > 0) {
        const char *nl = memchr(p, '\n', n);
        size_t len = nl != NULL ? (size_t)(nl - p) : n;
        if (l->partial.len == 0)
            l->partial_ms = ms;
        buf_add(&l->partial, p, len);
        if (nl != NULL || l->partial.len >= LINE_MAX_BYTES)
            add_line(l);
        size_t used = len + (nl != NULL);
        p += used;
        n -= used;
    }
}

void log_lines_end(struct log_lines *l)
{
    if (l->partial.len > 0)
        add_line(l);
}
