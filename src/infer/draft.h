/* Drafts: guesses at the tokens that come next. One forward pass looks at a whole draft, and what
 * the model would not have said itself is dropped again, so a drafter decides about speed only.
 *
 * A drafter is one file with one `struct drafter_type`, listed in draft.c. */
#ifndef HEARTH_INFER_DRAFT_H
#define HEARTH_INFER_DRAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/engine.h"

struct grammar_state;
struct watch;

enum { DRAFT_MAX = 63 };

struct draft {
    size_t n;
    int32_t token[DRAFT_MAX];
    float p[DRAFT_MAX]; /* that the token comes, given that those before it came */
};

/* What a drafter may draw on; everything outlives it. */
struct draft_source {
    const struct session *target;
    const int32_t *prompt;
    size_t n_prompt;
    size_t n_text; /* most tokens that prompt and answer can have together */
    const struct speculate_options *opt;
    struct grammar_state *grammar; /* follows the answer; or NULL */
};

struct drafter_type {
    const char *name;
    bool runs_model; /* a draft costs forward passes */
    /* OK with *out NULL: nothing to draft from. Takes all the memory it will need. */
    enum status (*create)(const struct draft_source *src, void **out, struct error *err);
    void (*destroy)(void *drafter);
    /* One more token of the answer. */
    void (*accept)(void *drafter, int32_t token);
    /* At most `max` tokens (<= DRAFT_MAX); stops where all of the draft together is less probable
     * than `floor`. ERR_CANCELLED when `w` says so. */
    enum status (*propose)(void *drafter, size_t max, double floor, const struct watch *w,
                           struct draft *out, struct error *err);
};

/* Ends with NULL; those that run no model come first. */
extern const struct drafter_type *const drafter_types[];
extern const struct drafter_type draft_grammar;
extern const struct drafter_type draft_ngram;
extern const struct drafter_type draft_model;

/* The pass that a draft would join: its rows, and the tokens that it gives without the draft. */
struct draft_step {
    size_t rows;
    double tokens;
};
struct pass_times;
/* How much of a draft, `max` tokens at most, to check for most tokens a millisecond; 0 where that
 * is hardly more than without. *rate, that of the pass without it, becomes what is expected. */
size_t draft_best_length(const struct pass_times *times, const struct draft *d, size_t max,
                         struct draft_step step, double *rate);

/* How often something came true lately: an average that begins with a guess and forgets. */
struct chance {
    float hits, seen;
};
struct chance chance_guess(double p);
void chance_note(struct chance *c, bool hit);
float chance_get(const struct chance *c);

#endif
