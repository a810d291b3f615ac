#include "exec/runtime_internal.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/userns.h"
#include "exec/cgroup_internal.h"
#include "exec/run_internal.h"
#include "exec/step_internal.h"
#include "store/work.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ANSWER "runtime%s%s.json" /* "-" and the form of the user namespace */
#define ANSWER_VERSION 2
#define PROBE_STATUS 42

/* exit(42) in machine code: what a probe runs, so that nothing of the host is needed for it. */
static const unsigned char code[] = {
#if defined(__x86_64__)
#define PROBE_MACHINE EM_X86_64
    0xb8, 60,           0, 0, 0, /* mov eax, exit */
    0xbf, PROBE_STATUS, 0, 0, 0, /* mov edi, 42 */
    0x0f, 0x05,                  /* syscall */
#elif defined(__aarch64__)
#define PROBE_MACHINE EM_AARCH64
    0x40, 0x05, 0x80, 0xd2, /* mov x0, 42 */
    0xa8, 0x0b, 0x80, 0xd2, /* mov x8, exit */
    0x01, 0x00, 0x00, 0xd4, /* svc 0 */
#elif defined(__riscv) && __riscv_xlen == 64
#define PROBE_MACHINE EM_RISCV
    0x13, 0x05, 0xa0, 0x02, /* li a0, 42 */
    0x93, 0x08, 0xd0, 0x05, /* li a7, exit */
    0x73, 0x00, 0x00, 0x00, /* ecall */
#else
#define PROBE_MACHINE 0 /* the first runtime there is will do */
    0,
#endif
};

#define LOAD_AT 0x400000

struct program {
    Elf64_Ehdr head;
    Elf64_Phdr segment;
    unsigned char code[sizeof(code)];
};

static int write_program(int dirfd, struct err *err)
{
    struct program p = {
        .head = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                  .e_type = ET_EXEC,
                  .e_machine = PROBE_MACHINE,
                  .e_version = EV_CURRENT,
                  .e_entry = LOAD_AT + offsetof(struct program, code),
                  .e_phoff = offsetof(struct program, segment),
                  .e_ehsize = sizeof(Elf64_Ehdr),
                  .e_phentsize = sizeof(Elf64_Phdr),
                  .e_phnum = 1 },
        .segment = { .p_type = PT_LOAD,
                     .p_flags = PF_R | PF_X,
                     .p_vaddr = LOAD_AT,
                     .p_paddr = LOAD_AT,
                     .p_filesz = sizeof(struct program),
                     .p_memsz = sizeof(struct program),
                     .p_align = 0x1000 },
    };

    memcpy(p.code, code, sizeof(code));
    return file_replace(dirfd, "probe", &p, sizeof(p), 0755, false, err);
}

/* ---- candidates ---- */

struct candidates {
    struct strv paths;
    struct strv keys; /* what must be the same for a kept answer to hold */
};

static void candidates_release(struct candidates *c)
{
    strv_release(&c->paths);
    strv_release(&c->keys);
}
DEFINE_AUTO_VALUE(struct candidates, candidates_release);

static void add_candidate(struct candidates *c, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return;
    strv_add(&c->paths, path);
    strv_addf(&c->keys, "%s %lld.%09ld", path, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static void find_candidates(struct candidates *c, const char *name)
{
    AUTO(strv_release) struct strv dirs = STRV_INIT;
    const char *path = getenv("PATH");

    if (strchr(name, '/') != NULL) {
        add_candidate(c, name);
        return;
    }
    strv_split(&dirs, path ? path : "", ':');
    strv_add(&dirs, "/usr/sbin"); /* often missing from PATH, and where runc is */
    strv_add(&dirs, "/usr/local/sbin");
    for (size_t i = 0, before = c->paths.n; i < dirs.n && c->paths.n == before; i++) {
        AUTO(mem_free) char *full = str_printf("%s/%s", dirs.v[i], name);
        if (dirs.v[i][0] == '/')
            add_candidate(c, full);
    }
}

static int list_candidates(struct candidates *c, struct err *err)
{
    const char *wanted = getenv("SHALE_RUNTIME");

    if (wanted != NULL && *wanted != '\0') {
        find_candidates(c, wanted);
        if (c->paths.n == 0)
            return err_set(err, ERR_UNSUPPORTED, "no container runtime '%s' (SHALE_RUNTIME)",
                           wanted);
        return 0;
    }
    find_candidates(c, "crun");
    find_candidates(c, "runc");
    if (c->paths.n == 0)
        return err_set(err, ERR_UNSUPPORTED, "no container runtime: install crun or runc");
    return 0;
}

/* ---- the kept answer ---- */

static void add_line_of(struct buf *b, const char *path)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;

    if (file_read(AT_FDCWD, path, 4096, &text, &ignored) == 0)
        buf_adds(b, buf_str(&text));
    buf_addc(b, '\n');
}

static char *answer_name(void)
{
    AUTO(userns_release) struct userns ns = { .is_initial = true };
    struct err err = ERR_INIT;

    if (userns_read(&ns, &err) < 0)
        log_debug("exec", "%s", err.msg);
    return str_printf(ANSWER, *ns.form ? "-" : "", ns.form);
}

/* Another boot has another kernel, another container other rights. */
static char *answer_key(const struct candidates *c)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(mem_free) char *keys = strv_join(&c->keys, "\n");
    char ns[64] = "";

    add_line_of(&b, "/proc/sys/kernel/random/boot_id");
    if (readlink("/proc/self/ns/pid", ns, sizeof(ns) - 1) < 0)
        *ns = '\0';
    buf_addf(&b, "%s\n%s\n", ns, keys);
    return buf_take(&b);
}

