/* How fast a model will run on a machine, computed before it is fetched or opened.
 *
 * A *shape* says how much of which tensor type a model reads and multiplies; a *machine* says how
 * long this takes here, as measured by probe.h. An estimate is a sum of physical terms: bytes over
 * the rate at which the kernels of their type read them, operations over the rate at which they
 * multiply, and what stages, norms and attention cost beside. Pure functions: any thread. */
#ifndef HEARTH_INFER_ESTIMATE_H
#define HEARTH_INFER_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct gguf;

enum { ESTIMATE_MAX_TYPES = 48 };

/* What a catalogue tells of a model. `gated`: the feed-forward part has a gate. `tied`: the file
 * holds no output matrix of its own. Experts: n_expert 0 = none; expert_ff is the width of one. */
struct estimate_dims {
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab;
    uint32_t n_expert, n_expert_used, expert_ff;
    bool gated, tied;
};

/* Weights of one tensor type, in elements. */
struct estimate_part {
    uint32_t type; /* enum quant_id, or another of GGUF's numbers */
    double stored; /* in the layers */
    double active; /* of them those that one token meets: all but the experts not chosen */
    double head;   /* of the output matrix */
};

struct estimate_shape {
    uint32_t n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab;
    struct estimate_part parts[ESTIMATE_MAX_TYPES];
    size_t n_parts;
    double n_params;
    double file_bytes;   /* of all tensors */
    double weight_bytes; /* of those that a forward pass multiplies: held packed in memory */
    double token_bytes;  /* read to decode one token */
};

/* The shape of a file whose architecture need not be known. ERR_FORMAT where it lacks what every
 * decoder has. */
enum status estimate_shape_of_file(const struct gguf *g, struct estimate_shape *out,
                                   struct error *err);
/* The shape that quantizing a model to `mix` gives ("Q4_0", "Q4_K_M"; rules as in llama.cpp's
 * llama-quant.cpp). ERR_UNSUPPORTED for a mix that is not known. */
enum status estimate_shape_of_mix(const struct estimate_dims *dims, const char *mix,
                                  struct estimate_shape *out, struct error *err);

/* What kernels of one tensor type do, all threads together. */
enum { ESTIMATE_SIZES = 3 };
struct estimate_rate {
    uint32_t type;
    double read[ESTIMATE_SIZES]; /* bytes a second, one row, for weights of `sizes` bytes in all */
    double multiply;             /* operations a second in a batch of many rows */
    double batch_quantize;       /* seconds for each float of the rows that it multiplies with */
};

struct estimate_machine {
    int n_threads;
    double sizes[ESTIMATE_SIZES]; /* ascending: in the cache, between, from memory */
    struct estimate_rate rates[ESTIMATE_MAX_TYPES];
    size_t n_rates;
    double stage; /* seconds of a stage of one row beside its reading: start, barrier */
    /* Seconds for each float: normalizing and quantizing what matrices read, the gate's activation,
     * and whatever else passes once over a result (adding, rotating, copying); of a single row by
     * one thread, and of a batch by all threads together. */
    double norm, quantize, activate, move;
    double batch_norm, batch_activate, batch_move;
    /* Attention of many queries, all threads: seconds for each pair of a query and a key, and more
     * for each float of a head. */
    double attend_pair, attend_float;
    double attend_read; /* bytes a second of keys and values, one query */
    double choose;      /* seconds for each logit until a token is drawn from them */
};

/* NULL where the machine has no rates for the type. */
const struct estimate_rate *estimate_rate_find(const struct estimate_machine *m, uint32_t type);
/* Whether all types of the shape have kernels that were measured. */
bool estimate_covers(const struct estimate_machine *m, const struct estimate_shape *s);

/* Seconds of one decode step behind `context` tokens, and of a prompt of n tokens until its last
 * token's logits. 0 where the machine does not cover the shape. */
double estimate_step(const struct estimate_machine *m, const struct estimate_shape *s,
                     double context);
double estimate_prompt(const struct estimate_machine *m, const struct estimate_shape *s, double n);

/* Bytes that a process needs to run the model with a cache of `context` positions: packed weights,
 * keys and values as halves, the scratch memory of a batch, and what the program itself has. */
double estimate_memory(const struct estimate_shape *s, double context);
/* Of them those of the keys and values. */
double estimate_kv_bytes(const struct estimate_shape *s, double context);

#endif
