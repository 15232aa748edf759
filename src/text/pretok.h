/* Pre-tokenizers: a text cut into the words that byte-level BPE merges within.
 *
 * A pre-tokenizer is a list of regular expressions, applied one after the other: each cuts every
 * piece that the ones before it left into its matches and the gaps between them. */
#ifndef HEARTH_TEXT_PRETOK_H
#define HEARTH_TEXT_PRETOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct pretok_family {
    const char *name;            /* value of tokenizer.ggml.pre */
    const char *const *patterns; /* ended by NULL; PCRE syntax, \s meaning White_Space */
    bool ignore_merges;          /* a word that is a token is that token, whatever the merges say */
    bool add_bos;                /* where tokenizer.ggml.add_bos_token is absent */
    bool add_sep;                /* where tokenizer.ggml.add_sep_token is absent */
};

/* The registry's entry; NULL or "" is "default". NULL where the name is not known. */
const struct pretok_family *pretok_find(const char *name);
/* Entry i of the registry, or NULL past its end. */
const struct pretok_family *pretok_at(size_t i);

/* What tokenizers' ByteLevel cuts by. */
extern const char *const pretok_byte_level;

/* The family that cuts as these expressions of a tokenizer.json do, one after the other; of several
 * the one named `preferred` (or NULL), else the first whose ignore_merges is the one given, else the
 * first. Compared are the texts, with the spellings that mean the same made equal. NULL where none
 * matches. */
const struct pretok_family *pretok_recognise(const char *const *patterns, size_t n,
                                             bool ignore_merges, const char *preferred);

struct pretok;

/* Compiles the expressions. Without `jit`, or where PCRE2 has none, they are interpreted.
 * Immutable afterwards: any thread may split. */
enum status pretok_create(const struct pretok_family *family, bool jit, struct pretok **out,
                          struct error *err);
void pretok_destroy(struct pretok *p); /* NULL is fine */

/* The end of each piece, in order; the last is the text's length. Zero-initialise. */
struct piece_list {
    uint32_t *ends; /* owned */
    size_t len, cap;
};
void piece_list_fini(struct piece_list *l);

/* Cuts `text` (any bytes, at most 1 GiB; an invalid byte is classed as U+FFFD is) and puts the ends
 * into `out`, replacing what it held. ERR_LIMIT where an expression needs more steps than the text's
 * length explains. */
enum status pretok_split(const struct pretok *p, const char *text, size_t len,
                         struct piece_list *out, struct error *err);

#endif
