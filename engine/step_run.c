/* RUN: a command in a container, its changes as a layer. */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "dockerfile/quote.h"
#include "engine/engine_internal.h"
#include "exec/run.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIPES_DIR "/dev/pipes/"
#define COMMAND_SHOWN 3000     /* bytes of a command in a message */
#define OUTPUT_KEPT (4u << 20) /* bytes of a step's output that are kept for later */

static const char *const proxies[] = {
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
    "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy",
};

struct run {
    struct build_stage *st;
    const struct instr *i;
    struct strv argv;
    struct user_ids user;
    enum exec_network network;
    const struct instr_file *script; /* a here-document with "#!", to be seen under PIPES_DIR */
    char *script_text;
    struct exec_mount *mounts;
    size_t n_mounts;
    char *script_dir;
};

static void run_release(struct run *r)
{
    strv_release(&r->argv);
    user_ids_release(&r->user);
    mem_free(r->script_text);
    mem_free(r->mounts);
    mem_free(r->script_dir);
}
DEFINE_AUTO_VALUE(struct run, run_release);

/* What stands behind SHELL: the line, with its here-documents as BuildKit hands them on. */
static char *shell_line(struct run *r)
{
    const struct instr_run *run = &r->i->run;
    AUTO(mem_free) char *line = strv_join(&run->cmd.args, " ");
    if (run->files.n == 0)
        return TAKE(line);
    const struct instr_file *first = &run->files.v[0];
    struct ast_heredoc h = { 0 };
    struct err ignored = ERR_INIT;
    bool bare = ast_heredoc_word(line, &h, &ignored) == 1;
    ast_heredoc_release(&h);
    if (bare) {
        char *data = first->chomp ? ast_chomp(first->data) : str_dup(first->data);
        if (!str_starts(data, "#!"))
            return data;
        r->script = first;
        r->script_text = data;
        return str_printf("%s%s", PIPES_DIR, first->name);
    }
    AUTO(buf_release) struct buf full = BUF_INIT;
    buf_adds(&full, line);
    for (size_t k = 0; k < run->files.n; k++)
        buf_addf(&full, "\n%s%s", run->files.v[k].data, run->files.v[k].name);
    return buf_take(&full);
}

static void make_argv(struct run *r)
{
    const struct instr_run *run = &r->i->run;
    const struct strv *shell = &r->st->state.config.shell;
    if (!run->cmd.shell) {
        strv_copy(&r->argv, &run->cmd.args);
        return;
    }
    if (shell->n > 0) {
        strv_copy(&r->argv, shell);
    } else {
        strv_add(&r->argv, "/bin/sh");
        strv_add(&r->argv, "-c");
    }
    AUTO(mem_free) char *line = shell_line(r);
    strv_add(&r->argv, line);
}

static int network_of(struct run *r, struct err *err)
{
    static const enum exec_network networks[] = { [RUN_NETWORK_DEFAULT] = EXEC_NET_DEFAULT,
                                                  [RUN_NETWORK_NONE] = EXEC_NET_NONE,
                                                  [RUN_NETWORK_HOST] = EXEC_NET_HOST };
    const char *wanted = r->st->b->o->network;
    r->network = networks[r->i->run.network];
    if (r->i->run.network != RUN_NETWORK_DEFAULT || wanted == NULL || str_eq(wanted, "default"))
        return 0;
    if (!str_eq(wanted, "none") && !str_eq(wanted, "host"))
        return err_set(err, ERR_USAGE, "network mode '%s' is not supported by the build", wanted);
    r->network = str_eq(wanted, "none") ? EXEC_NET_NONE : EXEC_NET_HOST;
    return 0;
}

static int mounts_of(struct run *r, struct err *err)
{
    const struct instr_run *run = &r->i->run;
    r->mounts = mem_calloc(run->n_mounts + 1, sizeof(*r->mounts));
    for (size_t k = 0; k < run->n_mounts; k++) {
        const struct run_mount *m = &run->mounts[k];
        if (m->type != MOUNT_TMPFS)
            return err_set(err, ERR_UNSUPPORTED,
                           "RUN --mount=type=%s is not supported by this version of shale",
                           mount_type_name(m->type));
        r->mounts[r->n_mounts++] = (struct exec_mount){
            .kind = EXEC_MOUNT_TMPFS, .target = m->target, .size = m->size, .mode = 01777
        };
    }
    return 0;
}

static int prepare(struct run *r, struct err *err)
{
    struct state *s = &r->st->state;
    const struct instr_run *run = &r->i->run;
    if (run->insecure || run->n_devices > 0)
        return err_set(err, ERR_UNSUPPORTED, "RUN --%s is not supported by this version of shale",
                       run->insecure ? "security=insecure" : "device");
    make_argv(r);
    if (r->argv.n == 0 || (r->argv.n == 1 && r->argv.v[0][0] == '\0'))
        return err_set(err, ERR_USAGE, "RUN has no command to run");
    const char *user = s->config.user && *s->config.user ? s->config.user : "0";
    if (view_user(state_view(s), user, 0, &r->user, err) < 0)
        return err->code;
    if (network_of(r, err) < 0)
        return err->code;
    return mounts_of(r, err);
}

static void environment(const struct run *r, struct strv *ret)
{
    const struct build *b = r->st->b;
    strv_copy(ret, &r->st->state.env);
    for (size_t k = 0; k < ARRAY_LEN(proxies); k++) {
        const char *value = env_get(&b->o->build_args, proxies[k]);
        if (value != NULL && env_get(ret, proxies[k]) == NULL)
            env_set(ret, proxies[k], value);
    }
}

