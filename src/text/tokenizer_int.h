/* What the files of a tokenizer share. */
#ifndef HEARTH_TEXT_TOKENIZER_INT_H
#define HEARTH_TEXT_TOKENIZER_INT_H

#include "text/pretok.h"
#include "text/tokenizer.h"

/* ---- token_map.c: stored text -> id ---- */

/* Open addressing with linear probing. Texts of up to eight bytes, which most are, are compared
 * within the slot; longer ones by 64 bits of hash and then by their bytes. */
struct token_slot {
    uint64_t key;
    int32_t id;   /* -1: empty */
    uint32_t len;
};

struct token_map {
    struct token_slot *slots;
    size_t mask;
    const struct text_str *tokens; /* borrowed */
    size_t max_len;                /* longest text */
};

/* Of equal texts the last wins, as in a JSON vocabulary. Empty texts are left out. */
enum status token_map_build(struct token_map *m, const struct text_str *tokens, size_t n,
                            struct error *err);
void token_map_fini(struct token_map *m);
int32_t token_map_find(const struct token_map *m, const char *text, size_t len);

/* A look-up in two steps, so that the memory of many can be on its way at once: at 150,000 tokens the
 * time of loading a vocabulary is the time of waiting for memory. */
struct token_probe {
    const char *text;
    size_t len;
    uint64_t key;
    size_t slot;
};
struct token_probe token_map_probe(const struct token_map *m, const char *text, size_t len);
int32_t token_map_finish(const struct token_map *m, const struct token_probe *p);

/* ---- merges.c: pair of ids -> rank and merged id ---- */

struct merge_slot {
    uint32_t left_plus1; /* 0: empty */
    int32_t right;
    uint32_t rank;
    int32_t merged;
};

struct merge_map {
    struct merge_slot *slots;
    size_t mask;
};

void merge_map_fini(struct merge_map *m);
const struct merge_slot *merge_map_find(const struct merge_map *m, int32_t left, int32_t right);

/* ---- the tokenizer ---- */

/* What holds where a file does not say. */
struct vocab_defaults {
    int32_t bos, eos, unk, pad, sep, cls, mask;
    bool add_bos, add_eos, add_space_prefix, lowercase;
};

/* A kind of vocabulary: one descriptor in the file that encodes it, and one line in tokenizer.c. */
struct vocab_kind {
    const char *name; /* tokenizer.ggml.model */
    const char *pre;  /* the pre-tokenizer that the kind implies; NULL: tokenizer.ggml.pre */
    bool merges;      /* words are cut by a pre-tokenizer and merged within */
    bool byte_level;  /* texts are in GPT-2's byte alphabet */
    bool scored;      /* keeps the tokens' scores */
    bool prefixed;    /* add_space_prefix puts a space in front, and decoding takes it away */
    bool word_space;  /* decoding always takes the first space away: it is a word's */
    bool lossy;       /* normalises: texts do not come back as they were */
    struct vocab_defaults defaults;
    /* Builds what only this kind needs, once tokens, types, map and byte tokens are there. NULL is
     * fine. */
    enum status (*prepare)(struct tokenizer *t, struct error *err);
    /* One fragment of text that holds no special token; `prefix` puts a space in front. */
    enum status (*encode)(const struct tokenizer *t, const char *text, size_t len, bool prefix,
                          struct token_list *out, struct error *err);
    void (*release)(struct tokenizer *t); /* also after a failed prepare; or NULL */
};

extern const struct vocab_kind vocab_byte_bpe;  /* bpe.c */
extern const struct vocab_kind vocab_char_bpe;  /* bpe.c */
extern const struct vocab_kind vocab_spm;       /* spm.c */
extern const struct vocab_kind vocab_wordpiece; /* wordpiece.c */
extern const struct vocab_kind vocab_unigram;   /* unigram.c */

struct wordpiece;
struct unigram;

struct tokenizer {
    struct vocab_source src; /* tokens, types and scores are owned; merges is NULL */
    const struct vocab_kind *kind;
    struct text_str *tokens;
    uint8_t *types;
    float *scores; /* where the kind is scored */
    char *model, *pre;
    struct token_map map;
    struct merge_map merges;
    struct pretok *pretok;
    struct wordpiece *wordpiece;
    struct unigram *unigram;
    int32_t byte_ids[256]; /* the token that stands for one byte, or TOKEN_NONE */
    int32_t space_id;      /* of U+2581 */
    struct token_list unknown; /* what takes the place of a byte that has no token */

    int32_t *specials; /* control, unknown and user-defined tokens, longest text first */
    size_t n_specials;
    int32_t *ends;     /* tokens that end generation, ascending */
    size_t n_ends;
};

/* Types that running text may turn into. */
static inline bool token_is_text(enum token_type type)
{
    return type == TOKEN_NORMAL || type == TOKEN_UNUSED;
}

/* GPT-2's byte alphabet: printable Latin-1 stands for itself, the rest for U+0100 upwards.
 * byte_char writes UTF-8 (1 or 2 bytes) and returns its length; char_byte returns -1 for a character
 * outside the alphabet. */
size_t byte_char(uint8_t byte, char dst[2]);
int char_byte(uint32_t codepoint);

/* Pushes the tokens of one byte. */
enum status tokenizer_push_byte(const struct tokenizer *t, uint8_t byte, struct token_list *out,
                                struct error *err);

/* merges.c */
enum status merges_build(struct tokenizer *t, const struct vocab_source *src, struct error *err);

/* special.c: fills the ids that the metadata leaves out, corrects types, collects `specials` and
 * `ends`. Needs tokens, types and map. */
enum status special_build(struct tokenizer *t, struct error *err);

/* A stretch of input: one special token, or text without any. */
struct fragment {
    size_t begin, len;
    int32_t id; /* TOKEN_NONE for text */
};
struct fragment_list {
    struct fragment *items; /* owned */
    size_t len, cap;
};
/* `marks` as tokenizer_encode_marked has them, or NULL. */
enum status special_partition(const struct tokenizer *t, const char *text, size_t len,
                              bool parse_special, const char *marks, struct fragment_list *out,
                              struct error *err);

#endif
