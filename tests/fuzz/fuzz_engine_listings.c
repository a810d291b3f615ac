/* The text of an artifact with listings (docs/listings-in-registries.md). */
#include "engine/listings.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(listing_claims_release) struct listing_claims claims = { .n = 0 };
    if (listing_claims_parse((const char *)data, size, &claims, &err) < 0) {
        if (err.code != ERR_CORRUPT && err.code != ERR_UNSUPPORTED)
            abort();
        return 0;
    }
    for (size_t i = 0; i < claims.n; i++)
        if (claims.v[i].blob.size > UINT64_C(512) << 20 || claims.v[i].blob.media_type == NULL)
            abort();
    return 0;
}
