/*
 * Layers as tar streams: read through libarchive (tar only), written by
 * ourselves (ustar and PAX). Whiteouts are ".wh.NAME" and ".wh..wh..opq" entries (image-spec,
 * layer.md). Names are bytes: what character set they are in is nobody's business here.
 *
 * Reading: every path is cleaned and made relative to the root. Refused
 * (ERR_CORRUPT): ".." that leads out of the root (in hard-link targets too),
 * ".wh." with nothing, "." or ".." behind it, anything below a ".wh." name, a
 * root entry that is no directory, names over 4095 bytes, more than
 * LISTING_ENTRIES_MAX members, owners that are no 32-bit numbers, the device
 * 0:0 (overlayfs takes it for a whiteout), and whatever libarchive does not
 * read cleanly. Left out: members without a name, the ".wh..wh." files of
 * AUFS, and the xattrs trusted.overlay.* and user.overlay.*. An absolute
 * hard-link target is relative to the root. Files with holes are read whole; more
 * than 64 GiB of holes in one layer is ERR_CORRUPT. A stream of no bytes is an empty layer.
 */
#ifndef SHALE_IMAGE_LAYER_TAR_H
#define SHALE_IMAGE_LAYER_TAR_H

#include "base/stream.h"
#include "image/listing.h"

/*
 * One member of a layer as it comes. Hard links are of type ENTRY_FILE with
 * entry.hardlink set; content is not known yet. A whiteout is ENTRY_WHITEOUT
 * with the path that it removes; an opaque marker is ENTRY_WHITEOUT with
 * opaque set and the directory's path. Links on the way to a path are not followed: unpack in-root.
 */
struct tar_reader;
void tar_reader_free(struct tar_reader *r);
DEFINE_AUTO(struct tar_reader, tar_reader_free);
/* from: an uncompressed tar stream, borrowed. */
struct tar_reader *tar_reader_new(struct source *from, struct err *err) OWNED(tar_reader_free);
/* Whether 512 bytes are a tar header: by the sum that it carries of itself, the field counted as
 * blanks. */
bool tar_is_header(const void *block);
/* A tar that is no layer (ADD): names that begin with ".wh." mean nothing special. */
struct tar_reader *tar_reader_new_plain(struct source *from, struct err *err)
    OWNED(tar_reader_free);
/* 1: *ret is the next entry (valid until the next call); 0: end of archive, the rest of from
 * drained; < 0: error. */
int tar_reader_next(struct tar_reader *r, struct entry *ret, struct err *err);
/* The bytes of the file that next returned; 0 at its end, entry.size of them in all. */
ssize_t tar_reader_read(struct tar_reader *r, void *p, size_t n, struct err *err);

/*
 * The listing of a whole layer: reads from to its end, hashing each file;
 * inline content per listing_wants_inline. It lists what unpacking would give:
 * a later member of the same name replaces the earlier one, links of this layer that
 * stand in a later member's way are followed in-root (more than 255: ERR_CORRUPT), and a hard
 * link's header gives its mode, owner and time to the file. A hard link to what this layer has not
 * got is ERR_CORRUPT, as is a member below a file. Fails as above.
 */
int layer_tar_list(struct source *from, struct listing_builder *ret, struct err *err);
/* Shown the bytes of each file as they pass, and what they were when they have: whatever the
 * listing says of later. Empty files have no bytes. */
struct layer_tar_watch {
    void (*bytes)(void *arg, const void *p, size_t n);
    void (*end)(void *arg, const struct digest *content);
    void *arg;
};
int layer_tar_list_watched(struct source *from, const struct layer_tar_watch *watch,
                           struct listing_builder *ret, struct err *err);

/*
 * Writing. The same entries in the same order always give the same bytes:
 * PAX headers only where ustar cannot hold it, xattrs as SCHILY.xattr.NAME,
 * seconds only, no user names, no atime/ctime, uid and gid numeric; two
 * blocks of zeros at the end. An error ends the writer.
 * Hard links are written as links, without content. Entries come in listing
 * order, in which the target of a hard link is always the earlier one. A
 * name that begins with ".wh." cannot be in a layer: ERR_UNSUPPORTED.
 */
struct tar_writer;
void tar_writer_free(struct tar_writer *w);
DEFINE_AUTO(struct tar_writer, tar_writer_free);
/* to is borrowed and not finished by this. */
struct tar_writer *tar_writer_new(struct sink *to, struct err *err) OWNED(tar_writer_free);
/* A whiteout becomes its ".wh." file; an opaque directory is followed by its ".wh..wh..opq". */
int tar_writer_entry(struct tar_writer *w, const struct entry *e, struct err *err);
/* The bytes of the file entry just begun; exactly entry.size of them before the next entry. */
int tar_writer_data(struct tar_writer *w, const void *p, size_t n, struct err *err);
int tar_writer_finish(struct tar_writer *w, struct err *err);

/*
 * The whole tar of a listing. open gives the content of one file (a source,
 * owned by the caller of it); it is asked once per file that is no hard link and not empty, in
 * order. The content is hashed on the way: a difference from entry.content, or another size, is
 * ERR_CORRUPT naming the file.
 */
typedef struct source *(*layer_content_fn)(void *arg, const struct entry *e, struct err *err);
int layer_tar_write(const struct listing *l, layer_content_fn open, void *arg, struct sink *to,
                    struct err *err);

#endif
