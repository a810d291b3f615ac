#include "tests/unit/unit.h"
#include "dockerfile/lint.h"

/* What a case may say beside the text. */
struct setting {
    const char *args[4], *globals[4], *ignore, *target;
    const struct lint_base *base;
    bool all_stages, ask_all_bases;
};

static bool is_name(void *arg UNUSED, const char *name)
{
    return *name != '\0' && name[strlen(name) - 1] != ':';
}

static int read_platform(void *arg UNUSED, const char *text, struct lint_platform *ret,
                         struct err *err)
{
    if (sscanf(text, "%31[a-z]/%31[a-z0-9]", ret->os, ret->arch) != 2)
        return err_set(err, ERR_USAGE, "no platform");
    snprintf(ret->shown, sizeof(ret->shown), "%s", text);
    return 0;
}

static int base(void *arg, const char *name UNUSED, const struct lint_platform *want UNUSED,
                struct lint_base *ret, struct err *err)
{
    const struct setting *s = arg;
    if (s->base == NULL)
        return err_set(err, ERR_NOT_FOUND, "not known");
    strv_copy(&ret->env, &s->base->env);
    strv_copy(&ret->onbuild, &s->base->onbuild);
    ret->has_shell = s->base->has_shell;
    ret->platform = s->base->platform;
    return 0;
}

/* "LINE RULE: TEXT\n" for each warning, then "! ERROR" when there is one. */
static char *found(const char *text, const struct setting *s)
{
    static const struct setting nothing = { .target = NULL };
    AUTO(strv_release) struct strv args = STRV_INIT;
    AUTO(strv_release) struct strv globals = STRV_INIT;
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    AUTO(buf_release) struct buf b = BUF_INIT;
    struct lint_platform platform = { "linux", "amd64", "linux/amd64" };
    struct err err = ERR_INIT;
    s = s != NULL ? s : &nothing;
    for (size_t i = 0; i < ARRAY_LEN(s->args) && s->args[i] != NULL; i++)
        strv_add(&args, s->args[i]);
    for (size_t i = 0; i < ARRAY_LEN(s->globals) && s->globals[i] != NULL; i++)
        strv_add(&globals, s->globals[i]);
    AUTO(ignore_free)
    struct ignore *ig = s->ignore ? ignore_parse(s->ignore, strlen(s->ignore), &err) : NULL;
    struct lint_options o = { .build_args = &args,
                              .globals = &globals,
                              .platform = &platform,
                              .target = s->target,
                              .all_stages = s->all_stages,
                              .ask_all_bases = s->ask_all_bases,
                              .ignore = ig,
                              .arg = (void *)(uintptr_t)s,
                              .base = base,
                              .is_image_name = is_name,
                              .read_platform = read_platform };
    if (lint_check_read(text, strlen(text), &args, &check, &err) == 0 &&
        lint(text, strlen(text), &check, &o, &report, &err) == 0)
        lint_verdict(&check, &report, &err);
    for (size_t i = 0; i < report.n; i++)
        buf_addf(&b, "%d %s: %s\n", report.v[i].line, report.v[i].rule, report.v[i].text);
    if (err.code != ERR_NONE)
        buf_addf(&b, "! %s\n", err.msg);
    return buf_take(&b);
}

#define assert_found(text, setting, want)                   \
    do {                                                    \
        AUTO(mem_free) char *found_ = found(text, setting); \
        assert_string_equal(found_, want);                  \
    } while (0)

static void a_clean_file_has_no_warnings(void **state UNUSED)
{
    assert_found("ARG V=1\nFROM scratch AS one\nENV A=b\nFROM one\nARG V\nLABEL v=$V a=${A}\n"
                 "WORKDIR /x\nEXPOSE 80 90/udp\nCMD [\"x\"]\n",
                 NULL, "");
}

static void casing_and_names_of_stages_are_looked_at(void **state UNUSED)
{
    assert_found(
        "FROM scratch As one\nFrom scratch as one\nfrom scratch AS Context\n", NULL,
        "1 FromAsCasing: 'As' and 'FROM' keywords' casing do not match\n"
        "3 StageNameCasing: Stage name 'Context' should be lowercase\n"
        "3 FromAsCasing: 'AS' and 'from' keywords' casing do not match\n"
        "2 DuplicateStageName: Duplicate stage name \"one\", stage names should be unique\n"
        "3 ReservedStageName: Stage name should not use the same name as reserved stage "
        "\"context\"\n"
        "2 ConsistentInstructionCasing: Command 'From' should match the case of the command "
        "majority (uppercase)\n"
        "3 ConsistentInstructionCasing: Command 'from' should match the case of the command "
        "majority (uppercase)\n");
}

