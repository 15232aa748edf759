/* Claims taken apart into terms. */
#include <stdlib.h>
#include <string.h>

#include "text/schema_term_int.h"

enum { MAX_TERMS = 2000, MAX_PENDING = 4000 };

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

void schema_claim(struct branch *b, const json_t *schema, bool not)
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
void schema_alternative(struct branch *b, void (*fn)(struct branch *b, const void *arg), const void *arg)
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
    for (size_t i = 0; schema_keywords[i].name && schema_good(b->e->x) && !b->dead; i++) {
        const json_t *value = json_object_get(schema, schema_keywords[i].name);
        if (value && schema_keywords[i].forks)
            put_pending(b, (struct claim){schema, false}, &schema_keywords[i]);
        else if (value)
            schema_keywords[i].holds(b, schema, value);
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
    for (size_t i = 0; schema_keywords[i].name && schema_good(b->e->x); i++) {
        const json_t *value = json_object_get(c.schema, schema_keywords[i].name);
        if (value) schema_alternative(b, fails_one, &(struct use){&schema_keywords[i], c.schema, value});
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
    for (size_t i = 0; i < claims->n; i++) schema_claim(&b, claims->list[i].schema, claims->list[i].not);
    go_on(&b);
    claims_fini(&b.done);
    term_fini(&t);
    free(e.arena);
}
