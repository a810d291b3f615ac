/* What `--call=outline`, `targets` and `subrequests.describe` print. */
#include "base/log.h"
#include "cmd/call.h"
#include "cmd/terminal_text.h"
#include <string.h>

/* Text. */

/* Rows of n cells, left-aligned with gap blanks between; nothing behind the last. */
static void add_columns(struct buf *b, const struct strv *cells, size_t n, size_t gap)
{
    AUTO(mem_free) size_t *widths = mem_calloc(n, sizeof(*widths));
    for (size_t i = 0; i < cells->n; i++) {
        size_t width = text_width(cells->v[i]);
        widths[i % n] = width > widths[i % n] ? width : widths[i % n];
    }
    for (size_t i = 0; i < cells->n; i++) {
        bool last = i % n == n - 1;
        buf_adds(b, cells->v[i]);
        for (size_t k = text_width(cells->v[i]); !last && k < widths[i % n] + gap; k++)
            buf_addc(b, ' ');
        if (last)
            buf_addc(b, '\n');
    }
}

static void add_cell(struct strv *cells, const char *text)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (text != NULL)
        log_escape(&b, text, strlen(text));
    strv_add(cells, buf_str(&b));
}

static void add_header(struct buf *b, const struct outline *o)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    if (o->name == NULL && o->description == NULL)
        return;
    add_cell(&cells, "TARGET:");
    add_cell(&cells, o->name != NULL ? o->name : "(default)");
    if (o->description != NULL) {
        add_cell(&cells, "DESCRIPTION:");
        add_cell(&cells, o->description);
    }
    add_columns(b, &cells, 2, 1);
    buf_addc(b, '\n');
}

static void add_args(struct buf *b, const struct outline_items *args)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    if (args->n == 0)
        return;
    add_cell(&cells, "BUILD ARG");
    add_cell(&cells, "VALUE");
    add_cell(&cells, "DESCRIPTION");
    for (size_t i = 0; i < args->n; i++) {
        add_cell(&cells, args->v[i].name);
        add_cell(&cells, args->v[i].value);
        add_cell(&cells, args->v[i].description);
    }
    add_columns(b, &cells, 3, 3);
    buf_addc(b, '\n');
}

static void add_required(struct buf *b, const char *title, const struct outline_items *items)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    if (items->n == 0)
        return;
    add_cell(&cells, title);
    add_cell(&cells, "REQUIRED");
    for (size_t i = 0; i < items->n; i++) {
        add_cell(&cells, items->v[i].name);
        add_cell(&cells, items->v[i].required ? "true" : "");
    }
    add_columns(b, &cells, 2, 3);
    buf_addc(b, '\n');
}

static bool is_default(const struct description *d, size_t stage)
{
    return stage == d->df->n_stages - 1;
}

static void print_targets(struct buf *b, const struct description *d)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    add_cell(&cells, "TARGET");
    add_cell(&cells, "DESCRIPTION");
    for (size_t i = 0; i < d->df->n_stages; i++) {
        const struct stage *s = &d->df->stages[i];
        AUTO(mem_free)
        char *name =
            str_printf("%s%s%s", s->name ? s->name : "", s->name && is_default(d, i) ? " " : "",
                       is_default(d, i) ? "(default)" : "");
        add_cell(&cells, name);
        add_cell(&cells, s->from->from.comment);
    }
    add_columns(b, &cells, 2, 1);
}

/* JSON: what is empty is left out. */

static void set_text(json_t *o, const char *key, const char *text)
{
    if (text != NULL && *text != '\0')
        json_object_set_new(o, key, json_from_str(text));
}

static json_t *item_json(const struct outline_item *item)
{
    json_t *o = json_object();
    set_text(o, "name", item->name);
    set_text(o, "description", item->description);
    set_text(o, "value", item->value);
    if (item->required)
        json_object_set_new(o, "required", json_true());
    json_object_set_new(o, "location", call_location(item->line, item->line_end));
    return o;
}

static void set_items(json_t *o, const char *key, const struct outline_items *items)
{
    if (items->n == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < items->n; i++)
        json_array_append_new(list, item_json(&items->v[i]));
    json_object_set_new(o, key, list);
}

static void set_sources(json_t *o, const struct description *d)
{
    json_object_set_new(o, "sources", json_pack("[o]", call_base64(&d->text)));
}

static json_t *target_json(const struct description *d, size_t i)
{
    const struct stage *s = &d->df->stages[i];
    json_t *o = json_object();
    set_text(o, "name", s->name);
    if (is_default(d, i))
        json_object_set_new(o, "default", json_true());
    set_text(o, "description", s->from->from.comment);
    set_text(o, "base", s->base);
    set_text(o, "platform", s->platform);
    json_object_set_new(o, "location", call_location(s->from->line, s->from->line_end));
    return o;
}

void call_print_outline(struct buf *b, const struct description *d, bool json)
{
    const struct outline *o = &d->outline;
    if (!json) {
        add_header(b, o);
        add_args(b, &o->args);
        add_required(b, "SECRET", &o->secrets);
        add_required(b, "SSH", &o->ssh);
        return;
    }
    json_auto_t *all = json_object();
    set_text(all, "name", o->name);
    set_text(all, "description", o->description);
    set_items(all, "args", &o->args);
    set_items(all, "secrets", &o->secrets);
    set_items(all, "ssh", &o->ssh);
    set_sources(all, d);
    call_add_json(b, all);
}

void call_print_targets(struct buf *b, const struct description *d, bool json)
{
    if (!json) {
        print_targets(b, d);
        return;
    }
    json_auto_t *all = json_object();
    json_t *list = json_array();
    for (size_t i = 0; i < d->df->n_stages; i++)
        json_array_append_new(list, target_json(d, i));
    json_object_set_new(all, "targets", list);
    set_sources(all, d);
    call_add_json(b, all);
}

/* The methods themselves. */

static const struct {
    const char *name, *about, *option;
} methods[] = {
    { "outline", "List all parameters current build target supports", "Target build stage" },
    { "targets", "List all targets current build supports", NULL },
    { "subrequests.describe", "List available subrequest types", NULL },
};

#define METHOD_VERSION "1.0.0"

static json_t *method_json(size_t i)
{
    AUTO(mem_free) char *name = str_printf("frontend.%s", methods[i].name);
    json_t *options = i + 1 < ARRAY_LEN(methods) ? json_array() : json_null();
    if (methods[i].option != NULL) {
        json_decref(options);
        options = json_pack("[{s:s,s:s}]", "name", "target", "description", methods[i].option);
    }
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:n,s:[{s:s,s:s},{s:s,s:s}],s:n}", "name", name,
                     "version", METHOD_VERSION, "type", "rpc", "description", methods[i].about,
                     "opts", options, "inputs", "metadata", "name", "result.json", "description",
                     "", "name", "result.txt", "description", "", "refs");
}

void call_print_methods(struct buf *b, bool json)
{
    AUTO(strv_release) struct strv cells = STRV_INIT;
    json_auto_t *all = json_array();
    strv_add(&cells, "NAME");
    strv_add(&cells, "VERSION");
    strv_add(&cells, "DESCRIPTION");
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        json_array_append_new(all, method_json(i));
        strv_add(&cells, methods[i].name);
        strv_add(&cells, METHOD_VERSION);
        strv_add(&cells, methods[i].about);
    }
    if (json)
        call_add_json(b, all);
    else
        add_columns(b, &cells, 3, 1);
}
