/* Templates differ in what they take: content as text or as a list of parts, arguments of calls as an
 * object or as text. The forms are tried in turn until one is accepted and shows the last message. */
#include "text/chat.h"

#include <stdlib.h>
#include <string.h>

#include "text/chat_int.h"
#include "text/chat_parse.h"
#include "text/gotmpl.h"
#include "text/jinja.h"

struct chat {
    struct jinja_template *plain, *with_tools; /* with_tools may be NULL */
    struct gotmpl *go; /* instead of both; or NULL */
    const struct tokenizer *vocab;
    const struct chat_builtin *builtin; /* or NULL */
    const struct chat_syntax *syntax;
};

enum { MAX_PROMPT = 256 << 20, MAX_MESSAGES = 100000 };

enum form { PARTS_AS_LIST = 1, ARGUMENTS_AS_TEXT = 2 };

enum status chat_create(const struct chat_source *src, struct chat **out, struct error *err)
{
    *out = NULL;
    struct chat *c = calloc(1, sizeof *c);
    if (!c) return error_set(err, ERR_NOMEM, "no memory for the chat template");
    c->vocab = src->vocab;
    struct text_str t = src->plain.len ? src->plain : src->with_tools;
    if (t.len == 0 && src->go.len == 0) {
        c->builtin = chat_builtin_for(src);
        t = (struct text_str){c->builtin->template, strlen(c->builtin->template)};
    }
    const struct text_str calls = src->go.len ? src->go : src->with_tools.len ? src->with_tools : t;
    enum status st = src->go.len ? gotmpl_compile(src->go.data, src->go.len, &c->go, err)
                                 : jinja_compile(t.data, t.len, &c->plain, err);
    if (st == OK && src->with_tools.len && !c->go)
        st = jinja_compile(src->with_tools.data, src->with_tools.len, &c->with_tools, err);
    c->syntax = chat_syntax_for(calls.data, calls.len);
    if (st != OK) {
        chat_destroy(c);
        return st;
    }
    *out = c;
    return OK;
}

void chat_source_set(struct chat_source *src, const char *text, size_t len)
{
    struct text_str t = {text, len};
    if (memmem(text, len, "{%", 2)) src->plain = t;
    else src->go = t;
}

void chat_destroy(struct chat *c)
{
    if (!c) return;
    gotmpl_destroy(c->go);
    jinja_destroy(c->plain);
    jinja_destroy(c->with_tools);
    free(c);
}

const struct chat_syntax *chat_syntax_of(const struct chat *c)
{
    return c->syntax;
}

const char *chat_fallback(const struct chat *c)
{
    return c->builtin ? c->builtin->name : NULL;
}

const char *chat_stop(const struct chat *c)
{
    return c->builtin ? c->builtin->stop : NULL;
}

bool chat_uses(const struct chat *c, const char *variable)
{
    if (c->go && strcmp(variable, "enable_thinking") == 0)
        return gotmpl_uses(c->go, "Think") || gotmpl_uses(c->go, "IsThinkSet");
    if (c->go) return strcmp(variable, "tools") == 0 && gotmpl_uses(c->go, "Tools");
    return jinja_uses(c->plain, variable) || (c->with_tools && jinja_uses(c->with_tools, variable));
}

/* A list of text parts as one text, a text as a list of one part; NULL: leave it. */
static json_t *other_content(const json_t *content, bool as_list)
{
    if (as_list)
        return json_is_string(content)
                   ? json_pack("[{s:s, s:O}]", "type", "text", "text", (json_t *)content) : NULL;
    if (!json_is_array(content) || json_array_size(content) == 0) return NULL;
    struct buf all;
    buf_init(&all, MAX_PROMPT);
    json_t *text = NULL;
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_object_get(json_array_get(content, i), "text");
        if (!json_is_string(part) || buf_append(&all, json_string_value(part), json_string_length(part)) != OK)
            goto out;
    }
    text = json_stringn(all.data ? all.data : "", all.len);
out:
    buf_fini(&all);
    return text;
}

static json_t *other_arguments(const json_t *a, bool as_text)
{
    if (as_text && json_is_object(a)) {
        char *s = json_dumps(a, 0);
        json_t *text = s ? json_string(s) : NULL;
        free(s);
        return text;
    }
    if (as_text || !json_is_string(a)) return NULL;
    json_t *object = json_loadb(json_string_value(a), json_string_length(a), JSON_ALLOW_NUL, NULL);
    if (json_is_object(object)) return object;
    json_decref(object);
    return NULL;
}

static enum status reform_message(json_t *m, enum form form)
{
    json_t *content = other_content(json_object_get(m, "content"), form & PARTS_AS_LIST);
    if (content && json_object_set_new(m, "content", content) != 0) return ERR_NOMEM;
    json_t *calls = json_object_get(m, "tool_calls");
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *f = json_object_get(json_array_get(calls, i), "function");
        json_t *a = other_arguments(json_object_get(f, "arguments"), form & ARGUMENTS_AS_TEXT);
        if (a && json_object_set_new(f, "arguments", a) != 0) return ERR_NOMEM;
    }
    return OK;
}

