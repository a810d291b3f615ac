#include "tests/unit/store_scratch.h"

#include "store/blob.h"
#include "store/layer.h"
#include "store/tag.h"

static struct diff_id add_layer(struct scratch *x, const char *text, uint64_t *ret_size)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    const struct tar_member m = { "file", '0', 0644, 0, 0, text, 0, 0 };

    tar_make(&tar, &m, 1);
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(x->store, from, NULL, 0, NULL, &x->err);
    assert_non_null(l);
    *ret_size = l->tar_size;
    return l->diff_id;
}

static struct blob_id add_config(struct scratch *x, const struct diff_id *layer, const char *author)
{
    AUTO(image_config_release) struct image_config c;
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct blob_id id;

    image_config_init(&c);
    c.author = str_dup(author);
    if (layer != NULL) {
        image_config_add_layer(&c, layer);
        image_config_add_history(&c, NULL, "COPY", NULL, false);
    }
    image_config_write(&c, &b);
    assert_ok(blob_put(x->store, buf_str(&b), b.len, &id, &x->err), &x->err);
    return id;
}

static void expect_image(struct scratch *x, const char *what, const struct blob_id *config)
{
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };

    assert_ok(tag_find(x->store, what, &i, &x->err), &x->err);
    assert_true(digest_eq(&i.config.d, &config->d));
}

static void a_name_finds_its_image_and_moves(void **state)
{
    struct scratch *x = *state;
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    uint64_t size;
    struct diff_id layer = add_layer(x, "one", &size);
    struct blob_id a = add_config(x, &layer, "a"), b = add_config(x, NULL, "b"), manifest;
    const char *name = "docker.io/library/app:latest";

    assert_ok(blob_put(x->store, "{}", 2, &manifest, &x->err), &x->err);
    assert_ok(tag_set(x->store, name, &a, &manifest, &x->err), &x->err);
    assert_ok(tag_get(x->store, name, &i, &x->err), &x->err);
    assert_string_equal(i.name, name);
    assert_true(digest_eq(&i.config.d, &a.d));
    assert_true(i.has_manifest && digest_eq(&i.manifest.d, &manifest.d));
    assert_int_equal(i.size, size);
    assert_true(i.tagged_s > 0);
    expect_image(x, "app", &a);
    assert_ok(tag_set(x->store, name, &b, NULL, &x->err), &x->err);
    expect_image(x, "app:latest", &b);
    store_again(x);
    expect_image(x, "docker.io/library/app", &b);
}

static void an_image_whose_bytes_are_not_here_gets_no_name(void **state)
{
    struct scratch *x = *state;
    struct diff_id layer;
    struct blob_id manifest, config;

    digest_of("nowhere", 7, &layer.d);
    digest_of("nowhere", 7, &manifest.d);
    config = add_config(x, &layer, "a");
    assert_int_equal(tag_set(x->store, "x", &config, NULL, &x->err), ERR_NOT_FOUND);
    config = add_config(x, NULL, "a");
    assert_int_equal(tag_set(x->store, "x", &config, &manifest, &x->err), ERR_NOT_FOUND);
    digest_of("nowhere", 7, &config.d);
    assert_int_equal(tag_set(x->store, "x", &config, NULL, &x->err), ERR_NOT_FOUND);
    assert_int_equal(ask_db(x, "SELECT count(*) FROM tags"), 0);
}

static void an_image_is_found_by_its_id_and_by_its_beginning(void **state)
{
    struct scratch *x = *state;
    struct blob_id id = add_config(x, NULL, "a");
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    char part[DIGEST_STR_LEN + 1];

    assert_ok(tag_set(x->store, NULL, &id, NULL, &x->err), &x->err);
    expect_image(x, DIGEST_S(&id.d), &id);
    expect_image(x, DIGEST_HEX(&id.d), &id);
    snprintf(part, sizeof(part), "%.4s", DIGEST_HEX(&id.d));
    expect_image(x, part, &id);
    snprintf(part, sizeof(part), "sha256:%.13s", DIGEST_HEX(&id.d));
    expect_image(x, part, &id);
    assert_int_equal(tag_find(x->store, "abc", &i, &x->err), ERR_NOT_FOUND);
    assert_string_equal(x->err.msg, "no such image: abc");
    assert_int_equal(tag_find(x->store, "Not A Name", &i, &x->err), ERR_USAGE);
}

