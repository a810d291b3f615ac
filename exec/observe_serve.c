#include "exec/observe_internal.h"
#include "exec/observe_protocol_internal.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#define IN_MAX (128u << 10) /* of a request; the kernel wants room for what it could write */
#define WRITE_MAX 4096u     /* the least that it takes for an answer */
#define OUT_MAX (1u << 20)  /* bytes that are read at once */
#define BLOCK 4096u
#define FOREVER UINT32_MAX /* seconds; the kernel has fewer */
#define SPIN_US 50         /* how long the next request is waited for before sleeping */

enum { NO_ANSWER = 1 };

/* What the thread has beside the layer. */
struct server {
    struct served *d;
    const struct listing *l;
    struct content *content;
    bool has_wanted; /* all files of the layer, in case there is no tree */
    bool has_tried_tree, has_passed;
    bool is_broken;    /* whoever asks would wait for ever */
    uint32_t *numbers; /* inode numbers, of each slot */
    int32_t *backing;  /* of each slot in passthrough mode: a number, 0: none yet, -1: by READ */
    struct buf path;
    char *in, *out;
    size_t n_out;
};

struct request {
    const struct fuse_in_header *head;
    const char *body;
    size_t n;
    size_t slot; /* of the node */
};

/* ---- entries ---- */

static size_t n_slots(const struct server *s)
{
    return listing_len(s->l) + 1;
}

/* The root may be without an entry. */
static void entry_of(const struct server *s, size_t slot, struct entry *ret)
{
    if (slot > 0) {
        listing_at(s->l, slot - 1, ret);
        return;
    }
    if (listing_len(s->l) > 0)
        listing_at(s->l, 0, ret);
    if (listing_len(s->l) == 0 || *ret->path != '\0')
        *ret = (struct entry){ .path = "", .type = ENTRY_DIR, .mode = 0755 };
}

/* Of name in the directory of that path; valid until the next. */
static const char *child_path(struct server *s, const char *dir, const char *name)
{
    buf_clear(&s->path);
    buf_adds(&s->path, dir);
    if (*dir != '\0')
        buf_addc(&s->path, '/');
    buf_adds(&s->path, name);
    return buf_str(&s->path);
}

static bool find_slot(const struct server *s, const char *path, size_t *ret)
{
    struct entry e;
    size_t first, end;

    if (!listing_range(s->l, path, &first, &end))
        return false;
    listing_at(s->l, first, &e);
    *ret = first + 1;
    return str_eq(e.path, path);
}

static void note(struct server *s, size_t slot, enum observe_kind kind)
{
    s->d->kinds[slot] |= (uint8_t)kind;
}

static void note_absent(struct server *s, const char *path)
{
    if (map_has(s->d->absent, path))
        return;
    s->d->absent_bytes += strlen(path);
    if (map_len(s->d->absent) >= OBSERVE_ABSENT_MAX ||
        s->d->absent_bytes > OBSERVE_ABSENT_BYTES_MAX)
        s->d->has_too_many = true;
    else
        map_set(s->d->absent, path, NULL);
}

/* Bits of this name, which are set at the slot. */
static void note_xattr(struct server *s, size_t slot, const char *name)
{
    struct served *d = s->d;
    size_t i = 0;

    while (i < d->n_xattr_names && !str_eq(d->xattr_names[i], name))
        i++;
    if (i == OBSERVE_XATTRS_MAX) {
        d->has_too_many = true;
        return;
    }
    if (i == d->n_xattr_names)
        d->xattr_names[d->n_xattr_names++] = str_dup(name);
    if (d->xattrs == NULL)
        d->xattrs = mem_calloc(n_slots(s), sizeof(*d->xattrs));
    d->xattrs[slot] |= UINT32_C(1) << i;
    note(s, slot, OBSERVE_XATTR);
}

/* ---- attributes: what is the same for equal layers, and nothing else ---- */

static uint32_t type_bits(enum entry_type t)
{
    static const uint32_t bits[256] = {
        [ENTRY_FILE] = S_IFREG, [ENTRY_DIR] = S_IFDIR,   [ENTRY_LINK] = S_IFLNK,
        [ENTRY_CHAR] = S_IFCHR, [ENTRY_BLOCK] = S_IFBLK, [ENTRY_FIFO] = S_IFIFO,
    };
    return bits[(unsigned char)t];
}