static bool read_answer(struct store *s, const char *key, struct runtime *ret)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *name = answer_name();
    struct err ignored = ERR_INIT;

    if (file_read(store_dirfd(s), name, 1u << 16, &text, &ignored) < 0)
        return false;
    json_auto_t *j = json_parse(buf_str(&text), text.len, name, &ignored);
    const char *path = json_get_str(j, "path");
    const char *how = json_get_str(j, "how");
    if (json_get_int(j, "version", 0) != ANSWER_VERSION || !str_eq(json_get_str(j, "key"), key) ||
        path == NULL || how == NULL)
        return false;
    *ret = (struct runtime){ .path = str_dup(path),
                             .how = str_dup(how),
                             .cgroups = json_get_bool(j, "cgroups", false) };
    return true;
}

static void keep_answer(struct store *s, const char *key, const struct runtime *r)
{
    json_auto_t *j = json_object();
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *name = answer_name();
    struct err err = ERR_INIT;

    json_object_set_new(j, "version", json_integer(ANSWER_VERSION));
    json_object_set_new(j, "key", json_from_str(key));
    json_object_set_new(j, "path", json_from_str(r->path));
    json_object_set_new(j, "how", json_from_str(r->how));
    json_object_set_new(j, "cgroups", json_boolean(r->cgroups));
    json_write_pretty(j, &text, 2);
    if (file_replace(store_dirfd(s), name, buf_str(&text), text.len, 0600, false, &err) < 0)
        log_debug("exec", "cannot keep which runtime works: %s", err.msg);
}

void runtime_forget(struct store *s)
{
    AUTO(mem_free) char *name = answer_name();

    unlinkat(store_dirfd(s), name, 0);
}

/* ---- versions, for people only ---- */

/* Older ones have known ways out of a container; a distribution may have mended them all the same.
 */
static const struct good {
    const char *name;
    unsigned version[3];
} good[] = {
    { "runc", { 1, 2, 8 } }, /* CVE-2025-31133, CVE-2025-52565, CVE-2025-52881 */
    { "crun", { 1, 15, 0 } },
};

static bool is_older(const char *text, const unsigned than[3])
{
    unsigned v[3] = { 0, 0, 0 };

    if (sscanf(text, "%u.%u.%u", &v[0], &v[1], &v[2]) < 2)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        if (v[i] != than[i])
            return v[i] < than[i];
    return false;
}

/* "runc 1.1.5 (/usr/sbin/runc)", and what speaks against it. */
static char *describe(const char *path)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(buf_release) struct buf diag = BUF_INIT;
    struct err ignored = ERR_INIT;
    const char *name = path_base(path);
    int status = 0;

    if (proc_output((const char *const[]){ path, "--version", NULL }, 4096, &out, &diag, &status,
                    &ignored) < 0)
        return str_dup(path);
    const char *v = strstr(buf_str(&out), "version ");
    v = v ? v + strlen("version ") : "";
    AUTO(buf_release) struct buf text = BUF_INIT;
    buf_addf(&text, "%s %.*s (%s)", name, (int)strcspn(v, " \n"), v, path);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (str_eq(name, good[i].name) && is_older(v, good[i].version))
            buf_addf(&text, " (older than %u.%u.%u, which has security fixes)", good[i].version[0],
                     good[i].version[1], good[i].version[2]);
    return buf_take(&text);
}

