#include "tests/unit/unit.h"

#include "exec/bundle_internal.h"
#include "exec/runtime_internal.h"

struct fixture {
    struct strv argv, env;
    struct user_ids user;
    struct exec_spec spec;
    struct bundle bundle;
};

static void fixture_init(struct fixture *f)
{
    *f = (struct fixture){ .argv = STRV_INIT };
    strv_add(&f->argv, "/bin/sh");
    strv_add(&f->env, "A=b");
    f->spec =
        (struct exec_spec){ .argv = &f->argv, .env = &f->env, .cwd = "/work", .user = &f->user };
    f->bundle = (struct bundle){ .spec = &f->spec,
                                 .rootfs = "/r/root",
                                 .resolv_conf = "/r/resolv.conf",
                                 .hosts = "/r/hosts",
                                 .resolv_conf_target = "/run/resolv.conf",
                                 .hosts_target = "/etc/hosts",
                                 .cgroup = "/shale-x" };
}

static void fixture_release(struct fixture *f)
{
    strv_release(&f->argv);
    strv_release(&f->env);
}

/* The member at "a.b.0", which must be there. */
static json_t *at(json_t *j, const char *path)
{
    AUTO(strv_release) struct strv parts = STRV_INIT;

    strv_split(&parts, path, '.');
    for (size_t i = 0; i < parts.n; i++) {
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(parts.v[i]))
                             : json_object_get(j, parts.v[i]);
        if (j == NULL)
            fail_msg("no '%s'", path);
    }
    return j;
}

static bool has_string(const json_t *list, const char *s)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_string_value(json_array_get(list, i)), s))
            return true;
    return false;
}

static const json_t *mount_at(json_t *config, const char *target)
{
    json_t *list = at(config, "mounts");
    const json_t *found = NULL;

    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_get_str(json_array_get(list, i), "destination"), target))
            found = json_array_get(list, i);
    return found;
}

static bool has_namespace(json_t *config, const char *type)
{
    json_t *list = at(config, "linux.namespaces");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_get_str(json_array_get(list, i), "type"), type))
            return true;
    return false;
}

static void process_is_as_specified(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.user = (struct user_ids){ .uid = 7, .gid = 8, .groups = { 9 }, .n_groups = 1 };
    json_auto_t *c = bundle_config(&f.bundle);
    assert_string_equal(json_string_value(at(c, "ociVersion")), "1.0.2");
    assert_string_equal(json_string_value(at(c, "process.args.0")), "/bin/sh");
    assert_string_equal(json_string_value(at(c, "process.env.0")), "A=b");
    assert_string_equal(json_string_value(at(c, "process.cwd")), "/work");
    assert_string_equal(json_string_value(at(c, "hostname")), "buildkitsandbox");
    assert_int_equal(json_integer_value(at(c, "process.user.uid")), 7);
    assert_int_equal(json_integer_value(at(c, "process.user.additionalGids.0")), 8);
    assert_int_equal(json_integer_value(at(c, "process.user.additionalGids.1")), 9);
    assert_true(json_is_false(at(c, "process.noNewPrivileges")));
    assert_true(json_is_false(at(c, "process.terminal")));
    fixture_release(&f);
}

static bool has_option(const json_t *mount, const char *option)
{
    json_t *list = json_object_get(mount, "options");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_string_value(json_array_get(list, i)), option))
            return true;
    return false;
}

/* One that has user and group 0, and group 9. */
static void in_a_user_namespace_nothing_is_asked_for_that_it_does_not_have(void **state)
{
    struct userns_range zero = { .n = 1 }, groups[] = { { .n = 1 }, { .first = 9, .n = 1 } };
    struct userns ns = { .uids = { &zero, 1, 1 }, .gids = { groups, 2, 2 } };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.user = (struct user_ids){ .uid = 0, .gid = 0, .groups = { 8, 9 }, .n_groups = 2 };
    json_auto_t *root = bundle_config(&f.bundle);
    assert_int_equal(json_array_size(at(root, "process.user.additionalGids")), 3);
    assert_true(has_option(mount_at(root, "/dev/pts"), "gid=5"));
    assert_string_equal(json_get_str(mount_at(root, "/sys"), "type"), "sysfs");
    f.bundle.ns = &ns;
    f.bundle.sys = "/step/sys";
    json_auto_t *c = bundle_config(&f.bundle);
    assert_int_equal(json_array_size(at(c, "process.user.additionalGids")), 2);
    assert_int_equal(json_integer_value(at(c, "process.user.additionalGids.1")), 9);
    assert_false(has_option(mount_at(c, "/dev/pts"), "gid=5"));
    assert_string_equal(json_get_str(mount_at(c, "/sys"), "source"), "/step/sys");
    assert_true(has_option(mount_at(c, "/sys"), "rbind") && has_option(mount_at(c, "/sys"), "ro"));
    f.spec.insecure = true;
    json_auto_t *insecure = bundle_config(&f.bundle);
    assert_null(json_object_get(at(insecure, "linux"), "devices"));
    fixture_release(&f);
}

