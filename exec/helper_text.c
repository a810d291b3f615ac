#include "exec/helper_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void helper_order_release(struct helper_order *o)
{
    mem_free(o->dir);
    mem_free(o->upper);
    mem_free(o->cwd);
    mem_free(o->cgroup);
    mem_free(o->seal);
    strv_release(&o->lowers);
    strv_release(&o->runtime);
    for (size_t i = 0; i < o->n_mounts; i++) {
        struct helper_mount *m = &o->mounts[i];
        mem_free(m->source);
        mem_free(m->below);
        mem_free(m->name);
        mem_free(m->target);
        strv_release(&m->lowers);
    }
    mem_free(o->mounts);
    memset(o, 0, sizeof(*o));
}

struct helper_mount *helper_order_add(struct helper_order *o, enum helper_mount_kind kind,
                                      const char *target)
{
    o->mounts = mem_grow(o->mounts, o->n_mounts + 1, sizeof(*o->mounts));
    struct helper_mount *m = &o->mounts[o->n_mounts++];
    *m = (struct helper_mount){ .kind = kind, .target = str_dup(target), .makes_stub = true };
    return m;
}

static void put(struct buf *b, const char *s)
{
    s = s ? s : "";
    buf_add(b, s, strlen(s) + 1);
}

static void put_int(struct buf *b, long n)
{
    char text[24];

    snprintf(text, sizeof(text), "%ld", n);
    put(b, text);
}

static void put_list(struct buf *b, const struct strv *v)
{
    put_int(b, (long)v->n);
    for (size_t i = 0; i < v->n; i++)
        put(b, v->v[i]);
}

void helper_order_write(const struct helper_order *o, struct buf *b)
{
    put(b, o->dir);
    put(b, o->upper);
    put(b, o->cwd);
    put(b, o->cgroup);
    put_int(b, (long)o->n_config);
    put_list(b, &o->lowers);
    put_list(b, &o->runtime);
    put_int(b, o->no_devices);
    put_int(b, (long)o->n_observed);
    put(b, o->seal);
    put_int(b, (long)o->n_mounts);
    for (size_t i = 0; i < o->n_mounts; i++) {
        const struct helper_mount *m = &o->mounts[i];
        put_int(b, (long)m->kind);
        put(b, m->source);
        put(b, m->below);
        put_list(b, &m->lowers);
        put(b, m->name);
        put(b, m->target);
        put_int(b, m->read_only);
        put_int(b, m->makes_stub);
        put_int(b, (long)m->n_bytes);
        put_int(b, m->mode);
        put_int(b, m->uid);
        put_int(b, m->gid);
    }
}

/* What is left to read; a text that ends too early leaves p NULL, and everything after it empty. */
struct text {
    const char *p;
    size_t n;
};

static const char *take(struct text *t)
{
    const char *s = t->p;
    const char *end = s ? memchr(s, '\0', t->n) : NULL;

    if (end == NULL) {
        t->p = NULL;
        return "";
    }
    t->n -= (size_t)(end + 1 - s);
    t->p = end + 1;
    return s;
}

static long take_int(struct text *t)
{
    return strtol(take(t), NULL, 10);
}

static void take_list(struct text *t, struct strv *v)
{
    for (long n = take_int(t); n > 0 && t->p != NULL; n--)
        strv_add(v, take(t));
}

static void take_mount(struct text *t, struct helper_order *o)
{
    struct helper_mount *m = helper_order_add(o, (enum helper_mount_kind)take_int(t), "");

    m->source = str_dup(take(t));
    m->below = str_dup(take(t));
    take_list(t, &m->lowers);
    m->name = str_dup(take(t));
    mem_free(m->target);
    m->target = str_dup(take(t));
    m->read_only = take_int(t) != 0;
    m->makes_stub = take_int(t) != 0;
    m->n_bytes = (uint64_t)take_int(t);
    m->mode = (unsigned)take_int(t);
    m->uid = (uint32_t)take_int(t);
    m->gid = (uint32_t)take_int(t);
}

static int check_end(const struct text *t, const char *what, struct err *err)
{
    if (t->p == NULL || t->n != 0)
        return err_set(err, ERR_CORRUPT, "%s is damaged", what);
    return 0;
}

int helper_order_read(const char *p, size_t n, struct helper_order *ret, struct err *err)
{
    struct text t = { .p = p, .n = n };
    AUTO(helper_order_release) struct helper_order o = { .dir = str_dup(take(&t)) };

    o.upper = str_dup(take(&t));
    o.cwd = str_dup(take(&t));
    o.cgroup = str_dup(take(&t));
    o.n_config = (uint64_t)take_int(&t);
    take_list(&t, &o.lowers);
    take_list(&t, &o.runtime);
    o.no_devices = take_int(&t) != 0;
    o.n_observed = (uint64_t)take_int(&t);
    o.seal = str_dup(take(&t));
    for (long left = take_int(&t); left > 0 && t.p != NULL; left--)
        take_mount(&t, &o);
    if (check_end(&t, "the helper's order", err) < 0)
        return err->code;
    *ret = o;
    memset(&o, 0, sizeof(o));
    return 0;
}

void helper_report_release(struct helper_report *r)
{
    strv_release(&r->stubs);
}

void helper_report_write(const struct helper_report *r, struct buf *b)
{
    put_int(b, (long)r->failed.code);
    put_int(b, r->failed.sys);
    put(b, r->failed.msg);
    put_int(b, r->status);
    put_list(b, &r->stubs);
    put_int(b, r->unsealed);
}

int helper_report_read(const char *p, size_t n, struct helper_report *ret, struct err *err)
{
    struct text t = { .p = p, .n = n };
    AUTO(helper_report_release) struct helper_report r = { .status = 0 };

    r.failed.code = (enum err_code)take_int(&t);
    r.failed.sys = (int)take_int(&t);
    snprintf(r.failed.msg, sizeof(r.failed.msg), "%s", take(&t));
    r.status = (int)take_int(&t);
    take_list(&t, &r.stubs);
    r.unsealed = (int)take_int(&t);
    if (check_end(&t, "the helper's report", err) < 0)
        return err->code;
    *ret = r;
    r.stubs = (struct strv)STRV_INIT;
    return 0;
}
