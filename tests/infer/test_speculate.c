/* Speculation over the fake model: the text, the finish, the calls and the timeline are those of
 * plain decoding, whatever is drafted; and drafting saves passes where the text repeats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fake_model.h"
#include "infer/draft.h"
#include "infer/draft_track.h"
#include "infer/engine.h"
#include "infer/infer_int.h"

enum { N_VOCAB = 97, N_CTX = 2048, MAX_TEXT = 1024 };

struct world {
    struct model *m;
    struct engine *e;
    struct session *s;
};

static void open_world(struct world *w, struct fake_options opt, size_t n_ctx)
{
    opt.n_vocab = opt.n_vocab ? opt.n_vocab : N_VOCAB;
    opt.n_ctx_train = N_CTX;
    w->m = fake_model_create(&opt);
    assert_non_null(w->m);
    assert_int_equal(engine_assemble(NULL, NULL, NULL, w->m, 1, &w->e, NULL), OK);
    assert_int_equal(session_create(w->e, n_ctx, &w->s, NULL), OK);
    /* A busy machine's clock would decide otherwise each time. */
    for (size_t r = 1; r <= PASS_ROWS; r++) w->s->times.rows[r].ms = 1 + 0.1 * (double)r;
    w->s->times.fixed = true;
}

static void close_world(struct world *w)
{
    session_destroy(w->s);
    engine_close(w->e);
}

struct sink {
    int32_t tokens[MAX_TEXT];
    size_t n, stop_after;
    int cancel; /* raised at the token of index cancel_at */
    size_t cancel_at;
};

static bool sink_token(void *ctx, int32_t token)
{
    struct sink *k = ctx;
    k->tokens[k->n++] = token;
    if (k->n == k->cancel_at) __atomic_store_n(&k->cancel, 1, __ATOMIC_RELAXED);
    return !(k->stop_after && k->n == k->stop_after);
}

static uint32_t next_random(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 9;
}

static void fill(int32_t *t, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) t[i] = (int32_t)(next_random(&seed) % (N_VOCAB - 1));
}

/* An edit: a source of 200 tokens, then the same with token 7 replaced by 60 61, a token left out
 * here and there and another inserted. Returns the length of it all. */
enum { SOURCE = 200 };

static size_t make_edit(int32_t *t, uint32_t seed)
{
    fill(t, SOURCE, seed);
    for (size_t i = 0; i < SOURCE; i++)
        if (t[i] % 10 == 7) t[i] = 7;
    size_t n = SOURCE;
    for (size_t i = 0; i < SOURCE; i++) {
        if (t[i] == 7) {
            t[n++] = 60;
            t[n++] = 61;
        } else if (i % 61 != 60) {
            t[n++] = t[i];
        }
        if (i % 47 == 46) t[n++] = 80;
    }
    return n;
}

static struct generate_request request(struct sink *k, const int32_t *prompt, size_t n, size_t max)
{
    memset(k, 0, sizeof *k);
    return (struct generate_request){.prompt = prompt,
                                     .n_prompt = n,
                                     .max_tokens = max,
                                     .sample = sample_params_default(),
                                     .on_token = sink_token,
                                     .ctx = k};
}

/* Generates in a fresh session without speculation and in w->s with it: all that can be seen is the
 * same. */
static struct generate_result check_same(struct world *w, struct fake_options opt,
                                         struct generate_request req, struct sink *k)
{
    struct world plain;
    struct sink want = *k;
    struct generate_result res, plain_res;
    struct generate_request off = req;
    open_world(&plain, opt, session_n_ctx(w->s));
    off.speculate = (struct speculate_options){0};
    off.ctx = &want;
    if (req.cancel) off.cancel = &want.cancel;
    req.ctx = k;
    enum status st = session_generate(plain.s, &off, &plain_res, NULL);
    assert_int_equal(plain_res.n_passes, 0);
    assert_int_equal(session_generate(w->s, &req, &res, NULL), st);
    assert_int_equal(res.finish, plain_res.finish);
    assert_int_equal(res.n_generated, plain_res.n_generated);
    assert_int_equal(k->n, want.n);
    assert_memory_equal(k->tokens, want.tokens, want.n * sizeof *want.tokens);
    assert_int_equal(kv_seq_len(w->s->seq), kv_seq_len(plain.s->seq));
    assert_memory_equal(w->s->tokens, plain.s->tokens,
                        kv_seq_len(plain.s->seq) * sizeof *plain.s->tokens);
    assert_true(res.n_accepted <= res.n_drafted);
    close_world(&plain);
    return res;
}

