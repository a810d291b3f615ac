/*
 * COPY and ADD of files: planned on listings, keyed by what the layer will
 * contain, made only when no layer of that content is known. The rules of
 * where things go are those of BuildKit's copier (github.com/tonistiigi/fsutil,
 * copy): a source directory gives its contents, missing directories are made
 * 0755 with --chown's owner, the destination's links are followed in-root.
 */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/map.h"
#include "dockerfile/glob.h"
#include "dockerfile/ignore.h"
#include "engine/copy_internal.h"
#include "engine/engine_internal.h"
#include <string.h>

void copy_release(struct copy *c)
{
    mem_free(c->dest);
    buf_release(&c->unknown);
    ignore_free(c->exclude);
    plan_free(c->plan);
    files_release(&c->from);
    for (size_t i = 0; i < c->n_archives; i++)
        copy_archive_release(&c->archives[i]);
    mem_free(c->archives);
}

/* Where sources are looked for. */

static int open_sources(struct copy *c, struct err *err)
{
    AUTO(strv_release) struct strv wants = STRV_INIT;
    const struct instr_copy *x = &c->i->copy;
    bool from_context = x->from == NULL || *x->from == '\0';
    for (size_t k = 0; k < x->sources.n; k++)
        if (c->i->kind != INSTR_ADD || !copy_is_remote(x->sources.v[k]))
            build_add_want(&wants, x->sources.v[k]);
    if (from_context && wants.n == 0)
        return 0; /* here-documents and what is remote */
    return files_open(c->st, x->from, &wants, &c->from, err);
}

/* Options. */

/* Names in an image that has no files at all fail, as in BuildKit; else an unknown one is root. */
static int parse_owner(struct copy *c, const char *text, struct err *err)
{
    struct state *s = &c->st->state;
    c->has_owner = true;
    if (s->n_layers == 0 && owner_has_names(text))
        return err_set(err, ERR_USAGE,
                       "--chown=%s: there is no user or group of that name in an empty image",
                       text);
    if (owner_resolve(state_view(s), text, &c->owner, &c->unknown, err) < 0)
        return err->code;
    if (c->unknown.len > 0)
        log_warn("engine", "line %d: --chown=%s: %s; root is taken, as Docker does", c->i->line,
                 text, buf_str(&c->unknown));
    return 0;
}

static int parse_options(struct copy *c, struct err *err)
{
    const struct instr_copy *x = &c->i->copy;
    if (x->parents)
        return err_set(err, ERR_UNSUPPORTED,
                       "COPY --parents is not supported by this version of shale");
    if (x->checksum != NULL && *x->checksum)
        return err_set(err, ERR_UNSUPPORTED,
                       "ADD --checksum is not supported by this version of shale");
    if (x->chmod != NULL && *x->chmod && chmod_parse(x->chmod, &c->chmod, err) < 0)
        return err->code;
    if (x->chown != NULL && *x->chown && parse_owner(c, x->chown, err) < 0)
        return err->code;
    if (x->exclude.n > 0) {
        c->exclude = ignore_new(&x->exclude, err);
        if (c->exclude == NULL)
            return err->code;
    }
    return 0;
}

/* Where it goes. */

/* Text only: absolute, cleaned, a trailing slash (or ".") kept as c->dest_is_dir. */
static void clean_dest(struct copy *c)
{
    const struct state *s = &c->st->state;
    const char *dest = c->i->copy.dest;
    size_t n = strlen(dest);
    c->dest_is_dir = n == 0 || str_eq(dest, ".") || str_ends(dest, "/") || str_ends(dest, "/.");
    const char *cwd = s->config.workdir && *s->config.workdir ? s->config.workdir : "/";
    c->dest = path_join(cwd, n ? dest : ".");
}

/* path with the links of its existing part followed, relative to the root. */
static char *resolve_dest(struct copy *c, const char *path, bool follow_last, struct err *err)
{
    char *real = NULL;
    size_t missing;
    if (view_resolve(state_view(&c->st->state), path, follow_last, &real, &missing, err) < 0)
        return NULL;
    return real;
}

/* The directory that will have what is copied; made when there is something to copy. */
static int make_dest_dir(struct copy *c, struct err *err)
{
    /* an octal --chmod is mkdir's mode too, with the daemon's umask of 022 */
    plan_new_dirs(c->plan, c->chmod.octal ? c->chmod.mode & 0755 : 0755, c->has_owner);
    AUTO(mem_free) char *parent = c->dest_is_dir ? str_dup(c->dest) : path_dir(c->dest);
    AUTO(mem_free) char *real = resolve_dest(c, parent, true, err);
    if (real == NULL)
        return err->code;
    return plan_dir(c->plan, real, err);
}

/* Sources. */

