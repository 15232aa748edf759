/* Ollama's generate and chat. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/constrain.h"
#include "api/fill.h"
#include "api/ollama.h"
#include "api/talk.h"
#include "net/sse.h"

void ollama_time(int64_t when, char dst[40])
{
    time_t t = (time_t)when;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(dst, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Seconds: a number, or a text such as "5m", "1h30m", "-1". False for anything else. */
static bool parse_duration(const json_t *v, double *out)
{
    if (json_is_number(v)) {
        *out = json_number_value(v);
        return *out == *out && *out < 1e9;
    }
    const char *s = json_string_value(v);
    if (!s || !*s) return false;
    double sign = *s == '-' ? -1 : 1, sum = 0;
    if (*s == '-' || *s == '+') s++;
    while (*s) {
        char *end;
        if ((*s < '0' || *s > '9') && *s != '.') return false;
        double x = strtod(s, &end);
        static const struct {
            const char *unit;
            double seconds;
        } units[] = {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"s", 1}, {"m", 60}, {"h", 3600}};
        size_t u = 0;
        while (u < 6 && strncmp(end, units[u].unit, strlen(units[u].unit)) != 0) u++;
        if (u == 6 && *end) return false;
        sum += x * (u < 6 ? units[u].seconds : 1);
        s = end + (u < 6 ? strlen(units[u].unit) : 0);
    }
    *out = sign * sum;
    return sum < 1e9;
}

double ollama_keep_alive(struct reader *rd)
{
    double seconds = NAN;
    const json_t *v = read_any(rd, "keep_alive");
    if (v && !parse_duration(v, &seconds)) {
        read_fail(rd, "'keep_alive' must be seconds, or a time such as \"5m\" or \"-1\"");
        return NAN;
    }
    return seconds;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

struct ollama_state {
    bool chat, logprobs;
};

static json_t *line_of(const struct job *j, json_t *content, bool done)
{
    char when[40];
    ollama_time((int64_t)time(NULL), when);
    const struct ollama_state *s = j->state;
    return json_pack("{s:s, s:s, s:o, s:b}", "model", j->m->name, "created_at", when,
                     s->chat ? "message" : "response", content, "done", done);
}

static json_t *calls_of(const struct job_choice *ch, size_t first, size_t n)
{
    json_t *list = json_array();
    for (size_t i = first; i < first + n; i++) {
        const struct job_tool *t = &ch->tools[i];
        json_t *args = json_loadb(t->arguments.data ? t->arguments.data : "", t->arguments.len,
                                  JSON_ALLOW_NUL, NULL);
        if (!args) args = api_string(t->arguments.data ? t->arguments.data : "", t->arguments.len);
        json_array_append_new(
            list, json_pack("{s:{s:s, s:o}}", "function", "name", t->name, "arguments", args));
    }
    return list;
}

static json_t *content_of(const struct job *j, json_t *text, json_t *thinking, json_t *calls)
{
    const struct ollama_state *s = j->state;
    if (!s->chat) {
        json_decref(thinking);
        json_decref(calls);
        return text;
    }
    json_t *m = json_pack("{s:s, s:o}", "role", "assistant", "content", text);
    if (thinking) json_object_set_new(m, "thinking", thinking);
    if (calls && json_array_size(calls)) json_object_set(m, "tool_calls", calls);
    json_decref(calls);
    return m;
}

static json_t *logprobs_of(const struct job *j, const struct job_token *t, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *tops = json_array();
        for (size_t k = 0; k < t[i].n_top; k++)
            json_array_append_new(tops, json_pack("{s:o, s:f}", "token",
                                                  job_token_text(j, t[i].top[k].id), "logprob",
                                                  fmax((double)t[i].top[k].logprob, -9999.0)));
        json_t *one = json_pack("{s:o, s:f, s:o}", "token", job_token_text(j, t[i].id), "logprob",
                                isnan(t[i].logprob) ? 0.0 : fmax((double)t[i].logprob, -9999.0),
                                "bytes", job_token_bytes(j, t[i].id));
        if (t[i].n_top) json_object_set(one, "top_logprobs", tops);
        json_decref(tops);
        json_array_append_new(list, one);
    }
    return list;
}

