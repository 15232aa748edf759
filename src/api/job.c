#include "api/job.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/fill.h"
#include "base/clock.h"
#include "infer/text_io.h"
#include "net/sse.h"
#include "text/chat_parse.h"
#include "text/grammar.h"

enum { MAX_TEXT = 64 << 20 };

/* ---- life -------------------------------------------------------------------------------------
 */

struct job *job_create(struct call *c, const char *model, const struct job_format *format)
{
    struct error err = {0};
    struct loaded_model *m;
    if (served_acquire(c->api->served, model, &m, &err) != OK) {
        call_error(c, &err);
        return NULL;
    }
    if (!m->scheduler) {
        served_release(m, NAN);
        call_failf(c, 400, "not_supported", "%s embeds texts and writes none; choose another model",
                   m->name);
        return NULL;
    }
    struct job *j = calloc(1, sizeof *j);
    if (!j) {
        served_release(m, NAN);
        call_failf(c, 503, "out_of_memory", "no memory for the request");
        return NULL;
    }
    atomic_init(&j->refs, 1);
    pthread_mutex_init(&j->lock, NULL);
    atomic_fetch_add(&c->api->n_jobs, 1);
    j->c = c;
    j->r = c->r;
    http_request_ref(j->r);
    j->m = m;
    j->format = format;
    j->keep_alive = NAN;
    j->created = (int64_t)time(NULL);
    j->started = clock_now();
    j->n = 1;
    j->q.sample = sample_params_default();
    j->q.cls = SCHED_CHAT;
    j->n_ctx = m->n_ctx;
    j->q.max_tokens = m->n_ctx;
    job_apply_limits(j);
    snprintf(c->model, sizeof c->model, "%s", m->name);
    return j;
}

static void choice_fini(struct job_choice *ch)
{
    chat_parser_destroy(ch->parser);
    buf_fini(&ch->text);
    buf_fini(&ch->reasoning);
    buf_fini(&ch->filled);
    for (size_t i = 0; i < ch->n_tools; i++) {
        free(ch->tools[i].name);
        buf_fini(&ch->tools[i].arguments);
    }
    free(ch->tools);
    for (size_t i = 0; i < ch->n_tokens; i++) free(ch->tokens[i].top);
    free(ch->tokens);
}

void job_unref(struct job *j)
{
    if (!j || atomic_fetch_sub(&j->refs, 1) != 1) return;
    struct api *a = j->c->api;
    served_release(j->m, j->keep_alive);
    for (size_t i = 0; i < j->n_parts; i++) token_list_fini(&j->parts[i].prompt);
    for (size_t i = 0; i < j->n_choices; i++) choice_fini(&j->choices[i]);
    for (size_t i = 0; i < j->n_stops; i++) free((char *)j->stops[i].data);
    free(j->choices);
    free(j->stops);
    free(j->bias);
    token_list_fini(&j->prediction);
    grammar_unref(j->grammar);
    fill_hole_free(j->hole);
    buf_fini(&j->prompt_end);
    buf_fini(&j->lead);
    if (j->state_free)
        j->state_free(j->state);
    else
        free(j->state);
    pthread_mutex_destroy(&j->lock);
    http_request_unref(j->r);
    free(j);
    atomic_fetch_sub(&a->n_jobs, 1);
}

void job_fail(struct job *j, const struct error *err)
{
    call_error(j->c, err);
    job_unref(j);
}

/* ---- prompts ----------------------------------------------------------------------------------
 */

struct job_part *job_add_part(struct job *j)
{
    if (j->n_parts == JOB_MAX_PARTS) return NULL;
    struct job_part *p = &j->parts[j->n_parts++];
    p->job = j;
    return p;
}

static enum status too_many(struct error *err)
{
    return error_set(err, ERR_LIMIT, "a request may have at most %d prompts", JOB_MAX_PARTS);
}

enum status job_add_prompt(struct job *j, const char *text, size_t len, bool parse_special,
                           struct error *err)
{
    struct job_part *p = job_add_part(j);
    if (!p) return too_many(err);
    return prompt_encode(j->m->tok, text, len, parse_special, &p->prompt, err);
}

enum status job_add_marked(struct job *j, const char *text, size_t len, const char *marks,
                           struct error *err)
{
    struct job_part *p = job_add_part(j);
    if (!p) return too_many(err);
    return prompt_encode_marked(j->m->tok, text, len, marks, &p->prompt, err);
}

static enum status add_ids(struct job *j, const json_t *ids, struct error *err)
{
    struct job_part *p = job_add_part(j);
    if (!p) return too_many(err);
    size_t n_vocab = tokenizer_n_tokens(j->m->tok), i;
    json_t *v;
    json_array_foreach(ids, i, v)
    {
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || (size_t)id >= n_vocab)
            return error_set(err, ERR_INVALID,
                             "the prompt's entry %zu is no token of the vocabulary", i);
        if (token_list_push(&p->prompt, (int32_t)id) != OK)
            return error_set(err, ERR_NOMEM, "no memory for the prompt");
    }
    return OK;
}

