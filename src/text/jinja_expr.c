/* Parsing expressions: jinja2's grammar, rule by rule, so that precedence is its own. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_int.h"

void jinja_parse_fail(struct jinja_parser *p, enum status st, const char *fmt, ...)
{
    if (p->st != OK) return;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    p->st = error_set(p->err, st, "line %u: %s", p->tok->line, text);
}

/* What a failed allocation gives, so that parsers need not look for NULL; never part of a result. */
static struct jinja_node *spare(struct jinja_parser *p)
{
    p->spare = (struct jinja_node){.kind = NODE_CONST};
    return &p->spare;
}

struct jinja_node *jinja_node_new(struct jinja_parser *p, enum jinja_node_kind kind)
{
    struct jinja_node *n = jinja_alloc_raw(p->arena, sizeof *n, _Alignof(struct jinja_node));
    if (!n) {
        jinja_parse_fail(p, ERR_LIMIT, "the template is too large");
        return spare(p);
    }
    *n = (struct jinja_node){.kind = (uint8_t)kind, .line = p->tok->line};
    return n;
}

void jinja_node_add(struct jinja_parser *p, struct jinja_node *n, struct jinja_node *kid)
{
    if ((n->n & (n->n - 1)) == 0) { /* grows at 0, 1, 2, 4, ... */
        size_t cap = n->n ? 2 * (size_t)n->n : 1;
        struct jinja_node **k = jinja_alloc_raw(p->arena, cap * sizeof *k, _Alignof(void *));
        if (!k) {
            jinja_parse_fail(p, ERR_LIMIT, "the template is too large");
            return;
        }
        if (n->n) memcpy(k, n->kids, n->n * sizeof(struct jinja_node *));
        n->kids = k;
    }
    n->kids[n->n++] = kid;
    if (kid->height > n->height) n->height = kid->height;
}

/* Ends a node's construction: how high it is, and whether that is too high. */
static struct jinja_node *done(struct jinja_parser *p, struct jinja_node *n)
{
    uint16_t h = n->height;
    if (n->a && n->a->height > h) h = n->a->height;
    if (n->b && n->b->height > h) h = n->b->height;
    if (n->c && n->c->height > h) h = n->c->height;
    n->height = (uint16_t)(h + 1);
    if (n->height > JINJA_MAX_HEIGHT)
        jinja_parse_fail(p, ERR_LIMIT, "an expression has more than %d parts inside each other",
                         JINJA_MAX_HEIGHT);
    return n;
}

bool jinja_at_op(const struct jinja_parser *p, const char *op)
{
    return p->tok->kind == T_OP && strcmp(p->tok->op, op) == 0;
}

bool jinja_at_name(const struct jinja_parser *p, const char *name)
{
    return p->tok->kind == T_NAME && p->tok->v.len == strlen(name) &&
           memcmp(p->tok->v.s, name, p->tok->v.len) == 0;
}

bool jinja_take_op(struct jinja_parser *p, const char *op)
{
    bool at = jinja_at_op(p, op);
    if (at) p->tok++;
    return at;
}

bool jinja_take_name(struct jinja_parser *p, const char *name)
{
    bool at = jinja_at_name(p, name);
    if (at) p->tok++;
    return at;
}

void jinja_want_op(struct jinja_parser *p, const char *op)
{
    if (!jinja_take_op(p, op)) jinja_parse_fail(p, ERR_FORMAT, "expected '%s'", op);
}

static struct jinja_value want_name(struct jinja_parser *p)
{
    if (p->tok->kind == T_NAME) return p->tok++->v;
    jinja_parse_fail(p, ERR_FORMAT, "expected a name");
    return jinja_str("", 0);
}

/* Nesting of the parser's own calls. */
static bool enter(struct jinja_parser *p)
{
    if (p->nesting >= JINJA_MAX_NESTING)
        jinja_parse_fail(p, ERR_LIMIT, "more than %d levels of nesting", JINJA_MAX_NESTING);
    if (p->st != OK) return false;
    p->nesting++;
    return true;
}

