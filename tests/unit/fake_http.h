/*
 * A small HTTP server inside a test program, good or hostile: a thread per
 * connection, on 127.0.0.1 at a port of the kernel's choice or on a unix
 * socket. The handler writes whatever bytes it likes.
 *
 *     struct fake *f = fake_start(handler, arg);
 *     ... fake_url(f, "/x") ...
 *     fake_stop(f);
 *
 * Handlers run on threads of the server: no assert_* in them.
 */
#ifndef SHALE_TESTS_FAKE_HTTP_H
#define SHALE_TESTS_FAKE_HTTP_H

#include "base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_CONNECTIONS 512

struct fake_conn {
    struct fake *fake;
    int fd;
    pthread_t thread;
    struct buf in; /* read and not used yet */
};

struct fake_request {
    char method[16];
    char path[2048];
    struct buf head; /* everything up to the empty line */
};

/* Returns whether the connection stays open for another request. */
typedef bool (*fake_handler)(struct fake_conn *c, const struct fake_request *q, void *arg);

struct fake {
    int fd, port;
    fake_handler handler;
    void *arg;
    pthread_t thread;
    atomic_bool is_stopping;
    atomic_int n_requests, n_connections;
    pthread_mutex_t lock; /* of what follows */
    struct strv heads;    /* of all requests */
    struct fake_conn *conns[FAKE_CONNECTIONS];
};

/* False when the other side is gone. */
UNUSED static bool fake_send(struct fake_conn *c, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t done = send(c->fd, at, n, MSG_NOSIGNAL);
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

UNUSED static bool fake_puts(struct fake_conn *c, const char *s)
{
    return fake_send(c, s, strlen(s));
}

/* A whole answer; headers is "Name: value\r\n"... or "". */
UNUSED static bool fake_reply(struct fake_conn *c, const char *status, const char *headers,
                              const char *body)
{
    AUTO(mem_free)
    char *text = str_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n%s", status, strlen(body),
                            headers, body);
    return fake_puts(c, text);
}

UNUSED static bool fake_is(const struct fake_request *q, const char *method, const char *path)
{
    return strcmp(q->method, method) == 0 && strcmp(q->path, path) == 0;
}

/* The value of a request's header, to be freed; NULL: none. */
UNUSED static char *fake_header(const char *head, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
        p += 2;
        if (strncasecmp(p, name, len) == 0 && p[len] == ':')
            return str_ndup(p + len + 2, strcspn(p + len + 2, "\r"));
    }
    return NULL;
}

/* More bytes into c->in; false at the end. */
static bool fake_fill(struct fake_conn *c)
{
    char chunk[16384];
    ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);
    if (n > 0)
        buf_add(&c->in, chunk, (size_t)n);
    return n > 0;
}

static void fake_drop(struct fake_conn *c, size_t n)
{
    memmove(c->in.data, c->in.data + n, c->in.len - n);
    buf_truncate(&c->in, c->in.len - n);
}

static bool fake_take(struct fake_conn *c, size_t n, struct buf *ret)
{
    while (c->in.len < n)
        if (!fake_fill(c))
            return false;
    if (ret != NULL)
        buf_add(ret, c->in.data, n);
    fake_drop(c, n);
    return true;
}

/* Up to and with end. */
static bool fake_take_until(struct fake_conn *c, const char *end, struct buf *ret)
{
    char *at;
    while ((at = memmem(buf_str(&c->in), c->in.len, end, strlen(end))) == NULL)
        if (!fake_fill(c))
            return false;
    return fake_take(c, (size_t)(at - c->in.data) + strlen(end), ret);
}

/* The request's body, whichever way it is sent. */
UNUSED static bool fake_body(struct fake_conn *c, const struct fake_request *q, struct buf *ret)
{
    AUTO(mem_free) char *length = fake_header(q->head.data, "Content-Length");
    AUTO(mem_free) char *coding = fake_header(q->head.data, "Transfer-Encoding");
    if (coding == NULL)
        return fake_take(c, length ? strtoul(length, NULL, 10) : 0, ret);
    for (;;) {
        AUTO(buf_release) struct buf line = BUF_INIT;
        if (!fake_take_until(c, "\r\n", &line))
            return false;
        size_t n = strtoul(line.data, NULL, 16);
        if (!fake_take(c, n, ret) || !fake_take(c, 2, NULL))
            return false;
        if (n == 0)
            return true;
    }
}

