/* Claims taken apart into terms. A keyword is one line of the table below: what it adds to a term where
 * it must hold, and what where it must not. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_regex.h"
#include "text/schema_int.h"

enum { MAX_TERMS = 2000, MAX_PENDING = 4000 };

/* A claim that is still to be taken apart, with those that led to it. */
struct pending {
    struct claim claim;
    const struct keyword *keyword; /* only that one of the schema; NULL: all */
    uint32_t parent, next;         /* in the arena; FA_NONE */
};

struct expansion {
    struct schema *x;
    void (*fn)(struct schema *x, void *ctx, struct term *t);
    void *ctx;
    struct pending *arena;
    size_t n_arena, cap_arena;
    size_t n_terms, depth;
};

/* What is being worked on: a term, and a list of claims to come. */
struct branch {
    struct expansion *e;
    struct term *t;
    uint32_t todo, from; /* from: the claim at hand */
    struct claims done;
    bool dead;
};

static void go_on(struct branch *b);

/* ---- terms --------------------------------------------------------------------------------------
 */

void claims_add(struct schema *x, struct claims *c, struct claim claim)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].schema == claim.schema && c->list[i].not == claim.not) return;
    if (!fa_grow(&x->b->budget, &c->list, c->n, &c->cap, sizeof *c->list)) return;
    c->list[c->n++] = claim;
}

void claims_fini(struct claims *c)
{
    free(c->list);
    *c = (struct claims){0};
}

static void *copy_of(struct schema *x, const void *p, size_t n, size_t size, size_t *cap)
{
    *cap = n;
    if (n == 0) return NULL;
    void *out = fa_realloc(&x->b->budget, NULL, n, size);
    if (out) memcpy(out, p, n * size);
    return out;
}

static void copy_claims(struct schema *x, struct claims *to, const struct claims *from)
{
    *to = *from;
    to->list = copy_of(x, from->list, from->n, sizeof *from->list, &to->cap);
    if (!to->list) to->n = to->cap = 0;
}

static void copy_dfa(struct schema *x, struct dfa *to, const struct dfa *from)
{
    size_t cap;
    *to = (struct dfa){0};
    if (from->n == 0) return;
    to->first = copy_of(x, from->first, from->n + 1, sizeof *from->first, &cap);
    to->edges = copy_of(x, from->edges, from->n_edges, sizeof *from->edges, &cap);
    to->final = copy_of(x, from->final, from->n, sizeof *from->final, &cap);
    to->n = from->n;
    to->n_edges = from->n_edges;
    if (x->b->budget.st != OK) dfa_fini(to);
}

static void term_init(struct term *t)
{
    *t = (struct term){.types = TYPE_ALL, .any_number = true, .any_string = true,
                       .max_items = SIZE_MAX, .max_members = SIZE_MAX};
}

static void term_copy(struct schema *x, struct term *to, const struct term *from)
{
    *to = *from;
    copy_dfa(x, &to->number, &from->number);
    copy_dfa(x, &to->string, &from->string);
    copy_claims(x, &to->lists, &from->lists);
    copy_claims(x, &to->groups, &from->groups);
    copy_claims(x, &to->names, &from->names);
#define COPY(list) to->list = copy_of(x, from->list, from->n_##list, sizeof *from->list, &to->cap_##list); \
    if (!to->list) to->n_##list = to->cap_##list = 0
    COPY(items);
    COPY(members);
    COPY(required);
    COPY(forbidden);
#undef COPY
}

static void term_fini(struct term *t)
{
    dfa_fini(&t->number);
    dfa_fini(&t->string);
    claims_fini(&t->lists);
    claims_fini(&t->groups);
    claims_fini(&t->names);
    free(t->items);
    free(t->members);
    free(t->required);
    free(t->forbidden);
}

void term_only(struct term *t, unsigned types)
{
    t->types &= types;
}

static void narrow(struct schema *x, struct dfa *at, bool *any, const struct dfa *d, bool not)
{
    struct dfa out, all;
    if (*any && !not) {
        copy_dfa(x, &out, d);
    } else if (*any) {
        dfa_all(&x->b->budget, &all);
        dfa_combine(&all, d, FA_BUT, &x->b->budget, &out);
        dfa_fini(&all);
    } else {
        dfa_combine(at, d, not ? FA_BUT : FA_AND, &x->b->budget, &out);
    }
    dfa_fini(at);
    *at = out;
    *any = false;
}

void term_string(struct schema *x, struct term *t, const struct dfa *d, bool not)
{
    narrow(x, &t->string, &t->any_string, d, not);
    if (t->string.n == 0) t->types &= ~(unsigned)TYPE_STRING;
}

/* What a number is not can be told of plain decimals only. */
void term_number(struct schema *x, struct term *t, const struct dfa *d, bool not)
{
    if (t->any_number && not) {
        schema_decimals(x, &t->number);
        t->any_number = false;
    }
    narrow(x, &t->number, &t->any_number, d, not);
    if (t->number.n == 0) t->types &= ~(unsigned)TYPE_NUMBER;
}

