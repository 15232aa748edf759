/* Approximate reuse: text that stands behind an edit keeps the keys and values that it had before
 * the edit, moved to its new positions. What was made so is marked, and no exact request ever takes
 * it. Compare llama.cpp's --cache-reuse, which does the same for chunks of a prompt. */
#include <string.h>

#include "infer/infer_int.h"
#include "model/kv_shift.h"

enum {
    MAX_EDIT = 512, /* tokens that an edit may take away or put in */
    MIN_RUN = 64,   /* fewer are read again */
};

/* prompt[to ..] agrees with held[from ..] for n tokens. */
struct run {
    size_t to, from, n;
};

static size_t agree(const int32_t *a, size_t n_a, const int32_t *b, size_t n_b)
{
    size_t i = 0;
    while (i < n_a && i < n_b && a[i] == b[i]) i++;
    return i;
}

/* The longest run that begins at most MAX_EDIT tokens behind the common beginning on either side.
 */
static struct run find_run(const int32_t *prompt, size_t n, const int32_t *held, size_t n_held,
                           size_t keep)
{
    struct run best = {0};
    for (size_t to = keep; to < n && to - keep <= MAX_EDIT && n - to > best.n; to++)
        for (size_t from = keep; from < n_held && from - keep <= MAX_EDIT; from++) {
            size_t len = agree(prompt + to, n - to, held + from, n_held - from);
            if (len > best.n) best = (struct run){to, from, len};
        }
    return best;
}

/* The run's keys and values behind what was read anew; the timeline before becomes the spare. */
static enum status apply(struct session *s, const int32_t *prompt, size_t keep, struct run run,
                         const struct watch *w, struct error *err)
{
    size_t exact = s->exact < keep ? s->exact : SIZE_MAX;
    enum status st = session_branch(s, keep, err);
    if (st) return st;
    s->exact = exact;
    st = session_extend(s, prompt + keep, run.to - keep, w, err);
    if (st) return st;
    size_t at = kv_seq_len(s->seq);
    st = kv_shift_append(s->e->model, s->seq, s->spare, run.from, run.n, err);
    if (st) return st;
    memcpy(s->tokens + at, prompt + at, run.n * sizeof *prompt);
    if (s->exact > at) s->exact = at;
    return OK;
}

enum status session_shift(struct session *s, const int32_t *prompt, size_t n, const struct watch *w,
                          struct session_shifted *out, struct error *err)
{
    *out = (struct session_shifted){0};
    size_t held = kv_seq_len(s->seq);
    size_t keep = agree(prompt, n - 1, s->tokens, held);
    size_t cached = session_cached(s, prompt, n); /* exactly */
    struct run run = find_run(prompt, n - 1, s->tokens, held, keep);
    enum status st = OK;
    if (run.n >= MIN_RUN && keep + run.n >= cached + MIN_RUN) {
        st = apply(s, prompt, keep, run, w, err);
        out->n_read = run.to - keep;
    } else if (keep >= cached + MIN_RUN) {
        kv_seq_truncate(s->seq, keep); /* what an earlier shift made */
    } else {
        return OK;
    }
    size_t len = kv_seq_len(s->seq);
    if (st == OK && len > s->exact) out->n_shifted = len - s->exact;
    return st == ERR_UNSUPPORTED ? OK : st; /* then all is read anew */
}
