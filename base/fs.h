/*
 * Files by directory fd. Every fd made here is O_CLOEXEC. Paths that come from
 * somebody else (a context, an image, a layer) go through inroot_*, which
 * never leaves the root (openat2 RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS):
 * absolute links mean the root, ".." stops there. Paths of our own go through
 * the plain *at calls. Any thread.
 */
#ifndef SHALE_BASE_FS_H
#define SHALE_BASE_FS_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

static inline void fd_close_at(int *fd);
void fd_close(int fd); /* -1 is fine; keeps errno */
static inline void fd_close_at(int *fd)
{
    fd_close(*fd);
}

int fd_read_full(int fd, void *p, size_t n, size_t *ret_n,
                 struct err *err); /* short only at the end */
int fd_write_full(int fd, const void *p, size_t n, struct err *err);
/* From the current offset to the end, into ret (cleared first); more than max bytes is ERR_CORRUPT.
 */
int fd_read_all(int fd, size_t max, struct buf *ret, struct err *err);
/* The rest of from to to: copy_file_range where it works, else by hand. */
int fd_copy(int from, int to, uint64_t *ret_n, struct err *err);

/* Reads a file of our own or of the user's; follows links. */
int file_read(int dirfd, const char *path, size_t max, struct buf *ret, struct err *err);
/*
 * Replaces path atomically (temporary file beside it, rename) with a file of exactly this mode;
 * sync: fsync file and directory. A link at path is followed, its target replaced; a device, FIFO
 * or directory is refused. User's paths only, where links are: not for paths of others.
 */
int file_replace(int dirfd, const char *path, const void *p, size_t n, mode_t mode, bool sync,
                 struct err *err);
/* mkdir -p; what exists is fine if it is a directory. */
int dir_make(int dirfd, const char *path, mode_t mode, struct err *err);
int dir_open(int dirfd, const char *path, struct err *err); /* fd, or negative code */
/*
 * rm -rf of name below dirfd; never follows links, never crosses into mounts; missing is fine. What
 * cannot be removed is left, the rest is removed, and the first such error returned. Any depth,
 * three fds.
 */
int tree_remove(int dirfd, const char *name, struct err *err);
int fd_sync(int fd, struct err *err);

/*
 * A file that appears under its name whole and synced, or never:
 * pubfile_open -> write to pubfile_fd -> pubfile_publish -> pubfile_free.
 * O_TMPFILE where the file system has it (a crash leaves nothing), else a
 * temporary name in the same directory. An existing name is success: the file
 * that is there wins.
 */
struct pubfile;
void pubfile_free(struct pubfile *f);
DEFINE_AUTO(struct pubfile, pubfile_free);
struct pubfile *pubfile_open(int dirfd, mode_t mode, struct err *err) OWNED(pubfile_free);
int pubfile_fd(const struct pubfile *f);
/* subdir: directory below dirfd that name is put in, made when missing; "" for dirfd itself. */
int pubfile_publish(struct pubfile *f, const char *subdir, const char *name, bool sync,
                    struct err *err);

/* openat2 in root. Fails with ERR_NOT_FOUND for ENOENT/ENOTDIR; fd or negative code. */
int inroot_open(int rootfd, const char *path, int flags, mode_t mode, struct err *err);
/*
 * The parent of path, links in it followed in-root; *ret_leaf points into path. ERR_USAGE where the
 * last component would be "", "." or ".." ("/", "a/", "a/.."): used with the fd those follow a link
 * or leave the root.
 */
int inroot_open_parent(int rootfd, const char *path, const char **ret_leaf, struct err *err);
/*
 * mkdir -p in-root, links followed, dangling ones too (their target is made); what is made has
 * exactly this mode. fd of the last directory or negative code.
 */
int inroot_make_dir(int rootfd, const char *path, mode_t mode, struct err *err);
/* A regular file's content, links followed in-root; FIFOs and devices are refused, max enforced. */
int inroot_read(int rootfd, const char *path, size_t max, struct buf *ret, struct err *err);

/*
 * Pure text. path_clean: as Go's path.Clean: no "//", "." or "x/..", no
 * trailing slash; "" gives "."; a rooted path never goes above its root.
 */
char *path_clean(const char *path) OWNED(mem_free) NONNULL;
/* base + "/" + path, cleaned; an absolute path stands alone. */
char *path_join(const char *base, const char *path) OWNED(mem_free) NONNULL;
const char *path_base(const char *path);                  /* after the last slash; borrowed */
char *path_dir(const char *path) OWNED(mem_free) NONNULL; /* as Go's path.Dir */
/* Order in which a directory comes straight before everything below it: '/' sorts lowest. */
int path_cmp(const char *a, const char *b);
bool path_is_below(const char *path,
                   const char *dir); /* strictly; dir "" holds everything but "" */

/* Free and total bytes of the file system that fd is on. */
int fs_space(int fd, uint64_t *ret_free, uint64_t *ret_total, struct err *err);

#endif
