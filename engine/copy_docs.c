/*
 * Which changes of what a COPY takes are documentation (skip_docs.h): files
 * of the main context that match the patterns and came along with a directory
 * that is more than documentation. A COPY with a pattern among its sources
 * means what the pattern finds, so that none of it is documentation.
 */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include "base/map.h"
#include "dockerfile/glob.h"
#include "dockerfile/ignore.h"
#include "engine/skip_docs.h"
#include <string.h>

struct docs {
    struct copy *c;
    const struct ignore *patterns;
    char *dest;          /* resolved; "" is the root */
    struct strv sources; /* directories and files of the context, links followed */
    struct map *broad;   /* directory -> whether it has more in it than documentation */
};

static void docs_release(struct docs *d)
{
    mem_free(d->dest);
    strv_release(&d->sources);
    map_free(d->broad);
}
DEFINE_AUTO_VALUE(struct docs, docs_release);

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

struct search {
    const struct docs *d;
    const char *dir;
};

/* plan_origin_fn */
static bool is_other_file(void *arg, const struct origin *o)
{
    const struct search *s = arg;
    return o->kind == ORIGIN_CONTEXT && path_is_below(o->path, s->dir) &&
           !ignore_match(s->d->patterns, o->path) && !is_about_building(o->path);
}

/* More than documentation is taken from this directory of the context. */
static bool is_broad(struct docs *d, const char *dir)
{
    static char yes[] = "yes", no[] = "no";
    struct search s = { .d = d, .dir = dir };
    const char *known = map_get(d->broad, dir);
    if (known == NULL) {
        char *found = plan_any_origin(d->c->plan, is_other_file, &s) ? yes : no;
        map_set(d->broad, dir, found);
        known = found;
    }
    return known == yes;
}

/* Some source brings the path broadly, and none by its name. */
static bool is_docs_path(struct docs *d, const char *path, bool is_dir)
{
    bool broadly = false;
    if (is_dir ? !is_docs_dir(d, path) : !ignore_match(d->patterns, path))
        return false;
    for (size_t i = 0; i < d->sources.n; i++) {
        const char *source = d->sources.v[i];
        if (str_eq(source, path) || (path_is_below(path, source) && !is_broad(d, source)))
            return false;
        broadly = broadly || path_is_below(path, source);
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

/* Whichever source brought the file that was at this path of the image: it was documentation. */
static bool was_docs(struct docs *d, const char *path, bool is_dir)
{
    const char *rel = below_dest(d, path);
    bool any = false;
    if (rel == NULL)
        return false;
    for (size_t i = 0; i < d->sources.n; i++) {
        struct entry e;
        const char *source = d->sources.v[i];
        if (!view_find(d->c->from.view, source, &e, NULL) || e.type != ENTRY_DIR)
            continue;
        AUTO(mem_free) char *was = copy_below(source, rel);
        if (!is_docs_path(d, was, is_dir))
            return false;
        any = true;
    }
    return any;
}

/* A link is a way to other files, whatever its name is. */
static bool is_docs_change(struct docs *d, const struct file_change *x)
{
    bool is_dir = x->type == ENTRY_DIR, comes = x->kind == FILE_NEW, goes = x->kind == FILE_GONE;
    if (x->kind == FILE_TYPE || (x->type != ENTRY_FILE && !is_dir) || (is_dir && !comes && !goes))
        return false;
    if (!comes && !was_docs(d, x->path, is_dir))
        return false;
    const struct origin *o = plan_origin(d->c->plan, x->path);
    return goes || (o != NULL && o->context != NULL && is_docs_path(d, o->path, is_dir));
}

/* False: they are no paths, or of something else than the main context. */
static bool take_sources(struct docs *d)
{
    const struct instr_copy *x = &d->c->i->copy;
    bool from_context = x->from == NULL || *x->from == '\0';
    if (!from_context || d->c->from.context == NULL || x->files.n > 0 || x->parents)
        return false;
    for (size_t i = 0; i < x->sources.n; i++) {
        struct err ignored = ERR_INIT;
        AUTO(mem_free) char *clean = copy_clean(x->sources.v[i]);
        char *real = NULL;
        if (glob_has_magic(clean) || copy_is_remote(x->sources.v[i]) ||
            view_resolve(d->c->from.view, clean, true, &real, NULL, &ignored) < 0)
            return false;
        strv_take(&d->sources, real);
    }
    return true;
}

bool copy_is_docs(struct step *s, const struct file_changes *c, char **ret_dest)
{
    struct copy *copy = s->arg;
    struct err ignored = ERR_INIT;
    AUTO(docs_release)
    struct docs d = { .c = copy,
                      .patterns = s->st->b->docs->patterns,
                      .dest = copy_resolve_dest(copy, &ignored),
                      .broad = map_new(NULL) };
    if (d.dest == NULL || !take_sources(&d))
        return false;
    for (size_t i = 0; i < c->n; i++)
        if (!file_change_is_implied(c, i) && !is_docs_change(&d, &c->v[i]))
            return false;
    *ret_dest = TAKE(d.dest);
    return true;
}
