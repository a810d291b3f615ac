/*
 * Git repositories as layers. What a reference means is asked of the remote;
 * the commit is fetched alone where the server lets us, checked out in scratch
 * and listed as a layer. The rules against hostile repositories are in
 * git_run.c (no hooks, no local transports) and here: only commit ids and names that were
 * checked reach git's command line, and no link is followed on the way to a subdirectory.
 */
#include "engine/fetch_internal.h"
#include "engine/provenance.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "engine/git_remote.h"
#include "engine/git_run.h"
#include "engine/secret.h"
#include "remote/url.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ASK_TIMEOUT_S 300
#define FETCH_TIMEOUT_S 3600
#define LOCAL_TIMEOUT_S 1800
#define REF_MAX 1024

struct git_fetch {
    struct build *b;
    const struct fetch_git *q;
    struct git_remote r;
    char *shown; /* without credentials */
    const char *checksum;
    bool keep_dir, submodules;
    struct git_found found;
    char commit[65];
    struct git_box box;
    struct ssh_forward *ssh;
    char *ssh_link; /* a shorter way to its socket, in a directory of its own; NULL: none */
    struct work *work;
    char *scratch; /* name below work, "" none yet */
    char *tree;    /* absolute path of the work tree */
    int root;      /* of what becomes the layer: the tree or its subdirectory */
    int64_t mtime;
};

static void remove_link(struct git_fetch *f)
{
    if (f->ssh_link == NULL)
        return;
    AUTO(mem_free) char *dir = path_dir(f->ssh_link);
    unlink(f->ssh_link);
    rmdir(dir);
    mem_free(f->ssh_link);
}

static void git_fetch_release(struct git_fetch *f)
{
    struct err ignored = ERR_INIT;
    fd_close(f->root);
    git_box_release(&f->box);
    ssh_forward_close(f->ssh);
    remove_link(f);
    if (f->scratch != NULL && tree_remove(work_dirfd(f->work), f->scratch, &ignored) < 0)
        log_debug("engine", "scratch of git stays for now: %s", ignored.msg);
    mem_free(f->scratch);
    mem_free(f->tree);
    mem_free(f->shown);
    git_remote_release(&f->r);
    git_found_release(&f->found);
}
DEFINE_AUTO_VALUE(struct git_fetch, git_fetch_release);

/* --- what is asked for ------------------------------------------------------------------------ */

static int check_conflicts(const struct fetch_git *q, const struct git_remote *r, struct err *err)
{
    if (q->keep_dir != INSTR_UNSET && r->keep_dir != INSTR_UNSET && q->keep_dir != r->keep_dir)
        return err_set(err, ERR_USAGE, "inconsistent keep-git-dir configuration");
    if (q->checksum != NULL && r->checksum != NULL && !str_eq(q->checksum, r->checksum))
        return err_set(err, ERR_USAGE, "checksum mismatch \"%s\" != \"%s\"", q->checksum,
                       r->checksum);
    return 0;
}

int fetch_git_check(const struct fetch_git *q, struct err *err)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    if (git_remote_parse(q->remote, &r, err) < 0)
        return err->code;
    return check_conflicts(q, &r, err);
}

static int parse(struct git_fetch *f, struct err *err)
{
    int is_git = git_remote_parse(f->q->remote, &f->r, err);
    if (is_git < 0)
        return is_git;
    f->shown = url_redact(is_git ? f->r.url : f->q->remote);
    if (!is_git)
        return err_set(err, ERR_USAGE, "'%s' is no git repository", f->shown);
    if (check_conflicts(f->q, &f->r, err) < 0)
        return err->code;
    f->checksum = f->r.checksum != NULL ? f->r.checksum : f->q->checksum;
    f->keep_dir = (f->r.keep_dir != INSTR_UNSET ? f->r.keep_dir : f->q->keep_dir) == INSTR_TRUE &&
                  *f->r.subdir == '\0';
    f->submodules = f->r.submodules != INSTR_FALSE;
    f->r.commit_times |= f->q->commit_times;
    if (f->checksum != NULL && !git_is_commit_prefix(f->checksum))
        return err_set(err, ERR_USAGE, "invalid checksum %s for Git URL, expected hex commit hash",
                       f->checksum);
    return 0;
}

