/* Wildcards in COPY and ADD sources: Go's path.Match, bytes for bytes. Any thread. */
#ifndef SHALE_DOCKERFILE_GLOB_H
#define SHALE_DOCKERFILE_GLOB_H

#include "base/err.h"
#include <stdbool.h>

/*
 * '*' and '?' do not match '/'; [a-z], [^a-z]; '\\' takes the next character
 * literally. The whole of name must match. A pattern that is not well formed
 * (also behind the place where name stops matching) is ERR_USAGE
 * "syntax error in pattern".
 */
int glob_match(const char *pattern, const char *name, bool *ret, struct err *err);
/* The syntax check alone. */
int glob_check(const char *pattern, struct err *err);
/* Whether there is an unescaped wildcard in it. */
bool glob_has_magic(const char *pattern);

#endif
