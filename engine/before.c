#include "engine/build_internal.h"

#include "base/fs.h"
#include "base/log.h"
#include "remote/url.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

void before_release(struct before *x)
{
    last_build_release(&x->row);
    build_report_release(&x->steps);
    mem_free(x->taken);
    *x = (struct before){ .taken = NULL };
}

/* The main context as it is shown: an absolute path, or a URL without credentials. */
static char *context_of(const struct build_options *o)
{
    char real[PATH_MAX];
    if (o->context == NULL)
        return str_dup("-");
    return realpath(o->context, real) != NULL ? str_dup(real) : url_redact(o->context);
}

/* What kind of build this is. SHA-256: rows of other contexts are not to be mixed up on purpose. */
static void subject_of(const struct build *b, const char *context, struct digest *ret)
{
    char platform[64];
    const char *file = b->o->dockerfile_text ? "-" : b->o->dockerfile ? b->o->dockerfile : "";
    AUTO(key_free) struct key *k = key_new("build");
    struct cache_key id;
    key_str(k, "context", context);
    key_str(k, "dockerfile", file);
    key_str(k, "target", b->stages[b->target].shown);
    key_str(k, "platform", platform_format(&b->platform, platform));
    key_end(k, &id, NULL);
    *ret = id.d;
}

/* Of the same image, where the context is another directory each time (as CI runners have it). */
static int find_row(struct build *b, const struct digest *subject, struct last_build *ret,
                    struct err *err)
{
    if (last_build_get(b->store, subject, ret, err) == 0)
        return 0;
    AUTO(image_name_release) struct image_name n = { 0 };
    if (b->o->tags.n == 0 || image_name_parse(b->o->tags.v[0], &n, err) < 0)
        return ERR_NOT_FOUND;
    AUTO(mem_free) char *name = image_name_canonical(&n);
    err_clear(err);
    return last_build_named(b->store, name, ret, err);
}

void before_load(struct build *b, bool good)
{
    struct before *x = &b->before;
    struct err none = ERR_INIT;
    before_release(x);
    AUTO(mem_free) char *context = context_of(b->o);
    subject_of(b, context, &x->subject);
    x->has_subject = true;
    if (find_row(b, &x->subject, &x->row, &none) < 0)
        return;
    const char *text = good && x->row.good_report ? x->row.good_report : x->row.report;
    x->is_there =
        build_report_read(text, strlen(text), &x->steps, &none) == 0 && (!good || x->row.has_image);
    if (none.code != ERR_NONE)
        log_debug("engine", "the build before: %s", none.msg);
    if (!x->is_there)
        build_report_release(&x->steps);
    x->taken = mem_calloc(x->steps.n + 1, sizeof(*x->taken));
}

/* "RUN", "COPY": what both are. */
static bool same_word(const char *a, const char *b)
{
    size_t n = strcspn(a, " \t");
    return n == strcspn(b, " \t") && strncmp(a, b, n) == 0;
}

/* Another instruction of the stage is what this step was: it has only moved. */
static bool has_moved(const struct build_stage *st, const struct step_report *old)
{
    for (size_t i = 0; i < st->def->n_instrs; i++) {
        AUTO(mem_free) char *source = url_redact(st->def->instrs[i]->text);
        if (str_eq(source, old->source))
            return true;
    }
    return false;
}

static bool is_like(const struct build_stage *st, const struct step_report *old,
                    const struct step_report *r, bool by_source)
{
    if (!str_eq(old->stage, r->stage))
        return false;
    if (by_source)
        return str_eq(old->source, r->source);
    return old->number == r->number && same_word(old->text, r->text) && !has_moved(st, old);
}

void before_match(struct build_stage *st, struct step_report *r)
{
    struct build *b = st->b;
    struct before *x = &b->before;
    size_t found = x->steps.n;
    pthread_mutex_lock(&b->lock); /* two stages may have one name */
    for (int by_source = 1; by_source >= 0 && found == x->steps.n; by_source--)
        for (size_t i = 0; i < x->steps.n && found == x->steps.n; i++)
            if (!x->taken[i] && is_like(st, x->steps.v[i], r, by_source != 0))
                found = i;
    if (found < x->steps.n)
        x->taken[found] = true;
    pthread_mutex_unlock(&b->lock);
    if (found == x->steps.n || !x->steps.v[found]->has_key)
        return;
    r->has_before = true;
    r->before = x->steps.v[found]->key;
}

/* A failed build says nothing new about the steps that it did not come to. */
static void add_not_reached(struct before *x, struct build_report *r)
{
    for (size_t i = 0; i < x->steps.n; i++) {
        const struct step_report *old = x->steps.v[i];
        if (x->taken[i] || !old->has_key)
            continue;
        struct step_report *s = build_report_add(r);
        *s = (struct step_report){ .stage = str_dup(old->stage),
                                   .number = old->number,
                                   .total = old->total,
                                   .line = old->line,
                                   .kind = str_dup(old->kind),
                                   .text = str_dup(old->text),
                                   .source = str_dup(old->source),
                                   .has_key = true,
                                   .key = old->key,
                                   .cost_ms = old->cost_ms };
    }
}

void before_save(struct build *b, const struct blob_id *image, const char *name)
{
    struct before *x = &b->before;
    struct err ignored = ERR_INIT; /* explanations are no part of the result */
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *context = context_of(b->o);
    if (!x->has_subject)
        return;
    if (image == NULL)
        add_not_reached(x, &b->result->report);
    build_report_write(&b->result->report, &text);
    struct last_build row = { .subject = x->subject,
                              .context = context,
                              .name = name ? (char *)(uintptr_t)name : x->row.name,
                              .report = text.data };
    if (image != NULL) {
        row.has_image = true;
        row.image = *image;
    } else if (x->row.has_image) {
        row.has_image = true;
        row.image = x->row.image;
        row.good_report = x->row.good_report ? x->row.good_report : x->row.report;
    }
    if (last_build_put(b->store, &row, &ignored) < 0)
        log_debug("engine", "%s", ignored.msg);
}
