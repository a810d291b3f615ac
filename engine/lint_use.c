#include "engine/lint_use.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "engine/build_internal.h"
#include "engine/context_named.h"
#include "engine/contexts.h"
#include "engine/deliver_results.h"
#include "engine/load_dockerfile.h"
#include "engine/chmod.h"
#include "engine/engine_internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

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

/* In containerd's words, which end like this whatever is wrong. */
static int invalid_platform(const char *text, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *p = text;
    for (int i = 0; i < 4; i++) { /* the fourth part is all that is left */
        size_t whole = i < 3 ? strcspn(p, "/") : strlen(p);
        size_t n = strspn(p, allowed);
        if (n == 0 || n < whole)
            return err_set(
                err, ERR_USAGE,
                "\"%.*s\" is an invalid component of \"%s\": platform specifier component "
                "must match \"^[A-Za-z0-9_.-]+$\": invalid argument",
                (int)whole, p, text);
        p += whole;
        if (*p++ == '\0')
            break;
    }
    AUTO(mem_free) char *why = str_dup(err->msg);
    return err_set(err, err->code, "%s: invalid argument", why);
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

void lint_add_globals(const struct platform *target, struct strv *ret)
{
    struct platform host = platform_host();
    add_platform(ret, "BUILD", &host);
    add_platform(ret, "TARGET", target);
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

#define CONTEXT_IMAGE_PREFIX "docker-image://"

/* In a build, a base that cannot be found says nothing here: the build says why. */
static int base(void *arg, const char *name, const struct lint_platform *want,
                struct lint_base *ret, struct err *err)
{
    const struct use *u = arg;
    struct platform p;
    struct context_spec context;
    bool good = platform_parse(want->shown, &p, err) == 0;
    if (good && context_spec_find(&u->o->contexts, name, &p, &context)) {
        if (!str_starts(context.value, CONTEXT_IMAGE_PREFIX))
            return err_set(err, ERR_NOT_FOUND, "'%s' is no image", name);
        name = context.value + strlen(CONTEXT_IMAGE_PREFIX);
    }
    AUTO(found_image_release) struct found_image f = { 0 };
    if (!good || find_base(arg, name, &p, &f, err) < 0) {
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

static bool replaces(void *arg, const char *stage, const struct lint_platform *want)
{
    const struct use *u = arg;
    struct platform p;
    struct context_spec ignored_spec;
    struct err ignored = ERR_INIT;
    return platform_parse(want->shown, &p, &ignored) == 0 &&
           context_spec_find(&u->o->contexts, stage, &p, &ignored_spec);
}

/* What can be wrong in an instruction besides what its parser refuses. */
static int could_do(void *arg UNUSED, const struct instr *i, struct err *err)
{
    struct chmod_spec mode = { .set = false };
    struct state nothing;
    if ((i->kind == INSTR_COPY || i->kind == INSTR_ADD) && i->copy.chmod != NULL &&
        *i->copy.chmod != '\0')
        return chmod_parse(i->copy.chmod, &mode, err);
    if (i->kind == INSTR_EXPOSE)
        return expose_ports(&i->list, NULL, err);
    if (i->kind == INSTR_VOLUME || i->kind == INSTR_STOPSIGNAL) {
        state_init(&nothing);
        do_meta(&nothing, i, false, err);
        state_release(&nothing);
    }
    return err->code;
}

/* NULL: there are no rules, or none that can be read (which the build says). */
static struct ignore *read_ignore(const struct build_options *o, const char *path, struct err *err)
{
    AUTO(buf_release) struct buf text = BUF_INIT;
    if (o->context == NULL || !contexts_is_dir(o->context) ||
        contexts_read_ignore(o->context, path, &text, err) < 0 || text.len == 0)
        return NULL;
    struct ignore *ig = ignore_parse(text.data, text.len, err);
    err->line = err->line_end = 0; /* of the ignore file, not of the Dockerfile */
    return ig;
}

static int run_lint(struct use *u, const struct buf *text, const struct ignore *ig,
                    const struct lint_check *check, struct lint_report *ret, struct err *err)
{
    struct platform p = build_first_platform(u->o);
    struct lint_platform target;
    AUTO(strv_release) struct strv globals = STRV_INIT;
    lint_platform_of(&p, &target);
    lint_add_globals(&p, &globals);
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
        .replaces = replaces,
        .is_image_name = lint_is_image_name,
        .read_platform = lint_read_platform,
        .could_do = u->check_only ? could_do : NULL,
    };
    return lint(buf_str(text), text->len, check, &options, ret, err);
}

/* An ordinary build. */

static void tell(struct engine *e, const struct lint_report *r)
{
    const struct progress *p = e->progress;
    for (size_t i = 0; p != NULL && p->warning != NULL && i < r->n; i++)
        p->warning(p->arg, r->v[i].rule, r->v[i].text, r->v[i].line, r->v[i].line_end);
}

/* For the metadata file. */
static void keep(struct build *b, const struct lint_report *r)
{
    for (size_t i = 0; b->o->metadata_warnings && i < r->n; i++)
        deliver_warning(b, r->v[i].rule, r->v[i].text, r->v[i].line, r->v[i].line_end);
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
    tell(b->e, &report);
    keep(b, &report);
    if (rc < 0)
        return report.phase == LINT_FROM || report.too_large ? err_copy(err, &later) : 0;
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

void lint_found_base(const struct build_stage *st, const struct platform *found)
{
    static const char rule[] = "InvalidBaseImagePlatform";
    const struct progress *p = st->b->e->progress;
    const struct buf *text = &st->b->result->dockerfile;
    const struct instr *from = st->def->from;
    struct err ignored = ERR_INIT;
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    char was[64], wanted[64];
    if (p == NULL || p->warning == NULL || st->b->is_dry || found->os[0] == '\0' ||
        (str_eq(found->os, st->platform.os) && str_eq(found->arch, st->platform.arch)) ||
        lint_check_read(buf_str(text), text->len, &st->b->o->build_args, &check, &ignored) < 0 ||
        check.skip_all || strv_has(&check.skip, rule))
        return;
    AUTO(mem_free)
    char *said =
        str_printf("Base image %s was pulled with platform \"%s\", expected \"%s\" for "
                   "current build",
                   st->base, platform_format(found, was), platform_format(&st->platform, wanted));
    p->warning(p->arg, rule, said, from->line, from->line_end);
}

/* --check */

int lint_load(struct engine *e, const struct build_options *o, struct check_result *ret,
              struct err *err)
{
    int v;
    int64_t started = clock_mono_ms();
    int rc = dockerfile_load(e, o, ret, &v, err);
    return rc < 0 && v == 0 ? rc : vertex_close(e, v, rc, started, err);
}

static int lint_loaded(struct use *u, struct check_result *ret, struct err *err)
{
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    const struct build_options *o = u->o;
    if (lint_check_read(buf_str(&ret->text), ret->text.len, &o->build_args, &check, err) < 0)
        return err->code;
    struct err ignored = ERR_INIT; /* only files would be ignored */
    AUTO(ignore_free)
    struct ignore *ig = read_ignore(o, ret->is_file ? ret->path : NULL, &ignored);
    int rc = run_lint(u, &ret->text, ig, &check, &ret->report, err);
    tell(u->e, &ret->report);
    return rc < 0 ? rc : lint_verdict(&check, &ret->report, err);
}

int lint_target(struct engine *e, const struct build_options *o, struct check_result *ret,
                struct err *err)
{
    struct use u = { .e = e, .o = o };
    int v;
    int64_t started = clock_mono_ms();
    int rc = dockerfile_load(e, o, ret, &v, err);
    if (rc < 0)
        return v == 0 ? rc : vertex_close(e, v, rc, started, err);
    rc = lint_loaded(&u, ret, err);
    vertex_close(e, v, 0, started, err);
    return rc;
}

int engine_check(struct engine *e, const struct build_options *o, struct check_result *ret,
                 struct err *err)
{
    struct use u = { .e = e, .o = o, .check_only = true };
    AUTO(lint_check_release) struct lint_check check = { .error = false };
    if (lint_load(e, o, ret, err) < 0 ||
        lint_check_read(buf_str(&ret->text), ret->text.len, &o->build_args, &check, err) < 0)
        return err->code;
    AUTO(ignore_free) struct ignore *ig = read_ignore(o, ret->is_file ? ret->path : NULL, err);
    if (err->code != ERR_NONE)
        return err_wrap(err, "error reading .dockerignore");
    if (run_lint(&u, &ret->text, ig, &check, &ret->report, &ret->error) == 0)
        lint_verdict(&check, &ret->report, &ret->error);
    return 0;
}
