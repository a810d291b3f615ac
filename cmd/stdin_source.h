/* Standard input as a source that an interrupt ends: its reads wait for input or cancel, whichever
 * comes first. */
#ifndef SHALE_CMD_STDIN_SOURCE_H
#define SHALE_CMD_STDIN_SOURCE_H

#include "base/cancel.h"
#include "base/stream.h"

struct source *stdin_source(struct cancel *cancel) OWNED(source_free);
/* The same with what was read from it before, given again first. */
struct source *stdin_source_after(struct cancel *cancel, const void *head, size_t n)
    OWNED(source_free) NONNULL;

#endif
