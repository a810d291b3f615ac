/*
 * The functions of libarchive that shale uses, loaded at the first
 * archive_load: only tars that are read, and xz and bzip2, need it. Any thread.
 *
 *     archive_load -> archive_api()->read_new ...
 */
#ifndef SHALE_BASE_ARCHIVE_API_H
#define SHALE_BASE_ARCHIVE_API_H

#include "base/err.h"
#include <archive.h>
#include <archive_entry.h>

/* clang-format off */
#define ARCHIVE_FUNCTIONS(X) \
    X(entry_filetype) X(entry_gid) X(entry_hardlink) X(entry_mtime) X(entry_mtime_is_set) \
    X(entry_mtime_nsec) X(entry_pathname) X(entry_perm) X(entry_rdevmajor) X(entry_rdevminor) \
    X(entry_size) X(entry_size_is_set) X(entry_symlink) X(entry_uid) X(entry_xattr_next) \
    X(entry_xattr_reset) X(error_string) X(filter_bytes) X(read_append_filter) \
    X(read_data) X(read_data_block) X(read_free) X(read_new) X(read_next_header) X(read_open) \
    X(read_support_format_empty) X(read_support_format_raw) X(read_support_format_tar) \
    X(set_error) X(version_string)
#define ARCHIVE_MEMBER(name) __typeof__(&archive_##name) name;
/* clang-format on */

struct archive_api {
    ARCHIVE_FUNCTIONS(ARCHIVE_MEMBER)
    __typeof__(&archive_errno) error_number; /* errno is a macro */
};

/* ERR_UNSUPPORTED: it is not on this machine. */
int archive_load(struct err *err);
/* After archive_load. */
const struct archive_api *archive_api(void);

#endif
