/*
 * Runs dockerfile/ for a script: one JSON request on each line of stdin, one
 * JSON reply on stdout. Requests: {"op": "parse", "text": ...},
 * {"op": "expand", "word": ..., "env": ["K=V"], "escape": "\\"},
 * {"op": "ignore", "patterns": [...], "path": ...}, {"op": "ignorefile", "text": ...},
 * {"op": "directive", "name": ..., "text": ...}, {"op": "heredoc", "word": ...},
 * {"op": "glob", "pattern": ..., "name": ...}, {"op": "device", "spec": ...}.
 */
#include "base/fs.h"
#include "base/json.h"
#include "dockerfile/ignore.h"
#include "dockerfile/instr.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_str(json_t *o, const char *key, const char *s)
{
    json_t *v = json_string(s);
    json_object_set_new(o, key, v != NULL ? v : json_string_nocheck(s));
}

static void set_error(json_t *o, const char *key, const struct err *err)
{
    set_str(o, key, err->msg);
    json_object_set_new(o, "line", json_integer(err->line));
}

static json_t *node_json(const struct ast_node *n)
{
    json_t *o = json_object(), *docs = json_array();
    set_str(o, "value", n->keyword);
    set_str(o, "original", n->text);
    json_object_set_new(o, "lines", json_pack("[ii]", n->line, n->line_end));
    json_object_set_new(o, "args", json_from_strv(&n->args));
    json_object_set_new(o, "flags", json_from_strv(&n->flags));
    json_object_set_new(o, "prev_comment", json_from_strv(&n->comments));
    json_object_set_new(o, "json", json_boolean(n->json));
    for (size_t i = 0; i < n->n_heredocs; i++) {
        const struct ast_heredoc *h = &n->heredocs[i];
        json_array_append_new(
            docs, json_pack("[sibbs]", h->name, (int)h->fd, h->expand, h->chomp, h->body));
    }
    json_object_set_new(o, "heredocs", docs);
    return o;
}

static json_t *files_json(const struct instr_files *f)
{
    json_t *a = json_array();
    for (size_t i = 0; i < f->n; i++)
        json_array_append_new(
            a, json_pack("[ssbb]", f->v[i].name, f->v[i].data, f->v[i].expand, f->v[i].chomp));
    return a;
}

static json_t *instr_json(const struct instr *i)
{
    json_t *o = json_object();
    set_str(o, "kind", instr_kind_name(i->kind));
    if (i->kind == INSTR_COPY || i->kind == INSTR_ADD) {
        json_object_set_new(o, "sources", json_from_strv(&i->copy.sources));
        set_str(o, "dest", i->copy.dest);
        json_object_set_new(o, "files", files_json(&i->copy.files));
    } else if (i->kind == INSTR_RUN) {
        json_object_set_new(o, "shell", json_boolean(i->run.cmd.shell));
        json_object_set_new(o, "args", json_from_strv(&i->run.cmd.args));
        json_object_set_new(o, "files", files_json(&i->run.files));
        json_object_set_new(o, "flags_used", json_from_strv(&i->run.flags_used));
    } else if (i->kind == INSTR_HEALTHCHECK) {
        json_object_set_new(o, "test", json_from_strv(&i->health.test));
    } else if (i->kind == INSTR_ARG) {
        json_t *a = json_array();
        for (size_t k = 0; k < i->pairs.n; k++)
            json_array_append_new(a, json_pack("[ss?s?]", i->pairs.v[k].key, i->pairs.v[k].value,
                                               i->pairs.v[k].comment));
        json_object_set_new(o, "pairs", a);
    } else if (i->kind == INSTR_ONBUILD) {
        set_str(o, "trigger", i->value);
    }
    return o;
}

static json_t *dockerfile_json(const struct dockerfile *df)
{
    json_t *o = json_object(), *stages = json_array(), *args = json_array();
    for (size_t i = 0; i < df->n_args; i++)
        json_array_append_new(args, instr_json(df->args[i]));
    for (size_t i = 0; i < df->n_stages; i++) {
        const struct stage *s = &df->stages[i];
        json_t *list = json_array();
        for (size_t k = 0; k < s->n_instrs; k++)
            json_array_append_new(list, instr_json(s->instrs[k]));
        json_array_append_new(stages, json_pack("{s:s,s:s?,s:s?,s:s?,s:o}", "base", s->base, "name",
                                                s->name, "platform", s->platform, "comment",
                                                s->from->from.comment, "instrs", list));
    }
    json_object_set_new(o, "args", args);
    json_object_set_new(o, "stages", stages);
    return o;
}

static void do_parse(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf dump = BUF_INIT;
    const char *text = json_get_str(in, "text");
    size_t n = json_string_length(json_object_get(in, "text"));
    struct ast *a = ast_parse(text, n, &err);
    if (a == NULL) {
        set_error(out, "parse_error", &err);
        return;
    }
    ast_dump(a, &dump);
    set_str(out, "dump", buf_str(&dump));
    json_object_set_new(out, "warnings", json_array());
    for (size_t i = 0; i < a->n_warnings; i++)
        json_array_append_new(json_object_get(out, "warnings"), json_string(a->warnings[i].text));
    json_object_set_new(out, "nodes", json_array());
    for (size_t i = 0; i < a->n_nodes; i++)
        json_array_append_new(json_object_get(out, "nodes"), node_json(&a->nodes[i]));
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_from_ast(a, &err);
    if (df == NULL)
        set_error(out, "instr_error", &err);
    else
        json_object_set_new(out, "dockerfile", dockerfile_json(df));
}

