#include "dockerfile/suggest.h"
#include "dockerfile/runes_internal.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define FARTHEST 2 /* more edits than this is another word */
#define LONGEST 64 /* nobody mistypes what is longer */

struct word {
    uint32_t r[LONGEST];
    size_t n;
};

/* False: too long. */
static bool word_of(const char *s, bool fold, struct word *ret)
{
    size_t left = strlen(s);
    for (ret->n = 0; left > 0 && ret->n < LONGEST; ret->n++) {
        size_t width = rune_get(s, left, &ret->r[ret->n]);
        if (fold && ret->r[ret->n] < 0x80)
            ret->r[ret->n] = (uint32_t)tolower((int)ret->r[ret->n]);
        s += width;
        left -= width;
    }
    return left == 0;
}

/* Edits (insert, delete, replace) from a to b. */
static size_t distance(const struct word *a, const struct word *b)
{
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= b->n; j++)
        row[j] = j;
    for (size_t i = 0; i < a->n; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= b->n; j++) {
            size_t best = diagonal + (a->r[i] != b->r[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b->n];
}

/* Of options as near as each other, one that begins alike and is as long is meant more likely. */
static size_t likeness(const struct word *a, const struct word *b)
{
    return (a->n > 0 && b->n > 0 && a->r[0] == b->r[0] ? 2u : 0u) + (a->n == b->n ? 1u : 0u);
}

const char *suggest(const char *word, const char *const *options, size_t n_options, bool fold_case)
{
    const char *found = NULL;
    size_t nearest = FARTHEST + 1, best = 0;
    struct word mine, other;
    if (!word_of(word, fold_case, &mine))
        return NULL;
    for (size_t i = 0; i < n_options; i++) {
        if (!word_of(options[i], fold_case, &other))
            continue;
        size_t d = distance(&mine, &other);
        if (d == 0)
            return NULL;
        if (d < nearest || (d == nearest && found != NULL && likeness(&mine, &other) > best)) {
            nearest = d;
            best = likeness(&mine, &other);
            found = options[i];
        }
    }
    return found;
}

/* As BuildKit writes a folded match: like the word when that is of one case, else lower case. */
static void add_cased(struct buf *b, const char *match, const char *word)
{
    bool has_lower = false, has_upper = false;
    for (const char *p = word; *p != '\0'; p++) {
        has_lower |= islower((unsigned char)*p) != 0;
        has_upper |= isupper((unsigned char)*p) != 0;
    }
    for (const char *p = match; *p != '\0'; p++)
        buf_addc(b, (char)(has_upper && !has_lower ? toupper((unsigned char)*p)
                                                   : tolower((unsigned char)*p)));
}

void suggest_add(struct err *err, const char *word, const char *const *options, size_t n_options,
                 bool fold_case)
{
    AUTO(buf_release) struct buf b = BUF_INIT;
    const char *match = suggest(word, options, n_options, fold_case);
    if (match == NULL)
        return;
    buf_adds(&b, err->msg);
    buf_adds(&b, " (did you mean ");
    if (fold_case)
        add_cased(&b, match, word);
    else
        buf_adds(&b, match);
    buf_adds(&b, "?)");
    snprintf(err->msg, sizeof(err->msg), "%s", buf_str(&b));
}
