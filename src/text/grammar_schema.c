/* JSON Schema (draft 2020-12) as a grammar: one rule for each set of claims on a value. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_regex.h"
#include "text/schema_int.h"

static int by_claim(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    if (x->schema != y->schema) return x->schema < y->schema ? -1 : 1;
    return x->not - y->not;
}

/* Schemas that are always true claim nothing. */
static void drop_empty(struct claims *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const json_t *s = c->list[i].schema;
        bool empty = !c->list[i].not && (json_is_true(s) || (json_is_object(s) && json_object_size(s) == 0));
        if (!empty) c->list[n++] = c->list[i];
    }
    c->n = n;
}

static void need_any(struct schema *x)
{
    if (x->any_value == FA_NONE) grammar_json_any(x->b, &x->any_value, &x->any_object);
}

uint32_t schema_want(struct schema *x, struct claims *claims)
{
    drop_empty(claims);
    if (claims->n == 0) {
        claims_fini(claims);
        need_any(x);
        return x->any_value;
    }
    qsort(claims->list, claims->n, sizeof *claims->list, by_claim);
    for (size_t i = 0; i < x->n_wanted; i++)
        if (x->wanted[i].claims.n == claims->n &&
            memcmp(x->wanted[i].claims.list, claims->list, claims->n * sizeof *claims->list) == 0) {
            claims_fini(claims);
            return x->wanted[i].rule;
        }
    if (!fa_spend(&x->b->budget, 1 + x->n_wanted / 64) ||
        !fa_grow(&x->b->budget, &x->wanted, x->n_wanted, &x->cap_wanted, sizeof *x->wanted)) {
        claims_fini(claims);
        return 0;
    }
    uint32_t rule = grammar_rule_add(x->b);
    x->wanted[x->n_wanted++] = (struct wanted){*claims, rule};
    *claims = (struct claims){0};
    return rule;
}

/* ---- a value ------------------------------------------------------------------------------------
 */

struct value {
    struct nfa a;
    uint32_t start, end;
};

static bool any_object(const struct term *t)
{
    return t->groups.n == 0 && t->n_members == 0 && t->n_required == 0 && t->n_forbidden == 0 &&
           t->names.n == 0 && t->min_members == 0 && t->max_members == SIZE_MAX;
}

static uint32_t string_rule(struct schema *x, const struct term *t)
{
    if (t->any_string && x->any_string != FA_NONE) return x->any_string;
    struct nfa a = {.budget = &x->b->budget};
    struct dfa all;
    uint32_t from = nfa_state(&a), to = nfa_state(&a), rule = grammar_rule_add(x->b);
    if (t->any_string) {
        dfa_all(&x->b->budget, &all);
        x->any_string = rule;
        grammar_json_string(&all, &a, from, to);
        dfa_fini(&all);
    } else if (schema_good(x)) {
        grammar_json_string(&t->string, &a, from, to);
    }
    grammar_rule_define(x->b, rule, &a, from, to);
    nfa_fini(&a);
    return rule;
}

static void add_term(struct schema *x, void *ctx, struct term *t)
{
    struct value *v = ctx;
    struct nfa *a = &v->a;
    if (t->types & TYPE_NULL) nfa_bytes(a, v->start, "null", 4, v->end);
    if (t->types & TYPE_TRUE) nfa_bytes(a, v->start, "true", 4, v->end);
    if (t->types & TYPE_FALSE) nfa_bytes(a, v->start, "false", 5, v->end);
    if (t->types & TYPE_NUMBER) {
        static const char number[] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?";
        struct dfa any = {0};
        if (t->any_number)
            regex_compile(number, sizeof number - 1, false, 64, &x->b->budget, &any, x->b->err);
        if (schema_good(x)) dfa_into(t->any_number ? &any : &t->number, a, v->start, v->end);
        dfa_fini(&any);
    }
    if (t->types & TYPE_STRING) nfa_call(a, v->start, string_rule(x, t), v->end);
    if (t->types & TYPE_ARRAY && schema_good(x)) {
        uint32_t rule = schema_array(x, t);
        if (schema_good(x)) nfa_call(a, v->start, rule, v->end);
    }
    if (t->types & TYPE_OBJECT && schema_good(x)) {
        if (any_object(t)) need_any(x);
        uint32_t rule = any_object(t) ? x->any_object : schema_object(x, t);
        if (schema_good(x) && rule != FA_NONE) nfa_call(a, v->start, rule, v->end);
    }
}