#define PUSH(b, list, value)                                                                       \
    do {                                                                                           \
        struct term *t_ = (b)->t;                                                                  \
        if (fa_grow(&(b)->e->x->b->budget, &t_->list, t_->n_##list, &t_->cap_##list,               \
                    sizeof *t_->list))                                                             \
            t_->list[t_->n_##list++] = (value);                                                    \
    } while (0)

/* ---- claims to come -----------------------------------------------------------------------------
 */

static void put_pending(struct branch *b, struct claim c, const struct keyword *keyword)
{
    struct expansion *e = b->e;
    if (!fa_spend(&e->x->b->budget, 1) ||
        !fa_grow(&e->x->b->budget, &e->arena, e->n_arena, &e->cap_arena, sizeof *e->arena))
        return;
    e->arena[e->n_arena] = (struct pending){c, keyword, b->from, b->todo};
    b->todo = (uint32_t)e->n_arena++;
}

static void claim(struct branch *b, const json_t *schema, bool not)
{
    struct expansion *e = b->e;
    if (!schema || !schema_good(e->x)) return;
    for (uint32_t i = b->from; i != FA_NONE; i = e->arena[i].parent)
        if (!e->arena[i].keyword && e->arena[i].claim.schema == schema &&
            e->arena[i].claim.not == not) {
            schema_fail(e->x, ERR_UNSUPPORTED, schema, NULL, "the schema refers to itself without a value "
                        "in between, so it says nothing");
            return;
        }
    put_pending(b, (struct claim){schema, not}, NULL);
}

/* Goes on with a copy of the branch in which `fn` has changed something. */
static void alternative(struct branch *b, void (*fn)(struct branch *b, const void *arg), const void *arg)
{
    struct schema *x = b->e->x;
    if (!schema_good(x) || b->dead) return;
    if (!fa_spend(&x->b->budget, 4)) return;
    struct term t;
    struct branch copy = *b;
    term_copy(x, &t, b->t);
    copy_claims(x, &copy.done, &b->done);
    copy.t = &t;
    fn(&copy, arg);
    go_on(&copy);
    claims_fini(&copy.done);
    term_fini(&t);
}

/* ---- keywords -----------------------------------------------------------------------------------
 */

struct keyword {
    const char *name;
    bool forks; /* holds() makes alternatives */
    /* Adds to the branch that the keyword holds; after a fork the branch itself is dead. */
    void (*holds)(struct branch *b, const json_t *schema, const json_t *value);
    /* That it does not; NULL: it always holds, so this cannot be. */
    void (*fails)(struct branch *b, const json_t *schema, const json_t *value);
};

static void bad(struct branch *b, const json_t *schema, const char *keyword, const char *what)
{
    schema_fail(b->e->x, ERR_FORMAT, schema, keyword, "must be %s", what);
}

static void cannot(struct branch *b, const json_t *schema, const char *keyword, const char *where)
{
    schema_fail(b->e->x, ERR_UNSUPPORTED, schema, keyword, "not supported%s", where);
}

static void only(struct branch *b, unsigned types)
{
    term_only(b->t, types);
}

/* A count: a whole number from 0 on. */
static bool count_of(struct branch *b, const json_t *schema, const char *keyword, const json_t *value,
                     size_t *out)
{
    double v = json_number_value(value);
    if (!json_is_number(value) || v < 0 || v != (double)(json_int_t)v) {
        bad(b, schema, keyword, "a whole number from 0 on");
        return false;
    }
    *out = v > 1e9 ? (size_t)1000000000 : (size_t)v;
    return true;
}

/* -- type, enum, const -- */

static unsigned type_named(const char *name)
{
    static const struct {
        const char *name;
        unsigned types;
    } types[] = {{"null", TYPE_NULL}, {"boolean", TYPE_TRUE | TYPE_FALSE}, {"number", TYPE_NUMBER},
                 {"integer", TYPE_ALL + 1}, {"string", TYPE_STRING}, {"array", TYPE_ARRAY},
                 {"object", TYPE_OBJECT}};
    for (size_t i = 0; name && i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) return types[i].types;
    return 0;
}

static unsigned types_of(struct branch *b, const json_t *schema, const json_t *value)
{
    unsigned types = 0;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        unsigned t = type_named(json_string_value(json_is_array(value) ? json_array_get(value, i) : value));
        if (!t) bad(b, schema, "type", "the name of a type, or a list of such");
        types |= t;
    }
    return types;
}

static void type_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    unsigned types = types_of(b, schema, value);
    bool integer = types > TYPE_ALL;
    types &= TYPE_ALL;
    if (integer && !(types & TYPE_NUMBER) && schema_good(b->e->x)) {
        struct dfa d;
        schema_integers(b->e->x, true, &d);
        term_number(b->e->x, b->t, &d, false);
        dfa_fini(&d);
        types |= TYPE_NUMBER;
    }
    only(b, types);
}

static void type_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    unsigned types = types_of(b, schema, value);
    if (types > TYPE_ALL && schema_good(b->e->x)) {
        struct dfa d;
        schema_integers(b->e->x, false, &d);
        term_number(b->e->x, b->t, &d, true);
        dfa_fini(&d);
    }
    only(b, TYPE_ALL & ~types);
}

