#include "engine/run_mounts.h"

#include "base/fs.h"
#include "engine/context_places.h"
#include "engine/engine_internal.h"
#include "engine/layer_links.h"
#include "engine/skip_docs.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRETS_DIR "/run/secrets/"
#define SSH_SOCKET "/run/buildkit/ssh_agent."
#define SSH_VARIABLE "SSH_AUTH_SOCK"
#define SECRET_MODE 0400
#define SSH_MODE 0600

/* What a type does at each of the four moments; absent: nothing. */
struct mount_behaviour {
    void (*defaults)(struct run_mounts *r, struct run_mounted *x);
    int (*open)(struct run_mounts *r, struct run_mounted *x, struct err *err);
    void (*key)(const struct run_mounted *x, struct key *k);
    int (*prepare)(struct run_mounts *r, struct run_mounted *x, struct work *w, struct strv *env,
                   struct err *err);
};

static void mounted_release(struct run_mounted *x)
{
    files_release(&x->files);
    cache_mount_close(x->cache);
    ssh_forward_close(x->ssh);
    secret_wipe(&x->secret);
    mem_free(x->target);
    mem_free(x->source);
    mem_free(x->id);
    mem_free(x->host_path);
}

void run_mounts_release(struct run_mounts *r)
{
    for (size_t i = 0; i < r->n; i++)
        mounted_release(&r->v[i]);
    mem_free(r->v);
    mem_free(r->exec);
    *r = (struct run_mounts){ .n = 0 };
}

static struct exec_mount *add_exec(struct run_mounts *r, const struct run_mounted *x,
                                   enum exec_mount_kind kind)
{
    struct exec_mount *m = &r->exec[r->n_exec++];
    *m = (struct exec_mount){ .kind = kind, .target = x->target, .read_only = x->m->read_only };
    return m;
}

static void key_owner(const struct run_mounted *x, unsigned mode, struct key *k)
{
    key_u64(k, "mount.mode", x->m->has_mode ? x->m->mode : mode);
    key_u64(k, "mount.uid", x->m->uid);
    key_u64(k, "mount.gid", x->m->gid);
}

/* ---- files of somewhere else: bind, and what a new cache begins with ---- */

