/* The head of classifiers and rerankers: one vector a text, so that plain loops are enough. */
#include <math.h>
#include <string.h>

#include "model/model_int.h"

/* Eight sums side by side, so that the compiler can keep them in a vector without changing their
 * order. */
static float dot(const float *a, const float *b, size_t n)
{
    float sum[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += a[i + (size_t)k] * b[i + (size_t)k];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

void model_score(const struct model *m, const float *hidden, float *scores)
{
    const struct score_head *h = &m->score;
    size_t n = m->info.n_embd;
    for (uint32_t i = 0; i < m->info.n_scores; i++) scores[i] = h->out_bias ? h->out_bias[i] : 0;
    if (!h->dense) {
        for (uint32_t i = 0; i < m->info.n_scores; i++) scores[i] += dot(h->out + i * n, hidden, n);
        return;
    }
    for (size_t r = 0; r < n; r++) {
        float x = dot(h->dense + r * n, hidden, n) + (h->dense_bias ? h->dense_bias[r] : 0);
        x = tanhf(x);
        for (uint32_t i = 0; i < m->info.n_scores; i++) scores[i] += h->out[i * n + r] * x;
    }
}