/* A schema that says what an array or object is, member by member. */
static const json_t *as_schema(struct schema *x, const json_t *value)
{
    json_t *s = json_object(), *parts = json_is_array(value) ? json_array() : json_object();
    json_t *required = json_array(), *item;
    const char *key;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach((json_t *)value, i, item) json_array_append_new(parts, json_pack("{s:O}", "const", item));
        json_object_set_new(s, "minItems", json_integer((json_int_t)json_array_size(value)));
        json_object_set_new(s, "items", json_false());
    } else {
        json_object_foreach((json_t *)value, key, item) {
            json_object_set_new(parts, key, json_pack("{s:O}", "const", item));
            json_array_append_new(required, json_string(key));
        }
        json_object_set(s, "required", required);
        json_object_set_new(s, "additionalProperties", json_false());
    }
    json_object_set_new(s, "type", json_string(json_is_array(value) ? "array" : "object"));
    json_object_set_new(s, json_is_array(value) ? "prefixItems" : "properties", parts);
    json_decref(required);
    return schema_keep(x, s);
}

static void is_value(struct branch *b, const void *arg)
{
    const json_t *v = arg;
    struct schema *x = b->e->x;
    struct dfa d = {0};
    if (json_is_null(v)) {
        only(b, TYPE_NULL);
    } else if (json_is_boolean(v)) {
        only(b, json_is_true(v) ? TYPE_TRUE : TYPE_FALSE);
    } else if (json_is_string(v)) {
        only(b, TYPE_STRING);
        schema_literal(x, json_string_value(v), json_string_length(v), &d);
        term_string(x, b->t, &d, false);
    } else if (json_is_number(v)) {
        only(b, TYPE_NUMBER);
        schema_equal(x, v, &d);
        term_number(x, b->t, &d, false);
    } else {
        claim(b, as_schema(x, v), false);
    }
    dfa_fini(&d);
}

static void is_not_value(struct branch *b, const json_t *v)
{
    struct schema *x = b->e->x;
    struct dfa d = {0};
    if (json_is_null(v)) {
        only(b, TYPE_ALL & ~TYPE_NULL);
    } else if (json_is_boolean(v)) {
        only(b, TYPE_ALL & ~(json_is_true(v) ? TYPE_TRUE : TYPE_FALSE));
    } else if (json_is_string(v)) {
        schema_literal(x, json_string_value(v), json_string_length(v), &d);
        term_string(x, b->t, &d, true);
    } else if (json_is_number(v)) {
        schema_compare(x, v, CMP_EQUAL, &d);
        term_number(x, b->t, &d, true);
    } else {
        claim(b, as_schema(x, v), true);
    }
    dfa_fini(&d);
}

static void const_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    is_value(b, value);
}

static void const_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    is_not_value(b, value);
}

/* All strings of a list as one automaton, all numbers as another: large lists stay one term. */
static void enum_scalars(struct branch *b, const void *arg)
{
    const json_t *list = arg, *v;
    struct schema *x = b->e->x;
    struct nfa strings = {.budget = &x->b->budget}, numbers = {.budget = &x->b->budget};
    uint32_t start = nfa_state(&strings), end = nfa_state(&strings);
    unsigned types = 0;
    size_t i;
    nfa_state(&numbers);
    nfa_state(&numbers);
    json_array_foreach((json_t *)list, i, v) {
        struct dfa d = {0};
        if (!schema_good(x)) break;
        if (json_is_null(v)) types |= TYPE_NULL;
        if (json_is_boolean(v)) types |= json_is_true(v) ? TYPE_TRUE : TYPE_FALSE;
        if (json_is_string(v)) {
            types |= TYPE_STRING;
            schema_literal(x, json_string_value(v), json_string_length(v), &d);
            dfa_into(&d, &strings, start, end);
        } else if (json_is_number(v)) {
            types |= TYPE_NUMBER;
            schema_equal(x, v, &d);
            dfa_into(&d, &numbers, start, end);
        }
        dfa_fini(&d);
    }
    struct dfa d;
    if (types & TYPE_STRING) {
        dfa_from_nfa(&strings, start, end, &d);
        term_string(x, b->t, &d, false);
        dfa_fini(&d);
    }
    if (types & TYPE_NUMBER) {
        dfa_from_nfa(&numbers, start, end, &d);
        term_number(x, b->t, &d, false);
        dfa_fini(&d);
    }
    nfa_fini(&strings);
    nfa_fini(&numbers);
    only(b, types);
}

static void enum_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!json_is_array(value)) {
        bad(b, schema, "enum", "a list of values");
        return;
    }
    alternative(b, enum_scalars, value);
    json_array_foreach((json_t *)value, i, v)
        if (json_is_array(v) || json_is_object(v)) alternative(b, is_value, v);
    b->dead = true;
}

static void enum_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!json_is_array(value)) bad(b, schema, "enum", "a list of values");
    json_array_foreach((json_t *)value, i, v) is_not_value(b, v);
}

/* -- numbers -- */

