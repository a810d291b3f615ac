#include "base/digest.h"
#include "base/mem.h"

/*
 * SHA-256 as it is, not through EVP: looking an algorithm up there starts all of libcrypto, with
 * its configuration and its providers, which costs more than half of a start of shale.
 */
#define OPENSSL_API_COMPAT 0x10101000L
#include <openssl/sha.h>
#include <string.h>
#include <xxhash.h>

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return memcmp(a->b, b->b, DIGEST_LEN) == 0;
}

bool digest_is_zero(const struct digest *d)
{
    static const struct digest zero;

    return digest_eq(d, &zero);
}

const char *digest_hex(const struct digest *d, char ret[DIGEST_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_LEN; i++) {
        ret[2 * i] = digits[d->b[i] >> 4];
        ret[2 * i + 1] = digits[d->b[i] & 15];
    }
    ret[DIGEST_HEX_LEN] = '\0';
    return ret;
}

const char *digest_str(const struct digest *d, char ret[DIGEST_STR_LEN + 1])
{
    memcpy(ret, "sha256:", 7);
    digest_hex(d, ret + 7);
    return ret;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int digest_parse_hex(const char *hex, struct digest *ret, struct err *err)
{
    struct digest d;

    for (size_t i = 0; i < DIGEST_HEX_LEN; i++) {
        int v = nibble(hex[i]); /* a NUL ends it */
        if (v < 0)
            return err_set(err, ERR_CORRUPT, "bad SHA-256 digest '%.80s'", hex);
        d.b[i / 2] = (uint8_t)(i % 2 == 0 ? v << 4 : d.b[i / 2] | v);
    }
    if (hex[DIGEST_HEX_LEN] != '\0')
        return err_set(err, ERR_CORRUPT, "bad SHA-256 digest '%.80s'", hex);
    *ret = d;
    return 0;
}

int digest_parse(const char *s, struct digest *ret, struct err *err)
{
    const char *colon = strchr(s, ':');

    if (strncmp(s, "sha256:", 7) == 0)
        return digest_parse_hex(s + 7, ret, err);
    if (colon == NULL || colon == s || colon[1] == '\0')
        return err_set(err, ERR_CORRUPT, "bad digest '%.150s'", s);
    return err_set(err, ERR_UNSUPPORTED, "digest '%.150s' is not a SHA-256 digest", s);
}

struct hasher {
    SHA256_CTX ctx;
};

void hasher_free(struct hasher *h)
{
    mem_free(h);
}

struct hasher *hasher_new(void)
{
    struct hasher *h = mem_alloc(sizeof(*h));

    SHA256_Init(&h->ctx);
    return h;
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
    if (n > 0)
        SHA256_Update(&h->ctx, p, n);
}

void hasher_end(struct hasher *h, struct digest *ret)
{
    SHA256_Final(ret->b, &h->ctx);
    SHA256_Init(&h->ctx);
}

void digest_of(const void *p, size_t n, struct digest *ret)
{
    struct hasher h;

    SHA256_Init(&h.ctx);
    hasher_add(&h, p, n);
    SHA256_Final(ret->b, &h.ctx);
}

struct checksum {
    SHA512_CTX ctx; /* SHA-384 is a part of it, begun otherwise */
    size_t len;
};

void checksum_free(struct checksum *c)
{
    mem_free(c);
}

struct checksum *checksum_new(const char *name)
{
    bool is_384 = strcmp(name, "sha384") == 0;

    if (!is_384 && strcmp(name, "sha512") != 0)
        return NULL;
    struct checksum *c = mem_alloc(sizeof(*c));
    c->len = is_384 ? SHA384_DIGEST_LENGTH : SHA512_DIGEST_LENGTH;
    if (is_384)
        SHA384_Init(&c->ctx);
    else
        SHA512_Init(&c->ctx);
    return c;
}

void checksum_add(struct checksum *c, const void *p, size_t n)
{
    SHA512_Update(&c->ctx, p, n);
}

void checksum_end(struct checksum *c, struct buf *ret)
{
    unsigned char sum[SHA512_DIGEST_LENGTH];

    SHA512_Final(sum, &c->ctx);
    for (size_t i = 0; i < c->len; i++)
        buf_addf(ret, "%02x", sum[i]);
}

uint64_t quick_hash(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}
