/* OpenAI's models and text completions; health and metrics, which belong to no dialect. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "api/fill.h"
#include "api/job.h"
#include "api/openai.h"
#include "net/sse.h"
#include "store/store.h"

/* ---- models -----------------------------------------------------------------------------------
 */

static json_t *model_entry(const char *id, int64_t created)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", id, "object", "model", "created",
                     (json_int_t)created, "owned_by", "hearth");
}

static void add_loaded(void *ctx, const struct loaded_model *m, int64_t expires)
{
    (void)expires;
    json_t *list = ctx, *v;
    size_t i;
    json_array_foreach(
        list, i, v) if (strcmp(json_string_value(json_object_get(v, "id")), m->name) == 0) return;
    json_array_append_new(list, model_entry(m->name, m->loaded_at));
}

static void get_models(struct call *c)
{
    struct store_models all = {0};
    struct error err = {0};
    json_t *list = json_array();
    pthread_mutex_lock(&c->api->store_lock);
    enum status st = store_list(c->api->opt.store, &all, &err);
    pthread_mutex_unlock(&c->api->store_lock);
    for (size_t i = 0; st == OK && i < all.len; i++)
        if (!all.items[i].problem) json_array_append_new(list, model_entry(all.items[i].name, 0));
    if (st == OK) store_models_fini(&all);
    served_each(c->api->served, add_loaded, list);
    if (st == OK) {
        call_json(c, 200, json_pack("{s:s, s:o}", "object", "list", "data", list));
        return;
    }
    json_decref(list);
    call_error(c, &err);
}

static void get_model(struct call *c)
{
    char name[160];
    struct error err = {0};
    if (served_resolve(c->api->served, c->rest, name, &err) == OK)
        call_json(c, 200, model_entry(name, 0));
    else
        call_error(c, &err);
}

/* ---- usage ------------------------------------------------------------------------------------
 */

json_t *openai_usage(const struct job *j)
{
    json_t *u = json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)j->n_prompt,
                          "completion_tokens", (json_int_t)j->n_generated, "total_tokens",
                          (json_int_t)(j->n_prompt + j->n_generated), "prompt_tokens_details",
                          "cached_tokens", (json_int_t)j->n_cached);
    if (u && j->predicted.n)
        json_object_set_new(u, "completion_tokens_details",
                            json_pack("{s:I, s:I}", "accepted_prediction_tokens",
                                      (json_int_t)j->n_accepted, "rejected_prediction_tokens",
                                      (json_int_t)(j->n_drafted - j->n_accepted)));
    return u;
}

bool openai_read_stream(struct job *j, struct reader *rd)
{
    bool usage = false;
    read_bool(rd, "stream", &j->stream);
    struct reader so = {.obj = read_object(rd, "stream_options")};
    if (so.obj) read_bool(&so, "include_usage", &usage);
    if (so.err.code && !rd->err.code) rd->err = so.err;
    return usage;
}

void openai_read_max(struct job *j, struct reader *rd, const char *key)
{
    int64_t most = -1;
    read_int(rd, key, -1, INT32_MAX, &most);
    if (most < 0) return;
    j->q.max_tokens = (size_t)most;
    j->explicit_max = true;
}

/* ---- completions ------------------------------------------------------------------------------
 */

struct completion_state {
    bool usage;
    size_t n_top;
    bool logprobs;
    json_t *prompts; /* borrowed from the call's body, for echo */
};

/* `offset`: where the first token's text begins in the choice's text. */
static json_t *logprobs_of(const struct job *j, const struct job_token *t, size_t n, size_t offset)
{
    const struct completion_state *s = j->state;
    if (!s->logprobs) return json_null();
    json_t *tokens = json_array(), *values = json_array(), *tops = json_array(),
           *offsets = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *text = job_token_text(j, t[i].id);
        json_array_append_new(offsets, json_integer((json_int_t)offset));
        offset += json_string_length(text);
        json_array_append_new(tokens, text);
        json_array_append_new(values,
                              isnan(t[i].logprob) ? json_null() : json_real((double)t[i].logprob));
        json_t *top = json_object();
        for (size_t k = 0; k < t[i].n_top; k++) {
            text = job_token_text(j, t[i].top[k].id);
            json_object_set_new(top, text ? json_string_value(text) : "",
                                json_real((double)t[i].top[k].logprob));
            json_decref(text);
        }
        json_array_append_new(tops, t[i].n_top ? top : json_null());
        if (!t[i].n_top) json_decref(top);
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", tokens, "token_logprobs", values,
                     "top_logprobs", tops, "text_offset", offsets);
}

static json_t *completion_head(const struct job *j, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", j->id, "object", "text_completion",
                     "created", (json_int_t)j->created, "model", j->m->name, "choices", choices);
}

/* The prompt's own text, for echo. */
static json_t *echo_text(const struct job *j, size_t choice, const char *text, size_t len)
{
    const struct token_list *p = &j->parts[choice / j->n].prompt;
    struct buf b;
    buf_init(&b, (size_t)256 << 20);
    json_t *out = NULL;
    if (tokenizer_decode(j->m->tok, p->ids, p->len, false, &b, NULL) == OK &&
        buf_append(&b, text, len) == OK)
        out = api_string(b.data ? b.data : "", b.len);
    buf_fini(&b);
    return out;
}

static void completion_begin(struct job *j)
{
    http_stream_begin(j->r, 200, SSE_TYPE);
}

static void completion_event(struct job *j, size_t choice, json_t *text, json_t *logprobs,
                             const char *finish)
{
    json_t *ch =
        json_pack("{s:o, s:I, s:o, s:o}", "text", text, "index", (json_int_t)choice, "logprobs",
                  logprobs, "finish_reason", finish ? json_string(finish) : json_null());
    job_sse(j, NULL, completion_head(j, json_pack("[o]", ch)));
}

