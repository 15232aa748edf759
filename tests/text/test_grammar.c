/* Grammars: what each notation accepts, masks against single tokens, going back, text that has to come,
 * limits. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "text/grammar.h"
#include "vocab_make.h"

static struct grammar *compile(enum grammar_kind kind, const char *text, const struct grammar_vocab *v)
{
    struct grammar *g;
    struct error err = {0};
    if (grammar_compile(kind, text, strlen(text), v, NULL, &g, &err) != OK)
        fail_msg("%s: %s", text, err.msg);
    return g;
}

/* 'y' complete, 'n' refused at some byte, 'm' more has to come. */
static char judge(struct grammar *g, const char *text, size_t len)
{
    struct grammar_state *s;
    struct error err;
    assert_int_equal(grammar_state_create(g, &s, &err), OK);
    char result = 0;
    for (size_t i = 0; i < len && !result; i++)
        if (grammar_accept_bytes(s, text + i, 1, &err) != OK) result = 'n';
    if (!result) result = grammar_is_complete(s) ? 'y' : 'm';
    grammar_state_destroy(s);
    return result;
}

struct expectation {
    enum grammar_kind kind;
    const char *grammar;
    struct {
        char result;
        const char *text;
    } of[8];
};

static const struct expectation expectations[] = {
    {GRAMMAR_GBNF, "root ::= \"a\" b* # c\nb ::= [x-z] | \"\\n\"", {{'y', "a"}, {'y', "axyz\n"}, {'n', "ab"}, {'m', ""}}},
    {GRAMMAR_GBNF, "root ::= item{2,3}\nitem ::= [^a-c] \"!\"?", {{'m', "d"}, {'y', "d!e"}, {'y', "\u00E9\u6771!z!"}, {'n', "dd!dd"}, {'n', "a"}}},
    {GRAMMAR_GBNF, "root ::= e\ne ::= e \"+\" t | t\nt ::= \"(\" e \")\" | [0-9]+", {{'y', "1+(2+3)+44"}, {'m', "1+(2"}, {'n', "1++"}, {'n', "1)"}}},
    {GRAMMAR_GBNF, "root ::= \"a\" root \"b\" | \"a\" root \"c\" |", {{'y', "aaabcb"}, {'m', "aab"}, {'n', "aabcb"}}},
    {GRAMMAR_GBNF, "root ::= (\"x\" |\n \"y\" ) .\n\n\n", {{'y', "x\n"}, {'y', "y\u20AC"}, {'m', "y\xE2\x82"}, {'n', "x\xFF"}}},
    {GRAMMAR_REGEX, "(yes|no)( [a-z]{2,3})?", {{'y', "yes"}, {'m', "yes a"}, {'y', "no abc"}, {'n', "no abcd"}, {'n', "maybe"}}},
    {GRAMMAR_REGEX, "^\\d+(\\.\\d*)?$", {{'y', "12"}, {'y', "12.5"}, {'n', "a"}, {'n', "1..2"}}},
    {GRAMMAR_REGEX, "[^\\x00-\\x7F]\\u{1F600}|\\.\\p{Lu}\\S", {{'y', "\u00E9\U0001F600"}, {'y', ".Ax"}, {'n', ".ax"}, {'n', ".A "}}},
    {GRAMMAR_JSON, "", {{'y', "{\"a\": [1, -2.5e+3, true, null, \"x\\u00e9\\n\"]}"}, {'n', "[1]"}, {'n', "{\"a\":01}"}, {'n', "{\"a\":1,}"}, {'m', "{\"a\""}, {'n', "{\"\\ud800\""}, {'n', "{\"\n\""}}},
    {GRAMMAR_JSON, "value", {{'y', "3"}, {'y', "[]"}, {'y', "[[[{}]]]"}, {'n', "[,]"}, {'n', "tru1"}, {'y', "\"\\ud83d\\ude00\""}, {'n', "\"\\ude00\""}}},
};

static void notations(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++) {
        const struct expectation *e = &expectations[i];
        struct grammar *g = compile(e->kind, e->grammar, NULL);
        for (size_t k = 0; k < 8 && e->of[k].result; k++) {
            char got = judge(g, e->of[k].text, strlen(e->of[k].text));
            if (got != e->of[k].result) fail_msg("%s: %s is %c, not %c", e->grammar, e->of[k].text, got, e->of[k].result);
        }
        grammar_unref(g);
    }
}

