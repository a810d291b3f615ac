#include "engine/contexts.h"

#include "base/clock.h"
#include "base/fs.h"
#include "engine/engine_internal.h"
#include <fcntl.h>

#define IGNORE_MAX (1u << 20)

struct contexts {
    struct build_context main;
};

void contexts_free(struct contexts *c)
{
    if (c == NULL)
        return;
    context_free(c->main.dir);
    mem_free(c);
}

static int read_ignore_text(const struct build *b, const char *dockerfile_path, struct buf *ret,
                            struct err *err)
{
    if (dockerfile_path != NULL) {
        AUTO(mem_free) char *own = str_printf("%s.dockerignore", dockerfile_path);
        int rc = file_read(AT_FDCWD, own, IGNORE_MAX, ret, err);
        if (rc != ERR_NOT_FOUND)
            return rc;
        err_clear(err);
    }
    AUTO(fd_close) int dir = dir_open(AT_FDCWD, b->o->context, err);
    if (dir < 0)
        return err_wrap(err, "unable to prepare context");
    int rc = inroot_read(dir, ".dockerignore", IGNORE_MAX, ret, err);
    if (rc == ERR_NOT_FOUND)
        err_clear(err);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int contexts_open_main(struct build *b, const char *dockerfile_path, struct err *err)
{
    b->contexts = mem_zalloc(sizeof(*b->contexts));
    if (b->o->context == NULL)
        return 0;
    AUTO(buf_release) struct buf text = BUF_INIT;
    int v = vertex_begin(b->e, "[internal] load .dockerignore");
    int64_t started = clock_mono_ms();
    int rc = read_ignore_text(b, dockerfile_path, &text, err);
    struct ignore *ig = NULL;
    if (rc == 0 && text.len > 0) {
        ig = ignore_parse(text.data, text.len, err);
        rc = ig == NULL ? err_wrap(err, "error reading .dockerignore") : 0;
        err->line = 0; /* of the ignore file, not of the Dockerfile */
    }
    vertex_status(b->e, v, "transferring context:", text.len, 0, true);
    if (vertex_close(b->e, v, rc, started, err) < 0)
        return rc;
    struct build_context *c = &b->contexts->main;
    c->dir = context_open(b->o->context, ig, b->store, b->e->pool, b->e->cancel, err);
    c->kind = c->dir != NULL ? CONTEXT_DIR : CONTEXT_EMPTY;
    return c->dir == NULL ? err_wrap(err, "unable to prepare context") : 0;
}

int contexts_find(struct build *b, const char *name, const struct platform *platform UNUSED,
                  const struct build_context **ret, struct err *err)
{
    if (name != NULL)
        return err_set(err, ERR_NOT_FOUND, "no context is named '%s'", name);
    if (b->contexts->main.kind == CONTEXT_EMPTY)
        return err_set(err, ERR_USAGE, "there is no build context to copy from");
    *ret = &b->contexts->main;
    return 0;
}

int contexts_scan(struct build *b, struct context *c, const struct strv *paths,
                  const struct listing **ret, struct err *err)
{
    pthread_mutex_lock(&b->lock);
    bool first = b->contexts->main.vertex == 0;
    if (first)
        b->contexts->main.vertex = vertex_begin(b->e, "[internal] load build context");
    int v = b->contexts->main.vertex;
    pthread_mutex_unlock(&b->lock);
    int64_t started = clock_mono_ms();
    AUTO(strv_release) struct strv wants = STRV_INIT;
    strv_append(&wants, &b->context_wants);
    strv_append(&wants, paths);
    int rc = context_scan(c, &wants, ret, err);
    if (!first)
        return rc;
    struct context_counts counts;
    context_counts(c, &counts);
    if (rc == 0)
        vertex_status(b->e, v, "transferring context:", counts.read_bytes, 0, true);
    return vertex_close(b->e, v, rc, started, err);
}
