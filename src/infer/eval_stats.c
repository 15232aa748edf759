/* Means, standard errors and quantiles of an evaluation. */
#include <math.h>
#include <stdlib.h>

#include "infer/eval_int.h"

/* Mean of x[i] - y[i] (y may be NULL) with its standard error. */
static struct eval_mean mean_of(const double *x, const double *y, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] - (y ? y[i] : 0);
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = x[i] - (y ? y[i] : 0) - mean;
        squares += d * d;
    }
    double error = n > 1 ? sqrt(squares / (double)n / (double)(n - 1)) : NAN;
    return (struct eval_mean){mean, error};
}

static struct eval_mean share_of(const bool *x, size_t n)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    double share = (double)sum / (double)n;
    double error = n > 1 ? sqrt(share * (1 - share) / (double)(n - 1)) : NAN;
    return (struct eval_mean){share, error};
}

/* To first order, as the error is small. */
static struct eval_mean perplexity_of(struct eval_mean nll)
{
    double value = exp(nll.value);
    return (struct eval_mean){value, value * nll.error};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two nearest of sorted values. */
static double quantile(const double *sorted, size_t n, double q)
{
    double at = q * (double)(n - 1);
    size_t i = (size_t)at;
    if (i + 1 >= n) return sorted[n - 1];
    return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

void eval_figures(struct eval_scores *s, size_t n, struct eval_result *out)
{
    out->n_counted = n;
    out->nll = mean_of(s->nll, NULL, n);
    out->perplexity = perplexity_of(out->nll);
    out->compared = s->kl != NULL;
    if (!out->compared) return;
    out->base_perplexity = perplexity_of(mean_of(s->base_nll, NULL, n));
    out->log_ratio = mean_of(s->nll, s->base_nll, n);
    out->kl = mean_of(s->kl, NULL, n);
    out->same_top = share_of(s->same, n);
    qsort(s->kl, n, sizeof *s->kl, ascending);
    out->kl_median = quantile(s->kl, n, 0.5);
    out->kl_p90 = quantile(s->kl, n, 0.9);
    out->kl_p99 = quantile(s->kl, n, 0.99);
    out->kl_max = s->kl[n - 1];
}
