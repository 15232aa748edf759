/* Messages out, tasks in, and the loop that waits for both. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "lsp/lsp_frame.h"
#include "lsp/lsp_int.h"

enum { READ_PIECE = 64 << 10 };

/* ---- tasks -------------------------------------------------------------------------------------
 */

void lsp_post(struct lsp *l, void (*run)(struct lsp *l, void *data), void *data)
{
    struct lsp_task *t = malloc(sizeof *t);
    if (!t) return;
    *t = (struct lsp_task){.run = run, .data = data};
    pthread_mutex_lock(&l->task_lock);
    *l->last_task = t;
    l->last_task = &t->next;
    pthread_mutex_unlock(&l->task_lock);
    uint64_t one = 1;
    while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {}
}

static void run_tasks(struct lsp *l)
{
    for (;;) {
        pthread_mutex_lock(&l->task_lock);
        struct lsp_task *t = l->tasks;
        if (t) l->tasks = t->next;
        if (!l->tasks) l->last_task = &l->tasks;
        pthread_mutex_unlock(&l->task_lock);
        if (!t) return;
        t->run(l, t->data);
        free(t);
    }
}

/* ---- messages ----------------------------------------------------------------------------------
 */

static void send_json(struct lsp *l, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    if (text) lsp_out_send(l->out, text, strlen(text));
    free(text);
    json_decref(message);
}

void lsp_respond(struct lsp *l, const json_t *id, json_t *result)
{
    if (!id) {
        json_decref(result);
        return;
    }
    send_json(l, json_pack("{s:s, s:O, s:o?}", "jsonrpc", "2.0", "id", id, "result", result));
}

void lsp_fail(struct lsp *l, const json_t *id, int code, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    text[trim_utf8_prefix(text, strlen(text))] = 0;
    if (!id) return;
    send_json(l, json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id, "error", "code",
                           code, "message", text));
}

void lsp_notify(struct lsp *l, const char *method, json_t *params)
{
    send_json(l, json_pack("{s:s, s:s, s:o?}", "jsonrpc", "2.0", "method", method, "params", params));
}

void lsp_call(struct lsp *l, const char *method, json_t *params,
              void (*answer)(struct lsp *l, const json_t *result))
{
    struct lsp_call *c = malloc(sizeof *c);
    if (!c) {
        json_decref(params);
        return;
    }
    *c = (struct lsp_call){.id = ++l->next_id, .answer = answer, .next = l->calls};
    l->calls = c;
    send_json(l, json_pack("{s:s, s:I, s:s, s:o?}", "jsonrpc", "2.0", "id", (json_int_t)c->id,
                           "method", method, "params", params));
}

void lsp_answered(struct lsp *l, const json_t *message)
{
    long long id = lsp_json_int(message, "id", 0);
    for (struct lsp_call **p = &l->calls; *p; p = &(*p)->next) {
        struct lsp_call *c = *p;
        if (c->id != id) continue;
        *p = c->next;
        if (c->answer) c->answer(l, json_object_get(message, "result"));
        free(c);
        return;
    }
}

void lsp_progress(struct lsp *l, const json_t *token, json_t *value)
{
    if (!token || !value) {
        json_decref(value);
        return;
    }
    lsp_notify(l, "$/progress", json_pack("{s:O, s:o}", "token", token, "value", value));
}

void lsp_log(struct lsp *l, const char *fmt, ...)
{
    if (!l->log) return;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(l->log, fmt, ap);
    va_end(ap);
    fputc('\n', l->log);
    fflush(l->log);
}

/* ---- the loop ----------------------------------------------------------------------------------
 */

struct input {
    struct buf bytes;
    size_t skip; /* bytes of a message that is too long, still to come */
};

/* Hands on the whole messages that are there. */
static enum status take_messages(struct lsp *l, struct input *in, struct error *err)
{
    size_t at = 0;
    while (!l->exit) {
        size_t head, body, left = in->bytes.len - at;
        if (in->skip) {
            size_t n = in->skip < left ? in->skip : left;
            in->skip -= n;
            at += n;
            if (in->skip) break;
            continue;
        }
        if (!left) break;
        char *p = in->bytes.data + at;
        enum lsp_frame f = lsp_frame_read(p, left, &head, &body);
        if (f == LSP_FRAME_WRONG)
            return error_set(err, ERR_FORMAT,
                             "the input is no framing of LSP messages (Content-Length): start "
                             "`hearth lsp` from an editor");
        if (f == LSP_FRAME_MORE) break;
        if (f == LSP_FRAME_TOO_LONG) {
            json_t *null = json_null();
            lsp_fail(l, null, LSP_INVALID_REQUEST, "a message of %zu bytes was skipped: %d MB is the most",
                     body, LSP_MAX_BODY >> 20);
            in->skip = body;
            at += head;
            continue;
        }
        lsp_message(l, p + head, body);
        at += head + body;
    }
    if (at) {
        memmove(in->bytes.data, in->bytes.data + at, in->bytes.len - at);
        in->bytes.len -= at;
    }
    return OK;
}

