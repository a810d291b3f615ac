/*
 * Any bytes either are refused or give a listing that opens and verifies;
 * what is read never leads out of the root. Then the layer is written, as far as that goes.
 */
#include "tests/fuzz/fuzz.h"
#include "image/layer_tar.h"
#include "image/view.h"

#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

#define CONTENT_MAX (4u << 20) /* a small input may stand for a very large file with holes */

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_path(const char *path)
{
    require(path[0] != '/' && strlen(path) <= 4095);
    require(strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0);
    require(strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
}

/* Whether the whole can be read in a short time. */
static bool is_small(const uint8_t *data, size_t size, bool plain)
{
    struct err err = ERR_INIT;
    struct entry e;
    uint64_t total = 0;
    char chunk[1000];
    AUTO(source_free) struct source *from = source_mem(data, size);
    AUTO(tar_reader_free)
    struct tar_reader *r = plain ? tar_reader_new_plain(from, &err) : tar_reader_new(from, &err);
    while (r && tar_reader_next(r, &e, &err) == 1) {
        check_path(e.path);
        if (e.hardlink)
            check_path(e.hardlink);
        if (e.size > CONTENT_MAX || (total += e.size) > CONTENT_MAX)
            return false;
        (void)tar_reader_read(r, chunk, sizeof(chunk), &err);
    }
    return true;
}

static struct source *zeros(void *arg, const struct entry *e, struct err *err)
{
    (void)err;
    return source_mem(arg, e->size < CONTENT_MAX ? e->size : 0);
}

static void write_again(const struct listing *l)
{
    static char content[CONTENT_MAX];
    struct err err = ERR_INIT;
    AUTO(sink_free) struct sink *to = sink_null();
    (void)layer_tar_write(l, zeros, content, to, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err = ERR_INIT;
    if (!is_small(data, size, true) || !is_small(data, size, false))
        return 0;
    AUTO(source_free) struct source *from = source_mem(data, size);
    AUTO(listing_builder_free) struct listing_builder *b = listing_builder_new();
    AUTO(buf_release) struct buf bytes = BUF_INIT;
    if (layer_tar_list(from, b, &err) < 0 || listing_builder_write(b, &bytes, NULL, &err) < 0)
        return 0;
    AUTO(listing_free) struct listing *l = listing_open_buf(&bytes, &err);
    require(l != NULL && listing_verify(l, &err) == 0);
    write_again(l);
    return 0;
}
