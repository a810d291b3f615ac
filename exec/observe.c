#include "exec/observe_internal.h"

#include "base/fs.h"
#include "base/userns.h"
#include "base/log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <unistd.h>

#define SEAL ".shale-seal-"
#define NAME_LEN_MAX 255 /* of a name, as file systems with trees have it */

enum phase { PHASE_NEW, PHASE_RUNNING, PHASE_FAILED /* to start */, PHASE_OVER };

struct observer {
    struct store *store;
    struct served **served; /* threads have pointers to them */
    size_t n, cap;
    char seal[sizeof(SEAL) + 32];
    int stop;
    atomic_bool is_over;
    enum phase phase;
    bool was_lost;
    struct err start_failed;
};

/* ---- what can be served ---- */

/* Attributes that mean something to the kernel beneath, and so would not mean it here. */
static bool has_strange_xattr(const struct entry *e)
{
    static const char *const strange[] = { "trusted.overlay.", "user.overlay.",
                                           "system.posix_acl_" };

    for (size_t i = 0; i < e->n_xattrs; i++)
        for (size_t j = 0; j < ARRAY_LEN(strange); j++)
            if (str_starts(e->xattrs[i].name, strange[j]))
                return true;
    return false;
}

/* before: the path of the entry before this one; most have its parent, or are in it. */
static bool has_parent(const struct listing *l, const char *path, const char *before)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    struct entry parent;

    if (n == 0)
        return true;
    if (before != NULL && strncmp(before, path, n) == 0 && before[n] == '/' &&
        strchr(before + n + 1, '/') == NULL)
        return true; /* a sibling, whose parent was found */
    AUTO(mem_free) char *dir = str_ndup(path, n);
    return listing_find(l, dir, &parent) && parent.type == ENTRY_DIR;
}

static bool can_serve_entry(const struct listing *l, const struct entry *e, const char *before)
{
    const char *slash = strrchr(e->path, '/');

    if (e->type == ENTRY_WHITEOUT || e->opaque || e->hardlink != NULL || has_strange_xattr(e))
        return false;
    if (*e->path == '\0' && e->type != ENTRY_DIR)
        return false;
    return strlen(slash ? slash + 1 : e->path) <= NAME_LEN_MAX && has_parent(l, e->path, before);
}

bool observe_can_serve(const struct listing *l)
{
    struct entry e;
    const char *before = NULL;

    if (listing_facts(l) & (LISTING_HAS_OPAQUE | LISTING_HAS_LINKS))
        return false;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        if (!can_serve_entry(l, &e, before))
            return false;
        before = e.path;
    }
    return !listing_is_damaged(l);
}

/* ---- making and ending ---- */

static void make_seal(char *ret, size_t size)
{
    unsigned char random[16];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        abort();
    size_t n = (size_t)snprintf(ret, size, SEAL);
    for (size_t i = 0; i < sizeof(random); i++)
        n += (size_t)snprintf(ret + n, size - n, "%02x", random[i]);
}

struct observer *observer_new(struct store *s)
{
    struct observer *o = mem_zalloc(sizeof(*o));

    o->store = s;
    o->stop = -1;
    make_seal(o->seal, sizeof(o->seal));
    return o;
}

static void served_free(struct served *d)
{
    fd_close(d->fd);
    fd_close(d->mount);
    mem_free(d->kinds);
    mem_free(d->xattrs);
    for (size_t i = 0; i < d->n_xattr_names; i++)
        mem_free(d->xattr_names[i]);
    map_free(d->absent);
    mem_free(d);
}

void observer_free(struct observer *o)
{
    if (o == NULL)
        return;
    observer_stop(o);
    for (size_t i = 0; i < o->n; i++)
        served_free(o->served[i]);
    mem_free(o->served);
    fd_close(o->stop);
    mem_free(o);
}

bool observer_has(const struct observer *o, const struct layer *l, size_t *ret_i)
{
    for (size_t i = 0; o != NULL && i < o->n; i++)
        if (o->served[i]->layer == l) {
            *ret_i = i;
            return true;
        }
    return false;
}