static enum status set_default(json_t *vars, const char *key, json_t *value)
{
    if (json_object_get(vars, key)) {
        json_decref(value);
        return OK;
    }
    return value && json_object_set_new(vars, key, value) == 0 ? OK : ERR_NOMEM;
}

static json_t *token_text(const struct chat *c, bool bos)
{
    char text[256];
    size_t n = 0;
    if (c->vocab) {
        const struct vocab_source *v = tokenizer_source(c->vocab);
        int32_t id = bos ? v->bos : v->eos;
        if (id != TOKEN_NONE) n = tokenizer_piece(c->vocab, id, true, text, sizeof text);
    }
    return json_stringn(text, n <= sizeof text ? n : 0);
}

/* The variables in one form; NULL: out of memory. */
static json_t *make_vars(const struct chat *c, const json_t *request, enum form form)
{
    json_t *vars = json_deep_copy(request), *messages = json_object_get(vars, "messages");
    enum status st = vars ? OK : ERR_NOMEM;
    for (size_t i = 0; st == OK && i < json_array_size(messages); i++)
        st = reform_message(json_array_get(messages, i), form);
    if (st == OK) st = set_default(vars, "add_generation_prompt", json_true());
    if (st == OK) st = set_default(vars, "bos_token", token_text(c, true));
    if (st == OK) st = set_default(vars, "eos_token", token_text(c, false));
    if (json_array_size(json_object_get(vars, "tools")) == 0) json_object_del(vars, "tools");
    if (st == OK) return vars;
    json_decref(vars);
    return NULL;
}

/* Whether the prompt has the last message's words: a template that walks parts finds none in a text. */
static bool shows_last(const json_t *request, const struct buf *out, size_t from)
{
    const json_t *messages = json_object_get(request, "messages");
    const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
    const json_t *content = json_object_get(last, "content");
    if (json_is_array(content)) content = json_object_get(json_array_get(content, 0), "text");
    const char *s = json_string_value(content);
    if (!s) return true;
    s += strspn(s, " \t\r\n");
    size_t n = strcspn(s, " \t\r\n\"\\<>&");
    return n == 0 || (out->len > from && memmem(out->data + from, out->len - from, s, n));
}

static enum status check_request(const json_t *request, struct error *err)
{
    const json_t *messages = json_object_get(request, "messages");
    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return error_set(err, ERR_INVALID, "\"messages\" must be a list with at least one message");
    if (json_array_size(messages) > MAX_MESSAGES)
        return error_set(err, ERR_LIMIT, "more than %d messages", MAX_MESSAGES);
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!json_is_string(json_object_get(json_array_get(messages, i), "role")))
            return error_set(err, ERR_INVALID, "message %zu has no \"role\"", i);
    return OK;
}

/* The names of roles are part of the format: templates build tokens with them, such as <|user|>. The tokens'
 * texts are ours. */
static bool own_text(const char *key, const char *text, unsigned depth)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool", "developer", "function", "model",
                                        "ipython", "environment", "observation"};
    if (depth == 0) return strcmp(key, "bos_token") == 0 || strcmp(key, "eos_token") == 0;
    if (depth != 2 || strcmp(key, "role") != 0) return false;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(text, roles[i]) == 0) return true;
    return false;
}

static enum status render_go(const struct chat *c, const json_t *request, struct buf *out, struct buf *marks,
                             struct error *err)
{
    const struct gotmpl_options opt = {.marks = marks};
    json_t *vars = make_vars(c, request, 0);
    if (!vars) return error_set(err, ERR_NOMEM, "no memory for the conversation");
    enum status st = gotmpl_render_chat(c->go, vars, &opt, out, err);
    json_decref(vars);
    return st;
}

enum status chat_render(const struct chat *c, const json_t *request, struct buf *out, struct buf *marks,
                        struct error *err)
{
    static const enum form forms[] = {0, ARGUMENTS_AS_TEXT, PARTS_AS_LIST, PARTS_AS_LIST | ARGUMENTS_AS_TEXT};
    enum status first = check_request(request, err);
    if (first != OK) return first;
    if (c->go) return render_go(c, request, out, marks, err);
    bool tools = json_array_size(json_object_get(request, "tools")) > 0;
    const struct jinja_template *t = tools && c->with_tools ? c->with_tools : c->plain;
    const struct jinja_options opt = {.marks = marks, .own = own_text};
    size_t from = out->len, marks_from = marks ? marks->len : 0;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct error again = {0};
        json_t *vars = make_vars(c, request, forms[i]);
        enum status st = vars ? jinja_render(t, vars, &opt, out, NULL, i ? &again : err)
                              : error_set(i ? &again : err, ERR_NOMEM, "no memory for the conversation");
        json_decref(vars);
        if (st == OK && shows_last(request, out, from)) return OK;
        if (st == OK) out->len = from;
        if (st == OK && marks) marks->len = marks_from;
        if (i == 0) first = st;
    }
    /* None showed it: the first form is what the template makes of it, or its words are the reason. */
    if (first != OK) return first;
    json_t *vars = make_vars(c, request, 0);
    first = vars ? jinja_render(t, vars, &opt, out, NULL, err) : error_set(err, ERR_NOMEM, "out of memory");
    json_decref(vars);
    return first;
}
