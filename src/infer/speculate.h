/* Speculation: several tokens from one forward pass. The sampler sees the logits that it would have
 * seen without, one row after the other, as long as it draws what was drafted; so the text is the
 * same whatever is drafted, greedy or not. */
#ifndef HEARTH_INFER_SPECULATE_H
#define HEARTH_INFER_SPECULATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "infer/engine.h"

struct grammar_state;
struct speculation;
struct watch;

/* For one generation of `s`, whose timeline is about to hold the prompt. `req` outlives it, and so
 * does `grammar` (may be NULL), which the caller keeps at the end of the text: what it does not allow is
 * not drafted. OK with *out NULL where nothing is to be drafted, or there is no memory for it. */
enum status speculation_create(struct session *s, const struct generate_request *req,
                               struct grammar_state *grammar, struct speculation **out, struct error *err);
/* Takes the token that was drawn last as part of the text and gives the logits [n_vocab] of what
 * follows it, which the caller may change. `left` >= 1: how many tokens may still be drawn.
 * ERR_CANCELLED when `w` says so. */
enum status speculation_next(struct speculation *sp, int32_t token, size_t left,
                             const struct watch *w, float **logits, struct error *err);
/* Leaves the timeline with the tokens that were taken and adds what was done to the result. */
void speculation_end(struct speculation *sp, struct generate_result *res);

#endif
