/* What the ways of showing share: the model that display.c keeps, and the functions of one way. */
#ifndef SHALE_CMD_DISPLAY_INTERNAL_H
#define SHALE_CMD_DISPLAY_INTERNAL_H

#include "base/buf.h"
#include "base/clock.h"
#include "cmd/display.h"
#include "cmd/log_lines.h"
#include "cmd/patient_writer.h"
#include "cmd/terminal_text.h"
#include <pthread.h>

#define DISPLAY_NAME "default" /* as `docker buildx ls` would list it */
#define DISPLAY_DRIVER "shale"

struct display_status {
    char *what;
    uint64_t current, total;
    int64_t start_ms, end_ms; /* monotonic; end 0: goes on */
    struct clock_time started;
    /* plain: what was last shown */
    int64_t shown_ms;
    uint64_t shown;
};

struct vertex {
    int id;
    char *name;       /* escaped, one line */
    char *digest;     /* rawjson: "sha256:..." */
    int64_t start_ms; /* monotonic */
    struct clock_time started, completed;
    int64_t ms; /* once ended: its duration */
    bool ended;
    enum vertex_end how;
    char *message;
    struct display_status *statuses;
    size_t n_statuses, cap_statuses;
    struct strv notes;
    struct terminal_filter filter[2]; /* of stream 1 and 2 */
    struct log_lines lines;
    /* plain */
    int number;          /* in order of being shown; 0: never yet */
    struct buf waiting;  /* lines (without "#N ") that were not shown yet */
    bool mid_line;       /* the last log line has no end yet */
    bool shown_mid_line; /* and its beginning is on the screen */
    int64_t waiting_ms;  /* since when something waits */
};

struct warning {
    char *rule, *text;
    int line, line_end; /* 0: none */
};

/* All are called with the lock held and write into d->out. Those that are NULL are not called. */
struct display_ops {
    int tick_ms; /* 0: no thread */
    size_t max_lines;
    void (*start)(struct display *d);
    void (*begin)(struct display *d, struct vertex *v);
    /* raw as the command wrote it (n_raw 0: the filter's tail at the end), filtered for a terminal
     */
    void (*log)(struct display *d, struct vertex *v, int stream, const char *raw, size_t n_raw,
                const char *filtered, size_t n_filtered);
    void (*status)(struct display *d, struct vertex *v, struct display_status *s);
    void (*note)(struct display *d, struct vertex *v, const char *text);
    void (*end)(struct display *d, struct vertex *v);
    void (*warning)(struct display *d, const struct warning *w);
    void (*tick)(struct display *d);
    void (*finish)(struct display *d);
    bool shows_summary; /* logs of failed steps and warnings at the end */
};
extern const struct display_ops display_plain_ops, display_tty_ops, display_rawjson_ops,
    display_none_ops;

struct display {
    struct progress progress;
    const struct display_ops *ops;
    int fd;
    struct patient_writer writer; /* to fd */
    bool color;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread, stop, finished;
    int64_t start_ms;
    struct vertex **vertices; /* [id - 1]; NULL: not begun */
    size_t n_vertices;
    struct warning *warnings;
    size_t n_warnings, cap_warnings;
    struct buf out;
    /* plain */
    struct vertex *current;
    int64_t current_ms; /* since when */
    int n_shown;
    /* tty */
    size_t n_rows; /* on the screen, with the header */
};

int64_t display_since(const struct vertex *v); /* ms since v began */
/* "180B / 2.00kB", "180B" or "". */
void display_amount(const struct display_status *s, struct buf *b);

#endif