static void compare(struct branch *b, const json_t *schema, const char *keyword, const json_t *value,
                    unsigned want, bool fails)
{
    struct dfa d;
    if (!json_is_number(value)) {
        bad(b, schema, keyword, "a number");
        return;
    }
    if (fails) only(b, TYPE_NUMBER);
    schema_compare(b->e->x, value, fails ? 7u & ~want : want, &d);
    term_number(b->e->x, b->t, &d, false);
    dfa_fini(&d);
}
#define COMPARE(name, keyword, want)                                                               \
    static void name##_holds(struct branch *b, const json_t *schema, const json_t *value)          \
    {                                                                                              \
        compare(b, schema, keyword, value, want, false);                                           \
    }                                                                                              \
    static void name##_fails(struct branch *b, const json_t *schema, const json_t *value)          \
    {                                                                                              \
        compare(b, schema, keyword, value, want, true);                                            \
    }
COMPARE(minimum, "minimum", CMP_EQUAL | CMP_MORE)
COMPARE(maximum, "maximum", CMP_EQUAL | CMP_LESS)
COMPARE(above, "exclusiveMinimum", CMP_MORE)
COMPARE(below, "exclusiveMaximum", CMP_LESS)

static void multiple(struct branch *b, const json_t *schema, const json_t *value, bool fails)
{
    struct dfa d;
    if (!json_is_number(value)) {
        bad(b, schema, "multipleOf", "a number above zero");
        return;
    }
    if (fails) only(b, TYPE_NUMBER);
    schema_multiples(b->e->x, schema, value, &d);
    term_number(b->e->x, b->t, &d, fails);
    dfa_fini(&d);
}

static void multiple_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    multiple(b, schema, value, false);
}

static void multiple_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    multiple(b, schema, value, true);
}

/* -- strings -- */

static void string_set(struct branch *b, const struct dfa *d, bool fails)
{
    if (fails) only(b, TYPE_STRING);
    term_string(b->e->x, b->t, d, fails);
}

static void length(struct branch *b, const json_t *schema, const char *keyword, const json_t *value,
                   bool least, bool fails)
{
    size_t n;
    struct dfa d;
    if (!count_of(b, schema, keyword, value, &n)) return;
    if (n > 200000) {
        schema_fail(b->e->x, ERR_LIMIT, schema, keyword, "more than 200000");
        return;
    }
    schema_lengths(b->e->x, least ? n : 0, least ? SIZE_MAX : n, &d);
    string_set(b, &d, fails);
    dfa_fini(&d);
}

static void min_length_holds(struct branch *b, const json_t *s, const json_t *v) { length(b, s, "minLength", v, true, false); }
static void min_length_fails(struct branch *b, const json_t *s, const json_t *v) { length(b, s, "minLength", v, true, true); }
static void max_length_holds(struct branch *b, const json_t *s, const json_t *v) { length(b, s, "maxLength", v, false, false); }
static void max_length_fails(struct branch *b, const json_t *s, const json_t *v) { length(b, s, "maxLength", v, false, true); }

static void pattern(struct branch *b, const json_t *schema, const json_t *value, bool fails)
{
    struct schema *x = b->e->x;
    struct error why = {0};
    struct dfa d;
    if (!json_is_string(value)) {
        bad(b, schema, "pattern", "a regular expression");
        return;
    }
    enum status st = regex_compile(json_string_value(value), json_string_length(value), true,
                                   x->b->limits->max_depth, &x->b->budget, &d, &why);
    if (st != OK && x->b->budget.st == OK) schema_fail(x, st, schema, "pattern", "%s", why.msg);
    if (st == OK) string_set(b, &d, fails);
    dfa_fini(&d);
}

static void pattern_holds(struct branch *b, const json_t *s, const json_t *v) { pattern(b, s, v, false); }
static void pattern_fails(struct branch *b, const json_t *s, const json_t *v) { pattern(b, s, v, true); }

static void format(struct branch *b, const json_t *schema, const json_t *value, bool fails)
{
    struct schema *x = b->e->x;
    struct dfa d = {0};
    bool known = json_is_string(value) && !x->b->limits->ignore_format &&
                 schema_format(x, schema, json_string_value(value), &d);
    if (known) string_set(b, &d, fails);
    if (!known && fails) b->dead = true;
    dfa_fini(&d);
}

static void format_holds(struct branch *b, const json_t *s, const json_t *v) { format(b, s, v, false); }
static void format_fails(struct branch *b, const json_t *s, const json_t *v) { format(b, s, v, true); }

/* -- arrays -- */

static void set_min(size_t *at, size_t n) { if (n > *at) *at = n; }
static void set_max(size_t *at, size_t n) { if (n < *at) *at = n; }

static void min_items_holds(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (count_of(b, s, "minItems", v, &n)) set_min(&b->t->min_items, n);
}

static void min_items_fails(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "minItems", v, &n)) return;
    only(b, TYPE_ARRAY);
    b->dead |= n == 0;
    if (n) set_max(&b->t->max_items, n - 1);
}

static void max_items_holds(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (count_of(b, s, "maxItems", v, &n)) set_max(&b->t->max_items, n);
}

static void max_items_fails(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "maxItems", v, &n)) return;
    only(b, TYPE_ARRAY);
    set_min(&b->t->min_items, n + 1);
}

static void list_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)value;
    if (json_is_array(json_object_get(schema, "items"))) {
        bad(b, schema, "items", "a schema (a list of schemas is prefixItems)");
        return;
    }
    claims_add(b->e->x, &b->t->lists, (struct claim){schema, false});
}

