/*
 * What of the FUSE protocol younger headers have and linux/fuse.h of Debian 12
 * has not: under names of our own, so that both can be there. The numbers are
 * the kernel's.
 */
#ifndef SHALE_EXEC_OBSERVE_PROTOCOL_INTERNAL_H
#define SHALE_EXEC_OBSERVE_PROTOCOL_INTERNAL_H

#include <linux/fuse.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define FUSE_MINOR_MIN 31u /* of protocol 7: Linux 5.4 */
#define FUSE_MINOR_MAX 45u /* the newest that we say we know */

/* Of fuse_init_in and fuse_init_out, flags and flags2 as one number. Since 7.40. */
#define FUSE_INIT_PASSTHROUGH (UINT64_C(1) << 37)

struct fuse_init_answer {
    uint32_t major, minor;
    uint32_t max_readahead;
    uint32_t flags;
    uint16_t max_background, congestion_threshold;
    uint32_t max_write;
    uint32_t time_gran;
    uint16_t max_pages, map_alignment;
    uint32_t flags2;
    uint32_t max_stack_depth;
    uint32_t unused[6];
};
_Static_assert(sizeof(struct fuse_init_answer) == 64, "the kernel knows no other size");

/* Of fuse_open_out. */
#define FUSE_OPENED_PASSTHROUGH (1u << 7)
struct fuse_open_answer {
    uint64_t fh;
    uint32_t open_flags;
    int32_t backing_id;
};
_Static_assert(sizeof(struct fuse_open_answer) == 16, "the kernel knows no other size");

struct fuse_backing {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
/* Gives a number for a file that reads go to; in the first user namespace with CAP_SYS_ADMIN only.
 */
#define FUSE_BACKING_OPEN _IOW(229, 1, struct fuse_backing)

#endif
