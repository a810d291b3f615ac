/* `shale trace`: what a step of the last build asked of the copied files, question by question or
 * file by file. */
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/last_report.h"
#include "cmd/looked_at.h"
#include <stdio.h>
#include <string.h>

/* Several layers may be asked the same, of which the upper one answers. */
static void print_layer(struct buf *b, const struct looked_at *x, size_t segment)
{
    size_t n = questions_segments(x->questions);
    if (n > 1)
        buf_addf(b, "%slayer %zu of %zu\n", segment > 0 ? "\n" : "", segment + 1, n);
}

static void print_line(struct buf *b, const char *words, const char *path)
{
    buf_addf(b, "%-9s ", words);
    looked_at_path(path, b);
    buf_addc(b, '\n');
}

static void print_questions(struct buf *b, const struct looked_at *x)
{
    for (size_t s = 0; s < questions_segments(x->questions); s++) {
        print_layer(b, x, s);
        for (size_t i = 0; i < questions_len(x->questions, s); i++) {
            struct question q;
            AUTO(buf_release) struct buf words = BUF_INIT;
            questions_at(x->questions, s, i, &q);
            looked_at_words(&q, &words);
            print_line(b, buf_str(&words), looked_at_about(x, s, &q));
        }
    }
}

/* Files: all that is no directory. */

typedef void (*file_fn)(void *arg, size_t segment, const char *path, enum look look);

static void each_file(const struct looked_at *x, size_t segment, file_fn fn, void *arg)
{
    const struct listing *l = x->layers[segment];
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        if (e.type != ENTRY_DIR)
            fn(arg, segment, e.path, looked_at_file(x, segment, e.path));
    }
}

struct file_text {
    struct buf *b;
    size_t n[LOOK_READ + 1];
};

/* file_fn */
static void print_file(void *arg, size_t segment UNUSED, const char *path, enum look look)
{
    struct file_text *t = arg;
    t->n[look]++;
    print_line(t->b, look_name(look), path);
}

static void print_sum(struct buf *b, const size_t n[LOOK_READ + 1])
{
    size_t all = n[LOOK_READ] + n[LOOK_SEEN] + n[LOOK_WHOLE] + n[LOOK_NEVER];
    buf_addf(b, "\n%zu file%s: %zu read, %zu seen, ", all, all == 1 ? "" : "s", n[LOOK_READ],
             n[LOOK_SEEN]);
    if (n[LOOK_WHOLE] > 0)
        buf_addf(b, "%zu compared whole, ", n[LOOK_WHOLE]);
    buf_addf(b, "%zu never looked at\n", n[LOOK_NEVER]);
}

static void print_files(struct buf *b, const struct looked_at *x)
{
    struct file_text t = { .b = b };
    for (size_t s = 0; s < x->n_layers; s++) {
        print_layer(b, x, s);
        each_file(x, s, print_file, &t);
    }
    print_sum(b, t.n);
}

/* JSON. */

/* file_fn */
static void add_file(void *arg, size_t segment, const char *path, enum look look)
{
    json_t *o = json_pack("{s:I, s:s}", "layer", (json_int_t)segment + 1, "look", look_name(look));
    AUTO(mem_free) char *shown = str_printf("/%s", path);
    json_object_set_new(o, "path", json_from_str(shown));
    json_array_append_new(arg, o);
}

static json_t *files_json(const struct looked_at *x)
{
    json_t *a = json_array();
    for (size_t s = 0; s < x->n_layers; s++)
        each_file(x, s, add_file, a);
    return a;
}

static json_t *questions_json(const struct looked_at *x)
{
    json_t *a = json_array();
    for (size_t s = 0; s < questions_segments(x->questions); s++)
        for (size_t i = 0; i < questions_len(x->questions, s); i++) {
            struct question q;
            questions_at(x->questions, s, i, &q);
            json_array_append_new(a, question_json(x, s, &q));
        }
    return a;
}

static void print_json(struct buf *b, const struct looked_at *x, const struct step_report *r,
                       bool files)
{
    json_auto_t *j = json_pack("{s:i, s:o}", "version", 1, "step", step_report_json(r));
    json_object_set_new(j, "looked_at", looked_at_json(x));
    json_object_set_new(j, files ? "file_list" : "questions",
                        files ? files_json(x) : questions_json(x));
    json_write_pretty(j, b, 2);
    buf_addc(b, '\n');
}

static void print_text(struct buf *b, const struct looked_at *x, bool files)
{
    (files ? print_files : print_questions)(b, x);
    looked_at_notes_text(x, b);
}

static int load(const struct session *s, const struct options *o, struct last_report *last,
                const struct step_report **ret_step, struct looked_at *ret, struct err *err)
{
    if (last_report_load(s, option_str(o, "context"), last, err) < 0 ||
        last_report_step(last, o->args.v[0], ret_step, err) < 0 ||
        looked_at_load(last->store, *ret_step, ret, err) < 0)
        return err->code;
    return option_on(o, "files") ? looked_at_layers(last->store, ret, err) : 0;
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(last_report_release) struct last_report last = { .store = NULL };
    AUTO(looked_at_release) struct looked_at x = { .questions = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    const struct step_report *step = NULL;
    bool files = option_on(o, "files");
    if (load(s, o, &last, &step, &x, &err) < 0)
        return command_fail(&command_trace, s, &err);
    if (option_on(o, "json"))
        print_json(&out, &x, step, files);
    else
        print_text(&out, &x, files);
    fputs(buf_str(&out), stdout);
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "context", 0, OPTION_TEXT, .value = "path",
      .help = "The last build of this context (default: the last build of all)" },
    { "files", 0, OPTION_FLAG,
      .help = "All copied files, and which of them were read, seen, or never looked at" },
    { "json", 0, OPTION_FLAG, .help = "Print as JSON" },
    { .name = NULL },
};

const struct command command_trace = {
    .name = "trace",
    .args = "[OPTIONS] STEP",
    .about = "Show what a step of the last build looked at",
    .specs = specs,
    .min_args = 1,
    .max_args = 1,
    .error_prefix = "shale: ",
    .run = run,
};
