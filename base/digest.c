#include "base/digest.h"
#include "base/mem.h"
#include "base/mem_internal.h"

#include <openssl/evp.h>
#include <pthread.h>
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

static const EVP_MD *sha256;
static pthread_key_t thread_hasher;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hasher_free_thread(void *h)
{
    hasher_free(h);
}

/* Looking an algorithm up by name costs more than hashing a short input. */
static void fetch_once(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL || pthread_key_create(&thread_hasher, hasher_free_thread) != 0)
        die("libcrypto has no SHA-256");
}

struct hasher {
    EVP_MD_CTX *ctx;
};

void hasher_free(struct hasher *h)
{
    if (h == NULL)
        return;
    EVP_MD_CTX_free(h->ctx);
    mem_free(h);
}

static void hasher_start(struct hasher *h)
{
    if (EVP_DigestInit_ex2(h->ctx, sha256, NULL) != 1)
        die("libcrypto cannot hash");
}

struct hasher *hasher_new(void)
{
    struct hasher *h = mem_zalloc(sizeof(*h));

    pthread_once(&once, fetch_once);
    h->ctx = EVP_MD_CTX_new();
    if (h->ctx == NULL)
        die("out of memory");
    hasher_start(h);
    return h;
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
    if (n > 0 && EVP_DigestUpdate(h->ctx, p, n) != 1)
        die("libcrypto cannot hash");
}

void hasher_end(struct hasher *h, struct digest *ret)
{
    unsigned len = 0;

    if (EVP_DigestFinal_ex(h->ctx, ret->b, &len) != 1 || len != DIGEST_LEN)
        die("libcrypto cannot hash");
    hasher_start(h);
}

/* A hasher per thread, kept for the next short input. */
void digest_of(const void *p, size_t n, struct digest *ret)
{
    pthread_once(&once, fetch_once);
    struct hasher *h = pthread_getspecific(thread_hasher);
    if (h == NULL) {
        h = hasher_new();
        if (pthread_setspecific(thread_hasher, h) != 0)
            die("out of memory");
    }
    hasher_add(h, p, n);
    hasher_end(h, ret);
}

uint64_t quick_hash(const void *p, size_t n, uint64_t seed)
{
    return XXH3_64bits_withSeed(p, n, seed);
}
