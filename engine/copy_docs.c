/*
 * Which changes of what a COPY takes are documentation (skip_docs.h): files
 * of the main context that match the patterns and came along with a directory
 * that is more than documentation.
 */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include "dockerfile/glob.h"
#include "dockerfile/ignore.h"
#include "engine/skip_docs.h"
#include <string.h>

struct docs {
    const struct copy *c;
    const struct ignore *patterns;
    char *dest; /* resolved; "" is the root */
};

/* A directory's own entry: in which everything would be documentation. */
static bool is_docs_dir(const struct docs *d, const char *dir)
{
    AUTO(mem_free) char *in_it = str_printf("%s/x", dir);
    return *dir != '\0' && (ignore_match(d->patterns, dir) || ignore_match(d->patterns, in_it));
}

/* What says how to build is no part of what is built. */
static bool is_about_building(const char *path)
{
    const char *name = path_base(path);
    return str_starts(name, "Dockerfile") || str_ends(name, ".dockerignore");
}

#define FOUND_OTHER 1

/* view_fn */
static int look_for_other(void *arg, const struct entry *e, size_t layer UNUSED,
                          struct err *err UNUSED)
{
    const struct docs *d = arg;
    bool other =
        e->type != ENTRY_DIR && !ignore_match(d->patterns, e->path) && !is_about_building(e->path);
    return other ? FOUND_OTHER : 0;
}

/* A directory of the context with more in it than documentation. */
static bool has_other_files(struct docs *d, const char *dir)
{
    struct err ignored = ERR_INIT;
    return view_walk(d->c->from.view, dir, look_for_other, d, &ignored) == FOUND_OTHER;
}

static size_t components(const char *path)
{
    size_t n = *path != '\0';
    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* The first n components of path. */
static char *beginning(const char *path, size_t n)
{
    const char *p = path;
    if (n == 0)
        return str_dup("");
    for (; *p != '\0'; p++)
        if (*p == '/' && --n == 0)
            break;
    return str_ndup(path, (size_t)(p - path));
}

enum coming { COMES_NOT, COMES_BROADLY, COMES_BY_NAME };

static enum coming by_pattern(struct docs *d, const char *pattern, const char *path)
{
    bool hit = false;
    struct err bad = ERR_INIT;
    const char *slash = strrchr(pattern, '/'), *last = slash ? slash + 1 : pattern;
    if (components(path) < components(pattern))
        return COMES_NOT;
    AUTO(mem_free) char *match = beginning(path, components(pattern));
    if (glob_match(pattern, match, &hit, &bad) < 0 || !hit)
        return COMES_NOT;
    if (!str_eq(match, path) && has_other_files(d, match))
        return COMES_BROADLY;
    AUTO(mem_free) char *dir = beginning(path, components(pattern) - 1);
    return str_eq(last, "*") && has_other_files(d, dir) ? COMES_BROADLY : COMES_BY_NAME;
}

/* How a source, as it is written, brings a path of the context. */
static enum coming comes_by(struct docs *d, const char *source, const char *path)
{
    AUTO(mem_free) char *clean = copy_clean(source);
    if (glob_has_magic(clean))
        return by_pattern(d, clean, path);
    if (str_eq(clean, path))
        return COMES_BY_NAME;
    if (*clean != '\0' && !path_is_below(path, clean))
        return COMES_NOT;
    return has_other_files(d, clean) ? COMES_BROADLY : COMES_BY_NAME;
}

static bool is_docs_path(struct docs *d, const char *path, bool is_dir)
{
    const struct strv *sources = &d->c->i->copy.sources;
    bool broadly = false;
    if (is_dir ? !is_docs_dir(d, path) : !ignore_match(d->patterns, path))
        return false;
    for (size_t i = 0; i < sources->n; i++) {
        enum coming how = comes_by(d, sources->v[i], path);
        if (how == COMES_BY_NAME)
            return false;
        broadly = broadly || how == COMES_BROADLY;
    }
    return broadly;
}

/* The path below the destination; NULL: it is not there. */
static const char *below_dest(const struct docs *d, const char *path)
{
    size_t n = strlen(d->dest);
    if (n == 0)
        return path;
    return path_is_below(path, d->dest) ? path + n + 1 : NULL;
}

/* What is gone has no place in the context any more: whichever source brought it, it was
 * documentation. */
static bool was_docs(struct docs *d, const char *path, bool is_dir)
{
    const struct strv *sources = &d->c->i->copy.sources;
    const char *rel = below_dest(d, path);
    if (rel == NULL || d->c->i->copy.parents)
        return false;
    bool any = false;
    for (size_t i = 0; i < sources->n; i++) {
        struct entry e;
        AUTO(mem_free) char *clean = copy_clean(sources->v[i]);
        if (glob_has_magic(clean))
            return false;
        if (!view_find(d->c->from.view, clean, &e, NULL) || e.type != ENTRY_DIR)
            continue;
        AUTO(mem_free) char *was = copy_below(clean, rel);
        if (!is_docs_path(d, was, is_dir))
            return false;
        any = true;
    }
    return any;
}

static bool is_docs_change(struct docs *d, const struct file_change *x)
{
    bool is_dir = x->type == ENTRY_DIR;
    if (x->kind == FILE_TYPE || (is_dir && x->kind != FILE_NEW && x->kind != FILE_GONE))
        return false;
    if (x->kind == FILE_GONE)
        return was_docs(d, x->path, is_dir);
    const struct origin *o = plan_origin(d->c->plan, x->path);
    return o != NULL && o->context != NULL && is_docs_path(d, o->path, is_dir);
}

bool copy_is_docs(struct step *s, const struct file_changes *c, char **ret_dest)
{
    struct copy *copy = s->arg;
    const struct instr_copy *x = &copy->i->copy;
    struct err ignored = ERR_INIT;
    bool from_context = x->from == NULL || *x->from == '\0';
    if (!from_context || copy->from.context == NULL || x->files.n > 0)
        return false;
    AUTO(mem_free) char *dest = copy_resolve_dest(copy, &ignored);
    struct docs d = { .c = copy, .patterns = s->st->b->docs->patterns, .dest = dest };
    if (dest == NULL)
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (!file_change_is_implied(c, i) && !is_docs_change(&d, &c->v[i]))
            return false;
    *ret_dest = TAKE(dest);
    return true;
}