static int find_source(struct run_mounts *r, struct run_mounted *x, const char *source,
                       struct err *err)
{
    if (view_resolve(x->files.view, source + 1, true, &x->source, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? files_not_found(x->files.shown, source + 1, err)
                                          : err->code;
    if (!view_find(x->files.view, x->source, NULL, NULL))
        return files_not_found(x->files.shown, source + 1, err);
    context_places_source(r->st->b, &x->files, source + 1, x->source);
    docs_check_taken(r->st->b, x->files.layers, x->files.n_layers, x->source, true);
    x->is_whole_stack = x->files.context == NULL && *x->source == '\0';
    return x->is_whole_stack ? 0 : files_identify(&x->files, x->source, &x->content, err);
}

static int open_files(struct run_mounts *r, struct run_mounted *x, struct err *err)
{
    AUTO(mem_free) char *source = path_join("/", x->m->source ? x->m->source : "");
    AUTO(mem_free) char *clean = path_clean(source);
    AUTO(strv_release) struct strv wants = STRV_INIT;
    strv_add(&wants, clean + 1);
    if (files_open(r->st, x->m->from, &wants, &x->files, err) < 0)
        return err->code;
    x->has_files = true;
    return find_source(r, x, clean, err);
}

static void key_files(const struct run_mounted *x, struct key *k)
{
    if (!x->is_whole_stack) {
        /* It tells a directory from the one thing that is in it. */
        key_str(k, "mount.path", x->source);
        key_digest(k, "mount.content", &x->content.d);
        for (size_t i = 0; i < x->files.n_layers; i++) /* of a context: its names are files */
            layer_links_key(x->files.layers[i], x->source, k, "mount.links");
        return;
    }
    key_u64(k, "mount.layer.n", x->files.n_layers);
    for (size_t i = 0; i < x->files.n_layers; i++) {
        key_digest(k, "mount.layer", &x->files.layers[i]->content_id.d);
        layer_links_key(x->files.layers[i], "", k, "mount.layer.links");
    }
}

/* ---- bind ---- */

static void bind_key(const struct run_mounted *x, struct key *k)
{
    key_u64(k, "mount.read_only", x->m->read_only);
    key_files(x, k);
}

/* Of a run id: what is shown is asked, not compared whole. */
static void soft_bind_key(const struct run_mounted *x, struct key *k)
{
    key_u64(k, "mount.read_only", x->m->read_only);
    key_str(k, "mount.path", x->source);
    key_u64(k, "mount.soft", 1);
}

static int no_layers(struct run_mounts *r, struct exec_mount *m, struct err *err)
{
    AUTO(listing_builder_free) struct listing_builder *none = listing_builder_new();
    r->nothing = layer_make(r->st->b->store, none, NULL, NULL, err);
    m->layers = &r->nothing;
    m->n_layers = 1;
    return r->nothing == NULL ? err->code : 0;
}

static int bind_prepare(struct run_mounts *r, struct run_mounted *x, struct work *w UNUSED,
                        struct strv *env UNUSED, struct err *err)
{
    struct exec_mount *m = add_exec(r, x, EXEC_MOUNT_LAYERS);
    m->source = *x->source ? x->source : ".";
    if (files_stack(&x->files, &m->layers, &m->n_layers, err) < 0)
        return err->code;
    return m->n_layers > 0 ? 0 : no_layers(r, m, err);
}

/* ---- cache ---- */

static void cache_defaults(struct run_mounts *r UNUSED, struct run_mounted *x)
{
    x->id = x->m->id ? str_dup(x->m->id) : path_clean(x->m->target ? x->m->target : "");
}

static int cache_open(struct run_mounts *r, struct run_mounted *x, struct err *err)
{
    if (x->m->from == NULL) { /* source is a place in the cache itself */
        AUTO(mem_free) char *source = path_join("/", x->m->source ? x->m->source : "");
        x->source = path_clean(source);
    } else if (open_files(r, x, err) < 0) {
        return err->code;
    }
    struct entry e;
    if (x->has_files && view_find(x->files.view, x->source, &e, NULL) && e.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "a cache cannot begin with '/%s': it is not a directory",
                       x->source);
    run_cache_name(r->st->b, x);
    return 0;
}

static void cache_key(const struct run_mounted *x, struct key *k)
{
    key_u64(k, "mount.read_only", x->m->read_only);
    key_owner(x, 0755, k);
    if (x->has_files)
        key_files(x, k);
    else
        key_str(k, "mount.path", x->source);
}

static int cache_prepare(struct run_mounts *r, struct run_mounted *x, struct work *w UNUSED,
                         struct strv *env UNUSED, struct err *err UNUSED)
{
    add_exec(r, x, EXEC_MOUNT_BIND)->source = x->host_path;
    return 0;
}

/* Of one cache's, those that lock it come first: what holds it then holds it for all of them. */
static int by_name(const void *a, const void *b)
{
    const struct run_mounted *x = *(const struct run_mounted *const *)a;
    const struct run_mounted *y = *(const struct run_mounted *const *)b;
    int order = memcmp(x->cache_name.b, y->cache_name.b, sizeof(x->cache_name.b));
    if (order == 0)
        order = (y->m->sharing == MOUNT_LOCKED) - (x->m->sharing == MOUNT_LOCKED);
    return order != 0 ? order : x < y ? -1 : x > y;
}

/*
 * The path in the cache that x shows, links in it followed as if the cache were all there is. What
 * another step puts in its place meanwhile is not followed any more.
 */
static int show(struct run_mounted *x, const char *root, struct err *err)
{
    if (x->has_files || x->source[1] == '\0') {
        x->host_path = str_dup(root);
        return 0;
    }
    AUTO(fd_close) int dir = dir_open(AT_FDCWD, root, err);
    if (dir < 0)
        return err->code;
    AUTO(fd_close) int fd = inroot_open(dir, x->source + 1, O_PATH, 0, err);
    if (fd < 0)
        return err_set(err, ERR_USAGE, "cache '%s': open %s: %s", x->id, x->source,
                       strerror(err->sys));
    char link[64], real[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, real, sizeof(real));
    if (n <= 0 || (size_t)n == sizeof(real))
        return err_set(err, ERR_IO, "cache '%s': cannot use '%s'", x->id, x->source);
    x->host_path = str_ndup(real, (size_t)n);
    return 0;
}

/*
 * holder: a mount of the step that has taken a cache. All mounts of one cache in a step show one
 * directory, private ones too, as BuildKit has it.
 */
static int take_cache(struct run_mounts *r, struct run_mounted *x, struct run_mounted **holder,
                      struct err *err)
{
    if (*holder == NULL || !digest_eq(&x->cache_name, &(*holder)->cache_name)) {
        if (run_cache_take(r->st, x, err) < 0)
            return err->code;
        *holder = x;
    }
    return show(x, cache_mount_path((*holder)->cache), err);
}

static int take_caches(struct run_mounts *r, struct err *err)
{
    AUTO(mem_free) struct run_mounted **sorted = mem_calloc(r->n + 1, sizeof(struct run_mounted *));
    struct run_mounted *holder = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].m->type == MOUNT_CACHE)
            sorted[n++] = &r->v[i];
    if (n > 0)
        qsort(sorted, n, sizeof(struct run_mounted *), by_name);
    for (size_t i = 0; i < n; i++)
        if (take_cache(r, sorted[i], &holder, err) < 0)
            return err->code;
    return 0;
}

