/* complete_run against an engine that says what each test wrote down. In the vocabulary a byte's id
 * is the byte. */
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
#include "fake_engine.h"
#include "fake_vocab.h"

#define C TOKEN_CONTROL
static const struct fake_token qwen[] = {
    {"<|endoftext|>", C},  {"<|im_end|>", C},  {"<|fim_prefix|>", C}, {"<|fim_middle|>", C},
    {"<|fim_suffix|>", C}, {"<|fim_pad|>", C}, {"<|repo_name|>", C},  {"<|file_sep|>", C},
    {"<|image|>", C},      {NULL, C},
};
enum {
    END = 256 + 0,
    PRE = 256 + 2,
    MID = 256 + 3,
    SUF = 256 + 4,
    FILE_SEP = 256 + 7,
    IMAGE = 256 + 8
};

struct fixture {
    struct fake_vocab vocab;
    struct session session;
    struct completer completer;
    struct complete_request req;
    struct complete_result res;
    int32_t script[4096];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_vocab_bpe(&f->vocab, qwen, -1, 1);
    f->session.n_ctx = 256;
    struct error err = {0};
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

/* The engine will say `text`, then the token `end` if it is not negative. */
static void say(struct fixture *f, const char *text, int32_t end)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++) f->script[i] = (unsigned char)text[i];
    if (end >= 0) f->script[n++] = end;
    f->session.script = f->script;
    f->session.n_script = n;
}

static void hole(struct fixture *f, const char *prefix, const char *suffix)
{
    f->req.prefix = prefix;
    f->req.prefix_len = strlen(prefix);
    f->req.suffix = suffix;
    f->req.suffix_len = strlen(suffix);
}

static void run(struct fixture *f)
{
    struct error err = {0};
    complete_result_fini(&f->res);
    if (complete_run(&f->completer, &f->req, &f->res, &err)) fail_msg("%s", err.msg);
    assert_int_equal(strlen(f->res.text), f->res.len);
}

static void stops_at_an_end_token(void **state)
{
    struct fixture *f = *state;
    hole(f, "x =", "\ny");
    static const int32_t ends[] = {END, FILE_SEP, MID, IMAGE};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        say(f, " 1", ends[i]);
        f->session.repeat = true;
        run(f);
        assert_string_equal(f->res.text, " 1");
        assert_int_equal(f->res.finish, FINISH_STOP);
        assert_string_equal(f->res.stopped_by, "end_token");
        assert_false(f->res.truncated);
    }
    /* The cursor's line stands behind the middle token, its last token left to the model. */
    static const int32_t want[] = {PRE, SUF, '\n', 'y', MID, 'x', ' '};
    assert_int_equal(f->res.prompt_tokens, sizeof want / sizeof *want);
    assert_memory_equal(f->session.prompt, want, sizeof want);
    assert_string_equal(f->session.begin, "=");
    assert_true(f->res.first_token_ms > 0);
    assert_true(f->res.prefill_ms == 20 && f->res.decode_ms == 30);
}

static void stops_generating_when_a_rule_fires(void **state)
{
    struct fixture *f = *state;
    hole(f, "x =", "\ny");
    say(f, " 1\nand more text that nobody needs", -1);
    f->req.effort = EFFORT_FAST;
    run(f);
    assert_string_equal(f->res.text, " 1");
    assert_int_equal(f->res.finish, FINISH_STOP);
    assert_string_equal(f->res.stopped_by, "line_end");
    assert_int_equal(f->session.n_given, 1 + 3); /* the first is what the line ends with */
    assert_int_equal(f->res.completion_tokens, 3);
}

/* With text below, the best effort reads on for other places to cut, and no further than the text
 * below. */
static void looks_further_for_the_text_below(void **state)
{
    struct fixture *f = *state;
    hole(f, "x =", "\ny\nz\n");
    say(f, " 1\nq\nr\ny\nz\nmore", -1);
    run(f);
    assert_int_equal(f->session.n_given, 1 + strlen(" 1\nq\nr\ny\nz\n"));
    f->req.without = TECHNIQUE_FAR;
    run(f);
    assert_int_equal(f->session.n_given, 1 + 3);
}

static void says_why_it_ended_otherwise(void **state)
{
    struct fixture *f = *state;
    hole(f, "x =", "\ny");
    say(f, "abcdefgh", -1);
    f->req.max_tokens = 4;
    run(f);
    assert_string_equal(f->res.text, "abcd");
    assert_int_equal(f->res.finish, FINISH_LENGTH);
    assert_string_equal(f->res.stopped_by, "length");

    f->req.max_tokens = 64;
    f->req.deadline_ms = 1000;
    f->session.token_ms = 300;
    run(f);
    assert_int_equal(f->res.finish, FINISH_DEADLINE);
    assert_string_equal(f->res.stopped_by, "deadline");
    assert_true(f->session.deadline_ms > 0 && f->session.deadline_ms <= 1000);
    assert_true(f->res.len < 4);

    volatile int cancel = 1;
    f->req.deadline_ms = 0;
    f->req.cancel = &cancel;
    run(f);
    assert_int_equal(f->res.finish, FINISH_CANCELLED);
    assert_string_equal(f->res.text, "");
}

