#include "base/stream.h"
#include "cmd/debug_internal.h"
#include "cmd/stdin_source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Lines of a stream. One that is too long is cut, and marked. */
struct line_reader {
    struct source *from;
    char chunk[65536];
    size_t at, end;
    struct buf line;
    bool too_long;
};

static void take(struct line_reader *r, size_t n)
{
    size_t room = DEBUG_LINE_MAX - r->line.len;
    r->too_long |= n > room;
    buf_add(&r->line, r->chunk + r->at, n < room ? n : room);
}

/* 1: r->line is the next one; 0: the end. What was answered goes out before more is waited for. */
static int next_line(struct line_reader *r, struct err *err)
{
    buf_clear(&r->line);
    r->too_long = false;
    bool began = false;
    for (;;) {
        const char *nl = memchr(r->chunk + r->at, '\n', r->end - r->at);
        size_t n = nl != NULL ? (size_t)(nl - r->chunk) - r->at : r->end - r->at;
        take(r, n);
        began |= n > 0;
        r->at += nl != NULL ? n + 1 : n;
        if (nl != NULL)
            return 1;
        fflush(stdout);
        ssize_t got = source_read(r->from, r->chunk, sizeof(r->chunk), err);
        if (got <= 0)
            return got < 0 ? err->code : began;
        r->at = 0;
        r->end = (size_t)got;
    }
}

static int answer_line(const struct line_reader *r, debug_answer answer, bool detail, json_t *out,
                       struct err *err)
{
    json_error_t why;
    if (r->too_long)
        return err_set(err, ERR_USAGE, "a line of more than %zu bytes", DEBUG_LINE_MAX);
    json_auto_t *in =
        json_loadb(buf_str(&r->line), r->line.len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    if (in == NULL)
        return err_set(err, ERR_USAGE, "not JSON: %s", why.text);
    if (!json_is_object(in))
        return err_set(err, ERR_USAGE, "not a JSON object");
    json_t *id = json_object_get(in, "id");
    if (id != NULL)
        json_object_set(out, "id", id);
    return answer(in, detail, out, err);
}

static int put_line(const json_t *out, struct err *err)
{
    if (json_dumpf(out, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF)
        return err_sys(err, errno, "cannot write to standard output");
    return 0;
}

int debug_batch(debug_answer answer, bool detail, struct cancel *cancel, struct err *err)
{
    AUTO(source_free) struct source *in = stdin_source(cancel);
    AUTO(mem_free) struct line_reader *r = mem_zalloc(sizeof(*r));
    r->from = in;
    int more;
    while ((more = next_line(r, err)) > 0) {
        struct err bad = ERR_INIT;
        json_auto_t *out = json_pack("{s:n}", "id");
        if (answer_line(r, answer, detail, out, &bad) < 0)
            json_object_set_new(out, "error", json_from_str(bad.msg));
        more = put_line(out, err);
        if (more < 0)
            break;
    }
    buf_release(&r->line);
    return more;
}
