/* Every allocation that compiling and following a grammar makes fails once in turn: the error is
 * ERR_NOMEM, nothing leaks, and the next try works. (Jansson's own are left out: without memory its parser says
 * that the text is wrong.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "text/grammar.h"
#include "vocab_make.h"

static long fail_at; /* 1 fails the next allocation; 0 never */
static long live;    /* allocations less frees */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static bool fails(void)
{
    return fail_at > 0 && --fail_at == 0;
}

static void *counted(void *p)
{
    if (p) live++;
    return p;
}

void *__wrap_malloc(size_t n)
{
    return fails() ? NULL : counted(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    if (fails()) return NULL;
    void *out = __real_realloc(p, n);
    if (out && !p) live++;
    return out;
}

void __wrap_free(void *p)
{
    if (p) live--;
    __real_free(p);
}

static const struct {
    enum grammar_kind kind;
    const char *text, *follow;
} all[] = {
    {GRAMMAR_GBNF, "root ::= v\nv ::= \"[\" (v (\",\" v)*)? \"]\" | [^\\x00-\\x7F] | e\ne ::= e \"+\" | \"x\"{2,3}", "[xx+,[]]"},
    {GRAMMAR_REGEX, "^(a|b)*\\p{Lu}[^c]{2,5}$", "abAxx"},
    {GRAMMAR_JSON, "", "{\"a\":[1,true]}"},
    {GRAMMAR_JSON_SCHEMA,
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":3},\"b\":{\"$ref\":\"#\"},"
     "\"c\":{\"enum\":[\"x\",[1],{\"q\":2}]},\"d\":{\"contains\":{\"const\":1}}},\"required\":[\"a\"],"
     "\"patternProperties\":{\"^z\":{\"multipleOf\":2}},\"dependentRequired\":{\"a\":[\"c\"],\"b\":[\"c\"]},"
     "\"oneOf\":[{\"required\":[\"d\"]},{\"properties\":{\"c\":{\"type\":\"string\"}}}]}",
     "{\"c\":\"x\",\"a\":4}"},
};

static enum status compile_and_follow(size_t i, const struct grammar_vocab *vocab)
{
    struct grammar *g = NULL;
    struct grammar_state *s = NULL, *copy = NULL;
    struct error err = {0};
    struct buf out;
    static uint64_t mask[100];
    assert_true(GRAMMAR_MASK_WORDS(grammar_vocab_size(vocab)) <= 100);
    buf_init(&out, 1 << 12);
    enum status st = grammar_compile(all[i].kind, all[i].text, strlen(all[i].text), vocab, NULL, &g, &err);
    if (st == OK) st = grammar_state_create(g, &s, &err);
    for (const char *p = all[i].follow; st == OK && *p; p++) {
        st = grammar_mask(s, mask, &err);
        if (st == OK) st = grammar_accept_bytes(s, p, 1, &err);
        if (st == OK) st = grammar_forced(s, &out, &err);
    }
    if (st == OK) st = grammar_state_clone(s, &copy, &err);
    if (st == OK) assert_true(grammar_is_complete(copy));
    if (st != OK && st != ERR_NOMEM) print_message("%s\n", err.msg);
    if (st != OK) assert_int_equal(err.code, st);
    grammar_state_destroy(copy);
    grammar_state_destroy(s);
    grammar_unref(g);
    buf_fini(&out);
    return st;
}

static void every_allocation(void **unused)
{
    (void)unused;
    struct made_vocab m;
    struct tokenizer *tok;
    struct grammar_vocab *vocab = NULL;
    struct error err;
    made_sample(&m, "gpt2", "starcoder");
    assert_int_equal(tokenizer_create(&m.src, &tok, &err), OK);
    for (long n = 1; !vocab; n++) {
        fail_at = n;
        enum status st = grammar_vocab_create(tok, tokenizer_n_tokens(tok), &vocab, &err);
        fail_at = 0;
        if (st != OK) assert_int_equal(st, ERR_NOMEM);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        /* Near the end of a long walk each step is like the one before. */
        for (long n = 1, step = 1;; n += step) {
            long before = live;
            if (n > 2000) step = 17;
            fail_at = n;
            enum status st = compile_and_follow(i, vocab);
            bool reached = fail_at <= 0;
            fail_at = 0;
            assert_int_equal(live, before);
            if (!reached) {
                assert_int_equal(st, OK);
                assert_true(n > 20);
                break;
            }
            if (st != OK && st != ERR_NOMEM) fail_msg("case %zu, allocation %ld: %d", i, n, st);
        }
        assert_int_equal(compile_and_follow(i, vocab), OK);
    }
    grammar_vocab_destroy(vocab);
    tokenizer_destroy(tok);
    made_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
