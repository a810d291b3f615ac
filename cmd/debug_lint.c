/* {"input", "build_args", "platform", "target", "all", "ignore", "base"} -> {"warnings", "error"}
 */
#include "cmd/debug_internal.h"
#include "engine/lint_use.h"
#include "image/platform.h"
#include <string.h>

static int given_base(void *arg, const char *name UNUSED, const struct lint_platform *want,
                      struct lint_base *ret, struct err *err)
{
    const json_t *base = json_object_get(arg, "base");
    struct err ignored = ERR_INIT;
    if (!json_is_object(base))
        return err_set(err, ERR_NOT_FOUND, "no \"base\"");
    json_get_strv(base, "env", &ret->env, &ignored);
    json_get_strv(base, "onbuild", &ret->onbuild, &ignored);
    ret->has_shell = json_get_bool(base, "shell", false);
    ret->platform = *want;
    const char *platform = json_get_str(base, "platform");
    if (platform != NULL)
        lint_read_platform(NULL, platform, &ret->platform, &ignored);
    return 0;
}

static json_t *warning_json(const struct lint_warning *w)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:i}", "rule", w->rule, "detail", w->text, "url", w->url,
                     "line", w->line, "line_end", w->line_end);
}

int debug_lint(const json_t *in, bool detail UNUSED, json_t *out, struct err *err)
{
    AUTO(strv_release) struct strv build_args = STRV_INIT;
    AUTO(strv_release) struct strv globals = STRV_INIT;
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    AUTO(ignore_free) struct ignore *ig = NULL;
    struct platform target = platform_host();
    struct lint_platform platform;
    struct err wrong = ERR_INIT;
    const char *text = json_get_str(in, "input"), *ignore = json_get_str(in, "ignore");
    const char *given = json_get_str(in, "platform");
    if (text == NULL)
        return err_set(err, ERR_USAGE, "no \"input\"");
    if (json_object_get(in, "build_args") != NULL &&
        json_get_strv(in, "build_args", &build_args, err) < 0)
        return err->code;
    if (given != NULL && platform_parse(given, &target, err) < 0)
        return err->code;
    if (ignore != NULL && (ig = ignore_parse(ignore, strlen(ignore), err)) == NULL)
        return err->code;
    lint_platform_of(&target, &platform);
    lint_add_globals(&target, &globals);
    struct lint_options o = {
        .build_args = &build_args,
        .globals = &globals,
        .platform = &platform,
        .target = json_get_str(in, "target"),
        .all_stages = json_get_bool(in, "all", false),
        .ask_all_bases = true,
        .ignore = ig,
        .arg = json_object_get(in, "base") != NULL ? (void *)(uintptr_t)in : NULL,
        .base = given_base,
        .is_image_name = lint_is_image_name,
        .read_platform = lint_read_platform,
    };
    size_t n = strlen(text);
    if (lint_check_read(text, n, &build_args, &check, &wrong) == 0 &&
        lint(text, n, &check, &o, &report, &wrong) == 0)
        lint_verdict(&check, &report, &wrong);
    json_t *list = json_array();
    for (size_t i = 0; i < report.n; i++)
        json_array_append_new(list, warning_json(&report.v[i]));
    json_object_set_new(out, "warnings", list);
    json_object_set_new(out, "error",
                        wrong.code != ERR_NONE ? json_string(wrong.msg) : json_null());
    return 0;
}