static void what_stands_before_a_syntax_error_is_still_told(void **state UNUSED)
{
    assert_found("FROM scratch AS Up\nRUN a \\\n\n b\nMAINTAINER x\nNOSUCH\nMAINTAINER y\n", NULL,
                 "4 NoEmptyContinuation: Empty continuation line\n"
                 "1 StageNameCasing: Stage name 'Up' should be lowercase\n"
                 "5 MaintainerDeprecated: Maintainer instruction is deprecated in favor of using "
                 "label\n"
                 "! dockerfile parse error on line 6: unknown instruction: NOSUCH\n");
}

static void variables_of_from_must_be_declared(void **state UNUSED)
{
    const struct setting s = { .globals = { "TARGETPLATFORM=linux/amd64", "BUILDARCH=amd64" } };
    assert_found(
        "ARG NAME=x\nFROM $NAMES\n", &s,
        "2 InvalidDefaultArgInFrom: Default value for ARG $NAMES results in empty or "
        "invalid base image name\n"
        "2 UndefinedArgInFrom: FROM argument 'NAMES' is not declared (did you mean NAME?)\n"
        "! base name ($NAMES) should not be blank\n");
    assert_found("FROM --platform=linux/$BUILDARCHS scratch\n", &s,
                 "1 UndefinedArgInFrom: FROM argument 'BUILDARCHS' is not declared (did you mean "
                 "BUILDARCH?)\n"
                 "! failed to parse platform linux/$BUILDARCHS: no platform (did you mean "
                 "BUILDARCH?)\n");
    assert_found("FROM --platform=${TARGETPLATFORM} scratch\n", &s,
                 "1 RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in "
                 "FROM is redundant as this is the default behavior\n");
    assert_found("FROM --platform=linux/$BUILDARCH scratch\n", &s, "");
    assert_found(
        "FROM --platform=linux/arm64 scratch AS x\nFROM --platform=linux/arm64 x AS my-arm64\n"
        "FROM scratch\n",
        &s,
        "1 FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant "
        "value \"linux/arm64\"\n");
}

static void a_default_must_give_a_name_even_when_an_argument_is_given(void **state UNUSED)
{
    const struct setting s = { .args = { "TAG=1" } };
    assert_found("ARG TAG\nFROM app:$TAG\n", &s,
                 "2 InvalidDefaultArgInFrom: Default value for ARG app:$TAG results in empty or "
                 "invalid base image name\n");
    assert_found("ARG TAG=2\nFROM app:$TAG\n", &s, "");
}

static void unset_variables_are_told_for_each_word(void **state UNUSED)
{
    assert_found("FROM scratch\nARG known\nARG other=$nope\nLABEL a=$no b=$no c=$known\n"
                 "EXPOSE 80$no\nRUN --mount=type=cache,target=$dir x\nCOPY --chown=$u $a /$b\n",
                 NULL,
                 "3 UndefinedVar: Usage of undefined variable '$nope'\n"
                 "4 UndefinedVar: Usage of undefined variable '$no'\n"
                 "4 UndefinedVar: Usage of undefined variable '$no'\n"
                 "6 UndefinedVar: Usage of undefined variable '$dir'\n"
                 "7 UndefinedVar: Usage of undefined variable '$u'\n"
                 "7 UndefinedVar: Usage of undefined variable '$a'\n"
                 "7 UndefinedVar: Usage of undefined variable '$b'\n");
    assert_found("FROM scratch\nENV HOUSE=1\nLABEL a=$HOUS\n", NULL,
                 "3 UndefinedVar: Usage of undefined variable '$HOUS' (did you mean $HOUSE?)\n");
}

static void a_base_may_set_what_the_file_does_not(void **state UNUSED)
{
    char path[] = "GOPATH=/go", *env[] = { path, NULL };
    struct lint_base b = { .env = { .v = env, .n = 1 }, .has_shell = true };
    const struct setting known = { .base = &b }, unknown = { .base = NULL };
    const char *text = "FROM golang AS a\nENV X=$GOPATH Y=$GOPATHS\nFROM a\nCMD $GOPATH\n";
    assert_found(
        text, &known,
        "2 UndefinedVar: Usage of undefined variable '$GOPATHS' (did you mean $GOPATH?)\n");
    assert_found(text, &unknown,
                 "4 JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended "
                 "behavior related to OS signals\n");
}

