#include "base/archive_api.h"

#include "base/dynlib.h"
#include "base/own.h"
#include <pthread.h>

static struct archive_api api;
static struct err failed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define ARCHIVE_NAME(name) "archive_" #name,
static const char *const names[] = { ARCHIVE_FUNCTIONS(ARCHIVE_NAME) "archive_errno" };

static void load_once(void)
{
    dynlib_load("libarchive", "libarchive.so.13", names, ARRAY_LEN(names), &api, &failed);
}

int archive_load(struct err *err)
{
    pthread_once(&once, load_once);
    return failed.code == ERR_NONE ? 0 : err_copy(err, &failed);
}

const struct archive_api *archive_api(void)
{
    return &api;
}
