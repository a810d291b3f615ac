/*
 * The live table: a header, a row for each vertex and each of its statuses, and below vertices
 * at work the last lines they printed. The whole picture is drawn again over
 * the old one, in one write.
 */
#include "cmd/display_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define LOG_ROWS 6
#define PREFIX " => "

#define BLUE "\033[34m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define FAINT "\033[2m"

struct row {
    char *text;
    char *timer;       /* right-aligned, or NULL */
    const char *color; /* NULL: none */
    bool ended;        /* may be left out when there is no room */
};

struct picture {
    struct row *v;
    size_t n, cap;
    size_t width, height;
};

static void picture_release(struct picture *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->v[i].text);
        mem_free(p->v[i].timer);
    }
    mem_free(p->v);
}
DEFINE_AUTO_VALUE(struct picture, picture_release);

static void measure(const struct display *d, struct picture *p)
{
    struct winsize w;
    p->width = 80;
    p->height = 24;
    if (ioctl(d->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 && w.ws_row > 0) {
        p->width = w.ws_col;
        p->height = w.ws_row;
    }
    if (p->width < 20)
        p->width = 20;
}

static struct row *add_row(struct picture *p, char *text)
{
    MEM_ROOM(p->v, p->n, p->cap);
    p->v[p->n] = (struct row){ .text = text };
    return &p->v[p->n++];
}

/* A duration, as all rows show it: what is hardly measurable is nothing. */
static char *timer_text(int64_t ms)
{
    return str_printf("%3.1fs", ms < 50 ? 0.0 : (double)ms / 1000);
}

static const char *row_color(const struct vertex *v)
{
    if (!v->ended)
        return NULL;
    return v->how == VERTEX_ERROR ? RED : v->how == VERTEX_CANCELED ? YELLOW : BLUE;
}

static void add_statuses(struct picture *p, const struct vertex *v, int64_t now)
{
    for (size_t i = 0; i < v->n_statuses; i++) {
        const struct display_status *s = &v->statuses[i];
        AUTO(buf_release) struct buf b = BUF_INIT;
        buf_addf(&b, PREFIX "=> %s", s->what);
        display_amount(s, &b);
        bool ended = s->end_ms != 0 || v->ended;
        struct row *r = add_row(p, buf_take(&b));
        int64_t end = s->end_ms != 0 ? s->end_ms : v->ended ? v->start_ms + v->ms : now;
        r->timer = timer_text(end > s->start_ms ? end - s->start_ms : 0);
        r->color = ended ? BLUE : NULL;
        r->ended = v->ended;
    }
}

static void add_note(struct picture *p, const struct vertex *v, const char *text)
{
    struct row *r = add_row(p, str_printf(PREFIX "=> %s", text));
    r->color = v->ended ? BLUE : NULL;
    r->ended = v->ended;
}

/* Of a reused step, what it looked at is one more. */
static void add_notes(struct picture *p, const struct vertex *v)
{
    for (size_t i = 0; i < v->notes.n; i++)
        add_note(p, v, v->notes.v[i]);
    if (v->ended && v->how == VERTEX_REUSED && v->message != NULL)
        add_note(p, v, v->message);
}

/* All are about the Dockerfile, which the first vertex reads. */
static void add_warnings(struct picture *p, const struct display *d, bool ended)
{
    for (size_t i = 0; i < d->n_warnings; i++) {
        const struct warning *w = &d->warnings[i];
        AUTO(buf_release) struct buf b = BUF_INIT;
        buf_addf(&b, PREFIX "WARN: %s: %s", w->rule, w->text);
        if (w->line > 0)
            buf_addf(&b, " (line %d)", w->line);
        struct row *r = add_row(p, buf_take(&b));
        r->timer = timer_text(0);
        r->ended = ended;
    }
}

static void add_vertex(struct picture *p, const struct vertex *v, int64_t now)
{
    static const char *const marks[] = {
        [VERTEX_DONE] = "",        [VERTEX_CACHED] = "CACHED ",     [VERTEX_REUSED] = "REUSED ",
        [VERTEX_ERROR] = "ERROR ", [VERTEX_CANCELED] = "CANCELED ",
    };
    struct row *r = add_row(p, str_printf(PREFIX "%s%s", v->ended ? marks[v->how] : "", v->name));
    r->timer = timer_text(v->ended ? v->ms : now - v->start_ms);
    r->color = row_color(v);
    r->ended = v->ended;
    add_statuses(p, v, now);
    add_notes(p, v);
}

static void add_log_row(struct picture *p, const char *line)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    terminal_flatten(line, &b);
    if (strspn(buf_str(&b), " ") < b.len)
        add_row(p, str_printf(PREFIX "=> # %s", buf_str(&b)))->color = FAINT;
}

