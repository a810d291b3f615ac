/*
 * Platforms: "linux/amd64", "linux/arm/v7". Normalised as containerd does
 * (x86_64 -> amd64, aarch64 -> arm64, arm64/v8 -> arm64, arm -> arm/v7).
 */
#ifndef SHALE_IMAGE_PLATFORM_H
#define SHALE_IMAGE_PLATFORM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include <stdbool.h>

struct platform {
    char os[16], arch[16], variant[16], os_version[32];
};

int platform_parse(const char *s, struct platform *ret, struct err *err); /* ERR_USAGE */
struct platform platform_host(void);
/* "linux/arm/v7". Returns ret. */
const char *platform_format(const struct platform *p, char ret[64]);
/* Whether an image of have runs where want is asked for; the smaller the better, < 0: not at all.
 */
int platform_match(const struct platform *want, const struct platform *have);
/* The "platform" object of an index entry, or the same members of a config. */
int platform_from_json(const json_t *obj, struct platform *ret, struct err *err);

#endif
