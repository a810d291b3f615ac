/*
 * The store: a directory of blobs, unpacked trees and an SQLite index, shared
 * by all shale processes of one owner.
 *
 *     $SHALE_ROOT, else /var/lib/shale for root (of a user namespace: where it may use that), else
 *     ${XDG_DATA_HOME:-~/.local/share}/shale
 *
 *     blobs/sha256/ab/<hex>   bytes, named by their SHA-256, mode 0600
 *     trees/<hex of diff id>/ unpacked layers, used as overlay lower directories (trees-<form>/ in
 *                             a user namespace: there they have other owners and other marks)
 *     shale.db                the index
 *     memory/                 digests of context files (written by cache/)
 *     work/<boot>-<pid>-<n>   scratch of one process, with its lease
 *
 * Mode 0700, one owner; a store of another owner or open to the group is
 * refused. The index is a claim: a row whose bytes are gone is a miss and is
 * dropped. Publishing: bytes, fsync, name, fsync of the directory, row. All
 * calls on a struct store may come from any thread. docs/store-layout.md.
 */
#ifndef SHALE_STORE_STORE_H
#define SHALE_STORE_STORE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/own.h"

struct store;
void store_close(struct store *s);
DEFINE_AUTO(struct store, store_close);
/*
 * root NULL: as above. Makes what is missing, clears scratch that dead processes left. An empty
 * directory of ours is taken over. A damaged index is moved aside with a warning and begun anew.
 * ERR_USAGE: of another user, or open to others. ERR_UNSUPPORTED: a network file system, or written
 * by a newer shale (it is left untouched). ERR_IO: cannot be written. A child that was forked from
 * a process with an open store (and does not exec) must not touch it: SQLite's rule.
 */
struct store *store_open(const char *root, struct err *err) OWNED(store_close);
const char *store_root(const struct store *s); /* absolute path */
int store_dirfd(const struct store *s);
/* Off (--no-durable): no fsync; a power loss may lose finished builds, never make wrong ones. */
void store_set_durable(struct store *s, bool durable);
bool store_is_durable(const struct store *s);

#endif