static void root_gets_dockers_capabilities_and_no_inheritable_ones(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    json_auto_t *c = bundle_config(&f.bundle);
    assert_int_equal(json_array_size(at(c, "process.capabilities.bounding")), 14);
    assert_int_equal(json_array_size(at(c, "process.capabilities.effective")), 14);
    assert_int_equal(json_array_size(at(c, "process.capabilities.inheritable")), 0);
    assert_int_equal(json_array_size(at(c, "process.capabilities.ambient")), 0);
    assert_true(has_string(at(c, "process.capabilities.bounding"), "CAP_NET_RAW"));
    assert_false(has_string(at(c, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
    assert_true(has_string(at(c, "linux.maskedPaths"), "/proc/kcore"));
    assert_true(has_string(at(c, "linux.readonlyPaths"), "/proc/sys"));
    assert_true(json_is_false(at(c, "linux.resources.devices.0.allow")));
    fixture_release(&f);
}

static void another_user_begins_without_capabilities(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.user.uid = 1000;
    json_auto_t *c = bundle_config(&f.bundle);
    assert_int_equal(json_array_size(at(c, "process.capabilities.bounding")), 14);
    assert_int_equal(json_array_size(at(c, "process.capabilities.effective")), 0);
    assert_int_equal(json_array_size(at(c, "process.capabilities.permitted")), 0);
    fixture_release(&f);
}

static void insecure_has_every_capability_and_no_walls(void **state)
{
    static const char *const sets[] = { "bounding", "effective", "permitted", "inheritable",
                                        "ambient" };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.spec.insecure = true;
    f.user.uid = 1000;
    f.bundle.n_loops = 2;
    json_auto_t *c = bundle_config(&f.bundle);
    assert_true(has_string(at(c, "process.capabilities.bounding"), "CAP_SYS_ADMIN"));
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        AUTO(mem_free) char *path = str_printf("process.capabilities.%s", sets[i]);
        assert_true(has_string(at(c, path), "CAP_SYS_ADMIN"));
    }
    assert_null(json_object_get(at(c, "linux"), "seccomp"));
    assert_null(json_object_get(at(c, "linux"), "maskedPaths"));
    assert_null(json_object_get(at(c, "linux"), "readonlyPaths"));
    assert_true(json_is_true(at(c, "linux.resources.devices.0.allow")));
    assert_false(has_string(json_object_get(mount_at(c, "/sys"), "options"), "ro"));
    assert_false(has_string(json_object_get(mount_at(c, "/sys/fs/cgroup"), "options"), "ro"));
    assert_int_equal(json_array_size(at(c, "linux.devices")), 6 + 2);
    assert_string_equal(json_string_value(at(c, "linux.devices.0.path")), "/dev/kmsg");
    assert_string_equal(json_string_value(at(c, "linux.devices.7.path")), "/dev/loop1");
    assert_string_equal(json_string_value(at(c, "linux.devices.7.type")), "b");
    fixture_release(&f);
}

static void shm_size_and_limits_are_as_asked(void **state)
{
    static const struct exec_ulimit limits[] = { { "nofile", 10, 20 },
                                                 { "core", 0, EXEC_UNLIMITED } };
    struct fixture f;
    AUTO(buf_release) struct buf text = BUF_INIT;

    (void)state;
    fixture_init(&f);
    json_auto_t *plain = bundle_config(&f.bundle);
    assert_true(has_string(json_object_get(mount_at(plain, "/dev/shm"), "options"), "size=65536k"));
    assert_null(json_object_get(at(plain, "process"), "rlimits"));
    assert_null(json_object_get(at(plain, "linux"), "devices"));
    f.spec.shm_size = 4096;
    f.bundle.ulimits = limits;
    f.bundle.n_ulimits = ARRAY_LEN(limits);
    strv_add(&f.env, "X={\"hard\":9223372036854775807}");
    json_auto_t *c = bundle_config(&f.bundle);
    assert_true(has_string(json_object_get(mount_at(c, "/dev/shm"), "options"), "size=4096"));
    assert_string_equal(json_string_value(at(c, "process.rlimits.0.type")), "RLIMIT_NOFILE");
    assert_int_equal(json_integer_value(at(c, "process.rlimits.0.soft")), 10);
    assert_int_equal(json_integer_value(at(c, "process.rlimits.0.hard")), 20);
    bundle_write(&f.bundle, &text);
    assert_non_null(strstr(buf_str(&text), "\"soft\":0,\"hard\":18446744073709551615"));
    assert_non_null(strstr(buf_str(&text), "X={\\\"hard\\\":9223372036854775807}"));
    fixture_release(&f);
}

static void without_cgroups_no_device_can_be_made(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.bundle.cgroup = NULL;
    json_auto_t *c = bundle_config(&f.bundle);
    assert_int_equal(json_array_size(at(c, "process.capabilities.bounding")), 13);
    assert_false(has_string(at(c, "process.capabilities.bounding"), "CAP_MKNOD"));
    assert_null(json_object_get(at(c, "linux"), "cgroupsPath"));
    assert_null(json_object_get(at(c, "linux"), "resources"));
    assert_null(mount_at(c, "/sys/fs/cgroup"));
    assert_false(has_namespace(c, "cgroup"));
    fixture_release(&f);
}

static void network_is_the_hosts_unless_none(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    json_auto_t *shared = bundle_config(&f.bundle);
    assert_false(has_namespace(shared, "network"));
    assert_true(has_namespace(shared, "pid"));
    assert_true(has_namespace(shared, "mount"));
    assert_true(has_namespace(shared, "ipc"));
    assert_true(has_namespace(shared, "uts"));
    assert_true(has_namespace(shared, "cgroup"));
    f.spec.network = EXEC_NET_NONE;
    json_auto_t *none = bundle_config(&f.bundle);
    assert_true(has_namespace(none, "network"));
    fixture_release(&f);
}

static void mounts_of_the_step_come_last_and_replace_the_hosts_files(void **state)
{
    static const struct bundle_mount mounts[] = {
        { .source = "/r/m0", .target = "/etc/hosts", .read_only = true },
        { .source = "/r/m1", .target = "/cache" },
        { .target = "/t", .size = 4096, .mode = 01700 },
        { .source = "/r/m3", .target = "/run/secrets/s", .is_secret = true },
    };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.bundle.mounts = mounts;
    f.bundle.n_mounts = ARRAY_LEN(mounts);
    json_auto_t *c = bundle_config(&f.bundle);
    assert_string_equal(json_get_str(mount_at(c, "/run/resolv.conf"), "source"), "/r/resolv.conf");
    assert_true(has_string(json_object_get(mount_at(c, "/run/resolv.conf"), "options"), "ro"));
    assert_string_equal(json_get_str(mount_at(c, "/etc/hosts"), "source"), "/r/m0");
    assert_true(has_string(json_object_get(mount_at(c, "/etc/hosts"), "options"), "ro"));
    assert_false(has_string(json_object_get(mount_at(c, "/cache"), "options"), "ro"));
    const json_t *t = json_object_get(mount_at(c, "/t"), "options");
    assert_true(has_string(t, "size=4096"));
    assert_true(has_string(t, "mode=1700"));
    assert_false(has_string(t, "noexec"));
    const json_t *s = json_object_get(mount_at(c, "/run/secrets/s"), "options");
    assert_true(has_string(s, "ro") && has_string(s, "noexec") && has_string(s, "nosuid") &&
                has_string(s, "nodev"));
    fixture_release(&f);
}

static void without_cgroups_no_mount_gives_a_device(void **state)
{
    static const struct bundle_mount mounts[] = {
        { .source = "/r/m0", .target = "/a", .read_only = true },
        { .source = "/r/m1", .target = "/b" },
    };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    f.bundle.mounts = mounts;
    f.bundle.n_mounts = ARRAY_LEN(mounts);
    json_auto_t *with = bundle_config(&f.bundle);
    f.bundle.cgroup = NULL;
    json_auto_t *without = bundle_config(&f.bundle);
    f.spec.insecure = true;
    json_auto_t *insecure = bundle_config(&f.bundle);
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
        const char *target = mounts[i].target;
        assert_false(has_string(json_object_get(mount_at(with, target), "options"), "nodev"));
        assert_true(has_string(json_object_get(mount_at(without, target), "options"), "nodev"));
        assert_false(has_string(json_object_get(mount_at(insecure, target), "options"), "nodev"));
    }
    fixture_release(&f);
}

static void text_that_is_not_utf_8_still_gives_a_document(void **state)
{
    struct fixture f;
    AUTO(buf_release) struct buf b = BUF_INIT;

    (void)state;
    fixture_init(&f);
    strv_add(&f.env, "LATIN=\xe4");
    json_auto_t *c = bundle_config(&f.bundle);
    json_write(c, &b);
    assert_non_null(strstr(buf_str(&b), "LATIN=\xef\xbf\xbd"));
    fixture_release(&f);
}

/* ---- system calls ---- */

/* Rules that name a call. */
static size_t rules_for(json_t *profile, const char *name, const char *action, json_t **ret_last)
{
    json_t *list = at(profile, "syscalls");
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *rule = json_array_get(list, i);
        if (!has_string(json_object_get(rule, "names"), name) ||
            !str_eq(json_get_str(rule, "action"), action))
            continue;
        *ret_last = rule;
        n++;
    }
    return n;
}

