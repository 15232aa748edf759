/* llama.cpp's server: completion, tokenizing, templates, and what tells of the server itself. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "api/llama.h"
#include "api/talk.h"
#include "gguf/gguf.h"
#include "infer/engine.h"
#include "infer/text_io.h"
#include "model/model.h"
#include "net/sse.h"

/* ---- the server -------------------------------------------------------------------------------
 */

static void get_health(struct call *c)
{
    call_text(c, 200, "application/json; charset=utf-8", "{\"status\":\"ok\"}");
}

static void get_metrics(struct call *c)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    if (metrics_write(&c->api->metrics, c->api->served, atomic_load(&c->api->n_jobs), &b) == OK)
        http_respond(c->r, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    else
        call_failf(c, 503, "out_of_memory", "no memory for the figures");
    buf_fini(&b);
}

static void get_openapi(struct call *c)
{
    size_t len;
    const char *text = api_openapi(&len);
    http_respond(c->r, 200, "application/json; charset=utf-8", text, len);
}

struct loaded_model *llama_hold(struct call *c)
{
    struct loaded_model *m = NULL;
    struct error err = {0};
    const char *model = json_string_value(json_object_get(c->body, "model"));
    if (served_acquire(c->api->served, model, &m, &err) == OK) {
        snprintf(c->model, sizeof c->model, "%s", m->name);
        return m;
    }
    call_error(c, &err);
    return NULL;
}

static void get_props(struct call *c)
{
    struct loaded_model *m = llama_hold(c);
    if (!m) return;
    struct gguf_str t = {0};
    gguf_get_str(engine_gguf(m->engine), "tokenizer.chat_template", &t, NULL);
    call_json(c, 200,
              json_pack("{s:{s:I}, s:i, s:s, s:s, s:o, s:s, s:b}", "default_generation_settings",
                        "n_ctx", (json_int_t)m->n_ctx, "total_slots", LLAMA_SLOTS, "model_alias",
                        m->name, "model_path", m->name, "chat_template",
                        api_string(t.data ? t.data : "", t.len), "build_info",
                        "hearth " HEARTH_VERSION, "fim", m->has_fim));
    served_release(m, NAN);
}

static void get_slots(struct call *c)
{
    struct loaded_model *m = llama_hold(c);
    if (!m) return;
    struct sched_stats s = {0};
    if (m->scheduler) scheduler_stats(m->scheduler, &s);
    size_t running = s.running[0] + s.running[1] + s.running[2];
    json_t *list = json_array();
    for (size_t i = 0; i < running || i == 0; i++)
        json_array_append_new(list, json_pack("{s:I, s:I, s:b}", "id", (json_int_t)i, "n_ctx",
                                              (json_int_t)m->n_ctx, "is_processing", i < running));
    call_json(c, 200, list);
    served_release(m, NAN);
}

static void get_adapters(struct call *c)
{
    call_json(c, 200, json_array());
}

/* Adapters by {id, scale}: none is loaded, so an empty list is all that can be asked for. */
static void post_adapters(struct call *c)
{
    struct http_str body = http_body(c->r);
    json_t *list = json_loadb(body.data ? body.data : "", body.len, JSON_ALLOW_NUL, NULL);
    const json_t *id = json_object_get(json_array_get(list, 0), "id");
    if (!json_is_array(list))
        call_failf(c, 400, "invalid_value",
                   "the body must be an array of adapters with id and scale");
    else if (json_array_size(list) == 0)
        call_json(c, 200, json_pack("{s:b}", "success", 1));
    else if (json_is_integer(id))
        call_failf(c, 400, "invalid_value", "there is no adapter %lld: none is loaded",
                   (long long)json_integer_value(id));
    else
        call_failf(c, 400, "invalid_value", "entry 0 has no id");
    json_decref(list);
}

/* ---- tokens -----------------------------------------------------------------------------------
 */

static json_t *token_entry(const struct tokenizer *t, int32_t id, bool pieces)
{
    if (!pieces) return json_integer(id);
    char piece[1024];
    size_t n = tokenizer_piece(t, id, true, piece, sizeof piece);
    json_t *text = n <= sizeof piece ? json_stringn(piece, n) : NULL, *bytes = NULL;
    if (!text) {
        bytes = json_array();
        for (size_t i = 0; i < n && n <= sizeof piece; i++)
            json_array_append_new(bytes, json_integer((unsigned char)piece[i]));
    }
    return json_pack("{s:i, s:o}", "id", (int)id, "piece", text ? text : bytes);
}

