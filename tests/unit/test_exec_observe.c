/* Real FUSE mounts, in child processes with mount namespaces of their own: needs root and
 * /dev/fuse. The last cases run containers. */
#include "tests/unit/store_scratch.h"

#include "base/clock.h"
#include "exec/observe_internal.h"
#include "exec/overlay_internal.h"
#include "exec/run.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define BIG ((size_t)7 << 18) /* with the seven small files beside it not large on average */
#define BUSYBOX "/bin/busybox"

struct box {
    struct scratch *x;
    struct store *s;
    struct work *w;
    struct buf big, busybox; /* contents of /big and /bin/busybox */
    const struct layer *l;
    unsigned connection; /* number of the last step's first mount */
    bool may_pass;       /* large files may pass by the server */
    struct observer *o;
    char *dir;        /* of the last step */
    struct buf asked; /* what it asked, a line for each path */
};

/* ---- layers ---- */

static struct source *give_content(void *arg, const struct entry *e, struct err *err)
{
    struct box *b = arg;

    (void)err;
    if (str_ends(e->path, "big"))
        return source_mem(b->big.data, b->big.len);
    if (str_ends(e->path, "busybox"))
        return source_mem(b->busybox.data, b->busybox.len);
    return source_mem(e->path, strlen(e->path)); /* small files hold their own path */
}

static void add(struct listing_builder *lb, struct entry e)
{
    struct err err = ERR_INIT;

    e.mtime = 1500000000;
    e.mtime_ns = 123456789;
    assert_ok(listing_builder_add(lb, &e, &err), &err);
}

static void add_dir(struct listing_builder *lb, const char *path)
{
    add(lb, (struct entry){ .path = path, .type = ENTRY_DIR, .mode = 0755 });
}

static void add_file(struct listing_builder *lb, const char *path)
{
    struct entry e = { .path = path, .type = ENTRY_FILE, .mode = 0644, .size = strlen(path) };

    digest_of(path, e.size, &e.content);
    add(lb, e);
}

static void add_bytes(struct listing_builder *lb, const char *path, const struct buf *bytes)
{
    struct entry e = { .path = path, .type = ENTRY_FILE, .mode = 0755, .size = bytes->len };

    digest_of(bytes->data, bytes->len, &e.content);
    add(lb, e);
}

static const struct layer *make(struct box *b, struct listing_builder *lb)
{
    const struct layer *l = layer_make(b->s, lb, give_content, b, &b->x->err);

    if (l == NULL)
        fail_msg("layer_make: %s", b->x->err.msg);
    assert_true(observe_can_serve(l->listing));
    return l;
}

static const struct entry_xattr attrs[] = {
    { .name = "trusted.kind", .value = "tool", .len = 4 },
    { .name = "user.color", .value = "blue", .len = 4 },
};

/* In a user namespace that has no other: 0. */
static uint32_t disk_group = 6, owner = 7;

/* One of everything. */
static const struct layer *make_app(struct box *b)
{
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    struct entry empty = { .path = "app/empty", .type = ENTRY_FILE, .mode = 0600, .uid = owner };
    struct entry tagged = { .path = "app/tagged",
                            .type = ENTRY_FILE,
                            .mode = 04755,
                            .size = 10,
                            .xattrs = attrs,
                            .n_xattrs = ARRAY_LEN(attrs) };

    digest_of("", 0, &empty.content);
    digest_of("app/tagged", 10, &tagged.content);
    add_dir(lb, "app");
    add_file(lb, "app/a");
    add_file(lb, "app/a.b"); /* sorts after what is below a directory "app/a" would be */
    add_bytes(lb, "app/big", &b->big);
    add(lb, (struct entry){ .path = "app/disk",
                            .type = ENTRY_BLOCK,
                            .mode = 0660,
                            .gid = disk_group,
                            .dev_major = 259,
                            .dev_minor = 65537 });
    add(lb, empty);
    add(lb, (struct entry){ .path = "app/link", .type = ENTRY_LINK, .target = "sub/c" });
    add(lb, (struct entry){ .path = "app/pipe", .type = ENTRY_FIFO, .mode = 0600 });
    add_dir(lb, "app/sub");
    add_file(lb, "app/sub/c");
    add_dir(lb, "app/sub/deep");
    add_file(lb, "app/sub/deep/d");
    add(lb, tagged);
    add_file(lb, "top");
    return make(b, lb);
}

static int box_setup(void **state)
{
    struct box *b = mem_zalloc(sizeof(*b));
    unsigned n = 1;

    scratch_setup((void **)&b->x);
    b->s = b->x->store;
    store_set_durable(b->s, false);
    b->w = work_open(b->s, &b->x->err);
    assert_non_null(b->w);
    buf_room(&b->big, BIG + 77);
    b->big.len = BIG + 77;
    for (size_t i = 0; i < b->big.len; i++, n = n * 1103515245u + 12345u)
        b->big.data[i] = (char)(n >> 16);
    assert_ok(file_read(AT_FDCWD, BUSYBOX, 64u << 20, &b->busybox, &b->x->err), &b->x->err);
    b->l = make_app(b);
    *state = b;
    return 0;
}

static int box_teardown(void **state)
{
    struct box *b = *state;

    observer_free(b->o);
    buf_release(&b->big);
    buf_release(&b->busybox);
    buf_release(&b->asked);
    mem_free(b->dir);
    work_free(b->w);
    scratch_teardown((void **)&b->x);
    mem_free(b);
    return 0;
}

/* ---- what was asked ---- */

static int write_asked(void *arg, const struct observed *x, struct err *err)
{
    static const char *const names[] = { "EXIST", "STAT",  "READ", "LIST",
                                         "LINK",  "XLIST", "NEG",  "XATTR" };
    struct buf *to = arg;

    (void)err;
    buf_addf(to, "%s:", *x->path ? x->path : ".");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (x->kinds & (1u << i))
            buf_addf(to, " %s", names[i]);
    for (size_t i = 0; i < x->n_xattrs; i++)
        buf_addf(to, " %s", x->xattrs[i]);
    buf_addc(to, '\n');
    return 0;
}

static const char *asked_of(struct box *b, const struct layer *l)
{
    buf_clear(&b->asked);
    assert_ok(observer_each(b->o, l, write_asked, &b->asked, &b->x->err), &b->x->err);
    return buf_str(&b->asked);
}

/* Of one path of the layer that is observed. */
struct wanted {
    const char *path;
    unsigned kinds;
};

static int find_kinds(void *arg, const struct observed *x, struct err *err)
{
    struct wanted *w = arg;

    (void)err;
    if (str_eq(x->path, w->path))
        w->kinds = x->kinds;
    return 0;
}

static unsigned kinds_of(struct box *b, const char *path)
{
    struct wanted w = { .path = path };

    assert_ok(observer_each(b->o, b->l, find_kinds, &w, &b->x->err), &b->x->err);
    return w.kinds;
}

/* ---- steps: functions that see a root ---- */

