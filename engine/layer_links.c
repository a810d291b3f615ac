#include "engine/layer_links.h"

#include "base/fs.h"
#include <string.h>

static void add_text(struct hasher *h, const char *s)
{
    size_t n = strlen(s);
    uint8_t length[4];
    for (int i = 0; i < 4; i++)
        length[i] = (uint8_t)(n >> (8 * i));
    hasher_add(h, length, sizeof(length));
    hasher_add(h, s, n);
}

static bool is_shown(const char *name, const char *path)
{
    return *path == '\0' || str_eq(name, path) || path_is_below(name, path);
}

void layer_links_key(const struct layer *l, const char *path, struct key *k, const char *field)
{
    struct entry e;
    struct digest d;
    size_t i = 0;
    bool shown = false;
    if (!listing_next_hardlink(l->listing, &i, &e))
        return; /* nearly always */
    AUTO(hasher_free) struct hasher *h = hasher_new();
    do {
        add_text(h, e.path);
        add_text(h, e.hardlink);
        shown = shown || is_shown(e.path, path) || is_shown(e.hardlink, path);
    } while (listing_next_hardlink(l->listing, &i, &e));
    hasher_end(h, &d);
    if (shown)
        key_digest(k, field, &d);
}