static void what_is_not_named_is_refused_with_eperm(void **state)
{
    static const char *const refused[] = { "mount",
                                           "umount2",
                                           "unshare",
                                           "setns",
                                           "bpf",
                                           "reboot",
                                           "keyctl",
                                           "kexec_load",
                                           "swapon",
                                           "fsopen",
                                           "move_mount",
                                           "syslog",
                                           "io_uring_setup",
                                           "userfaultfd",
                                           "perf_event_open",
                                           "open_by_handle_at",
                                           "init_module",
                                           "settimeofday",
                                           "pivot_root" };
    json_auto_t *p = seccomp_profile();
    json_t *last = NULL;

    (void)state;
    assert_string_equal(json_string_value(at(p, "defaultAction")), "SCMP_ACT_ERRNO");
    assert_int_equal(json_integer_value(at(p, "defaultErrnoRet")), 1);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (rules_for(p, refused[i], "SCMP_ACT_ALLOW", &last) != 0)
            fail_msg("'%s' is allowed", refused[i]);
}

static void ordinary_calls_are_allowed_without_conditions(void **state)
{
    static const char *const plain[] = { "read",    "openat",   "execve", "chroot", "ptrace",
                                         "mknodat", "setxattr", "futex",  "statx",  "fchmodat2" };
    json_auto_t *p = seccomp_profile();
    json_t *last = NULL;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (rules_for(p, plain[i], "SCMP_ACT_ALLOW", &last) != 1)
            fail_msg("'%s' is not allowed once", plain[i]);
        assert_null(json_object_get(last, "args"));
    }
}

