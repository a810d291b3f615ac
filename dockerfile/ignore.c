#include "dockerfile/ignore.h"
#include "dockerfile/regex_internal.h"
#include "dockerfile/runes_internal.h"
#include "base/fs.h"
#include <string.h>

#define LINE_MAX_BYTES 65535
#define PATTERNS_MAX 10000 /* each is compared with each path */

/* How a pattern is compared, from cheap to dear. */
enum match_kind { MATCH_EXACT, MATCH_PREFIX, MATCH_SUFFIX, MATCH_REGEX };

struct pattern {
    char *text; /* cleaned, without '!' */
    bool exception;
    enum match_kind kind;
    struct regex *regex;
};

struct ignore {
    struct pattern *patterns;
    size_t n, cap;
};

static void pattern_release(struct pattern *p)
{
    mem_free(p->text);
    regex_free(p->regex);
}
DEFINE_AUTO_VALUE(struct pattern, pattern_release);

void ignore_free(struct ignore *ig)
{
    if (ig == NULL)
        return;
    for (size_t i = 0; i < ig->n; i++)
        pattern_release(&ig->patterns[i]);
    mem_free(ig->patterns);
    mem_free(ig);
}

/* "**": any number of directories, or at the end of the pattern anything. Returns behind it. */
static const char *add_double_star(const char *p, bool is_first, struct buf *re,
                                   enum match_kind *kind)
{
    p += 2;
    if (*p == '/')
        p++;
    if (*p != '\0') {
        buf_adds(re, "(.*/)?");
        *kind = MATCH_REGEX;
    } else if (*kind == MATCH_EXACT) {
        *kind = MATCH_PREFIX;
    } else {
        buf_adds(re, ".*");
        *kind = MATCH_REGEX;
    }
    if (is_first)
        *kind = MATCH_SUFFIX;
    return p;
}

/* An escape that RE2 reads too, or a character of its own. Returns behind it. */
static const char *add_other(const char *p, struct buf *re, enum match_kind *kind)
{
    uint32_t r;
    size_t width = rune_get(p, strnlen(p, 4), &r);
    if (*p == '\\' && p[1] != '\0') {
        buf_addc(re, '\\');
        width = 1 + rune_get(p + 1, strnlen(p + 1, 4), &r);
        *kind = MATCH_REGEX;
    } else if (*p == '[' || *p == ']') {
        *kind = MATCH_REGEX;
    } else if (strchr(".+()|{}$", *p) != NULL) {
        buf_addc(re, '\\');
    }
    rune_put(re, r);
    return p + width;
}

/*
 * Translates as moby/patternmatcher does, so that what it makes of odd patterns
 * (a star inside a class, "\d") comes out the same.
 */
static int compile(struct pattern *pattern, struct err *err)
{
    AUTO(buf_release) struct buf re = BUF_INIT;
    const char *p = pattern->text;
    p += strncmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    const char *start = p;
    enum match_kind kind = MATCH_EXACT;
    buf_addc(&re, '^');
    while (*p != '\0') {
        if (p[0] == '*' && p[1] == '*') {
            p = add_double_star(p, p == start, &re, &kind);
        } else if (*p == '*' || *p == '?') {
            buf_adds(&re, *p == '*' ? "[^/]*" : "[^/]");
            kind = MATCH_REGEX;
            p++;
        } else {
            p = add_other(p, &re, &kind);
        }
    }
    buf_addc(&re, '$');
    pattern->kind = kind;
    if (kind == MATCH_REGEX)
        pattern->regex = regex_compile(buf_str(&re), err);
    return kind == MATCH_REGEX && pattern->regex == NULL ? err->code : 0;
}

static int add_pattern(struct ignore *ig, const char *text, struct err *err)
{
    AUTO(pattern_release) struct pattern p = { .kind = MATCH_EXACT };
    size_t n;
    const char *start = text_trim(text, strlen(text), &n);
    if (n == 0)
        return 0;
    AUTO(mem_free) char *trimmed = str_ndup(start, n);
    AUTO(mem_free) char *clean = path_clean(trimmed);
    p.exception = *clean == '!';
    if (p.exception && clean[1] == '\0')
        return err_set(err, ERR_USAGE, "illegal exclusion pattern: \"!\"");
    p.text = str_dup(clean + p.exception);
    if (ig->n >= PATTERNS_MAX)
        return err_set(err, ERR_USAGE, "more than %d ignore patterns", PATTERNS_MAX);
    if (glob_check(p.text, err) < 0 || compile(&p, err) < 0)
        return err_wrap(err, "bad ignore pattern '%s'", trimmed);
    MEM_ROOM(ig->patterns, ig->n, ig->cap);
    ig->patterns[ig->n++] = p;
    p = (struct pattern){ .text = NULL };
    return 0;
}

struct ignore *ignore_new(const struct strv *patterns, struct err *err)
{
    AUTO(ignore_free) struct ignore *ig = mem_zalloc(sizeof(*ig));
    for (size_t i = 0; i < patterns->n; i++) {
        if (add_pattern(ig, patterns->v[i], err) < 0)
            return NULL;
    }
    return TAKE(ig);
}

/* One line of an ignore file to a pattern, or NULL when it says nothing. */
static char *read_line(const char *s, size_t n)
{
    if (n > 0 && *s == '#')
        return NULL;
    s = text_trim(s, n, &n);
    if (n == 0)
        return NULL;
    bool exception = *s == '!';
    if (exception)
        s = text_trim(s + 1, n - 1, &n);
    if (n == 0)
        return str_dup("!");
    AUTO(mem_free) char *text = str_ndup(s, n);
    AUTO(mem_free) char *clean = path_clean(text);
    const char *relative = clean[0] == '/' && clean[1] != '\0' ? clean + 1 : clean;
    return str_printf("%s%s", exception ? "!" : "", relative);
}

