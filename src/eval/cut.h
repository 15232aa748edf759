/* Ways to cut an answer that are measured beside the answer as it came, so that one run tells what
 * a server's answers would be worth to a client that cuts them. */
#ifndef HEARTH_EVAL_CUT_H
#define HEARTH_EVAL_CUT_H

#include "eval/holes.h"

struct eval_cut {
    const char *name, *summary;
    /* How many bytes of the answer are kept. */
    size_t (*keep)(const struct eval_hole *h, const char *answer, size_t len);
};

enum { EVAL_N_CUTS = 5, EVAL_CUT_NONE = 0 };

/* In this order everywhere; the first is "none". */
extern const struct eval_cut eval_cuts[EVAL_N_CUTS];

#endif