static void an_edit_takes_few_passes(void **state)
{
    (void)state;
    int32_t text[MAX_TEXT];
    for (uint32_t seed = 1; seed <= 5; seed++) {
        size_t n = make_edit(text, seed);
        struct fake_options opt = {.script = text, .n_script = n};
        struct world w;
        open_world(&w, opt, 0);
        struct sink k;
        struct generate_request req = request(&k, text, SOURCE + 8, n - SOURCE - 8);
        req.speculate.mode = SPECULATE_AUTO;
        struct generate_result res = check_same(&w, opt, req, &k);
        assert_memory_equal(k.tokens, text + SOURCE + 8, (n - SOURCE - 8) * sizeof *text);
        assert_true(res.n_passes * 2 < res.n_generated);
        assert_true(fake_model_seen(w.m).most_rows <= 208);
        close_world(&w);
    }
}

/* Model, prompt and draws of all kinds, with texts that repeat in part. */
static void the_text_is_that_of_plain_decoding(void **state)
{
    (void)state;
    int32_t text[MAX_TEXT];
    size_t drafted = 0, accepted = 0;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        uint32_t r = seed;
        size_t n = make_edit(text, seed);
        /* Few tokens make drafts right by chance; a script makes them right on purpose. */
        struct fake_options opt = {.n_vocab = seed % 3 ? N_VOCAB : 3};
        if (seed % 3) {
            opt.script = text;
            opt.n_script = n - next_random(&r) % 100;
        } else {
            for (size_t i = 0; i < n; i++) text[i] %= 3;
        }
        struct world w;
        open_world(&w, opt, SOURCE + 20 + next_random(&r) % 300);
        struct sink k;
        struct generate_request req =
            request(&k, text, 1 + next_random(&r) % SOURCE, next_random(&r) % 300);
        req.speculate =
            (struct speculate_options){.mode = SPECULATE_AUTO, .max_draft = next_random(&r) % 20};
        req.sample.seed = seed;
        if (seed % 2) req.sample.temperature = 0.2f + (float)(seed % 7);
        if (seed % 5 == 0) req.sample.repeat_penalty = 1.3f;
        if (seed % 7 == 0) req.sample.frequency_penalty = 0.7f;
        if (seed % 4 == 0) req.sample.top_k = 5;
        if (seed % 8 == 1) req.sample.min_p = 0.01f;
        if (seed % 11 == 0) k.stop_after = 1 + next_random(&r) % 100;
        if (seed % 13 == 0) {
            k.cancel_at = 1 + next_random(&r) % 100;
            req.cancel = &k.cancel;
        }
        int32_t stop = 80;
        if (seed % 9 == 0) {
            req.stop = &stop;
            req.n_stop = 1;
        }
        struct generate_result res = check_same(&w, opt, req, &k);
        drafted += res.n_drafted;
        accepted += res.n_accepted;
        if (req.speculate.max_draft)
            assert_true(res.n_drafted <= res.n_passes * req.speculate.max_draft);
        close_world(&w);
    }
    assert_true(accepted > 100);
    assert_true(drafted > accepted);
}

static void other_texts_are_drafted_from(void **state)
{
    (void)state;
    int32_t text[300], prompt[300];
    fill(text, 300, 3);
    memcpy(prompt, text, sizeof text);
    struct fake_options opt = {.script = text, .n_script = 300};
    struct token_span corpus[] = {{prompt, 20}, {text, 300}, {NULL, 0}};
    struct world w;
    open_world(&w, opt, 0);
    struct sink k;
    struct generate_request req = request(&k, prompt, 20, 280);
    req.speculate.mode = SPECULATE_AUTO;
    size_t without = check_same(&w, opt, req, &k).n_passes;
    req = request(&k, prompt, 20, 280);
    req.speculate =
        (struct speculate_options){.mode = SPECULATE_AUTO, .corpus = corpus, .n_corpus = 3};
    size_t with = check_same(&w, opt, req, &k).n_passes;
    assert_true(with * 3 < without);

    text[150] = N_VOCAB; /* a token that no forward pass would take */
    struct error err = {0};
    struct generate_result res;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "97"));
    close_world(&w);
}

