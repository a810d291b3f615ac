/* RUN: a command in a container, its changes as a layer. */
#include "engine/fetch_layer.h"
#include "engine/step_run_internal.h"

#include "base/fs.h"
#include "dockerfile/quote.h"
#include "engine/context_places.h"
#include "engine/engine_internal.h"
#include "engine/entitlement.h"
#include "exec/foreign.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIPES_DIR "/dev/pipes/"
#define HOSTNAME "BUILDKIT_SANDBOX_HOSTNAME"
#define RUNTIME_FAILED 1       /* exit status of runtimes, which BuildKit shows as it is */
#define COMMAND_SHOWN 3000     /* bytes of a command in a message */
#define OUTPUT_KEPT (4u << 20) /* bytes of a step's output that are kept for later */

static const char *const proxies[] = {
    "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "FTP_PROXY",
    "ftp_proxy",  "NO_PROXY",   "no_proxy",    "ALL_PROXY",   "all_proxy",
};

static void run_release(struct run *r)
{
    strv_release(&r->argv);
    user_ids_release(&r->user);
    mem_free(r->script_text);
    redactor_free(r->redactor);
    run_mounts_release(&r->mounts);
    mem_free(r->script_dir);
    run_trace_release(&r->trace);
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

static int prepare(struct run *r, struct err *err)
{
    const struct instr_run *run = &r->i->run;
    if (run->n_devices > 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "RUN --device is not supported by this version of shale");
    if (entitlement_check_run(r->st->b->o, run, err) < 0)
        return err->code;
    make_argv(r);
    if (r->argv.n == 0 || (r->argv.n == 1 && r->argv.v[0][0] == '\0'))
        return err_set(err, ERR_USAGE, "RUN has no command to run");
    if (network_of(r, err) < 0)
        return err->code;
    return run_mounts_targets(r->st, run, &r->mounts, err);
}

static void environment(const struct run *r, struct strv *ret)
{
    const struct build *b = r->st->b;
    strv_copy(ret, &r->st->state.env);
    for (size_t k = 0; k < ARRAY_LEN(proxies); k++) {
        const char *value = env_get(&b->o->build_args, proxies[k]);
        if (value == NULL) /* the name's other case, which is beside it */
            value = env_get(&b->o->build_args, proxies[k ^ 1]);
        if (value != NULL && env_get(ret, proxies[k]) == NULL)
            env_set(ret, proxies[k], value);
    }
    run_mounts_env(&r->mounts, ret);
}

static void host_names(struct key *k, const struct strv *hosts)
{
    for (size_t i = 0; i < hosts->n; i++)
        key_bytes(k, "run.host", hosts->v[i], strcspn(hosts->v[i], ":="));
}

/* The group of --cgroup-parent is where a step's use is counted, and decides no result. */
static void limits_key(struct key *k, const struct build_options *o)
{
    if (o->shm_size > 0)
        key_u64(k, "run.shm_size", o->shm_size);
    for (size_t i = 0; i < o->n_ulimits; i++) {
        key_str(k, "run.ulimit", o->ulimits[i].name);
        key_u64(k, "run.ulimit.soft", o->ulimits[i].soft);
        key_u64(k, "run.ulimit.hard", o->ulimits[i].hard);
    }
}

static const char *hostname(const struct build *b)
{
    const char *name = env_get(&b->o->build_args, HOSTNAME);
    return name != NULL && *name != '\0' ? name : NULL;
}

/* A soft layer is only said to be there. */
static void below_key(const struct run *r, const struct run_trace *soft, struct key *k)
{
    const struct state *s = &r->st->state;
    for (size_t i = 0; i < s->n_layers; i++) {
        if (soft != NULL && run_trace_has_layer(soft, i))
            key_u64(k, "below.soft", 1);
        else
            state_key_layer(k, s, i);
    }
}

struct key *run_key(const struct run *r, const struct run_trace *soft)
{
    const struct build *b = r->st->b;
    const struct state *s = &r->st->state;
    char platform[64];
    AUTO(strv_release) struct strv env = STRV_INIT;
    strv_copy(&env, &s->env);
    run_mounts_env(&r->mounts, &env);
    struct key *k = key_new(soft ? "run-id" : "run");
    key_str(k, "platform", platform_format(&r->st->platform, platform));
    key_strv(k, "run.argv", &r->argv);
    key_strv(k, "run.env", &env);
    key_str(k, "run.user", s->config.user ? s->config.user : "");
    key_str(k, "run.cwd", s->config.workdir && *s->config.workdir ? s->config.workdir : "/");
    key_u64(k, "run.network", r->network);
    if (r->i->run.insecure)
        key_u64(k, "run.insecure", 1);
    limits_key(k, b->o);
    if (hostname(b) != NULL)
        key_str(k, "run.hostname", hostname(b));
    host_names(k, &b->o->add_hosts);
    run_mounts_key(&r->mounts, soft != NULL, k);
    key_str(k, "run.script", r->script_text);
    below_key(r, soft, k);
    return k;
}

static void on_output(void *arg, int stream, const char *p, size_t n)
{
    struct step *s = arg;
    vertex_log(s->st->b->e, s->vertex, stream, p, n);
    if (s->output.len < OUTPUT_KEPT)
        buf_add(&s->output, p, n < OUTPUT_KEPT - s->output.len ? n : OUTPUT_KEPT - s->output.len);
}

/* exec_spec's output */
static void on_command_output(void *arg, int stream, const char *p, size_t n)
{
    redactor_pass(arg, stream, p, n);
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
    r->mounts.exec[r->mounts.n_exec++] = (struct exec_mount){
        .kind = EXEC_MOUNT_BIND, .source = r->script_dir, .target = "/dev/pipes", .read_only = true
    };
    return 0;
}

/* "process "..." did not complete successfully: ", as BuildKit says it. */
static void add_process(const struct run *r, struct buf *b)
{
    AUTO(mem_free) char *command = strv_join(&r->argv, " ");
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, command);
    if (quoted.len > COMMAND_SHOWN) { /* the end of the message is what counts */
        buf_truncate(&quoted, COMMAND_SHOWN);
        buf_adds(&quoted, "...\"");
    }
    buf_addf(b, "process %s did not complete successfully: ", buf_str(&quoted));
}

