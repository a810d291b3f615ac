#include "cmd/display_internal.h"
#include "base/log.h"
#include "cmd/frame.h"
#include "cmd/human.h"
#include "dockerfile/lint.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXCERPTS_MAX (8u << 20) /* of warnings */
#define VERTICES_MAX 100000     /* ids come from the engine: more would be a bug */

int64_t display_since(const struct vertex *v)
{
    return clock_mono_ms() - v->start_ms;
}

void display_amount(const struct display_status *s, struct buf *b)
{
    char current[HUMAN_LEN], total[HUMAN_LEN];
    if (s->total != 0)
        buf_addf(b, " %s / %s", human_bytes(s->current, current), human_bytes(s->total, total));
    else if (s->current != 0)
        buf_addf(b, " %s", human_bytes(s->current, current));
}

static void flush_out(struct display *d)
{
    patient_write(&d->writer, buf_str(&d->out), d->out.len);
    buf_clear(&d->out);
}

static void lock(struct display *d)
{
    pthread_mutex_lock(&d->lock);
}

static void unlock(struct display *d)
{
    flush_out(d);
    pthread_mutex_unlock(&d->lock);
}

static struct vertex *find(struct display *d, int id)
{
    return id >= 1 && (size_t)id <= d->n_vertices ? d->vertices[id - 1] : NULL;
}

static char *escaped(const char *s)
{
    struct buf b = BUF_INIT;
    log_escape(&b, s, strlen(s));
    return buf_take(&b);
}

static struct vertex *vertex_new(struct display *d, int id, const char *name)
{
    struct vertex *v = mem_zalloc(sizeof(*v));
    v->id = id;
    v->name = escaped(name);
    v->start_ms = clock_mono_ms();
    v->started = clock_now();
    v->lines.max_lines = d->ops->max_lines;
    AUTO(mem_free) char *unique = str_printf("%d %s", id, name);
    struct digest digest;
    digest_of(unique, strlen(unique), &digest);
    v->digest = str_dup(DIGEST_S(&digest));
    return v;
}

static void vertex_free(struct vertex *v)
{
    if (v == NULL)
        return;
    for (size_t i = 0; i < v->n_statuses; i++)
        mem_free(v->statuses[i].what);
    mem_free(v->statuses);
    mem_free(v->name);
    mem_free(v->digest);
    mem_free(v->message);
    strv_release(&v->notes);
    log_lines_release(&v->lines);
    buf_release(&v->waiting);
    mem_free(v);
}

static void on_begin(void *arg, int id, const char *name)
{
    struct display *d = arg;
    lock(d);
    if (id >= 1 && id <= VERTICES_MAX && find(d, id) == NULL) {
        if ((size_t)id > d->n_vertices) {
            d->vertices = mem_grow(d->vertices, (size_t)id, sizeof(*d->vertices));
            while (d->n_vertices < (size_t)id)
                d->vertices[d->n_vertices++] = NULL;
        }
        struct vertex *v = d->vertices[id - 1] = vertex_new(d, id, name);
        if (d->ops->begin != NULL)
            d->ops->begin(d, v);
    }
    unlock(d);
}

static void on_log(void *arg, int id, int stream, const char *p, size_t n)
{
    struct display *d = arg;
    lock(d);
    struct vertex *v = find(d, id);
    if (v != NULL && !v->ended) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        terminal_filter_add(&v->filter[stream == 2], p, n, &b);
        log_lines_add(&v->lines, buf_str(&b), b.len, display_since(v));
        if (d->ops->log != NULL)
            d->ops->log(d, v, stream, p, n, buf_str(&b), b.len);
    }
    unlock(d);
}

static struct display_status *find_status(struct vertex *v, const char *what)
{
    AUTO(mem_free) char *name = escaped(what);
    for (size_t i = 0; i < v->n_statuses; i++) {
        if (str_eq(v->statuses[i].what, name))
            return &v->statuses[i];
    }
    MEM_ROOM(v->statuses, v->n_statuses, v->cap_statuses);
    int64_t now = clock_mono_ms();
    struct display_status *s = &v->statuses[v->n_statuses++];
    *s = (struct display_status){ .what = TAKE(name), .start_ms = now, .shown_ms = now };
    s->started = clock_now();
    return s;
}

static void on_status(void *arg, int id, const char *what, uint64_t current, uint64_t total,
                      int done)
{
    struct display *d = arg;
    lock(d);
    struct vertex *v = find(d, id);
    struct display_status *s = v != NULL && !v->ended ? find_status(v, what) : NULL;
    if (s != NULL && s->end_ms == 0) {
        s->current = current;
        s->total = total;
        if (done)
            s->end_ms = clock_mono_ms();
        if (d->ops->status != NULL)
            d->ops->status(d, v, s);
    }
    unlock(d);
}

