#include "infer/speculate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "infer/draft.h"
#include "infer/infer_int.h"
#include "text/grammar.h"

enum {
    MAX_DRAFTERS = 4,
    DEFAULT_DRAFT = 47, /* tokens */
    TRIES = 3,          /* passes by which a drafter that runs a model is judged */
    FIRST_DRAFT = 4,    /* tokens while it is not known what they cost it */
    CATCH_UP = 20,      /* tokens that it reads in the time of one pass, at a guess */
    FIRST_REST = 16,    /* passes for which it is left out where it does not pay */
    LAST_REST = 256,
};
#define FOR_GOOD SIZE_MAX

/* Share of one pass in the averages of a drafter that runs a model. */
#define NEW_SHARE 0.15

struct helper {
    const struct drafter_type *type;
    void *drafter;
    /* Only where it runs a model: averages over its passes, and how long it rests. */
    double tokens, ms, own_ms_per_token;
    size_t tries, rest, next_rest;
    size_t behind; /* tokens of the text that it has not read */
    size_t missed; /* passes since it was asked for which nothing better was there */
};

struct speculation {
    struct session *s;
    struct helper helper[MAX_DRAFTERS];
    size_t n_helpers, max_draft;
    struct grammar_state *grammar; /* or NULL */
    float *logits; /* [max_draft + 1][n_vocab]; NULL until something is drafted */

    /* The pass whose rows are being drawn from: the token that the text had gained and a draft. */
    struct draft draft;
    size_t n_rows;        /* 0: none */
    size_t row;           /* that is drawn from: so many tokens of the draft came true */
    struct helper *asked; /* ran its model for this pass; or NULL */
    double pass_ms, draft_ms;

    size_t n_drafted, n_accepted, n_passes;
    double all_draft_ms;
};

/* ---- life --------------------------------------------------------------------------------------
 */

static void destroy(struct speculation *sp)
{
    for (size_t i = 0; i < sp->n_helpers; i++) sp->helper[i].type->destroy(sp->helper[i].drafter);
    free(sp->logits);
    free(sp);
}

static enum status add_helpers(struct speculation *sp, const struct generate_request *req,
                               struct error *err)
{
    size_t room = sp->s->n_ctx - req->n_prompt;
    struct draft_source src = {.target = sp->s,
                               .prompt = req->prompt,
                               .n_prompt = req->n_prompt,
                               .n_text = req->n_prompt +
                                         (req->max_tokens < room ? req->max_tokens : room),
                               .opt = &req->speculate,
                               .grammar = sp->grammar};
    for (size_t i = 0; drafter_types[i] && sp->n_helpers < MAX_DRAFTERS; i++) {
        struct helper *h = &sp->helper[sp->n_helpers];
        *h = (struct helper){
            .type = drafter_types[i], .next_rest = FIRST_REST, .behind = req->n_prompt};
        enum status st = h->type->create(&src, &h->drafter, err);
        if (st == ERR_NOMEM) continue; /* the text comes without it too */
        if (st != OK) return st;
        if (h->drafter) sp->n_helpers++;
    }
    return OK;
}

static enum status check_corpus(const struct session *s, const struct speculate_options *opt,
                                struct error *err)
{
    for (size_t i = 0; i < opt->n_corpus; i++) {
        enum status st = session_check_tokens(s, opt->corpus[i].ids, opt->corpus[i].n, err);
        if (st != OK) return st;
    }
    return OK;
}

enum status speculation_create(struct session *s, const struct generate_request *req,
                               struct grammar_state *grammar, struct speculation **out, struct error *err)
{
    *out = NULL;
    if (req->speculate.mode == SPECULATE_OFF) return OK;
    enum status st = check_corpus(s, &req->speculate, err);
    if (st != OK) return st;
    struct speculation *sp = calloc(1, sizeof *sp);
    if (!sp) return OK;
    sp->s = s;
    sp->grammar = grammar;
    sp->max_draft = req->speculate.max_draft ? req->speculate.max_draft : DEFAULT_DRAFT;
    if (sp->max_draft > DRAFT_MAX) sp->max_draft = DRAFT_MAX;
    st = add_helpers(sp, req, err);
    if (st != OK || sp->n_helpers == 0) {
        destroy(sp);
        return st;
    }
    *out = sp;
    return OK;
}

/* ---- what to draft -----------------------------------------------------------------------------
 */

/* Whether to leave a drafter out that runs a model: for a while where it gave fewer tokens a
 * millisecond than there are without any draft, each time longer and at last for good, since coming
 * back costs it the tokens that it missed; for this pass where `best` is more than it gives. */
static bool rests(struct helper *h, double plain, double best)
{
    if (!h->type->runs_model) return false;
    if (h->rest > 0) {
        h->rest -= h->rest != FOR_GOOD;
        return true;
    }
    if (h->tries <= TRIES) return best > plain;
    if (h->tokens >= h->ms * best) {
        h->next_rest = FIRST_REST;
        return false;
    }
    if (h->tokens >= h->ms * plain) return true;
    h->rest = h->next_rest;
    h->next_rest = h->next_rest < LAST_REST ? 4 * h->next_rest : FOR_GOOD;
    h->tries = 0;
    return true;
}

/* A drafter that has to read much first is asked once as much time went by without it. */
static bool is_due(struct helper *h)
{
    if (!h->type->runs_model) return true;
    if (++h->missed * CATCH_UP < h->behind) return false;
    h->missed = h->behind = 0;
    return true;
}

/* The probability below which one more drafted token costs more than it gives. */
static double floor_of(const struct helper *h, const struct pass_times *times, double best)
{
    if (!h->type->runs_model) return 0.01;
    double row = (pass_times_get(times, 10) - pass_times_get(times, 2)) / 8;
    double floor = best * (h->own_ms_per_token + (row > 0 ? row : 0));
    return floor < 0.95 ? floor : 0.95;
}

