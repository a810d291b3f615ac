/* RFC 4648 base64, with padding. Pure. */
#ifndef SHALE_CMD_BASE64_H
#define SHALE_CMD_BASE64_H

#include "base/buf.h"

void base64_add(struct buf *b, const char *bytes, size_t n);

#endif
