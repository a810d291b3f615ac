/*
 * Mount points that a step needs and its root file system lacks: made before
 * it, taken away after it, with the times of the directories around them as if
 * nothing had been. The step may have replaced anything meanwhile: what is
 * taken away is what was made, by inode, through the directory it was made in,
 * and only while it is empty. For the helper process; one thread.
 */
#ifndef SHALE_EXEC_STUB_INTERNAL_H
#define SHALE_EXEC_STUB_INTERNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

struct stubs;
void stubs_free(struct stubs *s); /* closes what it holds, removes nothing */
DEFINE_AUTO(struct stubs, stubs_free);
struct stubs *stubs_new(int rootfd) OWNED(stubs_free); /* rootfd is borrowed */

/*
 * Sees to it that path, relative to the root and without links in it, is there: a directory, or
 * else anything. Missing directories above it are made and become stubs too. ERR_UNSUPPORTED when
 * something else is in its way.
 */
int stubs_make(struct stubs *s, const char *path, bool is_dir, struct err *err);
/* When path has just been made by stubs_make: the mode that it shall have (else 0755, 0644). */
void stubs_set_mode(struct stubs *s, const char *path, unsigned mode);
/* Removes what is as it was made, last first; *ret_paths (cleared) are those removed. */
void stubs_remove(struct stubs *s, struct strv *ret_paths);

#endif
