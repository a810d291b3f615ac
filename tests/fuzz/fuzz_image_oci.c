/* The first byte says as what the rest is read; what was read must read the same when written. */
#include "tests/fuzz/fuzz.h"
#include "image/name.h"
#include "image/oci.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void as_manifest(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(manifest_release) struct manifest m = { .kind = 0 };
    AUTO(manifest_release) struct manifest again = { .kind = 0 };
    AUTO(buf_release) struct buf out = BUF_INIT;
    const char *type = doc_media_type(DOC_OCI_MANIFEST);
    if (manifest_parse(p, n, NULL, &m, &err) < 0 && manifest_parse(p, n, type, &m, &err) < 0)
        return;
    manifest_write(&m, &out);
    if (out.len <= MANIFEST_MAX)
        require(manifest_parse(out.data, out.len, NULL, &again, &err) == 0 &&
                again.n_layers == m.n_layers);
}

static void as_index(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    struct platform host = platform_host();
    AUTO(index_release) struct index x = { .kind = 0 };
    AUTO(index_release) struct index again = { .kind = 0 };
    AUTO(buf_release) struct buf out = BUF_INIT;
    const char *type = doc_media_type(DOC_OCI_INDEX);
    if (index_parse(p, n, NULL, &x, &err) < 0 && index_parse(p, n, type, &x, &err) < 0)
        return;
    (void)index_pick(&x, &host);
    index_write(&x, &out);
    if (out.len <= MANIFEST_MAX)
        require(index_parse(out.data, out.len, NULL, &again, &err) == 0 &&
                again.n_manifests == x.n_manifests);
}

static void as_config(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(image_config_release) struct image_config c = { .author = NULL };
    AUTO(image_config_release) struct image_config again = { .author = NULL };
    AUTO(image_config_release) struct image_config copy = { .author = NULL };
    AUTO(buf_release) struct buf first = BUF_INIT;
    AUTO(buf_release) struct buf second = BUF_INIT;
    if (image_config_parse(p, n, &c, &err) < 0)
        return;
    image_config_write(&c, &first);
    if (first.len > MANIFEST_MAX)
        return;
    require(image_config_parse(first.data, first.len, &again, &err) == 0);
    image_config_copy(&copy, &again);
    image_config_write(&copy, &second);
    require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
}

static void as_name(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *s = str_ndup(p, n);
    AUTO(image_name_release) struct image_name name = { .domain = NULL };
    AUTO(image_name_release) struct image_name again = { .domain = NULL };
    if (image_name_parse(s, &name, &err) < 0)
        return;
    AUTO(mem_free) char *canonical = image_name_canonical(&name);
    AUTO(mem_free) char *familiar = image_name_familiar(&name);
    require(image_name_parse(canonical, &again, &err) == 0);
    AUTO(mem_free) char *second = image_name_canonical(&again);
    require(strcmp(canonical, second) == 0 && strlen(familiar) <= strlen(canonical));
}

static void as_platform(const char *p, size_t n)
{
    struct err err = ERR_INIT;
    AUTO(mem_free) char *s = str_ndup(p, n);
    struct platform one, two;
    char text[64];
    if (platform_parse(s, &one, &err) < 0)
        return;
    require(platform_parse(platform_format(&one, text), &two, &err) == 0);
    require(platform_match(&one, &two) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[])(const char *, size_t) = { as_manifest, as_index, as_config,
                                                           as_name, as_platform };
    if (size == 0)
        return 0;
    AUTO(mem_free) char *rest = mem_dup(data + 1, size - 1);
    kinds[data[0] % ARRAY_LEN(kinds)](rest, size - 1);
    return 0;
}
