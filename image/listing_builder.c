/*
 * Entries are kept as a tree of names, so that what a path stands for, and all
 * that is below it, is found and dropped at once; a file's attributes are kept
 * apart from its names, as a file system keeps inodes.
 */
#include "image/listing.h"
#include "image/listing_internal.h"
#include "image/listing_writer.h"
#include "image/resolve_internal.h"

#include "base/mem.h"
#include <stdlib.h>

#define NODES_MAX (2 * LISTING_ENTRIES_MAX)
#define ROOT 0u

/* What one or several names stand for; dropped only with the builder. */
struct inode {
    struct entry e;  /* path and hardlink unused; the pointers are ours */
    uint32_t record; /* 1 + index of the first name that was written */
};

struct node {
    uint32_t parent, first_child, next;
    uint32_t gen;        /* raised when all children are dropped: theirs no longer match */
    uint32_t parent_gen; /* the parent's, when this was made */
    uint32_t hash;
    uint32_t name; /* in names */
    uint16_t name_len;
    bool whiteout, opaque, visiting;
    uint32_t inode; /* LISTING_NONE: none */
    char *link;     /* a hard link whose target was not there yet; owned */
};

struct listing_builder {
    struct node *nodes;
    size_t n_nodes, cap_nodes;
    struct inode *inodes;
    size_t n_inodes, cap_inodes;
    struct buf names;
    uint32_t *slots; /* 1 + node, 0: free */
    size_t n_slots;  /* a power of two */
    size_t n;        /* entries */
    uint64_t kept;   /* bytes behind the pointers of inodes */
};

/* ---- The tree ---- */

static uint32_t name_hash(uint32_t parent, uint32_t gen, const char *name, size_t n)
{
    return (uint32_t)quick_hash(name, n, (uint64_t)parent << 32 | gen);
}

static void slot_put(struct listing_builder *b, uint32_t i)
{
    size_t at = b->nodes[i].hash & (b->n_slots - 1);
    while (b->slots[at] != 0)
        at = (at + 1) & (b->n_slots - 1);
    b->slots[at] = i + 1;
}

static void slots_grow(struct listing_builder *b)
{
    mem_free(b->slots);
    b->n_slots = b->n_slots ? b->n_slots * 2 : 64;
    b->slots = mem_calloc(b->n_slots, sizeof(*b->slots));
    for (size_t i = 1; i < b->n_nodes; i++)
        slot_put(b, (uint32_t)i);
}

static uint32_t child_find(const struct listing_builder *b, uint32_t parent, const char *name,
                           size_t n)
{
    uint32_t gen = b->nodes[parent].gen;
    uint32_t hash = name_hash(parent, gen, name, n);
    for (size_t at = hash & (b->n_slots - 1); b->slots[at]; at = (at + 1) & (b->n_slots - 1)) {
        const struct node *c = &b->nodes[b->slots[at] - 1];
        if (c->hash == hash && c->parent == parent && c->parent_gen == gen && c->name_len == n &&
            memcmp(b->names.data + c->name, name, n) == 0)
            return b->slots[at] - 1;
    }
    return LISTING_NONE;
}

static uint32_t node_new(struct listing_builder *b)
{
    MEM_ROOM(b->nodes, b->n_nodes, b->cap_nodes);
    b->nodes[b->n_nodes] =
        (struct node){ .first_child = LISTING_NONE, .next = LISTING_NONE, .inode = LISTING_NONE };
    return (uint32_t)b->n_nodes++;
}

