/*
 * Written by hand and not by libarchive: a layer's digest must not depend on
 * the version of a library, and libarchive 3.6 %-encodes the names of xattrs,
 * which Docker does not undo. What ustar cannot hold goes into a PAX header,
 * records sorted by key as Go's archive/tar sorts them.
 */
#include "image/layer_tar.h"
#include "image/listing_internal.h"

#include "base/mem.h"
#include <stdio.h>

#define BLOCK 512u
#define FLUSH_AT (64u * 1024)
#define PAX_MAX (1u << 20) /* more is refused by readers, this one too */
#define SIZE_MAX_USTAR UINT64_C(077777777777)
#define ID_MAX_USTAR 07777777u

struct tar_writer {
    struct sink *to;    /* borrowed */
    struct buf out;     /* not written yet */
    struct buf name;    /* of the member */
    struct buf records; /* its PAX header */
    uint64_t left;      /* bytes that the member still wants */
    uint64_t size;      /* of its content */
    struct err err;     /* what made it fail; nothing is written after */
};

/* Places in a header, as POSIX has them. */
enum {
    H_NAME = 0,
    H_MODE = 100,
    H_UID = 108,
    H_GID = 116,
    H_SIZE = 124,
    H_MTIME = 136,
    H_SUM = 148,
    H_TYPE = 156,
    H_LINK = 157,
    H_MAGIC = 257,
    H_MAJOR = 329,
    H_MINOR = 337,
    H_PREFIX = 345,
};
enum { NAME_LEN = 100, PREFIX_LEN = 155 };

void tar_writer_free(struct tar_writer *w)
{
    if (w == NULL)
        return;
    buf_release(&w->out);
    buf_release(&w->name);
    buf_release(&w->records);
    mem_free(w);
}

struct tar_writer *tar_writer_new(struct sink *to, struct err *err)
{
    (void)err;
    struct tar_writer *w = mem_zalloc(sizeof(*w));
    w->to = to;
    return w;
}

static int fail(struct tar_writer *w, struct err *err)
{
    return err_copy(err, &w->err);
}

static int flush(struct tar_writer *w, struct err *err)
{
    if (w->out.len > 0 && sink_write(w->to, w->out.data, w->out.len, &w->err) < 0)
        return fail(w, err);
    buf_clear(&w->out);
    return 0;
}

static int put(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
    if (w->out.len + n < FLUSH_AT) {
        buf_add(&w->out, p, n);
        return 0;
    }
    if (flush(w, err) < 0)
        return err->code;
    return sink_write(w->to, p, n, &w->err) < 0 ? fail(w, err) : 0;
}

/* Zeros up to the next block after n bytes. */
static int pad(struct tar_writer *w, uint64_t n, struct err *err)
{
    static const char zeros[BLOCK];
    size_t over = n % BLOCK;
    return over ? put(w, zeros, BLOCK - over, err) : 0;
}

/* ---- Headers ---- */

/* width: with the NUL that ends it. */
static void octal(char *at, int width, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof(text), "%0*llo", width - 1, (unsigned long long)v);
    memcpy(at, text, (size_t)width);
}

