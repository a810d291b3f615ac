#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "base/clock.h"
#include "remote/docker.h"
#include "remote/docker_internal.h"
#include <sys/wait.h>

/* --- which engine ----------------------------------------------------------------------------- */

static void clear_env(void)
{
    static const char *const names[] = {
        "DOCKER_HOST",       "DOCKER_CONTEXT", "DOCKER_CONFIG",
        "DOCKER_TLS_VERIFY", "DOCKER_TLS",     "DOCKER_CERT_PATH"
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unsetenv(names[i]);
    setenv("HOME", "/nonexistent", 1);
}

static void addresses_are_read_as_docker_reads_them(UNUSED void **state)
{
    static const struct {
        const char *host;
        bool with_tls;
        int code;
        const char *url, *socket;
    } rows[] = {
        { "unix:///run/d.sock", false, 0, "http://localhost", "/run/d.sock" },
        { "unix:///run/d.sock", true, 0, "http://localhost", "/run/d.sock" },
        { "tcp://build:1234", false, 0, "http://build:1234", NULL },
        { "tcp://build:1234/", true, 0, "https://build:1234", NULL },
        { "tcp://build", false, 0, "http://build:2375", NULL },
        { "tcp://build", true, 0, "https://build:2376", NULL },
        { "tcp://[::1]", false, 0, "http://[::1]:2375", NULL },
        { "tcp://[::1]:7", false, 0, "http://[::1]:7", NULL },
        { "http://build:80", false, 0, "http://build:80", NULL },
        { "https://build:443", false, 0, "https://build:443", NULL },
        { "build:2375", false, 0, "http://build:2375", NULL },
        { "ssh://me@build", false, 0, "http://127.0.0.1", NULL },
        { "npipe:////./pipe/docker", false, ERR_UNSUPPORTED, NULL, NULL },
        { "unix://relative", false, ERR_USAGE, NULL, NULL },
        { "unix://", false, ERR_USAGE, NULL, NULL },
        { "tcp://", false, ERR_USAGE, NULL, NULL },
        { "tcp://:2375", false, ERR_USAGE, NULL, NULL },
        { "tcp://build:", false, ERR_USAGE, NULL, NULL },
        { "tcp://build:x", false, ERR_USAGE, NULL, NULL },
        { "tcp://me:secret@build:1", false, ERR_USAGE, NULL, NULL },
        { "nonsense", false, ERR_USAGE, NULL, NULL },
        { "/run/d.sock", false, ERR_USAGE, NULL, NULL },
        { "gopher://x:1", false, ERR_USAGE, NULL, NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(docker_place_release) struct docker_place p = { .host = NULL };
        int bad = docker_place_parse(rows[i].host, rows[i].with_tls, &p, &err);
        if (bad != rows[i].code || (bad == 0 && !str_eq(p.url, rows[i].url)) ||
            !str_eq(p.socket, rows[i].socket) || !str_eq(p.host, rows[i].host))
            fail_msg("%s: %d %s %s '%s'", rows[i].host, bad, p.url, p.socket, err.msg);
    }
}

static void
an_address_by_ssh_has_nothing_that_ssh_or_a_shell_would_take_for_more(UNUSED void **state)
{
    static const struct {
        const char *host;
        int code;
        const char *want[4]; /* user, host, port, path */
    } rows[] = {
        { "ssh://build", 0, { NULL, "build", NULL, NULL } },
        { "ssh://build/", 0, { NULL, "build", NULL, NULL } },
        { "ssh://a.b-c@build.example.org:2222/run/user/1000/docker.sock",
          0,
          { "a.b-c", "build.example.org", "2222", "/run/user/1000/docker.sock" } },
        { "ssh://me@[::1]:22", 0, { "me", "::1", "22", NULL } },
        { "ssh://[fe80::1%eth0]", 0, { NULL, "fe80::1%eth0", NULL, NULL } },
        { "ssh://", ERR_USAGE, { NULL } },
        { "ssh:///run/d.sock", ERR_USAGE, { NULL } },
        { "ssh://@build", ERR_USAGE, { NULL } },
        { "ssh://me@", ERR_USAGE, { NULL } },
        { "ssh://build:", ERR_USAGE, { NULL } },
        { "ssh://build:x", ERR_USAGE, { NULL } },
        { "ssh://build:123456", ERR_USAGE, { NULL } },
        { "ssh://[::1", ERR_USAGE, { NULL } },
        { "ssh://[::1]x", ERR_USAGE, { NULL } },
        { "ssh://-oProxyCommand=id", ERR_USAGE, { NULL } },
        { "ssh://[-v]", ERR_USAGE, { NULL } },
        { "ssh://-l@build", ERR_USAGE, { NULL } },
        { "ssh://$(id)@build", ERR_USAGE, { NULL } },
        { "ssh://a b", ERR_USAGE, { NULL } },
        { "ssh://build?x=y", ERR_USAGE, { NULL } },
        { "ssh://build#x", ERR_USAGE, { NULL } },
        { "ssh://build/run/d.sock; id", ERR_USAGE, { NULL } },
        { "ssh://build/`id`", ERR_USAGE, { NULL } },
        { "ssh://me:hunter2@build", ERR_USAGE, { NULL } },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(docker_place_release) struct docker_place p = { .host = NULL };
        assert_int_equal(docker_place_parse(rows[i].host, false, &p, &err), rows[i].code);
        assert_null(strstr(err.msg, "hunter2"));
        assert_int_equal(p.ssh != NULL, rows[i].code == 0);
        if (p.ssh == NULL)
            continue;
        const char *got[] = { p.ssh->user, p.ssh->host, p.ssh->port, p.ssh->path };
        for (size_t k = 0; k < 4; k++)
            if (!str_eq(got[k], rows[i].want[k]))
                fail_msg("%s: '%s', not '%s'", rows[i].host, got[k], rows[i].want[k]);
    }
}

static void write_file(const char *dir, const char *sub, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *parent = str_printf("%s/%s", dir, sub);
    AUTO(mem_free) char *path = str_printf("%s/%s", parent, name);
    assert_ok(dir_make(AT_FDCWD, parent, 0755, &err), &err);
    assert_ok(file_replace(AT_FDCWD, path, text, strlen(text), 0644, false, &err), &err);
}

static void write_context(const char *dir, const char *name, const char *meta, bool with_tls)
{
    struct digest d;
    digest_of(name, strlen(name), &d);
    AUTO(mem_free) char *sub = str_printf("contexts/meta/%s", DIGEST_HEX(&d));
    AUTO(mem_free) char *tls = str_printf("contexts/tls/%s/docker", DIGEST_HEX(&d));
    write_file(dir, sub, "meta.json", meta);
    if (with_tls)
        write_file(dir, tls, "ca.pem", "x");
}

/* Finds an engine; *ret is released by the caller. */
static int find(const char *socket, struct docker_place *ret, bool *named, struct err *err)
{
    *ret = (struct docker_place){ .host = NULL };
    err_clear(err);
    return docker_place_find(socket, ret, named, err);
}

#define META(host) "{\"Name\":\"x\",\"Endpoints\":{\"docker\":{\"Host\":\"" host "\"}}}"

static void contexts_come_after_docker_host_and_before_the_default(UNUSED void **state)
{
    char dir[64];
    int fd = scratch_make(dir);
    write_context(dir, "remote", META("tcp://build:2376"), true);
    write_context(dir, "plain", META("unix:///plain.sock"), false);
    write_file(dir, ".", "config.json", "{\"auths\":{},\"currentContext\":\"remote\"}");
    const struct {
        const char *host, *context, *want;
    } rows[] = {
        { NULL, NULL, "tcp://build:2376" },
        { NULL, "plain", "unix:///plain.sock" },
        { "unix:///host.sock", "plain", "unix:///host.sock" },
        { "", "", "tcp://build:2376" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        bool named = false;
        AUTO(docker_place_release) struct docker_place p = { .host = NULL };
        clear_env();
        setenv("DOCKER_CONFIG", dir, 1);
        if (rows[i].host != NULL)
            setenv("DOCKER_HOST", rows[i].host, 1);
        if (rows[i].context != NULL)
            setenv("DOCKER_CONTEXT", rows[i].context, 1);
        assert_ok(find("/nonexistent.sock", &p, &named, &err), &err);
        assert_string_equal(p.host, rows[i].want);
        assert_true(named && p.is_named);
        assert_int_equal(p.ca != NULL, str_starts(rows[i].want, "tcp:"));
        assert_null(p.key);
    }
    clear_env();
    scratch_remove(fd, dir);
}

static void a_context_that_is_wrong_is_said(UNUSED void **state)
{
    char dir[64];
    int fd = scratch_make(dir);
    write_context(dir, "empty", "{}", false);
    write_context(dir, "broken", "{", false);
    write_context(dir, "far", META("npipe:////./pipe/docker"), false);
    static const struct {
        const char *name;
        int code;
        const char *text;
    } rows[] = {
        { "missing", ERR_USAGE, "there is no Docker context 'missing'" },
        { "empty", ERR_USAGE, "the Docker context 'empty' names no engine" },
        { "broken", ERR_CORRUPT, "Docker context 'broken'" },
        { "far", ERR_UNSUPPORTED, "npipe:////./pipe/docker" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        bool named = false;
        struct docker_place p;
        clear_env();
        setenv("DOCKER_CONFIG", dir, 1);
        setenv("DOCKER_CONTEXT", rows[i].name, 1);
        assert_int_equal(find("/nonexistent.sock", &p, &named, &err), rows[i].code);
        assert_non_null(strstr(err.msg, rows[i].text));
        assert_true(named);
    }
    clear_env();
    scratch_remove(fd, dir);
}

static void without_a_name_the_default_place_is_looked_at(UNUSED void **state)
{
    char dir[64];
    int fd = scratch_make(dir);
    struct err err = ERR_INIT;
    bool named = true;
    clear_env();
    setenv("DOCKER_CONTEXT", "default", 1);
    AUTO(docker_place_release) struct docker_place p = { .host = NULL };
    AUTO(mem_free) char *socket = str_printf("%s/s", dir);
    assert_int_equal(find(socket, &p, &named, &err), ERR_NOT_FOUND);
    assert_false(named);
    write_file(dir, ".", "s", "");
    assert_ok(find(socket, &p, &named, &err), &err);
    assert_string_equal(p.socket, socket);
    assert_false(named || p.is_named);
    clear_env();
    scratch_remove(fd, dir);
}

static void tls_files_come_from_the_certificate_directory(UNUSED void **state)
{
    char dir[64];
    int fd = scratch_make(dir);
    struct err err = ERR_INIT;
    bool named = false;
    write_file(dir, ".", "ca.pem", "x");
    write_file(dir, ".", "cert.pem", "x");
    write_file(dir, ".", "key.pem", "x");
    clear_env();
    setenv("DOCKER_HOST", "tcp://build:2376", 1);
    setenv("DOCKER_TLS_VERIFY", "1", 1);
    setenv("DOCKER_CERT_PATH", dir, 1);
    AUTO(docker_place_release) struct docker_place p = { .host = NULL };
    assert_ok(find("/x", &p, &named, &err), &err);
    assert_string_equal(p.url, "https://build:2376");
    assert_true(str_starts(p.ca, dir) && str_ends(p.cert, "/cert.pem") &&
                str_ends(p.key, "/key.pem"));
    clear_env();
    scratch_remove(fd, dir);
}

static void an_unverified_engine_is_one_that_was_asked_for(UNUSED void **state)
{
    static const struct {
        const char *verify, *tls, *url;
        bool is_unverified;
    } rows[] = {
        { NULL, NULL, "http://build:1", false }, { "1", NULL, "https://build:1", false },
        { "1", "1", "https://build:1", false },  { NULL, "1", "https://build:1", true },
        { "", "", "http://build:1", false },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        bool named = false;
        AUTO(docker_place_release) struct docker_place p = { .host = NULL };
        clear_env();
        setenv("DOCKER_HOST", "tcp://build:1", 1);
        if (rows[i].verify != NULL)
            setenv("DOCKER_TLS_VERIFY", rows[i].verify, 1);
        if (rows[i].tls != NULL)
            setenv("DOCKER_TLS", rows[i].tls, 1);
        assert_ok(find("/x", &p, &named, &err), &err);
        assert_string_equal(p.url, rows[i].url);
        assert_int_equal(p.is_unverified, rows[i].is_unverified);
    }
    clear_env();
}

/* --- a fake engine ---------------------------------------------------------------------------- */

struct engine {
    const char *version; /* of the ping; NULL: none */
    const char *info, *load;
    struct buf loaded;
    struct fake *fake;
    char dir[64];
    int fd;
    struct http *h;
};

static bool load_image(struct fake_conn *c, const struct fake_request *q, struct engine *e)
{
    buf_clear(&e->loaded);
    return fake_body(c, q, &e->loaded) &&
           fake_reply(c, "200 OK", "Content-Type: application/json\r\n", e->load);
}

static bool serve_engine(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    struct engine *e = arg;
    static const struct {
        const char *method, *path, *status, *body;
    } rows[] = {
        { "GET", "/v1.47/images/x:1/json", "200 OK", "{\"Id\":\"sha256:1\"}" },
        { "GET", "/v1.47/images/list/json", "200 OK", "[]" },
        { "GET", "/v1.47/images/twice/json", "200 OK", "{\"Id\":1,\"Id\":2}" },
        { "GET", "/v1.47/images/a.b/c/x:1/get", "200 OK", "tar" },
        { "POST", "/v1.47/images/x:1/tag?repo=reg:5/y&tag=2", "201 Created", "" },
        { "DELETE", "/v1.47/images/x:1", "200 OK", "[{\"Untagged\":\"x:1\"}]" },
        { "DELETE", "/v1.47/images/used", "409 Conflict", "{\"message\":\"image is being used\"}" },
    };
    if (strcmp(q->path, "/_ping") == 0) {
        AUTO(mem_free)
        char *header = e->version ? str_printf("Api-Version: %s\r\n", e->version) : str_dup("");
        return fake_reply(c, "200 OK", header, "OK");
    }
    if (fake_is(q, "POST", "/v1.47/images/load?quiet=1"))
        return load_image(c, q, e);
    if (fake_is(q, "GET", "/v1.47/info"))
        return fake_reply(c, e->info ? "200 OK" : "500 Oops", "", e->info ? e->info : "oops");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (fake_is(q, rows[i].method, rows[i].path))
            return fake_reply(c, rows[i].status, "", rows[i].body);
    if (fake_is(q, "GET", "/v1.47/images/cut/get"))
        return fake_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntar\r\n") &&
               false;
    return fake_reply(c, "404 Not Found", "", "{\"message\":\"No such image: x\\u001b\"}");
}

static void engine_start(struct engine *e)
{
    *e = (struct engine){ .version = "1.51", .load = "{\"stream\":\"Loaded image: x\\n\"}\r\n" };
    e->fd = scratch_make(e->dir);
    AUTO(mem_free) char *path = str_printf("%s/s", e->dir);
    AUTO(mem_free) char *host = str_printf("unix://%s", path);
    e->fake = fake_start_unix(path, serve_engine, e);
    e->h = http_new(NULL);
    clear_env();
    setenv("DOCKER_HOST", host, 1);
}

static void engine_stop(struct engine *e)
{
    fake_stop(e->fake);
    http_free(e->h);
    buf_release(&e->loaded);
    scratch_remove(e->fd, e->dir);
    clear_env();
}

static struct docker *open_engine(struct engine *e)
{
    struct err err = ERR_INIT;
    bool named = false;
    struct docker *d = docker_open(e->h, &named, &err);
    if (d == NULL)
        fail_msg("%s", err.msg);
    assert_true(named);
    return d;
}

static void the_version_is_the_older_of_both(UNUSED void **state)
{
    static const struct {
        const char *version;
        int code;
        const char *text;
    } rows[] = {
        { "1.24", 0, "" },
        { "1.47", 0, "" },
        { "1.51", 0, "" },
        { "2.0", 0, "" },
        { "1.23", ERR_UNSUPPORTED, "speaks API 1.23; 1.24 or later is needed" },
        { "0.9", ERR_UNSUPPORTED, "speaks API 0.9" },
        { "1", ERR_NET, "is no Docker engine" },
        { "1.47x", ERR_NET, "is no Docker engine" },
        { "", ERR_NET, "is no Docker engine" },
        { NULL, ERR_NET, "is no Docker engine" },
    };
    struct engine e;
    engine_start(&e);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        e.version = rows[i].version;
        AUTO(docker_free) struct docker *d = docker_open(e.h, NULL, &err);
        assert_int_equal(err.code, rows[i].code);
        assert_int_equal(d != NULL, rows[i].code == 0);
        assert_non_null(strstr(err.msg, rows[i].text));
    }
    engine_stop(&e);
}

static void an_old_engine_is_asked_in_its_own_version(UNUSED void **state)
{
    struct engine e;
    engine_start(&e);
    e.version = "1.41";
    AUTO(docker_free) struct docker *d = open_engine(&e);
    struct err err = ERR_INIT;
    assert_null(docker_inspect(d, "x:1", &err));
    assert_int_equal(e.fake->heads.n, 2);
    assert_true(str_starts(e.fake->heads.v[1], "GET /v1.41/images/x:1/json HTTP/1.1\r\n"));
    engine_stop(&e);
}

static void a_named_engine_that_is_not_there_is_an_error(UNUSED void **state)
{
    struct engine e;
    engine_start(&e);
    AUTO(mem_free) char *socket = str_printf("%s/s", e.dir);
    fake_stop(e.fake);
    for (int is_named = 0; is_named < 2; is_named++) {
        struct err err = ERR_INIT;
        bool named = !is_named;
        AUTO(mem_free)
        char *want = str_printf(
            "cannot connect to the Docker engine at unix://%s: connection refused", socket);
        if (!is_named)
            clear_env();
        AUTO(mem_free) char *host = str_printf("unix://%s", socket);
        if (is_named)
            setenv("DOCKER_HOST", host, 1);
        assert_null(docker_open_at(e.h, socket, &named, &err));
        assert_int_equal(err.code, is_named ? ERR_NET : ERR_NOT_FOUND);
        assert_int_equal(named, is_named);
        assert_string_equal(err.msg, want);
    }
    struct err err = ERR_INIT;
    setenv("DOCKER_HOST", "unix:///nonexistent/d.sock", 1);
    assert_null(docker_open(e.h, NULL, &err));
    assert_int_equal(err.code, ERR_NET);
    assert_non_null(strstr(err.msg, "unix:///nonexistent/d.sock: no such file"));
    e.fake = fake_start(serve_engine, &e);
    engine_stop(&e);
}

/* A program "ssh" in e->dir, alone in PATH; what it is told goes to the file told. */
static char *stand_in(struct engine *e, const char *script)
{
    AUTO(mem_free) char *path = str_printf("%s/ssh", e->dir);
    AUTO(mem_free)
    char *text = str_printf("#!/bin/sh\necho \"$*\" >>%s/told\n%s\n", e->dir, script);
    struct err err = ERR_INIT;
    assert_ok(file_replace(AT_FDCWD, path, text, strlen(text), 0755, false, &err), &err);
    char *before = str_dup(getenv("PATH"));
    setenv("PATH", e->dir, 1);
    setenv("DOCKER_HOST", "ssh://me@build", 1);
    return before;
}

static void what_ssh_says_is_in_the_error(UNUSED void **state)
{
    static const struct {
        const char *script, *want;
    } rows[] = {
        { "echo 'Permission denied.' >&2; exit 255", "build: ssh says: Permission denied." },
        { "printf 'a\\r\\n\\033[1mb\\n\\n' >&2; exit 255", "build: ssh says: a; \\x1b[1mb" },
        { "i=0; while [ $i -lt 3000 ]; do echo 12345678 >&2; i=$((i + 1)); done; exit 255",
          "12345678; 12345678" },
        { "exit 255", "ssh://me@build: " },
        { "echo nonsense", "ssh://me@build: " },
    };
    struct engine e;
    engine_start(&e);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = ERR_INIT;
        AUTO(mem_free) char *path = stand_in(&e, rows[i].script);
        AUTO(docker_free) struct docker *d = docker_open(e.h, NULL, &err);
        setenv("PATH", path, 1);
        assert_null(d);
        assert_int_equal(err.code, ERR_NET);
        assert_true(str_starts(err.msg, "cannot connect to the Docker engine at ssh://me@build: "));
        if (strstr(err.msg, rows[i].want) == NULL)
            fail_msg("%zu: '%s'", i, err.msg);
        assert_true(strlen(err.msg) < 600);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    engine_stop(&e);
}

static void a_missing_ssh_is_not_a_missing_engine(UNUSED void **state)
{
    struct err err = ERR_INIT;
    struct engine e;
    engine_start(&e);
    AUTO(mem_free) char *path = str_dup(getenv("PATH"));
    setenv("PATH", e.dir, 1);
    setenv("DOCKER_HOST", "ssh://build", 1);
    assert_null(docker_open(e.h, NULL, &err));
    setenv("PATH", path, 1);
    assert_int_equal(err.code, ERR_NET);
    assert_string_equal(
        err.msg, "cannot connect to the Docker engine at ssh://build: no program 'ssh' in PATH");
    engine_stop(&e);
}

static void *cancel_soon(void *arg)
{
    poll(NULL, 0, 100);
    cancel_set(arg, 0);
    return NULL;
}

static void a_cancel_ends_an_ssh_that_says_nothing(UNUSED void **state)
{
    struct err err = ERR_INIT;
    struct engine e;
    pthread_t thread;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    engine_start(&e);
    AUTO(http_free) struct http *h = http_new(c);
    AUTO(mem_free) char *path = stand_in(&e, "exec /bin/sleep 1000");
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, c), 0);
    assert_null(docker_open(h, NULL, &err));
    pthread_join(thread, NULL);
    setenv("PATH", path, 1);
    assert_int_equal(err.code, ERR_CANCELLED);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    engine_stop(&e);
}

/* Each connection is a program that passes its bytes on to the fake engine. */
static void an_engine_is_spoken_to_through_ssh(UNUSED void **state)
{
    static const char bridge[] = "exec /usr/bin/env python3 -c 'import os, socket, sys, threading\n"
                                 "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
                                 "def out():\n"
                                 "    while b := s.recv(65536): os.write(1, b)\n"
                                 "    os._exit(0)\n"
                                 "threading.Thread(target=out).start()\n"
                                 "while b := os.read(0, 65536): s.sendall(b)\n"
                                 "s.shutdown(socket.SHUT_WR)' ";
    struct err err = ERR_INIT;
    struct engine e;
    engine_start(&e);
    AUTO(mem_free) char *script = str_printf("PATH=/usr/bin:/bin\n%s %s/s", bridge, e.dir);
    AUTO(mem_free) char *path = stand_in(&e, script);
    AUTO(docker_free) struct docker *d = open_engine(&e);
    AUTO(mem_free) char *tar = mem_zalloc(1 << 20);
    for (int i = 0; i < 3; i++) {
        json_auto_t *doc = docker_inspect(d, "x:1", &err);
        assert_ok(err.code, &err);
        assert_non_null(doc);
        AUTO(source_free) struct source *s = source_mem(tar, 1 << 20);
        assert_ok(docker_load(d, s, &err), &err);
        assert_int_equal(e.loaded.len, 1 << 20);
    }
    setenv("PATH", path, 1);
    AUTO(mem_free) char *told = str_printf("%s/told", e.dir);
    AUTO(buf_release) struct buf words = BUF_INIT;
    assert_ok(file_read(AT_FDCWD, told, 4096, &words, &err), &err);
    assert_string_equal(buf_str(&words), "-o ConnectTimeout=30 -T -l me -- build docker system "
                                         "dial-stdio\n"); /* one connection */
    docker_free(TAKE(d));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    engine_stop(&e);
}

static void the_kind_of_image_store_is_asked_once(UNUSED void **state)
{
    static const struct {
        const char *info;
        bool want;
        int n_requests; /* with the ping, for two calls */
    } rows[] = {
        { "{\"DriverStatus\":[[\"driver-type\",\"io.containerd.snapshotter.v1\"]]}", true, 2 },
        { "{\"DriverStatus\":[[\"Backing Filesystem\",\"extfs\"]],\"Driver\":\"overlay2\"}", false,
          2 },
        { "{\"DriverStatus\":[[],[1],\"x\",[\"driver-type\",7]]}", false, 2 },
        { "{}", false, 2 },
        { NULL, false, 3 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct engine e;
        engine_start(&e);
        e.info = rows[i].info;
        AUTO(docker_free) struct docker *d = open_engine(&e);
        struct err err = ERR_INIT;
        for (int twice = 0; twice < 2; twice++) {
            bool got = false;
            int rc = docker_is_containerd(d, &got, &err);
            assert_int_equal(rc == 0, rows[i].info != NULL);
            assert_int_equal(got, rows[i].want);
        }
        assert_int_equal(e.fake->n_requests, rows[i].n_requests);
        engine_stop(&e);
    }
}

/* --- images ----------------------------------------------------------------------------------- */

static void an_image_is_inspected(UNUSED void **state)
{
    static const struct {
        const char *name;
        int code;
        const char *text;
    } bad[] = {
        { "missing", ERR_NOT_FOUND, "cannot show 'missing': No such image: x\\x1b" },
        { "list", ERR_CORRUPT, "is no object" },
        { "twice", ERR_CORRUPT, "the Docker engine's answer" },
        { "", ERR_USAGE, "invalid image name" },
        { "../containers", ERR_USAGE, "invalid image name" },
        { "a/../../b", ERR_USAGE, "invalid image name" },
        { "a//b", ERR_USAGE, "invalid image name" },
        { "a/", ERR_USAGE, "invalid image name" },
        { "a?b", ERR_USAGE, "invalid image name" },
        { "a b", ERR_USAGE, "invalid image name" },
        { "a%2e", ERR_USAGE, "invalid image name" },
    };
    struct engine e;
    struct err err = ERR_INIT;
    engine_start(&e);
    AUTO(docker_free) struct docker *d = open_engine(&e);
    json_auto_t *doc = docker_inspect(d, "x:1", &err);
    assert_ok(err.code, &err);
    assert_string_equal(json_get_str(doc, "Id"), "sha256:1");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear(&err);
        assert_null(docker_inspect(d, bad[i].name, &err));
        assert_int_equal(err.code, bad[i].code);
        if (strstr(err.msg, bad[i].text) == NULL)
            fail_msg("'%s'", err.msg);
    }
    engine_stop(&e);
}

static int save(struct docker *d, const char *name, struct buf *got, struct err *err)
{
    AUTO(sink_free) struct sink *to = sink_buf(got, 100);
    err_clear(err);
    return docker_save(d, name, to, err);
}

static void an_image_is_saved_whole_or_not_at_all(UNUSED void **state)
{
    struct engine e;
    struct err err = ERR_INIT;
    engine_start(&e);
    AUTO(docker_free) struct docker *d = open_engine(&e);
    AUTO(buf_release) struct buf got = BUF_INIT;
    assert_ok(save(d, "a.b/c/x:1", &got, &err), &err);
    assert_string_equal(buf_str(&got), "tar");
    assert_int_equal(save(d, "missing", &got, &err), ERR_NOT_FOUND);
    assert_int_equal(save(d, "cut", &got, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "cannot save 'cut': lost the connection to unix://"));
    engine_stop(&e);
}

static int load(struct docker *d, const char *bytes, struct err *err)
{
    AUTO(source_free) struct source *tar = source_mem(bytes, strlen(bytes));
    err_clear(err);
    return docker_load(d, tar, err);
}

static void an_error_in_the_answer_to_a_load_is_an_error(UNUSED void **state)
{
    static const struct {
        const char *answer;
        int code;
        const char *text;
    } rows[] = {
        { "{\"stream\":\"Loaded image: x\\n\"}\r\n", 0, "" },
        { "", 0, "" },
        { "{\"a\":1}{\"b\":2}\n\n {\"c\":3}", 0, "" },
        { "{\"stream\":\"x\"}\r\n{\"errorDetail\":{\"message\":\"no space left\"},\"error\":\"y\"}",
          ERR_NET, "the Docker engine cannot load the image: no space left" },
        { "{\"error\":\"old style\"}", ERR_NET, "old style" },
        { "{\"errorDetail\":{}}", ERR_NET, "cannot load the image" },
        { "{\"stream\":\"Loaded image: x\\n\"}\n{\"stream\":\"Error unpacking image x: not "
          "found\\n\"}",
          ERR_NET, "cannot load the image: Error unpacking image x: not found" },
        { "{\"a\":1,\"a\":2}", ERR_CORRUPT, "is no JSON" },
        { "{\"a\":1}x", ERR_CORRUPT, "is no JSON" },
        { "[]", ERR_CORRUPT, "is no JSON" },
        { "{\"stream\":", ERR_CORRUPT, "is no JSON" },
    };
    struct engine e;
    struct err err = ERR_INIT;
    engine_start(&e);
    AUTO(docker_free) struct docker *d = open_engine(&e);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        e.load = rows[i].answer;
        assert_int_equal(load(d, "a tar", &err), rows[i].code);
        assert_non_null(strstr(err.msg, rows[i].text));
        assert_string_equal(buf_str(&e.loaded), "a tar");
    }
    engine_stop(&e);
}