/* Gives each pattern with its line to ig or list, whichever is there. */
static int read_all(const char *text, size_t n, struct ignore *ig, struct strv *list,
                    struct err *err)
{
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    for (int line = 1; n > 0; line++) {
        const char *newline = memchr(text, '\n', n);
        size_t len = newline != NULL ? (size_t)(newline - text) : n;
        size_t step = len + (newline != NULL);
        if (len > LINE_MAX_BYTES || memchr(text, '\0', len) != NULL) {
            err_set(err, ERR_USAGE, "ignore file: line %d %s", line,
                    len > LINE_MAX_BYTES ? "is too long" : "has a NUL byte");
            return err_at(err, line, line);
        }
        AUTO(mem_free) char *pattern = read_line(text, len);
        if (pattern != NULL && list != NULL)
            strv_add(list, pattern);
        if (pattern != NULL && ig != NULL && add_pattern(ig, pattern, err) < 0)
            return err_at(err, line, line);
        text += step;
        n -= step;
    }
    return 0;
}

struct ignore *ignore_parse(const char *text, size_t n, struct err *err)
{
    AUTO(ignore_free) struct ignore *ig = mem_zalloc(sizeof(*ig));
    return read_all(text, n, ig, NULL, err) < 0 ? NULL : TAKE(ig);
}

int ignore_read(const char *text, size_t n, struct strv *ret, struct err *err)
{
    AUTO(strv_release) struct strv list = STRV_INIT;
    if (read_all(text, n, NULL, &list, err) < 0)
        return err->code;
    strv_copy(ret, &list);
    return 0;
}

size_t ignore_len(const struct ignore *ig)
{
    return ig->n;
}

const char *ignore_pattern(const struct ignore *ig, size_t i, bool *ret_exception)
{
    *ret_exception = ig->patterns[i].exception;
    return ig->patterns[i].text;
}

static bool match_one(const struct pattern *p, const char *path)
{
    const char *suffix = p->text + 2;
    switch (p->kind) {
    case MATCH_EXACT:
        return strcmp(path, p->text) == 0;
    case MATCH_PREFIX:
        return strncmp(path, p->text, strlen(p->text) - 2) == 0;
    case MATCH_SUFFIX:
        return str_ends(path, suffix) || (*suffix == '/' && strcmp(path, suffix + 1) == 0);
    case MATCH_REGEX:
        return regex_match(p->regex, path);
    }
    return false;
}

/* As match_one for the first n bytes of path, exact and suffix patterns only. */
static bool match_start(const struct pattern *p, const char *path, size_t n)
{
    const char *text = p->kind == MATCH_SUFFIX ? p->text + 2 : p->text;
    size_t len = strlen(text);
    if (p->kind == MATCH_SUFFIX && n >= len && memcmp(path + n - len, text, len) == 0)
        return true;
    bool whole = p->kind == MATCH_SUFFIX && *text == '/'; /* the whole may lack the slash */
    return (p->kind == MATCH_EXACT || whole) && n == len - whole &&
           memcmp(path, text + whole, n) == 0;
}

/* Whether p matches path or a directory that path is in. */
static bool match_with_parents(const struct pattern *p, const char *path)
{
    if (p->kind == MATCH_REGEX)
        return regex_match_with_parents(p->regex, path);
    if (match_one(p, path))
        return true;
    if (p->kind == MATCH_PREFIX) /* what begins a parent begins path */
        return false;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        if (match_start(p, path, (size_t)(slash - path)))
            return true;
    }
    return false;
}

bool ignore_match(const struct ignore *ig, const char *path)
{
    bool matched = false;
    for (size_t i = 0; i < ig->n; i++) {
        const struct pattern *p = &ig->patterns[i];
        if (p->exception == matched && match_with_parents(p, path))
            matched = !p->exception;
    }
    return matched;
}

size_t ignore_state_size(const struct ignore *ig)
{
    return ig->n > 0 ? ig->n : 1;
}

bool ignore_match_in(const struct ignore *ig, const char *path, const uint8_t *parent,
                     uint8_t *ret_state)
{
    bool matched = false;
    for (size_t i = 0; i < ig->n; i++) {
        const struct pattern *p = &ig->patterns[i];
        bool match = parent != NULL && parent[i];
        if (!match && p->exception == matched)
            match = (parent == NULL ? match_with_parents : match_one)(p, path);
        if (ret_state != NULL)
            ret_state[i] = match;
        if (match)
            matched = !p->exception;
    }
    return matched;
}

static bool may_match_below(const struct pattern *p, const char *below)
{
    size_t n = strlen(below), len = strlen(p->text);
    switch (p->kind) {
    case MATCH_EXACT:
        return strncmp(p->text, below, n) == 0;
    case MATCH_PREFIX:
        return strncmp(p->text, below, n < len - 2 ? n : len - 2) == 0;
    case MATCH_SUFFIX:
        return true;
    case MATCH_REGEX:
        return regex_may_continue(p->regex, below);
    }
    return true;
}

bool ignore_may_match_below(const struct ignore *ig, const char *dir)
{
    AUTO(mem_free) char *below = str_printf("%s%s", dir, *dir != '\0' ? "/" : "");
    for (size_t i = 0; i < ig->n; i++) {
        if (ig->patterns[i].exception && may_match_below(&ig->patterns[i], below))
            return true;
    }
    return false;
}
