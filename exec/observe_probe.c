#include "exec/observe_internal.h"
#include "exec/observe_protocol_internal.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "store/work.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER "observe.json"
#define ANSWER_VERSION 1
#define FILE_NAME "probe"
#define FILE_TEXT "shale looks whether steps can be observed\n"
#define TIMEOUT_MS 10000

/* ---- the kept answer ---- */

static void add_link(struct buf *b, const char *path)
{
    char text[64];
    ssize_t n = readlink(path, text, sizeof(text) - 1);

    buf_add(b, text, n > 0 ? (size_t)n : 0);
    buf_addc(b, '\n');
}

/* Another boot has another kernel, another container other rights. */
static char *answer_key(const struct stat *device)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(buf_release) struct buf boot = BUF_INIT;
    struct err ignored = ERR_INIT;

    if (file_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 4096, &boot, &ignored) == 0)
        buf_adds(&b, buf_str(&boot));
    add_link(&b, "/proc/self/ns/pid");
    add_link(&b, "/proc/self/ns/user");
    buf_addf(&b, "%u %o %llx\n", geteuid(), device->st_mode, (unsigned long long)device->st_rdev);
    return buf_take(&b);
}

struct answer {
    bool works;
    char *text; /* how, or why not */
};

static void answer_release(struct answer *a)
{
    mem_free(a->text);
}
DEFINE_AUTO_VALUE(struct answer, answer_release);

static bool read_answer(struct store *s, const char *key, struct answer *ret)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;

    if (file_read(store_dirfd(s), ANSWER, 1u << 16, &text, &ignored) < 0)
        return false;
    json_auto_t *j = json_parse(buf_str(&text), text.len, ANSWER, &ignored);
    const char *said = json_get_str(j, "text");
    if (json_get_int(j, "version", 0) != ANSWER_VERSION || !str_eq(json_get_str(j, "key"), key) ||
        said == NULL)
        return false;
    *ret = (struct answer){ .works = json_get_bool(j, "works", false), .text = str_dup(said) };
    return true;
}

static void keep_answer(struct store *s, const char *key, const struct answer *a)
{
    json_auto_t *j = json_object();
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;

    json_object_set_new(j, "version", json_integer(ANSWER_VERSION));
    json_object_set_new(j, "key", json_from_str(key));
    json_object_set_new(j, "works", json_boolean(a->works));
    json_object_set_new(j, "text", json_from_str(a->text));
    json_write_pretty(j, &text, 2);
    if (file_replace(store_dirfd(s), ANSWER, buf_str(&text), text.len, 0600, false, &err) < 0)
        log_debug("exec", "cannot keep whether steps can be observed: %s", err.msg);
}

void observe_forget(struct store *s)
{
    unlinkat(store_dirfd(s), ANSWER, 0);
}

/* ---- the child: system calls alone, as our other threads do not exist in it ---- */

struct probe {
    const char *dir; /* absolute: "o", "u", "w" and "m" are in it */
    int mount;
    const char *seal_path; /* in "o" */
    int device;
};

enum {
    CHILD_NAMESPACE = 1,
    CHILD_ATTACH,
    CHILD_OVERLAY,
    CHILD_READ,
    CHILD_OTHER_BYTES,
    CHILD_SEAL
};
static const char *const child_failures[] = {
    [CHILD_NAMESPACE] = "a mount namespace cannot be made",
    [CHILD_ATTACH] = "a FUSE file system cannot be mounted",
    [CHILD_OVERLAY] = "an overlay on a FUSE file system cannot be mounted",
    [CHILD_READ] = "a file cannot be read through an overlay on FUSE",
    [CHILD_OTHER_BYTES] = "a file has other bytes through an overlay on FUSE",
    [CHILD_SEAL] = "the server does not answer",
};

static int child_overlay(void)
{
    static const char options[] = "lowerdir=o,upperdir=u,workdir=w";
    static const char in_userns[] = "lowerdir=o,upperdir=u,workdir=w,userxattr";

    if (mount("overlay", "m", "overlay", 0, options) == 0)
        return 0;
    return mount("overlay", "m", "overlay", 0, in_userns);
}

