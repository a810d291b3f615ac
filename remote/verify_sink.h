/*
 * A sink for bytes that are named by digest and size: hashes and counts what
 * it passes on, and refuses more than the size at once. It outlives broken
 * connections: a download goes on where verify_sink_done() says. One thread.
 */
#ifndef SHALE_REMOTE_VERIFY_SINK_H
#define SHALE_REMOTE_VERIFY_SINK_H

#include "base/stream.h"

/* next is borrowed and not finished. */
struct sink *verify_sink_new(struct sink *next, uint64_t size) OWNED(sink_free);
uint64_t verify_sink_done(const struct sink *s); /* bytes that next has got */
bool verify_sink_is_whole(const struct sink *s);
bool verify_sink_is_broken(const struct sink *s); /* a write failed: nothing more can go in */
/* ERR_CORRUPT: short, or another digest. Call once, at the end. */
int verify_sink_check(struct sink *s, const struct digest *want, struct err *err);

#endif
