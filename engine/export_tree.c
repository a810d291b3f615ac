/* The merged file system of a stage, as files in a directory (type=local) or as a tar (type=tar).
 */
#include "engine/fetch_layer.h"
#include "engine/build_internal.h"

#include "base/fs.h"
#include "engine/engine_internal.h"
#include "image/layer_tar.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct export
{
    struct engine *e;
    struct state *s;
    const char *dir;
    struct content *content;
    struct tar_writer *tar; /* borrowed, or NULL */
    int root;               /* of the directory */
    struct map *dirs;       /* that are in the tar */
};

static void export_release(struct export *x)
{
    content_free(x->content);
    fd_close(x->root);
}
DEFINE_AUTO_VALUE(struct export, export_release);

/* The entry that has the bytes: of a hard link, the one it is a link to. */
static void bytes_entry(const struct export *x, const struct entry *e, size_t layer,
                        struct entry *ret)
{
    *ret = *e;
    if (e->hardlink != NULL)
        listing_find(x->s->layers[layer]->listing, e->hardlink, ret);
}

/* view_fn: what will be asked for */
static int want(void *arg, const struct entry *e, size_t layer, struct err *err UNUSED)
{
    struct export *x = arg;
    struct entry bytes;
    if (e->type != ENTRY_FILE)
        return 0;
    bytes_entry(x, e, layer, &bytes);
    content_want(x->content, x->s->layers[layer], &bytes);
    return 0;
}

static struct source *open_entry(struct export *x, const struct entry *e, size_t layer,
                                 struct err *err)
{
    struct entry bytes;
    bytes_entry(x, e, layer, &bytes);
    return content_open(x->content, x->s->layers[layer], &bytes, err);
}

/* What one file system has where another one has it too. */
struct overlap {
    struct map *seen; /* path -> name, borrowed */
    const char *name;
};

/* view_fn */
static int note_path(void *arg, const struct entry *e, size_t layer UNUSED, struct err *err)
{
    struct overlap *o = arg;
    if (e->type == ENTRY_DIR)
        return 0;
    const char *other = map_get(o->seen, e->path);
    if (other != NULL)
        return err_set(err, ERR_USAGE,
                       "cannot overwrite %s from %s with %s when split option is disabled", e->path,
                       other, o->name);
    map_set(o->seen, e->path, (void *)(uintptr_t)o->name);
    return 0;
}

static int check_overlap(const struct exported *v, size_t n, struct err *err)
{
    AUTO(map_free) struct map *seen = map_new(NULL);
    if (n < 2 || *v[0].dir != '\0')
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct overlap o = { .seen = seen, .name = v[i].name };
        if (view_walk(state_view(v[i].s), "", note_path, &o, err) < 0)
            return err->code;
    }
    return 0;
}

static int check_digest(const struct entry *e, const struct digest *got, struct err *err)
{
    if (digest_eq(&e->content, got))
        return 0;
    return err_set(err, ERR_CORRUPT, "the bytes of '/%s' are damaged in the store", e->path);
}

/* Tar. */

static int tar_file(struct export *x, const struct entry *e, size_t layer, struct err *err)
{
    struct source *raw = open_entry(x, e, layer, err);
    if (raw == NULL)
        return err->code;
    struct digest got;
    AUTO(source_free) struct source *from = source_hash(raw, &got);
    AUTO(mem_free) char *chunk = mem_alloc(1 << 18);
    ssize_t n;
    while ((n = source_read(from, chunk, 1 << 18, err)) > 0)
        if (tar_writer_data(x->tar, chunk, (size_t)n, err) < 0)
            return err->code;
    return n < 0 ? (int)n : check_digest(e, &got, err);
}

/* view_fn */
static int put_tar(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct export *x = arg;
    if (cancel_check(x->e->cancel, err) < 0)
        return err->code;
    if (*e->path == '\0')
        return 0;
    if (e->type == ENTRY_DIR && map_has(x->dirs, e->path))
        return 0;
    if (e->type == ENTRY_DIR)
        map_set(x->dirs, e->path, x);
    struct entry out = *e;
    AUTO(mem_free) char *path = str_printf("%s%s%s", x->dir, *x->dir ? "/" : "", e->path);
    out.path = path;
    out.hardlink = NULL;
    out.opaque = false;
    if (tar_writer_entry(x->tar, &out, err) < 0)
        return err->code;
    return e->type == ENTRY_FILE ? tar_file(x, e, layer, err) : 0;
}

static int tar_one(struct engine *e, const struct exported *v, struct tar_writer *tar,
                   struct map *dirs, struct err *err)
{
    AUTO(export_release)
    struct export x = { .e = e, .s = v->s, .dir = v->dir, .root = -1, .tar = tar };
    AUTO(map_free) struct map *own = map_new(NULL);
    x.dirs = *v->dir != '\0' ? own : dirs;
    x.content = content_new(e->store);
    struct entry dir = { .path = v->dir, .type = ENTRY_DIR, .mode = 0755 };
    if (fetch_layers(e, v->s->layers, v->s->n_layers, err) < 0 ||
        (*v->dir != '\0' && tar_writer_entry(tar, &dir, err) < 0) ||
        view_walk(state_view(v->s), "", want, &x, err) < 0)
        return err->code;
    return view_walk(state_view(v->s), "", put_tar, &x, err);
}

int export_tar(struct engine *e, const struct exported *v, size_t n, struct sink *to,
               struct err *err)
{
    AUTO(tar_writer_free) struct tar_writer *tar = tar_writer_new(to, err);
    AUTO(map_free) struct map *dirs = map_new(NULL);
    if (tar == NULL || check_overlap(v, n, err) < 0)
        return err->code;
    for (size_t i = 0; i < n; i++)
        if (tar_one(e, &v[i], tar, dirs, err) < 0)
            return err->code;
    return tar_writer_finish(tar, err);
}

