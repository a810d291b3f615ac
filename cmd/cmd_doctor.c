#include "base/fs.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/human.h"
#include "engine/engine.h"
#include "exec/observe.h"
#include "exec/run.h"
#include <stdio.h>
#include <string.h>

enum finding {
    WORKS,
    MISSING, /* worth knowing, nothing is broken */
    BROKEN,
};

/* One line: "  ok    store     /var/lib/shale". */
static void say(enum finding f, const char *what, const char *text)
{
    static const char *const words[] = { [WORKS] = "ok", [MISSING] = "none", [BROKEN] = "FAILS" };
    AUTO(buf_release) struct buf b = BUF_INIT;
    log_escape(&b, text, strlen(text));
    printf("%-6s %-9s %s\n", words[f], what, buf_str(&b));
}

static enum finding check_space(struct engine *e)
{
    struct err err = ERR_INIT;
    uint64_t free_bytes, total;
    char a[HUMAN_LEN], b[HUMAN_LEN];
    if (fs_space(store_dirfd(engine_store(e)), &free_bytes, &total, &err) < 0) {
        say(BROKEN, "space", err.msg);
        return BROKEN;
    }
    AUTO(mem_free)
    char *text = str_printf("%s free of %s", human_size(free_bytes, a), human_size(total, b));
    say(WORKS, "space", text);
    return WORKS;
}

static enum finding check_run(struct engine *e)
{
    struct err err = ERR_INIT;
    char *how = NULL;
    int code = exec_probe(engine_store(e), &how, &err);
    say(code == 0 ? WORKS : BROKEN, "RUN", code == 0 ? how : err.msg);
    if (code == 0)
        mem_free(how);
    return code == 0 ? WORKS : BROKEN;
}

static enum finding check_trace(struct engine *e)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *how = NULL;
    if (observe_probe(engine_store(e), &how, &err) == 0) {
        say(WORKS, "trace", how);
        return WORKS;
    }
    AUTO(mem_free) char *text = str_printf("%s: RUN steps are cached by their exact keys", err.msg);
    say(MISSING, "trace", text);
    return MISSING;
}

/* No engine is fine, unless somebody named one. */
static enum finding check_engine(struct engine *e)
{
    struct err err = ERR_INIT;
    bool named = false;
    struct docker *d = engine_docker(e, &named, &err);
    if (d == NULL) {
        enum finding f = err.code == ERR_NOT_FOUND && !named ? MISSING : BROKEN;
        say(f, "engine", f == MISSING ? "no Docker engine: images stay in the store" : err.msg);
        return f;
    }
    bool containerd = false;
    const char *store = "not said";
    if (docker_is_containerd(d, &containerd, &err) == 0)
        store = containerd ? "containerd" : "graph driver";
    AUTO(mem_free) char *text = str_printf("%s, image store: %s", docker_host(d), store);
    say(WORKS, "engine", text);
    return WORKS;
}

static int run(struct session *s, const struct options *o UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(engine_close) struct engine *e = engine_open(s->store_root, s->cancel, NULL, &err);
    if (e == NULL) {
        say(BROKEN, "store", err.msg);
        return exit_status(&err, s->cancel);
    }
    say(WORKS, "store", store_root(engine_store(e)));
    enum finding space = check_space(e), runs = check_run(e);
    check_trace(e);
    enum finding engine = check_engine(e);
    return space == BROKEN || runs == BROKEN || engine == BROKEN ? EXIT_FAILED : EXIT_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .args = "",
    .about = "Say what works on this machine, and why not",
    .error_prefix = "shale: ",
    .run = run,
};