static void triggers_and_platform_of_a_base_count_when_all_are_asked_for(void **state UNUSED)
{
    char trigger[] = "ENV api_key=1", *triggers[] = { trigger, NULL };
    struct lint_base b = { .onbuild = { .v = triggers, .n = 1 },
                           .platform = { "linux", "arm64", "linux/arm64" } };
    const struct setting s = { .base = &b, .ask_all_bases = true };
    assert_found("ARG X\nFROM app\n", &s,
                 "2 InvalidBaseImagePlatform: Base image app was pulled with platform "
                 "\"linux/arm64\", expected \"linux/amd64\" for current build\n"
                 "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
                 "(ENV \"api_key\")\n");
    assert_found("FROM scratch AS a\nONBUILD WORKDIR x\nFROM a\n", NULL,
                 "3 WorkdirRelativePath: Relative workdir \"x\" can have unexpected results if the "
                 "base image changes\n");
}

static void only_the_last_of_a_kind_counts_in_a_stage(void **state UNUSED)
{
    assert_found(
        "FROM scratch\nCMD [\"a\"]\nENTRYPOINT b\nCMD [\"c\"]\n"
        "HEALTHCHECK NONE\nHEALTHCHECK CMD x\n",
        NULL,
        "3 JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent "
        "unintended behavior related to OS signals\n"
        "2 MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in "
        "the same stage because only the last one will be used\n"
        "5 MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be "
        "used in the same stage because only the last one will be used\n");
}

static void ports_are_plain(void **state UNUSED)
{
    assert_found("FROM scratch\nARG p=9:9\nEXPOSE 80/Udp 1.2.3.4:80:80 $p :70\n", NULL,
                 "3 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or "
                 "host-port mapping, found '9:9'\n"
                 "3 ExposeInvalidFormat: EXPOSE instruction should not define an IP address or "
                 "host-port mapping, found '1.2.3.4:80:80'\n"
                 "3 ExposeProtoCasing: Defined protocol '80/Udp' in EXPOSE instruction should be "
                 "lowercase\n");
}

static void names_of_secrets_are_whole_words(void **state UNUSED)
{
    assert_found("FROM scratch\nENV MONKEY=1 auth_url=2 key_file=3 KEY=4\nARG x_Token\n", NULL,
                 "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
                 "(ENV \"auth_url\")\n"
                 "2 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
                 "(ENV \"KEY\")\n"
                 "3 SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
                 "(ARG \"x_Token\")\n");
}

static void sources_that_are_ignored_are_told(void **state UNUSED)
{
    const struct setting s = { .ignore = "logs\n*.o\nsrc/**\n!src/*/keep\n" };
    assert_found("FROM scratch AS b\nCOPY logs/x ./y/../a.o /\nADD https://x/a.o /\nCOPY . /\n"
                 "COPY src/gen /\nFROM b\nCOPY --from=b /logs /\n",
                 &s,
                 "2 CopyIgnoredFile: Attempting to Copy file \"logs/x\" that is excluded by "
                 ".dockerignore\n"
                 "2 CopyIgnoredFile: Attempting to Copy file \"a.o\" that is excluded by "
                 ".dockerignore\n");
    const struct setting all = { .ignore = "**\n" };
    assert_found("FROM scratch\nADD . /\n", &all,
                 "2 CopyIgnoredFile: Attempting to Add file \".\" that is excluded by "
                 ".dockerignore\n");
}

static void descriptions_are_experimental(void **state UNUSED)
{
    assert_found("# about it\nARG A=1\nFROM scratch\n", NULL, "");
    assert_found(
        "# check=experimental=all\n\n# A is\nARG A=1\n# about it\nARG B\n# hm\nFROM scratch AS c\n",
        NULL,
        "6 InvalidDefinitionDescription: Comment for ARG should follow the format: `# B "
        "<description>`\n"
        "8 InvalidDefinitionDescription: Comment for FROM should follow the format: `# c "
        "<description>`\n");
}

static void only_needed_stages_are_walked(void **state UNUSED)
{
    const char *text = "FROM scratch AS a\nENV x 1\nFROM scratch AS b\nENV y 1\n"
                       "FROM scratch\nRUN --mount=from=b,target=/b x\n";
    const char *b = "4 LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy "
                    "\"ENV key value\" format\n";
    AUTO(mem_free) char *both = str_printf("2%s%s", b + 1, b);
    AUTO(mem_free) char *a = str_printf("2%s", b + 1);
    const struct setting all = { .all_stages = true },
                         target = { .target = "A", .all_stages = true };
    assert_found(text, NULL, b);
    assert_found(text, &all, both);
    assert_found(text, &target, a);
}

