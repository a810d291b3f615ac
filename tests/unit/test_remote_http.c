#include "tests/unit/unit.h"
#include "tests/unit/fake_http.h"
#include "base/clock.h"
#include "remote/http.h"

static struct http *new_http(struct cancel *cancel)
{
    return http_new(cancel);
}

/* One GET; returns the status or the error code. */
static int get(struct http *h, const char *url, struct http_response *ret, struct err *err)
{
    struct http_request q = { .method = "GET", .url = url, .idle_timeout_s = 5 };
    err_clear(err);
    return http_do(h, &q, ret, err) < 0 ? err->code : ret->status;
}

/* A GET of one path of a server that must fail; the message must hold the text. */
static void assert_get_fails(fake_handler handler, enum err_code code, const char *text)
{
    struct err err = ERR_INIT;
    struct http_response r = { .status = 0 };
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(handler, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/");
    int64_t start = clock_mono_ms();
    assert_int_equal(get(h, url, &r, &err), code);
    assert_true(clock_mono_ms() - start < 5000);
    if (strstr(err.msg, text) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, text);
    assert_null(strchr(err.msg, '\n'));
    fake_stop(f);
}

/* --- answers ---------------------------------------------------------------------------------- */

static bool say_hello(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    if (strcmp(q->path, "/missing") == 0)
        return fake_reply(c, "404 Not Found", "", "no such thing");
    return fake_reply(c, "200 OK", "X-Thing:  a value \r\nContent-Type: Text/Plain; x=y\r\n",
                      "hello");
}

static void an_answer_has_status_headers_and_body(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct fake *f = fake_start(say_hello, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/x");
    assert_int_equal(get(h, url, &r, &err), 200);
    assert_string_equal(buf_str(&r.body), "hello");
    assert_string_equal(http_header(&r, "x-thing"), "a value");
    assert_null(http_header(&r, "x-thin"));
    assert_string_equal(r.url, url);
    AUTO(mem_free) char *type = http_media_type(&r);
    assert_string_equal(type, "text/plain");
    fake_stop(f);
}

static void a_sink_gets_a_good_body_and_never_an_error_body(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&got, 100);
    struct fake *f = fake_start(say_hello, NULL);
    static const char *const paths[] = { "/missing", "/there" };
    for (size_t i = 0; i < 2; i++) {
        AUTO(mem_free) char *url = fake_url(f, paths[i]);
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        struct http_request q = { .method = "GET", .url = url, .to = to };
        assert_ok(http_do(h, &q, &r, &err), &err);
        assert_string_equal(buf_str(&got), i == 0 ? "" : "hello");
        assert_string_equal(buf_str(&r.body), i == 0 ? "no such thing" : "");
    }
    fake_stop(f);
}

static void an_error_of_the_sink_comes_back_as_it_is(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(buf_release) struct buf got = BUF_INIT;
    AUTO(sink_free) struct sink *to = sink_buf(&got, 3);
    struct fake *f = fake_start(say_hello, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/x");
    struct http_response r = { .status = 0 };
    struct http_request q = { .method = "GET", .url = url, .to = to };
    assert_int_equal(http_do(h, &q, &r, &err), ERR_CORRUPT);
    assert_null(strstr(err.msg, "127.0.0.1"));
    fake_stop(f);
}

static void connections_are_used_again(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(say_hello, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/x");
    for (int i = 0; i < 20; i++) {
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        assert_int_equal(get(h, url, &r, &err), 200);
    }
    assert_int_equal(f->n_connections, 1);
    assert_int_equal(f->n_requests, 20);
    fake_stop(f);
}

struct many {
    struct http *h;
    const char *url;
    atomic_int good;
};

static void *get_many(void *arg)
{
    struct many *m = arg;
    for (int i = 0; i < 20; i++) {
        struct err err = ERR_INIT;
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        if (get(m->h, m->url, &r, &err) == 200 && str_eq(buf_str(&r.body), "hello"))
            m->good++;
    }
    return NULL;
}

static void many_threads_share_one(UNUSED void **state)
{
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(say_hello, NULL);
    AUTO(mem_free) char *url = str_printf("http://localhost:%d/x", f->port);
    struct many m = { .h = h, .url = url };
    pthread_t threads[8];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_many, &m), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(m.good, 160);
    assert_true(f->n_connections < 100);
    fake_stop(f);
}

static void a_unix_socket_is_spoken_to(UNUSED void **state)
{
    struct err err = ERR_INIT;
    char dir[64];
    int fd = scratch_make(dir);
    AUTO(mem_free) char *path = str_printf("%s/s", dir);
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start_unix(path, say_hello, NULL);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct http_request q = { .method = "GET", .url = "http://localhost/x", .unix_socket = path };
    assert_ok(http_do(h, &q, &r, &err), &err);
    assert_string_equal(buf_str(&r.body), "hello");
    fake_stop(f);

    struct http_response none = { .status = 0 };
    AUTO(http_free) struct http *h2 = new_http(NULL);
    assert_int_equal(http_do(h2, &q, &none, &err), ERR_NET);
    AUTO(mem_free) char *want = str_printf("cannot reach unix://%s: connection refused", path);
    assert_string_equal(err.msg, want);
    scratch_remove(fd, dir);
}

/* --- bounds ----------------------------------------------------------------------------------- */

static bool endless_body(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    char block[4096];
    memset(block, 'x', sizeof(block));
    fake_puts(c,
              str_eq(q->path, "/error") ? "HTTP/1.1 500 Oops\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
    while (fake_send(c, block, sizeof(block)))
        ;
    return false;
}

static void an_endless_body_is_refused(UNUSED void **state)
{
    assert_get_fails(endless_body, ERR_CORRUPT, "sent more than 1048576 bytes");
}

static void an_endless_error_body_is_cut(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(endless_body, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/error");
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    assert_int_equal(get(h, url, &r, &err), 500);
    assert_int_equal(r.body.len, 64 << 10);
    fake_stop(f);
}

static bool endless_headers(struct fake_conn *c, UNUSED const struct fake_request *q,
                            UNUSED void *arg)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\n");
    while (fake_puts(c, "X: y\r\n"))
        ;
    return false;
}

static bool endless_header_line(struct fake_conn *c, UNUSED const struct fake_request *q,
                                UNUSED void *arg)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\nX: ");
    while (fake_puts(c, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"))
        ;
    return false;
}

static bool endless_continues(struct fake_conn *c, UNUSED const struct fake_request *q,
                              UNUSED void *arg)
{
    while (fake_puts(c, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"))
        ;
    return false;
}

static void endless_headers_are_refused(UNUSED void **state)
{
    assert_get_fails(endless_headers, ERR_NET, "too many header lines");
    assert_get_fails(endless_header_line, ERR_NET, "127.0.0.1");
    assert_get_fails(endless_continues, ERR_NET, "127.0.0.1");
}

/* --- broken peers ----------------------------------------------------------------------------- */

static bool bad_chunks(struct fake_conn *c, UNUSED const struct fake_request *q, UNUSED void *arg)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n");
    return false;
}

static bool cut_chunks(struct fake_conn *c, UNUSED const struct fake_request *q, UNUSED void *arg)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    return false;
}

static bool cut_body(struct fake_conn *c, UNUSED const struct fake_request *q, UNUSED void *arg)
{
    fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    return false;
}

static bool no_http(struct fake_conn *c, UNUSED const struct fake_request *q, UNUSED void *arg)
{
    fake_puts(c, "SSH-2.0-OpenSSH\r\n\r\n");
    return false;
}

static bool nothing(UNUSED struct fake_conn *c, UNUSED const struct fake_request *q,
                    UNUSED void *arg)
{
    return false;
}

static void a_connection_that_breaks_off_is_a_net_error(UNUSED void **state)
{
    assert_get_fails(bad_chunks, ERR_NET, "lost the connection to 127.0.0.1:");
    assert_get_fails(cut_chunks, ERR_NET, "lost the connection to 127.0.0.1:");
    assert_get_fails(cut_body, ERR_NET, "lost the connection to 127.0.0.1:");
    assert_get_fails(no_http, ERR_NET, "127.0.0.1:");
    assert_get_fails(nothing, ERR_NET, "lost the connection to 127.0.0.1:");
}

static void nobody_listening_is_said_with_host_and_port(UNUSED void **state)
{
    struct err err = ERR_INIT;
    struct http_response r = { .status = 0 };
    AUTO(http_free) struct http *h = new_http(NULL);
    int port = fake_free_port();
    AUTO(mem_free) char *url = str_printf("http://user:secret@127.0.0.1:%d/x?token=secret", port);
    AUTO(mem_free)
    char *want = str_printf("cannot reach 127.0.0.1:%d: connection refused", port);
    assert_int_equal(get(h, url, &r, &err), ERR_NET);
    assert_string_equal(err.msg, want);
    assert_int_equal(err.sys, ECONNREFUSED);
    assert_false(http_is_broken_off(&err));
}

static void what_is_no_url_is_refused(UNUSED void **state)
{
    static const char *const urls[] = {
        "", "nonsense", "ftp://localhost/", "file:///etc/passwd", "http://", "http://a b/"
    };
    AUTO(http_free) struct http *h = new_http(NULL);
    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct err err = ERR_INIT;
        struct http_response r = { .status = 0 };
        assert_int_equal(get(h, urls[i], &r, &err), ERR_USAGE);
    }
}

static bool hang(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    if (strcmp(q->path, "/body") == 0)
        fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    fake_hang(c);
    return false;
}

static void a_peer_that_says_nothing_is_given_up(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(hang, NULL);
    for (int total = 0; total < 2; total++) {
        AUTO(mem_free) char *url = fake_url(f, "/");
        struct http_response r = { .status = 0 };
        struct http_request q = {
            .method = "GET", .url = url, .idle_timeout_s = total ? 9 : 1, .total_timeout_s = total
        };
        int64_t start = clock_mono_ms();
        assert_int_equal(http_do(h, &q, &r, &err), ERR_NET);
        assert_true(clock_mono_ms() - start < 5000);
        assert_true(http_is_broken_off(&err));
        assert_non_null(strstr(err.msg, total ? "not done within 1 s" : "nothing came for 1 s"));
    }
    fake_stop(f);
}

static void *cancel_soon(void *arg)
{
    usleep(100000);
    cancel_set(arg, 2);
    return NULL;
}

static void cancelling_ends_a_transfer_and_a_wait_at_once(UNUSED void **state)
{
    static const char *const paths[] = { "/", "/body", NULL };
    struct fake *f = fake_start(hang, NULL);
    for (size_t i = 0; i < 3; i++) {
        struct err err = ERR_INIT;
        struct http_response r = { .status = 0 };
        AUTO(cancel_free) struct cancel *cancel = cancel_new();
        AUTO(http_free) struct http *h = new_http(cancel);
        AUTO(mem_free) char *url = fake_url(f, paths[i] ? paths[i] : "");
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, cancel_soon, cancel), 0);
        int64_t start = clock_mono_ms();
        int code = paths[i] ? get(h, url, &r, &err) : http_wait(h, 30000, &err);
        assert_int_equal(code, ERR_CANCELLED);
        assert_true(clock_mono_ms() - start < 700);
        assert_int_equal(get(h, url, &r, &err), ERR_CANCELLED);
        pthread_join(thread, NULL);
    }
    fake_stop(f);
}

/* --- redirects -------------------------------------------------------------------------------- */

struct places {
    struct fake *first, *second;
};

/* /to-other -> second/back -> first/end ; /same -> /end ; /loop -> /loop ; ... */
static bool redirects(struct fake_conn *c, const struct fake_request *q, void *arg)
{
    struct places *p = arg;
    AUTO(mem_free) char *back = p->second ? fake_url(p->second, "/back") : NULL;
    AUTO(mem_free) char *end = fake_url(p->first ? p->first : c->fake, "/end");
    const struct {
        const char *path, *status, *to;
    } rows[] = {
        { "/to-other", "302 Found", back },
        { "/back", "302 Found", end },
        { "/same", "301 Moved", "end?x" },
        { "/loop", "302 Found", "/loop" },
        { "/file", "302 Found", "file:///etc/passwd" },
        { "/see", "303 See Other", "/end" },
        { "/again", "307 Temporary Redirect", "/end" },
    };
    AUTO(buf_release) struct buf body = BUF_INIT;
    if (!fake_body(c, q, &body))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(q->path, rows[i].path) == 0) {
            AUTO(mem_free) char *header = str_printf("Location: %s\r\n", rows[i].to);
            return fake_reply(c, rows[i].status, header, "moved");
        }
    return fake_reply(c, "200 OK", "", q->method);
}

