/*
 * A Dockerfile, a NUL, an ignore file: checked as `--check` would, outlined. An
 * outline must succeed where the checks found nothing that a build would fail
 * over.
 */
#include "dockerfile/lint.h"
#include "dockerfile/outline.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int base(void *arg, const char *name, const struct lint_platform *want,
                struct lint_base *ret, struct err *err)
{
    if (strlen(name) % 3 == 0)
        return err_set(err, ERR_NOT_FOUND, "nothing is known of it");
    strv_add(&ret->env, "PATH=/bin");
    strv_add(&ret->env, "HOME=/root");
    strv_copy(&ret->onbuild, arg);
    ret->platform = *want;
    return 0;
}

static void base_env(void *arg, const char *name, struct strv *ret)
{
    (void)arg;
    env_set(ret, "NAME", name);
}

static bool is_image_name(void *arg, const char *name)
{
    (void)arg;
    return *name != '\0';
}

static int read_platform(void *arg, const char *text, struct lint_platform *ret, struct err *err)
{
    (void)arg;
    if (strlen(text) >= sizeof(ret->os))
        return err_set(err, ERR_USAGE, "too long");
    snprintf(ret->os, sizeof(ret->os), "%s", text);
    snprintf(ret->arch, sizeof(ret->arch), "amd64");
    snprintf(ret->shown, sizeof(ret->shown), "%s/amd64", text);
    return 0;
}

static void describe(const char *text, size_t n, const struct strv *globals)
{
    struct err err = ERR_INIT;
    AUTO(dockerfile_free) struct dockerfile *df = dockerfile_parse(text, n, &err);
    struct outline_options options = { .globals = globals, .base_env = base_env };
    AUTO(outline_release) struct outline o = { .name = NULL };
    if (df == NULL)
        abort();
    if (outline_make(df, &options, &o, &err) < 0 && err.code != ERR_USAGE)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    AUTO(strv_release) struct strv globals = STRV_INIT;
    AUTO(strv_release) struct strv triggers = STRV_INIT;
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    const char *text = (const char *)data;
    size_t n = nul != NULL ? (size_t)(nul - data) : size;
    strv_add(&globals, "TARGETARCH=amd64");
    strv_add(&triggers, "RUN echo $NAME");
    strv_add(&triggers, "COPY . /x");
    AUTO(ignore_free)
    struct ignore *ig = nul != NULL ? ignore_parse(text + n + 1, size - n - 1, &err) : NULL;
    err_clear(&err);
    struct lint_platform host = { .os = "linux", .arch = "amd64", .shown = "linux/amd64" };
    struct lint_options options = {
        .globals = &globals,
        .platform = &host,
        .all_stages = true,
        .ask_all_bases = true,
        .ignore = ig,
        .arg = &triggers,
        .base = base,
        .is_image_name = is_image_name,
        .read_platform = read_platform,
    };
    if (lint_check_read(text, n, NULL, &check, &err) < 0)
        return 0;
    int rc = lint(text, n, &check, &options, &report, &err);
    for (size_t i = 0; i < report.n; i++) {
        if (report.v[i].line < 1 || lint_about(report.v[i].rule) == NULL)
            abort();
    }
    if (rc < 0 && err.code != ERR_USAGE)
        abort();
    if (rc == 0)
        describe(text, n, &globals);
    return 0;
}
