#include "image/layer_tar.h"
#include "image/listing_internal.h"

#include "base/archive_api.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (256u * 1024)
#define HOLES_MAX (UINT64_C(64) << 30)
#define WHITEOUT ".wh."
#define OPAQUE_MARKER ".wh..wh..opq"
#define AUFS_PREFIX ".wh..wh."

struct tar_reader {
    struct source *from; /* borrowed */
    struct archive *a;
    locale_t c_locale; /* in any other, libarchive would translate names */
    bool plain, ended;
    struct err err; /* of from, when it failed inside a callback */
    char *chunk;
    size_t first;   /* bytes that are in chunk before libarchive asks */
    uint64_t taken; /* bytes of the stream given to libarchive */
    uint64_t given; /* bytes of files given to the caller */
    uint64_t members;

    /* The member that next returned. */
    struct buf path, link;
    struct entry_xattr *xattrs; /* the names and values are libarchive's */
    uint64_t size, at;          /* of its content, how much was read */
    const char *block;
    size_t block_len;
    uint64_t block_at; /* where in the file the block belongs */
};

void tar_reader_free(struct tar_reader *r)
{
    if (r == NULL)
        return;
    if (r->a)
        archive_api()->read_free(r->a);
    if (r->c_locale)
        freelocale(r->c_locale);
    mem_free(r->chunk);
    mem_free(r->xattrs);
    buf_release(&r->path);
    buf_release(&r->link);
    mem_free(r);
}

static la_ssize_t give(struct archive *a, void *arg, const void **ret)
{
    struct tar_reader *r = arg;
    *ret = r->chunk;
    ssize_t n = (ssize_t)r->first;
    r->first = 0;
    if (n == 0)
        n = source_read(r->from, r->chunk, CHUNK, &r->err);
    if (n < 0) {
        archive_api()->set_error(a, EIO, "%s", r->err.msg);
        return -1;
    }
    r->taken += (uint64_t)n;
    return n;
}

/* libarchive's errors have no codes worth deciding on: the source's failed, or the bytes are bad.
 */
static int tar_error(struct tar_reader *r, struct err *err)
{
    const char *why = archive_api()->error_string(r->a);
    if (r->err.code != ERR_NONE)
        return err_copy(err, &r->err);
    return err_set(err, ERR_CORRUPT, "tar: %s", why ? why : "damaged archive");
}

static struct archive *archive_begin(struct tar_reader *r, struct err *err)
{
    if (archive_load(err) < 0)
        return NULL;
    struct archive *a = archive_api()->read_new();
    if (a == NULL)
        abort();
    r->a = a;
    if (archive_api()->read_support_format_tar(a) != ARCHIVE_OK ||
        archive_api()->read_open(a, r, NULL, give, NULL) != ARCHIVE_OK) {
        tar_error(r, err);
        return NULL;
    }
    return a;
}

static struct tar_reader *reader_new(struct source *from, bool plain, struct err *err)
{
    AUTO(tar_reader_free) struct tar_reader *r = mem_zalloc(sizeof(*r));
    r->from = from;
    r->plain = plain;
    r->chunk = mem_alloc(CHUNK);
    r->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    ssize_t n = source_read(from, r->chunk, CHUNK, err);
    if (n < 0)
        return NULL;
    r->first = (size_t)n;
    r->ended = n == 0;
    if (!r->ended && archive_begin(r, err) == NULL)
        return NULL;
    return TAKE(r);
}

struct tar_reader *tar_reader_new(struct source *from, struct err *err)
{
    return reader_new(from, false, err);
}

struct tar_reader *tar_reader_new_plain(struct source *from, struct err *err)
{
    return reader_new(from, true, err);
}

/* ---- Names ---- */

