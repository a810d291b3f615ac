/*
 * Scratch of one process: work/<boot>-<pid>-<n>, removed by work_free. Its
 * lease is a lock on a file in it that dies with the process; store_open
 * removes directories whose lock can be had. Freed before its store is closed.
 * work_subdir from any thread.
 */
#ifndef SHALE_STORE_WORK_H
#define SHALE_STORE_WORK_H

#include "store/store.h"

struct work;
void work_free(struct work *w);
DEFINE_AUTO(struct work, work_free);
struct work *work_open(struct store *s, struct err *err) OWNED(work_free);
int work_dirfd(const struct work *w);
const char *work_path(const struct work *w); /* absolute */
const char *work_name(const struct work *w); /* "<boot>-<pid>-<n>": unique on this machine */
/* A new empty directory in it, mode 0700; its name relative to work_dirfd. */
char *work_subdir(struct work *w, const char *prefix, struct err *err) OWNED(mem_free);

#endif
