#include "tests/unit/image_help.h"

#include "engine/layer_plan.h"
#include "store/store.h"

struct place {
    char path[64];
    int fd;
    struct store *store;
    struct listing *below;
    struct view *view;
    struct layer_plan *plan;
    struct err err;
};

static int setup(void **state)
{
    struct place *p = mem_zalloc(sizeof(*p));
    p->fd = scratch_make(p->path);
    AUTO(mem_free) char *root = str_printf("%s/store", p->path);
    p->store = store_open(root, &p->err);
    if (p->store == NULL)
        fail_msg("%s", p->err.msg);
    struct entry group_dir = a_dir("shared"), old = a_dir("old");
    group_dir.mode = 02750;
    group_dir.gid = 8;
    old.mtime = 1234;
    p->below = LISTING(group_dir, old, a_file("old/f", "f"), a_dir("old/sub"),
                       a_file("old/sub/deep", "d"), a_link("link", "old"));
    const struct listing *layers[] = { p->below };
    p->view = view_new(layers, 1);
    p->plan = plan_new(p->store, p->view, 0, 0, -1);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    plan_free(p->plan);
    view_free(p->view);
    listing_free(p->below);
    store_close(p->store);
    scratch_remove(p->fd, p->path);
    mem_free(p);
    return 0;
}

static struct origin bytes_of(const char *text)
{
    struct origin o = { .kind = ORIGIN_BYTES };
    buf_adds(&o.bytes, text);
    return o;
}

static int put(struct place *p, const char *path, const char *text)
{
    struct entry e = a_file(path, text);
    struct origin o = bytes_of(text);
    err_clear(&p->err);
    return plan_put(p->plan, &e, &o, &p->err);
}

static void replace(struct place *p, struct entry e, const char *text)
{
    struct origin o = { .kind = ORIGIN_NONE };
    if (text != NULL)
        o = bytes_of(text);
    assert_ok(plan_replace(p->plan, &e, &o, &p->err), &p->err);
}

static const struct listing *make(struct place *p)
{
    const struct layer *l = plan_make(p->plan, &p->err);
    if (l == NULL)
        fail_msg("%s", p->err.msg);
    return l->listing;
}

static void directories_on_the_way_stand_in_the_layer(void **state)
{
    struct place *p = *state;
    assert_ok(put(p, "old/new/deep/f", "x"), &p->err);
    const struct listing *l = make(p);
    struct entry e;
    assert_listing(l, "d old|d old/new|d old/new/deep|f old/new/deep/f");
    assert_true(listing_find(l, "old", &e));
    assert_int_equal(e.mtime, 1234);
    assert_true(listing_find(l, "old/new", &e));
    assert_int_equal(e.mode, 0755);
    assert_int_equal(e.mtime, 1234);
}

static void files_and_directories_do_not_replace_each_other(void **state)
{
    struct place *p = *state;
    struct entry dir = a_dir("old/f");
    assert_int_equal(put(p, "old/sub", "x"), ERR_USAGE);
    assert_string_equal(p->err.msg, "cannot replace to directory /old/sub with file");
    err_clear(&p->err);
    assert_int_equal(plan_put(p->plan, &dir, NULL, &p->err), ERR_USAGE);
    assert_string_equal(p->err.msg, "cannot copy to non-directory: /old/f");
    assert_int_equal(put(p, "old/f/below", "x"), ERR_USAGE);
}

static void a_new_directory_takes_the_group_of_a_set_group_id_one(void **state)
{
    struct place *p = *state;
    struct entry e;
    assert_ok(plan_dir(p->plan, "shared/a/b", &p->err), &p->err);
    assert_true(plan_find(p->plan, "shared/a/b", &e));
    assert_int_equal(e.mode, 02755);
    assert_int_equal(e.gid, 8);
    plan_new_dirs(p->plan, 0700, true);
    assert_ok(plan_dir(p->plan, "shared/owned", &p->err), &p->err);
    assert_true(plan_find(p->plan, "shared/owned", &e));
    assert_int_equal(e.mode, 02700);
    assert_int_equal(e.gid, 0);
}

