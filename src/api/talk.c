#include "api/talk.h"

#include <stdlib.h>
#include <string.h>

#include "api/constrain.h"
#include "base/buf.h"
#include "infer/text_io.h"
#include "text/chat.h"
#include "text/chat_parse.h"

enum { MAX_PROMPT = 64 << 20 };

void talk_fini(struct talk *c)
{
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->kwargs);
    *c = (struct talk){0};
}

bool talk_add(struct talk *c, const char *role, const char *text, size_t len)
{
    if (!c->messages) c->messages = json_array();
    json_t *m = json_pack("{s:s, s:o}", "role", role, "content", api_string(text, len));
    return json_array_append_new(c->messages, m) == 0;
}

bool talk_content_text(const json_t *content, struct buf *out, struct error *err)
{
    enum status st = OK;
    if (json_is_string(content)) {
        st = buf_append(out, json_string_value(content), json_string_length(content));
    } else if (json_is_array(content)) {
        size_t i;
        json_t *part;
        json_array_foreach(content, i, part)
        {
            const json_t *text = json_is_string(part) ? part : json_object_get(part, "text");
            const char *type = json_string_value(json_object_get(part, "type"));
            if (!json_is_string(text) || (type && strcmp(type, "image_url") == 0)) {
                error_set(err, ERR_UNSUPPORTED,
                          "a message has a part of type '%.40s'; only text is understood here",
                          type ? type : "(none)");
                return false;
            }
            st = buf_append(out, json_string_value(text), json_string_length(text));
            if (st) break;
        }
    } else if (content && !json_is_null(content)) {
        error_set(err, ERR_INVALID, "a message's content must be a string or an array of parts");
        return false;
    }
    if (st) error_set(err, st, "a message's content is too long");
    return st == OK;
}

/* Templates want the arguments as an object, OpenAI sends its text. */
static json_t *call_of(const json_t *given)
{
    const json_t *f = json_object_get(given, "function");
    const json_t *name = json_object_get(f, "name"), *args = json_object_get(f, "arguments");
    if (!json_is_string(name)) return NULL;
    json_t *parsed =
        json_is_string(args)
            ? json_loadb(json_string_value(args), json_string_length(args), JSON_ALLOW_NUL, NULL)
            : json_deep_copy(args);
    if (!parsed)
        parsed =
            json_is_string(args) && json_string_length(args) ? json_deep_copy(args) : json_object();
    const json_t *id = json_object_get(given, "id");
    json_t *out = json_pack("{s:s, s:{s:O, s:o}}", "type", "function", "function", "name", name,
                            "arguments", parsed);
    if (out && json_is_string(id)) json_object_set(out, "id", (json_t *)id);
    return out;
}

static void add_calls(struct reader *rd, json_t *to, const json_t *calls)
{
    if (!calls || json_is_null(calls)) return;
    json_t *list = json_array(), *v;
    size_t i;
    if (!json_is_array(calls) || json_array_size(calls) > JOB_MAX_TOOLS)
        read_fail(rd, "'tool_calls' must be an array of at most %d calls", JOB_MAX_TOOLS);
    json_array_foreach(calls, i, v)
    {
        json_t *one = call_of(v);
        if (!one)
            read_fail(rd, "a tool call has no function with a name");
        else
            json_array_append_new(list, one);
    }
    if (json_array_size(list)) json_object_set(to, "tool_calls", list);
    json_decref(list);
}

static void add_message(struct talk *c, struct reader *rd, const json_t *m, size_t i)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    const char *role = json_string_value(json_object_get(m, "role")), *known = NULL;
    if (role && strcmp(role, "developer") == 0) role = "system";
    if (role && strcmp(role, "function") == 0) role = "tool";
    for (size_t k = 0; role && k < 4; k++)
        if (strcmp(role, roles[k]) == 0) known = roles[k];
    if (!known) {
        read_fail(rd, "message %zu has no role that is known (system, user, assistant, tool)", i);
        return;
    }
    struct buf text;
    buf_init(&text, MAX_PROMPT);
    const json_t *images = json_object_get(m, "images");
    if (json_array_size(images))
        read_fail(rd, "message %zu has images; only text is understood here", i);
    struct error err = {0};
    if (!talk_content_text(json_object_get(m, "content"), &text, &err)) {
        if (!rd->err.code) rd->err = err;
    } else if (!talk_add(c, known, text.data ? text.data : "", text.len)) {
        read_fail(rd, "no memory for the messages");
    }
    buf_fini(&text);
    if (rd->err.code) return;
    json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1);
    add_calls(rd, last, json_object_get(m, "tool_calls"));
    static const char *const more[] = {"tool_call_id", "name", "tool_name", "reasoning_content"};
    for (size_t k = 0; k < 4; k++) {
        json_t *v = json_object_get(m, more[k]);
        if (json_is_string(v)) json_object_set(last, k == 2 ? "name" : more[k], v);
    }
}

