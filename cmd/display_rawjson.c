/*
 * One JSON object a line, as BuildKit's SolveStatus: "vertexes", "statuses", "logs", "warnings".
 * What BuildKit does not have stands under a name of its own: "notes".
 */
#include "base/base64.h"
#include "base/json.h"
#include "cmd/display_internal.h"
#include "dockerfile/lint.h"
#include <string.h>

static void set_text(json_t *o, const char *key, const char *s, size_t n)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    text_add_utf8(&b, s, n);
    json_object_set_new(o, key, json_stringn(buf_str(&b), b.len));
}

static void set_str(json_t *o, const char *key, const char *s)
{
    set_text(o, key, s, strlen(s));
}

static void set_time(json_t *o, const char *key, struct clock_time t)
{
    char text[CLOCK_STR_LEN];
    set_str(o, key, clock_format(t, text));
}

static json_t *base64(const char *s, size_t n)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    base64_add(&b, s, n);
    return json_string(buf_str(&b));
}

static void set_base64(json_t *o, const char *key, const char *s, size_t n)
{
    json_object_set_new(o, key, base64(s, n));
}

/* {"KEY":[ITEM]} */
static void print(struct display *d, const char *key, json_t *item)
{
    json_auto_t *line = json_object();
    json_t *list = json_array();
    json_array_append_new(list, item);
    json_object_set_new(line, key, list);
    json_write(line, &d->out);
    buf_addc(&d->out, '\n');
}

static void print_vertex(struct display *d, const struct vertex *v)
{
    json_t *o = json_object();
    set_str(o, "digest", v->digest);
    set_str(o, "name", v->name);
    set_time(o, "started", v->started);
    if (v->ended) {
        set_time(o, "completed", v->completed);
        if (v->how == VERTEX_CACHED || v->how == VERTEX_REUSED)
            json_object_set_new(o, "cached", json_true());
        if (v->how == VERTEX_ERROR)
            set_str(o, "error", v->message != NULL ? v->message : "failed");
        if (v->how == VERTEX_CANCELED)
            set_str(o, "error", "context canceled");
    }
    print(d, "vertexes", o);
}

static void on_log(struct display *d, struct vertex *v, int stream, const char *raw, size_t n,
                   const char *filtered UNUSED, size_t n_filtered UNUSED)
{
    if (n == 0)
        return;
    json_t *o = json_object();
    set_str(o, "vertex", v->digest);
    json_object_set_new(o, "stream", json_integer(stream));
    set_base64(o, "data", raw, n);
    set_time(o, "timestamp", clock_now());
    print(d, "logs", o);
}

static void on_status(struct display *d, struct vertex *v, struct display_status *s)
{
    json_t *o = json_object();
    set_str(o, "id", s->what);
    set_str(o, "vertex", v->digest);
    json_object_set_new(o, "current", json_integer((json_int_t)s->current));
    if (s->total != 0)
        json_object_set_new(o, "total", json_integer((json_int_t)s->total));
    set_time(o, "timestamp", clock_now());
    set_time(o, "started", s->started);
    if (s->end_ms != 0)
        set_time(o, "completed", clock_now());
    print(d, "statuses", o);
}

static void on_note(struct display *d, struct vertex *v, const char *text)
{
    json_t *o = json_object();
    set_str(o, "vertex", v->digest);
    set_str(o, "text", text);
    set_time(o, "timestamp", clock_now());
    print(d, "notes", o);
}

/* As BuildKit has them: one range for each line. */
static json_t *ranges(int first, int last)
{
    json_t *list = json_array();
    for (int i = first; i == first || i <= last; i++)
        json_array_append_new(list,
                              json_pack("{s:{s:i},s:{s:i}}", "start", "line", i, "end", "line", i));
    return list;
}

static void warning(struct display *d, const struct warning *w)
{
    json_t *o = json_object();
    if (d->n_vertices > 0 && d->vertices[0] != NULL)
        set_str(o, "vertex", d->vertices[0]->digest);
    json_object_set_new(o, "level", json_integer(1));
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_addf(&b, "%s: %s", w->rule, w->text);
    if (w->line > 0)
        buf_addf(&b, " (line %d)", w->line);
    set_base64(o, "short", buf_str(&b), b.len);
    const struct lint_about *about = lint_about(w->rule);
    if (about != NULL) {
        json_t *detail = base64(about->description, strlen(about->description));
        json_object_set_new(o, "detail", json_pack("[o]", detail));
        set_str(o, "url", about->url);
    }
    if (w->line > 0)
        json_object_set_new(o, "range", ranges(w->line, w->line_end));
    print(d, "warnings", o);
}

static void begin(struct display *d, struct vertex *v)
{
    print_vertex(d, v);
}

/* BuildKit knows no reuse: it is a cached vertex with a note. */
static void end(struct display *d, struct vertex *v)
{
    if (v->how == VERTEX_REUSED && v->message != NULL)
        on_note(d, v, v->message);
    print_vertex(d, v);
}

const struct display_ops display_rawjson_ops = {
    .max_lines = 1,
    .begin = begin,
    .log = on_log,
    .status = on_status,
    .note = on_note,
    .end = end,
    .warning = warning,
};