/* Directory. Owners are the user's own, as Docker's client leaves them; modes and times are kept.
 */

static int tree_file(struct export *x, const struct entry *e, size_t layer, int dir,
                     const char *leaf, struct err *err)
{
    struct source *raw = open_entry(x, e, layer, err);
    if (raw == NULL)
        return err->code;
    struct digest got;
    AUTO(source_free) struct source *from = source_hash(raw, &got);
    AUTO(fd_close)
    int fd = openat(dir, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(err, errno, "cannot write '%s'", e->path);
    AUTO(sink_free) struct sink *to = sink_fd(fd, false);
    if (stream_copy(from, to, NULL, err) < 0 || sink_finish(to, err) < 0 ||
        check_digest(e, &got, err) < 0)
        return err->code;
    return fchmod(fd, e->mode) < 0 ? err_sys(err, errno, "cannot chmod '%s'", e->path) : 0;
}

static int tree_dir(const struct entry *e, int dir, const char *leaf, struct err *err)
{
    struct stat st;
    if (mkdirat(dir, leaf, 0700) < 0 &&
        (errno != EEXIST || fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
         !S_ISDIR(st.st_mode)))
        return err_sys(err, errno, "cannot make directory '%s'", e->path);
    return fchmodat(dir, leaf, e->mode | 0700, 0) < 0
               ? err_sys(err, errno, "cannot chmod '%s'", e->path)
               : 0;
}

static void set_time(int dir, const char *leaf, const struct entry *e)
{
    struct timespec t[2] = { { .tv_sec = e->mtime, .tv_nsec = e->mtime_ns },
                             { .tv_sec = e->mtime, .tv_nsec = e->mtime_ns } };
    utimensat(dir, leaf, t, AT_SYMLINK_NOFOLLOW); /* a file system without times is no error */
}

/* What stands in the way and is no directory goes; a directory stays for a directory only. */
static int clear_way(int dir, const char *leaf, const struct entry *e, struct err *err)
{
    if (e->type == ENTRY_DIR || unlinkat(dir, leaf, 0) == 0 || errno == ENOENT)
        return 0;
    return err_sys(err, errno, "cannot replace '%s'", e->path);
}

/* view_fn */
static int put_tree(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct export *x = arg;
    if (cancel_check(x->e->cancel, err) < 0)
        return err->code;
    if (*e->path == '\0')
        return 0;
    AUTO(mem_free) char *parent = path_dir(e->path);
    const char *leaf = path_base(e->path);
    /* no link of the destination is followed: our own directories have none on the way */
    AUTO(fd_close) int dir = inroot_open(x->root, parent, O_RDONLY | O_DIRECTORY, 0, err);
    if (dir < 0 || clear_way(dir, leaf, e, err) < 0)
        return err->code;
    int rc = 0;
    if (e->type == ENTRY_DIR)
        rc = tree_dir(e, dir, leaf, err);
    else if (e->type == ENTRY_FILE)
        rc = tree_file(x, e, layer, dir, leaf, err);
    else if (e->type == ENTRY_LINK && symlinkat(e->target, dir, leaf) < 0)
        rc = err_sys(err, errno, "cannot make link '%s'", e->path);
    else if (e->type == ENTRY_FIFO && mkfifoat(dir, leaf, e->mode) < 0)
        rc = err_sys(err, errno, "cannot make '%s'", e->path);
    if (rc == 0 && e->type != ENTRY_DIR)
        set_time(dir, leaf, e);
    return rc;
}

/* view_fn: directories last, when nothing is put into them any more */
static int finish_dir(void *arg, const struct entry *e, size_t layer UNUSED, struct err *err)
{
    struct export *x = arg;
    if (*e->path == '\0' || e->type != ENTRY_DIR)
        return 0;
    AUTO(mem_free) char *parent = path_dir(e->path);
    AUTO(fd_close) int dir = inroot_open(x->root, parent, O_RDONLY | O_DIRECTORY, 0, err);
    if (dir < 0)
        return dir;
    set_time(dir, path_base(e->path), e);
    return fchmodat(dir, path_base(e->path), e->mode, 0) < 0
               ? err_sys(err, errno, "cannot chmod '%s'", e->path)
               : 0;
}

static int export_one(struct engine *e, struct state *s, const char *dest, struct err *err)
{
    AUTO(export_release) struct export x = { .e = e, .s = s, .root = -1 };
    if (dir_make(AT_FDCWD, dest, 0755, err) < 0)
        return err_wrap(err, "cannot export to '%s'", dest);
    x.root = dir_open(AT_FDCWD, dest, err);
    if (x.root < 0 || fetch_layers(e, s->layers, s->n_layers, err) < 0)
        return err->code;
    x.content = content_new(e->store);
    const struct view *v = state_view(s);
    if (view_walk(v, "", want, &x, err) < 0 || view_walk(v, "", put_tree, &x, err) < 0 ||
        view_walk(v, "", finish_dir, &x, err) < 0)
        return err->code;
    return 0;
}

int export_tree(struct engine *e, const struct exported *v, size_t n, const char *dest,
                struct err *err)
{
    if (check_overlap(v, n, err) < 0)
        return err->code;
    for (size_t i = 0; i < n; i++) {
        AUTO(mem_free) char *dir = str_printf("%s%s%s", dest, *v[i].dir ? "/" : "", v[i].dir);
        if (*v[i].dir && dir_make(AT_FDCWD, dest, 0755, err) < 0)
            return err_wrap(err, "cannot export to '%s'", dest);
        if (export_one(e, v[i].s, dir, err) < 0)
            return err->code;
    }
    return 0;
}
