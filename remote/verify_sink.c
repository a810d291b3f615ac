#include "remote/verify_sink.h"
#include <inttypes.h>

struct verify_sink {
    struct sink sink;
    struct sink *next; /* borrowed */
    struct hasher *hasher;
    uint64_t done, size;
};

static const struct verify_sink *verify_of(const struct sink *s)
{
    return (const struct verify_sink *)s;
}

static int verify_write(struct sink *s, const void *p, size_t n, struct err *err)
{
    struct verify_sink *v = (struct verify_sink *)s;
    if (n > v->size - v->done)
        return err_set(err, ERR_CORRUPT, "longer than the %" PRIu64 " bytes that it should have",
                       v->size);
    if (sink_write(v->next, p, n, err) < 0)
        return err->code;
    hasher_add(v->hasher, p, n);
    v->done += n;
    return 0;
}

static void verify_free(struct sink *s)
{
    struct verify_sink *v = (struct verify_sink *)s;
    hasher_free(v->hasher);
    mem_free(v);
}

struct sink *verify_sink_new(struct sink *next, uint64_t size)
{
    struct verify_sink *v = mem_zalloc(sizeof(*v));
    v->sink = (struct sink){ .write = verify_write, .free = verify_free };
    v->next = next;
    v->hasher = hasher_new();
    v->size = size;
    return &v->sink;
}

uint64_t verify_sink_done(const struct sink *s)
{
    return verify_of(s)->done;
}

bool verify_sink_is_whole(const struct sink *s)
{
    return verify_of(s)->done == verify_of(s)->size;
}

bool verify_sink_is_broken(const struct sink *s)
{
    return s->failed != NULL;
}

int verify_sink_check(struct sink *s, const struct digest *want, struct err *err)
{
    struct verify_sink *v = (struct verify_sink *)s;
    struct digest have;
    if (v->done < v->size)
        return err_set(err, ERR_CORRUPT, "ends after %" PRIu64 " of %" PRIu64 " bytes", v->done,
                       v->size);
    hasher_end(v->hasher, &have);
    if (!digest_eq(&have, want))
        return err_set(err, ERR_CORRUPT, "what came has digest %s", DIGEST_S(&have));
    return 0;
}
