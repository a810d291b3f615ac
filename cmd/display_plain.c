/*
 * Lines for logs: "#4 [2/3] RUN make", "#4 0.103 text", "#4 DONE 1.2s". One
 * vertex at a time has the floor; the others' lines wait until it ends or has
 * had the floor for FLOOR_MS, or too much waits. One that loses the floor before its end
 * is marked "#4 ...".
 */
#include "cmd/display_internal.h"
#include "cmd/human.h"
#include <string.h>

#define FLOOR_MS 5000
#define WAITING_MAX (256u << 10)
#define STATUS_MS 1000     /* a number that goes up: at most one line a second ... */
#define STATUS_PERCENT 5   /* ... for each so much, ... */
#define STATUS_MAX_MS 5000 /* ... but one after this time all the same */

static void start(struct display *d)
{
    buf_addf(&d->out, "#0 building with \"%s\" instance using %s driver\n", DISPLAY_NAME,
             DISPLAY_DRIVER);
}

static void leave(struct display *d)
{
    struct vertex *v = d->current;
    if (v == NULL)
        return;
    if (v->shown_mid_line) {
        buf_addc(&d->out, '\n');
        v->mid_line = v->shown_mid_line = false;
    }
    if (!v->ended)
        buf_addf(&d->out, "#%d ...\n", v->number);
    d->current = NULL;
}

static void enter(struct display *d, struct vertex *v)
{
    if (d->current == v)
        return;
    leave(d);
    if (v->number == 0)
        v->number = ++d->n_shown;
    buf_addf(&d->out, "\n#%d %s\n", v->number, v->name);
    d->current = v;
    d->current_ms = clock_mono_ms();
}

/* Everything that waits, each line with its number; v has the floor. */
static void bring_out(struct display *d, struct vertex *v)
{
    const char *p = buf_str(&v->waiting), *end = p + v->waiting.len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl != NULL ? nl + 1 : end;
        if (!v->shown_mid_line)
            buf_addf(&d->out, "#%d ", v->number);
        buf_add(&d->out, p, (size_t)(stop - p));
        v->shown_mid_line = nl == NULL;
        p = stop;
    }
    buf_clear(&v->waiting);
}

/* v has something new waiting: shows it if v has the floor or may take it. */
static void offer(struct display *d, struct vertex *v, bool first)
{
    int64_t now = clock_mono_ms();
    if (first)
        v->waiting_ms = now;
    if (d->current != NULL && d->current != v && now - d->current_ms < FLOOR_MS &&
        v->waiting.len < WAITING_MAX)
        return;
    enter(d, v);
    bring_out(d, v);
}

static void end_line(struct vertex *v)
{
    if (v->mid_line)
        buf_addc(&v->waiting, '\n');
    v->mid_line = false;
}

static void begin(struct display *d, struct vertex *v)
{
    if (d->current == NULL)
        enter(d, v);
}

static void log_text(struct vertex *v, const char *p, size_t n)
{
    while (n > 0) {
        const char *nl = memchr(p, '\n', n);
        size_t len = nl != NULL ? (size_t)(nl - p) + 1 : n;
        if (!v->mid_line) {
            char time[HUMAN_LEN];
            buf_addf(&v->waiting, "%s ", human_log_time(display_since(v), time));
        }
        buf_add(&v->waiting, p, len);
        v->mid_line = nl == NULL;
        p += len;
        n -= len;
    }
}

static void on_log(struct display *d, struct vertex *v, int stream UNUSED, const char *raw UNUSED,
                   size_t n_raw UNUSED, const char *filtered, size_t n)
{
    bool first = v->waiting.len == 0;
    log_text(v, filtered, n);
    if (n > 0)
        offer(d, v, first);
}

static bool is_due(const struct display_status *s, int64_t now)
{
    if (s->end_ms != 0)
        return true;
    if (now - s->shown_ms < STATUS_MS)
        return false;
    return now - s->shown_ms >= STATUS_MAX_MS || s->total == 0 ||
           (s->current - s->shown) * 100 >= s->total * STATUS_PERCENT;
}