/* Of a tag the tag's own id counts too. */
static int match_checksum(const struct git_fetch *f, struct err *err)
{
    const struct git_found *x = &f->found;
    size_t n = f->checksum != NULL ? strlen(f->checksum) : 0;
    if (n == 0 || strncasecmp(x->id, f->checksum, n) == 0 ||
        (x->commit[0] != '\0' && strncasecmp(x->commit, f->checksum, n) == 0))
        return 0;
    return err_set(err, ERR_USAGE, "expected checksum to match %s, got %s", f->checksum,
                   x->commit[0] != '\0' ? x->commit : x->id);
}

static void take_id(struct git_fetch *f, const char *id)
{
    memcpy(f->found.id, id, strlen(id) + 1);
    mem_free(f->found.name);
    f->found.name = str_dup(id);
}

/* What is remembered of a commit: all that decides the tree but the times. */
static struct key *tree_key(const struct git_fetch *f)
{
    const struct git_found *x = &f->found;
    struct key *k = key_new("fetch.git");
    key_str(k, "url", f->r.url);
    key_str(k, "commit", x->commit[0] != '\0' ? x->commit : x->id);
    key_str(k, "subdir", f->r.subdir);
    key_u64(k, "submodules", f->submodules);
    key_str(k, "mtime", f->r.commit_times ? "commit" : "checkout");
    key_u64(k, "git-dir", f->keep_dir);
    if (f->keep_dir) {
        key_str(k, "git-dir.object", x->id);
        key_str(k, "git-dir.ref", f->r.ref);
    }
    return k;
}

static const struct layer *recall(const struct git_fetch *f)
{
    AUTO(key_free) struct key *k = tree_key(f);
    return fetch_recall(f->b, k, NULL);
}

/* --- whom we are ------------------------------------------------------------------------------ */

/* The context of the build, which the user has named, and not a Dockerfile. */
static bool is_users_word(const struct git_fetch *f)
{
    const struct build_options *o = f->b->o;
    if (str_eq(o->context, f->q->remote))
        return true;
    for (size_t i = 0; i < o->contexts.n; i++) {
        const char *equals = strchr(o->contexts.v[i], '=');
        if (equals != NULL && str_eq(equals + 1, f->q->remote))
            return true;
    }
    return false;
}

