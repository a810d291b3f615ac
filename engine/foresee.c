#include "engine/build_internal.h"

void foreseen_release(struct foreseen *f)
{
    for (size_t i = 0; i < f->n; i++) {
        union {
            const struct listing *borrowed;
            struct listing *own;
        } listing = { .borrowed = f->v[i]->listing };
        listing_free(listing.own); /* shown as const, taken over by us */
        mem_free(f->v[i]);
    }
    mem_free(f->v);
    *f = (struct foreseen){ .v = NULL };
}

/* The diff id cannot be known without the bytes: the content id stands in, which is nobody's. */
const struct layer *foresee_layer(struct build *b, struct listing *l)
{
    struct layer *x = mem_zalloc(sizeof(*x));
    x->listing = l;
    x->content_id = *listing_content_id(l);
    x->diff_id.d = x->content_id.d;
    pthread_mutex_lock(&b->lock);
    MEM_ROOM(b->foreseen.v, b->foreseen.n, b->foreseen.cap);
    b->foreseen.v[b->foreseen.n++] = x;
    pthread_mutex_unlock(&b->lock);
    return x;
}
