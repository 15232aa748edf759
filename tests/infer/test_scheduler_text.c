/* What the scheduler gives of a text: stop texts over tokens' borders, whole characters, forced
 * beginnings. The vocabulary has a token for every byte and some longer ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../assist/fake_vocab.h"
#include "base/buf.h"
#include "fake_model.h"
#include "infer/branch.h"
#include "infer/infer_int.h"
#include "sched_kit.h"
#include "text/grammar.h"

enum { N_CTX = 512, N_PROMPT = 3 };

static const struct fake_token extra[] = {{"<eos>", TOKEN_CONTROL}, {"STOP", TOKEN_NORMAL},
                                          {"XST", TOKEN_NORMAL},    {"OPY", TOKEN_NORMAL},
                                          {"<|x|>", TOKEN_CONTROL}, {NULL, 0}};
enum { EOS = 256, STOP_TOKEN, XST, OPY, CONTROL, N_VOCAB };

struct world {
    struct fake_vocab v;
    struct engine *e;
    struct scheduler *s;
    int32_t script[N_CTX];
    size_t n_script;
    int32_t prompt[N_PROMPT];
};

/* The model's text after the prompt: bytes, and ids above 255 as they are. */
static void say_ids(struct world *w, const int32_t *ids, size_t n)
{
    memcpy(w->script + N_PROMPT, ids, n * sizeof *ids);
    w->script[N_PROMPT + n] = EOS;
    w->n_script = N_PROMPT + n + 1;
}

static void open_world(struct world *w, const int32_t *ids, size_t n)
{
    struct error err;
    memset(w, 0, sizeof *w);
    fake_vocab_bpe(&w->v, extra, -1, 0);
    kit_tokens(w->prompt, N_PROMPT, 1, 200);
    say_ids(w, ids, n);
    struct model *m = fake_model_create(&(struct fake_options){
        .n_vocab = N_VOCAB, .n_ctx_train = N_CTX, .script = w->script, .n_script = w->n_script});
    assert_non_null(m);
    assert_int_equal(engine_assemble(NULL, NULL, w->v.tokenizer, m, 1, &w->e, &err), OK);
    assert_int_equal(scheduler_create(w->e,
                                      &(struct sched_options){.n_ctx = N_CTX, .kv_tokens = 4096},
                                      &w->s, &err),
                     OK);
}

static void close_world(struct world *w)
{
    kit_expect_no_pages(w->s);
    scheduler_destroy(w->s);
    engine_close(w->e);
    fake_vocab_fini(&w->v);
}

/* Byte-level vocabularies have an order of their own. */
static int32_t byte_id(struct world *w, unsigned char b)
{
    char piece[4];
    for (int32_t i = 0; i < 256; i++)
        if (tokenizer_piece(w->v.tokenizer, i, false, piece, 4) == 1 && (unsigned char)*piece == b)
            return i;
    fail();
    return 0;
}

static size_t ids_of(const char *text, size_t len, int32_t *ids)
{
    struct world w;
    memset(&w, 0, sizeof w);
    fake_vocab_bpe(&w.v, extra, -1, 0);
    for (size_t i = 0; i < len; i++) ids[i] = byte_id(&w, (unsigned char)text[i]);
    fake_vocab_fini(&w.v);
    return len;
}

static void ask(struct world *w, struct sched_request *r, struct got *g)
{
    struct error err;
    got_init(g, r);
    assert_int_equal(scheduler_submit(w->s, r, NULL, &err), OK);
    got_wait(g);
    assert_int_equal(g->result.status, OK);
}

static void expect_text(const struct got *g, const char *text)
{
    assert_int_equal(g->n_text[0], strlen(text));
    if (*text) assert_string_equal(g->text[0], text);
}

static void expect(const char *says, const char *stop1, const char *stop2, const char *gives,
                   int which)
{
    struct world w;
    struct got g;
    int32_t ids[N_CTX];
    struct text_str stops[2] = {{stop1, strlen(stop1)}, {stop2, strlen(stop2)}};
    open_world(&w, ids, ids_of(says, strlen(says), ids));
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 200);
    r.stop_text = stops;
    r.n_stop_text = *stop2 ? 2 : 1;
    r.logprobs = true;
    ask(&w, &r, &g);
    expect_text(&g, gives);
    assert_int_equal(g.n[0], strlen(gives)); /* a token for each byte that was given */
    assert_int_equal(g.samples[0].finish, FINISH_STOP);
    assert_int_equal(g.samples[0].stop_text, which);
    got_fini(&g);
    close_world(&w);
}