static void post_tokenize(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *text = NULL;
    size_t len = 0;
    bool special = false, parse = true, pieces = false;
    read_string(&rd, "content", &text, &len);
    read_bool(&rd, "add_special", &special);
    read_bool(&rd, "parse_special", &parse);
    read_bool(&rd, "with_pieces", &pieces);
    if (!text) read_fail(&rd, "'content' is missing");
    if (rd.err.code) {
        call_error(c, &rd.err);
        return;
    }
    struct loaded_model *m = llama_hold(c);
    if (!m) return;
    struct token_list ids = {0};
    enum status st = special ? prompt_encode(m->tok, text, len, parse, &ids, &rd.err)
                             : tokenizer_encode(m->tok, text, len, parse, &ids, &rd.err);
    json_t *list = json_array();
    for (size_t i = 0; st == OK && i < ids.len; i++)
        json_array_append_new(list, token_entry(m->tok, ids.ids[i], pieces));
    if (st == OK)
        call_json(c, 200, json_pack("{s:o}", "tokens", list));
    else {
        json_decref(list);
        call_error(c, &rd.err);
    }
    token_list_fini(&ids);
    served_release(m, NAN);
}

static void post_detokenize(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const json_t *tokens = read_array(&rd, "tokens", 1 << 22), *v;
    if (!tokens) read_fail(&rd, "'tokens' is missing");
    struct loaded_model *m = rd.err.code ? NULL : llama_hold(c);
    if (rd.err.code) call_error(c, &rd.err);
    if (!m) return;
    size_t n = json_array_size(tokens), i, n_vocab = tokenizer_n_tokens(m->tok);
    int32_t *ids = malloc((n ? n : 1) * sizeof *ids);
    struct buf text;
    buf_init(&text, (size_t)256 << 20);
    json_array_foreach(tokens, i, v)
    {
        json_int_t id = json_integer_value(v);
        if (!json_is_integer(v) || id < 0 || (size_t)id >= n_vocab)
            read_fail(&rd, "entry %zu of 'tokens' is no token", i);
        else if (ids)
            ids[i] = (int32_t)id;
    }
    if (!rd.err.code && ids) tokenizer_decode(m->tok, ids, n, true, &text, &rd.err);
    if (rd.err.code || !ids)
        call_error(c, &rd.err);
    else
        call_json(c, 200,
                  json_pack("{s:o}", "content", api_string(text.data ? text.data : "", text.len)));
    buf_fini(&text);
    free(ids);
    served_release(m, NAN);
}

static void post_template(struct call *c)
{
    struct reader rd = {.obj = c->body};
    struct talk chat = {0};
    talk_read_messages(&chat, &rd, "messages");
    talk_read_tools(&chat, &rd);
    struct loaded_model *m = rd.err.code ? NULL : llama_hold(c);
    struct buf text;
    buf_init(&text, (size_t)64 << 20);
    if (m) talk_render(m, &chat, &text, NULL, &rd.err);
    if (rd.err.code)
        call_error(c, &rd.err);
    else if (m)
        call_json(c, 200,
                  json_pack("{s:o}", "prompt", api_string(text.data ? text.data : "", text.len)));
    buf_fini(&text);
    talk_fini(&chat);
    if (m) served_release(m, NAN);
}

/* ---- completion -------------------------------------------------------------------------------
 */

static json_t *probabilities(const struct job *j, const struct job_token *t, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *tops = json_array();
        for (size_t k = 0; k < t[i].n_top; k++)
            json_array_append_new(tops,
                                  json_pack("{s:i, s:o, s:f}", "id", (int)t[i].top[k].id, "token",
                                            job_token_text(j, t[i].top[k].id), "logprob",
                                            fmax((double)t[i].top[k].logprob, -9999.0)));
        json_array_append_new(
            list, json_pack("{s:i, s:o, s:f, s:o, s:o}", "id", (int)t[i].id, "token",
                            job_token_text(j, t[i].id), "logprob",
                            isnan(t[i].logprob) ? 0.0 : fmax((double)t[i].logprob, -9999.0),
                            "bytes", job_token_bytes(j, t[i].id), "top_logprobs", tops));
    }
    return list;
}

