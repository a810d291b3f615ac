#include "tests/unit/store_scratch.h"

#include "store/engine_memo.h"
#include <dirent.h>

#define HERE "unix:///run/docker.sock"

static struct digest digest_nr(unsigned i)
{
    struct digest d;
    digest_of(&i, sizeof(i), &d);
    return d;
}

static void add(struct engine_memo *m, unsigned id, size_t n)
{
    struct digest d = digest_nr(id);
    struct engine_layer layers[4] = { { .diff = { { { 0 } } } } };
    for (size_t i = 0; i < n; i++) {
        layers[i].diff.d = digest_nr(100 + (unsigned)i);
        if (i % 2 == 0)
            layers[i].blob.d = digest_nr(200 + (unsigned)i);
    }
    engine_memo_add(m, &d, layers, n);
}

static void what_was_written_is_read_again(void **state)
{
    struct scratch *x = *state;
    AUTO(engine_memo_release) struct engine_memo m = { .is_known = true, .is_containerd = true };
    AUTO(engine_memo_release) struct engine_memo got = { .n = 0 };
    AUTO(engine_memo_release) struct engine_memo other = { .n = 0 };
    add(&m, 1, 3);
    add(&m, 2, 0);
    engine_memo_write(x->store, HERE, &m);
    engine_memo_read(x->store, HERE, &got);
    assert_true(got.is_known);
    assert_true(got.is_containerd);
    assert_int_equal(got.n, 2);
    struct digest one = digest_nr(1), two = digest_nr(2);
    assert_true(digest_eq(&got.images[0].id, &two));
    assert_int_equal(got.images[0].n_layers, 0);
    const struct engine_image *image = engine_memo_find(&got, &one);
    assert_non_null(image);
    assert_int_equal(image->n_layers, 3);
    assert_memory_equal(image->layers, m.images[1].layers, 3 * sizeof(*image->layers));
    engine_memo_read(x->store, "tcp://elsewhere:2375", &other);
    assert_false(other.is_known);
}

static void the_newest_images_are_kept_each_once(UNUSED void **state)
{
    AUTO(engine_memo_release) struct engine_memo m = { .n = 0 };
    for (unsigned i = 0; i < ENGINE_MEMO_IMAGES + 3; i++)
        add(&m, i, 1);
    add(&m, 10, 2);
    struct digest first = digest_nr(0), again = digest_nr(10);
    assert_int_equal(m.n, ENGINE_MEMO_IMAGES);
    assert_true(digest_eq(&m.images[0].id, &again));
    assert_int_equal(m.images[0].n_layers, 2);
    assert_null(engine_memo_find(&m, &first));
    engine_memo_drop(&m, &again);
    engine_memo_drop(&m, &again);
    assert_null(engine_memo_find(&m, &again));
    assert_int_equal(m.n, ENGINE_MEMO_IMAGES - 1);
    AUTO(mem_free)
    struct engine_layer *many = mem_calloc(ENGINE_MEMO_LAYERS + 1, sizeof(*many));
    engine_memo_add(&m, &first, many, ENGINE_MEMO_LAYERS + 1);
    assert_null(engine_memo_find(&m, &first));
}

/* The path of the only memo. */
static char *memo_file(struct scratch *x)
{
    AUTO(mem_free) char *dir = str_printf("%s/engines", x->root);
    DIR *d = opendir(dir);
    assert_non_null(d);
    char *path = NULL;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.') {
            assert_null(path);
            path = str_printf("%s/%s", dir, e->d_name);
        }
    closedir(d);
    assert_non_null(path);
    return path;
}

static void what_cannot_be_read_is_nothing_known(void **state)
{
    static const char *const texts[] = {
        "",
        "shale engine 2 graph\n",
        "shale engine 1 graph\nxyz\n",
        "shale engine 1 graph\n"
        "0000000000000000000000000000000000000000000000000000000000000001 1\n",
        "shale engine 1 graph\n"
        "0000000000000000000000000000000000000000000000000000000000000001"
        " 0000000000000000000000000000000000000000000000000000000000000001,2\n",
        "shale engine 1 containerd\n"
        "0000000000000000000000000000000000000000000000000000000000000001"
        " 0000000000000000000000000000000000000000000000000000000000000001:2\n",
    };
    struct scratch *x = *state;
    AUTO(engine_memo_release) struct engine_memo m = { .is_known = true };
    add(&m, 1, 2);
    engine_memo_write(x->store, HERE, &m);
    AUTO(mem_free) char *path = memo_file(x);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO(engine_memo_release) struct engine_memo got = { .n = 0 };
        assert_ok(file_replace(AT_FDCWD, path, texts[i], strlen(texts[i]), 0600, false, &x->err),
                  &x->err);
        engine_memo_read(x->store, HERE, &got);
        assert_false(got.is_known);
        assert_int_equal(got.n, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read_again, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test(the_newest_images_are_kept_each_once),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_nothing_known, scratch_setup,
                                        scratch_teardown),
    };
    return UNIT_RUN("store_engine_memo", tests);
}
