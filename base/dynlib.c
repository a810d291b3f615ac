#include "base/dynlib.h"

#include <dlfcn.h>
#include <string.h>

static int missing(const char *what, const char *soname, struct err *err)
{
    const char *why = dlerror();

    return err_set(err, ERR_UNSUPPORTED, "this needs %s (%s): %s", what, soname,
                   why ? why : "it cannot be loaded");
}

int dynlib_load(const char *what, const char *soname, const char *const *names, size_t n,
                void *table, struct err *err)
{
    void *lib = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

    if (lib == NULL)
        return missing(what, soname, err);
    for (size_t i = 0; i < n; i++) {
        void *fn = dlsym(lib, names[i]);
        if (fn == NULL)
            return missing(what, soname, err);
        memcpy((char *)table + i * sizeof(fn), &fn, sizeof(fn));
    }
    return 0; /* lib stays open: the table points into it */
}
