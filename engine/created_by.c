/*
 * History texts. The forms are BuildKit's, seen in images that it made:
 * "RUN |1 A=b /bin/sh -c cmd", "CMD [\"a\" \"b\"]" (Go's %q of a list),
 * "EXPOSE [80/tcp]" (Go's %v).
 */
#include "dockerfile/quote.h"
#include "engine/build_internal.h"

#include "remote/url.h"

#include <stdio.h>
#include <string.h>

static void quoted_list(struct buf *b, const char *head, const struct strv *v)
{
    buf_addf(b, "%s[", head);
    for (size_t i = 0; i < v->n; i++) {
        if (i > 0)
            buf_addc(b, ' ');
        text_quote(b, v->v[i]);
    }
    buf_addc(b, ']');
}

static void plain_list(struct buf *b, const char *head, const struct strv *v)
{
    AUTO(mem_free) char *joined = strv_join(v, " ");
    buf_addf(b, "%s [%s]", head, joined);
}

static void exposed(struct buf *b, const struct instr *i)
{
    AUTO(strv_release) struct strv ports = STRV_INIT;
    struct err ignored = ERR_INIT; /* the step itself has refused bad ones */
    expose_ports(&i->list, &ports, &ignored);
    plain_list(b, instr_kind_name(i->kind), &ports);
}

static void pairs(struct buf *b, const char *head, const struct instr_pairs *p)
{
    buf_adds(b, head);
    for (size_t i = 0; i < p->n; i++) {
        buf_addf(b, " %s", p->v[i].key);
        if (p->v[i].value != NULL)
            buf_addf(b, "=%s", p->v[i].value);
    }
}

/* Each name once, at its first place, with what the environment says it is now. */
static void arg_values(const struct state *s, struct strv *ret)
{
    for (size_t i = 0; i < s->n_args; i++) {
        const char *now = env_get(&s->env, s->args[i].key);
        if (now == NULL)
            now = s->args[i].value ? s->args[i].value : "";
        env_set(ret, s->args[i].key, now);
    }
}

void created_by_run(struct buf *b, const struct state *s, const struct strv *argv)
{
    AUTO(strv_release) struct strv args = STRV_INIT;
    arg_values(s, &args);
    buf_adds(b, "RUN");
    if (args.n > 0)
        buf_addf(b, " |%zu", args.n);
    for (size_t i = 0; i < args.n; i++)
        buf_addf(b, " %s", args.v[i]);
    for (size_t i = 0; i < argv->n; i++)
        buf_addf(b, " %s", argv->v[i]);
    buf_adds(b, " # buildkit");
}

void created_by_copy(struct buf *b, const struct instr *i)
{
    const struct instr_copy *c = &i->copy;
    buf_adds(b, instr_kind_name(i->kind));
    if (c->parents)
        buf_adds(b, " --parents");
    if (c->chown != NULL && *c->chown)
        buf_addf(b, " --chown=%s", c->chown);
    if (c->chmod != NULL && *c->chmod)
        buf_addf(b, " --chmod=%s", c->chmod);
    for (size_t k = 0; k < c->sources.n; k++) {
        AUTO(mem_free) char *source = url_redact(c->sources.v[k]);
        buf_addf(b, " %s", source);
    }
    for (size_t k = 0; k < c->files.n; k++)
        buf_addf(b, " <<%s", c->files.v[k].name);
    buf_addf(b, " %s # buildkit", c->dest);
}

/* Go's time.Duration.String for whole and part seconds. */
static void duration(struct buf *b, int64_t ns)
{
    if (ns == 0) {
        buf_adds(b, "0s");
        return;
    }
    if (ns < 1000000000) {
        buf_addf(b, "%gms", (double)ns / 1e6);
        return;
    }
    int64_t s = ns / 1000000000, h = s / 3600, m = s / 60 % 60;
    if (h > 0)
        buf_addf(b, "%lldh", (long long)h);
    if (h > 0 || m > 0)
        buf_addf(b, "%lldm", (long long)m);
    buf_addf(b, "%.10gs", (double)(s % 60) + (double)(ns % 1000000000) / 1e9);
}

/* A number as Go's %q writes it: the character in single quotes. */
static void quoted_rune(struct buf *b, uint32_t r)
{
    char text[8] = "\xC0\x80";
    if (r >= 0x110000 || (r >= 0xD800 && r < 0xE000))
        r = 0xFFFD;
    if (r >= 0x10000)
        snprintf(text, sizeof(text), "%c%c%c%c", 0xF0 | r >> 18, 0x80 | (r >> 12 & 0x3F),
                 0x80 | (r >> 6 & 0x3F), 0x80 | (r & 0x3F));
    else if (r >= 0x800)
        snprintf(text, sizeof(text), "%c%c%c", 0xE0 | r >> 12, 0x80 | (r >> 6 & 0x3F),
                 0x80 | (r & 0x3F));
    else if (r >= 0x80)
        snprintf(text, sizeof(text), "%c%c", 0xC0 | r >> 6, 0x80 | (r & 0x3F));
    else if (r > 0)
        snprintf(text, sizeof(text), "%c", r);
    AUTO(buf_release) struct buf quoted = BUF_INIT;
    text_quote(&quoted, text);
    const char *inside = buf_str(&quoted) + 1;
    buf_addc(b, '\'');
    if (r == '"' || r == '\'')
        buf_adds(b, r == '"' ? "\"" : "\\'");
    else
        buf_add(b, inside, strlen(inside) - 1);
    buf_addc(b, '\'');
}

static void healthcheck(struct buf *b, const struct instr_healthcheck *h)
{
    quoted_list(b, "HEALTHCHECK &{", &h->test);
    const int64_t times[] = { h->interval, h->timeout, h->start_period, h->start_interval };
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        buf_adds(b, " \"");
        duration(b, times[i]);
        buf_addc(b, '"');
    }
    buf_adds(b, " ");
    quoted_rune(b, (uint32_t)h->retries);
    buf_addc(b, '}');
}

static void cmdline(struct buf *b, const struct instr *i, const struct state *s)
{
    const struct strv *v = i->kind == INSTR_CMD ? &s->config.cmd : &s->config.entrypoint;
    buf_addf(b, "%s ", instr_kind_name(i->kind));
    quoted_list(b, "", v);
}

void created_by_meta(struct buf *b, const struct instr *i, const struct state *s)
{
    switch (i->kind) {
    case INSTR_ENV:
    case INSTR_LABEL:
    case INSTR_ARG:
        pairs(b, instr_kind_name(i->kind), &i->pairs);
        break;
    case INSTR_CMD:
    case INSTR_ENTRYPOINT:
        cmdline(b, i, s);
        break;
    case INSTR_EXPOSE:
        exposed(b, i);
        break;
    case INSTR_VOLUME:
    case INSTR_SHELL:
        plain_list(b, instr_kind_name(i->kind), &i->list);
        break;
    case INSTR_HEALTHCHECK:
        healthcheck(b, &i->health);
        break;
    default:
        buf_addf(b, "%s %s", instr_kind_name(i->kind), i->value);
        break;
    }
}
