#include "base/map.h"
#include "base/digest.h"
#include "base/mem.h"

#include <string.h>
#include <sys/auxv.h>

/* Entries in order of insertion; deleted ones have no key until the next rehash. */
struct entry {
    char *key;
    void *value;
    uint64_t hash;
};

struct map {
    void (*free_value)(void *);
    struct entry *entries;
    size_t n_entries, cap; /* used places, deleted ones included */
    size_t n_live;
    uint32_t *slots; /* index of an entry + 1; 0: free */
    size_t n_slots;  /* a power of two */
};

/* The kernel gives each process 16 random bytes at exec. */
static uint64_t hash_key(const char *key)
{
    uint64_t seed = 0;
    unsigned long at = getauxval(AT_RANDOM);

    if (at != 0)
        memcpy(&seed, (const void *)at, sizeof(seed)); /* NOLINT(performance-no-int-to-ptr) */
    return quick_hash(key, strlen(key), seed);
}

static void value_free(const struct map *m, void *value)
{
    if (m->free_value != NULL && value != NULL)
        m->free_value(value);
}

void map_free(struct map *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].key == NULL)
            continue;
        value_free(m, m->entries[i].value);
        mem_free(m->entries[i].key);
    }
    mem_free(m->entries);
    mem_free(m->slots);
    mem_free(m);
}

struct map *map_new(void (*free_value)(void *))
{
    struct map *m = mem_zalloc(sizeof(*m));

    m->free_value = free_value;
    return m;
}

size_t map_len(const struct map *m)
{
    return m->n_live;
}

static struct entry *find(const struct map *m, const char *key, uint64_t hash)
{
    if (m->n_slots == 0)
        return NULL;
    for (size_t s = hash & (m->n_slots - 1); m->slots[s] != 0; s = (s + 1) & (m->n_slots - 1)) {
        struct entry *e = &m->entries[m->slots[s] - 1];
        if (e->key != NULL && e->hash == hash && strcmp(e->key, key) == 0)
            return e;
    }
    return NULL;
}

/* Into a free slot or one of a deleted entry, so that a key put and deleted over and over stays
 * near. */
static void slot_put(struct map *m, size_t index)
{
    size_t s = m->entries[index].hash & (m->n_slots - 1);

    while (m->slots[s] != 0 && m->entries[m->slots[s] - 1].key != NULL)
        s = (s + 1) & (m->n_slots - 1);
    m->slots[s] = (uint32_t)(index + 1);
}

/* Drops deleted entries and makes the table at most half full with one entry more. */
static void rehash(struct map *m)
{
    size_t n = 0, n_slots = 16;

    for (size_t i = 0; i < m->n_entries; i++)
        if (m->entries[i].key != NULL)
            m->entries[n++] = m->entries[i];
    m->n_entries = n;
    while (n_slots < (n + 1) * 4)
        n_slots *= 2;
    mem_free(m->slots);
    m->slots = mem_calloc(n_slots, sizeof(*m->slots));
    m->n_slots = n_slots;
    for (size_t i = 0; i < n; i++)
        slot_put(m, i);
}

void *map_get(const struct map *m, const char *key)
{
    const struct entry *e = find(m, key, hash_key(key));

    return e ? e->value : NULL;
}

bool map_has(const struct map *m, const char *key)
{
    return find(m, key, hash_key(key)) != NULL;
}

void map_set(struct map *m, const char *key, void *value)
{
    uint64_t hash = hash_key(key);
    struct entry *e = find(m, key, hash);

    if (e != NULL) {
        void *old = e->value;
        e->value = value;
        if (old != value)
            value_free(m, old);
        return;
    }
    if ((m->n_entries + 1) * 2 > m->n_slots)
        rehash(m);
    MEM_ROOM(m->entries, m->n_entries, m->cap);
    m->entries[m->n_entries] = (struct entry){ .key = str_dup(key), .value = value, .hash = hash };
    slot_put(m, m->n_entries++);
    m->n_live++;
}

bool map_del(struct map *m, const char *key)
{
    struct entry *e = find(m, key, hash_key(key));

    if (e == NULL)
        return false;
    struct entry gone = *e;
    e->key = NULL;
    e->value = NULL;
    m->n_live--;
    value_free(m, gone.value);
    mem_free(gone.key);
    return true;
}

bool map_next(const struct map *m, size_t *i, const char **ret_key, void **ret_value)
{
    while (*i < m->n_entries && m->entries[*i].key == NULL)
        (*i)++;
    if (*i >= m->n_entries)
        return false;
    const struct entry *e = &m->entries[(*i)++];
    if (ret_key != NULL)
        *ret_key = e->key;
    if (ret_value != NULL)
        *ret_value = e->value;
    return true;
}
