/* `shale explain`: the last build, step by step; one step: its key beside that of the build before.
 */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "cache/file_changes.h"
#include "cache/key_fields.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/human.h"
#include "cmd/step_table.h"
#include "cmd/table.h"
#include "engine/report.h"
#include "store/last_build.h"
#include "store/layer.h"
#include "store/record.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX (64u << 20)
#define VALUE_SHOWN 44 /* bytes of a field's value */
#define FILES_SHOWN 1000

struct explanation {
    struct store *store;
    struct last_build last;
    struct build_report report;
    bool whole; /* --no-trunc */
};

static void explanation_release(struct explanation *x)
{
    last_build_release(&x->last);
    build_report_release(&x->report);
    store_close(x->store);
}
DEFINE_AUTO_VALUE(struct explanation, explanation_release);

static int load(const struct session *s, const struct options *o, struct explanation *x,
                struct err *err)
{
    const char *context = option_str(o, "context");
    char real[PATH_MAX];
    x->whole = option_on(o, "no-trunc");
    x->store = store_open(s->store_root, err);
    if (x->store == NULL)
        return err->code;
    if (context != NULL && realpath(context, real) != NULL)
        context = real;
    int rc = last_build_newest(x->store, context, &x->last, err);
    if (rc == ERR_NOT_FOUND && context != NULL)
        return err_set(err, rc, "nothing was built from '%s' here", context);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "nothing was built here");
    return rc < 0 ? rc : build_report_read(x->last.report, strlen(x->last.report), &x->report, err);
}

/* "3", "3/5", "build:3", "[build 3/5]": which step of which stage. */
static bool is_meant(const struct step_report *r, const char *word)
{
    AUTO(buf_release) struct buf place = BUF_INIT;
    step_report_place(r, &place);
    AUTO(mem_free) char *number = str_printf("%d", r->number);
    AUTO(mem_free) char *of = str_printf("%d/%d", r->number, r->total);
    AUTO(mem_free) char *staged = str_printf("%s:%d", r->stage, r->number);
    return str_eq(word, buf_str(&place)) || str_eq(word, number) || str_eq(word, of) ||
           str_eq(word, staged);
}

static int find_step(const struct explanation *x, const char *word, const struct step_report **ret,
                     struct err *err)
{
    const struct step_report *found = NULL;
    for (size_t i = 0; i < x->report.n; i++) {
        const struct step_report *r = x->report.v[i];
        if (!is_meant(r, word))
            continue;
        if (found != NULL)
            return err_set(err, ERR_USAGE, "step '%s' is in several stages: say '%s:%d' or '%s:%d'",
                           word, found->stage, found->number, r->stage, r->number);
        found = r;
    }
    if (found == NULL)
        return err_set(err, ERR_NOT_FOUND, "the last build has no step '%s'", word);
    *ret = found;
    return 0;
}

/* A step's key and files, now and before. */

struct side {
    bool there;
    struct record record;
    struct key_fields fields;
    const struct layer *layer; /* NULL: none, or gone */
};

static void load_side(struct store *store, bool has, const struct cache_key *key,
                      const char *fields, struct side *ret)
{
    struct err none = ERR_INIT;
    AUTO(buf_release) struct buf text = BUF_INIT;
    ret->there = has && record_get(store, key, &ret->record, &none) == 0;
    if (ret->there && ret->record.has_layer)
        ret->layer = layer_get(store, &ret->record.layer, &none);
    if (fields != NULL)
        buf_adds(&text, fields);
    else if (!ret->there || digest_is_zero(&ret->record.fields.d) ||
             blob_read(store, &ret->record.fields, FIELDS_MAX, &text, &none) < 0)
        return;
    key_fields_parse(buf_str(&text), text.len, &ret->fields);
}

struct step_sides {
    struct side before, now;
    struct key_pairs pairs;
    struct file_changes files;
};