static int put_block(struct tar_writer *w, char h[BLOCK], struct err *err)
{
    uint64_t sum = 0;
    memcpy(h + H_MAGIC, "ustar\00000", 8);
    memset(h + H_SUM, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += (unsigned char)h[i];
    octal(h + H_SUM, 7, sum);
    return put(w, h, BLOCK, err);
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

/* "LEN KEY=VALUE\n", where LEN counts itself too. */
static void record(struct tar_writer *w, const char *prefix, const char *key, const void *p,
                   size_t n)
{
    size_t rest = strlen(prefix) + strlen(key) + n + 3, len = rest + 1;
    while (rest + (size_t)snprintf(NULL, 0, "%zu", len) != len)
        len++;
    buf_addf(&w->records, "%zu %s%s=", len, prefix, key);
    buf_add(&w->records, p, n);
    buf_addc(&w->records, '\n');
}

static void number_record(struct tar_writer *w, const char *key, int64_t v)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    record(w, "", key, text, (size_t)n);
}

/* Where a long name can be cut in two for ustar: the length of the prefix, 0: nowhere. */
static size_t split_at(const char *name, size_t n)
{
    for (size_t i = n < PREFIX_LEN ? n : PREFIX_LEN; i > 0; i--)
        if (name[i] == '/' && n - i - 1 > 0)
            return n - i - 1 <= NAME_LEN ? i : 0;
    return 0;
}

static void set_path(struct tar_writer *w, char *h)
{
    const char *name = w->name.data;
    size_t n = w->name.len, prefix = 0;
    bool ascii = is_ascii(name);
    if (ascii && n > NAME_LEN)
        prefix = split_at(name, n);
    if (prefix > 0) {
        memcpy(h + H_PREFIX, name, prefix);
        memcpy(h + H_NAME, name + prefix + 1, n - prefix - 1);
        return;
    }
    memcpy(h + H_NAME, name, n < NAME_LEN ? n : NAME_LEN);
    if (!ascii || n > NAME_LEN)
        record(w, "", "path", name, n);
}

static void set_link(struct tar_writer *w, const char *target, char *h)
{
    size_t n = target ? strlen(target) : 0;
    if (n == 0)
        return;
    memcpy(h + H_LINK, target, n < NAME_LEN ? n : NAME_LEN);
    if (n > NAME_LEN || !is_ascii(target))
        record(w, "", "linkpath", target, n);
}

/* A field that is too small holds 0, and a record the number. */
static void set_number(struct tar_writer *w, char *at, int width, uint64_t max, const char *key,
                       int64_t v)
{
    bool fits = v >= 0 && (uint64_t)v <= max;
    octal(at, width, fits ? (uint64_t)v : 0);
    if (!fits)
        number_record(w, key, v);
}

static int add_xattrs(struct tar_writer *w, const struct entry *e, struct err *err)
{
    for (size_t i = 0; i < e->n_xattrs; i++) {
        const struct entry_xattr *x = &e->xattrs[i];
        if (strchr(x->name, '='))
            return err_set(err, ERR_UNSUPPORTED, "'%s': the xattr '%s' cannot be in a layer",
                           e->path, x->name);
        record(w, "SCHILY.xattr.", x->name, x->value, x->len);
    }
    return 0;
}

static const struct type {
    enum entry_type type;
    char flag;
} types[] = {
    { ENTRY_FILE, '0' },  { ENTRY_DIR, '5' },  { ENTRY_LINK, '2' },     { ENTRY_CHAR, '3' },
    { ENTRY_BLOCK, '4' }, { ENTRY_FIFO, '6' }, { ENTRY_WHITEOUT, '0' },
};

static char type_flag(const struct entry *e)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].type == e->type)
            return e->type == ENTRY_FILE && e->hardlink ? '1' : types[i].flag;
    return '0';
}

static int set_device(const struct entry *e, char *h, struct err *err)
{
    bool device = e->type == ENTRY_CHAR || e->type == ENTRY_BLOCK;
    if (device && (e->dev_major > ID_MAX_USTAR || e->dev_minor > ID_MAX_USTAR))
        return err_set(err, ERR_UNSUPPORTED, "'%s': device number too large", e->path);
    octal(h + H_MAJOR, 8, device ? e->dev_major : 0);
    octal(h + H_MINOR, 8, device ? e->dev_minor : 0);
    return 0;
}

static int put_pax(struct tar_writer *w, const struct entry *e, struct err *err)
{
    char h[BLOCK] = "PaxHeaders.0/pax";
    if (w->records.len == 0)
        return 0;
    if (w->records.len > PAX_MAX)
        return err_set(err, ERR_UNSUPPORTED, "'%s': more than 1 MiB of xattrs", e->path);
    octal(h + H_MODE, 8, 0644);
    octal(h + H_UID, 8, 0);
    octal(h + H_GID, 8, 0);
    octal(h + H_SIZE, 12, w->records.len);
    octal(h + H_MTIME, 12, 0);
    octal(h + H_MAJOR, 8, 0);
    octal(h + H_MINOR, 8, 0);
    h[H_TYPE] = 'x';
    if (put_block(w, h, err) < 0 || put(w, w->records.data, w->records.len, err) < 0)
        return err->code;
    return pad(w, w->records.len, err);
}

