/* What the files of lint share: the rules, who is asking, and the walk's parts. */
#ifndef SHALE_DOCKERFILE_LINT_INTERNAL_H
#define SHALE_DOCKERFILE_LINT_INTERNAL_H

#include "base/map.h"
#include "dockerfile/instr.h"
#include "dockerfile/lint.h"

enum lint_rule {
    RULE_STAGE_NAME_CASING,
    RULE_FROM_AS_CASING,
    RULE_NO_EMPTY_CONTINUATION,
    RULE_CONSISTENT_INSTRUCTION_CASING,
    RULE_DUPLICATE_STAGE_NAME,
    RULE_RESERVED_STAGE_NAME,
    RULE_JSON_ARGS_RECOMMENDED,
    RULE_MAINTAINER_DEPRECATED,
    RULE_UNDEFINED_ARG_IN_FROM,
    RULE_WORKDIR_RELATIVE_PATH,
    RULE_UNDEFINED_VAR,
    RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED,
    RULE_LEGACY_KEY_VALUE_FORMAT,
    RULE_INVALID_BASE_IMAGE_PLATFORM,
    RULE_REDUNDANT_TARGET_PLATFORM,
    RULE_SECRETS_USED_IN_ARG_OR_ENV,
    RULE_INVALID_DEFAULT_ARG_IN_FROM,
    RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    RULE_COPY_IGNORED_FILE,
    RULE_INVALID_DEFINITION_DESCRIPTION,
    RULE_EXPOSE_PROTO_CASING,
    RULE_EXPOSE_INVALID_FORMAT,
    LINT_RULES,
};

struct linter {
    const struct lint_check *check;
    struct lint_check here; /* of the comments above the instruction that is looked at */
    const struct lint_options *o;
    struct lint_report *report;
    const struct dockerfile *df;
    struct strv globals;  /* with the ARGs before the first FROM */
    struct strv declared; /* names of those ARGs, set or not */
    struct stage_facts *stages;
    struct map *bases; /* name and platform -> struct known_base */
    size_t compared;   /* words that were looked at for a "did you mean" */
    size_t env_bytes;  /* of the environments of all stages */
};

/* The instruction's own "# check=" counts until the next call; NULL: none. */
void lint_enter(struct linter *l, const struct strv *comments);
void lint_warn(struct linter *l, enum lint_rule rule, int line, int line_end, const char *fmt, ...)
    PRINTF(5, 6);
#define lint_warn_at(l, rule, i, ...) lint_warn(l, rule, (i)->line, (i)->line_end, __VA_ARGS__)

/* lint_check.c: "skip=..;error=..". ret is zeroed. */
int lint_check_parse(const char *text, struct lint_check *ret, struct err *err);

/* lint_text.c: what can be said of the text alone. Nodes behind line upto are left out (0: none
 * are). */
void lint_nodes(struct linter *l, const struct ast *a, int upto);
void lint_stage_names(struct linter *l);
void lint_casing(struct linter *l);

/* lint_from.c */
/* The name that a FROM's base has; set for each stage by lint_froms. */
struct stage_facts {
    char *base;     /* expanded */
    int base_stage; /* -1: an image or scratch */
    struct lint_platform platform;
    bool needed;
    bool replaced; /* base is its own name: a context's */
    bool walked;
    struct strv env;     /* "K=V" as an instruction sees it */
    struct strv args;    /* names declared here and in the stages it comes from */
    struct strv onbuild; /* triggers for stages that begin with this one */
    bool has_shell, workdir_set;
    const struct lint_base *known; /* of the image at its root; NULL: nothing (yet) */
    bool asked;                    /* known is all that there will be */
};
/* The one of options that word may be meant for; NULL: none, or too many were looked at already. */
const char *lint_suggest(struct linter *l, const char *word, const struct strv *options);
/* False: too many words were looked at already for n more. */
bool lint_may_compare(const struct linter *l, size_t n);
/* The names of "K=V" strings. */
void lint_names(const struct strv *pairs, struct strv *ret);
int lint_globals(struct linter *l, struct err *err);
void lint_default_args(struct linter *l);
int lint_froms(struct linter *l, struct err *err);

/* lint_walk.c */
int lint_walk(struct linter *l, struct err *err);
/* lint_copy.c: a source of COPY or ADD that is excluded. */
void lint_copy(struct linter *l, const struct instr *i);
/* lint_bases.c: the image that a stage is built on; NULL: err says why not. */
const struct lint_base *lint_base_of(struct linter *l, size_t stage, struct err *err);
void lint_bases_free(struct linter *l);

#endif
