#include "exec/overlay_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "base/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Two limits are passed by: mount(2) takes one page of options, fsconfig 255
 * bytes a value. Lower directories are given as the names of links, "0", "1",
 * ..., relative to the working directory.
 */
#define UPPER "u"
#define WORK "w"
#define EMPTY "e" /* at the bottom where there would be too few lowers */

/* How overlayfs is asked not to lean on anything outside upper; older kernels know only some. */
static const struct option {
    const char *key, *value; /* value NULL: a flag */
    bool needs_upper;
    bool not_user; /* refused beside "userxattr", which means that anyway */
} options[] = {
    { "redirect_dir", "off", false, true },
    { "metacopy", "off", false, false },
    { "index", "off", false, false },
    /* No identity is written into upper; since Linux 6.6. */
    { "uuid", "null", false, false },
    /*
     * Data is not written out at fsync or at the unmount: a step's result is
     * nothing until it is adopted, and that syncs it. Since Linux 5.10.
     */
    { "volatile", NULL, true, false },
};

enum overlay_marks overlay_marks(void)
{
    return userns_is_initial() ? OVERLAY_MARKS_TRUSTED : OVERLAY_MARKS_USER;
}

const char *overlay_prefix(enum overlay_marks marks)
{
    return marks == OVERLAY_MARKS_USER ? "user.overlay." : "trusted.overlay.";
}

static bool is_for(const struct option *x, const struct overlay *o)
{
    return (!x->needs_upper || o->upper != NULL) &&
           (!x->not_user || o->marks != OVERLAY_MARKS_USER);
}

/* A tree that comes twice: what the lower of the two shows or hides, the upper does too. */
static void pick_lowers(const struct overlay *o, struct strv *ret)
{
    AUTO(map_free) struct map *seen = map_new(NULL);

    for (size_t i = o->lowers->n; i-- > 0;) {
        const char *path = o->lowers->v[i];
        if (!map_has(seen, path))
            strv_add(ret, path);
        map_set(seen, path, o->lowers->v[i]);
    }
}

static int make_link(int dirfd, const char *to, const char *name, struct err *err)
{
    if (symlinkat(to, dirfd, name) < 0)
        return err_sys(err, errno, "cannot make link '%s'", name);
    return 0;
}

static int make_names(const struct overlay *o, int dirfd, size_t *ret_n, struct err *err)
{
    AUTO(strv_release) struct strv lowers = STRV_INIT;
    char name[24];
    size_t n;

    pick_lowers(o, &lowers);
    for (n = 0; n < lowers.n; n++) {
        snprintf(name, sizeof(name), "%zu", n);
        if (make_link(dirfd, lowers.v[n], name, err) < 0)
            return err->code;
    }
    if (o->upper != NULL &&
        (make_link(dirfd, o->upper, UPPER, err) < 0 || make_link(dirfd, o->work, WORK, err) < 0))
        return err->code;
    if (mkdirat(dirfd, EMPTY, 0755) < 0)
        return err_sys(err, errno, "cannot make directory '" EMPTY "'");
    *ret_n = n;
    return 0;
}

/* Without an upper directory overlayfs wants two lower ones. */
static bool needs_empty(const struct overlay *o, size_t n)
{
    return n < (o->upper != NULL ? 1 : 2);
}

/* The last that the kernel said about this mount, if it said anything: "e ", "w " or "i " and text.
 */
static void add_reason(int fs, struct err *err)
{
    char text[256], last[256] = "";
    ssize_t n;

    while ((n = read(fs, text, sizeof(text) - 1)) > 2) {
        text[n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        memcpy(last, text, sizeof(last));
    }
    if (*last != '\0')
        err_wrap(err, "%s", last + 2);
}

static int set(int fs, const char *key, const char *value, struct err *err)
{
    if (fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, key, value, 0) == 0)
        return 0;
    return err_sys(err, errno, "overlay option '%s'", key);
}

static int configure(const struct overlay *o, int fs, size_t n_lowers, struct err *err)
{
    char name[24];
    struct err ignored;

    for (size_t i = 0; i < n_lowers; i++) {
        snprintf(name, sizeof(name), "%zu", i);
        if (set(fs, "lowerdir+", name, err) < 0)
            return err->code;
    }
    if (needs_empty(o, n_lowers) && set(fs, "lowerdir+", EMPTY, err) < 0)
        return err->code;
    if (o->upper != NULL &&
        (set(fs, "upperdir", UPPER, err) < 0 || set(fs, "workdir", WORK, err) < 0))
        return err->code;
    if (o->marks == OVERLAY_MARKS_USER && set(fs, "userxattr", NULL, err) < 0)
        return err->code;
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (is_for(&options[i], o))
            set(fs, options[i].key, options[i].value, &ignored);
    return 0;
}

