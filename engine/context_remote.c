/* Contexts that are not on this machine: git repositories, URLs, and standard input. */
#include "engine/context_internal.h"

#include "base/clock.h"
#include "engine/fetch.h"
#include "engine/layer_plan.h"
#include "remote/url.h"
#include <string.h>

#define FILE_NAME "context" /* of what a URL gives, in the context that it becomes */

bool context_is_remote(const char *text)
{
    return fetch_is_git(text) || fetch_is_http(text);
}

/* A file of a layer, of any size. */
struct one_file {
    struct build *b;
    const struct layer *layer;
    struct entry e;
};

static struct source *open_file(const struct one_file *f, struct content **ret, struct err *err)
{
    *ret = content_new(f->b->store);
    content_want(*ret, f->layer, &f->e);
    return content_open(*ret, f->layer, &f->e, err);
}

/* The file under the name that BuildKit gives it. layer_make_fn */
static const struct layer *renamed(void *arg, struct err *err)
{
    struct one_file *f = arg;
    AUTO(view_free) struct view *nothing = view_new(NULL, 0);
    AUTO(plan_free) struct layer_plan *p = plan_new(f->b->store, nothing, 0, 0, 0);
    struct origin o = { .kind = ORIGIN_LAYER, .path = f->e.path, .layer = f->layer };
    struct entry e = f->e;
    e.path = FILE_NAME;
    return plan_put(p, &e, &o, err) < 0 ? NULL : plan_make(p, err);
}

/* layer_make_fn */
static const struct layer *unpacked(void *arg, struct err *err)
{
    struct one_file *f = arg;
    AUTO(content_free) struct content *content = NULL;
    AUTO(source_free) struct source *from = open_file(f, &content, err);
    return from != NULL ? context_tar_layer(f->b, from, err) : NULL;
}

static int is_archive(const struct one_file *f, bool *ret, struct err *err)
{
    AUTO(content_free) struct content *content = NULL;
    AUTO(source_free) struct source *from = open_file(f, &content, err);
    char head[CONTEXT_HEAD];
    ssize_t n = from != NULL ? source_read_full(from, head, sizeof(head), err) : err->code;
    if (n < 0)
        return (int)n;
    *ret = context_is_archive(head, (size_t)n);
    return 0;
}

static const struct layer *layer_of_file(struct one_file *f, bool unpack, struct err *err)
{
    AUTO(key_free) struct key *k = key_new(unpack ? "context-tar" : "context-file");
    key_digest(k, "content", &f->e.content);
    if (!unpack)
        key_u64(k, "mode", f->e.mode);
    struct context_layer x = { .shown = "context", .make = unpack ? unpacked : renamed, .arg = f };
    return context_layer_once(f->b, k, &x, err);
}

static int take_file(struct one_file *f, bool unpack, struct build_context *c, struct err *err)
{
    const struct layer *l = layer_of_file(f, unpack, err);
    if (l == NULL)
        return err->code;
    context_take_layer(c, l);
    return 0;
}

int context_unpack(struct build *b, const struct fetched_file *file, const struct layer **ret,
                   struct err *err)
{
    struct one_file f = { .b = b, .layer = file->layer };
    bool unpack;
    *ret = NULL;
    if (!listing_find(file->layer->listing, file->name, &f.e))
        return err_set(err, ERR_CORRUPT, "'%s' is not in its layer", file->name);
    if (is_archive(&f, &unpack, err) < 0 || !unpack)
        return err->code;
    *ret = layer_of_file(&f, true, err);
    if (*ret == NULL && (err->code == ERR_CORRUPT || err->code == ERR_USAGE))
        err_clear(err); /* compressed, but no archive */
    return err->code;
}

static int fetch_file(struct build *b, const char *url, int vertex, struct fetched_file *file,
                      struct one_file *ret, struct err *err)
{
    struct fetch_http q = { .url = url, .vertex = vertex };
    if (fetch_http(b, &q, file, err) < 0)
        return err->code;
    *ret = (struct one_file){ .b = b, .layer = file->layer };
    if (!listing_find(file->layer->listing, file->name, &ret->e))
        return err_set(err, ERR_CORRUPT, "'%s' is not in its layer", file->name);
    return 0;
}

