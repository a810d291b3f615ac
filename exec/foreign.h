/*
 * Whether this machine runs programs of another platform: by itself (386 on amd64) or by a handler
 * of binfmt_misc, as qemu-user's. A program of a few instructions is tried, which says more than
 * /proc/sys/fs/binfmt_misc, that is not mounted everywhere. Any thread.
 */
#ifndef SHALE_EXEC_FOREIGN_H
#define SHALE_EXEC_FOREIGN_H

#include "base/err.h"
#include "image/platform.h"
#include <stdbool.h>

/*
 * False for another operating system, and when the kernel does not know what to do with such a
 * program; an image that does not say what it is for is for this machine. A handler whose
 * interpreter is not found counts: the image may have it. An architecture that nobody here knows
 * counts too, and fails when it is tried.
 */
bool foreign_runs(const struct platform *p);
/* ERR_UNSUPPORTED, with what to install, when it does not. */
int foreign_check(const struct platform *p, struct err *err);

/* Of the program that is tried, at most 256 bytes; 0: none is known for the architecture. */
size_t foreign_program(const char *arch, unsigned char ret[256]);

#endif
