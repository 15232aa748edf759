/* Requests: checked and copied where they are submitted, given lanes when their turn comes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "infer/scheduler_int.h"

#define MAX_DEADLINE_MS 1e11 /* three years: later is never */

enum {
    MAX_CORPUS = 1 << 22,   /* tokens */
    MAX_TEXT = 64 << 20,    /* bytes that a sample writes */
    MAX_BEGIN = 1 << 16,    /* bytes */
    MAX_TOP_ROOM = 1 << 24, /* alternatives of a request */
};

/* ---- checks ---------------------------------------------------------------------------------- */

static enum status check_tokens(const struct scheduler *s, const char *what, const int32_t *t,
                                size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (t[i] < 0 || (size_t)t[i] >= s->n_vocab)
            return error_set(err, ERR_INVALID,
                             "token %zu of %s is %d, but the vocabulary has 0 to %zu", i, what,
                             t[i], s->n_vocab - 1);
    return OK;
}

static enum status check_prompt(const struct scheduler *s, const struct sched_request *q,
                                struct error *err)
{
    if (q->n_prompt == 0)
        return error_set(err, ERR_INVALID, "the prompt is empty: there is nothing to continue");
    if (q->n_prompt >= s->opt.n_ctx)
        return error_set(err, ERR_LIMIT,
                         "the prompt has %zu tokens, but the context holds %zu, one of them kept "
                         "for the answer",
                         q->n_prompt, s->opt.n_ctx);
    return check_tokens(s, "the prompt", q->prompt, q->n_prompt, err);
}

static enum status check_samples(const struct sched_request *q, struct error *err)
{
    size_t n = q->n ? q->n : 1;
    if (n > SCHED_MAX_SAMPLES || q->best_of > SCHED_MAX_SAMPLES)
        return error_set(err, ERR_LIMIT, "at most %d samples of a prompt can be asked for",
                         SCHED_MAX_SAMPLES);
    if (q->best_of && q->best_of < n)
        return error_set(err, ERR_INVALID, "best_of is %zu, less than the %zu samples to give",
                         q->best_of, n);
    if (q->n_top > SCHED_MAX_TOP)
        return error_set(err, ERR_LIMIT, "at most %d alternatives of a token can be given",
                         SCHED_MAX_TOP);
    return OK;
}

static enum status check_stops(const struct scheduler *s, const struct sched_request *q,
                               struct error *err)
{
    if (q->n_stop > SCHED_MAX_STOPS || q->n_stop_text > SCHED_MAX_STOPS)
        return error_set(err, ERR_LIMIT, "at most %d stops can be given", SCHED_MAX_STOPS);
    for (size_t i = 0; i < q->n_stop_text; i++)
        if (q->stop_text[i].len == 0 || q->stop_text[i].len > SCHED_MAX_STOP_TEXT)
            return error_set(err, ERR_INVALID, "stop text %zu has %zu bytes; 1 to %d are possible",
                             i, q->stop_text[i].len, SCHED_MAX_STOP_TEXT);
    return check_tokens(s, "the stops", q->stop, q->n_stop, err);
}

static enum status check_text(const struct scheduler *s, const struct sched_request *q,
                              struct error *err)
{
    if ((q->n_begin || q->n_stop_text) && !s->e->tok)
        return error_set(err, ERR_INVALID, "texts mean nothing without a vocabulary");
    if (q->n_begin > MAX_BEGIN)
        return error_set(err, ERR_LIMIT, "the forced beginning has %zu bytes, more than %d",
                         q->n_begin, MAX_BEGIN);
    if (q->n_begin && q->mask && (!q->mask->fits || !q->mask->accept_bytes))
        return error_set(err, ERR_UNSUPPORTED,
                         "a forced beginning and this mask cannot be had together");
    return OK;
}

static enum status check_corpus(const struct scheduler *s, const struct sched_request *q,
                                struct error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_corpus; i++) {
        if (q->corpus[i].n > MAX_CORPUS - n)
            return error_set(err, ERR_LIMIT, "the texts to draft from have more than %d tokens",
                             MAX_CORPUS);
        n += q->corpus[i].n;
        enum status st =
            check_tokens(s, "a text to draft from", q->corpus[i].ids, q->corpus[i].n, err);
        if (st != OK) return st;
    }
    return OK;
}

static enum status check_names(const struct sched_request *q, struct error *err)
{
    if ((q->client && strlen(q->client) > SCHED_MAX_CLIENT) || q->n_salt > SCHED_MAX_CLIENT)
        return error_set(err, ERR_LIMIT, "a client's name or salt has more than %d bytes",
                         SCHED_MAX_CLIENT);
    if ((unsigned)q->cls >= SCHED_CLASSES)
        return error_set(err, ERR_INVALID, "there is no class %d", (int)q->cls);
    if (q->adapter)
        return error_set(err, ERR_UNSUPPORTED, "adapter %llu is not loaded",
                         (unsigned long long)q->adapter);
    if (isnan(q->deadline_ms)) return error_set(err, ERR_INVALID, "the deadline is not a number");
    return OK;
}

