#include "tests/unit/unit.h"

#include "cmd/build_access.h"
#include "engine/secret.h"

/* Runs in a directory of its own with the files s, big and d/. */
static int setup(void **state)
{
    static char path[64];
    struct err err = ERR_INIT;
    AUTO(mem_free) char *text = mem_zalloc(SECRET_MAX + 1);

    int fd = scratch_make(path);
    assert_int_equal(fchdir(fd), 0);
    assert_ok(file_replace(fd, "s", "v\n", 2, 0600, false, &err), &err);
    assert_ok(file_replace(fd, "big", text, SECRET_MAX + 1, 0600, false, &err), &err);
    assert_ok(dir_make(fd, "d", 0755, &err), &err);
    close(fd);
    *state = path;
    setenv("SHALE_ID", "x", 1);
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(chdir("/"), 0);
    scratch_remove(-1, *state);
    return 0;
}

static void secrets_are_read_as_buildx_reads_them(void **state UNUSED)
{
    static const struct {
        const char *text, *id, *path, *env;
    } cases[] = {
        { "id=x,src=s", "x", "s", NULL },
        { "id=x,source=s", "x", "s", NULL },
        { "ID=x,SRC=s", "x", "s", NULL },
        { "id=x,source=d,src=s", "x", "s", NULL },
        { "id=s", "s", "s", NULL },
        { "id=s,src=", "s", "s", NULL },
        { "id=SHALE_ID", "SHALE_ID", NULL, "SHALE_ID" },
        { "id=x,env=UNSET", "x", NULL, "UNSET" },
        { "id=x,type=env,src=E", "x", NULL, "E" },
        { "id=x,type=env,env=E", "x", NULL, "E" },
        { "id=x,type=file,env=E", "x", NULL, "E" },
        { "id=x,src=s,env=E", "x", NULL, "E" },
        { "id=s,type=env", "s", "s", NULL },
        { "type=file,id=x,src=s", "x", "s", NULL },
        { "id=x,\"src=s\"", "x", "s", NULL },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(build_access_release) struct build_access a = { .secrets = NULL };
        assert_ok(build_access_secret(&a, cases[i].text, &err), &err);
        assert_int_equal(a.n_secrets, 1);
        assert_string_equal(a.secrets[0].id, cases[i].id);
        if (!str_eq(a.secrets[0].path, cases[i].path) || !str_eq(a.secrets[0].env, cases[i].env))
            fail_msg("%s: path '%s', env '%s'", cases[i].text, a.secrets[0].path, a.secrets[0].env);
    }
}

static void secrets_that_cannot_be_are_refused_in_buildxs_words(void **state UNUSED)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "id=x,src=gone", "failed to stat gone: stat gone: no such file or directory" },
        { "id=gone", "failed to stat gone: stat gone: no such file or directory" },
        { "id=x,src=gone,env=E", "failed to stat gone: stat gone: no such file or directory" },
        { "id=x,foo=bar", "unexpected key 'foo' in 'foo=bar'" },
        { "id=x,foo", "invalid field 'foo' must be a key=value pair" },
        { "s", "invalid field 's' must be a key=value pair" },
        { "src=s", "secret missing ID" },
        { "id=,src=s", "secret missing ID" },
        { "id=x,type=bogus,src=s", "unsupported secret type \"bogus\"" },
        { "id=x,src=big", "secret x too big. max size 500KiB" },
        { "id=x,src=d", "read d: is a directory" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = ERR_INIT;
        AUTO(build_access_release) struct build_access a = { .secrets = NULL };
        assert_int_equal(build_access_secret(&a, cases[i].text, &err), ERR_USAGE);
        assert_string_equal(err.msg, cases[i].says);
        assert_int_equal(a.n_secrets, 0);
    }
    struct err err = ERR_INIT;
    AUTO(build_access_release) struct build_access a = { .secrets = NULL };
    assert_int_equal(build_access_secret(&a, "id=x,\"src=s", &err), ERR_USAGE);
    assert_true(str_starts(err.msg, "failed to parse csv secret: "));
    assert_ok(build_access_secret(&a, "", &err), &err);
    assert_int_equal(a.n_secrets, 0);
}

static void ssh_has_an_id_and_paths(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(build_access_release) struct build_access a = { .secrets = NULL };

    assert_ok(build_access_ssh(&a, "default", &err), &err);
    assert_ok(build_access_ssh(&a, "k=a,b", &err), &err);
    assert_ok(build_access_ssh(&a, "=c", &err), &err);
    assert_ok(build_access_ssh(&a, "", &err), &err);
    assert_int_equal(a.n_ssh, 3);
    assert_string_equal(a.ssh[0].id, "default");
    assert_int_equal(a.ssh[0].paths.n, 0);
    assert_string_equal(a.ssh[1].id, "k");
    assert_int_equal(a.ssh[1].paths.n, 2);
    assert_string_equal(a.ssh[1].paths.v[1], "b");
    assert_string_equal(a.ssh[2].id, "default");
    assert_string_equal(a.ssh[2].paths.v[0], "c");
}

