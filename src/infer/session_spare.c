/* A session's second timeline: a prompt that is expected is evaluated ahead of its request, in
 * small steps, while the first timeline stays as it is. Both take their pages from one pool and
 * share those of their common beginning. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/infer_int.h"

/* Rows of one step: what a cancelled step loses. */
enum { SPARE_STEP = 64 };

/* Tokens that a timeline and `tokens` begin with, of those that an exact request may take. */
static size_t common(const struct kv_seq *seq, size_t exact, const int32_t *held,
                     const int32_t *tokens, size_t n)
{
    size_t len = seq ? kv_seq_len(seq) : 0, i = 0;
    if (len > exact) len = exact;
    while (i < len && i < n && held[i] == tokens[i]) i++;
    return i;
}

/* All but the last: its logits are not kept, so it is always evaluated. */
size_t session_cached(const struct session *s, const int32_t *tokens, size_t n)
{
    if (n == 0) return 0;
    size_t main = common(s->seq, s->exact, s->tokens, tokens, n - 1);
    size_t spare = common(s->spare, s->spare_exact, s->spare_tokens, tokens, n - 1);
    return main > spare ? main : spare;
}

static void swap(struct session *s)
{
    struct kv_seq *seq = s->seq;
    int32_t *tokens = s->tokens;
    size_t exact = s->exact;
    s->exact = s->spare_exact;
    s->spare_exact = exact;
    s->seq = s->spare;
    s->tokens = s->spare_tokens;
    s->spare = seq;
    s->spare_tokens = tokens;
}

size_t session_rewind(struct session *s, const int32_t *tokens, size_t n)
{
    size_t keep = session_cached(s, tokens, n);
    if (common(s->seq, s->exact, s->tokens, tokens, n - 1) < keep) swap(s);
    kv_seq_truncate(s->seq, keep);
    s->exact = SIZE_MAX;
    return keep;
}

enum status session_branch(struct session *s, size_t n, struct error *err)
{
    struct kv_seq *seq;
    if (!s->spare_tokens) s->spare_tokens = calloc(s->n_ctx, sizeof *s->spare_tokens);
    if (!s->spare_tokens) return error_set(err, ERR_NOMEM, "no memory for a second timeline");
    kv_seq_destroy(s->spare);
    s->spare = NULL;
    s->spare_exact = SIZE_MAX;
    enum status st = kv_seq_fork(s->seq, n, &seq, err);
    if (st) return st;
    s->spare = seq;
    memcpy(s->spare_tokens, s->tokens, n * sizeof *s->tokens);
    swap(s);
    return OK;
}

/* Makes the spare timeline hold the longest beginning of `tokens` that either holds. */
static enum status rewind_spare(struct session *s, const int32_t *tokens, size_t n,
                                struct error *err)
{
    size_t main = common(s->seq, s->exact, s->tokens, tokens, n);
    size_t spare = common(s->spare, s->spare_exact, s->spare_tokens, tokens, n);
    s->spare_exact = SIZE_MAX; /* what follows is */
    if (!s->spare_tokens) s->spare_tokens = calloc(s->n_ctx, sizeof *s->spare_tokens);
    if (!s->spare_tokens) return error_set(err, ERR_NOMEM, "no memory for a second timeline");
    if (s->spare && spare >= main) {
        kv_seq_truncate(s->spare, spare);
        return OK;
    }
    kv_seq_destroy(s->spare);
    s->spare = NULL;
    enum status st = kv_seq_fork(s->seq, main, &s->spare, err);
    if (st == OK) memcpy(s->spare_tokens, s->tokens, main * sizeof *s->tokens);
    return st;
}

static enum status step(struct session *s, const int32_t *tokens, size_t n,
                        const volatile int *cancel, struct error *err)
{
    size_t at = kv_seq_len(s->spare);
    for (size_t i = 0; i < n; i++)
        s->rows[i] = (struct forward_row){.seq = s->spare, .token = tokens[i]};
    enum status st = engine_forward(s->e, s->rows, n, NULL, cancel, err);
    if (st == OK) memcpy(s->spare_tokens + at, tokens, n * sizeof *tokens);
    return st;
}

enum status session_prepare(struct session *s, const int32_t *tokens, size_t n, double deadline_ms,
                            const volatile int *cancel, size_t *ready, struct error *err)
{
    double start = clock_now();
    *ready = 0;
    if (n > s->n_ctx)
        return error_set(err, ERR_LIMIT, "the text has %zu tokens, but the context holds %zu", n,
                         s->n_ctx);
    enum status st = session_check_tokens(s, tokens, n, err);
    if (st != OK) return st;
    *ready = common(s->seq, s->exact, s->tokens, tokens, n);
    if (*ready == n) return OK;
    st = rewind_spare(s, tokens, n, err);
    if (st != OK) return st;
    struct watch w;
    watch_start(&w, deadline_ms != 0 ? start + 1e-3 * deadline_ms : 0, cancel);
    for (size_t at = kv_seq_len(s->spare); at < n && st == OK; at = kv_seq_len(s->spare)) {
        if (watch_poll(&w) != WATCH_NONE) break;
        st = step(s, tokens + at, n - at < SPARE_STEP ? n - at : SPARE_STEP, watch_flag(&w), err);
    }
    watch_stop(&w);
    *ready = kv_seq_len(s->spare);
    return st == ERR_CANCELLED ? OK : st;
}
