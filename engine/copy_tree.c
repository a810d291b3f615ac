/*
 * Files and directories into the plan of a COPY or ADD. The rules of where
 * things go, and of what becomes of a directory that is there already, are
 * those of BuildKit's copier: a source directory gives its contents, a
 * directory that only leads to what is taken gets its mode and, when it is new,
 * owner, xattrs and time as well.
 */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include "base/map.h"
#include "dockerfile/ignore.h"
#include <string.h>

void copy_set_metadata(const struct copy *c, struct entry *e)
{
    if (e->type != ENTRY_LINK)
        e->mode = chmod_apply(&c->chmod, e->mode, e->type == ENTRY_DIR);
    if (c->has_owner) {
        e->uid = c->owner.uid;
        e->gid = c->owner.gid;
    }
}

void copy_drop_xattrs(struct entry *e)
{
    for (size_t i = 0; i < e->n_xattrs; i++)
        if (str_eq(e->xattrs[i].name, "security.capability")) {
            e->xattrs += i;
            e->n_xattrs = 1;
            return;
        }
    e->n_xattrs = 0;
}

const char *copy_base(const char *path)
{
    const char *base = path_base(path);
    return *base ? base : path;
}

char *copy_below(const char *dir, const char *rel)
{
    return *dir ? str_printf("%s/%s", dir, rel) : str_dup(rel);
}

char *copy_place(const struct copy *c, const char *dest, const char *name)
{
    struct entry there;
    bool into = *dest == '\0' || c->dest_is_dir ||
                (plan_find(c->plan, dest, &there) && there.type == ENTRY_DIR);
    return into ? copy_below(dest, copy_base(name)) : str_dup(dest);
}

/* Puts one entry of a source at path. */
static int put(struct copy *c, const struct entry *e, size_t layer, const char *path,
               struct err *err)
{
    struct origin o;
    files_origin(&c->from, e, layer, &o);
    struct entry copy = *e;
    copy.path = path;
    copy.hardlink = NULL;
    copy.opaque = false;
    copy_drop_xattrs(&copy);
    copy_set_metadata(c, &copy);
    return plan_put(c->plan, &copy, &o, err);
}

/* A directory on the way to the entry at hand. */
struct frame {
    char *rel;       /* below the source */
    uint8_t *states; /* what the patterns of include and exclude say of it */
    struct entry e;  /* its strings are those of the view */
    size_t layer;
    bool is_put;
};

struct subtree {
    struct copy *c;
    const char *top;  /* the source directory, in its view */
    const char *dest; /* where its contents go */
    struct map
        *names; /* "layer:path" of files -> place of the first name; NULL: none has several */
    struct frame *frames;
    size_t n, cap;
    struct buf path; /* where the entry at hand goes */
    uint8_t *states; /* of the entry at hand, states_len bytes */
    size_t states_len;
};

static void pop(struct subtree *t)
{
    struct frame *f = &t->frames[--t->n];
    mem_free(f->rel);
    mem_free(f->states);
    mem_free((void *)(uintptr_t)f->e.path);
}

static void subtree_release(struct subtree *t)
{
    while (t->n > 0)
        pop(t);
    mem_free(t->frames);
    map_free(t->names);
    buf_release(&t->path);
    mem_free(t->states);
}
DEFINE_AUTO_VALUE(struct subtree, subtree_release);

static size_t state_sizes(const struct copy *c, size_t *ret_exclude_at)
{
    *ret_exclude_at = c->include ? ignore_state_size(c->include) : 0;
    return *ret_exclude_at + (c->exclude ? ignore_state_size(c->exclude) : 0);
}

/* Whether the patterns take rel; t->states are for what is below it. */
static bool is_taken(const struct subtree *t, const char *rel)
{
    const struct copy *c = t->c;
    uint8_t *states = t->states;
    const uint8_t *above = t->n > 0 ? t->frames[t->n - 1].states : NULL;
    size_t at;
    bool takes = true;
    state_sizes(c, &at);
    if (c->include != NULL)
        takes = ignore_match_in(c->include, rel, above, states);
    if (c->exclude != NULL &&
        ignore_match_in(c->exclude, rel, above ? above + at : NULL, states + at))
        takes = false;
    return takes;
}

/* A directory that was not taken itself, once something in it is. */
static int put_way(struct subtree *t, struct frame *f, struct err *err)
{
    AUTO(mem_free) char *path = copy_below(t->dest, f->rel);
    struct entry there;
    f->is_put = true;
    if (!plan_find(t->c->plan, path, &there))
        return put(t->c, &f->e, f->layer, path, err);
    if (plan_dir(t->c->plan, path, err) < 0)
        return err->code;
    plan_find(t->c->plan, path, &there);
    there.mode = f->e.mode;
    return plan_put(t->c->plan, &there, NULL, err);
}

