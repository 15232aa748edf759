/* Running a template; the rules are those of Go's text/template/exec.go. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/gotmpl_int.h"

enum flow { FLOW_NEXT, FLOW_STOP, FLOW_AGAIN };

static enum flow run_list(struct gt_state *in, const struct gt_node *n, struct gt_value dot);
static struct gt_value eval_pipe(struct gt_state *in, const struct gt_pipe *p, struct gt_value dot);

/* ---- the state --------------------------------------------------------------------------------
 */

void gt_fail(struct gt_state *in, enum status st, const char *fmt, ...)
{
    char text[512];
    if (in->st != OK) return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    in->st = error_set(in->err, st, "template, line %u: %s", in->line, text);
}

bool gt_step(struct gt_state *in, uint64_t cost)
{
    if (in->st != OK) return false;
    in->steps += cost;
    if (in->steps <= in->limits.steps) return true;
    gt_fail(in, ERR_LIMIT, "it takes more than %llu steps", (unsigned long long)in->limits.steps);
    return false;
}

void *gt_alloc(struct gt_state *in, size_t bytes)
{
    if (!gt_step(in, bytes / 32)) return NULL;
    void *p = jinja_alloc_raw(&in->arena, bytes, 16);
    if (!p) gt_fail(in, ERR_LIMIT, "it needs more than %zu bytes of memory", in->limits.memory);
    return p;
}

void gt_out_add(struct gt_state *in, struct gt_out *o, const char *s, size_t len, const char *marks,
                bool foreign)
{
    if (len == 0 || !gt_step(in, len / 32)) return;
    if (len > o->cap - o->len) {
        size_t cap = o->cap ? 2 * o->cap : 256;
        if (cap < o->len + len) cap = o->len + len;
        char *data = gt_alloc(in, cap), *m = data ? gt_alloc(in, cap) : NULL;
        if (!m) return;
        if (o->len) memcpy(data, o->data, o->len);
        if (o->len) memcpy(m, o->marks, o->len);
        o->data = data;
        o->marks = m;
        o->cap = cap;
    }
    memcpy(o->data + o->len, s, len);
    if (marks)
        memcpy(o->marks + o->len, marks, len);
    else
        memset(o->marks + o->len, foreign, len);
    o->len += len;
}

void gt_out_str(struct gt_state *in, struct gt_out *o, const char *s)
{
    gt_out_add(in, o, s, strlen(s), NULL, false);
}

struct gt_value gt_out_value(const struct gt_out *o)
{
    struct gt_value v = gt_str(o->len ? o->data : "", o->len, false);
    v.marks = o->len ? o->marks : NULL;
    return v;
}

static bool enter(struct gt_state *in, const char *what)
{
    if (!gt_step(in, 1)) return false;
    if (in->depth >= GT_MAX_NESTING + GT_MAX_TEMPLATES) {
        gt_fail(in, ERR_LIMIT, "exceeded maximum %s depth", what);
        return false;
    }
    in->depth++;
    return true;
}

static void push(struct gt_state *in, struct gt_text name, struct gt_value v)
{
    if (in->n_vars == in->cap_vars) {
        size_t cap = in->cap_vars ? 2 * in->cap_vars : 32;
        struct gt_variable *p = gt_alloc(in, cap * sizeof *p);
        if (!p) return;
        if (in->n_vars) memcpy(p, in->vars, in->n_vars * sizeof *p);
        in->vars = p;
        in->cap_vars = cap;
    }
    in->vars[in->n_vars++] = (struct gt_variable){name, v};
}

static struct gt_variable *find_variable(struct gt_state *in, struct gt_text name)
{
    for (size_t i = in->n_vars; i-- > 0 && (i % 16 || gt_step(in, 1));)
        if (in->vars[i].name.len == name.len && memcmp(in->vars[i].name.s, name.s, name.len) == 0)
            return &in->vars[i];
    gt_fail(in, ERR_INVALID, "undefined variable: %.*s", name.len < 60 ? (int)name.len : 60,
            name.s);
    return NULL;
}

/* ---- values -----------------------------------------------------------------------------------
 */

