/*
 * SOURCE_DATE_EPOCH: seconds, or what they are read from: "context" (the main one), a named
 * context, or a stage that is FROM scratch and one ADD from elsewhere. A git repository gives the
 * commit's time, a URL the server's Last-Modified or the newest file of the archive; a directory
 * gives none.
 */
#include "engine/build_internal.h"

#include "engine/context_internal.h"
#include "engine/fetch.h"
#include <stdlib.h>
#include <string.h>

#define NAME "SOURCE_DATE_EPOCH"
#define EPOCH_MAX 253402300799 /* the year 9999 ends */
#define NONE -1

/* Of the regular files. */
static int64_t newest(const struct listing *l)
{
    int64_t ret = NONE;
    for (size_t i = 0; i < listing_len(l); i++) {
        struct entry e;
        listing_at(l, i, &e);
        if (e.type == ENTRY_FILE && e.mtime > ret)
            ret = e.mtime;
    }
    return ret;
}

/* With commit_times all of the tree has the commit's time. */
static int of_git(struct build *b, struct fetch_git *q, int64_t *ret, struct err *err)
{
    const struct layer *l = NULL;
    q->commit_times = true;
    if (fetch_git(b, q, &l, err) < 0)
        return err->code;
    struct entry first;
    if (listing_len(l->listing) > 0) {
        listing_at(l->listing, 0, &first);
        *ret = first.mtime;
    }
    return 0;
}

static int of_http(struct build *b, struct fetch_http *q, int64_t *ret, struct err *err)
{
    AUTO(fetched_file_release) struct fetched_file f = { .layer = NULL };
    if (fetch_http(b, q, &f, err) < 0)
        return err->code;
    struct entry e;
    if (listing_find(f.layer->listing, f.name, &e) && e.mtime > 0) {
        *ret = e.mtime;
        return 0;
    }
    const struct layer *files = NULL;
    if (context_unpack(b, &f, &files, err) < 0)
        return err->code;
    if (files != NULL)
        *ret = newest(files->listing);
    return 0;
}

static int of_remote(struct build *b, const char *text, const char *checksum,
                     enum instr_tri keep_dir, int v, int64_t *ret, struct err *err)
{
    struct fetch_git git = {
        .remote = text, .checksum = checksum, .keep_dir = keep_dir, .vertex = v
    };
    struct fetch_http http = { .url = text, .checksum = checksum, .vertex = v };
    if (keep_dir != INSTR_UNSET || fetch_is_git(text))
        return of_git(b, &git, ret, err);
    return of_http(b, &http, ret, err);
}

static int of_main(struct build *b, int v, int64_t *ret, struct err *err)
{
    const struct build_context *c = NULL;
    if (!contexts_is_remote(b))
        return 0;
    if (b->o->context_tar == NULL)
        return of_remote(b, b->o->context, NULL, INSTR_UNSET, v, ret, err);
    if (contexts_find(b, NULL, NULL, &c, err) < 0)
        return err->code;
    *ret = newest(c->layers[0]->listing);
    return 0;
}

/* A stage that says where the time comes from. */

static int take_args(const struct build *b, const struct instr *i, struct strv *env,
                     struct err *err)
{
    for (size_t k = 0; k < i->pairs.n; k++) {
        const struct instr_pair *p = &i->pairs.v[k];
        const char *given = env_get(&b->o->build_args, p->key);
        struct env_lookup lookup = env_lookup_strv(env);
        AUTO(mem_free) char *value = str_dup(given);
        if (given == NULL && p->value != NULL) {
            value = expand_word(p->value, &lookup, b->df->escape, NULL, err);
            if (value == NULL)
                return err->code;
        }
        if (value != NULL)
            env_set(env, p->key, value);
    }
    return 0;
}

/* *ret: the only ADD, expanded. */
static int find_add(const struct build *b, const struct stage *st, const struct strv *globals,
                    struct instr **ret, struct err *err)
{
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(instr_free) struct instr *add = NULL;
    strv_copy(&env, globals);
    for (size_t k = 0; k < st->n_instrs; k++) {
        const struct instr *i = st->instrs[k];
        struct env_lookup lookup = env_lookup_strv(&env);
        if (i->kind == INSTR_ARG) {
            if (take_args(b, i, &env, err) < 0)
                return err->code;
            continue;
        }
        if (i->kind != INSTR_ADD)
            return err_set(err, ERR_USAGE,
                           NAME " stage does not meet source-only requirements: unsupported %s "
                                "instruction",
                           instr_kind_name(i->kind));
        if (add != NULL)
            return err_set(err, ERR_USAGE, NAME " stage must contain exactly one remote ADD");
        add = instr_expand(i, &lookup, b->df->escape, NULL, err);
        if (add == NULL)
            return err->code;
    }
    if (add == NULL)
        return err_set(err, ERR_USAGE, NAME " stage must contain exactly one remote ADD");
    *ret = TAKE(add);
    return 0;
}

