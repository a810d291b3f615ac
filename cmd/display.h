/*
 * Shows a build's progress on stderr: BuildKit's plain lines, its live table
 * for terminals, its JSON lines, or nothing.
 *
 *     display_new -> engine calls display_progress's functions -> display_finish -> display_free
 *
 * Locked inside: the engine may call from any thread. A thread of its own
 * redraws and brings out what waits. Each change goes out in one write, and a
 * live table hides the cursor only within a write: whenever the process dies
 * the terminal is usable.
 */
#ifndef SHALE_CMD_DISPLAY_H
#define SHALE_CMD_DISPLAY_H

#include "base/err.h"
#include "base/own.h"
#include "engine/build.h"
#include "engine/progress.h"
#include <stdbool.h>

enum display_mode {
    DISPLAY_PLAIN,
    DISPLAY_TTY,
    DISPLAY_RAWJSON,
    DISPLAY_QUIET, /* the image id is printed by the command */
    DISPLAY_NONE,
};

/*
 * "auto", "plain", "tty", "quiet", "none", "rawjson"; auto asks BUILDKIT_PROGRESS, then whether fd
 * is a terminal. ERR_USAGE with Docker's words for other names and for tty without a terminal.
 */
int display_mode_parse(const char *name, int fd, enum display_mode *ret, struct err *err);

struct display;
void display_free(struct display *d); /* finishes first */
DEFINE_AUTO(struct display, display_free);
struct display *display_new(enum display_mode mode, int fd) OWNED(display_free);
/*
 * Borrowed. Without it, or until a signal, who reads slowly is waited for however long it takes.
 */
void display_set_cancel(struct display *d, struct cancel *cancel);
const struct progress *display_progress(struct display *d);
/* The last picture, then the logs of the steps that failed, then the warnings; r: for their
 * excerpts. debug: with excerpts. */
void display_finish(struct display *d, const struct build_result *r, bool debug);
/* Text that follows what is shown, in every mode. */
void display_print(struct display *d, const struct buf *text);

#endif
