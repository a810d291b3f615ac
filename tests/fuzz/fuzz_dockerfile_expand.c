/* First byte: options; then a word, in which a newline ends it and begins the values of the
 * variables. */
#include "dockerfile/expand.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    if (size == 0 || memchr(data, '\0', size) != NULL)
        return 0;
    struct expand_options options = {
        .escape = data[0] & 1 ? '`' : '\\',
        .raw_quotes = data[0] & 2,
        .raw_escapes = data[0] & 4,
        .skip_quotes = data[0] & 8,
        .skip_unset = data[0] & 16,
    };
    AUTO(mem_free) char *text = str_ndup((const char *)data + 1, size - 1);
    char *values = strchr(text, '\n');
    if (values != NULL) {
        *values++ = '\0';
        strv_split(&env, values, '\n');
    }
    struct env_lookup lookup = env_lookup_strv(&env);
    int rc = expand(text, &lookup, &options, &r, &err);
    if ((rc < 0) != (r.word == NULL) || (rc < 0 && err.code != ERR_USAGE))
        abort();
    if (rc == 0 && strlen(r.word) > EXPAND_MAX_BYTES)
        abort();
    return 0;
}