static void step_sides_release(struct step_sides *s)
{
    key_fields_release(&s->before.fields);
    key_fields_release(&s->now.fields);
    key_pairs_release(&s->pairs);
    file_changes_release(&s->files);
}
DEFINE_AUTO_VALUE(struct step_sides, step_sides_release);

static void load_sides(const struct explanation *x, const struct step_report *r,
                       struct step_sides *ret)
{
    load_side(x->store, r->has_key, &r->key, r->fields, &ret->now);
    load_side(x->store, r->has_before, &r->before, NULL, &ret->before);
    if (ret->before.fields.n > 0)
        key_fields_compare(&ret->before.fields, &ret->now.fields, &ret->pairs);
    else
        key_fields_compare(&ret->now.fields, &ret->now.fields, &ret->pairs);
    if (ret->now.layer != NULL && ret->before.layer != NULL)
        file_changes_find(ret->before.layer->listing, ret->now.layer->listing, &ret->files);
}

/* Text. */

static void add_cell(struct strv *cells, const struct explanation *x, const char *value)
{
    strv_take(cells, step_table_text(value != NULL ? value : "-", x->whole ? 0 : VALUE_SHOWN));
}

static void print_fields(struct buf *b, const struct explanation *x, const struct step_sides *s)
{
    bool compared = s->before.fields.n > 0;
    AUTO(strv_release) struct strv cells = STRV_INIT;
    strv_add(&cells, "");
    strv_add(&cells, "FIELD");
    strv_add(&cells, compared ? "BEFORE" : "VALUE");
    strv_add(&cells, compared ? "NOW" : "");
    for (size_t i = 0; i < s->pairs.n; i++) {
        const struct key_pair *p = &s->pairs.v[i];
        strv_add(&cells, key_pair_same(p) ? "" : "differs");
        strv_add(&cells, p->name);
        AUTO(mem_free) char *before = key_field_shown(p->name, p->before);
        AUTO(mem_free) char *now = key_field_shown(p->name, p->now);
        add_cell(&cells, x, before);
        add_cell(&cells, x, compared ? now : "");
    }
    buf_addc(b, '\n');
    table_add(b, &cells, 4);
}

static void print_files(struct buf *b, const struct step_sides *s)
{
    size_t shown = 0;
    if (s->files.n > 0)
        buf_adds(b, "\nfiles\n");
    for (size_t i = 0; i < s->files.n && shown < FILES_SHOWN; i++) {
        if (file_change_is_implied(&s->files, i))
            continue;
        AUTO(mem_free) char *path = str_printf("/%s", s->files.v[i].path);
        buf_adds(b, "  ");
        file_change_text(&s->files.v[i], path, b);
        buf_addc(b, '\n');
        shown++;
    }
    if (shown == FILES_SHOWN)
        buf_adds(b, "  ...\n");
}

static void print_step(struct buf *b, const struct explanation *x, const struct step_report *r)
{
    AUTO(step_sides_release) struct step_sides s = { .files = { .v = NULL } };
    AUTO(mem_free) char *text = step_table_text(r->text, 0);
    load_sides(x, r, &s);
    step_report_place(r, b);
    buf_addf(b, " %s\n%s", text, step_answer_name(r->answer));
    bool is_known = r->answer == STEP_CACHED || r->answer == STEP_REUSED;
    if ((is_known || r->answer == STEP_MADE) && r->cost_ms >= 0) {
        buf_adds(b, is_known ? ", took " : " in ");
        step_table_seconds(b, r->cost_ms);
    }
    const char *why = r->reused ? r->reused : r->why ? r->why : r->change;
    if (why != NULL) {
        AUTO(mem_free) char *shown = step_table_text(why, 0);
        buf_addf(b, ": %s", shown);
    }
    buf_addc(b, '\n');
    print_fields(b, x, &s);
    print_files(b, &s);
}

