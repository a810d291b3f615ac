#include "tests/unit/store_scratch.h"

#include "store/blob.h"
#include "store/layer_away.h"
#include <pthread.h>
#include <stdatomic.h>

/* A registry of one layer, and who fetched from it. */
struct registry {
    struct store *store;
    struct buf packed;
    struct diff_id diff;
    struct layer_place place;
    struct blob_id listing; /* in the store; the layer's own unless a test says otherwise */
    uint64_t tar_size;
    atomic_int n_fetched;
    bool is_down;
};

static const struct tar_member members[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/motd", '0', 0644, 0, 0, "welcome", 0, 0 },
};
static const struct tar_member others[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/motd", '0', 0600, 0, 0, "welcome", 0, 0 },
};

static const struct layer *fetch(void *arg, const struct diff_id *id,
                                 const struct layer_place *where, struct err *err)
{
    struct registry *r = arg;

    atomic_fetch_add(&r->n_fetched, 1);
    if (r->is_down) {
        err_set(err, ERR_NET, "cannot reach %s", where->repository);
        return NULL;
    }
    AUTO(source_free) struct source *from = source_mem(r->packed.data, r->packed.len);
    return layer_ingest(r->store, from, &where->blob.id, where->blob.size, id, err);
}

/* The bytes of a listing of these members; and of nothing else. */
static void listing_of(struct scratch *x, const struct tar_member *m, size_t n, struct blob_id *ret)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();

    tar_make(&tar, m, n);
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    assert_ok(layer_tar_list(from, b, &x->err), &x->err);
    assert_ok(listing_builder_write(b, &bytes, NULL, &x->err), &x->err);
    assert_ok(blob_put(x->store, bytes.data, bytes.len, ret, &x->err), &x->err);
}

static void registry_begin(struct scratch *x, struct registry *r)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;

    memset(r, 0, sizeof(*r));
    tar_make(&tar, members, ARRAY_LEN(members));
    compress_buf(&tar, COMPRESSION_GZIP, &r->packed);
    digest_of(tar.data, tar.len, &r->diff.d);
    r->tar_size = tar.len;
    r->place = (struct layer_place){ .repository = "localhost:5000/base" };
    digest_of(r->packed.data, r->packed.len, &r->place.blob.id.d);
    r->place.blob.size = r->packed.len;
    r->place.blob.compression = COMPRESSION_GZIP;
    listing_of(x, members, ARRAY_LEN(members), &r->listing);
    r->store = x->store;
    store_fetch_with(x->store, fetch, r);
}

static const struct layer *claim(struct scratch *x, struct registry *r)
{
    const struct layer *l =
        layer_away(x->store, &r->diff, &r->listing, r->tar_size, &r->place, &x->err);

    if (l == NULL)
        fail_msg("layer_away: %s", x->err.msg);
    return l;
}

static void what_is_planned_on_needs_no_bytes(void **state)
{
    struct scratch *x = *state;
    struct registry r;
    struct entry e;
    struct err miss = ERR_INIT;

    registry_begin(x, &r);
    const struct layer *l = claim(x, &r);
    assert_true(listing_find(l->listing, "etc/motd", &e));
    assert_int_equal(e.size, 7);
    assert_true(layer_is_away(l));
    assert_false(layer_has_tree(x->store, l));
    assert_string_equal(layer_place(l)->repository, "localhost:5000/base");
    assert_int_equal(r.n_fetched, 0);
    assert_null(layer_get(x->store, &r.diff, &miss)); /* a claim is nobody else's */
    assert_int_equal(miss.code, ERR_NOT_FOUND);
    buf_release(&r.packed);
}

static int by_tree(struct scratch *x, const struct layer *l)
{
    AUTO(mem_free) char *path = layer_tree(x->store, l, &x->err);
    return path == NULL ? x->err.code : 0;
}

static int by_blob(struct scratch *x, const struct layer *l)
{
    struct layer_blob b;
    return layer_blob(x->store, l, NULL, &b, &x->err);
}

