/* What `--check` prints. */
#include "base/fs.h"
#include "base/log.h"
#include "cmd/call.h"
#include "cmd/frame.h"
#include <stdlib.h>
#include <string.h>

/* What can be wrong in one line comes before what can be wrong in the next. */
static int by_line(const void *a, const void *b)
{
    const struct lint_warning *const *x = a, *const *y = b;
    if ((*x)->line != (*y)->line)
        return (*x)->line < (*y)->line ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static const struct lint_warning **sorted_warnings(const struct check_result *r)
{
    const struct lint_warning **v = mem_calloc(r->report.n + 1, sizeof(*v));
    for (size_t i = 0; i < r->report.n; i++)
        v[i] = &r->report.v[i];
    qsort(v, r->report.n, sizeof(*v), by_line);
    return v;
}

/* A text of long lines that are all wrong many times has no end of excerpts. */
#define EXCERPTS_MAX (8u << 20)

static void add_warning(struct buf *b, const struct check_result *r,
                        const struct frame_lines *lines, const struct lint_warning *w)
{
    buf_addf(b, "\nWARNING: %s - %s\n", w->rule, w->url);
    log_escape(b, w->text, strlen(w->text));
    buf_addc(b, '\n');
    if (b->len < EXCERPTS_MAX)
        frame_add_lines(b, r->path, lines, w->line, w->line_end);
}

/* As docker prints them: nothing where the text is wrong and nothing was found. */
static void print_text(struct buf *b, const struct check_result *r,
                       const struct lint_warning **warnings)
{
    size_t n = r->report.n;
    AUTO(frame_lines_release) struct frame_lines lines;
    frame_lines_init(&lines, buf_str(&r->text), r->text.len);
    if (n > 0)
        buf_addf(b, "Check complete, %zu warning%s found!\n", n,
                 n == 1 ? " has been" : "s have been");
    else if (r->error.code == ERR_NONE)
        buf_adds(b, "Check complete, no warnings found.\n");
    for (size_t i = 0; i < n; i++)
        add_warning(b, r, &lines, warnings[i]);
    if (n > 0 && r->error.code != ERR_NONE)
        buf_addc(b, '\n');
}

static json_t *warning_json(const struct lint_warning *w)
{
    return json_pack("{s:s,s:s,s:s,s:o,s:o}", "ruleName", w->rule, "description", w->description,
                     "url", w->url, "detail", json_from_str(w->text), "location",
                     call_location(w->line, w->line_end));
}

static void print_json(struct buf *b, const struct check_result *r,
                       const struct lint_warning **warnings)
{
    json_auto_t *all = json_object();
    json_t *list = r->report.n > 0 ? json_array() : json_null();
    for (size_t i = 0; i < r->report.n; i++)
        json_array_append_new(list, warning_json(warnings[i]));
    json_object_set_new(all, "warnings", list);
    json_object_set_new(all, "sources",
                        json_pack("[{s:o,s:o,s:s}]", "filename", json_from_str(path_base(r->path)),
                                  "data", call_base64(&r->text), "language", "Dockerfile"));
    if (r->error.code != ERR_NONE)
        json_object_set_new(all, "buildError",
                            json_pack("{s:o,s:o}", "message", json_from_str(r->error.msg),
                                      "location", call_location(r->error.line, r->error.line_end)));
    call_add_json(b, all);
}

void call_print_check(struct buf *b, const struct check_result *r, bool json)
{
    AUTO(mem_free) const struct lint_warning **warnings = sorted_warnings(r);
    if (json)
        print_json(b, r, warnings);
    else
        print_text(b, r, warnings);
}

void call_print_check_error(struct buf *b, const struct check_result *r)
{
    if (r->error.code == ERR_NONE)
        return;
    buf_adds(b, "ERROR: ");
    log_escape(b, r->error.msg, strlen(r->error.msg));
    buf_addc(b, '\n');
    if (r->error.line > 0)
        frame_add(b, r->path, buf_str(&r->text), r->text.len, r->error.line, r->error.line_end);
    buf_addc(b, '\n');
}
