#include "base/json.h"
#include "base/log.h"
#include "cmd/command.h"
#include "cmd/exit_status.h"
#include "cmd/human.h"
#include "cmd/table.h"
#include "store/trace.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In the order in which they are shown. */
static const struct known {
    const char *name, *word, *about;
    bool is_time; /* milliseconds */
} known[] = {
    { "trace.runs", "observed", "RUN steps that ran and were observed", false },
    { "trace.requests", "questions", "that the kernel asked while they ran", false },
    { "trace.reused", "reused", "steps that an earlier run's observations answered", false },
    { "trace.reused_ms", "saved", "of running, by these", true },
    { "trace.missed", "missed", "steps of which observations were known and did not hold", false },
    { "trace.failed", "failed", "runs that could not be observed to their end and ran again",
      false },
    { "trace.wide", "skipped",
      "steps not observed, as they read nearly everything or ask very much", false },
    { "trace.verified", "verified", "reused steps that were run all the same, to compare", false },
    { "trace.not_reproducible", "not reproducible", "steps of which two runs alike differ", false },
    { "trace.another", "outdated", "reused results that running the step no longer gives", false },
    { "trace.fails", "fails now", "reused steps that failed when they were run all the same",
      false },
    { "trace.unsound", "unsound", "reused results that were others, with no network to blame",
      false },
};

struct counts {
    uint64_t v[ARRAY_LEN(known)];
    json_t *others; /* name: number; counted by a newer shale */
    bool any;
};

static void counts_release(struct counts *c)
{
    json_decref(c->others);
}
DEFINE_AUTO_VALUE(struct counts, counts_release);

static void take_count(void *arg, const char *name, uint64_t n)
{
    struct counts *c = arg;
    c->any = true;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!str_eq(known[i].name, name))
            continue;
        c->v[i] = n;
        return;
    }
    json_object_set_new(c->others, name, json_integer((json_int_t)n));
}

static char *shown_count(size_t i, uint64_t n)
{
    char text[HUMAN_LEN];
    if (known[i].is_time)
        return str_printf("%ss", human_log_time(n < INT64_MAX ? (int64_t)n : INT64_MAX, text));
    return str_printf("%" PRIu64, n);
}

static void print_table(const struct counts *c)
{
    static const char *const heads[] = { "RUN STEPS", "COUNT", "MEANING" };
    AUTO(strv_release) struct strv cells = STRV_INIT;
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *name;
    json_t *n;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        strv_add(&cells, heads[i]);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        strv_add(&cells, known[i].word);
        strv_take(&cells, shown_count(i, c->v[i]));
        strv_add(&cells, known[i].about);
    }
    json_object_foreach(c->others, name, n)
    {
        AUTO(buf_release) struct buf text = BUF_INIT;
        log_escape(&text, name, strlen(name));
        strv_add(&cells, buf_str(&text));
        strv_addf(&cells, "%" JSON_INTEGER_FORMAT, json_integer_value(n));
        strv_add(&cells, "");
    }
    table_add(&b, &cells, ARRAY_LEN(heads));
    fputs(buf_str(&b), stdout);
}

static void print_json(const struct counts *c)
{
    json_auto_t *o = json_pack("{s:i}", "version", 1);
    AUTO(buf_release) struct buf b = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        json_object_set_new(o, known[i].name, json_integer((json_int_t)c->v[i]));
    json_object_update(o, c->others);
    json_write_pretty(o, &b, 2);
    puts(buf_str(&b));
}

static int count(struct session *s, struct counts *c, struct err *err)
{
    AUTO(store_close) struct store *store = store_open(s->store_root, err);
    if (store == NULL)
        return err->code;
    return counter_each(store, take_count, c, err);
}

static int run(struct session *s, const struct options *o)
{
    struct err err = ERR_INIT;
    AUTO(counts_release) struct counts c = { .others = json_object() };
    if (count(s, &c, &err) < 0)
        return command_fail(&command_stats, s, &err);
    if (option_on(o, "json"))
        print_json(&c);
    else if (c.any)
        print_table(&c);
    else
        puts("nothing has been counted yet");
    return EXIT_OK;
}

static const struct option_spec specs[] = {
    { "json", 0, OPTION_FLAG, .help = "Print as JSON" },
    { .name = NULL },
};

const struct command command_stats = {
    .name = "stats",
    .args = "[OPTIONS]",
    .about = "Show how often RUN steps were observed and reused",
    .specs = specs,
    .error_prefix = "shale: ",
    .run = run,
};