/* The sampler's own checks. */
static enum status check_sampler(const struct scheduler *s, const struct sched_request *q,
                                 struct error *err)
{
    struct sampler *trial;
    enum status st = sampler_create(&q->sample, s->n_vocab, &trial, err);
    sampler_destroy(trial);
    return st;
}

static enum status check(const struct scheduler *s, const struct sched_request *q,
                         struct error *err)
{
    enum status st = check_names(q, err);
    if (st == OK) st = check_prompt(s, q, err);
    if (st == OK) st = check_samples(q, err);
    if (st == OK) st = check_stops(s, q, err);
    if (st == OK) st = check_text(s, q, err);
    if (st == OK) st = check_corpus(s, q, err);
    if (st == OK) st = check_sampler(s, q, err);
    return st;
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* *p becomes a copy of its n bytes; false: no memory. */
static bool own(const void *p, size_t n)
{
    const void **at = (const void **)(uintptr_t)p;
    void *copy = malloc(n ? n : 1);
    if (copy && n) memcpy(copy, *at, n);
    *at = copy;
    return copy != NULL;
}

static bool own_stop_texts(struct request *r, const struct sched_request *q)
{
    struct text_str *t = calloc(q->n_stop_text + 1, sizeof *t);
    r->r.stop_text = t;
    r->r.n_stop_text = 0;
    for (size_t i = 0; t && i < q->n_stop_text; i++) {
        t[i] = q->stop_text[i];
        bool done = own(&t[i].data, t[i].len);
        r->r.n_stop_text++;
        if (!done) return false;
    }
    return t != NULL;
}

static bool own_corpus(struct request *r, const struct sched_request *q)
{
    struct token_span *c = calloc(q->n_corpus + 1, sizeof *c);
    r->r.corpus = c;
    r->r.n_corpus = 0;
    for (size_t i = 0; c && i < q->n_corpus; i++) {
        c[i] = q->corpus[i];
        bool done = own(&c[i].ids, c[i].n * sizeof *c[i].ids);
        r->r.n_corpus++;
        if (!done) return false;
    }
    return c != NULL;
}

/* All are tried, so that on failure each pointer is a copy or NULL. */
static bool own_all(struct request *r, const struct sched_request *q)
{
    struct sched_request *o = &r->r;
    if (!o->client) o->client = "";
    bool done = own(&o->client, strlen(o->client) + 1);
    done &= own(&o->salt, o->n_salt);
    done &= own(&o->prompt, o->n_prompt * sizeof *o->prompt);
    done &= own(&o->stop, o->n_stop * sizeof *o->stop);
    done &= own(&o->begin, o->n_begin);
    done &= own(&o->sample.bias, o->sample.n_bias * sizeof *o->sample.bias);
    done &= own_stop_texts(r, q);
    done &= own_corpus(r, q);
    return done;
}

/* What a prompt's whole pages are kept under. */
static enum status make_keys(struct request *r)
{
    size_t n = r->r.n_prompt / KERN_KV_PAGE;
    enum status st = prefix_key_root(r->r.adapter, r->r.salt, r->r.n_salt, &r->root);
    r->prompt_keys = malloc((n + 1) * sizeof *r->prompt_keys);
    if (!r->prompt_keys) return ERR_NOMEM;
    for (; r->n_prompt_keys < n && st == OK; r->n_prompt_keys++) {
        size_t i = r->n_prompt_keys;
        st = prefix_key_next(i ? &r->prompt_keys[i - 1] : &r->root, r->r.prompt + i * KERN_KV_PAGE,
                             &r->prompt_keys[i]);
    }
    return st;
}

static bool make_prompt_tokens(struct request *r)
{
    if (!r->r.prompt_logprobs) return true;
    size_t n = r->r.n_prompt;
    r->prompt_tokens = calloc(n, sizeof *r->prompt_tokens);
    r->prompt_tops = calloc(n * r->r.n_top + 1, sizeof *r->prompt_tops);
    if (!r->prompt_tokens || !r->prompt_tops) return false;
    for (size_t i = 0; i < n; i++)
        r->prompt_tokens[i] = (struct sched_token){.id = r->r.prompt[i], .logprob = NAN};
    return true;
}

enum status request_create(struct scheduler *s, const struct sched_request *q, struct request **out,
                           struct error *err)
{
    *out = NULL;
    enum status st = check(s, q, err);
    if (st != OK) return st;
    struct request *r = calloc(1, sizeof *r);
    if (!r) return error_set(err, ERR_NOMEM, "no memory for a request");
    r->r = *q;
    r->n_samples = q->n ? q->n : 1;
    r->n_lanes = q->best_of ? q->best_of : r->n_samples;
    size_t room = s->opt.n_ctx - q->n_prompt;
    r->max_new = q->max_tokens < room ? q->max_tokens : room;
    r->max_text = q->n_prompt + r->max_new;
    r->needs_logprobs = q->logprobs || r->n_lanes > r->n_samples;
    r->submitted = clock_now();
    if (q->deadline_ms != 0)
        r->deadline = r->submitted + 1e-3 * fmin(q->deadline_ms, MAX_DEADLINE_MS);
    if (!q->logprobs && !q->prompt_logprobs) r->r.n_top = 0;
    if (!own_all(r, q) || make_keys(r) != OK || !make_prompt_tokens(r)) {
        request_destroy(r);
        return error_set(err, ERR_NOMEM, "no memory for a request of %zu tokens", q->n_prompt);
    }
    *out = r;
    return OK;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void lane_fini(struct lane *l)
{
    sampler_destroy(l->sampler);
    if (l->mask) l->req->r.mask->destroy(l->mask);
    if (l->drafter) draft_ngram.destroy(l->drafter);
    buf_fini(&l->out);
    free(l->text);
    free(l->keys);
    free(l->tokens);
    free(l->tops);
}

static enum status lane_init(struct scheduler *s, struct lane *l, struct request *r, size_t i,
                             struct error *err)
{
    const struct sched_request *q = &r->r;
    *l = (struct lane){.req = r, .sample = i, .awaits_prompt = i > 0, .keeps = s->cache != NULL};
    l->result = (struct sched_sample){.stop_text = -1, .stop_token = TOKEN_NONE};
    buf_init(&l->out, MAX_TEXT);
    text_stream_init(&l->stream, s->e->tok, q->special);
    forced_init(&l->forced, s->e->tok, s->n_vocab, &s->first_bytes, q->begin, q->n_begin);
    l->given = l->searched = q->n_begin;
    size_t n_tops = q->logprobs ? r->max_new * q->n_top : 0;
    if (n_tops > MAX_TOP_ROOM)
        return error_set(err, ERR_LIMIT, "%zu alternatives in all are too many", n_tops);
    l->text = malloc(r->max_text * sizeof *l->text);
    l->keys = malloc((r->max_text / KERN_KV_PAGE + 1) * sizeof *l->keys);
    l->tokens = calloc(r->max_new + 1, sizeof *l->tokens);
    l->tops = calloc(n_tops + 1, sizeof *l->tops);
    if (!l->text || !l->keys || !l->tokens || !l->tops)
        return error_set(err, ERR_NOMEM, "no memory for a text of %zu tokens", r->max_text);
    memcpy(l->text, q->prompt, q->n_prompt * sizeof *l->text);
    memcpy(l->keys, r->prompt_keys, r->n_prompt_keys * sizeof *l->keys);
    l->n_text = q->n_prompt;
    l->n_keys = r->n_prompt_keys;
    struct sample_params params = q->sample;
    params.seed += i;
    enum status st = sampler_create(&params, s->n_vocab, &l->sampler, err);
    for (size_t k = 0; k < q->n_prompt && st == OK; k++) sampler_accept(l->sampler, q->prompt[k]);
    if (st == OK && q->mask) st = q->mask->create(q->mask_ctx, i, &l->mask, err);
    return st;
}

static void lanes_free(struct request *r, size_t n)
{
    for (size_t i = 0; i < n; i++) lane_fini(&r->lanes[i]);
    free(r->lanes);
    r->lanes = NULL;
}

enum status request_begin(struct scheduler *s, struct request *r, struct error *err)
{
    r->lanes = calloc(r->n_lanes, sizeof *r->lanes);
    if (!r->lanes) return error_set(err, ERR_NOMEM, "no memory for %zu samples", r->n_lanes);
    enum status st = OK;
    size_t i = 0;
    for (; i < r->n_lanes && st == OK; i++) st = lane_init(s, &r->lanes[i], r, i, err);
    if (st != OK) lanes_free(r, i);
    return st;
}

void request_destroy(struct request *r)
{
    if (!r) return;
    if (r->lanes) lanes_free(r, r->n_lanes);
    for (size_t i = 0; r->r.stop_text && i < r->r.n_stop_text; i++)
        free((void *)(uintptr_t)r->r.stop_text[i].data);
    for (size_t i = 0; r->r.corpus && i < r->r.n_corpus; i++)
        free((void *)(uintptr_t)r->r.corpus[i].ids);
    const void *owned[] = {r->r.client, r->r.salt,        r->r.prompt,    r->r.stop,
                           r->r.begin,  r->r.sample.bias, r->r.stop_text, r->r.corpus};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free((void *)(uintptr_t)owned[i]);
    free(r->prompt_keys);
    free(r->prompt_tokens);
    free(r->prompt_tops);
    free(r);
}
