/*
 * /sys for a step in a user namespace. A new sysfs can be mounted there only
 * with a network namespace of its own, so the step sees the one that we have,
 * with all that is mounted below it (which could not be left out), and none of
 * it can be written to: as root of the namespace it may own some. For the helper process; one
 * thread.
 */
#ifndef SHALE_EXEC_SYS_BIND_INTERNAL_H
#define SHALE_EXEC_SYS_BIND_INTERNAL_H

#include "exec/helper_internal.h"

#define HELPER_SYS "sys" /* in the step's directory */

/* Nothing outside of user namespaces. */
int sys_bind(const struct helper_order *o, struct err *err);
void sys_unbind(const struct helper_order *o);

#endif