/*
 * Of the path at the slot: no two alike, since programs take two names of one number for one file;
 * and below 2^31, as programs with narrow numbers fail on others.
 */
static void number_slots(struct server *s)
{
    size_t n = 64;
    struct entry e;

    while (n < 2 * n_slots(s))
        n *= 2;
    AUTO(mem_free) uint32_t *taken = mem_calloc(n, sizeof(*taken));
    s->numbers = mem_calloc(n_slots(s), sizeof(*s->numbers));
    for (size_t slot = 0; slot < n_slots(s); slot++) {
        entry_of(s, slot, &e);
        uint32_t number = (uint32_t)(quick_hash(e.path, strlen(e.path), 0) & INT32_MAX);
        size_t at = number & (n - 1);
        while (number < 2 || taken[at] != 0) {
            bool is_same = number < 2 || taken[at] == number;
            number = is_same ? (number + 1) & INT32_MAX : number;
            at = is_same ? number & (n - 1) : (at + 1) & (n - 1);
        }
        taken[at] = number;
        s->numbers[slot] = number;
    }
}

/* The kernel's own form of a device number. */
static uint32_t device_number(const struct entry *e)
{
    return (e->dev_minor & 0xff) | (e->dev_major << 8) | ((e->dev_minor & ~0xffu) << 12);
}

static uint64_t size_of(const struct entry *e)
{
    if (e->type == ENTRY_DIR)
        return BLOCK;
    return e->type == ENTRY_LINK ? strlen(e->target) : e->type == ENTRY_FILE ? e->size : 0;
}

static void attr_of(const struct server *s, size_t slot, const struct entry *e,
                    struct fuse_attr *ret)
{
    uint64_t size = size_of(e), time = (uint64_t)e->mtime;
    bool has_blocks = e->type == ENTRY_FILE || e->type == ENTRY_DIR;

    *ret = (struct fuse_attr){
        .ino = s->numbers[slot],
        .size = size,
        .blocks = has_blocks ? (size + BLOCK - 1) / BLOCK * (BLOCK / 512) : 0,
        .atime = time,
        .mtime = time,
        .ctime = time,
        .atimensec = e->mtime_ns,
        .mtimensec = e->mtime_ns,
        .ctimensec = e->mtime_ns,
        .mode = type_bits(e->type) | (e->type == ENTRY_LINK ? 0777 : e->mode),
        .nlink = 1,
        .uid = e->uid,
        .gid = e->gid,
        .rdev = device_number(e),
        .blksize = BLOCK,
    };
}

/* ---- answers ---- */

static int give(struct server *s, const void *p, size_t n)
{
    memcpy(s->out, p, n);
    s->n_out = n;
    return 0;
}

static void init_flags(struct server *s, const struct fuse_init_in *in,
                       struct fuse_init_answer *out)
{
    uint64_t offered = in->flags;
    uint64_t wanted = FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_CACHE_SYMLINKS |
                      FUSE_MAX_PAGES | FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT |
                      FUSE_EXPLICIT_INVAL_DATA | FUSE_INIT_EXT;

    if (offered & FUSE_INIT_EXT)
        offered |= (uint64_t)in->flags2 << 32;
    if (s->d->wants_passthrough)
        wanted |= FUSE_INIT_PASSTHROUGH;
    out->flags = (uint32_t)(wanted & offered);
    out->flags2 = (uint32_t)((wanted & offered) >> 32);
    s->d->is_passing = (wanted & offered & FUSE_INIT_PASSTHROUGH) != 0;
    if (s->d->is_passing)
        out->max_stack_depth = 1;
}