static void names_of_one_file_stay_hard_links(void **state)
{
    struct place *p = *state;
    struct entry e;
    assert_ok(put(p, "b", "x"), &p->err);
    assert_ok(plan_link(p->plan, "a", "b", false, &p->err), &p->err);
    const struct listing *l = make(p);
    assert_true(listing_find(l, "a", &e));
    assert_null(e.hardlink);
    assert_true(listing_find(l, "b", &e));
    assert_string_equal(e.hardlink, "a");
}

static void a_name_put_anew_leaves_its_links_alone(void **state)
{
    struct place *p = *state;
    struct entry e, was = a_file("x", "first");
    assert_ok(put(p, "a", "first"), &p->err);
    assert_ok(plan_link(p->plan, "b", "a", false, &p->err), &p->err);
    assert_ok(plan_link(p->plan, "c", "b", false, &p->err), &p->err);
    assert_ok(put(p, "a", "second"), &p->err);
    const struct listing *l = make(p);
    assert_true(listing_find(l, "b", &e));
    assert_true(digest_eq(&e.content, &was.content));
    assert_null(e.hardlink);
    assert_true(listing_find(l, "c", &e));
    assert_string_equal(e.hardlink, "b");
    assert_true(listing_find(l, "a", &e));
    assert_int_equal(e.size, 6);
}

static void a_link_to_what_is_not_planned_is_a_miss(void **state)
{
    struct place *p = *state;
    assert_int_equal(plan_link(p->plan, "a", "old/f", false, &p->err), ERR_NOT_FOUND);
}

static void replacing_takes_all_below_away(void **state)
{
    struct place *p = *state;
    assert_ok(put(p, "old/sub/planned", "x"), &p->err);
    replace(p, a_file("old/sub", "file"), "file");
    assert_false(plan_find(p->plan, "old/sub/planned", NULL));
    assert_false(plan_find(p->plan, "old/sub/deep", NULL));
    assert_listing(make(p), "d old|f old/sub");
}

static void a_directory_after_a_file_hides_the_older_directory(void **state)
{
    struct place *p = *state;
    replace(p, a_file("old/sub", "file"), "file");
    replace(p, a_dir("old/sub"), NULL);
    assert_false(plan_find(p->plan, "old/sub/deep", NULL));
    assert_ok(put(p, "old/sub/more/f", "x"), &p->err);
    assert_listing(make(p), "d old|d! old/sub|d old/sub/more|f old/sub/more/f");
}

static void an_opaque_directory_of_the_image_merges_like_any_other(void **state)
{
    struct place *p = *state;
    struct entry old = a_dir("old");
    old.opaque = true;
    AUTO(listing_free) struct listing *l = LISTING(old, a_file("old/f", "f"));
    const struct listing *layers[] = { p->below, l };
    AUTO(view_free) struct view *v = view_new(layers, 2);
    plan_free(p->plan);
    p->plan = plan_new(p->store, v, 0, 0, -1);
    replace(p, a_dir("old"), NULL);
    assert_true(plan_find(p->plan, "old/f", NULL));
    replace(p, a_file("old/g", "g"), "g");
    assert_listing(make(p), "d old|f old/g");
}

static void what_a_new_directory_hides_stays_hidden(void **state)
{
    struct place *p = *state;
    struct entry sub = a_dir("old/sub");
    replace(p, a_file("old/sub", "file"), "file");
    replace(p, sub, NULL);
    assert_ok(plan_put(p->plan, &sub, NULL, &p->err), &p->err);
    replace(p, sub, NULL);
    assert_false(plan_find(p->plan, "old/sub/deep", NULL));
    assert_listing(make(p), "d old|d! old/sub");
}

