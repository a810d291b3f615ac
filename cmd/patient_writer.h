/*
 * Writing for people, to a terminal or pipe that may be slow, full, set not to
 * block by whoever shares it, or gone. Nobody is told what could not be
 * written: there is no other place to say it. One thread at a time.
 */
#ifndef SHALE_CMD_PATIENT_WRITER_H
#define SHALE_CMD_PATIENT_WRITER_H

#include "base/cancel.h"
#include <stdbool.h>
#include <stddef.h>

struct patient_writer {
    int fd;
    struct cancel *cancel; /* borrowed, may be NULL */
    bool is_gone;          /* everything further is dropped */
};
/*
 * Waits for a slow reader as long as it takes; after a signal only a moment, so that one who reads
 * nothing cannot hold up our end.
 */
void patient_write(struct patient_writer *w, const char *p, size_t n);

#endif
