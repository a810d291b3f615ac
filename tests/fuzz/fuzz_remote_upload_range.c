/* What an upload session says of itself: the text of a Range header, as an answer gives it. */
#include "base/buf.h"
#include "remote/registry_internal.h"
#include "tests/fuzz/fuzz.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t next = 7, again = 7;
    AUTO(mem_free) char *text = str_ndup((const char *)data, size);
    if (!upload_range_parse(text, &next)) {
        if (next != 7)
            abort();
        return 0;
    }
    /* What was read can be written, and is read as the same. */
    AUTO(mem_free) char *same = str_printf("0-%" PRIu64, next > 0 ? next - 1 : 0);
    if (!upload_range_parse(same, &again) || again != next)
        abort();
    return 0;
}