static int child_add(struct listing_builder *b, uint32_t parent, const char *name, size_t n,
                     uint32_t *ret, struct err *err)
{
    if (b->n_nodes >= NODES_MAX || b->names.len + n >= UINT32_MAX)
        return err_set(err, ERR_CORRUPT, "listing: too many names");
    uint32_t i = node_new(b);
    struct node *c = &b->nodes[i];
    c->parent = parent;
    c->parent_gen = b->nodes[parent].gen;
    c->hash = name_hash(parent, c->parent_gen, name, n);
    c->name = (uint32_t)b->names.len;
    c->name_len = (uint16_t)n;
    c->next = b->nodes[parent].first_child;
    b->nodes[parent].first_child = i;
    buf_add(&b->names, name, n);
    if (b->n_nodes * 2 > b->n_slots)
        slots_grow(b);
    else
        slot_put(b, i);
    *ret = i;
    return 0;
}

static uint32_t node_find(const struct listing_builder *b, const char *path)
{
    uint32_t at = ROOT;
    while (*path && at != LISTING_NONE) {
        size_t n = strcspn(path, "/");
        at = child_find(b, at, path, n);
        path += n + (path[n] == '/');
    }
    return at;
}

static bool is_kind(const struct listing_builder *b, const struct node *c, enum entry_type type)
{
    return c->inode != LISTING_NONE && b->inodes[c->inode].e.type == type;
}

/* Whether something can be below it: a directory, or a name that nothing is said of yet. */
static bool may_hold(const struct listing_builder *b, const struct node *c)
{
    return c->inode == LISTING_NONE || is_kind(b, c, ENTRY_DIR);
}

/* Finds path's node, or makes it and those on the way. */
static int node_make(struct listing_builder *b, const char *path, uint32_t *ret, struct err *err)
{
    uint32_t at = ROOT, next;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (!may_hold(b, &b->nodes[at]))
            return err_set(err, ERR_CORRUPT, "'%s': '%.*s' is not a directory", path,
                           (int)(p - path - 1), path);
        next = child_find(b, at, p, n);
        if (next == LISTING_NONE && child_add(b, at, p, n, &next, err) < 0)
            return err->code;
        at = next;
        p += n + (p[n] == '/');
    }
    *ret = at;
    return 0;
}

static bool counts(const struct node *c)
{
    return c->inode != LISTING_NONE || c->link || c->whiteout || c->opaque;
}

/* Each node is let go of once, so that dropping over and over costs no more than adding did. */
static void drop_children(struct listing_builder *b, uint32_t i)
{
    uint32_t at = b->nodes[i].first_child;
    while (at != LISTING_NONE) {
        struct node *c = &b->nodes[at];
        b->n -= counts(c);
        if (c->first_child != LISTING_NONE) {
            uint32_t last = c->first_child; /* its children are walked before its siblings */
            while (b->nodes[last].next != LISTING_NONE)
                last = b->nodes[last].next;
            b->nodes[last].next = c->next;
            at = c->first_child;
        } else {
            at = c->next;
        }
    }
    b->nodes[i].first_child = LISTING_NONE;
    b->nodes[i].gen++;
}

static void drop_entry(struct listing_builder *b, uint32_t i)
{
    struct node *c = &b->nodes[i];
    b->n -= counts(c);
    c->inode = LISTING_NONE;
    c->whiteout = c->opaque = false;
    mem_free(c->link);
    c->link = NULL;
}

/* ---- The object ---- */

struct listing_builder *listing_builder_new(void)
{
    struct listing_builder *b = mem_zalloc(sizeof(*b));
    slots_grow(b);
    node_new(b);
    return b;
}

static void inode_release(struct inode *o)
{
    for (size_t i = 0; i < o->e.n_xattrs; i++) {
        mem_free((void *)(uintptr_t)o->e.xattrs[i].name);
        mem_free((void *)(uintptr_t)o->e.xattrs[i].value);
    }
    mem_free((void *)(uintptr_t)o->e.xattrs);
    mem_free((void *)(uintptr_t)o->e.target);
    mem_free((void *)(uintptr_t)o->e.inline_data);
}

void listing_builder_free(struct listing_builder *b)
{
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->n_nodes; i++)
        mem_free(b->nodes[i].link);
    for (size_t i = 0; i < b->n_inodes; i++)
        inode_release(&b->inodes[i]);
    mem_free(b->nodes);
    mem_free(b->inodes);
    mem_free(b->slots);
    buf_release(&b->names);
    mem_free(b);
}

