#include "cache/context.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/map.h"
#include "cache/digest_memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DEPTH_MAX 512 /* directories within each other */
#define LINKS_MAX 40  /* symbolic links on the way to one path */
#define XATTR_NAMES_MAX 65536
#define SETTLE_TRIES 3 /* times a file that changes is read */
#define READ_CHUNK (256 * 1024)

/* One found path. */
struct item {
    char *path, *target;
    struct stat st;
    struct digest digest;
    bool need_hash, plain;
    struct entry_xattr *xattrs;
    size_t n_xattrs;
    int64_t hashed_ns;
};

struct context {
    int fd;
    char *path;
    struct ignore *ignore;
    struct store *store;
    struct pool *pool;
    struct cancel *cancel;
    bool normalize_modes;
    pthread_mutex_t lock;
    struct strv wants;         /* what the last listing covers, cleaned; "" is all */
    struct listing **listings; /* the last one is current */
    size_t n_listings, cap_listings;
    struct context_counts counts;
};

/* One scan under way. */
struct scan {
    struct context *c;
    struct item *items;
    size_t n, cap;
    struct memory *memory;
    atomic_size_t next; /* item to be hashed next */
    atomic_ullong read_files, read_bytes;
};

/* A directory on the way down; ignored ones are added when something below is not. */
struct dir {
    const struct dir *parent;
    const char *path;
    int fd;
    const uint8_t *state;
    const struct stat *st;
    bool *added;
    int depth;
};

static void item_release(struct item *it)
{
    mem_free(it->path);
    mem_free(it->target);
    for (size_t i = 0; i < it->n_xattrs; i++) {
        mem_free((void *)(uintptr_t)it->xattrs[i].name);
        mem_free((void *)(uintptr_t)it->xattrs[i].value);
    }
    mem_free(it->xattrs);
}

static void scan_release(struct scan *s)
{
    for (size_t i = 0; i < s->n; i++)
        item_release(&s->items[i]);
    mem_free(s->items);
    memory_free(s->memory);
}
DEFINE_AUTO_VALUE(struct scan, scan_release);

void context_free(struct context *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_listings; i++)
        listing_free(c->listings[i]);
    mem_free(c->listings);
    strv_release(&c->wants);
    ignore_free(c->ignore);
    pthread_mutex_destroy(&c->lock);
    fd_close(c->fd);
    mem_free(c->path);
    mem_free(c);
}

struct context *context_open(const char *path, struct ignore *ignore, struct store *s,
                             struct pool *pool, struct cancel *cancel, struct err *err)
{
    AUTO(context_free) struct context *c = mem_zalloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->ignore = ignore;
    c->store = s;
    c->pool = pool;
    c->cancel = cancel;
    c->path = str_dup(path);
    c->fd = dir_open(AT_FDCWD, path, err);
    return c->fd < 0 ? NULL : TAKE(c);
}

void context_normalize_modes(struct context *c)
{
    c->normalize_modes = true;
}

/* What is asked for. */

static bool wants_all(const struct strv *wants)
{
    return strv_has(wants, "");
}

static bool is_covered(const struct strv *wants, const char *path)
{
    for (size_t i = 0; i < wants->n; i++)
        if (wants->v[i][0] == '\0' || str_eq(wants->v[i], path) || path_is_below(path, wants->v[i]))
            return true;
    return false;
}

static bool is_on_the_way(const struct strv *wants, const char *path)
{
    for (size_t i = 0; i < wants->n; i++)
        if (path_is_below(wants->v[i], path))
            return true;
    return false;
}

/* The link's target as a context path when the prefix of path that ends at len is a link; else
 * NULL. */
