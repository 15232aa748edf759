/* What Ollama shows a template of a conversation: messages of one role behind each other become
 * one, tools and calls become structs, and a template without .Messages runs once for each round.
 * Names, order and JSON forms of the fields: Ollama's template/template.go and api/types.go
 * (2026-08). */
#include <string.h>

#include "text/gotmpl_int.h"

static struct gt_text text_of(const char *s)
{
    return (struct gt_text){s, strlen(s)};
}

static struct gt_value text_at(const json_t *owner, const char *key)
{
    const json_t *v = json_object_get(owner, key);
    const char *s = json_string_value(v);
    return gt_str(s ? s : "", json_string_length(v), true);
}

static struct gt_value list_value(struct gt_state *in, struct gt_value *items, size_t n,
                                  enum gt_form form, const char *type)
{
    struct gt_value v = gt_nil();
    struct gt_list *l = gt_alloc(in, sizeof *l);
    if (!l) return v;
    *l = (struct gt_list){.items = items, .n = n, .form = form, .nil = n == 0, .type = type};
    v.kind = GT_LIST;
    v.list = l;
    return v;
}

struct field {
    const char *name, *json;
    bool omit;
    struct gt_value value;
};

static struct gt_value struct_value(struct gt_state *in, const char *type, enum gt_form form,
                                    const struct field *f, size_t n)
{
    struct gt_value v = gt_nil();
    struct gt_map *m = gt_alloc(in, sizeof *m);
    struct gt_pair *pairs = m ? gt_alloc(in, n * sizeof *pairs) : NULL;
    if (!pairs) return v;
    for (size_t i = 0; i < n; i++)
        pairs[i] = (struct gt_pair){.key = text_of(f[i].name),
                                    .json = f[i].json ? text_of(f[i].json) : (struct gt_text){0},
                                    .value = f[i].value,
                                    .omit = f[i].omit};
    *m = (struct gt_map){.pairs = pairs, .n = n, .form = form, .fixed = true, .type = type};
    v.kind = GT_MAP;
    v.map = m;
    return v;
}
#define STRUCT(in, type, form, f) struct_value(in, type, form, f, sizeof(f) / sizeof(f)[0])

static struct gt_value texts_of(struct gt_state *in, const json_t *list, enum gt_form form,
                                const char *type)
{
    size_t n = json_is_string(list) ? 1 : json_array_size(list);
    struct gt_value *items = gt_alloc(in, (n + 1) * sizeof *items);
    if (!items) return gt_nil();
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_is_string(list) ? list : json_array_get(list, i);
        const char *s = json_string_value(v);
        items[i] = gt_str(s ? s : "", json_string_length(v), true);
    }
    return list_value(in, items, n, form, type);
}

/* ---- tools ------------------------------------------------------------------------------------
 */

static struct gt_value property_of(struct gt_state *in, const json_t *j, unsigned depth);

/* Properties as a map, of which the text is JSON. Inside of a property it has its own order. */
static struct gt_value properties_of(struct gt_state *in, const json_t *j, unsigned depth)
{
    size_t n = json_object_size(j), i = 0;
    struct gt_value v = gt_nil();
    const char *key;
    json_t *item;
    struct gt_map *m = gt_alloc(in, sizeof *m);
    struct gt_pair *pairs = m ? gt_alloc(in, (n + 1) * sizeof *pairs) : NULL;
    if (!pairs) return v;
    json_object_foreach((json_t *)j, key, item)
    {
        if (in->st != OK) return v;
        struct gt_pair p = {.key = text_of(key), .value = property_of(in, item, depth + 1)};
        size_t at = i++;
        if (depth == 0) { /* sorted, as Go ranges over maps */
            if (!gt_step(in, at / 4)) return v;
            for (; at > 0 && strcmp(pairs[at - 1].key.s, key) > 0; at--) pairs[at] = pairs[at - 1];
        }
        pairs[at] = p;
    }
    *m = (struct gt_map){.pairs = pairs,
                         .n = n,
                         .form = GT_JSON,
                         .fixed = depth > 0,
                         .nil = !json_is_object(j),
                         .type = depth ? "*api.ToolPropertiesMap" : "template.templateProperties"};
    v.kind = GT_MAP;
    v.map = m;
    return v;
}

