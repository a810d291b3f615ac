/*
 * Any bytes either are refused or are a listing whose accessors all work, and
 * which the builder makes again from its entries with the same content id.
 */
#include "tests/fuzz/fuzz.h"
#include "image/listing.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    buf_add(&bytes, data, size);
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    if (l == NULL)
        return 0;
    (void)listing_verify(l, &err);
    use(l);
    make_again(l);
    return 0;
}