static void put_counted(struct branch *b, const json_t *schema, struct counted c)
{
    if (b->t->n_counted == MAX_COUNTED)
        schema_fail(b->e->x, ERR_LIMIT, schema, "contains", "more than %d conditions of this kind on one array",
                    MAX_COUNTED);
    else
        b->t->counted[b->t->n_counted++] = c;
}

static void item_fails(struct branch *b, const void *arg)
{
    const struct single *s = arg;
    only(b, TYPE_ARRAY);
    set_min(&b->t->min_items, s->index + 1);
    PUSH(b, items, *s);
}

static void prefix_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    (void)schema;
    json_array_foreach((json_t *)value, i, v)
        alternative(b, item_fails, &(struct single){i, NULL, {v, true}});
    b->dead = true;
}

static void items_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    only(b, TYPE_ARRAY);
    put_counted(b, schema, (struct counted){{value, true},
                                            json_array_size(json_object_get(schema, "prefixItems")), 1, SIZE_MAX});
}

static bool contains_bounds(struct branch *b, const json_t *schema, size_t *min, size_t *max)
{
    const json_t *low = json_object_get(schema, "minContains"), *high = json_object_get(schema, "maxContains");
    *min = 1;
    *max = SIZE_MAX;
    return (!low || count_of(b, schema, "minContains", low, min)) &&
           (!high || count_of(b, schema, "maxContains", high, max));
}

static void contains_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    size_t min, max;
    if (contains_bounds(b, schema, &min, &max) && (min > 0 || max != SIZE_MAX))
        put_counted(b, schema, (struct counted){{value, false}, 0, min, max});
}

static void counts(struct branch *b, const void *arg)
{
    only(b, TYPE_ARRAY);
    put_counted(b, NULL, *(const struct counted *)arg);
}

static void contains_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    size_t min, max;
    if (!contains_bounds(b, schema, &min, &max)) return;
    if (min > 0) alternative(b, counts, &(struct counted){{value, false}, 0, 0, min - 1});
    if (max != SIZE_MAX) alternative(b, counts, &(struct counted){{value, false}, 0, max + 1, SIZE_MAX});
    b->dead = true;
}

static void unique_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    if (json_is_true(value)) b->t->unique = schema;
}

static void unique_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    if (json_is_true(value)) cannot(b, schema, "uniqueItems", " where it must not hold");
    b->dead = true;
}

/* -- objects -- */

static void min_properties_holds(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "minProperties", v, &n)) return;
    if (n > b->t->min_members) b->t->min_by = s;
    set_min(&b->t->min_members, n);
}

static void min_properties_fails(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "minProperties", v, &n)) return;
    only(b, TYPE_OBJECT);
    b->dead |= n == 0;
    b->t->max_by = s;
    if (n) set_max(&b->t->max_members, n - 1);
}

static void max_properties_holds(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "maxProperties", v, &n)) return;
    b->t->max_by = s;
    set_max(&b->t->max_members, n);
}

static void max_properties_fails(struct branch *b, const json_t *s, const json_t *v)
{
    size_t n;
    if (!count_of(b, s, "maxProperties", v, &n)) return;
    only(b, TYPE_OBJECT);
    b->t->min_by = s;
    set_min(&b->t->min_members, n + 1);
}

static void require(struct branch *b, const char *key)
{
    for (size_t i = 0; i < b->t->n_required; i++)
        if (strcmp(b->t->required[i], key) == 0) return;
    PUSH(b, required, key);
}

static bool strings(struct branch *b, const json_t *schema, const char *keyword, const json_t *value)
{
    const json_t *v;
    size_t i;
    bool good = json_is_array(value);
    json_array_foreach((json_t *)value, i, v) good &= json_is_string(v);
    if (!good) bad(b, schema, keyword, "a list of names");
    return good;
}

static void required_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!strings(b, schema, "required", value)) return;
    json_array_foreach((json_t *)value, i, v) require(b, json_string_value(v));
}

static void lacks(struct branch *b, const void *arg)
{
    only(b, TYPE_OBJECT);
    PUSH(b, forbidden, (const char *)arg);
}

static void required_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!strings(b, schema, "required", value)) return;
    json_array_foreach((json_t *)value, i, v) alternative(b, lacks, json_string_value(v));
    b->dead = true;
}

static void group_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)value;
    claims_add(b->e->x, &b->t->groups, (struct claim){schema, false});
}

static void member_fails(struct branch *b, const void *arg)
{
    const struct single *s = arg;
    only(b, TYPE_OBJECT);
    require(b, s->key);
    PUSH(b, members, *s);
}

static void properties_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    const char *key;
    (void)schema;
    json_object_foreach((json_t *)value, key, v)
        alternative(b, member_fails, &(struct single){0, key, {v, true}});
    b->dead = true;
}

static void others_fail(struct branch *b, const json_t *schema, const json_t *value)
{
    if (json_is_true(value) || (json_is_object(value) && json_object_size(value) == 0)) {
        b->dead = true;
        return;
    }
    cannot(b, schema, json_object_get(schema, "additionalProperties") == value ? "additionalProperties"
           : json_object_get(schema, "propertyNames") == value ? "propertyNames" : "patternProperties",
           " where it must not hold (below not, oneOf or if)");
}

