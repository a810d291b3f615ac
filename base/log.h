/*
 * Diagnostics on stderr, by component and level; what a user asked for is
 * never written here. Level from SHALE_LOG (error, warn, info, debug; default
 * warn) or log_set_level. One line each; control characters of others'
 * text are escaped. Any thread. The only global of the program.
 */
#ifndef SHALE_BASE_LOG_H
#define SHALE_BASE_LOG_H

#include "base/buf.h"
#include "base/own.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_level(void);
void log_msg(enum log_level level, const char *component, const char *fmt, ...) PRINTF(3, 4);

#define log_error(component, ...) log_msg(LOG_ERROR, component, __VA_ARGS__)
#define log_warn(component, ...) log_msg(LOG_WARN, component, __VA_ARGS__)
#define log_info(component, ...) log_msg(LOG_INFO, component, __VA_ARGS__)
#define log_debug(component, ...)                       \
    do {                                                \
        if (log_level() >= LOG_DEBUG)                   \
            log_msg(LOG_DEBUG, component, __VA_ARGS__); \
    } while (0)

/* Adds s with control characters as \xNN (tab stays), so that a terminal is safe from it. */
void log_escape(struct buf *b, const char *s, size_t n);

#endif
