/* One store, used by the machine's root and in user namespaces: needs root. */
#include "tests/unit/store_scratch.h"
#include "tests/unit/userns_child.h"

#include "store/layer.h"
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* What a namespace of these ids can have: the device is left out there. */
static const struct tar_member members[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/f", '0', 04755, 5, 6, "x", 0, 0 },
    { "etc/null", '3', 0666, 0, 0, NULL, 1, 3 },
    { "var/.wh.gone", '0', 0644, 0, 0, NULL, 0, 0 },
    { "var/lib/", '5', 01777, 0, 0, NULL, 0, 0 },
    { "var/lib/.wh..wh..opq", '0', 0644, 0, 0, NULL, 0, 0 },
};

struct shared {
    struct scratch *x;
    struct diff_id id;
    char message[400]; /* that unpacking must fail with; "": it works */
};

#define TRY(expr)                                                           \
    do {                                                                    \
        if (!(expr)) {                                                      \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #expr, err.msg); \
            return 1;                                                       \
        }                                                                   \
    } while (0)

static void ingest(struct scratch *x, struct shared *s)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;

    tar_make(&tar, members, ARRAY_LEN(members));
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(x->store, from, NULL, 0, NULL, &x->err);
    if (l == NULL)
        fail_msg("layer_ingest: %s", x->err.msg);
    *s = (struct shared){ .x = x, .id = l->diff_id };
}

static bool has_mark(const char *tree, const char *prefix)
{
    AUTO(mem_free) char *path = str_printf("%s/var/lib", tree);
    AUTO(mem_free) char *name = str_printf("%s.overlay.opaque", prefix);
    char value[4];

    return getxattr(path, name, value, sizeof(value)) == 1 && *value == 'y';
}

static int check_tree(const char *tree, struct err *ret_err)
{
    AUTO(mem_free) char *file = str_printf("%s/etc/f", tree);
    AUTO(mem_free) char *device = str_printf("%s/etc/null", tree);
    AUTO(mem_free) char *gone = str_printf("%s/var/gone", tree);
    struct err err = *ret_err;
    struct stat st;

    TRY(strstr(tree, "/trees-") != NULL);
    TRY(has_mark(tree, "user") && !has_mark(tree, "trusted"));
    TRY(lstat(file, &st) == 0 && st.st_mode == (S_IFREG | 04755));
    TRY(st.st_uid == 5 && st.st_gid == 6);
    TRY(lstat(gone, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0);
    TRY(lstat(device, &st) < 0);
    return 0;
}

static int unpack_inside(void *arg)
{
    const struct shared *s = arg;
    struct err err = ERR_INIT;
    AUTO(store_close) struct store *store = store_open(s->x->root, &err);

    TRY(store != NULL);
    const struct layer *l = layer_get(store, &s->id, &err);
    TRY(l != NULL);
    TRY(!layer_has_tree(store, l));
    AUTO(mem_free) char *tree = layer_tree(store, l, &err);
    if (*s->message != '\0') {
        TRY(tree == NULL && err.code == ERR_UNSUPPORTED);
        TRY(strstr(err.msg, s->message) != NULL);
        return 0;
    }
    TRY(tree != NULL);
    TRY(layer_has_tree(store, l));
    return check_tree(tree, &err);
}

static int refused_inside(void *arg)
{
    const struct shared *s = arg;
    struct err err = ERR_INIT;
    AUTO(store_close) struct store *store = store_open(s->x->root, &err);

    TRY(store == NULL && err.code == ERR_UNSUPPORTED);
    TRY(strstr(err.msg, "has files of other users than this user namespace") != NULL);
    return 0;
}

static void each_side_has_its_own_tree(void **state)
{
    struct scratch *x = *state;
    struct shared s;

    ingest(x, &s);
    const struct layer *l = layer_get(x->store, &s.id, &x->err);
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
    store_close(TAKE(x->store)); /* nobody forks with an open one */
    in_userns("0 0 1\n1 100000 100\n", unpack_inside, &s);
    in_userns("0 0 1\n1 200000 100\n", unpack_inside, &s);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM trees"), 3);
    assert_true(has_mark(tree, "trusted"));
    assert_false(has_mark(tree, "user"));
    store_again(x);
    l = layer_get(x->store, &s.id, &x->err);
    assert_true(layer_has_tree(x->store, l));
}

static void a_tree_from_inside_is_none_outside(void **state)
{
    struct scratch *x = *state;
    struct shared s;

    ingest(x, &s);
    store_close(TAKE(x->store));
    in_userns("0 0 1\n1 100000 100\n", unpack_inside, &s);
    store_again(x);
    const struct layer *l = layer_get(x->store, &s.id, &x->err);
    assert_false(layer_has_tree(x->store, l));
    AUTO(mem_free) char *tree = layer_tree(x->store, l, &x->err);
    assert_non_null(tree);
    assert_true(has_mark(tree, "trusted"));
}

static void an_owner_that_is_not_mapped_is_named(void **state)
{
    struct scratch *x = *state;
    struct shared s;

    ingest(x, &s);
    strcpy(s.message, "'/etc/f' belongs to 5:6, which this user namespace does not have");
    store_close(TAKE(x->store));
    in_userns("0 0 1\n", unpack_inside, &s);
    in_userns("0 0 1\n6 100000 1\n", unpack_inside, &s); /* its group alone */
    store_again(x);
}

/* Two namespaces in others may read the same maps and mean other ids: what they have differs. */
static void trees_whose_owners_are_not_as_they_were_given_are_refused(void **state)
{
    struct scratch *x = *state;
    struct shared s;
    AUTO(strv_release) struct strv found = STRV_INIT;

    ingest(x, &s);
    store_close(TAKE(x->store));
    in_userns("0 0 1\n1 100000 100\n", unpack_inside, &s);
    AUTO(mem_free)
    char *command = str_printf("test $(stat -c %%u:%%g %s/trees-*) = 100099:100099", x->root);
    assert_int_equal(system(command), 0);
    AUTO(mem_free) char *give = str_printf("chown 200099:200099 %s/trees-*", x->root);
    assert_int_equal(system(give), 0);
    in_userns("0 0 1\n1 100000 100\n", refused_inside, &s);
    store_again(x);
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        CASE(each_side_has_its_own_tree),
        CASE(a_tree_from_inside_is_none_outside),
        CASE(an_owner_that_is_not_mapped_is_named),
        CASE(trees_whose_owners_are_not_as_they_were_given_are_refused),
    };

    return UNIT_RUN("store_userns", tests);
}