static void completion_piece(struct job *j, const struct job_piece *p)
{
    struct job_choice *ch = &j->choices[p->choice];
    bool first = j->echo && ch->said++ == 0;
    json_t *text = first ? echo_text(j, p->choice, p->text, p->len) : json_stringn(p->text, p->len);
    completion_event(j, p->choice, text,
                     logprobs_of(j, p->tokens, p->n_tokens, p->n_tokens ? p->tokens[0].offset : 0),
                     NULL);
}

static void completion_part_done(struct job *j, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        bool echo = j->echo && j->choices[i].said == 0;
        completion_event(j, i, echo ? echo_text(j, i, "", 0) : json_string(""), json_null(),
                         job_finish_word(&j->choices[i]));
    }
}

static void completion_end(struct job *j)
{
    const struct completion_state *s = j->state;
    if (j->stream) {
        if (s->usage) {
            json_t *last = completion_head(j, json_array());
            json_object_set_new(last, "usage", openai_usage(j));
            job_sse(j, NULL, last);
        }
        sse_write(j->r, NULL, "[DONE]", 6);
        http_stream_end(j->r);
        return;
    }
    json_t *choices = json_array();
    for (size_t i = 0; i < j->n_choices; i++) {
        const struct job_choice *ch = &j->choices[i];
        const char *text = ch->text.data ? ch->text.data : "";
        json_array_append_new(choices, json_pack("{s:o, s:I, s:o, s:s}", "text",
                                                 j->echo ? echo_text(j, i, text, ch->text.len)
                                                         : json_stringn(text, ch->text.len),
                                                 "index", (json_int_t)i, "logprobs",
                                                 logprobs_of(j, ch->tokens, ch->n_tokens, 0),
                                                 "finish_reason", job_finish_word(ch)));
    }
    json_t *all = completion_head(j, choices);
    if (all) json_object_set_new(all, "usage", openai_usage(j));
    call_json(j->c, 200, all);
}

static const struct job_format completion_format = {completion_begin, completion_piece,
                                                    completion_part_done, completion_end};

static void read_completion(struct job *j, struct reader *rd, struct completion_state *s)
{
    int64_t n = 1, best_of = 0, logprobs = -1;
    j->q.sample.temperature = 1;
    j->q.max_tokens = 16;
    j->explicit_max = true;
    s->usage = openai_read_stream(j, rd);
    openai_read_max(j, rd, "max_tokens");
    openai_read_max(j, rd, "n_predict");
    job_read_sampling(j, rd);
    read_int(rd, "n", 1, SCHED_MAX_SAMPLES, &n);
    read_int(rd, "best_of", 1, SCHED_MAX_SAMPLES, &best_of);
    if (json_is_boolean(json_object_get(rd->obj, "logprobs"))) {
        bool on = false;
        read_bool(rd, "logprobs", &on);
        logprobs = on ? 0 : -1;
    } else
        read_int(rd, "logprobs", 0, SCHED_MAX_TOP, &logprobs);
    read_bool(rd, "echo", &j->echo);
    if (best_of && best_of < n) read_fail(rd, "'best_of' must be at least 'n'");
    if (best_of > n && j->stream)
        read_fail(rd, "'best_of' cannot be streamed: which answer is best shows at the end");
    j->n = (size_t)n;
    j->q.best_of = (size_t)best_of;
    s->logprobs = logprobs >= 0;
    j->q.logprobs = s->logprobs;
    j->q.n_top = logprobs > 0 ? (size_t)logprobs : 0;
    j->q.prompt_logprobs = s->logprobs && j->echo;
    j->keep_tokens = s->logprobs;
    job_read_response_format(j, rd);
    job_read_grammar(j, rd);
}

static void post_completions(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL, *suffix = NULL;
    size_t n_suffix = 0;
    read_string(&rd, "model", &model, NULL);
    read_string(&rd, "suffix", &suffix, &n_suffix);
    if (rd.err.code) {
        call_error(c, &rd.err);
        return;
    }
    struct job *j = job_create(c, model, &completion_format);
    if (!j) return;
    struct completion_state *s = j->state = calloc(1, sizeof *s);
    api_make_id("cmpl-", j->id, sizeof j->id);
    if (s)
        read_completion(j, &rd, s);
    else
        error_set(&rd.err, ERR_NOMEM, "no memory for the request");
    struct fill f = {.suffix = suffix, .suffix_len = n_suffix};
    fill_read(&f, &rd);
    const json_t *prompt = read_any(&rd, "prompt");
    if (!rd.err.code && suffix && n_suffix) {
        if (!json_is_string(prompt)) read_fail(&rd, "with 'suffix', 'prompt' must be one string");
        f.prefix = json_string_value(prompt);
        f.prefix_len = json_string_length(prompt);
        if (!rd.err.code && !job_add_fill(j, &f)) {
            job_unref(j);
            return;
        }
    } else if (!rd.err.code) {
        j->q.cls = SCHED_COMPLETION;
        job_add_prompts(j, prompt ? prompt : json_object_get(c->body, "prompt"), &rd.err);
    }
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

const struct route routes_openai[] = {
    {"GET", "/v1/models", &dialect_openai, 0, get_models},
    {"GET", "/models", &dialect_openai, 0, get_models},
    {"GET", "/v1/models/", &dialect_openai, ROUTE_PREFIX, get_model},
    {"POST", "/v1/completions", &dialect_openai, ROUTE_JSON, post_completions},
    {0},
};