static void print_all(struct buf *b, const struct explanation *x)
{
    char age[HUMAN_LEN];
    AUTO(mem_free) char *what = step_table_text(x->last.name ? x->last.name : x->last.context, 0);
    buf_addf(b, "%s, built %s ago\n\n", what,
             human_duration(clock_wall_s() - x->last.built_s, age));
    step_table(b, &x->report, x->whole);
}

/* JSON. */

static json_t *fields_json(const struct step_sides *s)
{
    json_t *a = json_array();
    for (size_t i = 0; i < s->pairs.n; i++) {
        const struct key_pair *p = &s->pairs.v[i];
        json_t *o = json_pack("{s:s, s:b}", "name", p->name, "same", key_pair_same(p));
        AUTO(mem_free) char *before = key_field_shown(p->name, p->before);
        AUTO(mem_free) char *now = key_field_shown(p->name, p->now);
        if (before != NULL && s->before.fields.n > 0)
            json_object_set_new(o, "before", json_from_str(before));
        if (now != NULL)
            json_object_set_new(o, "now", json_from_str(now));
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *files_json(const struct step_sides *s)
{
    json_t *a = json_array();
    for (size_t i = 0; i < s->files.n && json_array_size(a) < FILES_SHOWN; i++) {
        if (file_change_is_implied(&s->files, i))
            continue;
        AUTO(buf_release) struct buf text = BUF_INIT;
        file_change_text(&s->files.v[i], s->files.v[i].path, &text);
        json_t *o = json_object();
        json_object_set_new(o, "path", json_from_str(s->files.v[i].path));
        json_object_set_new(o, "change", json_from_str(buf_str(&text)));
        json_array_append_new(a, o);
    }
    return a;
}

static json_t *step_json(const struct explanation *x, const struct step_report *r)
{
    AUTO(step_sides_release) struct step_sides s = { .files = { .v = NULL } };
    json_t *o = step_report_json(r);
    load_sides(x, r, &s);
    json_object_set_new(o, "fields", fields_json(&s));
    json_object_set_new(o, "files", files_json(&s));
    return o;
}

static void print_json(struct buf *b, const struct explanation *x, const struct step_report *only)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < x->report.n; i++)
        if (only == NULL || x->report.v[i] == only)
            json_array_append_new(steps, step_json(x, x->report.v[i]));
    json_auto_t *j = json_pack("{s:i, s:I, s:o}", "version", 1, "built",
                               (json_int_t)x->last.built_s, "steps", steps);
    json_object_set_new(j, "context", json_from_str(x->last.context));
    if (x->last.name != NULL)
        json_object_set_new(j, "name", json_from_str(x->last.name));
    if (x->last.has_image)
        json_object_set_new(j, "image", json_string(DIGEST_S(&x->last.image.d)));
    json_write_pretty(j, b, 2);
    buf_addc(b, '\n');
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(explanation_release) struct explanation x = { .store = NULL };
    AUTO(buf_release) struct buf out = BUF_INIT;
    const struct step_report *step = NULL;
    if (load(s, o, &x, &err) < 0 || (o->args.n > 0 && find_step(&x, o->args.v[0], &step, &err) < 0))
        return command_fail(&command_explain, s, &err);
    if (option_on(o, "json"))
        print_json(&out, &x, step);
    else if (step != NULL)
        print_step(&out, &x, step);
    else
        print_all(&out, &x);
    fputs(buf_str(&out), stdout);
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "context", 0, OPTION_TEXT, .value = "path",
      .help = "The last build of this context (default: the last build of all)" },
    { "json", 0, OPTION_FLAG, .help = "Print as JSON" },
    { "no-trunc", 0, OPTION_FLAG, .help = "Don't cut long values" },
    { .name = NULL },
};

const struct command command_explain = {
    .name = "explain",
    .args = "[OPTIONS] [STEP]",
    .about = "Show why the last build did what it did",
    .specs = specs,
    .max_args = 1,
    .error_prefix = "shale: ",
    .run = run,
};
