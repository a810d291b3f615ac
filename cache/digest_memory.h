/*
 * What the files of one context last hashed to, remembered by (file system,
 * inode, size, mtime, ctime, mode): an unchanged file is not read again. Same
 * size and same mtime is not enough: the ctime decides, which nobody can set.
 * So a file is remembered only where the ctime can be trusted:
 *
 * - not when it lies within the clock's granularity of the moment the file was hashed, or after
 *   that moment (git's rule for "racily clean" entries; BuildKit #4950 is what happens without);
 *   where a server's clock gives the times, within an hour;
 * - only on file systems that are known to keep a ctime of their own: not on one that makes it up
 *   (FAT, FUSE, images that are only read), nor on one that nobody has looked at;
 * - and nothing at all when the clock stands before the moment of the last save.
 *
 * A number of a device that comes back for another file system is told by the file system's id.
 * Each row carries an XXH3 check of itself; a damaged or foreign file is an empty memory. Rows that
 * no scan met for a month go, at once those that a scan of everything did not meet; and there are
 * never many more of them than of the others.
 *
 * What this cannot see, as git, make and rsync cannot: a program that has a file mapped and writes
 * to it again moves its mtime and ctime when the kernel next writes the page out, or never (tmpfs).
 * Until then the digest is the old one. When such a file is copied that is noticed, and the memory
 * is dropped (context_forget); --no-cache drops it first.
 *
 *     memory_open -> memory_find* (any thread) -> memory_put* -> memory_save -> memory_free
 *
 * Lives in the store's memory/ directory, one file a context.
 */
#ifndef SHALE_CACHE_DIGEST_MEMORY_H
#define SHALE_CACHE_DIGEST_MEMORY_H

#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <sys/stat.h>

/* The file system that a file is on. */
struct volume {
    uint64_t dev, id;  /* id: its own, from statfs */
    int64_t margin_ns; /* how long ago a change must be to be certain; < 0: nothing is */
};
/* Of a directory that is open. */
void volume_of(int fd, const struct stat *st, struct volume *ret);

struct memory;
void memory_free(struct memory *m);
DEFINE_AUTO(struct memory, memory_free);
/* name: one file name in dirfd. Never fails: what cannot be read is empty. */
struct memory *memory_open(int dirfd, const char *name) OWNED(memory_free);
/* True: the file is as it was when hashed; *ret_plain: it had no xattrs then. Any thread. */
bool memory_find(const struct memory *m, const struct volume *v, const struct stat *st,
                 struct digest *ret, bool *ret_plain);
/* hashed_ns: wall clock in ns just before the file's bytes and xattrs were read. */
void memory_put(struct memory *m, const struct volume *v, const struct stat *st,
                const struct digest *d, bool plain, int64_t hashed_ns);
/* Replaces the file when something was put; what was found stays. whole: all that is there was
 * asked for, so that what was not found is not there. */
int memory_save(struct memory *m, bool whole, struct err *err);

#endif
