/* Anthropic's messages and their token count. */
#include <stdlib.h>
#include <string.h>

#include "api/talk.h"
#include "net/sse.h"

enum { MAX_TEXT = 64 << 20 };

/* ---- requests ---------------------------------------------------------------------------------
 */

static bool is_type(const json_t *block, const char *type)
{
    const char *t = json_string_value(json_object_get(block, "type"));
    return t && strcmp(t, type) == 0;
}

/* The text blocks of a content, one behind the other. */
static void content_text(const json_t *content, struct buf *out, struct reader *rd)
{
    if (json_is_string(content)) {
        if (buf_append(out, json_string_value(content), json_string_length(content)) != OK)
            read_fail(rd, "a text is too long");
        return;
    }
    size_t i;
    json_t *b;
    json_array_foreach(content, i, b)
    {
        const json_t *text = json_object_get(b, "text");
        if (is_type(b, "image") || is_type(b, "document"))
            read_fail(rd, "images and documents are not understood here");
        else if (is_type(b, "text") && !json_is_string(text))
            read_fail(rd, "a text block has no text");
        else if (is_type(b, "text") &&
                 buf_append(out, json_string_value(text), json_string_length(text)) != OK)
            read_fail(rd, "a text is too long");
    }
}

static void add_results(struct talk *c, const json_t *content, struct reader *rd)
{
    size_t i;
    json_t *b;
    json_array_foreach(content, i, b)
    {
        if (!is_type(b, "tool_result")) continue;
        struct buf text;
        buf_init(&text, MAX_TEXT);
        content_text(json_object_get(b, "content"), &text, rd);
        talk_add(c, "tool", text.data ? text.data : "", text.len);
        json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1),
               *id = json_object_get(b, "tool_use_id");
        if (json_is_string(id)) json_object_set(last, "tool_call_id", id);
        buf_fini(&text);
    }
}

static json_t *calls_of(const json_t *content, struct reader *rd)
{
    json_t *calls = json_array(), *b;
    size_t i;
    json_array_foreach(content, i, b)
    {
        if (!is_type(b, "tool_use")) continue;
        json_t *name = json_object_get(b, "name"), *input = json_object_get(b, "input"),
               *id = json_object_get(b, "id");
        if (!json_is_string(name)) {
            read_fail(rd, "a tool_use block has no name");
            continue;
        }
        json_t *one =
            json_pack("{s:s, s:{s:O, s:o}}", "type", "function", "function", "name", name,
                      "arguments", json_is_object(input) ? json_deep_copy(input) : json_object());
        if (json_is_string(id)) json_object_set(one, "id", id);
        json_array_append_new(calls, one);
    }
    return calls;
}

static void add_message(struct talk *c, const json_t *m, struct reader *rd)
{
    const char *role = json_string_value(json_object_get(m, "role"));
    const json_t *content = json_object_get(m, "content");
    bool user = role && strcmp(role, "user") == 0,
         assistant = role && strcmp(role, "assistant") == 0;
    if ((!user && !assistant) || (!json_is_string(content) && !json_is_array(content))) {
        read_fail(rd, "a message needs a role (user or assistant) and a content");
        return;
    }
    struct buf text;
    buf_init(&text, MAX_TEXT);
    content_text(content, &text, rd);
    if (user) add_results(c, content, rd);
    json_t *calls = assistant ? calls_of(content, rd) : NULL;
    if (text.len || json_is_string(content) || json_array_size(calls)) {
        talk_add(c, role, text.data ? text.data : "", text.len);
        if (json_array_size(calls))
            json_object_set(json_array_get(c->messages, json_array_size(c->messages) - 1),
                            "tool_calls", calls);
    }
    json_decref(calls);
    buf_fini(&text);
}

static void read_tools(struct talk *c, struct reader *rd)
{
    const json_t *tools = read_array(rd, "tools", TALK_MAX_TOOLS),
                 *choice = read_object(rd, "tool_choice");
    size_t i;
    json_t *t;
    json_array_foreach(tools, i, t)
    {
        json_t *name = json_object_get(t, "name"), *schema = json_object_get(t, "input_schema");
        json_t *about = json_object_get(t, "description");
        if (!json_is_string(name)) {
            read_fail(rd, "tool %zu has no name", i);
            return;
        }
        if (!c->tools) c->tools = json_array();
        json_array_append_new(
            c->tools,
            json_pack("{s:s, s:{s:O, s:o, s:o}}", "type", "function", "function", "name", name,
                      "description",
                      json_is_string(about) ? json_deep_copy(about) : json_string(""), "parameters",
                      json_is_object(schema) ? json_deep_copy(schema) : json_object()));
    }
    if (!choice) return;
    if (is_type(choice, "none")) {
        json_decref(c->tools);
        c->tools = NULL;
        return;
    }
    c->must_call = is_type(choice, "any") || is_type(choice, "tool");
    if (is_type(choice, "tool"))
        c->must_call_name = json_string_value(json_object_get(choice, "name"));
    if (c->must_call && !c->tools)
        read_fail(rd, "'tool_choice' asks for a tool, and there are no 'tools'");
}