static void assert_header(struct fake *f, size_t i, const char *name, const char *want)
{
    AUTO(mem_free) char *got = fake_seen(f, i, name);
    if (!str_eq(got, want))
        fail_msg("request %zu has %s: %s", i, name, got ? got : "-");
}

static int get_with_secrets(struct http *h, struct fake *f, const char *path,
                            struct http_response *r, struct err *err)
{
    AUTO(mem_free) char *url = fake_url(f, path);
    AUTO(strv_release) struct strv headers = STRV_INIT;
    strv_add(&headers, "X-Secret: 1");
    strv_add(&headers, "Accept: thing");
    struct http_request q = {
        .method = "GET", .url = url, .authorization = "Bearer secret", .headers = &headers
    };
    return http_do(h, &q, r, err);
}

static void credentials_stay_with_their_origin_for_good(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct places p = { .first = NULL };
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct places none = { .first = NULL };
    struct fake *second = fake_start(redirects, &none);
    p.second = second;
    struct fake *first = fake_start(redirects, &p);
    none.first = first;
    assert_ok(get_with_secrets(h, first, "/to-other", &r, &err), &err);
    assert_int_equal(r.status, 200);
    assert_header(first, 0, "Authorization", "Bearer secret");
    assert_header(first, 0, "X-Secret", "1");
    assert_header(second, 0, "Authorization", NULL);
    assert_header(second, 0, "X-Secret", NULL);
    assert_header(second, 0, "Accept", "thing");
    assert_header(first, 1, "Authorization", NULL);
    assert_header(first, 1, "X-Secret", NULL);
    fake_stop(first);
    fake_stop(second);
}

