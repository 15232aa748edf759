/* An answer of a running `hearth serve` (any OpenAI-compatible server); the worker's thread. Spoken
 * is HTTP/1.0, so that the answer ends with the connection. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "lsp/lsp_int.h"

enum {
    MAX_LINE = 1 << 20,
    MAX_FAILURE = 64 << 10,
    MAX_SHOWN = 400,
    CONNECT_MS = 2000,
    SILENCE_SECONDS = 600
};

struct place {
    char host[128], port[8];
};

static bool parse(const char *endpoint, struct place *p)
{
    if (strncmp(endpoint, "http://", 7) != 0) return false;
    const char *at = endpoint + 7, *end;
    if (*at == '[') {
        end = strchr(++at, ']');
    } else {
        end = at + strcspn(at, ":/");
    }
    if (!end || end == at || (size_t)(end - at) >= sizeof p->host) return false;
    memcpy(p->host, at, (size_t)(end - at));
    p->host[end - at] = 0;
    if (*end == ']') end++;
    snprintf(p->port, sizeof p->port, "11434");
    if (*end == ':') {
        size_t n = strspn(++end, "0123456789");
        if (!n || n >= 6) return false;
        memcpy(p->port, end, n);
        p->port[n] = 0;
        end += n;
    }
    return !*end || strcmp(end, "/") == 0 || strcmp(end, "/v1") == 0;
}

static bool is_loopback(struct place *p)
{
    if (strcmp(p->host, "localhost") == 0) snprintf(p->host, sizeof p->host, "127.0.0.1");
    unsigned a, b, c, d;
    char rest;
    return strcmp(p->host, "::1") == 0 ||
           (sscanf(p->host, "%u.%u.%u.%u%c", &a, &b, &c, &d, &rest) == 4 && a == 127);
}

enum status lsp_endpoint_check(const char *endpoint, bool allow_remote, struct error *err)
{
    struct place p;
    if (!parse(endpoint, &p))
        return error_set(err, ERR_INVALID, "the endpoint '%s' is none: use http://HOST:PORT",
                         endpoint);
    if (allow_remote || is_loopback(&p)) return OK;
    return error_set(err, ERR_INVALID,
                     "the endpoint '%s' is another machine, which would see the code: set "
                     "\"allowRemote\" if that is wanted",
                     endpoint);
}

static int dial(const char *endpoint, struct error *err)
{
    struct place p;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    int fd = -1;
    if (!parse(endpoint, &p)) return -1;
    if (is_loopback(&p)) hints.ai_flags = AI_NUMERICHOST;
    if (getaddrinfo(p.host, p.port, &hints, &list) == 0) {
        for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
            fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (fd < 0) continue;
            int wrong = 0;
            socklen_t n = sizeof wrong;
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            bool there = connect(fd, a->ai_addr, a->ai_addrlen) == 0;
            if (!there && errno == EINPROGRESS && poll(&pfd, 1, CONNECT_MS) == 1)
                there = getsockopt(fd, SOL_SOCKET, SO_ERROR, &wrong, &n) == 0 && !wrong;
            if (there) break;
            close(fd);
            fd = -1;
        }
        freeaddrinfo(list);
    }
    if (fd < 0)
        error_set(err, ERR_NETWORK, "nothing answers at %s: start `hearth serve`", endpoint);
    return fd;
}

enum status lsp_endpoint_reach(const char *endpoint, struct error *err)
{
    enum status st = lsp_endpoint_check(endpoint, false, err);
    int fd = st ? -1 : dial(endpoint, err);
    if (fd >= 0) close(fd);
    return fd >= 0 ? OK : ERR_NETWORK;
}

/* How much of a server's message is shown. */
static size_t shown_length(const char *message)
{
    size_t n = strlen(message);
    return trim_utf8_prefix(message, n < MAX_SHOWN ? n : MAX_SHOWN);
}

static bool wanted(struct chat_job *j)
{
    return !__atomic_load_n(&j->cancel, __ATOMIC_RELAXED);
}