static void files_and_directories_take_turns_in_no_time(void **state)
{
    struct place *p = *state;
    for (int i = 0; i < 50000; i++) {
        AUTO(mem_free) char *path = str_printf("many/%d", i);
        assert_ok(put(p, path, ""), &p->err);
    }
    for (int i = 0; i < 50000; i++) { /* each looking at all others: a minute */
        replace(p, a_file("turn/in", "x"), "x");
        replace(p, a_file("turn", "x"), "x");
        replace(p, a_dir("turn"), NULL);
    }
    assert_false(plan_find(p->plan, "turn/in", NULL));
    assert_true(plan_find(p->plan, "many/49999", NULL));
}

static void a_directory_replaces_a_link_and_merges_with_a_directory(void **state)
{
    struct place *p = *state;
    replace(p, a_dir("link"), NULL);
    replace(p, a_dir("old"), NULL);
    assert_true(plan_find(p->plan, "old/sub/deep", NULL));
    assert_false(plan_find(p->plan, "link/f", NULL));
    assert_listing(make(p), "d link"); /* old is as it was */
}

static void what_planning_reads_is_carried_in_the_layer(void **state)
{
    struct place *p = *state;
    struct entry e;
    assert_ok(put(p, "etc/passwd", "u:x:7:8::/:\n"), &p->err);
    const struct listing *l = make(p);
    assert_true(listing_find(l, "etc/passwd", &e));
    assert_non_null(e.inline_data);
    assert_memory_equal(e.inline_data, "u:x:7:8::/:\n", e.size);
}

static void the_content_id_is_the_layers(void **state)
{
    struct place *p = *state;
    struct content_id id;
    assert_ok(put(p, "etc/passwd", "u:x:7:8::/:\n"), &p->err);
    assert_ok(put(p, "b", "x"), &p->err);
    assert_ok(plan_link(p->plan, "c", "b", false, &p->err), &p->err);
    assert_ok(plan_content_id(p->plan, &id, &p->err), &p->err);
    assert_true(digest_eq(&id.d, &listing_content_id(make(p))->d));
}

/* Names in another order than a listing's, in old and new directories. */
static void the_order_of_putting_is_not_in_the_content_id(void **state)
{
    struct place *p = *state;
    const char *paths[] = { "z/y/x", "old/g", "a.b", "a/z", "a/b/c", "old/sub/h", "shared/i" };
    const size_t n = ARRAY_LEN(paths);
    struct content_id ids[2];
    for (size_t round = 0; round < 2; round++) {
        plan_free(p->plan);
        p->plan = plan_new(p->store, p->view, 0, 0, -1);
        for (size_t i = 0; i < n; i++) {
            const char *path = paths[round == 0 ? i : n - 1 - i];
            assert_ok(put(p, path, path), &p->err);
        }
        assert_ok(plan_link(p->plan, "a/a", "z/y/x", false, &p->err), &p->err);
        assert_ok(plan_content_id(p->plan, &ids[round], &p->err), &p->err);
    }
    assert_true(digest_eq(&ids[0].d, &ids[1].d));
    struct digest whole;
    assert_ok(plan_whole_id(p->plan, &whole, &p->err), &p->err);
    const struct listing *l = make(p);
    struct entry e;
    assert_true(digest_eq(&ids[0].d, &listing_content_id(l)->d));
    assert_true(listing_find(l, "z/y/x", &e));
    assert_string_equal(e.hardlink, "a/a");
    assert_false(listing_find(l, "old/f", NULL));
}

