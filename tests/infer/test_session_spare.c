/* A prompt evaluated ahead of its request, and text that has to begin with given bytes, over the
 * fake model, whose logits are a hash of all tokens so far: a wrong one anywhere changes the text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "fake_model.h"
#include "infer/engine.h"
#include "infer/infer_int.h"
#include "text/tokenizer.h"

enum { N_CTX = 512, N_ANSWER = 12 };

/* Bytes 'a' to 'f' and some words of them; the rest of the ids say nothing. */
static const char *const words[] = {"a",   "b",     "c",   "d", "e",   "f",     "ab",
                                    "abc", "abcde", "bcd", "c", "cde", "<stop>"};
enum { N_WORDS = sizeof words / sizeof *words, STOP = N_WORDS - 1, N_VOCAB = 40 };

struct world {
    struct tokenizer *tok;
    struct model *m;
    struct engine *e;
    struct session *s;
};

static struct tokenizer *make_tokenizer(void)
{
    static struct text_str tokens[N_WORDS];
    static uint8_t types[N_WORDS];
    for (size_t i = 0; i < N_WORDS; i++) {
        tokens[i] = (struct text_str){words[i], strlen(words[i])};
        types[i] = i == STOP ? TOKEN_CONTROL : TOKEN_NORMAL;
    }
    struct vocab_source src = {.model = "gpt2",
                               .pre = "gpt-2",
                               .n_tokens = N_WORDS,
                               .tokens = tokens,
                               .types = types,
                               .bos = -1,
                               .eos = STOP,
                               .eot = -1,
                               .unk = -1,
                               .pad = -1,
                               .fim_pre = -1,
                               .fim_suf = -1,
                               .fim_mid = -1,
                               .fim_pad = -1,
                               .fim_rep = -1,
                               .fim_sep = -1};
    struct tokenizer *t;
    struct error err = {0};
    if (tokenizer_create(&src, &t, &err)) fail_msg("%s", err.msg);
    return t;
}

static void open_world(struct world *w, struct fake_options opt)
{
    struct error err;
    opt.n_vocab = N_VOCAB;
    opt.n_ctx_train = N_CTX;
    w->tok = make_tokenizer();
    w->m = fake_model_create(&opt);
    assert_int_equal(engine_assemble(NULL, NULL, w->tok, w->m, 1, &w->e, &err), OK);
    assert_int_equal(session_create(w->e, 0, &w->s, &err), OK);
}

static void close_world(struct world *w)
{
    session_destroy(w->s);
    engine_close(w->e);
    tokenizer_destroy(w->tok);
}

struct answer {
    int32_t tokens[64];
    size_t n, cached;
};

static bool take(void *ctx, int32_t token)
{
    struct answer *a = ctx;
    a->tokens[a->n++] = token;
    return a->n < N_ANSWER;
}

static struct answer ask(struct session *s, const int32_t *prompt, size_t n, const char *begin,
                         uint64_t seed)
{
    struct answer a = {.n = 0};
    struct generate_request req = {.prompt = prompt,
                                   .n_prompt = n,
                                   .max_tokens = 60,
                                   .sample = sample_params_default(),
                                   .begin = begin,
                                   .n_begin = strlen(begin),
                                   .on_token = take,
                                   .ctx = &a};
    req.sample.temperature = seed ? 1.5f : 0;
    req.sample.seed = seed;
    struct generate_result res;
    struct error err = {0};
    if (session_generate(s, &req, &res, &err)) fail_msg("%s", err.msg);
    a.cached = res.n_cached;
    return a;
}

/* The answer of a session that never saw anything else. */
static void same_as_fresh(struct world *w, const int32_t *prompt, size_t n, struct answer got)
{
    struct session *fresh;
    assert_int_equal(session_create(w->e, 0, &fresh, NULL), OK);
    struct answer want = ask(fresh, prompt, n, "", 0);
    session_destroy(fresh);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.tokens, want.tokens, want.n * sizeof *want.tokens);
}

static void fill(int32_t *t, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++)
        t[i] = (int32_t)((seed = seed * 1664525u + 1013904223u) >> 9) % N_VOCAB;
}

static void a_prepared_prompt_is_there_beside_the_old_one(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0});
    int32_t old[300], next[300];
    fill(old, 300, 1);
    memcpy(next, old, sizeof next);
    fill(next + 100, 200, 2);
    same_as_fresh(&w, old, 300, ask(w.s, old, 300, "", 0));

    fake_model_reset_seen(w.m);
    size_t ready;
    assert_int_equal(session_prepare(w.s, next, 300, 0, NULL, &ready, NULL), OK);
    assert_int_equal(ready, 300);
    assert_int_equal(fake_model_seen(w.m).rows, 200); /* the common beginning is shared */
    assert_int_equal(fake_model_seen(w.m).logit_rows, 0);
    assert_int_equal(session_cached(w.s, old, 300), 299);
    assert_int_equal(session_cached(w.s, next, 300), 299);
    for (int i = 0; i < 3; i++) {
        struct answer a = ask(w.s, next, 300, "", 0);
        assert_int_equal(a.cached, 299);
        same_as_fresh(&w, next, 300, a);
        a = ask(w.s, old, 300, "", 0);
        assert_int_equal(a.cached, 299);
        same_as_fresh(&w, old, 300, a);
    }
    close_world(&w);
}