static struct gt_value property_of(struct gt_state *in, const json_t *j, unsigned depth)
{
    if (depth > 64) {
        gt_fail(in, ERR_LIMIT, "a tool's parameters nest too deeply");
        return gt_nil();
    }
    const json_t *any = json_object_get(j, "anyOf"), *choice = json_object_get(j, "enum"),
                 *inner = json_object_get(j, "properties");
    size_t n_any = json_array_size(any);
    struct gt_value *of = gt_alloc(in, (n_any + 1) * sizeof *of);
    for (size_t i = 0; of && i < n_any && in->st == OK; i++)
        of[i] = property_of(in, json_array_get(any, i), depth + 1);
    struct gt_value values = gt_from_json(in, choice, 0);
    const struct field f[] = {
        {"AnyOf", "anyOf", true, list_value(in, of, n_any, GT_PLAIN, "[]api.ToolProperty")},
        {"Type", "type", true,
         texts_of(in, json_object_get(j, "type"), GT_TYPES, "api.PropertyType")},
        {"Items", "items", true, gt_from_json(in, json_object_get(j, "items"), 0)},
        {"Description", "description", true, text_at(j, "description")},
        {"Enum", "enum", true,
         values.kind == GT_LIST ? values : list_value(in, of, 0, GT_PLAIN, NULL)},
        {"Properties", "properties", true,
         json_is_object(inner) ? properties_of(in, inner, depth + 1) : gt_nil()},
        {"Required", "required", true,
         texts_of(in, json_object_get(j, "required"), GT_PLAIN, "[]string")},
    };
    return STRUCT(in, "api.ToolProperty", GT_STRUCT, f);
}

static struct gt_value tool_of(struct gt_state *in, const json_t *j)
{
    const json_t *fn = json_object_get(j, "function"), *p = json_object_get(fn, "parameters");
    const json_t *inner = json_object_get(p, "properties");
    const struct field parameters[] = {
        {"Type", "type", false, text_at(p, "type")},
        {"Defs", "$defs", true, gt_from_json(in, json_object_get(p, "$defs"), 0)},
        {"Items", "items", true, gt_from_json(in, json_object_get(p, "items"), 0)},
        {"Required", "required", true,
         texts_of(in, json_object_get(p, "required"), GT_PLAIN, "[]string")},
        {"Properties", "properties", false, properties_of(in, inner, 0)},
    };
    const struct field function[] = {
        {"Name", "name", false, text_at(fn, "name")},
        {"Description", "description", false, text_at(fn, "description")},
        {"Parameters", "parameters", false,
         STRUCT(in, "template.templateToolFunctionParameters", GT_STRUCT, parameters)},
    };
    const struct field tool[] = {
        {"Type", "type", false, text_at(j, "type")},
        {"Items", "items", true, gt_from_json(in, json_object_get(j, "items"), 0)},
        {"Function", "function", false,
         STRUCT(in, "template.templateToolFunction", GT_STRUCT, function)},
    };
    return STRUCT(in, "template.templateTool", GT_JSON, tool);
}

static struct gt_value tools_of(struct gt_state *in, const json_t *list)
{
    size_t n = json_array_size(list);
    struct gt_value *items = gt_alloc(in, (n + 1) * sizeof *items);
    for (size_t i = 0; items && i < n && in->st == OK; i++)
        items[i] = tool_of(in, json_array_get(list, i));
    return list_value(in, items, n, GT_JSON, "template.templateTools");
}

/* ---- messages ---------------------------------------------------------------------------------
 */

static struct gt_value arguments_of(struct gt_state *in, const json_t *a)
{
    struct gt_value v = gt_from_json(in, a, 0);
    struct gt_map *m = gt_alloc(in, sizeof *m);
    if (!m || v.kind == GT_STR) return v;
    *m = v.kind == GT_MAP ? *v.map : (struct gt_map){.nil = true};
    m->form = GT_JSON;
    m->type = "template.templateArgs";
    v.kind = GT_MAP;
    v.map = m;
    return v;
}

