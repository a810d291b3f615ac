/* Instructions that change the configuration only. */
#include "engine/build_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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
    s->config.has_cmd = s->config.cmd.n > 0; /* "[]" is not written */
    s->config.args_escaped = true;
    s->cmd_set = true;
    return 0;
}

static int meta_entrypoint(struct state *s, const struct instr *i, struct err *err UNUSED)
{
    shell_or_exec(s, &i->cmd, &s->config.entrypoint);
    s->config.has_entrypoint = s->config.entrypoint.n > 0;
    if (!s->cmd_set) {
        strv_clear(&s->config.cmd);
        s->config.has_cmd = false;
    }
    return 0;
}

#define PORTS_MAX 200000 /* of one instruction; there are 65,536 of each protocol */

/* "80" or "80-90"; false when it is neither. */
static bool port_range(const char *text, long *ret_first, long *ret_last)
{
    char *end;
    *ret_first = *ret_last = strtol(text, &end, 10);
    if (end == text)
        return false;
    if (*end == '-') {
        const char *from = end + 1;
        *ret_last = strtol(from, &end, 10);
        if (end == from)
            return false;
    }
    return *end == '\0' && *ret_first >= 0 && *ret_last >= *ret_first && *ret_last <= 65535;
}

/* "8080" of "ip:8080:80" counts for nothing, but has to be a port. */
static int check_host_port(char *spec, const char *port, long n_ports, struct err *err)
{
    char *colon = strrchr(spec, ':');
    const char *host = colon ? colon + 1 : spec;
    long first, last;
    if (*host == '\0')
        return 0;
    if (!port_range(host, &first, &last))
        return err_set(err, ERR_USAGE, "invalid hostPort: %s", host);
    if (n_ports > 1 && last - first + 1 != n_ports)
        return err_set(err, ERR_USAGE,
                       "invalid ranges specified for container and host Ports: %s and %s", port,
                       host);
    return 0;
}

/* What stands before the last two colons: an address, an IPv6 one in brackets or not. */
static int check_address(const char *spec, struct err *err)
{
    const char *colon = strrchr(spec, ':');
    unsigned char ignored[sizeof(struct in6_addr)];
    if (colon == NULL || colon == spec)
        return 0;
    size_t n = (size_t)(colon - spec);
    bool bracketed = n > 1 && spec[0] == '[' && spec[n - 1] == ']';
    AUTO(mem_free) char *ip = bracketed ? str_ndup(spec + 1, n - 2) : str_ndup(spec, n);
    if (inet_pton(AF_INET, ip, ignored) == 1 || inet_pton(AF_INET6, ip, ignored) == 1)
        return 0;
    return err_set(err, ERR_USAGE, "invalid IP address: %s", ip);
}

/* "80", "80/udp", "100-102/tcp", "ip:host:container" as Docker still takes it. */
static int expose_word(const char *word, struct strv *ret, struct err *err)
{
    AUTO(mem_free) char *spec = str_dup(word);
    char *proto = strchr(spec, '/');
    if (proto != NULL)
        *proto++ = '\0';
    AUTO(mem_free) char *lower = str_dup(proto && *proto ? proto : "tcp");
    for (char *p = lower; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    if (!str_eq(lower, "tcp") && !str_eq(lower, "udp") && !str_eq(lower, "sctp"))
        return err_set(err, ERR_USAGE, "invalid port: \"%s\": invalid proto: %s", word, proto);
    char *colon = strrchr(spec, ':');
    long first, last;
    if (colon != NULL) {
        *colon = '\0';
        if (check_address(spec, err) < 0)
            return err->code;
    }
    const char *port = colon != NULL ? colon + 1 : spec;
    if (*port == '\0')
        return err_set(err, ERR_USAGE, "invalid port: \"%s\": no port specified", word);
    if (!port_range(port, &first, &last))
        return err_set(err, ERR_USAGE, "invalid containerPort: %s", port);
    if (colon != NULL && check_host_port(spec, port, last - first + 1, err) < 0)
        return err->code;
    if (ret == NULL)
        return 0;
    if (ret->n + (size_t)(last - first + 1) > PORTS_MAX)
        return err_set(err, ERR_USAGE, "EXPOSE has more than %d ports", PORTS_MAX);
    for (long p = first; p <= last; p++)
        strv_addf(ret, "%ld/%s", p, lower);
    return 0;
}

int expose_ports(const struct strv *words, struct strv *ret, struct err *err)
{
    if (ret != NULL)
        strv_clear(ret);
    for (size_t k = 0; k < words->n; k++)
        if (expose_word(words->v[k], ret, err) < 0)
            return err->code;
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

/* Names without "SIG", in any case of letters; those of Linux on every machine. */
static bool is_signal(const char *word)
{
    static const char *const names[] = {
        "ABRT", "ALRM", "BUS",  "CHLD",   "CLD",   "CONT", "FPE",  "HUP",   "ILL",
        "INT",  "IO",   "IOT",  "KILL",   "PIPE",  "POLL", "PROF", "PWR",   "QUIT",
        "SEGV", "STOP", "SYS",  "STKFLT", "TERM",  "TRAP", "TSTP", "TTIN",  "TTOU",
        "URG",  "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
    };
    char *end;
    long n = strtol(word, &end, 10);
    if (end != word && *end == '\0')
        return n != 0;
    const char *bare = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        if (strcasecmp(bare, names[k]) == 0)
            return true;
    bool from_min = strncasecmp(bare, "RTMIN+", 6) == 0;
    if (!from_min && strncasecmp(bare, "RTMAX-", 6) != 0)
        return false;
    n = strtol(bare + 6, &end, 10);
    return bare[6] >= '1' && bare[6] <= '9' && *end == '\0' && n <= (from_min ? 15 : 14);
}

static int meta_stopsignal(struct state *s, const struct instr *i, struct err *err)
{
    if (!is_signal(i->value))
        return err_set(err, ERR_USAGE, "invalid signal: %s", i->value);
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