static void make_rule(struct schema *x, size_t i)
{
    struct value v = {.a = {.budget = &x->b->budget}};
    struct claims claims = x->wanted[i].claims; /* the list may move, its claims do not */
    uint32_t rule = x->wanted[i].rule;
    v.start = nfa_state(&v.a);
    v.end = nfa_state(&v.a);
    schema_expand(x, &claims, add_term, &v);
    if (schema_good(x)) grammar_rule_define(x->b, rule, &v.a, v.start, v.end);
    nfa_fini(&v.a);
}

/* ---- the document -------------------------------------------------------------------------------
 */

static bool too_deep(const json_t *v, size_t left)
{
    const json_t *item;
    const char *key;
    size_t i;
    if (left == 0) return true;
    json_array_foreach((json_t *)v, i, item) if (too_deep(item, left - 1)) return true;
    json_object_foreach((json_t *)v, key, item) if (too_deep(item, left - 1)) return true;
    return false;
}

static enum status load(struct grammar_build *b, const char *text, size_t len, json_t **root)
{
    json_error_t why;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES;
    *root = json_loadb(text, len, flags, &why);
    if (!*root && json_error_code(&why) == json_error_numeric_overflow)
        *root = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &why);
    /* Jansson does not always say so; a mistake of the text always has a text. */
    if (!*root && (json_error_code(&why) == json_error_out_of_memory || !why.text[0]))
        return error_set(b->err, ERR_NOMEM, "no memory for the schema");
    if (!*root && json_error_code(&why) == json_error_stack_overflow)
        return error_set(b->err, ERR_LIMIT, "nested deeper than %zu", b->limits->max_depth);
    if (!*root)
        return error_set(b->err, ERR_FORMAT, "not JSON: %s, line %d, column %d", why.text, why.line,
                         why.column);
    if (!json_is_object(*root) && !json_is_boolean(*root))
        return error_set(b->err, ERR_FORMAT, "a schema is an object, true or false");
    if (too_deep(*root, b->limits->max_depth))
        return error_set(b->err, ERR_LIMIT, "nested deeper than %zu", b->limits->max_depth);
    const char *dialect = json_string_value(json_object_get(*root, "$schema"));
    if (dialect && !strstr(dialect, "json-schema.org/"))
        return error_set(b->err, ERR_UNSUPPORTED, "$schema at #/$schema: '%.200s' is a dialect that is not "
                         "known", dialect);
    return OK;
}

static enum status build(struct grammar_build *b, const char *text, size_t len, uint32_t *root)
{
    struct schema x = {.b = b, .any_value = FA_NONE, .any_object = FA_NONE, .any_string = FA_NONE,
                       .any_array = FA_NONE};
    enum status st = load(b, text, len, &x.root);
    if (st != OK) goto out;
    x.made = json_array();
    if (!x.made) {
        st = error_set(b->err, ERR_NOMEM, "no memory for the schema");
        goto out;
    }
    schema_index(&x);
    struct claims all = {0};
    claims_add(&x, &all, (struct claim){x.root, false});
    if (schema_good(&x)) *root = schema_want(&x, &all);
    claims_fini(&all);
    for (size_t i = 0; i < x.n_wanted && schema_good(&x); i++) make_rule(&x, i);
    st = x.st != OK ? x.st : grammar_build_status(b);
out:
    for (size_t i = 0; i < x.n_wanted; i++) claims_fini(&x.wanted[i].claims);
    free(x.wanted);
    schema_index_fini(&x);
    json_decref(x.made);
    json_decref(x.root);
    return st;
}

const struct grammar_front grammar_front_schema = {GRAMMAR_JSON_SCHEMA, "JSON schema", build};
