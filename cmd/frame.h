/* The excerpt of a Dockerfile that says where: BuildKit's frame. Pure. */
#ifndef SHALE_CMD_FRAME_H
#define SHALE_CMD_FRAME_H

#include "base/buf.h"

/*
 * Lines first..last (1-based) marked, with two lines around one line and one line around several.
 * Adds nothing when the text has no such line. last 0: as first.
 */
void frame_add(struct buf *b, const char *name, const char *text, size_t len, int first, int last);

#endif
