/* Vocabularies made in memory, and random texts, for the tests of the tokenizers. A failure of the
 * maker itself aborts the test program. */
#ifndef HEARTH_TESTS_VOCAB_MAKE_H
#define HEARTH_TESTS_VOCAB_MAKE_H

#include "base/buf.h"
#include "text/tokenizer.h"

struct made_vocab {
    struct vocab_source src; /* points into the arrays below; bos ... fim_sep start as TOKEN_NONE */
    struct text_str *tokens, *merges;
    float *scores;
    uint8_t *types;
    size_t cap, merges_cap;
};

void made_init(struct made_vocab *m, const char *model, const char *pre);
void made_fini(struct made_vocab *m);

/* Both copy the text; made_token returns the id. */
int32_t made_token(struct made_vocab *m, const char *text, enum token_type type, float score);
int32_t made_token_bytes(struct made_vocab *m, const char *text, size_t len, enum token_type type,
                         float score);
void made_merge(struct made_vocab *m, const char *line);

/* One token for each byte: GPT-2's characters for "gpt2", "<0xXX>" else. */
void made_all_bytes(struct made_vocab *m);
/* Letters and common signs as single-character tokens, U+2581 among them. */
void made_characters(struct made_vocab *m);
/* Control and user-defined tokens as code models have them. */
void made_specials(struct made_vocab *m);
/* `n` further tokens, each the join of two that are there already, with their merges. */
void made_joins(struct made_vocab *m, size_t n, uint64_t seed);

/* A whole vocabulary of a kind: "gpt2", "llama" or "gemma4". */
void made_sample(struct made_vocab *m, const char *model, const char *pre);

/* xorshift64*; the state must not be 0. */
uint64_t random_next(uint64_t *state);
size_t random_below(uint64_t *state, size_t n);

/* Replaces the buffer's contents: up to about 120 bytes of words, code, any code points, any bytes,
 * runs, texts of special tokens, or a mixture. */
void random_text(uint64_t *state, struct buf *out);

/* What encode and decode must make of a text: itself, with U+FFFD for each byte that the vocabulary
 * has no token for. */
void expected_text(const struct tokenizer *t, const char *text, size_t len, struct buf *out);

/* Encodes and decodes; returns false and prints both texts where the result is not the expected. */
bool round_trips(const struct tokenizer *t, const char *text, size_t len, bool special);

#endif
