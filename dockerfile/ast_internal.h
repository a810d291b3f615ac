/* The pieces of one instruction's line; shared by ast*.c. */
#ifndef SHALE_DOCKERFILE_AST_INTERNAL_H
#define SHALE_DOCKERFILE_AST_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

/* White space between words; other Unicode spaces belong to a word. */
#define AST_BLANKS "\t\v\f\r "

/* Words at white space, quotes and escapes respected and kept. */
void ast_quoted_words(const char *rest, char escape, struct strv *ret);
/* Words at blanks, nothing else looked at; "" gives none. */
void ast_plain_words(const char *rest, struct strv *ret);
/* The "--flags" that rest begins with, quotes removed. Returns what follows them. */
const char *ast_take_flags(const char *rest, struct strv *flags);
/* 1: rest is a JSON array of strings; 0: it is no JSON array; ERR_USAGE: one with something else.
 */
int ast_json_words(const char *rest, struct strv *ret, struct err *err);

#endif
