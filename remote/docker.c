#include "remote/docker.h"
#include "base/log.h"
#include "remote/docker_internal.h"
#include "remote/docker_ssh_internal.h"
#include "remote/url.h"
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#define API_MAJOR 1
#define API_OLDEST 24
#define API_NEWEST 47 /* of those that this speaks */
#define ANSWER_MAX (16u << 20)
#define PING_TIMEOUT_S 30
#define SSH_PING_TIMEOUT_S 45 /* ssh itself gives up earlier, and says why */
#define QUIET_TIMEOUT_S 3600  /* an engine says nothing while it unpacks */

struct docker {
    struct http *http; /* borrowed */
    struct docker_place place;
    struct docker_ssh *ssh; /* or NULL */
    struct http_dial dial;  /* by ssh */
    char version[16];       /* "/v1.47" */
    pthread_mutex_t lock;
    enum { STORE_UNKNOWN, STORE_GRAPH, STORE_CONTAINERD } store; /* locked */
};

void docker_free(struct docker *d)
{
    if (d == NULL)
        return;
    docker_ssh_free(d->ssh);
    docker_place_release(&d->place);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

const char *docker_host(const struct docker *d)
{
    return d->place.host;
}

/* --- asking ----------------------------------------------------------------------------------- */

/* q without url and place. path begins with a slash. Any status is success. */
static int ask(struct docker *d, const char *path, const struct http_request *q,
               struct http_response *ret, struct err *err)
{
    AUTO(mem_free) char *url = str_printf("%s%s%s", d->place.url, d->version, path);
    struct http_request full = *q;
    full.url = url;
    full.unix_socket = d->place.socket;
    full.ca_file = d->place.ca;
    full.cert_file = d->place.cert;
    full.key_file = d->place.key;
    full.is_unverified = d->place.is_unverified;
    if (d->ssh != NULL) {
        full.dial = &d->dial;
        full.unix_socket = docker_ssh_socket(d->ssh);
    }
    if (full.max == 0)
        full.max = ANSWER_MAX;
    int bad = http_do(d->http, &full, ret, err);
    if (bad == ERR_NET && d->ssh != NULL)
        docker_ssh_explain(d->ssh, d->place.host, err);
    return bad;
}

/* What the engine answered instead: {"message": "..."} */
static int refused(const struct http_response *p, const char *what, struct err *err)
{
    static const struct {
        int status;
        enum err_code code;
    } codes[] = {
        { 400, ERR_USAGE },     { 401, ERR_AUTH },        { 403, ERR_AUTH },
        { 404, ERR_NOT_FOUND }, { 501, ERR_UNSUPPORTED },
    };
    struct err ignored = ERR_INIT;
    AUTO(buf_release) struct buf words = BUF_INIT;
    json_auto_t *doc = json_parse(buf_str(&p->body), p->body.len, "error", &ignored);
    const char *text = doc != NULL ? json_get_str(doc, "message") : NULL;
    enum err_code code = ERR_NET;
    if (text != NULL)
        log_escape(&words, text, strnlen(text, 500));
    else
        buf_addf(&words, "HTTP %d", p->status);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].status == p->status)
            code = codes[i].code;
    return err_set(err, code, "the Docker engine cannot %s: %s", what, buf_str(&words));
}

/* As ask, but a status other than 2xx is an error "the Docker engine cannot WHAT: ...". */
static int request(struct docker *d, const char *path, const struct http_request *q,
                   const char *what, struct http_response *ret, struct err *err)
{
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    if (ask(d, path, q, &p, err) < 0)
        return err_wrap(err, "the Docker engine cannot %s", what);
    if (p.status < 200 || p.status > 299)
        return refused(&p, what, err);
    *ret = p;
    p = (struct http_response){ .status = 0 };
    return 0;
}

/* Names and ids go into the path as they are: nothing in them may change where it leads. */
static int check_name(const char *name, struct err *err)
{
    size_t n = 0;
    for (; name[n] != '\0' && n <= 1024; n++) {
        unsigned char c = (unsigned char)name[n];
        bool is_dot_part = c == '.' && (n == 0 || name[n - 1] == '/');
        bool is_empty_part = c == '/' && (n == 0 || name[n - 1] == '/' || name[n + 1] == '\0');
        if (c >= 128 || (!isalnum(c) && strchr("._-/:@", c) == NULL) || is_dot_part ||
            is_empty_part)
            return err_set(err, ERR_USAGE, "invalid image name '%s'", name);
    }
    return n == 0 || n > 1024 ? err_set(err, ERR_USAGE, "invalid image name '%s'", name) : 0;
}

