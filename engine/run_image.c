/* `shale run`: an image tried where there is no engine. What it changes is thrown away. */
#include "base/fs.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include "engine/image_ops.h"
#include "exec/run.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int find_by_name_or_id(struct engine *e, const char *what, struct found_image *ret,
                              struct err *err)
{
    AUTO(stored_image_release) struct stored_image i = { 0 };
    struct err miss = ERR_INIT;
    if (tag_find(e->store, what, &i, &miss) == 0) {
        AUTO(image_config_release) struct image_config c;
        image_config_init(&c);
        struct image_config parsed;
        if (tag_config(e->store, &i.config, &parsed, err) < 0)
            return err->code;
        image_config_release(&c);
        c = parsed;
        if (config_layers(e->store, &c, &ret->layers, err) < 0)
            return err->code;
        ret->n_layers = c.n_layers;
        ret->config_id = i.config;
        image_config_copy(&ret->config, &c);
        return 0;
    }
    struct find_options o = { 0 };
    return find_image(e, what, &o, ret, err);
}

static void make_argv(const struct run_options *o, const struct image_config *c, struct strv *ret)
{
    if (o->entrypoint == NULL)
        strv_append(ret, &c->entrypoint);
    else if (*o->entrypoint)
        strv_add(ret, o->entrypoint);
    if (o->command.n > 0)
        strv_append(ret, &o->command);
    else if (o->entrypoint == NULL)
        strv_append(ret, &c->cmd);
}

static void make_env(const struct run_options *o, const struct state *s, struct strv *ret)
{
    strv_copy(ret, &s->env);
    for (size_t i = 0; i < o->env.n; i++) {
        const char *eq = strchr(o->env.v[i], '=');
        if (eq == NULL)
            continue;
        AUTO(mem_free) char *key = str_ndup(o->env.v[i], (size_t)(eq - o->env.v[i]));
        env_set(ret, key, eq + 1);
    }
    if (o->tty && env_get(ret, "TERM") == NULL)
        env_set(ret, "TERM", "xterm");
}

/* "host:container[:ro]"; strings go to keep. */
static int make_mount(const char *spec, struct exec_mount *ret, struct strv *keep, struct err *err)
{
    AUTO(strv_release) struct strv parts = STRV_INIT;
    strv_split(&parts, spec, ':');
    bool ro = parts.n == 3 && str_eq(parts.v[2], "ro");
    char real[PATH_MAX];
    if (parts.n < 2 || parts.n > 3 || parts.v[1][0] != '/' ||
        (parts.n == 3 && !ro && !str_eq(parts.v[2], "rw")))
        return err_set(err, ERR_USAGE, "invalid volume specification: '%s'", spec);
    if (realpath(parts.v[0], real) == NULL)
        return err_set(err, ERR_USAGE, "volume '%s': no such file or directory", parts.v[0]);
    strv_add(keep, real);
    strv_add(keep, parts.v[1]);
    *ret = (struct exec_mount){ .kind = EXEC_MOUNT_BIND,
                                .source = keep->v[keep->n - 2],
                                .target = keep->v[keep->n - 1],
                                .read_only = ro };
    return 0;
}

static int network_of(const char *name, enum exec_network *ret, struct err *err)
{
    *ret = EXEC_NET_HOST;
    if (name == NULL || str_eq(name, "host") || str_eq(name, "default"))
        return 0;
    if (!str_eq(name, "none"))
        return err_set(err, ERR_UNSUPPORTED, "network '%s' is not supported", name);
    *ret = EXEC_NET_NONE;
    return 0;
}

struct container {
    struct strv argv, env, keep;
    struct user_ids user;
    struct exec_mount *mounts;
    enum exec_network network;
};

static void container_release(struct container *c)
{
    strv_release(&c->argv);
    strv_release(&c->env);
    strv_release(&c->keep);
    user_ids_release(&c->user);
    mem_free(c->mounts);
}
DEFINE_AUTO_VALUE(struct container, container_release);

static int prepare(struct container *c, struct state *s, const struct run_options *o,
                   struct err *err)
{
    make_argv(o, &s->config, &c->argv);
    if (c->argv.n == 0)
        return err_set(err, ERR_USAGE, "no command specified");
    make_env(o, s, &c->env);
    const char *user = o->user ? o->user : s->config.user;
    if (view_user(state_view(s), user && *user ? user : "0", 0, &c->user, err) < 0 ||
        network_of(o->network, &c->network, err) < 0)
        return err->code;
    c->mounts = mem_calloc(o->volumes.n + 1, sizeof(*c->mounts));
    for (size_t i = 0; i < o->volumes.n; i++)
        if (make_mount(o->volumes.v[i], &c->mounts[i], &c->keep, err) < 0)
            return err->code;
    return 0;
}

static int run_state(struct engine *e, struct state *s, const struct run_options *o,
                     int *ret_status, char **ret_note, struct err *err)
{
    AUTO(container_release) struct container c = { 0 };
    struct work *w = engine_work(e, err);
    if (w == NULL || prepare(&c, s, o, err) < 0)
        return err->code;
    const char *cwd = o->workdir ? o->workdir : s->config.workdir;
    struct exec_spec spec = {
        .layers = s->layers,
        .n_layers = s->n_layers,
        .view = state_view(s),
        .argv = &c.argv,
        .env = &c.env,
        .cwd = cwd && *cwd ? cwd : "/",
        .user = &c.user,
        .hostname = "shale",
        .mounts = c.mounts,
        .n_mounts = o->volumes.n,
        .network = c.network,
        .interactive = true,
        .tty = o->tty,
        .cancel = e->cancel,
    };
    AUTO(exec_result_release) struct exec_result r = { 0 };
    if (exec_run(e->store, w, &spec, &r, err) < 0)
        return err->code;
    *ret_status = r.status;
    *ret_note = TAKE(r.note);
    return 0;
}

int engine_run(struct engine *e, const struct run_options *o, int *ret_status, struct err *err)
{
    AUTO(found_image_release) struct found_image f = { 0 };
    image_config_init(&f.config);
    image_config_release(&f.config);
    if (find_by_name_or_id(e, o->image, &f, err) < 0)
        return err->code;
    struct state s;
    state_init(&s);
    state_from_image(&s, &f.config, f.layers, f.n_layers);
    AUTO(mem_free) char *note = NULL;
    int rc = run_state(e, &s, o, ret_status, &note, err);
    state_release(&s);
    if (rc == 0 && note != NULL)
        return err_set(err, ERR_STEP, "%s", note);
    return rc;
}
