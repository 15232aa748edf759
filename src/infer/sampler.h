/* From logits to a token. Order of the steps: logit bias, repetition penalties, top-k, top-p, min-p,
 * temperature, draw (llama.cpp's default order without its newer samplers). Temperature 0 is greedy:
 * the largest logit, the lowest id among equals. */
#ifndef HEARTH_INFER_SAMPLER_H
#define HEARTH_INFER_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct logit_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY bans the token */
};

struct sample_params {
    float temperature;       /* 0 = greedy; 0..100 */
    int32_t top_k;           /* 0 = off */
    float top_p;             /* 1 = off; 0..1 */
    float min_p;             /* 0 = off; 0..1 */
    float repeat_penalty;    /* 1 = off; > 0: divides positive, multiplies negative logits */
    float presence_penalty;  /* 0 = off */
    float frequency_penalty; /* 0 = off */
    int32_t penalty_last_n;  /* how many recent tokens the penalties see; -1 = all */
    uint64_t seed;
    const struct logit_bias *bias; /* borrowed for the sampler's life */
    size_t n_bias;
};

/* Greedy, everything else off. */
struct sample_params sample_params_default(void);

struct sampler;

/* ERR_INVALID names the parameter that is out of range or not a number. */
enum status sampler_create(const struct sample_params *p, size_t n_vocab, struct sampler **out,
                           struct error *err);
void sampler_destroy(struct sampler *s);
/* Tells the penalties of a token that is part of the text (prompt or generated). */
enum status sampler_accept(struct sampler *s, int32_t token);
/* Draws the next token; `logits` [n_vocab] is overwritten. Does not call accept. NaN logits are
 * treated as -INFINITY; if nothing is left the result is TOKEN_NONE (-1). */
int32_t sampler_draw(struct sampler *s, float *logits);

#endif