static void names_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    claims_add(b->e->x, &b->t->names, (struct claim){value, false});
}

/* One key of dependentRequired or dependentSchemas. */
struct depends {
    const char *key;
    const json_t *on; /* names, or a schema */
    const char *lacks;
};

static void depends_absent(struct branch *b, const void *arg)
{
    PUSH(b, forbidden, ((const struct depends *)arg)->key);
}

static void depends_present(struct branch *b, const void *arg)
{
    const struct depends *d = arg;
    require(b, d->key);
    if (!json_is_array(d->on)) {
        claim(b, d->on, false);
        return;
    }
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)d->on, i, v) require(b, json_string_value(v));
}

static void depends_fails(struct branch *b, const void *arg)
{
    const struct depends *d = arg;
    only(b, TYPE_OBJECT);
    require(b, d->key);
    if (json_is_array(d->on))
        PUSH(b, forbidden, d->lacks);
    else
        claim(b, d->on, true);
}

/* A schema with only the keys from the second on, so that each fork takes one key. */
static void dependent_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    bool names = json_object_get(schema, "dependentRequired") == value;
    const char *keyword = names ? "dependentRequired" : "dependentSchemas", *key = NULL, *k;
    const json_t *v, *on = NULL;
    json_t *rest = json_object();
    json_object_foreach((json_t *)value, k, v) {
        if (names && !strings(b, schema, keyword, v)) break;
        if (key) {
            json_object_set(rest, k, (json_t *)v);
        } else {
            key = k;
            on = v;
        }
    }
    if (json_object_size(rest) > 0) {
        json_t *s = json_object();
        json_object_set(s, keyword, rest);
        claim(b, schema_keep(b->e->x, s), false);
    }
    json_decref(rest);
    if (!key) return;
    struct depends d = {key, on, NULL};
    alternative(b, depends_absent, &d);
    /* Where it is absent the value may be anything else than an object too: that fork has it. */
    only(b, TYPE_OBJECT);
    alternative(b, depends_present, &d);
    b->dead = true;
}

static void dependent_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *on, *v;
    const char *key;
    size_t i;
    (void)schema;
    json_object_foreach((json_t *)value, key, on) {
        if (!json_is_array(on)) alternative(b, depends_fails, &(struct depends){key, on, NULL});
        json_array_foreach((json_t *)on, i, v)
            alternative(b, depends_fails, &(struct depends){key, on, json_string_value(v)});
    }
    b->dead = true;
}

/* -- schemas of the same value -- */

struct one {
    const json_t *list;
    size_t i, j; /* j: SIZE_MAX, or another that holds too */
};

static void claim_it(struct branch *b, const void *arg) { claim(b, arg, false); }
static void claim_not(struct branch *b, const void *arg) { claim(b, arg, true); }

static bool schemas(struct branch *b, const json_t *schema, const char *keyword, const json_t *value)
{
    if (json_is_array(value) && json_array_size(value) > 0) return true;
    bad(b, schema, keyword, "a list of schemas, and not empty");
    return false;
}

static void all_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "allOf", value)) return;
    json_array_foreach((json_t *)value, i, v) claim(b, v, false);
}

static void all_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "allOf", value)) return;
    json_array_foreach((json_t *)value, i, v) alternative(b, claim_not, v);
    b->dead = true;
}

static void any_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "anyOf", value)) return;
    json_array_foreach((json_t *)value, i, v) alternative(b, claim_it, v);
    b->dead = true;
}

static void any_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "anyOf", value)) return;
    json_array_foreach((json_t *)value, i, v) claim(b, v, true);
}

/* Without its references that stand alone. */
static const json_t *plain(struct schema *x, const json_t *s)
{
    for (int i = 0; i < 16 && json_object_size(s) == 1; i++) {
        const char *ref = json_string_value(json_object_get(s, "$ref"));
        if (!ref) break;
        const json_t *to = schema_resolve(x, s, ref);
        if (!to) break;
        s = to;
    }
    return s;
}

static unsigned quick_types(struct branch *b, const json_t *s)
{
    const json_t *type = json_object_get(s, "type"), *c = json_object_get(s, "const");
    if (c)
        return json_is_null(c) ? TYPE_NULL : json_is_true(c) ? TYPE_TRUE : json_is_false(c) ? TYPE_FALSE
             : json_is_number(c) ? TYPE_NUMBER : json_is_string(c) ? TYPE_STRING
             : json_is_array(c) ? TYPE_ARRAY : TYPE_OBJECT;
    unsigned t = type ? types_of(b, s, type) : TYPE_ALL;
    return t > TYPE_ALL ? (t & TYPE_ALL) | TYPE_NUMBER : t;
}

static bool in_list(const json_t *values, const json_t *v)
{
    const json_t *u;
    size_t i;
    if (!json_is_array(values)) return json_equal(values, v);
    json_array_foreach((json_t *)values, i, u) if (json_equal(u, v)) return true;
    return false;
}

/* Strings that a schema names one by one; NULL: none. A lone string of const, or the list of enum. */
static const json_t *named_strings(const json_t *s)
{
    const json_t *c = json_object_get(s, "const"), *e = json_object_get(s, "enum"), *v;
    size_t i;
    if (json_is_string(c)) return c;
    if (!json_is_array(e)) return NULL;
    json_array_foreach((json_t *)e, i, v) if (!json_is_string(v)) return NULL;
    return e;
}