enum status job_add_prompts(struct job *j, const json_t *prompt, struct error *err)
{
    if (json_is_string(prompt))
        return job_add_prompt(j, json_string_value(prompt), json_string_length(prompt), true, err);
    if (!json_is_array(prompt) || json_array_size(prompt) == 0)
        return error_set(err, ERR_INVALID,
                         "'prompt' must be a string, an array of strings or token ids");
    if (json_is_integer(json_array_get(prompt, 0))) return add_ids(j, prompt, err);
    enum status st = OK;
    size_t i;
    json_t *v;
    json_array_foreach(prompt, i, v)
    {
        if (json_is_string(v))
            st = job_add_prompt(j, json_string_value(v), json_string_length(v), true, err);
        else if (json_is_array(v))
            st = add_ids(j, v, err);
        else
            st = error_set(err, ERR_INVALID,
                           "'prompt' holds an entry that is neither a string nor token ids");
        if (st != OK) return st;
    }
    return OK;
}

/* ---- what the scheduler says ------------------------------------------------------------------
 */

static void begin(struct job *j)
{
    if (j->begun || j->failed) return;
    j->begun = true;
    if (j->stream && j->format->begin) j->format->begin(j);
}

static enum status keep_token(struct job_choice *ch, const struct sched_token *t, size_t offset)
{
    if (ch->n_tokens == ch->cap_tokens) {
        size_t cap = ch->cap_tokens ? 2 * ch->cap_tokens : 64;
        struct job_token *p = realloc(ch->tokens, cap * sizeof *p);
        if (!p) return ERR_NOMEM;
        ch->tokens = p;
        ch->cap_tokens = cap;
    }
    struct job_token *k = &ch->tokens[ch->n_tokens];
    *k = (struct job_token){t->id, t->logprob, offset, t->n_top, NULL};
    if (t->n_top) {
        k->top = malloc(t->n_top * sizeof *k->top);
        if (!k->top) return ERR_NOMEM;
        memcpy(k->top, t->top, t->n_top * sizeof *k->top);
    }
    ch->n_tokens++;
    return OK;
}

static void set_failed(struct job *j, const struct error *err)
{
    pthread_mutex_lock(&j->lock);
    if (!j->failed) j->error = *err;
    j->failed = true;
    pthread_mutex_unlock(&j->lock);
}

static bool broken(struct job *j, enum status st, const char *why)
{
    struct error err;
    error_set(&err, st, "%s", why);
    set_failed(j, &err);
    return false;
}

static bool on_text(void *ctx, const struct sched_chunk *c)
{
    struct job_part *p = ctx;
    struct job *j = p->job;
    if (atomic_load(&j->gone) || j->failed) return false;
    struct job_choice *ch = &j->choices[p->first + c->sample];
    if (j->keep_tokens)
        for (size_t i = 0; i < c->n_tokens; i++)
            if (keep_token(ch, &c->tokens[i], c->tokens[i].text_offset) != OK)
                return broken(j, ERR_NOMEM, "no memory for the answer");
    begin(j);
    enum status st = job_take_text(j, ch, c->text, c->n_text);
    if (st != OK) return broken(j, st, "the answer is too long, or there is no memory for it");
    return !j->hole || !fill_is_full(j, p);
}

static void on_prompt(void *ctx, const struct sched_token *tokens, size_t n)
{
    struct job_part *p = ctx;
    struct job *j = p->job;
    for (size_t s = 0; s < j->n; s++)
        for (size_t i = 0; i < n; i++)
            if (keep_token(&j->choices[p->first + s], &tokens[i], tokens[i].text_offset) != OK) {
                broken(j, ERR_NOMEM, "no memory for the answer");
                return;
            }
}

static void on_held(void *ctx, size_t sample, const struct sched_sample *how,
                    const struct branch_base *base)
{
    struct job_part *p = ctx;
    struct job *j = p->job;
    struct error err = {0};
    if (atomic_load(&j->gone) || j->failed) return;
    bool ended = how->finish == FINISH_STOP && how->stop_token != TOKEN_NONE;
    if (fill_choose(j, &j->choices[p->first + sample], ended, base, &err) != OK)
        set_failed(j, &err);
}