static struct jinja_node *constant(struct jinja_parser *p, struct jinja_value v)
{
    struct jinja_node *n = jinja_node_new(p, NODE_CONST);
    n->v = v;
    return n;
}

static struct jinja_node *two(struct jinja_parser *p, enum jinja_node_kind kind, int op,
                              struct jinja_node *a, struct jinja_node *b)
{
    struct jinja_node *n = jinja_node_new(p, kind);
    n->op = (uint8_t)op;
    n->a = a;
    n->b = b;
    return done(p, n);
}

static struct jinja_node *parse_list(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_LIST);
    jinja_want_op(p, "[");
    while (p->st == OK && !jinja_at_op(p, "]")) {
        if (n->n) jinja_want_op(p, ",");
        if (jinja_at_op(p, "]")) break;
        jinja_node_add(p, n, jinja_parse_expression(p, true));
    }
    jinja_want_op(p, "]");
    return done(p, n);
}

static struct jinja_node *parse_dict(struct jinja_parser *p)
{
    struct jinja_node *n = jinja_node_new(p, NODE_DICT);
    jinja_want_op(p, "{");
    while (p->st == OK && !jinja_at_op(p, "}")) {
        if (n->n) jinja_want_op(p, ",");
        if (jinja_at_op(p, "}")) break;
        jinja_node_add(p, n, jinja_parse_expression(p, true));
        jinja_want_op(p, ":");
        jinja_node_add(p, n, jinja_parse_expression(p, true));
    }
    jinja_want_op(p, "}");
    return done(p, n);
}

static struct jinja_node *joined_string(struct jinja_parser *p)
{
    struct jinja_node *n = constant(p, p->tok++->v);
    while (p->tok->kind == T_STRING) {
        struct jinja_value more = p->tok++->v;
        size_t len = (size_t)n->v.len + more.len;
        char *s = jinja_alloc_raw(p->arena, len + 1, 1);
        if (!s) {
            jinja_parse_fail(p, ERR_LIMIT, "the template is too large");
            break;
        }
        if (n->v.len) memcpy(s, n->v.s, n->v.len);
        if (more.len) memcpy(s + n->v.len, more.s, more.len);
        n->v = jinja_str(s, len);
    }
    return n;
}

struct jinja_node *jinja_parse_primary(struct jinja_parser *p)
{
    if (!enter(p)) return spare(p);
    struct jinja_node *n;
    const struct jinja_token *t = p->tok;
    if (t->kind == T_NAME) {
        p->tok++;
        if (jinja_is(t->v, "true") || jinja_is(t->v, "True") || jinja_is(t->v, "false") ||
            jinja_is(t->v, "False"))
            n = constant(p, jinja_bool((t->v.s[0] | 32) == 't'));
        else if (jinja_is(t->v, "none") || jinja_is(t->v, "None"))
            n = constant(p, jinja_none());
        else
            (n = jinja_node_new(p, NODE_NAME))->v = t->v;
    } else if (t->kind == T_STRING) {
        n = joined_string(p);
    } else if (t->kind == T_INT || t->kind == T_FLOAT) {
        n = constant(p, p->tok++->v);
    } else if (jinja_take_op(p, "(")) {
        if (jinja_at_op(p, ")"))
            n = jinja_node_new(p, NODE_TUPLE);
        else
            n = jinja_parse_tuple(p, true, false);
        jinja_want_op(p, ")");
    } else if (jinja_at_op(p, "[")) {
        n = parse_list(p);
    } else if (jinja_at_op(p, "{")) {
        n = parse_dict(p);
    } else {
        jinja_parse_fail(p, ERR_FORMAT, "expected an expression");
        n = spare(p);
    }
    n->line = t->line;
    p->nesting--;
    return n;
}

static bool tuple_end(const struct jinja_parser *p)
{
    return p->tok->kind == T_VAR_END || p->tok->kind == T_BLOCK_END || jinja_at_op(p, ")");
}

