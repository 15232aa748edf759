#include "infer/draft.h"

#include "infer/pass_times.h"

const struct drafter_type *const drafter_types[] = {&draft_grammar, &draft_ngram, &draft_model, NULL};

/* A guess weighs as much as GUESS observations; of older ones about MEMORY count. */
#define GUESS  3.0f
#define MEMORY 60.0f

struct chance chance_guess(double p)
{
    return (struct chance){(float)p * GUESS, GUESS};
}

void chance_note(struct chance *c, bool hit)
{
    if (c->seen >= MEMORY) {
        c->hits *= 1 - 1 / MEMORY;
        c->seen *= 1 - 1 / MEMORY;
    }
    c->hits += hit;
    c->seen += 1;
}

float chance_get(const struct chance *c)
{
    return c->hits / c->seen;
}

/* What drafting has to gain of one token, since what is expected of it is uncertain. */
#define MIN_GAIN 0.08

size_t draft_best_length(const struct pass_times *times, const struct draft *d, size_t max,
                         struct draft_step step, double *rate)
{
    double all = 1, tokens = step.tokens;
    size_t best = 0;
    *rate = tokens / pass_times_get(times, step.rows);
    double bar = *rate * (1 + MIN_GAIN / step.tokens);
    for (size_t k = 1; k <= d->n && k <= max && step.rows + k <= PASS_ROWS; k++) {
        all *= (double)d->p[k - 1];
        tokens += all;
        double r = tokens / pass_times_get(times, step.rows + k);
        if (r <= bar || r <= *rate) continue;
        *rate = r;
        best = k;
    }
    return best;
}