static void on_note(void *arg, int id, const char *text)
{
    struct display *d = arg;
    lock(d);
    struct vertex *v = find(d, id);
    if (v != NULL && !v->ended) {
        strv_take(&v->notes, escaped(text));
        if (d->ops->note != NULL)
            d->ops->note(d, v, v->notes.v[v->notes.n - 1]);
    }
    unlock(d);
}

static void end_lines(struct display *d, struct vertex *v)
{
    for (size_t i = 0; i < ARRAY_LEN(v->filter); i++) {
        AUTO(buf_release) struct buf b = BUF_INIT;
        terminal_filter_end(&v->filter[i], &b);
        log_lines_add(&v->lines, buf_str(&b), b.len, display_since(v));
        if (b.len > 0 && d->ops->log != NULL)
            d->ops->log(d, v, (int)i + 1, NULL, 0, buf_str(&b), b.len);
    }
    log_lines_end(&v->lines);
}

static void on_end(void *arg, int id, enum vertex_end how, const char *message, int64_t ms)
{
    struct display *d = arg;
    lock(d);
    struct vertex *v = find(d, id);
    if (v != NULL && !v->ended) {
        end_lines(d, v);
        v->ended = true;
        v->how = how;
        v->message = message != NULL ? escaped(message) : NULL;
        v->ms = ms;
        v->completed = clock_now();
        if (d->ops->end != NULL)
            d->ops->end(d, v);
    }
    unlock(d);
}

static void on_warning(void *arg, const char *rule, const char *text, int line, int line_end)
{
    struct display *d = arg;
    lock(d);
    MEM_ROOM(d->warnings, d->n_warnings, d->cap_warnings);
    struct warning *w = &d->warnings[d->n_warnings++];
    *w = (struct warning){
        .rule = escaped(rule), .text = escaped(text), .line = line, .line_end = line_end
    };
    if (d->ops->warning != NULL)
        d->ops->warning(d, w);
    unlock(d);
}

static struct timespec after_ms(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += (long)ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

static void *run_ticks(void *arg)
{
    struct display *d = arg;
    lock(d);
    while (!d->stop) {
        struct timespec until = after_ms(d->ops->tick_ms);
        pthread_cond_timedwait(&d->wake, &d->lock, &until);
        if (!d->stop)
            d->ops->tick(d);
        flush_out(d);
    }
    unlock(d);
    return NULL;
}

/* Signals are for the main thread: a handler here would find nothing to interrupt. */
static void start_thread(struct display *d)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    d->has_thread = pthread_create(&d->thread, NULL, run_ticks, d) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

struct display *display_new(enum display_mode mode, int fd)
{
    static const struct display_ops *const ops[] = {
        [DISPLAY_PLAIN] = &display_plain_ops,     [DISPLAY_TTY] = &display_tty_ops,
        [DISPLAY_RAWJSON] = &display_rawjson_ops, [DISPLAY_QUIET] = &display_none_ops,
        [DISPLAY_NONE] = &display_none_ops,
    };
    struct display *d = mem_zalloc(sizeof(*d));
    d->progress = (struct progress){ .arg = d,
                                     .begin = on_begin,
                                     .log = on_log,
                                     .status = on_status,
                                     .note = on_note,
                                     .end = on_end,
                                     .warning = on_warning };
    d->ops = ops[mode];
    d->fd = fd;
    d->writer = (struct patient_writer){ .fd = fd };
    const char *no_color = getenv("NO_COLOR");
    d->color = isatty(fd) && (no_color == NULL || *no_color == '\0');
    d->start_ms = clock_mono_ms();
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &attr);
    pthread_condattr_destroy(&attr);
    lock(d);
    if (d->ops->start != NULL)
        d->ops->start(d);
    unlock(d);
    if (d->ops->tick_ms > 0)
        start_thread(d);
    return d;
}

const struct progress *display_progress(struct display *d)
{
    return &d->progress;
}

void display_set_cancel(struct display *d, struct cancel *cancel)
{
    lock(d);
    d->writer.cancel = cancel;
    unlock(d);
}

void display_print(struct display *d, const struct buf *text)
{
    lock(d);
    buf_add(&d->out, buf_str(text), text->len);
    unlock(d);
}

static void stop_thread(struct display *d)
{
    lock(d);
    d->stop = true;
    pthread_cond_signal(&d->wake);
    unlock(d);
    if (d->has_thread)
        pthread_join(d->thread, NULL);
    d->has_thread = false;
}