void talk_read_messages(struct talk *c, struct reader *rd, const char *key)
{
    const json_t *list = read_array(rd, key, TALK_MAX_MESSAGES);
    if (!rd->err.code && json_array_size(list) == 0)
        read_fail(rd, "'%s' must be an array with a message", key);
    size_t i;
    json_t *m;
    json_array_foreach(list, i, m)
    {
        if (rd->err.code) return;
        add_message(c, rd, m, i);
    }
}

void talk_read_tools(struct talk *c, struct reader *rd)
{
    const json_t *tools = read_array(rd, "tools", TALK_MAX_TOOLS);
    const json_t *choice = read_any(rd, "tool_choice");
    size_t i;
    json_t *t;
    json_array_foreach(tools, i, t)
    {
        const json_t *f = json_object_get(t, "function"), *name = json_object_get(f, "name");
        if (!json_is_string(name)) {
            read_fail(rd, "tool %zu is no function with a name", i);
            return;
        }
        if (!c->tools) c->tools = json_array();
        json_array_append(c->tools, t);
    }
    if (!choice || rd->err.code) return;
    const char *word = json_string_value(choice);
    const char *named =
        json_string_value(json_object_get(json_object_get(choice, "function"), "name"));
    if (word && strcmp(word, "none") == 0) {
        json_decref(c->tools);
        c->tools = NULL;
    } else if (word && strcmp(word, "required") == 0) {
        c->must_call = true;
    } else if (named) {
        c->must_call = true;
        c->must_call_name = named;
    } else if (!word || strcmp(word, "auto") != 0) {
        read_fail(rd, "'tool_choice' must be none, auto, required or a function");
        return;
    }
    if (c->must_call && !c->tools)
        read_fail(rd, "'tool_choice' asks for a tool, and there are no 'tools'");
}

/* ---- the prompt -------------------------------------------------------------------------------
 */

/* What goes with the model's name comes first: its system message, unless the conversation begins with one, then its
 * messages. The order is Ollama's. */
static json_t *all_messages(const struct loaded_model *m, const struct talk *c)
{
    const json_t *system = json_object_get(m->settings, "system"), *more = json_object_get(m->settings, "messages");
    const char *first = json_string_value(json_object_get(json_array_get(c->messages, 0), "role"));
    bool own = json_string_length(system) && (!first || strcmp(first, "system") != 0);
    if (!own && json_array_size(more) == 0) return json_incref(c->messages);
    json_t *all = json_array();
    if (own) json_array_append_new(all, json_pack("{s:s, s:O}", "role", "system", "content", system));
    if (more) json_array_extend(all, (json_t *)more);
    if (json_array_extend(all, c->messages) == 0) return all;
    json_decref(all);
    return NULL;
}

static json_t *template_request(const struct loaded_model *m, const struct talk *c)
{
    json_t *vars = json_pack("{s:o, s:b}", "messages", all_messages(m, c), "add_generation_prompt",
                             !c->no_generation_prompt);
    if (vars && c->tools) json_object_set(vars, "tools", c->tools);
    if (vars && c->kwargs) json_object_update_missing(vars, c->kwargs);
    return vars;
}

/* The last message is the answer's beginning: what the template puts behind it is taken off. */
static void cut_behind_last(const struct talk *c, struct buf *out, size_t from)
{
    const json_t *last = json_array_get(c->messages, json_array_size(c->messages) - 1);
    const json_t *text = json_object_get(last, "content");
    const char *s = json_string_value(text);
    size_t n = json_string_length(text);
    while (n && strchr(" \t\r\n", s[n - 1])) n--; /* templates trim */
    if (!n) return;
    for (size_t at = out->len; at-- > from;) {
        if (out->len - at < n || memcmp(out->data + at, s, n) != 0) continue;
        out->len = at + n;
        out->data[out->len] = 0;
        return;
    }
}