static void a_context_full_twice_fits(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0});
    int32_t a[N_CTX], b[N_CTX];
    fill(a, N_CTX, 3);
    fill(b, N_CTX, 4);
    size_t ready;
    ask(w.s, a, N_CTX - N_ANSWER, "", 0);
    assert_int_equal(session_prepare(w.s, b, N_CTX, 0, NULL, &ready, NULL), OK);
    assert_int_equal(ready, N_CTX);
    same_as_fresh(&w, a, N_CTX - N_ANSWER, ask(w.s, a, N_CTX - N_ANSWER, "", 0));
    struct error err;
    assert_int_equal(session_prepare(w.s, b, N_CTX + 1, 0, NULL, &ready, &err), ERR_LIMIT);
    b[7] = N_VOCAB;
    assert_int_equal(session_prepare(w.s, b, 9, 0, NULL, &ready, &err), ERR_INVALID);
    close_world(&w);
}

static void what_was_prepared_before_a_cancel_stays(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){.row_us = 1000});
    int32_t t[400];
    fill(t, 400, 5);
    size_t ready;
    assert_int_equal(session_prepare(w.s, t, 400, 200, NULL, &ready, NULL), OK);
    assert_true(ready > 0 && ready < 400);
    size_t first = ready;
    const volatile int cancel = 1;
    assert_int_equal(session_prepare(w.s, t, 400, 0, &cancel, &ready, NULL), OK);
    assert_int_equal(ready, first);
    assert_int_equal(session_prepare(w.s, t, 400, -1, NULL, &ready, NULL), OK);
    assert_int_equal(ready, first);
    fake_model_reset_seen(w.m);
    assert_int_equal(session_prepare(w.s, t, 400, 0, NULL, &ready, NULL), OK);
    assert_int_equal(ready, 400);
    assert_int_equal(fake_model_seen(w.m).rows, 400 - first);
    same_as_fresh(&w, t, 400, ask(w.s, t, 400, "", 0));

    fake_model_set_fail(w.m, fake_model_seen(w.m).calls + 1);
    t[3] ^= 1;
    struct error err;
    assert_int_equal(session_prepare(w.s, t, 400, 0, NULL, &ready, &err), ERR_NOMEM);
    assert_int_equal(ready, 3);
    same_as_fresh(&w, t, 400, ask(w.s, t, 400, "", 0));
    close_world(&w);
}

static void nothing_is_done_twice(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0});
    int32_t t[50];
    fill(t, 50, 6);
    ask(w.s, t, 50, "", 0);
    fake_model_reset_seen(w.m);
    size_t ready;
    assert_int_equal(session_prepare(w.s, t, 50, 0, NULL, &ready, NULL), OK);
    assert_int_equal(ready, 50);
    assert_int_equal(session_prepare(w.s, t, 0, 0, NULL, &ready, NULL), OK);
    assert_int_equal(ready, 0);
    assert_int_equal(session_cached(w.s, t, 0), 0);
    assert_int_equal(fake_model_seen(w.m).calls, 0);
    close_world(&w);
}

/* ---- the beginning of a text --------------------------------------------------------------------
 */

static void text_begins_as_it_has_to(void **state)
{
    (void)state;
    struct world w;
    open_world(&w, (struct fake_options){0});
    static const char *const begins[] = {"a", "ab", "abcd", "f", "fabcdecdef"};
    size_t whole = 0, many = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        int32_t prompt[8];
        fill(prompt, 8, (uint32_t)seed);
        const char *begin = begins[seed % 5];
        struct answer a = ask(w.s, prompt, 8, begin, seed);
        char text[1024] = "";
        size_t len = 0;
        for (size_t i = 0; i < a.n && len < strlen(begin); i++) {
            assert_in_range(a.tokens[i], 0, N_WORDS - 1);
            len += tokenizer_piece(w.tok, a.tokens[i], false, text + len, sizeof text - len);
            many += i > 0;
        }
        whole += len > strlen(begin);
        assert_memory_equal(text, begin, strlen(begin));
    }
    assert_true(whole > 10); /* a token that goes on behind the beginning is drawn, too */
    assert_true(many > 10);
    close_world(&w);
}

static void a_beginning_needs_a_vocabulary(void **state)
{
    (void)state;
    struct world w = {.m = fake_model_create(&(struct fake_options){N_VOCAB, N_CTX})};
    struct error err;
    assert_int_equal(engine_assemble(NULL, NULL, NULL, w.m, 1, &w.e, &err), OK);
    assert_int_equal(session_create(w.e, 0, &w.s, &err), OK);
    int32_t prompt[2] = {1, 2};
    struct generate_request req = {.prompt = prompt,
                                   .n_prompt = 2,
                                   .max_tokens = 1,
                                   .sample = sample_params_default(),
                                   .begin = "a",
                                   .n_begin = 1};
    struct generate_result res;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prepared_prompt_is_there_beside_the_old_one),
        cmocka_unit_test(a_context_full_twice_fits),
        cmocka_unit_test(what_was_prepared_before_a_cancel_stays),
        cmocka_unit_test(nothing_is_done_twice),
        cmocka_unit_test(text_begins_as_it_has_to),
        cmocka_unit_test(a_beginning_needs_a_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
