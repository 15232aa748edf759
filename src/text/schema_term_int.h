/* Between schema_term.c and the keywords: what a keyword may do to a term. */
#ifndef HEARTH_TEXT_SCHEMA_TERM_INT_H
#define HEARTH_TEXT_SCHEMA_TERM_INT_H

#include "text/schema_int.h"

struct keyword;

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

struct keyword {
    const char *name;
    bool forks; /* holds() makes alternatives */
    /* Adds to the branch that the keyword holds; after a fork the branch itself is dead. */
    void (*holds)(struct branch *b, const json_t *schema, const json_t *value);
    /* That it does not; NULL: it always holds, so this cannot be. */
    void (*fails)(struct branch *b, const json_t *schema, const json_t *value);
};

/* Says that a keyword's value must be something else. */
void schema_bad(struct branch *b, const json_t *schema, const char *keyword, const char *what);
/* The types that a value of `type` names; TYPE_ALL + 1 stands for integers. */
unsigned schema_types(struct branch *b, const json_t *schema, const json_t *value);
/* Keywords of schema_combine.c. */
void schema_all_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_all_fails(struct branch *b, const json_t *schema, const json_t *value);
void schema_any_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_any_fails(struct branch *b, const json_t *schema, const json_t *value);
void schema_one_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_one_fails(struct branch *b, const json_t *schema, const json_t *value);
void schema_not_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_not_fails(struct branch *b, const json_t *schema, const json_t *value);
void schema_if_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_if_fails(struct branch *b, const json_t *schema, const json_t *value);
void schema_ref_holds(struct branch *b, const json_t *schema, const json_t *value);
void schema_ref_fails(struct branch *b, const json_t *schema, const json_t *value);

/* Ends with a name of NULL. */
extern const struct keyword schema_keywords[];

/* One more claim on the value at hand. */
void schema_claim(struct branch *b, const json_t *schema, bool not);
/* Goes on with a copy of the branch in which `fn` has changed something. */
void schema_alternative(struct branch *b, void (*fn)(struct branch *b, const void *arg),
                        const void *arg);

#define PUSH(b, list, value)                                                                       \
    do {                                                                                           \
        struct term *t_ = (b)->t;                                                                  \
        if (fa_grow(&(b)->e->x->b->budget, &t_->list, t_->n_##list, &t_->cap_##list,               \
                    sizeof *t_->list))                                                             \
            t_->list[t_->n_##list++] = (value);                                                    \
    } while (0)

#endif
