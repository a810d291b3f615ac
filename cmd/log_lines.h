/*
 * The last lines that a step printed, each with the time of its first
 * character: bounded in lines and bytes, older ones fall out. Text comes
 * filtered (terminal_filter_add). One thread.
 */
#ifndef SHALE_CMD_LOG_LINES_H
#define SHALE_CMD_LOG_LINES_H

#include "base/buf.h"
#include <stdint.h>

struct log_line {
    char *text; /* without its line feed */
    int64_t ms; /* since the step began */
};

struct log_lines {
    struct log_line *v; /* v[first .. n) are kept */
    size_t first, n, cap, bytes;
    size_t max_lines; /* 0: bounded by bytes alone */
    struct buf partial;
    int64_t partial_ms;
};
void log_lines_release(struct log_lines *l);
void log_lines_add(struct log_lines *l, const char *p, size_t n, int64_t ms);
/* The unfinished line becomes a line. */
void log_lines_end(struct log_lines *l);

#endif