typedef int (*step_fn)(void);

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, strerror(errno)); \
            return 1;                                                                             \
        }                                                                                         \
    } while (0)

enum how {
    BARE,    /* the first layer's own mount */
    OVERLAY, /* all of them, an upper directory above */
    USERNS,  /* the first, in an overlay as a user namespace may have it */
};

/* The observer is new for each step. */
static void observe(struct box *b, const struct layer *const *layers, size_t n)
{
    AUTO(mem_free) char *name = work_subdir(b->w, "step", &b->x->err);

    assert_non_null(name);
    mem_free(b->dir);
    b->dir = path_join(work_path(b->w), name);
    observer_free(b->o);
    b->o = observer_new(b->s);
    for (size_t i = 0; i < n; i++)
        observer_add(b->o, layers[i]);
}

static int make_dirs(const char *dir)
{
    static const char *const names[] = { "root", "upper", "work", "names" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *path = path_join(dir, names[i]);
        CHECK(mkdir(path, 0755) == 0);
    }
    return 0;
}

static int mount_overlay(struct box *b, const char *root)
{
    AUTO(strv_release) struct strv lowers = STRV_INIT;
    AUTO(mem_free) char *upper = path_join(b->dir, "upper");
    AUTO(mem_free) char *work = path_join(b->dir, "work");
    AUTO(mem_free) char *names = path_join(b->dir, "names");
    struct overlay ov = { .lowers = &lowers, .upper = upper, .work = work, .names = names };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < observer_len(b->o); i++)
        strv_take(&lowers, observed_dir(b->dir, i));
    if (overlay_mount(&ov, root, &err) < 0) {
        fprintf(stderr, "overlay_mount: %s\n", err.msg);
        return 1;
    }
    return 0;
}

static int mount_in_userns(struct box *b, const char *root)
{
    AUTO(mem_free)
    char *options = str_printf("userxattr,lowerdir=%s/o0,upperdir=%s/upper,workdir=%s/work", b->dir,
                               b->dir, b->dir);

    CHECK(mount("overlay", root, "overlay", 0, options) == 0);
    return 0;
}

/* As the helper does it: what is mounted is seen by nobody else. */
static int attach(struct box *b)
{
    size_t n = observer_len(b->o);
    struct err err = ERR_INIT;

    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    for (size_t i = 0; i < n; i++) {
        close(observer_device(b->o, i));
        CHECK(dup2(observer_mount(b->o, i), 700 + (int)i) >= 0);
        close(observer_mount(b->o, i));
    }
    CHECK(make_dirs(b->dir) == 0);
    if (observed_attach(b->dir, n, 700, &err) < 0) {
        fprintf(stderr, "observed_attach: %s\n", err.msg);
        return 1;
    }
    return 0;
}

static int step_main(struct box *b, enum how how, step_fn fn)
{
    AUTO(mem_free) char *root = path_join(b->dir, (how != BARE) ? "root" : "o0");

    CHECK(attach(b) == 0);
    if (how == OVERLAY)
        CHECK(mount_overlay(b, root) == 0);
    if (how == USERNS)
        CHECK(mount_in_userns(b, root) == 0);
    CHECK(chdir(root) == 0);
    int r = fn();
    CHECK(chdir("/") == 0);
    syscall(SYS_close_range, 3U, ~0U, 0); /* what the step left open */
    CHECK(observed_seal(b->dir, observer_len(b->o), observer_seal(b->o)) == 0);
    if (how != BARE)
        CHECK(umount2(root, 0) == 0);
    observed_unmount(b->dir, observer_len(b->o));
    return r;
}

/* Connections are named by the numbers of their devices. Nothing is asked for this. */
static void take_connection(struct box *b)
{
    struct statx st;

    assert_int_equal(
        statx(observer_mount(b->o, 0), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st), 0);
    b->connection = st.stx_dev_minor;
}

static pid_t start_step(struct box *b, enum how how, step_fn fn)
{
    if (observer_start(b->o, false, b->may_pass, &b->x->err) < 0)
        fail_msg("%s", b->x->err.msg);
    take_connection(b);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(60); /* whatever hangs */
        _exit(step_main(b, how, fn));
    }
    assert_true(pid > 0);
    observer_close_mounts(b->o);
    return pid;
}

static int end_step(struct box *b, pid_t pid)
{
    int raw = 0;

    assert_int_equal(waitpid(pid, &raw, 0), pid);
    observer_stop(b->o);
    return WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

static const char *in_step(struct box *b, enum how how, step_fn fn)
{
    observe(b, &b->l, 1);
    assert_int_equal(end_step(b, start_step(b, how, fn)), 0);
    assert_ok(observer_check(b->o, &b->x->err), &b->x->err);
    return asked_of(b, b->l);
}

static int read_whole(const char *path, char *to, size_t max)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got;

    CHECK(fd >= 0);
    while ((got = read(fd, to + n, max - n)) > 0)
        n += (size_t)got;
    CHECK(got == 0);
    close(fd);
    to[n < max ? n : max - 1] = '\0';
    return 0;
}

static int holds(const char *path, const char *text)
{
    char got[4096];

    CHECK(read_whole(path, got, sizeof(got)) == 0);
    CHECK(strcmp(got, text) == 0);
    return 0;
}

/* ---- kinds ---- */

static int do_nothing(void)
{
    return 0;
}

static int stat_file(void)
{
    struct stat st;

    CHECK(stat("app/a", &st) == 0 && st.st_size == 5);
    return 0;
}

static void looking_at_a_file_does_not_read_it(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, BARE, do_nothing), ".: STAT\n");
    assert_int_equal(observer_requests(b->o), 2); /* stat and chdir */
    assert_string_equal(in_step(b, BARE, stat_file), ".: STAT\napp: EXIST\napp/a: EXIST STAT\n");
    assert_string_equal(in_step(b, OVERLAY, do_nothing), ".: STAT\n");
    assert_string_equal(in_step(b, OVERLAY, stat_file), ".: STAT\napp: EXIST\napp/a: EXIST STAT\n");
    assert_false(layer_has_tree(b->s, b->l));
}

static int read_file(void)
{
    return holds("app/a", "app/a") || holds("app/sub/deep/d", "app/sub/deep/d");
}

static int read_file_twice(void)
{
    return read_file() || read_file();
}

static void reading_is_seen_once(void **state)
{
    struct box *b = *state;

    in_step(b, OVERLAY, read_file);
    uint64_t once = observer_requests(b->o);
    assert_string_equal(in_step(b, OVERLAY, read_file_twice),
                        ".: STAT\napp: EXIST\napp/a: EXIST STAT READ\napp/sub: EXIST\n"
                        "app/sub/deep: EXIST\napp/sub/deep/d: EXIST STAT READ\n");
    assert_int_equal(observer_requests(b->o), once);
    assert_false(layer_has_tree(b->s, b->l));
}

static int map_file(void)
{
    int fd = open("app/big", O_RDONLY | O_CLOEXEC);
    volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

    CHECK(p != MAP_FAILED);
    (void)p[17];
    CHECK(munmap((void *)(uintptr_t)p, 4096) == 0);
    return 0;
}