static void a_redirect_inside_the_origin_keeps_credentials(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct places p = { .first = NULL };
    struct fake *f = fake_start(redirects, &p);
    assert_ok(get_with_secrets(h, f, "/same", &r, &err), &err);
    assert_header(f, 1, "Authorization", "Bearer secret");
    AUTO(mem_free) char *end = fake_url(f, "/end?x");
    assert_string_equal(r.url, end);
    fake_stop(f);
}

static void redirects_that_lead_nowhere_are_refused(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct http_response r = { .status = 0 };
    struct places p = { .first = NULL };
    struct fake *f = fake_start(redirects, &p);
    AUTO(mem_free) char *loop = fake_url(f, "/loop");
    AUTO(mem_free) char *file = fake_url(f, "/file");
    assert_int_equal(get(h, loop, &r, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "redirects without end"));
    assert_int_equal(f->n_requests, 11);
    assert_int_equal(get(h, file, &r, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "no http or https URL"));
    assert_false(http_is_broken_off(&err));
    fake_stop(f);
}

/* A network that the second question is answered to be inside of, or the first and all others. */
static int n_asked;

static bool later_is_inside(const char *ip)
{
    return strcmp(ip, "127.0.0.1") != 0 || n_asked++ > 0;
}

static bool all_is_inside(const char *ip)
{
    n_asked++;
    return ip != NULL;
}

