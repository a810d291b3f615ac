#include "exec/run.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/userns.h"
#include "exec/cgroup_internal.h"
#include "exec/observe_internal.h"
#include "exec/run_internal.h"
#include "exec/step_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What a run needs beside its spec, owned. */
struct prepared {
    struct runtime runtime;
    struct observer *observer; /* the spec's, when it has started */
    struct strv lowers, *mount_lowers;
    size_t n_mounts;
    char *name, *dir;         /* the step's directory: in work, and absolute */
    char *upper_name, *upper; /* likewise */
    char *id;
};

/* Trees of a stack of layers, made where they are missing, and where observed layers will be. */
static int list_trees(struct store *s, const struct prepared *p, const struct layer *const *layers,
                      size_t n, struct strv *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        size_t at;
        char *path = observer_has(p->observer, layers[i], &at) ? observed_dir(p->dir, at)
                                                               : layer_tree(s, layers[i], err);
        if (path == NULL)
            return err_wrap(err, "layer %zu", i + 1);
        strv_take(ret, path);
    }
    return 0;
}

static int put_xattrs(int fd, const struct entry *e, struct err *err)
{
    for (size_t i = 0; i < e->n_xattrs; i++) {
        const struct entry_xattr *x = &e->xattrs[i];
        if (str_starts(x->name, "trusted.") && !userns_is_initial())
            continue; /* cannot be set, and seen neither */
        if (fsetxattr(fd, x->name, x->value, x->len, 0) < 0)
            return err_sys(err, errno, "cannot set attribute '%s' of the root directory", x->name);
    }
    return 0;
}

int upper_prepare(int dirfd, const char *name, const struct view *v, struct err *err)
{
    AUTO(fd_close) int fd = dir_open(dirfd, name, err);
    struct entry e;

    if (fd < 0)
        return err->code;
    view_find(v, "", &e, NULL);
    const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
                                      { .tv_sec = e.mtime, .tv_nsec = e.mtime_ns } };
    if (fchown(fd, e.uid, e.gid) < 0 || fchmod(fd, e.mode) < 0)
        return err_sys(err, errno, "cannot make the root directory");
    if (put_xattrs(fd, &e, err) < 0)
        return err->code;
    if (futimens(fd, times) < 0)
        return err_sys(err, errno, "cannot set the time of the root directory");
    return 0;
}

static void prepared_release(struct prepared *p)
{
    runtime_release(&p->runtime);
    strv_release(&p->lowers);
    for (size_t i = 0; i < p->n_mounts; i++)
        strv_release(&p->mount_lowers[i]);
    mem_free(p->mount_lowers);
    mem_free(p->name);
    mem_free(p->dir);
    mem_free(p->upper_name);
    mem_free(p->upper);
    mem_free(p->id);
}
DEFINE_AUTO_VALUE(struct prepared, prepared_release);

static int prepare_trees(struct store *s, const struct exec_spec *spec, struct prepared *p,
                         struct err *err)
{
    if (list_trees(s, p, spec->layers, spec->n_layers, &p->lowers, err) < 0)
        return err->code;
    p->mount_lowers = mem_calloc(spec->n_mounts + 1, sizeof(*p->mount_lowers));
    p->n_mounts = spec->n_mounts;
    for (size_t i = 0; i < spec->n_mounts; i++) {
        const struct exec_mount *m = &spec->mounts[i];
        if (m->kind == EXEC_MOUNT_LAYERS &&
            list_trees(s, p, m->layers, m->n_layers, &p->mount_lowers[i], err) < 0)
            return err_wrap(err, "mount '%s'", m->target);
    }
    return 0;
}

static int prepare_dirs(struct work *w, const struct exec_spec *spec, struct prepared *p,
                        struct err *err)
{
    p->name = work_subdir(w, "run", err);
    if (p->name == NULL)
        return err->code;
    p->upper_name = work_subdir(w, "upper", err);
    if (p->upper_name == NULL)
        return err->code;
    p->dir = path_join(work_path(w), p->name);
    p->upper = path_join(work_path(w), p->upper_name);
    p->id = cgroup_name(work_name(w), p->name);
    return upper_prepare(work_dirfd(w), p->upper_name, spec->view, err);
}

/* Where it does not start the step goes on with trees. Files of ours below an overlay of overlays,
 * as insecure steps may make them, would be one too many. */
static void prepare_observer(struct store *s, const struct exec_spec *spec, struct prepared *p)
{
    struct err err = ERR_INIT;
    bool no_devices = !p->runtime.cgroups && !spec->insecure;

    if (spec->observer == NULL)
        return;
    if (observer_start(spec->observer, no_devices, !spec->insecure, &err) == 0) {
        p->observer = spec->observer;
        return;
    }
    log_info("exec", "%s", err.msg);
    observe_forget(s);
}

