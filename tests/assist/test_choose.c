/* Which of several answers is taken, with an engine that says what each branch writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/complete.h"
#include "assist/technique.h"
#include "base/buf.h"
#include "fake_engine.h"
#include "fake_vocab.h"

#define C TOKEN_CONTROL
static const struct fake_token qwen[] = {
    {"<|endoftext|>", C},  {"<|im_end|>", C},     {"<|fim_prefix|>", C},
    {"<|fim_middle|>", C}, {"<|fim_suffix|>", C}, {"<|fim_pad|>", C},
    {"<|repo_name|>", C},  {"<|file_sep|>", C},   {NULL, C},
};

struct fixture {
    struct fake_vocab vocab;
    struct session session;
    struct completer completer;
    struct complete_request req;
    struct complete_result res;
    int32_t script[1024];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct error err = {0};
    assert_non_null(f);
    fake_vocab_bpe(&f->vocab, qwen, -1, 1);
    f->session.n_ctx = 1024;
    assert_int_equal(completer_init(&f->completer, f->vocab.tokenizer, &f->session, "fake", &err),
                     OK);
    f->req.max_tokens = 64;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    complete_result_fini(&f->res);
    completer_fini(&f->completer);
    fake_vocab_fini(&f->vocab);
    free(f);
    return 0;
}

/* Completes with `first` as the first answer, `others` as the branches' text behind their blanks.
 */
static const char *run(struct fixture *f, const char *prefix, const char *suffix, const char *first,
                       const char *const *others, size_t n, const char *likes)
{
    struct error err = {0};
    size_t len = strlen(first);
    for (size_t i = 0; i < len; i++) f->script[i] = (unsigned char)first[i];
    f->session.script = f->script;
    f->session.n_script = len;
    f->session.branches = others;
    f->session.n_branches = n;
    f->session.likes = likes;
    f->req.prefix = prefix;
    f->req.prefix_len = strlen(prefix);
    f->req.suffix = suffix;
    f->req.suffix_len = strlen(suffix);
    complete_result_fini(&f->res);
    if (complete_run(&f->completer, &f->req, &f->res, &err)) fail_msg("%s", err.msg);
    return f->res.text;
}

static const char *const others[] = {"a = 1\n", "b = 2\n", "return 3\n", "b = 4\n", "c(\n", "d\n"};

static void takes_the_answer_that_the_suffix_follows(void **state)
{
    struct fixture *f = *state;
    f->session.repeat = true; /* the first answer never meets the text below */
    const char *got = run(f, "def f():\n    x = 0\n", "\n    return b\n", "    a = 0\n    q = 1\n",
                          others, 6, "b = 2\n    return b");
    assert_string_equal(got, "    b = 2");
    assert_string_equal(f->res.stopped_by, "chosen");
    assert_true(f->res.n_candidates >= 5);
}

static void what_cannot_stand_there_is_not_taken(void **state)
{
    struct fixture *f = *state;
    /* The likeliest one would make the text below dead. */
    const char *got = run(f, "def f():\n    x = 0\n", "\n    return b\n", "    return 3\n", others,
                          6, "return 3\n    return b");
    assert_null(strstr(got, "return"));
    assert_true(*got);
}

static void the_first_answer_stays_where_it_is_best(void **state)
{
    struct fixture *f = *state;
    const char *got = run(f, "def f():\n    x = 0\n", "\n    return b\n",
                          "    b = 7\n    return b\n", others, 6, "b = 7\n    return b");
    assert_string_equal(got, "    b = 7");
    assert_string_not_equal(f->res.stopped_by, "chosen");
}

static void a_long_answer_may_be_cut_at_a_line(void **state)
{
    struct fixture *f = *state;
    f->session.repeat = true;
    /* The first line's blanks are asked of the engine: the text below needs its opener there. */
    const char *got =
        run(f, "def f():\n    x = 0\n", "\n        y = 1\n    return y\n",
            "while x:\n        x -= 1\n        z = 3\n    w", others, 6, "while x:\n        y = 1");
    assert_string_equal(got, "    while x:");
}

static void without_branches_or_with_fast_the_first_answer_is_it(void **state)
{
    struct fixture *f = *state;
    const char *got = run(f, "def f():\n    x = 0\n", "\n    return b\n",
                          "    a = 0\n    return b\n", NULL, 0, NULL);
    assert_string_equal(got, "    a = 0");
    f->req.effort = EFFORT_FAST;
    got = run(f, "def f():\n    x = 0\n", "\n    return b\n", "    a = 0\n    return b\n", others,
              6, "b = 2\n    return b");
    assert_string_equal(got, "    a = 0");
    assert_int_equal(f->res.n_candidates, 0);
}

static void on_text(void *ctx, const char *text, size_t len)
{
    struct buf *b = ctx;
    buf_clear(b);
    buf_append(b, text, len);
}

static void tells_the_text_while_it_grows(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, 100);
    f->req.on_text = on_text;
    f->req.ctx = &b;
    run(f, "x = ", "\ny\n", "12345", NULL, 0, NULL);
    assert_string_equal(b.data, "12345");
    buf_fini(&b);
}

static void one_line_stays_one_line(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {"b = 1\n    b = 2\n", "b = 2\n", "c = 3\n"};
    f->req.mode = TRIM_SINGLE;
    const char *got =
        run(f, "def f():\n    x = 0\n", "\n    return b\n    y\n",
            "    if x:\n        b = 1\n    return b\n    y\n", lines, 3, "if x:\n        b = 1");
    assert_null(strchr(got, '\n'));
    f->req.mode = TRIM_AUTO;
    got = run(f, "def f():\n    x = 0\n", "\n    return b\n    y\n",
              "    if x:\n        b = 1\n    return b\n    y\n", lines, 3, "if x:\n        b = 1");
    assert_string_equal(got, "    if x:\n        b = 1");
}

static void a_technique_can_be_left_out(void **state)
{
    struct fixture *f = *state;
    f->session.repeat = true;
    f->req.without = TECHNIQUE_CHOOSE;
    (void)run(f, "def f():\n    x = 0\n", "\n    return b\n", "    a = 0\n    q = 1\n", others, 6,
              "b = 2\n    return b");
    assert_int_equal(f->res.n_candidates, 0);
    f->req.without = 0;
    (void)run(f, "def f():\n    x = 0\n", "\n    return b\n", "    a = 0\n    q = 1\n", others, 6,
              "b = 2\n    return b");
    size_t all = f->res.n_candidates;
    f->req.without = TECHNIQUE_PLAIN | TECHNIQUE_RANKS | TECHNIQUE_INNER;
    (void)run(f, "def f():\n    x = 0\n", "\n    return b\n", "    a = 0\n    q = 1\n", others, 6,
              "b = 2\n    return b");
    assert_true(f->res.n_candidates > 0 && f->res.n_candidates < all);
    unsigned set = 0;
    struct error err;
    assert_int_equal(technique_parse("far,plain", &set, &err), OK);
    assert_int_equal(set, TECHNIQUE_FAR | TECHNIQUE_PLAIN);
    assert_int_equal(technique_parse("far,pla", &set, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "'pla'"));
    assert_non_null(strstr(err.msg, "inner"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
        T(takes_the_answer_that_the_suffix_follows),
        T(one_line_stays_one_line),
        T(a_technique_can_be_left_out),
        T(what_cannot_stand_there_is_not_taken),
        T(the_first_answer_stays_where_it_is_best),
        T(a_long_answer_may_be_cut_at_a_line),
        T(without_branches_or_with_fast_the_first_answer_is_it),
        T(tells_the_text_while_it_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