void observer_add(struct observer *o, const struct layer *l)
{
    size_t i;

    if (observer_has(o, l, &i))
        return;
    struct served *d = mem_zalloc(sizeof(*d));
    *d = (struct served){ .store = o->store,
                          .layer = l,
                          .seal = o->seal,
                          .is_over = &o->is_over,
                          .stop = -1,
                          .fd = -1,
                          .mount = -1,
                          .kinds = mem_zalloc(listing_len(l->listing) + 1),
                          .absent = map_new(NULL) };
    MEM_ROOM(o->served, o->n, o->cap);
    o->served[o->n++] = d;
}

size_t observer_len(const struct observer *o)
{
    return o->n;
}

int observer_mount(const struct observer *o, size_t i)
{
    return o->served[i]->mount;
}

void observer_close_mounts(struct observer *o)
{
    for (size_t i = 0; i < o->n; i++) {
        fd_close(o->served[i]->mount);
        o->served[i]->mount = -1;
    }
}

const char *observer_seal(const struct observer *o)
{
    return o->seal;
}

int observer_device(const struct observer *o, size_t i)
{
    return o->served[i]->fd;
}

unsigned observer_minor(const struct observer *o)
{
    return o->n > 0 ? o->served[0]->minor : 0;
}

void observer_want_passthrough(struct observer *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->served[i]->wants_passthrough = true;
}

void observer_was_lost(struct observer *o)
{
    o->was_lost = true;
}

/* ---- mounts ---- */

int observe_open_device(struct err *err)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
        return err_set(err, ERR_UNSUPPORTED,
                       "there is no /dev/fuse here: load the kernel's module fuse, or give the "
                       "container that device");
    return err_set(err, ERR_UNSUPPORTED, "/dev/fuse cannot be opened: %s", strerror(errno));
}

static int set(int fs, const char *key, const char *value, struct err *err)
{
    if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) == 0)
        return 0;
    return err_sys(err, errno, "option '%s'", key);
}

/* Everybody in the step may ask; who may see what the overlay above decides. */
static int configure(int fs, int fd, struct err *err)
{
    char number[24], uid[24], gid[24];

    snprintf(number, sizeof(number), "%d", fd);
    snprintf(uid, sizeof(uid), "%u", geteuid());
    snprintf(gid, sizeof(gid), "%u", getegid());
    const char *const options[][2] = {
        { "source", "shale" }, { "fd", number },        { "rootmode", "40000" }, { "user_id", uid },
        { "group_id", gid },   { "allow_other", NULL }, { "ro", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (set(fs, options[i][0], options[i][1], err) < 0)
            return err->code;
    return 0;
}

static int make_mount(int fd, bool no_devices, struct err *err)
{
    AUTO(fd_close) int fs = fsopen("fuse", FSOPEN_CLOEXEC);

    if (fs < 0)
        return err_sys(err, errno, "cannot open the FUSE file system");
    if (configure(fs, fd, err) < 0)
        return err->code;
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return err_sys(err, errno, "cannot make a FUSE file system");
    int mnt = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | (no_devices ? MOUNT_ATTR_NODEV : 0));
    return mnt < 0 ? err_sys(err, errno, "cannot make a FUSE mount") : mnt;
}

static bool is_large(const struct listing *l)
{
    struct entry e;
    size_t files = 0;

    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        files += e.type == ENTRY_FILE;
    }
    return files > 0 && listing_total_size(l) / files > OBSERVE_LARGE;
}

/*
 * The kernel asks its first question in the background, so nobody waits for the thread, which can
 * only read when there is a mount.
 */