/* Whether two schemas surely have no instance in common: by type, or by a key that both tell apart. */
static bool disjoint(struct branch *b, const json_t *s, const json_t *t)
{
    s = plain(b->e->x, s);
    t = plain(b->e->x, t);
    if (!schema_good(b->e->x) || !json_is_object(s) || !json_is_object(t)) return false;
    unsigned types = quick_types(b, s) & quick_types(b, t);
    if (types == 0) return true;
    if (types != TYPE_OBJECT) return false;
    const json_t *ps = json_object_get(s, "properties"), *pt = json_object_get(t, "properties"), *v;
    const json_t *required[2] = {json_object_get(s, "required"), json_object_get(t, "required")};
    const char *key;
    json_object_foreach((json_t *)ps, key, v) {
        const json_t *vs = named_strings(v), *vt = named_strings(json_object_get(pt, key)), *u;
        bool needed = false, common = false;
        size_t i;
        if (!vs || !vt) continue;
        for (int k = 0; k < 2; k++)
            json_array_foreach((json_t *)required[k], i, u)
                needed |= json_is_string(u) && strcmp(json_string_value(u), key) == 0;
        if (!needed) continue;
        if (json_is_string(vs)) common = in_list(vt, vs);
        json_array_foreach((json_t *)vs, i, u) common |= in_list(vt, u);
        if (!common) return true;
    }
    return false;
}

static void one_holds_at(struct branch *b, const void *arg)
{
    const struct one *o = arg;
    const json_t *s = json_array_get(o->list, o->i), *v;
    size_t j;
    json_array_foreach((json_t *)o->list, j, v)
        if (j != o->i && !disjoint(b, s, v)) claim(b, v, true);
    claim(b, s, false);
}

static void one_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    if (!schemas(b, schema, "oneOf", value)) return;
    for (size_t i = 0; i < json_array_size(value); i++)
        alternative(b, one_holds_at, &(struct one){value, i, SIZE_MAX});
    b->dead = true;
}

static void two_hold(struct branch *b, const void *arg)
{
    const struct one *o = arg;
    claim(b, json_array_get(o->list, o->i), false);
    claim(b, json_array_get(o->list, o->j), false);
}

static void none_holds(struct branch *b, const void *arg)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)arg, i, v) claim(b, v, true);
}

static void one_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    if (!schemas(b, schema, "oneOf", value)) return;
    alternative(b, none_holds, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        for (size_t j = i + 1; j < json_array_size(value); j++)
            if (!disjoint(b, json_array_get(value, i), json_array_get(value, j)))
                alternative(b, two_hold, &(struct one){value, i, j});
    b->dead = true;
}

static void not_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    claim(b, value, true);
}

static void not_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    claim(b, value, false);
}

struct condition {
    const json_t *test, *then;
    bool test_not, then_not;
};

static void one_way(struct branch *b, const void *arg)
{
    const struct condition *c = arg;
    claim(b, c->test, c->test_not);
    if (c->then) claim(b, c->then, c->then_not);
}

static void if_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *then = json_object_get(schema, "then"), *other = json_object_get(schema, "else");
    if (!then && !other) return;
    alternative(b, one_way, &(struct condition){value, then, false, false});
    alternative(b, one_way, &(struct condition){value, other, true, false});
    b->dead = true;
}

static void if_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *then = json_object_get(schema, "then"), *other = json_object_get(schema, "else");
    if (then) alternative(b, one_way, &(struct condition){value, then, false, true});
    if (other) alternative(b, one_way, &(struct condition){value, other, true, true});
    b->dead = true;
}

static void ref(struct branch *b, const json_t *schema, const json_t *value, bool fails)
{
    if (json_is_string(value))
        claim(b, schema_resolve(b->e->x, schema, json_string_value(value)), fails);
    else
        bad(b, schema, "$ref", "a string");
}

static void ref_holds(struct branch *b, const json_t *schema, const json_t *value) { ref(b, schema, value, false); }
static void ref_fails(struct branch *b, const json_t *schema, const json_t *value) { ref(b, schema, value, true); }

/* What cannot be held to is said, not passed over. */
static const char *keyword_of(const json_t *schema, const json_t *value)
{
    const char *key;
    const json_t *v;
    json_object_foreach((json_t *)schema, key, v) if (v == value) return key;
    return NULL;
}

static void unsupported(struct branch *b, const json_t *schema, const json_t *value)
{
    const char *key = keyword_of(schema, value);
    if (key && strncmp(key, "unevaluated", 11) == 0 && json_is_true(value)) return;
    cannot(b, schema, key, "");
}

/* Keywords that are not here say nothing about instances, as the specification has it. Several that
 * belong together are taken up by the first of them that a schema has. */
