/* The public API over tiny models with random weights: nothing but hearth.h is included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hearth.h"

#define TINY GOLDEN_DIR "/tiny/"

enum { TINY_EOS = 99 }; /* of all tiny models */

struct pair {
    struct hearth_engine *engine;
    struct hearth_session *session;
};

static struct pair open_pair(const char *path, int n_threads)
{
    struct pair p;
    struct hearth_error err;
    struct hearth_engine_options opt = {.n_threads = n_threads};
    if (hearth_engine_open(path, &opt, &p.engine, &err) != HEARTH_OK) fail_msg("%s", err.message);
    if (hearth_session_create(p.engine, 256, &p.session, &err) != HEARTH_OK)
        fail_msg("%s", err.message);
    return p;
}

static void close_pair(struct pair p)
{
    hearth_session_destroy(p.session);
    hearth_engine_close(p.engine);
}

struct sink {
    char text[4096];
    size_t len, n_tokens, stop_after;
    int32_t tokens[512];
};

static bool on_text(void *ctx, const char *text, size_t len)
{
    struct sink *s = ctx;
    assert_true(len > 0 && s->len + len < sizeof s->text);
    memcpy(s->text + s->len, text, len);
    s->len += len;
    s->text[s->len] = 0;
    return true;
}

static bool on_token(void *ctx, int32_t token)
{
    struct sink *s = ctx;
    s->tokens[s->n_tokens++] = token;
    return s->n_tokens != s->stop_after;
}

static struct hearth_request request(struct sink *s, const char *prompt)
{
    struct hearth_request req;
    memset(s, 0, sizeof *s);
    hearth_request_init(&req);
    req.prompt = prompt;
    req.prompt_len = strlen(prompt);
    req.max_tokens = 40;
    req.on_text = on_text;
    req.on_token = on_token;
    req.ctx = s;
    return req;
}

static const char *const models[] = {TINY "llama-gqa.gguf", TINY "q4_k.gguf",
                                     TINY "qwen2-linear.gguf"};

/* What a seed gives with one thread, it gives with any number. */
static void threads_do_not_change_the_text(void **state)
{
    (void)state;
    const struct hearth_logit_bias no_end = {TINY_EOS, -INFINITY};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        struct sink one[4];
        for (int threads = 1; threads <= 3; threads++) {
            struct pair p = open_pair(models[m], threads);
            struct hearth_model_info info;
            hearth_engine_info(p.engine, &info);
            assert_int_equal(info.n_threads, threads);
            for (int seed = 0; seed < 4; seed++) {
                struct sink s;
                struct hearth_request req = request(&s, "if (the user asks) return");
                req.temperature = seed ? 1.5f : 0;
                req.top_p = 0.98f;
                req.bias = &no_end;
                req.n_bias = 1;
                req.seed = (uint64_t)seed;
                struct hearth_result res;
                struct hearth_error err;
                if (hearth_generate(p.session, &req, &res, &err) != HEARTH_OK)
                    fail_msg("%s", err.message);
                assert_int_equal(res.n_generated, s.n_tokens);
                if (threads == 1) {
                    one[seed] = s;
                    continue;
                }
                assert_int_equal(s.n_tokens, one[seed].n_tokens);
                assert_memory_equal(s.tokens, one[seed].tokens, s.n_tokens * sizeof *s.tokens);
                assert_string_equal(s.text, one[seed].text);
            }
            close_pair(p);
        }
        assert_int_equal(one[1].n_tokens, 40);
        assert_memory_not_equal(one[1].tokens, one[2].tokens, 40 * sizeof(int32_t));
    }
}

static void text_and_tokens_are_the_same_thing(void **state)
{
    (void)state;
    struct pair p = open_pair(models[0], 1);
    struct hearth_error err;
    static const char text[] = "return the value";
    int32_t ids[64];
    size_t n = 0;
    assert_int_equal(
        hearth_tokenize(p.engine, text, strlen(text), HEARTH_ADD_BOS, NULL, 0, &n, &err),
        HEARTH_ERR_LIMIT);
    assert_true(n > 0 && n <= strlen(text));
    size_t again;
    assert_int_equal(
        hearth_tokenize(p.engine, text, strlen(text), HEARTH_ADD_BOS, ids, 64, &again, &err),
        HEARTH_OK);
    assert_int_equal(n, again);
    char back[64] = "";
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += hearth_token_text(p.engine, ids[i], false, back + len, sizeof back - len);
    back[len] = 0;
    assert_string_equal(back, text);

    struct sink a, b;
    struct hearth_request req = request(&a, text);
    struct hearth_result res;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.n_prompt, n);
    req = request(&b, "something else that is not looked at");
    req.tokens = ids;
    req.n_tokens = n;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.n_cached, n - 1);
    assert_int_equal(a.n_tokens, b.n_tokens);
    assert_memory_equal(a.tokens, b.tokens, a.n_tokens * sizeof *a.tokens);
    /* The streamed text is that of the tokens. */
    len = 0;
    char whole[4096] = "";
    for (size_t i = 0; i < a.n_tokens; i++)
        len += hearth_token_text(p.engine, a.tokens[i], false, whole + len, sizeof whole - len);
    assert_int_equal(len, a.len);
    assert_memory_equal(whole, a.text, len);
    close_pair(p);
}

/* Greedy decoding and scoring are two views of one distribution: the greedy token has the highest
 * score of all that could stand there. */
