/*
 * Threads that take tasks in order. A group collects the tasks that somebody
 * waits for together and keeps the first error of them.
 *
 *     pool_new -> group_new -> group_run* -> group_wait -> group_free -> pool_free
 *
 * pool_* and group_run may be called from any thread, also from inside a task.
 * group_wait runs waiting tasks of its group itself while it waits, so that nested groups
 * cannot block each other. A task's error does not stop the others; they may
 * look at group_failed and end early.
 */
#ifndef SHALE_BASE_POOL_H
#define SHALE_BASE_POOL_H

#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

struct pool;
struct group;

void pool_free(struct pool *p); /* waits for what runs */
DEFINE_AUTO(struct pool, pool_free);
struct pool *pool_new(unsigned n_threads)
    OWNED(pool_free) NONNULL; /* 0: one per online core, 2..16 */

void group_free(struct group *g); /* waits first */
DEFINE_AUTO(struct group, group_free);
struct group *group_new(struct pool *p) OWNED(group_free) NONNULL;
void group_run(struct group *g, int (*task)(void *arg, struct err *err), void *arg);
bool group_failed(struct group *g);
/* 0, or the code and text of the first task that failed. */
int group_wait(struct group *g, struct err *err);

#endif
