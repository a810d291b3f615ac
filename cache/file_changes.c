#include "cache/file_changes.h"

#include "base/fs.h"
#include "base/log.h"
#include <string.h>

#define TOLD_MAX 2 /* changes that one line names */

void file_changes_release(struct file_changes *c)
{
    mem_free(c->v);
    *c = (struct file_changes){ .v = NULL };
}

static struct file_change *add(struct file_changes *c, enum file_change_kind kind,
                               const struct entry *e)
{
    MEM_ROOM(c->v, c->n, c->cap);
    struct file_change *x = &c->v[c->n++];
    *x = (struct file_change){ .kind = kind, .path = e->path, .type = e->type };
    return x;
}

static bool same_content(const struct entry *a, const struct entry *b)
{
    if (a->type == ENTRY_FILE)
        return a->size == b->size && digest_eq(&a->content, &b->content);
    return str_eq(a->target, b->target) && a->dev_major == b->dev_major &&
           a->dev_minor == b->dev_minor && a->opaque == b->opaque;
}

static void compare(struct file_changes *c, const struct entry *before, const struct entry *now)
{
    enum file_change_kind kind = FILE_XATTRS;
    if (entry_same(before, now) && before->opaque == now->opaque)
        return;
    if (before->type != now->type)
        kind = FILE_TYPE;
    else if (!same_content(before, now))
        kind = FILE_CONTENT;
    else if (before->mode != now->mode)
        kind = FILE_MODE;
    else if (before->uid != now->uid || before->gid != now->gid)
        kind = FILE_OWNER;
    struct file_change *x = add(c, kind, now);
    x->mode_before = before->mode;
    x->mode_now = now->mode;
    x->uid_before = before->uid;
    x->gid_before = before->gid;
    x->uid_now = now->uid;
    x->gid_now = now->gid;
}

void file_changes_find(const struct listing *before, const struct listing *now,
                       struct file_changes *ret)
{
    size_t i = 0, k = 0, n_before = listing_len(before), n_now = listing_len(now);
    struct entry a, b;
    while (i < n_before || k < n_now) {
        int order = i == n_before ? 1 : k == n_now ? -1 : 0;
        if (i < n_before)
            listing_at(before, i, &a);
        if (k < n_now)
            listing_at(now, k, &b);
        if (order == 0)
            order = path_cmp(a.path, b.path);
        if (order < 0)
            add(ret, FILE_GONE, &a);
        else if (order > 0)
            add(ret, FILE_NEW, &b);
        else
            compare(ret, &a, &b);
        i += order <= 0;
        k += order >= 0;
    }
}

bool file_change_is_implied(const struct file_changes *c, size_t i)
{
    const struct file_change *x = &c->v[i];
    bool comes_or_goes = x->kind == FILE_NEW || x->kind == FILE_GONE;
    return x->type == ENTRY_DIR && comes_or_goes && i + 1 < c->n && c->v[i + 1].kind == x->kind &&
           path_is_below(c->v[i + 1].path, x->path);
}

static const char *noun(enum entry_type type)
{
    switch (type) {
    case ENTRY_DIR:
        return "directory";
    case ENTRY_LINK:
        return "link";
    case ENTRY_FILE:
        return "file";
    default:
        return "entry";
    }
}

void file_change_text(const struct file_change *c, const char *path, struct buf *ret)
{
    AUTO(buf_release) struct buf name = BUF_INIT;
    log_escape(&name, path, strlen(path));
    const char *shown = buf_str(&name);
    switch (c->kind) {
    case FILE_NEW:
        buf_addf(ret, "new %s %s", noun(c->type), shown);
        break;
    case FILE_GONE:
        buf_addf(ret, "%s is gone", shown);
        break;
    case FILE_CONTENT:
        buf_addf(ret, "%s changed", shown);
        break;
    case FILE_TYPE:
        buf_addf(ret, "%s is a %s now", shown, noun(c->type));
        break;
    case FILE_MODE:
        buf_addf(ret, "mode of %s %o → %o", shown, c->mode_before, c->mode_now);
        break;
    case FILE_OWNER:
        buf_addf(ret, "owner of %s %u:%u → %u:%u", shown, c->uid_before, c->gid_before, c->uid_now,
                 c->gid_now);
        break;
    case FILE_XATTRS:
        buf_addf(ret, "extended attributes of %s changed", shown);
        break;
    }
}

void file_changes_text(const struct file_changes *c, file_shown_fn shown, void *arg,
                       struct buf *ret)
{
    size_t told = 0, more = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (file_change_is_implied(c, i))
            continue;
        if (told == TOLD_MAX) {
            more++;
            continue;
        }
        AUTO(mem_free) char *path = shown != NULL ? shown(arg, c->v[i].path) : NULL;
        if (path == NULL)
            path = str_printf("/%s", c->v[i].path);
        buf_adds(ret, told++ > 0 ? "; " : "");
        file_change_text(&c->v[i], path, ret);
    }
    if (more > 0)
        buf_addf(ret, "; and %zu more", more);
}
