/* The keywords of JSON Schema: what each adds to a term where it must hold, and what where it must not. A
 * keyword is one line of the table at the end. */
#include <stdlib.h>
#include <string.h>

#include "text/grammar_regex.h"
#include "text/schema_term_int.h"

void schema_bad(struct branch *b, const json_t *schema, const char *keyword, const char *what)
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
        schema_bad(b, schema, keyword, "a whole number from 0 on");
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

unsigned schema_types(struct branch *b, const json_t *schema, const json_t *value)
{
    unsigned types = 0;
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    for (size_t i = 0; i < n; i++) {
        unsigned t = type_named(json_string_value(json_is_array(value) ? json_array_get(value, i) : value));
        if (!t) schema_bad(b, schema, "type", "the name of a type, or a list of such");
        types |= t;
    }
    return types;
}

static void type_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    unsigned types = schema_types(b, schema, value);
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
    unsigned types = schema_types(b, schema, value);
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
    bool list = json_is_array(value);
    json_t *s = json_object(), *parts = list ? json_array() : json_object(), *required = json_array();
    json_t *item;
    const char *key;
    size_t i;
    int failed = 0;
    json_array_foreach((json_t *)value, i, item)
        failed |= json_array_append_new(parts, json_pack("{s:O}", "const", item));
    json_object_foreach((json_t *)value, key, item) {
        failed |= json_object_set_new(parts, key, json_pack("{s:O}", "const", item));
        failed |= json_array_append_new(required, json_string(key));
    }
    failed |= json_object_set_new(s, "type", json_string(list ? "array" : "object"));
    failed |= json_object_set(s, list ? "prefixItems" : "properties", parts);
    failed |= json_object_set(s, "required", required); /* says nothing of arrays */
    failed |= json_object_set_new(s, "minItems", json_integer((json_int_t)json_array_size(value)));
    failed |= json_object_set_new(s, list ? "items" : "additionalProperties", json_false());
    json_decref(parts);
    json_decref(required);
    if (failed) {
        json_decref(s);
        s = NULL;
    }
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
        schema_claim(b, as_schema(x, v), false);
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
        schema_claim(b, as_schema(x, v), true);
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
        schema_bad(b, schema, "enum", "a list of values");
        return;
    }
    schema_alternative(b, enum_scalars, value);
    json_array_foreach((json_t *)value, i, v)
        if (json_is_array(v) || json_is_object(v)) schema_alternative(b, is_value, v);
    b->dead = true;
}

static void enum_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!json_is_array(value)) schema_bad(b, schema, "enum", "a list of values");
    json_array_foreach((json_t *)value, i, v) is_not_value(b, v);
}

/* -- numbers -- */

static void compare(struct branch *b, const json_t *schema, const char *keyword, const json_t *value,
                    unsigned want, bool fails)
{
    struct dfa d;
    if (!json_is_number(value)) {
        schema_bad(b, schema, keyword, "a number");
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
        schema_bad(b, schema, "multipleOf", "a number above zero");
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
        schema_bad(b, schema, "pattern", "a regular expression");
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
        schema_bad(b, schema, "items", "a schema (a list of schemas is prefixItems)");
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
        schema_alternative(b, item_fails, &(struct single){i, NULL, {v, true}});
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
    if (min > 0) schema_alternative(b, counts, &(struct counted){{value, false}, 0, 0, min - 1});
    if (max != SIZE_MAX) schema_alternative(b, counts, &(struct counted){{value, false}, 0, max + 1, SIZE_MAX});
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
    if (!good) schema_bad(b, schema, keyword, "a list of names");
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
    json_array_foreach((json_t *)value, i, v) schema_alternative(b, lacks, json_string_value(v));
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
        schema_alternative(b, member_fails, &(struct single){0, key, {v, true}});
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
        schema_claim(b, d->on, false);
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
        schema_claim(b, d->on, true);
}

/* A schema with only the keys from the second on, so that each fork takes one key. */
static void dependent_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    bool names = json_object_get(schema, "dependentRequired") == value;
    const char *keyword = names ? "dependentRequired" : "dependentSchemas", *key = NULL, *k;
    const json_t *v, *on = NULL;
    json_t *rest = json_object();
    int failed = rest == NULL;
    json_object_foreach((json_t *)value, k, v) {
        if (names && !strings(b, schema, keyword, v)) break;
        if (key) {
            failed |= json_object_set(rest, k, (json_t *)v);
        } else {
            key = k;
            on = v;
        }
    }
    if (failed || json_object_size(rest) > 0) {
        json_t *s = failed ? NULL : json_pack("{s:O}", keyword, rest);
        schema_claim(b, schema_keep(b->e->x, s), false);
    }
    json_decref(rest);
    if (!key || !schema_good(b->e->x)) return;
    struct depends d = {key, on, NULL};
    schema_alternative(b, depends_absent, &d);
    /* Where it is absent the value may be anything else than an object too: that fork has it. */
    only(b, TYPE_OBJECT);
    schema_alternative(b, depends_present, &d);
    b->dead = true;
}

static void dependent_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *on, *v;
    const char *key;
    size_t i;
    (void)schema;
    json_object_foreach((json_t *)value, key, on) {
        if (!json_is_array(on)) schema_alternative(b, depends_fails, &(struct depends){key, on, NULL});
        json_array_foreach((json_t *)on, i, v)
            schema_alternative(b, depends_fails, &(struct depends){key, on, json_string_value(v)});
    }
    b->dead = true;
}

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
const struct keyword schema_keywords[] = {
    {"$ref", false, schema_ref_holds, schema_ref_fails},
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
    {"allOf", false, schema_all_holds, schema_all_fails},
    {"not", false, schema_not_holds, schema_not_fails},
    {"enum", true, enum_holds, enum_fails},
    {"anyOf", true, schema_any_holds, schema_any_fails},
    {"oneOf", true, schema_one_holds, schema_one_fails},
    {"if", true, schema_if_holds, schema_if_fails},
    {"dependentRequired", true, dependent_holds, dependent_fails},
    {"dependentSchemas", true, dependent_holds, dependent_fails},
    {"unevaluatedItems", false, unsupported, unsupported},
    {"unevaluatedProperties", false, unsupported, unsupported},
    {"$dynamicRef", false, unsupported, unsupported},
    {"$recursiveRef", false, unsupported, unsupported},
    {"dependencies", false, unsupported, unsupported},
    {0},
};
