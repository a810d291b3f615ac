/* Ends the process with one line; for failures that no caller could do anything about. Inside base/
 * only. */
#ifndef SHALE_BASE_MEM_INTERNAL_H
#define SHALE_BASE_MEM_INTERNAL_H

_Noreturn void die(const char *what);

#endif