static void a_second_model_drafts(void **state)
{
    (void)state;
    int32_t text[600], other[600];
    fill(text, 600, 5);
    memcpy(other, text, sizeof text);
    for (size_t i = 0; i < 600; i += 17) other[i] = (other[i] + 1) % N_VOCAB;
    struct fake_options opt = {.script = text, .n_script = 600, .pass_us = 1000};
    struct world w, small, wrong, foreign;
    open_world(&w, opt, 0);
    open_world(&small, (struct fake_options){.script = other, .n_script = 600}, 200);
    struct sink k;
    for (int t = 0; t < 2; t++) { /* greedy, then drawn; the small model's context is shorter */
        struct generate_request req = request(&k, text, 10, 250);
        req.speculate = (struct speculate_options){.mode = SPECULATE_AUTO, .draft = small.s};
        req.sample.temperature = t ? 1.5f : 0;
        req.sample.seed = 11;
        struct generate_result res = check_same(&w, opt, req, &k);
        assert_true(res.n_passes < 200);
        assert_true(res.n_accepted > 50);
        kv_seq_truncate(w.s->seq, 0);
    }

    /* One that is never right is soon left alone. */
    open_world(&wrong, (struct fake_options){.row_us = 100}, 0);
    struct generate_request req = request(&k, text, 10, 250);
    req.speculate = (struct speculate_options){.mode = SPECULATE_AUTO, .draft = wrong.s};
    struct generate_result res = check_same(&w, opt, req, &k);
    assert_true(fake_model_seen(wrong.m).calls < 60);
    assert_true(res.n_passes >= 230);

    struct error err = {0};
    open_world(&foreign, (struct fake_options){.n_vocab = 50}, 0);
    req.speculate.draft = foreign.s;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "vocabulary"));
    req.speculate.draft = w.s;
    assert_int_equal(session_generate(w.s, &req, &res, &err), ERR_INVALID);
    close_world(&foreign);
    close_world(&wrong);
    close_world(&small);
    close_world(&w);
}

/* A deadline ends the text where it passes, not later, and what came by then is the beginning of
 * the plain text. */
static void a_deadline_is_kept(void **state)
{
    (void)state;
    int32_t text[MAX_TEXT];
    size_t n = make_edit(text, 2);
    struct fake_options opt = {.script = text, .n_script = n, .row_us = 1000};
    struct world w;
    open_world(&w, opt, 0);
    struct sink k;
    struct generate_request req = request(&k, text, SOURCE, n - SOURCE);
    struct generate_result res;
    req.max_tokens = 1; /* the prompt's own time is not what this is about */
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    req = request(&k, text, SOURCE, n - SOURCE);
    req.speculate.mode = SPECULATE_AUTO;
    req.deadline_ms = 60;
    double start = clock_now();
    assert_int_equal(session_generate(w.s, &req, &res, NULL), OK);
    assert_true(clock_now() - start < 2);
    assert_int_equal(res.finish, FINISH_DEADLINE);
    assert_memory_equal(k.tokens, text + SOURCE, k.n * sizeof *text);
    assert_memory_equal(w.s->tokens, text, kv_seq_len(w.s->seq) * sizeof *text);
    assert_true(kv_seq_len(w.s->seq) <= SOURCE + k.n);
    close_world(&w);
}

static void after_an_error_the_session_goes_on(void **state)
{
    (void)state;
    int32_t text[MAX_TEXT];
    size_t n = make_edit(text, 4);
    struct fake_options opt = {.script = text, .n_script = n};
    for (size_t fail = 1; fail < 12; fail++) {
        struct world w;
        open_world(&w, opt, 0);
        struct sink k;
        struct generate_request req = request(&k, text, SOURCE, n - SOURCE);
        req.speculate.mode = SPECULATE_AUTO;
        struct generate_result res;
        fake_model_set_fail(w.m, fail);
        assert_int_equal(session_generate(w.s, &req, &res, NULL), ERR_NOMEM);
        fake_model_set_fail(w.m, 0);
        req = request(&k, text, SOURCE, n - SOURCE);
        req.speculate.mode = SPECULATE_AUTO;
        check_same(&w, opt, req, &k);
        close_world(&w);
    }
}

