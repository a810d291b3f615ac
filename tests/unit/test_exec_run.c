/* Real containers: needs root and a runtime; fails with the reason where there is none. */
#include "tests/unit/unit.h"

#include "base/clock.h"
#include "base/log.h"
#include "exec/run.h"
#include "exec/run_internal.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <linux/capability.h>
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define MAX_LAYERS 200
#define BUSYBOX "/bin/busybox"

/* A store with a stack of layers, and the last run on it. */
struct box {
    char path[64];
    int fd;
    struct store *s;
    struct work *w;
    const struct layer *layers[MAX_LAYERS];
    size_t n;
    struct view *v;
    struct strv argv, env;
    struct user_ids user;
    struct exec_spec spec;
    struct exec_result result;
    struct buf out, diag;
    struct err err;
};

static void box_view(struct box *b)
{
    const struct listing *listings[MAX_LAYERS];

    for (size_t i = 0; i < b->n; i++)
        listings[i] = b->layers[i]->listing;
    view_free(b->v);
    b->v = view_new(listings, b->n);
}

/* A layer of what make puts into a directory. */
static void box_add(struct box *b, void (*make)(int dirfd, void *arg), void *arg)
{
    AUTO(mem_free) char *name = work_subdir(b->w, "layer", &b->err);
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();

    assert_non_null(name);
    AUTO(fd_close) int fd = dir_open(work_dirfd(b->w), name, &b->err);
    assert_true(fd >= 0);
    make(fd, arg);
    assert_ok(upper_list(fd, OVERLAY_MARKS_TRUSTED, b->v, lb, &b->err), &b->err);
    b->layers[b->n] = layer_adopt(b->s, lb, work_dirfd(b->w), name, &b->err);
    if (b->layers[b->n] == NULL)
        fail_msg("layer_adopt: %s", b->err.msg);
    b->n++;
    box_view(b);
}

static void put(int dirfd, const char *path, const void *p, size_t n, mode_t mode)
{
    AUTO(mem_free) char *dir = path_dir(path);
    struct err err = ERR_INIT;

    assert_ok(dir_make(dirfd, dir, 0755, &err), &err);
    assert_ok(file_replace(dirfd, path, p, n, mode, false, &err), &err);
}

static void puts_at(int dirfd, const char *path, const char *text)
{
    put(dirfd, path, text, strlen(text), 0644);
}

/* The programs that the tests' scripts use, as links to busybox. */
static void make_base(int dirfd, void *arg)
{
    static const char *const applets[] = {
        "sh",   "cat",  "chmod", "chown", "cp",       "echo",    "env",    "id",
        "kill", "ln",   "ls",    "mkdir", "mkfifo",   "mknod",   "mount",  "mv",
        "pwd",  "rm",   "rmdir", "sleep", "stat",     "touch",   "true",   "umount",
        "test", "grep", "wc",    "nc",    "hostname", "unshare", "chroot", "printf"
    };
    AUTO(buf_release) struct buf busybox = BUF_INIT;
    struct err err = ERR_INIT;

    (void)arg;
    assert_ok(file_read(AT_FDCWD, BUSYBOX, 64u << 20, &busybox, &err), &err);
    put(dirfd, "bin/busybox", busybox.data, busybox.len, 0755);
    for (size_t i = 0; i < ARRAY_LEN(applets); i++) {
        AUTO(mem_free) char *path = str_printf("bin/%s", applets[i]);
        assert_int_equal(symlinkat("busybox", dirfd, path), 0);
    }
    assert_int_equal(mkdirat(dirfd, "tmp", 01777), 0);
    assert_int_equal(fchmodat(dirfd, "tmp", 01777, 0), 0);
    puts_at(dirfd, "etc/passwd", "root:x:0:0:root:/:/bin/sh\njoe:x:1000:1000::/:/bin/sh\n");
}

static void take_output(void *arg, int stream, const char *p, size_t n)
{
    struct box *b = arg;

    buf_add(stream == 1 ? &b->out : &b->diag, p, n);
}

static int box_setup(void **state)
{
    struct box *b = mem_zalloc(sizeof(*b));

    b->fd = scratch_make(b->path);
    b->s = store_open(b->path, &b->err);
    if (b->s == NULL)
        fail_msg("store_open: %s", b->err.msg);
    b->w = work_open(b->s, &b->err);
    assert_non_null(b->w);
    store_set_durable(b->s, false);
    box_view(b);
    box_add(b, make_base, NULL);
    env_set(&b->env, "PATH", "/usr/local/bin:/usr/bin:/bin");
    b->spec = (struct exec_spec){ .argv = &b->argv,
                                  .env = &b->env,
                                  .cwd = "/",
                                  .user = &b->user,
                                  .output = take_output,
                                  .output_arg = b };
    *state = b;
    return 0;
}

static int box_teardown(void **state)
{
    struct box *b = *state;

    exec_result_release(&b->result);
    buf_release(&b->out);
    buf_release(&b->diag);
    strv_release(&b->argv);
    strv_release(&b->env);
    view_free(b->v);
    work_free(b->w);
    store_close(b->s);
    scratch_remove(b->fd, b->path);
    mem_free(b);
    return 0;
}

static int run(struct box *b)
{
    exec_result_release(&b->result);
    buf_clear(&b->out);
    buf_clear(&b->diag);
    err_clear(&b->err);
    b->spec.layers = b->layers;
    b->spec.n_layers = b->n;
    b->spec.view = b->v;
    return exec_run(b->s, b->w, &b->spec, &b->result, &b->err);
}

static int run_argv(struct box *b, const char *const *argv)
{
    strv_clear(&b->argv);
    for (; *argv != NULL; argv++)
        strv_add(&b->argv, *argv);
    return run(b);
}

/* Runs the script, which has to run, and gives its status. */
static int sh(struct box *b, const char *script)
{
    if (run_argv(b, (const char *const[]){ "/bin/sh", "-c", script, NULL }) < 0)
        fail_msg("exec_run: %s", b->err.msg);
    return b->result.status;
}

static void sh_ok(struct box *b, const char *script)
{
    if (sh(b, script) != 0)
        fail_msg("status %d: %s%s%s", b->result.status, buf_str(&b->out), buf_str(&b->diag),
                 b->result.note ? b->result.note : "");
}

/* The layer of the last run goes on top of the stack. */
static const struct layer *collect(struct box *b)
{
    const struct layer *l = exec_collect(b->s, b->w, &b->spec, &b->result, &b->err);

    if (l == NULL)
        fail_msg("exec_collect: %s", b->err.msg);
    assert_null(b->result.upper);
    b->layers[b->n++] = l;
    box_view(b);
    return l;
}

