/* Drafts by a second, smaller model with the same vocabulary: always its most probable token. How
 * probable it finds that token says how far to go, once it is known how often it is right then. */
#include <stdlib.h>
#include <string.h>

#include "infer/draft.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

enum { BUCKETS = 10 };

struct modeler {
    struct session *s; /* the caller's */
    int32_t *text;     /* [cap]: prompt and answer */
    size_t n, cap;
    struct chance chance[BUCKETS]; /* by the model's own probability */
    /* The last draft, until the answer leaves it. */
    size_t n_open, at;
    int32_t token[DRAFT_MAX];
    int bucket[DRAFT_MAX];
};

static enum status check_pair(const struct session *target, const struct session *draft,
                              struct error *err)
{
    if (target == draft)
        return error_set(err, ERR_INVALID, "a session cannot draft for itself: open a second one");
    return engine_same_vocab(target->e, draft->e, "the draft model", err);
}

/* ---- drafting ----------------------------------------------------------------------------------
 */

static enum status model_create(const struct draft_source *src, void **out, struct error *err)
{
    *out = NULL;
    if (!src->opt->draft) return OK;
    enum status st = check_pair(src->target, src->opt->draft, err);
    if (st != OK) return st;
    struct modeler *d = calloc(1, sizeof *d);
    if (d) d->text = malloc(src->n_text * sizeof *d->text);
    if (!d || !d->text) {
        free(d);
        return error_set(err, ERR_NOMEM, "no memory to draft %zu tokens", src->n_text);
    }
    d->s = src->opt->draft;
    d->cap = src->n_text;
    d->n = src->n_prompt;
    memcpy(d->text, src->prompt, src->n_prompt * sizeof *d->text);
    for (int b = 0; b < BUCKETS; b++) d->chance[b] = chance_guess((b + 0.5) / BUCKETS);
    *out = d;
    return OK;
}

static void model_destroy(void *drafter)
{
    struct modeler *d = drafter;
    free(d->text);
    free(d);
}

static void model_accept(void *drafter, int32_t token)
{
    struct modeler *d = drafter;
    if (d->n < d->cap) d->text[d->n++] = token;
    if (d->at == d->n_open) return;
    bool hit = d->token[d->at] == token;
    chance_note(&d->chance[d->bucket[d->at]], hit);
    d->at = hit ? d->at + 1 : d->n_open;
}

/* Brings the session to the whole text, the last token of which is evaluated for its logits. */
static enum status catch_up(struct modeler *d, const struct watch *w, struct error *err)
{
    size_t held = session_rewind(d->s, d->text, d->n);
    return session_extend(d->s, d->text + held, d->n - held, w, err);
}

static int32_t most_probable(const float *logits, size_t n, double *p)
{
    float max = infer_max(logits, n);
    size_t best = 0;
    while (best < n && logits[best] != max) best++;
    if (best == n) return TOKEN_NONE;
    *p = 1 / infer_sum_exp(logits, n, max);
    return (int32_t)best;
}

static enum status model_propose(void *drafter, size_t max, double floor, const struct watch *w,
                                 struct draft *out, struct error *err)
{
    struct modeler *d = drafter;
    double all = 1;
    out->n = d->n_open = d->at = 0;
    if (d->n >= d->s->n_ctx) return OK;
    size_t room = d->s->n_ctx - d->n;
    if (max > room) max = room;
    enum status st = max > 0 ? catch_up(d, w, err) : OK;
    while (st == OK && out->n < max) {
        double own = 0;
        int32_t token = most_probable(d->s->logits, d->s->n_vocab, &own);
        if (token == TOKEN_NONE) break;
        int bucket = own < 1 ? (int)(own * BUCKETS) : BUCKETS - 1;
        float p = chance_get(&d->chance[bucket]);
        all *= p;
        /* Where not even the first token is worth a row, what is drawn still tells about it. */
        d->token[d->n_open] = token;
        d->bucket[d->n_open++] = bucket;
        if (all < floor) break;
        out->token[out->n] = token;
        out->p[out->n++] = p;
        if (out->n < max) st = session_extend(d->s, &token, 1, w, err);
    }
    return st;
}

const struct drafter_type draft_model = {.name = "model",
                                         .runs_model = true,
                                         .create = model_create,
                                         .destroy = model_destroy,
                                         .accept = model_accept,
                                         .propose = model_propose};