/* The name of a socket has to fit into struct sockaddr_un, and the store may be anywhere. */
static const char *socket_path(struct git_fetch *f, const char *path, struct err *err)
{
    char dir[] = "/tmp/shale-XXXXXX";
    if (strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return path;
    if (mkdtemp(dir) == NULL) {
        err_sys(err, errno, "cannot make a directory in '/tmp'");
        return NULL;
    }
    f->ssh_link = str_printf("%s/agent", dir);
    if (symlink(path, f->ssh_link) < 0) {
        err_sys(err, errno, "cannot make '%s'", f->ssh_link);
        return NULL;
    }
    return f->ssh_link;
}

/*
 * Host keys that the user knows are believed, unknown hosts are (as BuildKit does, which asks the
 * host for its keys), changed ones are not. Nothing is written to the user's files.
 */
static int set_up_ssh(struct git_fetch *f, struct err *err)
{
    const char *sock = getenv("SSH_AUTH_SOCK"), *keys = "";
    struct err miss = ERR_INIT;
    f->ssh = ssh_forward_open(f->b->o, "default", f->work, geteuid(), getegid(), 0600, &miss);
    if (f->ssh != NULL)
        sock = socket_path(f, ssh_forward_path(f->ssh), err);
    else if (miss.code != ERR_NOT_FOUND)
        return err_copy(err, &miss);
    else if (!is_users_word(f))
        return err_set(err, ERR_USAGE, "unset ssh forward key default");
    if (err->code != ERR_NONE)
        return err->code;
    if (f->ssh != NULL)
        keys = " -o IdentityFile=none";
    env_set(&f->box.env, "GIT_ALLOW_PROTOCOL", GIT_PROTOCOLS ":ssh");
    if (sock != NULL)
        env_set(&f->box.env, "SSH_AUTH_SOCK", sock);
    AUTO(mem_free)
    char *command = str_printf("ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=30 "
                               "-o ServerAliveInterval=30 -o ForwardAgent=no "
                               "-o StrictHostKeyChecking=accept-new "
                               "-o UserKnownHostsFile='\"%s/%s/hosts\" ~/.ssh/known_hosts'%s",
                               work_path(f->work), f->scratch, keys);
    env_set(&f->box.env, "GIT_SSH_COMMAND", command);
    return 0;
}

/* The first of the secrets that is there, as BuildKit names them, as a header's value. */
static int read_secret(struct git_fetch *f, struct buf *ret, struct err *err)
{
    const char *place = strstr(f->r.url, "://") + 3;
    AUTO(mem_free) char *host = str_ndup(place, strcspn(place, "/"));
    bool is_safe = url_is_https(f->r.url) || url_is_loopback(f->r.url);
    AUTO(strv_release) struct strv names = STRV_INIT;
    strv_addf(&names, "GIT_AUTH_HEADER.%s", host);
    strv_addf(&names, "GIT_AUTH_TOKEN.%s", host);
    if (is_safe) { /* not bound to a host: nobody else on the way may read it */
        strv_add(&names, "GIT_AUTH_HEADER");
        strv_add(&names, "GIT_AUTH_TOKEN");
    }
    for (size_t i = 0; i < names.n; i++) {
        struct err miss = ERR_INIT;
        struct buf value = BUF_INIT;
        int rc = fetch_secret(f->b, names.v[i], &value, &miss);
        if (rc == ERR_NOT_FOUND)
            continue;
        if (rc < 0)
            return err_copy(err, &miss);
        buf_room(ret, 2 * value.len + 64);
        if (strstr(names.v[i], "TOKEN") != NULL)
            fetch_basic(ret, "x-access-token:", buf_str(&value));
        else
            buf_adds(ret, buf_str(&value));
        secret_wipe(&value);
        return 0;
    }
    return 0;
}

/* For github.com the token is for all of it, submodules too; else for this repository. */
static char *credential_scope(const char *url)
{
    static const char *const whole[] = { "https://github.com/", "https://www.github.com/" };
    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        if (str_starts(url, whole[i]))
            return str_dup(whole[i]);
    return str_dup(url);
}

static int set_up_credentials(struct git_fetch *f, struct err *err)
{
    struct buf value = BUF_INIT;
    if (f->r.is_ssh)
        return set_up_ssh(f, err);
    if (str_starts(f->r.url, "git:"))
        return 0;
    if (f->r.credentials != NULL) {
        buf_room(&value, 2 * strlen(f->r.credentials) + 64);
        fetch_basic(&value, f->r.credentials, strchr(f->r.credentials, ':') ? "" : ":");
    } else if (read_secret(f, &value, err) < 0) {
        return err->code;
    }
    int rc = 0;
    if (value.len > 0) {
        AUTO(mem_free) char *scope = credential_scope(f->r.url);
        struct buf header = BUF_INIT;
        buf_room(&header, value.len + 32);
        buf_addf(&header, "Authorization: %s", buf_str(&value));
        rc = git_box_config(&f->box, "http", scope, "extraHeader", buf_str(&header), err);
        if (rc == 0) /* git would send the header wherever it is led */
            rc = git_box_config(&f->box, "http", scope, "followRedirects", "false", err);
        secret_wipe(&header);
    }
    secret_wipe(&value);
    return rc;
}

static void say(void *arg, const char *p, size_t n)
{
    struct git_fetch *f = arg;
    AUTO(mem_free) char *text = str_ndup(p, n);
    AUTO(mem_free) char *safe = url_redact(text);
    vertex_log(f->b->e, f->q->vertex, 2, safe, strlen(safe));
}

/* Scratch, and git with our configuration; once. */
static int set_up(struct git_fetch *f, struct err *err)
{
    if (f->scratch != NULL)
        return 0;
    f->work = engine_work(f->b->e, err);
    if (f->work == NULL)
        return err->code;
    f->scratch = work_subdir(f->work, "git", err);
    if (f->scratch == NULL || git_box_init(&f->box, f->b->e->cancel, err) < 0)
        return err->code;
    f->box.say = f->q->vertex > 0 ? say : NULL;
    f->box.say_arg = f;
    f->tree = str_printf("%s/%s/tree", work_path(f->work), f->scratch);
    if (mkdir(f->tree, 0755) < 0)
        return err_sys(err, errno, "cannot make scratch");
    return set_up_credentials(f, err);
}

static int run(struct git_fetch *f, int timeout_s, struct buf *out, struct err *err, ...)
    __attribute__((sentinel));
/* git in the work tree. */
static int run(struct git_fetch *f, int timeout_s, struct buf *out, struct err *err, ...)
{
    const char *args[16];
    size_t n = 0;
    va_list ap;
    va_start(ap, err);
    while (n + 1 < ARRAY_LEN(args) && (args[n] = va_arg(ap, const char *)) != NULL)
        n++;
    va_end(ap);
    args[n] = NULL;
    return git_run(&f->box, f->tree, args, timeout_s, out, err);
}

/* --- from the remote -------------------------------------------------------------------------- */

static int remote_failed(const struct git_fetch *f, struct err *err)
{
    return err->code == ERR_NET ? err_wrap(err, "failed to fetch remote %s", f->shown) : err->code;
}

/* ERR_NOT_FOUND is no miss here: the user named what is not there. */
static int ask_remote(struct git_fetch *f, struct err *err)
{
    AUTO(buf_release) struct buf lines = BUF_INIT;
    AUTO(mem_free) char *peeled = str_printf("%s^{}", f->r.ref);
    bool is_head = *f->r.ref == '\0';
    int rc = is_head ? run(f, ASK_TIMEOUT_S, &lines, err, "ls-remote", "--symref", "--", f->r.url,
                           "HEAD", NULL)
                     : run(f, ASK_TIMEOUT_S, &lines, err, "ls-remote", "--", f->r.url, f->r.ref,
                           peeled, NULL);
    if (rc < 0)
        return remote_failed(f, err);
    if (git_find_ref(buf_str(&lines), f->r.ref, &f->found, err) == 0)
        return 0;
    if (is_head)
        return err_set(err, ERR_USAGE, "could not find default branch for repository: %s",
                       f->shown);
    return err_set(err, ERR_USAGE, "repository does not contain ref %s, output: \"\"", f->r.ref);
}

struct seen_ref {
    char id[65], commit[65], name[REF_MAX];
};

static void note_ref(const struct git_fetch *f, const char *word)
{
    struct seen_ref seen = { .name = "HEAD" };
    memcpy(seen.id, f->found.id, sizeof(seen.id));
    memcpy(seen.commit, f->found.commit, sizeof(seen.commit));
    if (strlen(f->found.name) < sizeof(seen.name))
        memcpy(seen.name, f->found.name, strlen(f->found.name) + 1);
    fetch_saw(f->b, word, &seen, sizeof(seen));
}

/* What the reference means, for the whole build. */
static int resolve(struct git_fetch *f, struct err *err)
{
    AUTO(mem_free) char *word = str_printf("git %s#%s", f->r.url, f->r.ref);
    struct seen_ref seen;
    git_found_release(&f->found);
    f->found = (struct git_found){ .name = NULL };
    if (fetch_seen(f->b, word, &seen, sizeof(seen))) {
        memcpy(f->found.id, seen.id, sizeof(seen.id));
        memcpy(f->found.commit, seen.commit, sizeof(seen.commit));
        f->found.name = str_dup(seen.name);
    } else {
        if (set_up(f, err) < 0 || ask_remote(f, err) < 0)
            return err->code;
        note_ref(f, word);
    }
    return match_checksum(f, err);
}

/* Servers refuse what they do not announce, and simple ones know no depth: from little to all. */
static int fetch_objects(struct git_fetch *f, struct err *err)
{
    const char *id = f->found.id, *url = f->r.url;
    struct err first = ERR_INIT, next = ERR_INIT;
    if (run(f, FETCH_TIMEOUT_S, NULL, &first, "fetch", "-q", "--depth=1", "--no-tags", "--", url,
            id, NULL) == 0)
        return 0;
    if (first.code != ERR_NET)
        return err_copy(err, &first);
    bool is_shallow = strstr(first.msg, "shallow") != NULL || strstr(first.msg, "depth") != NULL;
    if (is_shallow &&
        run(f, FETCH_TIMEOUT_S, NULL, &next, "fetch", "-q", "--no-tags", "--", url, id, NULL) == 0)
        return 0;
    bool is_refused = strstr(first.msg, "not our ref") != NULL ||
                      strstr(first.msg, "unadvertised object") != NULL ||
                      strstr(first.msg, "not allow request") != NULL;
    if (!is_shallow && !is_refused)
        return err_copy(err, &first);
    err_clear(&next);
    if (run(f, FETCH_TIMEOUT_S, NULL, &next, "fetch", "-q", "--tags", "--", url,
            "+refs/heads/*:refs/remotes/origin/*", NULL) < 0)
        return err_copy(err, &next);
    return run(f, LOCAL_TIMEOUT_S, NULL, err, "cat-file", "-e", id, NULL) < 0
               ? err_set(err, ERR_NET, "there is no commit %s", id)
               : 0;
}

static int find_commit(struct git_fetch *f, struct err *err)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(mem_free) char *name = str_printf("%s^{commit}", f->found.id);
    if (run(f, LOCAL_TIMEOUT_S, &out, err, "rev-parse", "--verify", "-q", name, NULL) < 0)
        return err_set(err, ERR_NET, "%s is no commit of %s", f->found.id, f->shown);
    while (out.len > 0 && out.data[out.len - 1] == '\n')
        buf_truncate(&out, out.len - 1);
    if (!git_is_commit(buf_str(&out)) ||
        (f->found.commit[0] != '\0' && !str_eq(f->found.commit, buf_str(&out))))
        return err_set(err, ERR_CORRUPT, "%s: the tag's commit is not what was announced",
                       f->shown);
    memcpy(f->commit, buf_str(&out), out.len + 1);
    return 0;
}

