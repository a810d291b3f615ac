/*
 * What the parts of the observer share: the state of one served layer, the
 * thread that answers the kernel, and the two ends of a mount: it is made in
 * this process and attached by the helper in its own mount namespace.
 */
#ifndef SHALE_EXEC_OBSERVE_INTERNAL_H
#define SHALE_EXEC_OBSERVE_INTERNAL_H

#include "base/map.h"
#include "exec/observe.h"
#include <pthread.h>
#include <stdatomic.h>

#define OBSERVE_XATTRS_MAX 32 /* names, of a layer */
#define OBSERVE_ABSENT_MAX 1000000u
#define OBSERVE_ABSENT_BYTES_MAX (64u << 20) /* of their paths */
/* Bytes of a layer's tar above which a tree is made of it when a file is read. */
#define OBSERVE_UNPACKED (8u << 20)
/* What serving a layer may hold open: the device, the mount, its tree or scratch, files of it. */
#define OBSERVE_FDS 8
/* A layer whose files are larger than this on average is read through passthrough. */
#define OBSERVE_LARGE (256u << 10)

/* Slots: 0 is the layer's root directory, i + 1 the listing's entry i. Node ids are slots + 1. */
struct served {
    struct store *store;
    const struct layer *layer;
    const char *seal; /* a name that nobody else can know: looked up when the step is over */
    const atomic_bool *is_over; /* the server is to end */
    int stop;                   /* an eventfd, readable from then on; the observer's */
    bool wants_passthrough;
    int fd;    /* of /dev/fuse; -1: not mounted */
    int mount; /* detached; -1: given away */
    pthread_t thread;
    bool has_thread;

    /* The thread's alone while it runs. */
    uint8_t *kinds;   /* of each slot */
    uint32_t *xattrs; /* of each slot, by bits of names; NULL: none was asked for */
    char *xattr_names[OBSERVE_XATTRS_MAX];
    size_t n_xattr_names;
    struct map *absent; /* paths */
    uint64_t absent_bytes;
    uint64_t requests; /* that want an answer, INIT and the seal aside */
    uint64_t n_read, n_answered;
    unsigned minor; /* of the kernel's protocol, once it said so */
    bool is_passing, is_sealed;
    bool has_too_many; /* absent names or names of xattrs were asked for: they are not all kept */
    struct err failed; /* the first that went wrong */
};

/* ---- the observer, for exec_run ---- */

/*
 * Makes all mounts and starts their servers. no_devices: see struct overlay. may_pass: bytes of
 * large files need not come through us. ERR_UNSUPPORTED with the reason: observer_check says it
 * too.
 */
int observer_start(struct observer *o, bool no_devices, bool may_pass, struct err *err);
/* Ends the servers; what they noted stays. Mounts that are left answer ENOTCONN. */
void observer_stop(struct observer *o);
size_t observer_len(const struct observer *o);
/* The place of l among the mounts; false: it is not observed. o may be NULL. */
bool observer_has(const struct observer *o, const struct layer *l, size_t *ret_i);
int observer_mount(const struct observer *o, size_t i); /* borrowed fd of a detached mount */
void observer_close_mounts(struct observer *o);         /* somebody else has them now */
const char *observer_seal(const struct observer *o);
void observer_was_lost(struct observer *o); /* the helper found a server that had ended */

int observer_device(const struct observer *o, size_t i); /* borrowed fd of /dev/fuse */
unsigned observer_minor(const struct observer *o);       /* of the kernel's protocol */
void observer_want_passthrough(struct observer *o);      /* of all layers, whatever their files */
/* ERR_UNSUPPORTED with what to do about it. */
int observe_open_device(struct err *err);

/* ---- the server ---- */

void *serve_thread(void *served);
/* Remembers the first thing that went wrong. */
void served_fail(struct served *d, const struct err *err);

/* ---- the helper ---- */

/* The mount's directory in the step's: "o0". */
char *observed_dir(const char *dir, size_t i) OWNED(mem_free) NONNULL;
/* Attaches the n mounts that first_fd and those behind it are, and closes those. */
int observed_attach(const char *dir, size_t n, int first_fd, struct err *err);
/* The step is over, nothing is unmounted yet. How many servers did not hear of it. */
size_t observed_seal(const char *dir, size_t n, const char *seal);
void observed_unmount(const char *dir, size_t n);

/* ---- the probe ---- */

void observe_forget(struct store *s); /* it is not as it was */

#endif
