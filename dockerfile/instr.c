#include "dockerfile/instr.h"
#include "dockerfile/instr_internal.h"
#include <string.h>

const char *instr_kind_name(enum instr_kind kind)
{
    static const char *const names[INSTR_KINDS] = {
        [INSTR_ADD] = "ADD",
        [INSTR_ARG] = "ARG",
        [INSTR_CMD] = "CMD",
        [INSTR_COPY] = "COPY",
        [INSTR_ENTRYPOINT] = "ENTRYPOINT",
        [INSTR_ENV] = "ENV",
        [INSTR_EXPOSE] = "EXPOSE",
        [INSTR_FROM] = "FROM",
        [INSTR_HEALTHCHECK] = "HEALTHCHECK",
        [INSTR_LABEL] = "LABEL",
        [INSTR_MAINTAINER] = "MAINTAINER",
        [INSTR_ONBUILD] = "ONBUILD",
        [INSTR_RUN] = "RUN",
        [INSTR_SHELL] = "SHELL",
        [INSTR_STOPSIGNAL] = "STOPSIGNAL",
        [INSTR_USER] = "USER",
        [INSTR_VOLUME] = "VOLUME",
        [INSTR_WORKDIR] = "WORKDIR",
    };
    return names[kind];
}

static void files_release(struct instr_files *f)
{
    for (size_t i = 0; i < f->n; i++) {
        mem_free(f->v[i].name);
        mem_free(f->v[i].data);
    }
    mem_free(f->v);
}

static void copy_release(struct instr_copy *c)
{
    strv_release(&c->sources);
    files_release(&c->files);
    mem_free(c->dest);
    mem_free(c->from);
    mem_free(c->chown);
    mem_free(c->chmod);
    mem_free(c->checksum);
    strv_release(&c->exclude);
}

static void pairs_release(struct instr_pairs *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->v[i].key);
        mem_free(p->v[i].value);
        mem_free(p->v[i].comment);
    }
    mem_free(p->v);
}

static void run_release(struct instr_run *r)
{
    strv_release(&r->cmd.args);
    files_release(&r->files);
    strv_release(&r->mount_specs);
    for (size_t i = 0; i < r->n_mounts; i++)
        run_mount_release(&r->mounts[i]);
    mem_free(r->mounts);
    for (size_t i = 0; i < r->n_devices; i++)
        run_device_release(&r->devices[i]);
    mem_free(r->devices);
    strv_release(&r->flags_used);
}

static void from_release(struct instr_from *f)
{
    mem_free(f->base);
    mem_free(f->name);
    mem_free(f->name_as_written);
    mem_free(f->as_keyword);
    mem_free(f->platform);
    mem_free(f->comment);
}

static void body_release(struct instr *i)
{
    switch (i->kind) {
    case INSTR_ADD:
    case INSTR_COPY:
        copy_release(&i->copy);
        break;
    case INSTR_ARG:
    case INSTR_ENV:
    case INSTR_LABEL:
        pairs_release(&i->pairs);
        break;
    case INSTR_RUN:
        run_release(&i->run);
        break;
    case INSTR_CMD:
    case INSTR_ENTRYPOINT:
        strv_release(&i->cmd.args);
        break;
    case INSTR_FROM:
        from_release(&i->from);
        break;
    case INSTR_HEALTHCHECK:
        strv_release(&i->health.test);
        break;
    case INSTR_EXPOSE:
    case INSTR_SHELL:
    case INSTR_VOLUME:
        strv_release(&i->list);
        break;
    default:
        mem_free(i->value);
        break;
    }
}

void instr_free(struct instr *i)
{
    if (i == NULL)
        return;
    body_release(i);
    mem_free(i->keyword);
    mem_free(i->text);
    strv_release(&i->comments);
    strv_release(&i->flags);
    mem_free(i);
}

static void files_copy(struct instr_files *dst, const struct instr_files *src)
{
    *dst = (struct instr_files){ .v = NULL };
    if (src->n == 0)
        return;
    dst->v = mem_calloc(src->n, sizeof(*dst->v));
    dst->n = src->n;
    for (size_t i = 0; i < src->n; i++) {
        dst->v[i] = src->v[i];
        dst->v[i].name = str_dup(src->v[i].name);
        dst->v[i].data = str_dup(src->v[i].data);
    }
}