/* Since Linux 6.8: each lower directory by a call of its own. */
static int mount_by_fd(const struct overlay *o, size_t n_lowers, const char *target,
                       struct err *err)
{
    AUTO(fd_close) int fs = fsopen("overlay", FSOPEN_CLOEXEC);

    if (fs < 0)
        return err_sys(err, errno, "cannot open the overlay file system");
    if (configure(o, fs, n_lowers, err) < 0) {
        add_reason(fs, err);
        return err->code;
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        err_sys(err, errno, "cannot make the overlay");
        add_reason(fs, err);
        return err->code;
    }
    AUTO(fd_close)
    int mnt = fsmount(fs, FSMOUNT_CLOEXEC, o->no_devices ? MOUNT_ATTR_NODEV : 0);
    if (mnt < 0)
        return err_sys(err, errno, "cannot make the overlay's mount");
    if (move_mount(mnt, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_sys(err, errno, "cannot mount the overlay on '%s'", target);
    return 0;
}

static void classic_text(const struct overlay *o, size_t n_lowers, size_t n_options, struct buf *b)
{
    buf_adds(b, "lowerdir=");
    for (size_t i = 0; i < n_lowers; i++)
        buf_addf(b, "%s%zu", i ? ":" : "", i);
    if (needs_empty(o, n_lowers))
        buf_adds(b, n_lowers ? ":" EMPTY : EMPTY);
    if (o->upper != NULL)
        buf_adds(b, ",upperdir=" UPPER ",workdir=" WORK);
    if (o->marks == OVERLAY_MARKS_USER)
        buf_adds(b, ",userxattr");
    for (size_t i = 0; i < n_options; i++) {
        if (!is_for(&options[i], o))
            continue;
        buf_addf(b, ",%s", options[i].key);
        if (options[i].value != NULL)
            buf_addf(b, "=%s", options[i].value);
    }
}

/* One unknown option fails the whole mount: the newest, which come last, are left out one by one.
 */
static int mount_classic(const struct overlay *o, size_t n_lowers, const char *target,
                         struct err *err)
{
    unsigned long flags = o->no_devices ? MS_NODEV : 0;

    for (size_t n = ARRAY_LEN(options);; n--) {
        AUTO(buf_release) struct buf text = BUF_INIT;
        classic_text(o, n_lowers, n, &text);
        if (mount("overlay", target, "overlay", flags, buf_str(&text)) == 0)
            return 0;
        if (errno != EINVAL || n == 0)
            return err_sys(err, errno, "cannot mount an overlay of %zu directories", n_lowers);
    }
}

/* What somebody can do something about. */
static int explain(struct err *err)
{
    static const struct {
        int sys;
        const char *hint;
    } hints[] = {
        { EPERM, "mounting is not allowed here" },
        { EACCES, "mounting is not allowed here" },
        { ENODEV, "the kernel has no overlayfs" },
        { ENOSYS, "the kernel has no overlayfs" },
        { EINVAL, "the store must be on a file system that overlayfs can write to, such as ext4 "
                  "or xfs, and not on an overlay itself" },
    };

    for (size_t i = 0; i < ARRAY_LEN(hints); i++)
        if (err->sys == hints[i].sys) {
            err->code = ERR_UNSUPPORTED;
            return err_wrap(err, "%s", hints[i].hint);
        }
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_IO;
    return err->code;
}

int overlay_mount(const struct overlay *o, const char *target, struct err *err)
{
    AUTO(fd_close) int dirfd = dir_open(AT_FDCWD, o->names, err);
    struct err why = ERR_INIT;
    size_t n = 0;

    if (dirfd < 0 || make_names(o, dirfd, &n, err) < 0)
        return err_wrap(err, "cannot prepare an overlay");
    if (fchdir(dirfd) < 0)
        return err_sys(err, errno, "cannot enter '%s'", o->names);
    if (!o->classic && mount_by_fd(o, n, target, &why) == 0)
        return 0;
    if (!o->classic)
        log_debug("exec", "%s; trying mount(2)", why.msg);
    if (mount_classic(o, n, target, err) == 0)
        return 0;
    if (why.sys == err->sys) /* says more */
        err_copy(err, &why);
    return explain(err);
}