static bool has_submodules(const struct git_fetch *f)
{
    AUTO(mem_free) char *modules = str_printf("%s/.gitmodules", f->tree);
    struct stat st;
    return f->submodules && lstat(modules, &st) == 0 && S_ISREG(st.st_mode);
}

/* The repository that stays in the tree: the ref by its name, no trace of how it was fetched. */
static int finish_git_dir(struct git_fetch *f, struct err *err)
{
    AUTO(mem_free) char *fetch_head = str_printf("%s/.git/FETCH_HEAD", f->tree);
    if (unlink(fetch_head) < 0 && errno != ENOENT)
        return err_sys(err, errno, "cannot remove '%s'", fetch_head);
    if (str_starts(f->found.name, "refs/") && run(f, LOCAL_TIMEOUT_S, NULL, err, "update-ref", "--",
                                                  f->found.name, f->found.id, NULL) < 0)
        return err->code;
    /* written anew they have no times and inode numbers of this machine */
    if (run(f, LOCAL_TIMEOUT_S, NULL, err, "read-tree", f->commit, NULL) < 0)
        return err->code;
    return has_submodules(f) ? run(f, LOCAL_TIMEOUT_S, NULL, err, "submodule", "--quiet", "foreach",
                                   "--recursive", "git read-tree HEAD", NULL)
                             : 0;
}

