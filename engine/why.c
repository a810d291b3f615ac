#include "engine/why.h"

#include "base/fs.h"
#include "dockerfile/lint.h"
#include <string.h>

#define VALUE_SHOWN 40         /* bytes of a variable's value */
#define TEXT_SHOWN 60          /* bytes of another step's text */
#define REASONS_SHOWN 3        /* in one line */
#define FIELDS_MAX (64u << 20) /* bytes of a key's text */

/* Fields of a key in the words of those who wrote the Dockerfile. */
static const struct {
    const char *name, *words;
    bool tells_values;
} words[] = {
    { "version", "keys are made in another way by this version of shale", false },
    { "platform", "platform", true },
    { "run.argv", "the command changed", false },
    { "run.argv.n", "the command changed", false },
    { "run.user", "USER", true },
    { "run.cwd", "working directory", true },
    { "run.network", "the network mode changed", false },
    { "run.insecure", "the security mode changed", false },
    { "run.shm_size", "--shm-size", true },
    { "run.hostname", "the host name changed", false },
    { "run.host", "--add-host changed", false },
    { "run.script", "the here-document changed", false },
    { "mount.content", "what a mount shows changed", false },
    { "mount.layer", "what a mount shows changed", false },
    { "mount.links", "which files of a mount are hard links changed", false },
    { "mount.layer.links", "which files of a mount are hard links changed", false },
    { "mount.layer.n", "what a mount shows changed", false },
    { "archive", "the archive changed", false },
    { "content", "what is copied changed", false },
    { "link", "which files are hard links changed", false },
    { "link.to", "which files are hard links changed", false },
};

static void add_value(struct buf *b, const char *value)
{
    size_t n = strlen(value);
    if (n <= VALUE_SHOWN) {
        buf_adds(b, *value ? value : "\"\"");
        return;
    }
    n = VALUE_SHOWN;
    while (n > 0 && ((unsigned char)value[n] & 0xc0) == 0x80)
        n--; /* not within a character */
    buf_add(b, value, n);
    buf_adds(b, "…");
}

static void add_reason(struct strv *reasons, const char *text)
{
    if (!strv_has(reasons, text))
        strv_add(reasons, text);
}

static bool is_arg(const struct state *s, const char *name)
{
    for (size_t i = 0; i < s->n_args; i++)
        if (str_eq(s->args[i].key, name) && env_get(&s->config.env, name) == NULL)
            return true;
    return false;
}

static void add_variable_value(struct buf *b, const char *pair)
{
    AUTO(mem_free) char *shown = key_field_shown("run.env", pair);
    const char *eq = strchr(shown, '=');
    add_value(b, eq ? eq + 1 : "");
}

/* "ARG VERSION 1.2 → 1.3", "new ENV X=1", "variable X is gone"; "ARG TOKEN changed". */
static void variable(const struct key_pair *p, const struct state *state, struct strv *reasons)
{
    const char *pair = p->now ? p->now : p->before;
    AUTO(mem_free) char *name = str_ndup(pair, strcspn(pair, "="));
    const char *what = is_arg(state, name) ? "ARG" : "ENV";
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (p->now == NULL) {
        buf_addf(&b, "variable %s is gone", name);
    } else if (p->before == NULL) {
        buf_addf(&b, "new %s %s=", what, name);
        add_variable_value(&b, p->now);
    } else if (lint_names_secret(name)) {
        buf_addf(&b, "%s %s changed", what, name);
    } else {
        buf_addf(&b, "%s %s ", what, name);
        add_variable_value(&b, p->before);
        buf_adds(&b, " → ");
        add_variable_value(&b, p->now);
    }
    add_reason(reasons, buf_str(&b));
}

static void other_field(const struct key_pair *p, struct strv *reasons)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!str_eq(p->name, words[i].name))
            continue;
        buf_adds(&b, words[i].words);
        if (words[i].tells_values) {
            buf_addc(&b, ' ');
            add_value(&b, p->before ? p->before : "");
            buf_adds(&b, " → ");
            add_value(&b, p->now ? p->now : "");
        }
        add_reason(reasons, buf_str(&b));
        return;
    }
    bool is_mount = str_starts(p->name, "mount.");
    bool is_limit = str_starts(p->name, "run.ulimit");
    buf_adds(&b, is_mount ? "mounts changed" : is_limit ? "--ulimit changed" : p->name);
    if (!is_mount && !is_limit)
        buf_adds(&b, " changed");
    add_reason(reasons, buf_str(&b));
}

/* What is below. */

static void add_step_text(struct buf *b, const struct step_report *r)
{
    size_t n = strlen(r->text), cut = n > TEXT_SHOWN ? TEXT_SHOWN : n;
    while (cut < n && cut > 0 && ((unsigned char)r->text[cut] & 0xc0) == 0x80)
        cut--;
    buf_add(b, r->text, cut);
    buf_adds(b, cut < n ? "…" : "");
}