static void scores_agree_with_greedy_choices(void **state)
{
    (void)state;
    struct pair p = open_pair(models[1], 2);
    struct hearth_error err;
    int32_t ids[64];
    size_t n;
    assert_int_equal(hearth_tokenize(p.engine, "while (1)", 9, 0, ids, 63, &n, &err), HEARTH_OK);
    struct sink s;
    struct hearth_request req = request(&s, "");
    req.tokens = ids;
    req.n_tokens = n;
    req.max_tokens = 1;
    struct hearth_result res;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(s.n_tokens, 1);
    struct hearth_model_info info;
    hearth_engine_info(p.engine, &info);
    double best = -INFINITY, sum = 0, at_greedy = 0, logprobs[64];
    for (int32_t id = 0; id < (int32_t)info.n_vocab; id++) {
        ids[n] = id;
        assert_int_equal(hearth_score(p.session, ids, n + 1, logprobs, &err), HEARTH_OK);
        assert_true(isnan(logprobs[0]));
        sum += exp(logprobs[n]);
        if (logprobs[n] > best) best = logprobs[n];
        if (id == s.tokens[0]) at_greedy = logprobs[n];
    }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(at_greedy == best);
    close_pair(p);
}

static void limits_and_stops(void **state)
{
    (void)state;
    struct pair p = open_pair(models[0], 1);
    struct hearth_error err;
    struct hearth_result res;
    struct sink s, all;
    struct hearth_request req = request(&all, "abc");
    req.max_tokens = 8;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.finish, HEARTH_FINISH_LENGTH);

    req = request(&s, "abc");
    s.stop_after = 3;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.finish, HEARTH_FINISH_CALLBACK);
    assert_int_equal(res.n_generated, 3);

    req = request(&s, "abc"); /* the greedy text's fifth token, or an equal one before */
    req.stop = &all.tokens[4];
    req.n_stop = 1;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.finish, HEARTH_FINISH_STOP);
    assert_true(res.n_generated <= 4);

    struct hearth_logit_bias bias = {all.tokens[0], -INFINITY};
    req = request(&s, "abc");
    req.bias = &bias;
    req.n_bias = 1;
    assert_int_equal(hearth_generate(p.session, &req, NULL, &err), HEARTH_OK);
    assert_int_not_equal(s.tokens[0], all.tokens[0]);

    int cancel = 1;
    req = request(&s, "abc");
    req.cancel = &cancel;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.finish, HEARTH_FINISH_CANCELLED);
    req = request(&s, "abc");
    req.deadline_ms = -1;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_OK);
    assert_int_equal(res.finish, HEARTH_FINISH_DEADLINE);

    char longer[600];
    memset(longer, '#', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    for (size_t i = 0; i < sizeof longer - 1; i += 2) longer[i] = '%';
    req = request(&s, longer);
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_ERR_LIMIT);
    assert_int_equal(err.code, HEARTH_ERR_LIMIT);
    assert_non_null(strstr(err.message, "256"));
    req = request(&s, "abc");
    req.top_p = NAN;
    assert_int_equal(hearth_generate(p.session, &req, &res, NULL), HEARTH_ERR_INVALID);
    req = request(&s, "");
    req.prompt = NULL;
    assert_int_equal(hearth_generate(p.session, &req, &res, &err), HEARTH_ERR_INVALID);

    struct hearth_session *none;
    assert_int_equal(hearth_session_create(p.engine, 1u << 30, &none, &err), HEARTH_ERR_LIMIT);
    assert_null(none);
    close_pair(p);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    struct hearth_engine *e;
    struct hearth_error err;
    assert_int_not_equal(hearth_engine_open(TINY "nothing.gguf", NULL, &e, &err), HEARTH_OK);
    assert_null(e);
    assert_non_null(strstr(err.message, "nothing.gguf"));
    assert_int_not_equal(hearth_engine_open(TINY "llama-gqa.golden", NULL, &e, &err), HEARTH_OK);
    assert_null(e);
    assert_null(strchr(err.message, '\n'));
    hearth_engine_close(NULL);
    hearth_session_destroy(NULL);
    assert_true(strlen(hearth_version()) >= 5);
}

struct runner {
    struct hearth_engine *engine;
    uint64_t seed;
    struct sink sink;
    bool ok;
};

static void *run_session(void *arg)
{
    struct runner *r = arg;
    struct hearth_session *session;
    if (hearth_session_create(r->engine, 256, &session, NULL) != HEARTH_OK) return NULL;
    r->ok = true;
    for (int round = 0; round < 3; round++) {
        struct hearth_request req = request(&r->sink, round % 2 ? "for each" : "for every item in");
        req.temperature = 0.8f;
        req.seed = r->seed;
        req.deadline_ms = 120000;
        r->ok = r->ok && hearth_generate(session, &req, NULL, NULL) == HEARTH_OK;
    }
    hearth_session_destroy(session);
    return NULL;
}

static void threads_share_an_engine(void **state)
{
    (void)state;
    enum { N = 3 };
    struct pair p = open_pair(models[0], 2);
    static struct runner together[N], alone;
    pthread_t threads[N];
    for (int i = 0; i < N; i++) {
        together[i] = (struct runner){.engine = p.engine, .seed = (uint64_t)i};
        assert_int_equal(pthread_create(&threads[i], NULL, run_session, &together[i]), 0);
    }
    for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N; i++) {
        alone = (struct runner){.engine = p.engine, .seed = (uint64_t)i};
        run_session(&alone);
        assert_true(together[i].ok && alone.ok);
        assert_int_equal(together[i].sink.n_tokens, alone.sink.n_tokens);
        assert_memory_equal(together[i].sink.tokens, alone.sink.tokens,
                            alone.sink.n_tokens * sizeof(int32_t));
    }
    close_pair(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_the_text),
        cmocka_unit_test(text_and_tokens_are_the_same_thing),
        cmocka_unit_test(scores_agree_with_greedy_choices),
        cmocka_unit_test(limits_and_stops),
        cmocka_unit_test(what_is_no_model_is_refused),
        cmocka_unit_test(threads_share_an_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
