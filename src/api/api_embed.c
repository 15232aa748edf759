/* Vectors of texts and scores of documents, in OpenAI's, Ollama's and llama.cpp's forms. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/job.h"
#include "api/ollama.h"
#include "infer/embed.h"
#include "infer/scheduler.h"

enum { MAX_TEXTS = 2048 };

struct embed_work;

/* One endpoint's form of the answer. */
struct embed_form {
    json_t *(*answer)(const struct embed_work *w);
    bool truncate; /* where the request does not say */
};

/* The work runs on the model's thread, in turn with its requests. */
struct embed_work {
    struct call *c;
    struct loaded_model *m;
    const struct embed_form *form;
    struct text_str *texts; /* borrowed from the call's body; the first is a reranker's query */
    size_t n;
    bool rerank, base64, truncate;
    size_t dimensions, top_n;
    double keep_alive;
    volatile int cancel;
    struct embeddings v;
    float *scores;
};

static void work_free(struct embed_work *w)
{
    struct api *a = w->c->api;
    http_on_gone(w->c->r, NULL, NULL);
    served_release(w->m, w->keep_alive);
    embeddings_fini(&w->v);
    free(w->scores);
    free(w->texts);
    http_request_unref(w->c->r);
    free(w);
    atomic_fetch_sub(&a->n_jobs, 1);
}

static void run_work(void *ctx, bool cancelled)
{
    struct embed_work *w = ctx;
    struct error err = {0};
    enum status st = cancelled ? error_set(&err, ERR_BUSY, "the server is shutting down") : OK;
    struct embed_options opt = {.truncate = w->truncate, .cancel = &w->cancel};
    if (st == OK && w->rerank) {
        w->scores = calloc(w->n, sizeof *w->scores);
        if (!w->scores)
            st = error_set(&err, ERR_NOMEM, "no memory for the scores");
        else
            st = engine_rerank(w->m->engine, w->texts[0], w->texts + 1, w->n - 1, &opt, w->scores,
                               &err);
    } else if (st == OK) {
        st = engine_embed(w->m->engine, w->texts, w->n, &opt, &w->v, &err);
    }
    w->c->n_prompt = w->v.n_tokens;
    if (st == OK)
        call_json(w->c, 200, w->form->answer(w));
    else
        call_error(w->c, &err);
    work_free(w);
}