static struct gt_value eval_field(struct gt_state *in, struct gt_value x, struct gt_text name)
{
    int len = name.len < 60 ? (int)name.len : 60;
    if (x.kind == GT_MAP) {
        const struct gt_value *v = gt_map_get(x.map, name);
        if (v) return *v;
        if (!x.map->fixed) return gt_nil();
    }
    gt_fail(in, ERR_INVALID, "can't evaluate field %.*s in type %s", len, name.s, gt_type_name(&x));
    return gt_nil();
}

/* A nil to begin with has nil fields; one that a field gave has none. */
static struct gt_value eval_fields(struct gt_state *in, struct gt_value x, const struct gt_name *f)
{
    for (bool first = true; f && gt_step(in, 1); f = f->next, first = false) {
        if (x.kind == GT_NIL && first) continue;
        if (x.kind == GT_NIL) {
            gt_fail(in, ERR_INVALID, "nil pointer evaluating interface {}.%.*s",
                    f->name.len < 60 ? (int)f->name.len : 60, f->name.s);
            return gt_nil();
        }
        x = eval_field(in, x, f->name);
    }
    return in->st == OK ? x : gt_nil();
}

static struct gt_value eval_term(struct gt_state *in, const struct gt_term *t, struct gt_value dot)
{
    const struct gt_variable *v;
    switch (t->kind) {
    case GT_T_DOT:
        return dot;
    case GT_T_NIL:
        return gt_nil();
    case GT_T_BOOL:
        return gt_bool(t->i);
    case GT_T_INT:
        return gt_int(t->i);
    case GT_T_FLOAT:
        return (struct gt_value){.kind = GT_FLOAT, .f = t->f};
    case GT_T_STRING:
        return gt_str(t->text.s, t->text.len, false);
    case GT_T_FIELD:
        return eval_fields(in, dot, t->fields);
    case GT_T_VARIABLE:
        v = find_variable(in, t->text);
        return v ? eval_fields(in, v->value, t->fields) : gt_nil();
    case GT_T_PIPE:
        return eval_fields(in, eval_pipe(in, t->pipe, dot), t->fields);
    case GT_T_FUNCTION:
        break; /* the caller's */
    }
    return gt_nil();
}

/* and, or: what follows the deciding argument is not evaluated. */
static bool decides(const struct gt_function *f, const struct gt_value *v)
{
    bool and = strcmp(f->name, "and") == 0;
    return (and || strcmp(f->name, "or") == 0) && gt_truth(v) != and;
}

static struct gt_value eval_call(struct gt_state *in, const struct gt_function *f,
                                 const struct gt_term *args, size_t n, struct gt_value dot,
                                 const struct gt_value *last)
{
    enum { MOST = 1024 };
    size_t all = n + (last != NULL);
    if (all < f->min || all > f->max || all > MOST) {
        gt_fail(in, ERR_INVALID, "wrong number of args for %s: got %zu", f->name, all);
        return gt_nil();
    }
    struct gt_value *v = gt_alloc(in, (all + 1) * sizeof *v);
    if (!v) return gt_nil();
    size_t i = 0;
    for (const struct gt_term *a = args; i < n; a = a->next, i++) {
        v[i] = a->kind == GT_T_FUNCTION ? eval_call(in, a->function, NULL, 0, dot, NULL)
                                        : eval_term(in, a, dot);
        if (in->st != OK) return gt_nil();
        if (decides(f, &v[i])) return v[i];
    }
    if (last) v[i] = *last;
    return f->call(in, v, all);
}

static struct gt_value eval_command(struct gt_state *in, const struct gt_command *c,
                                    struct gt_value dot, const struct gt_value *last)
{
    const struct gt_term *first = c->args;
    if (first->kind == GT_T_FUNCTION)
        return eval_call(in, first->function, first->next, c->n - 1, dot, last);
    if (c->n > 1 || last) {
        if (first->kind == GT_T_FIELD && first->fields)
            gt_fail(in, ERR_INVALID, "%.*s is not a method but has arguments",
                    first->fields->name.len < 60 ? (int)first->fields->name.len : 60,
                    first->fields->name.s);
        gt_fail(in, ERR_INVALID, "can't give argument to non-function");
        return gt_nil();
    }
    if (first->kind == GT_T_NIL) gt_fail(in, ERR_INVALID, "nil is not a command");
    return eval_term(in, first, dot);
}

