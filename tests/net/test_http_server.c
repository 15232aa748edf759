/* The server with a handler of its own: answers, streams, limits, clients that leave. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "net/http_server.h"

struct fixture {
    struct http_server *server;
    atomic_int gone, done;
    struct http_request *_Atomic held;
};

static void on_gone(void *ctx)
{
    struct fixture *f = ctx;
    atomic_fetch_add(&f->gone, 1);
}

static void handle(void *ctx, struct http_request *r)
{
    struct fixture *f = ctx;
    const char *path = http_path(r);
    if (strcmp(path, "/echo") == 0) {
        struct http_str b = http_body(r);
        http_respond(r, 200, "text/plain", b.data, b.len);
    } else if (strcmp(path, "/stream") == 0) {
        http_stream_begin(r, 200, "text/plain");
        for (int i = 0; i < 3; i++) http_stream_write(r, "piece", 5);
        http_stream_end(r);
    } else if (strcmp(path, "/hold") == 0) {
        http_on_gone(r, on_gone, f);
        http_request_ref(r);
        f->held = r;
    } else if (strcmp(path, "/flood") == 0) {
        char *big = calloc(1, 1 << 20);
        http_stream_begin(r, 200, "text/plain");
        enum status st = OK;
        for (int i = 0; i < 64 && st == OK; i++) st = http_stream_write(r, big, 1 << 20);
        free(big);
        if (st == ERR_LIMIT) atomic_fetch_add(&f->gone, 100);
    } else
        http_respond(r, 404, "text/plain", "no", 2);
}

static void fail_request(void *ctx, struct http_request *r, int code, const char *reason)
{
    (void)ctx;
    http_respond(r, code, "text/plain", reason, strlen(reason));
}

static void on_done(void *ctx, struct http_request *r)
{
    (void)r;
    atomic_fetch_add(&((struct fixture *)ctx)->done, 1);
}

static int start(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct http_options o = {.n_workers = 2,
                             .max_connections = 8,
                             .max_head = 1024,
                             .max_body = 1000,
                             .max_unsent = 2 << 20,
                             .head_seconds = 1,
                             .body_seconds = 1,
                             .idle_seconds = 2,
                             .handle = handle,
                             .fail = fail_request,
                             .done = on_done,
                             .ctx = f};
    *state = f;
    return http_server_start(&o, &f->server, NULL) != OK;
}

static int stop(void **state)
{
    struct fixture *f = *state;
    http_server_stop(f->server);
    http_request_unref(f->held);
    free(f);
    return 0;
}

static int dial(const struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_server_port(f->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval wait = {8, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Reads until `want` is there, or the end; NULL want: to the end. */
static void expect(int fd, const char *want)
{
    static char got[1 << 16];
    size_t n = 0;
    got[0] = 0;
    while (n < sizeof got - 1 && !(want && strstr(got, want))) {
        ssize_t k = recv(fd, got + n, sizeof got - 1 - n, 0);
        if (k <= 0) break;
        n += (size_t)k;
        got[n] = 0;
    }
    if (want && !strstr(got, want)) fail_msg("no '%s' in '%s'", want, got);
}

static void wait_for(atomic_int *what, int value)
{
    for (int i = 0; i < 500 && atomic_load(what) < value; i++) usleep(10000);
    assert_int_equal(atomic_load(what), value);
}

#define HOST "Host: h\r\n"

