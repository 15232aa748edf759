/* What all keys of a layer have in common. A key's bias adds the same large numbers to every key,
 * and RoPE hardly turns those that stand in slow dimensions; without them a quantized key has its
 * bits for what tells it from the others. Taking the same vector off all keys moves all of a
 * query's scores by the same amount, which the softmax does not see. */
#include <math.h>

#include "model/arch.h"

/* Positions over which the bias is averaged; slow dimensions barely turn within them. */
#define SPAN 8192.0

/* Mean of the pair (a, b) turned by 0, w, 2w, ...: the sum is a geometric series. */
static void mean_turn(double w, double scale, float *a, float *b)
{
    double half = w / 2, s = sin(half);
    double size = fabs(s) < 1e-12 ? 1 : sin(SPAN * half) / (SPAN * s);
    double c = scale * size * cos((SPAN - 1) * half), d = scale * size * sin((SPAN - 1) * half);
    double x = *a, y = *b;
    *a = (float)(x * c - y * d);
    *b = (float)(x * d + y * c);
}

static void centre_head(const struct rope *r, float *x)
{
    uint32_t half = r->n_dims / 2, step = r->neox ? half : 1, stride = r->neox ? 1 : 2;
    for (uint32_t i = 0; i < half; i++) {
        float *p = x + (size_t)i * stride;
        mean_turn((double)r->inv_freq[i], (double)r->magnitude, p, p + step);
    }
}

enum status kv_centre_keys(struct model *m, struct error *err)
{
    size_t hd = m->info.head_dim, n = m->info.n_head_kv * hd;
    for (size_t s = 0; s < m->n_stages; s++) {
        struct stage *in = &m->stages[s];
        if (in->kind != STAGE_ATTN_IN || !in->bias[1]) continue;
        /* Norms make of a common part something else for every key. */
        if (in->head_norm[1].kind || in->attn->key_norm) continue;
        float *c = model_alloc(m, n * sizeof *c);
        if (!c) return error_set(err, ERR_NOMEM, "out of memory for the model");
        for (size_t i = 0; i < n; i++) c[i] = in->bias[1][i];
        for (size_t h = 0; in->attn->rope && h < m->info.n_head_kv; h++)
            centre_head(in->attn->rope, c + h * hd);
        in->key_centre = c;
    }
    return OK;
}