/* The bytes are read long after the scan. */
static void a_file_that_changes_before_it_is_copied_is_noticed(void **state)
{
    struct place *p = *state;
    AUTO(pool_free) struct pool *pool = pool_new(2);
    AUTO(mem_free) char *path = str_printf("%s/ctx", p->path);
    AUTO(mem_free) char *file = str_printf("%s/f", path);
    assert_ok(dir_make(p->fd, "ctx", 0755, &p->err), &p->err);
    assert_ok(file_replace(AT_FDCWD, file, "old!", 4, 0644, false, &p->err), &p->err);
    AUTO(context_free)
    struct context *c = context_open(path, NULL, p->store, pool, NULL, &p->err);
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct listing *l;
    struct entry e;
    strv_add(&wants, "");
    usleep(150 * 1000); /* so that its digest is remembered */
    assert_ok(context_scan(c, &wants, &l, &p->err), &p->err);
    assert_int_equal(unlinkat(store_dirfd(p->store), "memory", AT_REMOVEDIR), -1); /* not empty */
    assert_true(listing_find(l, "f", &e));
    struct origin o = { .kind = ORIGIN_CONTEXT, .path = "f", .context = c };
    assert_ok(plan_put(p->plan, &e, &o, &p->err), &p->err);
    assert_ok(file_replace(AT_FDCWD, file, "new!", 4, 0644, false, &p->err), &p->err);
    assert_null(plan_make(p->plan, &p->err));
    assert_non_null(strstr(p->err.msg, "a file changed while it was copied"));
    /* what was remembered of it may be wrong, and goes */
    assert_int_equal(unlinkat(store_dirfd(p->store), "memory", AT_REMOVEDIR), 0);
}

static void what_is_below_already_is_not_in_the_layer(void **state)
{
    struct place *p = *state;
    struct entry link = a_link("link", "old");
    assert_ok(put(p, "old/f", "f"), &p->err);
    assert_ok(put(p, "old/sub/deep", "changed"), &p->err);
    assert_ok(plan_put(p->plan, &link, NULL, &p->err), &p->err);
    assert_listing(make(p), "d old|d old/sub|f old/sub/deep");
}

static void a_plan_that_changes_nothing_is_an_empty_layer(void **state)
{
    struct place *p = *state;
    assert_ok(put(p, "old/f", "f"), &p->err);
    assert_ok(plan_dir(p->plan, "old/sub", &p->err), &p->err);
    assert_listing(make(p), "");
}

static void links_between_files_that_are_there_are_a_change(void **state)
{
    struct place *p = *state;
    assert_ok(put(p, "old/f", "f"), &p->err);
    assert_ok(plan_link(p->plan, "old/g", "old/f", false, &p->err), &p->err);
    assert_listing(make(p), "d old|f old/f|f old/g");
}

static struct cache_key key_of_links(struct place *p)
{
    AUTO(key_free) struct key *k = key_new("t");
    struct cache_key ret;
    plan_key_links(p->plan, k);
    key_end(k, &ret, NULL);
    return ret;
}

static void a_key_tells_names_of_one_file_from_equal_files(void **state)
{
    struct place *p = *state;
    struct content_id apart, linked;
    assert_ok(put(p, "a", "x"), &p->err);
    assert_ok(put(p, "b", "x"), &p->err);
    assert_ok(plan_content_id(p->plan, &apart, &p->err), &p->err);
    struct cache_key before = key_of_links(p);
    assert_ok(plan_link(p->plan, "b", "a", false, &p->err), &p->err);
    assert_ok(plan_content_id(p->plan, &linked, &p->err), &p->err);
    struct cache_key after = key_of_links(p);
    assert_true(digest_eq(&apart.d, &linked.d));
    assert_false(digest_eq(&before.d, &after.d));
}

static void all_names_of_a_file_are_touched(void **state)
{
    struct place *p = *state;
    struct entry e, how = a_file("x", "");
    how.mode = 0600;
    how.uid = 7;
    assert_ok(put(p, "a", "x"), &p->err);
    assert_ok(plan_link(p->plan, "b", "a", false, &p->err), &p->err);
    plan_touch(p->plan, "b", &how);
    const struct listing *l = make(p);
    assert_true(listing_find(l, "a", &e));
    assert_int_equal(e.mode, 0600);
    assert_int_equal(e.uid, 7);
    assert_true(listing_find(l, "b", &e));
    assert_int_equal(e.mode, 0600);
}