static int serve_init(struct server *s, const struct request *q)
{
    const struct fuse_init_in *in = (const void *)q->body;
    struct fuse_init_answer out = { .major = FUSE_KERNEL_VERSION,
                                    .max_readahead = in->max_readahead,
                                    .max_background = 64,
                                    .congestion_threshold = 48,
                                    .max_write = WRITE_MAX,
                                    .time_gran = 1 };
    struct err err;

    s->d->requests--; /* of the kernel's own */
    s->d->minor = in->minor;
    if (in->major != FUSE_KERNEL_VERSION || in->minor < FUSE_MINOR_MIN) {
        err_set(&err, ERR_UNSUPPORTED, "the kernel speaks FUSE %u.%u, which is too old", in->major,
                in->minor);
        served_fail(s->d, &err);
        return -EPROTO;
    }
    out.minor = in->minor < FUSE_MINOR_MAX ? in->minor : FUSE_MINOR_MAX;
    out.max_pages = (uint16_t)(OUT_MAX / (size_t)sysconf(_SC_PAGESIZE));
    init_flags(s, in, &out);
    if (s->d->is_passing)
        s->backing = mem_calloc(n_slots(s), sizeof(*s->backing));
    return give(s, &out, sizeof(out));
}

/* Names come with their NUL. */
static bool is_name(const struct request *q, size_t from)
{
    return q->n > from && q->body[q->n - 1] == '\0';
}

static int serve_seal(struct server *s)
{
    s->d->requests--; /* of the helper's own */
    s->d->is_sealed = true;
    return -ENOENT;
}

/* Attributes that are not valid at all, so that who looks at them asks for them. */
static int serve_lookup(struct server *s, const struct request *q)
{
    struct fuse_entry_out out = { .entry_valid = FOREVER };
    struct entry e;
    size_t slot;

    if (!is_name(q, 0))
        return -EINVAL;
    if (q->slot == 0 && str_eq(q->body, s->d->seal))
        return serve_seal(s);
    entry_of(s, q->slot, &e);
    const char *path = child_path(s, e.path, q->body);
    if (!find_slot(s, path, &slot)) {
        note_absent(s, path);
        return give(s, &out, sizeof(out));
    }
    note(s, slot, OBSERVE_EXIST);
    entry_of(s, slot, &e);
    out.nodeid = slot + 1;
    out.generation = 1;
    attr_of(s, slot, &e, &out.attr);
    return give(s, &out, sizeof(out));
}

/* The size of a link is where it leads. */
static int serve_getattr(struct server *s, const struct request *q)
{
    struct fuse_attr_out out = { .attr_valid = FOREVER };
    struct entry e;

    entry_of(s, q->slot, &e);
    note(s, q->slot, OBSERVE_STAT);
    if (e.type == ENTRY_LINK)
        note(s, q->slot, OBSERVE_LINK);
    attr_of(s, q->slot, &e, &out.attr);
    return give(s, &out, sizeof(out));
}

static int serve_readlink(struct server *s, const struct request *q)
{
    struct entry e;

    entry_of(s, q->slot, &e);
    if (e.type != ENTRY_LINK)
        return -EINVAL;
    note(s, q->slot, OBSERVE_LINK);
    return give(s, e.target, strlen(e.target));
}

/* ---- directories ---- */

/* After ".", "..", and each entry: where to go on. Cookies of entries are their slots + 2. */
static bool add_name(struct server *s, size_t max, size_t slot, const char *name, uint32_t mode,
                     uint64_t next)
{
    size_t n = strlen(name), size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + n);
    struct fuse_dirent *to = (void *)(s->out + s->n_out);

    if (s->n_out + size > max)
        return false;
    memset(to, 0, size);
    *to = (struct fuse_dirent){
        .ino = s->numbers[slot], .off = next, .namelen = (uint32_t)n, .type = mode >> 12
    };
    memcpy(s->out + s->n_out + FUSE_NAME_OFFSET, name, n);
    s->n_out += size;
    return true;
}

static bool add_dots(struct server *s, size_t max, size_t slot, const char *dir, uint64_t from)
{
    AUTO(mem_free) char *parent = path_dir(dir);
    size_t above = 0; /* the root */

    if (from < 1 && !add_name(s, max, slot, ".", S_IFDIR, 1))
        return false;
    if (!str_eq(parent, ".") && !find_slot(s, parent, &above))
        above = 0;
    return from >= 2 || add_name(s, max, above, "..", S_IFDIR, 2);
}