/* ---- probing ---- */

static int probe_dirs(struct work *w, const struct view *v, char **ret_run, char **ret_lower,
                      char **ret_upper, struct err *err)
{
    *ret_run = work_subdir(w, "run", err);
    *ret_lower = *ret_run ? work_subdir(w, "lower", err) : NULL;
    *ret_upper = *ret_lower ? work_subdir(w, "upper", err) : NULL;
    if (*ret_upper == NULL)
        return err->code;
    AUTO(fd_close) int dirfd = dir_open(work_dirfd(w), *ret_lower, err);
    if (dirfd < 0 || write_program(dirfd, err) < 0)
        return err->code;
    return upper_prepare(work_dirfd(w), *ret_upper, v, err);
}

/* Runs the program above with everything that a real step has. */
static int probe(struct store *s, struct work *w, const struct runtime *r, struct err *err)
{
    AUTO(view_free) struct view *v = view_new(NULL, 0);
    AUTO(strv_release) struct strv argv = STRV_INIT;
    AUTO(strv_release) struct strv lowers = STRV_INIT;
    AUTO(exec_result_release) struct exec_result result = { .status = 0 };
    AUTO(mem_free) char *run = NULL;
    AUTO(mem_free) char *lower = NULL;
    AUTO(mem_free) char *upper = NULL;
    struct user_ids root = { .uid = 0 };
    struct strv env = STRV_INIT;

    if (probe_dirs(w, v, &run, &lower, &upper, err) < 0)
        return err->code;
    AUTO(mem_free) char *dir = path_join(work_path(w), run);
    AUTO(mem_free) char *upper_path = path_join(work_path(w), upper);
    AUTO(mem_free) char *id = cgroup_name(work_name(w), run);
    strv_add(&argv, "/probe");
    strv_take(&lowers, path_join(work_path(w), lower));
    struct exec_spec spec = {
        .view = v,
        .argv = &argv,
        .env = &env,
        .cwd = "/",
        .user = &root,
    };
    struct step step = { .spec = &spec,
                         .runtime = r,
                         .dir = dir,
                         .upper = upper_path,
                         .id = id,
                         .store = store_root(s),
                         .lowers = &lowers };
    if (step_run(&step, &result, err) < 0)
        return err->code;
    if (result.status != PROBE_STATUS)
        return err_set(err, ERR_IO, "exit status %d%s%s", result.status,
                       result.note ? ": " : " without a message", result.note ? result.note : "");
    return 0;
}

/* With cgroups, else without. 0 when it works; reasons are added to why. */
static int try_runtime(struct store *s, struct work *w, const char *path, struct runtime *ret,
                       struct buf *why, struct err *err)
{
    for (int without = 0; without < 2; without++) {
        AUTO(runtime_release)
        struct runtime r = { .path = str_dup(path), .cgroups = !without };
        err_clear(err);
        if (PROBE_MACHINE == 0 || probe(s, w, &r, err) == 0) {
            r.how = describe(path);
            *ret = r;
            r = (struct runtime){ .path = NULL };
            return 0;
        }
        log_debug("exec", "%s %s cgroups: %s", path, without ? "without" : "with", err->msg);
        if (err->code == ERR_UNSUPPORTED || err->code == ERR_CANCELLED)
            return err->code; /* no overlay, no namespaces: the next one will not do better */
        if (!without)
            buf_addf(why, "%s%s: %s", why->len ? "; " : "", path_base(path), err->msg);
    }
    return err->code;
}

int runtime_pick(struct store *s, struct runtime *ret, struct err *err)
{
    AUTO(candidates_release) struct candidates c = { .paths = STRV_INIT };
    AUTO(buf_release) struct buf why = BUF_INIT;

    if (list_candidates(&c, err) < 0)
        return err->code;
    AUTO(mem_free) char *key = answer_key(&c);
    if (read_answer(s, key, ret))
        return 0;
    AUTO(work_free) struct work *w = work_open(s, err);
    if (w == NULL)
        return err->code;
    for (size_t i = 0; i < c.paths.n; i++) {
        if (try_runtime(s, w, c.paths.v[i], ret, &why, err) == 0) {
            keep_answer(s, key, ret);
            return 0;
        }
        if (err->code == ERR_UNSUPPORTED)
            return err->code;
    }
    return err_set(err, ERR_UNSUPPORTED, "no container runtime works here: %s", buf_str(&why));
}
