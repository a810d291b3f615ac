/* Secrets, and the SSH agent's socket: with a scripted agent, and with the real one for keys in
 * files. */
#include "tests/unit/store_scratch.h"

#include "base/proc.h"
#include "engine/secret.h"
#include "store/work.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void write_file(const char *dir, const char *name, const void *p, size_t n)
{
    AUTO(mem_free) char *path = path_join(dir, name);
    struct err err = ERR_INIT;

    assert_ok(file_replace(AT_FDCWD, path, p, n, 0600, false, &err), &err);
}

/* ---- secrets ---- */

static void secret_is_what_the_file_or_variable_holds(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *path = path_join(x->path, "s");
    char id[] = "a", name[] = "SHALE_TEST_SECRET", other[] = "b", unset[] = "SHALE_TEST_UNSET",
         third[] = "c";
    struct build_secret secrets[] = { { .id = id, .path = path },
                                      { .id = other, .env = name },
                                      { .id = third, .env = unset } };
    struct build_options o = { .secrets = secrets, .n_secrets = ARRAY_LEN(secrets) };
    AUTO(secret_wipe) struct buf b = BUF_INIT;

    write_file(x->path, "s", "v\0w\n", 4);
    setenv(name, "from env", 1);
    unsetenv(unset);
    assert_ok(secret_read(&o, "a", &b, &x->err), &x->err);
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "v\0w\n", 5);
    assert_ok(secret_read(&o, "b", &b, &x->err), &x->err);
    assert_string_equal(buf_str(&b), "from env");
    assert_ok(secret_read(&o, "c", &b, &x->err), &x->err);
    assert_int_equal(b.len, 0);
    secret_wipe(&b);
    assert_null(b.data);
    assert_int_equal(prctl(PR_GET_DUMPABLE), 0);
}

static void later_secret_of_one_id_replaces_the_earlier(void **state)
{
    struct scratch *x = *state;
    char id[] = "a", one[] = "SHALE_TEST_ONE", two[] = "SHALE_TEST_TWO";
    struct build_secret secrets[] = { { .id = id, .env = one }, { .id = id, .env = two } };
    struct build_options o = { .secrets = secrets, .n_secrets = 2 };
    AUTO(secret_wipe) struct buf b = BUF_INIT;

    setenv(one, "1", 1);
    setenv(two, "2", 1);
    assert_ok(secret_read(&o, "a", &b, &x->err), &x->err);
    assert_string_equal(buf_str(&b), "2");
}

static void secret_that_was_not_given_is_a_miss_and_a_lost_file_is_not(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *path = path_join(x->path, "gone");
    char id[] = "a";
    struct build_secret secret = { .id = id, .path = path };
    struct build_options o = { .secrets = &secret, .n_secrets = 1 };
    AUTO(secret_wipe) struct buf b = BUF_INIT;

    assert_int_equal(secret_read(&o, "z", &b, &x->err), ERR_NOT_FOUND);
    assert_int_equal(secret_read(&o, "a", &b, &x->err), ERR_IO);
    assert_non_null(strstr(x->err.msg, "secret a: read "));
}

static void secret_has_500_kib_at_most(void **state)
{
    struct scratch *x = *state;
    AUTO(mem_free) char *path = path_join(x->path, "big");
    char id[] = "a";
    struct build_secret secret = { .id = id, .path = path };
    struct build_options o = { .secrets = &secret, .n_secrets = 1 };
    AUTO(secret_wipe) struct buf b = BUF_INIT;
    AUTO(mem_free) char *text = mem_zalloc(SECRET_MAX + 1);

    write_file(x->path, "big", text, SECRET_MAX);
    assert_ok(secret_read(&o, "a", &b, &x->err), &x->err);
    assert_int_equal(b.len, SECRET_MAX);
    write_file(x->path, "big", text, SECRET_MAX + 1);
    assert_int_equal(secret_read(&o, "a", &b, &x->err), ERR_USAGE);
    assert_string_equal(x->err.msg, "secret a too big. max size 500KiB");
}

/* ---- what --ssh names ---- */

static int listen_at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 10), 0);
    return fd;
}

static void keygen(const char *dir, const char *name, const char *passphrase)
{
    AUTO(mem_free) char *path = path_join(dir, name);
    const char *const argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N",
                                 passphrase,   "-f", path, NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    AUTO(buf_release) struct buf diag = BUF_INIT;
    struct err err = ERR_INIT;
    int status = 1;

    assert_ok(proc_output(argv, 4096, &out, &diag, &status, &err), &err);
    assert_int_equal(status, 0);
}