/* The entry after e and all that is below it. */
static size_t index_after(const struct server *s, size_t i, const struct entry *e)
{
    size_t first, end;

    if (e->type == ENTRY_DIR && listing_range(s->l, e->path, &first, &end) && end > i)
        return end;
    return i + 1;
}

static void add_children(struct server *s, size_t max, size_t from, size_t end)
{
    struct entry e;

    while (from < end) {
        listing_at(s->l, from, &e);
        if (!add_name(s, max, from + 1, path_base(e.path), type_bits(e.type), from + 3))
            return;
        from = index_after(s, from, &e);
    }
}

/* Whether the entry i is directly in dir, whose range that is. */
static bool is_child(const struct server *s, const char *dir, size_t first, size_t end, uint64_t i)
{
    struct entry e;

    if (i < first || i >= end)
        return false;
    listing_at(s->l, (size_t)i, &e);
    AUTO(mem_free) char *parent = path_dir(e.path);
    return *e.path != '\0' && str_eq(str_eq(parent, ".") ? "" : parent, dir);
}

static int serve_readdir(struct server *s, const struct request *q)
{
    const struct fuse_read_in *in = (const void *)q->body;
    size_t max = in->size < OUT_MAX ? in->size : OUT_MAX, first = 0, end = 0, from;
    struct entry dir, e;

    entry_of(s, q->slot, &dir);
    if (dir.type != ENTRY_DIR)
        return -ENOTDIR;
    note(s, q->slot, OBSERVE_LIST);
    if (!add_dots(s, max, q->slot, dir.path, in->offset))
        return 0;
    if (!listing_range(s->l, dir.path, &first, &end))
        return 0;
    from = first;
    if (in->offset >= 3) {
        if (!is_child(s, dir.path, first, end, in->offset - 3))
            return 0; /* a cookie that this directory never gave */
        from = (size_t)in->offset - 3;
        listing_at(s->l, from, &e);
        from = index_after(s, from, &e);
    } else if (first < end && (listing_at(s->l, first, &e), str_eq(e.path, dir.path))) {
        from = first + 1;
    }
    add_children(s, max, from, end);
    return 0;
}

/* ---- xattrs ---- */

/* What the overlay above looks for itself; no layer that is served has any. */
static bool is_overlays(const char *name)
{
    return str_starts(name, "trusted.overlay.") || str_starts(name, "user.overlay.");
}

/* Of size 0 the question is how much room is needed. */
static int give_sized(struct server *s, const void *p, size_t n, size_t size)
{
    struct fuse_getxattr_out out = { .size = (uint32_t)n };

    if (size == 0)
        return give(s, &out, sizeof(out));
    return n > size ? -ERANGE : give(s, p, n);
}

static int serve_getxattr(struct server *s, const struct request *q)
{
    const struct fuse_getxattr_in *in = (const void *)q->body;
    const char *name = q->body + sizeof(*in);
    struct entry e;

    if (!is_name(q, sizeof(*in)))
        return -EINVAL;
    if (is_overlays(name))
        return -ENODATA;
    note_xattr(s, q->slot, name);
    entry_of(s, q->slot, &e);
    for (size_t i = 0; i < e.n_xattrs; i++)
        if (str_eq(e.xattrs[i].name, name))
            return give_sized(s, e.xattrs[i].value, e.xattrs[i].len, in->size);
    return -ENODATA;
}

static int serve_listxattr(struct server *s, const struct request *q)
{
    const struct fuse_getxattr_in *in = (const void *)q->body;
    AUTO(buf_release) struct buf names = BUF_INIT;
    struct entry e;

    note(s, q->slot, OBSERVE_XLIST);
    entry_of(s, q->slot, &e);
    for (size_t i = 0; i < e.n_xattrs; i++)
        buf_add(&names, e.xattrs[i].name, strlen(e.xattrs[i].name) + 1);
    return give_sized(s, buf_str(&names), names.len, in->size);
}

/* ---- bytes ---- */

/*
 * At the first file that is read. All files of a small layer come out of the blob in one pass,
 * which is quicker than to make them; of a larger one there is a tree from then on, or each step
 * would unpack it for itself.
 */