struct jinja_node *jinja_parse_tuple(struct jinja_parser *p, bool with_cond, bool names_only)
{
    struct jinja_node *first = NULL, *tuple = NULL;
    do {
        if (first && (tuple_end(p) || (names_only && jinja_at_name(p, "in")))) break;
        struct jinja_node *x = names_only ? jinja_parse_primary(p)
                                          : jinja_parse_expression(p, with_cond);
        if (!first) {
            first = x;
            if (jinja_at_op(p, ",")) {
                tuple = jinja_node_new(p, NODE_TUPLE);
                jinja_node_add(p, tuple, x);
            }
        } else if (tuple) {
            jinja_node_add(p, tuple, x);
        }
    } while (p->st == OK && jinja_take_op(p, ","));
    return tuple ? done(p, tuple) : first;
}

static void parse_args(struct jinja_parser *p, struct jinja_node *call)
{
    jinja_want_op(p, "(");
    bool named = false, star = false, dstar = false, first = true;
    while (p->st == OK && !jinja_at_op(p, ")")) {
        if (!first) {
            jinja_want_op(p, ",");
            if (jinja_at_op(p, ")")) break;
        }
        first = false;
        struct jinja_node *x;
        bool ok = !dstar;
        if (jinja_take_op(p, "*")) {
            ok = ok && !star;
            star = true;
            (x = jinja_node_new(p, NODE_STAR))->a = jinja_parse_expression(p, true);
        } else if (jinja_take_op(p, "**")) {
            dstar = true;
            (x = jinja_node_new(p, NODE_DSTAR))->a = jinja_parse_expression(p, true);
        } else if (p->tok->kind == T_NAME && p->tok[1].kind == T_OP &&
                   strcmp(p->tok[1].op, "=") == 0) {
            named = true;
            x = jinja_node_new(p, NODE_KWARG);
            x->v = p->tok->v;
            p->tok += 2;
            x->a = jinja_parse_expression(p, true);
        } else {
            ok = ok && !named && !star;
            x = jinja_parse_expression(p, true);
        }
        if (!ok) jinja_parse_fail(p, ERR_FORMAT, "arguments in an order that calls do not have");
        if (x->kind == NODE_STAR || x->kind == NODE_DSTAR || x->kind == NODE_KWARG) done(p, x);
        jinja_node_add(p, call, x);
    }
    jinja_want_op(p, ")");
}

/* What is in [ ]: an expression, or a slice, or several of these. */
static struct jinja_node *subscript(struct jinja_parser *p)
{
    struct jinja_node *part[3] = {0};
    if (!jinja_at_op(p, ":")) part[0] = jinja_parse_expression(p, true);
    if (!jinja_take_op(p, ":")) return part[0] ? part[0] : spare(p);
    if (!jinja_at_op(p, ":") && !jinja_at_op(p, "]") && !jinja_at_op(p, ","))
        part[1] = jinja_parse_expression(p, true);
    if (jinja_take_op(p, ":") && !jinja_at_op(p, "]") && !jinja_at_op(p, ","))
        part[2] = jinja_parse_expression(p, true);
    struct jinja_node *n = jinja_node_new(p, NODE_SLICE);
    n->a = part[0];
    n->b = part[1];
    n->c = part[2];
    return done(p, n);
}

static struct jinja_node *call_node(struct jinja_parser *p, struct jinja_node *x)
{
    struct jinja_node *n = jinja_node_new(p, NODE_CALL);
    n->a = x;
    parse_args(p, n);
    return done(p, n);
}

static struct jinja_node *attribute(struct jinja_parser *p, struct jinja_node *x)
{
    struct jinja_node *n;
    if (p->tok->kind == T_INT) {
        n = jinja_node_new(p, NODE_ITEM);
        n->b = constant(p, p->tok++->v);
    } else {
        n = jinja_node_new(p, NODE_ATTR);
        n->v = want_name(p);
    }
    n->a = x;
    return done(p, n);
}