static void test_stop_texts(void **state)
{
    (void)state;
    expect("hello world", "wor", "", "hello ", 0);
    expect("hello world", "h", "", "", 0);
    expect("aaab", "aab", "", "a", 0); /* a beginning of it begins again */
    expect("ababac", "abac", "", "ab", 0);
    expect("hello wo", "world", "", "hello wo", -1); /* held back, and given at the end */
    expect("one two", "two!", "one", "", 1);
    expect("abcd", "bcd", "bc", "a", 1); /* the one that is whole first */
    expect("x\xc3\xa9y", "\xc3\xa9", "", "x", 0);
    expect("line\n\nnext", "\n\n", "```", "line", 0);
}

/* A stop text that begins inside of one token and ends inside of another. */
/* The time for lines counts from the first token, and a line is never cut. */
static void test_lines_in_time(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t ids[N_CTX];
    open_world(&w, ids, ids_of("ab\ncd\nef", 8, ids));
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 100);
    r.lines_ms = 1e-6;
    ask(&w, &r, &g);
    expect_text(&g, "ab\n");
    assert_int_equal(g.samples[0].finish, FINISH_DEADLINE);
    got_fini(&g);
    r.lines_ms = 60e3;
    ask(&w, &r, &g);
    expect_text(&g, "ab\ncd\nef");
    assert_int_equal(g.samples[0].finish, FINISH_STOP);
    got_fini(&g);
    close_world(&w);
}

static void test_stop_text_inside_tokens(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t ids[3] = {0, XST, OPY};
    ids_of("a", 1, ids);
    open_world(&w, ids, 3);
    struct text_str stop = {"STOP", 4};
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 200);
    r.stop_text = &stop;
    r.n_stop_text = 1;
    ask(&w, &r, &g);
    expect_text(&g, "aX");
    assert_int_equal(g.n[0], 2); /* "XST" was given in part */
    assert_int_equal(g.result.n_generated, 3);
    got_fini(&g);
    r.n_stop_text = 0;
    ask(&w, &r, &g);
    expect_text(&g, "aXSTOPY");
    got_fini(&g);
    close_world(&w);
}

/* Every prefix of the text is given as whole characters, and all of it in the end. */
static bool whole_only(void *ctx, const struct sched_chunk *c)
{
    struct buf *b = ctx;
    for (size_t i = 0; i < c->n_text; i++)
        if (i == 0) assert_true(((unsigned char)c->text[0] & 0xc0) != 0x80);
    assert_int_equal(buf_append(b, c->text, c->n_text), OK);
    return true;
}

static void count_done(void *ctx, const struct sched_result *r)
{
    (void)r;
    (void)ctx;
}

static void test_characters_are_whole(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\xf0\x9f\x98\x80";
    struct world w;
    struct buf b;
    struct got g;
    struct error err;
    int32_t ids[N_CTX];
    open_world(&w, ids, ids_of(text, strlen(text), ids));
    for (size_t max = 1; max <= strlen(text); max++) {
        struct sched_request r = kit_request(w.prompt, N_PROMPT, max);
        ask(&w, &r, &g);
        assert_int_equal(g.n_text[0], max); /* also what is no whole character at the end */
        assert_memory_equal(g.text[0], text, max);
        assert_int_equal(g.n[0], max);
        got_fini(&g);
    }
    buf_init(&b, 1000);
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 100);
    r.on_text = whole_only;
    r.on_done = count_done;
    r.ctx = &b;
    assert_int_equal(scheduler_submit(w.s, &r, NULL, &err), OK);
    assert_true(scheduler_drain(w.s, 60000));
    assert_string_equal(b.data, text);
    buf_fini(&b);
    close_world(&w);
}

static void test_ends(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t ids[10];
    size_t n = ids_of("abc", 3, ids);
    ids[n++] = CONTROL;
    ids[n++] = ids[0];
    open_world(&w, ids, n);
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 10);
    ask(&w, &r, &g);
    expect_text(&g, "abca");
    assert_int_equal(g.n[0], 5);
    assert_int_equal(g.samples[0].stop_token, EOS);
    got_fini(&g);
    r.special = true;
    ask(&w, &r, &g);
    expect_text(&g, "abc<|x|>a");
    got_fini(&g);
    int32_t stop = CONTROL;
    r.stop = &stop;
    r.n_stop = 1;
    ask(&w, &r, &g);
    expect_text(&g, "abc");
    assert_int_equal(g.samples[0].stop_token, CONTROL);
    got_fini(&g);
    r.n_stop = 0;
    r.ignore_end = true;
    ask(&w, &r, &g);
    assert_int_equal(g.samples[0].finish, FINISH_LENGTH);
    assert_int_equal(g.n[0], 10);
    got_fini(&g);
    close_world(&w);
}