static void take_result(struct job *j, struct job_part *p, const struct sched_result *res)
{
    p->queue_ms = res->queue_ms;
    p->prefill_ms = res->prefill_ms;
    p->first_token_ms = res->first_token_ms;
    p->decode_ms = res->decode_ms;
    p->n_cached = res->n_cached;
    j->n_prompt += res->n_prompt;
    j->n_cached += res->n_cached;
    j->n_generated += res->n_generated;
    j->n_drafted += res->n_drafted;
    j->n_accepted += res->n_accepted;
    for (size_t s = 0; s < res->n_samples && s < j->n; s++) {
        struct job_choice *ch = &j->choices[p->first + s];
        ch->finish = res->samples[s].finish;
        ch->stop_text = res->samples[s].stop_text;
        if (ch->stop_text >= (int)j->n_own_stops) ch->stop_text = -1;
        ch->stop_token = res->samples[s].stop_token;
        ch->n_generated = res->samples[s].n_generated;
    }
    if (res->status != OK && res->error)
        set_failed(j, res->error);
    else if (res->status != OK)
        broken(j, res->status, "the request failed");
    else if (res->finish == FINISH_SUPERSEDED)
        broken(j, ERR_CANCELLED, "a newer request of this client took this one's place");
    else if (res->finish == FINISH_CANCELLED)
        broken(j, ERR_BUSY, "the server is shutting down");
}

/* All parts are over. */
static void end(struct job *j)
{
    j->c->n_prompt = j->n_prompt;
    j->c->n_cached = j->n_cached;
    j->c->n_generated = j->n_generated;
    http_on_gone(j->r, NULL, NULL);
    if (j->failed && j->error.code == ERR_CANCELLED)
        call_failf(j->c, 409, "superseded", "%s", j->error.msg);
    else if (j->failed)
        call_error(j->c, &j->error);
    else
        j->format->end(j);
    job_unref(j);
}

static void part_over(struct job *j, struct job_part *p)
{
    if (j->stream && !j->failed && j->format->part_done) j->format->part_done(j, p->first, j->n);
    if (atomic_fetch_sub(&j->n_pending, 1) == 1) end(j);
}

static void on_done(void *ctx, const struct sched_result *res)
{
    struct job_part *p = ctx;
    take_result(p->job, p, res);
    struct job *j = p->job;
    if (!j->failed) begin(j);
    for (size_t i = 0; i < j->n && !j->failed; i++)
        if (job_end_text(j, &j->choices[p->first + i]) != OK)
            broken(j, ERR_NOMEM, "no memory for the answer");
    part_over(j, p);
}

static void cancel_parts(struct job *j)
{
    for (size_t i = 0; i < j->n_parts; i++) {
        uint64_t ticket = atomic_load(&j->parts[i].ticket);
        if (ticket) scheduler_cancel(j->m->scheduler, ticket);
    }
}

static void on_gone(void *ctx)
{
    struct job *j = ctx;
    atomic_store(&j->gone, true);
    cancel_parts(j);
}

/* ---- starting ---------------------------------------------------------------------------------
 */

static bool check_length(struct job *j)
{
    for (size_t i = 0; i < j->n_parts; i++) {
        size_t n = j->parts[i].prompt.len;
        if (n == 0) {
            call_failf(j->c, 400, "invalid_value",
                       "the prompt is empty: there is nothing to continue");
            return false;
        }
        if (n < j->n_ctx) continue;
        char text[256];
        snprintf(text, sizeof text,
                 "the prompt has %zu tokens, but the context holds %zu, one of them kept for the "
                 "answer; "
                 "nothing was cut",
                 n, j->n_ctx);
        struct failure f = {400, "context_length_exceeded", text, n, j->n_ctx};
        call_fail(j->c, &f);
        return false;
    }
    return true;
}

static bool check_limits(struct job *j)
{
    size_t most = j->c->max_tokens;
    if (most && j->q.max_tokens > most) {
        if (j->explicit_max) {
            call_failf(j->c, 400, "limit_exceeded",
                       "at most %zu tokens may be asked for on this server", most);
            return false;
        }
        j->q.max_tokens = most;
    }
    if (!j->n_parts || j->n_parts * j->n > JOB_MAX_CHOICES) {
        call_failf(j->c, 400, "limit_exceeded", "a request may have 1 to %d answers in all",
                   JOB_MAX_CHOICES);
        return false;
    }
    return check_length(j);
}

static bool make_choices(struct job *j)
{
    j->choices = calloc(j->n_parts * j->n, sizeof *j->choices);
    if (!j->choices) return false;
    j->n_choices = j->n_parts * j->n;
    for (size_t i = 0; i < j->n_choices; i++) {
        buf_init(&j->choices[i].text, MAX_TEXT);
        buf_init(&j->choices[i].reasoning, MAX_TEXT);
        buf_init(&j->choices[i].filled, MAX_TEXT);
        j->choices[i].job = j;
        j->choices[i].stop_text = -1;
        j->choices[i].stop_token = TOKEN_NONE;
    }
    for (size_t i = 0; i < j->n_parts; i++) j->parts[i].first = i * j->n;
    return job_make_parsers(j) == OK;
}

