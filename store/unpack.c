#include "store/unpack.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/userns.h"
#include "image/layer_tar.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define ODD_NAME "unpack-odd"

struct unpack {
    int root, scratch;
    struct userns ns;
    const struct listing *listing;
    bool *is_made;    /* by index: files whose bytes are there */
    size_t n_missing; /* files whose bytes are not */
    char *parent;     /* path of what parent_fd is */
    int parent_fd;
    struct map *odd; /* hex digest -> indices of missing files; made when first needed */
    struct hasher *hasher;
    char *chunk;
};

static void unpack_release(struct unpack *u)
{
    mem_free(u->is_made);
    mem_free(u->parent);
    fd_close(u->parent_fd);
    map_free(u->odd);
    hasher_free(u->hasher);
    mem_free(u->chunk);
    userns_release(&u->ns);
}
DEFINE_AUTO_VALUE(struct unpack, unpack_release);

/* EPERM and the like: what only root may do. */
static int refused(const struct entry *e, int sys, const char *what, struct err *err)
{
    err_sys(err, sys, "cannot %s '/%s'", what, e->path);
    if (sys == EPERM || sys == EACCES) {
        err->code = ERR_UNSUPPORTED;
        if (geteuid() != 0)
            err_wrap(err, "unpacking this layer needs root");
    } else {
        err->code = ERR_IO;
    }
    return err->code;
}

/*
 * The fd of the directory that path is in, kept for the next entry. Listing
 * order makes it the same one for a whole directory of files. All that is on
 * the way was made by us: no link is among it.
 */
static int parent_of(struct unpack *u, const char *path, const char **ret_leaf, struct err *err)
{
    const char *leaf = path_base(path);
    size_t len = leaf > path ? (size_t)(leaf - path) - 1 : 0;

    if (u->parent == NULL || strlen(u->parent) != len || memcmp(u->parent, path, len) != 0) {
        char *parent = str_ndup(path, len);
        int fd = inroot_open(u->root, parent, O_RDONLY | O_DIRECTORY, 0, err);
        if (fd == ERR_NOT_FOUND) {
            err_clear(err);
            fd = inroot_make_dir(u->root, parent, 0755, err);
        }
        if (fd < 0) {
            mem_free(parent);
            return err_wrap(err, "cannot unpack '/%s'", path);
        }
        mem_free(u->parent);
        fd_close(u->parent_fd);
        u->parent = parent;
        u->parent_fd = fd;
    }
    *ret_leaf = leaf;
    return u->parent_fd;
}

/* Metadata. */

static bool is_overlay_xattr(const char *name)
{
    return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

/* Nobody in a user namespace, where such attributes can't be set, sees any either. */
static bool is_out_of_sight(const struct unpack *u, const char *name)
{
    return !u->ns.is_initial && str_starts(name, "trusted.");
}

/*
 * fd >= 0: on it, else on leaf in dir without following it. A file system that
 * has no such xattrs is no error; the listing knows them all the same.
 */
static int set_xattr(const struct entry *e, int fd, int dir, const char *leaf,
                     const struct entry_xattr *x, struct err *err)
{
    char path[64 + NAME_MAX];
    int r;

    if (fd >= 0) {
        r = fsetxattr(fd, x->name, x->value, x->len, 0);
    } else {
        snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, leaf);
        r = lsetxattr(path, x->name, x->value, x->len, 0);
    }
    if (r == 0)
        return 0;
    if (errno == EOPNOTSUPP || (errno == EPERM && fd < 0)) {
        log_debug("store", "xattr %s of '/%s': %s", x->name, e->path, strerror(errno));
        return 0;
    }
    return refused(e, errno, "set an xattr of", err);
}

static int set_xattrs(const struct unpack *u, const struct entry *e, int fd, int dir,
                      const char *leaf, struct err *err)
{
    const char *opaque =
        u->ns.is_initial ? "trusted.overlay.opaque" : "user.overlay.opaque"; /* by "userxattr" */

    for (size_t i = 0; i < e->n_xattrs; i++)
        if (!is_overlay_xattr(e->xattrs[i].name) && !is_out_of_sight(u, e->xattrs[i].name) &&
            set_xattr(e, fd, dir, leaf, &e->xattrs[i], err) < 0)
            return err->code;
    if (e->type != ENTRY_DIR || !e->opaque)
        return 0;
    if (fsetxattr(fd, opaque, "y", 1, 0) < 0)
        return refused(e, errno, "mark as opaque the directory", err);
    return 0;
}

static void times_of(const struct entry *e, struct timespec ret[2])
{
    ret[0] = ret[1] = (struct timespec){ .tv_sec = e->mtime, .tv_nsec = e->mtime_ns };
}

