/* Importance matrices: how much each input column of a model's matrices matters, as the sum of the
 * squares that it had over some text. Quantizers weigh errors by it.
 *
 * Files are GGUF as llama.cpp's tools/imatrix writes them (general.type "imatrix"): for each matrix NAME
 * of the model the F32 tensors NAME.in_sum2 [columns, parts] and NAME.counts [1, parts], the number of rows
 * that were summed; parts are the experts, else 1. Keys imatrix.datasets (names of texts),
 * imatrix.chunk_count and imatrix.chunk_size. Hearth's own keys hearth.imatrix.run and .run_chunks say
 * what a collection that was stopped goes on with.
 *
 * One thread at a time; read-only functions may be called by several. */
#ifndef HEARTH_GGUF_IMATRIX_H
#define HEARTH_GGUF_IMATRIX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct imatrix;

struct imatrix_entry {
    char *name;              /* of the model's tensor */
    size_t n_cols, n_parts;
    double *sums;            /* [n_parts][n_cols] */
    double *counts;          /* [n_parts] */
};

enum { IMATRIX_RUN_SIZE = 65, IMATRIX_MAX_DATASETS = 4096 };

struct imatrix_info {
    uint64_t chunk_size;         /* tokens of a context; 0 = unknown */
    char run[IMATRIX_RUN_SIZE];  /* what text and model are being collected; "" = unknown */
    uint64_t run_chunks;         /* contexts of that text that are in */
};

enum status imatrix_create(struct imatrix **out, struct error *err);
void imatrix_destroy(struct imatrix *m); /* NULL is fine */

/* Entries in the order in which they were made; pointers stay valid. */
size_t imatrix_n_entries(const struct imatrix *m);
struct imatrix_entry *imatrix_entry_at(const struct imatrix *m, size_t i);
/* Of a tensor's name; NULL where there is none. Takes a walk over all. */
struct imatrix_entry *imatrix_find(const struct imatrix *m, const char *name, size_t len);
/* The same, made with zeros where there is none. ERR_INVALID where there is one of another shape. */
enum status imatrix_entry(struct imatrix *m, const char *name, size_t len, size_t n_cols,
                          size_t n_parts, struct imatrix_entry **out, struct error *err);
/* Remembers the name of a text, for the file. ERR_LIMIT past IMATRIX_MAX_DATASETS. */
enum status imatrix_add_dataset(struct imatrix *m, const char *name, size_t len,
                                struct error *err);
/* Contexts that the fullest entry has seen. */
uint64_t imatrix_chunk_count(const struct imatrix *m, uint64_t chunk_size);

/* Adds a file's sums, counts and texts to m; its info goes to *info (may be NULL). ERR_FORMAT where it
 * is no importance matrix or holds what cannot be one, ERR_INVALID where an entry has another shape than
 * m's. On failure m is left with some of it. */
enum status imatrix_read(struct imatrix *m, const char *path, struct imatrix_info *info,
                         struct error *err);
/* Writes a file, entries by name; the old one stays until the new one is whole. ERR_FORMAT for a sum
 * that is no finite number, ERR_INVALID without any entry. */
enum status imatrix_write(const struct imatrix *m, const struct imatrix_info *info,
                          const char *path, struct error *err);

#endif
