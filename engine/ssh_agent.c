/* Keys given with --ssh as files: an ssh-agent of our own that holds them. */
#include "engine/ssh_internal.h"

#include "base/base64.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define KEY_MAX (100u << 10) /* BuildKit's */
#define HEAD_CHARS 64        /* of base64: enough for a key's header */
#define AGENT_WAIT_MS 5000
#define OUTPUT_MAX 4096
#define NEEDS "private keys given with --ssh need %s: install the package openssh-client"

/* ---- what a file is ---- */

/* In BuildKit's spelling. */
static const char *reason(int sys)
{
    switch (sys) {
    case ENOENT:
        return "no such file or directory";
    case EISDIR:
        return "is a directory";
    case EACCES:
        return "permission denied";
    default:
        return strerror(sys);
    }
}

/* The text between "-----BEGIN x PRIVATE KEY-----" and what follows, or NULL. */
static const char *pem_body(const char *text, bool *ret_is_openssh, bool *ret_is_encrypted)
{
    static const struct {
        const char *begin;
        bool is_openssh, is_encrypted;
    } kinds[] = {
        { "-----BEGIN OPENSSH PRIVATE KEY-----", true, false },
        { "-----BEGIN ENCRYPTED PRIVATE KEY-----", false, true },
        { "-----BEGIN PRIVATE KEY-----", false, false },
        { "-----BEGIN RSA PRIVATE KEY-----", false, false },
        { "-----BEGIN EC PRIVATE KEY-----", false, false },
        { "-----BEGIN DSA PRIVATE KEY-----", false, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const char *at = strstr(text, kinds[i].begin);
        if (at == NULL)
            continue;
        at += strlen(kinds[i].begin);
        *ret_is_openssh = kinds[i].is_openssh;
        *ret_is_encrypted = kinds[i].is_encrypted || strstr(at, "Proc-Type: 4,ENCRYPTED") != NULL;
        return at;
    }
    return NULL;
}

/*
 * "openssh-key-v1", NUL, then the cipher's name with its length: "none" is a key in the clear. The
 * NUL behind it begins the next length, and makes of all that a whole number of base64's letters.
 */
static bool openssh_is_encrypted(const char *body)
{
    static const char clear[] = "openssh-key-v1\0\0\0\0\4none"; /* 24 bytes with its NUL */
    AUTO(buf_release) struct buf want = BUF_INIT;
    char text[HEAD_CHARS + 1] = { 0 };
    size_t n = 0;

    for (; *body != '\0' && *body != '-' && n < HEAD_CHARS; body++)
        if (!isspace((unsigned char)*body))
            text[n++] = *body;
    if (n < HEAD_CHARS || strspn(text, BASE64_LETTERS) < HEAD_CHARS)
        return false; /* ssh-add will say what is wrong with it */
    base64_add(&want, clear, sizeof(clear));
    return memcmp(text, want.data, want.len) != 0;
}

static int check_key(const char *path, const struct buf *text, struct err *err)
{
    bool is_openssh = false, is_encrypted = false;
    const char *body = pem_body(buf_str(text), &is_openssh, &is_encrypted);

    if (body == NULL)
        return err_set(err, ERR_USAGE, "failed to parse %s: ssh: no key found", path);
    if (is_encrypted || (is_openssh && openssh_is_encrypted(body)))
        return err_set(err, ERR_USAGE,
                       "failed to parse %s: ssh: this private key is passphrase protected", path);
    return 0;
}

static int read_key(const char *path, struct buf *ret, struct err *err)
{
    AUTO(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t n = 0;
    char *p = buf_room(ret, KEY_MAX + 1);

    if (fd < 0)
        return err_set(err, ERR_USAGE, "failed to open %s: open %s: %s", path, path, reason(errno));
    if (fd_read_full(fd, p, KEY_MAX, &n, err) < 0) {
        int sys = err->sys;
        return err_set(err, ERR_USAGE, "failed to read %s: read %s: %s", path, path, reason(sys));
    }
    p[n] = '\0';
    ret->len = n;
    return 0;
}

static int examine_path(const char *path, bool *ret_is_socket, struct err *err)
{
    AUTO(secret_wipe) struct buf text = BUF_INIT;
    struct stat st;

    if (stat(path, &st) < 0)
        return err_set(err, ERR_USAGE, "stat %s: %s", path, reason(errno));
    *ret_is_socket = S_ISSOCK(st.st_mode);
    if (*ret_is_socket)
        return 0;
    return read_key(path, &text, err) < 0 ? err->code : check_key(path, &text, err);
}

static int examine_paths(const struct strv *paths, const char **ret_socket, struct err *err)
{
    const char *socket = NULL;
    bool has_keys = false;

    for (size_t i = 0; i < paths->n; i++) {
        bool is_socket = false;
        if (socket != NULL)
            return err_set(err, ERR_USAGE, "only single socket allowed");
        if (examine_path(paths->v[i], &is_socket, err) < 0)
            return err->code;
        if (is_socket)
            socket = paths->v[i];
        has_keys |= !is_socket;
    }
    if (socket != NULL && has_keys)
        return err_set(err, ERR_USAGE, "invalid combination of keys and sockets");
    *ret_socket = socket;
    return 0;
}

static int examine_environment(const char **ret_socket, struct err *err)
{
    const char *path = getenv("SSH_AUTH_SOCK");
    struct stat st;

    if (path == NULL || *path == '\0')
        return err_set(err, ERR_USAGE,
                       "invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    if (stat(path, &st) < 0)
        return err_set(err, ERR_USAGE, "stat %s: %s", path, reason(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_USAGE, "%s is not a socket: make sure SSH_AUTH_SOCK is right",
                       path);
    *ret_socket = path;
    return 0;
}

int ssh_examine(const struct build_ssh *s, const char **ret_socket, struct err *err)
{
    AUTO(mem_free) char *paths = strv_join(&s->paths, " ");
    bool is_given = s->paths.n > 1 || (s->paths.n == 1 && *s->paths.v[0] != '\0');

    if (is_given ? examine_paths(&s->paths, ret_socket, err) == 0
                 : examine_environment(ret_socket, err) == 0)
        return 0;
    if (is_given)
        err_wrap(err, "failed to convert agent config for ID: \"%s\"", s->id);
    return err_wrap(err, "failed to convert agent config {%s [%s] false}", s->id, paths);
}

/* ---- the agent ---- */

char *ssh_socket_path(int dirfd, const char *name)
{
    return str_printf("/proc/%d/fd/%d/%s", (int)getpid(), dirfd, name);
}

static int missing_program(const char *name, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED, NEEDS, name);
}

/* -D: no fork, so that the pid is its own. */
static pid_t start_agent(const char *path, struct err *err)
{
    const char *const argv[] = { "ssh-agent", "-D", "-a", path, NULL };
    const struct proc_spec spec = { .argv = argv,
                                    .in = -1,
                                    .out = -1,
                                    .err = -1,
                                    .new_group = true,
                                    .no_new_privs = true,
                                    .death_signal = SIGKILL };
    pid_t pid = proc_start(&spec, err);

    return pid < 0 && err->code == ERR_NOT_FOUND ? missing_program("ssh-agent", err) : pid;
}

static bool can_connect(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(a.sun_path, path, sizeof(a.sun_path) - 1);
    return fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof(a)) == 0;
}

static int wait_for_agent(const char *path, struct err *err)
{
    const struct timespec pause = { .tv_nsec = 5000000 };
    int64_t until = clock_mono_ms() + AGENT_WAIT_MS;

    while (!can_connect(path)) {
        if (clock_mono_ms() > until)
            return err_set(err, ERR_IO, "ssh-agent does not start");
        nanosleep(&pause, NULL);
    }
    return 0;
}

/* Through standard input: ssh-add refuses files that others may read, BuildKit does not. */
static int add_key(const char *socket, const struct buf *key, const char *path, struct err *err)
{
    AUTO(mem_free) char *sock = str_printf("SSH_AUTH_SOCK=%s", socket);
    const char *const argv[] = { "ssh-add", "-q", "-", NULL };
    const char *const env[] = { sock, "SSH_ASKPASS=/bin/false", "SSH_ASKPASS_REQUIRE=force", NULL };
    AUTO(fd_close) int in = memfd_create("shale", MFD_CLOEXEC);
    AUTO(fd_close) int said = memfd_create("shale", MFD_CLOEXEC);
    const struct proc_spec spec = { .argv = argv,
                                    .env = env,
                                    .in = in,
                                    .out = said,
                                    .err = said,
                                    .new_group = true,
                                    .death_signal = SIGKILL };
    char text[OUTPUT_MAX] = "";
    int status = 0;

    if (in < 0 || said < 0)
        return err_sys(err, errno, "cannot make a file of memory");
    if (fd_write_full(in, key->data, key->len, err) < 0 || lseek(in, 0, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot use a file of memory");
    pid_t pid = proc_start(&spec, err);
    if (pid < 0)
        return err->code == ERR_NOT_FOUND ? missing_program("ssh-add", err) : err->code;
    if (proc_wait(pid, NULL, 0, 0, &status, err) < 0)
        return err->code;
    if (status == 0)
        return 0;
    ssize_t n = pread(said, text, sizeof(text) - 1, 0);
    while (n > 0 && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    return err_set(err, ERR_USAGE, "failed to add %s to agent: %s", path, text);
}

static int add_keys(const struct build_ssh *s, const char *socket, struct err *err)
{
    for (size_t i = 0; i < s->paths.n; i++) {
        AUTO(secret_wipe) struct buf key = BUF_INIT;
        if (read_key(s->paths.v[i], &key, err) < 0 || check_key(s->paths.v[i], &key, err) < 0 ||
            add_key(socket, &key, s->paths.v[i], err) < 0)
            return err->code;
    }
    return 0;
}

pid_t ssh_agent_start(const struct build_ssh *s, int dirfd, const char *name, struct err *err)
{
    AUTO(mem_free) char *path = ssh_socket_path(dirfd, name);
    pid_t pid = start_agent(path, err);

    if (pid < 0)
        return pid;
    if (wait_for_agent(path, err) == 0 && add_keys(s, path, err) == 0)
        return pid;
    ssh_agent_stop(pid);
    return err->code;
}

void ssh_agent_stop(pid_t pid)
{
    struct err ignored = ERR_INIT;
    int status = 0;

    kill(pid, SIGKILL);
    proc_wait(pid, NULL, 0, 0, &status, &ignored);
}
