/* From tokens to the tree; the rules are those of Go's text/template/parse. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/gotmpl_int.h"

static bool same(struct gt_text a, struct gt_text b)
{
    return a.len == b.len && memcmp(a.s, b.s, a.len) == 0;
}

static struct gt_token *peek(struct gt_parser *p)
{
    while (p->tok->kind == GT_SPACE) p->tok++;
    return p->tok;
}

static bool take(struct gt_parser *p, const char *word)
{
    if (!gt_token_is(peek(p), word)) return false;
    p->tok++;
    return true;
}

static void unexpected(struct gt_parser *p, const char *context)
{
    const struct gt_token *t = peek(p);
    if (t->kind == GT_END)
        gt_parse_fail(p, ERR_FORMAT, "unexpected end of the action in %s", context);
    else
        gt_parse_fail(p, ERR_FORMAT, "unexpected '%.*s' in %s",
                      t->text.len < 60 ? (int)t->text.len : 60, t->text.s, context);
}

/* ---- names ------------------------------------------------------------------------------------
 */

static struct gt_name *add_name(struct gt_parser *p, struct gt_name **list, struct gt_text text)
{
    struct gt_name *n = gt_parse_alloc(p, sizeof *n);
    if (!n) return NULL;
    *n = (struct gt_name){text, *list};
    return *list = n;
}

/* Ollama looks for .messages and .response in any case, with or without their being variables. */
static void note_name(struct gt_parser *p, struct gt_text name)
{
    if (name.len == 8 && strncasecmp(name.s, "messages", 8) == 0) p->t->messages = true;
    if (name.len == 8 && strncasecmp(name.s, "response", 8) == 0) p->t->response = true;
    unsigned count = 0;
    for (struct gt_name *n = p->t->names; n; n = n->next, count++)
        if (same(n->name, name)) return;
    if (count < GT_MAX_NAMES) add_name(p, &p->t->names, name); /* only gotmpl_uses looks there */
}

static bool knows_variable(const struct gt_parser *p, struct gt_text name)
{
    for (const struct gt_name *n = p->vars; n; n = n->next)
        if (same(n->name, name)) return true;
    return false;
}

/* ---- pipelines --------------------------------------------------------------------------------
 */

static void parse_fields(struct gt_parser *p, struct gt_name **at, bool of_dot)
{
    for (; p->tok->kind == GT_FIELD; p->tok++) {
        struct gt_name *n = gt_parse_alloc(p, sizeof *n);
        if (!n) return;
        n->name = p->tok->text;
        *at = n;
        at = &n->next;
        note_name(p, n->name);
        if (of_dot && p->writes && n->name.len == 8 && memcmp(n->name.s, "Response", 8) == 0 &&
            p->t->response_order == UINT32_MAX)
            p->t->response_order = p->order;
    }
}

static void parse_word(struct gt_parser *p, struct gt_term *t)
{
    struct gt_text w = p->tok->text;
    bool yes = gt_token_is(p->tok, "true");
    if (yes || gt_token_is(p->tok, "false")) {
        t->kind = GT_T_BOOL;
        t->i = yes;
    } else if (gt_token_is(p->tok, "nil")) {
        t->kind = GT_T_NIL;
    } else {
        t->kind = GT_T_FUNCTION;
        t->text = w;
        t->function = gt_function_find(w);
        if (!t->function)
            gt_parse_fail(p, ERR_FORMAT, "function \"%.*s\" not defined",
                          w.len < 60 ? (int)w.len : 60, w.s);
    }
    p->tok++;
}

/* NULL: nothing that could be an operand. */
static struct gt_term *parse_term(struct gt_parser *p)
{
    const struct gt_token *k = peek(p);
    struct gt_term *t = gt_parse_alloc(p, sizeof *t);
    if (!t) return NULL;
    switch (k->kind) {
    case GT_FIELD:
        t->kind = GT_T_FIELD;
        parse_fields(p, &t->fields, true);
        return t;
    case GT_VARIABLE:
        t->kind = GT_T_VARIABLE;
        t->text = k->text;
        if (!knows_variable(p, k->text))
            gt_parse_fail(p, ERR_FORMAT, "undefined variable \"%.*s\"",
                          k->text.len < 60 ? (int)k->text.len : 60, k->text.s);
        p->tok++;
        parse_fields(p, &t->fields, false);
        return t;
    case GT_WORD:
        parse_word(p, t);
        break;
    case GT_STRING:
        t->kind = GT_T_STRING;
        t->text = k->text;
        p->tok++;
        break;
    case GT_INTEGER:
    case GT_REAL:
        t->kind = k->kind == GT_REAL ? GT_T_FLOAT : GT_T_INT;
        t->i = k->i;
        t->f = k->f;
        p->tok++;
        break;
    case GT_DOT:
        t->kind = GT_T_DOT;
        p->tok++;
        break;
    default:
        if (!take(p, "(")) return NULL;
        t->kind = GT_T_PIPE;
        t->pipe = gt_parse_pipe(p, "parenthesized pipeline", true);
        if (p->st == OK && !take(p, ")")) unexpected(p, "parenthesized pipeline");
        parse_fields(p, &t->fields, false);
        return t;
    }
    if (p->st == OK && p->tok->kind == GT_FIELD) unexpected(p, "a constant or function");
    return t;
}