static int update_submodules(struct git_fetch *f, struct err *err)
{
    struct err first = ERR_INIT;
    if (!has_submodules(f))
        return 0;
    if (run(f, FETCH_TIMEOUT_S, NULL, &first, "submodule", "--quiet", "update", "--init",
            "--recursive", "--depth=1", NULL) == 0)
        return 0;
    if (first.code == ERR_NET &&
        (strstr(first.msg, "shallow") != NULL || strstr(first.msg, "depth") != NULL) &&
        run(f, FETCH_TIMEOUT_S, NULL, err, "submodule", "--quiet", "update", "--init",
            "--recursive", NULL) == 0)
        return 0;
    if (err->code == ERR_NONE)
        err_copy(err, &first);
    return err->code == ERR_NET ? err_wrap(err, "failed to update submodules for %s", f->shown)
                                : err->code;
}

static int find_mtime(struct git_fetch *f, struct err *err)
{
    AUTO(buf_release) struct buf out = BUF_INIT;
    f->mtime = f->b->epoch >= 0 ? f->b->epoch : clock_wall_s();
    if (!f->r.commit_times)
        return 0;
    if (run(f, LOCAL_TIMEOUT_S, &out, err, "show", "-s", "--format=%ct", f->commit, NULL) < 0)
        return err->code;
    f->mtime = strtoll(buf_str(&out), NULL, 10);
    return 0;
}

