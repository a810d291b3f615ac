/* How an image becomes members of an archive; shared by archive*.c and load_engine.c. */
#ifndef SHALE_ENGINE_ARCHIVE_INTERNAL_H
#define SHALE_ENGINE_ARCHIVE_INTERNAL_H

#include "engine/load_engine.h"

/*
 * archive_graph.c: the image as an engine with a graph driver takes it, `docker save`'s older form.
 * The lowest n_has layers are named and not sent. A layer is sent as a blob that is here, else as
 * the tar that it is: nothing is packed for it.
 */
int archive_write_graph(struct engine *e, const struct engine_load *what, size_t n_has,
                        struct sink *to, struct err *err);

/* Where members go: a tar or a directory. */
struct archive_out {
    struct store *store;
    struct tar_writer *tar; /* or NULL */
    int dirfd;
    struct map *written; /* members that are there: layers may repeat */
};
int archive_put_text(struct archive_out *o, const char *path, const struct buf *text,
                     struct err *err);
int archive_put_stream(struct archive_out *o, const char *path, struct source *from, uint64_t size,
                       struct err *err);
/* manifest.json of `docker save`; config and layers are members. */
void archive_docker_manifest(const char *config, const struct strv *names,
                             const struct strv *layers, struct buf *ret);

#endif