static void read_conversation(struct talk *c, struct reader *rd)
{
    const json_t *system = read_any(rd, "system"),
                 *list = read_array(rd, "messages", TALK_MAX_MESSAGES);
    if (system) {
        struct buf text;
        buf_init(&text, MAX_TEXT);
        content_text(system, &text, rd);
        if (text.len) talk_add(c, "system", text.data, text.len);
        buf_fini(&text);
    }
    if (json_array_size(list) == 0) read_fail(rd, "'messages' must be an array with a message");
    size_t i;
    json_t *m;
    json_array_foreach(list, i, m)
    {
        if (rd->err.code) return;
        add_message(c, m, rd);
    }
    const json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    c->no_generation_prompt = role && strcmp(role, "assistant") == 0;
    read_tools(c, rd);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

struct message_state {
    bool open;            /* a content block */
    enum piece_kind kind; /* of it */
    size_t index, tool;
};

static const char *stop_reason(const struct job_choice *ch)
{
    if (strcmp(job_finish_word(ch), "length") == 0) return "max_tokens";
    if (ch->stop_text >= 0) return "stop_sequence";
    return ch->n_tools ? "tool_use" : "end_turn";
}

static json_t *stop_sequence(const struct job *j, const struct job_choice *ch)
{
    return ch->stop_text >= 0
               ? api_string(j->stops[ch->stop_text].data, j->stops[ch->stop_text].len)
               : json_null();
}

static json_t *message_of(const struct job *j, json_t *content, size_t n_out)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:n, s:n, s:{s:I, s:I, s:i, s:i}}", "id", j->id,
                     "type", "message", "role", "assistant", "model", j->m->name, "content",
                     content, "stop_reason", "stop_sequence", "usage", "input_tokens",
                     (json_int_t)j->parts[0].prompt.len, "output_tokens", (json_int_t)n_out,
                     "cache_creation_input_tokens", 0, "cache_read_input_tokens", 0);
}

static void close_block(struct job *j)
{
    struct message_state *s = j->state;
    if (!s->open) return;
    s->open = false;
    job_sse(j, "content_block_stop",
            json_pack("{s:s, s:I}", "type", "content_block_stop", "index", (json_int_t)s->index++));
}

static void open_block(struct job *j, const struct job_piece *p)
{
    struct message_state *s = j->state;
    bool tool = p->kind == PIECE_TOOL_BEGIN || p->kind == PIECE_TOOL_ARGS;
    enum piece_kind kind = tool ? PIECE_TOOL_ARGS : p->kind;
    if (s->open && s->kind == kind && (!tool || s->tool == p->tool)) return;
    close_block(j);
    json_t *block;
    if (tool) {
        const struct job_tool *t = &j->choices[0].tools[p->tool];
        block = json_pack("{s:s, s:s, s:s, s:{}}", "type", "tool_use", "id", t->id, "name", t->name,
                          "input");
    } else if (kind == PIECE_REASONING) {
        block = json_pack("{s:s, s:s, s:s}", "type", "thinking", "thinking", "", "signature", "");
    } else
        block = json_pack("{s:s, s:s}", "type", "text", "text", "");
    s->open = true;
    s->kind = kind;
    s->tool = p->tool;
    job_sse(j, "content_block_start",
            json_pack("{s:s, s:I, s:o}", "type", "content_block_start", "index",
                      (json_int_t)s->index, "content_block", block));
}

static void message_begin(struct job *j)
{
    http_stream_begin(j->r, 200, SSE_TYPE);
    job_sse(j, "message_start",
            json_pack("{s:s, s:o}", "type", "message_start", "message",
                      message_of(j, json_array(), 0)));
}

