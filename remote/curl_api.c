#include "remote/curl_api_internal.h"

#include "base/dynlib.h"
#include "base/own.h"
#include <pthread.h>

static struct curl_api api;
static struct err failed;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define CURL_NAME(name) "curl_" #name,
static const char *const names[] = { CURL_FUNCTIONS(CURL_NAME) };

static void load_once(void)
{
    if (dynlib_load("libcurl", "libcurl.so.4", names, ARRAY_LEN(names), &api, &failed) < 0)
        return;
    CURLcode code = api.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        err_set(&failed, ERR_UNSUPPORTED, "cannot start libcurl: %s", api.easy_strerror(code));
}

int curl_load(struct err *err)
{
    pthread_once(&once, load_once);
    return failed.code == ERR_NONE ? 0 : err_copy(err, &failed);
}

const struct curl_api *curl_api(void)
{
    return &api;
}
