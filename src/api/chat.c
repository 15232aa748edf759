#include "api/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "infer/text_io.h"
#include "text/jinja.h"

enum { MAX_PROMPT = 64 << 20 };

void chat_fini(struct chat *c)
{
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->kwargs);
    *c = (struct chat){0};
}

bool chat_add(struct chat *c, const char *role, const char *text, size_t len)
{
    if (!c->messages) c->messages = json_array();
    json_t *m = json_pack("{s:s, s:o}", "role", role, "content", api_string(text, len));
    return json_array_append_new(c->messages, m) == 0;
}

bool chat_content_text(const json_t *content, struct buf *out, struct error *err)
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

static void add_message(struct chat *c, struct reader *rd, const json_t *m, size_t i)
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
    if (!chat_content_text(json_object_get(m, "content"), &text, &err)) {
        if (!rd->err.code) rd->err = err;
    } else if (!chat_add(c, known, text.data ? text.data : "", text.len)) {
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

void chat_read_messages(struct chat *c, struct reader *rd, const char *key)
{
    const json_t *list = read_array(rd, key, CHAT_MAX_MESSAGES);
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

void chat_read_tools(struct chat *c, struct reader *rd)
{
    const json_t *tools = read_array(rd, "tools", CHAT_MAX_TOOLS);
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

static void set_token(json_t *vars, const char *key, const struct tokenizer *t, int32_t id)
{
    char piece[256];
    size_t n = id == TOKEN_NONE ? 0 : tokenizer_piece(t, id, true, piece, sizeof piece);
    json_object_set_new(vars, key, api_string(piece, n <= sizeof piece ? n : 0));
}

enum status chat_render(const struct loaded_model *m, const struct chat *c, struct buf *out,
                        struct error *err)
{
    if (!m->chat_template)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s has no usable chat template; it completes text (/v1/completions), or choose an "
                         "instruct model",
                         m->name);
    const struct vocab_source *v = tokenizer_source(m->tok);
    json_t *vars = json_pack("{s:O, s:b}", "messages", c->messages, "add_generation_prompt",
                             !c->no_generation_prompt);
    if (!vars) return error_set(err, ERR_NOMEM, "no memory for the conversation");
    set_token(vars, "bos_token", m->tok, v->bos);
    set_token(vars, "eos_token", m->tok, v->eos);
    if (c->no_generation_prompt) json_object_set_new(vars, "continue_final_message", json_true());
    if (c->tools) json_object_set(vars, "tools", c->tools);
    if (c->kwargs) json_object_update_missing(vars, c->kwargs);
    enum status st = jinja_render(m->chat_template, vars, NULL, out, NULL, err);
    json_decref(vars);
    if (st != OK) error_prefix(err, "the chat template of %s", m->name);
    return st;
}

enum status job_add_chat(struct job *j, const struct chat *c, struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_PROMPT);
    enum status st = chat_render(j->m, c, &text, err);
    if (st == OK) st = job_add_prompt(j, text.data ? text.data : "", text.len, true, err);
    buf_fini(&text);
    return st;
}
