#include "engine/lint_use.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/build_internal.h"
#include "engine/engine_internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX (1u << 20)

void check_result_release(struct check_result *r)
{
    lint_report_release(&r->report);
    mem_free(r->path);
    buf_release(&r->text);
}

/* What lint asks. */

bool lint_is_image_name(void *arg UNUSED, const char *name)
{
    AUTO(image_name_release) struct image_name n = { 0 };
    struct err ignored = ERR_INIT;
    return image_name_parse(name, &n, &ignored) == 0;
}

void lint_platform_of(const struct platform *p, struct lint_platform *ret)
{
    char text[64];
    snprintf(ret->os, sizeof(ret->os), "%s", p->os);
    snprintf(ret->arch, sizeof(ret->arch), "%s", p->arch);
    snprintf(ret->shown, sizeof(ret->shown), "%s", platform_format(p, text));
}

/* In containerd's words where a part of it has a character that none may have. */
static int invalid_platform(const char *text, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    for (const char *p = text;; p++) {
        size_t n = strspn(p, allowed), whole = strcspn(p, "/");
        if (n == 0 || n != whole)
            return err_set(
                err, ERR_USAGE,
                "\"%.*s\" is an invalid component of \"%s\": platform specifier component "
                "must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                (int)whole, p, text);
        p += whole;
        if (*p == '\0')
            return err->code;
    }
}

int lint_read_platform(void *arg UNUSED, const char *text, struct lint_platform *ret,
                       struct err *err)
{
    struct platform p;
    if (platform_parse(text, &p, err) < 0)
        return invalid_platform(text, err);
    lint_platform_of(&p, ret);
    return 0;
}

static void add_platform(struct strv *ret, const char *head, const struct platform *p)
{
    const struct {
        const char *name, *value;
    } rows[] = { { "OS", p->os },
                 { "OSVERSION", p->os_version },
                 { "ARCH", p->arch },
                 { "VARIANT", p->variant } };
    char text[64];
    strv_addf(ret, "%sPLATFORM=%s", head, platform_format(p, text));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        strv_addf(ret, "%s%s=%s", head, rows[i].name, rows[i].value);
}

void lint_add_globals(const struct platform *target, const char *target_stage, struct strv *ret)
{
    struct platform host = platform_host();
    add_platform(ret, "BUILD", &host);
    add_platform(ret, "TARGET", target);
    strv_addf(ret, "TARGETSTAGE=%s", target_stage != NULL ? target_stage : "default");
}

/* One use of the checks. */
struct use {
    struct engine *e;
    const struct build_options *o;
    bool check_only;
};

/* What is here already; else from where the build would have it. */
static int find_base(struct use *u, const char *name, const struct platform *p,
                     struct found_image *ret, struct err *err)
{
    struct find_options here = { .platform = p, .offline = true };
    if (find_image(u->e, name, &here, ret, err) == 0 || u->o->offline)
        return err->code;
    err_clear(err);
    int64_t started = clock_mono_ms();
    AUTO(image_name_release) struct image_name n = { 0 };
    if (image_name_parse(name, &n, err) < 0)
        return err_wrap(err, "failed to parse stage name \"%s\"", name);
    AUTO(mem_free) char *canonical = image_name_canonical(&n);
    int v = vertex_begin(u->e, "[internal] load metadata for %s", canonical);
    struct find_options anywhere = { .platform = p, .vertex = v };
    int rc = find_image(u->e, name, &anywhere, ret, err);
    vertex_close(u->e, v, rc, started, err);
    return rc < 0 ? err_wrap(err, "%s: failed to resolve source metadata for %s", name, canonical)
                  : 0;
}

/* In a build, a base that cannot be found says nothing here: the build says why. */
static int base(void *arg, const char *name, const struct lint_platform *want,
                struct lint_base *ret, struct err *err)
{
    const struct use *u = arg;
    struct platform p;
    AUTO(found_image_release) struct found_image f = { 0 };
    if (platform_parse(want->shown, &p, err) < 0 || find_base(arg, name, &p, &f, err) < 0) {
        if (!u->check_only || err->code != ERR_CANCELLED)
            err->code = u->check_only ? ERR_USAGE : ERR_NOT_FOUND;
        return err->code;
    }
    strv_copy(&ret->env, &f.config.env);
    strv_copy(&ret->onbuild, &f.config.onbuild);
    ret->has_shell = f.config.shell.n > 0;
    lint_platform_of(&f.config.platform, &ret->platform);
    return 0;
}

/* NULL: there are no rules, or none that can be read (which the build says). */
static struct ignore *read_ignore(const struct build_options *o, const char *path, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    int rc = ERR_NOT_FOUND;
    if (path != NULL) {
        AUTO(mem_free) char *own = str_printf("%s.dockerignore", path);
        rc = file_read(AT_FDCWD, own, TEXT_MAX, &text, err);
    }
    if (rc == ERR_NOT_FOUND && o->context != NULL) {
        err_clear(err);
        AUTO(fd_close) int dir = dir_open(AT_FDCWD, o->context, err);
        rc = dir < 0 ? err->code : inroot_read(dir, ".dockerignore", TEXT_MAX, &text, err);
    }
    if (rc == ERR_NOT_FOUND)
        err_clear(err);
    if (rc < 0 || text.len == 0)
        return NULL;
    struct ignore *ig = ignore_parse(text.data, text.len, err);
    err->line = err->line_end = 0; /* of the ignore file, not of the Dockerfile */
    return ig;
}

static int run_lint(struct use *u, const struct buf *text, const struct ignore *ig,
                    const struct lint_check *check, struct lint_report *ret, struct err *err)
{
    struct platform host = platform_host();
    const struct platform *p = u->o->has_platform ? &u->o->platform : &host;
    struct lint_platform target;
    AUTO(strv_release) struct strv globals = STRV_INIT;
    lint_platform_of(p, &target);
    lint_add_globals(p, u->o->target, &globals);
    struct lint_options options = {
        .build_args = &u->o->build_args,
        .globals = &globals,
        .platform = &target,
        .target = u->o->target,
        .all_stages = u->check_only,
        .ask_all_bases = u->check_only,
        .ignore = ig,
        .arg = u,
        .base = base,
        .is_image_name = lint_is_image_name,
        .read_platform = lint_read_platform,
    };
    return lint(buf_str(text), text->len, check, &options, ret, err);
}

/* An ordinary build. */

static int tell(struct build *b, const struct lint_report *r)
{
    const struct progress *p = b->e->progress;
    for (size_t i = 0; p != NULL && p->warning != NULL && i < r->n; i++)
        p->warning(p->arg, r->v[i].rule, r->v[i].text, r->v[i].line);
    return 0;
}

static int lint_build(struct build *b, const char *path, struct err *err)
{
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    AUTO(lint_report_release) struct lint_report report = { .n = 0 };
    const struct buf *text = &b->result->dockerfile;
    struct use u = { .e = b->e, .o = b->o };
    struct err later = ERR_INIT; /* what the build says itself, when it comes there */
    if (lint_check_read(buf_str(text), text->len, &b->o->build_args, &check, err) < 0)
        return err->code;
    AUTO(ignore_free) struct ignore *ig = read_ignore(b->o, path, &later);
    err_clear(&later);
    int rc = run_lint(&u, text, ig, &check, &report, &later);
    tell(b, &report);
    if (rc < 0)
        return report.phase == LINT_FROM ? err_copy(err, &later) : 0;
    return lint_verdict(&check, &report, err);
}

int build_lint(struct build *b, const char *path, int v, int rc, int64_t started_ms,
               struct err *err)
{
    if (rc < 0)
        return vertex_close(b->e, v, rc, started_ms, err);
    rc = lint_build(b, path, err);
    vertex_close(b->e, v, 0, started_ms, err);
    return rc;
}

/* --check */

static int read_text(const struct build_options *o, struct check_result *ret, struct err *err)
{
    static const char *const names[] = { "Dockerfile", "dockerfile" };
    int rc = ERR_NOT_FOUND;
    if (o->dockerfile_text != NULL) {
        buf_add(&ret->text, o->dockerfile_text, o->dockerfile_len);
        ret->path = str_dup("Dockerfile");
        return 0;
    }
    if (o->dockerfile != NULL) {
        ret->path = str_dup(o->dockerfile);
        rc = file_read(AT_FDCWD, ret->path, TEXT_MAX, &ret->text, err);
    }
    for (size_t i = 0; o->dockerfile == NULL && i < ARRAY_LEN(names) && rc == ERR_NOT_FOUND; i++) {
        err_clear(err);
        mem_free(ret->path);
        AUTO(mem_free) char *whole = str_printf("%s/%s", o->context, names[i]);
        ret->path = path_clean(whole);
        rc = file_read(AT_FDCWD, ret->path, TEXT_MAX, &ret->text, err);
    }
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_USAGE,
                       "failed to read dockerfile: open %s: no such file or directory",
                       o->dockerfile != NULL ? path_base(o->dockerfile) : "Dockerfile");
    return rc < 0 ? err_wrap(err, "failed to read dockerfile") : 0;
}

