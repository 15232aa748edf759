/* A loaded model: hyperparameters, weights, and the program of stages that computes logits.
 *
 * `struct model` is immutable and shared; `struct kv_seq` is one sequence's cached keys and values,
 * in reference-counted pages of a `struct kv_pool`; `struct forward` is the scratch memory and
 * threads of one caller. Forward passes of one `struct forward` are not concurrent. */
#ifndef HEARTH_MODEL_MODEL_H
#define HEARTH_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct gguf;
struct gguf_tensor;
struct model;
struct kv_pool;
struct kv_seq;
struct forward;

/* How the hidden states of a text's tokens become what the model says of the text: numbers as in the
 * key pooling_type of model files. */
enum model_pooling {
    POOLING_NONE, /* a vector for each token */
    POOLING_MEAN, /* the mean over all tokens */
    POOLING_CLS,  /* the first token's */
    POOLING_LAST, /* the last token's */
    POOLING_RANK, /* the scores that a head makes of the first token's */
};

struct model_info {
    const char *arch; /* "llama", "qwen2" */
    uint32_t n_layer, n_embd, n_head, n_head_kv, n_ff;
    uint32_t head_dim; /* of a query or key */
    uint32_t v_dim;    /* of a value */
    uint32_t n_vocab;
    uint32_t n_ctx_train;     /* longest context the model was made for */
    uint64_t weight_bytes;    /* of all tensors */
    uint64_t bytes_per_token; /* weights read to decode one token */
    uint64_t n_params;
    const char *kv_type;        /* "f16" or what the options chose */
    uint64_t kv_bytes_per_page; /* of the KV cache: 32 positions */
    uint32_t n_tensors_ignored; /* tensors of the file that the architecture does not use */
    /* Tokens see those behind them too, so that a text is one batch, and the result is hidden states,
     * not logits. */
    bool encoder;
    enum model_pooling pooling;
    uint32_t n_segments; /* kinds of text that rows can belong to; 0 where all are alike */
    uint32_t n_scores;   /* of model_score; 0 where the model has no such head */
};