static void set_metadata(const struct copy *c, struct entry *e)
{
    if (e->type != ENTRY_LINK)
        e->mode = chmod_apply(&c->chmod, e->mode, e->type == ENTRY_DIR);
    if (c->has_owner) {
        e->uid = c->owner.uid;
        e->gid = c->owner.gid;
    }
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
    if (c->from.context != NULL)
        copy.n_xattrs = 0; /* a context's are lost on Docker's way too, capabilities above all */
    set_metadata(c, &copy);
    return plan_put(c->plan, &copy, &o, err);
}

struct subtree {
    struct copy *c;
    const char *top;   /* the source directory, in its view */
    const char *dest;  /* where its contents go */
    struct map *names; /* "layer:path" of files with several names -> place of the first one */
};

/* Puts a file of a layer as another name of one that came before; false: it is the first. */
static bool find_linked(struct subtree *t, const struct entry *e, size_t layer, const char *path,
                        const char **ret_first)
{
    AUTO(mem_free) char *key = str_printf("%zu:%s", layer, e->hardlink ? e->hardlink : e->path);
    *ret_first = map_get(t->names, key);
    if (*ret_first == NULL)
        map_set(t->names, key, str_dup(path));
    return *ret_first != NULL;
}

/* view_fn */
static int put_below(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct subtree *t = arg;
    size_t skip = strlen(t->top);
    if (str_eq(e->path, t->top))
        return 0;
    const char *rel = e->path + (skip ? skip + 1 : 0);
    /* --exclude is matched against the path within the source; a directory comes with what is left
     * in it */
    if (t->c->exclude != NULL && ignore_match(t->c->exclude, rel))
        return 0;
    AUTO(mem_free) char *path = *t->dest ? str_printf("%s/%s", t->dest, rel) : str_dup(rel);
    const char *first;
    if (t->c->from.context == NULL && e->type == ENTRY_FILE &&
        find_linked(t, e, layer, path, &first))
        return plan_link(t->c->plan, path, first, false, err);
    return put(t->c, e, layer, path, err);
}

static void free_name(void *name)
{
    mem_free(name);
}

static int copy_dir(struct copy *c, const char *top, const char *dest, struct err *err)
{
    struct entry there;
    if (plan_find(c->plan, dest, &there) && *dest && there.type != ENTRY_DIR)
        return err_set(err, ERR_USAGE, "cannot copy to non-directory: /%s", dest);
    if (plan_dir(c->plan, dest, err) < 0)
        return err->code;
    struct subtree t = { .c = c, .top = top, .dest = dest, .names = map_new(free_name) };
    int rc = view_walk(c->from.view, top, put_below, &t, err);
    map_free(t.names);
    return rc;
}

/* Go's filepath.Base of the source as written. */
static const char *base_of(const char *path)
{
    const char *base = path_base(path);
    return *base ? base : path;
}

static int copy_file(struct copy *c, const char *as_written, const struct entry *e, size_t layer,
                     const char *dest, struct err *err)
{
    struct entry there;
    bool into = *dest == '\0' || c->dest_is_dir ||
                (plan_find(c->plan, dest, &there) && there.type == ENTRY_DIR);
    if (c->exclude != NULL && ignore_match(c->exclude, base_of(as_written)))
        return 0;
    if (make_dest_dir(c, err) < 0)
        return err->code;
    if (!into)
        return put(c, e, layer, dest, err);
    const char *base = base_of(as_written);
    AUTO(mem_free) char *path = *dest ? str_printf("%s/%s", dest, base) : str_dup(base);
    return put(c, e, layer, path, err);
}

static int copy_not_found(const struct copy *c, const char *path, struct err *err)
{
    return err_set(err, ERR_USAGE,
                   "failed to compute cache key: failed to calculate checksum of ref %s: "
                   "\"/%s\": not found",
                   c->from.shown, path);
}