static void add_logs(struct picture *p, const struct vertex *v, size_t n_rows)
{
    size_t have = v->lines.n - v->lines.first, partial = v->lines.partial.len > 0;
    size_t n = have + partial > n_rows ? n_rows - partial : have;
    for (size_t i = v->lines.n - n; i < v->lines.n; i++)
        add_log_row(p, v->lines.v[i].text);
    if (partial)
        add_log_row(p, buf_str(&v->lines.partial));
}

static size_t log_rows_wanted(void)
{
    const char *s = getenv("BUILDKIT_TTY_LOG_LINES");
    int n = s != NULL ? atoi(s) : 0;
    return n > 0 && n < 1000 ? (size_t)n : LOG_ROWS;
}

/* Rows that cannot be left out: those of vertices at work. */
static size_t count_open_rows(const struct display *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_vertices; i++) {
        const struct vertex *v = d->vertices[i];
        if (v != NULL && !v->ended)
            n += 1 + v->n_statuses + v->notes.n + (v->id == 1 ? d->n_warnings : 0);
    }
    return n;
}

/*
 * Log rows go to vertices at work, as long as there is room for a whole block when all that has
 * ended is left out.
 */
static void add_vertices(struct display *d, struct picture *p, bool last)
{
    size_t used = count_open_rows(d) + 2, block = log_rows_wanted();
    int64_t now = clock_mono_ms();
    for (size_t i = 0; i < d->n_vertices; i++) {
        const struct vertex *v = d->vertices[i];
        if (v == NULL)
            continue;
        add_vertex(p, v, now);
        if (v->id == 1)
            add_warnings(p, d, v->ended);
        bool has_logs = v->lines.n > v->lines.first || v->lines.partial.len > 0;
        if (last || v->ended || !has_logs)
            continue;
        if (used + block <= p->height) {
            used += block;
            add_logs(p, v, block);
        }
    }
}

/* The screen holds no more: what has ended goes first, the oldest first. */
static void shorten(struct picture *p)
{
    size_t limit = p->height > 4 ? p->height - 2 : 2;
    size_t excess = p->n > limit ? p->n - limit : 0, to = 0;
    for (int pass = 0; pass < 2 && excess > 0; pass++) {
        to = 0;
        for (size_t i = 0; i < p->n; i++) {
            if (excess > 0 && (p->v[i].ended || pass == 1)) {
                mem_free(p->v[i].text);
                mem_free(p->v[i].timer);
                excess--;
            } else {
                p->v[to++] = p->v[i];
            }
        }
        p->n = to;
    }
}

/* Text cut to what the timer leaves of the width less one, then the timer at the right. */
static void draw_line(struct buf *b, const char *text, const char *timer, const char *color,
                      size_t width)
{
    size_t timer_width = timer != NULL ? strlen(timer) : 0;
    size_t room = width - 1 - (timer_width > 0 ? timer_width + 2 : 0);
    size_t fit = text_fit(text, room);
    AUTO(mem_free) char *cut = str_ndup(text, fit);
    if (color != NULL)
        buf_adds(b, color);
    buf_adds(b, cut);
    if (timer != NULL)
        buf_addf(b, "%*s", (int)(width - 1 - text_width(cut)), timer);
    buf_adds(b, "\033[K\n");
    if (color != NULL)
        buf_adds(b, "\033[0m");
}

static void draw_header(struct display *d, const struct picture *p, bool last)
{
    size_t n = 0, ended = 0;
    for (size_t i = 0; i < d->n_vertices; i++) {
        n += d->vertices[i] != NULL;
        ended += d->vertices[i] != NULL && d->vertices[i]->ended;
    }
    AUTO(mem_free)
    char *text =
        str_printf("[+] Building %.1fs (%zu/%zu)%s", (double)(clock_mono_ms() - d->start_ms) / 1000,
                   ended, n, last && n > 0 && ended == n ? " FINISHED" : "");
    draw_line(&d->out, text, DISPLAY_DRIVER ":" DISPLAY_NAME, NULL, p->width);
}

static void draw(struct display *d, bool last)
{
    AUTO(picture_release) struct picture p = { .v = NULL };
    measure(d, &p);
    add_vertices(d, &p, last);
    if (!last)
        shorten(&p);
    buf_adds(&d->out, "\033[?25l\r");
    if (d->n_rows > 0)
        buf_addf(&d->out, "\033[%zuA", d->n_rows);
    draw_header(d, &p, last);
    for (size_t i = 0; i < p.n; i++)
        draw_line(&d->out, p.v[i].text, p.v[i].timer, d->color ? p.v[i].color : NULL, p.width);
    buf_adds(&d->out, "\033[J\033[?25h");
    d->n_rows = p.n + 1;
}

static void start(struct display *d)
{
    draw(d, false);
}

static void tick(struct display *d)
{
    draw(d, false);
}

static void finish(struct display *d)
{
    draw(d, true);
}

const struct display_ops display_tty_ops = {
    .tick_ms = 100,
    .shows_summary = true,
    .start = start,
    .tick = tick,
    .finish = finish,
};
