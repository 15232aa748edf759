/* Importance matrices: for each weight matrix of a model, how large the activations are that its
 * columns are multiplied with (their mean squares over some text). Read from either of llama.cpp's
 * files: GGUF with NAME.in_sum2 and NAME.counts, or the older .dat. Immutable once read: any thread
 * may look things up. */
#ifndef HEARTH_CONVERT_IMATRIX_H
#define HEARTH_CONVERT_IMATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct imatrix;

struct imatrix_entry {
    char *name;       /* of the tensor: "blk.0.ffn_down.weight" */
    float *values;    /* [matrices][columns], finite, not negative */
    uint64_t columns; /* of one matrix, where the file tells; else all values */
    uint64_t n;       /* columns * matrices (experts lie one after another) */
};

/* ERR_IO, ERR_NOT_FOUND, ERR_FORMAT for what is neither of the formats or breaks its rules: err
 * names the file and the entry. */
enum status imatrix_open(const char *path, struct imatrix **out, struct error *err);
void imatrix_close(struct imatrix *im); /* NULL is fine */

size_t imatrix_n_entries(const struct imatrix *im);
const struct imatrix_entry *imatrix_at(const struct imatrix *im, size_t i);
const struct imatrix_entry *imatrix_find(const struct imatrix *im, const char *name); /* or NULL */

/* Pieces of text that were measured; 0 where the file does not tell. */
uint64_t imatrix_n_chunks(const struct imatrix *im);
/* The text's name, or "". */
const char *imatrix_dataset(const struct imatrix *im);

#endif