static int open_file(void)
{
    CHECK(open("app/a", O_RDONLY | O_CLOEXEC) >= 0);
    return 0;
}

static void what_is_mapped_is_read_and_what_is_opened_is_not(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, map_file),
                        ".: STAT\napp: EXIST\napp/big: EXIST READ\n");
    assert_string_equal(in_step(b, OVERLAY, open_file), ".: STAT\napp: EXIST\napp/a: EXIST\n");
}

static int ask_access(void)
{
    CHECK(access("app/a", R_OK) == 0);
    CHECK(access("app/tagged", X_OK) == 0); /* FUSE looks at the mode anew */
    return 0;
}

static void access_asks_only_whether_it_is_there(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, ask_access),
                        ".: STAT\napp: EXIST\napp/a: EXIST\napp/tagged: EXIST STAT\n");
}

/* Wherever a program seeks to, no other directory's names come out. */
static int seek_in_dir(void)
{
    char names[4096];
    int fd = open("app/sub", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    CHECK(fd >= 0);
    for (off_t at = 0; at < 64; at++) {
        CHECK(lseek(fd, at, SEEK_SET) == at);
        ssize_t n = syscall(SYS_getdents64, fd, names, sizeof(names));
        CHECK(n >= 0);
        for (ssize_t i = 0; i < n;) {
            const char *entry = names + i;
            const char *name = entry + 19; /* inode, offset, length, type */
            CHECK(str_eq(name, ".") || str_eq(name, "..") ||
                  faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0);
            i += *(const unsigned short *)(const void *)(entry + 16);
        }
    }
    close(fd);
    return 0;
}

static void a_seek_stays_in_its_directory(void **state)
{
    in_step(*state, BARE, seek_in_dir);
}

/* Programs with narrow numbers can take them, and no two files are one. */
static int look_at_numbers(void)
{
    static const char *const paths[] = { ".",          "app",       "app/a",    "app/a.b",
                                         "app/big",    "app/empty", "app/link", "app/sub",
                                         "app/tagged", "top" };
    struct stat st[ARRAY_LEN(paths)];

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CHECK(lstat(paths[i], &st[i]) == 0);
        CHECK(st[i].st_ino > 0 && st[i].st_ino <= INT32_MAX);
        for (size_t k = 0; k < i; k++)
            CHECK(st[k].st_ino != st[i].st_ino);
    }
    return 0;
}

static void inode_numbers_are_narrow_and_differ(void **state)
{
    in_step(*state, BARE, look_at_numbers);
}

/* "a a.b big ..." */
static int list(const char *path, struct buf *names)
{
    DIR *d = opendir(path);
    const struct dirent *e;

    CHECK(d != NULL);
    buf_clear(names);
    while ((e = readdir(d)) != NULL)
        buf_addf(names, "%s%s/%d", names->len ? " " : "", e->d_name, e->d_type);
    closedir(d);
    return 0;
}

static int list_dirs(void)
{
    AUTO(buf_release) struct buf names = BUF_INIT;

    CHECK(list("app", &names) == 0);
    CHECK(str_eq(buf_str(&names), "./4 ../4 a/8 a.b/8 big/8 disk/6 empty/8 link/10 pipe/1 sub/4 "
                                  "tagged/8"));
    CHECK(list("app/sub/deep", &names) == 0);
    CHECK(str_eq(buf_str(&names), "./4 ../4 d/8"));
    CHECK(list(".", &names) == 0);
    CHECK(str_eq(buf_str(&names), "./4 ../4 app/4 top/8"));
    return 0;
}

static void lists_are_seen_and_sorted(void **state)
{
    struct box *b = *state;
    const char *lines = ".: STAT LIST\napp: EXIST STAT LIST\napp/sub: EXIST\n"
                        "app/sub/deep: EXIST STAT LIST\n";

    assert_string_equal(in_step(b, BARE, list_dirs), lines);
    assert_string_equal(in_step(b, OVERLAY, list_dirs), lines);
}

static int look_for_absent(void)
{
    CHECK(access("app/none", F_OK) < 0 && errno == ENOENT);
    CHECK(access("app/none", F_OK) < 0 && errno == ENOENT);
    CHECK(access("usr/local/bin/x", F_OK) < 0 && errno == ENOENT);
    CHECK(access("app/sub/.gitignore", F_OK) < 0 && errno == ENOENT);
    return 0;
}

static void absent_names_are_seen_at_their_topmost(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, look_for_absent),
                        ".: STAT\napp: EXIST\napp/none: NEG\napp/sub: EXIST\n"
                        "app/sub/.gitignore: NEG\nusr: NEG\n");
}

static int follow_link(void)
{
    return holds("app/link", "app/sub/c");
}

static int look_at_link(void)
{
    struct stat st;

    CHECK(lstat("app/link", &st) == 0 && S_ISLNK(st.st_mode) && st.st_size == 5);
    return 0;
}

static void links_are_followed_in_sight(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, follow_link),
                        ".: STAT\napp: EXIST\napp/link: EXIST LINK\napp/sub: EXIST\n"
                        "app/sub/c: EXIST STAT READ\n");
    assert_string_equal(in_step(b, OVERLAY, look_at_link),
                        ".: STAT\napp: EXIST\napp/link: EXIST STAT LINK\n");
}

static int ask_xattrs(void)
{
    char text[256];

    CHECK(getxattr("app/tagged", "user.color", NULL, 0) == 4);
    CHECK(getxattr("app/tagged", "user.color", text, 3) < 0 && errno == ERANGE);
    CHECK(getxattr("app/tagged", "user.color", text, 4) == 4 && memcmp(text, "blue", 4) == 0);
    CHECK(getxattr("app/a", "user.color", text, 4) < 0 && errno == ENODATA);
    CHECK(getxattr("app/a", "trusted.overlay.opaque", text, 4) < 0);
    CHECK(listxattr("app/tagged", text, sizeof(text)) == 24);
    CHECK(memcmp(text, "trusted.kind\0user.color", 24) == 0);
    CHECK(listxattr("app/tagged", text, 5) < 0 && errno == ERANGE);
    CHECK(listxattr("app/sub", text, sizeof(text)) == 0);
    return 0;
}

static void xattrs_are_seen_by_name(void **state)
{
    struct box *b = *state;
    const char *lines = ".: STAT\napp: EXIST\napp/a: EXIST XATTR user.color\n"
                        "app/sub: EXIST XLIST\napp/tagged: EXIST XLIST XATTR user.color\n";

    assert_string_equal(in_step(b, BARE, ask_xattrs), lines);
    assert_string_equal(in_step(b, OVERLAY, ask_xattrs), lines);
}

static int ask_many_xattrs(void)
{
    char name[32];

    for (int i = 0; i <= OBSERVE_XATTRS_MAX; i++) {
        snprintf(name, sizeof(name), "user.n%d", i);
        CHECK(getxattr("app/a", name, NULL, 0) < 0 && errno == ENODATA);
    }
    return 0;
}