/* ---- tmpfs ---- */

static void tmpfs_key(const struct run_mounted *x, struct key *k)
{
    key_u64(k, "mount.read_only", x->m->read_only);
    key_u64(k, "mount.size", x->m->size);
}

static int tmpfs_prepare(struct run_mounts *r, struct run_mounted *x, struct work *w UNUSED,
                         struct strv *env UNUSED, struct err *err UNUSED)
{
    add_exec(r, x, EXEC_MOUNT_TMPFS)->size = x->m->size; /* its mode: of what it is mounted on */
    return 0;
}

/* ---- secret ---- */

static bool is_file(const struct run_mounted *x)
{
    return x->m->env == NULL || x->m->target != NULL;
}

static void secret_defaults(struct run_mounts *r UNUSED, struct run_mounted *x)
{
    const struct run_mount *m = x->m;
    x->id = str_dup(m->source ? m->source : m->id ? m->id : path_base(m->target));
    if (m->target == NULL) {
        mem_free(x->target);
        x->target = str_printf(SECRETS_DIR "%s", path_base(x->id));
    }
}

static void secret_key(const struct run_mounted *x, struct key *k)
{
    key_str(k, "mount.id", x->id);
    key_str(k, "mount.env", x->m->env);
    key_u64(k, "mount.file", is_file(x));
    key_u64(k, "mount.required", x->m->required);
    key_owner(x, SECRET_MODE, k);
}

static int secret_prepare(struct run_mounts *r, struct run_mounted *x, struct work *w UNUSED,
                          struct strv *env, struct err *err)
{
    int rc = secret_read(r->st->b->o, x->id, &x->secret, err);
    if (rc < 0 && (rc != ERR_NOT_FOUND || x->m->required))
        return rc;
    err_clear(err);
    if (x->m->env != NULL)
        env_set(env, x->m->env, buf_str(&x->secret));
    if (rc < 0 || !is_file(x))
        return 0;
    struct exec_mount *m = add_exec(r, x, EXEC_MOUNT_FILE);
    m->bytes = buf_str(&x->secret);
    m->n_bytes = x->secret.len;
    m->mode = x->m->has_mode ? x->m->mode : SECRET_MODE;
    m->uid = x->m->uid;
    m->gid = x->m->gid;
    m->read_only = true;
    return 0;
}

/* ---- ssh ---- */

static void ssh_defaults(struct run_mounts *r, struct run_mounted *x)
{
    size_t number = 0;
    for (const struct run_mounted *before = r->v; before < x; before++)
        number += before->m->type == MOUNT_SSH;
    x->id = str_dup(x->m->id ? x->m->id : "default");
    if (x->m->target == NULL) {
        mem_free(x->target);
        x->target = str_printf(SSH_SOCKET "%zu", number);
    }
}

static int ssh_open(struct run_mounts *r UNUSED, struct run_mounted *x, struct err *err)
{
    if (x->m->source != NULL)
        return err_set(err, ERR_USAGE, "ssh does not support source");
    return 0;
}

static void ssh_key(const struct run_mounted *x, struct key *k)
{
    key_str(k, "mount.id", x->id);
    key_u64(k, "mount.required", x->m->required);
    key_owner(x, SSH_MODE, k);
}

static int ssh_prepare(struct run_mounts *r, struct run_mounted *x, struct work *w,
                       struct strv *env UNUSED, struct err *err)
{
    unsigned mode = x->m->has_mode ? x->m->mode : SSH_MODE;
    x->ssh = ssh_forward_open(r->st->b->o, x->id, w, x->m->uid, x->m->gid, mode, err);
    if (x->ssh == NULL && (err->code != ERR_NOT_FOUND || x->m->required))
        return err->code;
    err_clear(err);
    if (x->ssh != NULL) {
        struct exec_mount *m = add_exec(r, x, EXEC_MOUNT_BIND);
        m->source = ssh_forward_path(x->ssh);
        m->read_only = false; /* connecting is writing */
    }
    return 0;
}

static const struct mount_behaviour behaviours[] = {
    [MOUNT_BIND] = { .open = open_files, .key = bind_key, .prepare = bind_prepare },
    [MOUNT_CACHE] = { cache_defaults, cache_open, cache_key, cache_prepare },
    [MOUNT_TMPFS] = { .key = tmpfs_key, .prepare = tmpfs_prepare },
    [MOUNT_SECRET] = { .defaults = secret_defaults, .key = secret_key, .prepare = secret_prepare },
    [MOUNT_SSH] = { ssh_defaults, ssh_open, ssh_key, ssh_prepare },
};

