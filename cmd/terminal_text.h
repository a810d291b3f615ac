/*
 * Text of others made safe to show: output of commands, names from
 * Dockerfiles. Pure but for struct terminal_filter, which remembers what is
 * unfinished between two pieces; one thread.
 */
#ifndef SHALE_CMD_TERMINAL_TEXT_H
#define SHALE_CMD_TERMINAL_TEXT_H

#include "base/buf.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Lets through: text, line feed, tab, carriage return (not one before a line feed), colours and the
 * like (ESC [ ... m), erase line (ESC [ ... K). Every other control character becomes \xNN, C1 ones
 * in UTF-8 too. Pieces may be cut anywhere.
 */
struct terminal_filter {
    char held[24]; /* an unfinished sequence */
    size_t n_held;
};
void terminal_filter_add(struct terminal_filter *f, const char *p, size_t n, struct buf *out);
void terminal_filter_end(struct terminal_filter *f,
                         struct buf *out); /* what is held goes out escaped */

/* A filtered line as a terminal would leave it, without colours: \r starts over, tabs are spaces.
 */
void terminal_flatten(const char *line, struct buf *out);

/* One character at s (n > 0 bytes): its bytes; *ret_cp is 0xFFFD for what is not UTF-8. */
size_t text_next(const char *s, size_t n, uint32_t *ret_cp);
/* Columns that s takes on a terminal. */
size_t text_width(const char *s);
/* The bytes of s that fit into columns. */
size_t text_fit(const char *s, size_t columns);
/* Appends s with what is not UTF-8 replaced, for JSON. */
void text_add_utf8(struct buf *b, const char *s, size_t n);

#endif
