/* The excerpt of a Dockerfile that says where: BuildKit's frame. Pure. */
#ifndef SHALE_CMD_FRAME_H
#define SHALE_CMD_FRAME_H

#include "base/buf.h"
#include "base/own.h"

/*
 * Lines first..last (1-based) marked, with two lines around one line and one line around several.
 * Adds nothing when the text has no such line. last 0: as first.
 */
void frame_add(struct buf *b, const char *name, const char *text, size_t len, int first, int last);

/* The same for many excerpts of one text: its lines are looked for once. Borrows the text. */
struct frame_lines {
    const char *text;
    size_t len;
    size_t *starts; /* of each line, and behind the last one */
    int n;
};
void frame_lines_init(struct frame_lines *l, const char *text, size_t len);
void frame_lines_release(struct frame_lines *l);
DEFINE_AUTO_VALUE(struct frame_lines, frame_lines_release);
void frame_add_lines(struct buf *b, const char *name, const struct frame_lines *l, int first,
                     int last);

#endif
