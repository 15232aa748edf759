/* Branches: the same probabilities and texts as one after the other, and the session is left as it
 * was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fake_model.h"
#include "infer/branch.h"
#include "infer/infer_int.h"

enum { N_VOCAB = 97, N_CTX = 1024 };

struct world {
    struct model *m;
    struct engine *e;
    struct session *s;
    int32_t prompt[40];
};

static void open_world(struct world *w, bool read)
{
    struct error err;
    struct fake_options opt = {.n_vocab = N_VOCAB, .n_ctx_train = N_CTX};
    w->m = fake_model_create(&opt);
    assert_non_null(w->m);
    assert_int_equal(engine_assemble(NULL, NULL, NULL, w->m, 2, &w->e, &err), OK);
    assert_int_equal(session_create(w->e, N_CTX, &w->s, &err), OK);
    for (int i = 0; i < 40; i++) w->prompt[i] = (i * 37 + 5) % N_VOCAB;
    if (!read) return;
    struct generate_request req = {
        .prompt = w->prompt, .n_prompt = 40, .max_tokens = 1, .sample = sample_params_default()};
    struct generate_result res;
    assert_int_equal(session_generate(w->s, &req, &res, &err), OK);
}

static const struct branch_base *base_of(struct session *s)
{
    static struct branch_base base;
    session_branch_base(s, &base);
    return &base;
}

static void close_world(struct world *w)
{
    session_destroy(w->s);
    engine_close(w->e);
}

static void scores_are_those_of_the_text_alone(void **state)
{
    (void)state;
    struct world w, alone;
    open_world(&w, true);
    open_world(&alone, false);
    struct error err;
    struct branch b[8];
    int32_t tokens[8][30];
    float got[8][30];
    for (size_t i = 0; i < 8; i++) {
        size_t n = i == 3 ? 0 : 4 + 3 * i;
        for (size_t k = 0; k < n; k++) tokens[i][k] = (int32_t)((i * 13 + k * 7) % N_VOCAB);
        b[i] = (struct branch){
            .at = i % 2 ? 40 : 20 + i, .tokens = tokens[i], .n = n, .logprobs = got[i]};
    }
    size_t held = kv_seq_len(w.s->seq);
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, b, 8, NULL, &err), OK);
    assert_int_equal(kv_seq_len(w.s->seq), held);
    assert_int_equal(session_cached(w.s, w.prompt, 40), 39);
    for (size_t i = 0; i < 8; i++) {
        int32_t text[80];
        double want[80];
        memcpy(text, w.prompt, b[i].at * sizeof *text);
        memcpy(text + b[i].at, tokens[i], b[i].n * sizeof *text);
        assert_int_equal(session_score(alone.s, text, b[i].at + b[i].n, want, &err), OK);
        for (size_t k = 0; k < b[i].n; k++)
            if (fabs((double)got[i][k] - want[b[i].at + k]) > 1e-5)
                fail_msg("branch %zu token %zu: %g, alone %g", i, k, (double)got[i][k],
                         want[b[i].at + k]);
    }
    close_world(&w);
    close_world(&alone);
}

/* Cuts, extensions, equals and forks of one text: what they have in common is evaluated once, and
 * every figure is still that of the text alone. */
static void what_is_shared_scores_the_same(void **state)
{
    (void)state;
    struct world w, alone;
    open_world(&w, true);
    open_world(&alone, false);
    struct error err;
    enum { N = 9 };
    static const size_t len[N] = {3, 20, 20, 1, 9, 40, 20, 12, 0},
                        same[N] = {3, 20, 20, 1, 5, 20, 7, 6, 0};
    struct branch b[N];
    int32_t tokens[N][40], others[N][40];
    float got[N][40], other[N][40], end[N][40];
    static const int32_t ends[] = {3, 10};
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < len[i]; k++)
            tokens[i][k] = (int32_t)((k < same[i] ? k * 7 + 3 : k * 11 + (i & 6)) % N_VOCAB);
        b[i] = (struct branch){.at = i == 7 ? 30 : 40,
                               .tokens = tokens[i],
                               .n = len[i],
                               .logprobs = got[i],
                               .others = others[i],
                               .other_logprobs = other[i],
                               .end_logprobs = end[i],
                               .ends = ends,
                               .n_ends = 2};
    }
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, b, N, NULL, &err), OK);
    for (size_t i = 0; i < N; i++) {
        int32_t text[90];
        double want[90];
        memcpy(text, w.prompt, b[i].at * sizeof *text);
        memcpy(text + b[i].at, tokens[i], b[i].n * sizeof *text);
        assert_int_equal(session_score(alone.s, text, b[i].at + b[i].n, want, &err), OK);
        for (size_t k = 0; k < b[i].n; k++) {
            if (fabs((double)got[i][k] - want[b[i].at + k]) > 1e-5)
                fail_msg("branch %zu token %zu: %g, alone %g", i, k, (double)got[i][k],
                         want[b[i].at + k]);
            assert_int_not_equal(others[i][k], tokens[i][k]);
            assert_true(other[i][k] <= 0);
            assert_true(end[i][k] < 0);
        }
        /* The first token of most is 3, one of the ends. */
        if (b[i].n && tokens[i][0] == 3) assert_true(end[i][0] > got[i][0]);
        for (size_t k = 0; k < b[i].n && b[i].at == 40 && k < same[i]; k++)
            assert_int_equal(others[i][k], others[1][k]);
    }
    close_world(&w);
    close_world(&alone);
}

