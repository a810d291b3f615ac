#include "dockerfile/glob.h"
#include "dockerfile/runes_internal.h"
#include <string.h>

/* A run of bytes; both pattern and name are eaten from the front. */
struct span {
    const char *p;
    size_t n;
};

enum verdict { NO_MATCH, MATCH, BAD_PATTERN };

static void skip(struct span *s, size_t n)
{
    s->p += n;
    s->n -= n;
}

/* Takes "*...*chunk" off the pattern; chunk goes up to the next star outside []. */
static struct span take_chunk(struct span *pattern, bool *ret_star)
{
    bool in_class = false;
    size_t n;
    *ret_star = false;
    while (pattern->n > 0 && *pattern->p == '*') {
        skip(pattern, 1);
        *ret_star = true;
    }
    for (n = 0; n < pattern->n; n++) {
        char c = pattern->p[n];
        if (c == '\\' && n + 1 < pattern->n)
            n++;
        else if (c == '[')
            in_class = true;
        else if (c == ']')
            in_class = false;
        else if (c == '*' && !in_class)
            break;
    }
    struct span chunk = { pattern->p, n };
    skip(pattern, n);
    return chunk;
}

/* One character of a class. False: not well formed. */
static bool take_class_char(struct span *chunk, uint32_t *ret)
{
    if (chunk->n == 0 || *chunk->p == '-' || *chunk->p == ']')
        return false;
    if (*chunk->p == '\\') {
        skip(chunk, 1);
        if (chunk->n == 0)
            return false;
    }
    size_t width = rune_get(chunk->p, chunk->n, ret);
    bool bad = *ret == RUNE_BAD && width == 1;
    skip(chunk, width);
    return !bad && chunk->n > 0;
}

/* chunk is behind '['. Eats up to and with ']'. */
static enum verdict match_class(struct span *chunk, uint32_t r)
{
    bool negated = chunk->n > 0 && *chunk->p == '^', found = false;
    skip(chunk, negated);
    for (size_t n = 0; !(n > 0 && chunk->n > 0 && *chunk->p == ']'); n++) {
        uint32_t low, high;
        if (!take_class_char(chunk, &low))
            return BAD_PATTERN;
        high = low;
        if (*chunk->p == '-') {
            skip(chunk, 1);
            if (!take_class_char(chunk, &high))
                return BAD_PATTERN;
        }
        found |= low <= r && r <= high;
    }
    skip(chunk, 1);
    return found != negated ? MATCH : NO_MATCH;
}

/*
 * Whether name begins with what chunk describes; eats that. Goes on to the end
 * of chunk after a mismatch, to find out whether it is well formed.
 */
static enum verdict match_chunk(struct span chunk, struct span *name)
{
    bool failed = false;
    while (chunk.n > 0) {
        uint32_t r = 0;
        failed |= name->n == 0;
        size_t width = failed ? 0 : rune_get(name->p, name->n, &r);
        char c = *chunk.p;
        skip(&chunk, 1);
        if (c == '[') {
            enum verdict v = match_class(&chunk, r);
            if (v == BAD_PATTERN)
                return v;
            failed |= v == NO_MATCH;
        } else if (c == '?') {
            failed |= r == '/';
        } else {
            if (c == '\\') {
                if (chunk.n == 0)
                    return BAD_PATTERN;
                c = *chunk.p;
                skip(&chunk, 1);
            }
            failed |= !failed && c != *name->p;
            width = 1;
        }
        if (!failed)
            skip(name, width);
    }
    return failed ? NO_MATCH : MATCH;
}

/* A chunk behind a star: the first place where it matches; at the end only up to the end. */
static enum verdict match_after_star(struct span chunk, struct span *name, bool is_last)
{
    for (struct span s = *name; s.n > 0 && *s.p != '/';) {
        skip(&s, 1);
        struct span rest = s;
        enum verdict v = match_chunk(chunk, &rest);
        if (v == MATCH && is_last && rest.n > 0)
            continue;
        if (v == MATCH)
            *name = rest;
        if (v != NO_MATCH)
            return v;
    }
    return NO_MATCH;
}

static enum verdict check_rest(struct span pattern)
{
    while (pattern.n > 0) {
        bool star;
        struct span nothing = { "", 0 };
        if (match_chunk(take_chunk(&pattern, &star), &nothing) == BAD_PATTERN)
            return BAD_PATTERN;
    }
    return NO_MATCH;
}

static enum verdict match(struct span pattern, struct span name)
{
    while (pattern.n > 0) {
        bool star;
        struct span chunk = take_chunk(&pattern, &star), rest = name;
        if (star && chunk.n == 0)
            return memchr(name.p, '/', name.n) == NULL ? MATCH : NO_MATCH;
        enum verdict v = match_chunk(chunk, &rest);
        if (v == MATCH && (rest.n == 0 || pattern.n > 0)) {
            name = rest;
            continue;
        }
        if (v != BAD_PATTERN)
            v = star ? match_after_star(chunk, &name, pattern.n == 0) : NO_MATCH;
        if (v == NO_MATCH)
            return check_rest(pattern);
        if (v == BAD_PATTERN)
            return v;
    }
    return name.n == 0 ? MATCH : NO_MATCH;
}

int glob_match(const char *pattern, const char *name, bool *ret, struct err *err)
{
    enum verdict v =
        match((struct span){ pattern, strlen(pattern) }, (struct span){ name, strlen(name) });
    if (v == BAD_PATTERN)
        return err_set(err, ERR_USAGE, "syntax error in pattern");
    *ret = v == MATCH;
    return 0;
}

int glob_check(const char *pattern, struct err *err)
{
    bool ignored;
    return glob_match(pattern, ".", &ignored, err);
}

bool glob_has_magic(const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (strchr("*?[", *pattern) != NULL)
            return true;
        if (*pattern == '\\' && *++pattern == '\0')
            return false;
    }
    return false;
}
