/* OpenAI's responses. Nothing is stored: a conversation is sent whole each time. */
#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "api/openai.h"
#include "api/talk.h"
#include "net/sse.h"

enum { MAX_TEXT = 64 << 20 };

/* An item of the output that is being streamed. */
struct response_state {
    bool open;
    enum piece_kind kind;
    size_t index, tool, from; /* where the item's text begins in the choice's */
    char item[64];
    json_int_t sequence;
    json_t *output; /* the items so far; freed by the job's end */
    float temperature, top_p;
};

/* ---- requests ---------------------------------------------------------------------------------
 */

static bool has_type(const json_t *item, const char *type)
{
    const char *t = json_string_value(json_object_get(item, "type"));
    return t && strcmp(t, type) == 0;
}

static void add_call(struct talk *c, const json_t *item, struct reader *rd)
{
    json_t *name = json_object_get(item, "name"), *args = json_object_get(item, "arguments");
    json_t *id = json_object_get(item, "call_id");
    if (!json_is_string(name)) {
        read_fail(rd, "a function_call has no name");
        return;
    }
    json_t *parsed = json_loadb(json_is_string(args) ? json_string_value(args) : "",
                                json_string_length(args), JSON_ALLOW_NUL, NULL);
    json_t *one = json_pack("{s:s, s:{s:O, s:o}}", "type", "function", "function", "name", name,
                            "arguments", parsed ? parsed : json_object());
    if (json_is_string(id)) json_object_set(one, "id", id);
    /* Calls of one turn stand in one message. */
    json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1);
    json_t *calls = json_object_get(last, "tool_calls");
    if (!calls) {
        talk_add(c, "assistant", "", 0);
        last = json_array_get(c->messages, json_array_size(c->messages) - 1);
        json_object_set_new(last, "tool_calls", json_array());
        calls = json_object_get(last, "tool_calls");
    }
    json_array_append_new(calls, one);
}

static void add_item(struct talk *c, const json_t *item, struct reader *rd)
{
    if (has_type(item, "reasoning")) return;
    if (has_type(item, "function_call")) {
        add_call(c, item, rd);
        return;
    }
    bool result = has_type(item, "function_call_output");
    const char *role = result ? "tool" : json_string_value(json_object_get(item, "role"));
    if (role && strcmp(role, "developer") == 0) role = "system";
    if (!role || (!result && strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0 &&
                  strcmp(role, "system") != 0)) {
        read_fail(rd, "'input' holds an item of a type that is not known here");
        return;
    }
    struct buf text;
    buf_init(&text, MAX_TEXT);
    struct error err = {0};
    if (!talk_content_text(json_object_get(item, result ? "output" : "content"), &text, &err)) {
        if (!rd->err.code) rd->err = err;
    } else
        talk_add(c, role, text.data ? text.data : "", text.len);
    buf_fini(&text);
    json_t *id = json_object_get(item, "call_id");
    if (result && json_is_string(id) && !rd->err.code)
        json_object_set(json_array_get(c->messages, json_array_size(c->messages) - 1),
                        "tool_call_id", id);
}

/* Flat here: {type, name, description, parameters}. */
static void read_tools(struct talk *c, struct reader *rd)
{
    const json_t *tools = read_array(rd, "tools", TALK_MAX_TOOLS),
                 *choice = read_any(rd, "tool_choice");
    size_t i;
    json_t *t;
    json_array_foreach(tools, i, t)
    {
        if (!has_type(t, "function") || !json_is_string(json_object_get(t, "name"))) {
            read_fail(rd, "tool %zu is no function with a name; others are not implemented", i);
            return;
        }
        json_t *f = json_deep_copy(t);
        json_object_del(f, "type");
        if (!c->tools) c->tools = json_array();
        json_array_append_new(c->tools, json_pack("{s:s, s:o}", "type", "function", "function", f));
    }
    const char *word = json_string_value(choice);
    if (word && strcmp(word, "none") == 0) {
        json_decref(c->tools);
        c->tools = NULL;
    }
    c->must_call = (word && strcmp(word, "required") == 0) || has_type(choice, "function");
    c->must_call_name = json_string_value(json_object_get(choice, "name"));
    if (c->must_call && !c->tools)
        read_fail(rd, "'tool_choice' asks for a tool, and there are no 'tools'");
}