enum status talk_render(const struct loaded_model *m, const struct talk *c, struct buf *out,
                        struct buf *marks, struct error *err)
{
    if (!m->chat)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s has no usable chat template; it completes text (/v1/completions), or "
                         "choose an instruct model",
                         m->name);
    if (json_array_size(c->messages) == 0)
        return error_set(err, ERR_INVALID, "the conversation has no message with a text");
    json_t *vars = template_request(m, c);
    if (!vars) return error_set(err, ERR_NOMEM, "no memory for the conversation");
    size_t from = out->len, marks_from = marks ? marks->len : 0;
    enum status st = chat_render(m->chat, vars, out, marks, err);
    json_decref(vars);
    if (st == OK && c->no_generation_prompt) cut_behind_last(c, out, from);
    if (st == OK && marks) marks->len = marks_from + out->len - from;
    return st;
}

/* ---- answers that must be calls ---------------------------------------------------------------
 */

/* {"name": NAME, "arguments": PARAMETERS} of one of the tools, as a JSON schema. */
static json_t *schema_of_calls(const struct talk *c)
{
    json_t *any = json_array(), *t;
    size_t i;
    json_array_foreach(c->tools, i, t)
    {
        json_t *f = json_object_get(t, "function"), *name = json_object_get(f, "name");
        json_t *parameters = json_object_get(f, "parameters");
        if (c->must_call_name && strcmp(c->must_call_name, json_string_value(name)) != 0) continue;
        json_array_append_new(
            any, json_pack("{s:s, s:{s:{s:O}, s:o}, s:[s, s], s:b}", "type", "object", "properties",
                           "name", "const", name, "arguments",
                           json_is_object(parameters) && json_object_size(parameters)
                               ? json_deep_copy(parameters)
                               : json_pack("{s:s}", "type", "object"),
                           "required", "name", "arguments", "additionalProperties", 0));
    }
    return json_pack("{s:o}", "anyOf", any);
}

/* What such an answer has to begin with: all up to the arguments where there is one tool to choose.
 */
static enum status lead_of(struct job *j, const json_t *any, struct error *err)
{
    buf_init(&j->lead, 4096);
    const json_t *name = json_object_get(
        json_object_get(json_object_get(json_array_get(any, 0), "properties"), "name"), "const");
    char *quoted = json_array_size(any) == 1 ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    enum status st = quoted ? buf_printf(&j->lead, "{\"name\": %s, \"arguments\": ", quoted)
                            : buf_append_str(&j->lead, "{\"name\": \"");
    free(quoted);
    return st ? error_set(err, st, "a tool's name is too long") : OK;
}

static enum status must_call(struct job *j, const struct talk *c, struct error *err)
{
    struct reader rd = {0};
    json_t *schema = schema_of_calls(c), *any = json_object_get(schema, "anyOf");
    if (json_array_size(any) == 0)
        read_fail(&rd, "'tool_choice' names a tool that is not among the 'tools'");
    job_set_schema(j, &rd, schema);
    if (!rd.err.code) lead_of(j, any, &rd.err);
    json_decref(schema);
    if (rd.err.code) *err = rd.err;
    j->syntax = chat_syntax_find("json");
    return rd.err.code;
}

enum status job_add_chat(struct job *j, const struct talk *c, struct error *err)
{
    enum { END = 256 };
    struct buf text, marks;
    buf_init(&text, MAX_PROMPT);
    buf_init(&marks, MAX_PROMPT);
    enum status st = talk_render(j->m, c, &text, &marks, err);
    if (st == OK) {
        j->syntax = chat_syntax_of(j->m->chat);
        j->tools = c->tools != NULL;
        size_t n = text.len < END ? text.len : END;
        buf_init(&j->prompt_end, END);
        st = buf_append(&j->prompt_end, text.data + text.len - n, n);
    }
    if (st == OK && c->must_call) st = must_call(j, c, err);
    if (st == OK && j->lead.len) st = buf_append(&text, j->lead.data, j->lead.len);
    for (size_t i = 0; st == OK && i < j->lead.len; i++) st = buf_append(&marks, "\1", 1);
    if (st == OK) st = job_add_marked(j, text.data ? text.data : "", text.len, marks.data, err);
    if (st == OK) j->chat_stop = chat_stop(j->m->chat);
    buf_fini(&marks);
    buf_fini(&text);
    return st;
}
