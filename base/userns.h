/*
 * The user namespace that this process is in: which ids it can give a file
 * away to, and whether it is the machine's own root that it may be.
 *
 *     userns_read -> userns_has_uid, userns_has_gid -> userns_release
 */
#ifndef SHALE_BASE_USERNS_H
#define SHALE_BASE_USERNS_H

#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USERNS_FORM_LEN 16

struct userns_map {
    struct userns_range {
        uint32_t first, n; /* as they are in here */
    } * v;
    size_t n, cap;
};

struct userns {
    bool is_initial; /* the machine's own: all ids are there, and nothing else is filled in */
    struct userns_map uids, gids;
    /* Stands for what is mapped to what: files of one form have the same owners whoever of that
     * form looks. Hex digits; "" in the machine's own. */
    char form[USERNS_FORM_LEN + 1];
};
void userns_release(struct userns *u);
DEFINE_AUTO_VALUE(struct userns, userns_release);

/* The kernel's word, cheap. Where it has none (no /proc) this is the machine's own. */
bool userns_is_initial(void);
/* ERR_IO: the maps cannot be read. A namespace without maps has no ids at all. */
int userns_read(struct userns *ret, struct err *err);
bool userns_has_uid(const struct userns *u, uint32_t uid);
bool userns_has_gid(const struct userns *u, uint32_t gid);

#endif