size_t listing_builder_len(const struct listing_builder *b)
{
    return b->n;
}

void listing_builder_remove(struct listing_builder *b, const char *path)
{
    uint32_t i = node_find(b, path);
    if (i == LISTING_NONE)
        return;
    drop_children(b, i);
    drop_entry(b, i);
}

/* ---- Adding ---- */

static int xattr_cmp(const void *a, const void *b)
{
    const struct entry_xattr *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void copy_xattrs(struct entry *to, const struct entry *from)
{
    if (from->n_xattrs == 0)
        return;
    struct entry_xattr *list = mem_calloc(from->n_xattrs, sizeof(*list));
    for (size_t i = 0; i < from->n_xattrs; i++) {
        const struct entry_xattr *x = &from->xattrs[i];
        list[i] = (struct entry_xattr){ .name = str_dup(x->name),
                                        .value = mem_dup(x->value, x->len),
                                        .len = x->len };
    }
    qsort(list, from->n_xattrs, sizeof(*list), xattr_cmp);
    to->xattrs = list;
    to->n_xattrs = from->n_xattrs;
}

/* What an inode made of e keeps in memory, replaced ones too: they go with the builder. */
static int count_kept(struct listing_builder *b, const struct entry *e, struct err *err)
{
    uint64_t n = e->type == ENTRY_LINK ? strlen(e->target) : 0;
    if (e->type == ENTRY_FILE && e->inline_data && e->size <= LISTING_INLINE_MAX)
        n += e->size;
    for (size_t i = 0; i < e->n_xattrs; i++)
        n += strlen(e->xattrs[i].name) + e->xattrs[i].len + 2 * sizeof(struct entry_xattr);
    if (n > LISTING_KEPT_MAX - b->kept)
        return err_set(err, ERR_CORRUPT, "listing: more than 1 GiB of xattrs and link targets");
    b->kept += n;
    return 0;
}

static uint32_t inode_add(struct listing_builder *b, const struct entry *e)
{
    MEM_ROOM(b->inodes, b->n_inodes, b->cap_inodes);
    struct inode *o = &b->inodes[b->n_inodes];
    *o = (struct inode){ .e = entry_plain(e) };
    if (o->e.inline_data)
        o->e.inline_data = mem_dup(e->inline_data, e->size);
    o->e.target = str_dup(o->e.target);
    copy_xattrs(&o->e, e);
    return (uint32_t)b->n_inodes++;
}

static int duplicate_xattr(const struct inode *o)
{
    for (size_t i = 1; i < o->e.n_xattrs; i++)
        if (strcmp(o->e.xattrs[i - 1].name, o->e.xattrs[i].name) == 0)
            return 1;
    return 0;
}

static int add_whiteout(struct listing_builder *b, uint32_t i, const struct entry *e,
                        struct err *err)
{
    struct node *c = &b->nodes[i];
    if (e->opaque && (!may_hold(b, c) || c->link))
        return entry_bad(err, e, "an opaque marker for what is no directory");
    b->n -= counts(c);
    if (e->opaque)
        c->opaque = true;
    else
        c->whiteout = true;
    b->n++;
    return 0;
}

static void place(struct listing_builder *b, uint32_t i, uint32_t inode, char *link)
{
    struct node *c = &b->nodes[i];
    bool dir = inode != LISTING_NONE && b->inodes[inode].e.type == ENTRY_DIR;
    b->n -= counts(c);
    if (!dir) {
        drop_children(b, i);
        c->opaque = false;
    }
    c->inode = inode;
    mem_free(c->link);
    c->link = link;
    b->n++;
}

/* The hard link e; its target is bound at once when it is there. */
static int add_hardlink(struct listing_builder *b, uint32_t i, const struct entry *e,
                        struct err *err)
{
    if (!path_is_clean(e->hardlink) || *e->hardlink == '\0')
        return entry_bad(err, e, "hard link to what is no clean path");
    uint32_t to = node_find(b, e->hardlink);
    if (to == i)
        return entry_bad(err, e, "hard link to itself");
    if (to != LISTING_NONE && is_kind(b, &b->nodes[to], ENTRY_DIR))
        return entry_bad(err, e, "hard link to a directory");
    if (to != LISTING_NONE && b->nodes[to].inode != LISTING_NONE)
        place(b, i, b->nodes[to].inode, NULL);
    else
        place(b, i, LISTING_NONE, str_dup(e->hardlink));
    return 0;
}

int listing_builder_add(struct listing_builder *b, const struct entry *e, struct err *err)
{
    uint32_t i = ROOT;
    if (entry_check(e, err) < 0 || node_make(b, e->path, &i, err) < 0)
        return err->code;
    if (b->n_inodes >= NODES_MAX)
        return err_set(err, ERR_CORRUPT, "listing: more than %u entries", LISTING_ENTRIES_MAX);
    if (e->type == ENTRY_WHITEOUT)
        return add_whiteout(b, i, e, err);
    if (e->type == ENTRY_FILE && e->hardlink)
        return add_hardlink(b, i, e, err);
    if (count_kept(b, e, err) < 0)
        return err->code;
    uint32_t inode = inode_add(b, e);
    if (duplicate_xattr(&b->inodes[inode]))
        return entry_bad(err, e, "the same xattr twice");
    place(b, i, inode, NULL);
    if (e->type == ENTRY_DIR && e->opaque)
        b->nodes[i].opaque = true;
    return 0;
}

/* ---- Members of a layer, in their order ---- */

static enum spot look(void *arg, const char *path, const char **ret_target)
{
    const struct listing_builder *b = arg;
    uint32_t i = node_find(b, path);
    if (i == LISTING_NONE)
        return SPOT_MISSING;
    const struct node *c = &b->nodes[i];
    if (is_kind(b, c, ENTRY_LINK)) {
        *ret_target = b->inodes[c->inode].e.target;
        return SPOT_LINK;
    }
    if (may_hold(b, c))
        return c->link ? SPOT_OTHER : SPOT_DIR;
    return SPOT_OTHER;
}

/* The path with links of the layer in its parents followed; the last component as it is. */
static int member_path(struct listing_builder *b, const char *path, struct buf *ret,
                       struct err *err)
{
    const char *slash = strrchr(path, '/');
    struct resolved what;
    if (slash) {
        AUTO(mem_free) char *dir = str_ndup(path, (size_t)(slash - path));
        if (resolve_path(look, b, dir, true, ret, &what, err) < 0) {
            err->code = ERR_CORRUPT;
            return err->code;
        }
        if (ret->len > 0)
            buf_addc(ret, '/');
    }
    buf_adds(ret, slash ? slash + 1 : path);
    return 0;
}

int listing_builder_add_member(struct listing_builder *b, const struct entry *e, struct err *err)
{
    AUTO(buf_release) struct buf path = BUF_INIT;
    AUTO(buf_release) struct buf target = BUF_INIT;
    struct entry at = *e;
    if (member_path(b, e->path, &path, err) < 0)
        return err->code;
    at.path = buf_str(&path);
    if (e->hardlink == NULL || e->type != ENTRY_FILE)
        return listing_builder_add(b, &at, err);
    if (member_path(b, e->hardlink, &target, err) < 0)
        return err->code;
    at.hardlink = buf_str(&target);
    uint32_t to = node_find(b, at.hardlink);
    if (to == LISTING_NONE || b->nodes[to].inode == LISTING_NONE)
        return err_set(err, ERR_CORRUPT, "'%s': hard link to '%s', which is not there", e->path,
                       e->hardlink);
    if (listing_builder_add(b, &at, err) < 0)
        return err->code;
    struct entry *o = &b->inodes[b->nodes[to].inode].e;
    if (o->type != ENTRY_LINK) {
        o->mode = e->mode;
        o->uid = e->uid;
        o->gid = e->gid;
        o->mtime = e->mtime;
        o->mtime_ns = e->mtime_ns;
    }
    return 0;
}

/* ---- Writing ---- */

static void node_path(const struct listing_builder *b, uint32_t i, struct buf *ret)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    for (; i != ROOT; i = b->nodes[i].parent)
        strv_addn(&names, b->names.data + b->nodes[i].name, b->nodes[i].name_len);
    for (size_t k = names.n; k-- > 0;)
        buf_addf(ret, "%s%s", names.v[k], k ? "/" : "");
}

