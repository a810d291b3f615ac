/* ADD of a URL or a git repository: fetched as a layer (fetch.h), put into the plan as COPY would.
 */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include <string.h>

bool copy_is_remote(const char *source)
{
    static const char *const heads[] = { "http://", "https://", "git://", "git@", "ssh://" };
    for (size_t k = 0; k < ARRAY_LEN(heads); k++)
        if (str_starts(source, heads[k]))
            return true;
    return false;
}

int copy_remote(struct copy *c UNUSED, const char *source, struct err *err)
{
    return err_set(err, ERR_UNSUPPORTED,
                   "ADD of '%s': URLs are not supported by this version of shale", source);
}
