#include "engine/report.h"

#include <string.h>

#define REPORT_VERSION 1

static const char *const answers[] = {
    [STEP_NOT_REACHED] = "not reached",
    [STEP_CACHED] = "cached",
    [STEP_REUSED] = "reused",
    [STEP_MADE] = "made",
    [STEP_TO_MAKE] = "make",
    [STEP_UNDECIDED] = "undecided",
    [STEP_FAILED] = "failed",
};

const char *step_answer_name(enum step_answer a)
{
    return answers[a];
}

static int answer_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(answers); i++)
        if (str_eq(name, answers[i]))
            return (int)i;
    return -1;
}

static void step_report_free(struct step_report *s)
{
    mem_free(s->stage);
    mem_free(s->kind);
    mem_free(s->text);
    mem_free(s->source);
    mem_free(s->change);
    mem_free(s->why);
    mem_free(s->reused);
    mem_free(s->fields);
    mem_free(s);
}

void build_report_release(struct build_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        step_report_free(r->v[i]);
    mem_free(r->v);
    *r = (struct build_report){ .v = NULL };
}

static void append(struct build_report *r, struct step_report *s)
{
    MEM_ROOM(r->v, r->n, r->cap);
    r->v[r->n++] = s;
}

struct step_report *build_report_add(struct build_report *r)
{
    struct step_report *s = mem_zalloc(sizeof(*s));
    s->cost_ms = -1;
    append(r, s);
    return s;
}

void build_report_move(struct build_report *dst, struct build_report *from)
{
    for (size_t i = 0; i < from->n; i++)
        append(dst, from->v[i]);
    from->n = 0;
    build_report_release(from);
}

size_t build_report_count(const struct build_report *r, enum step_answer a)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->v[i]->answer == a;
    return n;
}

size_t build_report_known(const struct build_report *r)
{
    return build_report_count(r, STEP_CACHED) + build_report_count(r, STEP_REUSED);
}

void step_report_place(const struct step_report *s, struct buf *b)
{
    buf_addf(b, "[%s%s%d/%d]", s->stage, *s->stage ? " " : "", s->number, s->total);
}

/* JSON. */

static void set_str(json_t *o, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(o, name, json_from_str(value));
}

static void set_key(json_t *o, const char *name, bool has, const struct cache_key *k)
{
    if (has)
        json_object_set_new(o, name, json_string(DIGEST_HEX(&k->d)));
}

json_t *step_report_json(const struct step_report *s)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:s}", "number", s->number, "total", s->total, "line",
                          s->line, "answer", step_answer_name(s->answer));
    set_str(o, "stage", s->stage);
    set_str(o, "kind", s->kind);
    set_str(o, "instruction", s->text);
    set_str(o, "why", s->why);
    set_str(o, "reused", s->reused);
    set_str(o, "change", s->change);
    set_key(o, "key", s->has_key, &s->key);
    set_key(o, "before", s->has_before, &s->before);
    if (s->cost_ms >= 0)
        json_object_set_new(o, "cost_ms", json_integer(s->cost_ms));
    return o;
}

void build_report_write(const struct build_report *r, struct buf *ret)
{
    json_t *steps = json_array();
    for (size_t i = 0; i < r->n; i++) {
        json_t *o = step_report_json(r->v[i]);
        set_str(o, "fields", r->v[i]->fields);
        set_str(o, "source", r->v[i]->source);
        json_array_append_new(steps, o);
    }
    json_auto_t *j = json_pack("{s:i, s:s, s:o}", "version", REPORT_VERSION, "rules",
                               DIGEST_HEX(&r->rules), "steps", steps);
    json_write(j, ret);
}

static bool get_key(const json_t *o, const char *name, struct cache_key *ret)
{
    struct err bad = ERR_INIT;
    const char *hex = json_get_str(o, name);
    return hex != NULL && digest_parse_hex(hex, &ret->d, &bad) == 0;
}

static int read_step(const json_t *o, struct step_report *s, struct err *err)
{
    const char *stage = json_get_str(o, "stage"), *text = json_get_str(o, "instruction");
    int answer = answer_of(json_get_str(o, "answer"));
    if (stage == NULL || text == NULL || answer < 0)
        return err_set(err, ERR_CORRUPT, "report: a step is not whole");
    s->stage = str_dup(stage);
    s->text = str_dup(text);
    s->source = str_dup(json_get_str(o, "source"));
    s->answer = (enum step_answer)answer;
    s->number = (int)json_get_int(o, "number", 0);
    s->total = (int)json_get_int(o, "total", 0);
    s->line = (int)json_get_int(o, "line", 0);
    s->kind = str_dup(json_get_str(o, "kind"));
    s->why = str_dup(json_get_str(o, "why"));
    s->reused = str_dup(json_get_str(o, "reused"));
    s->change = str_dup(json_get_str(o, "change"));
    s->fields = str_dup(json_get_str(o, "fields"));
    s->has_key = get_key(o, "key", &s->key);
    s->has_before = get_key(o, "before", &s->before);
    s->cost_ms = json_get_int(o, "cost_ms", -1);
    return 0;
}

int build_report_read(const char *text, size_t n, struct build_report *ret, struct err *err)
{
    json_auto_t *j = json_parse(text, n, "report", err);
    if (j == NULL)
        return err->code;
    const json_t *steps = json_get_arr(j, "steps");
    if (steps == NULL || json_get_int(j, "version", 0) != REPORT_VERSION)
        return err_set(err, ERR_CORRUPT, "report: of another version");
    struct err none = ERR_INIT;
    const char *rules = json_get_str(j, "rules");
    if (rules == NULL || digest_parse_hex(rules, &ret->rules, &none) < 0)
        memset(&ret->rules, 0, sizeof(ret->rules));
    size_t i;
    const json_t *o;
    json_array_foreach(steps, i, o)
    {
        if (read_step(o, build_report_add(ret), err) < 0) {
            build_report_release(ret);
            return err->code;
        }
    }
    return 0;
}