static void host_names(struct key *k, const struct strv *hosts)
{
    for (size_t i = 0; i < hosts->n; i++)
        key_bytes(k, "run.host", hosts->v[i], strcspn(hosts->v[i], ":="));
}

static struct key *key_of(const struct run *r)
{
    const struct build *b = r->st->b;
    const struct state *s = &r->st->state;
    char platform[64];
    struct key *k = key_new("run");
    key_str(k, "platform", platform_format(&r->st->platform, platform));
    key_strv(k, "run.argv", &r->argv);
    key_strv(k, "run.env", &s->env);
    key_str(k, "run.user", s->config.user ? s->config.user : "");
    key_str(k, "run.cwd", s->config.workdir && *s->config.workdir ? s->config.workdir : "/");
    key_u64(k, "run.network", r->network);
    host_names(k, &b->o->add_hosts);
    for (size_t i = 0; i < r->n_mounts; i++) {
        key_str(k, "mount.tmpfs", r->mounts[i].target);
        key_u64(k, "mount.size", r->mounts[i].size);
    }
    key_str(k, "run.script", r->script_text);
    state_key(k, s);
    return k;
}

static void on_output(void *arg, int stream, const char *p, size_t n)
{
    struct step *s = arg;
    vertex_log(s->st->b->e, s->vertex, stream, p, n);
    if (s->output.len < OUTPUT_KEPT)
        buf_add(&s->output, p, n < OUTPUT_KEPT - s->output.len ? n : OUTPUT_KEPT - s->output.len);
}

/* The script as a file of its own directory, mounted read-only. */
static int mount_script(struct run *r, struct work *w, struct err *err)
{
    if (r->script == NULL)
        return 0;
    AUTO(mem_free) char *name = work_subdir(w, "script", err);
    if (name == NULL)
        return err->code;
    AUTO(fd_close) int dir = dir_open(work_dirfd(w), name, err);
    if (dir < 0 || fchmod(dir, 0755) < 0)
        return dir < 0 ? dir : err_sys(err, errno, "cannot make scratch");
    AUTO(fd_close)
    int fd = openat(dir, path_base(r->script->name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    if (fd < 0 || fchmod(fd, 0755) < 0)
        return err_sys(err, errno, "cannot write the script of RUN <<%s", r->script->name);
    if (fd_write_full(fd, r->script_text, strlen(r->script_text), err) < 0)
        return err->code;
    r->script_dir = str_printf("%s/%s", work_path(w), name);
    r->mounts[r->n_mounts++] = (struct exec_mount){
        .kind = EXEC_MOUNT_BIND, .source = r->script_dir, .target = "/dev/pipes", .read_only = true
    };
    return 0;
}

/* As BuildKit says it; lines are set by the caller. */
static int failed(const struct run *r, const struct exec_result *result, struct err *err)
{
    AUTO(mem_free) char *command = strv_join(&r->argv, " ");
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, command);
    if (quoted.len > COMMAND_SHOWN) { /* the end of the message is what counts */
        buf_truncate(&quoted, COMMAND_SHOWN);
        buf_adds(&quoted, "...\"");
    }
    return err_set(err, ERR_STEP, "process %s did not complete successfully: exit code: %d%s%s",
                   buf_str(&quoted), result->status, result->note ? ": " : "",
                   result->note ? result->note : "");
}

static int execute(struct step *s, const struct layer **ret, struct err *err)
{
    struct run *r = s->arg;
    struct build *b = s->st->b;
    struct state *state = &s->st->state;
    struct work *w = engine_work(b->e, err);
    if (w == NULL || mount_script(r, w, err) < 0)
        return err->code;
    AUTO(strv_release) struct strv env = STRV_INIT;
    environment(r, &env);
    struct exec_spec spec = {
        .layers = state->layers,
        .n_layers = state->n_layers,
        .view = state_view(state),
        .argv = &r->argv,
        .env = &env,
        .cwd = state->config.workdir && *state->config.workdir ? state->config.workdir : "/",
        .user = &r->user,
        .add_hosts = &b->o->add_hosts,
        .mounts = r->mounts,
        .n_mounts = r->n_mounts,
        .network = r->network,
        .output = on_output,
        .output_arg = s,
        .cancel = engine_cancel(b->e),
    };
    AUTO(exec_result_release) struct exec_result result = { 0 };
    if (exec_run(b->store, w, &spec, &result, err) < 0)
        return err->code;
    if (result.status != 0)
        return failed(r, &result, err);
    *ret = exec_collect(b->store, w, &spec, &result, err);
    if (*ret == NULL && err->code == ERR_NOT_FOUND) {
        /* nothing changed: an empty layer, as docker build makes */
        AUTO(listing_builder_free) struct listing_builder *none = listing_builder_new();
        err_clear(err);
        *ret = layer_make(b->store, none, NULL, NULL, err);
    }
    if (*ret == NULL)
        return err->code;
    build_pack(s->st, *ret);
    return 0;
}

int do_run(struct build_stage *st, const struct instr *i, struct err *err)
{
    AUTO(run_release) struct run r = { .st = st, .i = i };
    if (prepare(&r, err) < 0)
        return err_at(err, i->line, i->line_end);
    AUTO(buf_release) struct buf created_by = BUF_INIT;
    created_by_run(&created_by, &st->state, &r.argv);
    AUTO(key_free) struct key *k = key_of(&r);
    struct step step = {
        .st = st, .i = i, .key = k, .created_by = created_by.data, .make = execute, .arg = &r
    };
    int rc = step_do(&step, err);
    buf_release(&step.output);
    return rc;
}