static void ollama_begin(struct job *j)
{
    http_stream_begin(j->r, 200, NDJSON_TYPE);
}

/* Tool calls are given whole, when they are complete. */
static void flush_calls(struct job *j, struct job_choice *ch, bool all)
{
    size_t whole = all || !ch->n_tools ? ch->n_tools : ch->n_tools - 1;
    if (ch->said >= whole) return;
    json_t *calls = calls_of(ch, ch->said, whole - ch->said);
    ch->said = whole;
    job_ndjson(j, line_of(j, content_of(j, json_string(""), NULL, calls), false));
}

static void ollama_piece(struct job *j, const struct job_piece *p)
{
    const struct ollama_state *s = j->state;
    struct job_choice *ch = &j->choices[p->choice];
    if (p->kind == PIECE_TOOL_BEGIN) flush_calls(j, ch, false);
    if (p->kind == PIECE_TOOL_BEGIN || p->kind == PIECE_TOOL_ARGS) return;
    bool thinks = p->kind == PIECE_REASONING;
    json_t *text = json_stringn(p->text, p->len);
    json_t *line = line_of(
        j, content_of(j, thinks ? json_string("") : text, thinks ? text : NULL, NULL), false);
    if (s->logprobs && line)
        json_object_set_new(line, "logprobs", logprobs_of(j, p->tokens, p->n_tokens));
    job_ndjson(j, line);
}

/* Durations are nanoseconds. */
static void add_figures(const struct job *j, json_t *line)
{
    struct job_times t = job_times(j);
    const struct job_choice *ch = &j->choices[0];
    json_object_set_new(line, "done_reason", json_string(job_finish_word(ch)));
    json_object_set_new(line, "total_duration", json_integer((json_int_t)(t.total_ms * 1e6)));
    json_object_set_new(line, "load_duration", json_integer(0));
    json_object_set_new(line, "prompt_eval_count", json_integer((json_int_t)j->n_prompt));
    json_object_set_new(line, "prompt_eval_duration",
                        json_integer((json_int_t)(t.prefill_ms * 1e6)));
    json_object_set_new(line, "eval_count", json_integer((json_int_t)j->n_generated));
    json_object_set_new(line, "eval_duration", json_integer((json_int_t)(t.decode_ms * 1e6)));
}

/* The old way to go on with a conversation: the tokens so far. */
static void add_context(const struct job *j, json_t *line)
{
    json_t *ids = json_array();
    for (size_t i = 0; i < j->parts[0].prompt.len; i++)
        json_array_append_new(ids, json_integer(j->parts[0].prompt.ids[i]));
    for (size_t i = 0; i < j->choices[0].n_tokens; i++)
        json_array_append_new(ids, json_integer(j->choices[0].tokens[i].id));
    json_object_set_new(line, "context", ids);
}

static void ollama_end(struct job *j)
{
    const struct ollama_state *s = j->state;
    struct job_choice *ch = &j->choices[0];
    if (j->stream) flush_calls(j, ch, true);
    bool whole = !j->stream;
    json_t *text =
        whole ? json_stringn(ch->text.data ? ch->text.data : "", ch->text.len) : json_string("");
    json_t *thinking =
        whole && ch->reasoning.len ? json_stringn(ch->reasoning.data, ch->reasoning.len) : NULL;
    json_t *line = line_of(
        j, content_of(j, text, thinking, whole ? calls_of(ch, 0, ch->n_tools) : NULL), true);
    if (line) {
        add_figures(j, line);
        if (!s->chat) add_context(j, line);
        if (whole && s->logprobs)
            json_object_set_new(line, "logprobs", logprobs_of(j, ch->tokens, ch->n_tokens));
    }
    if (whole) {
        call_json(j->c, 200, line);
        return;
    }
    job_ndjson(j, line);
    http_stream_end(j->r);
}

