/* Rules that need nothing but the text. */
#include "dockerfile/lint_internal.h"
#include "dockerfile/quote.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool has_lower(const char *s)
{
    for (; *s != '\0'; s++) {
        if (islower((unsigned char)*s))
            return true;
    }
    return false;
}

static bool has_upper(const char *s)
{
    for (; *s != '\0'; s++) {
        if (isupper((unsigned char)*s))
            return true;
    }
    return false;
}

/* Of a FROM that is of one case; one that is not is ConsistentInstructionCasing's alone. */
static bool as_matches(const char *from, const char *as)
{
    if (!has_upper(from))
        return !has_upper(as);
    return has_lower(from) || !has_lower(as);
}

static void lint_description(struct linter *l, const struct ast_node *n, const char *instruction,
                             const struct strv *names)
{
    if (n->comments.n == 0 || names->n == 0)
        return;
    const char *last = n->comments.v[n->comments.n - 1];
    AUTO(mem_free) char *first = str_ndup(last, strcspn(last, " "));
    if (strv_has(names, first))
        return;
    lint_warn_at(l, RULE_INVALID_DEFINITION_DESCRIPTION, n,
                 "Comment for %s should follow the format: `# %s <description>`", instruction,
                 names->n > 1 ? "<arg_key>" : names->v[0]);
}

static void from_node(struct linter *l, const struct ast_node *n)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    if (n->args.n < 3)
        return;
    const char *as = n->args.v[1], *name = n->args.v[2];
    if (n->args.n == 3 && has_upper(name))
        lint_warn_at(l, RULE_STAGE_NAME_CASING, n, "Stage name '%s' should be lowercase", name);
    if (!as_matches(n->keyword, as))
        lint_warn_at(l, RULE_FROM_AS_CASING, n, "'%s' and '%s' keywords' casing do not match", as,
                     n->keyword);
    strv_add(&names, name);
    for (char *c = names.v[0]; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    lint_description(l, n, "FROM", &names);
}

static void arg_node(struct linter *l, const struct ast_node *n)
{
    AUTO(strv_release) struct strv names = STRV_INIT;
    for (size_t i = 0; i < n->args.n; i++)
        strv_addn(&names, n->args.v[i], strcspn(n->args.v[i], "="));
    lint_description(l, n, "ARG", &names);
}

static void maintainer_node(struct linter *l, const struct ast_node *n)
{
    lint_warn_at(l, RULE_MAINTAINER_DEPRECATED, n,
                 "Maintainer instruction is deprecated in favor of using label");
}

void lint_nodes(struct linter *l, const struct ast *a, int upto)
{
    static const struct {
        const char *name;
        void (*look)(struct linter *l, const struct ast_node *n);
    } looks[] = { { "from", from_node }, { "arg", arg_node }, { "maintainer", maintainer_node } };
    for (size_t i = 0; i < a->n_nodes; i++) {
        const struct ast_node *n = &a->nodes[i];
        if (upto > 0 && n->line > upto)
            break;
        lint_enter(l, &n->comments);
        for (size_t k = 0; k < ARRAY_LEN(looks); k++) {
            if (strcmp(n->name, looks[k].name) == 0)
                looks[k].look(l, n);
        }
    }
    lint_enter(l, NULL);
}

void lint_stage_names(struct linter *l)
{
    AUTO(map_free) struct map *seen = map_new(NULL);
    for (size_t i = 0; i < l->df->n_stages; i++) {
        const struct stage *s = &l->df->stages[i];
        if (s->name == NULL)
            continue;
        if (str_eq(s->name, "scratch") || str_eq(s->name, "context"))
            lint_warn_at(l, RULE_RESERVED_STAGE_NAME, s->from,
                         "Stage name should not use the same name as reserved stage \"%s\"",
                         s->name);
        if (map_has(seen, s->name))
            lint_warn_at(l, RULE_DUPLICATE_STAGE_NAME, s->from,
                         "Duplicate stage name \"%s\", stage names should be unique", s->name);
        map_set(seen, s->name, l);
    }
}

static void count_case(const char *keyword, size_t *lower, size_t *upper)
{
    if (!has_upper(keyword))
        ++*lower;
    else if (!has_lower(keyword))
        ++*upper;
}

static void casing_of(struct linter *l, const struct instr *i, bool lower)
{
    if (lower ? has_upper(i->keyword) : has_lower(i->keyword))
        lint_warn_at(l, RULE_CONSISTENT_INSTRUCTION_CASING, i,
                     "Command '%s' should match the case of the command majority (%s)", i->keyword,
                     lower ? "lowercase" : "uppercase");
}

void lint_casing(struct linter *l)
{
    size_t lower = 0, upper = 0;
    for (size_t i = 0; i < l->df->n_stages; i++) {
        const struct stage *s = &l->df->stages[i];
        count_case(s->from->keyword, &lower, &upper);
        for (size_t k = 0; k < s->n_instrs; k++)
            count_case(s->instrs[k]->keyword, &lower, &upper);
    }
    for (size_t i = 0; i < l->df->n_stages; i++) {
        const struct stage *s = &l->df->stages[i];
        casing_of(l, s->from, lower > upper);
        for (size_t k = 0; k < s->n_instrs; k++)
            casing_of(l, s->instrs[k], lower > upper);
    }
}
