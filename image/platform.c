#include "image/platform.h"

#include "base/mem.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

/* How a pair of architecture and variant is really written; variant NULL: any, which stays. */
static const struct alias {
    const char *arch, *variant;
    const char *to_arch, *to_variant;
} aliases[] = {
    { "i386", NULL, "386", "" },        { "x86_64", "v1", "amd64", "" },
    { "x86_64", NULL, "amd64", NULL },  { "x86-64", "v1", "amd64", "" },
    { "x86-64", NULL, "amd64", NULL },  { "amd64", "v1", "amd64", "" },
    { "aarch64", "8", "arm64", "" },    { "aarch64", "v8", "arm64", "" },
    { "aarch64", NULL, "arm64", NULL }, { "arm64", "8", "arm64", "" },
    { "arm64", "v8", "arm64", "" },     { "armhf", NULL, "arm", "v7" },
    { "armel", NULL, "arm", "v6" },     { "arm", "", "arm", "v7" },
    { "arm", "5", "arm", "v5" },        { "arm", "6", "arm", "v6" },
    { "arm", "7", "arm", "v7" },        { "arm", "8", "arm", "v8" },
};

static const char *const known_os[] = {
    "aix",   "android", "darwin",  "dragonfly", "freebsd", "illumos", "ios",     "js",
    "linux", "netbsd",  "openbsd", "plan9",     "solaris", "wasip1",  "windows", "zos",
};

static const char *const known_arch[] = {
    "386",   "amd64",    "arm",     "arm64",   "loong64", "mips",   "mipsle", "mips64",
    "ppc64", "mips64le", "ppc64le", "riscv64", "s390x",   "wasm",   "ppc",    "riscv",
    "s390",  "armhf",    "armel",   "aarch64", "x86_64",  "x86-64", "i386",
};

/* What uname calls machines that Go calls otherwise. */
static const struct machine {
    const char *machine, *arch, *variant;
} machines[] = {
    { "armv5", "arm", "v5" },         { "armv6", "arm", "v6" }, { "armv7", "arm", "v7" },
    { "armv8", "arm", "v8" },         { "i586", "386", "" },    { "i686", "386", "" },
    { "loongarch64", "loong64", "" },
};

static bool in_list(const char *const *list, size_t n, const char *s)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], s) == 0)
            return true;
    return false;
}

static void set(char *dst, size_t size, const char *s)
{
    size_t n = strnlen(s, size - 1);
    memmove(dst, s, n);
    memset(dst + n, 0, size - n);
}

static void lower(char *s)
{
    for (; *s; s++)
        *s = (char)tolower((unsigned char)*s);
}

static void normalise(struct platform *p)
{
    lower(p->os);
    lower(p->arch);
    lower(p->variant);
    if (strcmp(p->os, "macos") == 0)
        set(p->os, sizeof(p->os), "darwin");
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
        const struct alias *a = &aliases[i];
        if (strcmp(a->arch, p->arch) != 0 || (a->variant && strcmp(a->variant, p->variant) != 0))
            continue;
        set(p->arch, sizeof(p->arch), a->to_arch);
        if (a->to_variant)
            set(p->variant, sizeof(p->variant), a->to_variant);
        return;
    }
}

struct platform platform_host(void)
{
    struct platform p = { .os = "linux" };
    struct utsname u;
    if (uname(&u) < 0)
        return p;
    set(p.arch, sizeof(p.arch), u.machine);
    for (size_t i = 0; i < ARRAY_LEN(machines); i++)
        if (str_starts(u.machine, machines[i].machine)) {
            set(p.arch, sizeof(p.arch), machines[i].arch);
            set(p.variant, sizeof(p.variant), machines[i].variant);
        }
    normalise(&p);
    return p;
}

/* [A-Za-z0-9_.-]+, and short enough for its field. */
static bool word_ok(const char *s, size_t size)
{
    size_t n = strlen(s);
    if (n == 0 || n >= size)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("_.-", s[i]))
            return false;
    return true;
}

/* "windows(10.0.17763)" into os and os_version. */
static bool take_os(char *s, struct platform *p)
{
    size_t n = strlen(s);
    char *paren = strchr(s, '(');
    if (paren) {
        if (s[n - 1] != ')')
            return false;
        s[n - 1] = '\0';
        *paren = '\0';
        if (!word_ok(paren + 1, sizeof(p->os_version)))
            return false;
        set(p->os_version, sizeof(p->os_version), paren + 1);
    }
    if (!word_ok(s, sizeof(p->os)))
        return false;
    set(p->os, sizeof(p->os), s);
    return true;
}

