/*
 * A view: what a process would see with a stack of layers below it, made of
 * their listings alone, with whiteouts and opaque directories applied.
 * Immutable once made; listings are borrowed and must outlive it. Any thread.
 */
#ifndef SHALE_IMAGE_VIEW_H
#define SHALE_IMAGE_VIEW_H

#include "image/listing.h"

/*
 * Layers merge as overlayfs merges them. A directory that a layer has only as
 * part of longer paths is a directory all the same: with the attributes that the next lower layer
 * has for it, else 0755 root; it too hides what is no directory below it.
 */

struct view;
void view_free(struct view *v);
DEFINE_AUTO(struct view, view_free);
/* lowest layer first; n may be 0 (an empty root). The array is copied, the listings are not. */
struct view *view_new(const struct listing *const *layers, size_t n) OWNED(view_free) NONNULL;

/*
 * The entry at exactly this path (clean, no link is followed); ret_layer is the index of the layer
 * that has it. Both may be NULL. The root directory is always
 * there (0755 root when no layer says otherwise). A directory without an entry has path itself as
 * its name, borrowed from the caller. A hard link's entry is whole; the other name may be hidden.
 */
bool view_find(const struct view *v, const char *path, struct entry *ret, size_t *ret_layer);
/*
 * Follows symbolic links in-root ("/" and ".." stay inside; 255 links at
 * most: ERR_CORRUPT "too many levels of symbolic links"). follow_last: also a link at the end.
 * *ret_path is the real path. When components at the end do not exist, *ret_missing (may be NULL:
 * then ERR_NOT_FOUND) is how many of them, and *ret_path goes on with them as written ("x/.." is
 * nothing there). A trailing slash follows a link too and wants a directory. Where a directory
 * is needed and something else stands: ERR_NOT_FOUND with err.sys ENOTDIR.
 */
int view_resolve(const struct view *v, const char *path, bool follow_last, char **ret_path,
                 size_t *ret_missing, struct err *err);
/*
 * Calls fn for path (when there) and everything below, in listing order,
 * whiteouts applied. fn returns 0, or a code that ends the walk and is returned. The entry of a
 * directory that is only implied is gone after the call.
 */
typedef int (*view_fn)(void *arg, const struct entry *e, size_t layer, struct err *err);
int view_walk(const struct view *v, const char *path, view_fn fn, void *arg, struct err *err);
/* Names of the direct children of a directory, sorted. */
int view_children(const struct view *v, const char *path, struct strv *ret, struct err *err);
/* Inline content of a small file that planning reads (links followed); NULL when absent or not
 * carried. */
const void *view_inline(const struct view *v, const char *path, size_t *ret_len);

/* Own parser of passwd and group text (never NSS). Numeric strings are themselves. */
struct user_ids {
    uint32_t uid, gid;
    char *home;           /* "/" when unknown; owned */
    uint32_t groups[256]; /* supplementary, the primary one included */
    size_t n_groups;
};
void user_ids_release(struct user_ids *u);
DEFINE_AUTO_VALUE(struct user_ids, user_ids_release);
/*
 * "user[:group]" as USER and --chown read it, names from the view's
 * /etc/passwd and /etc/group. user alone: gid is the primary group from
 * passwd (numeric and not in passwd: gid_default). A name that is not there is ERR_NOT_FOUND with
 * Docker's "unable to find user X: no matching entries in passwd file". Numbers above 2147483647
 * are ERR_USAGE. Supplementary groups are those that list the user by name, none when a group is
 * given; more than fit, or a passwd or group file too large to be carried in its listing, is
 * ERR_UNSUPPORTED (dropping a group could open what it was to keep out).
 */
int view_user(const struct view *v, const char *spec, uint32_t gid_default, struct user_ids *ret,
              struct err *err);

#endif