static char *link_target(const struct context *c, const char *path, size_t len)
{
    AUTO(mem_free) char *prefix = str_ndup(path, len);
    struct err ignored = ERR_INIT;
    const char *leaf;
    AUTO(fd_close) int dir = inroot_open_parent(c->fd, prefix, &leaf, &ignored);
    char target[4096];
    ssize_t n = dir < 0 ? -1 : readlinkat(dir, leaf, target, sizeof(target) - 1);
    if (n < 0)
        return NULL;
    target[n] = '\0';
    AUTO(mem_free) char *parent = path_dir(prefix);
    AUTO(mem_free) char *rooted = str_printf("/%s", str_eq(parent, ".") ? "" : parent);
    AUTO(mem_free) char *joined = path_join(rooted, target);
    return str_printf("%s%s", joined, path + len);
}

static void add_uncovered(struct strv *wants, const char *path)
{
    if (!is_covered(wants, path))
        strv_add(wants, path);
}

/* Adds path and, for every link on the way, the link and what it leads to. */
static void add_want(const struct context *c, struct strv *wants, const char *path, int links)
{
    AUTO(mem_free) char *rooted = str_printf("/%s", path);
    AUTO(mem_free) char *clean = path_clean(rooted);
    const char *rel = clean + 1;
    for (size_t i = 1; *rel != '\0' && i <= strlen(rel) && links < LINKS_MAX; i++) {
        if (rel[i] != '/' && rel[i] != '\0')
            continue;
        AUTO(mem_free) char *target = link_target(c, rel, i);
        if (target == NULL)
            continue;
        AUTO(mem_free) char *link = str_ndup(rel, i);
        add_uncovered(wants, link);
        add_want(c, wants, target, links + 1);
        return;
    }
    add_uncovered(wants, rel);
}

/* Finding. */

static bool xattr_counts(const char *name)
{
    if (str_starts(name, "security."))
        return str_eq(name, "security.capability");
    return !str_starts(name, "system.") && !str_starts(name, "trusted.overlay.") &&
           !str_starts(name, "user.overlay.") && !str_starts(name, "com.apple.");
}

static void add_xattr(struct item *it, const char *proc_path, const char *name)
{
    ssize_t n = lgetxattr(proc_path, name, NULL, 0);
    if (n < 0)
        return;
    char *value = mem_alloc((size_t)n);
    n = lgetxattr(proc_path, name, value, (size_t)n);
    if (n < 0) {
        mem_free(value);
        return;
    }
    it->xattrs = mem_grow(it->xattrs, it->n_xattrs + 1, sizeof(*it->xattrs));
    size_t at = it->n_xattrs++;
    while (at > 0 && strcmp(it->xattrs[at - 1].name, name) > 0) {
        it->xattrs[at] = it->xattrs[at - 1];
        at--;
    }
    it->xattrs[at] =
        (struct entry_xattr){ .name = str_dup(name), .value = value, .len = (size_t)n };
}

/* xattrs of name in dirfd, no link followed. */
static void read_xattrs(struct item *it, int dirfd, const char *name)
{
    AUTO(mem_free) char *proc_path = str_printf("/proc/self/fd/%d/%s", dirfd, name);
    ssize_t need = llistxattr(proc_path, NULL, 0);
    it->plain = need <= 0;
    if (need <= 0 || need > XATTR_NAMES_MAX)
        return;
    AUTO(mem_free) char *names = mem_alloc((size_t)need);
    ssize_t n = llistxattr(proc_path, names, (size_t)need);
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
        if (xattr_counts(p))
            add_xattr(it, proc_path, p);
    it->plain = it->n_xattrs == 0;
}

static struct item *add_item(struct scan *s, const char *path, const struct stat *st)
{
    MEM_ROOM(s->items, s->n, s->cap);
    struct item *it = &s->items[s->n++];
    memset(it, 0, sizeof(*it));
    it->path = str_dup(path);
    it->st = *st;
    return it;
}

static void add_pending_dirs(struct scan *s, const struct dir *d)
{
    if (d == NULL || *d->added)
        return;
    add_pending_dirs(s, d->parent);
    struct item *it = add_item(s, d->path, d->st);
    read_xattrs(it, d->fd, ".");
    *d->added = true;
}