static void expect_listing(const struct layer *l, const char *const *paths)
{
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(buf_release) struct buf want = BUF_INIT;

    for (size_t i = 0; i < listing_len(l->listing); i++) {
        struct entry e;
        listing_at(l->listing, i, &e);
        buf_addf(&got, "%c %s%s\n", e.type, e.path, e.opaque ? " opaque" : "");
    }
    for (; *paths != NULL; paths++)
        buf_addf(&want, "%s\n", *paths);
    assert_string_equal(buf_str(&got), buf_str(&want));
}
#define EXPECT_LISTING(l, ...) expect_listing(l, (const char *const[]){ __VA_ARGS__, NULL })

static struct entry find(const struct layer *l, const char *path)
{
    struct entry e = { .path = NULL };

    if (!listing_find(l->listing, path, &e))
        fail_msg("'%s' is not in the layer", path);
    return e;
}

static int count_named(const char *dir, const char *part)
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

static const char *wanted;
static int n_found;

static int look_at_group(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    n_found += type == FTW_D && strstr(path + at->base, wanted) != NULL;
    return 0;
}

/* Control groups of this work, in all hierarchies. */
static int count_cgroups(const char *work)
{
    wanted = work;
    n_found = 0;
    nftw("/sys/fs/cgroup", look_at_group, 20, FTW_PHYS);
    return n_found;
}

static int remove_group(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    if (type == FTW_DP && str_eq(path + at->base, wanted))
        n_found += rmdir(path) < 0;
    return 0;
}

/* How many of this name could not be removed. */
static int remove_cgroups(const char *name)
{
    wanted = name;
    n_found = 0;
    nftw("/sys/fs/cgroup", remove_group, 20, FTW_PHYS | FTW_DEPTH);
    return n_found;
}

/* ---- cases ---- */

static void probe_says_how_and_keeps_the_answer(void **state)
{
    struct box *b = *state;
    AUTO(mem_free) char *how = NULL;
    AUTO(mem_free) char *again = NULL;

    assert_ok(exec_probe(b->s, &how, &b->err), &b->err);
    assert_non_null(strstr(how, "as root with overlayfs and "));
    assert_int_equal(faccessat(b->fd, "runtime.json", R_OK, 0), 0);
    int64_t begin = clock_mono_ms();
    assert_ok(exec_probe(b->s, &again, &b->err), &b->err);
    assert_string_equal(how, again);
    assert_true(clock_mono_ms() - begin < 200);
}

static void probe_names_a_runtime_that_does_not_work(void **state)
{
    struct box *b = *state;
    AUTO(mem_free) char *how = NULL;

    setenv("SHALE_RUNTIME", "/bin/false", 1);
    assert_int_equal(exec_probe(b->s, &how, &b->err), ERR_UNSUPPORTED);
    assert_string_equal(b->err.msg,
                        "no container runtime works here: false: exit status 1 without a message");
    setenv("SHALE_RUNTIME", "no-such-runtime", 1);
    assert_int_equal(exec_probe(b->s, &how, &b->err), ERR_UNSUPPORTED);
    assert_string_equal(b->err.msg, "no container runtime 'no-such-runtime' (SHALE_RUNTIME)");
    unsetenv("SHALE_RUNTIME");
}

static void status_and_both_outputs_are_the_commands(void **state)
{
    struct box *b = *state;

    assert_int_equal(sh(b, "echo out; echo diag >&2; exit 7"), 7);
    assert_string_equal(buf_str(&b->out), "out\n");
    assert_string_equal(buf_str(&b->diag), "diag\n");
    assert_null(b->result.note);
    assert_int_equal(sh(b, "sh -c 'kill -9 $$'; exit $?"), 137);
    sh_ok(b, "read line; test -z \"$line\"");
}

static void output_of_megabytes_arrives_whole(void **state)
{
    struct box *b = *state;

    sh_ok(b,
          "i=0; while test $i -lt 20000; do echo 0123456789012345678901234567890123456789012345678;"
          " i=$((i+1)); done");
    assert_int_equal(b->out.len, 20000 * 50);
}

static void environment_user_directory_and_hostname_are_as_told(void **state)
{
    struct box *b = *state;

    env_set(&b->env, "COLOUR", "dark blue");
    b->user = (struct user_ids){ .uid = 1000, .gid = 1000, .groups = { 1000, 44 }, .n_groups = 2 };
    b->spec.cwd = "/tmp";
    sh_ok(b, "echo $COLOUR; id -u; id -g; id -G; pwd; hostname; umask; ls /proc/self/fd");
    assert_string_equal(
        buf_str(&b->out),
        "dark blue\n1000\n1000\n1000 44\n/tmp\nbuildkitsandbox\n0022\n0\n1\n2\n3\n");
    b->spec.hostname = "elsewhere";
    sh_ok(b, "hostname; grep elsewhere /etc/hosts");
    assert_string_equal(buf_str(&b->out), "elsewhere\n127.0.0.1\tlocalhost elsewhere\n");
}

static void command_that_is_not_there_is_127_with_a_note(void **state)
{
    struct box *b = *state;

    assert_ok(run_argv(b, (const char *const[]){ "no-such-command", NULL }), &b->err);
    assert_int_equal(b->result.status, 127);
    assert_non_null(strstr(b->result.note, "no-such-command"));
    assert_ok(run_argv(b, (const char *const[]){ "/no/such/file", NULL }), &b->err);
    assert_int_equal(b->result.status, 127);
    assert_ok(run_argv(b, (const char *const[]){ "/etc/passwd", NULL }), &b->err);
    assert_int_equal(b->result.status, 126);
    assert_non_null(strstr(b->result.note, "ermission denied"));
    assert_ok(run_argv(b, (const char *const[]){ "/tmp", NULL }), &b->err);
    assert_int_equal(b->result.status, 126);
}

static void make_no_program(int dirfd, void *arg)
{
    (void)arg;
    put(dirfd, "bin/nonsense",
        "\x7f"
        "ELF nonsense",
        13, 0755);
}

static void program_of_another_format_is_no_failure_of_the_runtime(void **state)
{
    struct box *b = *state;

    box_add(b, make_no_program, NULL);
    assert_ok(run_argv(b, (const char *const[]){ "/bin/nonsense", NULL }), &b->err);
    assert_true(b->result.status != 0);
    assert_true((b->result.note && strstr(b->result.note, "format error")) ||
                strstr(buf_str(&b->diag), "format error"));
}

