/* Columns of text: left-aligned, three spaces between, ten columns at least; nothing behind the
 * last. */
#ifndef SHALE_CMD_TABLE_H
#define SHALE_CMD_TABLE_H

#include "base/buf.h"

/* cells: row after row, n_columns each. */
void table_add(struct buf *b, const struct strv *cells, size_t n_columns);

#endif