/* One path of the source view, links in it followed. */
static int copy_one(struct copy *c, const char *path, struct err *err)
{
    AUTO(mem_free) char *real = NULL;
    if (view_resolve(c->from.view, path, true, &real, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? copy_not_found(c, path, err) : err->code;
    AUTO(mem_free) char *dest = resolve_dest(c, c->dest, true, err);
    if (dest == NULL)
        return err->code;
    struct entry e;
    size_t layer = 0;
    if (!view_find(c->from.view, real, &e, &layer))
        return copy_not_found(c, path, err);
    if (e.type == ENTRY_DIR)
        return make_dest_dir(c, err) < 0 ? err->code : copy_dir(c, real, dest, err);
    if (c->i->kind == INSTR_ADD && e.type == ENTRY_FILE && c->i->copy.unpack != INSTR_FALSE) {
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

static int copy_source(struct copy *c, const char *source, struct err *err)
{
    AUTO(mem_free) char *rooted = str_printf("/%s", source);
    AUTO(mem_free) char *clean = path_clean(rooted);
    if (!glob_has_magic(clean + 1))
        return copy_one(c, clean + 1, err);
    AUTO(mem_free) char *plain = str_ndup(clean + 1, strcspn(clean + 1, "*?[\\"));
    char *slash = strrchr(plain, '/');
    size_t n_plain = slash ? (size_t)(slash - plain) : 0;
    plain[n_plain] = '\0';
    AUTO(mem_free) char *top = NULL;
    if (view_resolve(c->from.view, plain, true, &top, NULL, err) < 0)
        return err->code == ERR_NOT_FOUND ? copy_not_found(c, plain, err) : err->code;
    struct entry dir;
    if (slash != NULL && (!view_find(c->from.view, top, &dir, NULL) || dir.type != ENTRY_DIR))
        return copy_not_found(c, plain, err);
    struct matches m = { .top = top, .pattern = clean + 1 + n_plain + (slash != NULL) };
    m.depth = components(m.pattern);
    int rc = view_walk(c->from.view, top, match_entry, &m, err);
    if (rc == 0)
        rc = scan_targets(c, &m.found, err);
    for (size_t k = 0; rc == 0 && k < m.found.n; k++)
        rc = copy_one(c, m.found.v[k], err);
    strv_release(&m.found);
    return rc;
}

/* COPY <<EOF: a file of its own. */
static int copy_heredoc(struct copy *c, const struct instr_file *f, struct err *err)
{
    struct entry e = { .path = f->name,
                       .type = ENTRY_FILE,
                       .mode = 0644,
                       .size = strlen(f->data),
                       .mtime = c->st->b->epoch >= 0 ? c->st->b->epoch : 0 };
    digest_of(f->data, e.size, &e.content);
    set_metadata(c, &e);
    AUTO(mem_free) char *dest = resolve_dest(c, c->dest, true, err);
    if (dest == NULL || make_dest_dir(c, err) < 0)
        return err->code;
    struct entry there;
    bool into = c->dest_is_dir || *dest == '\0' ||
                (plan_find(c->plan, dest, &there) && there.type == ENTRY_DIR);
    AUTO(mem_free)
    char *path = into && *dest ? str_printf("%s/%s", dest, base_of(f->name))
                 : into        ? str_dup(base_of(f->name))
                               : str_dup(dest);
    struct origin o = { .kind = ORIGIN_BYTES };
    buf_adds(&o.bytes, f->data);
    e.path = path;
    return plan_put(c->plan, &e, &o, err);
}

static int plan_sources(struct copy *c, struct err *err)
{
    const struct instr_copy *x = &c->i->copy;
    if (open_sources(c, err) < 0)
        return err->code;
    for (size_t k = 0; k < x->sources.n; k++) {
        bool remote = c->i->kind == INSTR_ADD && copy_is_remote(x->sources.v[k]);
        int rc =
            remote ? copy_remote(c, x->sources.v[k], err) : copy_source(c, x->sources.v[k], err);
        if (rc < 0)
            return rc;
    }
    for (size_t k = 0; k < x->files.n; k++)
        if (copy_heredoc(c, &x->files.v[k], err) < 0)
            return err->code;
    return 0;
}

int copy_blame(struct copy *c, struct err *err)
{
    struct build *b = c->st->b;
    err_at(err, c->i->line, c->i->line_end);
    AUTO(mem_free) char *name = stage_vertex_name(c->st, c->i);
    int v = vertex_begin(b->e, "%s", name);
    vertex_end(b->e, v, err->code == ERR_CANCELLED ? VERTEX_CANCELED : VERTEX_ERROR, err->msg, 0);
    pthread_mutex_lock(&b->lock);
    if (b->result->failed_vertex == 0 && err->code != ERR_CANCELLED)
        b->result->failed_vertex = v;
    pthread_mutex_unlock(&b->lock);
    return err->code;
}

static int make_copy(struct step *s, const struct layer **ret, struct err *err)
{
    struct copy *c = s->arg;
    if (copy_unpack_archives(c, err) < 0)
        return err->code;
    *ret = plan_make(c->plan, err);
    return *ret == NULL ? err->code : 0;
}

int do_copy(struct build_stage *st, const struct instr *i, struct err *err)
{
    AUTO(copy_release) struct copy c = { .st = st, .i = i };
    struct content_id id;
    if (parse_options(&c, err) < 0)
        return err_at(err, i->line, i->line_end);
    clean_dest(&c);
    c.plan = plan_new(st->b->store, state_view(&st->state), c.owner.uid, c.owner.gid, st->b->epoch);
    if (plan_sources(&c, err) < 0 || plan_content_id(c.plan, &id, err) < 0)
        return copy_blame(&c, err);
    AUTO(key_free) struct key *k = key_new("copy");
    key_digest(k, "content", &id.d);
    copy_archives_key(&c, k);
    AUTO(buf_release) struct buf created_by = BUF_INIT;
    created_by_copy(&created_by, i);
    struct step step = {
        .st = st, .i = i, .key = k, .created_by = buf_str(&created_by), .make = make_copy, .arg = &c
    };
    return step_do(&step, err);
}