static void message_piece(struct job *j, const struct job_piece *p)
{
    const struct message_state *s = j->state;
    if (!p->len && p->kind != PIECE_TOOL_BEGIN) return;
    open_block(j, p);
    if (p->kind == PIECE_TOOL_BEGIN) return;
    static const char *const names[][2] = {
        [PIECE_TEXT] = {"text_delta", "text"},
        [PIECE_REASONING] = {"thinking_delta", "thinking"},
        [PIECE_TOOL_ARGS] = {"input_json_delta", "partial_json"}};
    json_t *delta = json_pack("{s:s, s:o}", "type", names[p->kind][0], names[p->kind][1],
                              json_stringn(p->text, p->len));
    job_sse(j, "content_block_delta",
            json_pack("{s:s, s:I, s:o}", "type", "content_block_delta", "index",
                      (json_int_t)s->index, "delta", delta));
}

static json_t *blocks_of(const struct job_choice *ch)
{
    json_t *list = json_array();
    if (ch->reasoning.len)
        json_array_append_new(list, json_pack("{s:s, s:o, s:s}", "type", "thinking", "thinking",
                                              json_stringn(ch->reasoning.data, ch->reasoning.len),
                                              "signature", ""));
    if (ch->text.len)
        json_array_append_new(list, json_pack("{s:s, s:o}", "type", "text", "text",
                                              json_stringn(ch->text.data, ch->text.len)));
    for (size_t i = 0; i < ch->n_tools; i++) {
        const struct job_tool *t = &ch->tools[i];
        json_t *input = json_loadb(t->arguments.data ? t->arguments.data : "", t->arguments.len,
                                   JSON_ALLOW_NUL, NULL);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o}", "type", "tool_use", "id", t->id,
                                        "name", t->name, "input", input ? input : json_object()));
    }
    return list;
}

static void message_end(struct job *j)
{
    const struct job_choice *ch = &j->choices[0];
    if (!j->stream) {
        json_t *m = message_of(j, blocks_of(ch), j->n_generated);
        json_object_set_new(m, "stop_reason", json_string(stop_reason(ch)));
        json_object_set_new(m, "stop_sequence", stop_sequence(j, ch));
        call_json(j->c, 200, m);
        return;
    }
    close_block(j);
    job_sse(j, "message_delta",
            json_pack("{s:s, s:{s:s, s:o}, s:{s:I}}", "type", "message_delta", "delta",
                      "stop_reason", stop_reason(ch), "stop_sequence", stop_sequence(j, ch),
                      "usage", "output_tokens", (json_int_t)j->n_generated));
    job_sse(j, "message_stop", json_pack("{s:s}", "type", "message_stop"));
    http_stream_end(j->r);
}

static const struct job_format message_format = {message_begin, message_piece, NULL, message_end};

/* ---- endpoints --------------------------------------------------------------------------------
 */

static struct job *begin_job(struct call *c, struct reader *rd)
{
    const char *model = NULL;
    read_string(rd, "model", &model, NULL);
    if (!rd->err.code) return job_create(c, model, &message_format);
    call_error(c, &rd->err);
    return NULL;
}

static void post_messages(struct call *c)
{
    struct reader rd = {.obj = c->body};
    struct job *j = begin_job(c, &rd);
    if (!j) return;
    struct talk chat = {0};
    int64_t most = -1;
    j->state = calloc(1, sizeof(struct message_state));
    if (!j->state) error_set(&rd.err, ERR_NOMEM, "no memory for the request");
    api_make_id("msg_", j->id, sizeof j->id);
    j->q.sample.temperature = 1;
    read_bool(&rd, "stream", &j->stream);
    read_int(&rd, "max_tokens", 1, INT32_MAX, &most);
    if (most < 0) read_fail(&rd, "'max_tokens' is missing");
    j->q.max_tokens = (size_t)most;
    j->explicit_max = true;
    job_read_sampling(j, &rd);
    job_read_stops(j, &rd, "stop_sequences");
    read_conversation(&chat, &rd);
    if (!rd.err.code) job_add_chat(j, &chat, &rd.err);
    talk_fini(&chat);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

static void post_count(struct call *c)
{
    struct reader rd = {.obj = c->body};
    struct job *j = begin_job(c, &rd);
    if (!j) return;
    struct talk chat = {0};
    read_conversation(&chat, &rd);
    if (!rd.err.code) job_add_chat(j, &chat, &rd.err);
    talk_fini(&chat);
    if (rd.err.code) {
        job_fail(j, &rd.err);
        return;
    }
    call_json(c, 200, json_pack("{s:I}", "input_tokens", (json_int_t)j->parts[0].prompt.len));
    job_unref(j);
}

const struct route routes_anthropic[] = {
    {"POST", "/v1/messages", &dialect_anthropic, ROUTE_JSON, post_messages},
    {"POST", "/v1/messages/count_tokens", &dialect_anthropic, ROUTE_JSON, post_count},
    {0},
};
