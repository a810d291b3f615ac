/*
 * What a build says while it works. The engine calls, cmd/ shows: plain, tty,
 * raw JSON or nothing. Calls come from any thread, also at the same time for
 * different vertices; the receiver locks. A vertex is one line of work, as in
 * BuildKit: "[stage 2/5] RUN make", "[internal] load build context",
 * "exporting to image". Ids are 1, 2, ... in order of vertex_begin.
 */
#ifndef SHALE_ENGINE_PROGRESS_H
#define SHALE_ENGINE_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

enum vertex_end {
    VERTEX_DONE,
    VERTEX_CACHED,
    VERTEX_REUSED, /* not the same step, but nothing that it looked at has changed */
    VERTEX_ERROR,
    VERTEX_CANCELED,
};

struct progress {
    void *arg;
    void (*begin)(void *arg, int vertex, const char *name);
    /* Output of the command: stream 1 or 2; any cut, also in the middle of a line. */
    void (*log)(void *arg, int vertex, int stream, const char *p, size_t n);
    /* "transferring context", "sha256:..." with bytes so far; total 0: not known; done: ended. */
    void (*status)(void *arg, int vertex, const char *what, uint64_t current, uint64_t total,
                   int done);
    /* One line about the vertex for the user: why it hit or missed. */
    void (*note)(void *arg, int vertex, const char *text);
    /* message: of the error; REUSED: what it looked at; else NULL. ms: its own duration. */
    void (*end)(void *arg, int vertex, enum vertex_end how, const char *message, int64_t ms);
    /* A build warning about lines line..line_end; line 0: none. */
    void (*warning)(void *arg, const char *rule, const char *text, int line, int line_end);
};

#endif