static struct jinja_node *item(struct jinja_parser *p, struct jinja_node *x)
{
    struct jinja_node *n = jinja_node_new(p, NODE_ITEM);
    n->a = x;
    n->b = subscript(p);
    if (jinja_at_op(p, ",")) {
        struct jinja_node *tuple = jinja_node_new(p, NODE_TUPLE);
        jinja_node_add(p, tuple, n->b);
        while (p->st == OK && jinja_take_op(p, ",")) jinja_node_add(p, tuple, subscript(p));
        n->b = done(p, tuple);
    }
    jinja_want_op(p, "]");
    return done(p, n);
}

struct jinja_node *jinja_parse_filters(struct jinja_parser *p, struct jinja_node *x, bool inline_only)
{
    while (p->st == OK && (inline_only || jinja_take_op(p, "|"))) {
        struct jinja_node *n = jinja_node_new(p, NODE_FILTER);
        n->a = x;
        n->v = want_name(p);
        n->function = jinja_filter_find(n->v.s, n->v.len);
        if (jinja_at_op(p, "(")) parse_args(p, n);
        x = done(p, n);
        inline_only = false;
    }
    return x;
}

/* Behind "is". */
static struct jinja_node *parse_test(struct jinja_parser *p, struct jinja_node *x)
{
    bool negated = jinja_take_name(p, "not");
    struct jinja_node *n = jinja_node_new(p, NODE_TEST);
    n->a = x;
    n->v = want_name(p);
    n->function = jinja_test_find(n->v.s, n->v.len);
    enum jinja_token_kind k = p->tok->kind;
    if (jinja_at_op(p, "(")) {
        parse_args(p, n);
    } else if ((k == T_NAME && !jinja_at_name(p, "else") && !jinja_at_name(p, "or") &&
                !jinja_at_name(p, "and")) ||
               k == T_STRING || k == T_INT || k == T_FLOAT || jinja_at_op(p, "[") ||
               jinja_at_op(p, "{")) {
        if (jinja_at_name(p, "is"))
            jinja_parse_fail(p, ERR_FORMAT, "two tests with 'is' in a row need parentheses");
        jinja_node_add(p, n, jinja_parse_postfix(p, jinja_parse_primary(p), false));
    }
    n = done(p, n);
    return negated ? two(p, NODE_NOT, 0, n, NULL) : n;
}

struct jinja_node *jinja_parse_postfix(struct jinja_parser *p, struct jinja_node *x, bool filters)
{
    while (p->st == OK) {
        if (jinja_take_op(p, "."))
            x = attribute(p, x);
        else if (jinja_take_op(p, "["))
            x = item(p, x);
        else if (jinja_at_op(p, "("))
            x = call_node(p, x);
        else
            break;
    }
    while (filters && p->st == OK) {
        if (jinja_at_op(p, "|"))
            x = jinja_parse_filters(p, x, false);
        else if (jinja_take_name(p, "is"))
            x = parse_test(p, x);
        else if (jinja_at_op(p, "("))
            x = call_node(p, x);
        else
            break;
    }
    return x;
}

static struct jinja_node *parse_unary(struct jinja_parser *p, bool filters)
{
    if (!enter(p)) return spare(p);
    struct jinja_node *n;
    if (jinja_take_op(p, "-"))
        n = two(p, NODE_UNARY, OP_NEG, parse_unary(p, false), NULL);
    else if (jinja_take_op(p, "+"))
        n = two(p, NODE_UNARY, OP_POS, parse_unary(p, false), NULL);
    else
        n = jinja_parse_primary(p);
    n = jinja_parse_postfix(p, n, filters);
    p->nesting--;
    return n;
}

static struct jinja_node *parse_pow(struct jinja_parser *p)
{
    struct jinja_node *n = parse_unary(p, true);
    while (p->st == OK && jinja_take_op(p, "**")) n = two(p, NODE_BINARY, OP_POW, n, parse_unary(p, true));
    return n;
}

