/* GBNF, llama.cpp's notation of grammars (its grammars/README.md), as of 2025: without the newer terms
 * for single tokens. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_ast.h"
#include "text/grammar_int.h"
#include "text/utf8_int.h"

enum { MAX_REPEAT = 100000, INLINE_WEIGHT = 600, INLINE_ROUNDS = 24, INLINE_STATES = 20000 };

struct symbol {
    const char *name;
    size_t len, line; /* line: of its first use */
    uint32_t root;    /* its expression, or FA_NONE */
    uint32_t rule;
    uint32_t next; /* with the same hash */
};

struct parser {
    struct grammar_build *b;
    struct ast tree;
    const char *text;
    size_t len, at, line;
    size_t depth;
    struct symbol *symbols;
    size_t n_symbols, cap_symbols;
    uint32_t table[4096];
    enum status st;
};

static uint32_t fail(struct parser *p, enum status st, const char *what)
{
    if (p->st == OK && p->b->budget.st == OK)
        p->st = error_set(p->b->err, st, "line %zu: %s", p->line, what);
    return 0;
}

static bool good(const struct parser *p)
{
    return p->st == OK && p->b->budget.st == OK;
}

static char peek(const struct parser *p)
{
    return p->at < p->len ? p->text[p->at] : 0;
}

static bool take(struct parser *p, char c)
{
    if (p->at >= p->len || p->text[p->at] != c) return false;
    p->at++;
    return true;
}

static void skip_space(struct parser *p, bool lines)
{
    while (p->at < p->len) {
        char c = p->text[p->at];
        if (c == '#') {
            while (p->at < p->len && p->text[p->at] != '\n' && p->text[p->at] != '\r') p->at++;
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            p->line += c == '\n';
            p->at++;
        } else {
            break;
        }
    }
}

/* ---- names --------------------------------------------------------------------------------------
 */

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static uint32_t symbol_of(struct parser *p, const char *name, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
    uint32_t *slot = &p->table[h % (sizeof p->table / sizeof *p->table)];
    for (uint32_t i = *slot; i; i = p->symbols[i - 1].next)
        if (p->symbols[i - 1].len == len && memcmp(p->symbols[i - 1].name, name, len) == 0)
            return i - 1;
    if (!fa_grow(&p->b->budget, &p->symbols, p->n_symbols, &p->cap_symbols, sizeof *p->symbols))
        return 0;
    p->symbols[p->n_symbols] =
        (struct symbol){name, len, p->line, FA_NONE, grammar_rule_add(p->b), *slot};
    *slot = (uint32_t)++p->n_symbols;
    return *slot - 1;
}

static uint32_t parse_name(struct parser *p)
{
    size_t start = p->at;
    while (p->at < p->len && in_name(p->text[p->at])) p->at++;
    if (p->at == start) return fail(p, ERR_FORMAT, "a rule's name is expected");
    return symbol_of(p, p->text + start, p->at - start);
}

/* ---- characters ---------------------------------------------------------------------------------
 */

static uint32_t hex(struct parser *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        char c = peek(p);
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) return fail(p, ERR_FORMAT, "hexadecimal digits are missing");
        v = v << 4 | (uint32_t)d;
        p->at++;
    }
    return v <= FA_MAX_POINT ? v : fail(p, ERR_FORMAT, "no such code point");
}

static uint32_t parse_char(struct parser *p)
{
    if (p->at >= p->len) return fail(p, ERR_FORMAT, "the text ends inside of a literal");
    if (!take(p, '\\')) {
        size_t n = utf8_sequence(p->text + p->at, p->len - p->at);
        if (n == 0) return fail(p, ERR_FORMAT, "bytes that are not UTF-8");
        uint32_t c = utf8_decode(p->text + p->at, n);
        p->line += c == '\n';
        p->at += n;
        return c;
    }
    char c = peek(p);
    p->at++;
    switch (c) {
    case 'x': return hex(p, 2);
    case 'u': return hex(p, 4);
    case 'U': return hex(p, 8);
    case 't': return '\t';
    case 'r': return '\r';
    case 'n': return '\n';
    case '\\': case '"': case '[': case ']': case '-': case '^': return (unsigned char)c;
    default: return fail(p, ERR_FORMAT, "an escape that is not known");
    }
}

static uint32_t parse_literal(struct parser *p)
{
    uint32_t seq = ast_node(&p->tree, AST_SEQ, 0, 0);
    while (good(p) && peek(p) != '"') ast_append(&p->tree, seq, ast_point(&p->tree, parse_char(p)));
    if (!take(p, '"')) fail(p, ERR_FORMAT, "a \" without its end");
    return seq;
}

