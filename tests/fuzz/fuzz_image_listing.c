/* A listing's bytes: what opens and verifies can be read, and is the same when it is built again.
 */
#include "tests/fuzz/fuzz.h"
#include "image/listing.h"
#include <assert.h>

static void build_again(const struct listing *l)
{
    struct err err = ERR_INIT;
    struct content_id id;
    AUTO(buf_release) struct buf b = BUF_INIT;
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        assert(listing_find(l, e.path, NULL));
        if (listing_builder_add(lb, &e, &err) < 0)
            return;
    }
    if (listing_builder_write(lb, &b, &id, &err) == 0)
        assert(digest_eq(&id.d, &listing_content_id(l)->d));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_add(&b, data, size);
    AUTO(listing_free) struct listing *l = listing_open_buf(&b, &err);
    if (l != NULL && listing_verify(l, &err) == 0)
        build_again(l);
    return 0;
}