static struct gt_command *parse_command(struct gt_parser *p)
{
    struct gt_command *c = gt_parse_alloc(p, sizeof *c);
    struct gt_term **at = c ? &c->args : NULL;
    while (p->st == OK) {
        const struct gt_token *k = peek(p);
        if (k->kind == GT_END || gt_token_is(k, ")") || gt_token_is(k, "|")) break;
        struct gt_term *t = parse_term(p);
        if (!t) {
            unexpected(p, "operand");
            return NULL;
        }
        *at = t;
        at = &t->next;
        c->n++;
        if (p->tok->kind != GT_SPACE && p->tok->kind != GT_END && !gt_token_is(p->tok, ")") &&
            !gt_token_is(p->tok, "|"))
            unexpected(p, "operand");
    }
    if (p->st == OK && c->n == 0) gt_parse_fail(p, ERR_FORMAT, "empty command");
    return p->st == OK ? c : NULL;
}

/* $x :=, $x =, and of a range also $i, $x := */
static void parse_declarations(struct gt_parser *p, struct gt_pipe *pipe, bool range)
{
    while (peek(p)->kind == GT_VARIABLE && pipe->n_decl < 2) {
        struct gt_token *before = p->tok;
        struct gt_text name = p->tok++->text;
        bool declares = gt_token_is(peek(p), ":="), assigns = gt_token_is(p->tok, "=");
        bool another = range && pipe->n_decl == 0 && gt_token_is(p->tok, ",");
        if (!declares && !assigns && !another) {
            if (pipe->n_decl) unexpected(p, "range");
            p->tok = before;
            return;
        }
        p->tok++;
        pipe->assign = assigns;
        pipe->decl[pipe->n_decl++] = name;
        if (++p->n_decls > GT_MAX_NAMES)
            gt_parse_fail(p, ERR_LIMIT, "it declares more than %d variables", GT_MAX_NAMES);
        add_name(p, &p->vars, name);
        if (!another) return;
        if (peek(p)->kind != GT_VARIABLE) {
            gt_parse_fail(p, ERR_FORMAT, "range can only initialize variables");
            return;
        }
    }
}

struct gt_pipe *gt_parse_pipe(struct gt_parser *p, const char *context, bool in_parens)
{
    struct gt_pipe *pipe = gt_parse_alloc(p, sizeof *pipe);
    if (!pipe) return NULL;
    if (++p->nesting > GT_MAX_NESTING) {
        gt_parse_fail(p, ERR_LIMIT, "it nests too deeply");
        return NULL;
    }
    pipe->line = p->line;
    if (!in_parens) p->writes = strcmp(context, "command") == 0;
    parse_declarations(p, pipe, strcmp(context, "range") == 0);
    struct gt_command **at = &pipe->commands;
    if (p->st == OK && (peek(p)->kind == GT_END || gt_token_is(p->tok, ")")))
        gt_parse_fail(p, ERR_FORMAT, "missing value for %s", context);
    while (p->st == OK) {
        struct gt_command *c = parse_command(p);
        if (!c) break;
        enum gt_term_kind first = c->args->kind;
        bool constant = first <= GT_T_STRING;
        if (pipe->commands && constant)
            gt_parse_fail(p, ERR_FORMAT, "non executable command in pipeline");
        *at = c;
        at = &c->next;
        if (!take(p, "|") || peek(p)->kind == GT_END || gt_token_is(p->tok, ")"))
            break; /* Go lets a last | pass */
    }
    if (p->st == OK && !in_parens && peek(p)->kind != GT_END) unexpected(p, context);
    p->nesting--;
    return pipe;
}

