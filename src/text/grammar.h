/* Structured output: which tokens may come next so that the whole text matches a grammar.
 *
 * A grammar is compiled once from GBNF, a regular expression, "any JSON" or a JSON schema; it is then
 * shared by requests. A state is one request's place in it: it gives the mask of allowed tokens, takes
 * the token that was drawn, and can go back (speculation). All matching is by bytes, so a token may
 * end inside a character, a key or a number, and span several of them.
 *
 * Threads: vocabularies and grammars may be used by any number of threads at once (a grammar guards
 * its caches by a lock of its own); a state by one at a time.
 *
 * docs/structured-output.md tells what each kind accepts. */
#ifndef HEARTH_TEXT_GRAMMAR_H
#define HEARTH_TEXT_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct tokenizer;
struct buf;

/* ---- vocabulary: the tokens as one tree of bytes, built once per tokenizer ---------------------- */

struct grammar_vocab;

/* `tok` is borrowed and must outlive it. `n_vocab` is the number of logits, at least the number of
 * tokens; what lies beyond the tokens is never allowed. */
enum status grammar_vocab_create(const struct tokenizer *tok, size_t n_vocab,
                                 struct grammar_vocab **out, struct error *err);
void grammar_vocab_destroy(struct grammar_vocab *v);
size_t grammar_vocab_size(const struct grammar_vocab *v); /* n_vocab */

/* ---- grammar ----------------------------------------------------------------------------------- */

enum grammar_kind {
    GRAMMAR_GBNF,        /* llama.cpp's notation; the rule `root` */
    GRAMMAR_REGEX,       /* the whole text matches the expression */
    GRAMMAR_JSON,        /* any JSON object (the text of the grammar: empty, or "value" for any value) */
    GRAMMAR_JSON_SCHEMA, /* draft 2020-12 */
};

/* 0 takes the default. Past a limit compiling fails with ERR_LIMIT. */
struct grammar_limits {
    size_t max_text;   /* bytes of the grammar; 1 MiB */
    size_t max_states; /* of all its automata together, with the work on the way; 2,000,000 */
    size_t max_depth;  /* of parentheses, and of nested schemas; 256 */
    size_t max_cache;  /* bytes of masks kept; 64 MiB */
    double max_ms;     /* of the thread's own time for compiling; 500 */
    bool ignore_format; /* JSON schema: `format` says nothing, as the specification has it by default */
};

struct grammar;

/* `vocab` is borrowed and must outlive the grammar; NULL: bytes only, no masks and no tokens.
 * ERR_FORMAT: the text breaks its notation; ERR_UNSUPPORTED: well-formed, but something that cannot be
 * held to (the message names the keyword and, in a schema, its JSON pointer); ERR_INVALID: nothing can
 * match; ERR_LIMIT: too large. */
enum status grammar_compile(enum grammar_kind kind, const char *text, size_t len,
                            const struct grammar_vocab *vocab, const struct grammar_limits *limits,
                            struct grammar **out, struct error *err);
struct grammar *grammar_ref(struct grammar *g);
void grammar_unref(struct grammar *g); /* NULL is fine */
const struct grammar_vocab *grammar_vocabulary(const struct grammar *g);

/* ---- state ------------------------------------------------------------------------------------- */

struct grammar_state;

enum { GRAMMAR_MAX_ROLLBACK = 64 }; /* tokens that can be taken back at any time */

/* At the beginning of the text. Holds a reference to the grammar. */
enum status grammar_state_create(struct grammar *g, struct grammar_state **out, struct error *err);
enum status grammar_state_clone(const struct grammar_state *s, struct grammar_state **out,
                                struct error *err);
void grammar_state_destroy(struct grammar_state *s);
void grammar_state_reset(struct grammar_state *s); /* to the beginning */

/* Words of a mask for n_vocab tokens. Bit t % 64 of word t / 64 is token t. */
#define GRAMMAR_MASK_WORDS(n_vocab) (((n_vocab) + 63) / 64)

/* Fills mask [GRAMMAR_MASK_WORDS(n_vocab)] with the tokens that may come next; end-of-text tokens only
 * where the text is complete. Every allowed token leaves a text that can still be completed, as far as
 * the vocabulary has the bytes for it. ERR_LIMIT: too ambiguous at this place; ERR_NOMEM. */
enum status grammar_mask(struct grammar_state *s, uint64_t *mask, struct error *err);
/* The same, written as -INFINITY into logits [n_vocab]. *n_allowed (may be NULL): how many stay. */
enum status grammar_mask_logits(struct grammar_state *s, float *logits, size_t *n_allowed,
                                struct error *err);
/* Whether one token may come next: what the mask would say, without making it. */
bool grammar_allows(struct grammar_state *s, int32_t token);

/* Takes a token. ERR_INVALID where it is not allowed: the state is unchanged then. After an
 * end-of-text token nothing is allowed any more. */
enum status grammar_accept(struct grammar_state *s, int32_t token, struct error *err);
/* Takes bytes, as one step of the history. */
enum status grammar_accept_bytes(struct grammar_state *s, const char *bytes, size_t n,
                                 struct error *err);
/* How many of these tokens can be taken one after the other; the state is unchanged. */
size_t grammar_accepts(struct grammar_state *s, const int32_t *tokens, size_t n);
/* Takes back the last n steps. ERR_INVALID where fewer were taken or kept (GRAMMAR_MAX_ROLLBACK). */
enum status grammar_rollback(struct grammar_state *s, size_t n, struct error *err);

bool grammar_is_complete(const struct grammar_state *s); /* the text could end here */
bool grammar_is_ended(const struct grammar_state *s);    /* an end-of-text token was taken */
/* Appends the bytes that have to come next (jump-ahead), up to the first choice: none where the text
 * could also end, or where the next byte is open. The state is unchanged. */
enum status grammar_forced(struct grammar_state *s, struct buf *out, struct error *err);

#endif