static int by_any_blob(struct scratch *x, const struct layer *l)
{
    struct layer_blob b;
    int r = layer_any_blob(x->store, l, &b, &x->err);
    return r < 0 ? r : r - 1;
}

static int by_tar(struct scratch *x, const struct layer *l)
{
    AUTO(source_free) struct source *tar = layer_tar_source(x->store, l, &x->err);
    return tar == NULL ? x->err.code : 0;
}

static int by_content(struct scratch *x, const struct layer *l)
{
    struct entry e;
    AUTO(content_free) struct content *c = content_new(x->store);

    assert_true(listing_find(l->listing, "etc/motd", &e));
    e.inline_data = NULL; /* as if it were large */
    AUTO(source_free) struct source *s = content_open(c, l, &e, &x->err);
    return s == NULL ? x->err.code : 0;
}

static int by_place(struct scratch *x, const struct layer *l)
{
    struct entry e;
    struct content_place place;
    AUTO(content_free) struct content *c = content_new(x->store);

    assert_true(listing_find(l->listing, "etc/motd", &e));
    e.inline_data = NULL;
    return content_at(c, l, &e, &place, &x->err);
}

static int (*const ways[])(struct scratch *x, const struct layer *l) = {
    by_tree, by_blob, by_any_blob, by_tar, by_content, by_place,
};

/* Each with a store of its own. */
static void try_way(size_t i, void (*prepare)(struct scratch *x, struct registry *r), int want,
                    bool want_refuted)
{
    struct registry r;
    void *state;

    scratch_setup(&state);
    struct scratch *x = state;
    registry_begin(x, &r);
    if (prepare != NULL)
        prepare(x, &r);
    const struct layer *l = claim(x, &r);
    int got = ways[i](x, l);
    if (got != want)
        fail_msg("way %zu: %d, not %d: %s", i, got, want, x->err.msg);
    assert_int_equal(r.n_fetched, 1);
    assert_int_equal(layer_is_away(l), want < 0);
    assert_int_equal(layer_is_refuted(l), want_refuted);
    buf_release(&r.packed);
    scratch_teardown(&state);
}

static void every_way_to_the_bytes_fetches_them(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        try_way(i, NULL, 0, false);
}

static void lie(struct scratch *x, struct registry *r)
{
    listing_of(x, others, ARRAY_LEN(others), &r->listing);
}

static void a_listing_that_lies_is_found_out_by_every_way(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        try_way(i, lie, ERR_CORRUPT, true);
}

static void go_down(struct scratch *x UNUSED, struct registry *r)
{
    r->is_down = true;
}

static void a_registry_that_is_gone_is_an_error_of_every_way(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        try_way(i, go_down, ERR_NET, false);
}

static void after_a_lie_the_layer_is_known_as_it_is(void **state)
{
    struct scratch *x = *state;
    struct registry r;
    struct entry e;

    registry_begin(x, &r);
    lie(x, &r);
    assert_null(layer_whole(x->store, claim(x, &r), &x->err));
    err_clear(&x->err);
    const struct layer *l = layer_get(x->store, &r.diff, &x->err);
    assert_non_null(l);
    assert_true(listing_find(l->listing, "etc/motd", &e));
    assert_int_equal(e.mode, 0644);
    buf_release(&r.packed);
}

struct asking {
    struct scratch *x;
    const struct layer *layer;
    bool failed;
};

static void *ask(void *arg)
{
    struct asking *a = arg;
    struct err err = ERR_INIT;

    a->failed = layer_whole(a->x->store, a->layer, &err) == NULL;
    return NULL;
}

static void many_who_ask_at_once_fetch_once(void **state)
{
    struct scratch *x = *state;
    struct registry r;
    pthread_t threads[8];

    registry_begin(x, &r);
    struct asking a = { .x = x, .layer = claim(x, &r) };
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &a), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_false(a.failed);
    assert_int_equal(r.n_fetched, 1);
    buf_release(&r.packed);
}