static void nothing_changed_is_no_layer(void **state)
{
    struct box *b = *state;

    sh_ok(b, "mkdir -p /tmp; cat /etc/resolv.conf >/dev/null; ls /");
    collect(b); /* /dev, /proc and /sys of a root file system that had none */
    sh_ok(b, "cat /etc/hosts");
    assert_null(exec_collect(b->s, b->w, &b->spec, &b->result, &b->err));
    assert_int_equal(b->err.code, ERR_NOT_FOUND);
    assert_null(b->result.upper);
}

static void what_the_container_needs_leaves_no_trace(void **state)
{
    struct box *b = *state;
    struct entry before, after;

    sh_ok(b, "test -s /etc/hosts && test -e /etc/resolv.conf && touch /new");
    assert_true(strv_has(&b->result.stubs, "etc/hosts"));
    assert_true(view_find(b->v, "etc", &before, NULL));
    EXPECT_LISTING(collect(b), "d dev", "f new", "d proc", "d sys");
    sh_ok(b, "echo more > /etc/more");
    EXPECT_LISTING(collect(b), "d etc", "f etc/more");
    assert_true(view_find(b->v, "etc", &after, NULL));
    assert_int_equal(before.mode, after.mode);
    assert_false(view_find(b->v, "etc/hosts", &after, NULL));
    sh_ok(b, "chmod 700 /; touch /dev/x /sys/x 2>/dev/null; true");
    assert_null(exec_collect(b->s, b->w, &b->spec, &b->result, &b->err));
}

static void make_hosts(int dirfd, void *arg)
{
    (void)arg;
    puts_at(dirfd, "etc/hosts", "1.2.3.4 image\n");
    puts_at(dirfd, "run/real.conf", "of the image\n");
    assert_int_equal(symlinkat("../run/real.conf", dirfd, "etc/resolv.conf"), 0);
}

static void files_of_the_image_under_the_injected_ones_stay(void **state)
{
    struct box *b = *state;
    AUTO(strv_release) struct strv more = STRV_INIT;

    strv_add(&more, "db:10.1.2.3");
    strv_add(&more, "six:[fe80::1]");
    box_add(b, make_hosts, NULL);
    b->spec.add_hosts = &more;
    sh_ok(
        b,
        "cat /etc/hosts; grep -c image /etc/resolv.conf; ls -l /etc/resolv.conf | grep -c run/real;"
        "touch /x; echo no >> /etc/hosts || true");
    assert_string_equal(buf_str(&b->out),
                        "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost "
                        "ip6-loopback\n10.1.2.3\tdb\nfe80::1\tsix\n0\n1\n");
    EXPECT_LISTING(collect(b), "d dev", "d proc", "d sys", "f x");
}