static void test_begin(void **state)
{
    (void)state;
    struct world w;
    struct got g;
    int32_t ids[10];
    size_t n = ids_of("zzzz", 4, ids);
    open_world(&w, ids, n);
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 30);
    r.begin = "STO";
    r.n_begin = 3;
    for (uint64_t seed = 0; seed < 10; seed++) {
        r.sample.temperature = 3;
        r.sample.seed = seed;
        ask(&w, &r, &g);
        kit_expect_same(w.e, N_CTX, &r, 0, &g, 0);
        struct buf all;
        buf_init(&all, 10000);
        assert_int_equal(tokenizer_decode(w.v.tokenizer, g.ids[0], g.n[0], false, &all, NULL), OK);
        assert_memory_equal(all.data, "STO", 3);
        assert_int_equal(all.len - 3, g.n_text[0]);
        assert_memory_equal(all.data + 3, g.text[0], g.n_text[0]);
        buf_fini(&all);
        got_fini(&g);
    }
    struct text_str stop = {"TO", 2}; /* not looked for in what is forced */
    r.stop_text = &stop;
    r.n_stop_text = 1;
    ask(&w, &r, &g);
    assert_int_equal(g.samples[0].stop_text, -1);
    got_fini(&g);
    close_world(&w);
}

/* ---- a forced beginning and a grammar ----------------------------------------------------------
 */

static enum status mask_create(void *ctx, size_t sample, void **state, struct error *err)
{
    (void)sample;
    return grammar_state_create(ctx, (struct grammar_state **)state, err);
}

static void mask_destroy(void *state)
{
    grammar_state_destroy(state);
}

static void mask_apply(void *state, float *logits, size_t n_vocab)
{
    struct error err;
    (void)n_vocab;
    assert_int_equal(grammar_mask_logits(state, logits, NULL, &err), OK);
}

static void mask_accept(void *state, int32_t token)
{
    assert_int_equal(grammar_accept(state, token, NULL), OK);
}

static bool mask_fits(void *state, const char *bytes, size_t n)
{
    return grammar_accept_bytes(state, bytes, n, NULL) == OK &&
           grammar_rollback(state, 1, NULL) == OK;
}

static void mask_accept_bytes(void *state, const char *bytes, size_t n)
{
    assert_int_equal(grammar_accept_bytes(state, bytes, n, NULL), OK);
}

/* The given text matches the grammar from its first byte, also where the token that ends the
 * beginning reaches beyond it, and a token that would break it there is never drawn. */
static void test_begin_and_grammar(void **state)
{
    (void)state;
    static const char *const grammars[] = {"root ::= \"P\" [0-9]{2,3}", "root ::= [0-9]{2,3}"};
    struct sched_mask mask = {mask_create, mask_destroy, mask_apply,
                              mask_accept, mask_fits,    mask_accept_bytes};
    struct world w;
    struct got g;
    struct error err;
    int32_t ids[10];
    open_world(&w, ids, ids_of("zzzz", 4, ids));
    struct grammar_vocab *v;
    assert_int_equal(grammar_vocab_create(w.v.tokenizer, N_VOCAB, &v, &err), OK);
    size_t whole = 0;
    for (size_t k = 0; k < 2; k++) {
        struct grammar *gr;
        assert_int_equal(
            grammar_compile(GRAMMAR_GBNF, grammars[k], strlen(grammars[k]), v, NULL, &gr, &err),
            OK);
        struct sched_request r = kit_request(w.prompt, N_PROMPT, 30);
        r.begin = "STO";
        r.n_begin = 3;
        r.mask = &mask;
        r.mask_ctx = gr;
        r.sample.temperature = 50;
        for (uint64_t seed = 0; seed < 20; seed++) {
            r.sample.seed = seed;
            r.speculate = seed % 2;
            ask(&w, &r, &g);
            assert_int_equal(g.samples[0].finish, FINISH_STOP);
            size_t lead = k == 0;
            assert_in_range(g.n_text[0], 2 + lead, 3 + lead);
            if (lead) assert_int_equal(g.text[0][0], 'P');
            for (size_t i = lead; i < g.n_text[0]; i++) assert_in_range(g.text[0][i], '0', '9');
            bool straddles = g.ids[0][0] == STOP_TOKEN;
            assert_true(!straddles || lead);
            whole += straddles;
            got_fini(&g);
        }
        grammar_unref(gr);
    }
    assert_true(whole > 0); /* the token that reaches beyond was among those drawn */
    mask.fits = NULL;
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 30);
    r.begin = "S";
    r.n_begin = 1;
    r.mask = &mask;
    assert_int_equal(scheduler_submit(w.s, &r, NULL, &err), ERR_UNSUPPORTED);
    close_world(&w);
    grammar_vocab_destroy(v);
}

