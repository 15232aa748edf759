/* Other files in front of a prompt: as files where the family has a mark, else as comments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/fim.h"
#include "assist/fim_context.h"
#include "fake_vocab.h"

#define C TOKEN_CONTROL
static const struct fake_token qwen[] = {
    {"<|endoftext|>", C},  {"<|im_end|>", C},     {"<|fim_prefix|>", C},
    {"<|fim_middle|>", C}, {"<|fim_suffix|>", C}, {"<|fim_pad|>", C},
    {"<|repo_name|>", C},  {"<|file_sep|>", C},   {NULL, C},
};
static const struct fake_token plain[] = {
    {"<|endoftext|>", C}, {"<fim_prefix>", C}, {"<fim_middle>", C}, {"<fim_suffix>", C}, {NULL, C},
};

/* The prompt with control tokens spelled out. */
static char *prompt(const struct fake_token *tokens, struct fim_input *in, struct fim_prompt *p)
{
    struct fake_vocab v;
    struct fim_template t;
    struct error err = {0};
    static char text[4096];
    fake_vocab_bpe(&v, tokens, -1, 0);
    assert_int_equal(fim_detect(v.tokenizer, "fake", &t, &err), OK);
    *p = (struct fim_prompt){0};
    if (fim_build(&t, v.tokenizer, in, p, &err)) fail_msg("%s", err.msg);
    size_t n = 0;
    for (size_t i = 0; i < p->tokens.len; i++)
        n += tokenizer_piece(v.tokenizer, p->tokens.ids[i], true, text + n, sizeof text - n);
    text[n] = 0;
    fake_vocab_fini(&v);
    return text;
}

static const struct context_item items[] = {
    {"a.py", "one = 1\n", 8, CONTEXT_CHUNK, 0},
    {NULL, "two = 2", 7, CONTEXT_CLIPBOARD, 0},
};

static void files_stand_in_front_of_the_holes_own(void **state)
{
    (void)state;
    struct fim_input in = {"p", 1, "s", 1, "b.py", 4096, items, 2, 100, "repo"};
    struct fim_prompt p;
    assert_string_equal(prompt(qwen, &in, &p),
                        "<|repo_name|>repo\n<|file_sep|>a.py\none = 1\n<|file_sep|>two = 2\n"
                        "<|file_sep|>b.py\n<|fim_prefix|>p<|fim_suffix|>s<|fim_middle|>");
    assert_int_equal(p.tokens.ids[p.prefix_at - 1], 'p');
    fim_prompt_fini(&p);
}

static void comments_where_there_is_no_mark_for_files(void **state)
{
    (void)state;
    struct fim_input in = {"p", 1, "s", 1, "b.py", 4096, items, 2, 100, "repo"};
    struct fim_prompt p;
    assert_string_equal(prompt(plain, &in, &p),
                        "<fim_prefix># Path: a.py\n# one = 1\n# two = 2\np<fim_suffix>s"
                        "<fim_middle>");
    fim_prompt_fini(&p);
}

static void what_does_not_fit_is_left_out_the_oldest_first(void **state)
{
    (void)state;
    struct fim_input in = {"p", 1, "s", 1, NULL, 4096, items, 2, 12, NULL};
    struct fim_prompt p;
    assert_string_equal(prompt(qwen, &in, &p),
                        "<|file_sep|>two = 2\n<|fim_prefix|>p<|fim_suffix|>s<|fim_middle|>");
    assert_int_equal(p.context_tokens, 9);
    fim_prompt_fini(&p);
    in.context_tokens = 3;
    assert_string_equal(prompt(qwen, &in, &p), "<|fim_prefix|>p<|fim_suffix|>s<|fim_middle|>");
    fim_prompt_fini(&p);
}

static void knows_how_languages_comment(void **state)
{
    (void)state;
    assert_string_equal(fim_comment("x/y.py"), "#");
    assert_string_equal(fim_comment("x.LUA"), "--");
    assert_string_equal(fim_comment("x.c"), "//");
    assert_string_equal(fim_comment("x.y.clj"), ";");
    assert_string_equal(fim_comment(NULL), "//");
    assert_string_equal(fim_comment("Makefile"), "//");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_stand_in_front_of_the_holes_own),
        cmocka_unit_test(comments_where_there_is_no_mark_for_files),
        cmocka_unit_test(what_does_not_fit_is_left_out_the_oldest_first),
        cmocka_unit_test(knows_how_languages_comment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
