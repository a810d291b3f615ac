#include "engine/progress.h"

#include "base/clock.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"

int vertex_begin(struct engine *e, const char *fmt, ...)
{
    int v = atomic_fetch_add(&e->n_vertices, 1) + 1;
    if (e->progress == NULL || e->progress->begin == NULL)
        return v;
    va_list ap;
    va_start(ap, fmt);
    AUTO(mem_free) char *name = str_vprintf(fmt, ap);
    va_end(ap);
    e->progress->begin(e->progress->arg, v, name);
    return v;
}

void vertex_end(struct engine *e, int v, enum vertex_end how, const char *message, int64_t ms)
{
    if (v > 0 && e->progress != NULL && e->progress->end != NULL)
        e->progress->end(e->progress->arg, v, how, message, ms);
}

void vertex_note(struct engine *e, int v, const char *fmt, ...)
{
    if (v <= 0 || e->progress == NULL || e->progress->note == NULL)
        return;
    va_list ap;
    va_start(ap, fmt);
    AUTO(mem_free) char *text = str_vprintf(fmt, ap);
    va_end(ap);
    e->progress->note(e->progress->arg, v, text);
}

void vertex_status(struct engine *e, int v, const char *what, uint64_t now, uint64_t total,
                   bool done)
{
    if (v > 0 && e->progress != NULL && e->progress->status != NULL)
        e->progress->status(e->progress->arg, v, what, now, total, done);
}

void vertex_log(struct engine *e, int v, int stream, const char *p, size_t n)
{
    if (v > 0 && e->progress != NULL && e->progress->log != NULL)
        e->progress->log(e->progress->arg, v, stream, p, n);
}

int vertex_close(struct engine *e, int v, int rc, int64_t started_ms, const struct err *err)
{
    int64_t ms = clock_mono_ms() - started_ms;
    if (rc >= 0)
        vertex_end(e, v, VERTEX_DONE, NULL, ms);
    else if (err->code == ERR_CANCELLED)
        vertex_end(e, v, VERTEX_CANCELED, NULL, ms);
    else
        vertex_end(e, v, VERTEX_ERROR, err->msg, ms);
    return rc;
}