static void want_all(struct server *s)
{
    struct err ignored = ERR_INIT;
    struct entry e;

    if (s->has_wanted)
        return;
    s->has_wanted = true;
    if (s->d->layer->tar_size > OBSERVE_UNPACKED && !s->has_tried_tree)
        mem_free(layer_tree(s->d->store, s->d->layer, &ignored));
    s->has_tried_tree = true;
    if (layer_has_tree(s->d->store, s->d->layer))
        return;
    for (size_t i = 0; i < listing_len(s->l); i++) {
        listing_at(s->l, i, &e);
        content_want(s->content, s->d->layer, &e);
    }
}

static int read_place(int fd, uint64_t at, char *to, size_t n, struct err *err)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read");
        if (got == 0)
            return err_set(err, ERR_IO, "it has become shorter");
        to += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static int read_bytes(struct server *s, const struct entry *e, uint64_t at, size_t n,
                      struct err *err)
{
    struct content_place place;

    if (e->inline_data != NULL) {
        memcpy(s->out, (const char *)e->inline_data + at, n);
        return 0;
    }
    want_all(s);
    if (content_at(s->content, s->d->layer, e, &place, err) < 0)
        return err->code;
    return read_place(place.fd, place.at + at, s->out, n, err);
}

static int serve_read(struct server *s, const struct request *q)
{
    const struct fuse_read_in *in = (const void *)q->body;
    struct err err = ERR_INIT;
    struct entry e;

    entry_of(s, q->slot, &e);
    if (e.type != ENTRY_FILE || in->size > OUT_MAX)
        return -EINVAL;
    note(s, q->slot, OBSERVE_READ);
    if (in->offset >= e.size)
        return 0;
    uint64_t left = e.size - in->offset;
    size_t n = left < in->size ? (size_t)left : in->size;
    if (read_bytes(s, &e, in->offset, n, &err) < 0) {
        err_wrap(&err, "'/%s'", e.path);
        served_fail(s->d, &err);
        return -EIO;
    }
    s->n_out = n;
    return 0;
}

/* ---- passthrough ---- */

/* The kernel looks at our rights first: there is no file of this number. */
static bool may_pass(const struct server *s)
{
    struct fuse_backing b = { .fd = -1 };

    return ioctl(s->d->fd, FUSE_BACKING_OPEN, &b) >= 0 || errno != EPERM;
}

/* The kernel's number for a file of the layer's tree, or -1. */
static int32_t open_backing(struct server *s, const struct entry *e)
{
    struct content_place place;
    struct err err = ERR_INIT;

    if (!s->has_tried_tree && may_pass(s))
        mem_free(layer_tree(s->d->store, s->d->layer, &err));
    s->has_tried_tree = true;
    want_all(s);
    err_clear(&err);
    if (content_at(s->content, s->d->layer, e, &place, &err) < 0 || !place.is_file)
        return -1; /* READ says what is wrong */
    struct fuse_backing b = { .fd = place.fd };
    int id = ioctl(s->d->fd, FUSE_BACKING_OPEN, &b);
    if (id <= 0)
        log_debug("exec", "no passthrough for '/%s': %s", e->path, strerror(errno));
    return id > 0 ? id : -1;
}

/*
 * What was found for a file stays: the kernel wants all openings of a file alike. -1: its bytes go
 * through us. When the first that could pass does not, none will, and openings are of no interest.
 */
static int32_t find_backing(struct server *s, size_t slot)
{
    struct entry e;

    if (s->backing[slot] != 0)
        return s->backing[slot];
    entry_of(s, slot, &e);
    s->backing[slot] = -1;
    if (e.type != ENTRY_FILE || e.inline_data != NULL || e.size == 0)
        return -1;
    s->backing[slot] = open_backing(s, &e);
    if (s->backing[slot] > 0)
        s->has_passed = true;
    else if (!s->has_passed)
        s->d->is_passing = false;
    return s->backing[slot];
}

