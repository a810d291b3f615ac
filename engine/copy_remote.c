/* ADD of a URL or a git repository: fetched as a layer (fetch.h), put into the plan as COPY would.
 */
#include "engine/copy_internal.h"

#include "base/clock.h"
#include "engine/fetch.h"
#include "engine/git_remote.h"
#include "remote/url.h"
#include <string.h>

/* 1, 0, or what is wrong with it. */
static int is_git_source(const char *source, struct err *err)
{
    AUTO(git_remote_release) struct git_remote r = { 0 };
    int is_git = git_remote_parse(source, &r, err);
    return is_git > 0 && r.is_like_path ? 0 : is_git;
}

static struct fetch_git git_question(const struct instr_copy *x, const char *source, int vertex)
{
    return (struct fetch_git){
        .remote = source,
        .checksum = x->checksum != NULL && *x->checksum ? x->checksum : NULL,
        .keep_dir = x->keep_git_dir,
        .vertex = vertex,
    };
}

bool copy_is_remote(const char *source)
{
    struct err wrong = ERR_INIT;
    return is_git_source(source, &wrong) != 0 || fetch_is_http(source);
}

static int check_source(const struct instr *i, const char *source, struct err *err)
{
    const struct instr_copy *x = &i->copy;
    int is_git = is_git_source(source, err);
    if (is_git < 0)
        return is_git;
    if (i->kind == INSTR_COPY && is_git)
        return err_set(err, ERR_USAGE, "source can't be a git ref for COPY");
    if (i->kind == INSTR_COPY && fetch_is_http(source))
        return err_set(err, ERR_USAGE, "source can't be a URL for COPY");
    if (is_git) {
        struct fetch_git q = git_question(x, source, 0);
        return fetch_git_check(&q, err);
    }
    if (x->checksum == NULL || *x->checksum == '\0')
        return 0;
    if (!fetch_is_http(source))
        return err_set(err, ERR_USAGE, "checksum requires HTTP(S) or Git sources");
    return fetch_checksum_check(x->checksum, err);
}

int copy_check_remote(const struct instr *i, struct err *err)
{
    const struct instr_copy *x = &i->copy;
    bool has_checksum = x->checksum != NULL && *x->checksum;
    if (has_checksum && x->sources.n != 1)
        return err_set(err, ERR_USAGE, "checksum can't be specified for multiple sources");
    for (size_t k = 0; k < x->sources.n; k++)
        if (check_source(i, x->sources.v[k], err) < 0)
            return err->code;
    return 0;
}

/* BuildKit's words before what went wrong while it was asking; a wrong digest shows itself later.
 */
static int wrap(struct err *err)
{
    bool plain = err->code == ERR_CANCELLED || err->code == ERR_UNDECIDED ||
                 str_starts(err->msg, "digest mismatch") || str_starts(err->msg, "unset ssh") ||
                 str_starts(err->msg, "invalid subdir");
    return plain ? err->code : err_wrap(err, "failed to load cache key");
}

/* The layer's files as the source of what path names in them. */
static int copy_layer(struct copy *c, const struct layer *l, const char *path, struct err *err)
{
    struct files from = c->from;
    const struct listing *listing = l->listing;
    c->from = (struct files){ .b = c->st->b,
                              .layers = mem_calloc(1, sizeof(const struct layer *)),
                              .n_layers = 1,
                              .shown = str_dup("remote") };
    c->from.layers[0] = l;
    c->from.view = view_new(&listing, 1);
    c->is_remote = true;
    int rc = copy_path(c, path, err);
    c->is_remote = false;
    files_release(&c->from);
    c->from = from;
    return rc;
}

static int add_http(struct copy *c, const char *source, int vertex, struct err *err)
{
    const struct instr_copy *x = &c->i->copy;
    AUTO(fetched_file_release) struct fetched_file file = { 0 };
    struct fetch_http q = { .url = source, .vertex = vertex };
    q.checksum = x->checksum != NULL && *x->checksum ? x->checksum : NULL;
    if (fetch_http(c->st->b, &q, &file, err) < 0)
        return wrap(err);
    return copy_layer(c, file.layer, file.name, err);
}

static int add_git(struct copy *c, const char *source, int vertex, struct err *err)
{
    const struct instr_copy *x = &c->i->copy;
    const struct layer *l = NULL;
    struct fetch_git q = git_question(x, source, vertex);
    if (fetch_git(c->st->b, &q, &l, err) < 0)
        return wrap(err);
    return copy_layer(c, l, "", err);
}

int copy_remote(struct copy *c, const char *source, struct err *err)
{
    AUTO(mem_free) char *shown = url_redact(source);
    int64_t started = clock_mono_ms();
    int vertex = c->st->b->is_dry ? 0 : vertex_begin(c->st->b->e, "%s", shown);
    int rc =
        fetch_is_http(source) ? add_http(c, source, vertex, err) : add_git(c, source, vertex, err);
    if (rc < 0)
        c->failed_vertex = vertex;
    return vertex_close(c->st->b->e, vertex, rc, started, err);
}