static void too_many_names_of_xattrs_are_not_kept(void **state)
{
    struct box *b = *state;

    observe(b, &b->l, 1);
    assert_int_equal(end_step(b, start_step(b, BARE, ask_many_xattrs)), 0);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_UNSUPPORTED);
    assert_non_null(strstr(b->x->err.msg, "more names were asked for"));
}

/* ---- changes through an overlay ---- */

static int truncate_file(void)
{
    CHECK(open("app/a", O_WRONLY | O_TRUNC | O_CLOEXEC) >= 0);
    return 0;
}

static int chmod_file(void)
{
    CHECK(chmod("app/a", 0600) == 0);
    return 0;
}

static int append_file(void)
{
    int fd = open("app/a", O_WRONLY | O_APPEND | O_CLOEXEC);

    CHECK(fd >= 0 && write(fd, "x", 1) == 1);
    return holds("app/a", "app/ax");
}

static int unlink_file(void)
{
    CHECK(unlink("app/a") == 0 && access("app/a", F_OK) < 0);
    return 0;
}

static int make_file(void)
{
    CHECK(open("app/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) >= 0);
    return 0;
}

static void what_is_copied_up_is_read_unless_it_is_cut(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, truncate_file),
                        ".: STAT\napp: EXIST STAT XLIST\napp/a: EXIST STAT XLIST\n");
    assert_string_equal(in_step(b, OVERLAY, chmod_file),
                        ".: STAT\napp: EXIST STAT XLIST\napp/a: EXIST STAT READ XLIST\n");
    assert_string_equal(in_step(b, OVERLAY, append_file),
                        ".: STAT\napp: EXIST STAT XLIST\napp/a: EXIST STAT READ XLIST\n");
}

static void making_and_removing_ask_for_names_and_parents(void **state)
{
    struct box *b = *state;

    assert_string_equal(in_step(b, OVERLAY, make_file),
                        ".: STAT\napp: EXIST STAT XLIST\napp/new: NEG\n");
    assert_non_null(strstr(in_step(b, OVERLAY, unlink_file), "app/a: EXIST"));
    assert_null(strstr(buf_str(&b->asked), "READ"));
}

static int write_bare(void)
{
    CHECK(open("app/a", O_WRONLY | O_CLOEXEC) < 0 && errno == EROFS);
    CHECK(open("app/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) < 0 && errno == EROFS);
    CHECK(chmod("app/a", 0600) < 0 && errno == EROFS);
    CHECK(unlink("app/a") < 0 && errno == EROFS);
    CHECK(setxattr("app/a", "user.x", "y", 1, 0) < 0 && errno == EROFS);
    CHECK(mkdir("app/d", 0755) < 0 && errno == EROFS);
    return 0;
}

static void nothing_can_be_written(void **state)
{
    in_step(*state, BARE, write_bare);
}

/* ---- what a process can see ---- */

static int look_at_all(void)
{
    struct stat a, st;

    CHECK(stat("app/a", &a) == 0 && a.st_mode == (S_IFREG | 0644) && a.st_nlink == 1);
    CHECK(a.st_blocks == 8 && a.st_blksize == 4096);
    CHECK(a.st_mtim.tv_sec == 1500000000 && a.st_mtim.tv_nsec == 123456789);
    CHECK(a.st_ctim.tv_sec == 1500000000 && a.st_atim.tv_nsec == 123456789);
    CHECK(a.st_ino == (quick_hash("app/a", 5, 0) & INT32_MAX));
    CHECK(stat("app/big", &st) == 0 && st.st_size == (off_t)BIG + 77);
    CHECK(st.st_blocks == (blkcnt_t)(BIG / 512 + 8));
    CHECK(stat("app", &st) == 0 && st.st_mode == (S_IFDIR | 0755) && st.st_size == 4096);
    CHECK(st.st_nlink == 1 && st.st_blocks == 8);
    CHECK(stat("app/tagged", &st) == 0 && st.st_mode == (S_IFREG | 04755));
    CHECK(stat("app/empty", &st) == 0 && st.st_uid == 7 && st.st_size == 0 && st.st_blocks == 0);
    CHECK(stat("app/disk", &st) == 0 && st.st_mode == (S_IFBLK | 0660) && st.st_gid == 6);
    CHECK(st.st_rdev == makedev(259, 65537) && st.st_blocks == 0);
    CHECK(stat("app/pipe", &st) == 0 && st.st_mode == (S_IFIFO | 0600));
    CHECK(stat(".", &st) == 0 && st.st_mode == (S_IFDIR | 0755) && st.st_mtime == 0);
    return holds("app/empty", "") || holds("app/tagged", "app/tagged") || holds("top", "top");
}

static void what_is_seen_is_the_same_for_equal_layers(void **state)
{
    struct box *b = *state;

    in_step(b, BARE, look_at_all);
    assert_non_null(strstr(buf_str(&b->asked), "app/empty: EXIST STAT\n"));
}

static struct box *current; /* of the step that compares bytes */

static int compare_big(const char *path)
{
    const struct buf *big = &current->big;
    AUTO(mem_free) char *p = mem_alloc(big->len + 1);
    unsigned n = 99;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0);
    for (int i = 0; i < 500; i++, n = n * 1103515245u + 12345u) {
        size_t at = (n >> 4) % big->len, len = 1 + (n >> 8) % (64u << 10);
        ssize_t want = (ssize_t)(at + len > big->len ? big->len - at : len);
        CHECK(pread(fd, p, len, (off_t)at) == want);
        CHECK(memcmp(p, big->data + at, (size_t)want) == 0);
    }
    CHECK(lseek(fd, 0, SEEK_END) == (off_t)big->len);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(read_whole(path, p, big->len + 1) == 0);
    CHECK(memcmp(p, big->data, big->len) == 0);
    return 0;
}

static int compare_app_big(void)
{
    return compare_big("app/big");
}

static void any_part_of_a_large_file_is_right(void **state)
{
    struct box *b = current = *state;

    in_step(b, BARE, compare_app_big); /* from the blob */
    in_step(b, OVERLAY, compare_app_big);
    mem_free(layer_tree(b->s, b->l, &b->x->err));
    assert_true(layer_has_tree(b->s, b->l));
    in_step(b, OVERLAY, compare_app_big);
    assert_non_null(strstr(buf_str(&b->asked), "app/big: EXIST STAT READ\n"));
}

static int list_many(void)
{
    AUTO(buf_release) struct buf names = BUF_INIT;
    char name[64];

    CHECK(list("d", &names) == 0);
    const char *at = buf_str(&names);
    CHECK(str_starts(at, "./4 ../4"));
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof(name), " a-file-with-a-longer-name-%06d/%d", i, i % 10 ? 8 : 4);
        at = strstr(at, name);
        CHECK(at != NULL);
    }
    CHECK(at[strlen(name)] == '\0');
    return 0;
}