/* After a chown that failed. */
static int refused_owner(const struct unpack *u, const struct entry *e, int sys, struct err *err)
{
    if (userns_has_uid(&u->ns, e->uid) && userns_has_gid(&u->ns, e->gid))
        return refused(e, sys, "set the owner of", err);
    return err_set(
        err, ERR_UNSUPPORTED,
        "'/%s' belongs to %u:%u, which this user namespace does not have: map more users "
        "and groups into it (newuidmap, newgidmap), or run shale as root",
        e->path, (unsigned)e->uid, (unsigned)e->gid);
}

/* The owner first: it takes setuid bits and capabilities away. */
static int set_metadata(const struct unpack *u, const struct entry *e, int fd, struct err *err)
{
    struct timespec times[2];

    times_of(e, times);
    if (fchown(fd, e->uid, e->gid) < 0)
        return refused_owner(u, e, errno, err);
    if (fchmod(fd, e->mode & 07777) < 0)
        return refused(e, errno, "set the mode of", err);
    if (set_xattrs(u, e, fd, -1, NULL, err) < 0)
        return err->code;
    return futimens(fd, times) < 0 ? refused(e, errno, "set the time of", err) : 0;
}

/* The same for what cannot be opened: links, devices, FIFOs. */
static int set_metadata_at(const struct unpack *u, const struct entry *e, int dir, const char *leaf,
                           struct err *err)
{
    struct timespec times[2];

    times_of(e, times);
    if (fchownat(dir, leaf, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return refused_owner(u, e, errno, err);
    /* Follows no link: there is none, we made the entry a moment ago in a directory of ours. */
    if (e->type != ENTRY_LINK && fchmodat(dir, leaf, e->mode & 07777, 0) < 0)
        return refused(e, errno, "set the mode of", err);
    if (set_xattrs(u, e, -1, dir, leaf, err) < 0)
        return err->code;
    if (utimensat(dir, leaf, times, AT_SYMLINK_NOFOLLOW) < 0)
        return refused(e, errno, "set the time of", err);
    return 0;
}

/* First pass: all that is no file. */

static int make_dir(struct unpack *u, const struct entry *e, struct err *err)
{
    const char *leaf;

    if (*e->path == '\0')
        return 0; /* root itself */
    int dir = parent_of(u, e->path, &leaf, err);
    if (dir < 0)
        return dir;
    return mkdirat(dir, leaf, 0700) < 0 ? refused(e, errno, "make directory", err) : 0;
}

static int make_link(struct unpack *u, const struct entry *e, struct err *err)
{
    const char *leaf;
    int dir = parent_of(u, e->path, &leaf, err);

    if (dir < 0)
        return dir;
    if (symlinkat(e->target, dir, leaf) < 0)
        return refused(e, errno, "make link", err);
    return set_metadata_at(u, e, dir, leaf, err);
}

static int make_node(struct unpack *u, const struct entry *e, mode_t type, struct err *err)
{
    const char *leaf;
    int dir = parent_of(u, e->path, &leaf, err);

    if (dir < 0)
        return dir;
    if (mknodat(dir, leaf, type, makedev(e->dev_major, e->dev_minor)) < 0) {
        if (errno != EPERM || u->ns.is_initial)
            return refused(e, errno, "make device", err);
        log_debug("store", "device '/%s' is left out: none can be made in a user namespace",
                  e->path);
        return 0;
    }
    return set_metadata_at(u, e, dir, leaf, err);
}

static int make_char(struct unpack *u, const struct entry *e, struct err *err)
{
    if (e->dev_major != 0 || e->dev_minor != 0)
        return make_node(u, e, S_IFCHR | 0600, err);
    log_warn("store", "the layer's device 0:0 '/%s' is left out: it would hide what is below it",
             e->path);
    return 0;
}

static int make_block(struct unpack *u, const struct entry *e, struct err *err)
{
    return make_node(u, e, S_IFBLK | 0600, err);
}

static int make_fifo(struct unpack *u, const struct entry *e, struct err *err)
{
    return make_node(u, e, S_IFIFO | 0600, err);
}

static int make_whiteout(struct unpack *u, const struct entry *e, struct err *err)
{
    const char *leaf;
    int dir = parent_of(u, e->path, &leaf, err);

    if (dir < 0)
        return dir;
    if (mknodat(dir, leaf, S_IFCHR, makedev(0, 0)) < 0)
        return refused(e, errno, "make whiteout", err);
    return 0;
}

static const struct {
    enum entry_type type;
    int (*make)(struct unpack *u, const struct entry *e, struct err *err);
} kinds[] = {
    { ENTRY_DIR, make_dir },     { ENTRY_LINK, make_link }, { ENTRY_CHAR, make_char },
    { ENTRY_BLOCK, make_block }, { ENTRY_FIFO, make_fifo }, { ENTRY_WHITEOUT, make_whiteout },
};

static int make_skeleton(struct unpack *u, struct err *err)
{
    struct entry e;

    for (size_t i = 0; i < listing_len(u->listing); i++) {
        listing_at(u->listing, i, &e);
        if (e.type == ENTRY_FILE)
            u->n_missing += e.hardlink == NULL;
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            if (kinds[k].type == e.type && kinds[k].make(u, &e, err) < 0)
                return err->code;
    }
    return 0;
}

/* Second pass: bytes. */

static int write_bytes(struct unpack *u, struct tar_reader *tar, const struct entry *member, int fd,
                       struct digest *ret, struct err *err)
{
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = tar_reader_read(tar, u->chunk, CHUNK, err)) != 0) {
        if (n < 0) {
            r = (int)n;
        } else {
            hasher_add(u->hasher, u->chunk, (size_t)n);
            r = fd_write_full(fd, u->chunk, (size_t)n, err);
        }
    }
    hasher_end(u->hasher, ret);
    return r < 0 ? err_wrap(err, "cannot unpack '/%s'", member->path) : 0;
}