static int start_one(struct observer *o, struct served *d, bool no_devices, struct err *err)
{
    sigset_t all, old;

    d->stop = o->stop;
    d->fd = observe_open_device(err);
    if (d->fd < 0)
        return err->code;
    d->mount = make_mount(d->fd, no_devices, err);
    if (d->mount < 0)
        return err->code;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int sys = pthread_create(&d->thread, NULL, serve_thread, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (sys != 0)
        return err_sys(err, sys, "cannot start a thread");
    d->has_thread = true;
    return 0;
}

/* An owner that is not mapped in our user namespace: the kernel would show another. A tree of such
 * a layer cannot be made either, and says so. */
static int check_owners(const struct observer *o, struct err *err)
{
    AUTO(userns_release) struct userns ns = { .is_initial = true };
    struct entry e;

    if (userns_read(&ns, err) < 0)
        return err->code;
    for (size_t i = 0; i < o->n && !ns.is_initial; i++) {
        const struct listing *l = o->served[i]->layer->listing;
        for (size_t k = 0; k < listing_len(l); k++) {
            listing_at(l, k, &e);
            if (!userns_has_uid(&ns, e.uid) || !userns_has_gid(&ns, e.gid))
                return err_set(err, ERR_UNSUPPORTED, "the owner of '/%s' is not mapped here",
                               e.path);
        }
    }
    return 0;
}

/* So that the rest of the build, and other steps beside this one, do not run out of them. */
static int check_fds(const struct observer *o, struct err *err)
{
    struct rlimit limit;
    size_t n_open = 0;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    DIR *d = opendir("/proc/self/fd");
    while (d != NULL && readdir(d) != NULL)
        n_open++;
    if (d != NULL)
        closedir(d);
    if (n_open + o->n * OBSERVE_FDS <= limit.rlim_cur / 2)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "%zu layers are too many to serve with at most %llu open files", o->n,
                   (unsigned long long)limit.rlim_cur);
}

static int start_all(struct observer *o, bool no_devices, bool may_pass, struct err *err)
{
    if (check_owners(o, err) < 0 || check_fds(o, err) < 0)
        return err->code;
    o->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->stop < 0)
        return err_sys(err, errno, "cannot make an eventfd");
    for (size_t i = 0; i < o->n; i++) {
        struct served *d = o->served[i];
        d->wants_passthrough = may_pass && (d->wants_passthrough || is_large(d->layer->listing));
        if (start_one(o, d, no_devices, err) < 0)
            return err->code;
    }
    return 0;
}

int observer_start(struct observer *o, bool no_devices, bool may_pass, struct err *err)
{
    assert(o->phase == PHASE_NEW); /* what another run asked would pass for this one's */
    o->phase = PHASE_RUNNING;
    if (start_all(o, no_devices, may_pass, err) == 0)
        return 0;
    err->code = ERR_UNSUPPORTED;
    err_wrap(err, "steps cannot be observed");
    observer_stop(o);
    o->phase = PHASE_FAILED;
    err_copy(&o->start_failed, err);
    return err->code;
}

/* The fd is closed last: with it the kernel ends what is still mounted. */
void observer_stop(struct observer *o)
{
    if (o->phase != PHASE_RUNNING)
        return;
    o->phase = PHASE_OVER;
    atomic_store(&o->is_over, true);
    if (o->stop >= 0 && eventfd_write(o->stop, 1) < 0)
        log_debug("exec", "cannot tell the servers to end");
    for (size_t i = 0; i < o->n; i++) {
        struct served *d = o->served[i];
        if (d->has_thread)
            pthread_join(d->thread, NULL);
        d->has_thread = false;
        fd_close(d->fd);
        d->fd = -1;
    }
    observer_close_mounts(o);
}

/* ---- results ---- */

void served_fail(struct served *d, const struct err *err)
{
    if (d->failed.code == ERR_NONE)
        err_copy(&d->failed, err);
}

static int check_one(const struct served *d, struct err *err)
{
    if (d->failed.code != ERR_NONE)
        err_copy(err, &d->failed);
    else if (!d->is_sealed)
        err_set(err, ERR_IO, "its server ended before the step did");
    else if (d->n_read != d->n_answered)
        err_set(err, ERR_IO, "%llu requests were not answered",
                (unsigned long long)(d->n_read - d->n_answered));
    else if (listing_is_damaged(d->layer->listing))
        err_set(err, ERR_CORRUPT, "its listing is damaged");
    else
        return 0;
    err->code = ERR_IO;
    return err_wrap(err, "observing layer '%s'", DIGEST_S(&d->layer->diff_id.d));
}