static void answers_and_keeps_the_connection(void **state)
{
    int fd = dial(*state);
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello");
    expect(fd, "\r\n\r\nhello");
    say(fd, "POST /echo HTTP/1.1\r\n" HOST
            "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    expect(fd, "\r\n\r\nabcde");
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    expect(fd, "0\r\n\r\n");
    /* Two at once are answered one after the other. */
    say(fd, "POST /echo HTTP/1.1\r\n" HOST
            "Content-Length: 3\r\n\r\noneHEAD /echo HTTP/1.1\r\n" HOST "\r\n"
            "POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 3\r\n\r\ntwo");
    expect(fd, "two");
    expect(fd, NULL);
    close(fd);
}

static void speaks_http_1_0(void **state)
{
    int fd = dial(*state);
    say(fd, "GET /stream HTTP/1.0\r\n\r\n");
    expect(fd, "\r\n\r\npiecepiecepiece");
    close(fd);
}

static void takes_a_request_byte_by_byte(void **state)
{
    int fd = dial(*state);
    const char *text = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello";
    for (; *text; text++) {
        assert_int_equal(send(fd, text, 1, 0), 1);
        usleep(200);
    }
    expect(fd, "hello");
    close(fd);
}

static void tells_limits(void **state)
{
    static const char *const cases[][2] = {
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", "HTTP/1.1 413 "},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
         "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n" HOST "X", "HTTP/1.1 408 "},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhe", "HTTP/1.1 408 "},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nx", "HTTP/1.1 400 "},
        {"GET /%zz HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int fd = dial(*state);
        say(fd, cases[i][0]);
        expect(fd, cases[i][1]);
        close(fd);
    }
    int fd = dial(*state);
    char head[1500];
    memset(head, 'a', sizeof head);
    memcpy(head, "GET / HTTP/1.1\r\nX: ", 19);
    head[sizeof head - 1] = 0;
    say(fd, head);
    expect(fd, "HTTP/1.1 431 ");
    close(fd);
    fd = dial(*state);
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e9\r\n");
    memset(head, 'b', 1001);
    head[1001] = 0;
    say(fd, head);
    expect(fd, "HTTP/1.1 413 ");
    close(fd);
}

static void asks_to_continue(void **state)
{
    int fd = dial(*state);
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    expect(fd, "\r\n\r\nok");
    close(fd);
}

static void tells_that_a_client_left(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 500 && !f->held; i++) usleep(10000);
    assert_non_null(f->held);
    assert_int_equal(http_server_active(f->server), 1);
    close(fd);
    wait_for(&f->gone, 1);
    wait_for(&f->done, 1);
    assert_true(http_gone(f->held));
    assert_int_equal(http_respond(f->held, 200, "text/plain", "", 0), ERR_CANCELLED);
    assert_int_equal(http_server_active(f->server), 0);
}

static void gives_up_a_client_that_does_not_read(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f);
    say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&f->gone, 100);
    close(fd);
}

static void makes_room_by_dropping_who_waits_longest(void **state)
{
    int fds[20];
    for (int i = 0; i < 20; i++) {
        fds[i] = dial(*state);
        say(fds[i], "GET / HTTP/1.1\r\n");
    }
    usleep(100000);
    assert_true(http_server_connections(((struct fixture *)*state)->server) <= 8);
    int fd = dial(*state);
    double began = clock_now();
    say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
    expect(fd, "hi");
    assert_true(clock_now() - began < 1);
    close(fd);
    for (int i = 0; i < 20; i++) close(fds[i]);
}

static void drains(void **state)
{
    struct fixture *f = *state;
    int idle = dial(f), fd = dial(f);
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 500 && !f->held; i++) usleep(10000);
    http_server_drain(f->server);
    expect(idle, NULL); /* closed */
    assert_int_equal(http_server_active(f->server), 1);
    http_respond(f->held, 200, "text/plain", "late", 4);
    expect(fd, "Connection: close");
    wait_for(&f->done, 1);
    close(fd);
    close(idle);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
    const struct CMUnitTest tests[] = {
        T(answers_and_keeps_the_connection),
        T(speaks_http_1_0),
        T(takes_a_request_byte_by_byte),
        T(tells_limits),
        T(asks_to_continue),
        T(tells_that_a_client_left),
        T(gives_up_a_client_that_does_not_read),
        T(makes_room_by_dropping_who_waits_longest),
        T(drains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
