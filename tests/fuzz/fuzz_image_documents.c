/* Manifest, index and configuration: what parses can be written and parsed again. */
#include "tests/fuzz/fuzz.h"
#include "image/oci.h"
#include <assert.h>

static void manifest(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(manifest_release) struct manifest m = { 0 }, again = { 0 };
    if (manifest_parse(p, n, NULL, &m, &err) < 0)
        return;
    AUTO(buf_release) struct buf b = BUF_INIT;
    manifest_write(&m, &b);
    assert(manifest_parse(buf_str(&b), b.len, NULL, &again, &err) == 0);
}

static void index_of(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(index_release) struct index x = { 0 };
    if (index_parse(p, n, NULL, &x, &err) < 0)
        return;
    AUTO(buf_release) struct buf b = BUF_INIT;
    index_write(&x, &b);
    assert(b.len > 0);
}

static void configuration(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(image_config_release) struct image_config c = { 0 }, again = { 0 };
    if (image_config_parse(p, n, &c, &err) < 0)
        return;
    AUTO(buf_release) struct buf b = BUF_INIT;
    image_config_write(&c, &b);
    assert(image_config_parse(buf_str(&b), b.len, &again, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    manifest((const char *)data, size);
    index_of((const char *)data, size);
    configuration((const char *)data, size);
    return 0;
}
