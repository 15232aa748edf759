/* Objects of JSON schemas. Keys that some schema names are members of their own; all others fall into
 * classes by the patterns that they match. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_regex.h"
#include "text/schema_int.h"

enum { MAX_PATTERNS = 8, MAX_COUNT = 10000 };

struct pattern {
    const char *text; /* of the document */
    struct dfa dfa;
};

struct object {
    struct schema *x;
    const struct term *t;
    const char **keys; /* that are named */
    size_t n_keys, cap_keys;
    struct pattern patterns[MAX_PATTERNS];
    size_t n_patterns;
    bool any_name;
    struct dfa names; /* keys that propertyNames allows; with any_name: all */
    struct grammar_object out;
    size_t cap_members, cap_extras;
    bool impossible;
};

static void add_key(struct object *o, const char *key)
{
    for (size_t i = 0; i < o->n_keys; i++)
        if (strcmp(o->keys[i], key) == 0) return;
    if (fa_grow(&o->x->b->budget, &o->keys, o->n_keys, &o->cap_keys, sizeof *o->keys))
        o->keys[o->n_keys++] = key;
}

static void add_pattern(struct object *o, const json_t *schema, const char *text)
{
    struct error why = {0};
    struct schema *x = o->x;
    for (size_t i = 0; i < o->n_patterns; i++)
        if (strcmp(o->patterns[i].text, text) == 0) return;
    if (o->n_patterns == MAX_PATTERNS) {
        schema_fail(x, ERR_LIMIT, schema, "patternProperties", "more than %d patterns for one object",
                    MAX_PATTERNS);
        return;
    }
    struct pattern *p = &o->patterns[o->n_patterns++];
    p->text = text;
    enum status st = regex_compile(text, strlen(text), true, x->b->limits->max_depth, &x->b->budget,
                                   &p->dfa, &why);
    if (st != OK && x->b->budget.st == OK) schema_fail(x, st, schema, "patternProperties", "%s", why.msg);
}

static void collect(struct object *o)
{
    const struct term *t = o->t;
    const json_t *v;
    const char *key;
    for (size_t i = 0; i < t->groups.n && schema_good(o->x); i++) {
        const json_t *s = t->groups.list[i].schema;
        json_object_foreach(json_object_get(s, "properties"), key, v) add_key(o, key);
        json_object_foreach(json_object_get(s, "patternProperties"), key, v) add_pattern(o, s, key);
    }
    for (size_t i = 0; i < t->n_required; i++) add_key(o, t->required[i]);
    for (size_t i = 0; i < t->n_forbidden; i++) add_key(o, t->forbidden[i]);
    for (size_t i = 0; i < t->n_members; i++) add_key(o, t->members[i].key);
}

static void add_names(struct schema *x, void *ctx, struct term *t)
{
    struct object *o = ctx;
    struct dfa all, sum;
    if (!(t->types & TYPE_STRING)) return;
    if (t->any_string)
        dfa_all(&x->b->budget, &all);
    else
        all = t->string;
    dfa_combine(&o->names, &all, FA_OR, &x->b->budget, &sum);
    dfa_fini(&o->names);
    o->names = sum;
    if (t->any_string) dfa_fini(&all);
}

static bool listed(const char **list, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], key) == 0) return true;
    return false;
}

/* What is claimed of the value of a key: a named one, or (key = NULL) one that matches the patterns of
 * the set `in`. False where there cannot be such a member. */
static bool claims_of_member(struct object *o, const char *key, unsigned in, struct claims *c)
{
    const struct term *t = o->t;
    for (size_t i = 0; i < t->groups.n; i++) {
        const json_t *s = t->groups.list[i].schema, *v;
        const json_t *named = key ? json_object_get(json_object_get(s, "properties"), key) : NULL;
        const json_t *rest = json_object_get(s, "additionalProperties");
        const char *text;
        bool found = named != NULL;
        if (named) claims_add(o->x, c, (struct claim){named, false});
        json_object_foreach(json_object_get(s, "patternProperties"), text, v)
            for (size_t p = 0; p < o->n_patterns; p++)
                if (in >> p & 1 && strcmp(o->patterns[p].text, text) == 0) {
                    claims_add(o->x, c, (struct claim){v, false});
                    found = true;
                }
        if (!found && rest) claims_add(o->x, c, (struct claim){rest, false});
    }
    for (size_t i = 0; key && i < t->n_members; i++)
        if (strcmp(t->members[i].key, key) == 0) claims_add(o->x, c, t->members[i].claim);
    for (size_t i = 0; i < c->n; i++)
        if (json_is_boolean(c->list[i].schema) && json_is_true(c->list[i].schema) == c->list[i].not)
            return false;
    return true;
}

/* The rule of "key": value. */
static uint32_t member_rule(struct object *o, const struct dfa *key, struct claims *c)
{
    struct schema *x = o->x;
    uint32_t value = schema_want(x, c), space = grammar_json_space(x->b), rule = grammar_rule_add(x->b);
    struct nfa a = {.budget = &x->b->budget};
    uint32_t s[6];
    for (int i = 0; i < 6; i++) s[i] = nfa_state(&a);
    if (schema_good(x)) {
        grammar_json_string(key, &a, s[0], s[1]);
        nfa_call(&a, s[1], space, s[2]);
        nfa_edge(&a, s[2], ':', ':', s[3]);
        nfa_call(&a, s[3], space, s[4]);
        nfa_call(&a, s[4], value, s[5]);
        grammar_rule_define(x->b, rule, &a, s[0], s[5]);
    }
    nfa_fini(&a);
    return rule;
}

