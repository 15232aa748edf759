/* The tiny models of tests/golden and their logits by PyTorch, for more than one test. */
#ifndef HEARTH_TESTS_MODEL_GOLDEN_KIT_H
#define HEARTH_TESTS_MODEL_GOLDEN_KIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct forward;
struct gguf;
struct kv_seq;
struct model;

struct golden {
    uint8_t *file;
    int32_t n_ids, n_pos, n_vocab;
    const int32_t *ids, *pos;
    const float *exact, *rounded; /* [n_pos][n_vocab]; rounded may be NULL */
};

struct loaded {
    struct gguf *g;
    struct model *m;
};

/* Each of these fails the test where it cannot do what it says. */
void golden_assert_ok(enum status st, const struct error *err);
/* Names are those of tests/golden/tiny, or FOLDER/NAME for another folder of tests/golden. The caller
 * frees golden.file. */
struct golden golden_load(const char *name);
/* The model, with that table of kernels and type of KV cache; NULL: as anyone gets them. */
struct loaded golden_open(const char *name, const char *table, const char *kv_type);
void golden_close(struct loaded *l);
/* Appends n <= 256 tokens; logits of all of them, or NULL. */
void golden_feed(struct forward *f, struct kv_seq *s, const int32_t *ids, size_t n, float *logits);
/* Logits of all positions of a new sequence, fed `chunk` tokens at a time; an encoder's hidden states, with
 * another text of so many tokens in the batch where that is less than n. The caller frees. */
float *golden_run(const struct model *m, int n_threads, size_t chunk, const int32_t *ids, size_t n);
/* Fails where a and b differ in a bit, saying where first. */
void golden_assert_same(const float *a, const float *b, size_t n_rows, size_t n_vocab,
                        const char *what);
/* Largest difference at the golden's positions, as a share of its values' range. `want`: g->exact
 * or g->rounded. */
double golden_max_rel(const struct golden *g, const float *want, const float *logits);

/* All logits by one table of kernels. Every batch size and number of threads gives `base`, which is set
 * by the first run where it is NULL, and returned; the caller frees. */
float *golden_run_table(const char *name, const struct golden *g, const char *table, float *base);

#endif