/* The header of e under the name that is set. The order of calls is that of the records. */
static int put_header(struct tar_writer *w, const struct entry *e, struct err *err)
{
    char h[BLOCK] = { 0 };
    bool bare = e->type == ENTRY_WHITEOUT, content = e->type == ENTRY_FILE && !e->hardlink;
    if (content && e->size > INT64_MAX)
        return err_set(err, ERR_UNSUPPORTED, "'%s': size too large", e->path);
    buf_clear(&w->records);
    if (!bare && add_xattrs(w, e, err) < 0)
        return err->code;
    h[H_TYPE] = type_flag(e);
    octal(h + H_MODE, 8, bare ? 0 : e->mode & 07777);
    set_number(w, h + H_GID, 8, ID_MAX_USTAR, "gid", bare ? 0 : e->gid);
    set_link(w, e->type == ENTRY_LINK ? e->target : e->hardlink, h);
    set_number(w, h + H_MTIME, 12, SIZE_MAX_USTAR, "mtime", bare ? 0 : e->mtime);
    set_path(w, h);
    set_number(w, h + H_SIZE, 12, SIZE_MAX_USTAR, "size", content ? (int64_t)e->size : 0);
    set_number(w, h + H_UID, 8, ID_MAX_USTAR, "uid", bare ? 0 : e->uid);
    if (set_device(e, h, err) < 0 || put_pax(w, e, err) < 0 || put_block(w, h, err) < 0)
        return err->code;
    w->left = w->size = content ? e->size : 0;
    return 0;
}

/* ---- Members ---- */

/* "./" for the root, "a/" for directories, "a/.wh.b" for whiteouts. */
static int set_name(struct tar_writer *w, const struct entry *e, struct err *err)
{
    const char *slash = strrchr(e->path, '/');
    int dir = slash ? (int)(slash + 1 - e->path) : 0;
    if (str_starts(e->path, ".wh.") || strstr(e->path, "/.wh."))
        return err_set(err, ERR_UNSUPPORTED, "'%s': '.wh.' names cannot be in a layer", e->path);
    buf_clear(&w->name);
    if (e->type == ENTRY_WHITEOUT)
        buf_addf(&w->name, "%.*s.wh.%s", dir, e->path, e->path + dir);
    else
        buf_addf(&w->name, "%s%s", *e->path ? e->path : ".", e->type == ENTRY_DIR ? "/" : "");
    return 0;
}

static int ready(struct tar_writer *w, struct err *err)
{
    if (w->err.code != ERR_NONE)
        return fail(w, err);
    if (w->left > 0)
        return err_set(err, ERR_CORRUPT, "'%s': %llu bytes too few", buf_str(&w->name),
                       (unsigned long long)w->left);
    return pad(w, w->size, err);
}

int tar_writer_entry(struct tar_writer *w, const struct entry *e, struct err *err)
{
    static const struct entry marker = { .path = ".wh..wh..opq", .type = ENTRY_WHITEOUT };
    if (ready(w, err) < 0)
        return err->code;
    w->size = 0;
    if (set_name(w, e, err) < 0 || put_header(w, e, err) < 0)
        return err->code;
    if (e->type != ENTRY_DIR || !e->opaque)
        return 0;
    if (*e->path == '\0')
        buf_clear(&w->name);
    buf_adds(&w->name, marker.path);
    return put_header(w, &marker, err);
}

int tar_writer_data(struct tar_writer *w, const void *p, size_t n, struct err *err)
{
    if (w->err.code != ERR_NONE)
        return fail(w, err);
    if (n > w->left)
        return err_set(err, ERR_CORRUPT, "'%s': more bytes than it said", buf_str(&w->name));
    w->left -= n;
    return put(w, p, n, err);
}

int tar_writer_finish(struct tar_writer *w, struct err *err)
{
    static const char zeros[2 * BLOCK];
    if (ready(w, err) < 0 || put(w, zeros, sizeof(zeros), err) < 0)
        return err->code;
    w->size = 0;
    return flush(w, err);
}