static void an_image_is_tagged_and_removed(UNUSED void **state)
{
    struct engine e;
    struct err err = ERR_INIT;
    engine_start(&e);
    AUTO(docker_free) struct docker *d = open_engine(&e);
    assert_ok(docker_tag(d, "x:1", "reg:5/y", "2", &err), &err);
    assert_ok(docker_remove(d, "x:1", &err), &err);
    assert_int_equal(docker_remove(d, "missing", &err), ERR_NOT_FOUND);
    assert_int_equal(docker_remove(d, "used", &err), ERR_NET);
    assert_string_equal(err.msg, "the Docker engine cannot remove 'used': image is being used");
    engine_stop(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_docker_reads_them),
        cmocka_unit_test(an_address_by_ssh_has_nothing_that_ssh_or_a_shell_would_take_for_more),
        cmocka_unit_test(an_unverified_engine_is_one_that_was_asked_for),
        cmocka_unit_test(contexts_come_after_docker_host_and_before_the_default),
        cmocka_unit_test(a_context_that_is_wrong_is_said),
        cmocka_unit_test(without_a_name_the_default_place_is_looked_at),
        cmocka_unit_test(tls_files_come_from_the_certificate_directory),
        cmocka_unit_test(the_version_is_the_older_of_both),
        cmocka_unit_test(an_old_engine_is_asked_in_its_own_version),
        cmocka_unit_test(a_named_engine_that_is_not_there_is_an_error),
        cmocka_unit_test(what_ssh_says_is_in_the_error),
        cmocka_unit_test(a_missing_ssh_is_not_a_missing_engine),
        cmocka_unit_test(a_cancel_ends_an_ssh_that_says_nothing),
        cmocka_unit_test(an_engine_is_spoken_to_through_ssh),
        cmocka_unit_test(the_kind_of_image_store_is_asked_once),
        cmocka_unit_test(an_image_is_inspected),
        cmocka_unit_test(an_image_is_saved_whole_or_not_at_all),
        cmocka_unit_test(an_error_in_the_answer_to_a_load_is_an_error),
        cmocka_unit_test(an_image_is_tagged_and_removed),
    };
    return UNIT_RUN("remote_docker", tests);
}
