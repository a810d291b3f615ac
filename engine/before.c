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

static char *dockerfile_of(const struct build_options *o)
{
    char real[PATH_MAX];
    if (o->dockerfile_text != NULL)
        return str_dup("-");
    AUTO(mem_free)
    char *path = o->dockerfile == NULL && o->context != NULL
                     ? str_printf("%s/Dockerfile", o->context)
                     : str_dup(o->dockerfile);
    if (path == NULL)
        return str_dup("");
    return realpath(path, real) != NULL ? str_dup(real) : url_redact(path);
}

/* The canonical first name of the image; NULL: it has none. */
static char *name_of(const struct build_options *o)
{
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err bad = ERR_INIT;
    bool named = o->tags.n > 0 && image_name_parse(o->tags.v[0], &n, &bad) == 0;
    return named ? image_name_canonical(&n) : NULL;
}

/* SHA-256: rows of other contexts are not to be mixed up on purpose. name NULL: of the kind. */
static void subject_of(const struct build *b, const char *name, struct digest *ret)
{
    char platform[64];
    AUTO(mem_free) char *context = context_of(b->o);
    AUTO(mem_free) char *file = dockerfile_of(b->o);
    AUTO(key_free) struct key *k = key_new("build");
    struct cache_key id;
    key_str(k, "context", context);
    key_str(k, "dockerfile", file);
    key_str(k, "target", build_target_stage(b, 0)->shown);
    for (size_t i = 0; i < b->n_targets; i++)
        key_str(k, "platform", platform_format(&b->targets[i].platform, platform));
    key_str(k, "name", name);
    key_end(k, &id, NULL);
    *ret = id.d;
}

/*
 * The same image; else whatever was built so, under other names (a tag may be a commit's); else the
 * image where the context is another directory each time, as CI runners have it.
 */
static int find_row(struct build *b, const char *name, struct last_build *ret, struct err *err)
{
    const struct before *x = &b->before;
    if (last_build_get(b->store, &x->subject, ret, err) == 0)
        return 0;
    err_clear(err);
    if (last_build_of_kind(b->store, &x->kind, ret, err) == 0)
        return 0;
    if (name == NULL)
        return ERR_NOT_FOUND;
    err_clear(err);
    return last_build_named(b->store, name, ret, err);
}

void before_load(struct build *b, bool good)
{
    struct before *x = &b->before;
    struct err none = ERR_INIT;
    before_release(x);
    AUTO(mem_free) char *name = name_of(b->o);
    subject_of(b, NULL, &x->kind);
    subject_of(b, name != NULL ? name : "", &x->subject);
    x->has_subject = true;
    if (find_row(b, name, &x->row, &none) < 0)
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
    const struct step_report *old = x->steps.v[found];
    r->has_before = true;
    r->before = old->key;
    r->is_same = str_eq(old->source, r->source) && str_eq(old->text, r->text);
}

static bool is_step(const struct instr *i)
{
    return i->kind == INSTR_RUN || i->kind == INSTR_COPY || i->kind == INSTR_ADD ||
           i->kind == INSTR_WORKDIR;
}

/* What a failed build did not come to: known as it was before. */
static void add_not_reached(struct build_stage *st)
{
    size_t reached = 0;
    for (size_t i = 0; i < st->report.n; i++)
        reached += !str_starts(st->report.v[i]->text, "FROM ");
    for (size_t k = 0; k < st->def->n_instrs && !st->replaced; k++) {
        const struct instr *i = st->def->instrs[k];
        if (!is_step(i) || (reached > 0 && reached-- > 0))
            continue;
        AUTO(mem_free) char *name = stage_vertex_name(st, i);
        struct step_report *r = step_report_begin(st, i, name);
        before_match(st, r);
        r->has_key = r->has_before;
        r->key = r->before;
        r->has_before = false;
    }
}

void before_add_not_reached(struct build *b)
{
    for (size_t i = 0; i < b->n_stages; i++)
        if (b->stages[i].needed)
            add_not_reached(&b->stages[i]);
}

void before_save(struct build *b, const struct blob_id *image)
{
    struct before *x = &b->before;
    struct err ignored = ERR_INIT; /* explanations are no part of the result */
    AUTO(buf_release) struct buf text = BUF_INIT;
    AUTO(mem_free) char *context = context_of(b->o);
    AUTO(mem_free) char *name = name_of(b->o);
    if (!x->has_subject)
        return;
    build_report_write(&b->result->report, &text);
    struct last_build row = { .subject = x->subject,
                              .kind = x->kind,
                              .context = context,
                              .name = name,
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