static int done(struct unpack *u, size_t i, const struct entry *e, int fd, struct err *err)
{
    if (set_metadata(u, e, fd, err) < 0)
        return err->code;
    u->is_made[i] = true;
    u->n_missing--;
    return 0;
}

struct indices {
    size_t *v, n, cap;
    size_t first; /* those before it are made */
};

static void indices_free(void *p)
{
    struct indices *x = p;

    mem_free(x->v);
    mem_free(x);
}

/* Files by digest, for bytes that come under another name than the listing's. */
static struct indices *find_odd(struct unpack *u, const struct digest *d)
{
    struct entry e;

    if (u->odd == NULL) {
        u->odd = map_new(indices_free);
        for (size_t i = 0; i < listing_len(u->listing); i++) {
            listing_at(u->listing, i, &e);
            if (e.type != ENTRY_FILE || e.hardlink != NULL)
                continue;
            struct indices *x = map_get(u->odd, DIGEST_HEX(&e.content));
            if (x == NULL) {
                x = mem_zalloc(sizeof(*x));
                map_set(u->odd, DIGEST_HEX(&e.content), x);
            }
            MEM_ROOM(x->v, x->n, x->cap);
            x->v[x->n++] = i;
        }
    }
    return map_get(u->odd, DIGEST_HEX(d));
}

/* What is at dir/name has bytes of digest d: to where such are missing, else away. */
static int place_odd(struct unpack *u, int dir, const char *name, int fd, const struct digest *d,
                     struct err *err)
{
    struct indices *x = find_odd(u, d);
    const char *leaf;
    struct entry e;

    while (x != NULL && x->first < x->n && u->is_made[x->v[x->first]])
        x->first++;
    if (x != NULL && x->first < x->n) {
        size_t i = x->v[x->first];
        listing_at(u->listing, i, &e);
        int to = parent_of(u, e.path, &leaf, err);
        if (to < 0)
            return to;
        if (renameat2(dir, name, to, leaf, RENAME_NOREPLACE) < 0)
            return refused(&e, errno, "make file", err);
        return done(u, i, &e, fd, err);
    }
    if (unlinkat(dir, name, 0) < 0)
        return err_sys(err, errno, "cannot remove '%s'", name);
    return 0;
}

/* A name that the listing has a file of this size for is written in place, all others aside. */
static int unpack_file(struct unpack *u, struct tar_reader *tar, const struct entry *member,
                       struct err *err)
{
    struct entry e;
    struct digest d;
    size_t i, end;
    const char *leaf = ODD_NAME;
    int dir = u->scratch;
    bool in_place = listing_range(u->listing, member->path, &i, &end);

