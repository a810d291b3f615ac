/*
 * UTF-8 and Unicode classes as the language needs them: a byte that is not part
 * of valid UTF-8 counts as one character U+FFFD of width 1, as in Go. Pure.
 */
#ifndef SHALE_DOCKERFILE_RUNES_INTERNAL_H
#define SHALE_DOCKERFILE_RUNES_INTERNAL_H

#include "base/buf.h"
#include "dockerfile/quote.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNE_BAD 0xFFFD

/* The character at s (n > 0 bytes are there) and its width in bytes. */
size_t rune_get(const char *s, size_t n, uint32_t *ret);
/* The width of the character that ends just before s + n (n > 0). */
size_t rune_width_before(const char *s, size_t n);
void rune_put(struct buf *b, uint32_t r);

bool rune_is_space(uint32_t r);
bool rune_is_letter(uint32_t r);
bool rune_is_digit(uint32_t r);

/* n bytes at s without white space at both ends; *ret_n is what is left. */
const char *text_trim(const char *s, size_t n, size_t *ret_n);
const char *text_trim_left(const char *s, size_t n, size_t *ret_n);

#endif
