/* Upper directories made by hand, as overlayfs leaves them: needs root. */
#include "tests/unit/unit.h"

#include "exec/helper_internal.h"
#include "exec/run_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

struct upper {
    char path[64];
    int fd;
    struct listing *below; /* what view shows */
    struct view *v;
    enum overlay_marks marks; /* OVERLAY_MARKS_TRUSTED unless a case says else */
    struct listing *got;
    struct err err;
};

static void below_add(struct listing_builder *b, const char *path, enum entry_type type,
                      mode_t mode)
{
    struct entry e = { .path = path, .type = type, .mode = (uint16_t)mode, .mtime = 1000 };
    struct err err = ERR_INIT;

    if (type == ENTRY_FILE)
        digest_of("", 0, &e.content);
    assert_ok(listing_builder_add(b, &e, &err), &err);
}

static struct listing *listing_of(struct listing_builder *b)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err err = ERR_INIT;

    assert_ok(listing_builder_write(b, &text, NULL, &err), &err);
    struct listing *l = listing_open_buf(&text, &err);
    assert_non_null(l);
    return l;
}

static int upper_setup(void **state)
{
    struct upper *u = mem_zalloc(sizeof(*u));
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();

    u->fd = scratch_make(u->path);
    below_add(b, "d", ENTRY_DIR, 0755);
    below_add(b, "d/f", ENTRY_FILE, 0644);
    below_add(b, "d/sub", ENTRY_DIR, 0755);
    below_add(b, "empty", ENTRY_DIR, 0755);
    u->below = listing_of(b);
    const struct listing *layers[] = { u->below };
    u->v = view_new(layers, 1);
    *state = u;
    return 0;
}

static int upper_teardown(void **state)
{
    struct upper *u = *state;

    scratch_remove(u->fd, u->path);
    view_free(u->v);
    listing_free(u->below);
    listing_free(u->got);
    mem_free(u);
    return 0;
}

static void make_dir(struct upper *u, const char *path, mode_t mode)
{
    assert_int_equal(mkdirat(u->fd, path, 0755), 0);
    assert_int_equal(fchmodat(u->fd, path, mode, 0), 0);
}

static void make_file(struct upper *u, const char *path, const char *text)
{
    assert_ok(file_replace(u->fd, path, text, strlen(text), 0644, false, &u->err), &u->err);
}