static void checks_are_left_out_by_name(void **state UNUSED)
{
    const char *warning = "\"ENV key=value\" should be used instead of legacy \"ENV key value\" "
                          "format\n";
    AUTO(mem_free) char *fourth = str_printf("4 LegacyKeyValueFormat: %s", warning);
    AUTO(mem_free)
    char *refused =
        str_printf("%s! lint violation found for rules: LegacyKeyValueFormat\n", fourth);
    assert_found("# check=skip=LegacyKeyValueFormat, StageNameCasing\nFROM scratch AS A\nENV a b\n",
                 NULL, "");
    assert_found("FROM scratch\n# check=skip=LegacyKeyValueFormat // why\nENV a b\nENV a b\n", NULL,
                 fourth);
    assert_found("FROM scratch\n# check=nonsense\n# check=skip=all\nENV a b\n", NULL, fourth);
    assert_found("# check=error=true\nFROM scratch\n# x\nENV a b\n", NULL, refused);
    const struct setting s = { .args = { "BUILDKIT_DOCKERFILE_CHECK=skip=all" } };
    assert_found("# check=error=true\nFROM scratch\nENV a b\n", &s, "");
}

static void options_that_are_wrong_are_refused(void **state UNUSED)
{
    static const struct {
        const char *value, *message;
    } rows[] = {
        { "x", "invalid check option \"x\"" },
        { "Skip=all", "invalid check option \"Skip\"" },
        { "skip=all;", "invalid check option \"\"" },
        { "error=yes", "failed to parse check option \"error=yes\": strconv.ParseBool: parsing "
                       "\"yes\": invalid syntax" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(mem_free) char *text = str_printf("# check=%s\nFROM scratch\n", rows[i].value);
        AUTO(mem_free) char *arg = str_printf("BUILDKIT_DOCKERFILE_CHECK=%s", rows[i].value);
        AUTO(mem_free)
        char *want = str_printf("! failed to parse check options: %s\n", rows[i].message);
        AUTO(mem_free)
        char *of_arg = str_printf("! failed to parse build-arg:BUILDKIT_DOCKERFILE_CHECK: %s\n",
                                  rows[i].message);
        const struct setting s = { .args = { arg } };
        assert_found(text, NULL, want);
        assert_found("FROM scratch\n", &s, of_arg);
    }
}

static void a_file_of_mistakes_takes_no_long_time(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "FROM scratch\n");
    for (int i = 0; i < 4000; i++)
        buf_addf(&b, "ENV VARIABLE_WITH_A_LONG_NAME_%d=$VARIABLE_WITHOUT_ONE_%d\n", i, i);
    AUTO(mem_free) char *text = found(buf_str(&b), NULL);
    size_t n = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    assert_int_equal(n, 4000);
}

static void environments_are_bounded(void **state UNUSED)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    buf_adds(&b, "FROM scratch AS s0\nENV a=0123456789\n");
    for (int i = 0; i < 16; i++)
        buf_adds(&b, "ENV a=$a$a\n");
    for (int i = 1; i < 900; i++)
        buf_addf(&b, "FROM s%d AS s%d\n", i - 1, i);
    AUTO(mem_free) char *text = found(buf_str(&b), NULL);
    assert_string_equal(text, "! the environments of the stages are too large\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_file_has_no_warnings),
        cmocka_unit_test(casing_and_names_of_stages_are_looked_at),
        cmocka_unit_test(what_stands_before_a_syntax_error_is_still_told),
        cmocka_unit_test(variables_of_from_must_be_declared),
        cmocka_unit_test(a_default_must_give_a_name_even_when_an_argument_is_given),
        cmocka_unit_test(unset_variables_are_told_for_each_word),
        cmocka_unit_test(a_base_may_set_what_the_file_does_not),
        cmocka_unit_test(triggers_and_platform_of_a_base_count_when_all_are_asked_for),
        cmocka_unit_test(only_the_last_of_a_kind_counts_in_a_stage),
        cmocka_unit_test(ports_are_plain),
        cmocka_unit_test(names_of_secrets_are_whole_words),
        cmocka_unit_test(sources_that_are_ignored_are_told),
        cmocka_unit_test(descriptions_are_experimental),
        cmocka_unit_test(only_needed_stages_are_walked),
        cmocka_unit_test(checks_are_left_out_by_name),
        cmocka_unit_test(options_that_are_wrong_are_refused),
        cmocka_unit_test(a_file_of_mistakes_takes_no_long_time),
        cmocka_unit_test(environments_are_bounded),
    };
    return UNIT_RUN("dockerfile_lint", tests);
}