static void keeps_crlf(void **state)
{
    struct fixture *f = *state;
    hole(f, "def f():\r\n    ", "\r\n\r\ndef g():\r\n");
    say(f, "a()\n    b()", END);
    run(f);
    assert_string_equal(f->res.text, "a()\r\n    b()");
    for (size_t i = 0; i < f->session.n_prompt; i++)
        assert_int_not_equal(f->session.prompt[i], '\r');
    /* One such line among others is an accident. */
    hole(f, "a\ndef f():\r\n    ", "\n\ndef g():\n");
    run(f);
    assert_string_equal(f->res.text, "a()\n    b()");
}

static void never_splits_a_character(void **state)
{
    struct fixture *f = *state;
    hole(f, "s = ", "\n");
    say(f, "é\xE2\x82\xAC", -1);
    for (f->req.max_tokens = 1; f->req.max_tokens <= 5; f->req.max_tokens++) {
        run(f);
        size_t want = f->req.max_tokens < 2 ? 0 : f->req.max_tokens < 5 ? 2 : 5;
        assert_int_equal(f->res.len, want);
    }
}

static void reports_what_did_not_fit(void **state)
{
    struct fixture *f = *state;
    static char text[4000];
    for (size_t i = 0; i + 10 < sizeof text; i += 10) memcpy(text + i, "123456789\n", 10);
    hole(f, text, text);
    say(f, "x", END);
    run(f);
    assert_true(f->res.truncated);
    assert_true(f->res.prompt_tokens + f->req.max_tokens <= f->session.n_ctx);
    size_t kept = f->res.prompt_tokens - 3;
    assert_int_equal(f->res.prefix_tokens_dropped + f->res.suffix_tokens_dropped,
                     2 * strlen(text) - kept);
    assert_int_equal(f->res.prefix_lines_dropped * 10, f->res.prefix_tokens_dropped);
    assert_int_equal(f->res.suffix_lines_dropped * 10, f->res.suffix_tokens_dropped);
}

static void refuses_what_cannot_be(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    hole(f, "a", "b");
    say(f, "x", END);
    f->req.max_tokens = 0;
    assert_int_equal(complete_run(&f->completer, &f->req, &f->res, &err), ERR_INVALID);
    f->req.max_tokens = 256;
    assert_int_equal(complete_run(&f->completer, &f->req, &f->res, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "256"));
    f->req.max_tokens = 250;
    assert_int_equal(complete_run(&f->completer, &f->req, &f->res, &err), ERR_LIMIT);
    f->req.max_tokens = 8;
    f->session.fail = ERR_IO;
    assert_int_equal(complete_run(&f->completer, &f->req, &f->res, &err), ERR_IO);
    assert_null(f->res.text);
}

static void endless_repetition(void **state)
{
    struct fixture *f = *state;
    f->session.n_ctx = 8192;
    f->req.max_tokens = 8000;
    hole(f, "x = [", "");
    say(f, "0, ", -1);
    f->session.repeat = true;
    run(f);
    assert_string_equal(f->res.stopped_by, "repeat");
    assert_true(f->session.n_given < 300);
    f->req.mode = TRIM_RAW;
    run(f);
    assert_int_equal(f->res.finish, FINISH_LENGTH);
    assert_int_equal(f->res.len, 8000);
}

static void empty_file(void **state)
{
    struct fixture *f = *state;
    hole(f, "", "");
    say(f, "int x;", END);
    run(f);
    assert_string_equal(f->res.text, "int x;");
    assert_int_equal(f->res.prompt_tokens, 3);
}

/* ---- anchors ------------------------------------------------------------------------------------
 */

static void typed_text_goes_behind_the_anchor(void **state)
{
    struct fixture *f = *state;
    hole(f, "a\n  b", "\nc");
    say(f, "XY", END);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    assert_int_equal(f->res.cached_tokens, 0);
    hole(f, "a\n  b = 1 +", "\nc");
    run(f);
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    static const int32_t want[] = {PRE, 'a', '\n', SUF, '\n', 'c', MID, ' ',
                                   ' ', 'b', ' ',  '=', ' ',  '1', ' '};
    assert_int_equal(f->session.n_prompt, sizeof want / sizeof *want);
    assert_memory_equal(f->session.prompt, want, sizeof want);
    assert_string_equal(f->session.begin, "+");
    assert_int_equal(f->res.cached_tokens, 10);
    assert_string_equal(f->res.text, "XY");
    /* What was typed was what the session said: its own tokens are there already. */
    hole(f, "a\n  b = 1 +X", "\nc");
    run(f);
    assert_int_equal(f->res.cached_tokens, f->res.prompt_tokens - 1);
    /* And back. */
    hole(f, "a\n  ", "\nc");
    run(f);
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    assert_int_equal(f->res.cached_tokens, f->res.prompt_tokens - 1);
}

