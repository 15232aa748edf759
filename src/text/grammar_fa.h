/* Finite automata over ranges of symbols: the regular parts of grammars.
 *
 * Symbols are code points or bytes; above them stand the two ends of a text and calls of rules, so that
 * one construction makes all deterministic. Everything is bounded by a budget: exponential expressions
 * end with ERR_LIMIT, not with the machine's memory. */
#ifndef HEARTH_TEXT_GRAMMAR_FA_H
#define HEARTH_TEXT_GRAMMAR_FA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define FA_MAX_POINT 0x10FFFFu
#define FA_BEGIN 0x110000u /* before the first character of a text */
#define FA_END 0x110001u   /* behind its last */
#define FA_CALL 0x200000u  /* + the rule's number */
#define FA_NONE UINT32_MAX

/* Of one compilation. The first failure stays; work after it does nothing. */
struct fa_budget {
    size_t states; /* that may still be made */
    double deadline; /* by fa_clock() */
    enum status st;
    size_t since_look; /* at the clock */
};
/* Seconds of work of this thread: what other programs do does not decide what compiles. */
double fa_clock(void);
/* Takes n states; false, with st set, where nothing more may be made. */
bool fa_spend(struct fa_budget *b, size_t n);
/* malloc'ed or NULL with st = ERR_NOMEM. realloc of p. */
void *fa_realloc(struct fa_budget *b, void *p, size_t n, size_t size);
/* Room for one more element: doubles *cap. The array is unchanged on failure. */
bool fa_grow(struct fa_budget *b, void *array, size_t n, size_t *cap, size_t size);

struct fa_range {
    uint32_t lo, hi;
};

struct nfa_edge {
    uint32_t lo, hi; /* lo > hi: takes no symbol */
    uint32_t to, next;
};

/* Built piece by piece, as Thompson did. Zero-initialise but for the budget. */
struct nfa {
    struct fa_budget *budget;
    uint32_t *head; /* [n] first edge */
    size_t n, cap;
    struct nfa_edge *edges;
    size_t n_edges, cap_edges;
};
void nfa_fini(struct nfa *a);
uint32_t nfa_state(struct nfa *a); /* 0 after a failure: safe to use */
void nfa_edge(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to);
void nfa_skip(struct nfa *a, uint32_t from, uint32_t to);
void nfa_call(struct nfa *a, uint32_t from, uint32_t rule, uint32_t to);
void nfa_bytes(struct nfa *a, uint32_t from, const char *s, size_t n, uint32_t to);
/* One code point of the range in UTF-8. */
void nfa_utf8(struct nfa *a, uint32_t from, uint32_t lo, uint32_t hi, uint32_t to);

struct dfa_edge {
    uint32_t lo, hi, to;
};

/* State 0 is the start. A symbol without an edge leads nowhere. */
struct dfa {
    size_t n, n_edges;
    uint32_t *first; /* [n + 1]: the edges of a state, ascending and disjoint */
    struct dfa_edge *edges;
    bool *final; /* [n] */
};
void dfa_fini(struct dfa *d);
/* Only states that are reached and reach an end; n = 0: the empty language. The budget tells of
 * failure; *out is empty then. */
void dfa_from_nfa(const struct nfa *a, uint32_t start, uint32_t final, struct dfa *out);

enum fa_op { FA_AND, FA_BUT, FA_OR }; /* FA_BUT: in a, not in b */
void dfa_combine(const struct dfa *a, const struct dfa *b, enum fa_op op, struct fa_budget *budget,
                 struct dfa *out);
/* All texts of code points. */
void dfa_all(struct fa_budget *budget, struct dfa *out);
/* Copies it into an nfa. */
void dfa_into(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to);
/* Where a symbol leads, or FA_NONE. */
uint32_t dfa_step(const struct dfa *d, uint32_t state, uint32_t symbol);
/* From texts between FA_BEGIN and FA_END to the texts themselves. */
void dfa_strip_ends(const struct dfa *d, struct fa_budget *budget, struct dfa *out);

#endif