static void two_images_with_one_beginning_are_told_apart(void **state)
{
    struct scratch *x = *state;
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };
    struct blob_id first = { 0 };
    char seen[65536] = { 0 }, part[5];

    for (int n = 0; n < 5000; n++) { /* until two share four digits */
        AUTO(mem_free) char *author = str_printf("%d", n);
        struct blob_id id = add_config(x, NULL, author);
        if (n == 0)
            first = id;
        assert_ok(tag_set(x->store, NULL, &id, NULL, &x->err), &x->err);
        if (seen[id.d.b[0] << 8 | id.d.b[1]]) {
            snprintf(part, sizeof(part), "%02x%02x", id.d.b[0], id.d.b[1]);
            assert_int_equal(tag_find(x->store, part, &i, &x->err), ERR_USAGE);
            expect_image(x, DIGEST_HEX(&first.d), &first);
            return;
        }
        seen[id.d.b[0] << 8 | id.d.b[1]] = 1;
    }
    fail();
}

static void a_deleted_name_is_gone_and_the_image_stays(void **state)
{
    struct scratch *x = *state;
    struct blob_id id = add_config(x, NULL, "a");
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };

    assert_ok(tag_set(x->store, "docker.io/library/a:1", &id, NULL, &x->err), &x->err);
    assert_ok(tag_delete(x->store, "docker.io/library/a:1", &x->err), &x->err);
    assert_int_equal(tag_get(x->store, "docker.io/library/a:1", &i, &x->err), ERR_NOT_FOUND);
    assert_int_equal(tag_delete(x->store, "docker.io/library/a:1", &x->err), ERR_NOT_FOUND);
    expect_image(x, DIGEST_S(&id.d), &id);
}

static int collect_names(void *arg, const struct stored_image *i, struct err *err UNUSED)
{
    buf_addf(arg, "%s ", i->name ? i->name : "-");
    return 0;
}

static int stop(void *arg UNUSED, const struct stored_image *i UNUSED, struct err *err)
{
    return err_set(err, ERR_CANCELLED, "enough");
}

static void the_list_is_in_order_with_the_unnamed_last(void **state)
{
    struct scratch *x = *state;
    struct blob_id a = add_config(x, NULL, "a"), b = add_config(x, NULL, "b");
    AUTO(buf_release) struct buf names = BUF_INIT;

    assert_ok(tag_set(x->store, "n2", &a, NULL, &x->err), &x->err);
    assert_ok(tag_set(x->store, "n1", &a, NULL, &x->err), &x->err);
    assert_ok(tag_set(x->store, NULL, &b, NULL, &x->err), &x->err);
    assert_ok(tag_list(x->store, collect_names, &names, &x->err), &x->err);
    assert_string_equal(buf_str(&names), "n1 n2 - ");
    assert_int_equal(tag_list(x->store, stop, NULL, &x->err), ERR_CANCELLED);
}

static void a_damaged_configuration_is_not_served(void **state)
{
    struct scratch *x = *state;
    struct blob_id id = add_config(x, NULL, "a");
    AUTO(image_config_release) struct image_config c = { .created = NULL };
    AUTO(mem_free) char *path = blob_file(x, &id.d);

    assert_ok(tag_config(x->store, &id, &c, &x->err), &x->err);
    assert_string_equal(c.author, "a");
    damage_file(path, 10);
    struct image_config other = { .created = NULL };
    assert_int_equal(tag_config(x->store, &id, &other, &x->err), ERR_CORRUPT);
    assert_int_equal(tag_config(x->store, &id, &other, &x->err), ERR_NOT_FOUND);
}

static void a_remote_name_is_remembered_per_platform(void **state)
{
    struct scratch *x = *state;
    struct blob_id m, c;
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };

    digest_of("m", 1, &m.d);
    digest_of("c", 1, &c.d);
    assert_ok(remote_name_set(x->store, "r/x:1", "linux/amd64", &m, &c, &x->err), &x->err);
    assert_int_equal(remote_name_get(x->store, "r/x:1", "linux/arm64", &i, &x->err), ERR_NOT_FOUND);
    assert_ok(remote_name_get(x->store, "r/x:1", "linux/amd64", &i, &x->err), &x->err);
    assert_string_equal(i.name, "r/x:1");
    assert_true(i.has_manifest && digest_eq(&i.manifest.d, &m.d) && digest_eq(&i.config.d, &c.d));
}