/* Each tenth is a directory with something in it. */
static void long_lists_are_whole_and_without_what_is_below(void **state)
{
    struct box *b = *state;
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();

    add_dir(lb, "d");
    for (int i = 0; i < 3000; i++) {
        AUTO(mem_free) char *path = str_printf("d/a-file-with-a-longer-name-%06d", i);
        AUTO(mem_free) char *below = str_printf("%s/x", path);
        if (i % 10 == 0) {
            add_dir(lb, path);
            add_file(lb, below);
        } else {
            add_file(lb, path);
        }
    }
    b->l = make(b, lb);
    assert_string_equal(in_step(b, OVERLAY, list_many), ".: STAT\nd: EXIST STAT LIST\n");
    assert_string_equal(in_step(b, BARE, list_many), ".: STAT\nd: EXIST STAT LIST\n");
}

/* ---- several layers ---- */

static int look_in_both(void)
{
    AUTO(buf_release) struct buf names = BUF_INIT;

    CHECK(holds("app/a", "app/a") == 0);     /* of the lower one */
    CHECK(holds("app/new", "app/new") == 0); /* of the upper one */
    CHECK(access("app/none", F_OK) < 0);     /* of neither */
    CHECK(list("app/sub", &names) == 0);     /* of the lower one alone */
    CHECK(access("other/file", F_OK) == 0);  /* where only the upper one has the directory */
    CHECK(access("other/none", F_OK) < 0);
    return 0;
}

static void each_layer_hears_what_only_it_can_answer(void **state)
{
    struct box *b = *state;
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();

    add_dir(lb, "app");
    add_file(lb, "app/new");
    add_dir(lb, "other");
    add_file(lb, "other/file");
    const struct layer *layers[] = { b->l, make(b, lb) };
    observe(b, layers, 2);
    assert_int_equal(end_step(b, start_step(b, OVERLAY, look_in_both)), 0);
    assert_ok(observer_check(b->o, &b->x->err), &b->x->err);
    assert_string_equal(asked_of(b, layers[0]), ".: STAT\napp: EXIST\napp/a: EXIST STAT READ\n"
                                                "app/none: NEG\napp/sub: EXIST STAT LIST\n"
                                                "other: NEG\n");
    assert_string_equal(asked_of(b, layers[1]),
                        ".: STAT\napp: EXIST\napp/a: NEG\napp/new: EXIST STAT READ\n"
                        "app/none: NEG\napp/sub: NEG\nother: EXIST\nother/file: EXIST\n"
                        "other/none: NEG\n");
}

/* ---- passthrough ---- */

static int compare_passed(void)
{
    return compare_big("big") || holds("small", "small");
}

static int open_big(void)
{
    CHECK(open("big", O_RDONLY | O_CLOEXEC) >= 0);
    return 0;
}

static const struct layer *make_large(struct box *b)
{
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();

    add_bytes(lb, "big", &b->big);
    add_file(lb, "small");
    return make(b, lb);
}

static void large_files_pass_by(void **state)
{
    struct box *b = current = *state;

    b->l = make_large(b);
    b->may_pass = true;
    assert_string_equal(in_step(b, OVERLAY, do_nothing), ".: STAT\n");
    assert_false(layer_has_tree(b->s, b->l));
    assert_string_equal(in_step(b, OVERLAY, open_big), ".: STAT\nbig: EXIST READ\n");
    assert_true(layer_has_tree(b->s, b->l));
    assert_string_equal(in_step(b, OVERLAY, compare_passed),
                        ".: STAT\nbig: EXIST STAT READ\nsmall: EXIST READ\n");
    assert_true(observer_requests(b->o) < 60); /* by READ it is 500 and more */
    assert_string_equal(in_step(b, BARE, compare_passed),
                        ".: STAT\nbig: EXIST STAT READ\nsmall: EXIST READ\n");
}

/* ---- in a user namespace ---- */

static void write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        _exit(98);
    close(fd);
}

/* argv[1] of this program again, in a user namespace that unshare(1) made: a process with threads,
 * and TSan has some, may not go into one. */
#define IN_USERNS "in-userns"

static int userns_step(struct box *b, step_fn fn, const char *line)
{
    observe(b, &b->l, 1);
    int r = end_step(b, start_step(b, USERNS, fn));
    if (r == 0 && observer_check(b->o, &b->x->err) < 0) {
        fprintf(stderr, "%s\n", b->x->err.msg);
        return 1;
    }
    CHECK(r == 0);
    CHECK(strstr(asked_of(b, b->l), line) != NULL);
    CHECK(!layer_has_tree(b->s, b->l)); /* nor may files pass by here */
    return 0;
}

static int userns_main(void)
{
    struct box *b = NULL;

    disk_group = owner = 0;
    box_setup((void **)&b);
    current = b;
    int r = userns_step(b, read_file, "app/a: EXIST STAT READ\n");
    b->l = make_large(b);
    b->may_pass = true;
    if (r == 0)
        r = userns_step(b, compare_passed, "small: EXIST STAT READ\n");
    box_teardown((void **)&b);
    return r;
}

static void user_namespaces_can_observe_too(void **state)
{
    char self[4096] = "";
    int raw = 0;

    (void)state;
    assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("unshare", "unshare", "--user", "--mount", "--map-root-user", self, IN_USERNS,
               (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &raw, 0), pid);
    assert_int_equal(raw, 0);
}

/* ---- ends that come too early ---- */

static int go[2], ready[2]; /* pipes: the step may go on, the step is there */

static int read_before_and_after(void)
{
    char c;

    CHECK(holds("app/a", "app/a") == 0);
    CHECK(write(ready[1], "x", 1) == 1 && read(go[0], &c, 1) == 1);
    return access("top", F_OK) == 0 ? 0 : errno == ENOTCONN ? 77 : 78;
}

static pid_t start_and_wait(struct box *b)
{
    char c;

    assert_int_equal(pipe2(go, O_CLOEXEC), 0);
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    observe(b, &b->l, 1);
    pid_t pid = start_step(b, OVERLAY, read_before_and_after);
    assert_int_equal(read(ready[0], &c, 1), 1);
    return pid;
}

static int go_on(struct box *b, pid_t pid)
{
    int raw = 0;

    assert_int_equal(write(go[1], "x", 1), 1);
    assert_int_equal(waitpid(pid, &raw, 0), pid);
    observer_stop(b->o);
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
    return WEXITSTATUS(raw);
}

/* A step that does not mind goes on; what it gave is worth nothing all the same. */
static void a_server_that_ends_is_noticed(void **state)
{
    struct box *b = *state;

    pid_t pid = start_and_wait(b);
    observer_stop(b->o);
    assert_int_not_equal(go_on(b, pid), 0);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    assert_non_null(strstr(b->x->err.msg, "ended before the step did"));
    pid = start_and_wait(b);
    assert_int_equal(go_on(b, pid), 0);
    assert_ok(observer_check(b->o, &b->x->err), &b->x->err);
}