static void errors(void **unused)
{
    (void)unused;
    static const struct {
        enum grammar_kind kind;
        const char *text;
        enum status st;
        const char *says;
    } all[] = {
        {GRAMMAR_GBNF, "root ::= a", ERR_FORMAT, "'a'"},
        {GRAMMAR_GBNF, "a ::= \"x\"", ERR_FORMAT, "root"},
        {GRAMMAR_GBNF, "root ::= \"x", ERR_FORMAT, "line 1"},
        {GRAMMAR_GBNF, "root ::= \"x\"\nroot ::= \"y\"", ERR_FORMAT, "line 2"},
        {GRAMMAR_GBNF, "root ::= [b-a]", ERR_FORMAT, "range"},
        {GRAMMAR_GBNF, "root ::= \"x\"{3,2}", ERR_FORMAT, "repetition"},
        {GRAMMAR_GBNF, "root ::= <think>", ERR_UNSUPPORTED, "tokens"},
        {GRAMMAR_GBNF, "root ::= \"a\" root", ERR_INVALID, "nothing can match"},
        {GRAMMAR_GBNF, "root ::= \"x\"{100001}", ERR_LIMIT, "100000"},
        {GRAMMAR_REGEX, "(a", ERR_FORMAT, "("},
        {GRAMMAR_REGEX, "a)", ERR_FORMAT, ")"},
        {GRAMMAR_REGEX, "*", ERR_FORMAT, "repeat"},
        {GRAMMAR_REGEX, "[z-a]", ERR_FORMAT, "range"},
        {GRAMMAR_REGEX, "(?=a)", ERR_UNSUPPORTED, "(?"},
        {GRAMMAR_REGEX, "(a)\\1", ERR_UNSUPPORTED, "back"},
        {GRAMMAR_REGEX, "\\bx", ERR_UNSUPPORTED, "boundary"},
        {GRAMMAR_REGEX, "a$b", ERR_INVALID, "nothing"},
        {GRAMMAR_REGEX, "\xFF", ERR_FORMAT, "UTF-8"},
        {GRAMMAR_JSON, "x", ERR_FORMAT, "value"},
        {GRAMMAR_JSON_SCHEMA, "{", ERR_FORMAT, "line 1"},
        {GRAMMAR_JSON_SCHEMA, "3", ERR_FORMAT, "object"},
        {(enum grammar_kind)9, "", ERR_INVALID, "kind"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct grammar *g;
        struct error err = {0};
        enum status st = grammar_compile(all[i].kind, all[i].text, strlen(all[i].text), NULL, NULL, &g, &err);
        if (st != all[i].st || err.code != st || !strstr(err.msg, all[i].says) || g)
            fail_msg("%s: %d %s", all[i].text, st, err.msg);
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What has stopped other engines is an error in well under a second. */
static void hostile(void **unused)
{
    (void)unused;
    enum { N = 100000, SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    static const struct {
        enum grammar_kind kind;
        const char *before, *each, *middle, *behind, *end;
        int n;
    } all[] = {
        {GRAMMAR_GBNF, "root ::= ", "(", "\"a\"", ")", "", N},
        {GRAMMAR_GBNF, "root ::= \"a\"", "*", "", "", "", N},
        {GRAMMAR_REGEX, "", "(", "a", ")", "", N},
        {GRAMMAR_REGEX, "", "(a|", "b", ")*", "", N},
        {GRAMMAR_JSON_SCHEMA, "", "{\"not\":", "true", "}", "", 20000},
        {GRAMMAR_JSON_SCHEMA, "", "{\"items\":", "true", "}", "", 20000},
        {GRAMMAR_JSON_SCHEMA, "{\"pattern\":\"", "(", "a", ")", "\"}", N},
        {GRAMMAR_REGEX, "(a|b)*a", "(a|b)", "", "", "", 30},
        {GRAMMAR_REGEX, "((a{1,100}){1,100}){1,100}", "", "", "", "", 0},
        {GRAMMAR_JSON_SCHEMA, "{\"not\":{\"pattern\":\"(a|b)*a", "(a|b)", "", "", "\"}}", 30},
        {GRAMMAR_JSON_SCHEMA, "{\"maxItems\":1000000000}", "", "", "", "", 0},
        {GRAMMAR_JSON_SCHEMA, "{\"minLength\":1000000000}", "", "", "", "", 0},
        {GRAMMAR_JSON_SCHEMA, "{\"multipleOf\":0.123456789123}", "", "", "", "", 0},
    };
    assert_non_null(text);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *p = stpcpy(text, all[i].before);
        for (int k = 0; k < all[i].n; k++) p = stpcpy(p, all[i].each);
        p = stpcpy(p, all[i].middle);
        for (int k = 0; k < all[i].n; k++) p = stpcpy(p, all[i].behind);
        p = stpcpy(p, all[i].end);
        struct grammar *g;
        struct error err = {0};
        double start = seconds();
        enum status st = grammar_compile(all[i].kind, text, (size_t)(p - text), NULL, NULL, &g, &err);
        if (st != ERR_LIMIT || !err.msg[0]) fail_msg("case %zu: %d %s", i, st, err.msg);
        assert_true(seconds() - start < 5); /* sanitizers are slow; the deadline itself is half a second */
    }
    free(text);
}

/* ---- tokens -------------------------------------------------------------------------------------
 */

struct fixture {
    struct made_vocab made;
    struct tokenizer *tok;
    struct grammar_vocab *vocab;
};

static void make(struct fixture *f)
{
    struct error err;
    made_init(&f->made, "gpt2", "starcoder");
    made_all_bytes(&f->made);
    made_specials(&f->made);
    made_joins(&f->made, 1500, 7);
    assert_int_equal(tokenizer_create(&f->made.src, &f->tok, &err), OK);
    assert_int_equal(grammar_vocab_create(f->tok, tokenizer_n_tokens(f->tok) + 70, &f->vocab, &err), OK);
}

static void unmake(struct fixture *f)
{
    grammar_vocab_destroy(f->vocab);
    tokenizer_destroy(f->tok);
    made_fini(&f->made);
}

static const struct {
    enum grammar_kind kind;
    const char *text;
} walked[] = {
    {GRAMMAR_JSON, "value"},
    {GRAMMAR_GBNF, "root ::= e\ne ::= e \"+\" t | t\nt ::= \"(\" e \")\" | [a-z0-9 ]+"},
    {GRAMMAR_GBNF, "root ::= \"a\" root \"b\" | \"a\" root \"c\" | [^a]* \"z\"?"},
    {GRAMMAR_REGEX, "([a-z]+ ?){3,9}|[^a-z]*"},
    {GRAMMAR_JSON_SCHEMA, "{\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":5},\"b\":{\"$ref\":\"#\"}},"
                          "\"required\":[\"a\"],\"type\":\"object\"}"},
    /* Counts: states that differ near their ends only. */
    {GRAMMAR_JSON_SCHEMA, "{\"type\":\"string\",\"minLength\":9,\"maxLength\":70}"},
    {GRAMMAR_JSON_SCHEMA, "{\"items\":{\"type\":\"string\",\"maxLength\":25},\"type\":\"array\",\"minItems\":2}"},
    {GRAMMAR_REGEX, ".{3,60}"},
    {GRAMMAR_REGEX, "([a-z ]{1,40}|[A-Z0-9_]{2,50}[^a-z]{5})(\\(.{4,9}\\))?"},
    {GRAMMAR_GBNF, "root ::= (x | \"-\"){2,30}\nx ::= [a-z ]{1,20} \";\"? | [^\\n]{3,33}"},
};

/* Each mask is what single tokens say, and what the bytes of a token say; a copy and a state that went
 * back have the same mask; nothing leads to a dead end. */
static void masks(void **unused)
{
    (void)unused;
    struct fixture f;
    struct error err = {0};
    make(&f);
    size_t n = grammar_vocab_size(f.vocab), words = GRAMMAR_MASK_WORDS(n);
    uint64_t *mask = malloc(8 * words), *other = malloc(8 * words), rng = 99;
    int32_t *allowed = malloc(n * sizeof *allowed);
    for (size_t w = 0; w < sizeof walked / sizeof *walked; w++) {
        struct grammar *g = compile(walked[w].kind, walked[w].text, f.vocab);
        for (int round = 0; round < 6; round++) {
            struct grammar_state *s, *copy;
            assert_int_equal(grammar_state_create(g, &s, &err), OK);
            for (int step = 0; step < 40 && !grammar_is_ended(s); step++) {
                assert_int_equal(grammar_mask(s, mask, &err), OK);
                size_t n_allowed = 0;
                for (size_t t = 0; t < n; t++) {
                    bool in = mask[t / 64] >> t % 64 & 1;
                    if (in != grammar_allows(s, (int32_t)t)) fail_msg("token %zu in step %d of %s", t, step, walked[w].text);
                    if (in) allowed[n_allowed++] = (int32_t)t;
                }
                assert_true(n_allowed > 0);
                int32_t token = allowed[random_below(&rng, n_allowed)];
                assert_int_equal(tokenizer_is_end(f.tok, token) && !grammar_is_complete(s), 0);
                assert_int_equal(grammar_state_clone(s, &copy, &err), OK);
                assert_int_equal(grammar_accept(s, token, &err), OK);
                assert_int_equal(grammar_mask(copy, other, &err), OK);
                assert_memory_equal(mask, other, 8 * words);
                assert_int_equal(grammar_rollback(s, 1, &err), OK);
                assert_int_equal(grammar_mask(s, other, &err), OK);
                assert_memory_equal(mask, other, 8 * words);
                assert_int_equal(grammar_accept(s, token, &err), OK);
                grammar_state_destroy(copy);
            }
            grammar_state_destroy(s);
        }
        grammar_unref(g);
    }
    free(mask);
    free(other);
    free(allowed);
    unmake(&f);
}

/* One of several that follow texts of the same grammar: its caches are shared. */
struct follower {
    const struct fixture *f;
    struct grammar *g;
    uint64_t rng;
    size_t n_masks, n_wrong;
};

static void *follow(void *arg)
{
    struct follower *me = arg;
    struct grammar_state *s = NULL;
    struct error err;
    size_t n = grammar_vocab_size(me->f->vocab);
    uint64_t *mask = malloc(8 * GRAMMAR_MASK_WORDS(n));
    if (!mask || grammar_state_create(me->g, &s, &err) != OK) me->n_wrong++;
    for (int step = 0; me->n_wrong == 0 && step < 60 && !grammar_is_ended(s); step++) {
        if (grammar_mask(s, mask, &err) != OK) me->n_wrong++;
        int32_t last = -1;
        for (size_t i = 0, at = random_below(&me->rng, n); i < n; i++, at = (at + 1) % n) {
            bool in = mask[at / 64] >> at % 64 & 1;
            if (i < 200 && in != grammar_allows(s, (int32_t)at)) me->n_wrong++;
            if (in) last = (int32_t)at;
            if (in && i >= 200) break;
        }
        if (last < 0 || grammar_accept(s, last, &err) != OK) me->n_wrong++;
        me->n_masks++;
    }
    grammar_state_destroy(s);
    free(mask);
    return NULL;
}

static void several_threads(void **unused)
{
    (void)unused;
    enum { THREADS = 4 };
    struct fixture f;
    make(&f);
    for (size_t w = 0; w < sizeof walked / sizeof *walked; w++) {
        struct grammar *g = compile(walked[w].kind, walked[w].text, f.vocab);
        struct follower followers[THREADS];
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) {
            followers[i] = (struct follower){.f = &f, .g = g, .rng = 11 * w + i + 1};
            assert_int_equal(pthread_create(&threads[i], NULL, follow, &followers[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(followers[i].n_wrong, 0);
            assert_true(followers[i].n_masks > 0);
        }
        grammar_unref(g);
    }
    unmake(&f);
}

static void special_tokens(void **unused)
{
    (void)unused;
    struct fixture f;
    struct error err;
    make(&f);
    struct grammar *g = compile(GRAMMAR_REGEX, "(.|\\n)*", f.vocab);
    struct grammar_state *s;
    assert_int_equal(grammar_state_create(g, &s, &err), OK);
    float *logits = calloc(grammar_vocab_size(f.vocab), sizeof *logits);
    size_t n_allowed, want = 0;
    assert_int_equal(grammar_mask_logits(s, logits, &n_allowed, &err), OK);
    for (size_t t = 0; t < grammar_vocab_size(f.vocab); t++) {
        bool control = t >= tokenizer_n_tokens(f.tok) || tokenizer_type(f.tok, (int32_t)t) == TOKEN_CONTROL;
        bool end = t < tokenizer_n_tokens(f.tok) && tokenizer_is_end(f.tok, (int32_t)t);
        if (control && !end) assert_true(logits[t] < 0);
        if (end) assert_true(logits[t] == 0); /* complete from the beginning */
        want += logits[t] == 0;
    }
    assert_int_equal(n_allowed, want);
    assert_int_equal(grammar_accept(s, -1, &err), ERR_INVALID);
    assert_int_equal(grammar_accept(s, 1 << 30, &err), ERR_INVALID);
    grammar_state_destroy(s);
    grammar_unref(g);
    free(logits);
    unmake(&f);
}

/* Steps taken back in any pattern lead where the text itself leads. */
static void going_back(void **unused)
{
    (void)unused;
    struct grammar *g = compile(GRAMMAR_GBNF, "root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [0-9]+", NULL);
    struct grammar_state *s, *fresh;
    struct error err;
    char text[4000];
    size_t len = 0, kept = 0;
    uint64_t rng = 5;
    assert_int_equal(grammar_state_create(g, &s, &err), OK);
    for (int i = 0; i < 20000; i++) {
        char c = "[[],01"[random_below(&rng, 6)];
        if (len < sizeof text && grammar_accept_bytes(s, &c, 1, &err) == OK) {
            text[len++] = c;
            if (kept < GRAMMAR_MAX_ROLLBACK) kept++;
        }
        if (random_below(&rng, 4) == 0 && kept) {
            size_t n = random_below(&rng, kept < 9 ? kept + 1 : 9);
            assert_int_equal(grammar_rollback(s, n, &err), OK);
            len -= n;
            kept -= n;
        }
    }
    assert_int_equal(grammar_rollback(s, GRAMMAR_MAX_ROLLBACK + 1, &err), ERR_INVALID);
    assert_int_equal(grammar_state_create(g, &fresh, &err), OK);
    if (len) assert_int_equal(grammar_accept_bytes(fresh, text, len, &err), OK);
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        enum status a = grammar_accept_bytes(s, &byte, 1, &err), b = grammar_accept_bytes(fresh, &byte, 1, &err);
        assert_int_equal(a, b);
        if (a == OK) {
            assert_int_equal(grammar_is_complete(s), grammar_is_complete(fresh));
            assert_int_equal(grammar_rollback(s, 1, &err), OK);
            assert_int_equal(grammar_rollback(fresh, 1, &err), OK);
        }
    }
    grammar_state_destroy(s);
    grammar_state_destroy(fresh);
    grammar_unref(g);
}

static void forced(void **unused)
{
    (void)unused;
    static const struct {
        const char *grammar, *before, *want;
    } all[] = {
        {"root ::= \"hello\" [a-z]", "", "hello"},
        {"root ::= \"hello\" [a-z]", "he", "llo"},
        {"root ::= \"a\" \"b\"?", "", "a"},
        {"root ::= \"ab\" | \"ac\"", "", "a"},
        {"root ::= [a-z]", "", ""},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct grammar *g = compile(GRAMMAR_GBNF, all[i].grammar, NULL);
        struct grammar_state *s;
        struct error err;
        struct buf out;
        buf_init(&out, 100);
        assert_int_equal(grammar_state_create(g, &s, &err), OK);
        assert_int_equal(grammar_accept_bytes(s, all[i].before, strlen(all[i].before), &err), OK);
        assert_int_equal(grammar_forced(s, &out, &err), OK);
        assert_string_equal(out.data ? out.data : "", all[i].want);
        buf_fini(&out);
        grammar_state_destroy(s);
        grammar_unref(g);
    }
}

/* A list written by right recursion, long: what is kept stays small, so time does not grow. */
static void long_texts(void **unused)
{
    (void)unused;
    static const char *const grammars[] = {"root ::= [a-z] \",\" root | [a-z]", "root ::= root \",\" [a-z] | [a-z]"};
    for (int i = 0; i < 2; i++) {
        struct grammar *g = compile(GRAMMAR_GBNF, grammars[i], NULL);
        struct grammar_state *s;
        struct error err;
        assert_int_equal(grammar_state_create(g, &s, &err), OK);
        double start = seconds();
        for (int k = 0; k < 100000; k++) assert_int_equal(grammar_accept_bytes(s, "a,", 2, &err), OK);
        assert_true(seconds() - start < 10);
        grammar_state_destroy(s);
        grammar_unref(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notations), cmocka_unit_test(errors),     cmocka_unit_test(hostile),
        cmocka_unit_test(masks),     cmocka_unit_test(special_tokens), cmocka_unit_test(several_threads),
        cmocka_unit_test(going_back),
        cmocka_unit_test(forced),    cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