static int get_guarded(struct http *h, struct fake *f, bool (*is_inside)(const char *),
                       struct http_response *r, struct err *err)
{
    AUTO(mem_free) char *url = fake_url(f, "/to-other");
    struct http_request q = { .method = "GET", .url = url, .is_inside = is_inside };
    n_asked = 0;
    err_clear(err);
    return http_do(h, &q, r, err);
}

static void a_server_outside_leads_nobody_inside(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct places none = { .first = NULL };
    struct fake *second = fake_start(redirects, &none);
    struct places p = { .second = second };
    struct fake *first = fake_start(redirects, &p);
    none.first = first;
    assert_int_equal(get_guarded(h, first, later_is_inside, &r, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "an outside server may not redirect to"));
    assert_false(http_is_broken_off(&err));
    assert_int_equal(second->n_requests, 0);
    /* whose own server is inside may be led inside; each hop is asked about */
    assert_ok(get_guarded(h, first, all_is_inside, &r, &err), &err);
    assert_int_equal(r.status, 200);
    assert_int_equal(n_asked, 3);
    /* a connection that is open already is judged too */
    assert_int_equal(get_guarded(h, first, later_is_inside, &r, &err), ERR_NET);
    assert_int_equal(second->n_requests, 1);
    fake_stop(first);
    fake_stop(second);
}