static int bad_link(const struct listing_builder *b, uint32_t i, const char *why, struct err *err)
{
    AUTO(buf_release) struct buf path = BUF_INIT;
    node_path(b, i, &path);
    return err_set(err, ERR_CORRUPT, "'%s': hard link to '%s', %s", buf_str(&path),
                   b->nodes[i].link, why);
}

/* Follows links to links to the end, and gives all on the way what is there. */
static int bind_link(struct listing_builder *b, uint32_t i, struct err *err)
{
    AUTO(mem_free) uint32_t *way = NULL;
    size_t n = 0, cap = 0;
    uint32_t at = i, to;
    int code = 0;
    while (code == 0 && b->nodes[at].link) {
        to = node_find(b, b->nodes[at].link);
        if (to == LISTING_NONE || (b->nodes[to].inode == LISTING_NONE && !b->nodes[to].link))
            code = bad_link(b, at, "which is not there", err);
        else if (is_kind(b, &b->nodes[to], ENTRY_DIR))
            code = bad_link(b, at, "a directory", err);
        else if (b->nodes[at].visiting)
            code = bad_link(b, at, "which is a link to it", err);
        if (code == 0) {
            MEM_ROOM(way, n, cap);
            way[n++] = at;
            b->nodes[at].visiting = true;
            at = to;
        }
    }
    while (n-- > 0) {
        struct node *c = &b->nodes[way[n]];
        c->visiting = false;
        if (code < 0)
            continue;
        c->inode = b->nodes[at].inode;
        mem_free(c->link);
        c->link = NULL;
    }
    return code;
}

