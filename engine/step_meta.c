/* Instructions that change the configuration only. */
#include "engine/build_internal.h"

#include <stdlib.h>
#include <string.h>

static int meta_env(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    for (size_t k = 0; k < i->pairs.n; k++) {
        env_set(&s->config.env, i->pairs.v[k].key, i->pairs.v[k].value);
        env_set(&s->env, i->pairs.v[k].key, i->pairs.v[k].value);
    }
    return 0;
}

static int meta_label(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    for (size_t k = 0; k < i->pairs.n; k++)
        map_set(s->config.labels, i->pairs.v[k].key, str_dup(i->pairs.v[k].value));
    return 0;
}

static void shell_or_exec(const struct state *s, const struct instr_cmdline *c, struct strv *ret)
{
    strv_clear(ret);
    if (!c->shell) {
        strv_copy(ret, &c->args);
        return;
    }
    if (s->config.shell.n > 0) {
        strv_copy(ret, &s->config.shell);
    } else {
        strv_add(ret, "/bin/sh");
        strv_add(ret, "-c");
    }
    AUTO(mem_free) char *line = strv_join(&c->args, " ");
    strv_add(ret, line);
}

static int meta_cmd(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    shell_or_exec(s, &i->cmd, &s->config.cmd);
    s->config.has_cmd = true;
    s->config.args_escaped = true;
    s->cmd_set = true;
    return 0;
}

static int meta_entrypoint(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    shell_or_exec(s, &i->cmd, &s->config.entrypoint);
    s->config.has_entrypoint = true;
    if (!s->cmd_set) {
        strv_clear(&s->config.cmd);
        s->config.has_cmd = false;
    }
    return 0;
}

/* "80", "80/udp", "100-102/tcp", "ip:host:container" as Docker still takes it. */
static int expose_word(const char *word, struct strv *ret, struct err *err)
{
    const char *colon = strrchr(word, ':');
    const char *spec = colon ? colon + 1 : word;
    AUTO(mem_free) char *ports = str_dup(spec);
    char *proto = strchr(ports, '/');
    if (proto != NULL)
        *proto++ = '\0';
    char *end;
    long first = strtol(ports, &end, 10), last = first;
    bool good = end != ports;
    if (good && *end == '-') {
        char *from = end + 1;
        last = strtol(from, &end, 10);
        good = end != from;
    }
    if (!good || *end != '\0' || first < 0 || last < first || last > 65535)
        return err_set(err, ERR_USAGE, "invalid containerPort: %s", word);
    AUTO(mem_free) char *lower = str_dup(proto && *proto ? proto : "tcp");
    for (char *p = lower; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    if (!str_eq(lower, "tcp") && !str_eq(lower, "udp") && !str_eq(lower, "sctp"))
        return err_set(err, ERR_USAGE, "invalid proto: %s", proto);
    for (long port = first; port <= last; port++)
        strv_addf(ret, "%ld/%s", port, lower);
    return 0;
}

int expose_ports(const struct strv *words, struct strv *ret, struct err *err)
{
    strv_clear(ret);
    for (size_t k = 0; k < words->n; k++)
        if (expose_word(words->v[k], ret, err) < 0)
            return err->code;
    strv_sort(ret);
    return 0;
}

static int meta_expose(struct state *s, const struct instr *i, struct err *err)
{
    AUTO(strv_release) struct strv ports = STRV_INIT;
    if (expose_ports(&i->list, &ports, err) < 0)
        return err->code;
    for (size_t k = 0; k < ports.n; k++)
        map_set(s->config.ports, ports.v[k], s);
    return 0;
}

static int meta_volume(struct state *s, const struct instr *i, struct err *err)
{
    for (size_t k = 0; k < i->list.n; k++) {
        if (i->list.v[k][0] == '\0')
            return err_set(err, ERR_USAGE, "VOLUME specified can not be an empty string");
        map_set(s->config.volumes, i->list.v[k], s);
    }
    return 0;
}

static int meta_shell(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    strv_copy(&s->config.shell, &i->list);
    return 0;
}

static int meta_user(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    mem_free(s->config.user);
    s->config.user = str_dup(i->value);
    return 0;
}

static int meta_stopsignal(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    mem_free(s->config.stop_signal);
    s->config.stop_signal = str_dup(i->value);
    return 0;
}

static int meta_maintainer(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    mem_free(s->config.author);
    s->config.author = str_dup(i->value);
    return 0;
}

static int meta_onbuild(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    strv_add(&s->config.onbuild, i->value);
    return 0;
}

static int meta_healthcheck(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    struct healthcheck *h = &s->config.healthcheck;
    s->config.has_healthcheck = true;
    strv_copy(&h->test, &i->health.test);
    h->interval = i->health.interval;
    h->timeout = i->health.timeout;
    h->start_period = i->health.start_period;
    h->start_interval = i->health.start_interval;
    h->retries = i->health.retries;
    return 0;
}

static int (*const metas[INSTR_KINDS])(struct state *, const struct instr *, struct err *) = {
    [INSTR_ENV] = meta_env,
    [INSTR_LABEL] = meta_label,
    [INSTR_CMD] = meta_cmd,
    [INSTR_ENTRYPOINT] = meta_entrypoint,
    [INSTR_EXPOSE] = meta_expose,
    [INSTR_VOLUME] = meta_volume,
    [INSTR_SHELL] = meta_shell,
    [INSTR_USER] = meta_user,
    [INSTR_STOPSIGNAL] = meta_stopsignal,
    [INSTR_MAINTAINER] = meta_maintainer,
    [INSTR_ONBUILD] = meta_onbuild,
    [INSTR_HEALTHCHECK] = meta_healthcheck,
};

bool is_meta(enum instr_kind kind)
{
    return metas[kind] != NULL;
}

int do_meta(struct state *s, const struct instr *i, bool history, struct err *err)
{
    if (metas[i->kind](s, i, err) < 0)
        return err_at(err, i->line, i->line_end);
    if (!history || i->kind == INSTR_ONBUILD)
        return 0; /* BuildKit writes none for ONBUILD either */
    AUTO(buf_release) struct buf text = BUF_INIT;
    created_by_meta(&text, i, s);
    state_add_history(s, buf_str(&text), false, 0);
    return 0;
}