static char last_asked[64];

static bool notes_what_is_asked(const char *ip)
{
    snprintf(last_asked, sizeof(last_asked), "%s", ip);
    return false;
}

/* The port is the proxy's in both, so that it tells nothing. */
static void a_name_that_needs_no_proxy_is_judged_by_its_address(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    AUTO(http_response_release) struct http_response again = { .status = 0 };
    struct places none = { .first = NULL };
    struct fake *f = fake_start(redirects, &none);
    AUTO(mem_free) char *proxy = fake_url(f, "");
    AUTO(mem_free) char *url = str_printf("http://x.localhost%s/end", strrchr(proxy, ':'));
    struct http_request q = { .method = "GET", .url = url, .is_inside = notes_what_is_asked };
    setenv("http_proxy", proxy, 1);
    assert_ok(http_do(h, &q, &r, &err), &err);
    assert_string_equal(last_asked, "x.localhost");
    setenv("no_proxy", "example.com, .localhost", 1);
    assert_ok(http_do(h, &q, &again, &err), &err);
    assert_string_equal(last_asked, "127.0.0.1");
    unsetenv("http_proxy");
    unsetenv("no_proxy");
    fake_stop(f);
}

static void dates_are_read(UNUSED void **state)
{
    assert_int_equal(http_date("Wed, 21 Oct 2015 07:28:00 GMT"), 1445412480);
    assert_int_equal(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
    assert_int_equal(http_date("soon"), -1);
    assert_int_equal(http_date(""), -1);
}

static int post(struct http *h, struct fake *f, const char *path, int64_t size,
                struct http_response *r, struct err *err)
{
    AUTO(mem_free) char *url = fake_url(f, path);
    AUTO(source_free) struct source *body = source_mem("some text", 9);
    struct http_request q = { .method = "POST", .url = url, .body = body, .body_size = size };
    return http_do(h, &q, r, err);
}

static void see_other_turns_post_into_get(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct places p = { .first = NULL };
    struct fake *f = fake_start(redirects, &p);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    assert_ok(post(h, f, "/see", 9, &r, &err), &err);
    assert_string_equal(buf_str(&r.body), "GET");
    fake_stop(f);
}

static void a_body_is_not_sent_twice(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct places p = { .first = NULL };
    struct fake *f = fake_start(redirects, &p);
    struct http_response r = { .status = 0 };
    assert_int_equal(post(h, f, "/again", 9, &r, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "whose body was sent already"));
    fake_stop(f);
}

/* --- bodies that are sent --------------------------------------------------------------------- */

static bool echo(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    AUTO(buf_release) struct buf body = BUF_INIT;
    return fake_body(c, q, &body) && fake_reply(c, "200 OK", "", buf_str(&body));
}

static void a_body_arrives_whole_with_or_without_a_size(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(echo, NULL);
    static const int64_t sizes[] = { 9, -1 };
    for (size_t i = 0; i < 2; i++) {
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        assert_ok(post(h, f, "/", sizes[i], &r, &err), &err);
        assert_string_equal(buf_str(&r.body), "some text");
        assert_header(f, i, "Content-Length", sizes[i] < 0 ? NULL : "9");
        assert_header(f, i, "Transfer-Encoding", sizes[i] < 0 ? "chunked" : NULL);
        assert_header(f, i, "Expect", NULL);
        assert_header(f, i, "Content-Type", NULL);
    }
    fake_stop(f);
}

static bool echo_method(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    if (strcmp(q->method, "HEAD") == 0)
        return fake_puts(c, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nX-Method: HEAD\r\n\r\n");
    AUTO(mem_free) char *header = str_printf("X-Method: %s\r\n", q->method);
    return fake_reply(c, "200 OK", header, "");
}

static void every_method_goes_out_as_it_is_called(UNUSED void **state)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "GET" };
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(echo_method, NULL);
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        AUTO(mem_free) char *url = fake_url(f, "/");
        AUTO(http_response_release) struct http_response r = { .status = 0 };
        struct http_request q = { .method = methods[i], .url = url };
        assert_ok(http_do(h, &q, &r, &err), &err);
        assert_string_equal(http_header(&r, "x-method"), methods[i]);
    }
    fake_stop(f);
}

