/* Kept predictions: for each token of a text that counts (see eval.h), every candidate's probability, so
 * that models can be compared without being loaded together, or with what another program computed. The
 * format is that of llama.cpp's tools/perplexity (--kl-divergence-base):
 *
 *   "_logits_", int32 n_ctx, n_vocab, n_chunks, int32 tokens[n_chunks][n_ctx], then for every chunk and
 *   each of its n_ctx - 1 - n_ctx / 2 tokens that count a row of 16-bit words: float scale, float least,
 *   uint16 q[n_vocab] and one more word where n_vocab is odd; little-endian.
 *
 * ln of a candidate's probability is scale * q + least. Candidates more than e^16 less likely than the
 * best have q = 0; what is at most e^-16 counts as nothing. */
#ifndef HEARTH_INFER_LOGITS_FILE_H
#define HEARTH_INFER_LOGITS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct logits_info {
    size_t n_ctx, n_vocab, n_chunks;
    const int32_t *tokens; /* [n_chunks * n_ctx], each below n_vocab */
};

/* ---- rows ------------------------------------------------------------------------------------- */

/* 16-bit words of a row. */
size_t logits_row_words(size_t n_vocab);
/* Logits and the ln of the sum of their exponentials to a row. */
void logits_row_encode(const float *logits, size_t n_vocab, double lse, uint16_t *row);
/* The ln of all candidates' probabilities, -INFINITY for what counts as nothing; returns the most likely
 * one's index. */
size_t logits_row_decode(const uint16_t *row, size_t n_vocab, float *out);
/* -ln of one candidate's probability. */
double logits_row_nll(const uint16_t *row, int32_t token);

/* ---- reading: an immutable object, any thread ------------------------------------------------- */

struct logits_file;

/* ERR_FORMAT for a file of another kind, or of another length than its head tells. */
enum status logits_file_open(const char *path, struct logits_file **out, struct error *err);
void logits_file_close(struct logits_file *f); /* NULL is fine */
/* Borrowed; lives as long as the file. */
const struct logits_info *logits_file_info(const struct logits_file *f);
/* The rows of a chunk, one after the other. */
const uint16_t *logits_file_rows(const struct logits_file *f, size_t chunk);

/* ---- writing: a file grows beside its final place and gets its name once it is whole ---------- */

struct logits_writer;

/* `info` is used during the call only. */
enum status logits_writer_begin(const char *path, const struct logits_info *info,
                                struct logits_writer **out, struct error *err);
/* Appends rows. */
enum status logits_writer_put(struct logits_writer *w, const uint16_t *rows, size_t n,
                              struct error *err);
/* Both end the writer; NULL is fine for abandon. */
enum status logits_writer_commit(struct logits_writer *w, struct error *err);
void logits_writer_abandon(struct logits_writer *w);

#endif
