/* Inside of grammars: from rules to a program, and the program's caches.
 *
 * A rule is a deterministic automaton over bytes and calls of rules; rules may call each other in any
 * way (a recursive transition network). An object rule is written differently: its members come in any
 * order, so its states are made while they are needed, from the set of members seen. */
#ifndef HEARTH_TEXT_GRAMMAR_INT_H
#define HEARTH_TEXT_GRAMMAR_INT_H

#include <pthread.h>

#include "text/grammar.h"
#include "text/grammar_fa.h"

enum { GRAMMAR_MAX_MEMBERS = 256, GRAMMAR_SEEN_WORDS = GRAMMAR_MAX_MEMBERS / 64, GRAMMAR_LENGTHS = 9 };

/* ---- building: rules, then a program ------------------------------------------------------------
 */

struct grammar_member {
    uint32_t rule; /* "key": value, with the white space between */
    bool required;
};

/* "{" white space, members with commas between, "}". */
struct grammar_object {
    struct grammar_member *members; /* owned; each at most once */
    size_t n_members;
    uint32_t *extras; /* owned; rules of members that may come any number of times */
    size_t n_extras;
    size_t min, max; /* members; of extras one counts for `min`, since they may repeat a key */
};

struct grammar_rule {
    struct dfa dfa;                /* n = 0 before it is defined, and for objects */
    struct grammar_object *object; /* owned; or NULL */
    bool nullable, productive;
};

struct grammar_build {
    struct fa_budget budget;
    const struct grammar_limits *limits;
    struct error *err;
    struct grammar_rule *rules;
    size_t n_rules, cap_rules;
    uint32_t space; /* the rule of white space between JSON tokens; FA_NONE before it is needed */
};
/* A rule without a definition matches nothing. 0 after a failure. */
uint32_t grammar_rule_add(struct grammar_build *b);
/* Makes `a`, from start to final, deterministic. */
void grammar_rule_define(struct grammar_build *b, uint32_t rule, const struct nfa *a, uint32_t start,
                         uint32_t final);
/* Takes over what the object owns, on failure too. */
void grammar_rule_define_object(struct grammar_build *b, uint32_t rule, struct grammar_object *o);
/* Sets the error of the budget's failure, if there is one; returns b's status. */
enum status grammar_build_status(struct grammar_build *b);
void grammar_build_fini(struct grammar_build *b);
/* Drops what cannot end, and fills the program. */
enum status grammar_build_finish(struct grammar_build *b, uint32_t root, struct grammar *g);

/* JSON: white space; a string body of code points `d` in all its spellings, quotes included, as a
 * rule; any value. */
uint32_t grammar_json_space(struct grammar_build *b);
void grammar_json_string(const struct dfa *d, struct nfa *a, uint32_t from, uint32_t to);
/* The rules of any value and of any object; FA_NONE where there is no memory. */
void grammar_json_any(struct grammar_build *b, uint32_t *value, uint32_t *object);

/* Front ends: one file each, listed in grammar.c. They return the root rule. */
struct grammar_front {
    enum grammar_kind kind;
    const char *name;
    enum status (*build)(struct grammar_build *b, const char *text, size_t len, uint32_t *root);
};
extern const struct grammar_front grammar_front_gbnf, grammar_front_regex, grammar_front_json,
    grammar_front_schema;

/* ---- program ------------------------------------------------------------------------------------
 */

enum {
    STATE_FINAL = 1, /* the rule may end here */
    STATE_BYTES = 2, /* has edges */
    STATE_CALLS = 4,
    STATE_LAZY = 8, /* of an object, not yet written out */
    STATE_TAIL = 16, /* nothing but final */
    STATE_RETURNS = 32, /* final, and some rule calls this one */
};

struct grammar_edge {
    uint8_t lo, hi;
    uint32_t to;
};
struct grammar_call {
    uint32_t rule, to;
};

struct grammar_node_state {
    uint32_t edge, call; /* first of each */
    uint16_t n_edges, n_calls;
    uint8_t flags;
};

/* What an object's state knows. */
struct object_key {
    uint32_t object;
    uint16_t phase;
    uint16_t count; /* members so far, up to what matters */
    uint64_t seen[GRAMMAR_SEEN_WORDS];
    bool extra; /* one of the extras was seen */
};

struct mask_cache;

