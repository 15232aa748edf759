#include "eval/results.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"

enum { FORMAT = 1 };
#define MAX_FILE_BYTES ((size_t)1 << 30)

static const char *const halves[] = {"all", "a", "b"};

void eval_result_fini(struct eval_result *r)
{
    free(r->id);
    free(r->answer);
    free(r->error);
    free(r->kind_owned);
    *r = (struct eval_result){0};
}

void eval_results_fini(struct eval_results *r)
{
    for (size_t i = 0; i < r->n; i++) eval_result_fini(&r->v[i]);
    free(r->v);
    char *own[] = {r->head.bench, r->head.tasks,  r->head.repo,
                   r->head.kinds, r->head.target, r->head.model};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) free(own[i]);
    *r = (struct eval_results){0};
}

enum status eval_results_add(struct eval_results *r, const struct eval_result *one,
                             struct error *err)
{
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 256;
        struct eval_result *v =
            cap <= 2 * (size_t)EVAL_MAX_HOLES ? reallocarray(r->v, cap, sizeof *v) : NULL;
        if (!v) return error_set(err, ERR_NOMEM, "no memory for %zu results", cap);
        r->v = v;
        r->cap = cap;
    }
    r->v[r->n++] = *one;
    return OK;
}

const struct eval_result *eval_results_find(const struct eval_results *r, const char *id)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->v[i].id, id) == 0) return &r->v[i];
    return NULL;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

static void set_text(json_t *o, const char *key, const char *text)
{
    if (text) json_object_set_new(o, key, json_string(text));
}

static enum status write_line(json_t *o, FILE *f, struct error *err)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) return error_set(err, ERR_NOMEM, "out of memory");
    bool good = fprintf(f, "%s\n", text) > 0 && fflush(f) == 0;
    free(text);
    return good ? OK : error_set(err, ERR_IO, "cannot write the results: %s", strerror(errno));
}

enum status eval_head_write(const struct eval_head *h, FILE *f, struct error *err)
{
    json_t *o =
        json_pack("{s:i, s:s, s:I, s:I, s:s}", "hearth_eval", FORMAT, "benchmark", h->bench, "seed",
                  (json_int_t)h->seed, "limit", (json_int_t)h->limit, "half", halves[h->half]);
    if (!o) return error_set(err, ERR_NOMEM, "out of memory");
    set_text(o, "tasks", h->tasks);
    set_text(o, "repo", h->repo);
    set_text(o, "kinds", h->kinds);
    set_text(o, "target", h->target);
    set_text(o, "model", h->model);
    return write_line(o, f, err);
}

/* Bytes that are no UTF-8, which JSON cannot hold, become '?': such an answer is wrong anyway. */
static json_t *any_string(const char *text, size_t len)
{
    json_t *s = json_stringn(text, len);
    if (s) return s;
    char *copy = malloc(len + 1);
    if (!copy) return NULL;
    for (size_t i = 0; i < len; i++) copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    s = json_stringn(copy, len);
    free(copy);
    return s;
}

enum status eval_result_write(const struct eval_result *r, FILE *f, struct error *err)
{
    json_t *scores = json_object();
    for (int i = 0; i < EVAL_N_CUTS; i++) {
        const struct eval_score *s = &r->scores[i];
        json_t *one = json_pack("{s:b, s:f}", "exact", s->exact, "edit", s->edit);
        if (one && r->tested) json_object_set_new(one, "pass", json_boolean(s->passed));
        if (one && s->timed_out) json_object_set_new(one, "timed_out", json_true());
        json_object_set_new(scores, eval_cuts[i].name, one);
    }
    json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:I, s:f, s:f, s:o}", "id", r->id, "kind", r->kind,
                          "answer", any_string(r->answer ? r->answer : "", r->answer_len), "tokens",
                          (json_int_t)r->tokens, "prompt_tokens", (json_int_t)r->prompt_tokens,
                          "first_ms", r->first_ms, "total_ms", r->total_ms, "scores", scores);
    if (o) set_text(o, "error", r->error);
    return write_line(o, f, err);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static char *copy_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? strdup(s) : NULL;
}