/* Where nothing can be foreseen, nothing is drafted: no pass is dearer than without. */
static void a_text_without_repetition_costs_nothing(void **state)
{
    (void)state;
    int32_t prompt[400];
    fill(prompt, 400, 9);
    struct fake_options opt = {.row_us = 50};
    struct world w;
    open_world(&w, opt, 0);
    struct sink k;
    struct generate_request req = request(&k, prompt, 400, 200);
    req.speculate.mode = SPECULATE_AUTO;
    struct generate_result res = check_same(&w, opt, req, &k);
    assert_true(res.n_drafted <= 8);
    assert_true(res.draft_ms < 40);
    close_world(&w);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static void matches_are_the_longest_and_most_frequent(void **state)
{
    (void)state;
    static const int32_t text[] = {1, 2, 3, 50, 9, 2, 3, 51, 8, 2, 3, 51, 7, 1, 2, 3};
    struct draft_index ix;
    assert_int_equal(draft_index_init(&ix, 32, NULL), OK);
    assert_int_equal(draft_index_find(&ix).len, 0);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) draft_index_push(&ix, text[i]);
    struct draft_match m = draft_index_find(&ix);
    assert_int_equal(ix.text[m.at], 50); /* 3*3 votes against 2*2 + 2*2 */
    assert_int_equal(m.len, 3);
    assert_false(m.sure);
    draft_index_push(&ix, 50);
    m = draft_index_find(&ix);
    assert_int_equal(m.at, 4);
    assert_int_equal(m.len, 4);
    assert_true(m.sure);
    draft_index_push(&ix, DRAFT_GAP);
    draft_index_push(&ix, 3);
    assert_int_equal(draft_index_find(&ix).len, 0); /* nothing matches across a gap */
    for (int i = 0; i < 100; i++) draft_index_push(&ix, 3);
    assert_int_equal(ix.n, 32);
    draft_index_fini(&ix);
}

static void a_track_learns_replacements(void **state)
{
    (void)state;
    static const int32_t source[] = {1, 2, 7, 3, 4, 5, 7, 6, 8, 9};
    static const int32_t copy[] = {1, 2, 60, 61, 3, 4, 5};
    struct draft_index ix;
    struct track t;
    assert_int_equal(draft_index_init(&ix, 64, NULL), OK);
    for (size_t i = 0; i < 10; i++) draft_index_push(&ix, source[i]);
    draft_index_push(&ix, 40);
    track_init(&t, &ix);
    track_set(&t, 0, 0);
    for (size_t i = 0; i < 7; i++) {
        draft_index_push(&ix, copy[i]);
        track_take(&t);
        assert_int_equal(t.state, i >= 2 && i < 5 ? TRACK_STRAYED : TRACK_ON);
    }
    static const int32_t want[] = {60, 61, 6, 8, 9, 40};
    struct track_place place = t.place;
    for (size_t i = 0; i < 6; i++) {
        int32_t token;
        int hits;
        assert_true(track_walk(&t, &place, NULL, 0, &token, &hits));
        assert_int_equal(token, want[i]);
        assert_int_equal(hits, i < 2 ? 1 : -1);
    }
    /* The source's own token is no way astray. */
    draft_index_push(&ix, 7);
    track_take(&t);
    assert_int_equal(t.state, TRACK_ON);
    assert_int_equal(ix.text[t.place.at], 6);
    draft_index_fini(&ix);
}

static void times_are_drawn_between_neighbours(void **state)
{
    (void)state;
    struct pass_times t = {0};
    assert_true(pass_times_get(&t, 1) == 1);
    assert_true(pass_times_get(&t, 9) > pass_times_get(&t, 8));
    pass_times_note(&t, 1, 30);
    assert_true(pass_times_get(&t, 1) == 30);
    assert_true(pass_times_get(&t, 2) > 30 && pass_times_get(&t, 64) < 30 * 64);
    pass_times_note(&t, 9, 300);
    double five = pass_times_get(&t, 5);
    assert_true(five > 30 && five < 300);
    pass_times_note(&t, 1, 1e9); /* an outlier */
    assert_true(pass_times_get(&t, 1) < 60);
    for (int i = 0; i < 100; i++) pass_times_note(&t, 1, 10);
    assert_true(fabs(pass_times_get(&t, 1) - 10) < 0.1);
    for (int i = 0; i < 400; i++) pass_times_note(&t, 1, 10);
    assert_true(pass_times_get(&t, 9) < 100); /* too long ago */
    pass_times_note(&t, 1, NAN);
    pass_times_note(&t, 1000, 3);
    assert_true(fabs(pass_times_get(&t, 1) - 10) < 0.1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_edit_takes_few_passes),
        cmocka_unit_test(the_text_is_that_of_plain_decoding),
        cmocka_unit_test(other_texts_are_drafted_from),
        cmocka_unit_test(a_second_model_drafts),
        cmocka_unit_test(a_deadline_is_kept),
        cmocka_unit_test(after_an_error_the_session_goes_on),
        cmocka_unit_test(a_text_without_repetition_costs_nothing),
        cmocka_unit_test(matches_are_the_longest_and_most_frequent),
        cmocka_unit_test(a_track_learns_replacements),
        cmocka_unit_test(times_are_drawn_between_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