/* Of what passes by nothing more is heard: it is as good as read. */
static int serve_open(struct server *s, const struct request *q)
{
    struct fuse_open_answer out = { .open_flags = FOPEN_KEEP_CACHE };
    int32_t id = s->d->is_passing ? find_backing(s, q->slot) : -1;

    if (!s->d->is_passing)
        return -ENOSYS;
    if (id > 0) {
        note(s, q->slot, OBSERVE_READ);
        out.open_flags = FUSE_OPENED_PASSTHROUGH;
        out.backing_id = id;
    }
    return give(s, &out, sizeof(out));
}

/* ---- the rest ---- */

static int serve_statfs(struct server *s, const struct request *q)
{
    struct fuse_statfs_out out = { .st = { .bsize = BLOCK, .frsize = BLOCK, .namelen = 255 } };

    (void)q;
    out.st.blocks = listing_total_size(s->l) / BLOCK + 1;
    out.st.files = n_slots(s);
    return give(s, &out, sizeof(out));
}

static int serve_nothing(struct server *s, const struct request *q)
{
    (void)s;
    (void)q;
    return 0;
}

static int refuse_write(struct server *s, const struct request *q)
{
    (void)s;
    (void)q;
    return -EROFS;
}

static int ignore(struct server *s, const struct request *q)
{
    (void)s;
    (void)q;
    return NO_ANSWER;
}

/* What is not here gets ENOSYS: of most the kernel then asks no more. */
static const struct handler {
    int (*serve)(struct server *s, const struct request *q);
    size_t min;    /* bytes */
    bool is_quiet; /* tells nothing of what the step looked at */
} handlers[] = {
    [FUSE_INIT] = { serve_init, offsetof(struct fuse_init_in, unused), true },
    [FUSE_LOOKUP] = { serve_lookup, 1, false },
    [FUSE_GETATTR] = { serve_getattr, 0, false },
    [FUSE_READLINK] = { serve_readlink, 0, false },
    [FUSE_OPEN] = { serve_open, 0, false },
    [FUSE_READ] = { serve_read, sizeof(struct fuse_read_in), false },
    [FUSE_READDIR] = { serve_readdir, sizeof(struct fuse_read_in), false },
    [FUSE_GETXATTR] = { serve_getxattr, sizeof(struct fuse_getxattr_in), false },
    [FUSE_LISTXATTR] = { serve_listxattr, sizeof(struct fuse_getxattr_in), false },
    [FUSE_STATFS] = { serve_statfs, 0, true },
    [FUSE_RELEASE] = { serve_nothing, 0, true },
    [FUSE_DESTROY] = { serve_nothing, 0, true },
    [FUSE_FORGET] = { ignore, 0, true },
    [FUSE_BATCH_FORGET] = { ignore, 0, true },
    [FUSE_INTERRUPT] = { ignore, 0, true },
    [FUSE_SETATTR] = { refuse_write, 0, false },
    [FUSE_SYMLINK] = { refuse_write, 0, false },
    [FUSE_MKNOD] = { refuse_write, 0, false },
    [FUSE_MKDIR] = { refuse_write, 0, false },
    [FUSE_UNLINK] = { refuse_write, 0, false },
    [FUSE_RMDIR] = { refuse_write, 0, false },
    [FUSE_RENAME] = { refuse_write, 0, false },
    [FUSE_RENAME2] = { refuse_write, 0, false },
    [FUSE_LINK] = { refuse_write, 0, false },
    [FUSE_WRITE] = { refuse_write, 0, false },
    [FUSE_CREATE] = { refuse_write, 0, false },
    [FUSE_TMPFILE] = { refuse_write, 0, false },
    [FUSE_SETXATTR] = { refuse_write, 0, false },
    [FUSE_REMOVEXATTR] = { refuse_write, 0, false },
    [FUSE_FALLOCATE] = { refuse_write, 0, false },
    [FUSE_COPY_FILE_RANGE] = { refuse_write, 0, false },
};