struct sink {
    int32_t tokens[BRANCH_MAX][64];
    size_t n[BRANCH_MAX], stop_at[BRANCH_MAX];
};

static bool on_token(void *ctx, size_t branch, int32_t token)
{
    struct sink *k = ctx;
    k->tokens[branch][k->n[branch]++] = token;
    return k->n[branch] != k->stop_at[branch];
}

static void grows_what_one_would_write(void **state)
{
    (void)state;
    struct world w, alone;
    open_world(&w, true);
    open_world(&alone, false);
    struct error err;
    struct sink k = {.stop_at = {[2] = 3}};
    static const int32_t behind[] = {11, 12, 13};
    struct branch b[4] = {
        {.at = 40}, {.at = 40, .rank = 1}, {.at = 25, .tokens = behind, .n = 3}, {.at = 30}};
    struct branch_writer to = {.on_token = on_token, .ctx = &k, .max_tokens = 12, .logprob = true};
    assert_int_equal(branch_grow(base_of(w.s), w.prompt, 40, b, 4, &to, NULL, &err), OK);
    assert_int_equal(k.n[0], 12);
    assert_int_equal(k.n[2], 3);
    for (size_t i = 0; i < 4; i++) {
        if (i == 1) continue;
        int32_t text[80], out[64];
        memcpy(text, w.prompt, b[i].at * sizeof *text);
        if (b[i].n) memcpy(text + b[i].at, b[i].tokens, b[i].n * sizeof *text);
        struct sink one = {0};
        (void)out;
        struct generate_request req = {.prompt = text,
                                       .n_prompt = b[i].at + b[i].n,
                                       .max_tokens = k.n[i],
                                       .sample = sample_params_default()};
        struct generate_result res;
        assert_int_equal(session_generate(alone.s, &req, &res, &err), OK);
        /* What it wrote stands in its timeline, but for the last token. */
        memcpy(one.tokens[0], alone.s->tokens + b[i].at + b[i].n, (k.n[i] - 1) * sizeof *text);
        assert_memory_equal(one.tokens[0], k.tokens[i], (k.n[i] - 1) * sizeof *text);
    }
    assert_int_not_equal(k.tokens[1][0], k.tokens[0][0]);
    assert_true(b[1].logprob < 0);
    close_world(&w);
    close_world(&alone);
}

static void refuses_what_is_not_held(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, true);
    struct error err;
    float out[4];
    int32_t bad = N_VOCAB, fine = 1;
    struct branch b = {.at = 40, .tokens = &bad, .n = 1, .logprobs = out};
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, NULL, &err), ERR_INVALID);
    b.tokens = &fine;
    b.at = 0;
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, NULL, &err), ERR_INVALID);
    b.at = 40;
    w.prompt[10] ^= 1;
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, NULL, &err), ERR_INVALID);
    w.prompt[10] ^= 1;
    volatile int cancel = 1;
    struct branch_limit limit = {.cancel = &cancel};
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, &limit, &err), ERR_CANCELLED);
    cancel = 0;
    limit.until = 1e-9;
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, &limit, &err), ERR_CANCELLED);
    assert_int_equal(branch_score(base_of(w.s), w.prompt, 40, &b, 1, NULL, &err), OK);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_text_alone),
        cmocka_unit_test(what_is_shared_scores_the_same),
        cmocka_unit_test(grows_what_one_would_write),
        cmocka_unit_test(refuses_what_is_not_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
