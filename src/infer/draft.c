#include "infer/draft.h"

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