static void make_lower(int dirfd, void *arg)
{
    static const char cap[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

    (void)arg;
    puts_at(dirfd, "d/gone", "1");
    puts_at(dirfd, "d/kept", "2");
    puts_at(dirfd, "o/old", "3");
    puts_at(dirfd, "o/sub/old", "3");
    puts_at(dirfd, "r/in/deep", "4");
    puts_at(dirfd, "capable", "5");
    puts_at(dirfd, "plain", "6");
    AUTO(fd_close) int fd = openat(dirfd, "capable", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fsetxattr(fd, "security.capability", cap, sizeof(cap), 0), 0);
}

static void every_kind_of_change_is_in_the_layer(void **state)
{
    struct box *b = *state;

    sh_ok(b, "true");
    collect(b);
    box_add(b, make_lower, NULL);
    sh_ok(b, "rm /d/gone; rm -r /o; mkdir /o; echo new > /o/new; mv /r /renamed;"
             "echo x > /tmp/suid; chmod 4755 /tmp/suid; ln /tmp/suid /tmp/also; ln -s suid /tmp/l;"
             "mkfifo /tmp/p; chown 1000:44 /capable; touch /capable; mknod /tmp/null c 1 3;"
             "nc -lU /tmp/socket 2>/dev/null & while ! test -e /tmp/started; do touch /tmp/started;"
             "done; rm /tmp/started; mkdir -m 0700 /fresh");
    const struct layer *l = collect(b);
    EXPECT_LISTING(l, "f capable", "d d", "w d/gone", "d fresh", "d o opaque", "f o/new", "w r",
                   "d renamed", "d renamed/in", "f renamed/in/deep", "d tmp", "f tmp/also",
                   "l tmp/l", "c tmp/null", "p tmp/p", "f tmp/suid");
    assert_int_equal(find(l, "tmp/suid").mode, 04755);
    assert_string_equal(find(l, "tmp/suid").hardlink, "tmp/also");
    assert_string_equal(find(l, "tmp/l").target, "suid");
    assert_int_equal(find(l, "fresh").mode, 0700);
    assert_int_equal(find(l, "tmp/null").dev_minor, 3);
    assert_int_equal(find(l, "capable").gid, 44);
    assert_int_equal(find(l, "o/new").size, 4);
    struct digest want;
    digest_of("new\n", 4, &want);
    struct entry e = find(l, "o/new");
    assert_true(digest_eq(&e.content, &want));
    /* The upper directory, renamed, is a good lower one. */
    sh_ok(b,
          "test ! -e /d/gone; test ! -e /o/old; test ! -e /r; cat /renamed/in/deep /o/new /d/kept;"
          "ls /o /renamed; stat -c '%a %h' /tmp/suid");
    assert_string_equal(buf_str(&b->out), "4new\n2/o:\nnew\n\n/renamed:\nin\n4755 2\n");
}

static void capability_of_a_file_survives_being_copied_up(void **state)
{
    struct box *b = *state;

    box_add(b, make_lower, NULL);
    sh_ok(b, "touch /capable");
    const struct layer *l = collect(b);
    struct entry e = find(l, "capable");
    assert_int_equal(e.n_xattrs, 1);
    assert_string_equal(e.xattrs[0].name, "security.capability");
    assert_int_equal(e.xattrs[0].len, 20);
}

static void make_numbered(int dirfd, void *arg)
{
    size_t i = *(size_t *)arg;
    AUTO(mem_free) char *name = str_printf("n/%zu", i);

    puts_at(dirfd, name, name);
    puts_at(dirfd, "n/last", name);
}

static void hundred_and_twenty_layers_can_be_run_on(void **state)
{
    struct box *b = *state;

    for (size_t i = 0; i < 120; i++)
        box_add(b, make_numbered, &i);
    b->layers[b->n++] = b->layers[1]; /* once more what is there already */
    box_view(b);
    sh_ok(b, "ls /n | wc -l; cat /n/last /n/7");
    assert_string_equal(buf_str(&b->out), "121\nn/0n/7");
}

static void network_none_has_loopback_only(void **state)
{
    struct box *b = *state;

    b->spec.network = EXEC_NET_NONE;
    sh_ok(b, "ls /sys/class/net");
    assert_string_equal(buf_str(&b->out), "lo\n");
    b->spec.network = EXEC_NET_HOST;
    AUTO(mem_free) char *want = NULL;
    char ns[64] = "";
    assert_true(readlink("/proc/self/ns/net", ns, sizeof(ns) - 1) > 0);
    want = str_printf("%s\n", ns);
    sh_ok(b, "busybox readlink /proc/self/ns/net");
    assert_string_equal(buf_str(&b->out), want);
}

static void confinement_is_dockers(void **state)
{
    struct box *b = *state;

    sh_ok(b, "grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status");
    assert_string_equal(buf_str(&b->out),
                        "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\n"
                        "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
                        "CapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
    assert_int_not_equal(sh(b, "mount -t tmpfs none /tmp"), 0);
    assert_int_not_equal(sh(b, "unshare -U true"), 0);
    assert_int_not_equal(sh(b, "echo 1 > /proc/sys/kernel/printk"), 0);
    assert_int_not_equal(sh(b, "cat /proc/kcore"), 0);
    assert_int_not_equal(sh(b, "mknod /d b 254 0 && cat /d"), 0);
    b->user = (struct user_ids){ .uid = 5, .gid = 5 };
    sh_ok(b, "grep -E '^Cap(Prm|Eff|Bnd)' /proc/self/status; id -G");
    assert_string_equal(buf_str(&b->out), "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n"
                                          "CapBnd:\t00000000a80425fb\n5\n");
}

static void insecure_may_mount(void **state)
{
    struct box *b = *state;

    b->spec.insecure = true;
    sh_ok(b,
          "mount -t tmpfs none /tmp && touch /tmp/x && umount /tmp; grep -c '^Seccomp:.0' "
          "/proc/self/status; test -c /dev/fuse -a -c /dev/kmsg -a -b /dev/loop7 && echo devices;"
          "grep -c ' /sys sysfs rw' /proc/mounts");
    assert_string_equal(buf_str(&b->out), "1\ndevices\n1\n");
    b->user = (struct user_ids){ .uid = 5, .gid = 5 };
    sh_ok(b, "mount -t tmpfs none /tmp"); /* nobody is kept from anything */
}

static void mounts_show_what_was_asked_and_leave_no_trace(void **state)
{
    struct box *b = *state;
    char secret[64] = "/tmp/shale-unit-secret-XXXXXX";
    AUTO(fd_close) int fd = mkstemp(secret);
    size_t seven = 7;

    assert_int_equal(write(fd, "hush\n", 5), 5);
    sh_ok(b, "true");
    collect(b);
    box_add(b, make_numbered, &seven);
    AUTO(mem_free) char *cache = work_subdir(b->w, "cache", &b->err);
    AUTO(mem_free) char *cache_path = path_join(work_path(b->w), cache);
    struct exec_mount mounts[] = {
        { .kind = EXEC_MOUNT_TMPFS, .target = "/cache/inner", .size = 1 << 20, .mode = 0700 },
        { .kind = EXEC_MOUNT_BIND, .source = cache_path, .target = "/cache" },
        { .kind = EXEC_MOUNT_BIND,
          .source = secret,
          .target = "/run/secrets/s",
          .read_only = true },
        { .kind = EXEC_MOUNT_LAYERS,
          .source = "/n",
          .target = "/from/n",
          .read_only = true,
          .layers = b->layers,
          .n_layers = b->n },
        { .kind = EXEC_MOUNT_LAYERS,
          .source = "n/last",
          .target = "/from/file",
          .layers = b->layers,
          .n_layers = b->n },
        { .kind = EXEC_MOUNT_TMPFS, .target = "/dev/shm" },
    };
    b->spec.mounts = mounts;
    b->spec.n_mounts = ARRAY_LEN(mounts);
    sh_ok(b,
          "echo kept > /cache/kept; echo lost > /cache/inner/lost; cat /run/secrets/s; ls /from/n;"
          "touch /from/n/no 2>/dev/null || echo ro; echo more >> /from/file; cat /from/file;"
          "touch /run/secrets/s 2>/dev/null || echo ro; touch /dev/shm/x");
    assert_string_equal(buf_str(&b->out), "hush\n7\nlast\nro\nn/7more\nro\n");
    assert_null(exec_collect(b->s, b->w, &b->spec, &b->result, &b->err));
    assert_int_equal(b->err.code, ERR_NOT_FOUND);
    AUTO(mem_free) char *kept = path_join(cache_path, "kept");
    assert_int_equal(access(kept, R_OK), 0);
    /* What the step put beside a mount point keeps the directories. */
    sh_ok(b, "touch /run/secrets/mine; cat /n/last");
    assert_string_equal(buf_str(&b->out), "n/7");
    EXPECT_LISTING(collect(b), "d run", "d run/secrets", "f run/secrets/mine");
    unlink(secret);
}

/* ---- files of memory ---- */

#define CANARY "canary-7d1f0c39"

static const char *canary_at;
static int n_canaries;

static int look_for_canary(const char *path, const struct stat *st, int type, struct FTW *at)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;

    (void)at;
    if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size > 1 << 22)
        return 0;
    if (file_read(AT_FDCWD, path, 1u << 22, &text, &ignored) < 0)
        return 0;
    if (memmem(buf_str(&text), text.len, CANARY, strlen(CANARY)) != NULL) {
        fprintf(stderr, "the canary is in %s\n", path);
        n_canaries++;
    }
    return 0;
}

/* Files of the store that hold the secret, as this process sees them. */
static int count_canaries(const char *path)
{
    n_canaries = 0;
    nftw(path, look_for_canary, 20, FTW_PHYS);
    return n_canaries;
}

static void *watch_for_canary(void *arg)
{
    usleep(400000);
    *(int *)arg = count_canaries(canary_at);
    return NULL;
}

