/* A cache of completions: found again by the text around the cursor, also while their own beginning
 * is being typed. Least recently used entries go first. Not thread-safe. */
#ifndef HEARTH_ASSIST_ANSWERS_H
#define HEARTH_ASSIST_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    ANSWERS_TYPED = 128,     /* typed characters over which an answer is looked for */
    ANSWERS_PREFIX = 1024,   /* bytes before the cursor that have to agree */
    ANSWERS_SUFFIX = 512,    /* bytes behind it */
    ANSWERS_TEXT = 64 << 10, /* longer ones are not kept */
};

/* Where an answer belongs. */
struct answer_place {
    const char *path; /* NULL = unnamed */
    uint64_t kind;    /* what else has to agree: mode, number of tokens */
    const char *prefix;
    size_t prefix_len;
    const char *suffix;
    size_t suffix_len;
};

struct answers;

enum status answers_create(size_t max, struct answers **out, struct error *err);
void answers_destroy(struct answers *a);

/* Replaces what is there. Texts that are too long are passed over. ERR_NOMEM. */
enum status answers_put(struct answers *a, const struct answer_place *at, const char *text,
                        size_t len, bool ahead);

struct answer {
    const char *text; /* what is left of it behind the cursor; borrowed until the next put */
    size_t len;
    size_t typed; /* bytes of it that stand before the cursor already */
    bool ahead;   /* as it was put */
};
/* False where none fits. An answer whose text was typed to its end does not count. */
bool answers_find(struct answers *a, const struct answer_place *at, struct answer *out);

size_t answers_count(const struct answers *a);

#endif