/* --- opening ---------------------------------------------------------------------------------- */

/* An unreachable engine, in one sentence. At the default place it is as if there were none. */
static int unreachable(const struct docker *d, struct err *err)
{
    enum err_code code = err->code;
    bool nobody_listens = err->sys == ECONNREFUSED || err->sys == ENOENT;
    if (code != ERR_NET)
        return code;
    if (!d->place.is_named && nobody_listens)
        code = ERR_NOT_FOUND;
    struct err why = *err;
    const char *text = strstr(why.msg, ": ");
    return err_set(err, code, "cannot connect to the Docker engine at %s: %s", d->place.host,
                   text != NULL ? text + 2 : why.msg);
}

static int negotiate(struct docker *d, const char *theirs, struct err *err)
{
    int major = 0, minor = 0, end = 0;
    if (theirs == NULL || sscanf(theirs, "%2d.%4d%n", &major, &minor, &end) != 2 || theirs[end])
        return err_set(err, ERR_NET, "what answers at %s is no Docker engine", d->place.host);
    if (major < API_MAJOR || (major == API_MAJOR && minor < API_OLDEST))
        return err_set(err, ERR_UNSUPPORTED,
                       "the Docker engine at %s speaks API %s; %d.%d or later is needed",
                       d->place.host, theirs, API_MAJOR, API_OLDEST);
    if (major > API_MAJOR || minor > API_NEWEST)
        minor = API_NEWEST;
    snprintf(d->version, sizeof(d->version), "/v%d.%d", API_MAJOR, minor);
    return 0;
}

static int ping(struct docker *d, struct err *err)
{
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "GET",
                              .total_timeout_s = d->ssh ? SSH_PING_TIMEOUT_S : PING_TIMEOUT_S };
    if (ask(d, "/_ping", &q, &p, err) < 0)
        return unreachable(d, err);
    if (p.status != 200)
        return refused(&p, "be used", err);
    return negotiate(d, http_header(&p, "api-version"), err);
}

static int open_ssh(struct docker *d, struct err *err)
{
    if (d->place.ssh == NULL)
        return 0;
    d->ssh = docker_ssh_new(d->place.ssh, err);
    d->dial =
        (struct http_dial){ .name = d->place.host, .accept = docker_ssh_accept, .arg = d->ssh };
    return d->ssh != NULL ? 0 : err->code;
}

struct docker *docker_open_at(struct http *h, const char *default_socket, bool *ret_named,
                              struct err *err)
{
    bool is_named = false;
    AUTO(docker_free) struct docker *d = mem_zalloc(sizeof(*d));
    d->http = h;
    pthread_mutex_init(&d->lock, NULL);
    int bad = docker_place_find(default_socket, &d->place, &is_named, err);
    if (ret_named != NULL)
        *ret_named = is_named;
    if (bad < 0 || open_ssh(d, err) < 0 || ping(d, err) < 0)
        return NULL;
    return TAKE(d);
}

struct docker *docker_open(struct http *h, bool *ret_named, struct err *err)
{
    return docker_open_at(h, DOCKER_DEFAULT_SOCKET, ret_named, err);
}

bool docker_is_likely(void)
{
    AUTO(docker_place_release) struct docker_place p = { .host = NULL };
    struct err none = ERR_INIT;
    bool is_named = false;
    return docker_place_find(DOCKER_DEFAULT_SOCKET, &p, &is_named, &none) == 0;
}

/* --- the image store -------------------------------------------------------------------------- */

static json_t *get_json(struct docker *d, const char *path, const char *what, struct err *err)
{
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "GET" };
    if (request(d, path, &q, what, &p, err) < 0)
        return NULL;
    json_t *doc = json_parse(buf_str(&p.body), p.body.len, "the Docker engine's answer", err);
    if (doc != NULL && !json_is_object(doc)) {
        json_decref(doc);
        doc = NULL;
        err_set(err, ERR_CORRUPT, "the Docker engine's answer is no object");
    }
    return doc;
}

/* "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]] */
static bool is_snapshotter(const json_t *info)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_get_arr(info, "DriverStatus"), i, row)
    {
        const char *key = json_string_value(json_array_get(row, 0));
        const char *value = json_string_value(json_array_get(row, 1));
        if (str_eq(key, "driver-type") && value != NULL &&
            str_starts(value, "io.containerd.snapshotter."))
            return true;
    }
    return false;
}

static int ask_store(struct docker *d, struct err *err)
{
    json_auto_t *info = get_json(d, "/info", "say what it is", err);
    if (info == NULL)
        return err->code;
    d->store = is_snapshotter(info) ? STORE_CONTAINERD : STORE_GRAPH;
    return 0;
}

