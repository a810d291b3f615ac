/* What dockerfile/ makes of a text, for `shale debug`. */
#include "cmd/debug_internal.h"
#include "base/fs.h"
#include "dockerfile/ignore.h"
#include "dockerfile/instr.h"
#include <string.h>

static void set_str(json_t *o, const char *key, const char *s)
{
    json_object_set_new(o, key, s != NULL ? json_from_str(s) : json_null());
}

static void set_error(json_t *o, const struct err *err)
{
    set_str(o, "error", err->code != ERR_NONE ? err->msg : NULL);
}

static int get_text(const json_t *in, const char *key, const char **ret, size_t *ret_n,
                    struct err *err)
{
    const json_t *v = json_object_get(in, key);
    if (!json_is_string(v))
        return err_set(err, ERR_USAGE, "'%s' is not a string", key);
    *ret = json_string_value(v);
    *ret_n = json_string_length(v);
    return 0;
}

/* A string that holds no NUL: what a word, a name or a path is. */
static int get_word(const json_t *in, const char *key, const char **ret, struct err *err)
{
    const char *s;
    size_t n;
    if (get_text(in, key, &s, &n, err) < 0)
        return err->code;
    if (strlen(s) != n)
        return err_set(err, ERR_USAGE, "'%s' holds a NUL", key);
    *ret = s;
    return 0;
}

static int get_list(const json_t *in, const char *key, struct strv *ret, struct err *err)
{
    if (!json_is_array(json_object_get(in, key)))
        return err_set(err, ERR_USAGE, "'%s' is not an array", key);
    return json_get_strv(in, key, ret, err);
}

static json_t *heredocs_json(const struct ast_node *n)
{
    json_t *docs = json_array();
    for (size_t i = 0; i < n->n_heredocs; i++) {
        const struct ast_heredoc *h = &n->heredocs[i];
        json_array_append_new(docs, json_pack("[oibbo]", json_from_str(h->name), (int)h->fd,
                                              h->expand, h->chomp, json_from_str(h->body)));
    }
    return docs;
}

static json_t *node_json(const struct ast_node *n)
{
    json_t *o = json_object();
    set_str(o, "value", n->keyword);
    set_str(o, "original", n->text);
    json_object_set_new(o, "lines", json_pack("[ii]", n->line, n->line_end));
    json_object_set_new(o, "args", json_from_strv(&n->args));
    json_object_set_new(o, "flags", json_from_strv(&n->flags));
    json_object_set_new(o, "prev_comment", json_from_strv(&n->comments));
    json_object_set_new(o, "json", json_boolean(n->json));
    json_object_set_new(o, "heredocs", heredocs_json(n));
    return o;
}

static json_t *files_json(const struct instr_files *f)
{
    json_t *a = json_array();
    for (size_t i = 0; i < f->n; i++)
        json_array_append_new(a, json_pack("[oobb]", json_from_str(f->v[i].name),
                                           json_from_str(f->v[i].data), f->v[i].expand,
                                           f->v[i].chomp));
    return a;
}

static void copy_json(const struct instr *i, json_t *o)
{
    json_object_set_new(o, "sources", json_from_strv(&i->copy.sources));
    set_str(o, "dest", i->copy.dest);
    json_object_set_new(o, "files", files_json(&i->copy.files));
}

static void run_json(const struct instr *i, json_t *o)
{
    json_object_set_new(o, "shell", json_boolean(i->run.cmd.shell));
    json_object_set_new(o, "args", json_from_strv(&i->run.cmd.args));
    json_object_set_new(o, "files", files_json(&i->run.files));
    json_object_set_new(o, "flags_used", json_from_strv(&i->run.flags_used));
}

static void health_json(const struct instr *i, json_t *o)
{
    json_object_set_new(o, "test", json_from_strv(&i->health.test));
}

static void arg_json(const struct instr *i, json_t *o)
{
    json_t *pairs = json_array();
    for (size_t k = 0; k < i->pairs.n; k++) {
        json_t *pair = json_object();
        set_str(pair, "key", i->pairs.v[k].key);
        set_str(pair, "value", i->pairs.v[k].value);
        set_str(pair, "comment", i->pairs.v[k].comment);
        json_array_append_new(pairs, pair);
    }
    json_object_set_new(o, "pairs", pairs);
}