static void read_input(struct talk *c, struct reader *rd)
{
    const char *instructions = NULL, *text = NULL;
    size_t n_instructions = 0, n_text = 0, i;
    read_string(rd, "instructions", &instructions, &n_instructions);
    if (n_instructions) talk_add(c, "system", instructions, n_instructions);
    const json_t *input = read_any(rd, "input");
    if (read_any(rd, "previous_response_id"))
        read_fail(
            rd,
            "'previous_response_id': responses are not stored here; send the whole conversation");
    if (json_is_string(input)) {
        read_string(rd, "input", &text, &n_text);
        talk_add(c, "user", text, n_text);
    } else if (json_is_array(input) && json_array_size(input) &&
               json_array_size(input) <= TALK_MAX_MESSAGES) {
        json_t *item;
        json_array_foreach(input, i, item)
        {
            if (rd->err.code) return;
            add_item(c, item, rd);
        }
    } else
        read_fail(rd, "'input' must be a string or an array of at most %d items",
                  TALK_MAX_MESSAGES);
    read_tools(c, rd);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static json_t *response_of(const struct job *j, const char *status, json_t *output, bool usage)
{
    const struct response_state *s = j->state;
    json_t *r = json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:o, s:n, s:n, s:n, s:{}, s:b, s:s, s:[], s:f, s:f, s:n}", "id",
        j->id, "object", "response", "created_at", (json_int_t)j->created, "status", status,
        "model", j->m->name, "output", output, "error", "incomplete_details", "instructions",
        "metadata", "parallel_tool_calls", 1, "tool_choice", "auto", "tools", "temperature",
        (double)s->temperature, "top_p", (double)s->top_p, "previous_response_id");
    if (r && strcmp(status, "incomplete") == 0)
        json_object_set_new(r, "incomplete_details",
                            json_pack("{s:s}", "reason", "max_output_tokens"));
    if (r && usage)
        json_object_set_new(r, "usage",
                            json_pack("{s:I, s:{s:I}, s:I, s:{s:i}, s:I}", "input_tokens",
                                      (json_int_t)j->n_prompt, "input_tokens_details",
                                      "cached_tokens", (json_int_t)j->n_cached, "output_tokens",
                                      (json_int_t)j->n_generated, "output_tokens_details",
                                      "reasoning_tokens", 0, "total_tokens",
                                      (json_int_t)(j->n_prompt + j->n_generated)));
    return r;
}

static json_t *text_part(const char *text, size_t len)
{
    return json_pack("{s:s, s:o, s:[], s:[]}", "type", "output_text", "text",
                     json_stringn(text, len), "annotations", "logprobs");
}

static json_t *message_item(const char *id, const char *status, json_t *content)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "type", "message", "id", id, "status", status,
                     "role", "assistant", "content", content);
}

static json_t *call_item(const struct job_tool *t, const char *status, bool whole)
{
    return json_pack("{s:s, s:s+, s:s, s:s, s:s, s:o}", "type", "function_call", "id", "fc_", t->id,
                     "status", status, "call_id", t->id, "name", t->name, "arguments",
                     json_stringn(whole && t->arguments.data ? t->arguments.data : "",
                                  whole ? t->arguments.len : 0));
}

static json_t *reasoning_item(const char *id, const char *text, size_t len)
{
    return json_pack("{s:s, s:s, s:[], s:[{s:s, s:o}]}", "type", "reasoning", "id", id, "summary",
                     "content", "type", "reasoning_text", "text", json_stringn(text, len));
}

static void event(struct job *j, const char *type, json_t *fields)
{
    struct response_state *s = j->state;
    json_t *e = json_pack("{s:s, s:I}", "type", type, "sequence_number", s->sequence++);
    if (e && fields) json_object_update(e, fields);
    json_decref(fields);
    job_sse(j, type, e);
}

