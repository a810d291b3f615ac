/*
 * What `shale build` gives to its steps besides files: --secret, --ssh, --allow,
 * and the limits --shm-size, --ulimit, --cgroup-parent. From text to values, in
 * the words of buildx where something is wrong. One thread.
 */
#ifndef SHALE_CMD_BUILD_ACCESS_H
#define SHALE_CMD_BUILD_ACCESS_H

#include "cmd/option.h"
#include "engine/build.h"
#include "exec/run.h"

struct build_access {
    struct build_secret *secrets;
    size_t n_secrets, cap_secrets;
    struct build_ssh *ssh;
    size_t n_ssh, cap_ssh;
    struct exec_ulimit *ulimits;
    size_t n_ulimits, cap_ulimits;
};
void build_access_release(struct build_access *a);
DEFINE_AUTO_VALUE(struct build_access, build_access_release);

/* One of each kind; "" adds nothing to secrets and ssh. Files are looked at, not read. */
int build_access_secret(struct build_access *a, const char *text, struct err *err);
int build_access_ssh(struct build_access *a, const char *text, struct err *err);
int build_access_ulimit(struct build_access *a, const char *text, struct err *err);
int build_access_allow(struct strv *ret, const char *text, struct err *err);
/* "128m", "1.5g", "4096"; units are powers of 1024. */
int build_access_size(const char *text, uint64_t *ret, struct err *err);

/* All of them from o into b, which borrows from a. */
int build_access_take(struct build_access *a, const struct options *o, struct build_options *b,
                      struct err *err);

#endif