static int add_found(struct scan *s, const struct dir *d, const char *name, const char *path,
                     const struct stat *st, struct err *err)
{
    add_pending_dirs(s, d);
    struct item *it = add_item(s, path, st);
    if (S_ISLNK(st->st_mode)) {
        char target[4096];
        ssize_t n = readlinkat(d->fd, name, target, sizeof(target) - 1);
        if (n < 0)
            return err_sys(err, errno, "cannot read link '%s'", path);
        it->target = str_ndup(target, (size_t)n);
    }
    bool known = S_ISREG(st->st_mode) && memory_find(s->memory, st, &it->digest, &it->plain);
    if (known)
        memory_keep(s->memory, st);
    it->need_hash = S_ISREG(st->st_mode) && !known;
    if (S_ISSOCK(st->st_mode))
        digest_of("", 0, &it->digest); /* an empty file, of size 0 here already */
    if (!known || !it->plain)
        read_xattrs(it, d->fd, name);
    if (s->n > LISTING_ENTRIES_MAX)
        return err_set(err, ERR_USAGE, "context '%s' has over %u files", s->c->path,
                       LISTING_ENTRIES_MAX);
    return 0;
}

static int walk(struct scan *s, const struct dir *d, struct err *err);

/* A directory below d that is wanted or leads to what is wanted. */
static int walk_child(struct scan *s, const struct dir *d, const char *name, const char *path,
                      const struct stat *st, const uint8_t *state, bool added, struct err *err)
{
    if (d->depth >= DEPTH_MAX)
        return err_set(err, ERR_USAGE, "context '%s' is nested more than %d directories deep",
                       s->c->path, DEPTH_MAX);
    AUTO(fd_close) int fd = openat(d->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_sys(err, errno, "cannot open directory '%s' of the context", path);
    struct dir child = { .parent = d,
                         .path = path,
                         .fd = fd,
                         .state = state,
                         .st = st,
                         .added = &added,
                         .depth = d->depth + 1 };
    return walk(s, &child, err);
}

static int visit(struct scan *s, const struct dir *d, const char *name, struct err *err)
{
    AUTO(mem_free) char *path = *d->path ? str_printf("%s/%s", d->path, name) : str_dup(name);
    bool covered = is_covered(&s->c->wants, path);
    if (!covered && !is_on_the_way(&s->c->wants, path))
        return 0;
    struct stat st;
    if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "cannot stat '%s' in the context", path);
    AUTO(mem_free) uint8_t *state = NULL;
    bool ignored = false;
    if (s->c->ignore != NULL) {
        state = mem_zalloc(ignore_state_size(s->c->ignore) + 1);
        ignored = ignore_match_in(s->c->ignore, path, d->state, state);
    }
    if (!ignored && add_found(s, d, name, path, &st, err) < 0)
        return err->code;
    if (!S_ISDIR(st.st_mode) || (ignored && !ignore_may_match_below(s->c->ignore, path)))
        return 0;
    return walk_child(s, d, name, path, &st, state, !ignored, err);
}

static void dir_stream_close(DIR *d)
{
    if (d != NULL)
        closedir(d);
}
DEFINE_AUTO(DIR, dir_stream_close);

static int walk(struct scan *s, const struct dir *d, struct err *err)
{
    if (cancel_check(s->c->cancel, err) < 0)
        return err->code;
    int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* an offset of its own */
    AUTO(dir_stream_close) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    if (stream == NULL)
        return err_sys(err, errno, "cannot read directory '%s' of the context", d->path);
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(stream);
        if (e == NULL)
            break;
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        if (visit(s, d, e->d_name, err) < 0)
            return err->code;
    }
    return errno ? err_sys(err, errno, "cannot read directory '%s' of the context", d->path) : 0;
}

