/* Shared by the fs modules. Inside base/ only. */
#ifndef SHALE_BASE_FS_INTERNAL_H
#define SHALE_BASE_FS_INTERNAL_H

#include <linux/openat2.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TEMP_NAME_LEN 24
#define MAX_LINKS 40 /* as the kernel */

/* ".tmp-" and 16 random hex digits. */
void temp_name(char ret[TEMP_NAME_LEN]);
/* A new file of mode 0600, open for reading and writing; -1 with errno. */
int temp_open(int dirfd, char ret_name[TEMP_NAME_LEN]);
/* The system call; tries again while the kernel says EAGAIN (a rename went on meanwhile). -1 with
 * errno. */
int sys_openat2(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve);

#endif
