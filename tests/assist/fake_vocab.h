/* Small vocabularies: one token per byte and the control tokens a test asks for, so that ids can be
 * written down by hand. */
#ifndef HEARTH_TESTS_ASSIST_FAKE_VOCAB_H
#define HEARTH_TESTS_ASSIST_FAKE_VOCAB_H

#include "text/tokenizer.h"

enum { FAKE_MAX_EXTRA = 32 };

struct fake_token {
    const char *text;
    enum token_type type;
};

struct fake_vocab {
    struct vocab_source source;
    struct text_str tokens[256 + 4 + FAKE_MAX_EXTRA];
    uint8_t types[256 + 4 + FAKE_MAX_EXTRA];
    float scores[256 + 4 + FAKE_MAX_EXTRA];
    char names[260][8];
    struct tokenizer *tokenizer;
};

/* Byte-level BPE without merges. A byte's id is fake_byte(v, byte); the extra tokens, ended by a
 * NULL text, follow from id 256 on. bos and eos are indices into extra, or -1. Fails the test on
 * error. */
void fake_vocab_bpe(struct fake_vocab *v, const struct fake_token *extra, int bos, int eos);
/* SentencePiece with byte fallback, the word mark as id 256 and extra from 257 on. */
void fake_vocab_spm(struct fake_vocab *v, const struct fake_token *extra, int bos, int eos);
void fake_vocab_fini(struct fake_vocab *v);

#endif