/* One word alone is an operating system or an architecture; the host's fills in the other. */
static int parse_word(const char *word, struct platform *p, struct err *err)
{
    struct platform host = platform_host();
    char low[16];
    if (!word_ok(word, sizeof(low)))
        return err_set(err, ERR_USAGE, "\"%s\" is an invalid platform component", word);
    set(low, sizeof(low), word);
    lower(low);
    bool os = in_list(known_os, ARRAY_LEN(known_os), low) || strcmp(low, "macos") == 0;
    if (!os && !in_list(known_arch, ARRAY_LEN(known_arch), low))
        return err_set(err, ERR_USAGE, "\"%s\": unknown operating system or architecture", word);
    *p = os ? host : (struct platform){ .os = "linux" };
    if (os)
        set(p->os, sizeof(p->os), low);
    else
        set(p->arch, sizeof(p->arch), low);
    return 0;
}

int platform_parse(const char *s, struct platform *ret, struct err *err)
{
    AUTO(strv_release) struct strv parts = STRV_INIT;
    struct platform p = { .os = "" };
    if (strlen(s) > 100)
        return err_set(err, ERR_USAGE, "\"%.100s\": cannot parse platform specifier", s);
    strv_split(&parts, s, '/');
    if (parts.n == 0 || parts.n > 3)
        return err_set(err, ERR_USAGE, "\"%s\": cannot parse platform specifier", s);
    if (parts.n == 1 && strchr(parts.v[0], '(') == NULL) {
        if (parse_word(parts.v[0], &p, err) < 0)
            return err->code;
    } else {
        if (!take_os(parts.v[0], &p) || (parts.n > 1 && !word_ok(parts.v[1], sizeof(p.arch))) ||
            (parts.n > 2 && !word_ok(parts.v[2], sizeof(p.variant))))
            return err_set(err, ERR_USAGE, "\"%s\" is an invalid platform", s);
        set(p.arch, sizeof(p.arch), parts.n > 1 ? parts.v[1] : platform_host().arch);
        set(p.variant, sizeof(p.variant), parts.n > 2 ? parts.v[2] : "");
    }
    normalise(&p);
    *ret = p;
    return 0;
}

const char *platform_format(const struct platform *p, char ret[64])
{
    snprintf(ret, 64, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
    return ret;
}

static int version_of(const char *variant, int fallback)
{
    if (variant[0] != 'v' || !isdigit((unsigned char)variant[1]) || variant[2] != '\0')
        return variant[0] ? -1 : fallback;
    return variant[1] - '0';
}

/* Steps down from want's variant to have's, 0: the same; < 0: have is newer or another kind. */
static int steps_down(const struct platform *want, const struct platform *have, int fallback,
                      int lowest)
{
    int w = version_of(want->variant, fallback), h = version_of(have->variant, fallback);
    if (strcmp(want->variant, have->variant) == 0)
        return 0;
    return w < 0 || h < lowest || h > w ? -1 : w - h;
}

int platform_match(const struct platform *want, const struct platform *have)
{
    struct platform w = *want, h = *have;
    normalise(&w);
    normalise(&h);
    if (strcmp(w.os, h.os) != 0)
        return -1;
    if (w.os_version[0] && h.os_version[0] && strcmp(w.os_version, h.os_version) != 0)
        return -1;
    if (strcmp(w.arch, h.arch) == 0) {
        if (strcmp(w.arch, "amd64") == 0)
            return steps_down(&w, &h, 1, 1);
        if (strcmp(w.arch, "arm64") == 0)
            return steps_down(&w, &h, 8, 8);
        if (strcmp(w.arch, "arm") == 0)
            return steps_down(&w, &h, 7, 5);
        return strcmp(w.variant, h.variant) == 0 ? 0 : -1;
    }
    if (strcmp(w.arch, "amd64") == 0 && strcmp(h.arch, "386") == 0)
        return 50;
    if (strcmp(w.arch, "arm64") == 0 && strcmp(h.arch, "arm") == 0) {
        int v = version_of(h.variant, 7);
        return v < 5 || v > 8 ? -1 : 50 + 8 - v;
    }
    return -1;
}

static int member(const json_t *obj, const char *key, char *dst, size_t size, struct err *err)
{
    const json_t *v = json_object_get(obj, key);
    if (v == NULL || json_is_null(v))
        return 0;
    const char *s = json_string_value(v);
    if (s == NULL || (*s && !word_ok(s, size)))
        return err_set(err, ERR_CORRUPT, "platform: '%s' is not a short word", key);
    set(dst, size, s);
    return 0;
}

int platform_from_json(const json_t *obj, struct platform *ret, struct err *err)
{
    struct platform p = { .os = "" };
    if (!json_is_object(obj))
        return err_set(err, ERR_CORRUPT, "platform: not an object");
    if (member(obj, "os", p.os, sizeof(p.os), err) < 0 ||
        member(obj, "architecture", p.arch, sizeof(p.arch), err) < 0 ||
        member(obj, "variant", p.variant, sizeof(p.variant), err) < 0 ||
        member(obj, "os.version", p.os_version, sizeof(p.os_version), err) < 0)
        return err->code;
    normalise(&p);
    *ret = p;
    return 0;
}
