#include "exec/runtime_internal.h"

#include "base/fs.h"
#include "base/json.h"
#include "exec/cgroup_internal.h"

#include <string.h>

static const struct kind {
    const char *name;
    const char *log_options[6];
    const char *with_cgroups[3], *without_cgroups[3];
    bool relative_cgroups; /* a relative cgroupsPath begins at the runtime's own group */
} kinds[] = {
    { "crun",
      { "--log-format", "json", NULL },
      { "--cgroup-manager", "cgroupfs", NULL },
      { "--cgroup-manager", "disabled", NULL },
      false },
    { "runc", /* and those that take its words */
      { "--log-format", "json", NULL },
      { NULL },
      { "--rootless", "true", NULL },
      true },
};

void runtime_release(struct runtime *r)
{
    mem_free(r->path);
    mem_free(r->how);
    *r = (struct runtime){ .path = NULL };
}

static const struct kind *kind_of(const struct runtime *r)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strstr(path_base(r->path), kinds[i].name) != NULL)
            return &kinds[i];
    return &kinds[ARRAY_LEN(kinds) - 1];
}

static void add_all(struct strv *v, const char *const *words)
{
    for (; *words != NULL; words++)
        strv_add(v, *words);
}

void runtime_argv(const struct runtime *r, const char *state, const char *log, const char *bundle,
                  const char *id, struct strv *ret)
{
    const struct kind *k = kind_of(r);

    strv_clear(ret);
    strv_add(ret, r->path);
    add_all(ret, (const char *const[]){ "--root", state, "--log", log, NULL });
    add_all(ret, k->log_options);
    add_all(ret, r->cgroups ? k->with_cgroups : k->without_cgroups);
    add_all(ret, (const char *const[]){ "run", "--bundle", bundle, id, NULL });
}

char *runtime_cgroup(const struct runtime *r, const char *parent, const char *name)
{
    if (r->cgroups && parent != NULL)
        return cgroup_path_in(parent, name);
    return r->cgroups ? cgroup_path(name, kind_of(r)->relative_cgroups) : NULL;
}

/* Said about cleaning up after a command that ran. */
static bool is_afterwards(const char *msg)
{
    static const char *const words[] = { "unable to destroy", "Failed to remove paths",
                                         "unable to remove", "failed to delete", "remove cgroup" };

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(msg, words[i]) != NULL)
            return true;
    return false;
}

/* The last error that is about starting, owned; NULL: none. Lines of other forms are taken whole.
 */
static char *last_error(const char *log, size_t n)
{
    AUTO(mem_free) char *found = NULL;

    for (const char *end = log + n; log < end;) {
        const char *nl = memchr(log, '\n', (size_t)(end - log));
        size_t len = nl ? (size_t)(nl - log) : (size_t)(end - log);
        struct err ignored = ERR_INIT;
        json_auto_t *line = json_parse(log, len, "log", &ignored);
        const char *level = json_get_str(line, "level");
        const char *msg = json_get_str(line, "msg");
        bool is_error = str_eq(level, "error") || str_eq(level, "fatal") || str_eq(level, "panic");
        if (msg != NULL && is_error && !is_afterwards(msg)) {
            mem_free(found);
            found = str_dup(msg);
        }
        log += len + 1;
    }
    return TAKE(found);
}

/* Reasons that lie in the command and its user, not in the runtime; both words must be there. */
static const struct refusal {
    const char *about, *word;
    int status;
} refusals[] = {
    { "exec", "executable file not found", 127 },
    { "executable file", "not found", 127 },
    { "exec: ", "no such file or directory", 127 },
    { "open executable", "No such file or directory", 127 },
    { "exec: ", "permission denied", 126 },
    { "open executable", "Permission denied", 126 },
    { "exec: ", "is a directory", 126 },
    { "exec ", "exec format error", 126 },
    { "exec", "Exec format error", 126 },
    { "chdir to cwd", "", 126 },
    { "chdir", "ermission denied", 126 },
    { "mkdir", "not a directory", 126 }, /* of the working directory */
};

static int refusal_status(const char *msg)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (strstr(msg, refusals[i].about) != NULL && strstr(msg, refusals[i].word) != NULL)
            return refusals[i].status;
    return 0;
}

int runtime_judge(const struct runtime *r, const char *log, size_t log_len, int status,
                  int *ret_status, char **ret_note, struct err *err)
{
    AUTO(mem_free) char *msg = status == 0 ? NULL : last_error(log, log_len);
    int refused = msg ? refusal_status(msg) : 0;

    if (msg != NULL && refused == 0)
        return err_set(err, ERR_IO, "%s: %s", path_base(r->path), msg);
    *ret_status = refused ? refused : status;
    *ret_note = TAKE(msg);
    return 0;
}