static ssize_t broken_read(UNUSED struct source *s, UNUSED void *p, UNUSED size_t n,
                           struct err *err)
{
    return err_set(err, ERR_IO, "the disk is gone");
}

static void broken_free(UNUSED struct source *s)
{
}

static void an_error_of_the_source_comes_back_as_it_is(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    struct fake *f = fake_start(echo, NULL);
    AUTO(mem_free) char *url = fake_url(f, "/");
    struct source source = { .read = broken_read, .free = broken_free };
    struct http_response r = { .status = 0 };
    struct http_request q = { .method = "PUT", .url = url, .body = &source, .body_size = -1 };
    assert_int_equal(http_do(h, &q, &r, &err), ERR_IO);
    assert_string_equal(err.msg, "the disk is gone");
    fake_stop(f);
}

/* --- ranges ----------------------------------------------------------------------------------- */

static bool ranges(struct fake_conn *c, const struct fake_request *q, UNUSED void *arg)
{
    if (strcmp(q->path, "/good") == 0)
        return fake_reply(c, "206 Partial Content", "Content-Range: bytes 4-8/9\r\n", "45678");
    if (strcmp(q->path, "/shifted") == 0)
        return fake_reply(c, "206 Partial Content", "Content-Range: bytes 3-8/9\r\n", "345678");
    if (strcmp(q->path, "/vague") == 0)
        return fake_reply(c, "206 Partial Content", "", "45678");
    return fake_reply(c, "200 OK", "", "012345678");
}

static int resume(struct http *h, struct fake *f, const char *path, uint64_t from, struct buf *got,
                  struct err *err)
{
    AUTO(mem_free) char *url = fake_url(f, path);
    AUTO(sink_free) struct sink *to = sink_buf(got, 100);
    AUTO(http_response_release) struct http_response r = { .status = 0 };
    struct http_request q = { .method = "GET", .url = url, .to = to, .resume_from = from };
    buf_clear(got);
    err_clear(err);
    return http_do(h, &q, &r, err);
}