/* Hashing. */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int hash_fd(struct scan *s, int fd, const char *path, struct digest *ret, struct err *err)
{
    AUTO(hasher_free) struct hasher *h = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(READ_CHUNK);
    for (;;) {
        size_t n;
        if (cancel_check(s->c->cancel, err) < 0)
            return err->code;
        if (fd_read_full(fd, chunk, READ_CHUNK, &n, err) < 0)
            return err_wrap(err, "cannot read '%s' in the context", path);
        hasher_add(h, chunk, n);
        atomic_fetch_add(&s->read_bytes, n);
        if (n < READ_CHUNK)
            break;
    }
    hasher_end(h, ret);
    return 0;
}

static int hash_item(struct scan *s, struct item *it, struct err *err)
{
    for (int try = 0; try < SETTLE_TRIES; try++) {
        AUTO(fd_close) int fd = context_open_file(s->c, it->path, err);
        if (fd < 0)
            return fd;
        struct stat before, after;
        struct clock_time now = clock_now();
        it->hashed_ns = now.s * 1000000000LL + now.ns;
        if (fstat(fd, &before) < 0)
            return err_sys(err, errno, "cannot stat '%s' in the context", it->path);
        if (!S_ISREG(before.st_mode))
            return err_set(err, ERR_IO, "'%s' changed while the context was read", it->path);
        if (hash_fd(s, fd, it->path, &it->digest, err) < 0)
            return err->code;
        if (fstat(fd, &after) < 0)
            return err_sys(err, errno, "cannot stat '%s' in the context", it->path);
        it->st = after;
        if (same_file(&before, &after)) {
            atomic_fetch_add(&s->read_files, 1);
            return 0;
        }
    }
    return err_set(err, ERR_IO, "'%s' keeps changing while the context is read", it->path);
}

static int hash_some(void *arg, struct err *err)
{
    struct scan *s = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&s->next, 1);
        if (i >= s->n)
            return 0;
        if (s->items[i].need_hash && hash_item(s, &s->items[i], err) < 0) {
            atomic_store(&s->next, s->n);
            return err->code;
        }
    }
}

static int hash_all(struct scan *s, struct err *err)
{
    size_t need = 0;
    for (size_t i = 0; i < s->n; i++)
        need += s->items[i].need_hash;
    if (need == 0)
        return 0;
    AUTO(group_free) struct group *g = group_new(s->c->pool);
    for (size_t i = 0; i < (need < 16 ? need : 16); i++)
        group_run(g, hash_some, s);
    if (group_wait(g, err) < 0)
        return err->code;
    for (size_t i = 0; i < s->n; i++) {
        const struct item *it = &s->items[i];
        if (it->need_hash)
            memory_put(s->memory, &it->st, &it->digest, it->plain, it->hashed_ns);
    }
    return 0;
}

/* The listing. */

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

/* The name that came first of a file that has several; NULL: it is this one, or the only one. */
static const char *first_name(struct map *first, const struct item *it)
{
    if (!S_ISREG(it->st.st_mode) || it->st.st_nlink < 2)
        return NULL;
    AUTO(mem_free)
    char *file = str_printf("%ju:%ju", (uintmax_t)it->st.st_dev, (uintmax_t)it->st.st_ino);
    const char *name = map_get(first, file);
    if (name == NULL)
        map_set(first, file, it->path);
    return name;
}

/* A link's mode is 0777 anyway. */
static unsigned mode_as_in_git(const struct stat *st)
{
    return S_ISDIR(st->st_mode) || (st->st_mode & S_IXUSR) != 0 ? 0755 : 0644;
}