static void on_gone(void *ctx)
{
    ((struct embed_work *)ctx)->cancel = 1;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void add_text(struct embed_work *w, struct reader *rd, const json_t *v)
{
    if (!json_is_string(v)) v = json_object_get(v, "text");
    if (!json_is_string(v))
        read_fail(rd, "a text to embed must be a string");
    else
        w->texts[w->n++] = (struct text_str){json_string_value(v), json_string_length(v)};
}

/* A string or an array of strings under the first of the keys that is there. */
static void read_texts(struct embed_work *w, struct reader *rd, const char *const *keys)
{
    const json_t *v = NULL;
    for (; *keys && !v; keys++) v = read_any(rd, *keys);
    size_t n = json_is_array(v) ? json_array_size(v) : 1, i;
    if (!v || n == 0 || n > MAX_TEXTS) {
        read_fail(rd, "the request needs a text to embed, or an array of 1 to %d", MAX_TEXTS);
        return;
    }
    w->texts = calloc(n + 1, sizeof *w->texts);
    if (!w->texts) {
        read_fail(rd, "no memory for the texts");
        return;
    }
    json_t *item;
    if (!json_is_array(v))
        add_text(w, rd, v);
    else
        json_array_foreach(v, i, item) add_text(w, rd, item);
}

static void read_query(struct embed_work *w, struct reader *rd)
{
    const char *query = NULL;
    size_t len = 0;
    read_string(rd, "query", &query, &len);
    if (!query) read_fail(rd, "'query' is missing");
    static const char *const keys[] = {"documents", "texts", NULL};
    read_texts(w, rd, keys);
    w->top_n = w->n;
    read_size(rd, "top_n", MAX_TEXTS, &w->top_n);
    if (rd->err.code) return;
    memmove(w->texts + 1, w->texts, w->n * sizeof *w->texts);
    w->texts[0] = (struct text_str){query, len};
    w->n++;
}

static void start(struct call *c, const struct embed_form *form, bool rerank)
{
    static const char *const keys[] = {"input", "content", "prompt", NULL};
    struct reader rd = {.obj = c->body};
    const char *model = NULL, *encoding = "float";
    struct embed_work *w = calloc(1, sizeof *w);
    if (!w) {
        call_failf(c, 503, "out_of_memory", "no memory for the request");
        return;
    }
    *w = (struct embed_work){.c = c, .form = form, .rerank = rerank, .truncate = form->truncate};
    read_string(&rd, "model", &model, NULL);
    read_string(&rd, "encoding_format", &encoding, NULL);
    read_bool(&rd, "truncate", &w->truncate);
    read_size(&rd, "dimensions", 1 << 16, &w->dimensions);
    w->keep_alive = ollama_keep_alive(&rd);
    w->base64 = strcmp(encoding, "base64") == 0;
    if (!w->base64 && strcmp(encoding, "float") != 0)
        read_fail(&rd, "'encoding_format' is float or base64");
    if (rerank)
        read_query(w, &rd);
    else
        read_texts(w, &rd, keys);
    if (rd.err.code || served_acquire(c->api->served, model, &w->m, &rd.err) != OK) {
        call_error(c, &rd.err);
        free(w->texts);
        free(w);
        return;
    }
    snprintf(c->model, sizeof c->model, "%s", w->m->name);
    http_request_ref(c->r);
    atomic_fetch_add(&c->api->n_jobs, 1);
    http_on_gone(c->r, on_gone, w);
    if (!w->m->scheduler) { /* an encoder writes no text, so there is nobody to take turns with */
        run_work(w, false);
        return;
    }
    struct sched_job job = {run_work, w};
    if (scheduler_run_job(w->m->scheduler, &job, &rd.err) != OK) {
        call_error(c, &rd.err);
        work_free(w);
    }
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* Vector i as an array, cut to the dimensions that were asked for and then brought to length 1
 * again (Matryoshka models), or as base64 of little-endian floats. */
static json_t *vector_of(const struct embed_work *w, size_t i)
{
    const float *x = w->v.data + w->v.first[i] * w->v.dim;
    size_t n = w->dimensions && w->dimensions < w->v.dim ? w->dimensions : w->v.dim;
    double sum = 0, scale = 1;
    for (size_t k = 0; k < n && n < w->v.dim; k++) sum += (double)x[k] * (double)x[k];
    if (sum > 0) scale = 1 / sqrt(sum);
    float *y = malloc(n * sizeof *y + 1);
    if (!y) return NULL;
    for (size_t k = 0; k < n; k++) y[k] = (float)((double)x[k] * scale);
    json_t *out;
    if (w->base64) {
        static const char digits[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const unsigned char *b = (const unsigned char *)y;
        size_t len = n * sizeof *y, at = 0;
        char *text = malloc((len + 2) / 3 * 4 + 1);
        for (size_t k = 0; text && k < len; k += 3) {
            unsigned v = (unsigned)b[k] << 16 | (k + 1 < len ? (unsigned)b[k + 1] << 8 : 0) |
                         (k + 2 < len ? b[k + 2] : 0);
            text[at++] = digits[v >> 18];
            text[at++] = digits[v >> 12 & 63];
            text[at++] = k + 1 < len ? digits[v >> 6 & 63] : '=';
            text[at++] = k + 2 < len ? digits[v & 63] : '=';
        }
        out = text ? json_stringn(text, at) : NULL;
        free(text);
    } else {
        out = json_array();
        for (size_t k = 0; k < n; k++) json_array_append_new(out, json_real((double)y[k]));
    }
    free(y);
    return out;
}

static json_t *openai_answer(const struct embed_work *w)
{
    json_t *data = json_array();
    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(data, json_pack("{s:s, s:I, s:o}", "object", "embedding", "index",
                                              (json_int_t)i, "embedding", vector_of(w, i)));
    return json_pack("{s:s, s:s, s:o, s:{s:I, s:I}}", "object", "list", "model", w->m->name, "data",
                     data, "usage", "prompt_tokens", (json_int_t)w->v.n_tokens, "total_tokens",
                     (json_int_t)w->v.n_tokens);
}

static json_t *ollama_answer(const struct embed_work *w)
{
    json_t *all = json_array();
    for (size_t i = 0; i < w->n; i++) json_array_append_new(all, vector_of(w, i));
    return json_pack("{s:s, s:o, s:i, s:i, s:I}", "model", w->m->name, "embeddings", all,
                     "total_duration", 0, "load_duration", 0, "prompt_eval_count",
                     (json_int_t)w->v.n_tokens);
}

static json_t *ollama_old_answer(const struct embed_work *w)
{
    return json_pack("{s:o}", "embedding", vector_of(w, 0));
}

static json_t *llama_answer(const struct embed_work *w)
{
    json_t *list = json_array();
    for (size_t i = 0; i < w->n; i++)
        json_array_append_new(
            list, json_pack("{s:I, s:[o]}", "index", (json_int_t)i, "embedding", vector_of(w, i)));
    return list;
}

static int by_score(const void *a, const void *b)
{
    const float *x = *(const float *const *)a, *y = *(const float *const *)b;
    return *x > *y ? -1 : *x < *y ? 1 : x < y ? -1 : x > y; /* equals in the documents' order */
}

static json_t *rerank_answer(const struct embed_work *w)
{
    size_t n = w->n - 1;
    const float **order = calloc(n, sizeof *order);
    json_t *list = json_array();
    for (size_t i = 0; order && i < n; i++) order[i] = w->scores + i;
    if (order) qsort(order, n, sizeof *order, by_score);
    for (size_t i = 0; order && i < n && i < w->top_n; i++)
        json_array_append_new(list,
                              json_pack("{s:I, s:f}", "index", (json_int_t)(order[i] - w->scores),
                                        "relevance_score", (double)*order[i]));
    free(order);
    return json_pack("{s:s, s:s, s:o}", "model", w->m->name, "object", "list", "results", list);
}

static const struct embed_form openai_form = {openai_answer, false},
                               ollama_form = {ollama_answer, true},
                               ollama_old_form = {ollama_old_answer, true},
                               llama_form = {llama_answer, false},
                               rerank_form = {rerank_answer, false};

static void post_openai(struct call *c)
{
    start(c, &openai_form, false);
}
static void post_ollama(struct call *c)
{
    start(c, &ollama_form, false);
}
static void post_ollama_old(struct call *c)
{
    start(c, &ollama_old_form, false);
}
static void post_llama(struct call *c)
{
    start(c, &llama_form, false);
}
static void post_rerank(struct call *c)
{
    start(c, &rerank_form, true);
}

const struct route routes_embed[] = {
    {"POST", "/v1/embeddings", &dialect_openai, ROUTE_JSON, post_openai},
    {"POST", "/api/embed", &dialect_ollama, ROUTE_JSON, post_ollama},
    {"POST", "/api/embeddings", &dialect_ollama, ROUTE_JSON, post_ollama_old},
    {"POST", "/embedding", &dialect_llama, ROUTE_JSON, post_llama},
    {"POST", "/embeddings", &dialect_llama, ROUTE_JSON, post_llama},
    {"POST", "/reranking", &dialect_llama, ROUTE_JSON, post_rerank},
    {"POST", "/rerank", &dialect_llama, ROUTE_JSON, post_rerank},
    {"POST", "/v1/rerank", &dialect_llama, ROUTE_JSON, post_rerank},
    {0},
};