/* Why a command could not be started is output. Some runtimes have printed it themselves. */
static void show_note(const struct step *s, const char *note)
{
    struct run *r = s->arg;
    redactor_end(r->redactor);
    if (strstr(buf_str(&s->output), note) != NULL)
        return;
    redactor_pass(r->redactor, 2, note, strlen(note));
    redactor_pass(r->redactor, 2, "\n", 1);
}

/* A command that could not be started: the runtime's status is the step's. */
static int failed(const struct step *s, const struct exec_result *result, struct err *err)
{
    AUTO(buf_release) struct buf process = BUF_INIT;
    add_process(s->arg, &process);
    if (result->note != NULL)
        show_note(s, result->note);
    return err_set(err, ERR_STEP, "%sexit code: %d", buf_str(&process),
                   result->note ? RUNTIME_FAILED : result->status);
}

/* A name that the image does not know is the step's failure, as the command's own would be. */
int run_find_user(struct run *r, struct user_ids *ret, struct err *err)
{
    struct state *s = &r->st->state;
    const char *user = s->config.user && *s->config.user ? s->config.user : "0";
    int rc = view_user(state_view(s), user, 0, ret, err);
    if (rc != ERR_NOT_FOUND && rc != ERR_USAGE) /* a number out of range is the latter */
        return rc;
    AUTO(buf_release) struct buf process = BUF_INIT;
    AUTO(mem_free) char *why = str_dup(err->msg);
    add_process(r, &process);
    return err_set(err, ERR_STEP, "%s%s", buf_str(&process), why);
}

static const struct layer *collect(struct build *b, struct work *w, const struct exec_spec *spec,
                                   struct exec_result *result, struct err *err)
{
    const struct layer *l = exec_collect(b->store, w, spec, result, err);
    if (l != NULL || err->code != ERR_NOT_FOUND)
        return l;
    /* nothing changed: an empty layer, as docker build makes */
    AUTO(listing_builder_free) struct listing_builder *none = listing_builder_new();
    err_clear(err);
    return layer_make(b->store, none, NULL, NULL, err);
}

/* What a run gave that is worth nothing. Returns the code. */
static int discard(struct work *w, const struct exec_result *result, int code)
{
    struct err ignored = ERR_INIT;
    tree_remove(work_dirfd(w), result->upper, &ignored);
    return code;
}

int run_command(struct step *s, struct work *w, const struct strv *env, struct observer *o,
                const struct layer **ret, struct err *err)
{
    struct run *r = s->arg;
    struct build *b = s->st->b;
    struct state *state = &s->st->state;
    struct exec_spec spec = {
        .layers = state->layers,
        .n_layers = state->n_layers,
        .view = state_view(state),
        .argv = &r->argv,
        .env = env,
        .cwd = state->config.workdir && *state->config.workdir ? state->config.workdir : "/",
        .user = &r->user,
        .hostname = hostname(b),
        .add_hosts = &b->o->add_hosts,
        .mounts = r->mounts.exec,
        .n_mounts = r->mounts.n_exec,
        .network = r->network,
        .insecure = r->i->run.insecure,
        .shm_size = b->o->shm_size,
        .ulimits = b->o->ulimits,
        .n_ulimits = b->o->n_ulimits,
        .cgroup_parent = b->o->cgroup_parent,
        .output = on_command_output,
        .output_arg = r->redactor,
        .cancel = engine_cancel(b->e),
        .observer = o,
    };
    AUTO(exec_result_release) struct exec_result result = { 0 };
    struct err lost = ERR_INIT;
    if (fetch_layers_to_run_on(b->e, state->layers, state->n_layers, err) < 0 ||
        exec_run(b->store, w, &spec, &result, err) < 0)
        return err->code;
    r->was_discarded = o != NULL && observer_check(o, &lost) == ERR_IO;
    if (r->was_discarded)
        return discard(w, &result, err_copy(err, &lost));
    if (result.status != 0)
        return failed(s, &result, err);
    *ret = collect(b, w, &spec, &result, err);
    return *ret == NULL ? err->code : 0;
}

