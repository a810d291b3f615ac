/* First byte: escape; then a --mount or --device value; a newline ends it and begins variables. */
#include "dockerfile/instr.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void device(const char *spec)
{
    struct err err = ERR_INIT;
    AUTO(run_device_release) struct run_device d = { .name = NULL };
    if (run_device_parse(spec, &d, &err) < 0 && err.code != ERR_USAGE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(strv_release) struct strv unmatched = STRV_INIT;
    AUTO(run_mount_release) struct run_mount m = { .from = NULL };
    if (size == 0 || memchr(data, '\0', size) != NULL)
        return 0;
    AUTO(mem_free) char *text = str_ndup((const char *)data + 1, size - 1);
    char *values = strchr(text, '\n');
    if (values != NULL) {
        *values++ = '\0';
        strv_split(&env, values, '\n');
    }
    struct env_lookup lookup = env_lookup_strv(&env);
    int rc = run_mount_parse(text, &lookup, data[0] & 1 ? '`' : '\\', &unmatched, &m, &err);
    if (rc < 0 && (err.code != ERR_USAGE || err.msg[0] == '\0'))
        abort();
    if (rc == 0 && mount_type_name(m.type) == NULL)
        abort();
    device(text);
    return 0;
}
