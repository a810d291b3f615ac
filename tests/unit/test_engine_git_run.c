#include "engine/git_run.h"

#include "base/clock.h"
#include "base/fs.h"
#include "tests/unit/unit.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stands for git; says what it was told. */
static const char script[] = "#!/bin/sh\n"
                             "case $1 in\n"
                             "-C) echo \"in $2: $3\" ;;\n"
                             "config) cat \"$GIT_CONFIG_GLOBAL\" ;;\n"
                             "env) env ;;\n"
                             "fail) echo 'warning: x' >&2; echo 'fatal: http://u:p@h/' >&2\n"
                             "    echo 'and more' >&2; exit 3 ;;\n"
                             "hang) sleep 100 & echo $! >\"$0.pid\"; wait ;;\n"
                             "esac\n";

struct place {
    char dir[64];
    char *git, *path;
};

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct place *p = mem_zalloc(sizeof(*p));
    strcpy(p->dir, "/tmp/shale-git-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->git = str_printf("%s/git", p->dir);
    assert_ok(file_replace(AT_FDCWD, p->git, script, strlen(script), 0755, false, &err), &err);
    p->path = str_dup(getenv("PATH"));
    AUTO(mem_free) char *path = str_printf("%s:%s", p->dir, p->path);
    setenv("PATH", path, 1);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    struct err err = ERR_INIT;
    setenv("PATH", p->path, 1);
    tree_remove(AT_FDCWD, p->dir, &err);
    mem_free(p->git);
    mem_free(p->path);
    mem_free(p);
    return 0;
}

static int run(struct git_box *g, const char *word, int timeout_s, struct buf *out, struct err *err)
{
    const char *const args[] = { word, NULL };
    err_clear(err);
    return git_run(g, NULL, args, timeout_s, out, err);
}

static void configuration_is_in_memory_and_not_in_the_environment(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    AUTO(buf_release) struct buf config = BUF_INIT;
    AUTO(buf_release) struct buf env = BUF_INIT;
    setenv("GIT_DIR", "/elsewhere", 1);
    assert_ok(git_box_init(&g, NULL, &err), &err);
    assert_ok(
        git_box_config(&g, "http", "https://h/\"x\\", "extraHeader", "Authorization: \"s\"", &err),
        &err);
    assert_ok(run(&g, "config", 10, &config, &err), &err);
    assert_ok(run(&g, "env", 10, &env, &err), &err);
    unsetenv("GIT_DIR");
    assert_non_null(strstr(buf_str(&config), "[http \"https://h/\\\"x\\\\\"]\n"
                                             "\textraHeader = \"Authorization: \\\"s\\\"\"\n"));
    assert_non_null(strstr(buf_str(&config), "[protocol \"file\"]\n\tallow = \"never\"\n"));
    assert_non_null(strstr(buf_str(&config), "hooksPath = \"/dev/null\"\n"));
    assert_non_null(strstr(buf_str(&env), "GIT_ALLOW_PROTOCOL=https:http:git\n"));
    assert_non_null(strstr(buf_str(&env), "GIT_TERMINAL_PROMPT=0\n"));
    assert_non_null(strstr(buf_str(&env), "GIT_CONFIG_PARAMETERS='core.hooksPath=/dev/null' "));
    assert_null(strstr(buf_str(&env), "Authorization"));
    assert_null(strstr(buf_str(&env), "/elsewhere"));
}

static void a_directory_is_given_by_option(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    AUTO(buf_release) struct buf out = BUF_INIT;
    static const char *const args[] = { "word", NULL };
    assert_ok(git_box_init(&g, NULL, &err), &err);
    assert_ok(git_run(&g, "/some/where", args, 10, &out, &err), &err);
    assert_string_equal(buf_str(&out), "in /some/where: word\n");
}

static void a_failure_is_one_line_without_credentials(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    assert_ok(git_box_init(&g, NULL, &err), &err);
    assert_int_equal(run(&g, "fail", 10, NULL, &err), ERR_NET);
    assert_string_equal(err.msg,
                        "git stderr: fatal: http://xxxxx:xxxxx@h/; and more: exit status 3");
}

/* Gone, or about to be: its parent is, and whoever takes it over waits for it. */
static void assert_sleeper_ends(const struct place *p)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *name = str_printf("%s.pid", p->git);
    AUTO(buf_release) struct buf pid = BUF_INIT;
    assert_ok(file_read(AT_FDCWD, name, 100, &pid, &err), &err);
    AUTO(mem_free) char *proc = str_printf("/proc/%d/cmdline", atoi(buf_str(&pid)));
    for (int i = 0; i < 100; i++) {
        AUTO(buf_release) struct buf line = BUF_INIT;
        if (file_read(AT_FDCWD, proc, 1000, &line, &err) < 0 || line.len == 0)
            return;
        usleep(50000);
    }
    fail_msg("the helper is still there");
}

static void what_takes_too_long_is_killed_with_its_helpers(void **state)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    int64_t start = clock_mono_ms();
    assert_ok(git_box_init(&g, NULL, &err), &err);
    assert_int_equal(run(&g, "hang", 1, NULL, &err), ERR_NET);
    assert_string_equal(err.msg, "git took longer than 1 s");
    assert_true(clock_mono_ms() - start < 10000);
    assert_sleeper_ends(*state);
}

static void *cancel_soon(void *arg)
{
    usleep(300000);
    cancel_set(arg, 0);
    return NULL;
}

static void a_cancel_ends_it_at_once(void **state)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    AUTO(cancel_free) struct cancel *cancel = cancel_new();
    pthread_t thread;
    int64_t start = clock_mono_ms();
    assert_ok(git_box_init(&g, cancel, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, cancel), 0);
    assert_int_equal(run(&g, "hang", 60, NULL, &err), ERR_CANCELLED);
    pthread_join(thread, NULL);
    assert_true(clock_mono_ms() - start < 10000);
    assert_sleeper_ends(*state);
    assert_int_equal(run(&g, "env", 60, NULL, &err), ERR_CANCELLED);
}

static void without_git_its_package_is_named(void **state UNUSED)
{
    struct err err = ERR_INIT;
    AUTO(git_box_release) struct git_box g = { .config = -1 };
    AUTO(mem_free) char *path = str_dup(getenv("PATH"));
    assert_ok(git_box_init(&g, NULL, &err), &err);
    setenv("PATH", "/nowhere", 1);
    int rc = run(&g, "env", 10, NULL, &err);
    setenv("PATH", path, 1);
    assert_int_equal(rc, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "package git"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(configuration_is_in_memory_and_not_in_the_environment,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_directory_is_given_by_option, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failure_is_one_line_without_credentials, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_takes_too_long_is_killed_with_its_helpers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cancel_ends_it_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_git_its_package_is_named, set_up, tear_down),
    };
    return UNIT_RUN("engine_git_run", tests);
}
