/*
 * What the files of one context last hashed to, remembered by (device, inode,
 * size, mtime, ctime): an unchanged file is not read again. Same size and same
 * mtime is not enough: the ctime decides, and a file whose ctime lies within
 * the clock's granularity of the moment it was hashed is not remembered at all
 * (git's rule for "racily clean" entries; BuildKit #4950 is what happens
 * without). Each row carries an XXH3 check of itself; a damaged or foreign
 * file is an empty memory.
 *
 *     memory_open -> memory_find* -> memory_put* (all rows of this scan) -> memory_save ->
 * memory_free
 *
 * One thread. Lives in the store's memory/ directory, one file a context.
 */
#ifndef SHALE_CACHE_DIGEST_MEMORY_H
#define SHALE_CACHE_DIGEST_MEMORY_H

#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <sys/stat.h>

struct memory;
void memory_free(struct memory *m);
DEFINE_AUTO(struct memory, memory_free);
/* name: one file name in dirfd. Never fails: what cannot be read is empty. */
struct memory *memory_open(int dirfd, const char *name) OWNED(memory_free);
/* True: the file is as it was when hashed; *ret_plain: it had no xattrs then. */
bool memory_find(const struct memory *m, const struct stat *st, struct digest *ret,
                 bool *ret_plain);
/* hashed_ns: wall clock in ns just before the file's bytes were read. */
void memory_put(struct memory *m, const struct stat *st, const struct digest *d, bool plain,
                int64_t hashed_ns);
/* Takes a row that memory_find gave over into the new table. */
void memory_keep(struct memory *m, const struct stat *st);
/* Replaces the file when anything was put or dropped. */
int memory_save(struct memory *m, struct err *err);

#endif