/* ---- nodes ------------------------------------------------------------------------------------
 */

enum stop { STOP_EOF, STOP_END, STOP_ELSE };

static enum stop parse_list(struct gt_parser *p, struct gt_node **first, bool top);

static struct gt_node *node_new(struct gt_parser *p, enum gt_node_kind kind)
{
    struct gt_node *n = gt_parse_alloc(p, sizeof *n);
    if (n) *n = (struct gt_node){.kind = kind, .line = p->line, .order = ++p->order};
    return n;
}

/* Behind {{if}}, {{range}} or {{with}}: the pipeline, the lists, the end. */
static void parse_branch(struct gt_parser *p, struct gt_node *n, const char *context)
{
    struct gt_name *outer = p->vars;
    if (++p->nesting > GT_MAX_NESTING) {
        gt_parse_fail(p, ERR_LIMIT, "it nests too deeply");
        return;
    }
    n->pipe = gt_parse_pipe(p, context, false);
    bool range = n->kind == GT_N_RANGE;
    p->loops += range;
    enum stop how = p->st == OK ? parse_list(p, &n->body, false) : STOP_EOF;
    p->loops -= range;
    if (how == STOP_ELSE && p->st == OK) {
        /* {{else if}} and {{else with}} stand for an {{if}} or {{with}} in the else, with one
         * {{end}}. */
        bool is_if = n->kind == GT_N_IF && take(p, "if"),
             is_with = n->kind == GT_N_WITH && take(p, "with");
        if (is_if || is_with) {
            n->otherwise = node_new(p, n->kind);
            if (n->otherwise) parse_branch(p, n->otherwise, context);
            how = STOP_END;
        } else if (peek(p)->kind != GT_END) {
            unexpected(p, "{{else}}");
        } else {
            how = parse_list(p, &n->otherwise, false);
            if (how == STOP_ELSE) gt_parse_fail(p, ERR_FORMAT, "expected end; found {{else}}");
        }
    }
    if (p->st == OK && how == STOP_EOF)
        gt_parse_fail(p, ERR_FORMAT, "{{%s}} without {{end}}", context);
    p->vars = outer;
    p->nesting--;
}

static struct gt_text parse_template_name(struct gt_parser *p, const char *context)
{
    struct gt_text name = {0};
    if (peek(p)->kind != GT_STRING)
        unexpected(p, context);
    else
        name = p->tok++->text;
    return name;
}

static void parse_define(struct gt_parser *p, struct gt_text name)
{
    struct gt_name *outer = p->vars;
    struct gt_define *d = gt_parse_alloc(p, sizeof *d);
    unsigned loops = p->loops;
    if (++p->n_defines > GT_MAX_NAMES)
        gt_parse_fail(p, ERR_LIMIT, "it defines more than %d templates", GT_MAX_NAMES);
    if (!d || p->st != OK) return;
    p->vars = NULL;
    p->loops = 0;
    add_name(p, &p->vars, (struct gt_text){"$", 1});
    *d = (struct gt_define){.name = name};
    if (++p->nesting > GT_MAX_NESTING) gt_parse_fail(p, ERR_LIMIT, "it nests too deeply");
    enum stop how = p->st == OK ? parse_list(p, &d->body, false) : STOP_END;
    if (p->st == OK && how != STOP_END)
        gt_parse_fail(p, ERR_FORMAT, "unexpected {{else}} or end in define clause");
    p->nesting--;
    d->next = p->t->defines; /* the newest of a name counts */
    p->t->defines = d;
    p->vars = outer;
    p->loops = loops;
}

/* {{template "x" pipe}}; a block also defines it. */
static struct gt_node *parse_call(struct gt_parser *p, bool block)
{
    struct gt_node *n = node_new(p, GT_N_TEMPLATE);
    if (!n) return NULL;
    n->text = parse_template_name(p, block ? "block clause" : "template clause");
    if (p->st == OK && (block || peek(p)->kind != GT_END))
        n->pipe = gt_parse_pipe(p, block ? "block clause" : "template clause", false);
    if (block && p->st == OK) parse_define(p, n->text);
    return n;
}

static struct gt_node *parse_jump(struct gt_parser *p, enum gt_node_kind kind)
{
    if (peek(p)->kind != GT_END) unexpected(p, "{{break}} or {{continue}}");
    if (!p->loops)
        gt_parse_fail(p, ERR_FORMAT, "{{%s}} outside {{range}}",
                      kind == GT_N_BREAK ? "break" : "continue");
    return node_new(p, kind);
}