static json_t *instr_json(const struct instr *i)
{
    static void (*const detail[INSTR_KINDS])(const struct instr *i, json_t *o) = {
        [INSTR_ADD] = copy_json, [INSTR_COPY] = copy_json,          [INSTR_RUN] = run_json,
        [INSTR_ARG] = arg_json,  [INSTR_HEALTHCHECK] = health_json,
    };
    json_t *o = json_object();
    set_str(o, "kind", instr_kind_name(i->kind));
    if (detail[i->kind] != NULL)
        detail[i->kind](i, o);
    return o;
}

static json_t *stage_json(const struct stage *s)
{
    json_t *o = json_object(), *instrs = json_array();
    for (size_t i = 0; i < s->n_instrs; i++)
        json_array_append_new(instrs, instr_json(s->instrs[i]));
    set_str(o, "base", s->base);
    set_str(o, "name", s->name);
    set_str(o, "platform", s->platform);
    set_str(o, "comment", s->from->from.comment);
    json_object_set_new(o, "instrs", instrs);
    return o;
}

static void add_tree_detail(const struct ast *a, json_t *out)
{
    json_t *nodes = json_array(), *warnings = json_array();
    for (size_t i = 0; i < a->n_nodes; i++)
        json_array_append_new(nodes, node_json(&a->nodes[i]));
    for (size_t i = 0; i < a->n_warnings; i++)
        json_array_append_new(warnings, json_from_str(a->warnings[i].text));
    json_object_set_new(out, "nodes", nodes);
    json_object_set_new(out, "warnings", warnings);
}

static void add_stages_detail(const struct dockerfile *df, json_t *out)
{
    json_t *args = json_array(), *stages = json_array();
    for (size_t i = 0; i < df->n_args; i++)
        json_array_append_new(args, instr_json(df->args[i]));
    for (size_t i = 0; i < df->n_stages; i++)
        json_array_append_new(stages, stage_json(&df->stages[i]));
    json_object_set_new(out, "args", args);
    json_object_set_new(out, "stages", stages);
}

static void add_dump(const struct ast *a, json_t *out)
{
    AUTO(buf_release) struct buf dump = BUF_INIT;
    ast_dump(a, &dump);
    while (dump.len > 0 && dump.data[dump.len - 1] == '\n')
        buf_truncate(&dump, dump.len - 1);
    set_str(out, "dump", buf_str(&dump));
    json_t *lines = json_array();
    for (size_t i = 0; i < a->n_nodes; i++)
        json_array_append_new(lines, json_pack("[ii]", a->nodes[i].line, a->nodes[i].line_end));
    json_object_set_new(out, "lines", lines);
}

int debug_parse(const json_t *in, bool detail, json_t *out, struct err *err)
{
    const char *text;
    size_t n;
    if (get_text(in, "input", &text, &n, err) < 0)
        return err->code;
    struct err wrong = ERR_INIT;
    struct ast *a = ast_parse(text, n, &wrong);
    json_object_set_new(out, "dump", json_null());
    set_error(out, &wrong);
    json_object_set_new(out, "lines", json_null());
    if (a == NULL)
        return 0;
    add_dump(a, out);
    if (detail)
        add_tree_detail(a, out);
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_from_ast(a, &wrong);
    /* That there is no stage is no instruction's fault, and without a line: builds refuse it. */
    if (df == NULL && wrong.line > 0)
        set_error(out, &wrong);
    if (df != NULL && detail)
        add_stages_detail(df, out);
    return 0;
}

static int get_escape(const json_t *in, char *ret, struct err *err)
{
    const char *s;
    *ret = '\\';
    if (json_object_get(in, "escape") == NULL)
        return 0;
    if (get_word(in, "escape", &s, err) < 0)
        return err->code;
    if (!str_eq(s, "\\") && !str_eq(s, "`"))
        return err_set(err, ERR_USAGE, "'escape' is neither \\ nor `");
    *ret = *s;
    return 0;
}

int debug_word(const json_t *in, bool detail, json_t *out, struct err *err)
{
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct expand_options options = { 0 };
    struct err wrong = ERR_INIT;
    const char *word;
    if (get_word(in, "input", &word, err) < 0 || get_escape(in, &options.escape, err) < 0)
        return err->code;
    if (json_object_get(in, "env") != NULL && get_list(in, "env", &env, err) < 0)
        return err->code;
    struct env_lookup lookup = env_lookup_strv(&env);
    bool ok = expand(word, &lookup, &options, &r, &wrong) == 0;
    set_str(out, "word", ok ? r.word : NULL);
    json_object_set_new(out, "words", ok ? json_from_strv(&r.words) : json_null());
    set_error(out, &wrong);
    if (detail) {
        json_object_set_new(out, "matched", json_from_strv(&r.matched));
        json_object_set_new(out, "unmatched", json_from_strv(&r.unmatched));
    }
    return 0;
}

