/*
 * COPY and ADD of files: planned on listings, keyed by what the layer will
 * contain, made only when no layer of that content is known. Here are the
 * options, the destination and the step; copy_match.c finds the sources,
 * copy_tree.c puts them into the plan.
 */
#include "engine/build_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "dockerfile/glob.h"
#include "dockerfile/ignore.h"
#include "engine/context_places.h"
#include "engine/copy_internal.h"
#include "engine/engine_internal.h"
#include "engine/keep_times.h"
#include "engine/skip_docs.h"
#include <string.h>

void copy_release(struct copy *c)
{
    mem_free(c->dest);
    buf_release(&c->unknown);
    ignore_free(c->exclude);
    plan_free(c->plan);
    view_free(c->nothing);
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
            copy_want(c->i, x->sources.v[k], &wants);
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
    if ((s->n_layers == 0 || c->is_link) && owner_has_names(text))
        return err_set(
            err, ERR_USAGE,
            "invalid user index: -1: --chown=%s: there is no user or group of that name %s", text,
            c->is_link ? "with --link, which does not look at the image" : "in an empty image");
    if (owner_resolve(c->below, text, &c->owner, &c->unknown, err) < 0)
        return err->code;
    if (c->unknown.len > 0 && !c->st->b->is_dry)
        log_warn("engine", "line %d: --chown=%s: %s; root is taken, as Docker does", c->i->line,
                 text, buf_str(&c->unknown));
    return 0;
}