/* names: comma list of files in dir. */
static int check(const char *dir, const char *names, struct err *err)
{
    AUTO(strv_release) struct strv list = STRV_INIT;
    char id[] = "x";
    struct build_ssh s = { .id = id };

    strv_split(&list, names, ',');
    for (size_t i = 0; i < list.n; i++)
        strv_take(&s.paths, path_join(dir, list.v[i]));
    err_clear(err);
    int rc = ssh_check(&s, 1, err);
    strv_release(&s.paths);
    return rc;
}

static void what_cannot_be_an_agent_or_a_key_is_refused_in_buildkits_words(void **state)
{
    struct scratch *x = *state;
    static const char pem[] = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    const struct {
        const char *names, *says;
    } cases[] = {
        { "gone", "no such file or directory" },
        { "text", "ssh: no key found" },
        { "clear.pub", "ssh: no key found" },
        { "locked", "ssh: this private key is passphrase protected" },
        { "pem", "ssh: this private key is passphrase protected" },
        { "clear,sock", "invalid combination of keys and sockets" },
        { "sock,clear", "only single socket allowed" },
        { "sock,sock", "only single socket allowed" },
        { "", "is a directory" },
    };
    AUTO(mem_free) char *path = path_join(x->path, "sock");
    AUTO(fd_close) int fd = listen_at(path);

    keygen(x->path, "clear", "");
    keygen(x->path, "locked", "secret");
    write_file(x->path, "text", "hello\n", 6);
    write_file(x->path, "pem", pem, strlen(pem));
    assert_ok(check(x->path, "clear", &x->err), &x->err);
    assert_ok(check(x->path, "clear,clear", &x->err), &x->err);
    assert_ok(check(x->path, "sock", &x->err), &x->err);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(check(x->path, *cases[i].names ? cases[i].names : ".", &x->err),
                         ERR_USAGE);
        if (strstr(x->err.msg, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].names, x->err.msg);
        assert_non_null(strstr(x->err.msg, "failed to convert agent config"));
    }
}

static void agent_of_the_environment_must_be_there(void **state)
{
    struct scratch *x = *state;
    char id[] = "default";
    struct build_ssh two[] = { { .id = id }, { .id = id } };
    AUTO(mem_free) char *path = path_join(x->path, "sock");

    unsetenv("SSH_AUTH_SOCK");
    assert_int_equal(ssh_check(two, 1, &x->err), ERR_USAGE);
    assert_string_equal(x->err.msg, "failed to convert agent config {default [] false}: invalid "
                                    "empty ssh agent socket: make sure SSH_AUTH_SOCK is set");
    setenv("SSH_AUTH_SOCK", path, 1);
    assert_int_equal(ssh_check(two, 1, &x->err), ERR_USAGE);
    AUTO(fd_close) int fd = listen_at(path);
    assert_ok(ssh_check(two, 1, &x->err), &x->err);
    assert_int_equal(ssh_check(two, 2, &x->err), ERR_USAGE);
    assert_string_equal(x->err.msg, "duplicate agent ID \"default\"");
    unsetenv("SSH_AUTH_SOCK");
}

/* ---- the socket ---- */

/* An agent that answers what the table says, and remembers what it was asked. */
struct fake {
    int listener, stop[2];
    pthread_t thread;
    unsigned char asked[64];
    size_t n_asked;
    unsigned char answer_type; /* of every answer, with 300 bytes */
};

static bool read_whole(int fd, void *p, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = recv(fd, (char *)p + done, n - done, 0);
        if (r <= 0)
            return false;
        done += (size_t)r;
    }
    return true;
}

static void fake_serve(struct fake *f, int fd)
{
    unsigned char head[4], body[4096], answer[4 + 300] = { 0, 0, 300 >> 8, 300 & 255 };

    while (read_whole(fd, head, 4)) {
        size_t n = (size_t)head[2] << 8 | head[3];
        if (n > sizeof(body) || !read_whole(fd, body, n))
            return;
        f->asked[f->n_asked++ % sizeof(f->asked)] = body[0];
        answer[4] = f->answer_type ? f->answer_type : body[0] + 1;
        if (send(fd, answer, sizeof(answer), MSG_NOSIGNAL) < 0)
            return;
    }
}

