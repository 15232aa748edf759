#include "sched_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* ---- what a request gives -------------------------------------------------------------------- */

static void *grow(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) abort();
    return p;
}

static bool on_text(void *ctx, const struct sched_chunk *c)
{
    struct got *g = ctx;
    size_t k = c->sample;
    if (g->done || k >= KIT_MAX) {
        g->broken = true;
        return false;
    }
    g->text[k] = grow(g->text[k], g->n_text[k] + c->n_text + 1);
    memcpy(g->text[k] + g->n_text[k], c->text, c->n_text);
    g->n_text[k] += c->n_text;
    g->text[k][g->n_text[k]] = 0;
    for (size_t i = 0; i < c->n_tokens; i++) {
        g->ids[k] = grow(g->ids[k], (g->n[k] + 1) * sizeof **g->ids);
        g->logprob[k] = grow(g->logprob[k], (g->n[k] + 1) * sizeof **g->logprob);
        g->ids[k][g->n[k]] = c->tokens[i].id;
        g->logprob[k][g->n[k]++] = c->tokens[i].logprob;
        if (c->tokens[i].text_offset > g->n_text[k]) g->broken = true;
    }
    if (k == 0 && g->cancel_at && g->n[0] >= g->cancel_at) scheduler_cancel(g->s, g->ticket);
    return !(k == 0 && g->give_up_at && g->n[0] >= g->give_up_at);
}

static void on_prompt(void *ctx, const struct sched_token *t, size_t n)
{
    struct got *g = ctx;
    if (g->prompt_logprob || g->n[0]) g->broken = true;
    g->prompt_logprob = grow(NULL, n * sizeof *g->prompt_logprob);
    for (size_t i = 0; i < n; i++) g->prompt_logprob[i] = t[i].logprob;
    g->n_prompt_logprobs = n;
}

static void on_done(void *ctx, const struct sched_result *r)
{
    struct got *g = ctx;
    if (g->done) g->broken = true;
    g->result = *r;
    if (r->error) g->error = *r->error;
    for (size_t i = 0; i < r->n_samples && i < KIT_MAX; i++) g->samples[i] = r->samples[i];
    g->done_at = clock_now();
    __atomic_store_n(&g->done, 1, __ATOMIC_RELEASE);
}

void got_init(struct got *g, struct sched_request *r)
{
    memset(g, 0, sizeof *g);
    r->on_text = on_text;
    r->on_prompt = on_prompt;
    r->on_done = on_done;
    r->ctx = g;
}

void got_fini(struct got *g)
{
    for (size_t i = 0; i < KIT_MAX; i++) {
        free(g->ids[i]);
        free(g->logprob[i]);
        free(g->text[i]);
    }
    free(g->prompt_logprob);
}

void got_wait(struct got *g)
{
    double end = clock_now() + 60;
    while (!__atomic_load_n(&g->done, __ATOMIC_ACQUIRE)) {
        assert_true(clock_now() < end);
        usleep(200);
    }
    assert_false(g->broken);
}

/* ---- requests -------------------------------------------------------------------------------- */

struct sched_request kit_request(const int32_t *prompt, size_t n, size_t max_tokens)
{
    return (struct sched_request){.prompt = prompt,
                                  .n_prompt = n,
                                  .max_tokens = max_tokens,
                                  .cls = SCHED_CHAT,
                                  .sample = sample_params_default()};
}

uint64_t kit_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du >> 11;
}

void kit_tokens(int32_t *t, size_t n, uint64_t seed, uint32_t n_vocab)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < n; i++) t[i] = (int32_t)(kit_random(&state) % n_vocab);
}

/* ---- expectations ---------------------------------------------------------------------------- */

struct expected {
    int32_t ids[8192];
    size_t n;
};

static bool take(void *ctx, int32_t token)
{
    struct expected *x = ctx;
    if (x->n == sizeof x->ids / sizeof *x->ids) return false;
    x->ids[x->n++] = token;
    return true;
}

void kit_expect_same(struct engine *e, size_t n_ctx, const struct sched_request *r, size_t i,
                     const struct got *g, size_t sample)
{
    struct error err;
    struct session *s;
    struct generate_result res;
    static struct expected x;
    x.n = 0;
    struct generate_request q = {.prompt = r->prompt,
                                 .n_prompt = r->n_prompt,
                                 .max_tokens = r->max_tokens,
                                 .sample = r->sample,
                                 .begin = r->begin,
                                 .n_begin = r->n_begin,
                                 .stop = r->stop,
                                 .n_stop = r->n_stop,
                                 .on_token = take,
                                 .ctx = &x};
    q.sample.seed += i;
    assert_int_equal(session_create(e, n_ctx, &s, &err), OK);
    assert_int_equal(session_generate(s, &q, &res, &err), OK);
    session_destroy(s);
    assert_int_equal(g->result.status, OK);
    assert_int_equal(g->n[sample], x.n);
    assert_memory_equal(g->ids[sample], x.ids, x.n * sizeof *x.ids);
    assert_int_equal(g->samples[sample].finish, res.finish);
    assert_int_equal(g->samples[sample].n_generated, x.n);
}

void kit_expect_no_pages(struct scheduler *s)
{
    struct sched_stats st;
    double end = clock_now() + 60;
    do {
        usleep(500);
        scheduler_stats(s, &st);
        assert_true(clock_now() < end);
    } while (st.waiting[0] + st.waiting[1] + st.waiting[2] + st.running[0] + st.running[1] +
                 st.running[2] + st.jobs >
             0);
    assert_int_equal(st.pages_free + st.pages_cached, st.pages);
    scheduler_drop_cache(s);
    for (scheduler_stats(s, &st); st.pages_free != st.pages; scheduler_stats(s, &st)) {
        assert_true(clock_now() < end);
        usleep(500);
    }
}
