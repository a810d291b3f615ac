#include "dockerfile/ast.h"
#include "dockerfile/ast_directive_internal.h"
#include "dockerfile/ast_internal.h"
#include "dockerfile/expand.h"
#include "dockerfile/runes_internal.h"
#include <ctype.h>
#include <string.h>

#define MAX_ONBUILD_DEPTH 8 /* more than one is refused later anyway */

/* Lines of the source. What follows a line that is too long is not read. */
struct lines {
    const char *p, *end;
    size_t limit;
    bool too_long;
    int n; /* of the line that was read last, 1-based */
};

struct parser {
    struct ast *ast;
    struct lines lines;
    const struct ast_limits *limits;
    bool directives_done;
    struct strv comments;
    struct buf text; /* the instruction at hand, joined */
    bool has_empty_line;
};

static void node_release(struct ast_node *node)
{
    mem_free(node->name);
    mem_free(node->keyword);
    mem_free(node->text);
    strv_release(&node->flags);
    strv_release(&node->args);
    strv_release(&node->comments);
    for (size_t i = 0; i < node->n_heredocs; i++)
        ast_heredoc_release(&node->heredocs[i]);
    mem_free(node->heredocs);
    if (node->sub != NULL)
        node_release(node->sub);
    mem_free(node->sub);
    *node = (struct ast_node){ .name = NULL };
}
DEFINE_AUTO_VALUE(struct ast_node, node_release);

void ast_free(struct ast *a)
{
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->n_nodes; i++)
        node_release(&a->nodes[i]);
    for (size_t i = 0; i < a->n_directives; i++)
        ast_directive_release(&a->directives[i]);
    for (size_t i = 0; i < a->n_warnings; i++)
        mem_free(a->warnings[i].text);
    mem_free(a->nodes);
    mem_free(a->directives);
    mem_free(a->warnings);
    mem_free(a->source);
    mem_free(a);
}

/* The next line with its newline; *ret_n is never 0. */
static bool next_line(struct lines *l, const char **ret, size_t *ret_n)
{
    if (l->p == l->end || l->too_long)
        return false;
    const char *newline = memchr(l->p, '\n', (size_t)(l->end - l->p));
    size_t n = (size_t)((newline != NULL ? newline : l->end) - l->p);
    if (n > l->limit) {
        l->too_long = true;
        return false;
    }
    n += newline != NULL;
    *ret = l->p;
    *ret_n = n;
    l->p += n;
    l->n++;
    return true;
}

static size_t without_newline(const char *s, size_t n)
{
    while (n > 0 && (s[n - 1] == '\n' || s[n - 1] == '\r'))
        n--;
    return n;
}

static bool is_comment(const char *s, size_t n)
{
    s = text_trim_left(s, n, &n);
    return n > 0 && *s == '#';
}

/*
 * Whether the line goes on: it ends with one escape character (two of them are
 * two characters) and blanks. *ret_n: what is left of it.
 */
static bool is_continued(const char *s, size_t n, char escape, size_t *ret_n)
{
    size_t end = n;
    while (end > 0 && (s[end - 1] == ' ' || s[end - 1] == '\t'))
        end--;
    if (end == 0 || s[end - 1] != escape || (end > 1 && s[end - 2] == escape)) {
        *ret_n = n;
        return false;
    }
    *ret_n = end - 1;
    return true;
}

static int set_escape(struct ast *a, const char *value, struct err *err)
{
    if (strcmp(value, "`") != 0 && strcmp(value, "\\") != 0)
        return err_set(err, ERR_USAGE, "invalid escape token '%s' does not match ` or \\", value);
    a->escape = *value;
    return 0;
}

/* 1: the line is a directive and was kept; 0: it is not. */
static int take_directive(struct parser *p, const char *s, size_t n, struct err *err)
{
    AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
    struct ast *a = p->ast;
    if (p->directives_done)
        return 0;
    if (!directive_read(s, n, "#", &d)) {
        p->directives_done = true;
        return 0;
    }
    for (size_t i = 0; i < a->n_directives; i++) {
        if (strcmp(a->directives[i].name, d.name) == 0) {
            err_set(err, ERR_USAGE, "only one %s parser directive can be used", d.name);
            return err_at(err, p->lines.n, p->lines.n);
        }
    }
    if (strcmp(d.name, "escape") == 0 && set_escape(a, d.value, err) < 0)
        return err_at(err, p->lines.n, p->lines.n);
    d.line = p->lines.n;
    a->directives = mem_grow(a->directives, a->n_directives + 1, sizeof(*a->directives));
    a->directives[a->n_directives++] = d;
    d = (struct ast_directive){ .name = NULL };
    return 1;
}