static const struct job_format ollama_format = {ollama_begin, ollama_piece, NULL, ollama_end};

/* ---- requests ---------------------------------------------------------------------------------
 */

static void read_options(struct job *j, struct reader *rd)
{
    struct reader o = {.obj = read_object(rd, "options")};
    struct ollama_state *s = j->state;
    int64_t most = -1, ctx = 0, top = 0;
    j->q.sample.temperature = 0.8f;
    j->q.sample.top_k = 40;
    j->q.sample.top_p = 0.9f;
    j->stream = true;
    read_bool(rd, "stream", &j->stream);
    read_bool(rd, "logprobs", &s->logprobs);
    read_int(rd, "top_logprobs", 0, SCHED_MAX_TOP, &top);
    j->q.logprobs = s->logprobs;
    j->q.n_top = s->logprobs ? (size_t)top : 0;
    j->keep_tokens = true;
    j->keep_alive = ollama_keep_alive(rd);
    struct reader none = {.obj = NULL};
    job_read_sampling(j, o.obj ? &o : &none); /* also draws a seed */
    if (o.obj) {
        read_int(&o, "num_predict", -2, INT32_MAX, &most);
        read_int(&o, "num_ctx", 1, INT32_MAX, &ctx);
    }
    /* More than the server has is as much as it has: what does not fit is refused, never cut. */
    if (ctx > 0) j->n_ctx = (size_t)ctx < j->m->n_ctx ? (size_t)ctx : j->m->n_ctx;
    if (most >= 0) {
        j->q.max_tokens = (size_t)most;
        j->explicit_max = true;
    }
    if (o.err.code && !rd->err.code) rd->err = o.err;
    job_read_format(j, rd);
}

/* Whether the request only takes the model out of memory, which loads none first. */
static bool only_unloads(struct call *c, const char *model, struct reader *rd, bool chat)
{
    static const char *const asks[] = {"prompt", "suffix", "messages"};
    if (ollama_keep_alive(rd) != 0) return false;
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_object_get(c->body, asks[i]);
        if (json_string_length(v) || json_array_size(v)) return false;
    }
    struct error err = {0};
    char when[40], name[160];
    if (served_resolve(c->api->served, model, name, &err) != OK) {
        call_error(c, &err);
        return true;
    }
    (void)served_unload(c->api->served, model, &err); /* not loaded: all the better */
    ollama_time((int64_t)time(NULL), when);
    json_t *line = json_pack("{s:s, s:s, s:b, s:s}", "model", name, "created_at", when, "done", 1,
                             "done_reason", "unload");
    if (line && chat)
        json_object_set_new(line, "message",
                            json_pack("{s:s, s:s}", "role", "assistant", "content", ""));
    if (line && !chat) json_object_set_new(line, "response", json_string(""));
    call_json(c, 200, line);
    return true;
}

static struct job *begin_job(struct call *c, struct reader *rd, bool chat)
{
    const char *model = NULL;
    read_string(rd, "model", &model, NULL);
    if (!rd->err.code && (!model || !*model)) read_fail(rd, "'model' is missing");
    if (rd->err.code) {
        call_error(c, &rd->err);
        return NULL;
    }
    if (only_unloads(c, model, rd, chat)) return NULL;
    struct job *j = job_create(c, model, &ollama_format);
    if (!j) return NULL;
    struct ollama_state *s = j->state = calloc(1, sizeof *s);
    if (!s)
        error_set(&rd->err, ERR_NOMEM, "no memory for the request");
    else {
        s->chat = chat;
        read_options(j, rd);
    }
    return j;
}