static int abort_main(struct box *b)
{
    AUTO(mem_free) char *dir = path_join(b->x->path, "connections");

    if (mkdir(dir, 0755) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("fusectl", dir, "fusectl", 0, NULL) < 0)
        return 1;
    pid_t pid = start_and_wait(b);
    AUTO(mem_free) char *abort_path = str_printf("%s/%u/abort", dir, b->connection);
    write_text(abort_path, "1");
    CHECK(go_on(b, pid) != 0);
    CHECK(observer_check(b->o, &b->x->err) == ERR_IO);
    CHECK(strstr(b->x->err.msg, "ended before the step did") != NULL);
    return 0;
}

static void a_connection_that_is_aborted_is_noticed(void **state)
{
    struct box *b = *state;
    int raw = 0;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(60);
        _exit(abort_main(b));
    }
    assert_int_equal(waitpid(pid, &raw, 0), pid);
    assert_int_equal(raw, 0);
}

static void a_step_that_is_killed_leaves_no_thread_and_no_file(void **state)
{
    struct box *b = *state;
    size_t before;

    in_step(b, OVERLAY, read_file);
    observer_free(TAKE(b->o));
    before = count_fds();
    pid_t pid = start_and_wait(b);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    observer_stop(b->o);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    observer_free(TAKE(b->o));
    for (int i = 0; i < 2; i++) {
        close(go[i]);
        close(ready[i]);
    }
    assert_int_equal(count_fds(), before);
}

static int read_damaged(void)
{
    char c;
    int fd = open("app/a", O_RDONLY | O_CLOEXEC);

    CHECK(fd >= 0 && read(fd, &c, 1) < 0 && errno == EIO);
    return 0;
}

static void bytes_that_are_gone_are_an_error_and_noticed(void **state)
{
    struct box *b = *state;
    struct layer_blob blob;

    assert_int_equal(layer_any_blob(b->s, b->l, &blob, &b->x->err), 1);
    AUTO(mem_free) char *path = blob_file(b->x, &blob.id.d);
    assert_int_equal(unlink(path), 0);
    observe(b, &b->l, 1);
    assert_int_equal(end_step(b, start_step(b, BARE, read_damaged)), 0);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    assert_non_null(strstr(b->x->err.msg, "'/app/a'"));
}

static int ask_after_the_seal(void)
{
    AUTO(mem_free) char *path = str_printf("./%s", observer_seal(current->o));

    CHECK(access(path, F_OK) < 0 && errno == ENOENT);
    return stat_file();
}

static void what_is_asked_after_the_end_is_noticed(void **state)
{
    struct box *b = current = *state;

    observe(b, &b->l, 1);
    assert_int_equal(end_step(b, start_step(b, BARE, ask_after_the_seal)), 0);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    assert_non_null(strstr(b->x->err.msg, "after the step was over"));
}

static void an_observer_that_has_not_run_knows_nothing(void **state)
{
    struct box *b = *state;

    observe(b, &b->l, 1);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    assert_string_equal(asked_of(b, b->l), "");
}

/* ---- what can be served ---- */

static bool can_serve(const struct entry *entries, size_t n)
{
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < n; i++)
        assert_ok(listing_builder_add(lb, &entries[i], &err), &err);
    assert_ok(listing_builder_write(lb, &bytes, NULL, &err), &err);
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    assert_non_null(l);
    return observe_can_serve(l);
}
#define CAN_SERVE(...)                               \
    can_serve((const struct entry[]){ __VA_ARGS__ }, \
              ARRAY_LEN(((const struct entry[]){ __VA_ARGS__ })))

#define DIR_AT(p)                                    \
    {                                                \
        .path = (p), .type = ENTRY_DIR, .mode = 0755 \
    }
#define FILE_AT(p)                                    \
    {                                                 \
        .path = (p), .type = ENTRY_FILE, .mode = 0644 \
    }

static void layers_that_a_tree_must_show_are_not_served(void **state)
{
    static const struct entry_xattr overlays = { .name = "trusted.overlay.x",
                                                 .value = "y",
                                                 .len = 1 };
    static const struct entry_xattr users = { .name = "user.overlay.x", .value = "y", .len = 1 };
    static const struct entry_xattr acl = { .name = "system.posix_acl_access",
                                            .value = "y",
                                            .len = 1 };
    static const struct entry_xattr good = { .name = "user.x", .value = "y", .len = 1 };

    (void)state;
    assert_true(can_serve(NULL, 0));
    assert_true(CAN_SERVE(DIR_AT("")));
    assert_true(CAN_SERVE(DIR_AT("a"), FILE_AT("a/x"), FILE_AT("a/y"), DIR_AT("a/d"),
                          FILE_AT("a/d/z"), FILE_AT("b")));
    assert_false(CAN_SERVE(FILE_AT("a/x")));
    assert_false(CAN_SERVE(DIR_AT("a"), FILE_AT("a/x"), FILE_AT("a/d/x")));
    assert_false(CAN_SERVE(DIR_AT("a"), DIR_AT("a/b"), FILE_AT("a/b/x"), FILE_AT("c/b")));
    assert_false(CAN_SERVE({ .path = "x", .type = ENTRY_WHITEOUT }));
    assert_false(CAN_SERVE({ .path = "x", .type = ENTRY_DIR, .opaque = true }));
    assert_false(CAN_SERVE(FILE_AT("x"), { .path = "y", .type = ENTRY_FILE, .hardlink = "x" }));
    assert_false(CAN_SERVE({ .path = "x", .type = ENTRY_DIR, .xattrs = &overlays, .n_xattrs = 1 }));
    assert_false(CAN_SERVE({ .path = "x", .type = ENTRY_DIR, .xattrs = &users, .n_xattrs = 1 }));
    assert_false(CAN_SERVE({ .path = "x", .type = ENTRY_DIR, .xattrs = &acl, .n_xattrs = 1 }));
    assert_true(CAN_SERVE({ .path = "x", .type = ENTRY_DIR, .xattrs = &good, .n_xattrs = 1 }));
}

static void the_probe_says_how_and_keeps_the_answer(void **state)
{
    struct box *b = *state;
    AUTO(mem_free) char *how = NULL;
    AUTO(mem_free) char *again = NULL;
    AUTO(mem_free) char *path = store_at(b->x, "observe.json");
    AUTO(buf_release) struct buf text = BUF_INIT;
    size_t before = count_fds();

    assert_ok(observe_probe(b->s, &how, &b->x->err), &b->x->err);
    assert_non_null(strstr(how, "observed by FUSE 7."));
    assert_int_equal(count_fds(), before);
    assert_ok(file_read(AT_FDCWD, path, 4096, &text, &b->x->err), &b->x->err);
    char *at = strstr(text.data, "observed");
    assert_non_null(at);
    memcpy(at, "OBSERVED", 8);
    assert_ok(file_replace(AT_FDCWD, path, text.data, text.len, 0600, false, &b->x->err),
              &b->x->err);
    assert_ok(observe_probe(b->s, &again, &b->x->err), &b->x->err);
    assert_non_null(strstr(again, "OBSERVED"));
    observe_forget(b->s);
    mem_free(TAKE(again));
    assert_ok(observe_probe(b->s, &again, &b->x->err), &b->x->err);
    assert_string_equal(again, how);
}