static void new_namespaces_and_clone3_are_kept_from_steps(void **state)
{
    json_auto_t *p = seccomp_profile();
    json_t *rule = NULL;

    (void)state;
    assert_int_equal(rules_for(p, "clone", "SCMP_ACT_ALLOW", &rule), 1);
    assert_string_equal(json_string_value(at(rule, "args.0.op")), "SCMP_CMP_MASKED_EQ");
    assert_int_equal(json_integer_value(at(rule, "args.0.value")), 0x7e020000);
    assert_int_equal(json_integer_value(at(rule, "args.0.valueTwo")), 0);
    assert_int_equal(rules_for(p, "clone3", "SCMP_ACT_ERRNO", &rule), 1);
    assert_int_equal(json_integer_value(at(rule, "errnoRet")), 38);
    assert_int_equal(rules_for(p, "personality", "SCMP_ACT_ALLOW", &rule), 5);
    assert_int_equal(rules_for(p, "socket", "SCMP_ACT_ALLOW", &rule), 3);
}

/* ---- what a runtime says ---- */

static int judge(const char *log, int status, int *ret_status, char **ret_note, struct err *err)
{
    char path[] = "/usr/bin/runc";
    struct runtime r = { .path = path };

    *ret_note = NULL;
    return runtime_judge(&r, log, strlen(log), status, ret_status, ret_note, err);
}

