/* A stand-in for the model library: model.h's functions over a made-up model whose logits are a
 * hash of the sequence so far, or follow a script. It counts what it is asked to do, can be slow,
 * and can fail. Everything that the real one promises about lengths, limits and errors holds. */
#ifndef HEARTH_TESTS_FAKE_MODEL_H
#define HEARTH_TESTS_FAKE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

struct fake_options {
    uint32_t n_vocab, n_ctx_train;
    /* Where set, the logits of the row at position p favour script[p + 1] (p + 1 < n_script). */
    const int32_t *script;
    size_t n_script;
    int pass_us;      /* microseconds that a pass takes besides its rows */
    int row_us;       /* microseconds that a row takes; cancel is polled after each */
    size_t fail_call; /* the forward_run call (from 1) that gives ERR_NOMEM; 0 = none */
    bool nan_logits;
};

/* What the forward passes of a model saw. */
struct fake_seen {
    size_t calls, rows, logit_rows, most_rows;
    bool overlapped; /* two passes at once */
};

struct model *fake_model_create(const struct fake_options *opt);
void fake_model_set_fail(struct model *m, size_t fail_call);
struct fake_seen fake_model_seen(const struct model *m); /* while no pass runs */
size_t fake_model_calls(const struct model *m);          /* at any time */
void fake_model_reset_seen(struct model *m);

#endif