/* A colour that a command left on must not reach what follows. */
static void add_log_text(struct buf *b, const char *text)
{
    const char *esc = strrchr(text, '\033');
    buf_adds(b, text);
    if (esc != NULL && !str_starts(esc, "\033[0m") && !str_starts(esc, "\033[m"))
        buf_adds(b, "\033[0m");
}

static void add_failed_logs(struct display *d, int given_up)
{
    for (size_t i = 0; i < d->n_vertices; i++) {
        const struct vertex *v = d->vertices[i];
        if (v == NULL || v->id <= given_up || !v->ended || v->how != VERTEX_ERROR)
            continue;
        buf_addf(&d->out, "------\n > %s:\n", v->name);
        for (size_t j = v->lines.first; j < v->lines.n; j++) {
            char time[HUMAN_LEN];
            buf_addf(&d->out, "%s ", human_log_time(v->lines.v[j].ms, time));
            add_log_text(&d->out, v->lines.v[j].text);
            buf_addc(&d->out, '\n');
        }
        buf_adds(&d->out, "------\n");
    }
}

/* What the rule is for, and where more is said of it. */
static void add_about(struct buf *b, const char *rule)
{
    const struct lint_about *about = lint_about(rule);
    if (about != NULL)
        buf_addf(b, "%s\nMore info: %s\n", about->description, about->url);
}

static void add_warnings(struct display *d, const struct build_result *r, bool debug)
{
    if (d->n_warnings == 0)
        return;
    size_t before = d->out.len;
    AUTO(frame_lines_release) struct frame_lines lines;
    frame_lines_init(&lines, r != NULL ? buf_str(&r->dockerfile) : "",
                     r != NULL ? r->dockerfile.len : 0);
    buf_addf(&d->out, "\n %s%zu warning%s found%s:\n%s", d->color ? "\033[33m" : "", d->n_warnings,
             d->n_warnings == 1 ? "" : "s", debug ? "" : " (use --debug to expand)",
             d->color ? "\033[0m" : "");
    for (size_t i = 0; i < d->n_warnings; i++) {
        const struct warning *w = &d->warnings[i];
        buf_addf(&d->out, " - %s: %s", w->rule, w->text);
        if (w->line > 0)
            buf_addf(&d->out, " (line %d)", w->line);
        buf_addc(&d->out, '\n');
        if (!debug)
            continue;
        add_about(&d->out, w->rule);
        if (r != NULL && r->dockerfile_name != NULL && d->out.len - before < EXCERPTS_MAX)
            frame_add_lines(&d->out, r->dockerfile_name, &lines, w->line, w->line_end);
        buf_addc(&d->out, '\n');
    }
}

void display_finish(struct display *d, const struct build_result *r, bool debug)
{
    if (d->finished)
        return;
    d->finished = true;
    stop_thread(d);
    lock(d);
    if (d->ops->finish != NULL)
        d->ops->finish(d);
    if (d->ops->shows_summary) {
        add_failed_logs(d, r ? r->given_up_vertex : 0);
        add_warnings(d, r, debug);
    }
    unlock(d);
}

void display_free(struct display *d)
{
    if (d == NULL)
        return;
    display_finish(d, NULL, false);
    for (size_t i = 0; i < d->n_vertices; i++)
        vertex_free(d->vertices[i]);
    mem_free(d->vertices);
    for (size_t i = 0; i < d->n_warnings; i++) {
        mem_free(d->warnings[i].rule);
        mem_free(d->warnings[i].text);
    }
    mem_free(d->warnings);
    buf_release(&d->out);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

static enum display_mode mode_auto(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && !str_eq(term, "dumb") ? DISPLAY_TTY : DISPLAY_PLAIN;
}

int display_mode_parse(const char *name, int fd, enum display_mode *ret, struct err *err)
{
    static const struct {
        const char *name;
        enum display_mode mode;
    } modes[] = {
        { "plain", DISPLAY_PLAIN },     { "tty", DISPLAY_TTY },   { "quiet", DISPLAY_QUIET },
        { "rawjson", DISPLAY_RAWJSON }, { "none", DISPLAY_NONE },
    };
    const char *wanted = getenv("BUILDKIT_PROGRESS");
    if (str_eq(name, "auto") && wanted != NULL && *wanted != '\0')
        name = wanted;
    if (str_eq(name, "auto") || *name == '\0') {
        *ret = mode_auto(fd);
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (!str_eq(modes[i].name, name))
            continue;
        if (modes[i].mode == DISPLAY_TTY && !isatty(fd))
            return err_set(err, ERR_USAGE, "failed to get console: provided file is not a console");
        *ret = modes[i].mode;
        return 0;
    }
    return err_set(err, ERR_USAGE, "invalid progress mode %s", name);
}