/* Relative to the root and clean; -1: it leads out of it, or is too long. */
static int clean_name(const char *s, struct buf *ret)
{
    buf_clear(ret);
    for (; *s; s += *s == '/') {
        size_t n = strcspn(s, "/");
        if (n == 2 && s[0] == '.' && s[1] == '.') {
            if (ret->len == 0)
                return -1;
            const char *slash = memrchr(ret->data, '/', ret->len);
            buf_truncate(ret, slash ? (size_t)(slash - ret->data) : 0);
        } else if (n > 0 && !(n == 1 && s[0] == '.')) {
            if (ret->len > 0)
                buf_addc(ret, '/');
            buf_add(ret, s, n);
        }
        s += n;
    }
    return ret->len > LISTING_PATH_MAX ? -1 : 0;
}

static int bad_member(const char *name, const char *why, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "layer: '%.256s': %s", name, why);
}

static bool is_below_whiteout(const char *path)
{
    for (const char *s = path, *slash; (slash = strchr(s, '/')) != NULL; s = slash + 1)
        if (str_starts(s, WHITEOUT))
            return true;
    return false;
}

static bool is_aufs(const char *path)
{
    for (const char *s = path; s; s = strchr(s, '/')) {
        s += *s == '/';
        if (str_starts(s, AUFS_PREFIX))
            return true;
    }
    return false;
}

/* Turns ".wh." names into what they stand for. 1: the member is to be left out. */
static int take_whiteout(struct tar_reader *r, struct entry *e, struct err *err)
{
    const char *path = buf_str(&r->path);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (strcmp(name, OPAQUE_MARKER) == 0 && !is_below_whiteout(path)) {
        buf_truncate(&r->path, slash ? (size_t)(slash - path) : 0);
        *e = (struct entry){ .type = ENTRY_WHITEOUT, .opaque = true };
        return 0;
    }
    if (is_aufs(path))
        return 1;
    if (is_below_whiteout(path))
        return bad_member(path, "below a whiteout", err);
    if (!str_starts(name, WHITEOUT))
        return 0;
    const char *hidden = name + strlen(WHITEOUT);
    if (*hidden == '\0' || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
        return bad_member(path, "invalid whiteout name", err);
    size_t dir = (size_t)(name - path);
    AUTO(mem_free) char *copy = str_dup(hidden);
    buf_truncate(&r->path, dir);
    buf_adds(&r->path, copy);
    *e = (struct entry){ .type = ENTRY_WHITEOUT };
    return 0;
}

/* ---- Attributes ---- */

static int xattr_cmp(const void *a, const void *b)
{
    const struct entry_xattr *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static bool wanted_xattr(const char *name)
{
    return !str_starts(name, "trusted.overlay.") && !str_starts(name, "user.overlay.");
}

static int take_xattrs(struct tar_reader *r, struct archive_entry *ae, struct entry *e,
                       struct err *err)
{
    int n = archive_api()->entry_xattr_reset(ae);
    struct entry_xattr x;
    size_t kept = 0, size;
    mem_free(r->xattrs);
    r->xattrs = n > 0 ? mem_calloc((size_t)n, sizeof(*r->xattrs)) : NULL;
    while (n-- > 0 && archive_api()->entry_xattr_next(ae, &x.name, &x.value, &size) == ARCHIVE_OK) {
        x.len = size;
        if (*x.name == '\0' || strlen(x.name) > 255 || size > LISTING_XATTR_MAX)
            return bad_member(e->path, "bad xattr", err);
        if (wanted_xattr(x.name))
            r->xattrs[kept++] = x;
    }
    if (kept > LISTING_XATTRS_MAX)
        return bad_member(e->path, "too many xattrs", err);
    if (kept > 0)
        qsort(r->xattrs, kept, sizeof(*r->xattrs), xattr_cmp);
    /* A writer may give the same one under two keys. */
    for (size_t i = 0; i < kept; i++)
        if (e->n_xattrs == 0 || strcmp(r->xattrs[e->n_xattrs - 1].name, r->xattrs[i].name) != 0)
            r->xattrs[e->n_xattrs++] = r->xattrs[i];
    e->xattrs = r->xattrs;
    return 0;
}

static const struct kind {
    mode_t format;
    enum entry_type type;
} kinds[] = {
    { AE_IFREG, ENTRY_FILE }, { AE_IFDIR, ENTRY_DIR },   { AE_IFLNK, ENTRY_LINK },
    { AE_IFCHR, ENTRY_CHAR }, { AE_IFBLK, ENTRY_BLOCK }, { AE_IFIFO, ENTRY_FIFO },
};

static int take_hardlink(struct tar_reader *r, const char *target, struct entry *e, struct err *err)
{
    if (clean_name(target, &r->link) < 0 || r->link.len == 0)
        return bad_member(e->path, "hard link to outside of the root", err);
    e->type = ENTRY_FILE;
    e->hardlink = buf_str(&r->link);
    return 0;
}

static int take_type(struct tar_reader *r, struct archive_entry *ae, struct entry *e,
                     struct err *err)
{
    const char *hardlink = archive_api()->entry_hardlink(ae);
    if (hardlink)
        return take_hardlink(r, hardlink, e, err);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].format == archive_api()->entry_filetype(ae))
            e->type = kinds[i].type;
    if (e->type == 0)
        return bad_member(e->path, "unknown type", err);
    if (e->type == ENTRY_LINK) {
        e->target = archive_api()->entry_symlink(ae);
        if (e->target == NULL || *e->target == '\0' || strlen(e->target) > LISTING_PATH_MAX)
            return bad_member(e->path, "symbolic link with a bad target", err);
    }
    if (e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK) {
        e->dev_major = (uint32_t)archive_api()->entry_rdevmajor(ae);
        e->dev_minor = (uint32_t)archive_api()->entry_rdevminor(ae);
        if (e->type == ENTRY_CHAR && e->dev_major == 0 && e->dev_minor == 0)
            return bad_member(e->path, "the character device 0:0", err);
    }
    return 0;
}