static bool fake_serve_one(struct fake_conn *c)
{
    struct fake *f = c->fake;
    struct fake_request q = { .head = BUF_INIT };
    bool stays = false;
    if (fake_take_until(c, "\r\n\r\n", &q.head) &&
        sscanf(q.head.data, "%15s %2047s", q.method, q.path) == 2) {
        pthread_mutex_lock(&f->lock);
        strv_add(&f->heads, q.head.data);
        pthread_mutex_unlock(&f->lock);
        f->n_requests++;
        stays = f->handler(c, &q, f->arg);
    }
    buf_release(&q.head);
    return stays;
}

static void *fake_connection(void *arg)
{
    struct fake_conn *c = arg;
    while (fake_serve_one(c))
        ;
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *fake_accept(void *arg)
{
    struct fake *f = arg;
    for (;;) {
        int fd = accept(f->fd, NULL, NULL);
        if (f->is_stopping || fd < 0 || f->n_connections == FAKE_CONNECTIONS) {
            if (fd >= 0)
                close(fd);
            return NULL;
        }
        struct fake_conn *c = mem_zalloc(sizeof(*c));
        c->fake = f;
        c->fd = fd;
        f->conns[f->n_connections] = c;
        f->n_connections++;
        if (pthread_create(&c->thread, NULL, fake_connection, c) != 0)
            abort();
    }
}

static struct fake *fake_run(int fd, fake_handler handler, void *arg)
{
    struct fake *f = mem_zalloc(sizeof(*f));
    f->fd = fd;
    f->handler = handler;
    f->arg = arg;
    pthread_mutex_init(&f->lock, NULL);
    if (fd < 0 || listen(fd, 128) < 0 || pthread_create(&f->thread, NULL, fake_accept, f) != 0)
        abort();
    return f;
}

UNUSED static struct fake *fake_start(fake_handler handler, void *arg)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        abort();
    struct fake *f = fake_run(fd, handler, arg);
    f->port = ntohs(at.sin_port);
    return f;
}

UNUSED static struct fake *fake_start_unix(const char *path, fake_handler handler, void *arg)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
        abort();
    return fake_run(fd, handler, arg);
}

UNUSED static void fake_stop(struct fake *f)
{
    f->is_stopping = true;
    shutdown(f->fd, SHUT_RDWR);
    pthread_join(f->thread, NULL);
    close(f->fd);
    for (int i = 0; i < f->n_connections; i++) {
        struct fake_conn *c = f->conns[i];
        shutdown(c->fd, SHUT_RDWR);
        pthread_join(c->thread, NULL);
        close(c->fd);
        buf_release(&c->in);
        mem_free(c);
    }
    strv_release(&f->heads);
    pthread_mutex_destroy(&f->lock);
    mem_free(f);
}

/* Sleeps as long as the server is wanted: a peer that says nothing more. */
UNUSED static void fake_hang(struct fake_conn *c)
{
    char byte;
    while (recv(c->fd, &byte, 1, 0) > 0)
        ;
}

UNUSED static char *fake_url(const struct fake *f, const char *path)
{
    return str_printf("http://127.0.0.1:%d%s", f->port, path);
}

/* A header of the i-th request, to be freed; NULL: none. */
UNUSED static char *fake_seen(struct fake *f, size_t i, const char *name)
{
    pthread_mutex_lock(&f->lock);
    char *value = i < f->heads.n ? fake_header(f->heads.v[i], name) : NULL;
    pthread_mutex_unlock(&f->lock);
    return value;
}

/* A port of this machine that nobody listens on. */
UNUSED static int fake_free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        abort();
    close(fd);
    return ntohs(at.sin_port);
}

#endif
