/*
 * The regular expressions that moby/patternmatcher makes of ignore patterns:
 * a sequence of characters, classes, ".*", "[^/]*" and "(.*" "/)?", anchored at
 * both ends, in RE2's syntax. Run as an automaton: length of text times length
 * of expression, whatever the expression. Immutable once compiled.
 */
#ifndef SHALE_DOCKERFILE_REGEX_INTERNAL_H
#define SHALE_DOCKERFILE_REGEX_INTERNAL_H

#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

struct regex;
void regex_free(struct regex *re);
DEFINE_AUTO(struct regex, regex_free);
/* NULL: not valid (ERR_USAGE), or of a kind that no ignore pattern needs. */
struct regex *regex_compile(const char *expression, struct err *err) OWNED(regex_free);
bool regex_match(const struct regex *re, const char *text);
/* Whether it matches path or a directory that path is in: one of its parts before a '/'. */
bool regex_match_with_parents(const struct regex *re, const char *path);
/* Whether something that begins with text could match. */
bool regex_may_continue(const struct regex *re, const char *text);

#endif