static int take_numbers(struct archive_entry *ae, struct entry *e, struct err *err)
{
    int64_t uid = archive_api()->entry_uid(ae), gid = archive_api()->entry_gid(ae);
    int64_t size = archive_api()->entry_size_is_set(ae) ? archive_api()->entry_size(ae) : 0;
    /* The last number means "leave it" to chown. */
    if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
        return bad_member(e->path, "bad owner", err);
    if (size < 0)
        return bad_member(e->path, "bad size", err);
    e->uid = (uint32_t)uid;
    e->gid = (uint32_t)gid;
    e->mode = (uint16_t)(archive_api()->entry_perm(ae) & 07777);
    e->mtime = archive_api()->entry_mtime_is_set(ae) ? archive_api()->entry_mtime(ae) : 0;
    long ns = archive_api()->entry_mtime_is_set(ae) ? archive_api()->entry_mtime_nsec(ae) : 0;
    e->mtime_ns = ns < 0 || ns > 999999999 ? 0 : (uint32_t)ns;
    if (e->type == ENTRY_FILE && e->hardlink == NULL)
        e->size = (uint64_t)size;
    return 0;
}

/* 1: *ret is the member; 0: it is to be left out. */
static int take_member(struct tar_reader *r, struct archive_entry *ae, struct entry *ret,
                       struct err *err)
{
    const char *name = archive_api()->entry_pathname(ae);
    struct entry e = { .path = NULL };
    int code = 0;
    if (name == NULL || *name == '\0')
        return 0;
    if (clean_name(name, &r->path) < 0)
        return bad_member(name, "leads out of the root, or is too long", err);
    if (!r->plain)
        code = take_whiteout(r, &e, err);
    if (code != 0)
        return code > 0 ? 0 : code;
    e.path = buf_str(&r->path);
    if (e.type != ENTRY_WHITEOUT &&
        (take_type(r, ae, &e, err) < 0 || take_numbers(ae, &e, err) < 0 ||
         take_xattrs(r, ae, &e, err) < 0))
        return err->code;
    if (r->path.len == 0 && e.type != ENTRY_DIR && e.type != ENTRY_WHITEOUT)
        return bad_member(name, "the root is no directory", err);
    *ret = e;
    r->size = e.size;
    return 1;
}

