/* Keys and values moved to other positions: an approximation. Rotary embedding makes a key depend
 * on its position by a rotation alone, which can be added to; but what is cached was computed from
 * the text that stood before it then, and stays as that text made it. */
#ifndef HEARTH_MODEL_KV_SHIFT_H
#define HEARTH_MODEL_KV_SHIFT_H

#include <stddef.h>

#include "base/status.h"

struct model;
struct kv_seq;

/* Appends positions [at, at + n) of `from` to `to`, another sequence of the same pool, with the
 * keys turned by the distance that they move. ERR_UNSUPPORTED for caches other than F16 and for
 * models with learned positions;
 * ERR_INVALID where `from` holds fewer; ERR_LIMIT where the pool is full. On failure `to` is
 * unchanged. */
enum status kv_shift_append(const struct model *m, struct kv_seq *to, const struct kv_seq *from,
                            size_t at, size_t n, struct error *err);

#endif