/* Where the tree's walk is. */
struct walk {
    struct listing_builder *b;
    struct listing_writer *w;
    struct buf path;
};

static int put_record(struct walk *w, const struct entry *e, struct inode *o, struct err *err)
{
    uint32_t first = o && e->type == ENTRY_FILE ? o->record : 0;
    if (writer_put(w->w, buf_str(&w->path), w->path.len, e, first, err) < 0)
        return err->code;
    if (o && o->record == 0)
        o->record = writer_len(w->w);
    return 0;
}

/* A whiteout that something else came below of, and an opaque marker alone, are such a directory.
 */
static const struct entry bare_dir = { .path = "", .type = ENTRY_DIR, .mode = 0755 };
static const struct entry bare_whiteout = { .path = "", .type = ENTRY_WHITEOUT };

static bool holds_any(const struct listing_builder *b, const struct node *c);

static int put_node(struct walk *w, uint32_t i, struct err *err)
{
    struct listing_builder *b = w->b;
    struct node *c = &b->nodes[i];
    if (c->link && bind_link(b, i, err) < 0)
        return err->code;
    if (c->inode != LISTING_NONE) {
        struct inode *o = &b->inodes[c->inode];
        struct entry e = o->e;
        e.opaque = e.type == ENTRY_DIR && (c->whiteout || c->opaque);
        if (e.type != ENTRY_DIR && holds_any(b, c))
            return err_set(err, ERR_CORRUPT, "'%s': not a directory", buf_str(&w->path));
        return put_record(w, &e, o, err);
    }
    if (c->opaque || (c->whiteout && holds_any(b, c))) {
        struct entry e = bare_dir;
        e.opaque = true;
        return put_record(w, &e, NULL, err);
    }
    return c->whiteout ? put_record(w, &bare_whiteout, NULL, err) : 0;
}

