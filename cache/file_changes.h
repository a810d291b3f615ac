/*
 * What differs between two listings, as a person would say it: which files
 * are new, gone, changed, and in which respect. Times do not count, as they
 * are in no key. Pure; any thread.
 */
#ifndef SHALE_CACHE_FILE_CHANGES_H
#define SHALE_CACHE_FILE_CHANGES_H

#include "image/listing.h"

enum file_change_kind {
    FILE_NEW,
    FILE_GONE,
    FILE_CONTENT, /* its bytes, or a link's target or a device's number */
    FILE_TYPE,    /* a file where a directory was, ... */
    FILE_MODE,
    FILE_OWNER,
    FILE_XATTRS,
};

struct file_change {
    enum file_change_kind kind; /* the first that applies, in the order of their list */
    const char *path;           /* borrowed from the listing that has it */
    enum entry_type type;       /* now, or of what is gone */
    uint16_t mode_before, mode_now;
    uint32_t uid_before, gid_before, uid_now, gid_now;
};

struct file_changes {
    struct file_change *v; /* in the order of listings */
    size_t n, cap;
};
void file_changes_release(struct file_changes *c);
DEFINE_AUTO_VALUE(struct file_changes, file_changes_release);
/* Both listings must outlive ret. Start ret zeroed. */
void file_changes_find(const struct listing *before, const struct listing *now,
                       struct file_changes *ret);
/*
 * Whether the change is only that of a directory which comes or goes with what is in it: then the
 * files in it say as much.
 */
bool file_change_is_implied(const struct file_changes *c, size_t i);

/* "src/app.py changed", "new file x", "x is gone", "mode of x 644 -> 755"; path as it is to be
 * shown. Control characters are escaped. */
void file_change_text(const struct file_change *c, const char *path, struct buf *ret);
/*
 * The first few of them in one line: "a changed; new file b; and 3 more". shown (may be NULL) gives
 * the path to be shown for a change, owned by the caller; NULL: "/path".
 */
typedef char *(*file_shown_fn)(void *arg, const char *path);
void file_changes_text(const struct file_changes *c, file_shown_fn shown, void *arg,
                       struct buf *ret);

#endif