bool observer_has_failed(const struct observer *o)
{
    bool failed = o->was_lost;

    for (size_t i = 0; i < o->n; i++)
        failed = failed || o->served[i]->failed.code != ERR_NONE;
    return failed;
}

int observer_check(const struct observer *o, struct err *err)
{
    if (o->phase == PHASE_FAILED)
        return err_copy(err, &o->start_failed);
    if (o->phase != PHASE_OVER)
        return err_set(err, ERR_IO, "the step did not run");
    for (size_t i = 0; i < o->n; i++)
        if (check_one(o->served[i], err) < 0)
            return err->code;
    if (o->was_lost)
        return err_set(err, ERR_IO, "a server of observed layers ended before the step did");
    for (size_t i = 0; i < o->n; i++)
        if (o->served[i]->has_too_many)
            return err_set(err, ERR_UNSUPPORTED, "more names were asked for than are kept");
    return 0;
}

uint64_t observer_requests(const struct observer *o)
{
    uint64_t n = 0;

    for (size_t i = 0; i < o->n; i++)
        n += o->served[i]->requests;
    return n;
}

static int by_path(const void *a, const void *b)
{
    const char *const *pa = a, *const *pb = b;

    return path_cmp(*pa, *pb);
}

/* Absent paths in the order of listings; borrowed. */
static const char **sort_absent(const struct served *d)
{
    const char **v = mem_calloc(map_len(d->absent) + 1, sizeof(*v));
    size_t n = 0;

    for (size_t i = 0; map_next(d->absent, &i, &v[n], NULL);)
        n++;
    qsort(v, n, sizeof(*v), by_path);
    return v;
}

/* What each slot is called, in order; a root that the listing has is slot 0 all the same. */
static const char *slot_path(const struct served *d, size_t slot)
{
    struct entry e;

    if (slot == 0)
        return "";
    listing_at(d->layer->listing, slot - 1, &e);
    return e.path;
}

static int give_slot(const struct served *d, size_t slot, const char *path, observed_fn fn,
                     void *arg, struct err *err)
{
    const char *names[OBSERVE_XATTRS_MAX];
    struct observed x = { .path = path, .kinds = d->kinds[slot], .xattrs = names };
    uint32_t bits = d->xattrs ? d->xattrs[slot] : 0;

    for (size_t i = 0; i < d->n_xattr_names; i++)
        if (bits & (UINT32_C(1) << i))
            names[x.n_xattrs++] = d->xattr_names[i];
    return fn(arg, &x, err);
}

static int give_absent(const char *path, observed_fn fn, void *arg, struct err *err)
{
    struct observed x = { .path = path, .kinds = OBSERVE_NEG };

    return fn(arg, &x, err);
}

static int each_of(const struct served *d, observed_fn fn, void *arg, struct err *err)
{
    AUTO(mem_free) const char **absent = sort_absent(d);
    size_t n_slots = listing_len(d->layer->listing) + 1;
    const char **next = absent;
    int r = 0;

    for (size_t slot = 0; r == 0 && slot < n_slots; slot++) {
        if (d->kinds[slot] == 0)
            continue;
        const char *path = slot_path(d, slot);
        while (r == 0 && *next != NULL && path_cmp(*next, path) < 0)
            r = give_absent(*next++, fn, arg, err);
        if (r == 0)
            r = give_slot(d, slot, path, fn, arg, err);
    }
    while (r == 0 && *next != NULL)
        r = give_absent(*next++, fn, arg, err);
    return r;
}

int observer_each(const struct observer *o, const struct layer *l, observed_fn fn, void *arg,
                  struct err *err)
{
    size_t i;

    return observer_has(o, l, &i) ? each_of(o->served[i], fn, arg, err) : 0;
}
