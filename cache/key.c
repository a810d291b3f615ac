#include "cache/key.h"

#include "base/log.h"
#include <stdio.h>
#include <string.h>

struct key {
    struct hasher *hasher;
    struct buf text;
};

void key_free(struct key *k)
{
    if (k == NULL)
        return;
    hasher_free(k->hasher);
    buf_release(&k->text);
    mem_free(k);
}

static void put_u64(struct hasher *h, uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(v >> (8 * i));
    hasher_add(h, b, sizeof(b));
}

static void put_framed(struct hasher *h, const void *p, size_t n)
{
    put_u64(h, n);
    hasher_add(h, p, n);
}

static void put_text(struct key *k, const char *name, const void *p, size_t n)
{
    buf_adds(&k->text, name);
    buf_adds(&k->text, ": ");
    log_escape(&k->text, p, n);
    buf_addc(&k->text, '\n');
}

struct key *key_new(const char *kind)
{
    struct key *k = mem_zalloc(sizeof(*k));
    k->hasher = hasher_new();
    key_u64(k, "version", KEY_VERSION);
    key_str(k, "kind", kind);
    return k;
}

void key_bytes(struct key *k, const char *name, const void *p, size_t n)
{
    put_framed(k->hasher, name, strlen(name));
    put_framed(k->hasher, p, n);
    put_text(k, name, p, n);
}

/* An absent value is framed under the name with '?' behind it, so that it differs from "". */
void key_str(struct key *k, const char *name, const char *s)
{
    if (s != NULL) {
        key_bytes(k, name, s, strlen(s));
        return;
    }
    AUTO(mem_free) char *absent = str_printf("%s?", name);
    key_bytes(k, absent, "", 0);
}

void key_strv(struct key *k, const char *name, const struct strv *v)
{
    AUTO(mem_free) char *count = str_printf("%s.n", name);
    key_u64(k, count, v->n);
    for (size_t i = 0; i < v->n; i++)
        key_str(k, name, v->v[i]);
}

void key_u64(struct key *k, const char *name, uint64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    key_bytes(k, name, text, (size_t)n);
}

void key_digest(struct key *k, const char *name, const struct digest *d)
{
    char text[DIGEST_STR_LEN + 1];
    key_str(k, name, digest_str(d, text));
}

void key_end(struct key *k, struct cache_key *ret, struct buf *ret_text)
{
    hasher_end(k->hasher, &ret->d);
    if (ret_text != NULL) {
        buf_clear(ret_text);
        buf_add(ret_text, k->text.data, k->text.len);
    }
    buf_clear(&k->text);
}