static void *fake_run(void *arg)
{
    struct fake *f = arg;
    struct pollfd p[] = { { .fd = f->listener, .events = POLLIN },
                          { .fd = f->stop[0], .events = POLLIN } };

    while (poll(p, 2, -1) > 0 && p[1].revents == 0) {
        AUTO(fd_close) int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            fake_serve(f, fd);
    }
    return NULL;
}

struct rig {
    struct scratch *x;
    struct work *w;
    struct fake fake;
    char *agent;
    struct build_ssh ssh;
    struct build_options o;
    struct ssh_forward *forward;
};

static char default_id[] = "default";

static void rig_open(struct rig *r, struct scratch *x)
{
    *r = (struct rig){ .x = x, .ssh.id = default_id };
    r->w = work_open(x->store, &x->err);
    assert_non_null(r->w);
    r->agent = path_join(x->path, "agent");
    r->fake.listener = listen_at(r->agent);
    assert_int_equal(pipe2(r->fake.stop, O_CLOEXEC), 0);
    assert_int_equal(pthread_create(&r->fake.thread, NULL, fake_run, &r->fake), 0);
    strv_add(&r->ssh.paths, r->agent);
    r->o = (struct build_options){ .ssh = &r->ssh, .n_ssh = 1 };
    r->forward = ssh_forward_open(&r->o, "default", r->w, 7, 8, 0640, &x->err);
    if (r->forward == NULL)
        fail_msg("ssh_forward_open: %s", x->err.msg);
}

static int count_in(const char *dir, const char *part)
{
    DIR *d = opendir(dir);
    const struct dirent *e;
    int n = 0;

    while (d != NULL && (e = readdir(d)) != NULL)
        n += strstr(e->d_name, part) != NULL;
    if (d != NULL)
        closedir(d);
    return n;
}

static void rig_close(struct rig *r)
{
    ssh_forward_close(r->forward);
    assert_int_equal(count_in(work_path(r->w), "ssh"), 0);
    close(r->fake.stop[1]);
    pthread_join(r->fake.thread, NULL);
    close(r->fake.stop[0]);
    close(r->fake.listener);
    strv_release(&r->ssh.paths);
    mem_free(r->agent);
    work_free(r->w);
}

static int dial(const struct ssh_forward *f)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    AUTO(mem_free) char *dir = path_dir(ssh_forward_path(f));
    AUTO(fd_close) int dirfd = open(dir, O_PATH | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", dirfd,
             path_base(ssh_forward_path(f)));
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* The type of the answer, or -1 at the end of the connection. */
static int answer(int fd, size_t *ret_n)
{
    unsigned char head[4], body[4096];

    if (!read_whole(fd, head, 4))
        return -1;
    *ret_n = (size_t)head[2] << 8 | head[3];
    assert_true(*ret_n > 0 && *ret_n <= sizeof(body));
    assert_true(read_whole(fd, body, *ret_n));
    return body[0];
}

static int ask(int fd, unsigned char type, size_t n, size_t *ret_n)
{
    unsigned char m[4096] = { 0, 0, (unsigned char)(n >> 8), (unsigned char)n, type };

    assert_int_equal(send(fd, m, 4 + n, MSG_NOSIGNAL), (ssize_t)(4 + n));
    return answer(fd, ret_n);
}

static void socket_has_the_wanted_owner_and_mode(void **state)
{
    struct rig r;
    struct stat st;

    rig_open(&r, *state);
    assert_int_equal(stat(ssh_forward_path(r.forward), &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0640);
    if (geteuid() == 0) {
        assert_int_equal(st.st_uid, 7);
        assert_int_equal(st.st_gid, 8);
    }
    assert_null(ssh_forward_open(&r.o, "other", r.w, 0, 0, 0600, &r.x->err));
    assert_int_equal(r.x->err.code, ERR_NOT_FOUND);
    rig_close(&r);
}

static void listing_and_signing_pass_and_nothing_else(void **state)
{
    static const unsigned char refused[] = { 0,  1,  5,  7,  9,  12, 14, 17, 18, 19,
                                             20, 21, 22, 23, 25, 26, 27, 28, 255 };
    struct rig r;
    size_t n = 0;

    rig_open(&r, *state);
    AUTO(fd_close) int fd = dial(r.forward);
    assert_int_equal(ask(fd, 11, 1, &n), 12);
    assert_int_equal(n, 300);
    assert_int_equal(ask(fd, 13, 1000, &n), 14);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        assert_int_equal(ask(fd, refused[i], 20, &n), 5);
        assert_int_equal(n, 1);
    }
    assert_int_equal(ask(fd, 11, 1, &n), 12);
    assert_int_equal(r.fake.n_asked, 3);
    rig_close(&r);
}

