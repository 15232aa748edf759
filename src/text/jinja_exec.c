/* Running statements, and a whole rendering. */
#include <string.h>

#include "text/jinja_int.h"

void jinja_assign(struct jinja *in, const struct jinja_node *target, struct jinja_value v)
{
    if (in->st != OK) return;
    if (target->kind == NODE_NAME) {
        jinja_scope_set(in, in->scope, target->v.s, target->v.len, v);
    } else if (target->kind == NODE_ATTR) {
        struct jinja_value x = jinja_eval(in, target->a);
        if (x.kind != JINJA_NAMESPACE)
            jinja_fail(in, ERR_INVALID, "only attributes of a namespace can be set");
        else if (target->v.len && target->v.s[0] == '_')
            jinja_fail(in, ERR_INVALID, "an attribute of a namespace cannot begin with _");
        else
            jinja_dict_set(in, x, target->v, v);
    } else {
        struct jinja_list *l = jinja_iter(in, v);
        if (!l) return;
        if (l->len != target->n) {
            jinja_fail(in, ERR_INVALID, "%u values for %u names", l->len, target->n);
            return;
        }
        for (uint32_t i = 0; i < target->n; i++) jinja_assign(in, target->kids[i], l->items[i]);
    }
}

struct jinja_value jinja_capture(struct jinja *in, const struct jinja_node *body)
{
    struct jinja_out o = {0}, *old = in->out;
    in->out = &o;
    jinja_exec(in, body);
    in->out = old;
    return jinja_out_value(&o);
}

/* The items for which the condition holds. */
static struct jinja_list *filtered(struct jinja *in, const struct jinja_node *n, struct jinja_list *items)
{
    struct jinja_value l = jinja_list_new(in, FORM_LIST);
    struct jinja_scope *old = jinja_scope_push(in);
    for (uint32_t i = 0; i < items->len && jinja_step(in, 1); i++) {
        in->scope->len = 0;
        jinja_assign(in, n->a, items->items[i]);
        if (jinja_truth(in, jinja_eval(in, n->c))) jinja_list_add(in, l, items->items[i]);
    }
    in->scope = old;
    return in->st == OK ? l.list : NULL;
}

static void run_for(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_list *items = jinja_iter(in, jinja_eval(in, n->b));
    if (items && n->c) items = filtered(in, n, items);
    struct jinja_loop *loop = jinja_alloc(in, sizeof *loop);
    if (!items || !loop) return;
    struct jinja_scope *old = jinja_scope_push(in);
    if (in->st != OK) return;
    if (items->len == 0 && n->n > 1) jinja_exec(in, n->kids[1]);
    *loop = (struct jinja_loop){.items = items};
    for (uint32_t i = 0, len = items->len; i < len && jinja_step(in, 1); i++) {
        /* Each round has a scope of its own; what was set in the one before is gone. */
        in->scope->len = 0;
        loop->at = i;
        jinja_scope_set(in, in->scope, "loop", 4, (struct jinja_value){.kind = JINJA_LOOP, .loop = loop});
        jinja_assign(in, n->a, items->items[i]);
        if (jinja_exec(in, n->kids[0]) == FLOW_BREAK) break;
    }
    in->scope = old;
}

static enum jinja_flow run_if(struct jinja *in, const struct jinja_node *n)
{
    for (uint32_t i = 0; i + 1 < n->n && in->st == OK; i += 2)
        if (jinja_truth(in, jinja_eval(in, n->kids[i]))) return jinja_exec(in, n->kids[i + 1]);
    return n->c && in->st == OK ? jinja_exec(in, n->c) : FLOW_ON;
}

static struct jinja_value make_macro(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_macro *m = jinja_alloc(in, sizeof *m);
    if (!m) return jinja_undefined("", 0);
    *m = (struct jinja_macro){n, in->scope};
    return (struct jinja_value){.kind = JINJA_MACRO, .macro = m};
}

static void run_call_block(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value f = jinja_eval(in, n->a->a), macro = make_macro(in, n->c);
    struct jinja_args args;
    jinja_eval_args(in, n->a, &args);
    struct jinja_pair *named = jinja_alloc(in, (args.n_named + 1) * sizeof *named);
    if (!named) return;
    if (args.n_named) memcpy(named, args.named, args.n_named * sizeof *named);
    named[args.n_named] = (struct jinja_pair){.key = jinja_str("caller", 6), .value = macro};
    args.named = named;
    args.n_named++;
    struct jinja_value s = jinja_to_str(in, jinja_call(in, f, &args));
    jinja_write(in, s.s, s.len);
}

/* Filters in a row, the innermost of which has no operand: that is `x`. */
static struct jinja_value run_filters(struct jinja *in, const struct jinja_node *n, struct jinja_value x)
{
    if (!n) return x;
    if (!jinja_enter(in)) return x;
    x = run_filters(in, n->a, x);
    struct jinja_args args;
    jinja_eval_args(in, n, &args);
    if (!n->function)
        jinja_fail(in, ERR_UNSUPPORTED, "no filter named '%.*s'", (int)n->v.len, n->v.s);
    if (in->st == OK) x = jinja_call_function(in, n->function, x, &args);
    jinja_leave(in);
    return x;
}

static void run_with(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_scope *outer = jinja_scope_push(in), *inner = in->scope;
    for (uint32_t i = 0; i + 1 < n->n && in->st == OK; i += 2) {
        in->scope = outer;
        struct jinja_value v = jinja_eval(in, n->kids[i + 1]);
        in->scope = inner;
        jinja_assign(in, n->kids[i], v);
    }
    if (in->st == OK) jinja_exec(in, n->b);
    in->scope = outer;
}

