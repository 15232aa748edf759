/* SentencePiece's precompiled normalisation: a table of byte strings, each with what stands in its
 * place. Layout (sentencepiece's normalizer.cc): a 32-bit length, that many bytes of a double array
 * (Darts-clone, 32-bit units), then the replacements, each ended by a NUL. Little-endian. */
#ifndef HEARTH_TEXT_CHARSMAP_H
#define HEARTH_TEXT_CHARSMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "text/tokenizer.h"

struct charsmap {
    const char *units; /* borrowed */
    size_t n_units;
    struct text_str replacements; /* borrowed; ends with a NUL */
};

/* An empty blob is a table that replaces nothing. ERR_FORMAT where lengths do not fit. */
enum status charsmap_open(struct text_str blob, struct charsmap *out, struct error *err);

/* Bytes of the longest entry at the beginning of the text, with its replacement (at most 1 KiB of it),
 * or 0. Whatever the table holds, nothing outside of it is read, and at most 256 bytes of the text. */
size_t charsmap_match(const struct charsmap *m, const char *text, size_t len,
                      struct text_str *replacement);

#endif
