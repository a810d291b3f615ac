/* The sources of COPY and ADD: paths, and patterns in Go's filepath.Match form, in a view. */
#include "engine/copy_internal.h"

#include "base/fs.h"
#include "dockerfile/glob.h"
#include "engine/context_places.h"
#include "engine/contexts.h"
#include <string.h>

char *copy_clean(const char *path)
{
    AUTO(mem_free) char *rooted = str_printf("/%s", path);
    AUTO(mem_free) char *clean = path_clean(rooted);
    return str_dup(clean + 1);
}

static bool is_missing(const struct context *dir, const char *source)
{
    AUTO(mem_free) char *path = copy_clean(source);
    struct err why = ERR_INIT;
    if (*path == '\0' || glob_has_magic(path))
        return false;
    AUTO(fd_close) int fd = context_open_file(dir, path, &why);
    return fd < 0 && why.code == ERR_NOT_FOUND;
}

bool copy_lacks_source(const struct build_stage *st, const struct instr *i)
{
    const struct instr_copy *x = &i->copy;
    const struct build_context *c;
    struct err none = ERR_INIT;
    if ((x->from != NULL && *x->from != '\0') || x->parents ||
        contexts_find(st->b, NULL, &st->platform, &c, &none) < 0 || c->kind != CONTEXT_DIR)
        return false;
    for (size_t k = 0; k < x->sources.n; k++)
        if (!copy_is_remote(x->sources.v[k]) && is_missing(c->dir, x->sources.v[k]))
            return true;
    return false;
}

/* Archives of this machine are unpacked unless told not to, fetched ones only when told to. */
static bool may_unpack(const struct copy *c)
{
    enum instr_tri unpack = c->i->copy.unpack;
    return c->i->kind == INSTR_ADD && (c->is_remote ? unpack == INSTR_TRUE : unpack != INSTR_FALSE);
}

int copy_path(struct copy *c, const char *path, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    if (view_resolve(c->from.view, path, true, &real, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? files_not_found(c->from.shown, path, err) : err->code;
    context_places_source(c->st->b, &c->from, path, real);
    AUTO(mem_free) char *dest = copy_resolve_dest(c, err);
    if (dest == NULL)
        return err->code;
    struct entry e;
    size_t layer = 0;
    if (!view_find(c->from.view, real, &e, &layer))
        return files_not_found(c->from.shown, path, err);
    if (e.type == ENTRY_DIR)
        return copy_make_dest_dir(c, err) < 0 ? err->code : copy_dir(c, real, dest, err);
    if (e.type == ENTRY_FILE && may_unpack(c)) {
        int is_archive = copy_is_archive(c, &e, layer, err);
        if (is_archive < 0)
            return is_archive;
        if (is_archive)
            return copy_add_archive(c, &e, layer, dest, err);
    }
    return copy_file(c, path, &e, layer, dest, err);
}

/* All paths below a directory of the view that a pattern with wildcards matches, in order. */
struct matches {
    const char *top; /* links on the way to it are followed, those below it are not */
    const char *pattern;
    size_t depth; /* components of the pattern */
    struct strv found;
};

static size_t components(const char *path)
{
    size_t n = *path != '\0';
    for (; *path; path++)
        n += *path == '/';
    return n;
}

/* view_fn */
static int match_entry(void *arg, const struct entry *e, size_t layer UNUSED, struct err *err)
{
    struct matches *m = arg;
    bool hit = false;
    if (str_eq(e->path, m->top))
        return 0;
    const char *rel = e->path + (*m->top ? strlen(m->top) + 1 : 0);
    if (components(rel) != m->depth)
        return 0;
    if (glob_match(m->pattern, rel, &hit, err) < 0)
        return err_wrap(err, "'%s'", m->pattern);
    if (hit)
        strv_add(&m->found, e->path);
    return 0;
}

/* Links that a pattern found may lead to where nobody has looked yet. */
static int scan_targets(struct copy *c, const struct strv *found, struct err *err)
{
    AUTO(strv_release) struct strv links = STRV_INIT;
    struct entry e;
    for (size_t k = 0; c->from.context != NULL && k < found->n; k++)
        if (view_find(c->from.view, found->v[k], &e, NULL) && e.type == ENTRY_LINK)
            strv_add(&links, found->v[k]);
    return links.n > 0 ? files_want(&c->from, &links, err) : 0;
}

/* A pattern that finds nothing is fine; the directory that it is about has to be there. */
static int no_such_dir(const char *path, struct err *err)
{
    return err_set(err, ERR_USAGE, "lstat /%s: no such file or directory", path);
}

int copy_matches(struct copy *c, const char *pattern, struct err *err)
{
    if (!glob_has_magic(pattern))
        return copy_path(c, pattern, err);
    AUTO(mem_free) char *plain = str_ndup(pattern, strcspn(pattern, "*?[\\"));
    char *slash = strrchr(plain, '/');
    size_t n_plain = slash ? (size_t)(slash - plain) : 0;
    plain[n_plain] = '\0';
    AUTO(mem_free) char *top = NULL;
    if (view_resolve(c->from.view, plain, true, &top, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? no_such_dir(plain, err) : err->code;
    struct entry dir;
    if (slash != NULL && (!view_find(c->from.view, top, &dir, NULL) || dir.type != ENTRY_DIR))
        return no_such_dir(plain, err);
    context_places_source(c->st->b, &c->from, plain, top);
    struct matches m = { .top = top, .pattern = pattern + n_plain + (slash != NULL) };
    m.depth = components(m.pattern);
    int rc = view_walk(c->from.view, top, match_entry, &m, err);
    if (rc == 0)
        rc = scan_targets(c, &m.found, err);
    for (size_t k = 0; rc == 0 && k < m.found.n; k++)
        rc = copy_path(c, m.found.v[k], err);
    strv_release(&m.found);
    return rc;
}

void copy_want(const struct instr *i, const char *source, struct strv *wants)
{
    AUTO(mem_free) char *pivot = NULL;
    AUTO(mem_free) char *pattern = NULL;
    if (!i->copy.parents) {
        build_add_want(wants, source);
        return;
    }
    copy_split_pivot(source, &pivot, &pattern);
    AUTO(mem_free) char *whole = str_printf("%s/%s", pivot, pattern);
    build_add_want(wants, whole);
}

int copy_source(struct copy *c, const char *source, struct err *err)
{
    if (c->i->copy.parents)
        return copy_parents(c, source, err);
    AUTO(mem_free) char *clean = copy_clean(source);
    return copy_matches(c, clean, err);
}