/* Nothing to answer: the model is loaded, or unloaded with keep_alive 0. */
static void only_load(struct job *j)
{
    const struct ollama_state *s = j->state;
    json_t *text = json_string("");
    json_t *line = line_of(j, s->chat ? content_of(j, text, NULL, NULL) : text, true);
    json_object_set_new(line, "done_reason", json_string(j->keep_alive == 0 ? "unload" : "load"));
    call_json(j->c, 200, line);
    job_unref(j);
}

struct generate {
    const char *prompt, *suffix, *system;
    size_t n_prompt, n_suffix, n_system;
    bool raw;
};

static void add_generate_prompt(struct job *j, struct reader *rd, const struct generate *g)
{
    const json_t *context = read_array(rd, "context", 1 << 22);
    if (json_array_size(context)) {
        struct token_list *ids = &j->parts[0].prompt;
        if (job_add_prompts(j, context, &rd->err) == OK)
            tokenizer_encode_raw(j->m->tok, g->prompt, g->n_prompt, false, ids, &rd->err);
        return;
    }
    if (g->raw) {
        job_add_prompt(j, g->prompt, g->n_prompt, true, &rd->err);
        return;
    }
    struct talk chat = {0};
    if (g->n_system) talk_add(&chat, "system", g->system, g->n_system);
    talk_add(&chat, "user", g->prompt, g->n_prompt);
    job_add_chat(j, &chat, &rd->err);
    talk_fini(&chat);
}

static void post_generate(struct call *c)
{
    struct reader rd = {.obj = c->body};
    struct job *j = begin_job(c, &rd, false);
    if (!j) return;
    struct generate g = {.prompt = ""};
    read_string(&rd, "prompt", &g.prompt, &g.n_prompt);
    read_string(&rd, "suffix", &g.suffix, &g.n_suffix);
    read_string(&rd, "system", &g.system, &g.n_system);
    read_bool(&rd, "raw", &g.raw);
    struct fill f = {
        .prefix = g.prompt, .suffix = g.suffix, .prefix_len = g.n_prompt, .suffix_len = g.n_suffix};
    fill_read(&f, &rd);
    const json_t *images = read_array(&rd, "images", 64);
    if (json_array_size(images)) read_fail(&rd, "images are not understood here");
    const char *template = "";
    read_string(&rd, "template", &template, NULL);
    if (*template)
        read_fail(&rd, "'template': a template is never taken from a request; use \"raw\"");
    if (!rd.err.code && !g.n_prompt && !g.n_suffix) {
        only_load(j);
        return;
    }
    if (!rd.err.code && g.n_suffix) {
        if (job_add_fill(j, &f))
            job_start(j);
        else
            job_unref(j);
        return;
    }
    if (!rd.err.code) add_generate_prompt(j, &rd, &g);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

static void post_chat(struct call *c)
{
    struct reader rd = {.obj = c->body};
    struct job *j = begin_job(c, &rd, true);
    if (!j) return;
    if (!rd.err.code && json_array_size(read_array(&rd, "messages", TALK_MAX_MESSAGES)) == 0 &&
        !rd.err.code) {
        only_load(j);
        return;
    }
    struct talk chat = {0};
    bool think = false;
    const json_t *wish = read_any(&rd, "think");
    if (json_is_boolean(wish)) {
        read_bool(&rd, "think", &think);
        chat.kwargs = json_pack("{s:b}", "enable_thinking", think);
    } else if (json_is_string(wish)) {
        chat.kwargs = json_pack("{s:s, s:b}", "reasoning_effort", json_string_value(wish),
                                "enable_thinking", 1);
    }
    talk_read_messages(&chat, &rd, "messages");
    talk_read_tools(&chat, &rd);
    if (!rd.err.code) job_add_chat(j, &chat, &rd.err);
    talk_fini(&chat);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

const struct route routes_ollama[] = {
    {"POST", "/api/generate", &dialect_ollama, ROUTE_JSON, post_generate},
    {"POST", "/api/chat", &dialect_ollama, ROUTE_JSON, post_chat},
    {0},
};