struct model_options {
    int n_threads;         /* for packing; 0 = all physical cores */
    const char *cache_dir; /* where packed weights are kept; NULL = in memory only */
    /* How this model's KV caches keep keys and values: a kv_type_name; NULL = "f16". ERR_INVALID
     * for another name, ERR_UNSUPPORTED where the model's heads do not fit the type. */
    const char *kv_type;
    /* Called now and then, by the caller's thread, while weights are packed for the first time:
     * bytes so far and in all. May be NULL. */
    void (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* `g` is borrowed and must outlive the model. */
enum status model_open(const struct gguf *g, const struct model_options *opt, struct model **out,
                       struct error *err);
void model_close(struct model *m);
/* What a file's weights take in memory once they are packed: more than in the file where tensors
 * have types that a larger form carries (kern/pack.h). Of any file, whatever its architecture. */
uint64_t model_weight_memory(const struct gguf *g);
/* Whether models of that `general.architecture` can be opened. */
bool model_knows_arch(const char *arch);
const struct model_info *model_info(const struct model *m);
/* Why the packed weights are not kept in options.cache_dir, one line for a log; NULL where they are
 * or where no folder was given. */
const char *model_cache_note(const struct model *m);

/* Weights that are mapped from the cache file can move into huge pages, which are read 5 to 8 % faster
 * where every token reads all weights. Bytes are never held twice but for one matrix: those of the file
 * are let go. It is not done where memory is short, for small models, or where huge pages are off. */

/* Copies the next few megabytes, on one thread, also beside forward passes. False: nothing is left. */
bool model_settle_copy(struct model *m);
/* Whether a matrix is copied as a whole and waits to be used. */
bool model_settle_ready(const struct model *m);
/* Uses it. By the thread that copies, with no forward pass running. Microseconds. */
void model_settle_use(struct model *m);

/* The i-th type of KV cache, best quality first; NULL past the last. */
const char *kv_type_name(size_t i);

/* A pool of KV pages for up to n_tokens positions in all. Memory is committed as pages are first
 * written. A pool, its sequences and whatever runs over them belong to one thread at a time. The
 * sequences are destroyed before the pool; the model may be closed before it. */
enum status kv_pool_create(const struct model *m, size_t n_tokens, struct kv_pool **out,
                           struct error *err);
void kv_pool_destroy(struct kv_pool *p); /* NULL is fine, here and below */
/* How many positions a sequence of this pool may come to have; n_tokens until it is said. Some
 * models rotate positions otherwise in long contexts, from the first on. Before the first sequence.
 */
void kv_pool_set_context(struct kv_pool *p, size_t n_ctx);
/* Pages of KERN_KV_PAGE positions: all of them, and those that no sequence holds. */
size_t kv_pool_pages(const struct kv_pool *p);
size_t kv_pool_pages_free(const struct kv_pool *p);
/* Gives the memory of free pages back to the system; it is committed again when they are written. */
void kv_pool_trim(struct kv_pool *p);

enum status kv_seq_create(struct kv_pool *p, struct kv_seq **out, struct error *err);
void kv_seq_destroy(struct kv_seq *s);
/* Number of positions held: 0..len-1. */
size_t kv_seq_len(const struct kv_seq *s);
/* Forgets all positions from n on; pages that hold none any more, and pages that were only
 * reserved, go back to the pool. */
void kv_seq_truncate(struct kv_seq *s, size_t n);
/* A new sequence holding the first n positions of `from`, sharing its pages (copy on write).
 * ERR_INVALID where `from` holds fewer. */
enum status kv_seq_fork(const struct kv_seq *from, size_t n, struct kv_seq **out,
                        struct error *err);

/* Whole pages can be held beyond the sequence that computed them, and given to sequences that begin
 * with the same tokens. A page is named by its place in the pool, and goes back to it when neither
 * a sequence nor a reference holds it; references must end before the pool. */

/* Page i of a sequence that holds all positions of it. */
uint32_t kv_seq_page(const struct kv_seq *s, size_t i);
void kv_page_ref(struct kv_pool *p, uint32_t page);
void kv_page_unref(struct kv_pool *p, uint32_t page);
/* How many sequences and references hold it. */
uint32_t kv_page_refs(const struct kv_pool *p, uint32_t page);
/* Appends a held page to a sequence whose length is a multiple of KERN_KV_PAGE, and which grows by
 * so many positions. ERR_NOMEM. */
enum status kv_seq_append_page(struct kv_seq *s, uint32_t page, struct error *err);
/* The sequence gives its own page i up for another one with the same content. */
void kv_seq_replace_page(struct kv_seq *s, size_t i, uint32_t page);

struct forward_row {
    struct kv_seq *seq; /* rows of one sequence follow each other, positions ascending */
    int32_t token;
    bool logits; /* compute this row's logits or hidden state */
    uint8_t segment; /* < max(1, info.n_segments): 0, or 1 in the second text of a pair */
};

/* The input of a matrix in a forward pass, before it is rounded for the multiplication. */
struct forward_input {
    const struct gguf_tensor *tensor; /* of the model's file */
    uint32_t part;  /* which of the stack of matrices that the tensor is (experts); else 0 */
    const float *x; /* [n_rows][stride], n_cols of each row are the input */
    size_t stride, n_rows, n_cols;
};
/* Called by a thread of the pass while the others go on; calls do not overlap, and come in the same order
 * with any number of threads. `in` and what it points to are valid during the call. */
typedef void (*forward_observer)(void *ctx, const struct forward_input *in);

/* n_threads 0 = all physical cores. max_rows: the largest batch passed to forward_run. */
enum status forward_create(const struct model *m, int n_threads, size_t max_rows,
                           struct forward **out, struct error *err);
void forward_destroy(struct forward *f);
int forward_n_threads(const struct forward *f);
size_t forward_max_rows(const struct forward *f);
/* From the next pass on `fn` sees the input of every matrix that is multiplied; NULL ends it. It changes
 * no result. */
void forward_observe(struct forward *f, forward_observer fn, void *ctx);

/* Appends each row's token to its sequence (position = the sequence's length) and computes logits
 * of the rows that ask for them, n_vocab floats each, in row order, into `logits` (may be NULL if
 * none asks). On any error no sequence has grown. ERR_LIMIT: the pool has no free page. The result
 * for a row does not depend on the batch it came in, nor on the number of threads, bit for bit.
 * `cancel`, if not NULL, is polled between stages: nonzero gives ERR_CANCELLED. */
enum status forward_run(struct forward *f, const struct forward_row *rows, size_t n_rows,
                        float *logits, const volatile int *cancel, struct error *err);
/* The same, but with the rows' hidden states in place of logits, n_embd floats each: what a decoder's
 * logits would be made of, or what an encoder ends in, which has no logits (ERR_UNSUPPORTED from
 * forward_run). An encoder's sequences come whole, in one call each. */
enum status forward_hidden(struct forward *f, const struct forward_row *rows, size_t n_rows,
                           float *hidden, const volatile int *cancel, struct error *err);

/* What the head of a classifier or reranker makes of a text's hidden state [n_embd]: n_scores numbers,
 * as they come out of it, without sigmoid or softmax. info.n_scores is not 0. */
void model_score(const struct model *m, const float *hidden, float *scores);

#endif