static void answer_of_another_kind_becomes_a_failure(void **state)
{
    struct rig r;
    size_t n = 0;

    rig_open(&r, *state);
    r.fake.answer_type = 29;
    AUTO(fd_close) int fd = dial(r.forward);
    assert_int_equal(ask(fd, 11, 1, &n), 5);
    assert_int_equal(n, 1);
    rig_close(&r);
}

static void message_in_single_bytes_is_understood_and_a_huge_one_ends_the_connection(void **state)
{
    static const unsigned char list[] = { 0, 0, 0, 1, 11 };
    static const unsigned char huge[] = { 0, 4, 0, 1, 11 }, empty[] = { 0, 0, 0, 0 };
    struct rig r;
    size_t n = 0;

    rig_open(&r, *state);
    AUTO(fd_close) int fd = dial(r.forward);
    for (size_t i = 0; i < sizeof(list); i++) {
        assert_int_equal(send(fd, &list[i], 1, MSG_NOSIGNAL), 1);
        usleep(2000);
    }
    assert_int_equal(answer(fd, &n), 12);
    assert_int_equal(send(fd, huge, sizeof(huge), MSG_NOSIGNAL), sizeof(huge));
    assert_int_equal(answer(fd, &n), -1);
    AUTO(fd_close) int other = dial(r.forward);
    assert_int_equal(send(other, empty, sizeof(empty), MSG_NOSIGNAL), sizeof(empty));
    assert_int_equal(answer(other, &n), -1);
    rig_close(&r);
}

static void agent_that_is_gone_is_a_failure_and_not_the_end(void **state)
{
    struct rig r;
    size_t n = 0;

    rig_open(&r, *state);
    assert_int_equal(unlink(r.agent), 0);
    AUTO(fd_close) int fd = dial(r.forward);
    assert_int_equal(ask(fd, 11, 1, &n), 5);
    assert_int_equal(ask(fd, 13, 9, &n), 5);
    rig_close(&r);
}

static void connections_are_served_side_by_side_and_closed_with_the_socket(void **state)
{
    struct rig r;
    int fds[80];
    size_t n = 0;

    rig_open(&r, *state);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) /* more than are served at once */
        fds[i] = dial(r.forward);
    for (size_t i = 0; i < 60; i++) { /* none waits for an earlier one to end */
        assert_int_equal(ask(fds[59 - i], 17, 20, &n), 5);
    }
    for (size_t i = 0; i < 60; i++)
        close(fds[i]);
    assert_int_equal(ask(fds[79], 11, 1, &n), 12);
    rig_close(&r);
    for (size_t i = 60; i < ARRAY_LEN(fds); i++) {
        assert_int_equal(answer(fds[i], &n), -1);
        close(fds[i]);
    }
}

/* Our own ssh-agent: a child of this process. */
static int count_agents(void)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    int n = 0;

    while ((e = readdir(d)) != NULL) {
        AUTO(mem_free) char *path = str_printf("/proc/%s/stat", e->d_name);
        AUTO(buf_release) struct buf text = BUF_INIT;
        struct err err = ERR_INIT;
        int parent = 0;
        if (atoi(e->d_name) <= 0 || file_read(AT_FDCWD, path, 4096, &text, &err) < 0)
            continue;
        const char *end = strrchr(buf_str(&text), ')');
        if (end != NULL && sscanf(end, ") %*c %d", &parent) == 1 && parent == getpid())
            n += strstr(buf_str(&text), "(ssh-agent)") != NULL;
    }
    closedir(d);
    return n;
}