static int of_stage(struct build *b, const struct stage *st, int v, int64_t *ret, struct err *err)
{
    AUTO(strv_release) struct strv globals = STRV_INIT;
    AUTO(instr_free) struct instr *add = NULL;
    strv_copy(&globals, &b->targets[0].globals);
    env_set(&globals, NAME, "");
    struct env_lookup lookup = env_lookup_strv(&globals);
    AUTO(instr_free)
    struct instr *from = instr_expand(st->from, &lookup, b->df->escape, NULL, err);
    if (from == NULL)
        return err->code;
    if (!str_eq(from->from.base, "scratch"))
        return err_set(err, ERR_USAGE, NAME " stage must use FROM scratch");
    if (find_add(b, st, &globals, &add, err) < 0)
        return err->code;
    const struct instr_copy *c = &add->copy;
    if (c->files.n > 0 || c->sources.n != 1)
        return err_set(err, ERR_USAGE, NAME " stage must contain exactly one remote ADD source");
    if (c->keep_git_dir == INSTR_UNSET && !context_is_remote(c->sources.v[0]))
        return err_set(err, ERR_USAGE, NAME " stage source must be a single HTTP(S) or Git ADD");
    return of_remote(b, c->sources.v[0], c->checksum, c->keep_git_dir, v, ret, err);
}

/* Which of these it is. */

struct reading {
    const char *word;
    struct context_spec spec; /* value NULL: no named context */
    int stage;                /* -1: none */
};

static int read_time(struct build *b, const struct reading *r, int v, int64_t *ret, struct err *err)
{
    if (str_eq(r->word, "context"))
        return of_main(b, v, ret, err);
    if (r->spec.value != NULL)
        return context_is_remote(r->spec.value)
                   ? of_remote(b, r->spec.value, NULL, INSTR_UNSET, v, ret, err)
                   : 0;
    const struct stage *st = &b->df->stages[r->stage];
    return of_stage(b, st, v, ret, err) < 0 ? err_at(err, st->from->line, st->from->line_end) : 0;
}

static int resolve(struct build *b, const char *word, struct err *err)
{
    struct reading r = { .word = word, .stage = -1 };
    bool is_main = str_eq(word, "context");
    bool is_named =
        !is_main && context_spec_find(&b->o->contexts, word, &b->targets[0].platform, &r.spec);
    if (!is_main && !is_named)
        r.stage = dockerfile_stage_named(b->df, word, b->df->n_stages);
    if (!is_main && !is_named && r.stage < 0)
        return err_set(err, ERR_USAGE, "invalid " NAME ": %s", word);
    int64_t started = clock_mono_ms();
    int v = is_main ? vertex_begin(b->e, "[internal] resolve main build context metadata")
                    : vertex_begin(b->e, "[internal] resolve " NAME " %s %s",
                                   is_named ? "named context" : "source stage", word);
    int rc = read_time(b, &r, v, &b->epoch, err);
    return vertex_close(b->e, v, rc, started, err);
}

int epoch_read(struct build *b, struct err *err)
{
    const char *given = env_get(&b->o->build_args, NAME);
    const char *declared = env_get(&b->targets[0].globals, NAME);
    const char *text = given != NULL ? given : declared;
    char *end;
    b->epoch = NONE;
    if (text == NULL || *text == '\0')
        return 0;
    b->epoch = strtoll(text, &end, 10);
    if (*end != '\0') {
        b->epoch = NONE;
        if (resolve(b, text, err) < 0)
            return err->code;
    } else if (b->epoch < 0 || b->epoch > EPOCH_MAX) {
        return err_set(err, ERR_USAGE, "invalid " NAME ": %s", text);
    }
    if (b->epoch != NONE && (b->epoch < 0 || b->epoch > EPOCH_MAX))
        return err_set(err, ERR_USAGE, NAME " of '%s' is out of range: %lld", text,
                       (long long)b->epoch);
    b->epoch_text = b->epoch == NONE ? str_dup("") : str_printf("%lld", (long long)b->epoch);
    for (size_t i = 0; declared != NULL && i < b->n_targets; i++)
        env_set(&b->targets[i].globals, NAME, b->epoch_text);
    return 0;
}

const char *epoch_build_arg(const struct build *b, const char *key)
{
    bool is_epoch = b->epoch_text != NULL && str_eq(key, NAME);
    const char *given = env_get(&b->o->build_args, key);
    return is_epoch && given != NULL ? b->epoch_text : given;
}