static void a_claim_about_a_layer_that_is_here_costs_no_fetching(void **state)
{
    struct scratch *x = *state;
    struct registry r;

    registry_begin(x, &r);
    AUTO(source_free) struct source *from = source_mem(r.packed.data, r.packed.len);
    const struct layer *here = layer_ingest(x->store, from, NULL, 0, NULL, &x->err);
    assert_non_null(here);
    assert_ptr_equal(layer_whole(x->store, claim(x, &r), &x->err), here);
    assert_ptr_equal(layer_whole(x->store, here, &x->err), here);
    assert_int_equal(r.n_fetched, 0);
    buf_release(&r.packed);
}

static void a_layer_whose_bytes_are_gone_is_known_by_its_listing(void **state)
{
    struct scratch *x = *state;
    struct registry r;
    struct err miss = ERR_INIT;

    registry_begin(x, &r);
    assert_null(layer_away_known(x->store, &r.diff, &r.place, &miss));
    assert_int_equal(miss.code, ERR_NOT_FOUND);
    err_clear(&miss);
    AUTO(source_free) struct source *from = source_mem(r.packed.data, r.packed.len);
    assert_non_null(layer_ingest(x->store, from, NULL, 0, NULL, &x->err));
    AUTO(mem_free) char *file = blob_file(x, &r.place.blob.id.d);
    assert_int_equal(unlink(file), 0);
    assert_null(layer_get(x->store, &r.diff, &miss));
    const struct layer *l = layer_away_known(x->store, &r.diff, &r.place, &x->err);
    assert_non_null(l);
    assert_int_equal(l->tar_size, r.tar_size);
    assert_int_equal(by_tree(x, l), 0);
    assert_int_equal(r.n_fetched, 1);
    buf_release(&r.packed);
}

static void what_is_no_sound_listing_is_no_claim(void **state)
{
    struct scratch *x = *state;
    struct registry r;
    struct blob_id text, absent;

    registry_begin(x, &r);
    assert_ok(blob_put(x->store, "no listing", 10, &text, &x->err), &x->err);
    assert_null(layer_away(x->store, &r.diff, &text, 1, &r.place, &x->err));
    assert_int_equal(x->err.code, ERR_CORRUPT);
    err_clear(&x->err);
    digest_of("absent", 6, &absent.d);
    assert_null(layer_away(x->store, &r.diff, &absent, 1, &r.place, &x->err));
    assert_int_equal(x->err.code, ERR_NOT_FOUND);
    buf_release(&r.packed);
}

static void the_repositories_of_a_blob_are_remembered(void **state)
{
    struct scratch *x = *state;
    struct blob_id id;
    AUTO(strv_release) struct strv found = STRV_INIT;

    digest_of("x", 1, &id.d);
    assert_ok(blob_origins(x->store, &id, &found, &x->err), &x->err);
    assert_int_equal(found.n, 0);
    for (int i = 0; i < 2; i++)
        assert_ok(blob_origin_add(x->store, &id, "localhost:5000/a", &x->err), &x->err);
    assert_ok(blob_origin_add(x->store, &id, "localhost:5000/b", &x->err), &x->err);
    store_again(x);
    assert_ok(blob_origins(x->store, &id, &found, &x->err), &x->err);
    assert_int_equal(found.n, 2);
    assert_true(strv_has(&found, "localhost:5000/a") && strv_has(&found, "localhost:5000/b"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_planned_on_needs_no_bytes),
        CASE(every_way_to_the_bytes_fetches_them),
        CASE(a_listing_that_lies_is_found_out_by_every_way),
        CASE(a_registry_that_is_gone_is_an_error_of_every_way),
        CASE(after_a_lie_the_layer_is_known_as_it_is),
        CASE(many_who_ask_at_once_fetch_once),
        CASE(a_claim_about_a_layer_that_is_here_costs_no_fetching),
        CASE(a_layer_whose_bytes_are_gone_is_known_by_its_listing),
        CASE(what_is_no_sound_listing_is_no_claim),
        CASE(the_repositories_of_a_blob_are_remembered),
    };
    return UNIT_RUN("store_layer_away", tests);
}
