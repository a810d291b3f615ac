#include "cmd/table.h"
#include "cmd/terminal_text.h"

#define GAP 3
#define COLUMN_MIN 10

static size_t column_width(const struct strv *cells, size_t n_columns, size_t column)
{
    size_t width = COLUMN_MIN;
    for (size_t i = column; i < cells->n; i += n_columns) {
        size_t n = text_width(cells->v[i]) + GAP;
        width = n > width ? n : width;
    }
    return width;
}

/* From cell i to the end of its row. */
static bool is_rest_empty(const struct strv *cells, size_t i, size_t n_columns)
{
    for (; i % n_columns != 0; i++)
        if (*cells->v[i] != '\0')
            return false;
    return true;
}

void table_add(struct buf *b, const struct strv *cells, size_t n_columns)
{
    size_t *widths = mem_calloc(n_columns, sizeof(*widths));
    for (size_t i = 0; i < n_columns; i++)
        widths[i] = column_width(cells, n_columns, i);
    for (size_t i = 0; i < cells->n; i++) {
        size_t column = i % n_columns;
        buf_adds(b, cells->v[i]);
        if (column + 1 == n_columns)
            buf_addc(b, '\n');
        else if (!is_rest_empty(cells, i + 1, n_columns))
            buf_addf(b, "%*s", (int)(widths[column] - text_width(cells->v[i])), "");
    }
    mem_free(widths);
}
