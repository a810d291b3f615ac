/* RFC 4648 base64, with padding. Pure. */
#ifndef SHALE_BASE_BASE64_H
#define SHALE_BASE_BASE64_H

#include "base/buf.h"

#define BASE64_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

void base64_add(struct buf *b, const char *bytes, size_t n);
/* Adds what the text stands for; false, with nothing added, for what is no base64. */
bool base64_decode(struct buf *b, const char *text);

#endif
