#include "infer/estimate.h"

#include <math.h>

#include "kern/kern.h"
#include "quant/quant.h"

enum {
    CHUNK = 512,          /* rows of a prompt evaluated together: INFER_CHUNK */
    STAGES_PER_LAYER = 5, /* of the usual decoder, each ending in a barrier */
    STAGES_BESIDE = 2,    /* the table of tokens, the output */
};
/* The program, its buffers and the tokenizer: a part of every process, and one for each token. */
#define PROGRAM_BYTES (16.0 * 1024 * 1024)
#define TOKEN_BYTES   200.0

/* A pass over a whole model reaches 93 % of what its kernels do alone, in matrices of one kind and
 * stages of even work: measured with `hearth doctor --check` on the models of docs/doctor.md.
 * Weights that the cache holds for the most part are read at the full rate. */
#define WHOLE_MODEL 1.08

static double element_bytes(uint32_t type)
{
    const struct quant_traits *q = quant_find(type);
    return q ? (double)q->block_bytes / q->block_elems : 0;
}

const struct estimate_rate *estimate_rate_find(const struct estimate_machine *m, uint32_t type)
{
    for (size_t i = 0; i < m->n_rates; i++)
        if (m->rates[i].type == type) return &m->rates[i];
    return NULL;
}

bool estimate_covers(const struct estimate_machine *m, const struct estimate_shape *s)
{
    for (size_t i = 0; i < s->n_parts; i++)
        if (!estimate_rate_find(m, s->parts[i].type)) return false;
    return s->n_parts > 0;
}

/* Seconds to read a byte where `bytes` are read again and again: between the sizes that were
 * measured, in proportion to the logarithm of the size. */
static double byte_seconds(const struct estimate_machine *m, const struct estimate_rate *r,
                           double bytes)
{
    int i = 0;
    double seconds[ESTIMATE_SIZES];
    for (int k = 0; k < ESTIMATE_SIZES; k++) seconds[k] = 1 / r->read[k];
    seconds[ESTIMATE_SIZES - 1] *= WHOLE_MODEL;
    if (bytes <= m->sizes[0]) return seconds[0];
    while (i < ESTIMATE_SIZES - 1 && bytes > m->sizes[i + 1]) i++;
    if (i == ESTIMATE_SIZES - 1) return seconds[i];
    double at = log(bytes / m->sizes[i]) / log(m->sizes[i + 1] / m->sizes[i]);
    return (1 - at) * seconds[i] + at * seconds[i + 1];
}

static double head_seconds(const struct estimate_machine *m, const struct estimate_shape *s)
{
    double t = s->n_embd * (m->norm + m->quantize);
    for (size_t i = 0; i < s->n_parts; i++)
        t += s->parts[i].head * element_bytes(s->parts[i].type) *
             byte_seconds(m, estimate_rate_find(m, s->parts[i].type), s->token_bytes);
    return t + s->n_vocab * m->choose;
}

double estimate_kv_bytes(const struct estimate_shape *s, double context)
{
    return context * s->n_layer * s->n_head_kv * s->head_dim * 2 * 2; /* keys and values, halves */
}

/* Floats that each layer quantizes for its products, in a row. */
static double quantized(const struct estimate_shape *s)
{
    return 2.0 * s->n_embd + s->n_head * s->head_dim + s->n_ff;
}

/* And that pass once more through a thread: the two sums, queries in and out of attention,
 * rotation, the copies to the cache. */
static double moved(const struct estimate_shape *s)
{
    return 2.0 * s->n_embd + 3.0 * s->n_head * s->head_dim + 3.0 * s->n_head_kv * s->head_dim;
}

double estimate_step(const struct estimate_machine *m, const struct estimate_shape *s,
                     double context)
{
    if (!estimate_covers(m, s)) return 0;
    double t = head_seconds(m, s);
    for (size_t i = 0; i < s->n_parts; i++)
        t += s->parts[i].active * element_bytes(s->parts[i].type) *
             byte_seconds(m, estimate_rate_find(m, s->parts[i].type), s->token_bytes);
    t += (STAGES_PER_LAYER * s->n_layer + STAGES_BESIDE) * m->stage;
    t += s->n_layer * (2.0 * s->n_embd * m->norm + quantized(s) * m->quantize +
                       (s->n_ff * m->activate + moved(s) * m->move) / m->n_threads);
    /* A head of keys and values is one thread's. */
    double share = fmin(1, (double)s->n_head_kv / m->n_threads);
    return t + estimate_kv_bytes(s, context) / (m->attend_read * share);
}

double estimate_prompt(const struct estimate_machine *m, const struct estimate_shape *s, double n)
{
    if (!estimate_covers(m, s) || n < 1) return 0;
    double chunks = ceil(n / CHUNK), t = head_seconds(m, s), active = 0;
    for (size_t i = 0; i < s->n_parts; i++) active += s->parts[i].active;
    for (size_t i = 0; i < s->n_parts; i++) {
        const struct estimate_rate *r = estimate_rate_find(m, s->parts[i].type);
        double multiply = WHOLE_MODEL * 2 * n * s->parts[i].active / r->multiply;
        double read = chunks * s->parts[i].stored * element_bytes(r->type) *
                      byte_seconds(m, r, s->token_bytes);
        t += fmax(multiply, read); /* few rows, or experts with few rows each */
        /* Inputs are quantized for the types in proportion to what they multiply. */
        if (active > 0)
            t += n * s->n_layer * quantized(s) * r->batch_quantize * s->parts[i].active / active;
    }
    t += chunks * (STAGES_PER_LAYER * s->n_layer + STAGES_BESIDE) * m->stage;
    t += n * s->n_layer *
         (2.0 * s->n_embd * m->batch_norm + s->n_ff * m->batch_activate + moved(s) * m->batch_move);
    /* Each token looks at those before it: half of all pairs. The rows of one call all look as far
     * as its last one does. */
    double rows = fmax(1, (double)KERN_ATTN_MAX_Q * s->n_head_kv / s->n_head);
    return t + s->n_layer * s->n_head * n * (n + fmin(rows, n)) / 2 *
                   (m->attend_pair + s->head_dim * m->attend_float);
}

double estimate_memory(const struct estimate_shape *s, double context)
{
    double wide = fmax(s->n_embd, fmax(s->n_ff, (double)s->n_head * s->head_dim));
    /* As forward.c lays it out: floats, then three formats of quantized inputs. */
    double row = 4.0 * (2.0 * s->n_embd + wide + 2.0 * s->n_ff +
                        2.0 * (s->n_head + s->n_head_kv) * s->head_dim) +
                 wide * (1 + 1 + 2 + 3 * 12 / 16.0);
    return s->weight_bytes + estimate_kv_bytes(s, context) + CHUNK * row + PROGRAM_BYTES +
           s->n_vocab * TOKEN_BYTES;
}
