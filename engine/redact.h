/*
 * Takes the values of secrets out of what a step prints, before anybody sees or keeps it.
 *
 *     redactor_new -> redactor_add* -> redactor_pass* -> redactor_end -> redactor_free
 *
 * Looked for is each line of a value, without the white space around it, when it has 8 bytes or
 * more: what is shorter would be found in innocent text. "***" stands for it. A line that comes in
 * pieces is found all the same: bytes that may be its beginning are held back until it is known.
 * A value that a step has changed (encoded, cut) is not found. One thread.
 */
#ifndef SHALE_ENGINE_REDACT_H
#define SHALE_ENGINE_REDACT_H

#include "base/own.h"
#include <stddef.h>

typedef void (*redact_fn)(void *arg, int stream, const char *p, size_t n);

struct redactor;
void redactor_free(struct redactor *r); /* overwrites what is held back */
DEFINE_AUTO(struct redactor, redactor_free);
/* to: what gets the text, by stream. */
struct redactor *redactor_new(redact_fn to, void *arg) OWNED(redactor_free);
/* Before the first pass; value is borrowed until the free. */
void redactor_add(struct redactor *r, const char *value, size_t n);
void redactor_pass(struct redactor *r, int stream, const char *p, size_t n); /* stream 1 or 2 */
void redactor_end(struct redactor *r); /* nothing more comes: what was held back is passed on */

/* The same in place, in a text that may have been cut at its end. */
void redactor_message(struct redactor *r, char *text);

#endif
