/* Text in double quotes, as Docker writes it into messages and histories. Pure. */
#ifndef SHALE_DOCKERFILE_QUOTE_H
#define SHALE_DOCKERFILE_QUOTE_H

#include "base/buf.h"

/* s in double quotes with escapes, as Go's %q. "\xC0\x80" stands for a NUL. */
void text_quote(struct buf *b, const char *s);

#endif