static void set_time(struct upper *u, const char *path, long s, long ns)
{
    const struct timespec times[] = { { .tv_sec = s }, { .tv_sec = s, .tv_nsec = ns } };

    assert_int_equal(utimensat(u->fd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void set_xattr(struct upper *u, const char *path, const char *name, const char *value)
{
    AUTO(mem_free) char *full = path_join(u->path, path);

    assert_int_equal(lsetxattr(full, name, value, strlen(value), 0), 0);
}

static bool has_xattr(struct upper *u, const char *path, const char *name)
{
    AUTO(mem_free) char *full = path_join(u->path, path);
    char value[64];

    return lgetxattr(full, name, value, sizeof(value)) >= 0;
}

static bool exists(struct upper *u, const char *path)
{
    return faccessat(u->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* "type path flags" lines of what the upper directory says. */
static void expect(struct upper *u, const char *want)
{
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf got = BUF_INIT;

    if (upper_list(u->fd, u->marks, u->v, b, &u->err) < 0)
        fail_msg("upper_list: %s", u->err.msg);
    listing_free(u->got);
    u->got = listing_of(b);
    for (size_t i = 0; i < listing_len(u->got); i++) {
        struct entry e;
        listing_at(u->got, i, &e);
        buf_addf(&got, "%c %s%s%s%s\n", e.type, e.path, e.opaque ? " opaque" : "",
                 e.hardlink ? " = " : "", e.hardlink ? e.hardlink : "");
    }
    assert_string_equal(buf_str(&got), want);
}

static struct entry find(struct upper *u, const char *path)
{
    struct entry e = { .path = NULL };

    assert_true(listing_find(u->got, path, &e));
    return e;
}

static void directories_that_were_only_copied_up_are_dropped(void **state)
{
    struct upper *u = *state;

    make_dir(u, "d", 0755);
    make_dir(u, "d/sub", 0755);
    make_dir(u, "empty", 0755);
    set_time(u, "d/sub", 1000, 500);
    set_time(u, "d", 1000, 0);
    set_time(u, "empty", 1000, 0);
    expect(u, "");
    assert_false(exists(u, "d"));
    assert_false(exists(u, "empty"));
}

static void directories_with_other_metadata_are_kept(void **state)
{
    struct upper *u = *state;

    make_dir(u, "d", 0700);
    set_time(u, "d", 1000, 0);
    make_dir(u, "empty", 0755);
    set_time(u, "empty", 1001, 0);
    expect(u, "d d\nd empty\n");
    assert_int_equal(find(u, "d").mode, 0700);
    assert_int_equal(find(u, "empty").mtime, 1001);
}

static void parents_of_what_changed_are_listed_with_their_times(void **state)
{
    struct upper *u = *state;

    make_dir(u, "d", 0755);
    make_dir(u, "d/sub", 0755);
    make_file(u, "d/sub/new", "x");
    make_dir(u, "d/same", 0755);
    set_time(u, "d/sub", 1000, 0);
    set_time(u, "d", 1000, 0);
    expect(u, "d d\nd d/same\nd d/sub\nf d/sub/new\n");
    assert_int_equal(find(u, "d").mtime, 1000);
    struct entry e = find(u, "d/sub/new");
    assert_int_equal(e.size, 1);
    assert_true(digest_is_zero(&e.content)); /* the store hashes it */
}

static void whiteouts_count_only_over_something(void **state)
{
    struct upper *u = *state;

    make_dir(u, "d", 0755);
    assert_int_equal(mknodat(u->fd, "d/f", S_IFCHR, 0), 0);
    assert_int_equal(mknodat(u->fd, "d/never", S_IFCHR, 0), 0);
    assert_int_equal(mknodat(u->fd, "d/null", S_IFCHR | 0666, makedev(1, 3)), 0);
    set_time(u, "d", 5000, 0);
    expect(u, "d d\nw d/f\nc d/null\n");
    assert_false(exists(u, "d/never"));
    assert_int_equal(find(u, "d").mtime, 5000);
    struct stat st;
    assert_int_equal(fstatat(u->fd, "d", &st, 0), 0);
    assert_int_equal(st.st_mtim.tv_sec, 5000);
}

static void opaque_counts_only_over_something(void **state)
{
    struct upper *u = *state;

    make_dir(u, "d", 0755);
    make_dir(u, "fresh", 0755);
    make_dir(u, "empty", 0755);
    set_xattr(u, "d", "trusted.overlay.opaque", "y");
    set_xattr(u, "fresh", "trusted.overlay.opaque", "y");
    set_xattr(u, "empty", "trusted.overlay.opaque", "y");
    set_time(u, "empty", 1000, 0);
    expect(u, "d d opaque\nd fresh\n");
    assert_true(has_xattr(u, "d", "trusted.overlay.opaque"));
    assert_false(has_xattr(u, "fresh", "trusted.overlay.opaque"));
}

static void only_attributes_of_the_file_itself_are_kept(void **state)
{
    struct upper *u = *state;

    make_file(u, "f", "x");
    set_xattr(u, "f", "user.colour", "blue");
    set_xattr(u, "f", "trusted.mine", "1");
    set_xattr(u, "f", "trusted.overlay.origin", "something");
    expect(u, "f f\n");
    struct entry e = find(u, "f");
    assert_int_equal(e.n_xattrs, 2);
    assert_string_equal(e.xattrs[0].name, "trusted.mine");
    assert_string_equal(e.xattrs[1].name, "user.colour");
    assert_int_equal(e.xattrs[1].len, 4);
}

static void marks_of_a_user_namespace_are_read_there_and_only_there(void **state)
{
    struct upper *u = *state;

    u->marks = OVERLAY_MARKS_USER;
    make_dir(u, "d", 0755);
    make_dir(u, "fresh", 0755);
    make_dir(u, "empty", 0755);
    set_xattr(u, "d", "user.overlay.opaque", "y");
    set_xattr(u, "fresh", "user.overlay.opaque", "y");
    set_xattr(u, "empty", "trusted.overlay.opaque", "y");
    set_xattr(u, "d", "user.overlay.impure", "y");
    set_xattr(u, "d", "user.colour", "blue");
    expect(u, "d d opaque\nd empty\nd fresh\n");
    assert_true(has_xattr(u, "d", "user.overlay.opaque"));
    assert_false(has_xattr(u, "fresh", "user.overlay.opaque"));
    struct entry e = find(u, "d");
    assert_int_equal(e.n_xattrs, 1);
    assert_string_equal(e.xattrs[0].name, "user.colour");
}

static void half_trees_are_refused(void **state)
{
    static const char *const names[] = { "trusted.overlay.redirect", "trusted.overlay.metacopy" };
    struct upper *u = *state;

    make_dir(u, "moved", 0755);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
        AUTO(mem_free) char *full = path_join(u->path, "moved");
        set_xattr(u, "moved", names[i], "/d");
        assert_int_equal(upper_list(u->fd, u->marks, u->v, b, &u->err), ERR_IO);
        assert_int_equal(removexattr(full, names[i]), 0);
    }
}

static void hard_links_name_the_first_in_listing_order(void **state)
{
    struct upper *u = *state;

    make_dir(u, "z", 0755);
    make_dir(u, "a", 0755);
    make_file(u, "z/one", "x");
    make_file(u, "z.lone", "y");
    assert_int_equal(linkat(u->fd, "z/one", u->fd, "z/two", 0), 0);
    assert_int_equal(linkat(u->fd, "z/one", u->fd, "a/three", 0), 0);
    expect(u, "d a\nf a/three\nd z\nf z/one = a/three\nf z/two = a/three\nf z.lone\n");
}

static void sockets_are_left_out_and_removed(void **state)
{
    struct upper *u = *state;
    struct sockaddr_un addr = { .sun_family = AF_UNIX };
    AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    make_dir(u, "d", 0755);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/d/socket", u->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(mkfifoat(u->fd, "d/fifo", 0600), 0);
    assert_int_equal(symlinkat("../away", u->fd, "d/link"), 0);
    set_time(u, "d", 7000, 0);
    expect(u, "d d\np d/fifo\nl d/link\n");
    assert_string_equal(find(u, "d/link").target, "../away");
    assert_int_equal(find(u, "d").mtime, 7000);
    assert_false(exists(u, "d/socket"));
}

static void deep_trees_need_no_more_than_one_open_file(void **state)
{
    struct upper *u = *state;
    AUTO(fd_close) int fd = dup(u->fd);

    for (int i = 0; i < 2000; i++) {
        assert_int_equal(mkdirat(fd, "d", 0755), 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    assert_ok(upper_list(u->fd, u->marks, u->v, b, &u->err), &u->err);
    assert_int_equal(listing_builder_len(b), 2000);
}

static void root_of_the_upper_directory_is_as_in_the_view(void **state)
{
    struct upper *u = *state;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    struct entry_xattr x = { .name = "user.root", .value = "1", .len = 1 };
    struct entry e = { .path = "",
                       .type = ENTRY_DIR,
                       .mode = 01711,
                       .uid = 3,
                       .gid = 4,
                       .mtime = 77,
                       .xattrs = &x,
                       .n_xattrs = 1 };
    struct stat st;

    assert_ok(listing_builder_add(b, &e, &u->err), &u->err);
    struct listing *l = listing_of(b);
    const struct listing *layers[] = { l };
    AUTO(view_free) struct view *v = view_new(layers, 1);
    make_dir(u, "upper", 0700);
    assert_ok(upper_prepare(u->fd, "upper", v, &u->err), &u->err);
    assert_int_equal(fstatat(u->fd, "upper", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 01711);
    assert_int_equal(st.st_uid, 3);
    assert_int_equal(st.st_gid, 4);
    assert_int_equal(st.st_mtim.tv_sec, 77);
    assert_true(has_xattr(u, "upper", "user.root"));
    listing_free(l);
}

/* ---- the helper's order and report ---- */

static void order_and_report_survive_being_written(void **state)
{
    AUTO(helper_order_release) struct helper_order o = { .dir = str_dup("/d\xff") };
    AUTO(helper_order_release) struct helper_order got = { .dir = NULL };
    AUTO(helper_report_release) struct helper_report r = { .status = 42 };
    AUTO(helper_report_release) struct helper_report back = { .status = 0 };
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct err err = ERR_INIT;

    (void)state;
    strv_add(&o.lowers, "/l\n1");
    o.n_observed = 3;
    o.seal = str_dup(".seal");
    strv_add(&o.runtime, "runc");
    struct helper_mount *m = helper_order_add(&o, HELPER_MOUNT_LAYERS, "t");
    m->source = str_dup("");
    strv_add(&m->lowers, "/x");
    helper_order_write(&o, &b);
    assert_ok(helper_order_read(b.data, b.len, &got, &err), &err);
    assert_string_equal(got.dir, "/d\xff");
    assert_string_equal(got.lowers.v[0], "/l\n1");
    assert_int_equal(got.n_observed, 3);
    assert_string_equal(got.seal, ".seal");
    assert_int_equal(got.n_mounts, 1);
    assert_int_equal(got.mounts[0].kind, HELPER_MOUNT_LAYERS);
    assert_string_equal(got.mounts[0].lowers.v[0], "/x");
    assert_string_equal(got.mounts[0].below, "");
    assert_true(got.mounts[0].makes_stub);
    buf_clear(&b);
    err_sys(&r.failed, ENOSPC, "no");
    strv_add(&r.stubs, "etc");
    r.unsealed = 2;
    helper_report_write(&r, &b);
    assert_ok(helper_report_read(b.data, b.len, &back, &err), &err);
    assert_int_equal(back.status, 42);
    assert_int_equal(back.failed.code, ERR_IO);
    assert_int_equal(back.failed.sys, ENOSPC);
    assert_string_equal(back.failed.msg, r.failed.msg);
    assert_string_equal(back.stubs.v[0], "etc");
    assert_int_equal(back.unsealed, 2);
}

static void cut_orders_and_reports_are_damage(void **state)
{
    AUTO(helper_order_release) struct helper_order o = { .dir = str_dup("/d") };
    AUTO(helper_report_release) struct helper_report r = { .status = 42 };
    AUTO(buf_release) struct buf order = BUF_INIT;
    AUTO(buf_release) struct buf report = BUF_INIT;

    (void)state;
    strv_add(&o.lowers, "/l");
    helper_order_add(&o, HELPER_MOUNT_BIND, "t");
    helper_order_write(&o, &order);
    strv_add(&r.stubs, "etc");
    helper_report_write(&r, &report);
    for (size_t n = 0; n < order.len; n++) {
        AUTO(helper_order_release) struct helper_order got = { .dir = NULL };
        struct err err = ERR_INIT;
        assert_int_equal(helper_order_read(order.data, n, &got, &err), ERR_CORRUPT);
    }
    for (size_t n = 0; n < report.len; n++) {
        AUTO(helper_report_release) struct helper_report got = { .status = 0 };
        struct err err = ERR_INIT;
        assert_int_equal(helper_report_read(report.data, n, &got, &err), ERR_CORRUPT);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, upper_setup, upper_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(directories_that_were_only_copied_up_are_dropped),
        CASE(directories_with_other_metadata_are_kept),
        CASE(parents_of_what_changed_are_listed_with_their_times),
        CASE(whiteouts_count_only_over_something),
        CASE(opaque_counts_only_over_something),
        CASE(only_attributes_of_the_file_itself_are_kept),
        CASE(half_trees_are_refused),
        CASE(marks_of_a_user_namespace_are_read_there_and_only_there),
        CASE(hard_links_name_the_first_in_listing_order),
        CASE(sockets_are_left_out_and_removed),
        CASE(deep_trees_need_no_more_than_one_open_file),
        CASE(root_of_the_upper_directory_is_as_in_the_view),
        cmocka_unit_test(order_and_report_survive_being_written),
        cmocka_unit_test(cut_orders_and_reports_are_damage),
    };
    return UNIT_RUN("exec_collect", tests);
}