/* What the step prints is seen, and kept, without the secrets that it was given. */
static int run_redacted(struct step *s, struct work *w, const struct strv *env, run_fn fn,
                        const struct layer **ret, struct err *err)
{
    struct run *r = s->arg;
    r->redactor = redactor_new(on_output, s);
    run_mounts_redact(&r->mounts, r->redactor);
    int rc = fn(s, w, env, ret, err);
    redactor_end(r->redactor);
    if (rc < 0) /* a runtime may show what it was given */
        redactor_message(r->redactor, err->msg);
    return rc;
}

int run_prepared_as(struct step *s, run_fn fn, const struct layer **ret, struct err *err)
{
    struct run *r = s->arg;
    struct work *w = engine_work(s->st->b->e, err);
    AUTO(strv_release) struct strv env = STRV_INIT;
    environment(r, &env);
    int rc = w == NULL ? err->code : run_find_user(r, &r->user, err);
    if (rc == 0)
        rc = run_mounts_prepare(&r->mounts, w, &env, err);
    if (rc == 0)
        rc = mount_script(r, w, err);
    if (rc == 0)
        rc = run_redacted(s, w, &env, fn, ret, err);
    run_mounts_wipe_env(&r->mounts, &env);
    return rc;
}

/* A step that came to an end without its observer, or to none because of that. What else went wrong
 * is no reason to run the command again. */
static bool is_spoilt(const struct run *r, const struct observer *o, int rc, const struct err *err)
{
    return rc == 0 || rc == ERR_STEP || r->was_discarded || observer_has_failed(o) ||
           err->sys == ENOTCONN;
}

static int run_observed(struct step *s, struct work *w, const struct strv *env,
                        const struct layer **ret, struct err *err)
{
    struct err lost = ERR_INIT;
    AUTO(observer_free) struct observer *o = run_trace_observer(s);
    int rc = run_command(s, w, env, o, ret, err);
    if (o == NULL || rc == ERR_CANCELLED)
        return rc;
    int seen = observer_check(o, &lost);
    if (seen == 0 && rc == 0)
        run_trace_keep(s, o, *ret);
    if (seen != ERR_IO || !is_spoilt(s->arg, o, rc, err))
        return rc;
    run_trace_lost(s, &lost);
    err_clear(err);
    buf_clear(&s->output);
    return run_command(s, w, env, NULL, ret, err);
}

/* What is run are the files that the image has: it says what they are for. */
static int check_platform(const struct build_stage *st, struct err *err)
{
    return foreign_check(&st->state.config.platform, err);
}

static int execute(struct step *s, const struct layer **ret, struct err *err)
{
    if (check_platform(s->st, err) < 0)
        return err->code;
    int rc = run_prepared_as(s, run_observed, ret, err);
    if (rc == 0 && s->st->b->epoch < 0) /* else the image gets one with other times */
        build_pack(s->st, *ret);
    return rc;
}

/* step_ops */
static int check_run(struct step *s, struct err *err)
{
    const struct run *r = s->arg;
    return check_platform(r->st, err) < 0 ? err->code : run_mounts_check(&r->mounts, err);
}

static const struct step_ops run_ops = { .kind = "run",
                                         .check = check_run,
                                         .reuse = run_trace_reuse,
                                         .settle = run_settle,
                                         .looked_at = run_trace_looked_at };

int do_run(struct build_stage *st, const struct instr *i, struct err *err)
{
    AUTO(run_release) struct run r = { .st = st, .i = i };
    if (prepare(&r, err) < 0)
        return err_at(err, i->line, i->line_end);
    if (st->state.undecided != NULL) {
        step_undecided(st, i, st->state.undecided);
        return 0;
    }
    if (run_mounts_open(&r.mounts, err) < 0)
        return step_without_key(st, i, 0, err);
    AUTO(buf_release) struct buf created_by = BUF_INIT;
    created_by_run(&created_by, &st->state, &r.argv);
    AUTO(key_free) struct key *k = run_key(&r, NULL);
    struct step step = { .st = st,
                         .i = i,
                         .key = k,
                         .created_by = created_by.data,
                         .make = execute,
                         .arg = &r,
                         .ops = &run_ops,
                         .times = { .since_s = 1 } };
    size_t n_below = st->state.n_layers;
    int rc = step_do(&step, err);
    if (rc == 0)
        context_places_run(st, step.report, n_below, &r.mounts);
    buf_release(&step.output);
    return rc;
}