/* One action; *stop where it ends the list. NULL: none of the output's nodes. */
static struct gt_node *parse_action(struct gt_parser *p, bool top, enum stop *stop)
{
    static const struct {
        const char *word;
        enum gt_node_kind kind;
    } branches[] = {{"if", GT_N_IF}, {"range", GT_N_RANGE}, {"with", GT_N_WITH}};
    struct gt_node *n;
    *stop = STOP_EOF;
    for (size_t i = 0; i < 3; i++) {
        if (!take(p, branches[i].word)) continue;
        n = node_new(p, branches[i].kind);
        if (n) parse_branch(p, n, branches[i].word);
        return n;
    }
    if (take(p, "end")) {
        if (peek(p)->kind != GT_END) unexpected(p, "end");
        *stop = STOP_END;
        return NULL;
    }
    if (take(p, "else")) {
        *stop = STOP_ELSE;
        return NULL;
    }
    if (take(p, "template")) return parse_call(p, false);
    if (take(p, "block")) return parse_call(p, true);
    if (take(p, "break")) return parse_jump(p, GT_N_BREAK);
    if (take(p, "continue")) return parse_jump(p, GT_N_CONTINUE);
    if (gt_token_is(peek(p), "define")) {
        if (!top) {
            unexpected(p, "command");
            return NULL;
        }
        p->tok++;
        struct gt_text name = parse_template_name(p, "define clause");
        if (p->st == OK) parse_define(p, name);
        return NULL;
    }
    n = node_new(p, GT_N_ACTION);
    if (n) n->pipe = gt_parse_pipe(p, "command", false);
    return n;
}

static enum stop parse_list(struct gt_parser *p, struct gt_node **first, bool top)
{
    struct gt_node **at = first;
    while (p->st == OK) {
        struct gt_text text;
        bool action = gt_lex_next(p, &text);
        if (text.len && p->st == OK) {
            struct gt_node *n = node_new(p, GT_N_TEXT);
            if (!n) break;
            n->text = text;
            *at = n;
            at = &n->next;
        }
        if (!action || p->st != OK) return STOP_EOF;
        if (!p->tok) continue; /* a comment */
        enum stop stop;
        struct gt_node *n = parse_action(p, top, &stop);
        if (stop != STOP_EOF && top)
            gt_parse_fail(p, ERR_FORMAT, "unexpected {{%s}}", stop == STOP_END ? "end" : "else");
        if (stop != STOP_EOF) return stop;
        if (!n) continue;
        *at = n;
        at = &n->next;
    }
    return STOP_EOF;
}

/* A template without either is one round of a conversation: its answer goes to its end. */
static void append_response(struct gt_parser *p)
{
    static const char source[] = "{{ .Response }}";
    struct gt_node **at = &p->t->body;
    while (*at) at = &(*at)->next;
    p->at = source;
    p->end = source + sizeof source - 1;
    p->trim = false;
    p->t->own_order = p->order;
    parse_list(p, at, true);
}

enum status gotmpl_compile(const char *source, size_t len, struct gotmpl **out, struct error *err)
{
    struct error unwanted = {0};
    if (!err) err = &unwanted;
    *out = NULL;
    if (len > GT_MAX_SOURCE)
        return error_set(err, ERR_LIMIT, "the template has more than %d bytes", GT_MAX_SOURCE);
    struct gotmpl *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, ERR_NOMEM, "no memory for the template");
    t->arena.max = (1 << 20) + 256 * len;
    t->response_order = t->own_order = UINT32_MAX;
    struct gt_parser p = {.t = t, .line = 1, .err = err};
    char *copy = gt_parse_alloc(&p, len + 1);
    if (copy) {
        if (len) memcpy(copy, source, len);
        p.at = copy;
        p.end = copy + len;
        add_name(&p, &p.vars, (struct gt_text){"$", 1});
        parse_list(&p, &t->body, true);
        if (p.st == OK && !t->messages && !t->response) append_response(&p);
    }
    if (p.st != OK) {
        gotmpl_destroy(t);
        return p.st;
    }
    *out = t;
    return OK;
}

void gotmpl_destroy(struct gotmpl *t)
{
    if (!t) return;
    jinja_arena_fini(&t->arena);
    free(t);
}

bool gotmpl_uses(const struct gotmpl *t, const char *name)
{
    for (const struct gt_name *n = t->names; n; n = n->next)
        if (same(n->name, (struct gt_text){name, strlen(name)})) return true;
    return false;
}
