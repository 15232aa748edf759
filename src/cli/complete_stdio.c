#include "cli/complete_stdio.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assist/cursor.h"
#include "base/clock.h"
#include "cli/complete_cache.h"
#include "cli/complete_json.h"
#include "cli/inbox.h"
#include "cli/load.h"

/* A prefix and a suffix of 64 MB together in JSON's spelling, and some. */
enum { MAX_LINE_BYTES = 160 << 20 };

struct server {
    struct completer *c;
    const struct complete_request *defaults;
    struct complete_context *context;
    bool force, keep;
    char *file; /* owned: whose session this is, with `keep`; or NULL */
    struct inbox *in;
    pthread_mutex_t lock;
    uint64_t running;          /* sequence number of the line being worked on; under lock */
    uint64_t cancelled_before; /* lines that came earlier are not wanted any more; under lock */
    int cancel;                /* atomic: the line being worked on is one of them */
};

/* ---- requests -----------------------------------------------------------------------------------
 */

/* Takes {"cancel": true} at once: it stops what came before it. */
static bool take_cancel(void *ctx, const struct inbox_line *line)
{
    struct server *s = ctx;
    if (!memmem(line->text, line->len, "\"cancel\"", 8)) return false;
    json_t *root = json_loadb(line->text, line->len, 0, NULL);
    bool wanted = json_is_true(json_object_get(root, "cancel"));
    json_decref(root);
    if (!wanted) return false;
    pthread_mutex_lock(&s->lock);
    s->cancelled_before = line->seq;
    if (s->running) __atomic_store_n(&s->cancel, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
    return true;
}

static void begin(struct server *s, uint64_t seq)
{
    pthread_mutex_lock(&s->lock);
    s->running = seq;
    __atomic_store_n(&s->cancel, seq < s->cancelled_before, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&s->lock);
}

static void end(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    s->running = 0;
    pthread_mutex_unlock(&s->lock);
}

static enum status get_text(const json_t *root, const char *key, const char **text, size_t *len,
                            struct error *err)
{
    const json_t *v = json_object_get(root, key);
    *text = v ? json_string_value(v) : "";
    *len = v ? json_string_length(v) : 0;
    if (v && !json_is_string(v)) return error_set(err, ERR_INVALID, "\"%s\" is not a string", key);
    return OK;
}

static enum status get_number(const json_t *root, const char *key, double low, double high,
                              double *out, struct error *err)
{
    const json_t *v = json_object_get(root, key);
    if (!v) return OK;
    if (!json_is_number(v)) return error_set(err, ERR_INVALID, "\"%s\" is not a number", key);
    *out = json_number_value(v);
    if (*out >= low && *out <= high) return OK;
    return error_set(err, ERR_INVALID, "\"%s\" is %g: use %g to %g", key, *out, low, high);
}

static enum status get_mode(const json_t *root, enum trim_mode *mode, struct error *err)
{
    static const char *const names[] = {[TRIM_AUTO] = "auto",
                                        [TRIM_SINGLE] = "single-line",
                                        [TRIM_MULTI] = "multiline",
                                        [TRIM_RAW] = "raw"};
    const json_t *v = json_object_get(root, "mode");
    if (!v) return OK;
    for (size_t i = 0; json_is_string(v) && i < sizeof names / sizeof *names; i++) {
        if (strcmp(json_string_value(v), names[i]) != 0) continue;
        *mode = (enum trim_mode)i;
        return OK;
    }
    return error_set(err, ERR_INVALID,
                     "\"mode\" is none of \"auto\", \"single-line\", \"multiline\" and \"raw\"");
}

static enum status get_effort(const json_t *root, enum complete_effort *effort, struct error *err)
{
    const json_t *v = json_object_get(root, "effort");
    if (!v) return OK;
    const char *name = json_is_string(v) ? json_string_value(v) : "";
    *effort = strcmp(name, "fast") == 0 ? EFFORT_FAST : EFFORT_BEST;
    if (strcmp(name, "best") == 0 || *effort == EFFORT_FAST) return OK;
    return error_set(err, ERR_INVALID, "\"effort\" is neither \"best\" nor \"fast\"");
}

/* Texts are borrowed from `root`. */
static enum status read_request(const struct server *s, const json_t *root,
                                struct complete_request *req, struct error *err)
{
    *req = *s->defaults;
    const char *file;
    size_t len;
    double tokens = (double)req->max_tokens;
    double temperature = (double)req->sample.temperature, seed = (double)req->sample.seed;
    if (!json_is_object(root)) return error_set(err, ERR_INVALID, "a request is a JSON object");
    if (!json_object_get(root, "prefix") && !json_object_get(root, "suffix"))
        return error_set(err, ERR_INVALID,
                         "nothing to complete: a request has \"prefix\", the text before the "
                         "cursor, and \"suffix\", the text after it");
    enum status st = get_text(root, "prefix", &req->prefix, &req->prefix_len, err);
    if (!st) st = get_text(root, "suffix", &req->suffix, &req->suffix_len, err);
    if (!st) st = get_text(root, "file", &file, &len, err);
    if (!st) st = get_number(root, "max_tokens", 1, 1e9, &tokens, err);
    if (!st) st = get_number(root, "deadline_ms", 0, 1e9, &req->deadline_ms, err);
    if (!st) st = get_number(root, "temperature", 0, 100, &temperature, err);
    if (!st) st = get_number(root, "seed", 0, 9e15, &seed, err);
    if (!st) st = get_mode(root, &req->mode, err);
    if (!st) st = get_effort(root, &req->effort, err);
    if (st) return st;
    if (!s->force && cursor_is_secret(file))
        return error_set(err, ERR_INVALID,
                         "%s looks like a file of keys or passwords and is not completed without "
                         "--force",
                         file);
    req->path = len ? file : NULL;
    req->max_tokens = (size_t)tokens;
    req->sample.temperature = (float)temperature;
    if (json_object_get(root, "seed")) req->sample.seed = (uint64_t)seed;
    return OK;
}

/* Keeps the session of the file before and takes up that of this one, where it changes. */
static void take_file(struct server *s, const json_t *root)
{
    const char *file = json_string_value(json_object_get(root, "file"));
    if (!s->keep || !file || !*file || (s->file && strcmp(s->file, file) == 0)) return;
    if (s->file) complete_cache_save(s->c->session, s->file);
    free(s->file);
    s->file = strdup(file);
    if (s->file) complete_cache_load(s->c->session, s->file);
}

/* ---- answers ------------------------------------------------------------------------------------
 */

static json_t *ahead_json(const struct complete_ahead *a)
{
    return json_pack("{s:b, s:b, s:I, s:I, s:f}", "idle", 1, "ready", a->ready, "prompt_tokens",
                     (json_int_t)a->prompt_tokens, "ready_tokens", (json_int_t)a->ready_tokens,
                     "total_ms", cli_round(a->ms));
}

static enum status answer_idle(struct server *s, struct complete_request *req, json_t **out,
                               struct error *err)
{
    struct complete_ahead ahead;
    req->cancel = inbox_waiting(s->in);
    enum status st = complete_prepare(s->c, req, &ahead, err);
    if (st == OK) *out = ahead_json(&ahead);
    return st;
}

static enum status answer_completion(struct server *s, struct complete_request *req, json_t **out,
                                     struct error *err)
{
    struct complete_result res;
    double t = clock_now();
    req->cancel = &s->cancel;
    enum status st = complete_run(s->c, req, &res, err);
    if (st != OK) return st;
    *out = complete_json(&res, 1e3 * (clock_now() - t));
    if (*out && !complete_context_json(s->context, *out)) {
        json_decref(*out);
        *out = NULL;
    }
    complete_result_fini(&res);
    return OK;
}

static enum status answer(struct server *s, const json_t *root, json_t **out, struct error *err)
{
    struct complete_request req;
    enum status st = read_request(s, root, &req, err);
    if (st != OK) return st;
    take_file(s, root);
    complete_context_take(s->context, req.path, &req);
    return json_is_true(json_object_get(root, "idle")) ? answer_idle(s, &req, out, err)
                                                       : answer_completion(s, &req, out, err);
}

static enum status parse(const struct inbox_line *line, json_t **root, struct error *err)
{
    json_error_t why;
    if (line->too_long)
        return error_set(err, ERR_LIMIT, "a request of more than %d MB was skipped",
                         MAX_LINE_BYTES >> 20);
    if (!line->text) return error_set(err, ERR_NOMEM, "no memory for a request, it was skipped");
    *root = json_loadb(line->text, line->len, JSON_REJECT_DUPLICATES, &why);
    if (*root) return OK;
    return error_set(err, ERR_FORMAT, "not a line of JSON: %s (column %d)", why.text, why.column);
}

static bool blank(const struct inbox_line *line)
{
    return line->text && strspn(line->text, " \t\r") == line->len;
}

/* Works on one line; what is returned is an error of standard output. */
static enum status serve(struct server *s, const struct inbox_line *line, struct error *err)
{
    json_t *root = NULL, *out = NULL;
    struct error why;
    enum status st = parse(line, &root, &why);
    if (st == OK) {
        begin(s, line->seq);
        st = answer(s, root, &out, &why);
        end(s);
    }
    if (st != OK) out = json_pack("{s:s}", "error", why.msg);
    json_t *id = json_object_get(root, "id");
    if (id && out && json_object_set(out, "id", id) != 0) {
        json_decref(out);
        out = NULL;
    }
    json_decref(root);
    return cli_print_json(out, JSON_COMPACT | JSON_REAL_PRECISION(12), err);
}

enum status complete_stdio(struct completer *c, const struct complete_request *defaults, bool force,
                           bool keep, struct complete_context *context, struct error *err)
{
    struct server s = {.c = c, .defaults = defaults, .context = context, .force = force, .keep = keep};
    pthread_mutex_init(&s.lock, NULL);
    enum status st = inbox_open(STDIN_FILENO, MAX_LINE_BYTES, take_cancel, &s, &s.in, err);
    if (st != OK) goto out;
    struct inbox_line line;
    while (inbox_next(s.in, &line)) {
        if (!blank(&line)) st = serve(&s, &line, err);
        free(line.text);
        if (st != OK) break; /* nobody reads the answers */
    }
    inbox_close(s.in);
    if (s.file) complete_cache_save(c->session, s.file);
out:
    free(s.file);
    pthread_mutex_destroy(&s.lock);
    return st;
}
