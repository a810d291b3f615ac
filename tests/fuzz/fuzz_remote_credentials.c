/*
 * A config.json, then after a NUL the host and the path that are asked about. No helper is a path,
 * an entry that cannot be read gives nothing, and no error quotes the document.
 */
#include "remote/credentials_internal.h"
#include "tests/fuzz/fuzz.h"
#include <stdlib.h>
#include <string.h>

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void ask(const struct credential_file *f, const char *host, const char *path, bool is_https)
{
    AUTO(credentials_release) struct credentials c = { .user = NULL };
    struct err err = ERR_INIT;
    int bad = credential_file_auth(f, host, path, is_https, &c, &err);
    demand(bad == 0 || bad == ERR_USAGE);
    demand(bad == 0 || !credentials_are_there(&c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    const char *text = (const char *)data;
    size_t n = strnlen(text, size), rest = n < size ? size - n - 1 : 0;
    AUTO(mem_free) char *host = rest > 0 ? str_ndup(text + n + 1, rest) : str_dup("docker.io");
    char *path = host + strcspn(host, "/");
    if (*path != '\0')
        *path++ = '\0';
    AUTO(credential_file_free)
    struct credential_file *f = credential_file_parse(text, n, "config.json", &err);
    if (f == NULL) {
        demand(err.code == ERR_USAGE);
        demand(!str_starts(err.msg, "'config.json': line ") || strstr(err.msg, " near '") == NULL);
        return 0;
    }
    const char *helper = credential_file_helper(f, host);
    demand(helper == NULL || (*helper != '\0' && strchr(helper, '/') == NULL));
    ask(f, host, path, true);
    ask(f, host, path, false);
    return 0;
}