static int child_read(void)
{
    char text[sizeof(FILE_TEXT)];
    int fd = open("m/" FILE_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (n < 0)
        return CHILD_READ;
    close(fd);
    return n == sizeof(text) - 1 && memcmp(text, FILE_TEXT, (size_t)n) == 0 ? 0 : CHILD_OTHER_BYTES;
}

static int child_look(const struct probe *p)
{
    struct stat st;

    if (chdir(p->dir) < 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return CHILD_NAMESPACE;
    if (move_mount(p->mount, "", AT_FDCWD, "o", MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return CHILD_ATTACH;
    if (child_overlay() < 0)
        return CHILD_OVERLAY;
    int r = child_read();
    if (r == 0 && (stat(p->seal_path, &st) == 0 || errno != ENOENT))
        r = CHILD_SEAL;
    umount2("m", 0);
    umount2("o", 0);
    return r;
}

/* With the device open in here too the kernel would not notice the server's end. */
static void child_main(const struct probe *p, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
        _exit(CHILD_NAMESPACE);
    close(p->device);
    _exit(child_look(p));
}

/* ---- probing ---- */

/* One that never ends is killed: the server is still there then, so that it can die. */
static int wait_child(pid_t pid, struct err *err)
{
    AUTO(fd_close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int raw = 0, n;

    do
        n = fd < 0 ? 1 : poll(&p, 1, TIMEOUT_MS);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        kill(pid, SIGKILL);
    while (waitpid(pid, &raw, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, errno, "cannot wait for the probe");
    if (n == 0)
        return err_set(err, ERR_UNSUPPORTED, "a FUSE file system of ours does not answer");
    if (!WIFEXITED(raw) || (size_t)WEXITSTATUS(raw) >= ARRAY_LEN(child_failures))
        return err_set(err, ERR_UNSUPPORTED, "the probe died");
    if (WEXITSTATUS(raw) != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s", child_failures[WEXITSTATUS(raw)]);
    return 0;
}

static int run_child(const struct probe *p, struct err *err)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        return err_sys(err, errno, "cannot start a process");
    if (pid == 0)
        child_main(p, parent);
    return wait_child(pid, err);
}

static int make_layer(struct layer *ret, struct listing **ret_listing, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    struct entry e = { .path = FILE_NAME,
                       .type = ENTRY_FILE,
                       .mode = 0644,
                       .size = sizeof(FILE_TEXT) - 1,
                       .inline_data = FILE_TEXT };

    digest_of(FILE_TEXT, e.size, &e.content);
    if (listing_builder_add(b, &e, err) < 0 || listing_builder_write(b, &bytes, NULL, err) < 0)
        return err->code;
    *ret_listing = listing_open_buf(&bytes, err);
    if (*ret_listing == NULL)
        return err->code;
    *ret = (struct layer){ .listing = *ret_listing };
    return 0;
}

static char *make_dirs(struct work *w, struct err *err)
{
    static const char *const names[] = { "o", "u", "w", "m" };
    AUTO(mem_free) char *name = work_subdir(w, "observe", err);

    if (name == NULL)
        return NULL;
    AUTO(mem_free) char *dir = path_join(work_path(w), name);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(mem_free) char *path = path_join(dir, names[i]);
        if (mkdir(path, 0755) < 0) {
            err_sys(err, errno, "cannot make '%s'", path);
            return NULL;
        }
    }
    return TAKE(dir);
}

static bool can_pass(int device, const char *dir)
{
    AUTO(mem_free) char *path = path_join(dir, "passed");
    AUTO(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    struct fuse_backing b = { .fd = fd };

    return fd >= 0 && ioctl(device, FUSE_BACKING_OPEN, &b) > 0;
}

/* What the observer noted must be what the child did. */
static int check_read(void *arg, const struct observed *x, struct err *err)
{
    (void)err;
    if (str_eq(x->path, FILE_NAME) && (x->kinds & OBSERVE_READ))
        *(bool *)arg = true;
    return 0;
}

static int look(struct observer *o, const struct layer *l, const char *dir, char **ret_how,
                struct err *err)
{
    AUTO(mem_free) char *seal_path = str_printf("o/%s", observer_seal(o));
    bool was_seen = false;

    if (observer_start(o, false, true, err) < 0)
        return err->code;
    struct probe p = { .dir = dir,
                       .mount = observer_mount(o, 0),
                       .seal_path = seal_path,
                       .device = observer_device(o, 0) };
    int r = run_child(&p, err);
    bool passes = r == 0 && can_pass(p.device, dir);
    observer_stop(o);
    if (r < 0 || observer_check(o, err) < 0 || observer_each(o, l, check_read, &was_seen, err) < 0)
        return err->code;
    if (!was_seen)
        return err_set(err, ERR_UNSUPPORTED, "reading a file is not seen");
    *ret_how = str_printf("steps are observed by FUSE 7.%u, %s passthrough", observer_minor(o),
                          passes ? "with" : "without");
    return 0;
}

static int probe(struct store *s, char **ret_how, struct err *err)
{
    AUTO(listing_free) struct listing *listing = NULL;
    AUTO(work_free) struct work *w = work_open(s, err);
    AUTO(mem_free) char *dir = w ? make_dirs(w, err) : NULL;
    struct layer l;

    if (dir == NULL || make_layer(&l, &listing, err) < 0)
        return err->code;
    AUTO(observer_free) struct observer *o = observer_new(s);
    observer_add(o, &l);
    observer_want_passthrough(o);
    return look(o, &l, dir, ret_how, err);
}

static void answer_make(struct store *s, struct answer *ret)
{
    struct err err = ERR_INIT;

    ret->works = probe(s, &ret->text, &err) == 0;
    if (!ret->works)
        ret->text = str_dup(err.msg);
}

/* That there is no device is found out each time: it costs nothing, and somebody may mend it. */
int observe_probe(struct store *s, char **ret_how, struct err *err)
{
    AUTO(answer_release) struct answer a = { .works = false };
    struct stat st;
    AUTO(fd_close) int fd = observe_open_device(err);

    if (fd < 0)
        return err->code;
    if (fstat(fd, &st) < 0)
        return err_sys(err, errno, "cannot look at /dev/fuse");
    AUTO(mem_free) char *key = answer_key(&st);
    if (!read_answer(s, key, &a)) {
        answer_make(s, &a);
        keep_answer(s, key, &a);
    }
    if (!a.works)
        return err_set(err, ERR_UNSUPPORTED, "%s", a.text);
    *ret_how = TAKE(a.text);
    return 0;
}
