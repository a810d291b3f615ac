#include "cache/digest_memory.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <unistd.h>

#define MAGIC "shale-memory 2\n"
#define SECOND_NS 1000000000LL
#define GRANULARITY_NS (SECOND_NS / 10)          /* with nanoseconds: ticks of 1-10 ms */
#define COARSE_GRANULARITY_NS (3 * SECOND_NS)    /* with whole seconds (FAT: two) */
#define SERVER_GRANULARITY_NS (3600 * SECOND_NS) /* its clock may be off, or in another zone */
#define DAY_S (24 * 60 * 60)
#define KEEP_DAYS 30         /* rows that no scan meets */
#define KEEP_UNMET 100000    /* of them, */
#define KEEP_UNMET_PER_ROW 4 /* and for each other row */

struct row {
    uint64_t ino, dev, volume, size;
    int64_t mtime_s, ctime_s;
    uint32_t mtime_ns, ctime_ns;
    uint32_t mode; /* file type and permissions */
    uint16_t plain;
    uint16_t day; /* that it was put or met last when the file was written */
    uint8_t digest[DIGEST_LEN];
    uint64_t check;
};

struct header {
    char magic[16];
    uint64_t n;
    int64_t saved_ns;
    uint64_t check;
};

struct memory {
    int dirfd;
    char *name;
    void *map;
    size_t map_len;
    const struct row *old; /* in order */
    size_t n_old;
    atomic_uchar *met; /* of each old row: whether it was found */
    struct row *rows;  /* new ones */
    size_t n, cap;
};

/* ---- File systems ---- */

/*
 * Those that keep a ctime that the kernel sets by its own clock; the numbers are from statfs(2) and
 * the kernel's magic.h. What is not here is not trusted: FAT has one time for both, FUSE what the
 * program behind it says (sshfs: the mtime), squashfs and its like what the image's maker wished.
 *
 * Overlayfs shows the ctime of the directory that a file lies in, and does not say which file
 * system that is. What is written goes to the upper one, which must have xattrs and whiteouts: none
 * of those above. A lower one does not change while it is mounted.
 */
static const struct {
    uint32_t type;
    int64_t margin_ns;
} kinds[] = {
    { 0xef53, GRANULARITY_NS },            /* ext2, ext3, ext4 */
    { 0x58465342, GRANULARITY_NS },        /* XFS */
    { 0x9123683e, GRANULARITY_NS },        /* Btrfs */
    { 0x01021994, GRANULARITY_NS },        /* tmpfs */
    { 0x2fc12fc1, GRANULARITY_NS },        /* ZFS */
    { 0xf2f52010, GRANULARITY_NS },        /* F2FS */
    { 0xca451a4e, GRANULARITY_NS },        /* bcachefs */
    { 0x794c7630, GRANULARITY_NS },        /* overlayfs */
    { 0x6969, SERVER_GRANULARITY_NS },     /* NFS; this and those below: the server's clock */
    { 0xff534d42, SERVER_GRANULARITY_NS }, /* CIFS */
    { 0xfe534d42, SERVER_GRANULARITY_NS }, /* SMB2 */
    { 0x517b, SERVER_GRANULARITY_NS },     /* SMB */
    { 0x01021997, SERVER_GRANULARITY_NS }, /* 9p */
    { 0x00c36400, SERVER_GRANULARITY_NS }, /* Ceph */
    { 0x5346414f, SERVER_GRANULARITY_NS }, /* AFS */
    { 0x73757245, SERVER_GRANULARITY_NS }, /* Coda */
    { 0x0bd00bd0, SERVER_GRANULARITY_NS }, /* Lustre */
    { 0x47504653, SERVER_GRANULARITY_NS }, /* GPFS */
};

void volume_of(int fd, const struct stat *st, struct volume *ret)
{
    struct statfs fs;
    *ret = (struct volume){ .dev = st->st_dev, .margin_ns = -1 };
    if (fstatfs(fd, &fs) < 0)
        return;
    memcpy(&ret->id, &fs.f_fsid, sizeof(ret->id));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (kinds[i].type == (uint32_t)fs.f_type)
            ret->margin_ns = kinds[i].margin_ns;
}