static json_t *place(const struct response_state *s)
{
    return json_pack("{s:s, s:I, s:i}", "item_id", s->item, "output_index", (json_int_t)s->index,
                     "content_index", 0);
}

static void response_begin(struct job *j)
{
    http_stream_begin(j->r, 200, SSE_TYPE);
    event(j, "response.created",
          json_pack("{s:o}", "response", response_of(j, "in_progress", json_array(), false)));
    event(j, "response.in_progress",
          json_pack("{s:o}", "response", response_of(j, "in_progress", json_array(), false)));
}

static void close_message(struct job *j, struct response_state *s)
{
    const struct buf *all =
        s->kind == PIECE_REASONING ? &j->choices[0].reasoning : &j->choices[0].text;
    const char *text = all->data ? all->data + s->from : "";
    size_t len = all->len - s->from;
    json_t *item;
    if (s->kind == PIECE_REASONING) {
        item = reasoning_item(s->item, text, len);
    } else {
        json_t *done = place(s), *part = place(s);
        json_object_set_new(done, "text", json_stringn(text, len));
        json_object_set_new(done, "logprobs", json_array());
        event(j, "response.output_text.done", done);
        json_object_set_new(part, "part", text_part(text, len));
        event(j, "response.content_part.done", part);
        item = message_item(s->item, "completed", json_pack("[o]", text_part(text, len)));
    }
    json_array_append(s->output, item);
    event(j, "response.output_item.done",
          json_pack("{s:I, s:o}", "output_index", (json_int_t)s->index, "item", item));
}

static void close_item(struct job *j)
{
    struct response_state *s = j->state;
    if (!s->open) return;
    s->open = false;
    if (s->kind == PIECE_TOOL_ARGS) {
        const struct job_tool *t = &j->choices[0].tools[s->tool];
        json_t *done =
            json_pack("{s:s, s:I, s:s, s:o}", "item_id", s->item, "output_index",
                      (json_int_t)s->index, "name", t->name, "arguments",
                      json_stringn(t->arguments.data ? t->arguments.data : "", t->arguments.len));
        event(j, "response.function_call_arguments.done", done);
        json_t *item = call_item(t, "completed", true);
        json_array_append(s->output, item);
        event(j, "response.output_item.done",
              json_pack("{s:I, s:o}", "output_index", (json_int_t)s->index, "item", item));
    } else
        close_message(j, s);
    s->index++;
}

static void open_item(struct job *j, const struct job_piece *p)
{
    struct response_state *s = j->state;
    const struct job_choice *ch = &j->choices[0];
    bool tool = p->kind == PIECE_TOOL_BEGIN || p->kind == PIECE_TOOL_ARGS;
    enum piece_kind kind = tool ? PIECE_TOOL_ARGS : p->kind;
    if (s->open && s->kind == kind && (!tool || s->tool == p->tool)) return;
    close_item(j);
    s->open = true;
    s->kind = kind;
    s->tool = p->tool;
    json_t *item;
    if (tool) {
        snprintf(s->item, sizeof s->item, "fc_%s", ch->tools[p->tool].id);
        item = call_item(&ch->tools[p->tool], "in_progress", false);
    } else {
        api_make_id(kind == PIECE_REASONING ? "rs_" : "msg_", s->item, sizeof s->item);
        s->from = (kind == PIECE_REASONING ? ch->reasoning.len : ch->text.len) - p->len;
        item = kind == PIECE_REASONING ? reasoning_item(s->item, "", 0)
                                       : message_item(s->item, "in_progress", json_array());
    }
    event(j, "response.output_item.added",
          json_pack("{s:I, s:o}", "output_index", (json_int_t)s->index, "item", item));
    if (kind != PIECE_TEXT) return;
    json_t *part = place(s);
    json_object_set_new(part, "part", text_part("", 0));
    event(j, "response.content_part.added", part);
}