/* Stable times. */

static struct entry at_time(struct entry e, int64_t mtime)
{
    e.mtime = mtime;
    e.mtime_ns = 7;
    return e;
}

static void put_at(struct place *p, struct entry e, const char *text, int64_t mtime)
{
    struct origin o = bytes_of(text);
    struct entry timed = at_time(e, mtime);
    timed.mtime_ns = 8;
    assert_ok(plan_put(p->plan, &timed, &o, &p->err), &p->err);
}

static void assert_time(const struct listing *l, const char *path, int64_t want)
{
    struct entry e;
    if (!listing_find(l, path, &e))
        fail_msg("no '%s'", path);
    if (e.mtime != want || e.mtime_ns != (want < 100 ? 7 : 8))
        fail_msg("'%s': %lld.%u", path, (long long)e.mtime, e.mtime_ns);
}

static void what_is_as_it_was_keeps_its_time(void **state)
{
    struct place *p = *state;
    struct entry mode = a_file("d/mode", "m"), owner = a_file("d/owner", "o");
    AUTO(listing_free)
    struct listing *before =
        LISTING(at_time(a_dir("d"), 10), at_time(a_file("d/same", "s"), 11),
                at_time(a_file("d/edited", "e"), 12), at_time(mode, 13), at_time(owner, 14),
                at_time(a_link("d/link", "same"), 15), at_time(a_link("d/other", "same"), 16),
                at_time(a_file("d/later", "l"), 17));
    mode.mode = 0600;
    owner.uid = 1;
    put_at(p, a_dir("d"), "", 100);
    put_at(p, a_file("d/same", "s"), "s", 101);
    put_at(p, a_file("d/edited", "E"), "E", 102);
    put_at(p, mode, "m", 103);
    put_at(p, owner, "o", 104);
    put_at(p, a_link("d/link", "same"), "", 101);
    put_at(p, a_file("d/later", "l"), "l", 103); /* newer than what was edited: so it stays */
    put_at(p, a_link("d/other", "edited"), "", 106);
    plan_keep_times(p->plan, before);
    const struct listing *l = make(p);
    assert_time(l, "d", 10);
    assert_time(l, "d/later", 103);
    assert_time(l, "d/same", 11);
    assert_time(l, "d/edited", 102);
    assert_time(l, "d/mode", 103);
    assert_time(l, "d/owner", 104);
    assert_time(l, "d/link", 15);
    assert_time(l, "d/other", 106);
}

static void a_directory_keeps_its_time_with_its_names(void **state)
{
    struct place *p = *state;
    AUTO(listing_free)
    struct listing *before =
        LISTING(at_time(a_dir("added"), 10), at_time(a_dir("added/deep"), 11),
                at_time(a_file("added/deep/f", "f"), 12), at_time(a_dir("gone"), 13),
                at_time(a_file("gone/f", "f"), 14), at_time(a_file("gone/g", "g"), 15),
                at_time(a_dir("turned"), 16), at_time(a_file("turned/f", "f"), 17));
    put_at(p, a_dir("added"), "", 100);
    put_at(p, a_dir("added/deep"), "", 101);
    put_at(p, a_file("added/deep/f", "f"), "f", 102);
    put_at(p, a_file("added/new", "n"), "n", 103);
    put_at(p, a_dir("gone"), "", 104);
    put_at(p, a_file("gone/f", "f"), "f", 102);
    put_at(p, a_dir("turned"), "", 106);
    put_at(p, a_link("turned/f", "g"), "", 107);
    plan_keep_times(p->plan, before);
    const struct listing *l = make(p);
    assert_time(l, "added", 100);
    assert_time(l, "added/deep", 11);
    assert_time(l, "added/deep/f", 12);
    assert_time(l, "added/new", 103);
    assert_time(l, "gone", 104);
    assert_time(l, "gone/f", 14);
    assert_time(l, "turned", 106);
    assert_time(l, "turned/f", 107);
}

