/*
 * What of a step's wishes this machine and this process can give: the bundle
 * asks for no more, as a runtime would fail on it. Reads /proc and /dev.
 */
#ifndef SHALE_EXEC_MACHINE_INTERNAL_H
#define SHALE_EXEC_MACHINE_INTERNAL_H

#include "exec/run.h"

/*
 * spec's limits into ret (room for all): of several with one name the last; one that is above what
 * may be set here is left out with a debug line, so that ours holds. ERR_USAGE: an unknown name,
 * soft above hard.
 */
int machine_ulimits(const struct exec_spec *spec, struct exec_ulimit *ret, size_t *ret_n,
                    struct err *err);
/* How many loop devices --security=insecure shows: those that are used, and eight more. */
unsigned machine_loops(void);

#endif
