/* What was found, as a listing. */
#include "cache/context_internal.h"

#include "base/map.h"
#include "image/listing_writer.h"
#include <string.h>
#include <sys/sysmacros.h>

struct listed {
    const struct context *c;
    struct listing_writer *w;
    struct buf path;   /* of the item at hand */
    struct map *first; /* "device:inode" of files with several names -> struct first */
    struct context_counts counts;
};

/* The name of a file that came first. */
struct first {
    char *path;
    const struct item *item;
};

static void first_free(void *arg)
{
    struct first *f = arg;
    mem_free(f->path);
    mem_free(f);
}

static enum entry_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return ENTRY_DIR;
    case S_IFLNK:
        return ENTRY_LINK;
    case S_IFCHR:
        return ENTRY_CHAR;
    case S_IFBLK:
        return ENTRY_BLOCK;
    case S_IFIFO:
        return ENTRY_FIFO;
    default:
        return ENTRY_FILE;
    }
}

/* A link's mode is 0777 anyway. */
static unsigned mode_as_in_git(const struct stat *st)
{
    return S_ISDIR(st->st_mode) || (st->st_mode & S_IXUSR) != 0 ? 0755 : 0644;
}

static void entry_of(const struct listed *l, const struct item *it, struct entry *ret)
{
    const struct stat *st = &it->st;
    *ret = (struct entry){
        .path = buf_str(&l->path),
        .type = type_of(st->st_mode),
        .mode = (uint16_t)(l->c->normalize_modes ? mode_as_in_git(st) : st->st_mode & 07777),
        .mtime = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .content = it->digest,
        .target = it->target,
        .xattrs = it->xattrs,
        .n_xattrs = it->n_xattrs,
    };
    if (ret->type == ENTRY_FILE)
        ret->size = (uint64_t)st->st_size;
    if (ret->type == ENTRY_CHAR || ret->type == ENTRY_BLOCK) {
        ret->dev_major = major(st->st_rdev);
        ret->dev_minor = minor(st->st_rdev);
    }
}

/* The item whose name came first of a file that has several; NULL: it is this one, or the only one.
 */
static const struct first *first_name(struct listed *l, const struct item *it)
{
    if (!S_ISREG(it->st.st_mode) || it->st.st_nlink < 2)
        return NULL;
    AUTO(mem_free)
    char *file = str_printf("%ju:%ju", (uintmax_t)it->st.st_dev, (uintmax_t)it->st.st_ino);
    struct first *f = map_get(l->first, file);
    if (f != NULL)
        return f;
    f = mem_zalloc(sizeof(*f));
    f->path = str_dup(buf_str(&l->path));
    f->item = it;
    map_set(l->first, file, f);
    return NULL;
}

static int list_item(struct listed *l, const struct item *it, struct err *err)
{
    struct entry e;
    const struct first *f = first_name(l, it);
    entry_of(l, f ? f->item : it, &e);
    if (f != NULL)
        e.hardlink = f->path;
    l->counts.files += e.type == ENTRY_FILE;
    l->counts.bytes += e.size;
    return listing_writer_add(l->w, &e, err) < 0 ? err_wrap(err, "context") : 0;
}

static int list_dir(struct listed *l, const struct found_dir *d, struct err *err)
{
    size_t len = l->path.len;
    for (size_t i = 0; i < d->n; i++) {
        const struct item *it = d->items[i];
        if (it->ignored)
            continue;
        if (len > 0)
            buf_addc(&l->path, '/');
        buf_adds(&l->path, it->name);
        if (list_item(l, it, err) < 0 || (it->dir != NULL && list_dir(l, it->dir, err) < 0))
            return err->code;
        buf_truncate(&l->path, len);
    }
    return 0;
}

static int keep(struct context *c, struct listed *l, struct err *err)
{
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    listing_writer_end(l->w, &bytes, NULL);
    struct listing *listing = listing_open_buf(&bytes, err);
    if (listing == NULL)
        return err->code;
    MEM_ROOM(c->listings, c->n_listings, c->cap_listings);
    c->listings[c->n_listings++] = listing;
    c->counts = l->counts;
    return 0;
}

/* An ignored directory is there when something in it is. */
static bool show_parents(struct found_dir *d)
{
    bool any = false;
    for (size_t i = 0; i < d->n; i++) {
        struct item *it = d->items[i];
        if (it->dir != NULL && show_parents(it->dir))
            it->ignored = false;
        any = any || !it->ignored;
    }
    return any;
}

int context_list(struct scan *s, struct err *err)
{
    struct context *c = s->c;
    AUTO(listing_writer_free) struct listing_writer *w = listing_writer_new();
    AUTO(map_free) struct map *first = map_new(first_free);
    struct listed l = { .c = c, .w = w, .first = first };
    l.counts.read_files = c->counts.read_files + s->read_files;
    l.counts.read_bytes = c->counts.read_bytes + s->read_bytes;
    buf_adds(&l.path, "");
    show_parents(s->top);
    int rc = list_item(&l, &s->top_item, err);
    if (rc == 0)
        rc = list_dir(&l, s->top, err);
    buf_release(&l.path);
    return rc == 0 ? keep(c, &l, err) : rc;
}
