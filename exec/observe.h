/*
 * Observing a step: what it looked at in soft layers. Each such layer is
 * served by a read-only FUSE file system of ours, straight from its listing
 * and blob (a large one is unpacked when it is read), in its place in the overlay. The kernel
 * keeps each answer for the life of the mount, so each question comes once;
 * what was asked is kept as a few bits per entry and a set of absent names,
 * never as a stream of events that could overflow.
 *
 *     observer_new -> observer_add* -> exec_spec.observer, exec_run
 *     -> observer_check -> observer_each -> observer_free
 *
 * One observer is for one run of one step: a mount that had served another
 * would have answers in the kernel that nobody would see being asked.
 * The server is threads of this process, outside of the step's namespaces; it
 * never touches what it serves. When it ends before the step does, file
 * operations fail with ENOTCONN and a tolerant script may go on: observer_check
 * then fails and what the step gave is worth nothing.
 *
 * What a process can see and no key has is the same for equal layers: inode
 * numbers come from paths (31 bits of a hash, no two alike), directories are sorted, have size 4096
 * and one link, all times of an entry are its mtime. One thing is seen without being asked for: the
 * times of a file that was looked up, by who calls statx with AT_STATX_DONT_SYNC.
 *
 * Protocol: linux/fuse.h, 7.31 or later. Needs /dev/fuse and fsopen (Linux
 * 5.2); in a user namespace Linux 4.18's rules for FUSE hold.
 */
#ifndef SHALE_EXEC_OBSERVE_H
#define SHALE_EXEC_OBSERVE_H

#include "base/err.h"
#include "base/own.h"
#include "store/layer.h"

/*
 * What is recorded, and what is made constant, in which way: another number when either changes, as
 * traces of then say nothing about now. Part of run ids.
 */
#define OBSERVE_VERSION 1

/* Kinds of questions, ored; cache/questions.h says what their answers are. */
enum observe_kind {
    OBSERVE_EXIST = 1, /* a name was looked up and is there */
    OBSERVE_STAT = 2,
    OBSERVE_READ = 4,
    OBSERVE_LIST = 8,
    OBSERVE_LINK = 16,   /* where a symbolic link leads */
    OBSERVE_XLIST = 32,  /* the names of its xattrs */
    OBSERVE_NEG = 64,    /* a name was looked up and is not there */
    OBSERVE_XATTR = 128, /* xattrs by name: struct observed.xattrs */
};

/* One path that was asked about; borrowed for the call. */
struct observed {
    const char *path; /* as in listings; "" is the layer's root */
    unsigned kinds;   /* enum observe_kind */
    const char *const *xattrs;
    size_t n_xattrs;
};
typedef int (*observed_fn)(void *arg, const struct observed *x, struct err *err);

/*
 * Whether such a layer can be served: no file with several names, no whiteout, no opaque directory,
 * no directory without an entry of its own, no xattr of overlayfs, no access control list. Looks at
 * each entry. Else it is mounted as a tree, and enters keys whole.
 */
bool observe_can_serve(const struct listing *l);

struct observer;
void observer_free(struct observer *o); /* stops the server */
DEFINE_AUTO(struct observer, observer_free);
struct observer *observer_new(struct store *s) OWNED(observer_free) NONNULL;
/* l (observe_can_serve) is to be served wherever the step has it: below it, or in a mount. Borrowed
 * from the store. */
void observer_add(struct observer *o, const struct layer *l);

/*
 * After exec_run. ERR_IO, with the reason: the server ended before the step, a request was not
 * answered, bytes could not be read, or something was asked after the step; what the step gave is
 * worth nothing. ERR_UNSUPPORTED: nothing is known of what was asked, but the result is as good as
 * any: it could not be started, and the step ran on trees, or more absent names (a million, or
 * 64 MiB of them) or names of xattrs (32 of a layer) were asked for than are kept.
 */
int observer_check(const struct observer *o, struct err *err);
/* Of a step that could not be run to its end: whether a server was the reason, as far as is known.
 */
bool observer_has_failed(const struct observer *o);
/* What was asked of that layer, in the order of listings. fn returns 0, or a code that ends it. */
int observer_each(const struct observer *o, const struct layer *l, observed_fn fn, void *arg,
                  struct err *err);
uint64_t observer_requests(const struct observer *o); /* of the kernel, all layers together */

/*
 * Whether steps can be observed here: really mounts a layer of one file below an overlay and reads
 * it. 0, with *ret_how (owned) for people; ERR_UNSUPPORTED with the reason. The answer is kept in
 * the store for this boot.
 */
int observe_probe(struct store *s, char **ret_how, struct err *err);

#endif
