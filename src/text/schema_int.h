/* Inside of JSON schemas as grammars.
 *
 * A value must satisfy a set of claims, each "is an instance of this schema" or "is not". Claims are
 * taken apart, keyword by keyword, into terms: alternatives of which each tells separately what a
 * number, a string, an array and an object must be. Numbers and strings are automata, so that any
 * combination of conditions on them is exact. Each set of claims is one rule, made once, so recursion
 * needs no more. */
#ifndef HEARTH_TEXT_SCHEMA_INT_H
#define HEARTH_TEXT_SCHEMA_INT_H

#include <jansson.h>

#include "text/grammar_int.h"

/* What a schema says about a value: `schema` holds, or does not. */
struct claim {
    const json_t *schema;
    bool not;
};

struct claims {
    struct claim *list;
    size_t n, cap;
};

enum {
    TYPE_NULL = 1, TYPE_TRUE = 2, TYPE_FALSE = 4, TYPE_NUMBER = 8, TYPE_STRING = 16,
    TYPE_ARRAY = 32, TYPE_OBJECT = 64, TYPE_ALL = 127,
};

/* Items that satisfy a claim are counted. */
struct counted {
    struct claim claim;
    size_t from, min, max; /* from: the first item that counts */
};

/* A claim on one item, or on the value of one key. */
struct single {
    size_t index;
    const char *key;
    struct claim claim;
};

enum { MAX_COUNTED = 3 };

/* One alternative. Automata with n = 0 and `any` set: no condition. */
struct term {
    unsigned types;
    bool any_number, any_string;
    struct dfa number, string;
    /* Arrays */
    struct claims lists; /* schemas whose prefixItems and items hold */
    struct single *items;
    size_t n_items, cap_items;
    struct counted counted[MAX_COUNTED];
    size_t n_counted, min_items, max_items;
    const json_t *unique; /* the schema with uniqueItems, or NULL */
    /* Objects */
    struct claims groups; /* schemas whose properties, patternProperties, additionalProperties hold */
    struct single *members;
    size_t n_members, cap_members;
    const char **required, **forbidden;
    size_t n_required, cap_required, n_forbidden, cap_forbidden;
    struct claims names; /* of propertyNames */
    size_t min_members, max_members;
    const json_t *min_by, *max_by; /* schemas that say so, for messages */
};

struct schema_node; /* see schema_ref.c */

/* A set of claims and its rule. */
struct wanted {
    struct claims claims;
    uint32_t rule;
};

struct schema {
    struct grammar_build *b;
    json_t *root, *made; /* made: an array of schemas that stand for others */
    enum status st;
    struct schema_node *nodes;
    size_t n_nodes, cap_nodes;
    struct wanted *wanted;
    size_t n_wanted, cap_wanted;
    uint32_t any_value, any_object, any_string, any_array; /* rules; FA_NONE */
};

/* ---- errors: by keyword and place --------------------------------------------------------------- */

/* Says what is wrong with `keyword` (may be NULL) of a schema, with its JSON pointer. */
void schema_fail(struct schema *x, enum status st, const json_t *schema, const char *keyword,
                 const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static inline bool schema_good(const struct schema *x)
{
    return x->st == OK && x->b->budget.st == OK;
}
/* Keeps a schema that was made, until the end; NULL after a failure. */
const json_t *schema_keep(struct schema *x, json_t *made);

/* ---- references --------------------------------------------------------------------------------- */

void schema_index(struct schema *x);
void schema_index_fini(struct schema *x);
/* The schema that a $ref of `from` names; NULL with x->st set. */
const json_t *schema_resolve(struct schema *x, const json_t *from, const char *ref);

/* ---- terms -------------------------------------------------------------------------------------- */

void claims_add(struct schema *x, struct claims *c, struct claim claim);
void claims_fini(struct claims *c);
/* Takes claims apart; `fn` is called for each term, which it may change but not keep. */
void schema_expand(struct schema *x, const struct claims *claims,
                   void (*fn)(struct schema *x, void *ctx, struct term *t), void *ctx);
void term_only(struct term *t, unsigned types);
void term_number(struct schema *x, struct term *t, const struct dfa *d, bool not);
void term_string(struct schema *x, struct term *t, const struct dfa *d, bool not);

/* ---- numbers and strings ------------------------------------------------------------------------ */

enum { CMP_LESS = 1, CMP_EQUAL = 2, CMP_MORE = 4 };
/* Plain decimals that compare with `bound`, a JSON number, in one of these ways. */
void schema_compare(struct schema *x, const json_t *bound, unsigned want, struct dfa *out);
/* All spellings of a number that are recognised. */
void schema_equal(struct schema *x, const json_t *value, struct dfa *out);
/* Plain decimals (no exponent), integers, multiples of a JSON number. */
void schema_decimals(struct schema *x, struct dfa *out);
void schema_integers(struct schema *x, bool exponents, struct dfa *out);
void schema_multiples(struct schema *x, const json_t *schema, const json_t *of, struct dfa *out);
/* Texts of min to max code points; max = SIZE_MAX: no end. */
void schema_lengths(struct schema *x, size_t min, size_t max, struct dfa *out);
void schema_literal(struct schema *x, const char *s, size_t n, struct dfa *out);
bool schema_matches(const struct dfa *d, const char *s, size_t n);
/* Of a `format`; false where the name is not known, and says nothing then. */
bool schema_format(struct schema *x, const json_t *schema, const char *name, struct dfa *out);

/* ---- rules -------------------------------------------------------------------------------------- */

/* The rule of a set of claims, which is made later. Takes the claims over. */
uint32_t schema_want(struct schema *x, struct claims *claims);
uint32_t schema_array(struct schema *x, const struct term *t);
/* FA_NONE: there is no such object. */
uint32_t schema_object(struct schema *x, const struct term *t);

#endif
