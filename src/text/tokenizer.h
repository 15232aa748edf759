/* Text to token ids and back, as the model's own tokenizer does it.
 *
 * A tokenizer is built from a `struct vocab_source`, which says what a model file says; `text` knows
 * no file format. Immutable after creation: any thread may use it. The source's byte strings are
 * borrowed and must outlive the tokenizer (they point into the mapped model file), so that 151,000
 * pieces cost no copy. */
#ifndef HEARTH_TEXT_TOKENIZER_H
#define HEARTH_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct text_str {
    const char *data;
    size_t len;
};

/* Token types as in GGUF's tokenizer.ggml.token_type. */
enum token_type {
    TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER_DEFINED = 4,
    TOKEN_UNUSED = 5, TOKEN_BYTE = 6,
};

#define TOKEN_NONE (-1)

struct vocab_source {
    /* tokenizer.ggml.model: "gpt2" (byte-level BPE), "llama" (SPM), "gemma4" (BPE over characters),
     * "bert" (WordPiece), "t5" (Unigram) */
    const char *model;
    const char *pre;              /* tokenizer.ggml.pre: "qwen2", "deepseek-coder", ...; may be NULL */
    size_t n_tokens;
    const struct text_str *tokens;
    const float *scores;          /* or NULL */
    const uint8_t *types;         /* enum token_type per token, or NULL: all normal */
    size_t n_merges;
    const struct text_str *merges; /* "left right" */
    int32_t bos, eos, eot, unk, pad, sep, cls, mask;       /* TOKEN_NONE where absent */
    int32_t fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep;
    bool add_bos, add_eos;
    bool add_sep;                 /* between two texts, after EOS: see tokenizer_encode_wrapped */
    bool add_space_prefix;        /* SPM, Unigram */
    bool remove_extra_spaces;     /* Unigram: runs of spaces are one, those at the ends are none */
    struct text_str charsmap;     /* Unigram: normalisation (charsmap.h), borrowed, or empty */
    bool lowercase, strip_accents; /* WordPiece */
    bool ignore_merges;           /* llama-3 style: a whole pre-token that is a token wins */
    bool strip_after_special;     /* Phi-3: white space after a parsed special token is part of it */
};

struct tokenizer;

/* Growable list of ids; zero-initialise, free with token_list_fini. */
struct token_list {
    int32_t *ids;
    size_t len, cap;
};
void token_list_fini(struct token_list *l);
enum status token_list_push(struct token_list *l, int32_t id);

/* Copies what it needs of src except the tokens' bytes. ERR_UNSUPPORTED names the model or
 * pre-tokenizer that is not known. Missing FIM ids are looked for by the tokens' text. */
enum status tokenizer_create(const struct vocab_source *src, struct tokenizer **out,
                             struct error *err);
void tokenizer_destroy(struct tokenizer *t);

/* Appends the ids of `text` (any bytes) to `out`; no BOS or EOS. Unless `parse_special`, the text of
 * a control token in the input is ordinary text and never becomes that token. User-defined tokens
 * match either way, as in llama.cpp. */
enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                             bool parse_special, struct token_list *out, struct error *err);

/* SentencePiece models put a space before the text; this encodes a continuation without it. */
enum status tokenizer_encode_raw(const struct tokenizer *t, const char *text, size_t len,
                                 bool parse_special, struct token_list *out, struct error *err);

/* With parse_special, but where a byte's mark is not 0 the text is from outside: control tokens that it
 * spells, in whole or in part, stay text, and so do user-defined tokens that look like control tokens, as
 * "<|user|>" does: many files have those by the wrong type. `marks` has a byte, 0 or 1, for each of `text`;
 * NULL: all are 0. */
enum status tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                                    const char *marks, struct token_list *out, struct error *err);

/* A whole text as the model saw texts in training: BOS in front where add_bos says so, and not a
 * second one where the text itself begins with it; EOS behind where add_eos does. Embedding models'
 * CLS and SEP are their BOS and EOS. With `second` not NULL a pair, as rerankers take it: the first
 * text, EOS, SEP where add_sep says so, the second text, EOS. ERR_NOT_FOUND where the flags ask for
 * a token that the vocabulary lacks. */
enum status tokenizer_encode_wrapped(const struct tokenizer *t, struct text_str first,
                                     const struct text_str *second, bool parse_special,
                                     struct token_list *out, struct error *err);

/* The bytes a token stands for in running text, written to dst (cap bytes); returns the length,
 * which may exceed cap (nothing is written then). Control tokens give their text only when
 * `special`, else 0. Ids outside the vocabulary give 0. */
size_t tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, char *dst, size_t cap);

/* Whole sequence; appends to out. Removes the space that encode put in front (SPM). */
struct buf;
enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                             struct buf *out, struct error *err);

size_t tokenizer_n_tokens(const struct tokenizer *t);
enum token_type tokenizer_type(const struct tokenizer *t, int32_t id);
/* The id whose stored text is exactly this, or TOKEN_NONE. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t len);
/* Any token that ends generation: EOS, EOT and their well-known spellings. */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);
/* The source's special ids with gaps filled (FIM, EOT, found by text) and types corrected; its merges
 * are not kept. Borrowed. */
const struct vocab_source *tokenizer_source(const struct tokenizer *t);

/* Whether some token stands for this byte alone; never for the kinds that normalise (WordPiece,
 * Unigram), whose texts come back changed. Byte-level vocabularies may leave out bytes that UTF-8
 * never holds, and rare control characters; such a byte is encoded as U+FFFD is, or as the unknown
 * token, and comes back as that. Every other text survives encode and decode unchanged. */
bool tokenizer_has_byte(const struct tokenizer *t, uint8_t byte);

/* Fills the ids and flags of `src` with what holds for its model and pre-tokenizer where a file does
 * not say (llama.cpp's llama-vocab.cpp). A model that is not known gets no ids and no flags. */
void tokenizer_defaults(struct vocab_source *src);
/* Whether vocabularies of this model ("gpt2", ...) need their merges. */
bool tokenizer_needs_merges(const char *model);

#endif