static json_t *ids_of(const struct job_token *t, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_integer(t[i].id));
    return list;
}

static json_t *timings_of(const struct job *j)
{
    struct job_times t = job_times(j);
    double fresh = (double)(j->n_prompt - j->n_cached), out = (double)j->n_generated;
    return json_pack(
        "{s:I, s:I, s:f, s:f, s:I, s:f, s:f}", "cache_n", (json_int_t)j->n_cached, "prompt_n",
        (json_int_t)fresh, "prompt_ms", api_round(t.prefill_ms), "prompt_per_second",
        t.prefill_ms > 0 ? api_round(1e3 * fresh / t.prefill_ms) : 0.0, "predicted_n",
        (json_int_t)out, "predicted_ms", api_round(t.decode_ms), "predicted_per_second",
        t.decode_ms > 0 ? api_round(1e3 * out / t.decode_ms) : 0.0);
}

/* `response_fields`: the texts one behind the other, each with its NUL, and an empty one at the end. */
static void read_fields(struct job *j, struct reader *rd)
{
    enum { MOST = 64, LONGEST = 256 };
    const json_t *list = read_array(rd, "response_fields", MOST), *v;
    size_t i, len = 1;
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(v) || json_string_length(v) > LONGEST) {
            read_fail(rd, "'response_fields' holds texts of at most %d bytes", LONGEST);
            return;
        }
        len += json_string_length(v) + 1;
    }
    if (!json_array_size(list)) return;
    char *at = j->state = calloc(1, len);
    if (!at) read_fail(rd, "no memory for 'response_fields'");
    json_array_foreach(list, i, v) if (at && json_string_length(v)) at =
        stpcpy(at, json_string_value(v)) + 1;
}

/* Only the members that were asked for, where any were: "timings/prompt_n" is one within another, and
 * keeps that name. */
static json_t *only_fields(const struct job *j, json_t *all)
{
    if (!j->state || !all) return all;
    json_t *some = json_object();
    for (const char *f = j->state; *f; f += strlen(f) + 1) {
        json_t *v = all;
        for (const char *part = f; part && v;) {
            size_t n = strcspn(part, "/");
            v = json_object_getn(v, part, n);
            part = part[n] ? part + n + 1 : NULL;
        }
        if (v) json_object_set(some, f, v);
    }
    json_decref(all);
    return some;
}

static json_t *last_words(const struct job *j, const struct job_choice *ch, bool whole)
{
    const char *type = strcmp(job_finish_word(ch), "length") == 0 ? "limit"
                       : ch->stop_text >= 0                       ? "word"
                                                                  : "eos";
    const struct text_str *word = ch->stop_text >= 0 ? &j->stops[ch->stop_text] : NULL;
    json_t *a = json_pack(
        "{s:I, s:o, s:o, s:i, s:b, s:s, s:I, s:I, s:I, s:b, s:s, s:o, s:o}", "index",
        (json_int_t)(ch - j->choices), "content",
        whole ? json_stringn(ch->text.data ? ch->text.data : "", ch->text.len) : json_string(""),
        "tokens", whole ? ids_of(ch->tokens, ch->n_tokens) : json_array(), "id_slot", 0, "stop", 1,
        "model", j->m->name, "tokens_predicted", (json_int_t)ch->n_generated, "tokens_evaluated",
        (json_int_t)j->n_prompt, "tokens_cached", (json_int_t)j->n_cached, "truncated", 0,
        "stop_type", type, "stopping_word",
        word ? api_string(word->data, word->len) : json_string(""), "timings", timings_of(j));
    if (a && whole && j->q.n_top)
        json_object_set_new(a, "completion_probabilities",
                            probabilities(j, ch->tokens, ch->n_tokens));
    return only_fields(j, a);
}

static void llama_begin(struct job *j)
{
    http_stream_begin(j->r, 200, SSE_TYPE);
}

