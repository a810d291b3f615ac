#include "image/resolve_internal.h"

#include "base/mem.h"
#include <errno.h>
#include <string.h>

struct walk {
    spot_fn look;
    void *arg;
    struct buf *done; /* the real path so far */
    char *todo;       /* owned; what is still to be walked begins at next */
    const char *next;
    const char *asked; /* the path as the caller gave it, for messages */
    enum spot spot;
    size_t missing;
    int links;
};

static void go_up(struct walk *w)
{
    const char *slash = memrchr(buf_str(w->done), '/', w->done->len);
    buf_truncate(w->done, slash ? (size_t)(slash - w->done->data) : 0);
    if (w->missing > 0)
        w->missing--;
    w->spot = w->missing > 0 ? SPOT_MISSING : SPOT_DIR;
}

static int not_a_directory(struct walk *w, struct err *err)
{
    err_set(err, ERR_NOT_FOUND, "'%s': not a directory", w->asked);
    err->sys = ENOTDIR;
    return err->code;
}

/* The link's target takes the place of the component that was just added. */
static int follow(struct walk *w, const char *target, const char *rest, struct err *err)
{
    if (++w->links > RESOLVE_LINKS_MAX)
        return err_set(err, ERR_CORRUPT, "'%s': too many levels of symbolic links", w->asked);
    char *todo = str_printf("%s%s", target, rest);
    if (*target == '/')
        buf_truncate(w->done, 0);
    else
        go_up(w);
    w->spot = SPOT_DIR;
    mem_free(w->todo);
    w->todo = todo;
    w->next = todo;
    return 0;
}

static int step(struct walk *w, const char *name, size_t n, bool follow_last, struct err *err)
{
    const char *rest = name + n;
    const char *target = NULL;
    if (w->spot == SPOT_OTHER)
        return not_a_directory(w, err);
    if (n == 1 && *name == '.')
        return 0;
    if (n == 2 && memcmp(name, "..", 2) == 0) {
        go_up(w);
        return 0;
    }
    if (w->done->len > 0)
        buf_addc(w->done, '/');
    buf_add(w->done, name, n);
    if (w->missing == 0)
        w->spot = w->look(w->arg, buf_str(w->done), &target);
    if (w->spot == SPOT_MISSING)
        w->missing++;
    if (w->spot == SPOT_LINK && (follow_last || *rest == '/'))
        return follow(w, target, rest, err);
    return 0;
}

int resolve_path(spot_fn look, void *arg, const char *path, bool follow_last, struct buf *ret,
                 struct resolved *ret_what, struct err *err)
{
    AUTO(mem_free) char *owned = NULL;
    struct walk w = {
        .look = look, .arg = arg, .done = ret, .next = path, .asked = path, .spot = SPOT_DIR
    };
    int code = 0;
    while (code == 0 && *w.next) {
        size_t n = strcspn(w.next, "/");
        const char *name = w.next;
        w.next += n;
        if (n > 0)
            code = step(&w, name, n, follow_last, err);
        else if (w.spot == SPOT_OTHER)
            code = not_a_directory(&w, err);
        if (code == 0 && *w.next == '/') {
            w.next++;
            if (*w.next == '\0' && w.spot == SPOT_OTHER)
                code = not_a_directory(&w, err);
        }
        if (code == 0 && ret->len > 65536)
            code = err_set(err, ERR_CORRUPT, "'%.64s...': path too long", path);
    }
    owned = w.todo;
    if (code < 0)
        return code;
    *ret_what = (struct resolved){ .spot = w.spot, .missing = w.missing };
    return 0;
}