static int check_out(struct git_fetch *f, struct err *err)
{
    const char *format =
        strlen(f->found.id) == 64 ? "--object-format=sha256" : "--object-format=sha1";
    if (run(f, LOCAL_TIMEOUT_S, NULL, err, "init", "-q", "--template=", format, NULL) < 0 ||
        run(f, LOCAL_TIMEOUT_S, NULL, err, "remote", "add", "origin", f->r.url, NULL) < 0)
        return err->code;
    if (fetch_objects(f, err) < 0)
        return remote_failed(f, err);
    if (find_commit(f, err) < 0)
        return err->code;
    if (run(f, LOCAL_TIMEOUT_S, NULL, err, "checkout", "-q", "--force", "--detach", f->commit,
            NULL) < 0)
        return err_wrap(err, "failed to checkout remote %s", f->shown);
    if (update_submodules(f, err) < 0 || find_mtime(f, err) < 0)
        return err->code;
    return f->keep_dir ? finish_git_dir(f, err) : 0;
}

/* --- the layer -------------------------------------------------------------------------------- */

/* The subdirectory, step by step, no link followed. */
static int open_root(struct git_fetch *f, struct err *err)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    f->root = open(f->tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (f->root < 0)
        return err_sys(err, errno, "cannot open '%s'", f->tree);
    strv_split(&names, f->r.subdir, '/');
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.v[i];
        bool is_git = strcasecmp(name, ".git") == 0;
        int next =
            is_git ? -1 : openat(f->root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && !is_git && (errno == ENOTDIR || errno == ELOOP))
            return err_set(err, ERR_USAGE,
                           "invalid subdir /%s: git subpath \"/%s\" contains non-directory \"%s\"",
                           f->r.subdir, f->r.subdir, name);
        if (next < 0)
            return err_set(err, ERR_USAGE,
                           "invalid subdir /%s: failed to lstat \"%s\": statat %s: no such file or "
                           "directory",
                           f->r.subdir, name, name);
        fd_close(f->root);
        f->root = next;
    }
    return 0;
}

