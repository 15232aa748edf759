/* `hearth complete --stdio` as a child: what an editor gets, without a server between. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "eval/peer_int.h"

enum { TICK_MS = 200 };

struct peer_pipe {
    pid_t pid;
    int in, out; /* we write to `in` and read from `out` */
    struct buf line;
};

static void be_child(char *const *command, int in, int out, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent || dup2(in, 0) < 0 || dup2(out, 1) < 0) _exit(127);
    execvp(command[0], command);
    _exit(127);
}

enum status peer_pipe_start(char *const *command, struct peer_pipe **out, struct error *err)
{
    struct peer_pipe *p = calloc(1, sizeof *p);
    int to[2] = {-1, -1}, from[2] = {-1, -1};
    *out = NULL;
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    p->pid = -1;
    buf_init(&p->line, PEER_MAX_ANSWER);
    pid_t parent = getpid();
    if (pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0) p->pid = fork();
    if (p->pid == 0) be_child(command, to[0], from[1], parent);
    if (to[0] >= 0) close(to[0]);
    if (from[1] >= 0) close(from[1]);
    p->in = to[1];
    p->out = from[0];
    if (p->pid < 0) {
        enum status st = error_set(err, ERR_IO, "cannot start %s: %s", command[0], strerror(errno));
        peer_pipe_stop(p);
        return st;
    }
    *out = p;
    return OK;
}

void peer_pipe_stop(struct peer_pipe *p)
{
    if (!p) return;
    if (p->in >= 0) close(p->in);
    if (p->out >= 0) close(p->out);
    if (p->pid > 0) {
        kill(p->pid, SIGTERM);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    buf_fini(&p->line);
    free(p);
}

static enum status send_all(struct peer_pipe *p, const char *text, size_t len, struct error *err)
{
    while (len) {
        ssize_t n = write(p->in, text, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return error_set(err, ERR_IO, "the completing process is gone; see above");
        text += n;
        len -= (size_t)n;
    }
    return OK;
}

static enum status read_line(struct peer_pipe *p, const struct peer_options *o, struct error *err)
{
    double until = clock_now() + o->seconds;
    buf_clear(&p->line);
    while (p->line.len == 0 || p->line.data[p->line.len - 1] != '\n') {
        struct pollfd f = {.fd = p->out, .events = POLLIN};
        char chunk[4096];
        if (o->cancel && *o->cancel) return error_set(err, ERR_CANCELLED, "interrupted");
        if (clock_now() > until)
            return error_set(err, ERR_NETWORK, "no answer after %.0f s", o->seconds);
        if (poll(&f, 1, TICK_MS) <= 0) continue;
        ssize_t n = read(p->out, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return error_set(err, ERR_IO, "the completing process has ended; see above");
        enum status st = buf_append(&p->line, chunk, (size_t)n);
        if (st) return error_set(err, st, "an answer of more than %d bytes", PEER_MAX_ANSWER);
    }
    return OK;
}

static enum status take(const char *line, size_t len, struct peer_answer *a, struct error *err)
{
    json_t *e = json_loadb(line, len, 0, NULL);
    const json_t *text = json_object_get(e, "text"), *times = json_object_get(e, "timings");
    const char *problem = json_string_value(json_object_get(e, "error"));
    enum status st = OK;
    if (problem)
        st = error_set(err, ERR_NETWORK, "%s", problem);
    else if (!json_is_string(text))
        st = error_set(err, ERR_NETWORK, "the completing process answers with no text");
    else if (buf_append(&a->text, json_string_value(text), json_string_length(text)) != OK)
        st = error_set(err, ERR_NOMEM, "out of memory");
    a->tokens = json_integer_value(json_object_get(e, "completion_tokens"));
    a->prompt = json_integer_value(json_object_get(e, "prompt_tokens"));
    a->first_ms = json_number_value(json_object_get(times, "first_token_ms"));
    json_decref(e);
    return st;
}

enum status peer_pipe_ask(struct peer_pipe *p, const struct peer_options *o,
                          const struct peer_question *q, struct peer_answer *a, struct error *err)
{
    json_t *b = json_pack("{s:s%, s:s%, s:i}", "prefix", q->prefix, q->prefix_len, "suffix",
                          q->suffix, q->suffix_len, "max_tokens", q->max_tokens);
    if (b && q->path) json_object_set_new(b, "file", json_string(q->path));
    char *text = b ? json_dumps(b, JSON_COMPACT) : NULL;
    json_decref(b);
    if (!text) return error_set(err, ERR_INVALID, "the hole's file is not UTF-8");
    double started = clock_now();
    enum status st = send_all(p, text, strlen(text), err);
    if (st == OK) st = send_all(p, "\n", 1, err);
    if (st == OK) st = read_line(p, o, err);
    a->total_ms = 1e3 * (clock_now() - started);
    if (st == OK) st = take(p->line.data, p->line.len, a, err);
    free(text);
    return st;
}