/* False at the end of the input. */
static bool read_some(int fd, struct input *in, enum status *st, struct error *err)
{
    *st = buf_reserve(&in->bytes, READ_PIECE);
    if (*st) {
        error_set(err, *st, "no memory for a message");
        return false;
    }
    ssize_t n = read(fd, in->bytes.data + in->bytes.len, READ_PIECE);
    if (n < 0) return errno == EINTR || errno == EAGAIN;
    in->bytes.len += (size_t)n;
    return n > 0;
}

static enum status serve(struct lsp *l, int in_fd, struct error *err)
{
    struct input in = {0};
    enum status st = OK;
    buf_init(&in.bytes, LSP_MAX_BODY + LSP_MAX_HEAD + READ_PIECE);
    while (!l->exit && st == OK) {
        struct pollfd fds[2] = {{.fd = in_fd, .events = POLLIN}, {.fd = l->wake_fd, .events = POLLIN}};
        double wait = lsp_shown_tick(l);
        int ms = wait < 0 || wait > 1e6 ? -1 : (int)(wait * 1e3) + 1;
        if (poll(fds, 2, ms) < 0 && errno != EINTR) break;
        if (fds[1].revents) {
            uint64_t n;
            if (read(l->wake_fd, &n, sizeof n) < 0 && errno != EAGAIN) break;
        }
        run_tasks(l);
        if (fds[0].revents) {
            if (!read_some(in_fd, &in, &st, err)) break;
            st = take_messages(l, &in, err);
        }
        if (!st && lsp_out_broken(l->out))
            st = error_set(err, ERR_IO, "the editor does not read what the language server writes");
    }
    buf_fini(&in.bytes);
    return st;
}

static void fini(struct lsp *l)
{
    l->ending = true;
    lsp_jobs_fini(l);
    suggester_destroy(l->suggester);
    l->suggester = NULL;
    lsp_slot_fini(&l->fim); /* before the last tasks: no loader posts any more */
    lsp_slot_fini(&l->chat);
    run_tasks(l);
    lsp_fills_fini(l);
    lsp_shown_fini(l);
    stats_close(l->stats);
    lsp_docs_fini(&l->docs);
    lsp_config_fini(l);
    lsp_ignore_destroy(l->ignore);
    json_decref(l->load_token);
    while (l->calls) {
        struct lsp_call *c = l->calls;
        l->calls = c->next;
        free(c);
    }
    lsp_out_close(l->out);
    if (l->wake_fd >= 0) close(l->wake_fd);
    if (l->log) fclose(l->log);
    pthread_mutex_destroy(&l->task_lock);
    free(l);
}

enum status lsp_serve(const struct lsp_options *opt, int in_fd, int out_fd, bool *clean,
                      struct error *err)
{
    *clean = false;
    struct lsp *l = calloc(1, sizeof *l);
    if (!l) return error_set(err, ERR_NOMEM, "no memory for the language server");
    l->opt = *opt;
    l->last_task = &l->tasks;
    pthread_mutex_init(&l->task_lock, NULL);
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->ignore = lsp_ignore_create();
    l->docs.on_edit = lsp_shown_edit;
    l->docs.ctx = l;
    lsp_config_init(l, NULL);
    enum status st = l->wake_fd >= 0 && l->ignore
                         ? lsp_out_open(out_fd, &l->out, err)
                         : error_set(err, ERR_NOMEM, "no memory for the language server");
    if (!st && opt->log_path && !(l->log = fopen(opt->log_path, "ae")))
        st = error_set(err, ERR_IO, "cannot write %s: %s", opt->log_path, strerror(errno));
    if (!st) st = serve(l, in_fd, err);
    *clean = l->exit && l->state == LSP_SHUTDOWN;
    fini(l);
    return st;
}