static void new_lines_stay_behind_the_anchor_for_a_while(void **state)
{
    struct fixture *f = *state;
    f->completer.max_typed = 8;
    hole(f, "a\n", "\nccccccccccccccccccccccccccc");
    say(f, "X", END);
    run(f);
    hole(f, "a\nb\nc\nd\n", "\nccccccccccccccccccccccccccc");
    run(f);
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    assert_int_equal(f->res.typed_tokens, 5);
    hole(f, "a\nb\nc\nd\nefgh", "\nccccccccccccccccccccccccccc");
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    assert_int_equal(f->session.prompt[9], SUF);
}

static void another_text_is_another_anchor(void **state)
{
    struct fixture *f = *state;
    const char *below = "\nthe text below the cursor, of some length";
    hole(f, "a\nb", below);
    say(f, "X", END);
    run(f);
    hole(f, "a\nb", "\nThe text below the cursor, of some length");
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    hole(f, "A\nb", below);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    hole(f, "", below);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    f->req.file_name = "x.py";
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    assert_int_equal(f->session.prompt[0], FILE_SEP);
}

static void a_lost_anchor_is_no_anchor(void **state)
{
    struct fixture *f = *state;
    const char *below = "\nthe text below the cursor, of some length";
    hole(f, "a\nb\n", below);
    say(f, "X", END);
    run(f);
    f->session.n_held = 6; /* the prompt was interrupted */
    hole(f, "a\nb\nc\n", below);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_NONE);
    assert_int_equal(f->session.prompt[7], SUF);
}

static void long_lines_and_full_contexts(void **state)
{
    struct fixture *f = *state;
    static char line[400];
    memset(line, 'x', sizeof line - 1);
    say(f, "X", END);
    f->session.n_ctx = 1024;
    hole(f, line, "");
    run(f); /* longer than ANCHOR_LINE_BYTES: the cursor is the point */
    assert_int_equal(f->session.prompt[400], SUF);
    assert_string_equal(f->session.begin, "");
    /* A line that leaves too little room is in the prefix, too. */
    f->session.n_ctx = 256;
    hole(f, line + 200, line);
    run(f);
    assert_int_equal(f->session.prompt[f->session.n_prompt - 1], MID);
    /* The anchor of a file that does not fit leaves room to type. */
    static char text[4000];
    for (size_t i = 0; i + 10 < sizeof text; i += 10) memcpy(text + i, "123456789\n", 10);
    static char typed[4100];
    snprintf(typed, sizeof typed, "%syy", text);
    hole(f, text, text);
    run(f);
    hole(f, typed, text);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    assert_true(f->res.truncated && f->res.prefix_lines_dropped > 0);
    assert_true(f->res.prompt_tokens + f->req.max_tokens <= 256);
}

static void the_next_anchor_is_prepared(void **state)
{
    struct fixture *f = *state;
    const char *below = "\nthe text below the cursor, of some length";
    struct complete_ahead ahead;
    struct error err;
    hole(f, "a\n", below);
    say(f, "X", END);
    run(f);
    assert_int_equal(complete_prepare(&f->completer, &f->req, &ahead, &err), OK);
    assert_true(ahead.ready); /* nothing is to do */
    assert_int_equal(f->session.n_spare, 0);

    hole(f, "a\nb\nc", below);
    f->session.prepare_limit = 10;
    assert_int_equal(complete_prepare(&f->completer, &f->req, &ahead, &err), OK);
    assert_false(ahead.ready);
    assert_int_equal(ahead.ready_tokens, 10);
    run(f); /* the old one is still there */
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    assert_int_equal(f->session.prompt[3], SUF);

    f->session.prepare_limit = 0;
    assert_int_equal(complete_prepare(&f->completer, &f->req, &ahead, &err), OK);
    assert_true(ahead.ready && ahead.ready_tokens == ahead.prompt_tokens);
    run(f);
    assert_int_equal(f->res.reuse, REUSE_ANCHOR);
    assert_int_equal(f->session.prompt[5], SUF);
    f->session.fail = ERR_IO;
    hole(f, "z\n", below);
    assert_int_equal(complete_prepare(&f->completer, &f->req, &ahead, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stops_at_an_end_token, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_generating_when_a_rule_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(looks_further_for_the_text_below, setup, teardown),
        cmocka_unit_test_setup_teardown(says_why_it_ended_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_crlf, setup, teardown),
        cmocka_unit_test_setup_teardown(never_splits_a_character, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_what_did_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be, setup, teardown),
        cmocka_unit_test_setup_teardown(endless_repetition, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_file, setup, teardown),
        cmocka_unit_test_setup_teardown(typed_text_goes_behind_the_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(new_lines_stay_behind_the_anchor_for_a_while, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_text_is_another_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_anchor_is_no_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines_and_full_contexts, setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_anchor_is_prepared, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
