/*
 * A map from strings to pointers that remembers the order of insertion; what
 * is walked goes out in that order, so that keys and documents made from a map
 * are stable. Hash: XXH3, seeded per process. One thread. Keys are copied.
 */
#ifndef SHALE_BASE_MAP_H
#define SHALE_BASE_MAP_H

#include "base/own.h"
#include <stdbool.h>
#include <stddef.h>

struct map;

/* free_value may be NULL: values are then borrowed. */
void map_free(struct map *m);
DEFINE_AUTO(struct map, map_free);
struct map *map_new(void (*free_value)(void *)) OWNED(map_free) NONNULL;

size_t map_len(const struct map *m);
void *map_get(const struct map *m, const char *key); /* NULL: not there */
bool map_has(const struct map *m, const char *key);
/* An old value is freed and replaced; its place in the order stays. */
void map_set(struct map *m, const char *key, void *value);
bool map_del(struct map *m, const char *key); /* true when it was there */
/* Walk: for (size_t i = 0; map_next(m, &i, &key, &value);) ; deleting while walking is allowed. */
bool map_next(const struct map *m, size_t *i, const char **ret_key, void **ret_value);

#endif