static void only_the_rest_is_delivered(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(buf_release) struct buf got = BUF_INIT;
    struct fake *f = fake_start(ranges, NULL);
    assert_ok(resume(h, f, "/good", 4, &got, &err), &err);
    assert_string_equal(buf_str(&got), "45678");
    assert_header(f, 0, "Range", "bytes=4-");
    assert_ok(resume(h, f, "/whole", 4, &got, &err), &err);
    assert_string_equal(buf_str(&got), "45678");
    fake_stop(f);
}

static void a_part_that_was_not_asked_for_is_refused(UNUSED void **state)
{
    struct err err = ERR_INIT;
    AUTO(http_free) struct http *h = new_http(NULL);
    AUTO(buf_release) struct buf got = BUF_INIT;
    struct fake *f = fake_start(ranges, NULL);
    assert_int_equal(resume(h, f, "/shifted", 4, &got, &err), ERR_NET);
    assert_non_null(strstr(err.msg, "another part"));
    assert_int_equal(resume(h, f, "/vague", 4, &got, &err), ERR_NET);
    assert_int_equal(resume(h, f, "/good", 0, &got, &err), ERR_NET);
    assert_int_equal(got.len, 0);
    fake_stop(f);
}

static void retry_after_is_seconds_or_a_date(UNUSED void **state)
{
    static const struct {
        const char *header;
        int64_t want;
    } rows[] = {
        { "retry-after: 0", 0 },
        { "retry-after: 7", 7000 },
        { "retry-after: 99999999999999999999", INT64_C(1000000000000) },
        { "retry-after: Wed, 21 Oct 2015 07:28:00 GMT", 0 },
        { "retry-after: soon", -1 },
        { "retry-after: -5", -1 },
        { "x: 1", -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(http_response_release) struct http_response r = { .status = 429 };
        strv_add(&r.headers, rows[i].header);
        assert_int_equal(http_retry_after_ms(&r), rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_has_status_headers_and_body),
        cmocka_unit_test(a_sink_gets_a_good_body_and_never_an_error_body),
        cmocka_unit_test(an_error_of_the_sink_comes_back_as_it_is),
        cmocka_unit_test(connections_are_used_again),
        cmocka_unit_test(many_threads_share_one),
        cmocka_unit_test(a_unix_socket_is_spoken_to),
        cmocka_unit_test(an_endless_body_is_refused),
        cmocka_unit_test(an_endless_error_body_is_cut),
        cmocka_unit_test(endless_headers_are_refused),
        cmocka_unit_test(a_connection_that_breaks_off_is_a_net_error),
        cmocka_unit_test(nobody_listening_is_said_with_host_and_port),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_peer_that_says_nothing_is_given_up),
        cmocka_unit_test(cancelling_ends_a_transfer_and_a_wait_at_once),
        cmocka_unit_test(credentials_stay_with_their_origin_for_good),
        cmocka_unit_test(a_redirect_inside_the_origin_keeps_credentials),
        cmocka_unit_test(redirects_that_lead_nowhere_are_refused),
        cmocka_unit_test(a_name_that_needs_no_proxy_is_judged_by_its_address),
        cmocka_unit_test(a_server_outside_leads_nobody_inside),
        cmocka_unit_test(dates_are_read),
        cmocka_unit_test(see_other_turns_post_into_get),
        cmocka_unit_test(a_body_is_not_sent_twice),
        cmocka_unit_test(a_body_arrives_whole_with_or_without_a_size),
        cmocka_unit_test(every_method_goes_out_as_it_is_called),
        cmocka_unit_test(an_error_of_the_source_comes_back_as_it_is),
        cmocka_unit_test(only_the_rest_is_delivered),
        cmocka_unit_test(a_part_that_was_not_asked_for_is_refused),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return UNIT_RUN("remote_http", tests);
}