/* A file that is mounted over another is on a volume that nobody looked at. */
static bool is_certain(const struct volume *v, const struct stat *st)
{
    return v->margin_ns >= 0 && v->dev == st->st_dev;
}

/* ---- Opening ---- */

void memory_free(struct memory *m)
{
    if (m == NULL)
        return;
    if (m->map != NULL)
        munmap(m->map, m->map_len);
    fd_close(m->dirfd);
    mem_free(m->name);
    mem_free(m->met);
    mem_free(m->rows);
    mem_free(m);
}

static uint64_t row_check(const struct row *r)
{
    return quick_hash(r, offsetof(struct row, check), 0x7368616c65ULL);
}

static uint64_t header_check(const struct header *h)
{
    return quick_hash(h, offsetof(struct header, check), 0x7368616c65ULL);
}

/* Inodes first: they tell most. */
static int row_order(const struct row *a, const struct row *b)
{
    if (a->ino != b->ino)
        return a->ino < b->ino ? -1 : 1;
    if (a->dev != b->dev)
        return a->dev < b->dev ? -1 : 1;
    return a->volume < b->volume ? -1 : a->volume > b->volume;
}

static int row_order_void(const void *a, const void *b)
{
    return row_order(a, b);
}

static int64_t now_ns(void)
{
    struct clock_time now = clock_now();
    return now.s * SECOND_NS + now.ns;
}

/* A clock that was set back gives files times a second time. */
static bool header_ok(const struct header *h, size_t file_len)
{
    uint64_t room = (file_len - sizeof(*h)) / sizeof(struct row);
    return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->check == header_check(h) &&
           h->n <= room && h->saved_ns <= now_ns();
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
    if (!header_ok(h, (size_t)st.st_size)) {
        munmap(map, (size_t)st.st_size);
        return;
    }
    m->map = map;
    m->map_len = (size_t)st.st_size;
    m->old = (const struct row *)(const void *)(h + 1);
    m->n_old = h->n;
    m->met = mem_calloc(m->n_old, sizeof(*m->met));
}

struct memory *memory_open(int dirfd, const char *name)
{
    struct memory *m = mem_zalloc(sizeof(*m));
    m->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    m->name = str_dup(name);
    map_file(m);
    return m;
}

/* ---- Asking ---- */

static void row_of(const struct volume *v, const struct stat *st, struct row *ret)
{
    *ret = (struct row){ .ino = st->st_ino,
                         .dev = v->dev,
                         .volume = v->id,
                         .size = (uint64_t)st->st_size,
                         .mtime_s = st->st_mtim.tv_sec,
                         .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
                         .ctime_s = st->st_ctim.tv_sec,
                         .ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
                         .mode = st->st_mode };
}

static bool is_as_it_was(const struct row *a, const struct row *b)
{
    return a->size == b->size && a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns &&
           a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns && a->mode == b->mode;
}

