/*
 * Files of a step that are on no disk, as they hold secrets: the runtime's
 * specification (the environment), its state, and files to be mounted. Their
 * bytes come to the helper in a file of memory (fd HELPER_BYTES_FD: first the
 * specification, then the others in the order of the mounts) and go into a
 * tmpfs in the helper's own mount namespace: when that ends, however it ends,
 * they are gone. For the helper process; one thread.
 */
#ifndef SHALE_EXEC_MEMORY_FILES_INTERNAL_H
#define SHALE_EXEC_MEMORY_FILES_INTERNAL_H

#include "exec/helper_internal.h"

/* Mounts the tmpfs as HELPER_MEMORY and writes config.json and all HELPER_MOUNT_FILE. */
int memory_files_make(const struct helper_order *o, int from, struct err *err);
int memory_files_open(const struct helper_order *o, const struct helper_mount *m,
                      struct err *err); /* O_PATH */
void memory_files_unmount(const struct helper_order *o);

#endif
