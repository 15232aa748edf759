/* Synthetic models: GGUF files with the shapes of real models and random weights, to measure speed
 * and memory where the real files are too large to fetch. What they generate is noise.
 *
 * Weights are drawn so that activations keep their size from layer to layer: normalization weights
 * are 1, biases 0, a matrix of n columns has a standard deviation of 1/sqrt(n), and the tables of
 * tokens have 0.02. The same name gives the same bytes on every machine. */
#ifndef HEARTH_MODEL_SYNTHETIC_H
#define HEARTH_MODEL_SYNTHETIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct synthetic_shape;
struct synthetic_form;

struct synthetic {
    const struct synthetic_shape *shape;
    const struct synthetic_form *form;
};

/* "NAME:TYPE", such as "codellama-13b:q4_0"; case does not matter. All matrices and the table of
 * tokens have the type, but for those that llama.cpp's own quantizing sets apart as well:
 *   - the output (or the table that serves as it) is Q6_K in files of quantized types, Q8_0 in
 * Q8_0;
 *   - rows that hold no whole number of 256-element blocks get the type of 32-element blocks that
 * is nearest in size: Q4_0 for Q2_K, Q3_K and the ternary types, Q5_0 for Q4_K, Q5_1 for Q5_K,
 * Q8_0 for Q6_K, IQ4_NL for the IQ types, MXFP4 for NVFP4.
 * ERR_NOT_FOUND lists the names or the types. */
enum status synthetic_parse(const char *text, struct synthetic *out, struct error *err);

/* Its `general.architecture`, which Hearth may be unable to run: see model_knows_arch. */
const char *synthetic_arch(const struct synthetic *s);

/* "codellama-13b-q4_0", for a file's name; returns dst. */
const char *synthetic_file_name(const struct synthetic *s, char *dst, size_t cap);

/* The size that its file has. */
enum status synthetic_file_bytes(const struct synthetic *s, uint64_t *out, struct error *err);

/* Whether the file at that path is this model's, as its name and size tell. */
bool synthetic_is_at(const struct synthetic *s, const char *path);

struct synthetic_options {
    int n_threads; /* at least 1 */
    /* Called now and then by the calling thread: bytes so far and in all. False asks to stop,
     * giving ERR_CANCELLED. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

/* Writes the file, whole or not at all; its folder must exist. */
enum status synthetic_write(const struct synthetic *s, const char *path,
                            const struct synthetic_options *opt, struct error *err);

#endif