static const struct row *lookup(const struct memory *m, const struct row *want)
{
    size_t lo = 0, hi = m->n_old;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = row_order(&m->old[mid], want);
        if (order == 0)
            return &m->old[mid];
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

bool memory_find(const struct memory *m, const struct volume *v, const struct stat *st,
                 struct digest *ret, bool *ret_plain)
{
    struct row want;
    if (!is_certain(v, st))
        return false;
    row_of(v, st, &want);
    const struct row *r = lookup(m, &want);
    if (r == NULL || !is_as_it_was(r, &want) || row_check(r) != r->check)
        return false;
    atomic_store_explicit(&m->met[r - m->old], 1, memory_order_relaxed);
    memcpy(ret->b, r->digest, DIGEST_LEN);
    *ret_plain = r->plain != 0;
    return true;
}

/* ---- Keeping ---- */

static uint16_t today(void)
{
    return (uint16_t)(clock_wall_s() / DAY_S);
}

/* Whether a later change of the file would have given it another ctime for certain. */
static bool is_settled(const struct volume *v, const struct row *r, int64_t hashed_ns)
{
    bool coarse = r->ctime_ns == 0 && r->mtime_ns == 0;
    int64_t margin = v->margin_ns;
    if (coarse && margin < COARSE_GRANULARITY_NS)
        margin = COARSE_GRANULARITY_NS;
    int64_t before = hashed_ns - margin; /* the ctime may be anything, but is the kernel's */
    int64_t s = before / SECOND_NS;
    return r->ctime_s < s || (r->ctime_s == s && r->ctime_ns < before % SECOND_NS);
}

void memory_put(struct memory *m, const struct volume *v, const struct stat *st,
                const struct digest *d, bool plain, int64_t hashed_ns)
{
    struct row r;
    row_of(v, st, &r);
    if (!is_certain(v, st) || !is_settled(v, &r, hashed_ns))
        return;
    memcpy(r.digest, d->b, DIGEST_LEN);
    r.plain = plain;
    r.day = today();
    r.check = row_check(&r);
    MEM_ROOM(m->rows, m->n, m->cap);
    m->rows[m->n++] = r;
}

/* Of the rows that no scan met, which go on: the newest. */
struct unmet {
    unsigned age; /* in days: all that are younger, */
    size_t n;     /* and so many that are as old */
};

static unsigned age_of(const struct row *r)
{
    return (uint16_t)(today() - r->day);
}

static void choose_unmet(const struct memory *m, bool whole, struct unmet *ret)
{
    size_t n[KEEP_DAYS + 1] = { 0 }, room = m->n;
    *ret = (struct unmet){ 0 };
    if (whole)
        return;
    for (size_t i = 0; i < m->n_old; i++) {
        unsigned age = age_of(&m->old[i]);
        room += m->met[i] != 0;
        if (m->met[i] == 0 && age <= KEEP_DAYS)
            n[age]++;
    }
    room = room * KEEP_UNMET_PER_ROW + KEEP_UNMET;
    for (; ret->age <= KEEP_DAYS && n[ret->age] <= room; ret->age++)
        room -= n[ret->age];
    ret->n = ret->age <= KEEP_DAYS ? room : 0;
}

static bool unmet_goes_on(struct unmet *u, const struct row *r)
{
    unsigned age = age_of(r);
    if (age != u->age || u->n == 0)
        return age < u->age;
    u->n--;
    return true;
}

/* The old row as it goes on; false: it does not. */
static bool renew(const struct memory *m, size_t i, struct unmet *u, struct row *ret)
{
    *ret = m->old[i];
    if (row_check(ret) != ret->check)
        return false;
    if (m->met[i] == 0)
        return unmet_goes_on(u, ret);
    ret->day = today();
    ret->check = row_check(ret);
    return true;
}

/* Both in order, new ones in place of old ones. Returns the number of rows. */
static size_t merge(const struct memory *m, bool whole, struct buf *ret)
{
    size_t i = 0, k = 0, n = 0;
    struct row r;
    struct unmet u;
    choose_unmet(m, whole, &u);
    while (i < m->n_old || k < m->n) {
        int order = i == m->n_old ? 1 : k == m->n ? -1 : row_order(&m->old[i], &m->rows[k]);
        bool again = k > 0 && k < m->n && row_order(&m->rows[k - 1], &m->rows[k]) == 0;
        if (order >= 0 && !again) /* of two names of one file the first does */
            buf_add(ret, &m->rows[k], sizeof(r));
        n += order >= 0 && !again;
        if (order < 0 && renew(m, i, &u, &r)) {
            buf_add(ret, &r, sizeof(r));
            n++;
        }
        i += order <= 0;
        k += order >= 0;
    }
    return n;
}

int memory_save(struct memory *m, bool whole, struct err *err)
{
    if (m->n == 0)
        return 0;
    qsort(m->rows, m->n, sizeof(*m->rows), row_order_void);
    struct header h = { .magic = MAGIC, .saved_ns = now_ns() };
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_add(&b, &h, sizeof(h));
    h.n = merge(m, whole, &b);
    h.check = header_check(&h);
    memcpy(b.data, &h, sizeof(h));
    return file_replace(m->dirfd, m->name, b.data, b.len, 0600, false, err);
}