static enum status read_head(const json_t *o, struct eval_head *h, struct error *err)
{
    if (json_integer_value(json_object_get(o, "hearth_eval")) != FORMAT)
        return error_set(err, ERR_FORMAT, "no results of `hearth eval`, or of another version");
    h->bench = copy_text(o, "benchmark");
    h->tasks = copy_text(o, "tasks");
    h->repo = copy_text(o, "repo");
    h->kinds = copy_text(o, "kinds");
    h->target = copy_text(o, "target");
    h->model = copy_text(o, "model");
    h->seed = (uint64_t)json_integer_value(json_object_get(o, "seed"));
    h->limit = (size_t)json_integer_value(json_object_get(o, "limit"));
    const char *half = json_string_value(json_object_get(o, "half"));
    for (int i = 0; half && i < 3; i++)
        if (strcmp(half, halves[i]) == 0) h->half = (enum eval_half)i;
    return h->bench ? OK : error_set(err, ERR_FORMAT, "the first line names no benchmark");
}

static enum status read_result(const json_t *o, struct eval_result *r, struct error *err)
{
    const json_t *answer = json_object_get(o, "answer"), *scores = json_object_get(o, "scores");
    r->id = copy_text(o, "id");
    r->kind = r->kind_owned = copy_text(o, "kind");
    r->answer = copy_text(o, "answer");
    r->error = copy_text(o, "error");
    if (!r->id || !r->kind || !r->answer || !json_is_object(scores))
        return error_set(err, ERR_FORMAT, "a result needs id, kind, answer and scores");
    r->answer_len = json_string_length(answer);
    r->tokens = json_integer_value(json_object_get(o, "tokens"));
    r->prompt_tokens = json_integer_value(json_object_get(o, "prompt_tokens"));
    r->first_ms = json_number_value(json_object_get(o, "first_ms"));
    r->total_ms = json_number_value(json_object_get(o, "total_ms"));
    for (int i = 0; i < EVAL_N_CUTS; i++) {
        const json_t *s = json_object_get(scores, eval_cuts[i].name);
        const json_t *pass = json_object_get(s, "pass");
        if (pass) r->tested = true;
        r->scores[i] = (struct eval_score){
            .passed = json_is_true(pass),
            .timed_out = json_is_true(json_object_get(s, "timed_out")),
            .exact = json_is_true(json_object_get(s, "exact")),
            .edit = json_number_value(json_object_get(s, "edit")),
        };
    }
    return OK;
}

static enum status read_line(const char *at, size_t len, size_t number, struct eval_results *out,
                             struct error *err)
{
    json_t *o = json_loadb(at, len, 0, NULL);
    enum status st = o ? OK : error_set(err, ERR_FORMAT, "no JSON");
    if (st == OK && number == 1) st = read_head(o, &out->head, err);
    if (st == OK && number > 1) {
        struct eval_result r = {0};
        st = read_result(o, &r, err);
        if (st == OK) st = eval_results_add(out, &r, err);
        if (st) eval_result_fini(&r);
    }
    json_decref(o);
    return st;
}

enum status eval_results_read(const char *path, struct eval_results *out, struct error *err)
{
    struct buf b;
    buf_init(&b, MAX_FILE_BYTES);
    enum status st = file_read_all(path, &b, err);
    size_t number = 0;
    for (size_t at = 0; st == OK && at < b.len;) {
        const char *stop = memchr(b.data + at, '\n', b.len - at);
        if (!stop) break;
        size_t len = (size_t)(stop - b.data) - at;
        st = read_line(b.data + at, len, ++number, out, err);
        if (st) error_prefix(err, "%s, line %zu", path, number);
        at += len + 1;
    }
    if (st == OK && number == 0) st = error_set(err, ERR_FORMAT, "%s is empty", path);
    buf_fini(&b);
    return st;
}

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

enum status eval_head_match(const struct eval_head *a, const struct eval_head *b, struct error *err)
{
    const char *what = !same(a->bench, b->bench)     ? "the benchmark"
                       : !same(a->tasks, b->tasks)   ? "the tasks"
                       : !same(a->repo, b->repo)     ? "the folder"
                       : !same(a->kinds, b->kinds)   ? "the kinds"
                       : !same(a->target, b->target) ? "the server"
                       : !same(a->model, b->model)   ? "the model"
                       : a->seed != b->seed          ? "the seed"
                       : a->limit != b->limit        ? "the limit"
                       : a->half != b->half          ? "the half"
                                                     : NULL;
    if (!what) return OK;
    return error_set(err, ERR_INVALID,
                     "the file holds results of another run: %s differs; name another file", what);
}
