/* Follows a text that is being copied with changes: where in the source the copy stands, and which
 * replacements it makes.
 *
 * Inside of the n-gram drafter. The copy is the end of the same draft_index that holds the source.
 */
#ifndef HEARTH_INFER_DRAFT_TRACK_H
#define HEARTH_INFER_DRAFT_TRACK_H

#include "infer/draft_index.h"

enum { TRACK_RULES = 64, TRACK_FROM = 8, TRACK_TO = 16 };

/* The copy has `to` where the source has `from`: a renamed symbol, for example. */
struct track_rule {
    int32_t from[TRACK_FROM], to[TRACK_TO];
    size_t n_from, n_to;
    int hits, misses;
};

/* A place in the source, or inside of what a rule puts there. */
struct track_place {
    size_t at;
    int rule;    /* -1: none */
    size_t done; /* tokens of the rule's `to` that are written */
};

enum track_state { TRACK_LOST, TRACK_ON, TRACK_STRAYED };

struct track {
    const struct draft_index *ix;
    enum track_state state;
    struct track_place place; /* TRACK_ON: what is expected next */
    size_t run;               /* tokens in a row that came as expected */
    /* TRACK_STRAYED: text[from] was expected where the copy has text[since]; it may go on at
     * text[back], since its last `run` tokens equal those before. */
    size_t from, since, back;
    bool has_back;
    struct track_rule rules[TRACK_RULES];
    size_t n_rules;
};

void track_init(struct track *t, const struct draft_index *ix);
/* The token that was pushed last belongs to the copy. */
void track_take(struct track *t);
/* The copy goes on at text[at], the last `run` tokens having come from there. */
void track_set(struct track *t, size_t at, size_t run);

/* What comes at `place`, which moves behind it; false where the source ends. `draft` holds tokens
 * assumed to follow the text, which a source that overlaps the copy is read from. *hits is -1 for a
 * token of the source, else how often the rule that replaces it was right so far. */
bool track_walk(const struct track *t, struct track_place *place, const int32_t *draft,
                size_t n_draft, int32_t *token, int *hits);

#endif