static void list_copy(struct strv *dst, const struct strv *src)
{
    *dst = (struct strv)STRV_INIT;
    strv_copy(dst, src);
}

static void copy_copy(struct instr_copy *dst, const struct instr_copy *src)
{
    *dst = *src;
    list_copy(&dst->sources, &src->sources);
    files_copy(&dst->files, &src->files);
    dst->dest = str_dup(src->dest);
    dst->from = str_dup(src->from);
    dst->chown = str_dup(src->chown);
    dst->chmod = str_dup(src->chmod);
    dst->checksum = str_dup(src->checksum);
    list_copy(&dst->exclude, &src->exclude);
}

static void pairs_copy(struct instr_pairs *dst, const struct instr_pairs *src)
{
    *dst = (struct instr_pairs){ .v = mem_calloc(src->n, sizeof(*dst->v)), .n = src->n };
    for (size_t i = 0; i < src->n; i++) {
        dst->v[i] = src->v[i];
        dst->v[i].key = str_dup(src->v[i].key);
        dst->v[i].value = str_dup(src->v[i].value);
        dst->v[i].comment = str_dup(src->v[i].comment);
    }
}

static void run_copy(struct instr_run *dst, const struct instr_run *src)
{
    *dst = *src;
    list_copy(&dst->cmd.args, &src->cmd.args);
    files_copy(&dst->files, &src->files);
    list_copy(&dst->mount_specs, &src->mount_specs);
    list_copy(&dst->flags_used, &src->flags_used);
    dst->mounts = src->n_mounts > 0 ? mem_calloc(src->n_mounts, sizeof(*dst->mounts)) : NULL;
    for (size_t i = 0; i < src->n_mounts; i++)
        run_mount_copy(&dst->mounts[i], &src->mounts[i]);
    dst->devices = src->n_devices > 0 ? mem_calloc(src->n_devices, sizeof(*dst->devices)) : NULL;
    for (size_t i = 0; i < src->n_devices; i++) {
        dst->devices[i] = src->devices[i];
        dst->devices[i].name = str_dup(src->devices[i].name);
    }
}

static void from_copy(struct instr_from *dst, const struct instr_from *src)
{
    dst->base = str_dup(src->base);
    dst->name = str_dup(src->name);
    dst->name_as_written = str_dup(src->name_as_written);
    dst->as_keyword = str_dup(src->as_keyword);
    dst->platform = str_dup(src->platform);
    dst->comment = str_dup(src->comment);
}

static void body_copy(struct instr *dst, const struct instr *src)
{
    switch (src->kind) {
    case INSTR_ADD:
    case INSTR_COPY:
        copy_copy(&dst->copy, &src->copy);
        break;
    case INSTR_ARG:
    case INSTR_ENV:
    case INSTR_LABEL:
        pairs_copy(&dst->pairs, &src->pairs);
        break;
    case INSTR_RUN:
        run_copy(&dst->run, &src->run);
        break;
    case INSTR_CMD:
    case INSTR_ENTRYPOINT:
        list_copy(&dst->cmd.args, &src->cmd.args);
        break;
    case INSTR_FROM:
        from_copy(&dst->from, &src->from);
        break;
    case INSTR_HEALTHCHECK:
        list_copy(&dst->health.test, &src->health.test);
        break;
    case INSTR_EXPOSE:
    case INSTR_SHELL:
    case INSTR_VOLUME:
        list_copy(&dst->list, &src->list);
        break;
    default:
        dst->value = str_dup(src->value);
        break;
    }
}

struct instr *instr_copy_of(const struct instr *i)
{
    struct instr *copy = mem_alloc(sizeof(*copy));
    *copy = *i;
    copy->keyword = str_dup(i->keyword);
    copy->text = str_dup(i->text);
    list_copy(&copy->comments, &i->comments);
    list_copy(&copy->flags, &i->flags);
    body_copy(copy, i);
    return copy;
}
