/*
 * Dockerfile text to a syntax tree: parser directives, one node for each
 * instruction with its words, and here-documents. Words keep their quotes and
 * variables; nothing is expanded and nothing is checked that needs to know
 * what an instruction means (instr.h does that).
 *
 *     AUTO(ast_free) struct ast *a = ast_parse(text, n, err);
 *
 * Follows BuildKit's frontend, also where that is odd. Immutable once parsed,
 * so it may be read from any thread. Errors are ERR_USAGE with err->line set.
 */
#ifndef SHALE_DOCKERFILE_AST_H
#define SHALE_DOCKERFILE_AST_H

#include "base/buf.h"
#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>

struct ast_limits {
    size_t bytes; /* of the whole file */
    size_t line;  /* bytes of one line without its newline */
    size_t instructions;
};
#define AST_LIMITS_DEFAULT                                     \
    {                                                          \
        .bytes = 1 << 20, .line = 65535, .instructions = 10000 \
    }

struct ast_heredoc {
    char *name;  /* the word after <<, quotes removed; also the file name for COPY and ADD */
    char *body;  /* as in the source, each line with its newline; leading tabs still there */
    unsigned fd; /* 3 for "3<<EOF", else 0 */
    bool expand; /* no part of the word was quoted */
    bool chomp;  /* "<<-": leading tabs are to be removed (ast_chomp) */
};

struct ast_node {
    char *name;           /* lower case: "run" */
    char *keyword;        /* as written: "Run" */
    char *text;           /* the whole instruction as one line: continuations joined, no heredocs */
    struct strv flags;    /* "--from=x", quotes removed */
    struct strv args;     /* ENV and LABEL: key, value, "=" or "" (old form) three by three */
    bool json;            /* args come from a JSON array */
    struct ast_node *sub; /* ONBUILD's instruction, args is then empty; else NULL */
    struct ast_heredoc *heredocs;
    size_t n_heredocs;
    struct strv comments; /* comment lines since the last instruction, without '#', trimmed */
    int line, line_end;   /* 1-based, inclusive, heredocs included */
};

struct ast_directive {
    char *name;  /* lower case: syntax, escape, check */
    char *value; /* trimmed */
    int line;
};

struct ast_warning {
    char *text;
    int line;
};

struct ast {
    struct ast_node *nodes;
    size_t n_nodes;
    char escape; /* '\\' or '`' */
    struct ast_directive *directives;
    size_t n_directives;
    struct ast_warning *warnings; /* empty continuation lines */
    size_t n_warnings;
    char *source; /* the text as it came, NUL-terminated; for excerpts and lint */
    size_t source_len;
};

void ast_free(struct ast *a);
DEFINE_AUTO(struct ast, ast_free);
struct ast *ast_parse(const char *text, size_t n, struct err *err) OWNED(ast_free);
struct ast *ast_parse_limited(const char *text, size_t n, const struct ast_limits *limits,
                              struct err *err) OWNED(ast_free);

/* One line "(name [flags] args...)" for each node, as BuildKit's dumper writes it. */
void ast_dump(const struct ast *a, struct buf *b);

/*
 * One word that may start a here-document: "<<EOF", "3<<-'E O F'". 1: it does,
 * ret is filled (body NULL; release with ast_heredoc_release); 0: it does not;
 * negative code: quotes that do not end.
 */
int ast_heredoc_word(const char *word, struct ast_heredoc *ret, struct err *err);
void ast_heredoc_release(struct ast_heredoc *h);
/* body without the tabs that begin its lines. */
char *ast_chomp(const char *body) OWNED(mem_free);

/*
 * Looks for a directive without parsing the rest; a byte order mark and a
 * first line "#!..." are skipped. False: there is none. ret is released with
 * ast_directive_release. For "syntax", "// syntax=" comments and a JSON object
 * with that key count too, so that files for foreign frontends are understood.
 */
bool ast_find_directive(const char *text, size_t n, const char *name, struct ast_directive *ret);
void ast_directive_release(struct ast_directive *d);
DEFINE_AUTO_VALUE(struct ast_directive, ast_directive_release);

#endif
