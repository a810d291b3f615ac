/*
 * Any bytes either are refused or are a listing whose accessors all work, and
 * which the builder makes again from its entries with the same content id.
 * Opened as if they had been checked, they may say anything, but nothing
 * outside of them is read and all that is walked ends.
 */
#include "tests/fuzz/fuzz.h"
#include "image/listing_internal.h"
#include "image/view.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

static void require(bool ok)
{
    if (!ok)
        abort();
}

static int look_up(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    struct entry got;
    (void)layer, (void)err;
    require(view_find(arg, e->path, &got, NULL) && entry_same(e, &got));
    return 0;
}

static void use(const struct listing *l)
{
    struct err err = ERR_INIT;
    struct entry e;
    size_t first, end;
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l, l }, 2);
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        require(listing_find(l, e.path, &e));
        require(listing_range(l, e.path, &first, &end) && first == i && end > i);
    }
    require(view_walk(v, "", look_up, v, &err) == 0);
    AUTO(mem_free) char *real = NULL;
    if (listing_len(l) > 0)
        (void)view_resolve(v, e.path, true, &real, NULL, &err);
}

static void make_again(const struct listing *l)
{
    struct err err = ERR_INIT;
    struct entry e;
    struct content_id was, is;
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        require(listing_builder_add(b, &e, &err) == 0);
    }
    require(listing_builder_write(b, &bytes, &is, &err) == 0);
    listing_compute_content_id(l, &was);
    require(digest_eq(&was.d, &is.d));
    AUTO(listing_free) struct listing *again = listing_open_buf(&bytes, &err);
    require(again != NULL && listing_verify(again, &err) == 0);
    require(listing_total_size(again) == listing_total_size(l));
}

static size_t touch(const void *p, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((const uint8_t *)p)[i];
    return sum;
}

static size_t touch_entry(const struct entry *e)
{
    size_t sum = strlen(e->path) + (e->hardlink ? strlen(e->hardlink) : 0);
    require(e->type != ENTRY_LINK || e->target != NULL);
    sum += e->target ? strlen(e->target) : 0;
    sum += e->inline_data ? touch(e->inline_data, e->size) : 0;
    for (size_t i = 0; i < e->n_xattrs; i++)
        sum += strlen(e->xattrs[i].name) + touch(e->xattrs[i].value, e->xattrs[i].len);
    return sum;
}

static int touch_it(void *arg, const struct entry *e, size_t layer, struct err *err)
{
    (void)layer, (void)err;
    *(size_t *)arg += touch_entry(e);
    return 0;
}

static void use_unchecked(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    struct entry e;
    size_t first, end, sum = 0;
    AUTO(mem_free) char *real = NULL;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    AUTO(strv_release) struct strv names = STRV_INIT;
    buf_add(&bytes, data, size);
    AUTO(listing_free) struct listing *l = listing_trust_buf(&bytes, (unsigned)size % 4, &err);
    if (l == NULL)
        return;
    AUTO(view_free) struct view *v = view_new((const struct listing *const[]){ l, l }, 2);
    for (size_t i = 0; i < listing_len(l); i++) {
        listing_at(l, i, &e);
        sum += touch_entry(&e);
        (void)listing_find(l, e.path, NULL);
        (void)listing_range(l, e.path, &first, &end);
        (void)view_find(v, e.path, &e, NULL);
        (void)view_children(v, e.path, &names, &err);
        (void)view_resolve(v, e.path, true, &real, NULL, &err);
        mem_free(TAKE(real));
    }
    for (size_t i = 0; listing_next_hardlink(l, &i, &e);)
        sum += strlen(e.path) + strlen(e.hardlink);
    (void)view_walk(v, "", touch_it, &sum, &err);
    (void)listing_verify(l, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    use_unchecked(data, size);
    buf_add(&bytes, data, size);
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    if (l == NULL)
        return 0;
    (void)listing_verify(l, &err);
    use(l);
    make_again(l);
    return 0;
}