/* Whether a file is another name of one that came before in this walk; *ret_first is its place. */
static bool find_linked(struct subtree *t, const struct entry *e, size_t layer, const char *path,
                        const char **ret_first)
{
    if (t->names == NULL)
        return false;
    AUTO(mem_free) char *key = str_printf("%zu:%s", layer, e->hardlink ? e->hardlink : e->path);
    *ret_first = map_get(t->names, key);
    if (*ret_first == NULL)
        map_set(t->names, key, str_dup(path));
    return *ret_first != NULL;
}

static int put_entry(struct subtree *t, const struct entry *e, size_t layer, const char *rel,
                     struct err *err)
{
    const char *first;
    for (size_t i = 0; i < t->n; i++)
        if (!t->frames[i].is_put && put_way(t, &t->frames[i], err) < 0)
            return err->code;
    buf_clear(&t->path);
    buf_adds(&t->path, t->dest);
    if (*t->dest != '\0')
        buf_addc(&t->path, '/');
    buf_adds(&t->path, rel);
    const char *path = buf_str(&t->path);
    if (e->type == ENTRY_FILE && find_linked(t, e, layer, path, &first))
        return plan_link(t->c->plan, path, first, false, err);
    return put(t->c, e, layer, path, err);
}

/* view_fn */
static int put_below(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct subtree *t = arg;
    size_t skip = strlen(t->top);
    if (str_eq(e->path, t->top))
        return 0;
    const char *rel = e->path + (skip ? skip + 1 : 0);
    while (t->n > 0 && !path_is_below(rel, t->frames[t->n - 1].rel))
        pop(t);
    bool taken = is_taken(t, rel);
    if (taken && put_entry(t, e, layer, rel, err) < 0)
        return err->code;
    if (e->type != ENTRY_DIR)
        return 0;
    MEM_ROOM(t->frames, t->n, t->cap);
    struct frame *f = &t->frames[t->n++];
    *f = (struct frame){ .rel = str_dup(rel), .e = *e, .layer = layer, .is_put = taken };
    f->states = mem_dup(t->states, t->states_len);
    f->e.path = str_dup(e->path);
    return 0;
}

/*
 * The directories that lead to what an include pattern is about for certain, each as the walk would
 * meet it. *ret_from: where the walk begins; NULL: there is nothing.
 */
static int walk_prefix(struct subtree *t, const char *prefix, char **ret_from, struct err *err)
{
    size_t n_top = strlen(t->top);
    AUTO(mem_free) char *path = *prefix ? copy_below(t->top, prefix) : str_dup(t->top);
    size_t at = n_top ? n_top + 1 : 0, len = strlen(path);
    *ret_from = NULL;
    for (; at < len; at++) {
        struct entry e;
        size_t layer;
        if (path[at] != '/')
            continue;
        path[at] = '\0';
        if (!view_find(t->c->from.view, path, &e, &layer) || e.type != ENTRY_DIR)
            return 0;
        if (put_below(t, &e, layer, err) < 0)
            return err->code;
        path[at] = '/';
    }
    *ret_from = TAKE(path);
    return 0;
}

/* The part of the only include pattern that is a path for certain. */
static char *certain_prefix(const struct copy *c)
{
    bool takes_back = false;
    if (c->include == NULL || ignore_len(c->include) != 1)
        return str_dup("");
    const char *pattern = ignore_pattern(c->include, 0, &takes_back);
    size_t n = strcspn(pattern, "*?[\\");
    while (pattern[n] != '\0' && n > 0 && pattern[n - 1] != '/')
        n--;
    while (n > 0 && pattern[n - 1] == '/')
        n--;
    return takes_back ? str_dup("") : str_ndup(pattern, n);
}

int copy_dir(struct copy *c, const char *top, const char *dest, struct err *err)
{
    struct entry there;
    if (plan_find(c->plan, dest, &there) && *dest && there.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "cannot copy to non-directory: /%s", dest);
    if (plan_dir(c->plan, dest, err) < 0)
        return err->code;
    AUTO(subtree_release)
    struct subtree t = { .c = c, .top = top, .dest = dest };
    size_t at;
    t.states_len = state_sizes(c, &at);
    t.states = mem_zalloc(t.states_len);
    if (files_have_links(&c->from, top))
        t.names = map_new(mem_free);
    AUTO(mem_free) char *prefix = certain_prefix(c);
    AUTO(mem_free) char *from = NULL;
    if (walk_prefix(&t, prefix, &from, err) < 0)
        return err->code;
    return from ? view_walk(c->from.view, from, put_below, &t, err) : 0;
}

int copy_file(struct copy *c, const char *as_written, const struct entry *e, size_t layer,
              const char *dest, struct err *err)
{
    if (c->exclude != NULL && ignore_match(c->exclude, copy_base(as_written)))
        return 0;
    if (copy_make_dest_dir(c, err) < 0)
        return err->code;
    AUTO(mem_free) char *path = copy_place(c, dest, as_written);
    return put(c, e, layer, path, err);
}
