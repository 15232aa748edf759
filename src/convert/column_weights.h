/* Importance matrices: for each weight matrix of a model, how large the activations are that its
 * columns are multiplied with (their mean squares over some text). Read from either of llama.cpp's
 * files: GGUF with NAME.in_sum2 and NAME.counts, or the older .dat. Immutable once read: any thread
 * may look things up. */
#ifndef HEARTH_CONVERT_COLUMN_WEIGHTS_H
#define HEARTH_CONVERT_COLUMN_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct column_weights;

struct column_weight {
    char *name;       /* of the tensor: "blk.0.ffn_down.weight" */
    float *values;    /* [matrices][columns], finite, not negative */
    uint64_t columns; /* of one matrix, where the file tells; else all values */
    uint64_t n;       /* columns * matrices (experts lie one after another) */
};

/* ERR_IO, ERR_NOT_FOUND, ERR_FORMAT for what is neither of the formats or breaks its rules: err
 * names the file and the entry. */
enum status column_weights_open(const char *path, struct column_weights **out, struct error *err);
void column_weights_close(struct column_weights *im); /* NULL is fine */

size_t column_weights_n_entries(const struct column_weights *im);
const struct column_weight *column_weights_at(const struct column_weights *im, size_t i);
const struct column_weight *column_weights_find(const struct column_weights *im, const char *name); /* or NULL */

/* Pieces of text that were measured; 0 where the file does not tell. */
uint64_t column_weights_n_chunks(const struct column_weights *im);
/* The text's name, or "". */
const char *column_weights_dataset(const struct column_weights *im);

#endif
