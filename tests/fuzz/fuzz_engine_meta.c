/* First byte: which; then the text of a --chmod, or words of an EXPOSE, one a line. */
#include "engine/build_internal.h"
#include "engine/chmod.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void chmod_spec(const char *text)
{
    struct err err = ERR_INIT;
    struct chmod_spec spec = { .set = false };
    if (chmod_parse(text, &spec, &err) < 0) {
        if (err.code != ERR_USAGE)
            abort();
        return;
    }
    for (unsigned mode = 0; mode < 07777; mode += 0123) {
        if ((chmod_apply(&spec, (uint16_t)mode, true) & ~07777u) != 0 ||
            (chmod_apply(&spec, (uint16_t)mode, false) & ~07777u) != 0)
            abort();
    }
}

/* A port is written as it is read: what came out goes in and comes out again. */
static void expose(const char *text)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv words = STRV_INIT;
    AUTO(strv_release) struct strv ports = STRV_INIT;
    AUTO(strv_release) struct strv again = STRV_INIT;
    strv_split(&words, text, '\n');
    if (words.n > 20)
        return;
    if (expose_ports(&words, &ports, &err) < 0) {
        if (err.code != ERR_USAGE)
            abort();
        return;
    }
    if (expose_ports(&ports, &again, &err) < 0 || again.n != ports.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || memchr(data, '\0', size) != NULL)
        return 0;
    AUTO(mem_free) char *text = str_ndup((const char *)data + 1, size - 1);
    if (data[0] & 1)
        chmod_spec(text);
    else
        expose(text);
    return 0;
}
