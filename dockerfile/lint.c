#include "dockerfile/lint.h"
#include "dockerfile/ast_directive_internal.h"
#include "dockerfile/lint_internal.h"
#include <stdarg.h>
#include <string.h>

#define ABOUT(page) "https://docs.docker.com/go/dockerfile/rule/" page "/"

static const struct lint_about rules[LINT_RULES] = {
    [RULE_STAGE_NAME_CASING] = { "StageNameCasing", ABOUT("stage-name-casing"),
                                 "Stage names should be lowercase" },
    [RULE_FROM_AS_CASING] = { "FromAsCasing", ABOUT("from-as-casing"),
                              "The 'as' keyword should match the case of the 'from' keyword" },
    [RULE_NO_EMPTY_CONTINUATION] = { "NoEmptyContinuation", ABOUT("no-empty-continuation"),
                                     "Empty continuation lines will become errors in a future "
                                     "release" },
    [RULE_CONSISTENT_INSTRUCTION_CASING] = { "ConsistentInstructionCasing",
                                             ABOUT("consistent-instruction-casing"),
                                             "All commands within the Dockerfile should use the "
                                             "same casing (either upper or lower)" },
    [RULE_DUPLICATE_STAGE_NAME] = { "DuplicateStageName", ABOUT("duplicate-stage-name"),
                                    "Stage names should be unique" },
    [RULE_RESERVED_STAGE_NAME] = { "ReservedStageName", ABOUT("reserved-stage-name"),
                                   "Reserved words should not be used as stage names" },
    [RULE_JSON_ARGS_RECOMMENDED] = { "JSONArgsRecommended", ABOUT("json-args-recommended"),
                                     "JSON arguments recommended for ENTRYPOINT/CMD to prevent "
                                     "unintended behavior related to OS signals" },
    [RULE_MAINTAINER_DEPRECATED] = { "MaintainerDeprecated", ABOUT("maintainer-deprecated"),
                                     "The MAINTAINER instruction is deprecated, use a label "
                                     "instead to define an image author" },
    [RULE_UNDEFINED_ARG_IN_FROM] = { "UndefinedArgInFrom", ABOUT("undefined-arg-in-from"),
                                     "FROM command must use declared ARGs" },
    [RULE_WORKDIR_RELATIVE_PATH] = { "WorkdirRelativePath", ABOUT("workdir-relative-path"),
                                     "Relative workdir without an absolute workdir declared within "
                                     "the build can have unexpected results if the base image "
                                     "changes" },
    [RULE_UNDEFINED_VAR] = { "UndefinedVar", ABOUT("undefined-var"),
                             "Variables should be defined before their use" },
    [RULE_MULTIPLE_INSTRUCTIONS_DISALLOWED] = { "MultipleInstructionsDisallowed",
                                                ABOUT("multiple-instructions-disallowed"),
                                                "Multiple instructions of the same type should not "
                                                "be used in the same stage" },
    [RULE_LEGACY_KEY_VALUE_FORMAT] = { "LegacyKeyValueFormat", ABOUT("legacy-key-value-format"),
                                       "Legacy key/value format with whitespace separator should "
                                       "not be used" },
    [RULE_INVALID_BASE_IMAGE_PLATFORM] = { "InvalidBaseImagePlatform",
                                           ABOUT("invalid-base-image-platform"),
                                           "Base image platform does not match expected target "
                                           "platform" },
    [RULE_REDUNDANT_TARGET_PLATFORM] = { "RedundantTargetPlatform",
                                         ABOUT("redundant-target-platform"),
                                         "Setting platform to predefined $TARGETPLATFORM in FROM "
                                         "is redundant as this is the default behavior" },
    [RULE_SECRETS_USED_IN_ARG_OR_ENV] = { "SecretsUsedInArgOrEnv",
                                          ABOUT("secrets-used-in-arg-or-env"),
                                          "Sensitive data should not be used in the ARG or ENV "
                                          "commands" },
    [RULE_INVALID_DEFAULT_ARG_IN_FROM] = { "InvalidDefaultArgInFrom",
                                           ABOUT("invalid-default-arg-in-from"),
                                           "Default value for global ARG results in an empty or "
                                           "invalid base image name" },
    [RULE_FROM_PLATFORM_FLAG_CONST_DISALLOWED] = { "FromPlatformFlagConstDisallowed",
                                                   ABOUT("from-platform-flag-const-disallowed"),
                                                   "FROM --platform flag should not use a constant "
                                                   "value" },
    [RULE_COPY_IGNORED_FILE] = { "CopyIgnoredFile", ABOUT("copy-ignored-file"),
                                 "Attempting to Copy file that is excluded by .dockerignore" },
    [RULE_INVALID_DEFINITION_DESCRIPTION] = { "InvalidDefinitionDescription",
                                              ABOUT("invalid-definition-description"),
                                              "Comment for build stage or argument should follow "
                                              "the format: `# <arg/stage name> <description>`. If "
                                              "this is not intended to be a description comment, "
                                              "add an empty line or comment between the "
                                              "instruction and the comment." },
    [RULE_EXPOSE_PROTO_CASING] = { "ExposeProtoCasing", ABOUT("expose-proto-casing"),
                                   "Protocol in EXPOSE instruction should be lowercase" },
    [RULE_EXPOSE_INVALID_FORMAT] = { "ExposeInvalidFormat", ABOUT("expose-invalid-format"),
                                     "IP address and host-port mapping should not be used in "
                                     "EXPOSE instruction. This will become an error in a future "
                                     "release" },
};