static struct gt_value calls_of(struct gt_state *in, const json_t *list)
{
    size_t n = json_array_size(list);
    struct gt_value *items = gt_alloc(in, (n + 1) * sizeof *items);
    for (size_t i = 0; items && i < n && in->st == OK; i++) {
        const json_t *c = json_array_get(list, i), *fn = json_object_get(c, "function");
        const json_t *index = json_object_get(fn, "index");
        const struct field function[] = {
            {"Index", NULL, false, gt_int(json_integer_value(index))},
            {"Name", NULL, false, text_at(fn, "name")},
            {"Arguments", NULL, false, arguments_of(in, json_object_get(fn, "arguments"))},
        };
        const struct field call[] = {
            {"ID", NULL, false, text_at(c, "id")},
            {"Function", NULL, false,
             STRUCT(in, "template.templateToolCallFunction", GT_STRUCT, function)},
        };
        items[i] = STRUCT(in, "template.templateToolCall", GT_STRUCT, call);
    }
    return list_value(in, items, n, GT_PLAIN, "[]template.templateToolCall");
}

/* The names of roles are part of the format, as in chat.c: templates build tokens with them. */
static struct gt_value role_of(const json_t *m)
{
    static const char *const roles[] = {"system", "user",      "assistant",
                                        "tool",   "developer", "function"};
    struct gt_value v = text_at(m, "role");
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(v.s, roles[i]) == 0) v.foreign = false;
    return v;
}

/* A text, or a list of text parts. */
static struct gt_value content_of(struct gt_state *in, const json_t *m)
{
    const json_t *c = json_object_get(m, "content");
    struct gt_out o = {0};
    if (!json_is_array(c)) return text_at(m, "content");
    for (size_t i = 0; i < json_array_size(c); i++) {
        struct gt_value part = text_at(json_array_get(c, i), "text");
        gt_out_add(in, &o, part.s, part.len, NULL, true);
    }
    return gt_out_value(&o);
}

struct message {
    const json_t *json; /* the first of those that it joins */
    struct gt_value role, content;
};
struct talk {
    struct message *m;
    size_t n;
    struct gt_value system; /* all system messages */
};

static bool same_role(const struct message *m, const struct gt_value *role)
{
    return m->role.len == role->len && memcmp(m->role.s, role->s, role->len) == 0 &&
           strcmp(role->s, "tool") != 0;
}

static struct gt_value joined(struct gt_state *in, struct gt_value a, struct gt_value b)
{
    struct gt_out o = {0};
    gt_out_add(in, &o, a.s, a.len, a.marks, a.foreign);
    gt_out_str(in, &o, "\n\n");
    gt_out_add(in, &o, b.s, b.len, b.marks, b.foreign);
    return gt_out_value(&o);
}

static void collate(struct gt_state *in, const json_t *list, struct talk *t)
{
    size_t n = json_array_size(list);
    bool any = false;
    t->system = gt_str("", 0, false);
    t->m = gt_alloc(in, (n + 1) * sizeof *t->m);
    for (size_t i = 0; t->m && i < n && in->st == OK; i++) {
        const json_t *m = json_array_get(list, i);
        struct gt_value role = role_of(m), content = content_of(in, m);
        if (strcmp(role.s, "system") == 0) {
            t->system = any ? joined(in, t->system, content) : content;
            any = true;
        }
        if (t->n && same_role(&t->m[t->n - 1], &role))
            t->m[t->n - 1].content = joined(in, t->m[t->n - 1].content, content);
        else
            t->m[t->n++] = (struct message){m, role, content};
    }
}

