/* UTF-8 as far as base/ needs it: to tell text from bytes that a terminal would obey. Inside base/
 * only. */
#ifndef SHALE_BASE_UTF8_INTERNAL_H
#define SHALE_BASE_UTF8_INTERNAL_H

#include <stddef.h>

/* Length of the character that the n bytes at s begin with; 0 when that is not well-formed UTF-8.
 */
size_t utf8_len(const char *s, size_t n);

#endif
