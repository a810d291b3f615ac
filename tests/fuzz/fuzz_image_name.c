/* An image name: its canonical form parses to itself. */
#include "tests/fuzz/fuzz.h"
#include "base/mem.h"
#include "image/name.h"
#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *s = str_ndup((const char *)data, size);
    AUTO(image_name_release) struct image_name n = { .domain = NULL }, again = { .domain = NULL };
    if (image_name_parse(s, &n, &err) < 0)
        return 0;
    AUTO(mem_free) char *canonical = image_name_canonical(&n);
    assert(image_name_parse(canonical, &again, &err) == 0);
    AUTO(mem_free) char *twice = image_name_canonical(&again);
    assert(str_eq(canonical, twice));
    return 0;
}