/* Leftovers are only scratch: work_free tries again. */
static void remove_scratch(struct work *w, const char *name)
{
    struct err ignored = ERR_INIT;

    if (name != NULL && tree_remove(work_dirfd(w), name, &ignored) < 0)
        log_debug("exec", "cannot remove scratch '%s': %s", name, ignored.msg);
}

static int run_prepared(struct store *s, const struct exec_spec *spec, const struct prepared *p,
                        struct exec_result *ret, struct err *err)
{
    struct step step = { .spec = spec,
                         .runtime = &p->runtime,
                         .dir = p->dir,
                         .upper = p->upper,
                         .id = p->id,
                         .store = store_root(s),
                         .lowers = &p->lowers,
                         .mount_lowers = p->mount_lowers,
                         .observer = p->observer };

    cgroup_remove_dead(spec->cgroup_parent);
    int r = step_run(&step, ret, err);
    if (r == ERR_IO || r == ERR_UNSUPPORTED)
        runtime_forget(s); /* something is not as it was when it was probed */
    return r;
}

static int check_root(struct err *err)
{
    if (geteuid() == 0)
        return 0;
    return err_set(
        err, ERR_UNSUPPORTED,
        "RUN needs root here: run shale as root, or as root of a user namespace (unshare "
        "--map-root-user --map-auto --mount shale ...)");
}

static int check_user(const struct user_ids *u, struct err *err)
{
    AUTO(userns_release) struct userns ns = { .is_initial = true };

    if (userns_read(&ns, err) < 0)
        return err->code;
    if (userns_has_uid(&ns, u->uid) && userns_has_gid(&ns, u->gid))
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "cannot run as user %u:%u, which this user namespace does not have: map more "
                   "users and groups into it (newuidmap, newgidmap), or run shale as root",
                   (unsigned)u->uid, (unsigned)u->gid);
}

int exec_run(struct store *s, struct work *w, const struct exec_spec *spec, struct exec_result *ret,
             struct err *err)
{
    AUTO(prepared_release) struct prepared p = { .name = NULL };
    AUTO(exec_result_release) struct exec_result result = { .status = 0 };

    if (cancel_check(spec->cancel, err) < 0 || check_root(err) < 0 || step_check(spec, err) < 0)
        return err->code;
    if (check_user(spec->user, err) < 0 || runtime_pick(s, &p.runtime, err) < 0)
        return err->code;
    int r = prepare_dirs(w, spec, &p, err);
    if (r == 0)
        prepare_observer(s, spec, &p);
    if (r == 0)
        r = prepare_trees(s, spec, &p, err);
    if (r == 0)
        r = run_prepared(s, spec, &p, &result, err);
    if (p.observer != NULL)
        observer_stop(p.observer);
    remove_scratch(w, p.name);
    if (r < 0) {
        remove_scratch(w, p.upper_name);
        return r;
    }
    result.upper = TAKE(p.upper_name);
    *ret = result;
    result = (struct exec_result){ .status = 0 };
    return 0;
}

int exec_probe(struct store *s, char **ret_how, struct err *err)
{
    AUTO(runtime_release) struct runtime r = { .path = NULL };

    if (check_root(err) < 0 || runtime_pick(s, &r, err) < 0)
        return err->code;
    *ret_how = str_printf("%s with overlayfs and %s%s",
                          userns_is_initial() ? "as root" : "in a user namespace", r.how,
                          r.cgroups ? "" : ", without cgroups and so without making device nodes");
    return 0;
}

/* A file that is gone while it is collected must not look like "nothing changed". */
static const struct layer *lost_changes(struct err *err)
{
    if (err->code == ERR_NOT_FOUND)
        err->code = ERR_IO;
    return NULL;
}

const struct layer *exec_collect(struct store *s, struct work *w, const struct exec_spec *spec,
                                 struct exec_result *r, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(fd_close) int dirfd = dir_open(work_dirfd(w), r->upper, err);
    const struct layer *layer = NULL;

    if (dirfd < 0 || upper_list(dirfd, overlay_marks(), spec->view, b, err) < 0) {
        err_wrap(err, "cannot collect what the command changed");
        return lost_changes(err);
    }
    if (listing_builder_len(b) == 0)
        err_set(err, ERR_NOT_FOUND, "nothing was changed");
    else if ((layer = layer_adopt(s, b, work_dirfd(w), r->upper, err)) == NULL)
        return lost_changes(err);
    remove_scratch(w, r->upper); /* adopted, there already, or empty */
    mem_free(r->upper);
    r->upper = NULL;
    return layer;
}
