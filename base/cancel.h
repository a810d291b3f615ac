/*
 * A flag that says "stop", readable by all threads and pollable. cancel_set is
 * async-signal-safe. Set once, never unset; the first reason stays.
 */
#ifndef SHALE_BASE_CANCEL_H
#define SHALE_BASE_CANCEL_H

#include "base/err.h"
#include "base/own.h"
#include <stdbool.h>

struct cancel;
void cancel_free(struct cancel *c);
DEFINE_AUTO(struct cancel, cancel_free);
struct cancel *cancel_new(void) OWNED(cancel_free) NONNULL;
void cancel_set(struct cancel *c, int signo); /* signo 0: another part failed */
/*
 * Undoes cancel_set(c, 0), once all parts have ended, so that they can begin again. False: a signal
 * was there too, and stays.
 */
bool cancel_take_back(struct cancel *c);
bool cancel_is_set(const struct cancel *c); /* NULL: false */
int cancel_signal(const struct cancel *c);  /* the signal, 0 when none */
int cancel_fd(const struct cancel *c);      /* becomes readable when set; -1 for NULL */
/* 0, or ERR_CANCELLED "interrupted". */
int cancel_check(const struct cancel *c, struct err *err);

#endif