int docker_is_containerd(struct docker *d, bool *ret, struct err *err)
{
    pthread_mutex_lock(&d->lock);
    int rc = d->store == STORE_UNKNOWN ? ask_store(d, err) : 0;
    if (rc == 0)
        *ret = d->store == STORE_CONTAINERD;
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* --- images ----------------------------------------------------------------------------------- */

json_t *docker_inspect(struct docker *d, const char *name, struct err *err)
{
    if (check_name(name, err) < 0)
        return NULL;
    AUTO(mem_free) char *path = str_printf("/images/%s/json", name);
    AUTO(mem_free) char *what = str_printf("show '%s'", name);
    return get_json(d, path, what, err);
}

int docker_save(struct docker *d, const char *name, struct sink *to, struct err *err)
{
    if (check_name(name, err) < 0)
        return err->code;
    AUTO(mem_free) char *path = str_printf("/images/%s/get", name);
    AUTO(mem_free) char *what = str_printf("save '%s'", name);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = {
        .method = "GET", .to = to, .max = UINT64_MAX, .idle_timeout_s = QUIET_TIMEOUT_S
    };
    return request(d, path, &q, what, &p, err);
}

/* containerd's image store takes an image that it cannot unpack, and says so in its chatter alone.
 */
static const char *unpack_error(const json_t *message)
{
    const char *text = json_get_str(message, "stream");
    return text != NULL && str_starts(text, "Error unpacking image") ? text : NULL;
}

/* An error in one message of an answer's stream; {"errorDetail":{"message":...},"error":...}. */
static int message_error(const json_t *message, const char *what, struct err *err)
{
    const json_t *detail = json_get_obj(message, "errorDetail");
    const char *text = detail != NULL ? json_get_str(detail, "message") : NULL;
    if (text == NULL)
        text = json_get_str(message, "error");
    if (text == NULL && json_object_get(message, "errorDetail") == NULL)
        text = unpack_error(message);
    if (text == NULL && json_object_get(message, "errorDetail") == NULL)
        return 0;
    AUTO(buf_release) struct buf words = BUF_INIT;
    size_t n = text != NULL ? strnlen(text, 500) : 0;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    log_escape(&words, text, n);
    return err_set(err, ERR_NET, "the Docker engine cannot %s: %s", what, buf_str(&words));
}

/* JSON documents one after the other, with blanks between them or not. */
static int check_stream(const struct buf *b, const char *what, struct err *err)
{
    const char *p = buf_str(b), *end = p + b->len;
    for (;;) {
        while (p < end && isspace((unsigned char)*p))
            p++;
        if (p == end)
            return 0;
        json_error_t bad;
        json_auto_t *message =
            json_loadb(p, (size_t)(end - p), JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &bad);
        if (!json_is_object(message) || bad.position <= 0)
            return err_set(err, ERR_CORRUPT, "the Docker engine cannot %s: its answer is no JSON",
                           what);
        if (message_error(message, what, err) < 0)
            return err->code;
        p += bad.position;
    }
}

int docker_load(struct docker *d, struct source *tar, struct err *err)
{
    AUTO(strv_release) struct strv headers = STRV_INIT;
    strv_add(&headers, "Content-Type: application/x-tar");
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "POST",
                              .headers = &headers,
                              .body = tar,
                              .body_size = -1,
                              .idle_timeout_s = QUIET_TIMEOUT_S };
    if (request(d, "/images/load?quiet=1", &q, "load the image", &p, err) < 0)
        return err->code;
    return check_stream(&p.body, "load the image", err);
}

int docker_tag(struct docker *d, const char *id, const char *repository, const char *tag,
               struct err *err)
{
    if (check_name(id, err) < 0)
        return err->code;
    AUTO(mem_free) char *what = str_printf("tag '%s' as '%s:%s'", id, repository, tag);
    AUTO(buf_release) struct buf path = BUF_INIT;
    buf_addf(&path, "/images/%s/tag?repo=", id);
    url_escape(&path, repository, "/:");
    buf_adds(&path, "&tag=");
    url_escape(&path, tag, "");
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "POST" };
    return request(d, buf_str(&path), &q, what, &p, err);
}

int docker_remove(struct docker *d, const char *name, struct err *err)
{
    if (check_name(name, err) < 0)
        return err->code;
    AUTO(mem_free) char *path = str_printf("/images/%s", name);
    AUTO(mem_free) char *what = str_printf("remove '%s'", name);
    AUTO(http_response_release) struct http_response p = { .status = 0 };
    struct http_request q = { .method = "DELETE" };
    return request(d, path, &q, what, &p, err);
}