static void entry_of(const struct context *c, const struct item *it, struct map *first,
                     struct entry *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->path = it->path;
    ret->type = type_of(it->st.st_mode);
    ret->mode = c->normalize_modes ? mode_as_in_git(&it->st) : it->st.st_mode & 07777;
    ret->size = ret->type == ENTRY_FILE ? (uint64_t)it->st.st_size : 0;
    ret->mtime = it->st.st_mtim.tv_sec;
    ret->mtime_ns = (uint32_t)it->st.st_mtim.tv_nsec;
    ret->content = it->digest;
    ret->target = it->target;
    ret->hardlink = first_name(first, it);
    if (ret->type == ENTRY_CHAR || ret->type == ENTRY_BLOCK) {
        ret->dev_major = major(it->st.st_rdev);
        ret->dev_minor = minor(it->st.st_rdev);
    }
    ret->xattrs = it->xattrs;
    ret->n_xattrs = it->n_xattrs;
}

static int make_listing(struct scan *s, struct err *err)
{
    struct context *c = s->c;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(map_free) struct map *first = map_new(NULL);
    struct context_counts counts = { .read_files = c->counts.read_files + s->read_files,
                                     .read_bytes = c->counts.read_bytes + s->read_bytes };
    for (size_t i = 0; i < s->n; i++) {
        struct entry e;
        entry_of(c, &s->items[i], first, &e);
        if (listing_builder_add(b, &e, err) < 0)
            return err_wrap(err, "context");
        counts.files += e.type == ENTRY_FILE;
        counts.bytes += e.size;
    }
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (listing_builder_write(b, &bytes, NULL, err) < 0)
        return err->code;
    struct listing *l = listing_open_buf(&bytes, err);
    if (l == NULL)
        return err->code;
    MEM_ROOM(c->listings, c->n_listings, c->cap_listings);
    c->listings[c->n_listings++] = l;
    c->counts = counts;
    return 0;
}

static char *memory_name(const struct context *c)
{
    char real[PATH_MAX];
    const char *path = realpath(c->path, real) ? real : c->path;
    struct digest d;
    digest_of(path, strlen(path), &d);
    return str_dup(DIGEST_HEX(&d));
}

static int scan_wants(struct context *c, struct err *err)
{
    AUTO(mem_free) char *name = memory_name(c);
    if (dir_make(store_dirfd(c->store), "memory", 0700, err) < 0)
        return err->code;
    AUTO(fd_close) int memory_fd = dir_open(store_dirfd(c->store), "memory", err);
    if (memory_fd < 0)
        return err->code;
    AUTO(scan_release) struct scan s = { .c = c, .memory = memory_open(memory_fd, name) };
    struct stat st;
    if (fstat(c->fd, &st) < 0)
        return err_sys(err, errno, "cannot stat context '%s'", c->path);
    bool added = false;
    struct dir top = { .path = "", .fd = c->fd, .st = &st, .added = &added };
    add_pending_dirs(&s, &top);
    if (walk(&s, &top, err) < 0 || hash_all(&s, err) < 0 || make_listing(&s, err) < 0)
        return err->code;
    struct err ignored = ERR_INIT; /* a memory that cannot be kept costs time, nothing else */
    memory_save(s.memory, &ignored);
    return 0;
}

int context_scan(struct context *c, const struct strv *paths, const struct listing **ret,
                 struct err *err)
{
    pthread_mutex_lock(&c->lock);
    size_t before = c->wants.n;
    for (size_t i = 0; i < paths->n && !wants_all(&c->wants); i++)
        add_want(c, &c->wants, paths->v[i], 0);
    int rc = 0;
    if (c->wants.n != before || c->n_listings == 0)
        rc = scan_wants(c, err);
    if (rc == 0)
        *ret = c->listings[c->n_listings - 1];
    else
        strv_clear(&c->wants);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int context_open_file(const struct context *c, const char *path, struct err *err)
{
    const char *leaf;
    AUTO(fd_close) int dir = inroot_open_parent(c->fd, path, &leaf, err);
    if (dir < 0)
        return err_wrap(err, "cannot open '%s' in the context", path);
    int fd = openat(dir, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s' in the context", path);
    return fd;
}

void context_counts(struct context *c, struct context_counts *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->counts;
    pthread_mutex_unlock(&c->lock);
}
