/*
 * The functions of libcurl that remote/ uses, loaded at the first curl_load. A
 * build that asks nobody anything never comes to that. Any thread.
 *
 *     curl_load -> curl_api()->easy_init ...
 */
#ifndef SHALE_REMOTE_CURL_API_INTERNAL_H
#define SHALE_REMOTE_CURL_API_INTERNAL_H

#include "base/err.h"
#include <curl/curl.h>

/* clang-format off */
#define CURL_FUNCTIONS(X) \
    X(easy_cleanup) X(easy_getinfo) X(easy_init) X(easy_reset) X(easy_setopt) X(easy_strerror) \
    X(free) X(getdate) X(global_init) X(multi_add_handle) X(multi_cleanup) X(multi_info_read) \
    X(multi_init) X(multi_perform) X(multi_poll) X(multi_remove_handle) X(multi_strerror) \
    X(share_cleanup) X(share_init) X(share_setopt) X(slist_append) X(slist_free_all) X(url) \
    X(url_cleanup) X(url_dup) X(url_get) X(url_set) X(version_info)
#define CURL_MEMBER(name) __typeof__(&curl_##name) name;
/* clang-format on */

struct curl_api {
    CURL_FUNCTIONS(CURL_MEMBER)
};

/* ERR_UNSUPPORTED: it is not on this machine. */
int curl_load(struct err *err);
/* After curl_load. */
const struct curl_api *curl_api(void);

/*
 * Sets an option. What an option takes is in its number, and the compiler sees only "...": so it is
 * looked at here that a long is a long and a pointer none.
 */
#define CURL_SET(easy, option, value)                                                        \
    __extension__({                                                                          \
        _Static_assert(((option) < CURLOPTTYPE_OBJECTPOINT ||                                \
                        ((option) > CURLOPTTYPE_OFF_T && (option) < CURLOPTTYPE_BLOB)) ==    \
                           _Generic((value), int : 2, long : 1, long long : 1, default : 0), \
                       "a value of another type than the option's");                         \
        curl_api()->easy_setopt((easy), (option), (value));                                  \
    })

#endif