    if (in_place) {
        listing_at(u->listing, i, &e);
        in_place = strcmp(e.path, member->path) == 0 && e.type == ENTRY_FILE &&
                   e.hardlink == NULL && e.size == member->size && !u->is_made[i];
    }
    if (in_place && (dir = parent_of(u, e.path, &leaf, err)) < 0)
        return dir;
    AUTO(fd_close)
    int fd = openat(dir, leaf, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return refused(member, errno, "make file", err);
    if (write_bytes(u, tar, member, fd, &d, err) < 0)
        return err->code;
    if (in_place && digest_eq(&d, &e.content))
        return done(u, i, &e, fd, err);
    if (in_place && renameat(dir, leaf, u->scratch, ODD_NAME) < 0) /* keeps u->parent as it is */
        return err_sys(err, errno, "cannot unpack '/%s'", member->path);
    return place_odd(u, u->scratch, ODD_NAME, fd, &d, err);
}

static int unpack_files(struct unpack *u, struct source *from, struct err *err)
{
    struct entry member;
    int r;
    AUTO(tar_reader_free) struct tar_reader *tar = tar_reader_new(from, err);

    if (tar == NULL)
        return err->code;
    while ((r = tar_reader_next(tar, &member, err)) > 0)
        if (member.type == ENTRY_FILE && member.hardlink == NULL &&
            unpack_file(u, tar, &member, err) < 0)
            return err->code;
    return r;
}

static int check_missing(struct unpack *u, struct err *err)
{
    struct entry e;

    for (size_t i = 0; u->n_missing > 0 && i < listing_len(u->listing); i++) {
        listing_at(u->listing, i, &e);
        if (e.type == ENTRY_FILE && e.hardlink == NULL && !u->is_made[i])
            return err_set(err, ERR_CORRUPT, "the layer's tar does not have the bytes of '/%s'",
                           e.path);
    }
    return 0;
}

/* Third pass: further names of files. The listing has the first of them first. */
static int make_hard_links(struct unpack *u, struct err *err)
{
    const char *leaf, *first_leaf;
    struct entry e;

    for (size_t i = 0; i < listing_len(u->listing); i++) {
        listing_at(u->listing, i, &e);
        if (e.type != ENTRY_FILE || e.hardlink == NULL)
            continue;
        int to = parent_of(u, e.path, &leaf, err);
        if (to < 0)
            return to;
        AUTO(fd_close) int from = inroot_open_parent(u->root, e.hardlink, &first_leaf, err);
        if (from < 0)
            return err_wrap(err, "cannot unpack '/%s'", e.path);
        if (linkat(from, first_leaf, to, leaf, 0) < 0)
            return refused(&e, errno, "make hard link", err);
    }
    return 0;
}

/* Last: directories from the deepest, when nothing will be made in them any more. */
static int finish_dirs(struct unpack *u, struct err *err)
{
    struct entry e;

    for (size_t i = listing_len(u->listing); i-- > 0;) {
        listing_at(u->listing, i, &e);
        if (e.type != ENTRY_DIR)
            continue;
        AUTO(fd_close)
        int fd = inroot_open(u->root, e.path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, err);
        if (fd < 0)
            return err_wrap(err, "cannot unpack '/%s'", e.path);
        if (set_metadata(u, &e, fd, err) < 0)
            return err->code;
    }
    return 0;
}

/* Second pass where the bytes are there: a file that is whole only needs its place. */
static int place_loose(struct unpack *u, struct loose *files, size_t i, const struct entry *e,
                       struct err *err)
{
    const char *leaf;
    int dir = parent_of(u, e->path, &leaf, err);

    if (dir < 0)
        return dir;
    AUTO(fd_close)
    int fd = e->size > 0
                 ? loose_place(files, &e->content, dir, leaf, err)
                 : openat(dir, leaf, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return e->size > 0 ? err->code : refused(e, errno, "make file", err);
    return done(u, i, e, fd, err);
}

static int place_all_loose(struct unpack *u, struct loose *files, struct err *err)
{
    struct entry e;

    for (size_t i = 0; i < listing_len(u->listing); i++) {
        listing_at(u->listing, i, &e);
        if (e.type == ENTRY_FILE && e.hardlink == NULL && place_loose(u, files, i, &e, err) < 0)
            return err->code;
    }
    return 0;
}

/* From tar, or from files when that is NULL. */
static int unpack(struct unpack *u, struct source *tar, struct loose *files, struct err *err)
{
    u->is_made = mem_calloc(listing_len(u->listing) + 1, sizeof(*u->is_made));
    if (userns_read(&u->ns, err) < 0)
        return err->code;
    if (fchmod(u->root, 0755) < 0)
        return err_sys(err, errno, "cannot unpack a layer");
    if (make_skeleton(u, err) < 0)
        return err->code;
    int r = tar != NULL ? unpack_files(u, tar, err) : place_all_loose(u, files, err);
    if (r < 0 || check_missing(u, err) < 0 || make_hard_links(u, err) < 0)
        return err->code;
    return finish_dirs(u, err);
}

int unpack_layer(int root, int scratch, const struct listing *l, struct source *tar,
                 struct err *err)
{
    AUTO(unpack_release)
    struct unpack u = { .root = root, .scratch = scratch, .listing = l, .parent_fd = -1 };

    u.hasher = hasher_new();
    u.chunk = mem_alloc(CHUNK);
    return unpack(&u, tar, NULL, err);
}

int unpack_loose(int root, const struct listing *l, struct loose *files, struct err *err)
{
    AUTO(unpack_release)
    struct unpack u = { .root = root, .scratch = -1, .listing = l, .parent_fd = -1 };

    return unpack(&u, NULL, files, err);
}