static int open_git(struct build *b, const char *remote, int vertex, struct build_context *c,
                    struct err *err)
{
    struct fetch_git q = { .remote = remote, .vertex = vertex };
    const struct layer *l = NULL;
    if (fetch_git(b, &q, &l, err) < 0)
        return err->code;
    context_take_layer(c, l);
    return 0;
}

/* Shows the second half of what BuildKit does with an archive, and leaves it open. */
static int unpack_main(struct build *b, int *vertex, int64_t *started)
{
    vertex_end(b->e, *vertex, VERTEX_DONE, NULL, clock_mono_ms() - *started);
    *started = clock_mono_ms();
    return *vertex = vertex_begin(b->e, "copy /%s /", FILE_NAME);
}

static int open_main_url(struct build *b, struct build_context *c, int *vertex, int64_t *started,
                         struct err *err)
{
    AUTO(fetched_file_release) struct fetched_file file = { .layer = NULL };
    struct one_file f;
    bool unpack;
    if (fetch_file(b, b->o->context, *vertex, &file, &f, err) < 0 ||
        is_archive(&f, &unpack, err) < 0)
        return err->code;
    if (unpack)
        unpack_main(b, vertex, started);
    c->is_file = !unpack;
    return take_file(&f, unpack, c, err);
}

/* Standard input is read once, however often the build begins again. */
static int open_stdin(struct build *b, struct build_context *c, int *vertex, int64_t *started,
                      struct err *err)
{
    const struct layer **kept = &b->carried->context;
    if (*kept == NULL)
        *kept = context_tar_layer(b, b->o->context_tar, err);
    else if (layer_get(b->store, &(*kept)->diff_id, err) == NULL)
        return err_set(err, ERR_IO,
                       "the build context from standard input was damaged in the store: run the "
                       "build again");
    if (*kept == NULL)
        return err->code;
    unpack_main(b, vertex, started);
    context_take_layer(c, *kept);
    return 0;
}

int context_open_remote(struct build *b, struct build_context *c, int *ret_vertex, struct err *err)
{
    int64_t started = clock_mono_ms();
    bool is_git = b->o->context_tar == NULL && fetch_is_git(b->o->context);
    AUTO(mem_free) char *shown = is_git ? url_redact(b->o->context) : NULL;
    int rc, v = is_git ? vertex_begin(b->e, "[internal] load git source %s", shown)
                       : vertex_begin(b->e, "[internal] load remote build context");
    if (b->o->context_tar != NULL)
        rc = open_stdin(b, c, &v, &started, err);
    else
        rc =
            is_git ? open_git(b, b->o->context, v, c, err) : open_main_url(b, c, &v, &started, err);
    if (rc < 0)
        return vertex_close(b->e, v, rc, started, err);
    *ret_vertex = v;
    return 0;
}

int context_open_url(struct build *b, const char *key, const char *url, struct build_context *c,
                     struct err *err)
{
    int64_t started = clock_mono_ms();
    AUTO(mem_free) char *shown = url_redact(url);
    if (fetch_is_git(url)) {
        int v = vertex_begin(b->e, "[internal] load git source %s", shown);
        return vertex_close(b->e, v, open_git(b, url, v, c, err), started, err);
    }
    int v = vertex_begin(b->e, "[context %s] %s", key, shown);
    AUTO(fetched_file_release) struct fetched_file file = { .layer = NULL };
    struct one_file f;
    bool unpack;
    int rc = fetch_file(b, url, v, &file, &f, err);
    if (rc == 0)
        rc = is_archive(&f, &unpack, err);
    if (rc == 0)
        rc = take_file(&f, unpack, c, err);
    return vertex_close(b->e, v, rc, started, err);
}