/* The model's own stop text behind the request's. */
static bool add_chat_stop(struct job *j)
{
    j->n_own_stops = j->n_stops;
    if (!j->chat_stop || !*j->chat_stop || j->n_stops == SCHED_MAX_STOPS) return true;
    struct text_str *p = realloc(j->stops, (j->n_stops + 1) * sizeof *p);
    if (!p) return false;
    j->stops = p;
    char *copy = strdup(j->chat_stop);
    if (!copy) return false;
    p[j->n_stops++] = (struct text_str){copy, strlen(copy)};
    return true;
}

static void complete_request(struct job *j)
{
    struct sched_request *q = &j->q;
    double limit = 1e3 * j->c->max_seconds;
    q->client = j->c->client;
    q->salt = j->c->salt;
    q->n_salt = strlen(j->c->salt);
    q->n = j->n;
    q->stop_text = j->stops;
    q->n_stop_text = j->n_stops;
    q->speculate = !j->c->api->opt.no_speculation;
    if (limit > 0 && (q->deadline_ms == 0 || q->deadline_ms > limit)) q->deadline_ms = limit;
    q->on_text = on_text;
    q->on_done = on_done;
    if (q->prompt_logprobs) q->on_prompt = on_prompt;
    if (fill_compares(j)) q->on_held = on_held;
}

void job_start(struct job *j)
{
    if (!check_limits(j)) {
        job_unref(j);
        return;
    }
    if (!add_chat_stop(j) || !make_choices(j)) {
        call_failf(j->c, 503, "out_of_memory", "no memory for the request");
        job_unref(j);
        return;
    }
    complete_request(j);
    atomic_fetch_add(&j->refs, 1); /* the scheduler's, until the last part is over */
    atomic_store(&j->n_pending, j->n_parts);
    http_on_gone(j->r, on_gone, j);
    struct error err = {0};
    size_t i = 0, most = j->q.max_tokens;
    for (; i < j->n_parts; i++) {
        uint64_t ticket = 0;
        size_t room = j->n_ctx - j->parts[i].prompt.len;
        j->q.max_tokens = most < room ? most : room;
        j->q.prompt = j->parts[i].prompt.ids;
        j->q.n_prompt = j->parts[i].prompt.len;
        j->q.ctx = &j->parts[i];
        if (scheduler_submit(j->m->scheduler, &j->q, &ticket, &err) != OK) break;
        atomic_store(&j->parts[i].ticket, ticket);
    }
    size_t missing = j->n_parts - i;
    if (missing) set_failed(j, &err);
    if (missing || atomic_load(&j->gone)) cancel_parts(j); /* not at work: one fails, all fail */
    if (missing && atomic_fetch_sub(&j->n_pending, missing) == missing) end(j);
    job_unref(j);
}

/* ---- for formats ------------------------------------------------------------------------------
 */

const char *job_finish_word(const struct job_choice *ch)
{
    return ch->finish == FINISH_STOP || ch->finish == FINISH_CALLBACK ? "stop" : "length";
}

struct job_times job_times(const struct job *j)
{
    struct job_times t = {.total_ms = 1e3 * (clock_now() - j->started)};
    for (size_t i = 0; i < j->n_parts; i++) {
        const struct job_part *p = &j->parts[i];
        t.queue_ms = fmax(t.queue_ms, p->queue_ms);
        t.prefill_ms = fmax(t.prefill_ms, p->prefill_ms);
        t.first_token_ms = fmax(t.first_token_ms, p->first_token_ms);
        t.decode_ms = fmax(t.decode_ms, p->decode_ms);
    }
    return t;
}

void job_sse(struct job *j, const char *event, json_t *data)
{
    size_t len = 0;
    char *text = api_dump(data, &len);
    if (!text || sse_write(j->r, event, text, len) != OK) broken(j, ERR_NOMEM, "the stream broke");
    free(text);
}

void job_ndjson(struct job *j, json_t *line)
{
    size_t len = 0;
    char *text = api_dump(line, &len);
    if (!text || ndjson_write(j->r, text, len) != OK) broken(j, ERR_NOMEM, "the stream broke");
    free(text);
}

static size_t piece_of(const struct job *j, int32_t id, char *dst, size_t cap)
{
    size_t n = tokenizer_piece(j->m->tok, id, true, dst, cap);
    return n <= cap ? n : 0;
}

json_t *job_token_text(const struct job *j, int32_t id)
{
    char piece[1024];
    return api_string(piece, piece_of(j, id, piece, sizeof piece));
}

json_t *job_token_bytes(const struct job *j, int32_t id)
{
    char piece[1024];
    size_t n = piece_of(j, id, piece, sizeof piece);
    json_t *a = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(a, json_integer((unsigned char)piece[i]));
    return a;
}