/* ---- all of them ---- */

static int target_of(struct build_stage *st, struct run_mounted *x, struct err *err)
{
    const char *cwd = st->state.config.workdir;
    AUTO(mem_free) char *dir = path_join("/", cwd ? cwd : "");
    x->target = path_join(dir, x->m->target ? x->m->target : "");
    bool has_default = x->m->type == MOUNT_SECRET || x->m->type == MOUNT_SSH;
    if (str_eq(x->target, "/") && !(has_default && x->m->target == NULL))
        return err_set(err, ERR_USAGE, "invalid mount target \"/\"");
    return 0;
}

int run_mounts_targets(struct build_stage *st, const struct instr_run *run, struct run_mounts *ret,
                       struct err *err)
{
    AUTO(run_mounts_release) struct run_mounts r = { .st = st };
    r.v = mem_calloc(run->n_mounts + 1, sizeof(*r.v));
    for (size_t i = 0; i < run->n_mounts; i++) {
        struct run_mounted *x = &r.v[r.n++];
        x->m = &run->mounts[i];
        if (target_of(st, x, err) < 0)
            return err->code;
        if (behaviours[x->m->type].defaults != NULL)
            behaviours[x->m->type].defaults(&r, x);
    }
    *ret = r;
    r = (struct run_mounts){ .n = 0 };
    return 0;
}

int run_mounts_open(struct run_mounts *r, struct err *err)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct mount_behaviour *b = &behaviours[r->v[i].m->type];
        if (b->open != NULL && b->open(r, &r->v[i], err) < 0)
            return err->code;
    }
    return 0;
}

void run_mounts_env(const struct run_mounts *r, struct strv *env)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->v[i].m->type == MOUNT_SSH && env_get(env, SSH_VARIABLE) == NULL)
            env_set(env, SSH_VARIABLE, r->v[i].target);
}

struct listing *run_mount_listing(struct run_mounted *x, struct err *err)
{
    if (x->m->type != MOUNT_BIND || x->files.context == NULL || x->files.plan == NULL) {
        err_set(err, ERR_NOT_FOUND, "'%s' shows no files of a context", x->target);
        return NULL;
    }
    return plan_listing(x->files.plan, err);
}

const struct layer *run_mount_layer(const struct run_mounted *x)
{
    return x->files.n_layers == 1 ? x->files.layers[0] : NULL;
}

void run_mounts_key(const struct run_mounts *r, bool is_run_id, struct key *k)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct run_mounted *x = &r->v[i];
        key_str(k, "mount.type", mount_type_name(x->m->type));
        key_str(k, "mount.target", x->target);
        if (is_run_id && x->is_soft)
            soft_bind_key(x, k);
        else
            behaviours[x->m->type].key(x, k);
    }
}

int run_mounts_check(const struct run_mounts *r, struct err *err)
{
    const struct build_options *o = r->st->b->o;
    for (size_t i = 0; i < r->n; i++) {
        const struct run_mounted *x = &r->v[i];
        if (!x->m->required)
            continue;
        if (x->m->type == MOUNT_SECRET && !secret_is_given(o, x->id))
            return err_set(err, ERR_NOT_FOUND, "secret %s: not found", x->id);
        if (x->m->type == MOUNT_SSH && !ssh_is_given(o, x->id))
            return err_set(err, ERR_NOT_FOUND, "unset ssh forward key %s", x->id);
    }
    return 0;
}

int run_mounts_prepare(struct run_mounts *r, struct work *w, struct strv *env, struct err *err)
{
    r->exec = mem_calloc(r->n + 1, sizeof(*r->exec));
    if (take_caches(r, err) < 0)
        return err->code;
    for (size_t i = 0; i < r->n; i++)
        if (behaviours[r->v[i].m->type].prepare(r, &r->v[i], w, env, err) < 0)
            return err->code;
    return 0;
}

void run_mounts_redact(const struct run_mounts *r, struct redactor *to)
{
    for (size_t i = 0; i < r->n; i++)
        redactor_add(to, buf_str(&r->v[i].secret), r->v[i].secret.len);
}

void run_mounts_wipe_env(const struct run_mounts *r, struct strv *env)
{
    for (size_t i = 0; i < r->n; i++) {
        const char *name = r->v[i].m->type == MOUNT_SECRET ? r->v[i].m->env : NULL;
        size_t n = name ? strlen(name) : 0;
        for (size_t k = 0; name != NULL && k < env->n; k++)
            if (strncmp(env->v[k], name, n) == 0 && env->v[k][n] == '=')
                explicit_bzero(env->v[k] + n + 1, strlen(env->v[k] + n + 1));
    }
}
