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
#include "cmd/last_report.h"
#include "cmd/looked_at.h"
#include "cmd/step_table.h"
#include "cmd/table.h"
#include "store/layer.h"
#include "store/record.h"
#include <stdio.h>

#define FIELDS_MAX (64u << 20)
#define VALUE_SHOWN 44 /* bytes of a field's value */
#define FILES_SHOWN 1000

struct explanation {
    struct last_report last;
    bool whole; /* --no-trunc */
};

static void explanation_release(struct explanation *x)
{
    last_report_release(&x->last);
}
DEFINE_AUTO_VALUE(struct explanation, explanation_release);

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
    load_side(x->last.store, r->has_key, &r->key, r->fields, &ret->now);
    load_side(x->last.store, r->has_before, &r->before, NULL, &ret->before);
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

/* Of a step that was not observed there is nothing to say. */
static void print_looks(struct buf *b, const struct explanation *x, const struct step_report *r)
{
    struct err none = ERR_INIT;
    AUTO(looked_at_release) struct looked_at looks = { .questions = NULL };
    if (looked_at_load(x->last.store, r, &looks, &none) == 0)
        looked_at_summary(&looks, r, b);
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
    print_looks(b, x, r);
}

static void print_all(struct buf *b, const struct explanation *x)
{
    char age[HUMAN_LEN];
    const struct last_build *last = &x->last.build;
    AUTO(mem_free) char *what = step_table_text(last->name ? last->name : last->context, 0);
    buf_addf(b, "%s, built %s ago\n\n", what, human_duration(clock_wall_s() - last->built_s, age));
    step_table(b, &x->last.report, x->whole);
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
    struct err none = ERR_INIT;
    AUTO(looked_at_release) struct looked_at looks = { .questions = NULL };
    if (looked_at_load(x->last.store, r, &looks, &none) == 0)
        json_object_set_new(o, "looked_at", looked_at_json(&looks));
    return o;
}

static void print_json(struct buf *b, const struct explanation *x, const struct step_report *only)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < x->last.report.n; i++)
        if (only == NULL || x->last.report.v[i] == only)
            json_array_append_new(steps, step_json(x, x->last.report.v[i]));
    json_auto_t *j = json_pack("{s:i, s:I, s:o}", "version", 1, "built",
                               (json_int_t)x->last.build.built_s, "steps", steps);
    json_object_set_new(j, "context", json_from_str(x->last.build.context));
    if (x->last.build.name != NULL)
        json_object_set_new(j, "name", json_from_str(x->last.build.name));
    if (x->last.build.has_image)
        json_object_set_new(j, "image", json_string(DIGEST_S(&x->last.build.image.d)));
    json_write_pretty(j, b, 2);
    buf_addc(b, '\n');
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(explanation_release) struct explanation x = { .whole = option_on(o, "no-trunc") };
    AUTO(buf_release) struct buf out = BUF_INIT;
    const struct step_report *step = NULL;
    if (last_report_load(s, option_str(o, "context"), &x.last, &err) < 0 ||
        (o->args.n > 0 && last_report_step(&x.last, o->args.v[0], &step, &err) < 0))
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