static int parse_options(struct copy *c, struct err *err)
{
    const struct instr_copy *x = &c->i->copy;
    if (copy_check_remote(c->i, err) < 0)
        return err->code;
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

/*
 * --link: the layer is made on nothing, so that it is the same on any base. BuildKit takes it for
 * an ordinary COPY when there is --chmod.
 */
static void choose_below(struct copy *c)
{
    const struct instr_copy *x = &c->i->copy;
    c->is_link = x->link && (x->chmod == NULL || *x->chmod == '\0');
    if (c->is_link)
        c->nothing = view_new(NULL, 0);
    c->below = c->is_link ? c->nothing : state_view(&c->st->state);
}

/* path with the links of its existing part followed, relative to the root. */
static char *resolve(struct copy *c, const char *path, struct err *err)
{
    char *real = NULL;
    size_t missing;
    if (view_resolve(c->below, path, true, &real, &missing, err) == 0)
        return real;
    AUTO(mem_free)
    char *dir = str_eq(path, c->dest) && !c->dest_is_dir ? path_dir(path) : str_dup(path);
    if (err->code == ERR_NOT_FOUND)
        err_set(err, ERR_USAGE, "mkdir %s: not a directory", dir);
    return NULL;
}

char *copy_resolve_dest(struct copy *c, struct err *err)
{
    return resolve(c, c->dest, err);
}

int copy_make_dest_dir(struct copy *c, struct err *err)
{
    /* an octal --chmod is mkdir's mode too, with the daemon's umask of 022 */
    plan_new_dirs(c->plan, c->chmod.octal ? c->chmod.mode & 0755 : 0755, c->has_owner);
    AUTO(mem_free) char *parent = c->dest_is_dir ? str_dup(c->dest) : path_dir(c->dest);
    AUTO(mem_free) char *real = resolve(c, parent, err);
    if (real == NULL)
        return err->code;
    return plan_dir(c->plan, real, err);
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
    copy_set_metadata(c, &e);
    AUTO(mem_free) char *dest = copy_resolve_dest(c, err);
    if (dest == NULL || copy_make_dest_dir(c, err) < 0)
        return err->code;
    AUTO(mem_free) char *path = copy_place(c, dest, f->name);
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

static int make_copy(struct step *s, const struct layer **ret, struct err *err)
{
    struct copy *c = s->arg;
    if (copy_unpack_archives(c, err) < 0)
        return err->code;
    keep_times(s, c->plan);
    *ret = plan_make(c->plan, err);
    if (*ret != NULL)
        return 0;
    build_note_change(c->st->b, c->from.context, err);
    return err->code;
}

/* step_ops. An archive's members are not in the plan before it is unpacked. */
static struct listing *foresee_copy(struct step *s, struct err *err)
{
    struct copy *c = s->arg;
    return c->n_archives == 0 ? plan_listing(c->plan, err) : NULL;
}

static char *shown_source(void *arg, const char *path)
{
    const struct step *s = arg;
    const struct copy *c = s->arg;
    const struct origin *o = plan_origin(c->plan, path);
    return o != NULL ? str_dup(o->path) : NULL;
}

/* skip_docs.h: what is taken of another stage; whether that is the whole of a COPY. Who finds by
 * patterns, or leaves something out, picks. */
static bool takes_docs(struct copy *c)
{
    const struct instr_copy *x = &c->i->copy;
    bool whole = false;
    for (size_t k = 0; c->st->b->docs != NULL && c->from.layers != NULL && k < x->sources.n; k++) {
        struct err ignored = ERR_INIT;
        AUTO(mem_free) char *clean = copy_clean(x->sources.v[k]);
        AUTO(mem_free) char *real = NULL;
        bool magic = glob_has_magic(clean);
        clean[strcspn(clean, "*?[\\")] = '\0';
        char *slash = strrchr(clean, '/');
        if (magic)
            *(slash != NULL ? slash : clean) = '\0';
        bool found = view_resolve(c->from.view, clean, true, &real, NULL, &ignored) == 0;
        whole |= docs_check_taken(c->st->b, c->from.layers, c->from.n_layers, found ? real : clean,
                                  magic || x->parents || x->exclude.n > 0);
    }
    return whole;
}

/* What is fetched is a file of its own, not one of ours that somebody copied. */
static bool is_local(const struct instr *i)
{
    for (size_t k = 0; i->kind == INSTR_ADD && k < i->copy.sources.n; k++)
        if (copy_is_remote(i->copy.sources.v[k]))
            return false;
    return true;
}

/* Times of a checkout tell nothing; those of an archive, a server or an image are what they are. */
static struct epoch_rule times_of(const struct copy *c)
{
    bool is_checkout =
        is_local(c->i) && c->n_archives == 0 && (c->from.context != NULL || c->i->copy.files.n > 0);
    return (struct epoch_rule){ .all = is_checkout, .dirs = true };
}

static const struct step_ops copy_ops = {
    .kind = "copy", .foresee = foresee_copy, .shown_path = shown_source, .is_docs = copy_is_docs
};

int do_copy(struct build_stage *st, const struct instr *i, struct err *err)
{
    AUTO(copy_release) struct copy c = { .st = st, .i = i };
    struct content_id id;
    choose_below(&c);
    if (st->state.undecided != NULL && !c.is_link) {
        step_undecided(st, i, st->state.undecided);
        return 0;
    }
    if (parse_options(&c, err) < 0)
        return err_at(err, i->line, i->line_end);
    clean_dest(&c);
    c.plan = plan_new(st->b->store, c.below, c.owner.uid, c.owner.gid, st->b->epoch);
    if (plan_sources(&c, err) < 0 || plan_content_id(c.plan, &id, err) < 0)
        return step_without_key(st, i, c.failed_vertex, err);
    bool whole = takes_docs(&c);
    AUTO(key_free) struct key *k = key_new("copy");
    key_digest(k, "content", &id.d);
    plan_key_links(c.plan, k);
    copy_archives_key(&c, k);
    AUTO(buf_release) struct buf created_by = BUF_INIT;
    created_by_copy(&created_by, i);
    struct step step = { .st = st,
                         .i = i,
                         .key = k,
                         .created_by = buf_str(&created_by),
                         .make = make_copy,
                         .arg = &c,
                         .ops = &copy_ops,
                         .copies = is_local(i),
                         .times = times_of(&c) };
    size_t n_below = st->state.n_layers;
    int rc = step_do(&step, err);
    if (rc == 0)
        context_places_copy(st, c.plan, n_below, i->copy.parents);
    if (rc == 0 && whole && st->state.n_layers > 0)
        docs_hand_on(st->b, st->state.layers[st->state.n_layers - 1]);
    return rc;
}