static void a_directory_on_the_way_has_the_time_that_it_has_below(void **state)
{
    struct place *p = *state;
    struct entry e;
    AUTO(listing_free)
    struct listing *before = LISTING(at_time(a_dir("old"), 10), at_time(a_dir("old/sub"), 11),
                                     at_time(a_file("old/sub/new", "n"), 12));
    put_at(p, a_dir("old/sub"), "", 100); /* its own, although there is one below */
    put_at(p, a_file("old/sub/new", "n"), "n", 101);
    plan_keep_times(p->plan, before);
    const struct listing *l = make(p);
    assert_true(listing_find(l, "old", &e));
    assert_int_equal(e.mtime, 1234);
    assert_time(l, "old/sub", 11);
    assert_time(l, "old/sub/new", 12);
}

static void files_with_several_names_are_left_alone(void **state)
{
    struct place *p = *state;
    AUTO(listing_free)
    struct listing *before =
        LISTING(at_time(a_file("a", "x"), 10), at_time(a_file("b", "x"), 11),
                at_time(a_file("c", "y"), 12), at_time(a_hardlink("d", "c"), 13));
    put_at(p, a_file("a", "x"), "x", 100);
    assert_ok(plan_link(p->plan, "b", "a", false, &p->err), &p->err);
    put_at(p, a_file("d", "y"), "y", 101);
    plan_keep_times(p->plan, before);
    const struct listing *l = make(p);
    assert_time(l, "a", 100);
    assert_time(l, "b", 100);
    assert_time(l, "d", 101);
}

static void kept_times_change_no_content_id(void **state)
{
    struct place *p = *state;
    struct content_id id;
    AUTO(listing_free) struct listing *before = LISTING(at_time(a_file("a", "x"), 10));
    put_at(p, a_file("a", "x"), "x", 100);
    assert_ok(plan_content_id(p->plan, &id, &p->err), &p->err);
    plan_keep_times(p->plan, before);
    const struct listing *l = make(p);
    assert_time(l, "a", 10);
    assert_true(digest_eq(&listing_content_id(l)->d, &id.d));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(directories_on_the_way_stand_in_the_layer),
        CASE(files_and_directories_do_not_replace_each_other),
        CASE(a_new_directory_takes_the_group_of_a_set_group_id_one),
        CASE(names_of_one_file_stay_hard_links),
        CASE(a_name_put_anew_leaves_its_links_alone),
        CASE(a_link_to_what_is_not_planned_is_a_miss),
        CASE(replacing_takes_all_below_away),
        CASE(a_directory_after_a_file_hides_the_older_directory),
        CASE(an_opaque_directory_of_the_image_merges_like_any_other),
        CASE(what_a_new_directory_hides_stays_hidden),
        CASE(files_and_directories_take_turns_in_no_time),
        CASE(a_directory_replaces_a_link_and_merges_with_a_directory),
        CASE(what_planning_reads_is_carried_in_the_layer),
        CASE(the_content_id_is_the_layers),
        CASE(the_order_of_putting_is_not_in_the_content_id),
        CASE(a_file_that_changes_before_it_is_copied_is_noticed),
        CASE(what_is_below_already_is_not_in_the_layer),
        CASE(a_plan_that_changes_nothing_is_an_empty_layer),
        CASE(links_between_files_that_are_there_are_a_change),
        CASE(what_is_as_it_was_keeps_its_time),
        CASE(a_directory_keeps_its_time_with_its_names),
        CASE(a_directory_on_the_way_has_the_time_that_it_has_below),
        CASE(files_with_several_names_are_left_alone),
        CASE(kept_times_change_no_content_id),
        CASE(a_key_tells_names_of_one_file_from_equal_files),
        CASE(all_names_of_a_file_are_touched),
    };
    return UNIT_RUN("engine_plan", tests);
}