static void file_of_memory_is_read_only_and_nowhere_on_a_disk(void **state)
{
    struct box *b = *state;
    struct exec_mount mounts[] = {
        { .kind = EXEC_MOUNT_FILE,
          .target = "/run/secrets/s",
          .bytes = CANARY "\n",
          .n_bytes = strlen(CANARY) + 1,
          .mode = 0440,
          .uid = 7,
          .gid = 8 },
        { .kind = EXEC_MOUNT_FILE, .target = "/a/empty", .mode = 0400 },
        { .kind = EXEC_MOUNT_FILE, .target = "/etc/passwd", .bytes = "x\0y", .n_bytes = 3 },
    };
    pthread_t t;
    int during = -1;

    sh_ok(b, "true");
    collect(b);
    b->spec.mounts = mounts;
    b->spec.n_mounts = ARRAY_LEN(mounts);
    env_set(&b->env, "TOKEN", CANARY);
    canary_at = b->path;
    assert_int_equal(pthread_create(&t, NULL, watch_for_canary, &during), 0);
    sh_ok(b, "cat /run/secrets/s; stat -c '%a %u %g %s' /run/secrets/s /a/empty /etc/passwd;"
             "echo $TOKEN; echo no >/run/secrets/s || rm /run/secrets/s || echo kept;"
             "grep -c 'tmpfs /run/secrets/s tmpfs ro,nosuid,nodev,noexec' /proc/mounts; sleep 1");
    pthread_join(t, NULL);
    assert_string_equal(buf_str(&b->out),
                        CANARY "\n440 7 8 16\n400 0 0 0\n0 0 0 3\n" CANARY "\nkept\n1\n");
    assert_int_equal(during, 0);
    assert_int_equal(count_canaries(b->path), 0);
    assert_null(exec_collect(b->s, b->w, &b->spec, &b->result, &b->err));
    assert_int_equal(b->err.code, ERR_NOT_FOUND);
    b->user = (struct user_ids){ .uid = 9, .gid = 8 };
    sh_ok(b, "cat /run/secrets/s");
    b->user = (struct user_ids){ .uid = 9, .gid = 9 };
    assert_int_not_equal(sh(b, "cat /run/secrets/s"), 0);
}

static void files_of_memory_of_megabytes_arrive_whole(void **state)
{
    struct box *b = *state;
    AUTO(buf_release) struct buf big = BUF_INIT;
    struct exec_mount mounts[20];

    memset(buf_room(&big, 500u << 10), 'x', 500u << 10);
    big.len = 500u << 10;
    AUTO(strv_release) struct strv targets = STRV_INIT;
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
        strv_addf(&targets, "/s/%zu", i);
    for (size_t i = 0; i < ARRAY_LEN(mounts); i++)
        mounts[i] = (struct exec_mount){ .kind = EXEC_MOUNT_FILE,
                                         .target = targets.v[i],
                                         .bytes = big.data,
                                         .n_bytes = big.len - i };
    b->spec.mounts = mounts;
    b->spec.n_mounts = ARRAY_LEN(mounts);
    sh_ok(b, "cat /s/* | wc -c; wc -c </s/3");
    assert_string_equal(buf_str(&b->out), "10239810\n511997\n");
    mounts[0].n_bytes = EXEC_FILE_MAX + 1;
    assert_int_equal(run(b), ERR_USAGE);
}

static int look_at_path(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    n_found += type == FTW_D && strstr(path, wanted) != NULL;
    return 0;
}

static void *watch_for_group(void *arg)
{
    usleep(400000);
    n_found = 0;
    nftw("/sys/fs/cgroup", look_at_path, 20, FTW_PHYS);
    *(int *)arg = n_found;
    return NULL;
}

static void shm_limits_and_group_are_as_asked(void **state)
{
    static const struct exec_ulimit limits[] = {
        { "nofile", 5000, 6000 }, /* the later one counts */
        { "nofile", 100, 200 },
        { "core", 0, 0 },
        { "memlock", EXEC_UNLIMITED, EXEC_UNLIMITED }, /* at worst left as it is */
    };
    static const struct exec_ulimit unknown = { "files", 1, 1 }, upside_down = { "core", 2, 1 };
    struct box *b = *state;
    AUTO(mem_free) char *how = NULL;
    pthread_t t;
    int n_groups = 0;

    b->spec.shm_size = 3 << 20;
    b->spec.ulimits = limits;
    b->spec.n_ulimits = ARRAY_LEN(limits);
    b->spec.cgroup_parent = "../shale-unit-parent";
    assert_ok(exec_probe(b->s, &how, &b->err), &b->err);
    wanted = "shale-unit-parent/shale-";
    assert_int_equal(pthread_create(&t, NULL, watch_for_group, &n_groups), 0);
    sh_ok(b, "grep -o 'size=3072k' /proc/mounts; ulimit -n; ulimit -Hn; ulimit -Hc; sleep 1");
    pthread_join(t, NULL);
    assert_string_equal(buf_str(&b->out), "size=3072k\n100\n200\n0\n");
    assert_true(n_groups > 0 || strstr(how, "without cgroups") != NULL);
    assert_int_equal(count_cgroups(work_name(b->w)), 0);
    assert_int_equal(remove_cgroups("shale-unit-parent"), 0);
    b->spec.ulimits = &unknown;
    b->spec.n_ulimits = 1;
    assert_int_equal(run(b), ERR_USAGE);
    b->spec.ulimits = &upside_down;
    assert_int_equal(run(b), ERR_USAGE);
}

static void make_null_resolver(int dirfd, void *arg)
{
    (void)arg;
    assert_int_equal(mkdirat(dirfd, "etc", 0755), 0);
    assert_int_equal(symlinkat("/dev/null", dirfd, "etc/resolv.conf"), 0);
}

static void resolver_that_is_a_device_is_left_alone(void **state)
{
    struct box *b = *state;

    box_add(b, make_null_resolver, NULL);
    sh_ok(b, "echo x > /etc/resolv.conf; test -c /dev/null; test ! -s /etc/resolv.conf");
    EXPECT_LISTING(collect(b), "d dev", "d proc", "d sys");
}

static void values_that_mean_nothing_are_refused(void **state)
{
    struct box *b = *state;
    const char *const argv[] = { "/bin/true", NULL };
    struct exec_mount m = { .kind = (enum exec_mount_kind)7, .target = "/x" };

    b->spec.network = (enum exec_network)9;
    assert_int_equal(run_argv(b, argv), ERR_USAGE);
    b->spec.network = EXEC_NET_NONE;
    b->spec.hostname = "a\n1.2.3.4 registry";
    assert_int_equal(run_argv(b, argv), ERR_USAGE);
    b->spec.hostname = NULL;
    b->spec.mounts = &m;
    b->spec.n_mounts = 1;
    assert_int_equal(run_argv(b, argv), ERR_USAGE);
    b->spec.n_mounts = 0;
    assert_int_equal(run_argv(b, (const char *const[]){ NULL }), ERR_USAGE);
}