static void keys_in_files_are_held_by_an_agent_that_ends_with_the_socket(void **state)
{
    struct scratch *x = *state;
    AUTO(work_free) struct work *w = work_open(x->store, &x->err);
    struct build_ssh s = { .id = default_id };
    struct build_options o = { .ssh = &s, .n_ssh = 1 };
    unsigned char body[4096];
    static const unsigned char list[] = { 0, 0, 0, 1, 11 }, add[] = { 0, 0, 0, 2, 17, 0 };
    size_t n = 0;

    keygen(x->path, "one", "");
    keygen(x->path, "two", "");
    AUTO(mem_free) char *one = path_join(x->path, "one");
    AUTO(mem_free) char *two = path_join(x->path, "two");
    assert_int_equal(chmod(two, 0644), 0); /* BuildKit reads these too */
    strv_add(&s.paths, one);
    strv_add(&s.paths, two);
    AUTO(ssh_forward_close)
    struct ssh_forward *f = ssh_forward_open(&o, "default", w, 0, 0, 0600, &x->err);
    if (f == NULL)
        fail_msg("ssh_forward_open: %s", x->err.msg);
    assert_int_equal(count_agents(), 1);
    AUTO(fd_close) int fd = dial(f);
    assert_int_equal(send(fd, list, sizeof(list), MSG_NOSIGNAL), sizeof(list));
    assert_true(read_whole(fd, body, 9));
    assert_int_equal(body[4], 12);
    assert_memory_equal(body + 5, "\0\0\0\2", 4); /* two keys */
    AUTO(fd_close) int other = dial(f);
    assert_int_equal(send(other, add, sizeof(add), MSG_NOSIGNAL), sizeof(add));
    assert_int_equal(answer(other, &n), 5);
    ssh_forward_close(TAKE(f));
    assert_int_equal(count_agents(), 0);
    assert_int_equal(count_in(work_path(w), "ssh"), 0);
    strv_release(&s.paths);
}

static void damaged_key_is_refused_and_leaves_no_agent(void **state)
{
    static const char text[] = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"
                               "-----END OPENSSH PRIVATE KEY-----\n";
    struct scratch *x = *state;
    AUTO(work_free) struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *path = path_join(x->path, "key");
    struct build_ssh s = { .id = default_id };
    struct build_options o = { .ssh = &s, .n_ssh = 1 };

    write_file(x->path, "key", text, strlen(text));
    strv_add(&s.paths, path);
    assert_null(ssh_forward_open(&o, "default", w, 0, 0, 0600, &x->err));
    assert_int_equal(x->err.code, ERR_USAGE);
    assert_non_null(strstr(x->err.msg, "failed to add "));
    assert_int_equal(count_agents(), 0);
    assert_int_equal(count_in(work_path(w), "ssh"), 0);
    strv_release(&s.paths);
}

static void without_ssh_agent_the_package_is_named(void **state)
{
    struct scratch *x = *state;
    AUTO(work_free) struct work *w = work_open(x->store, &x->err);
    AUTO(mem_free) char *path = path_join(x->path, "key");
    AUTO(mem_free) char *search = str_dup(getenv("PATH"));
    struct build_ssh s = { .id = default_id };
    struct build_options o = { .ssh = &s, .n_ssh = 1 };

    keygen(x->path, "key", "");
    strv_add(&s.paths, path);
    setenv("PATH", "/nowhere", 1);
    assert_null(ssh_forward_open(&o, "default", w, 0, 0, 0600, &x->err));
    setenv("PATH", search, 1);
    assert_int_equal(x->err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(x->err.msg, "install the package openssh-client"));
    strv_release(&s.paths);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(secret_is_what_the_file_or_variable_holds),
        CASE(later_secret_of_one_id_replaces_the_earlier),
        CASE(secret_that_was_not_given_is_a_miss_and_a_lost_file_is_not),
        CASE(secret_has_500_kib_at_most),
        CASE(what_cannot_be_an_agent_or_a_key_is_refused_in_buildkits_words),
        CASE(agent_of_the_environment_must_be_there),
        CASE(socket_has_the_wanted_owner_and_mode),
        CASE(listing_and_signing_pass_and_nothing_else),
        CASE(answer_of_another_kind_becomes_a_failure),
        CASE(message_in_single_bytes_is_understood_and_a_huge_one_ends_the_connection),
        CASE(agent_that_is_gone_is_a_failure_and_not_the_end),
        CASE(connections_are_served_side_by_side_and_closed_with_the_socket),
        CASE(keys_in_files_are_held_by_an_agent_that_ends_with_the_socket),
        CASE(damaged_key_is_refused_and_leaves_no_agent),
        CASE(without_ssh_agent_the_package_is_named),
    };
    return UNIT_RUN("engine_secret", tests);
}
