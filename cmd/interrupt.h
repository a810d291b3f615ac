/*
 * SIGINT, SIGTERM and SIGHUP set a cancel; a second one ends the process at
 * once with 128 + signal. SIGPIPE is ignored. Installed once, by main; c must
 * live until interrupt_release.
 */
#ifndef SHALE_CMD_INTERRUPT_H
#define SHALE_CMD_INTERRUPT_H

#include "base/cancel.h"

void interrupt_catch(struct cancel *c);
void interrupt_release(void); /* signals end the process again, as by default */

#endif