static struct gt_value message_value(struct gt_state *in, const struct message *m)
{
    const json_t *j = m->json;
    const char *name = json_object_get(j, "tool_name") ? "tool_name" : "name";
    struct gt_value thinking =
        text_at(j, json_object_get(j, "thinking") ? "thinking" : "reasoning_content");
    const struct field f[] = {
        {"Role", NULL, false, m->role},
        {"Content", NULL, false, m->content},
        {"Thinking", NULL, false, thinking},
        {"Images", NULL, false, list_value(in, NULL, 0, GT_PLAIN, "[]api.ImageData")},
        {"ToolCalls", NULL, false, calls_of(in, json_object_get(j, "tool_calls"))},
        {"ToolName", NULL, false, text_at(j, name)},
        {"ToolCallID", NULL, false, text_at(j, "tool_call_id")},
    };
    return STRUCT(in, "*template.templateMessage", GT_STRUCT, f);
}

/* ---- the data ---------------------------------------------------------------------------------
 */

static int by_name(const struct field *a, const struct field *b)
{
    return strcmp(a->name, b->name);
}

/* map[string]any: what is not there is nil. */
static struct gt_value map_value(struct gt_state *in, struct field *f, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && by_name(&f[k - 1], &f[k]) > 0; k--) {
            struct field swap = f[k];
            f[k] = f[k - 1];
            f[k - 1] = swap;
        }
    struct gt_value v = struct_value(in, NULL, GT_PLAIN, f, n);
    if (v.kind == GT_MAP) ((struct gt_map *)v.map)->fixed = false;
    return v;
}

struct thinking {
    bool on, set;
    struct gt_value level;
};

static struct thinking thinking_of(const json_t *request)
{
    const json_t *on = json_object_get(request, "enable_thinking");
    struct thinking t = {.on = json_is_true(on),
                         .set = json_is_boolean(on),
                         .level = text_at(request, "reasoning_effort")};
    if (t.level.len) t.on = t.set = true;
    return t;
}

static void run_rounds(struct gt_state *in, const struct talk *t, const struct thinking *think)
{
    struct gt_value none = gt_str("", 0, false), system = none, prompt = none, response = none;
    for (size_t i = 0; i <= t->n && in->st == OK; i++) {
        const char *role = i < t->n ? t->m[i].role.s : "";
        bool full = strcmp(role, "system") == 0 ? prompt.len || response.len
                                                : strcmp(role, "user") == 0 && response.len;
        if (full || i == t->n) {
            struct field f[] = {{"System", NULL, false, system},
                                {"Prompt", NULL, false, prompt},
                                {"Response", NULL, false, response},
                                {"Think", NULL, false, gt_bool(think->on)},
                                {"ThinkLevel", NULL, false, think->level},
                                {"IsThinkSet", NULL, false, gt_bool(think->set)}};
            /* The last round ends where the answer goes. */
            if (i == t->n) in->cut = in->t->response_order;
            gt_execute(in, map_value(in, f, sizeof f / sizeof f[0]));
            system = prompt = response = none;
        }
        if (strcmp(role, "system") == 0) system = t->m[i].content;
        if (strcmp(role, "user") == 0) prompt = t->m[i].content;
        if (strcmp(role, "assistant") == 0) response = t->m[i].content;
    }
}

void gt_run_chat(struct gt_state *in, const json_t *request)
{
    struct talk t = {0};
    struct thinking think = thinking_of(request);
    collate(in, json_object_get(request, "messages"), &t);
    if (in->st != OK) return;
    if (!in->t->messages) {
        run_rounds(in, &t, &think);
        return;
    }
    struct gt_value *items = gt_alloc(in, (t.n + 1) * sizeof *items);
    for (size_t i = 0; items && i < t.n && in->st == OK; i++) items[i] = message_value(in, &t.m[i]);
    struct field f[] = {
        {"System", NULL, false, t.system},
        {"Messages", NULL, false,
         list_value(in, items, t.n, GT_PLAIN, "[]*template.templateMessage")},
        {"Tools", NULL, false, tools_of(in, json_object_get(request, "tools"))},
        {"Response", NULL, false, gt_str("", 0, false)},
        {"Think", NULL, false, gt_bool(think.on)},
        {"ThinkLevel", NULL, false, think.level},
        {"IsThinkSet", NULL, false, gt_bool(think.set)},
    };
    if (in->st == OK) gt_execute(in, map_value(in, f, sizeof f / sizeof f[0]));
}