static void test_bad_stops(void **state)
{
    (void)state;
    struct world w;
    struct error err;
    int32_t ids[1] = {1};
    open_world(&w, ids, 1);
    struct sched_request r = kit_request(w.prompt, N_PROMPT, 30);
    struct text_str stop = {"", 0};
    r.stop_text = &stop;
    r.n_stop_text = 1;
    assert_int_equal(scheduler_submit(w.s, &r, NULL, &err), ERR_INVALID);
    close_world(&w);
}

/* ---- what is shown before a text's pages go ------------------------------------------------- */

struct held {
    struct world *w;
    int shown, done;
    size_t n_text; /* given before it was shown */
    enum finish_reason how;
    float logprobs[8];
    size_t held;
};

static bool held_on_text(void *ctx, const struct sched_chunk *c)
{
    struct held *h = ctx;
    assert_int_equal(h->shown, 0);
    h->n_text += c->n_text;
    return h->n_text < 5;
}

static void held_on_held(void *ctx, size_t sample, const struct sched_sample *how,
                         const struct branch_base *base)
{
    struct held *h = ctx;
    struct error err;
    assert_int_equal(sample, 0);
    assert_int_equal(h->done, 0);
    h->shown++;
    h->how = how->finish;
    h->held = base->n;
    int32_t after[8];
    for (int i = 0; i < 8; i++) after[i] = h->w->script[N_PROMPT + i];
    struct branch b = {.at = N_PROMPT, .tokens = after, .n = 8, .logprobs = h->logprobs};
    assert_int_equal(branch_score(base, h->w->prompt, N_PROMPT, &b, 1, NULL, &err), OK);
}

static void held_on_done(void *ctx, const struct sched_result *res)
{
    struct held *h = ctx;
    assert_int_equal(res->status, OK);
    __atomic_store_n(&h->done, 1, __ATOMIC_RELEASE);
}

static void an_ended_text_is_shown_while_it_is_held(void **state)
{
    (void)state;
    struct world w;
    struct error err;
    int32_t ids[N_CTX];
    open_world(&w, ids, ids_of("what comes next", 15, ids));
    struct held h = {.w = &w};
    struct sched_request r = {.prompt = w.prompt,
                              .n_prompt = N_PROMPT,
                              .max_tokens = 12,
                              .sample = sample_params_default(),
                              .on_text = held_on_text,
                              .on_held = held_on_held,
                              .on_done = held_on_done,
                              .ctx = &h};
    assert_int_equal(scheduler_submit(w.s, &r, NULL, &err), OK);
    assert_true(scheduler_drain(w.s, -1));
    assert_int_equal(h.shown, 1);
    assert_int_equal(h.how, FINISH_CALLBACK);
    assert_true(h.held >= N_PROMPT);
    /* The same as a session says. */
    struct session *s;
    double want[N_PROMPT + 8];
    int32_t text[N_PROMPT + 8];
    memcpy(text, w.prompt, sizeof w.prompt);
    memcpy(text + N_PROMPT, w.script + N_PROMPT, 8 * sizeof *text);
    assert_int_equal(session_create(w.e, N_CTX, &s, &err), OK);
    assert_int_equal(session_score(s, text, N_PROMPT + 8, want, &err), OK);
    for (int i = 0; i < 8; i++)
        assert_true(fabs((double)h.logprobs[i] - want[N_PROMPT + i]) < 1e-5);
    session_destroy(s);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ended_text_is_shown_while_it_is_held),
        cmocka_unit_test(test_stop_texts),
        cmocka_unit_test(test_lines_in_time),
        cmocka_unit_test(test_stop_text_inside_tokens),
        cmocka_unit_test(test_characters_are_whole),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_begin_and_grammar),
        cmocka_unit_test(test_bad_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
