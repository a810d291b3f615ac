/* A compressed stream: decompression ends, with bytes or with an error. */
#include "tests/fuzz/fuzz.h"
#include "base/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    char bytes[4096];
    AUTO(source_free) struct source *from = source_mem(data, size);
    AUTO(source_free) struct source *plain = source_decompress(TAKE(from), NULL, &err);
    if (plain == NULL)
        return 0;
    AUTO(source_free) struct source *limited = source_limit(TAKE(plain), 16 << 20, "stream");
    while (source_read(limited, bytes, sizeof(bytes), &err) > 0)
        continue;
    return 0;
}