static void without_root_the_reason_is_said(void **state)
{
    struct box *b = *state;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        const char *const argv[] = { "/bin/true", NULL };
        if (setresuid(65534, 65534, 65534) < 0)
            _exit(90);
        _exit(run_argv(b, argv) == ERR_UNSUPPORTED && str_starts(b->err.msg, "RUN needs root here")
                  ? 0
                  : 91);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void link_in_a_mount_of_the_store_is_not_followed(void **state)
{
    struct box *b = *state;
    AUTO(mem_free) char *cache = work_subdir(b->w, "cache", &b->err);
    AUTO(mem_free) char *path = path_join(work_path(b->w), cache);
    AUTO(mem_free) char *link = path_join(path, "sub");

    assert_int_equal(symlink("/etc", link), 0);
    AUTO(mem_free) char *through = path_join(link, "passwd");
    struct exec_mount m = { .kind = EXEC_MOUNT_BIND, .source = through, .target = "/m" };
    b->spec.mounts = &m;
    b->spec.n_mounts = 1;
    assert_int_equal(run_argv(b, (const char *const[]){ "/bin/true", NULL }), ERR_IO);
    m.source = link;
    assert_true(run_argv(b, (const char *const[]){ "/bin/true", NULL }) < 0);
}

static void make_traps(int dirfd, void *arg)
{
    (void)arg;
    assert_int_equal(symlinkat("/proc/self/fd/7", dirfd, "trap"), 0);
}

static void make_dev_link(int dirfd, void *arg)
{
    (void)arg;
    assert_int_equal(symlinkat("/tmp", dirfd, "dev"), 0);
}

static void ways_out_of_the_root_are_refused(void **state)
{
    struct box *b = *state;
    static const char *const dirs[] = { "/proc/self/fd/7", "/proc", "/tmp/../sys/kernel",
                                        "/dev/fd/8",       "/trap", "/trap/x",
                                        "relative" };
    static const char *const targets[] = { "/", "/proc/self", "/sys", "/dev", "/trap" };
    const char *const argv[] = { "/bin/true", NULL };

    box_add(b, make_traps, NULL);
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        b->spec.cwd = dirs[i];
        if (run_argv(b, argv) != ERR_USAGE)
            fail_msg("working directory '%s' was taken", dirs[i]);
    }
    b->spec.cwd = "/";
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct exec_mount m = { .kind = EXEC_MOUNT_TMPFS, .target = targets[i] };
        b->spec.mounts = &m;
        b->spec.n_mounts = 1;
        if (run_argv(b, argv) != ERR_USAGE)
            fail_msg("mount target '%s' was taken", targets[i]);
    }
    b->spec.n_mounts = 0;
    box_add(b, make_dev_link, NULL);
    assert_int_equal(run_argv(b, argv), ERR_UNSUPPORTED);
    assert_string_equal(b->err.msg, "'/dev' of the root file system is not a directory");
}

static void processes_left_in_the_background_end_with_the_command(void **state)
{
    struct box *b = *state;
    int64_t begin = clock_mono_ms();

    sh_ok(b, "sleep 1000 & sleep 1000 & echo done");
    assert_string_equal(buf_str(&b->out), "done\n");
    assert_true(clock_mono_ms() - begin < 5000);
}

/* ---- stopping ---- */

/* Processes that see a mount of this store, or were started for it. */
static int count_processes(const char *path, pid_t but)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    int n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        AUTO(mem_free) char *mounts = str_printf("/proc/%s/mountinfo", e->d_name);
        AUTO(mem_free) char *cmdline = str_printf("/proc/%s/cmdline", e->d_name);
        AUTO(buf_release) struct buf text = BUF_INIT;
        struct err err = ERR_INIT;
        if (atoi(e->d_name) <= 0 || atoi(e->d_name) == but || atoi(e->d_name) == getpid())
            continue;
        if (file_read(AT_FDCWD, mounts, 1u << 22, &text, &err) < 0)
            continue;
        buf_addc(&text, '\n');
        AUTO(buf_release) struct buf args = BUF_INIT;
        if (file_read(AT_FDCWD, cmdline, 1u << 20, &args, &err) == 0)
            for (size_t i = 0; i < args.len; i++)
                buf_addc(&text, args.data[i] ? args.data[i] : ' ');
        n += strstr(text.data, path) != NULL;
    }
    closedir(d);
    return n;
}

static void *cancel_soon(void *arg)
{
    usleep(500000);
    cancel_set(arg, SIGINT);
    return NULL;
}

static void cancel_stops_the_container_and_leaves_nothing(void **state)
{
    struct box *b = *state;
    AUTO(cancel_free) struct cancel *c = cancel_new();
    const char *const argv[] = { "/bin/sh", "-c",
                                 "trap '' TERM INT; echo up; while :; do sleep 1; done", NULL };
    pthread_t t;

    sh_ok(b, "true"); /* so that the probe is not part of it */
    b->spec.cancel = c;
    int64_t begin = clock_mono_ms();
    assert_int_equal(pthread_create(&t, NULL, cancel_soon, c), 0);
    assert_int_equal(run_argv(b, argv), ERR_CANCELLED);
    pthread_join(t, NULL);
    assert_true(clock_mono_ms() - begin < 4000);
    assert_string_equal(buf_str(&b->out), "up\n");
    assert_int_equal(count_processes(b->path, 0), 0);
    assert_int_equal(count_cgroups(work_name(b->w)), 0);
    assert_int_equal(count_named(work_path(b->w), "run"), 0);
    assert_int_equal(run_argv(b, argv), ERR_CANCELLED); /* at once */
}

/* Runs a step for ever in a process of its own; returns when the command is up. */
static void write_up(void *arg, int stream, const char *p, size_t n)
{
    (void)stream;
    if (write(*(int *)arg, p, n) < 0)
        abort();
}