static void llama_piece(struct job *j, const struct job_piece *p)
{
    json_t *e =
        json_pack("{s:I, s:o, s:o, s:b, s:i, s:I, s:I}", "index", (json_int_t)p->choice, "content",
                  json_stringn(p->text, p->len), "tokens", ids_of(p->tokens, p->n_tokens), "stop",
                  0, "id_slot", 0, "tokens_predicted", (json_int_t)j->choices[p->choice].n_tokens,
                  "tokens_evaluated", (json_int_t)j->parts[0].prompt.len);
    if (e && j->q.n_top)
        json_object_set_new(e, "completion_probabilities",
                            probabilities(j, p->tokens, p->n_tokens));
    job_sse(j, NULL, e);
}

static void llama_end(struct job *j)
{
    if (j->stream) {
        for (size_t i = 0; i < j->n_choices; i++)
            job_sse(j, NULL, last_words(j, &j->choices[i], false));
        http_stream_end(j->r);
        return;
    }
    if (j->n_choices == 1) {
        call_json(j->c, 200, last_words(j, &j->choices[0], true));
        return;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < j->n_choices; i++)
        json_array_append_new(list, last_words(j, &j->choices[i], true));
    call_json(j->c, 200, list);
}

const struct job_format llama_format = {llama_begin, llama_piece, NULL, llama_end};

void llama_read(struct job *j, struct reader *rd)
{
    int64_t most = -1, probs = 0, n = 1;
    bool tokens = false, post = false;
    j->q.sample.temperature = 0.8f;
    j->q.sample.top_k = 40;
    j->q.sample.top_p = 0.95f;
    j->q.sample.min_p = 0.05f;
    read_bool(rd, "stream", &j->stream);
    read_int(rd, "max_tokens", -1, INT32_MAX, &most);
    read_int(rd, "n_predict", -1, INT32_MAX, &most);
    read_int(rd, "n_cmpl", 1, SCHED_MAX_SAMPLES, &n);
    read_int(rd, "n_probs", 0, SCHED_MAX_TOP, &probs);
    read_bool(rd, "return_tokens", &tokens);
    read_bool(rd, "post_sampling_probs", &post);
    read_double(rd, "t_max_predict_ms", 0, 1e9, &j->q.lines_ms);
    if (post)
        read_fail(rd,
                  "'post_sampling_probs' is not implemented; probabilities are the model's own");
    if (most >= 0) {
        j->q.max_tokens = (size_t)most;
        j->explicit_max = true;
    }
    j->n = (size_t)n;
    j->q.n_top = (size_t)probs;
    j->q.logprobs = probs > 0;
    j->keep_tokens = true;
    read_fields(j, rd);
    job_read_sampling(j, rd);
    job_read_grammar(j, rd);
}

static void post_completion(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL;
    read_string(&rd, "model", &model, NULL);
    struct job *j = rd.err.code ? NULL : job_create(c, model, &llama_format);
    if (rd.err.code) call_error(c, &rd.err);
    if (!j) return;
    llama_read(j, &rd);
    j->q.cls = SCHED_COMPLETION;
    if (!rd.err.code) job_add_prompts(j, json_object_get(c->body, "prompt"), &rd.err);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

const struct route routes_llama[] = {
    {"GET", "/health", &dialect_llama, ROUTE_PUBLIC | ROUTE_AT_ONCE, get_health},
    {"GET", "/v1/health", &dialect_llama, ROUTE_PUBLIC | ROUTE_AT_ONCE, get_health},
    {"GET", "/metrics", &dialect_llama, ROUTE_METRICS, get_metrics},
    {"GET", "/openapi.json", &dialect_llama, ROUTE_AT_ONCE, get_openapi},
    {"GET", "/props", &dialect_llama, 0, get_props},
    {"GET", "/slots", &dialect_llama, 0, get_slots},
    {"GET", "/lora-adapters", &dialect_llama, 0, get_adapters},
    {"POST", "/lora-adapters", &dialect_llama, 0, post_adapters},
    {"POST", "/tokenize", &dialect_llama, ROUTE_JSON, post_tokenize},
    {"POST", "/detokenize", &dialect_llama, ROUTE_JSON, post_detokenize},
    {"POST", "/apply-template", &dialect_llama, ROUTE_JSON, post_template},
    {"POST", "/completion", &dialect_llama, ROUTE_JSON, post_completion},
    {"POST", "/completions", &dialect_llama, ROUTE_JSON, post_completion},
    {0},
};
