/*
 * The patterns of ${v#p} ${v%p} ${v/p/r}: '*' any run and '?' one character,
 * neither crosses a newline; '\\' before * ? \\ / } takes it literally. Each
 * call costs at most length of pattern times length of value, counted down
 * from *work; none left is ERR_USAGE. Results are appended to out.
 */
#ifndef SHALE_DOCKERFILE_EXPAND_PATTERN_INTERNAL_H
#define SHALE_DOCKERFILE_EXPAND_PATTERN_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

int pattern_trim_prefix(const char *pattern, const char *value, bool longest, size_t *work,
                        struct buf *out, struct err *err);
int pattern_trim_suffix(const char *pattern, const char *value, bool longest, size_t *work,
                        struct buf *out, struct err *err);
/* all: every match, and "$name" in replacement is a reference as in Go ($0 the match, others "").
 */
int pattern_replace(const char *pattern, const char *value, const char *replacement, bool all,
                    size_t *work, struct buf *out, struct err *err);

#endif
