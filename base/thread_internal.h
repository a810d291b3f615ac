/* Inside base/ only. */
#ifndef SHALE_BASE_THREAD_INTERNAL_H
#define SHALE_BASE_THREAD_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

/* A thread that no signal is delivered to: handlers run on the program's own threads. False: none
 * to be had. */
bool thread_start(pthread_t *ret, void *(*run)(void *), void *arg);

#endif