/* The verdict as a walk comes to it, directory by directory. */
static bool match_walking(const struct ignore *ig, const char *path)
{
    AUTO(mem_free) uint8_t *parent = mem_zalloc(ignore_state_size(ig) + 1);
    AUTO(mem_free) uint8_t *state = mem_zalloc(ignore_state_size(ig) + 1);
    bool first = true;
    for (const char *end = strchr(path, '/');; end = strchr(end + 1, '/')) {
        AUTO(mem_free) char *part = str_ndup(path, end ? (size_t)(end - path) : strlen(path));
        bool matched = ignore_match_in(ig, part, first ? NULL : parent, state);
        if (end == NULL)
            return matched;
        memcpy(parent, state, ignore_state_size(ig));
        first = false;
    }
}

static int answer_patterns(const json_t *in, bool detail, json_t *out, struct err *err)
{
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    struct err wrong = ERR_INIT;
    const char *path;
    if (get_word(in, "path", &path, err) < 0 || get_list(in, "patterns", &patterns, err) < 0)
        return err->code;
    AUTO(ignore_free) struct ignore *ig = ignore_new(&patterns, &wrong);
    json_object_set_new(out, "match",
                        ig != NULL ? json_boolean(ignore_match(ig, path)) : json_null());
    set_error(out, &wrong);
    if (ig == NULL || !detail)
        return 0;
    AUTO(mem_free) char *dir = path_dir(path);
    json_object_set_new(out, "walk", json_boolean(match_walking(ig, path)));
    json_object_set_new(out, "below", json_boolean(ignore_may_match_below(ig, dir)));
    return 0;
}

static int answer_ignore_file(const json_t *in, json_t *out, struct err *err)
{
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    struct err wrong = ERR_INIT;
    const char *text;
    size_t n;
    if (get_text(in, "file", &text, &n, err) < 0)
        return err->code;
    bool ok = ignore_read(text, n, &patterns, &wrong) == 0;
    if (ok)
        ignore_free(ignore_parse(text, n, &wrong));
    json_object_set_new(out, "patterns", ok ? json_from_strv(&patterns) : json_null());
    set_error(out, &wrong);
    return 0;
}

int debug_ignore(const json_t *in, bool detail, json_t *out, struct err *err)
{
    if (json_object_get(in, "file") != NULL)
        return answer_ignore_file(in, out, err);
    return answer_patterns(in, detail, out, err);
}

int debug_directive(const json_t *in, bool detail UNUSED, json_t *out, struct err *err)
{
    AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
    const char *text, *name;
    size_t n;
    if (get_text(in, "input", &text, &n, err) < 0 || get_word(in, "name", &name, err) < 0)
        return err->code;
    bool found = ast_find_directive(text, n, name, &d);
    set_str(out, "value", found ? d.value : NULL);
    json_object_set_new(out, "line", found ? json_integer(d.line) : json_null());
    return 0;
}

int debug_heredoc(const json_t *in, bool detail UNUSED, json_t *out, struct err *err)
{
    struct ast_heredoc h = { .name = NULL };
    struct err wrong = ERR_INIT;
    const char *word;
    if (get_word(in, "input", &word, err) < 0)
        return err->code;
    bool found = ast_heredoc_word(word, &h, &wrong) == 1;
    set_str(out, "name", found ? h.name : NULL);
    set_error(out, &wrong);
    ast_heredoc_release(&h);
    return 0;
}

int debug_device(const json_t *in, bool detail UNUSED, json_t *out, struct err *err)
{
    AUTO(run_device_release) struct run_device d = { .name = NULL };
    struct err wrong = ERR_INIT;
    const char *spec;
    if (get_word(in, "input", &spec, err) < 0)
        return err->code;
    bool ok = run_device_parse(spec, &d, &wrong) == 0;
    set_str(out, "name", ok ? d.name : NULL);
    json_object_set_new(out, "required", ok ? json_boolean(d.required) : json_null());
    set_error(out, &wrong);
    return 0;
}
