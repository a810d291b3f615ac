#include "cmd/last_report.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

void last_report_release(struct last_report *x)
{
    last_build_release(&x->build);
    build_report_release(&x->report);
    store_close(x->store);
}

int last_report_load(const struct session *s, const char *context, struct last_report *ret,
                     struct err *err)
{
    char real[PATH_MAX];
    ret->store = store_open(s->store_root, err);
    if (ret->store == NULL)
        return err->code;
    if (context != NULL && realpath(context, real) != NULL)
        context = real;
    int rc = last_build_newest(ret->store, context, &ret->build, err);
    if (rc == ERR_NOT_FOUND && context != NULL)
        return err_set(err, rc, "nothing was built from '%s' here", context);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, rc, "nothing was built here");
    const char *text = ret->build.report;
    return rc < 0 ? rc : build_report_read(text, strlen(text), &ret->report, err);
}

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

int last_report_step(const struct last_report *x, const char *word, const struct step_report **ret,
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