static void run_block(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_scope *old = jinja_scope_push(in);
    struct jinja_value v = jinja_capture(in, n->b);
    in->scope = old;
    v = run_filters(in, n->c, v);
    if (n->kind == NODE_SET_BLOCK) {
        jinja_assign(in, n->a, v);
    } else {
        v = jinja_to_str(in, v);
        jinja_write(in, v.s, v.len);
    }
}

static enum jinja_flow run(struct jinja *in, const struct jinja_node *n)
{
    struct jinja_value v;
    switch ((enum jinja_node_kind)n->kind) {
    case NODE_BODY:
        for (uint32_t i = 0; i < n->n && in->st == OK; i++) {
            enum jinja_flow flow = jinja_exec(in, n->kids[i]);
            if (flow != FLOW_ON) return flow;
        }
        return FLOW_ON;
    case NODE_TEXT:
        jinja_write(in, n->v.s, n->v.len);
        return FLOW_ON;
    case NODE_OUTPUT:
        v = jinja_to_str(in, jinja_eval(in, n->a));
        jinja_write(in, v.s, v.len);
        return FLOW_ON;
    case NODE_IF:
        return run_if(in, n);
    case NODE_FOR:
        run_for(in, n);
        return FLOW_ON;
    case NODE_SET:
        jinja_assign(in, n->a, jinja_eval(in, n->b));
        return FLOW_ON;
    case NODE_SET_BLOCK:
    case NODE_FILTER_BLOCK:
        run_block(in, n);
        return FLOW_ON;
    case NODE_MACRO:
        jinja_scope_set(in, in->scope, n->v.s, n->v.len, make_macro(in, n));
        return FLOW_ON;
    case NODE_CALL_BLOCK:
        run_call_block(in, n);
        return FLOW_ON;
    case NODE_WITH:
        run_with(in, n);
        return FLOW_ON;
    case NODE_DO:
        jinja_eval(in, n->a);
        return FLOW_ON;
    case NODE_BREAK:
        return FLOW_BREAK;
    default:
        return FLOW_CONTINUE;
    }
}

enum jinja_flow jinja_exec(struct jinja *in, const struct jinja_node *n)
{
    if (!jinja_enter(in)) return FLOW_ON;
    in->line = n->line;
    enum jinja_flow flow = run(in, n);
    jinja_leave(in);
    return flow;
}

/* Bytes of the variables, roughly: what the limits grow with. */
static size_t json_bytes(const json_t *j, unsigned depth)
{
    size_t n = 8;
    if (depth > 200) return n;
    if (json_is_string(j)) n += json_string_length(j);
    if (json_is_array(j))
        for (size_t i = 0; i < json_array_size(j); i++) n += json_bytes(json_array_get(j, i), depth + 1);
    if (json_is_object(j)) {
        const char *key;
        json_t *x;
        json_object_foreach((json_t *)j, key, x) n += strlen(key) + json_bytes(x, depth + 1);
    }
    return n;
}

static void set_limits(struct jinja *in, const struct jinja_options *opt, size_t bytes)
{
    if (opt) in->limits = opt->limits;
    if (opt) in->now = opt->now;
    if (!in->limits.steps) in->limits.steps = 400000 + 64 * (uint64_t)bytes;
    if (!in->limits.memory) in->limits.memory = ((size_t)24 << 20) + 24 * bytes;
    if (!in->limits.output) in->limits.output = ((size_t)4 << 20) + 8 * bytes;
    if (!in->limits.depth) in->limits.depth = 600;
    in->own = opt ? opt->own : NULL;
    in->arena.marking = opt && opt->marks;
    /* Marks take an eighth of what they belong to. */
    in->arena.max = in->limits.memory - (in->arena.marking ? in->limits.memory / 9 : 0);
}

static enum status append_marks(struct jinja *in, const struct jinja_out *text, struct buf *marks)
{
    enum status st = buf_reserve(marks, text->len);
    if (st != OK) return st;
    for (size_t i = 0; i < text->len; i++) marks->data[marks->len++] = jinja_marked(&in->arena, text->data + i);
    marks->data[marks->len] = 0;
    return OK;
}

enum status jinja_render(const struct jinja_template *t, const json_t *vars,
                         const struct jinja_options *opt, struct buf *out, struct jinja_cost *cost,
                         struct error *err)
{
    struct jinja in = {.err = err, .line = 1};
    struct jinja_out text = {0};
    set_limits(&in, opt, json_bytes(vars, 0));
    in.out = &text;
    jinja_scope_push(&in);
    const char *key;
    json_t *x;
    json_object_foreach((json_t *)vars, key, x)
    {
        if (in.st != OK) break;
        jinja_scope_set(&in, in.scope, key, strlen(key), jinja_from_json(&in, key, x));
    }
    if (in.st == OK) {
        jinja_scope_push(&in);
        jinja_exec(&in, t->body);
    }
    if (in.st == OK && text.len) {
        size_t old_len = out->len;
        in.st = buf_append(out, text.data, text.len);
        if (in.st == OK && opt && opt->marks) in.st = append_marks(&in, &text, opt->marks);
        if (in.st != OK) out->len = old_len;
        if (in.st != OK) error_set(err, in.st, "no memory for the rendered chat template");
    }
    if (cost) *cost = (struct jinja_cost){in.steps, in.arena.used + (in.arena.marking ? in.arena.used / 8 : 0)};
    jinja_arena_fini(&in.arena);
    return in.st;
}
