/* A layer tar: what lists gives a listing that verifies. */
#include "tests/fuzz/fuzz.h"
#include "image/layer_tar.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(source_free) struct source *from = source_mem(data, size);
    AUTO(source_free)
    struct source *limited = source_limit(TAKE(from), 16 << 20, "layer");
    AUTO(listing_builder_free) struct listing_builder *lb = listing_builder_new();
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (layer_tar_list(limited, lb, &err) < 0 || listing_builder_write(lb, &b, NULL, &err) < 0)
        return 0;
    AUTO(listing_free) struct listing *l = listing_open_buf(&b, &err);
    assert(l != NULL);
    assert(listing_verify(l, &err) == 0);
    return 0;
}
