/* Collecting an importance matrix (gguf/imatrix.h): a model reads a text in contexts of n_ctx tokens, each
 * on its own with BOS in place of its first token where the model asks for BOS, and for every matrix of
 * its blocks the squares of its input's columns are summed, in double precision. The output's matrix is
 * left out, as llama.cpp's tools/imatrix leaves it. */
#ifndef HEARTH_INFER_IMPORTANCE_H
#define HEARTH_INFER_IMPORTANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/imatrix.h"

struct engine;

enum { IMPORTANCE_DEFAULT_CTX = 512 };

struct importance_job {
    struct engine *engine;  /* nothing else may run on it meanwhile */
    const int32_t *tokens;  /* the text, BOS in front where the model asks for it */
    size_t n_tokens;
    size_t n_ctx;           /* 0 = IMPORTANCE_DEFAULT_CTX */
    size_t max_chunks;      /* contexts of the text to have read in the end; 0 = all */
    size_t first_chunk;     /* contexts that an earlier run has read */
    const volatile int *cancel; /* nonzero: ERR_CANCELLED; may be NULL */
    /* Called by the caller's thread after each context, which is in the matrix then: contexts of the
     * text so far and in all. An error ends the run. May be NULL. */
    enum status (*on_chunk)(void *ctx, size_t done, size_t total, struct error *err);
    void *ctx;
};

/* A digest of what a run reads: text, length of context and model's file. Runs that have the same one
 * continue each other. */
enum status importance_run_id(const struct importance_job *job, char id[IMATRIX_RUN_SIZE],
                              struct error *err);

/* Adds the contexts from first_chunk on to m, each as a whole: after a failure or cancellation it holds
 * those that on_chunk was told of. The result does not depend on the number of threads.
 * ERR_INVALID: a text shorter than a context, or a matrix of another shape in m; ERR_LIMIT: a context
 * longer than the model's. */
enum status importance_collect(const struct importance_job *job, struct imatrix *m,
                               struct error *err);

#endif