static void note_own_time(struct helper *h, double ms, size_t n)
{
    if (!h->type->runs_model || n == 0) return;
    double each = ms / (double)n, share = h->tries == 0 ? 0 : h->tries == 1 ? 1 : NEW_SHARE;
    h->own_ms_per_token += share * (each - h->own_ms_per_token);
}

/* The draft of the drafter that promises most; none where no draft is worth its rows. */
static enum status choose(struct speculation *sp, size_t max, const struct watch *w,
                          struct error *err)
{
    const struct pass_times *times = &sp->s->times;
    double plain = 1 / pass_times_get(times, 1), best = plain;
    enum status st = OK;
    sp->draft.n = 0;
    sp->asked = NULL;
    sp->draft_ms = 0;
    for (size_t i = 0; i < sp->n_helpers && max > 0 && st == OK; i++) {
        struct helper *h = &sp->helper[i];
        if (rests(h, plain, best) || !is_due(h)) continue;
        struct draft d = {0};
        double start = clock_now(), rate;
        size_t most = h->type->runs_model && h->tries < 2 && max > FIRST_DRAFT ? FIRST_DRAFT : max;
        st = h->type->propose(h->drafter, most, floor_of(h, times, best), w, &d, err);
        double ms = 1e3 * (clock_now() - start);
        sp->draft_ms += ms;
        note_own_time(h, ms, d.n);
        if (h->type->runs_model) sp->asked = h;
        if (sp->grammar) d.n = grammar_accepts(sp->grammar, d.token, d.n);
        d.n = draft_best_length(times, &d, max, (struct draft_step){1, 1}, &rate);
        if (rate <= best) continue;
        best = rate;
        sp->draft = d;
    }
    sp->all_draft_ms += sp->draft_ms;
    return st;
}

/* ---- passes ------------------------------------------------------------------------------------
 */

/* What a drafter's pass has brought. Its first one after a rest also made up for what it missed. */
static void settle(struct speculation *sp)
{
    struct helper *h = sp->asked;
    if (!h || sp->n_rows == 0) return;
    double tokens = (double)sp->row + 1, ms = sp->pass_ms + sp->draft_ms;
    if (h->tries++ == 0) return;
    double share = h->tries == 2 ? 1 : NEW_SHARE;
    h->tokens += share * (tokens - h->tokens);
    h->ms += share * (ms - h->ms);
}

/* Forgets the rows of the pass that the text did not take. */
static void close_pass(struct speculation *sp)
{
    if (sp->n_rows > 0)
        kv_seq_truncate(sp->s->seq, kv_seq_len(sp->s->seq) - (sp->n_rows - 1 - sp->row));
    settle(sp);
    sp->n_rows = sp->row = 0;
}

/* As many as the answer can take, the context holds, and a pass can check before the deadline. */
static size_t drafts_allowed(struct speculation *sp, size_t left, const struct watch *w)
{
    size_t max = sp->max_draft, room = sp->s->n_ctx - kv_seq_len(sp->s->seq);
    if (max > left - 1) max = left - 1;
    if (max > room - 1) max = room - 1;
    double ms_left = w->deadline != 0 ? 1e3 * (w->deadline - clock_now()) : INFINITY;
    while (max > 0 && pass_times_get(&sp->s->times, max + 1) > ms_left) max--;
    if (max == 0 || sp->logits) return max;
    sp->logits = malloc((sp->max_draft + 1) * sp->s->n_vocab * sizeof *sp->logits);
    return sp->logits ? max : 0;
}

static enum status run_pass(struct speculation *sp, int32_t token, const struct watch *w,
                            float **logits, struct error *err)
{
    int32_t rows[DRAFT_MAX + 1] = {token};
    size_t n = 1 + sp->draft.n;
    memcpy(rows + 1, sp->draft.token, sp->draft.n * sizeof *rows);
    *logits = n > 1 ? sp->logits : sp->s->logits;
    double start = clock_now();
    enum status st = session_feed(sp->s, rows, n, true, true, *logits, watch_flag(w), err);
    if (st != OK) return st;
    sp->pass_ms = 1e3 * (clock_now() - start);
    pass_times_note(&sp->s->times, n, sp->pass_ms);
    sp->n_rows = n;
    sp->n_passes++;
    sp->n_drafted += sp->draft.n;
    return OK;
}

enum status speculation_next(struct speculation *sp, int32_t token, size_t left,
                             const struct watch *w, float **logits, struct error *err)
{
    if (watch_poll(w) != WATCH_NONE) return ERR_CANCELLED;
    double start = clock_now();
    for (size_t i = 0; i < sp->n_helpers; i++) {
        sp->helper[i].type->accept(sp->helper[i].drafter, token);
        sp->helper[i].behind++;
    }
    sp->all_draft_ms += 1e3 * (clock_now() - start);
    if (sp->row + 1 < sp->n_rows && sp->draft.token[sp->row] == token) {
        sp->row++;
        sp->n_accepted++;
        *logits = sp->logits + sp->row * sp->s->n_vocab;
        return OK;
    }
    close_pass(sp);
    enum status st = choose(sp, drafts_allowed(sp, left, w), w, err);
    return st == OK ? run_pass(sp, token, w, logits, err) : st;
}

void speculation_end(struct speculation *sp, struct generate_result *res)
{
    close_pass(sp);
    res->n_drafted = sp->n_drafted;
    res->n_accepted = sp->n_accepted;
    res->n_passes = sp->n_passes;
    res->draft_ms = sp->all_draft_ms;
    destroy(sp);
}