static pid_t start_for_ever(struct box *b, int *ret_pipe)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid != 0) {
        char up;
        close(ends[1]);
        assert_int_equal(read(ends[0], &up, 1), 1);
        *ret_pipe = ends[0];
        return pid;
    }
    struct err err = ERR_INIT;
    struct store *s = store_open(b->path, &err); /* none is carried over a fork */
    struct work *w = s ? work_open(s, &err) : NULL;
    const struct layer *layers[1];
    if (w == NULL || (layers[0] = layer_get(s, &b->layers[0]->diff_id, &err)) == NULL)
        _exit(1);
    const struct listing *listing = layers[0]->listing;
    struct strv argv = STRV_INIT;
    strv_add(&argv, "/bin/sh");
    strv_add(&argv, "-c");
    strv_add(&argv, "(while :; do sleep 1; done) & echo up; while :; do sleep 1; done");
    struct exec_spec spec = b->spec;
    struct exec_result result = { .status = 0 };
    spec.layers = layers;
    spec.n_layers = 1;
    spec.view = view_new(&listing, 1);
    spec.argv = &argv;
    spec.output = write_up;
    spec.output_arg = &ends[1];
    exec_run(s, w, &spec, &result, &err);
    _exit(2);
}

/* In a child: a store of its own, and the script with this process's own 0, 1 and 2. */
static int run_interactive(struct box *b, bool tty, const char *script)
{
    struct err err = ERR_INIT;
    struct store *s = store_open(b->path, &err);
    struct work *w = s ? work_open(s, &err) : NULL;
    const struct layer *layer = w ? layer_get(s, &b->layers[0]->diff_id, &err) : NULL;
    struct strv argv = STRV_INIT;
    struct exec_result result = { .status = 0 };

    if (layer == NULL)
        return 97;
    const struct listing *listing = layer->listing;
    strv_add(&argv, "/bin/sh");
    strv_add(&argv, "-c");
    strv_add(&argv, script);
    struct exec_spec spec = b->spec;
    spec.layers = &layer;
    spec.n_layers = 1;
    spec.view = view_new(&listing, 1);
    spec.argv = &argv;
    spec.interactive = true;
    spec.tty = tty;
    if (exec_run(s, w, &spec, &result, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 98;
    }
    work_free(w);
    return result.status;
}

static void expect_end(int fd, pid_t pid, const char *want, int want_status)
{
    AUTO(buf_release) struct buf got = BUF_INIT;
    int status = 0;
    char p[256];
    ssize_t n;

    while ((n = read(fd, p, sizeof(p))) > 0) /* EIO: the terminal's end */
        buf_add(&got, p, (size_t)n);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_string_equal(buf_str(&got), want);
    assert_int_equal(WEXITSTATUS(status), want_status);
}

static void interactive_commands_have_our_input_and_output(void **state)
{
    struct box *b = *state;
    int in[2], out[2];

    sh_ok(b, "true");
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        _exit(run_interactive(b, false, "read a; echo got $a; test -t 0 || exit 5"));
    }
    close(in[0]);
    close(out[1]);
    assert_int_equal(write(in[1], "word\n", 5), 5);
    close(in[1]);
    expect_end(out[0], pid, "got word\n", 5);
    close(out[0]);
}

static void interactive_commands_can_have_a_terminal(void **state)
{
    struct box *b = *state;
    int fd = -1;

    sh_ok(b, "true");
    pid_t pid = forkpty(&fd, NULL, NULL, NULL);
    if (pid == 0)
        _exit(run_interactive(b, true, "test -t 0 && test -t 1 && echo terminal; exit 6"));
    expect_end(fd, pid, "terminal\r\n", 6);
    close(fd);
}

