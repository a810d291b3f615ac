/*
 * A key's fields as text (key_end), read back, and two of them beside each
 * other: why a step is made again is what differs. Pure; any thread.
 *
 *     key_fields_parse -> key_fields_compare / key_fields_find -> key_fields_release
 */
#ifndef SHALE_CACHE_KEY_FIELDS_H
#define SHALE_CACHE_KEY_FIELDS_H

#include "base/buf.h"

struct key_field {
    const char *name, *value; /* control characters of the value are \xNN, as in the text */
};

struct key_fields {
    struct key_field *v;
    size_t n;
    char *text; /* what the others point into */
};
void key_fields_release(struct key_fields *f);
DEFINE_AUTO_VALUE(struct key_fields, key_fields_release);
/* Lines that are no "name: value" are left out. Start ret zeroed. */
void key_fields_parse(const char *text, size_t n, struct key_fields *ret);
/* The value of the i-th field of the name; NULL: there are not so many. */
const char *key_fields_find(const struct key_fields *f, const char *name, size_t i);

/*
 * A field's value as it may be shown: passwords of URLs and the values of variables whose name
 * means a secret (lint.h) crossed out. Owned; NULL for NULL.
 */
char *key_field_shown(const char *name, const char *value);

/* One line of a comparison; NULL: that side has no such field. */
struct key_pair {
    const char *name, *before, *now;
};
struct key_pairs {
    struct key_pair *v;
    size_t n, cap;
};
void key_pairs_release(struct key_pairs *p);
DEFINE_AUTO_VALUE(struct key_pairs, key_pairs_release);
/*
 * In the order of now, each field that is only in before behind the last one of its name, or at the
 * end. Variables ("run.env") are paired by what stands before '=', all else by its place among the
 * fields of one name. Borrows from both.
 */
void key_fields_compare(const struct key_fields *before, const struct key_fields *now,
                        struct key_pairs *ret);
/* Both sides are there and equal. */
bool key_pair_same(const struct key_pair *p);

#endif