static void expect_for(struct scratch *x, const char *name, const char *platform,
                       const struct blob_id *config, bool is_chosen)
{
    struct platform p;
    AUTO(stored_image_release) struct stored_image i = { .name = NULL };

    assert_ok(platform_parse(platform, &p, &x->err), &x->err);
    assert_ok(tag_get_for(x->store, name, &p, &i, &x->err), &x->err);
    assert_true(digest_eq(&i.config.d, &config->d));
    assert_int_equal(i.is_chosen, is_chosen);
}

/* Sets the name for arm64 and arm/v6, in this order. */
static void set_two(struct scratch *x, const char *name, struct tag_platform v[2])
{
    v[0].config = add_config(x, NULL, "arm64");
    v[1].config = add_config(x, NULL, "arm");
    assert_ok(platform_parse("linux/arm64", &v[0].platform, &x->err), &x->err);
    assert_ok(platform_parse("linux/arm/v6", &v[1].platform, &x->err), &x->err);
    assert_ok(tag_set_platforms(x->store, name, v, 2, &x->err), &x->err);
}

static void a_name_of_several_platforms_gives_the_image_that_suits(void **state)
{
    struct scratch *x = *state;
    struct tag_platform v[2];

    set_two(x, "docker.io/library/a:1", v);
    expect_image(x, "a:1", &v[0].config); /* by its name alone the first */
    expect_for(x, "docker.io/library/a:1", "linux/arm64", &v[0].config, true);
    expect_for(x, "docker.io/library/a:1", "linux/arm/v7", &v[1].config, true);
    expect_for(x, "docker.io/library/a:1", "linux/s390x", &v[0].config, false);
    store_again(x);
    expect_for(x, "docker.io/library/a:1", "linux/arm/v6", &v[1].config, true);
}

static void a_name_that_is_set_anew_has_no_platforms_left(void **state)
{
    struct scratch *x = *state;
    struct tag_platform v[2];

    set_two(x, "docker.io/library/a:1", v);
    assert_ok(tag_set(x->store, "docker.io/library/a:1", &v[0].config, NULL, &x->err), &x->err);
    expect_for(x, "docker.io/library/a:1", "linux/arm/v6", &v[0].config, false);
    set_two(x, "docker.io/library/a:1", v);
    assert_ok(tag_delete(x->store, "docker.io/library/a:1", &x->err), &x->err);
    assert_ok(tag_set(x->store, "docker.io/library/a:1", &v[0].config, NULL, &x->err), &x->err);
    expect_for(x, "docker.io/library/a:1", "linux/arm/v6", &v[0].config, false);
}

static void a_second_name_has_all_platforms_of_the_first(void **state)
{
    struct scratch *x = *state;
    struct tag_platform v[2];

    set_two(x, "docker.io/library/a:1", v);
    assert_ok(tag_copy(x->store, "docker.io/library/a:1", "b", &x->err), &x->err);
    assert_ok(tag_delete(x->store, "docker.io/library/a:1", &x->err), &x->err);
    expect_for(x, "b", "linux/arm64", &v[0].config, true);
    expect_for(x, "b", "linux/arm/v6", &v[1].config, true);
    expect_for(x, "b", "linux/s390x", &v[0].config, false);
    assert_ok(tag_copy(x->store, "b", "b", &x->err), &x->err);
    expect_for(x, "b", "linux/arm/v6", &v[1].config, true);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_name_finds_its_image_and_moves),
        CASE(an_image_whose_bytes_are_not_here_gets_no_name),
        CASE(an_image_is_found_by_its_id_and_by_its_beginning),
        CASE(two_images_with_one_beginning_are_told_apart),
        CASE(a_deleted_name_is_gone_and_the_image_stays),
        CASE(the_list_is_in_order_with_the_unnamed_last),
        CASE(a_damaged_configuration_is_not_served),
        CASE(a_remote_name_is_remembered_per_platform),
        CASE(a_name_of_several_platforms_gives_the_image_that_suits),
        CASE(a_name_that_is_set_anew_has_no_platforms_left),
        CASE(a_second_name_has_all_platforms_of_the_first),
    };

    return UNIT_RUN("store_tag", tests);
}