/* ---- whole steps ---- */

static const struct layer *make_base(struct box *b)
{
    static const char *const applets[] = { "cat", "chmod", "ls", "sh", "sleep", "test", "wc" };
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();

    add_dir(lb, "bin");
    add_bytes(lb, "bin/busybox", &b->busybox);
    for (size_t i = 0; i < ARRAY_LEN(applets); i++) {
        AUTO(mem_free) char *path = str_printf("bin/%s", applets[i]);
        add(lb, (struct entry){ .path = path, .type = ENTRY_LINK, .target = "busybox" });
    }
    return make(b, lb);
}

/* One container; the observer sees the last of the two layers, or one that is mounted. */
struct container {
    struct box *b;
    const struct layer *layers[2];
    size_t n;
    struct view *view;
    struct strv argv, env;
    struct user_ids user;
    struct exec_spec spec;
    struct exec_result result;
    struct buf out;
    int speaks[2]; /* a pipe: a byte for each piece of output */
};

static void take_output(void *arg, int stream, const char *p, size_t n)
{
    struct container *c = arg;

    (void)stream;
    buf_add(&c->out, p, n);
    if (c->speaks[1] > 0 && write(c->speaks[1], "x", 1) < 0)
        abort();
}

static void container_make(struct container *c, struct box *b, size_t n)
{
    const struct listing *listings[2];

    *c = (struct container){ .b = b, .layers = { make_base(b), b->l }, .n = n };
    for (size_t i = 0; i < n; i++)
        listings[i] = c->layers[i]->listing;
    c->view = view_new(listings, n);
    env_set(&c->env, "PATH", "/bin");
    c->spec = (struct exec_spec){ .layers = c->layers,
                                  .n_layers = n,
                                  .view = c->view,
                                  .argv = &c->argv,
                                  .env = &c->env,
                                  .cwd = "/",
                                  .user = &c->user,
                                  .output = take_output,
                                  .output_arg = c };
}

static void container_release(struct container *c)
{
    exec_result_release(&c->result);
    strv_release(&c->argv);
    strv_release(&c->env);
    buf_release(&c->out);
    view_free(c->view);
}
DEFINE_AUTO_VALUE(struct container, container_release);

static int run(struct container *c, const char *script)
{
    struct box *b = c->b;

    observer_free(b->o);
    b->o = observer_new(b->s);
    observer_add(b->o, b->l);
    c->spec.observer = b->o;
    strv_clear(&c->argv);
    strv_add(&c->argv, "/bin/sh");
    strv_add(&c->argv, "-c");
    strv_add(&c->argv, script);
    buf_clear(&c->out);
    exec_result_release(&c->result);
    err_clear(&b->x->err);
    return exec_run(b->s, b->w, &c->spec, &c->result, &b->x->err);
}

static void run_ok(struct container *c, const char *script)
{
    if (run(c, script) < 0)
        fail_msg("exec_run: %s", c->b->x->err.msg);
    if (c->result.status != 0)
        fail_msg("status %d: %s", c->result.status, buf_str(&c->out));
    assert_ok(observer_check(c->b->o, &c->b->x->err), &c->b->x->err);
}

static size_t count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void containers_are_observed(void **state)
{
    struct box *b = *state;
    AUTO(container_release) struct container c = { .b = b };

    container_make(&c, b, 2);
    run_ok(&c, "cat /app/a && test ! -e /app/none && chmod 600 /app/sub/c");
    assert_string_equal(buf_str(&c.out), "app/a");
    assert_true(kinds_of(b, "app/a") & OBSERVE_READ);
    assert_true(kinds_of(b, "app/sub/c") & OBSERVE_READ);
    assert_int_equal(kinds_of(b, "app/sub"), OBSERVE_EXIST | OBSERVE_STAT | OBSERVE_XLIST);
    assert_int_equal(kinds_of(b, "app/none"), OBSERVE_NEG);
    assert_int_equal(kinds_of(b, "bin"), OBSERVE_NEG);
    assert_int_equal(kinds_of(b, "app/a.b"), 0);
    assert_int_equal(kinds_of(b, "app/big"), 0);
    assert_null(strstr(asked_of(b, b->l), "seal"));
    assert_false(layer_has_tree(b->s, b->l));
    const struct layer *diff = exec_collect(b->s, b->w, &c.spec, &c.result, &b->x->err);
    struct entry e;
    assert_non_null(diff);
    assert_true(listing_find(diff->listing, "app/sub/c", &e) && e.mode == 0600);
    assert_false(listing_find(diff->listing, "app/a", NULL));
}

/* Once with its bytes passing by, once through us: insecure steps may mount overlays of their own.
 */
static void programs_run_from_observed_layers(void **state)
{
    struct box *b = *state;
    AUTO(container_release) struct container c = { .b = b };
    const struct layer *app = b->l;

    container_make(&c, b, 2);
    b->l = c.layers[0];
    run_ok(&c, "cat /app/a");
    assert_true(kinds_of(b, "bin/busybox") & OBSERVE_READ);
    assert_int_equal(kinds_of(b, "bin/sh"), OBSERVE_EXIST | OBSERVE_LINK);
    assert_int_equal(kinds_of(b, "bin/wc"), 0);
    assert_true(layer_has_tree(b->s, b->l));
    uint64_t passed = observer_requests(b->o);
    c.spec.insecure = true;
    run_ok(&c, "cat /app/a");
    assert_true(kinds_of(b, "bin/busybox") & OBSERVE_READ);
    assert_true(observer_requests(b->o) > passed);
    assert_true(layer_has_tree(b->s, app)); /* which was not observed */
}

static void mounted_layers_are_observed(void **state)
{
    struct box *b = *state;
    AUTO(container_release) struct container c = { .b = b };
    struct exec_mount m = { .kind = EXEC_MOUNT_LAYERS,
                            .source = "app",
                            .target = "/src",
                            .read_only = true,
                            .layers = &b->l,
                            .n_layers = 1 };

    container_make(&c, b, 1);
    c.spec.mounts = &m;
    c.spec.n_mounts = 1;
    run_ok(&c, "cat /src/sub/c");
    assert_string_equal(buf_str(&c.out), "app/sub/c");
    assert_int_equal(kinds_of(b, "app"), OBSERVE_EXIST | OBSERVE_STAT);
    assert_int_equal(kinds_of(b, "app/sub"), OBSERVE_EXIST);
    assert_true(kinds_of(b, "app/sub/c") & OBSERVE_READ);
    assert_int_equal(kinds_of(b, "app/a"), 0);
    assert_int_equal(kinds_of(b, "bin"), 0); /* it is no layer of the root */
    c.user = (struct user_ids){ .uid = 1000, .gid = 1000 };
    run_ok(&c, "cat /src/a"); /* the root of it lets others in */
    assert_string_equal(buf_str(&c.out), "app/a");
    m.read_only = false;
    c.user = (struct user_ids){ .uid = 0 };
    run_ok(&c, "cat /src/a; chmod 755 /src/sub");
    assert_false(layer_has_tree(b->s, b->l));
}

