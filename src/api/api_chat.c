/* OpenAI's chat completions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "api/openai.h"
#include "api/talk.h"
#include "net/sse.h"

struct chat_state {
    bool usage, logprobs;
};

static json_t *one_logprob(const struct job *j, int32_t id, float logprob)
{
    return json_pack("{s:o, s:f, s:o}", "token", job_token_text(j, id), "logprob",
                     isnan(logprob) ? 0.0 : fmax((double)logprob, -9999.0), "bytes",
                     job_token_bytes(j, id));
}

static json_t *logprobs_of(const struct job *j, const struct job_token *t, size_t n)
{
    const struct chat_state *s = j->state;
    if (!s->logprobs) return json_null();
    json_t *content = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *one = one_logprob(j, t[i].id, t[i].logprob), *tops = json_array();
        for (size_t k = 0; k < t[i].n_top; k++)
            json_array_append_new(tops, one_logprob(j, t[i].top[k].id, t[i].top[k].logprob));
        json_object_set_new(one, "top_logprobs", tops);
        json_array_append_new(content, one);
    }
    return json_pack("{s:o, s:n}", "content", content, "refusal");
}

static json_t *chat_head(const struct job *j, const char *object, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", j->id, "object", object, "created",
                     (json_int_t)j->created, "model", j->m->name, "system_fingerprint",
                     "hearth-" HEARTH_VERSION, "choices", choices);
}

static void delta(struct job *j, size_t choice, json_t *d, json_t *logprobs, const char *finish)
{
    json_t *ch =
        json_pack("{s:I, s:o, s:o, s:o}", "index", (json_int_t)choice, "delta", d, "logprobs",
                  logprobs, "finish_reason", finish ? json_string(finish) : json_null());
    job_sse(j, NULL, chat_head(j, "chat.completion.chunk", json_pack("[o]", ch)));
}

static void chat_begin(struct job *j)
{
    http_stream_begin(j->r, 200, SSE_TYPE);
    for (size_t i = 0; i < j->n_choices; i++)
        delta(j, i, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), json_null(), NULL);
}

static json_t *tool_delta(const struct job *j, const struct job_piece *p)
{
    const struct job_tool *t = &j->choices[p->choice].tools[p->tool];
    if (p->kind == PIECE_TOOL_BEGIN)
        return json_pack("{s:[{s:I, s:s, s:s, s:{s:s, s:s}}]}", "tool_calls", "index",
                         (json_int_t)p->tool, "id", t->id, "type", "function", "function", "name",
                         t->name, "arguments", "");
    return json_pack("{s:[{s:I, s:{s:o}}]}", "tool_calls", "index", (json_int_t)p->tool, "function",
                     "arguments", json_stringn(p->text, p->len));
}

static void chat_piece(struct job *j, const struct job_piece *p)
{
    json_t *d = p->kind == PIECE_TEXT ? json_pack("{s:o}", "content", json_stringn(p->text, p->len))
                : p->kind == PIECE_REASONING
                    ? json_pack("{s:o}", "reasoning_content", json_stringn(p->text, p->len))
                    : tool_delta(j, p);
    delta(j, p->choice, d, logprobs_of(j, p->tokens, p->n_tokens), NULL);
}

static const char *finish_word(const struct job_choice *ch)
{
    return ch->n_tools && strcmp(job_finish_word(ch), "stop") == 0 ? "tool_calls"
                                                                   : job_finish_word(ch);
}

static void chat_part_done(struct job *j, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        delta(j, i, json_object(), json_null(), finish_word(&j->choices[i]));
}

static json_t *message_of(const struct job_choice *ch)
{
    bool silent = ch->n_tools && !ch->text.len;
    json_t *m = json_pack("{s:s, s:o, s:n}", "role", "assistant", "content",
                          silent ? json_null()
                                 : json_stringn(ch->text.data ? ch->text.data : "", ch->text.len),
                          "refusal");
    if (ch->reasoning.len)
        json_object_set_new(m, "reasoning_content",
                            json_stringn(ch->reasoning.data, ch->reasoning.len));
    json_t *calls = json_array();
    for (size_t i = 0; i < ch->n_tools; i++) {
        const struct job_tool *t = &ch->tools[i];
        json_array_append_new(
            calls,
            json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", t->id, "type", "function", "function",
                      "name", t->name, "arguments",
                      json_stringn(t->arguments.data ? t->arguments.data : "", t->arguments.len)));
    }
    if (ch->n_tools) json_object_set(m, "tool_calls", calls);
    json_decref(calls);
    return m;
}

static void chat_end(struct job *j)
{
    const struct chat_state *s = j->state;
    if (j->stream) {
        if (s->usage) {
            json_t *last = chat_head(j, "chat.completion.chunk", json_array());
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
        json_array_append_new(choices, json_pack("{s:I, s:o, s:o, s:s}", "index", (json_int_t)i,
                                                 "message", message_of(ch), "logprobs",
                                                 logprobs_of(j, ch->tokens, ch->n_tokens),
                                                 "finish_reason", finish_word(ch)));
    }
    json_t *all = chat_head(j, "chat.completion", choices);
    if (all) json_object_set_new(all, "usage", openai_usage(j));
    call_json(j->c, 200, all);
}

static const struct job_format chat_format = {chat_begin, chat_piece, chat_part_done, chat_end};

static void read_chat(struct job *j, struct reader *rd, struct chat_state *s, struct talk *chat)
{
    int64_t n = 1, top = 0;
    j->q.sample.temperature = 1;
    s->usage = openai_read_stream(j, rd);
    openai_read_max(j, rd, "max_tokens");
    openai_read_max(j, rd, "max_completion_tokens");
    openai_read_max(j, rd, "n_predict");
    job_read_sampling(j, rd);
    read_int(rd, "n", 1, SCHED_MAX_SAMPLES, &n);
    read_bool(rd, "logprobs", &s->logprobs);
    read_int(rd, "top_logprobs", 0, SCHED_MAX_TOP, &top);
    if (top && !s->logprobs) read_fail(rd, "'top_logprobs' needs 'logprobs'");
    j->n = (size_t)n;
    j->q.logprobs = j->keep_tokens = s->logprobs;
    j->q.n_top = (size_t)top;
    talk_read_messages(chat, rd, "messages");
    talk_read_tools(chat, rd);
    const json_t *kwargs = read_object(rd, "chat_template_kwargs");
    if (kwargs) chat->kwargs = json_deep_copy(kwargs);
    if (read_any(rd, "chat_template"))
        read_fail(rd, "'chat_template': a template is never taken from a request");
    job_read_response_format(j, rd);
    job_read_grammar(j, rd);
    job_read_prediction(j, rd);
}

static void post_chat(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL;
    read_string(&rd, "model", &model, NULL);
    if (rd.err.code) {
        call_error(c, &rd.err);
        return;
    }
    struct job *j = job_create(c, model, &chat_format);
    if (!j) return;
    struct talk chat = {0};
    struct chat_state *s = j->state = calloc(1, sizeof *s);
    api_make_id("chatcmpl-", j->id, sizeof j->id);
    if (s)
        read_chat(j, &rd, s, &chat);
    else
        error_set(&rd.err, ERR_NOMEM, "no memory for the request");
    if (!rd.err.code) job_add_chat(j, &chat, &rd.err);
    talk_fini(&chat);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

const struct route routes_chat[] = {
    {"POST", "/v1/chat/completions", &dialect_openai, ROUTE_JSON, post_chat},
    {"POST", "/chat/completions", &dialect_openai, ROUTE_JSON, post_chat},
    {0},
};
