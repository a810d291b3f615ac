/* A WWW-Authenticate header: what is read of it is text without control characters. */
#include "remote/registry_internal.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void check(const char *s)
{
    for (; s != NULL && *s != '\0'; s++)
        if ((unsigned char)*s < 32 || *s == 127)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(challenge_release) struct challenge c = { .realm = NULL };
    AUTO(mem_free) char *text = str_ndup((const char *)data, size);
    struct err err = ERR_INIT;
    if (challenge_parse(text, &c, &err) < 0) {
        if (err.code != ERR_CORRUPT || c.realm != NULL)
            abort();
        return 0;
    }
    if (!c.is_bearer && !c.is_basic)
        abort();
    check(c.realm);
    check(c.service);
    check(c.scope);
    return 0;
}