static void add_member(struct object *o, const char *key)
{
    struct schema *x = o->x;
    const struct term *t = o->t;
    struct claims c = {0};
    unsigned in = 0;
    bool required = listed(t->required, t->n_required, key);
    for (size_t p = 0; p < o->n_patterns; p++)
        in |= (unsigned)schema_matches(&o->patterns[p].dfa, key, strlen(key)) << p;
    bool possible = !listed(t->forbidden, t->n_forbidden, key) &&
                    (o->any_name || schema_matches(&o->names, key, strlen(key))) &&
                    claims_of_member(o, key, in, &c);
    if (!possible) {
        o->impossible |= required;
        claims_fini(&c);
        return;
    }
    if (o->out.n_members == GRAMMAR_MAX_MEMBERS) {
        claims_fini(&c);
        schema_fail(x, ERR_LIMIT, t->groups.n ? t->groups.list[0].schema : x->root, "properties",
                    "more than %d properties of one object", GRAMMAR_MAX_MEMBERS);
        return;
    }
    struct dfa name;
    schema_literal(x, key, strlen(key), &name);
    uint32_t rule = member_rule(o, &name, &c);
    dfa_fini(&name);
    if (schema_good(x) && fa_grow(&x->b->budget, &o->out.members, o->out.n_members, &o->cap_members,
                                  sizeof *o->out.members))
        o->out.members[o->out.n_members++] = (struct grammar_member){rule, required};
}

/* Keys of `left` that match the patterns of `in` among those before `p`, divided by the next one. */
static void add_class(struct object *o, const struct dfa *left, size_t p, unsigned in)
{
    struct schema *x = o->x;
    if (!schema_good(x) || left->n == 0) return;
    if (p < o->n_patterns) {
        for (unsigned matches = 0; matches < 2; matches++) {
            struct dfa part;
            dfa_combine(left, &o->patterns[p].dfa, matches ? FA_AND : FA_BUT, &x->b->budget, &part);
            add_class(o, &part, p + 1, in | matches << p);
            dfa_fini(&part);
        }
        return;
    }
    struct claims c = {0};
    if (!claims_of_member(o, NULL, in, &c)) {
        claims_fini(&c);
        return;
    }
    uint32_t rule = member_rule(o, left, &c);
    if (schema_good(x) && fa_grow(&x->b->budget, &o->out.extras, o->out.n_extras, &o->cap_extras,
                                  sizeof *o->out.extras))
        o->out.extras[o->out.n_extras++] = rule;
}

static void add_others(struct object *o)
{
    struct schema *x = o->x;
    struct nfa a = {.budget = &x->b->budget};
    struct dfa base, named, left;
    uint32_t start = nfa_state(&a), end = nfa_state(&a);
    for (size_t i = 0; i < o->n_keys && schema_good(x); i++) {
        struct dfa key;
        schema_literal(x, o->keys[i], strlen(o->keys[i]), &key);
        dfa_into(&key, &a, start, end);
        dfa_fini(&key);
    }
    dfa_from_nfa(&a, start, end, &named);
    nfa_fini(&a);
    if (o->any_name)
        dfa_all(&x->b->budget, &base);
    else
        base = o->names;
    dfa_combine(&base, &named, FA_BUT, &x->b->budget, &left);
    add_class(o, &left, 0, 0);
    dfa_fini(&left);
    dfa_fini(&named);
    if (o->any_name) dfa_fini(&base);
}

/* Counts that a grammar cannot keep. */
static void check_counts(struct object *o)
{
    const struct term *t = o->t;
    size_t required = 0;
    for (size_t i = 0; i < o->out.n_members; i++) required += o->out.members[i].required;
    o->out.min = t->min_members;
    o->out.max = t->max_members;
    if (o->out.n_extras == 0 && o->out.max >= o->out.n_members) o->out.max = SIZE_MAX;
    if (o->out.n_extras && o->out.min > required + 1)
        schema_fail(o->x, ERR_UNSUPPORTED, t->min_by, "minProperties",
                    "no grammar can tell whether free keys differ: at most one property more than the "
                    "required ones can be asked for, unless additionalProperties is false");
    if (o->out.max != SIZE_MAX && o->out.max > MAX_COUNT)
        schema_fail(o->x, ERR_LIMIT, t->max_by, "maxProperties", "more than %d", MAX_COUNT);
}

uint32_t schema_object(struct schema *x, const struct term *t)
{
    struct object o = {.x = x, .t = t, .any_name = t->names.n == 0};
    uint32_t rule = FA_NONE;
    grammar_json_space(x->b);
    collect(&o);
    if (!o.any_name) schema_expand(x, &t->names, add_names, &o);
    for (size_t i = 0; i < o.n_keys && schema_good(x) && !o.impossible; i++) add_member(&o, o.keys[i]);
    if (schema_good(x) && !o.impossible) add_others(&o);
    if (schema_good(x) && !o.impossible) check_counts(&o);
    if (schema_good(x) && !o.impossible) {
        rule = grammar_rule_add(x->b);
        grammar_rule_define_object(x->b, rule, &o.out);
    } else {
        free(o.out.members);
        free(o.out.extras);
    }
    for (size_t i = 0; i < o.n_patterns; i++) dfa_fini(&o.patterns[i].dfa);
    dfa_fini(&o.names);
    free(o.keys);
    return rule;
}