static uint32_t parse_class(struct parser *p)
{
    size_t first = p->tree.n_ranges;
    bool not = take(p, '^');
    while (good(p) && peek(p) != ']') {
        uint32_t lo = parse_char(p), hi = lo;
        if (peek(p) == '-' && p->at + 1 < p->len && p->text[p->at + 1] != ']') {
            p->at++;
            hi = parse_char(p);
        }
        if (hi < lo) return fail(p, ERR_FORMAT, "a range that ends before it begins");
        ast_range(&p->tree, lo, hi);
    }
    if (!take(p, ']')) return fail(p, ERR_FORMAT, "a [ without its ]");
    return ast_set(&p->tree, first, not);
}

/* ---- structure ----------------------------------------------------------------------------------
 */

static uint32_t parse_alternatives(struct parser *p, bool nested);

static bool number(struct parser *p, uint32_t *out)
{
    size_t start = p->at;
    *out = 0;
    while (peek(p) >= '0' && peek(p) <= '9') {
        if (*out <= MAX_REPEAT) *out = *out * 10 + (uint32_t)(peek(p) - '0');
        p->at++;
    }
    return p->at > start;
}

static bool parse_counts(struct parser *p, bool nested, uint32_t *min, uint32_t *max)
{
    skip_space(p, nested);
    bool low = number(p, min);
    skip_space(p, nested);
    *max = *min;
    bool open = take(p, ',');
    if (open) {
        skip_space(p, nested);
        if (!number(p, max)) *max = AST_MANY;
        skip_space(p, nested);
    }
    if ((!low && !open) || !take(p, '}')) {
        fail(p, ERR_FORMAT, "a repetition is {m}, {m,}, {,n} or {m,n}");
        return false;
    }
    if (*max < *min) fail(p, ERR_FORMAT, "a repetition of fewer than its least");
    if (*min > MAX_REPEAT || (*max > MAX_REPEAT && *max != AST_MANY))
        fail(p, ERR_LIMIT, "a repetition of more than 100000");
    return good(p);
}

static uint32_t parse_atom(struct parser *p)
{
    uint32_t node;
    char c = peek(p);
    if (take(p, '"')) return parse_literal(p);
    if (take(p, '[')) return parse_class(p);
    if (take(p, '.')) {
        size_t first = p->tree.n_ranges;
        ast_range(&p->tree, 0, FA_MAX_POINT);
        return ast_set(&p->tree, first, false);
    }
    if (take(p, '(')) {
        if (++p->depth > p->b->limits->max_depth)
            return fail(p, ERR_LIMIT, "too many parentheses in each other");
        skip_space(p, true);
        node = parse_alternatives(p, true);
        p->depth--;
        if (!take(p, ')')) return fail(p, ERR_FORMAT, "a ( without its )");
        return node;
    }
    if (c == '<' || c == '!')
        return fail(p, ERR_UNSUPPORTED, "terms for single tokens (<...>) are not supported");
    return ast_node(&p->tree, AST_CALL, parse_name(p), 0);
}

static bool begins_atom(char c)
{
    return in_name(c) || c == '"' || c == '[' || c == '(' || c == '.' || c == '<' || c == '!';
}

static uint32_t parse_sequence(struct parser *p, bool nested)
{
    uint32_t seq = ast_node(&p->tree, AST_SEQ, 0, 0);
    while (good(p) && p->at < p->len && begins_atom(peek(p))) {
        uint32_t node = parse_atom(p), times = 0;
        skip_space(p, nested);
        while (good(p) && p->at < p->len && strchr("*+?{", peek(p))) {
            char c = p->text[p->at++];
            uint32_t min = c == '+', max = c == '?' ? 1 : AST_MANY;
            if (c == '{' && !parse_counts(p, nested, &min, &max)) return 0;
            uint32_t repeat = ast_node(&p->tree, AST_REPEAT, min, max);
            ast_append(&p->tree, repeat, node);
            node = repeat;
            skip_space(p, nested);
            if (++times > p->b->limits->max_depth)
                return fail(p, ERR_LIMIT, "too many repetitions in a row");
        }
        ast_append(&p->tree, seq, node);
    }
    return seq;
}

static uint32_t parse_alternatives(struct parser *p, bool nested)
{
    uint32_t alt = ast_node(&p->tree, AST_ALT, 0, 0);
    for (;;) {
        ast_append(&p->tree, alt, parse_sequence(p, nested));
        if (!good(p) || !take(p, '|')) return alt;
        skip_space(p, true);
    }
}

static void parse_rule(struct parser *p)
{
    uint32_t s = parse_name(p);
    skip_space(p, false);
    if (!good(p)) return;
    if (p->len - p->at < 3 || memcmp(p->text + p->at, "::=", 3) != 0) {
        fail(p, ERR_FORMAT, "::= is expected behind the rule's name");
        return;
    }
    p->at += 3;
    skip_space(p, true);
    if (p->symbols[s].root != FA_NONE) {
        fail(p, ERR_FORMAT, "this rule is written twice");
        return;
    }
    uint32_t root = parse_alternatives(p, false);
    if (!good(p)) return;
    p->symbols[s].root = root;
    if (p->at < p->len && peek(p) != '\n' && peek(p) != '\r')
        fail(p, ERR_FORMAT, "unexpected character: a rule ends with its line");
    skip_space(p, true);
}