struct grammar {
    int refs;
    const struct grammar_vocab *vocab;
    struct grammar_limits limits;
    uint32_t root;
    /* Grow while objects are followed. */
    struct grammar_node_state *states;
    size_t n_states, cap_states;
    struct grammar_edge *edges;
    size_t n_edges, cap_edges;
    struct grammar_call *calls;
    size_t n_calls, cap_calls;

    uint32_t *rule_start;
    bool *rule_nullable;
    size_t n_rules;
    struct grammar_object *objects; /* members without an end are gone */
    size_t n_objects;
    uint32_t space; /* rule, or FA_NONE */

    struct object_key *keys; /* of lazy states, in the order of their numbers from first_lazy on */
    size_t n_keys, cap_keys;
    uint32_t first_lazy;
    uint32_t *key_table; /* key's number + 1; a power of two */
    size_t key_size;

    struct mask_cache *cache;
    pthread_mutex_t lock; /* over all that grows */
};

/* The state that an object's rule begins with. FA_NONE and st set on failure. */
uint32_t grammar_object_start(struct grammar *g, uint32_t object, enum status *st);
/* Writes out a lazy state; the arrays may move. */
enum status grammar_state_expand(struct grammar *g, uint32_t state);

/* ---- vocabulary ---------------------------------------------------------------------------------
 */

struct grammar_vocab {
    const struct tokenizer *tok;
    size_t n_vocab;
    struct vocab_node *nodes; /* [0] is the root; children of a node stand together, by byte */
    size_t n_nodes;
    int32_t *tokens; /* those that end at a node stand together */
    int32_t *ends;   /* end-of-text tokens */
    size_t n_ends;
    uint64_t *shorter[GRAMMAR_LENGTHS]; /* the tokens of fewer bytes than grammar_lengths[i], as a mask */
};
extern const uint8_t grammar_lengths[GRAMMAR_LENGTHS]; /* ascending */
struct vocab_node {
    uint32_t child, token;
    uint16_t n_children, n_tokens;
    uint8_t byte;
    uint8_t depth, longest; /* bytes to here; of the longest token from here on; 255 stands for more, too */
};

/* ---- matching: see grammar_match.c --------------------------------------------------------------
 */

/* One place where the text may be: a state of a rule, and the call that it belongs to. */
struct place {
    uint32_t state, frame;
};

/* Calls that have not returned: a graph that grows at its end and whose older part never changes, so
 * that going back is forgetting the newest. */
struct frame {
    uint32_t link; /* first of those that called it here, or FA_NONE (the root) */
    uint32_t rule;
    uint64_t hash; /* of all that lies below; 0: has none */
};
struct link {
    uint32_t to, frame; /* where to go on */
    uint32_t next;
};

struct step {
    size_t place, n_places; /* in places */
    size_t n_frames, n_links;
    bool complete, ended;
};

struct grammar_state {
    struct grammar *g;
    struct frame *frames;
    size_t n_frames, cap_frames;
    struct link *links;
    size_t n_links, cap_links;
    struct place *places;
    size_t n_places, cap_places;
    struct step steps[GRAMMAR_MAX_ROLLBACK + 1];
    size_t n_steps; /* >= 1: the last is now */
    size_t gc_at;   /* frames from which on unused ones are collected */
    enum status st; /* of the walk at hand */
    uint32_t *seen; /* hash set of places: see grammar_match.c */
    struct place *seen_place;
    uint32_t seen_round;
};

/* A set of places: the range [first, n) of s->places, and whether the text could end. */
struct reach {
    size_t first, n;
    bool complete;
};
static inline struct step *grammar_now(const struct grammar_state *s)
{
    return (struct step *)&s->steps[s->n_steps - 1];
}
/* The places after one byte, put at the end of s->places; the lock is held. Frames made before
 * `frames` are not changed. */
struct reach grammar_step(struct grammar_state *s, struct reach from, uint8_t byte);
/* The same for places that are already there, put in range [first, s->n_places). `mark`: frames from
 * there on are of this position. */
struct reach grammar_close(struct grammar_state *s, size_t first, size_t mark);
void grammar_bytes_allowed(struct grammar_state *s, struct reach at, uint64_t allowed[4]);

/* How many bytes it takes to tell two states of rules apart, at most `most`: along all shorter texts both
 * take the same bytes, and reach the same states where a rule may end or calls another. */
unsigned grammar_alike(const struct grammar *g, uint32_t p, uint32_t q, unsigned most);

/* mask */
enum status mask_cache_create(struct grammar *g);
void mask_cache_destroy(struct mask_cache *c);

#endif