/* Warnings that change nothing we take: names are bytes, and ACLs are not read. */
static bool is_harmless(const char *why)
{
    return why && (strstr(why, "can't be converted") || strstr(why, "ACL") || strstr(why, "acl"));
}

static int next_header(struct tar_reader *r, struct archive_entry **ret)
{
    locale_t before = uselocale(r->c_locale);
    int got = archive_api()->read_next_header(r->a, ret);
    uselocale(before);
    return got;
}

static int drain(struct tar_reader *r, struct err *err)
{
    ssize_t n;
    do
        n = source_read(r->from, r->chunk, CHUNK, err);
    while (n > 0);
    return (int)n;
}

int tar_reader_next(struct tar_reader *r, struct entry *ret, struct err *err)
{
    for (;;) {
        struct archive_entry *ae = NULL;
        int got = r->ended ? ARCHIVE_EOF : next_header(r, &ae);
        r->size = r->at = r->block_at = r->block_len = 0;
        if (got == ARCHIVE_EOF) {
            r->ended = true;
            return drain(r, err);
        }
        if (got != ARCHIVE_OK &&
            (got != ARCHIVE_WARN || !is_harmless(archive_api()->error_string(r->a))))
            return tar_error(r, err);
        if (++r->members > LISTING_ENTRIES_MAX)
            return err_set(err, ERR_CORRUPT, "layer: more than %u members", LISTING_ENTRIES_MAX);
        int code = take_member(r, ae, ret, err);
        if (code != 0)
            return code;
    }
}

/* ---- Content ---- */

/* The next block; what lies between at and block_at is a hole, as is all after the last one. */
static int next_block(struct tar_reader *r, struct err *err)
{
    const void *p = NULL;
    size_t n = 0;
    la_int64_t at = 0;
    int got = archive_api()->read_data_block(r->a, &p, &n, &at);
    if (got == ARCHIVE_EOF) {
        r->block_len = 0;
        r->block_at = r->size;
        return 0;
    }
    if (got != ARCHIVE_OK)
        return tar_error(r, err);
    if (at < 0 || (uint64_t)at < r->at || (uint64_t)at > r->size || n > r->size - (uint64_t)at)
        return err_set(err, ERR_CORRUPT, "tar: '%.256s': damaged sparse file", buf_str(&r->path));
    r->block = p;
    r->block_len = n;
    r->block_at = (uint64_t)at;
    return 0;
}

/* n bytes of the file from at on, which lie in the hole before the block or in the block. */
static size_t copy_out(struct tar_reader *r, void *p, size_t n)
{
    if (r->at < r->block_at) {
        uint64_t hole = r->block_at - r->at;
        n = n < hole ? n : (size_t)hole;
        memset(p, 0, n);
    } else {
        n = n < r->block_len ? n : r->block_len;
        memcpy(p, r->block, n);
        r->block += n;
        r->block_len -= n;
        r->block_at += n;
    }
    r->at += n;
    r->given += n;
    return n;
}

ssize_t tar_reader_read(struct tar_reader *r, void *p, size_t n, struct err *err)
{
    if (n == 0 || r->at == r->size)
        return 0;
    while (r->at == r->block_at && r->block_len == 0)
        if (next_block(r, err) < 0)
            return err->code;
    if (r->given > r->taken && r->given - r->taken > HOLES_MAX)
        return err_set(err, ERR_CORRUPT, "layer: more than 64 GiB of holes");
    return (ssize_t)copy_out(r, p, n);
}

bool tar_is_header(const void *block)
{
    const unsigned char *p = block;
    unsigned long want = 0, sum = 0;
    char field[9] = { 0 };
    memcpy(field, p + 148, 8);
    if (sscanf(field, "%lo", &want) != 1)
        return false;
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : p[i];
    return sum == want;
}
