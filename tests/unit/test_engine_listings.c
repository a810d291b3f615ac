#include "tests/unit/store_scratch.h"

#include "engine/listings.h"
#include "store/layer.h"

static const struct tar_member lower[] = {
    { "etc/", '5', 0755, 0, 0, NULL, 0, 0 },
    { "etc/passwd", '0', 0644, 0, 0, "root:x:0:0::/root:/bin/sh\n", 0, 0 },
};
static const struct tar_member upper[] = {
    { "app", '0', 0755, 0, 0, "#!/bin/sh\n", 0, 0 },
};

static const struct layer *layer_of(struct scratch *x, const struct tar_member *m, size_t n)
{
    AUTO(buf_release) struct buf tar = BUF_INIT;

    tar_make(&tar, m, n);
    AUTO(source_free) struct source *from = source_mem(tar.data, tar.len);
    const struct layer *l = layer_ingest(x->store, from, NULL, 0, NULL, &x->err);
    if (l == NULL)
        fail_msg("layer_ingest: %s", x->err.msg);
    return l;
}

static void what_is_written_is_read_again(void **state)
{
    struct scratch *x = *state;
    const struct layer *layers[] = { layer_of(x, lower, ARRAY_LEN(lower)),
                                     layer_of(x, upper, ARRAY_LEN(upper)), NULL };
    AUTO(listings_doc_release) struct listings_doc doc = { .n_blobs = 0 };
    AUTO(listing_claims_release) struct listing_claims claims = { .n = 0 };
    struct digest d;

    layers[2] = layers[0]; /* a layer that repeats */
    listings_doc_make(layers, ARRAY_LEN(layers), NULL, &doc);
    assert_int_equal(doc.n_blobs, 2);
    digest_of(doc.text.data, doc.text.len, &d);
    assert_true(digest_eq(&d, &doc.id.d));
    assert_ok(listing_claims_parse(doc.text.data, doc.text.len, &claims, &x->err), &x->err);
    assert_int_equal(claims.n, 2);
    for (size_t i = 0; i < claims.n; i++) {
        assert_true(digest_eq(&claims.v[i].diff.d, &layers[i]->diff_id.d));
        assert_true(digest_eq(&claims.v[i].blob.id.d, &layers[i]->listing_id.d));
        assert_int_equal(claims.v[i].blob.size, listing_size(layers[i]->listing));
        assert_int_equal(claims.v[i].tar_size, layers[i]->tar_size);
    }
}

static void equal_layers_give_equal_bytes(void **state)
{
    struct scratch *x = *state;
    AUTO(listings_doc_release) struct listings_doc one = { .n_blobs = 0 };
    AUTO(listings_doc_release) struct listings_doc other = { .n_blobs = 0 };

    const struct layer *a = layer_of(x, lower, ARRAY_LEN(lower));
    listings_doc_make(&a, 1, NULL, &one);
    store_again(x);
    a = layer_of(x, lower, ARRAY_LEN(lower));
    listings_doc_make(&a, 1, NULL, &other);
    assert_true(digest_eq(&one.id.d, &other.id.d));
}

#define HEAD                                                                             \
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\"," \
    "\"artifactType\":\"application/vnd.shale.listings.v1\",\"config\":{\"mediaType\":"  \
    "\"application/vnd.oci.empty.v1+json\",\"digest\":\"" ZERO "\",\"size\":2},\"layers\":["
#define ZERO "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define LISTING(size, notes)                                                                     \
    "{\"mediaType\":\"application/vnd.shale.listing.v1\",\"digest\":\"" ZERO "\",\"size\":" size \
    ",\"annotations\":{" notes "}}"
#define DIFF "\"dev.shale.diff-id\":\"" ZERO "\""
#define SIZE "\"dev.shale.tar-size\":\"1\""

static void what_does_not_say_all_says_nothing(void **state UNUSED)
{
    static const struct {
        const char *text;
        int want; /* claims, or an error code */
    } cases[] = {
        { HEAD LISTING("5", DIFF "," SIZE) "]}", 1 },
        { HEAD LISTING("5", DIFF) "]}", 0 },
        { HEAD LISTING("5", SIZE) "]}", 0 },
        { HEAD LISTING("5", DIFF ",\"dev.shale.tar-size\":\"-1\"") "]}", 0 },
        { HEAD LISTING("5", DIFF ",\"dev.shale.tar-size\":\"1x\"") "]}", 0 },
        { HEAD LISTING("5", DIFF ",\"dev.shale.tar-size\":\"99999999999999999999\"") "]}", 0 },
        { HEAD LISTING("5", "\"dev.shale.diff-id\":\"sha256:00\"," SIZE) "]}", 0 },
        { HEAD LISTING("99999999999", DIFF "," SIZE) "]}", 0 },
        { HEAD LISTING("5", DIFF "," DIFF "," SIZE) "]}", ERR_CORRUPT },
        { "{}", ERR_UNSUPPORTED },
        { "", ERR_CORRUPT },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(listing_claims_release) struct listing_claims claims = { .n = 0 };
        struct err err = ERR_INIT;
        int got = listing_claims_parse(cases[i].text, strlen(cases[i].text), &claims, &err);
        if (got == 0)
            got = (int)claims.n;
        if (got != cases[i].want)
            fail_msg("case %zu: %d, not %d: %s", i, got, cases[i].want, err.msg);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_written_is_read_again),
        CASE(equal_layers_give_equal_bytes),
        cmocka_unit_test(what_does_not_say_all_says_nothing),
    };
    return UNIT_RUN("engine_listings", tests);
}