/* The layer at i is another one than before: because of the step that gave it. */
static void other_layer(const struct state *state, size_t i, struct strv *reasons)
{
    const struct step_report *by = i < state->n_layers ? state->made_by[i] : NULL;
    AUTO(buf_release) struct buf b = BUF_INIT;
    if (by == NULL) {
        buf_adds(&b, i < state->n_layers ? "base image is another one"
                                         : "there are fewer steps before it");
    } else if (by->change != NULL) {
        buf_adds(&b, by->change);
        buf_adds(&b, " (");
        add_step_text(&b, by);
        buf_addc(&b, ')');
    } else {
        buf_adds(&b, by->has_before ? "other files were made by " : "new before it: ");
        add_step_text(&b, by);
    }
    add_reason(reasons, buf_str(&b));
}

/* The lowest layer that differs says why; those above it mostly follow from it. */
static void layers_below(const struct key_fields *before, const struct key_fields *now,
                         const struct state *state, struct strv *reasons)
{
    for (size_t i = 0;; i++) {
        const char *a = key_fields_find(before, "below", i);
        const char *b = key_fields_find(now, "below", i);
        if (a == NULL && b == NULL)
            return;
        if (!str_eq(a, b)) {
            other_layer(state, i, reasons);
            return;
        }
    }
}

static void join_reasons(const struct strv *reasons, struct buf *ret)
{
    for (size_t i = 0; i < reasons->n && i < REASONS_SHOWN; i++) {
        buf_adds(ret, i > 0 ? "; " : "");
        buf_adds(ret, reasons->v[i]);
    }
    if (reasons->n > REASONS_SHOWN)
        buf_addf(ret, "; and %zu more", reasons->n - REASONS_SHOWN);
}

void why_fields(const struct key_fields *before, const struct key_fields *now,
                const struct state *state, struct buf *ret)
{
    AUTO(strv_release) struct strv reasons = STRV_INIT;
    AUTO(key_pairs_release) struct key_pairs pairs = { .v = NULL };
    bool links = false;
    key_fields_compare(before, now, &pairs);
    for (size_t i = 0; i < pairs.n; i++) {
        const struct key_pair *p = &pairs.v[i];
        if (key_pair_same(p) || str_eq(p->name, "below") || str_eq(p->name, "run.env.n"))
            continue;
        links = links || str_eq(p->name, "below.links");
        if (str_eq(p->name, "below.links")) /* a layer that differs says more */
            continue;
        if (str_eq(p->name, "run.env"))
            variable(p, state, &reasons);
        else
            other_field(p, &reasons);
    }
    layers_below(before, now, state, &reasons);
    if (reasons.n == 0)
        strv_add(&reasons, links ? "which files below it are hard links changed"
                                 : "the order of its variables changed");
    join_reasons(&reasons, ret);
}

/* Of files. */

static void why_files(struct step *s, const struct layer *before, struct buf *ret)
{
    struct err ignored = ERR_INIT;
    AUTO(listing_free) struct listing *now = s->ops->foresee(s, &ignored);
    AUTO(file_changes_release) struct file_changes c = { .v = NULL };
    if (now == NULL)
        return;
    file_changes_find(before->listing, now, &c);
    file_changes_text(&c, s->ops->shown_path, s, ret);
}

static bool read_fields(struct store *s, const struct record *r, struct key_fields *ret)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    struct err ignored = ERR_INIT;
    if (digest_is_zero(&r->fields.d) || blob_read(s, &r->fields, FIELDS_MAX, &text, &ignored) < 0)
        return false;
    key_fields_parse(buf_str(&text), text.len, ret);
    return true;
}

static void compare_with(struct step *s, const struct record *before, struct buf *ret)
{
    struct store *store = s->st->b->store;
    struct err ignored = ERR_INIT;
    const struct layer *layer =
        before->has_layer ? layer_get(store, &before->layer, &ignored) : NULL;
    if (s->ops != NULL && s->ops->foresee != NULL && layer != NULL)
        why_files(s, layer, ret);
    if (ret->len > 0)
        return;
    AUTO(key_fields_release) struct key_fields a = { .v = NULL };
    AUTO(key_fields_release) struct key_fields b = { .v = NULL };
    if (!read_fields(store, before, &a))
        return;
    key_fields_parse(buf_str(&s->fields), s->fields.len, &b);
    why_fields(&a, &b, &s->st->state, ret);
}

void why_changed(struct step *s)
{
    struct step_report *r = s->report;
    struct record before;
    struct err none = ERR_INIT;
    if (!r->has_before || digest_eq(&r->before.d, &r->key.d) ||
        record_get(s->st->b->store, &r->before, &before, &none) < 0)
        return;
    AUTO(buf_release) struct buf text = BUF_INIT;
    compare_with(s, &before, &text);
    if (text.len > 0)
        r->change = buf_take(&text);
}

void why_missed(struct step *s)
{
    const struct build *b = s->st->b;
    struct step_report *r = s->report;
    if (r->why != NULL)
        return;
    if (stage_no_cache(s->st))
        r->why = str_dup(b->o->no_cache ? "--no-cache" : "--no-cache-filter");
    else if (r->change != NULL)
        r->why = str_dup(r->change);
    else if (r->has_before && digest_eq(&r->before.d, &r->key.d))
        r->why = str_dup("what it gave is no longer in the store");
    else if (r->has_before)
        r->why = str_dup("it is another step than before");
    else if (b->before.is_there)
        r->why = str_dup("it is a new step");
}