static void status_without_an_error_is_the_commands(void **state)
{
    struct err err = ERR_INIT;
    char *note = NULL;
    int status = 0;

    (void)state;
    assert_ok(judge("", 1, &status, &note, &err), &err);
    assert_int_equal(status, 1);
    assert_null(note);
    assert_ok(judge("{\"level\":\"warning\",\"msg\":\"careful\"}\n", 3, &status, &note, &err),
              &err);
    assert_int_equal(status, 3);
    assert_ok(judge("{\"level\":\"error\",\"msg\":\"unable to destroy container\"}\n", 1, &status,
                    &note, &err),
              &err);
    assert_int_equal(status, 1);
    assert_null(note);
}

static void commands_that_cannot_start_have_127_or_126(void **state)
{
    static const struct {
        const char *msg;
        int status;
    } cases[] = {
        { "runc run failed: unable to start container process: exec: \\\"x\\\": executable file "
          "not "
          "found in $PATH",
          127 },
        { "runc run failed: unable to start container process: exec: \\\"/x\\\": stat /x: no such "
          "file or directory",
          127 },
        { "runc run failed: unable to start container process: exec: \\\"/x\\\": permission denied",
          126 },
        { "executable file `x` not found in $PATH: No such file or directory", 127 },
        { "open executable: Permission denied", 126 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(mem_free)
        char *log = str_printf(
            "{\"level\":\"warning\",\"msg\":\"w\"}\nnot json\n{\"level\":\"error\",\"msg\":"
            "\"%s\"}",
            cases[i].msg);
        AUTO(mem_free) char *note = NULL;
        struct err err = ERR_INIT;
        int status = 0;
        assert_ok(judge(log, 1, &status, &note, &err), &err);
        assert_int_equal(status, cases[i].status);
        assert_non_null(note);
    }
}

static void failure_of_the_runtime_is_an_error_with_its_words(void **state)
{
    struct err err = ERR_INIT;
    char *note = NULL;
    int status = 0;

    (void)state;
    assert_int_equal(
        judge("{\"level\":\"error\",\"msg\":\"runc run failed: error mounting \\\"proc\\\": "
              "no such file or directory\"}",
              1, &status, &note, &err),
        ERR_IO);
    assert_string_equal(err.msg, "runc: runc run failed: error mounting \"proc\": no such file or "
                                 "directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_is_as_specified),
        cmocka_unit_test(in_a_user_namespace_nothing_is_asked_for_that_it_does_not_have),
        cmocka_unit_test(root_gets_dockers_capabilities_and_no_inheritable_ones),
        cmocka_unit_test(another_user_begins_without_capabilities),
        cmocka_unit_test(insecure_has_every_capability_and_no_walls),
        cmocka_unit_test(shm_size_and_limits_are_as_asked),
        cmocka_unit_test(without_cgroups_no_device_can_be_made),
        cmocka_unit_test(network_is_the_hosts_unless_none),
        cmocka_unit_test(mounts_of_the_step_come_last_and_replace_the_hosts_files),
        cmocka_unit_test(without_cgroups_no_mount_gives_a_device),
        cmocka_unit_test(text_that_is_not_utf_8_still_gives_a_document),
        cmocka_unit_test(what_is_not_named_is_refused_with_eperm),
        cmocka_unit_test(ordinary_calls_are_allowed_without_conditions),
        cmocka_unit_test(new_namespaces_and_clone3_are_kept_from_steps),
        cmocka_unit_test(status_without_an_error_is_the_commands),
        cmocka_unit_test(commands_that_cannot_start_have_127_or_126),
        cmocka_unit_test(failure_of_the_runtime_is_an_error_with_its_words),
    };
    return UNIT_RUN("exec_bundle", tests);
}
