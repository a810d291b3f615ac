#include "cache/digest_memory.h"

#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC "shale-memory 1\n"
#define GRANULARITY_NS 100000000LL         /* of a file system with nanoseconds: ticks of 1-10 ms */
#define COARSE_GRANULARITY_NS 3000000000LL /* of one that keeps whole seconds (FAT: two) */

struct row {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    uint8_t digest[DIGEST_LEN];
    uint32_t plain;
    uint32_t mode; /* file type and permissions */
    uint64_t check;
};

struct header {
    char magic[16];
    uint64_t n;
};

struct memory {
    int dirfd;
    char *name;
    void *map;
    size_t map_len;
    const struct row *old; /* sorted by (dev, ino) */
    size_t n_old;
    struct row *rows;
    size_t n, cap;
    bool dirty;
};

void memory_free(struct memory *m)
{
    if (m == NULL)
        return;
    if (m->map != NULL)
        munmap(m->map, m->map_len);
    fd_close(m->dirfd);
    mem_free(m->name);
    mem_free(m->rows);
    mem_free(m);
}

static int64_t to_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000LL + t.tv_nsec;
}

static uint64_t row_check(const struct row *r)
{
    return quick_hash(r, offsetof(struct row, check), 0x7368616c65ULL);
}

static int row_order(const struct row *a, const struct row *b)
{
    if (a->dev != b->dev)
        return a->dev < b->dev ? -1 : 1;
    return a->ino < b->ino ? -1 : a->ino > b->ino;
}

static int row_order_void(const void *a, const void *b)
{
    return row_order(a, b);
}

static void map_file(struct memory *m)
{
    AUTO(fd_close) int fd = openat(m->dirfd, m->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size < sizeof(struct header))
        return;
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return;
    const struct header *h = map;
    uint64_t room = ((uint64_t)st.st_size - sizeof(*h)) / sizeof(struct row);
    if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->n > room) {
        munmap(map, (size_t)st.st_size);
        return;
    }
    m->map = map;
    m->map_len = (size_t)st.st_size;
    m->old = (const struct row *)(const void *)(h + 1);
    m->n_old = h->n;
}

struct memory *memory_open(int dirfd, const char *name)
{
    struct memory *m = mem_zalloc(sizeof(*m));
    m->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    m->name = str_dup(name);
    map_file(m);
    return m;
}

static void row_of(const struct stat *st, struct row *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->dev = st->st_dev;
    ret->ino = st->st_ino;
    ret->size = (uint64_t)st->st_size;
    ret->mtime_ns = to_ns(st->st_mtim);
    ret->ctime_ns = to_ns(st->st_ctim);
    ret->mode = st->st_mode;
}

static const struct row *lookup(const struct memory *m, const struct row *want)
{
    size_t lo = 0, hi = m->n_old;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = row_order(&m->old[mid], want);
        if (c == 0) {
            const struct row *r = &m->old[mid];
            bool same = r->size == want->size && r->mtime_ns == want->mtime_ns &&
                        r->ctime_ns == want->ctime_ns && r->mode == want->mode;
            return same && row_check(r) == r->check ? r : NULL;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool memory_find(const struct memory *m, const struct stat *st, struct digest *ret, bool *ret_plain)
{
    struct row want;
    row_of(st, &want);
    const struct row *r = lookup(m, &want);
    if (r == NULL)
        return false;
    memcpy(ret->b, r->digest, DIGEST_LEN);
    *ret_plain = r->plain != 0;
    return true;
}

static void add_row(struct memory *m, const struct row *r)
{
    MEM_ROOM(m->rows, m->n, m->cap);
    m->rows[m->n++] = *r;
}

void memory_keep(struct memory *m, const struct stat *st)
{
    struct row want;
    row_of(st, &want);
    const struct row *r = lookup(m, &want);
    if (r != NULL)
        add_row(m, r);
}

void memory_put(struct memory *m, const struct stat *st, const struct digest *d, bool plain,
                int64_t hashed_ns)
{
    struct row r;
    row_of(st, &r);
    memcpy(r.digest, d->b, DIGEST_LEN);
    r.plain = plain;
    r.check = row_check(&r);
    m->dirty = true;
    bool coarse = r.ctime_ns % 1000000000LL == 0 && r.mtime_ns % 1000000000LL == 0;
    int64_t margin = coarse ? COARSE_GRANULARITY_NS : GRANULARITY_NS;
    if (r.ctime_ns + margin < hashed_ns)
        add_row(m, &r);
}

int memory_save(struct memory *m, struct err *err)
{
    if (!m->dirty && m->n == m->n_old)
        return 0;
    if (m->n > 0)
        qsort(m->rows, m->n, sizeof(*m->rows), row_order_void);
    struct header h = { .magic = MAGIC, .n = m->n };
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_add(&b, &h, sizeof(h));
    if (m->n > 0)
        buf_add(&b, m->rows, m->n * sizeof(*m->rows));
    return file_replace(m->dirfd, m->name, b.data, b.len, 0600, false, err);
}