/* ---- rules that are written into those that use them --------------------------------------------
 */

/* How large an expression is where its rules are written out; SIZE_MAX: one of them cannot be. */
static size_t weigh(const struct ast *t, uint32_t node, const uint32_t *inlined, const size_t *weight)
{
    const struct ast_node *n = &t->nodes[node];
    size_t sum = 1;
    if (n->type == AST_CALL) return inlined[n->a] == FA_NONE ? SIZE_MAX : weight[n->a];
    for (uint32_t c = n->child; c != FA_NONE; c = t->nodes[c].next) {
        size_t w = weigh(t, c, inlined, weight);
        if (w > INLINE_WEIGHT) return SIZE_MAX;
        sum += w;
        if (sum > INLINE_WEIGHT) return SIZE_MAX;
    }
    if (n->type == AST_REPEAT) sum *= n->b == AST_MANY ? n->a + 1 : n->b ? n->b : 1;
    return sum > INLINE_WEIGHT ? SIZE_MAX : sum;
}

/* Small rules that only use such rules, from the innermost on. By rule number. */
static uint32_t *choose_inlined(struct parser *p)
{
    size_t n = p->b->n_rules;
    uint32_t *inlined = fa_realloc(&p->b->budget, NULL, n, sizeof *inlined);
    size_t *weight = fa_realloc(&p->b->budget, NULL, n, sizeof *weight);
    if (inlined && weight) {
        for (size_t i = 0; i < n; i++) inlined[i] = FA_NONE;
        bool changed = true;
        for (int round = 0; round < INLINE_ROUNDS && changed && fa_spend(&p->b->budget, 0); round++) {
            changed = false;
            for (size_t i = 0; i < p->n_symbols; i++) {
                struct symbol *s = &p->symbols[i];
                if (inlined[s->rule] != FA_NONE) continue;
                size_t w = weigh(&p->tree, s->root, inlined, weight);
                if (w == SIZE_MAX) continue;
                inlined[s->rule] = s->root;
                weight[s->rule] = w;
                changed = true;
            }
        }
    }
    free(weight);
    return inlined;
}

/* Written out, an expression may need far more states than its parts: then its rules are called. */
static void define(struct parser *p, const struct symbol *s, const uint32_t *inlined)
{
    struct fa_budget *budget = &p->b->budget;
    for (int plain = 0; plain < 2; plain++) {
        struct fa_budget before = *budget;
        struct nfa a = {.budget = budget};
        size_t most = plain || budget->states < INLINE_STATES ? budget->states : INLINE_STATES;
        budget->states = most;
        uint32_t start = nfa_state(&a), end = nfa_state(&a);
        ast_emit(&(struct ast_emit){&p->tree, &a, true, plain ? NULL : inlined}, s->root, start, end);
        grammar_rule_define(p->b, s->rule, &a, start, end);
        nfa_fini(&a);
        if (budget->st == ERR_LIMIT && !plain && before.states > INLINE_STATES) {
            *budget = before;
            continue;
        }
        budget->states += before.states - most;
        return;
    }
}

static enum status build(struct grammar_build *b, const char *text, size_t len, uint32_t *root)
{
    struct parser *p = fa_realloc(&b->budget, NULL, 1, sizeof *p);
    if (!p) return grammar_build_status(b);
    *p = (struct parser){.b = b, .tree = {.budget = &b->budget}, .text = text, .len = len, .line = 1};
    uint32_t *inlined = NULL;
    skip_space(p, true);
    while (good(p) && p->at < p->len) parse_rule(p);
    for (size_t i = 0; good(p) && i < p->n_symbols; i++)
        if (p->symbols[i].root == FA_NONE) {
            const struct symbol *s = &p->symbols[i];
            p->st = error_set(b->err, ERR_FORMAT, "line %zu: the rule '%.*s' is used, but not written",
                              s->line, (int)(s->len < 100 ? s->len : 100), s->name);
        }
    uint32_t root_symbol = good(p) ? symbol_of(p, "root", 4) : 0;
    if (good(p) && p->symbols[root_symbol].root == FA_NONE)
        p->st = error_set(b->err, ERR_FORMAT, "there is no rule 'root'");
    if (good(p)) inlined = choose_inlined(p);
    for (size_t i = 0; good(p) && inlined && i < p->n_symbols; i++)
        define(p, &p->symbols[i], inlined);
    if (good(p)) *root = p->symbols[root_symbol].rule;
    enum status st = p->st;
    free(inlined);
    free(p->symbols);
    ast_fini(&p->tree);
    free(p);
    return st == OK ? grammar_build_status(b) : st;
}

const struct grammar_front grammar_front_gbnf = {GRAMMAR_GBNF, "grammar", build};
