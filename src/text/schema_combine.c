/* Keywords that claim other schemas of the same value: allOf, anyOf, oneOf, not, if, $ref. */
#include <string.h>

#include "text/schema_term_int.h"

struct one {
    const json_t *list;
    size_t i, j; /* j: SIZE_MAX, or another that holds too */
};

static void claim_it(struct branch *b, const void *arg) { schema_claim(b, arg, false); }
static void claim_not(struct branch *b, const void *arg) { schema_claim(b, arg, true); }

static bool schemas(struct branch *b, const json_t *schema, const char *keyword, const json_t *value)
{
    if (json_is_array(value) && json_array_size(value) > 0) return true;
    schema_bad(b, schema, keyword, "a list of schemas, and not empty");
    return false;
}

void schema_all_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "allOf", value)) return;
    json_array_foreach((json_t *)value, i, v) schema_claim(b, v, false);
}

void schema_all_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "allOf", value)) return;
    json_array_foreach((json_t *)value, i, v) schema_alternative(b, claim_not, v);
    b->dead = true;
}

void schema_any_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "anyOf", value)) return;
    json_array_foreach((json_t *)value, i, v) schema_alternative(b, claim_it, v);
    b->dead = true;
}

void schema_any_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *v;
    size_t i;
    if (!schemas(b, schema, "anyOf", value)) return;
    json_array_foreach((json_t *)value, i, v) schema_claim(b, v, true);
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
    unsigned t = type ? schema_types(b, s, type) : TYPE_ALL;
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
        if (j != o->i && !disjoint(b, s, v)) schema_claim(b, v, true);
    schema_claim(b, s, false);
}

void schema_one_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    if (!schemas(b, schema, "oneOf", value)) return;
    for (size_t i = 0; i < json_array_size(value); i++)
        schema_alternative(b, one_holds_at, &(struct one){value, i, SIZE_MAX});
    b->dead = true;
}

static void two_hold(struct branch *b, const void *arg)
{
    const struct one *o = arg;
    schema_claim(b, json_array_get(o->list, o->i), false);
    schema_claim(b, json_array_get(o->list, o->j), false);
}

static void none_holds(struct branch *b, const void *arg)
{
    const json_t *v;
    size_t i;
    json_array_foreach((json_t *)arg, i, v) schema_claim(b, v, true);
}

void schema_one_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    if (!schemas(b, schema, "oneOf", value)) return;
    schema_alternative(b, none_holds, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        for (size_t j = i + 1; j < json_array_size(value); j++)
            if (!disjoint(b, json_array_get(value, i), json_array_get(value, j)))
                schema_alternative(b, two_hold, &(struct one){value, i, j});
    b->dead = true;
}

void schema_not_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    schema_claim(b, value, true);
}

void schema_not_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    (void)schema;
    schema_claim(b, value, false);
}

struct condition {
    const json_t *test, *then;
    bool test_not, then_not;
};

static void one_way(struct branch *b, const void *arg)
{
    const struct condition *c = arg;
    schema_claim(b, c->test, c->test_not);
    if (c->then) schema_claim(b, c->then, c->then_not);
}

void schema_if_holds(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *then = json_object_get(schema, "then"), *other = json_object_get(schema, "else");
    if (!then && !other) return;
    schema_alternative(b, one_way, &(struct condition){value, then, false, false});
    schema_alternative(b, one_way, &(struct condition){value, other, true, false});
    b->dead = true;
}

void schema_if_fails(struct branch *b, const json_t *schema, const json_t *value)
{
    const json_t *then = json_object_get(schema, "then"), *other = json_object_get(schema, "else");
    if (then) schema_alternative(b, one_way, &(struct condition){value, then, false, true});
    if (other) schema_alternative(b, one_way, &(struct condition){value, other, true, true});
    b->dead = true;
}

static void ref(struct branch *b, const json_t *schema, const json_t *value, bool fails)
{
    if (json_is_string(value))
        schema_claim(b, schema_resolve(b->e->x, schema, json_string_value(value)), fails);
    else
        schema_bad(b, schema, "$ref", "a string");
}

void schema_ref_holds(struct branch *b, const json_t *schema, const json_t *value) { ref(b, schema, value, false); }
void schema_ref_fails(struct branch *b, const json_t *schema, const json_t *value) { ref(b, schema, value, true); }