const struct lint_about *lint_about(const char *rule)
{
    for (size_t i = 0; i < LINT_RULES; i++) {
        if (str_eq(rules[i].name, rule))
            return &rules[i];
    }
    return NULL;
}

void lint_report_release(struct lint_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        mem_free(r->v[i].text);
    mem_free(r->v);
}

void lint_base_release(struct lint_base *b)
{
    strv_release(&b->env);
    strv_release(&b->onbuild);
}

/* Only the first such comment counts, up to its first blank; one that cannot be read is none. */
void lint_enter(struct linter *l, const struct strv *comments)
{
    lint_check_release(&l->here);
    l->here = (struct lint_check){ .error = false };
    for (size_t i = 0; comments != NULL && i < comments->n; i++) {
        AUTO(ast_directive_release) struct ast_directive d = { .name = NULL };
        AUTO(mem_free) char *line = str_printf("#%s", comments->v[i]);
        if (!directive_read(line, strlen(line), "#", &d) || strcmp(d.name, "check") != 0)
            continue;
        struct err ignored = ERR_INIT;
        AUTO(lint_check_release) struct lint_check check = { .error = false };
        d.value[strcspn(d.value, " ")] = '\0';
        if (lint_check_parse(d.value, &check, &ignored) == 0) {
            l->here = check;
            check = (struct lint_check){ .error = false };
        }
        return;
    }
}

/* The one rule that is experimental is only followed where that is asked for. */
static bool is_wanted(const struct linter *l, const struct lint_about *r)
{
    const struct lint_check *file = l->check, *here = &l->here;
    if (r == &rules[RULE_INVALID_DEFINITION_DESCRIPTION])
        return file->experimental_all || here->experimental_all ||
               strv_has(&file->experimental, r->name) || strv_has(&here->experimental, r->name);
    return !file->skip_all && !here->skip_all && !strv_has(&file->skip, r->name) &&
           !strv_has(&here->skip, r->name);
}

void lint_warn(struct linter *l, enum lint_rule rule, int line, int line_end, const char *fmt, ...)
{
    const struct lint_about *r = &rules[rule];
    if (!is_wanted(l, r))
        return;
    va_list ap;
    va_start(ap, fmt);
    char *s = str_vprintf(fmt, ap);
    va_end(ap);
    struct lint_report *report = l->report;
    MEM_ROOM(report->v, report->n, report->cap);
    report->v[report->n++] = (struct lint_warning){ .rule = r->name,
                                                    .description = r->description,
                                                    .url = r->url,
                                                    .text = s,
                                                    .line = line,
                                                    .line_end = line_end };
}

static void linter_release(struct linter *l)
{
    lint_check_release(&l->here);
    strv_release(&l->globals);
    strv_release(&l->declared);
    for (size_t i = 0; l->stages != NULL && i < l->df->n_stages; i++) {
        struct stage_facts *s = &l->stages[i];
        mem_free(s->base);
        strv_release(&s->env);
        strv_release(&s->args);
        strv_release(&s->onbuild);
    }
    mem_free(l->stages);
    lint_bases_free(l);
}
DEFINE_AUTO_VALUE(struct linter, linter_release);

static void lint_continuations(struct linter *l, const struct ast *a)
{
    for (size_t i = 0; i < a->n_warnings; i++)
        lint_warn(l, RULE_NO_EMPTY_CONTINUATION, a->warnings[i].line, a->warnings[i].line,
                  "Empty continuation line");
}

/* The text is refused at err->line: what stands before that is still looked at. */
static int lint_refused(struct linter *l, const char *text, size_t n, const struct err *err)
{
    struct err ignored = ERR_INIT;
    AUTO(ast_free) struct ast *a = ast_parse(text, n, &ignored);
    if (a == NULL)
        return err->code;
    lint_continuations(l, a);
    lint_nodes(l, a, err->line);
    return err->code;
}

int lint(const char *text, size_t n, const struct lint_check *check, const struct lint_options *o,
         struct lint_report *ret, struct err *err)
{
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, n, err);
    AUTO(linter_release) struct linter l = { .check = check, .o = o, .report = ret };
    if (df == NULL)
        return lint_refused(&l, text, n, err);
    l.df = df;
    lint_continuations(&l, df->ast);
    lint_nodes(&l, df->ast, 0);
    lint_stage_names(&l);
    lint_casing(&l);
    lint_default_args(&l);
    ret->phase = LINT_FROM;
    if (lint_globals(&l, err) < 0 || lint_froms(&l, err) < 0)
        return err->code;
    ret->phase = LINT_STAGES;
    if (lint_walk(&l, err) < 0)
        return err->code;
    ret->phase = LINT_END;
    return 0;
}