static int dispatch(struct server *s, struct request *q)
{
    uint32_t op = q->head->opcode;
    const struct handler *h = op < ARRAY_LEN(handlers) && handlers[op].serve ? &handlers[op] : NULL;
    struct err err;

    if (h != NULL && !h->is_quiet && s->d->is_sealed) {
        err_set(&err, ERR_IO, "something was asked after the step was over");
        served_fail(s->d, &err);
    }
    if (h == NULL)
        return -ENOSYS;
    if (q->n < h->min)
        return -EINVAL;
    if (op == FUSE_INIT || h->serve == ignore || h->serve == serve_nothing)
        return h->serve(s, q);
    if (q->head->nodeid == 0 || q->head->nodeid > n_slots(s))
        return -ESTALE;
    q->slot = (size_t)q->head->nodeid - 1;
    return h->serve(s, q);
}

/* ---- the thread ---- */

/* One that nobody waits for any more is none that was not answered. */
static void answer(struct server *s, uint64_t unique, int code)
{
    struct fuse_out_header head = { .error = code, .unique = unique };
    struct iovec parts[] = { { &head, sizeof(head) }, { s->out, code < 0 ? 0 : s->n_out } };
    struct err err;

    head.len = (uint32_t)(sizeof(head) + parts[1].iov_len);
    ssize_t n = writev(s->d->fd, parts, ARRAY_LEN(parts));
    if (n < 0 && errno != ENOENT) {
        err_sys(&err, errno, "cannot answer a request");
        served_fail(s->d, &err);
        s->is_broken = true;
        return;
    }
    s->d->n_answered++;
}

static void serve_one(struct server *s, size_t n)
{
    struct request q = { .head = (const void *)s->in, .body = s->in + sizeof(*q.head) };
    struct err err;

    if (n < sizeof(*q.head)) {
        err_set(&err, ERR_IO, "a request is too short");
        served_fail(s->d, &err);
        s->is_broken = true;
        return;
    }
    q.n = n - sizeof(*q.head);
    s->n_out = 0;
    s->d->n_read++;
    s->d->requests++;
    int code = dispatch(s, &q);
    if (code == NO_ANSWER) {
        s->d->n_read--;
        s->d->requests--;
        return;
    }
    answer(s, q.head->unique, code);
}

/*
 * Waking a CPU that sleeps takes longer than most answers, and the next question may be close. On a
 * busy machine others go first meanwhile.
 */
static bool may_sleep(int64_t since)
{
    return clock_mono_us() - since > SPIN_US;
}

static void sleep_until_asked(const struct served *d)
{
    struct pollfd p[] = { { .fd = d->fd, .events = POLLIN }, { .fd = d->stop, .events = POLLIN } };

    poll(p, ARRAY_LEN(p), -1);
}

/* ENODEV is the end of the mount, or somebody has ended it. */
static size_t no_request(struct server *s, int sys)
{
    struct err err;

    if (sys != ENODEV) {
        err_sys(&err, sys, "cannot read requests");
        served_fail(s->d, &err);
        s->is_broken = true;
    }
    return 0;
}

/* 0: there is nothing more to come. */
static size_t next_request(struct server *s)
{
    int64_t begin = clock_mono_us();

    while (!s->is_broken && !atomic_load_explicit(s->d->is_over, memory_order_relaxed)) {
        ssize_t n = read(s->d->fd, s->in, IN_MAX);
        if (n >= 0)
            return (size_t)n;
        if (errno != EAGAIN && errno != EINTR && errno != ENOENT)
            return no_request(s, errno);
        if (errno == EAGAIN && may_sleep(begin))
            sleep_until_asked(s->d);
        else
            sched_yield();
    }
    return 0;
}

static void server_release(struct server *s)
{
    content_free(s->content);
    mem_free(s->numbers);
    mem_free(s->backing);
    buf_release(&s->path);
    mem_free(s->in);
    mem_free(s->out);
}
DEFINE_AUTO_VALUE(struct server, server_release);

void *serve_thread(void *served)
{
    struct served *d = served;
    AUTO(server_release)
    struct server s = { .d = d,
                        .l = d->layer->listing,
                        .content = content_new(d->store),
                        .in = mem_alloc(IN_MAX),
                        .out = mem_alloc(OUT_MAX) };

    number_slots(&s);
    for (size_t n; (n = next_request(&s)) > 0;)
        serve_one(&s, n);
    if (s.is_broken) { /* the kernel ends what is asked, and the step sees errors */
        fd_close(d->fd);
        d->fd = -1;
    }
    return NULL;
}
