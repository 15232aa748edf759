/* Writing a model file anew with other tensor types.
 *
 * The result depends on the input and the request alone, whatever the number of threads. Memory: a
 * few hundred kilobytes a thread (or one row, where that is more), an entry a tensor, the
 * importance matrix and the pages of the tensor being read. */
#ifndef HEARTH_CONVERT_QUANTIZE_H
#define HEARTH_CONVERT_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "convert/column_weights.h"
#include "convert/quantize_plan.h"

struct quantize_request {
    const char *in, *out;            /* files; they may not be the same */
    struct quantize_choices choices; /* `weighted` is set from imatrix */
    const struct column_weights *imatrix;   /* or NULL */
    const char *imatrix_name; /* its file's name for the metadata, without folders; or NULL */
    bool allow_requantize;    /* encode what is quantized already */
    bool dry_run;             /* plan only, write nothing */
    int n_threads;            /* >= 1 */
    /* Called on the caller's thread now and then, with bytes of input; false stops. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

struct quantize_outcome {
    struct quantize_tensor plan; /* plan.name is owned by the result */
    uint64_t bytes_in, bytes_out;
    bool weighted;         /* an entry of the importance matrix was used */
    double error, squares; /* sums of (x - decoded)^2 and x^2; 0 for what was copied */
};

struct quantize_result {
    struct quantize_outcome *tensors;
    size_t n;
    uint64_t file_in, file_out; /* bytes */
    uint64_t elements;
    size_t n_requantized; /* tensors that were quantized already */
    size_t n_fallback;    /* tensors whose rows do not fit the wanted type */
    size_t
        n_unweighted; /* quantized matrices that the importance matrix lacks, but for embeddings */
};

/* ERR_INVALID for a request that makes no sense, such as requantizing unasked, a non-finite value
 * or an importance matrix of another model; ERR_CANCELLED; else what reading and writing give. The
 * output appears whole or not at all. *out must be given to quantize_result_fini in either case. */
enum status quantize_file(const struct quantize_request *rq, struct quantize_result *out,
                          struct error *err);
void quantize_result_fini(struct quantize_result *r);

#endif
