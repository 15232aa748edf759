/* A tokenizer on its way from a folder into a GGUF file: what the readers of the different files fill
 * in, and what is written in the end. */
#ifndef HEARTH_CONVERT_TOKENIZER_DRAFT_H
#define HEARTH_CONVERT_TOKENIZER_DRAFT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "text/tokenizer.h"

enum {
    DRAFT_MAX_TOKENS = 1 << 22,
    DRAFT_MAX_MERGES = 1 << 23,
    DRAFT_MAX_TOKEN_BYTES = 1 << 16,
    DRAFT_MAX_FILE_MIB = 256,
    DRAFT_MAX_TEMPLATES = 32,
};

/* The roles that files name: NAME_token, NAME_token_id, add_NAME_token. */
enum draft_role {
    ROLE_BOS, ROLE_EOS, ROLE_UNK, ROLE_SEP, ROLE_PAD, ROLE_CLS, ROLE_MASK, ROLE_EOT, ROLE_EOM,
    ROLE_COUNT
};
extern const char *const draft_role_names[ROLE_COUNT];

/* A flag that a file may leave open. */
enum draft_flag { FLAG_OPEN = -1, FLAG_NO = 0, FLAG_YES = 1 };

struct draft_token {
    struct text_str text; /* data NULL: no token has this id yet */
    float score;
    uint8_t type;         /* enum token_type */
    bool added;           /* listed among the added tokens */
};

struct draft_template {
    char name[64]; /* "default", or another */
    struct text_str text;
};

struct draft_chunk;

struct draft {
    const char *folder, *arch;

    /* The folder's files, NULL where absent; the texts below point into them or into `chunks`. */
    json_t *tokenizer, *config, *tokenizer_config, *special_map, *added, *generation;
    json_t *vocab_json, *template_json;
    struct buf file;            /* one that is no JSON */
    struct draft_chunk *chunks;

    const char *source;         /* the file that the tokens are from */
    const char *model;          /* tokenizer.ggml.model */
    char pre[64];
    size_t vocab_size;          /* of config.json; 0: it does not say */
    struct draft_token *tokens; /* owned */
    size_t n_tokens;
    size_t n_padding, cap;
    int32_t *by_text;           /* ids in the order of their texts, where `sorted`; owned */
    bool sorted;
    struct text_str *merges;    /* owned */
    size_t n_merges, merges_cap;
    bool scored;
    struct text_str charsmap;
    int32_t ids[ROLE_COUNT];    /* TOKEN_NONE where absent */
    enum draft_flag add_bos, add_eos, add_sep, add_space_prefix, remove_extra_spaces;
    enum draft_flag lowercase, strip_accents;
    int64_t token_types;        /* tokenizer.ggml.token_type_count, or -1 */
    struct draft_template templates[DRAFT_MAX_TEMPLATES];
    size_t n_templates;
};

/* ---- tokenizer_draft.c ---- */

void draft_init(struct draft *d, const char *folder, const char *arch);
void draft_fini(struct draft *d);

/* The folder's file `name` as JSON into *out, which stays NULL where there is none. ERR_FORMAT where it
 * is no JSON object. */
enum status draft_read_json(const struct draft *d, const char *name, json_t **out, struct error *err);
/* The file's bytes into `d->file`; ERR_NOT_FOUND where there is none. */
enum status draft_read_file(struct draft *d, const char *name, struct error *err);
bool draft_has_file(const struct draft *d, const char *name);

/* Memory that lives as long as the draft, or NULL. */
char *draft_alloc(struct draft *d, size_t n);
enum status draft_copy(struct draft *d, const char *text, size_t len, struct text_str *out,
                       struct error *err);

/* Makes room for ids below n, which have no token yet. ERR_LIMIT past DRAFT_MAX_TOKENS. */
enum status draft_grow(struct draft *d, size_t n, struct error *err);
/* Puts a token at an id, growing the list. ERR_FORMAT for an id that no vocabulary has. */
enum status draft_put(struct draft *d, int64_t id, struct text_str text, enum token_type type,
                      float score, struct error *err);
enum status draft_add_merge(struct draft *d, struct text_str line, struct error *err);
/* The id of a text into *id, TOKEN_NONE where there is none; of several the last. ERR_NOMEM. */
enum status draft_find(struct draft *d, struct text_str text, int32_t *id, struct error *err);

/* ---- JSON ---- */

/* A string's bytes; data NULL for anything else. */
struct text_str draft_json_text(const json_t *j);
/* Member `key` of an object as a text, directly or as {"content": text}; data NULL where it is neither. */
struct text_str draft_json_content(const json_t *object, const char *key);
/* Member `key` of config.json, or of the part of it that describes the text model. */
const json_t *draft_config(const struct draft *d, const char *key);
bool draft_text_is(struct text_str a, const char *b);
/* The type of a pre-tokenizer, normalizer and so on; "" where there is none. */
const char *draft_json_type(const json_t *j);

/* ---- the readers ---- */

/* tokenizer_json.c: the vocabulary of d->tokenizer. */
enum status draft_from_json(struct draft *d, const char *pre, struct error *err);
/* tokenizer_spm.c: of a SentencePiece model file. */
enum status draft_from_spm(struct draft *d, const char *name, struct error *err);
/* tokenizer_plain.c: vocab.txt, or vocab.json with merges.txt. */
enum status draft_from_vocab_txt(struct draft *d, struct error *err);
enum status draft_from_merges_txt(struct draft *d, const char *pre, struct error *err);

/* tokenizer_added.c: the added tokens of tokenizer.json, tokenizer_config.json and added_tokens.json
 * over those of the vocabulary; then padding up to config.json's size. */
enum status draft_add_tokens(struct draft *d, struct error *err);
/* The text of a user-defined token: these are matched in the text as it is, where a space is a space and
 * not U+2581. */
enum status draft_with_spaces(struct draft *d, struct text_str text, struct text_str *out,
                              struct error *err);
enum status draft_pad(struct draft *d, struct error *err);

/* tokenizer_pre.c: fills d->pre for a tokenizer.json's byte-level BPE. */
enum status draft_find_pre(struct draft *d, const char *pre, struct error *err);
/* For a folder that tells the vocabulary's kind only. */
enum status draft_guess_pre(struct draft *d, const char *pre, struct error *err);

/* tokenizer_special.c: ids and flags of the special tokens. */
enum status draft_find_special(struct draft *d, struct error *err);

/* tokenizer_template.c */
enum status draft_find_templates(struct draft *d, struct error *err);

#endif