static void steps_that_fail_are_observed_too(void **state)
{
    struct box *b = *state;
    AUTO(container_release) struct container c = { .b = b };

    container_make(&c, b, 2);
    assert_ok(run(&c, "cat /app/none"), &b->x->err);
    assert_int_equal(c.result.status, 1);
    assert_ok(observer_check(b->o, &b->x->err), &b->x->err);
    assert_non_null(strstr(asked_of(b, b->l), "app/none: NEG"));
    assert_int_equal(run(&c, "true\n"), 0); /* no such applet in this image */
}

static pid_t find_helper(void)
{
    AUTO(mem_free) char *path = str_printf("/proc/self/task/%d/children", (int)getpid());
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;

    return file_read(AT_FDCWD, path, 4096, &text, &err) < 0 ? 0 : (pid_t)atoi(buf_str(&text));
}

/* What happens to a step once it has said something. */
struct fate {
    struct container *c;
    struct cancel *cancel; /* NULL: its helper is killed */
};

static void *wait_and_end(void *arg)
{
    struct fate *f = arg;
    char c;

    if (read(f->c->speaks[0], &c, 1) != 1)
        abort();
    pid_t helper = find_helper();
    if (f->cancel != NULL)
        cancel_set(f->cancel, SIGINT);
    else if (helper <= 0 || kill(helper, SIGKILL) < 0)
        abort();
    return NULL;
}

static void run_to_early_end(struct container *c, struct cancel *cancel, int want)
{
    struct box *b = c->b;
    struct fate f = { .c = c, .cancel = cancel };
    pthread_t t;

    assert_int_equal(pipe2(c->speaks, O_CLOEXEC), 0);
    c->spec.cancel = cancel;
    assert_int_equal(pthread_create(&t, NULL, wait_and_end, &f), 0);
    assert_int_equal(run(c, "cat /app/a; sleep 1000"), want);
    pthread_join(t, NULL);
    assert_int_equal(observer_check(b->o, &b->x->err), ERR_IO);
    observer_free(TAKE(b->o));
    close(c->speaks[0]);
    close(c->speaks[1]);
    c->speaks[1] = 0;
}

static size_t count_mounts(void)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    size_t n = 0;

    assert_ok(file_read(AT_FDCWD, "/proc/self/mounts", 1u << 20, &text, &err), &err);
    for (const char *p = buf_str(&text); (p = strchr(p, '\n')) != NULL; p++)
        n++;
    return n;
}

static void ends_that_come_too_early_leave_nothing(void **state)
{
    struct box *b = *state;
    AUTO(container_release) struct container c = { .b = b };
    AUTO(cancel_free) struct cancel *cancel = cancel_new();

    container_make(&c, b, 2);
    run_ok(&c, "cat /app/a");
    observer_free(TAKE(b->o));
    size_t fds = count_fds(), threads = count_threads(), mounts = count_mounts();
    run_to_early_end(&c, NULL, ERR_IO);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(count_threads(), threads);
    run_to_early_end(&c, cancel, ERR_CANCELLED);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(count_threads(), threads);
    assert_int_equal(count_mounts(), mounts);
}

/* /dev/null in its place can be opened and is no FUSE. */
static int without_fuse_main(struct box *b)
{
    AUTO(container_release) struct container c = { .b = b };
    AUTO(mem_free) char *how = NULL;
    struct err err = ERR_INIT;

    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    CHECK(mount("/dev/null", "/dev/fuse", NULL, MS_BIND, NULL) == 0);
    container_make(&c, b, 2);
    CHECK(run(&c, "cat /app/a") == 0 && c.result.status == 0);
    CHECK(str_eq(buf_str(&c.out), "app/a"));
    CHECK(layer_has_tree(b->s, b->l));
    CHECK(observer_check(b->o, &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "steps cannot be observed") != NULL);
    CHECK(observe_probe(b->s, &how, &err) == ERR_UNSUPPORTED);
    CHECK(mount("tmpfs", "/dev", "tmpfs", 0, NULL) == 0);
    CHECK(observe_probe(b->s, &how, &err) == ERR_UNSUPPORTED);
    CHECK(strstr(err.msg, "there is no /dev/fuse here") != NULL);
    return 0;
}

static void without_fuse_steps_run_on_trees(void **state)
{
    struct box *b = *state;
    int raw = 0;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(60);
        _exit(without_fuse_main(b));
    }
    assert_int_equal(waitpid(pid, &raw, 0), pid);
    assert_int_equal(raw, 0);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, box_setup, box_teardown)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], EXEC_HELPER_ARG) == 0)
        return exec_helper_main(argc, argv);
    if (argc > 1 && strcmp(argv[1], IN_USERNS) == 0)
        return userns_main();
    const struct CMUnitTest tests[] = {
        CASE(looking_at_a_file_does_not_read_it),
        CASE(reading_is_seen_once),
        CASE(what_is_mapped_is_read_and_what_is_opened_is_not),
        CASE(access_asks_only_whether_it_is_there),
        CASE(a_seek_stays_in_its_directory),
        CASE(inode_numbers_are_narrow_and_differ),
        CASE(lists_are_seen_and_sorted),
        CASE(absent_names_are_seen_at_their_topmost),
        CASE(links_are_followed_in_sight),
        CASE(xattrs_are_seen_by_name),
        CASE(too_many_names_of_xattrs_are_not_kept),
        CASE(what_is_copied_up_is_read_unless_it_is_cut),
        CASE(making_and_removing_ask_for_names_and_parents),
        CASE(nothing_can_be_written),
        CASE(what_is_seen_is_the_same_for_equal_layers),
        CASE(any_part_of_a_large_file_is_right),
        CASE(long_lists_are_whole_and_without_what_is_below),
        CASE(each_layer_hears_what_only_it_can_answer),
        CASE(large_files_pass_by),
        CASE(user_namespaces_can_observe_too),
        CASE(a_server_that_ends_is_noticed),
        CASE(a_connection_that_is_aborted_is_noticed),
        CASE(a_step_that_is_killed_leaves_no_thread_and_no_file),
        CASE(bytes_that_are_gone_are_an_error_and_noticed),
        CASE(what_is_asked_after_the_end_is_noticed),
        CASE(an_observer_that_has_not_run_knows_nothing),
        CASE(layers_that_a_tree_must_show_are_not_served),
        CASE(the_probe_says_how_and_keeps_the_answer),
        CASE(containers_are_observed),
        CASE(programs_run_from_observed_layers),
        CASE(mounted_layers_are_observed),
        CASE(steps_that_fail_are_observed_too),
        CASE(ends_that_come_too_early_leave_nothing),
        CASE(without_fuse_steps_run_on_trees),
    };
    return UNIT_RUN("exec_observe", tests);
}