static void response_piece(struct job *j, const struct job_piece *p)
{
    const struct response_state *s = j->state;
    if (!p->len && p->kind != PIECE_TOOL_BEGIN) return;
    open_item(j, p);
    if (p->kind == PIECE_TOOL_BEGIN) return;
    json_t *e = place(s);
    json_object_set_new(e, "delta", json_stringn(p->text, p->len));
    if (p->kind == PIECE_TEXT) json_object_set_new(e, "logprobs", json_array());
    event(j,
          p->kind == PIECE_TEXT        ? "response.output_text.delta"
          : p->kind == PIECE_REASONING ? "response.reasoning_text.delta"
                                       : "response.function_call_arguments.delta",
          e);
}

static json_t *output_of(const struct job_choice *ch)
{
    char id[64];
    json_t *list = json_array();
    if (ch->reasoning.len) {
        api_make_id("rs_", id, sizeof id);
        json_array_append_new(list, reasoning_item(id, ch->reasoning.data, ch->reasoning.len));
    }
    if (ch->text.len || !ch->n_tools) {
        api_make_id("msg_", id, sizeof id);
        json_array_append_new(
            list, message_item(id, "completed",
                               json_pack("[o]", text_part(ch->text.data ? ch->text.data : "",
                                                          ch->text.len))));
    }
    for (size_t i = 0; i < ch->n_tools; i++)
        json_array_append_new(list, call_item(&ch->tools[i], "completed", true));
    return list;
}

static void response_end(struct job *j)
{
    struct response_state *s = j->state;
    const struct job_choice *ch = &j->choices[0];
    bool cut = strcmp(job_finish_word(ch), "length") == 0;
    const char *status = cut ? "incomplete" : "completed";
    if (!j->stream) {
        call_json(j->c, 200, response_of(j, status, output_of(ch), true));
        return;
    }
    close_item(j);
    event(j, cut ? "response.incomplete" : "response.completed",
          json_pack("{s:o}", "response", response_of(j, status, json_incref(s->output), true)));
    http_stream_end(j->r);
}

static const struct job_format response_format = {response_begin, response_piece, NULL,
                                                  response_end};

static void read_response(struct job *j, struct reader *rd, struct response_state *s,
                          struct talk *chat)
{
    int64_t most = -1;
    j->q.sample.temperature = 1;
    read_bool(rd, "stream", &j->stream);
    read_int(rd, "max_output_tokens", 1, INT32_MAX, &most);
    if (most >= 0) {
        j->q.max_tokens = (size_t)most;
        j->explicit_max = true;
    }
    job_read_sampling(j, rd);
    s->temperature = j->q.sample.temperature;
    s->top_p = j->q.sample.top_p;
    read_input(chat, rd);
    const json_t *format = json_object_get(read_object(rd, "text"), "format");
    if (has_type(format, "json_schema"))
        job_set_schema(j, rd, json_object_get(format, "schema"));
    else if (has_type(format, "json_object"))
        job_set_json(j, rd);
}

static void state_free(void *p)
{
    struct response_state *s = p;
    json_decref(s->output);
    free(s);
}

static void post_responses(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL;
    read_string(&rd, "model", &model, NULL);
    struct job *j = rd.err.code ? NULL : job_create(c, model, &response_format);
    if (rd.err.code) call_error(c, &rd.err);
    if (!j) return;
    struct talk chat = {0};
    struct response_state *s = j->state = calloc(1, sizeof *s);
    api_make_id("resp_", j->id, sizeof j->id);
    if (s) {
        s->output = json_array();
        j->state_free = state_free;
        read_response(j, &rd, s, &chat);
    } else
        error_set(&rd.err, ERR_NOMEM, "no memory for the request");
    if (!rd.err.code) job_add_chat(j, &chat, &rd.err);
    talk_fini(&chat);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else
        job_start(j);
}

const struct route routes_responses[] = {
    {"POST", "/v1/responses", &dialect_openai, ROUTE_JSON, post_responses},
    {0},
};