static enum status send_all(struct chat_job *j, int fd, const char *p, size_t len,
                            struct error *err)
{
    while (len && wanted(j)) {
        struct pollfd pfd = {.fd = fd, .events = POLLOUT};
        ssize_t n = poll(&pfd, 1, 50) == 1 ? send(fd, p, len, MSG_NOSIGNAL) : 0;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return error_set(err, ERR_NETWORK, "the server left: %s", strerror(errno));
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return OK;
}

/* What has come of an answer. */
struct reply {
    struct chat_job *j;
    int code;           /* HTTP's status; 0 before the first line, -1: no HTTP */
    bool head, ended;   /* still in the head; the answer has said that it is whole */
    struct buf failure; /* the body of an answer that is none */
};

/* One line of a stream of events. */
static enum status take_event(struct reply *r, char *line, size_t n, struct error *err)
{
    struct chat_job *j = r->j;
    if (n < 6 || strncmp(line, "data:", 5) != 0) return OK;
    json_t *e = lsp_json_parse(line + 5, n - 5);
    const json_t *c = json_array_get(json_object_get(e, "choices"), 0);
    const json_t *text = lsp_json_at(c, "delta.content");
    const char *finish = lsp_json_text(c, "finish_reason"),
               *wrong = lsp_json_text(e, "error.message");
    enum status st = OK;
    if (finish) {
        j->finish = strcmp(finish, "length") == 0 ? "length" : "stop";
        r->ended = true;
    }
    j->n_prompt = (size_t)lsp_json_int(e, "usage.prompt_tokens", (long long)j->n_prompt);
    j->n_generated = (size_t)lsp_json_int(e, "usage.completion_tokens", (long long)j->n_generated);
    if (json_is_string(text) && json_string_length(text)) {
        st = buf_append(&j->text, json_string_value(text), json_string_length(text));
        if (st)
            error_set(err, st, "the server's answer is too long");
        else
            lsp_job_text(j, json_string_value(text), json_string_length(text));
    }
    if (wrong)
        st = error_set(err, ERR_NETWORK, "the server at %s failed: %.*s", j->endpoint,
                       (int)shown_length(wrong), wrong);
    json_decref(e);
    return st;
}

static enum status take_line(struct reply *r, char *line, size_t n, struct error *err)
{
    if (!r->code) {
        if (sscanf(line, "HTTP/1.%*d %d", &r->code) != 1) r->code = -1;
    } else if (r->head) {
        r->head = n > 0;
    } else if (r->code == 200) {
        return take_event(r, line, n, err);
    } else {
        (void)buf_append(&r->failure, line, n); /* what does not fit is not told */
    }
    return OK;
}

/* Hands on the whole lines; with `all` what is left too. */
static enum status take_lines(struct reply *r, struct buf *b, bool all, struct error *err)
{
    size_t at = 0;
    enum status st = OK;
    while (!st && at < b->len) {
        char *line = b->data + at, *nl = memchr(line, '\n', b->len - at);
        if (!nl && !all) break;
        size_t len = nl ? (size_t)(nl - line) : b->len - at;
        at += len + (nl != NULL);
        if (len && line[len - 1] == '\r') len--;
        line[len] = 0; /* the buffer has room for one more byte */
        st = take_line(r, line, len, err);
    }
    if (at) memmove(b->data, b->data + at, b->len - at);
    b->len -= at;
    return st;
}

/* Why an answer that has come to its end is not the whole one. */
static enum status judge(struct reply *r, struct error *err)
{
    struct chat_job *j = r->j;
    if (r->code == 200 && r->ended) return OK;
    if (r->code == 200)
        return error_set(err, ERR_NETWORK, "the server at %s left before its answer was whole",
                         j->endpoint);
    json_t *e = r->failure.len ? lsp_json_parse(r->failure.data, r->failure.len) : NULL;
    const char *why = lsp_json_text(e, "error.message");
    if (!why) why = lsp_json_text(e, "error");
    error_set(err, ERR_NETWORK, "the server at %s answered with status %d%s%.*s", j->endpoint,
              r->code, why ? ": " : "", why ? (int)shown_length(why) : 0, why ? why : "");
    json_decref(e);
    return ERR_NETWORK;
}

static enum status receive(struct chat_job *j, int fd, struct error *err)
{
    struct buf b;
    struct reply r = {.j = j, .head = true};
    enum status st = OK;
    double last = clock_now();
    buf_init(&b, MAX_LINE);
    buf_init(&r.failure, MAX_FAILURE);
    while (!st && wanted(j)) {
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        st = buf_reserve(&b, 4096);
        if (st) {
            error_set(err, st, "the server's answer has a line that is too long");
            break;
        }
        if (poll(&pfd, 1, 50) != 1) {
            if (clock_now() - last > SILENCE_SECONDS)
                st = error_set(err, ERR_NETWORK, "the server has been silent for ten minutes");
            continue;
        }
        ssize_t n = recv(fd, b.data + b.len, 4095, 0);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        last = clock_now();
        if (n > 0) b.len += (size_t)n;
        st = take_lines(&r, &b, n <= 0, err);
        if (n <= 0) break; /* the end, or a connection that is lost: judge() tells them apart */
    }
    if (!st && wanted(j)) st = judge(&r, err);
    buf_fini(&b);
    buf_fini(&r.failure);
    return st;
}

enum status lsp_chat_remote(struct chat_job *j, struct error *err)
{
    enum status st = lsp_endpoint_check(j->endpoint, j->allow_remote, err);
    int fd = st ? -1 : dial(j->endpoint, err);
    if (fd < 0) return ERR_NETWORK;
    json_t *body = json_pack("{s:O, s:b, s:I, s:f, s:{s:b}}", "messages", j->messages, "stream", 1,
                             "max_tokens", (json_int_t)j->max_tokens, "temperature", j->temperature,
                             "stream_options", "include_usage", 1);
    if (body && j->remote_model) json_object_set_new(body, "model", json_string(j->remote_model));
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    struct buf b;
    struct place p;
    bool v6 = parse(j->endpoint, &p) && strchr(p.host, ':');
    const char *key = getenv("HEARTH_API_KEY");
    buf_init(&b, 256 << 20);
    st = text ? buf_printf(&b,
                           "POST /v1/chat/completions HTTP/1.0\r\nHost: %s%s%s:%s\r\nContent-Type: "
                           "application/json\r\nContent-Length: %zu\r\n%s%s%s\r\n",
                           v6 ? "[" : "", p.host, v6 ? "]" : "", p.port, strlen(text),
                           key ? "Authorization: Bearer " : "", key ? key : "", key ? "\r\n" : "")
              : ERR_NOMEM;
    if (!st) st = buf_append_str(&b, text);
    if (st) error_set(err, st, "no memory for the question");
    if (!st) st = send_all(j, fd, b.data, b.len, err);
    if (!st) st = receive(j, fd, err);
    free(text);
    buf_fini(&b);
    close(fd);
    return st;
}