static const struct keyword keywords[] = {
    {"$ref", false, ref_holds, ref_fails},
    {"type", false, type_holds, type_fails},
    {"const", false, const_holds, const_fails},
    {"minimum", false, minimum_holds, minimum_fails},
    {"maximum", false, maximum_holds, maximum_fails},
    {"exclusiveMinimum", false, above_holds, above_fails},
    {"exclusiveMaximum", false, below_holds, below_fails},
    {"multipleOf", false, multiple_holds, multiple_fails},
    {"minLength", false, min_length_holds, min_length_fails},
    {"maxLength", false, max_length_holds, max_length_fails},
    {"pattern", false, pattern_holds, pattern_fails},
    {"format", false, format_holds, format_fails},
    {"minItems", false, min_items_holds, min_items_fails},
    {"maxItems", false, max_items_holds, max_items_fails},
    {"prefixItems", false, list_holds, prefix_fails},
    {"items", false, list_holds, items_fails},
    {"contains", false, contains_holds, contains_fails},
    {"uniqueItems", false, unique_holds, unique_fails},
    {"minProperties", false, min_properties_holds, min_properties_fails},
    {"maxProperties", false, max_properties_holds, max_properties_fails},
    {"required", false, required_holds, required_fails},
    {"properties", false, group_holds, properties_fails},
    {"patternProperties", false, group_holds, others_fail},
    {"additionalProperties", false, group_holds, others_fail},
    {"propertyNames", false, names_holds, others_fail},
    {"allOf", false, all_holds, all_fails},
    {"not", false, not_holds, not_fails},
    {"enum", true, enum_holds, enum_fails},
    {"anyOf", true, any_holds, any_fails},
    {"oneOf", true, one_holds, one_fails},
    {"if", true, if_holds, if_fails},
    {"dependentRequired", true, dependent_holds, dependent_fails},
    {"dependentSchemas", true, dependent_holds, dependent_fails},
    {"unevaluatedItems", false, unsupported, unsupported},
    {"unevaluatedProperties", false, unsupported, unsupported},
    {"$dynamicRef", false, unsupported, unsupported},
    {"$recursiveRef", false, unsupported, unsupported},
    {"dependencies", false, unsupported, unsupported},
};
enum { N_KEYWORDS = sizeof keywords / sizeof *keywords };

/* ---- taking apart -------------------------------------------------------------------------------
 */

struct use {
    const struct keyword *keyword;
    const json_t *schema, *value;
};

static void fails_one(struct branch *b, const void *arg)
{
    const struct use *u = arg;
    u->keyword->fails(b, u->schema, u->value);
}

/* What makes alternatives comes later, each as a claim of its own: every alternative then goes on with
 * all the others. */
static void hold(struct branch *b, const json_t *schema)
{
    for (size_t i = 0; i < N_KEYWORDS && schema_good(b->e->x) && !b->dead; i++) {
        const json_t *value = json_object_get(schema, keywords[i].name);
        if (value && keywords[i].forks)
            put_pending(b, (struct claim){schema, false}, &keywords[i]);
        else if (value)
            keywords[i].holds(b, schema, value);
    }
}

static void take_apart(struct branch *b, struct claim c)
{
    bool truth = json_is_true(c.schema) != c.not;
    if (json_is_boolean(c.schema)) {
        b->dead |= !truth;
        return;
    }
    if (!json_is_object(c.schema)) {
        schema_fail(b->e->x, ERR_FORMAT, c.schema, NULL, "a schema is an object, true or false");
        return;
    }
    if (!c.not) {
        hold(b, c.schema);
        return;
    }
    for (size_t i = 0; i < N_KEYWORDS && schema_good(b->e->x); i++) {
        const json_t *value = json_object_get(c.schema, keywords[i].name);
        if (value) alternative(b, fails_one, &(struct use){&keywords[i], c.schema, value});
    }
    b->dead = true;
}

static void go_on(struct branch *b)
{
    struct expansion *e = b->e;
    struct schema *x = e->x;
    if (++e->depth > MAX_PENDING) schema_fail(x, ERR_LIMIT, NULL, NULL, "too many alternatives in each other");
    while (b->todo != FA_NONE && !b->dead && b->t->types && schema_good(x)) {
        struct pending p = e->arena[b->todo];
        b->from = b->todo;
        b->todo = p.next;
        if (p.keyword) {
            p.keyword->holds(b, p.claim.schema, json_object_get(p.claim.schema, p.keyword->name));
            continue;
        }
        size_t before = b->done.n;
        claims_add(x, &b->done, p.claim);
        if (b->done.n > before) take_apart(b, p.claim);
    }
    e->depth--;
    if (!schema_good(x) || b->dead || !b->t->types) return;
    if (++e->n_terms > MAX_TERMS)
        schema_fail(x, ERR_LIMIT, x->root, NULL, "more than %d alternatives of one value: make the schema's "
                    "anyOf, oneOf and not simpler", MAX_TERMS);
    else
        e->fn(x, e->ctx, b->t);
}

void schema_expand(struct schema *x, const struct claims *claims,
                   void (*fn)(struct schema *x, void *ctx, struct term *t), void *ctx)
{
    struct expansion e = {.x = x, .fn = fn, .ctx = ctx};
    struct term t;
    struct branch b = {.e = &e, .t = &t, .todo = FA_NONE, .from = FA_NONE};
    term_init(&t);
    for (size_t i = 0; i < claims->n; i++) claim(&b, claims->list[i].schema, claims->list[i].not);
    go_on(&b);
    claims_fini(&b.done);
    term_fini(&t);
    free(e.arena);
}