static void on_status(struct display *d, struct vertex *v, struct display_status *s)
{
    int64_t now = clock_mono_ms(), ms = (s->end_ms != 0 ? s->end_ms : now) - s->start_ms;
    if (!is_due(s, now))
        return;
    s->shown_ms = now;
    s->shown = s->current;
    bool first = v->waiting.len == 0;
    end_line(v);
    buf_adds(&v->waiting, s->what);
    display_amount(s, &v->waiting);
    if (ms >= 10)
        buf_addf(&v->waiting, " %.1fs", (double)ms / 1000);
    buf_adds(&v->waiting, s->end_ms != 0 ? " done\n" : "\n");
    offer(d, v, first);
}

static void on_note(struct display *d, struct vertex *v, const char *text)
{
    bool first = v->waiting.len == 0;
    end_line(v);
    buf_addf(&v->waiting, "=> %s\n", text);
    offer(d, v, first);
}

static void end(struct display *d, struct vertex *v)
{
    enter(d, v);
    end_line(v);
    bring_out(d, v);
    switch (v->how) {
    case VERTEX_DONE:
        buf_addf(&d->out, "#%d DONE %.1fs\n", v->number, (double)v->ms / 1000);
        break;
    case VERTEX_CACHED:
        buf_addf(&d->out, "#%d CACHED\n", v->number);
        break;
    case VERTEX_REUSED:
        buf_addf(&d->out, "#%d REUSED (%s)\n", v->number, v->message != NULL ? v->message : "");
        break;
    case VERTEX_ERROR:
        buf_addf(&d->out, "#%d ERROR: %s\n", v->number, v->message != NULL ? v->message : "");
        break;
    case VERTEX_CANCELED:
        buf_addf(&d->out, "#%d CANCELED\n", v->number);
        break;
    }
    d->current = NULL;
}

/* Warnings are found while the Dockerfile is read: they are shown there, and again at the end. */
static void warning(struct display *d, const struct warning *w)
{
    struct vertex *v = d->current;
    if (v == NULL || v->number != 1)
        return;
    end_line(v);
    buf_addf(&v->waiting, "WARN: %s: %s", w->rule, w->text);
    if (w->line > 0)
        buf_addf(&v->waiting, " (line %d)", w->line);
    buf_addc(&v->waiting, '\n');
    bring_out(d, v);
}

/* The one that has waited longest; else, when nobody has the floor, one that is at work. */
static struct vertex *next_vertex(const struct display *d)
{
    struct vertex *next = NULL, *open = NULL;
    for (size_t i = 0; i < d->n_vertices; i++) {
        struct vertex *v = d->vertices[i];
        if (v == NULL || v->ended)
            continue;
        open = open == NULL ? v : open;
        if (v->waiting.len > 0 && (next == NULL || v->waiting_ms < next->waiting_ms))
            next = v;
    }
    return next != NULL || d->current != NULL ? next : open;
}

static void tick(struct display *d)
{
    if (d->current != NULL && clock_mono_ms() - d->current_ms < FLOOR_MS)
        return;
    struct vertex *v = next_vertex(d);
    if (v == NULL)
        return;
    enter(d, v);
    bring_out(d, v);
}

/* What has not ended (the build was broken off) still shows what it said. */
static void finish(struct display *d)
{
    for (size_t i = 0; i < d->n_vertices; i++) {
        struct vertex *v = d->vertices[i];
        if (v != NULL && !v->ended && v->waiting.len > 0) {
            enter(d, v);
            end_line(v);
            bring_out(d, v);
        }
    }
    if (d->current != NULL && d->current->shown_mid_line)
        buf_addc(&d->out, '\n');
}

const struct display_ops display_plain_ops = {
    .tick_ms = 500,
    .max_lines = 10,
    .shows_summary = true,
    .start = start,
    .begin = begin,
    .log = on_log,
    .status = on_status,
    .note = on_note,
    .end = end,
    .warning = warning,
    .tick = tick,
    .finish = finish,
};