/* Whether any entry is below; names that nothing was ever put at don't count. */
static bool holds_any(const struct listing_builder *b, const struct node *c)
{
    uint32_t top = (uint32_t)(c - b->nodes), at = c->first_child;
    while (at != LISTING_NONE) {
        const struct node *d = &b->nodes[at];
        if (counts(d))
            return true;
        if (d->first_child != LISTING_NONE) {
            at = d->first_child;
            continue;
        }
        while (b->nodes[at].next == LISTING_NONE && b->nodes[at].parent != top)
            at = b->nodes[at].parent;
        at = b->nodes[at].next;
    }
    return false;
}

/* The last name first. */
static int name_cmp_down(const void *pa, const void *pb, void *arg)
{
    const struct listing_builder *b = arg;
    const struct node *x = &b->nodes[*(const uint32_t *)pa], *y = &b->nodes[*(const uint32_t *)pb];
    size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
    int order = memcmp(b->names.data + y->name, b->names.data + x->name, n);
    return order ? order : (int)y->name_len - (int)x->name_len;
}

/* The children of i onto the stack, last first, so that they come off in their order. */
static void push_children(struct listing_builder *b, uint32_t i, uint32_t **stack, size_t *n,
                          size_t *cap)
{
    size_t first = *n;
    bool in_order = true; /* when they were added in order: each is put before the others */
    for (uint32_t at = b->nodes[i].first_child; at != LISTING_NONE; at = b->nodes[at].next) {
        MEM_ROOM(*stack, *n, *cap);
        (*stack)[*n] = at;
        in_order = in_order && (*n == first || name_cmp_down(&(*stack)[*n - 1], &at, b) < 0);
        (*n)++;
    }
    if (!in_order)
        qsort_r(*stack + first, *n - first, sizeof(**stack), name_cmp_down, b);
}

/* Sets w's path to the node's: its parent's was written just before, or is a prefix of what was. */
static void enter(struct walk *w, const size_t *ends, size_t depth, uint32_t i)
{
    const struct node *c = &w->b->nodes[i];
    buf_truncate(&w->path, depth > 1 ? ends[depth - 1] : 0);
    if (depth > 1)
        buf_addc(&w->path, '/');
    buf_add(&w->path, w->b->names.data + c->name, c->name_len);
}

static int put_all(struct walk *w, struct err *err)
{
    AUTO(mem_free) uint32_t *stack = NULL;
    AUTO(mem_free) size_t *ends = NULL;  /* of the path, for each depth */
    AUTO(mem_free) uint32_t *way = NULL; /* the node at each depth */
    size_t n = 0, cap = 0, depth = 0, cap_ends = 0, cap_way = 0;
    uint32_t i = ROOT;
    buf_adds(&w->path, "");
    for (;;) {
        MEM_ROOM(ends, depth, cap_ends);
        MEM_ROOM(way, depth, cap_way);
        ends[depth] = w->path.len;
        way[depth] = i;
        if (put_node(w, i, err) < 0)
            return err->code;
        push_children(w->b, i, &stack, &n, &cap);
        if (n == 0)
            return 0;
        i = stack[--n];
        while (way[depth] != w->b->nodes[i].parent)
            depth--;
        depth++;
        enter(w, ends, depth, i);
    }
}

int listing_builder_write(struct listing_builder *b, struct buf *ret, struct content_id *ret_id,
                          struct err *err)
{
    AUTO(listing_writer_free) struct listing_writer *writer = listing_writer_new();
    struct walk w = { .b = b, .w = writer };
    for (size_t i = 0; i < b->n_inodes; i++)
        b->inodes[i].record = 0;
    int code = put_all(&w, err);
    buf_release(&w.path);
    if (code < 0)
        return code;
    listing_writer_end(writer, ret, ret_id);
    return 0;
}