static struct gt_value eval_pipe(struct gt_state *in, const struct gt_pipe *p, struct gt_value dot)
{
    struct gt_value v = gt_nil();
    in->line = p->line;
    if (!enter(in, "pipeline")) return v;
    bool any = false;
    for (const struct gt_command *c = p->commands; c && in->st == OK; c = c->next) {
        v = eval_command(in, c, dot, any ? &v : NULL);
        any = true;
    }
    for (unsigned i = 0; i < p->n_decl && in->st == OK; i++) {
        if (p->assign) {
            struct gt_variable *there = find_variable(in, p->decl[i]);
            if (there) there->value = v;
        } else {
            push(in, p->decl[i], v);
        }
    }
    in->depth--;
    return in->st == OK ? v : gt_nil();
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

static void write_value(struct gt_state *in, const struct gt_value *v)
{
    size_t before = in->out.len;
    if (v->kind == GT_NIL)
        gt_out_str(in, &in->out, "<no value>");
    else
        gt_print(in, &in->out, v, 0);
    in->written += in->out.len - before;
    if (in->written > in->limits.output)
        gt_fail(in, ERR_LIMIT, "it writes more than %zu bytes", in->limits.output);
}

static void call_template(struct gt_state *in, const struct gt_node *n, struct gt_value dot)
{
    const struct gt_define *d = in->t->defines;
    while (d && gt_step(in, 1) &&
           !(d->name.len == n->text.len && memcmp(d->name.s, n->text.s, d->name.len) == 0))
        d = d->next;
    if (in->st != OK) return;
    if (!d) {
        gt_fail(in, ERR_INVALID, "template \"%.*s\" not defined",
                n->text.len < 60 ? (int)n->text.len : 60, n->text.s);
        return;
    }
    struct gt_value v = n->pipe ? eval_pipe(in, n->pipe, dot) : gt_nil();
    if (!enter(in, "template")) return;
    /* Its variables are its own. */
    struct gt_variable *vars = in->vars;
    size_t n_vars = in->n_vars, cap = in->cap_vars;
    uint32_t cut = in->cut;
    in->vars = NULL;
    in->n_vars = in->cap_vars = 0;
    in->cut = UINT32_MAX;
    push(in, (struct gt_text){"$", 1}, v);
    run_list(in, d->body, v);
    in->vars = vars;
    in->n_vars = n_vars;
    in->cap_vars = cap;
    in->cut = cut;
    in->depth--;
}

struct range {
    const struct gt_node *n;
    size_t outer; /* variables before the range's own */
};

static enum flow run_round(struct gt_state *in, const struct range *r, struct gt_value key,
                           struct gt_value item)
{
    const struct gt_pipe *p = r->n->pipe;
    if (p->n_decl && p->assign) {
        struct gt_variable *last = find_variable(in, p->decl[p->n_decl - 1]);
        if (last) last->value = item;
        struct gt_variable *first = p->n_decl > 1 ? find_variable(in, p->decl[0]) : NULL;
        if (first) first->value = key;
    } else if (p->n_decl && in->n_vars >= r->outer + p->n_decl) {
        in->vars[r->outer + p->n_decl - 1].value = item;
        if (p->n_decl > 1) in->vars[r->outer].value = key;
    }
    size_t own = in->n_vars;
    enum flow f = gt_step(in, 1) ? run_list(in, r->n->body, item) : FLOW_STOP;
    if (in->n_vars > own) in->n_vars = own;
    return f;
}

static bool run_rounds(struct gt_state *in, const struct range *r, const struct gt_value *over)
{
    size_t n = over->kind == GT_LIST  ? over->list->n
               : over->kind == GT_MAP ? over->map->n
               : over->kind == GT_INT ? (size_t)(over->i > 0 ? over->i : 0)
                                      : 0;
    if ((over->kind == GT_MAP && over->map->fixed) ||
        (over->kind != GT_NIL && over->kind < GT_LIST && over->kind != GT_INT)) {
        gt_fail(in, ERR_INVALID, "range can't iterate over a value of type %s", gt_type_name(over));
        return true;
    }
    for (size_t i = 0; i < n && in->st == OK; i++) {
        struct gt_value key = gt_int((int64_t)i), item = key;
        if (over->kind == GT_LIST) item = over->list->items[i];
        if (over->kind == GT_MAP) {
            key = gt_str(over->map->pairs[i].key.s, over->map->pairs[i].key.len, true);
            item = over->map->pairs[i].value;
        }
        if (run_round(in, r, key, item) == FLOW_STOP) break;
    }
    return n > 0;
}

static enum flow run_branch(struct gt_state *in, const struct gt_node *n, struct gt_value dot)
{
    size_t outer = in->n_vars;
    enum flow f = FLOW_NEXT;
    struct gt_value v = eval_pipe(in, n->pipe, dot);
    if (in->st == OK && n->kind == GT_N_RANGE) {
        struct range r = {n, outer};
        if (!run_rounds(in, &r, &v)) f = run_list(in, n->otherwise, dot);
    } else if (in->st == OK && gt_truth(&v)) {
        f = run_list(in, n->body, n->kind == GT_N_WITH ? v : dot);
    } else if (in->st == OK) {
        f = run_list(in, n->otherwise, dot);
    }
    if (in->n_vars > outer) in->n_vars = outer;
    return f;
}

static enum flow run_node(struct gt_state *in, const struct gt_node *n, struct gt_value dot)
{
    struct gt_value v;
    in->line = n->line;
    switch (n->kind) {
    case GT_N_TEXT:
        v = gt_str(n->text.s, n->text.len, false);
        write_value(in, &v);
        return FLOW_NEXT;
    case GT_N_ACTION:
        v = eval_pipe(in, n->pipe, dot);
        if (in->st == OK && n->pipe->n_decl == 0) write_value(in, &v);
        return FLOW_NEXT;
    case GT_N_TEMPLATE:
        call_template(in, n, dot);
        return FLOW_NEXT;
    case GT_N_BREAK:
        return FLOW_STOP;
    case GT_N_CONTINUE:
        return FLOW_AGAIN;
    default:
        return run_branch(in, n, dot);
    }
}

static enum flow run_list(struct gt_state *in, const struct gt_node *n, struct gt_value dot)
{
    enum flow f = FLOW_NEXT;
    if (!enter(in, "block")) return FLOW_STOP;
    for (; n && f == FLOW_NEXT && in->st == OK && n->order <= in->cut; n = n->next)
        if (gt_step(in, 1)) f = run_node(in, n, dot);
    in->depth--;
    return f;
}

void gt_execute(struct gt_state *in, struct gt_value dot)
{
    in->n_vars = 0;
    in->depth = 0;
    push(in, (struct gt_text){"$", 1}, dot);
    if (in->st == OK) run_list(in, in->t->body, dot);
}

/* ---- from outside -----------------------------------------------------------------------------
 */

static void run_json(struct gt_state *in, const json_t *data)
{
    in->cut = in->t->own_order;
    gt_execute(in, gt_from_json(in, data, 0));
}

static enum status render(const struct gotmpl *t, const json_t *data,
                          const struct gotmpl_options *opt, struct buf *out,
                          void (*run)(struct gt_state *in, const json_t *data), struct error *err)
{
    struct error unwanted = {0};
    size_t size = json_dumpb(data, NULL, 0, JSON_COMPACT), from = out->len;
    struct gt_state in = {.t = t, .cut = UINT32_MAX, .line = 1, .err = err ? err : &unwanted};
    if (opt) in.limits = opt->limits;
    if (opt) in.now = opt->now;
    if (!in.limits.steps) in.limits.steps = 400000 + 64 * (uint64_t)size;
    if (!in.limits.memory) in.limits.memory = (24 << 20) + 24 * size;
    if (!in.limits.output) in.limits.output = (4 << 20) + 8 * size;
    in.arena.max = in.limits.memory;
    run(&in, data);
    enum status st = in.st;
    if (st == OK && in.out.len) {
        st = buf_append(out, in.out.data, in.out.len);
        if (st == OK && opt && opt->marks) st = buf_append(opt->marks, in.out.marks, in.out.len);
        if (st != OK) {
            out->len = from;
            if (out->data) out->data[from] = 0;
            error_set(in.err, st, "the prompt is too long");
        }
    }
    jinja_arena_fini(&in.arena);
    return st;
}

enum status gotmpl_render(const struct gotmpl *t, const json_t *data,
                          const struct gotmpl_options *opt, struct buf *out, struct error *err)
{
    return render(t, data, opt, out, run_json, err);
}

enum status gotmpl_render_chat(const struct gotmpl *t, const json_t *request,
                               const struct gotmpl_options *opt, struct buf *out, struct error *err)
{
    return render(t, request, opt, out, gt_run_chat, err);
}