static void do_expand(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv env = STRV_INIT;
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct expand_options options = { .escape = *json_get_str(in, "escape") };
    json_get_strv(in, "env", &env, &err);
    struct env_lookup lookup = env_lookup_strv(&env);
    if (expand(json_get_str(in, "word"), &lookup, &options, &r, &err) < 0)
        set_error(out, "error", &err);
    else
        set_str(out, "word", r.word);
    json_object_set_new(out, "words", json_from_strv(&r.words));
    json_object_set_new(out, "matched", json_from_strv(&r.matched));
    json_object_set_new(out, "unmatched", json_from_strv(&r.unmatched));
}

/* The verdict as a walk comes to it, state by state. */
static bool walk(const struct ignore *ig, const char *path)
{
    AUTO(mem_free) uint8_t *parent = mem_zalloc(ignore_state_size(ig));
    AUTO(mem_free) uint8_t *state = mem_zalloc(ignore_state_size(ig));
    bool matched = false, first = true;
    for (const char *end = strchr(path, '/');; end = strchr(end + 1, '/')) {
        AUTO(mem_free) char *part = str_ndup(path, end ? (size_t)(end - path) : strlen(path));
        matched = ignore_match_in(ig, part, first ? NULL : parent, state);
        memcpy(parent, state, ignore_state_size(ig));
        first = false;
        if (end == NULL)
            return matched;
    }
}

static void do_ignore(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    const char *path = json_get_str(in, "path");
    json_get_strv(in, "patterns", &patterns, &err);
    AUTO(ignore_free) struct ignore *ig = ignore_new(&patterns, &err);
    if (ig == NULL) {
        set_error(out, "error", &err);
        return;
    }
    AUTO(mem_free) char *dir = path_dir(path);
    json_object_set_new(out, "match", json_boolean(ignore_match(ig, path)));
    if (json_get_bool(in, "walk", true))
        json_object_set_new(out, "walk", json_boolean(walk(ig, path)));
    json_object_set_new(out, "below", json_boolean(ignore_may_match_below(ig, dir)));
}

static void do_ignorefile(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    AUTO(strv_release) struct strv patterns = STRV_INIT;
    const char *text = json_get_str(in, "text");
    size_t n = json_string_length(json_object_get(in, "text"));
    if (ignore_read(text, n, &patterns, &err) == 0)
        json_object_set_new(out, "patterns", json_from_strv(&patterns));
    AUTO(ignore_free) struct ignore *ig = ignore_parse(text, n, &err);
    if (ig == NULL)
        set_error(out, "error", &err);
}

static void do_directive(json_t *in, json_t *out)
{
    AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
    const char *text = json_get_str(in, "text");
    size_t n = json_string_length(json_object_get(in, "text"));
    if (!ast_find_directive(text, n, json_get_str(in, "name"), &d))
        return;
    set_str(out, "value", d.value);
    json_object_set_new(out, "line", json_integer(d.line));
}

static void do_heredoc(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    struct ast_heredoc h = { .name = NULL };
    int is = ast_heredoc_word(json_get_str(in, "word"), &h, &err);
    json_object_set_new(out, "is", json_integer(is < 0 ? -1 : is));
    if (is == 1)
        set_str(out, "name", h.name);
    ast_heredoc_release(&h);
}

static void do_glob(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    bool matched;
    if (glob_match(json_get_str(in, "pattern"), json_get_str(in, "name"), &matched, &err) < 0)
        set_error(out, "error", &err);
    else
        json_object_set_new(out, "match", json_boolean(matched));
}

static void do_device(json_t *in, json_t *out)
{
    struct err err = ERR_INIT;
    AUTO(run_device_release) struct run_device d = { .name = NULL };
    if (run_device_parse(json_get_str(in, "spec"), &d, &err) < 0)
        set_error(out, "error", &err);
    else
        json_object_update_new(out, json_pack("{s:s,s:b}", "name", d.name, "required", d.required));
}

static const struct request {
    const char *op;
    void (*run)(json_t *in, json_t *out);
} requests[] = {
    { "parse", do_parse },         { "expand", do_expand },
    { "ignore", do_ignore },       { "ignorefile", do_ignorefile },
    { "directive", do_directive }, { "heredoc", do_heredoc },
    { "glob", do_glob },           { "device", do_device },
};

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *in = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL), *out = json_object();
        const char *op = json_get_str(in, "op");
        for (size_t i = 0; op != NULL && i < ARRAY_LEN(requests); i++) {
            if (strcmp(op, requests[i].op) == 0)
                requests[i].run(in, out);
        }
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout);
        json_decref(in);
        json_decref(out);
    }
    free(line);
    return 0;
}