static void entitlements_are_those_that_are_known(void **state UNUSED)
{
    static const char *const good[] = { "network.host", "security.insecure", "device", "device=x",
                                        "device=x,alias=y" };
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "foo", "unknown entitlement foo" },
        { "network.host,security.insecure", "unknown entitlement network.host,security.insecure" },
        { "network.host=1", "unknown entitlement network.host=1" },
        { "device=foo,bar=x", "unknown device config key \"bar\"" },
    };
    AUTO(strv_release) struct strv v = STRV_INIT;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_ok(build_access_allow(&v, good[i], &err), &err);
    assert_ok(build_access_allow(&v, "", &err), &err);
    assert_int_equal(v.n, ARRAY_LEN(good));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(build_access_allow(&v, bad[i].text, &err), ERR_USAGE);
        assert_string_equal(err.msg, bad[i].says);
    }
}

static void limits_are_read_as_docker_reads_them(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t soft, hard;
    } good[] = {
        { "nofile=10", 10, 10 },
        { "nofile=10:20", 10, 20 },
        { "core=0", 0, 0 },
        { "memlock=-1", EXEC_UNLIMITED, EXEC_UNLIMITED },
        { "core=1:-1", 1, EXEC_UNLIMITED },
    };
    static const struct {
        const char *text, *says;
    } bad[] = {
        { "x", "invalid ulimit argument: x" },
        { "", "invalid ulimit argument: " },
        { "nofile=x", "strconv.ParseInt: parsing \"x\": invalid syntax" },
        { "nofile=", "strconv.ParseInt: parsing \"\": invalid syntax" },
        { "nofile= 1", "strconv.ParseInt: parsing \" 1\": invalid syntax" },
        { "nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1" },
        { "core=-1:1", "ulimit soft limit must be less than or equal to hard limit: soft: -1 "
                       "(unlimited), hard: 1" },
        { "foo=1", "invalid ulimit type: foo" },
        { "NOFILE=1", "invalid ulimit type: NOFILE" },
        { "nofile=1:2:3", "too many limit value arguments - 1:2:3, can only have up to two, "
                          "`soft[:hard]`" },
        { "nproc=99999999999999999999",
          "strconv.ParseInt: parsing \"99999999999999999999\": value out of range" },
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        AUTO(build_access_release) struct build_access a = { .secrets = NULL };
        assert_ok(build_access_ulimit(&a, good[i].text, &err), &err);
        assert_true(a.ulimits[0].soft == good[i].soft && a.ulimits[0].hard == good[i].hard);
    }
    AUTO(build_access_release) struct build_access a = { .secrets = NULL };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO(mem_free)
        char *want = str_printf("invalid argument \"%s\" for \"--ulimit\" flag: %s", bad[i].text,
                                bad[i].says);
        assert_int_equal(build_access_ulimit(&a, bad[i].text, &err), ERR_USAGE);
        assert_string_equal(err.msg, want);
    }
    assert_ok(build_access_ulimit(&a, "nofile=1", &err), &err);
    assert_ok(build_access_ulimit(&a, "nofile=2", &err), &err);
    assert_int_equal(a.n_ulimits, 1);
    assert_int_equal(a.ulimits[0].soft, 2);
}

static void sizes_have_units_of_1024(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t size;
    } good[] = {
        { "0", 0 },           { "4096", 4096 }, { "1k", 1024 },
        { "1Kb", 1024 },      { "2KiB", 2048 }, { "128m", 128 << 20 },
        { "1.5g", 3u << 29 }, { "5b", 5 },      { "1 m", 1 << 20 },
    };
    static const char *const bad[] = {
        "", "x", "-1", "1x", "1mm", "1..2", ".", "1e9", "9999999999t"
    };
    struct err err = ERR_INIT;
    uint64_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_ok(build_access_size(good[i].text, &n, &err), &err);
        assert_true(n == good[i].size);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (build_access_size(bad[i], &n, &err) != ERR_USAGE)
            fail_msg("'%s' is taken", bad[i]);
    assert_string_equal(err.msg, "invalid size: '9999999999t'");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(secrets_are_read_as_buildx_reads_them),
        CASE(secrets_that_cannot_be_are_refused_in_buildxs_words),
        CASE(ssh_has_an_id_and_paths),
        CASE(entitlements_are_those_that_are_known),
        CASE(limits_are_read_as_docker_reads_them),
        CASE(sizes_have_units_of_1024),
    };
    return UNIT_RUN("cmd_access", tests);
}