/* Where the control groups' file systems cannot be written to, as in many containers. */
static int run_without_cgroups(struct box *b)
{
    AUTO(strv_release) struct strv lines = STRV_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *how = NULL;
    struct err err = ERR_INIT;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        file_read(AT_FDCWD, "/proc/self/mounts", 1u << 20, &text, &err) < 0)
        return 90;
    strv_split(&lines, buf_str(&text), '\n');
    for (size_t i = 0; i < lines.n; i++) {
        AUTO(strv_release) struct strv f = STRV_INIT;
        strv_split(&f, lines.v[i], ' ');
        if (f.n > 2 && str_starts(f.v[2], "cgroup") &&
            mount(NULL, f.v[1], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
            return 91;
    }
    struct store *s = store_open(b->path, &err);
    if (s == NULL || exec_probe(s, &how, &err) < 0 || strstr(how, ", without cgroups") == NULL) {
        fprintf(stderr, "%s %s\n", how ? how : "", err.msg);
        return 92;
    }
    store_close(s);
    AUTO(mem_free) char *devices = path_join(b->path, "devices");
    AUTO(mem_free) char *null = path_join(devices, "null");
    const struct exec_mount mounts[] = {
        { .kind = EXEC_MOUNT_BIND, .source = devices, .target = "/ro", .read_only = true },
        { .kind = EXEC_MOUNT_BIND, .source = devices, .target = "/rw" },
    };
    if (mkdir(devices, 0755) < 0 || mknod(null, S_IFCHR | 0666, makedev(1, 3)) < 0)
        return 93;
    b->spec.mounts = mounts;
    b->spec.n_mounts = ARRAY_LEN(mounts);
    return run_interactive(b, false,
                           "touch /x || exit 1; mknod /d b 254 0 2>/dev/null && exit 2;"
                           "test -c /ro/null && test -c /rw/null || exit 3;"
                           "for i in /ro /rw; do cat $i/null 2>/dev/null && exit 4; done; true");
}

static void without_cgroups_steps_run_but_neither_make_nor_open_devices(void **state)
{
    struct box *b = *state;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run_without_cgroups(b));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int wait_for_none(const char *path)
{
    int n = 0;

    for (int i = 0; i < 300 && (n = count_processes(path, 0)) > 0; i++)
        usleep(10000);
    return n;
}

static void kill_9_of_shale_leaves_nothing_alive(void **state)
{
    struct box *b = *state;
    AUTO(fd_close) int pipe = -1;
    AUTO(mem_free) char *work = path_join(b->path, "work");

    sh_ok(b, "true");
    int before = count_named(work, "-");
    pid_t pid = start_for_ever(b, &pipe);
    AUTO(mem_free) char *tag = str_printf("-%d-", (int)pid);
    assert_true(count_processes(b->path, pid) > 0);
    assert_true(count_cgroups(tag) > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(wait_for_none(b->path), 0);
    assert_int_equal(count_cgroups(tag), 0);
    /* Its scratch goes with the next process that opens the store. */
    assert_int_equal(count_named(work, "-"), before + 1);
    struct store *s = store_open(b->path, &b->err);
    assert_non_null(s);
    assert_int_equal(count_named(work, "-"), before);
    store_close(s);
}

static pid_t find_process(const char *part, const char *arg)
{
    DIR *d = opendir("/proc");
    const struct dirent *e;
    pid_t found = 0;

    assert_non_null(d);
    while (found == 0 && (e = readdir(d)) != NULL) {
        AUTO(mem_free) char *path = str_printf("/proc/%s/cmdline", e->d_name);
        AUTO(buf_release) struct buf text = BUF_INIT;
        struct err err = ERR_INIT;
        if (atoi(e->d_name) <= 0 || file_read(AT_FDCWD, path, 1u << 20, &text, &err) < 0)
            continue;
        for (size_t i = 0; i < text.len; i++)
            if (text.data[i] == '\0')
                text.data[i] = ' ';
        if (text.len > 0 && strstr(text.data, part) != NULL && strstr(text.data, arg) != NULL)
            found = (pid_t)atoi(e->d_name);
    }
    closedir(d);
    return found;
}

static void kill_9_of_the_helper_leaves_nothing(void **state)
{
    struct box *b = *state;
    AUTO(fd_close) int pipe = -1;
    int status = 0;

    sh_ok(b, "true");
    pid_t pid = start_for_ever(b, &pipe);
    AUTO(mem_free) char *tag = str_printf("-%d-", (int)pid);
    pid_t helper = find_process(EXEC_HELPER_ARG, tag);
    assert_true(helper > 0 && count_cgroups(tag) > 0);
    kill(helper, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
    assert_int_equal(wait_for_none(b->path), 0);
    assert_int_equal(count_cgroups(tag), 0);
}

static void kill_9_of_shale_and_its_helper_leaves_a_cgroup_at_most(void **state)
{
    struct box *b = *state;
    AUTO(fd_close) int pipe = -1;

    sh_ok(b, "true");
    pid_t pid = start_for_ever(b, &pipe);
    AUTO(mem_free) char *tag = str_printf("-%d-", (int)pid);
    pid_t helper = find_process(EXEC_HELPER_ARG, tag);
    assert_true(helper > 0);
    kill(pid, SIGSTOP); /* else it would be told before it can be killed */
    kill(helper, SIGKILL);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(wait_for_none(b->path), 0);
    /* any run of any shale clears what is left, once the kernel has done with the dead */
    for (int i = 0; i < 50 && (i == 0 || count_cgroups(tag) > 0); i++) {
        sh_ok(b, "true");
        usleep(i * 10000);
    }
    assert_int_equal(count_cgroups(tag), 0);
}

struct side {
    struct box *b;
    int status;
};

static void *run_beside(void *arg)
{
    struct side *s = arg;
    struct strv argv = STRV_INIT;
    struct exec_result result = { .status = 0 };
    struct err err = ERR_INIT;
    struct exec_spec spec = s->b->spec;

    strv_add(&argv, "/bin/sh");
    strv_add(&argv, "-c");
    strv_add(&argv, "echo x > /tmp/x; sleep 0.2; ls /tmp | wc -l | grep -q '^1$'");
    spec.argv = &argv;
    spec.output = NULL;
    spec.layers = s->b->layers;
    spec.n_layers = s->b->n;
    spec.view = s->b->v;
    s->status = exec_run(s->b->s, s->b->w, &spec, &result, &err) < 0 ? -1 : result.status;
    exec_result_release(&result);
    strv_release(&argv);
    return NULL;
}

static void several_threads_run_side_by_side(void **state)
{
    struct box *b = *state;
    pthread_t t[6];
    struct side sides[ARRAY_LEN(t)];

    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        sides[i] = (struct side){ .b = b, .status = -2 };
        assert_int_equal(pthread_create(&t[i], NULL, run_beside, &sides[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(sides[i].status, 0);
}

static int count_fds(void)
{
    return count_named("/proc/self/fd", "");
}

static void no_file_stays_open(void **state)
{
    struct box *b = *state;

    sh_ok(b, "touch /x");
    collect(b);
    int before = count_fds();
    sh_ok(b, "touch /y");
    collect(b);
    assert_int_equal(run_argv(b, (const char *const[]){ "nothing", NULL }), 0);
    assert_int_equal(count_fds(), before);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, box_setup, box_teardown)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], EXEC_HELPER_ARG) == 0)
        return exec_helper_main(argc, argv);
    const struct CMUnitTest tests[] = {
        CASE(probe_says_how_and_keeps_the_answer),
        CASE(probe_names_a_runtime_that_does_not_work),
        CASE(status_and_both_outputs_are_the_commands),
        CASE(output_of_megabytes_arrives_whole),
        CASE(environment_user_directory_and_hostname_are_as_told),
        CASE(command_that_is_not_there_is_127_with_a_note),
        CASE(program_of_another_format_is_no_failure_of_the_runtime),
        CASE(nothing_changed_is_no_layer),
        CASE(what_the_container_needs_leaves_no_trace),
        CASE(files_of_the_image_under_the_injected_ones_stay),
        CASE(every_kind_of_change_is_in_the_layer),
        CASE(capability_of_a_file_survives_being_copied_up),
        CASE(hundred_and_twenty_layers_can_be_run_on),
        CASE(network_none_has_loopback_only),
        CASE(confinement_is_dockers),
        CASE(insecure_may_mount),
        CASE(mounts_show_what_was_asked_and_leave_no_trace),
        CASE(file_of_memory_is_read_only_and_nowhere_on_a_disk),
        CASE(files_of_memory_of_megabytes_arrive_whole),
        CASE(shm_limits_and_group_are_as_asked),
        CASE(resolver_that_is_a_device_is_left_alone),
        CASE(values_that_mean_nothing_are_refused),
        CASE(without_root_the_reason_is_said),
        CASE(link_in_a_mount_of_the_store_is_not_followed),
        CASE(ways_out_of_the_root_are_refused),
        CASE(processes_left_in_the_background_end_with_the_command),
        CASE(cancel_stops_the_container_and_leaves_nothing),
        CASE(kill_9_of_shale_leaves_nothing_alive),
        CASE(kill_9_of_the_helper_leaves_nothing),
        CASE(kill_9_of_shale_and_its_helper_leaves_a_cgroup_at_most),
        CASE(interactive_commands_have_our_input_and_output),
        CASE(interactive_commands_can_have_a_terminal),
        CASE(without_cgroups_steps_run_but_neither_make_nor_open_devices),
        CASE(several_threads_run_side_by_side),
        CASE(no_file_stays_open),
    };
    return UNIT_RUN("exec_run", tests);
}