static int load_text(struct use *u, struct check_result *ret, struct err *err)
{
    int v = vertex_begin(u->e, "[internal] load build definition from %s",
                         u->o->dockerfile != NULL ? path_base(u->o->dockerfile) : "Dockerfile");
    int64_t started = clock_mono_ms();
    int rc = read_text(u->o, ret, err);
    if (rc == 0)
        vertex_status(u->e, v, "transferring dockerfile:", ret->text.len, 0, true);
    return vertex_close(u->e, v, rc, started, err);
}

int engine_check(struct engine *e, const struct build_options *o, struct check_result *ret,
                 struct err *err)
{
    struct use u = { .e = e, .o = o, .check_only = true };
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    if (load_text(&u, ret, err) < 0 ||
        lint_check_read(buf_str(&ret->text), ret->text.len, &o->build_args, &check, err) < 0)
        return err->code;
    bool is_file = o->dockerfile_text == NULL;
    AUTO(ignore_free) struct ignore *ig = read_ignore(o, is_file ? ret->path : NULL, err);
    if (err->code != ERR_NONE)
        return err_wrap(err, "error reading .dockerignore");
    if (run_lint(&u, &ret->text, ig, &check, &ret->report, &ret->error) == 0)
        lint_verdict(&check, &ret->report, &ret->error);
    return 0;
}