static int hash_file(int root, const char *path, struct entry *e, struct err *err)
{
    AUTO(fd_close) int fd = openat(root, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    AUTO(hasher_free) struct hasher *h = hasher_new();
    AUTO(mem_free) char *chunk = mem_alloc(1u << 16);
    size_t n = 0;
    if (fd < 0)
        return err_sys(err, errno, "cannot open '%s'", path);
    do {
        if (fd_read_full(fd, chunk, 1u << 16, &n, err) < 0)
            return err->code;
        hasher_add(h, chunk, n);
        e->size += n;
    } while (n > 0);
    hasher_end(h, &e->content);
    return 0;
}

/* As git keeps modes, and of its own files that nobody may write them. */
static uint16_t mode_of(mode_t mode)
{
    if (S_ISDIR(mode) || (mode & S_IXUSR) != 0)
        return 0755;
    return (mode & S_IWUSR) != 0 ? 0644 : 0444;
}

static int add_entry(struct git_fetch *f, struct listing_builder *lb, const FTSENT *at,
                     const char *path, struct err *err)
{
    char target[PATH_MAX];
    struct entry e = { .path = path, .mtime = f->mtime };
    mode_t mode = at->fts_statp->st_mode;
    e.mode = mode_of(mode);
    if (S_ISREG(mode)) {
        e.type = ENTRY_FILE;
        if (hash_file(f->root, path, &e, err) < 0)
            return err->code;
    } else if (S_ISLNK(mode)) {
        ssize_t n = readlinkat(f->root, path, target, sizeof(target) - 1);
        if (n < 0)
            return err_sys(err, errno, "cannot read link '%s'", path);
        target[n] = '\0';
        e.type = ENTRY_LINK;
        e.target = target;
    } else {
        e.type = ENTRY_DIR;
    }
    return listing_builder_add(lb, &e, err);
}

/* Repositories are left out, those of submodules too, unless they are asked for. */
static bool is_left_out(const struct git_fetch *f, const FTSENT *at, const char *path)
{
    if (!f->keep_dir)
        return str_eq(at->fts_name, ".git");
    return str_eq(at->fts_name, "FETCH_HEAD") && str_starts(path, ".git/");
}

static int list_tree(struct git_fetch *f, FTS *walk, size_t top_len, struct listing_builder *lb,
                     struct err *err)
{
    FTSENT *at;
    errno = 0;
    while ((at = fts_read(walk)) != NULL) {
        const char *path = at->fts_path + top_len;
        path += *path == '/';
        if (at->fts_info == FTS_DP)
            continue;
        if (at->fts_info == FTS_ERR || at->fts_info == FTS_DNR || at->fts_info == FTS_NS)
            return err_sys(err, at->fts_errno, "cannot read '%s'", path);
        if (cancel_check(f->b->e->cancel, err) < 0)
            return err->code;
        if (at->fts_level > 0 && is_left_out(f, at, path))
            fts_set(walk, at, FTS_SKIP);
        else if (add_entry(f, lb, at, path, err) < 0)
            return err->code;
        errno = 0;
    }
    return errno == 0 ? 0 : err_sys(err, errno, "cannot read the checked out tree");
}

/* layer_content_fn */
static struct source *open_file(void *arg, const struct entry *e, struct err *err)
{
    const struct git_fetch *f = arg;
    int fd = openat(f->root, e->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        err_sys(err, errno, "cannot open '%s'", e->path);
    return fd < 0 ? NULL : source_fd(fd, true);
}

static const struct layer *make_layer(struct git_fetch *f, struct err *err)
{
    AUTO(mem_free)
    char *top = *f->r.subdir ? str_printf("%s/%s", f->tree, f->r.subdir) : str_dup(f->tree);
    char *const tops[] = { top, NULL };
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    if (open_root(f, err) < 0)
        return NULL;
    FTS *walk = fts_open(tops, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (walk == NULL) {
        err_sys(err, errno, "cannot read '%s'", top);
        return NULL;
    }
    int rc = list_tree(f, walk, strlen(top), lb, err);
    fts_close(walk);
    return rc < 0 ? NULL : layer_make(f->b->store, lb, open_file, f, err);
}

/* --- all of it -------------------------------------------------------------------------------- */

/* Commits that the reference or the checksum names need nobody to be asked. */
static int settle(struct git_fetch *f, struct err *err)
{
    bool is_named = f->checksum != NULL && git_is_commit(f->checksum);
    if (git_is_commit(f->r.ref)) {
        take_id(f, f->r.ref);
        return match_checksum(f, err);
    }
    if (is_named && (f->r.fetch_by_commit || !f->keep_dir))
        take_id(f, f->checksum);
    return 0;
}

static const struct layer *fetch_tree(struct git_fetch *f, struct err *err)
{
    if (settle(f, err) < 0)
        return NULL;
    const struct layer *l = f->found.id[0] != '\0' ? recall(f) : NULL;
    if (l != NULL)
        return l;
    if (f->b->o->offline) {
        err_set(err, ERR_NET, "%s: not known here, and nobody is asked (--offline)", f->shown);
        return NULL;
    }
    bool is_settled = git_is_commit(f->r.ref) || (f->found.id[0] != '\0' && f->r.fetch_by_commit);
    if (!is_settled && resolve(f, err) < 0)
        return NULL;
    l = is_settled ? NULL : recall(f);
    if (l != NULL)
        return l;
    if (f->b->is_plan) {
        err_set(err, ERR_UNDECIDED, "%s has to be fetched", f->shown);
        return NULL;
    }
    if (set_up(f, err) < 0 || check_out(f, err) < 0)
        return NULL;
    l = make_layer(f, err);
    if (l == NULL)
        return NULL;
    AUTO(key_free) struct key *k = tree_key(f);
    struct buf none = BUF_INIT;
    fetch_remember(f->b, k, l, f->shown, &none);
    return l;
}

static void saw_material(const struct git_fetch *f)
{
    AUTO(mem_free)
    char *uri = *f->r.ref ? str_printf("%s#%s", f->shown, f->r.ref) : str_dup(f->shown);
    bool is_long = strlen(f->found.id) == 64;
    provenance_saw(f->b, f->q->remote, uri, is_long ? "sha256" : "sha1", f->found.id);
}

int fetch_git(struct build *b, const struct fetch_git *q, const struct layer **ret, struct err *err)
{
    AUTO(git_fetch_release)
    struct git_fetch f = { .b = b, .q = q, .root = -1, .box = { .config = -1 } };
    struct cache_key claimed;
    if (parse(&f, err) < 0)
        return err->code;
    AUTO(key_free) struct key *k = key_new("fetch.git.remote");
    key_str(k, "url", f.r.url);
    key_end(k, &claimed, NULL);
    AUTO(fd_close) int claim = record_claim(b->store, &claimed, b->e->cancel, err);
    if (claim < 0)
        return claim;
    const struct layer *l = fetch_tree(&f, err);
    if (l == NULL)
        return err->code;
    fetch_gave(b, l);
    saw_material(&f);
    *ret = l;
    return 0;
}
