/* Arrays of JSON schemas. States are numbered by how many items have been read, up to where it no
 * longer matters, and how often each counted claim has held. */
#include <stdlib.h>

#include "text/schema_int.h"

struct array {
    struct schema *x;
    const struct term *t;
    struct nfa a;
    uint32_t space, end;
    size_t n_index;               /* indices 0 .. n_index - 1 differ; the last one repeats */
    size_t radix[MAX_COUNTED], n_counts;
    uint32_t before, behind;      /* first state of those before an item, and behind one */
};

/* One more than the count from which on nothing changes. */
static size_t radix_of(const struct counted *c)
{
    return (c->max == SIZE_MAX ? c->min : c->max) + 1;
}

static bool layout(struct array *r)
{
    const struct term *t = r->t;
    size_t n = t->min_items > 1 ? t->min_items : 1, states = 1; /* nothing leads back before the first */
    for (size_t i = 0; i < t->lists.n; i++) {
        size_t len = json_array_size(json_object_get(t->lists.list[i].schema, "prefixItems"));
        if (len > n) n = len;
    }
    for (size_t i = 0; i < t->n_items; i++)
        if (t->items[i].index + 1 > n) n = t->items[i].index + 1;
    for (size_t i = 0; i < t->n_counted; i++)
        if (t->counted[i].from > n) n = t->counted[i].from;
    if (t->max_items != SIZE_MAX && t->max_items > n) n = t->max_items;
    r->n_index = n + 1;
    for (size_t i = 0; i < t->n_counted; i++) {
        r->radix[i] = radix_of(&t->counted[i]);
        if (r->radix[i] > 10000) return false;
        states *= r->radix[i];
    }
    r->n_counts = states;
    return r->n_index <= 100000 && states <= 100000 && r->n_index * states <= 200000;
}

/* Takes over into `next` how the counts change; false where one gets too large. */
static bool count_on(const struct array *r, size_t counts, unsigned holds, size_t *next)
{
    size_t unit = 1;
    *next = counts;
    for (size_t i = 0; i < r->t->n_counted; i++) {
        const struct counted *c = &r->t->counted[i];
        size_t at = counts / unit % r->radix[i];
        if (holds >> i & 1) {
            if (at == c->max) return false;
            if (at + 1 < r->radix[i]) *next += unit;
        }
        unit *= r->radix[i];
    }
    return true;
}

static bool enough(const struct array *r, size_t index, size_t counts)
{
    if (index < r->t->min_items || (r->t->max_items != SIZE_MAX && index > r->t->max_items)) return false;
    for (size_t i = 0, unit = 1; i < r->t->n_counted; unit *= r->radix[i++])
        if (counts / unit % r->radix[i] < r->t->counted[i].min) return false;
    return true;
}

static void claims_of_item(struct array *r, size_t index, struct claims *c)
{
    const struct term *t = r->t;
    for (size_t i = 0; i < t->lists.n; i++) {
        const json_t *s = t->lists.list[i].schema, *prefix = json_object_get(s, "prefixItems");
        const json_t *items = json_object_get(s, "items");
        if (index < json_array_size(prefix))
            claims_add(r->x, c, (struct claim){json_array_get(prefix, index), false});
        else if (items)
            claims_add(r->x, c, (struct claim){items, false});
    }
    for (size_t i = 0; i < t->n_items; i++)
        if (t->items[i].index == index) claims_add(r->x, c, t->items[i].claim);
}

/* An item at `index`, in each way in which the counted claims may hold. */
static void item(struct array *r, size_t index, size_t counts)
{
    const struct term *t = r->t;
    uint32_t from = r->before + (uint32_t)(index * r->n_counts + counts);
    size_t to_index = index + 1 < r->n_index ? index + 1 : index;
    if (t->max_items != SIZE_MAX && index >= t->max_items) return;
    for (unsigned holds = 0; holds < 1u << t->n_counted && schema_good(r->x); holds++) {
        struct claims c = {0};
        size_t next;
        bool possible = count_on(r, counts, holds, &next);
        claims_of_item(r, index, &c);
        for (size_t i = 0; i < t->n_counted; i++) {
            const struct counted *at = &t->counted[i];
            bool yes = holds >> i & 1;
            if (index < at->from) {
                possible &= !yes;
                continue;
            }
            struct claim claim = at->claim;
            if (!yes) {
                if (at->max == SIZE_MAX) continue; /* more do no harm: nothing to exclude */
                claim.not = !claim.not;
            }
            claims_add(r->x, &c, claim);
        }
        if (!possible) {
            claims_fini(&c);
            continue;
        }
        uint32_t rule = schema_want(r->x, &c);
        if (!schema_good(r->x)) return;
        nfa_call(&r->a, from, rule, r->behind + (uint32_t)(to_index * r->n_counts + next));
    }
}

static bool is_finite_list(const struct term *t)
{
    return t->max_items <= 1;
}

uint32_t schema_array(struct schema *x, const struct term *t)
{
    struct array r = {.x = x, .t = t, .a = {.budget = &x->b->budget}};
    if (t->unique && !is_finite_list(t)) {
        schema_fail(x, ERR_UNSUPPORTED, t->unique, "uniqueItems",
                    "no grammar can tell whether items differ, unless maxItems is 0 or 1");
        return FA_NONE;
    }
    if (!layout(&r)) {
        schema_fail(x, ERR_LIMIT, t->lists.n ? t->lists.list[0].schema : x->root, NULL,
                    "too many numbers of items (minItems, maxItems, minContains, maxContains)");
        return FA_NONE;
    }
    r.space = grammar_json_space(x->b);
    uint32_t start = nfa_state(&r.a), open = nfa_state(&r.a);
    r.end = nfa_state(&r.a);
    size_t n = r.n_index * r.n_counts;
    r.before = (uint32_t)r.a.n;
    for (size_t i = 0; i < n && schema_good(x); i++) nfa_state(&r.a);
    r.behind = (uint32_t)r.a.n;
    for (size_t i = 0; i < n && schema_good(x); i++) nfa_state(&r.a);
    if (schema_good(x)) {
        nfa_edge(&r.a, start, '[', '[', open);
        nfa_call(&r.a, open, r.space, r.before);
        if (enough(&r, 0, 0)) nfa_edge(&r.a, r.before, ']', ']', r.end);
    }
    for (size_t i = 0; i < r.n_index && schema_good(x); i++)
        for (size_t k = 0; k < r.n_counts && schema_good(x); k++) {
            item(&r, i, k);
            uint32_t at = r.behind + (uint32_t)(i * r.n_counts + k);
            uint32_t spaced = nfa_state(&r.a), comma = nfa_state(&r.a);
            if (!schema_good(x)) break;
            nfa_call(&r.a, at, r.space, spaced);
            nfa_edge(&r.a, spaced, ',', ',', comma);
            nfa_call(&r.a, comma, r.space, r.before + (uint32_t)(i * r.n_counts + k));
            /* With no item read there is no place behind one, but where the last index repeats. */
            if (enough(&r, i, k)) nfa_edge(&r.a, spaced, ']', ']', r.end);
        }
    uint32_t rule = grammar_rule_add(x->b);
    if (schema_good(x)) grammar_rule_define(x->b, rule, &r.a, start, r.end);
    nfa_fini(&r.a);
    return rule;
}