/* A comment belongs to the next instruction; an empty one starts over. */
static void take_comment(struct parser *p, const char *s, size_t n)
{
    s = text_trim(s + 1, n - 1, &n);
    if (n == 0)
        strv_clear(&p->comments);
    else
        strv_addn(&p->comments, s, n);
}

/* The lines that follow one that is continued, joined to p->text. */
static void join_continuation(struct parser *p)
{
    const char *s;
    size_t n, rest;
    for (bool more = true; more && next_line(&p->lines, &s, &n);) {
        if (is_comment(s, n))
            continue;
        n = without_newline(s, n);
        text_trim_left(s, n, &rest);
        if (rest == 0) {
            p->has_empty_line = true;
            continue;
        }
        more = is_continued(s, n, p->ast->escape, &n);
        buf_add(&p->text, s, n);
    }
}

static void warn_empty_line(struct parser *p)
{
    struct ast *a = p->ast;
    a->warnings = mem_grow(a->warnings, a->n_warnings + 1, sizeof(*a->warnings));
    a->warnings[a->n_warnings++] = (struct ast_warning){
        .text = str_printf("Empty continuation line found in: %s", buf_str(&p->text)),
        .line = p->lines.n,
    };
}

static char *lower_case(const char *s)
{
    char *copy = str_dup(s);
    for (char *c = copy; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

/* Words of ENV and LABEL: "k=v k=v" or the old "k the rest". */
static int parse_name_value(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    AUTO(strv_release) struct strv words = STRV_INIT;
    ast_quoted_words(rest, escape, &words);
    if (words.n == 0)
        return 0;
    if (strchr(words.v[0], '=') == NULL) {
        size_t n = strcspn(rest, AST_BLANKS);
        if (rest[n] == '\0')
            return err_set(err, ERR_USAGE, "%s must have two arguments",
                           node->name[0] == 'e' ? "ENV" : "LABEL");
        strv_addn(&node->args, rest, n);
        strv_add(&node->args, rest + n + strspn(rest + n, AST_BLANKS));
        strv_add(&node->args, "");
        return 0;
    }
    for (size_t i = 0; i < words.n; i++) {
        const char *equals = strchr(words.v[i], '=');
        if (equals == NULL) {
            AUTO(buf_release) struct buf quoted = BUF_INIT;
            text_quote(&quoted, words.v[i]);
            return err_set(err, ERR_USAGE,
                           "Syntax error - can't find = in %s. Must be of the form: name=value",
                           buf_str(&quoted));
        }
        strv_addn(&node->args, words.v[i], (size_t)(equals - words.v[i]));
        strv_add(&node->args, equals + 1);
        strv_add(&node->args, "=");
    }
    return 0;
}

static int parse_words(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    (void)err;
    ast_quoted_words(rest, escape, &node->args);
    return 0;
}

static int parse_plain(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    (void)escape;
    (void)err;
    ast_plain_words(rest, &node->args);
    return 0;
}

static int parse_one(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    (void)escape;
    (void)err;
    if (*rest != '\0')
        strv_add(&node->args, rest);
    return 0;
}

static int parse_json_or_one(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    int is_json = ast_json_words(rest, &node->args, err);
    node->json = is_json == 1;
    return is_json != 0 ? (is_json < 0 ? is_json : 0) : parse_one(node, rest, escape, err);
}

static int parse_json_or_plain(struct ast_node *node, const char *rest, char escape,
                               struct err *err)
{
    int is_json = ast_json_words(rest, &node->args, err);
    node->json = is_json == 1;
    return is_json != 0 ? (is_json < 0 ? is_json : 0) : parse_plain(node, rest, escape, err);
}

/* HEALTHCHECK: a word, then a command. */
static int parse_health(struct ast_node *node, const char *rest, char escape, struct err *err)
{
    static const char spaces[] = "\t\n\v\f\r ";
    size_t n = strcspn(rest, spaces);
    if (n == 0)
        return 0;
    strv_addn(&node->args, rest, n);
    return parse_json_or_one(node, rest + n + strspn(rest + n, spaces), escape, err);
}

static const struct line_form {
    const char *name;
    int (*parse)(struct ast_node *node, const char *rest, char escape, struct err *err);
} line_forms[] = {
    { "add", parse_json_or_plain },
    { "arg", parse_words },
    { "cmd", parse_json_or_one },
    { "copy", parse_json_or_plain },
    { "entrypoint", parse_json_or_one },
    { "env", parse_name_value },
    { "expose", parse_plain },
    { "from", parse_plain },
    { "healthcheck", parse_health },
    { "label", parse_name_value },
    { "maintainer", parse_one },
    { "run", parse_json_or_one },
    { "shell", parse_json_or_one },
    { "stopsignal", parse_one },
    { "user", parse_one },
    { "volume", parse_json_or_plain },
    { "workdir", parse_one },
};

static int parse_line(struct ast_node *node, const char *line, size_t n, char escape, int depth,
                      struct err *err);

static int parse_onbuild(struct ast_node *node, const char *rest, char escape, int depth,
                         struct err *err)
{
    if (*rest == '\0')
        return 0;
    if (depth >= MAX_ONBUILD_DEPTH)
        return err_set(err, ERR_USAGE, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
    node->sub = mem_zalloc(sizeof(*node->sub));
    return parse_line(node->sub, rest, strlen(rest), escape, depth + 1, err);
}

static int parse_rest(struct ast_node *node, const char *rest, char escape, int depth,
                      struct err *err)
{
    if (strcmp(node->name, "onbuild") == 0)
        return parse_onbuild(node, rest, escape, depth, err);
    for (size_t i = 0; i < ARRAY_LEN(line_forms); i++) {
        if (strcmp(node->name, line_forms[i].name) == 0)
            return line_forms[i].parse(node, rest, escape, err);
    }
    strv_add(&node->args, ""); /* unknown: refused when it is given a meaning */
    return 0;
}

/* One joined line into a node: keyword, flags, words. */
static int parse_line(struct ast_node *node, const char *line, size_t n, char escape, int depth,
                      struct err *err)
{
    node->text = str_ndup(line, n);
    const char *start = text_trim(node->text, strlen(node->text), &n);
    AUTO(mem_free) char *trimmed = str_ndup(start, n);
    size_t word = strcspn(trimmed, AST_BLANKS);
    node->keyword = str_ndup(trimmed, word);
    node->name = lower_case(node->keyword);
    const char *rest = trimmed + word + strspn(trimmed + word, AST_BLANKS);
    rest = ast_take_flags(rest, &node->flags);
    rest = text_trim_left(rest, strlen(rest), &n);
    return parse_rest(node, rest, escape, depth, err);
}

static bool can_have_heredocs(const struct ast_node *node)
{
    const struct ast_node *inner = node->sub != NULL ? node->sub : node;
    bool named = strcmp(inner->name, "run") == 0 || strcmp(inner->name, "copy") == 0 ||
                 strcmp(inner->name, "add") == 0;
    return named && !inner->json && strstr(node->text, "<<") != NULL;
}

/* Reads the lines up to the one that is h's name. */
static int read_body(struct parser *p, struct ast_heredoc *h, struct err *err)
{
    AUTO(buf_release) struct buf body = BUF_INIT;
    const char *s;
    size_t n;
    while (next_line(&p->lines, &s, &n)) {
        const char *word = s;
        size_t len = without_newline(s, n);
        for (; h->chomp && len > 0 && *word == '\t'; len--)
            word++;
        if (len == strlen(h->name) && memcmp(word, h->name, len) == 0) {
            h->body = buf_take(&body);
            return 0;
        }
        buf_add(&body, s, n);
    }
    return err_set(err, ERR_USAGE, "unterminated heredoc");
}

static int read_heredocs(struct parser *p, struct ast_node *node, struct err *err)
{
    AUTO(expand_result_release) struct expand_result r = EXPAND_RESULT_INIT;
    struct env_lookup none = env_lookup_none();
    struct expand_options options = {
        .escape = '\\', .raw_quotes = true, .raw_escapes = true, .skip_unset = true
    };
    struct err ignored = ERR_INIT;
    size_t cap = 0;
    if (!can_have_heredocs(node) || expand(node->text, &none, &options, &r, &ignored) < 0)
        return 0; /* a line that the lexer cannot read has no here-documents */
    for (size_t i = 0; i < r.words.n; i++) {
        struct ast_heredoc h = { .name = NULL };
        int is = ast_heredoc_word(r.words.v[i], &h, err);
        if (is < 0)
            return is;
        if (is == 0)
            continue;
        MEM_ROOM(node->heredocs, node->n_heredocs, cap);
        node->heredocs[node->n_heredocs++] = h;
    }
    for (size_t i = 0; i < node->n_heredocs; i++) {
        if (read_body(p, &node->heredocs[i], err) < 0)
            return err->code;
    }
    return 0;
}

static int add_node(struct parser *p, struct ast_node *node, size_t *cap, struct err *err)
{
    struct ast *a = p->ast;
    if (a->n_nodes >= p->limits->instructions) {
        err_set(err, ERR_USAGE, "more than %zu instructions", p->limits->instructions);
        return err_at(err, node->line, node->line_end);
    }
    MEM_ROOM(a->nodes, a->n_nodes, *cap);
    a->nodes[a->n_nodes++] = *node;
    *node = (struct ast_node){ .name = NULL };
    return 0;
}

/* An instruction that begins with the line s; more lines are read as needed. */
static int parse_instruction(struct parser *p, const char *s, size_t n, size_t *cap,
                             struct err *err)
{
    AUTO(node_release) struct ast_node node = { .line = p->lines.n };
    bool continued = is_continued(s, n, p->ast->escape, &n);
    buf_clear(&p->text);
    buf_add(&p->text, s, n);
    p->has_empty_line = false;
    if (continued)
        join_continuation(p);
    if (p->has_empty_line)
        warn_empty_line(p);
    if (parse_line(&node, buf_str(&p->text), p->text.len, p->ast->escape, 0, err) < 0 ||
        read_heredocs(p, &node, err) < 0)
        return err_at(err, node.line, p->lines.n);
    node.line_end = p->lines.n;
    node.comments = p->comments;
    p->comments = (struct strv)STRV_INIT;
    return add_node(p, &node, cap, err);
}

static int parse_all(struct parser *p, struct err *err)
{
    const char *s;
    size_t n, cap = 0;
    while (next_line(&p->lines, &s, &n)) {
        bool comment = is_comment(s, n);
        const char *raw = s;
        size_t raw_n = n;
        n = without_newline(s, n);
        s = text_trim_left(s, n, &n);
        int directive = take_directive(p, s, n, err);
        if (directive < 0)
            return directive;
        if (comment && !directive)
            take_comment(p, raw, raw_n);
        if (comment || n == 0)
            continue;
        if (parse_instruction(p, s, n, &cap, err) < 0)
            return err->code;
    }
    if (p->ast->n_nodes == 0 && !p->lines.too_long)
        err_set(err, ERR_USAGE, "file with no instructions");
    else if (p->lines.too_long)
        err_set(err, ERR_USAGE, "dockerfile line greater than max allowed size of %zu",
                p->limits->line);
    else
        return 0;
    return err_at(err, p->lines.n + (p->lines.too_long ? 1 : 0), 0);
}

/* Size, and no NUL: words are C strings from here on. */
static int check_source(const char *text, size_t n, const struct ast_limits *limits,
                        struct err *err)
{
    const char *nul = n > 0 ? memchr(text, '\0', n) : NULL;
    int line = 1;
    if (n > limits->bytes)
        return err_set(err, ERR_USAGE, "dockerfile is larger than the allowed %zu bytes",
                       limits->bytes);
    if (nul == NULL)
        return 0;
    for (const char *c = text; c < nul; c++)
        line += *c == '\n';
    err_set(err, ERR_USAGE, "dockerfile has a NUL byte on line %d", line);
    return err_at(err, line, line);
}

struct ast *ast_parse_limited(const char *text, size_t n, const struct ast_limits *limits,
                              struct err *err)
{
    if (check_source(text, n, limits, err) < 0)
        return NULL;
    AUTO(ast_free) struct ast *a = mem_zalloc(sizeof(*a));
    a->escape = '\\';
    a->source = mem_alloc(n + 1);
    if (n > 0)
        memcpy(a->source, text, n);
    a->source[n] = '\0';
    a->source_len = n;
    struct parser p = {
        .ast = a,
        .limits = limits,
        .lines = { .p = a->source, .end = a->source + n, .limit = limits->line },
    };
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        p.lines.p += 3;
    int rc = parse_all(&p, err);
    strv_release(&p.comments);
    buf_release(&p.text);
    return rc < 0 ? NULL : TAKE(a);
}

struct ast *ast_parse(const char *text, size_t n, struct err *err)
{
    static const struct ast_limits limits = AST_LIMITS_DEFAULT;
    return ast_parse_limited(text, n, &limits, err);
}