static struct jinja_node *parse_product(struct jinja_parser *p)
{
    static const struct {
        const char *text;
        enum jinja_op op;
    } ops[] = {{"*", OP_MUL}, {"/", OP_DIV}, {"//", OP_FLOORDIV}, {"%", OP_MOD}};
    struct jinja_node *n = parse_pow(p);
    for (size_t i = 0; p->st == OK && i < sizeof ops / sizeof ops[0];)
        if (jinja_take_op(p, ops[i].text)) {
            n = two(p, NODE_BINARY, ops[i].op, n, parse_pow(p));
            i = 0;
        } else {
            i++;
        }
    return n;
}

static struct jinja_node *parse_concat(struct jinja_parser *p)
{
    struct jinja_node *n = parse_product(p);
    if (!jinja_at_op(p, "~")) return n;
    struct jinja_node *all = jinja_node_new(p, NODE_CONCAT);
    jinja_node_add(p, all, n);
    while (p->st == OK && jinja_take_op(p, "~")) jinja_node_add(p, all, parse_product(p));
    return done(p, all);
}

static struct jinja_node *parse_sum(struct jinja_parser *p)
{
    struct jinja_node *n = parse_concat(p);
    while (p->st == OK) {
        if (jinja_take_op(p, "+"))
            n = two(p, NODE_BINARY, OP_ADD, n, parse_concat(p));
        else if (jinja_take_op(p, "-"))
            n = two(p, NODE_BINARY, OP_SUB, n, parse_concat(p));
        else
            break;
    }
    return n;
}

/* The comparison at the next token, which is taken; or -1. */
static int comparison(struct jinja_parser *p)
{
    static const struct {
        const char *text;
        enum jinja_op op;
    } ops[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT}, {"<=", OP_LE}, {">", OP_GT}, {">=", OP_GE}};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (jinja_take_op(p, ops[i].text)) return (int)ops[i].op;
    if (jinja_take_name(p, "in")) return OP_IN;
    if (jinja_at_name(p, "not") && p->tok[1].kind == T_NAME && jinja_is(p->tok[1].v, "in")) {
        p->tok += 2;
        return OP_NOT_IN;
    }
    return -1;
}

static struct jinja_node *parse_comparison(struct jinja_parser *p)
{
    struct jinja_node *n = parse_sum(p);
    int op = p->st == OK ? comparison(p) : -1;
    if (op < 0) return n;
    struct jinja_node *all = jinja_node_new(p, NODE_COMPARE);
    all->a = n;
    for (; op >= 0 && p->st == OK; op = comparison(p))
        jinja_node_add(p, all, two(p, NODE_COMPARE, op, parse_sum(p), NULL));
    return done(p, all);
}

static struct jinja_node *parse_not(struct jinja_parser *p)
{
    if (!jinja_at_name(p, "not")) return parse_comparison(p);
    if (!enter(p)) return spare(p);
    p->tok++;
    struct jinja_node *n = two(p, NODE_NOT, 0, parse_not(p), NULL);
    p->nesting--;
    return n;
}

static struct jinja_node *parse_and(struct jinja_parser *p)
{
    struct jinja_node *n = parse_not(p);
    while (p->st == OK && jinja_take_name(p, "and")) n = two(p, NODE_AND, 0, n, parse_not(p));
    return n;
}

static struct jinja_node *parse_or(struct jinja_parser *p)
{
    struct jinja_node *n = parse_and(p);
    while (p->st == OK && jinja_take_name(p, "or")) n = two(p, NODE_OR, 0, n, parse_and(p));
    return n;
}

struct jinja_node *jinja_parse_expression(struct jinja_parser *p, bool with_cond)
{
    if (!enter(p)) return spare(p);
    struct jinja_node *n = parse_or(p);
    while (with_cond && p->st == OK && jinja_take_name(p, "if")) {
        struct jinja_node *cond = jinja_node_new(p, NODE_COND);
        cond->b = n;
        cond->a = parse_or(p);
        if (jinja_take_name(p, "else")) cond->c = jinja_parse_expression(p, true);
        n = done(p, cond);
    }
    p->nesting--;
    return n;
}
