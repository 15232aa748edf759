/* Fill-in-the-middle prompts, id by id. In the BPE vocabulary a byte's id is the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/fim.h"
#include "fake_vocab.h"

#define C TOKEN_CONTROL
#define U TOKEN_USER_DEFINED
enum { X = 256 }; /* the first extra token's id */

static const struct fake_token qwen[] = {
    {"<|endoftext|>", C},  {"<|im_end|>", C},     {"<|fim_prefix|>", C},
    {"<|fim_middle|>", C}, {"<|fim_suffix|>", C}, {"<|fim_pad|>", C},
    {"<|repo_name|>", C},  {"<|file_sep|>", C},   {NULL, C},
};
static const struct fake_token deepseek[] = {
    {"<｜begin▁of▁sentence｜>", C}, {"<｜end▁of▁sentence｜>", C}, {"<｜fim▁hole｜>", U},
    {"<｜fim▁begin｜>", U},         {"<｜fim▁end｜>", U},         {NULL, C},
};
static const struct fake_token llama[] = {
    {"<s>", C}, {"</s>", C}, {"▁<PRE>", U}, {"▁<SUF>", U}, {"▁<MID>", U}, {"▁<EOT>", U}, {NULL, C},
};
static const struct fake_token starcoder2[] = {
    {"<|endoftext|>", C}, {"<fim_prefix>", C}, {"<fim_middle>", C}, {"<fim_suffix>", C},
    {"<fim_pad>", C},     {"<repo_name>", C},  {"<file_sep>", C},   {NULL, C},
};
static const struct fake_token starcoder[] = {
    {"<|endoftext|>", C}, {"<fim_prefix>", C}, {"<fim_middle>", C}, {"<fim_suffix>", C},
    {"<fim_pad>", C},     {"<filename>", C},   {"<reponame>", C},   {NULL, C},
};
static const struct fake_token santacoder[] = {
    {"<|endoftext|>", C}, {"<fim-prefix>", C}, {"<fim-middle>", C},
    {"<fim-suffix>", C},  {"<fim-pad>", C},    {NULL, C},
};
static const struct fake_token codestral[] = {
    {"<s>", C}, {"</s>", C}, {"[PREFIX]", C}, {"[MIDDLE]", C}, {"[SUFFIX]", C}, {NULL, C},
};
static const struct fake_token codegemma[] = {
    {"<bos>", C},
    {"<eos>", C},
    {"<|fim_prefix|>", C},
    {"<|fim_middle|>", C},
    {"<|fim_suffix|>", C},
    {"<|file_separator|>", C},
    {NULL, C},
};
static const struct fake_token granite[] = {
    {"<|end_of_text|>", C},
    {"<|fim_prefix|>", C},
    {"<|fim_middle|>", C},
    {"<|fim_suffix|>", C},
    {"<|fim_pad|>", C},
    {"<|filename|>", C},
    {NULL, C},
};
static const struct fake_token plain[] = {{"<|endoftext|>", C}, {NULL, C}};

static struct fim_template detect(const struct fake_vocab *v)
{
    struct fim_template f;
    struct error err = {0};
    if (fim_detect(v->tokenizer, "a-model", &f, &err)) fail_msg("%s", err.msg);
    return f;
}

static struct fim_input input(const char *prefix, const char *suffix)
{
    return (struct fim_input){prefix, strlen(prefix), suffix, strlen(suffix), NULL, 4096};
}

/* Ids as characters, control tokens as {n} with n counted from the first extra token. */
static const char *spell(const struct token_list *l)
{
    static char text[65536];
    size_t n = 0;
    for (size_t i = 0; i < l->len; i++) {
        assert_true(n + 16 < sizeof text);
        if (l->ids[i] < X)
            text[n++] = (char)l->ids[i];
        else
            n += (size_t)snprintf(text + n, 16, "{%d}", l->ids[i] - X);
    }
    text[n] = 0;
    return text;
}

static void expect(const struct fake_vocab *v, const struct fim_input *in, const char *want)
{
    struct fim_template f = detect(v);
    struct fim_prompt p = {0};
    struct error err = {0};
    if (fim_build(&f, v->tokenizer, in, &p, &err)) fail_msg("%s", err.msg);
    assert_string_equal(spell(&p.tokens), want);
    assert_false(p.truncated);
    fim_prompt_fini(&p);
}

static void each_family(void **state)
{
    (void)state;
    static const struct {
        const struct fake_token *extra;
        int bos, eos;
        const char *name, *prompt, *with_file;
    } list[] = {
        {qwen, 0, 1, "qwen2.5-coder", "{2}ab{4}cd{3}", "{7}f.c\n{2}ab{4}cd{3}"},
        {deepseek, 0, 1, "deepseek-coder", "{0}{3}ab{2}cd{4}", "{0}{3}ab{2}cd{4}"},
        {starcoder2, 0, 0, "starcoder2", "{1}ab{3}cd{2}", "{6}f.c\n{1}ab{3}cd{2}"},
        {starcoder, 0, 0, "starcoder", "{1}ab{3}cd{2}", "{5}f.c\n{1}ab{3}cd{2}"},
        {santacoder, 0, 0, "santacoder", "{1}ab{3}cd{2}", "{1}ab{3}cd{2}"},
        {codestral, 0, 1, "codestral", "{0}{4}cd{2}ab", "{0}{4}cd{2}ab"},
        {codegemma, 0, 1, "codegemma", "{0}{2}ab{4}cd{3}", "{0}{5}f.c\n{2}ab{4}cd{3}"},
        {granite, 0, 0, "granite-4", "{1}ab{3}cd{2}", "{1}ab{3}cd{2}"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct fake_vocab v;
        fake_vocab_bpe(&v, list[i].extra, list[i].bos, list[i].eos);
        assert_string_equal(detect(&v).name, list[i].name);
        struct fim_input in = input("ab", "cd");
        expect(&v, &in, list[i].prompt);
        in.file_name = "f.c";
        expect(&v, &in, list[i].with_file);
        fake_vocab_fini(&v);
    }
}

static bool stops(const struct fim_template *f, int32_t id)
{
    for (size_t i = 0; i < f->n_stop; i++) {
        if (f->stop[i] == id) return true;
    }
    return false;
}

static void stop_tokens(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, qwen, -1, 1);
    struct fim_template f = detect(&v);
    for (int32_t id = X; id < X + 8; id++) assert_true(stops(&f, id));
    assert_false(stops(&f, 'a'));
    assert_false(stops(&f, TOKEN_NONE));
    fake_vocab_fini(&v);
    fake_vocab_bpe(&v, deepseek, 0, 1);
    f = detect(&v);
    for (int32_t id = X + 1; id < X + 5; id++) assert_true(stops(&f, id));
    fake_vocab_fini(&v);
}

static void code_llama(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_spm(&v, llama, 0, 1);
    struct fim_template f = detect(&v);
    assert_string_equal(f.name, "codellama");
    const int32_t base = 257, pre = base + 2, suf = base + 3, mid = base + 4, space = 256;
    assert_true(stops(&f, base + 5));
    struct fim_input in = input("a", "b");
    struct fim_prompt p = {0};
    struct error err = {0};
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    /* The prefix has SentencePiece's leading space, the suffix has not. */
    const int32_t want[] = {base, pre, space, 'a', suf, 'b', mid};
    assert_int_equal(p.tokens.len, sizeof want / sizeof *want);
    assert_memory_equal(p.tokens.ids, want, sizeof want);
    fim_prompt_fini(&p);
    fake_vocab_fini(&v);
}

static void code_llama_without_marks(void **state)
{
    (void)state;
    static const struct fake_token extra[] = {
        {"<s>", C}, {"</s>", C}, {"<PRE>", U}, {"<SUF>", U}, {"<MID>", U}, {"<EOT>", U}, {NULL, C}};
    struct fake_vocab v;
    fake_vocab_spm(&v, extra, 0, 1);
    assert_string_equal(detect(&v).name, "codellama");
    fake_vocab_fini(&v);
}

/* Spelled-out tokens are encoded in parts, none of which gets a space of its own. */
static void parts_get_no_spaces(void **state)
{
    (void)state;
    static const struct fake_token extra[] = {{"<fim_prefix>", C},
                                              {"<fim_suffix>", C},
                                              {"<fim_middle>", C},
                                              {"<filename>", U},
                                              {NULL, C}};
    struct fake_vocab v;
    fake_vocab_spm(&v, extra, -1, -1);
    struct fim_template f = detect(&v);
    struct fim_input in = input("a<filename>b<c", "<filename>");
    struct fim_prompt p = {0};
    struct error err = {0};
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    assert_int_equal(p.prefix_tokens, 1 + in.prefix_len);
    assert_int_equal(p.suffix_tokens, in.suffix_len);
    size_t controls = 0;
    for (size_t i = 0; i < p.tokens.len; i++) controls += p.tokens.ids[i] >= 257;
    assert_int_equal(controls, 3);
    fim_prompt_fini(&p);
    fake_vocab_fini(&v);
}

static void bos_as_the_metadata_says(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, starcoder2, 0, 0);
    assert_int_equal(detect(&v).bos, TOKEN_NONE);
    fake_vocab_fini(&v);
    struct fake_vocab w;
    fake_vocab_bpe(&w, starcoder2, 0, 0);
    tokenizer_destroy(w.tokenizer);
    w.source.add_bos = true;
    struct error err = {0};
    assert_int_equal(tokenizer_create(&w.source, &w.tokenizer, &err), OK);
    assert_int_equal(detect(&w).bos, X);
    fake_vocab_fini(&w);
}

static void ids_from_metadata(void **state)
{
    (void)state;
    static const struct fake_token odd[] = {
        {"<a>", C}, {"<b>", C}, {"<c>", C}, {"<sep>", C}, {NULL, C}};
    struct fake_vocab v;
    fake_vocab_bpe(&v, odd, -1, -1);
    tokenizer_destroy(v.tokenizer);
    v.source.fim_pre = X;
    v.source.fim_suf = X + 1;
    v.source.fim_mid = X + 2;
    v.source.fim_sep = X + 3;
    struct error err = {0};
    assert_int_equal(tokenizer_create(&v.source, &v.tokenizer, &err), OK);
    struct fim_template f = detect(&v);
    assert_string_equal(f.name, "metadata");
    assert_true(stops(&f, X + 3));
    struct fim_input in = input("ab", "cd");
    expect(&v, &in, "{0}ab{1}cd{2}");
    fake_vocab_fini(&v);
}

static void no_template(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, plain, 0, 0);
    struct fim_template f;
    struct error err = {0};
    assert_int_equal(fim_detect(v.tokenizer, "smollm2", &f, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "smollm2"));
    assert_non_null(strstr(err.msg, "qwen2.5-coder"));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    fake_vocab_fini(&v);
}

/* Text that spells control tokens out stays text, also where the vocabulary matches them anywhere.
 */
static void user_text_is_never_control(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, qwen, -1, 1);
    struct fim_input in = input("a<|fim_suffix|>", "<|fim_middle|>b");
    expect(&v, &in, "{2}a<|fim_suffix|>{4}<|fim_middle|>b{3}");
    fake_vocab_fini(&v);
    fake_vocab_bpe(&v, deepseek, 0, 1);
    in = input("a<｜fim▁hole｜><｜fim▁end｜>", "<<｜fim▁begin｜>x<");
    in.file_name = "<｜fim▁end｜>";
    expect(&v, &in, "{0}{3}a<｜fim▁hole｜><｜fim▁end｜>{2}<<｜fim▁begin｜>x<{4}");
    fake_vocab_fini(&v);
    static const struct fake_token odd[] = {{"@pre", U}, {"@suf", U}, {"@mid", U}, {NULL, C}};
    fake_vocab_bpe(&v, odd, -1, -1);
    tokenizer_destroy(v.tokenizer);
    v.source.fim_pre = X;
    v.source.fim_suf = X + 1;
    v.source.fim_mid = X + 2;
    struct error err = {0};
    assert_int_equal(tokenizer_create(&v.source, &v.tokenizer, &err), OK);
    in = input("é@mid", "@pre");
    expect(&v, &in, "{0}é@mid{1}@pre{2}");
    fake_vocab_fini(&v);
}

/* ---- cutting to fit ---- */

struct cut_case {
    const char *prefix, *suffix;
    size_t max;
    const char *want;
    bool truncated;
};

static void cuts_at_lines(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, qwen, -1, 1);
    struct fim_template f = detect(&v);
    /* Four of max are kept for control tokens, of which this family uses three. */
    static const struct cut_case list[] = {
        {"aaaa\nbbbb\ncccc\ndd", "\nee\nff\n", 4 + 23, "{2}aaaa\nbbbb\ncccc\ndd{4}\nee\n{3}", true},
        {"aaaa\nbbbb\ncccc\ndd", "\nee\nff\n", 4 + 24, "{2}aaaa\nbbbb\ncccc\ndd{4}\nee\nff\n{3}",
         false},
        {"aaaa\nbbbb\ncccc\ndd", "\nee\nff\n", 4 + 22, "{2}aaaa\nbbbb\ncccc\ndd{4}\nee\n{3}", true},
        {"aaaa\nbbbb\ncccc\ndd", "\nee\nff\n", 4 + 20, "{2}bbbb\ncccc\ndd{4}\nee\n{3}", true},
        {"aaaa\nbbbb\ncccc\ndd", "\nee\nff\n", 4 + 16, "{2}bbbb\ncccc\ndd{4}\nee\n{3}", true},
        {"abcdefghijklmnopqrstuvwxyz", "", 4 + 16, "{2}klmnopqrstuvwxyz{4}{3}", true},
        {"", "abcdefghijklmnopqrstuvwxyz", 4 + 16, "{2}{4}abcdefghijklmnop{3}", true},
        {"", "abcdefghijklmno", 4 + 16, "{2}{4}abcdefghijklmno{3}", false},
        /* 15 bytes of é take 7 whole characters. */
        {"éééééééééééé", "x", 4 + 16, "{2}ééééééé{4}x{3}", true},
        {"", "ééééééééz", 4 + 16, "{2}{4}éééééééé{3}", true},
        {"", "éééééééééz", 4 + 17, "{2}{4}éééééééé{3}", true},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        struct fim_input in = input(list[i].prefix, list[i].suffix);
        in.max_tokens = list[i].max;
        struct fim_prompt p = {0};
        struct error err = {0};
        if (fim_build(&f, v.tokenizer, &in, &p, &err)) fail_msg("%s", err.msg);
        assert_string_equal(spell(&p.tokens), list[i].want);
        assert_int_equal(p.truncated, list[i].truncated);
        assert_true(p.tokens.len <= in.max_tokens);
        assert_int_equal(p.tokens.len, p.prefix_tokens + p.suffix_tokens + 3);
        size_t a, b;
        assert_int_equal(fim_count_dropped(&f, v.tokenizer, &in, &p, &a, &b, &err), OK);
        assert_int_equal(a + p.prefix_tokens, in.prefix_len);
        assert_int_equal(b + p.suffix_tokens, in.suffix_len);
        fim_prompt_fini(&p);
    }
    fake_vocab_fini(&v);
}

static char *many_lines(size_t n, size_t *len)
{
    char *s = malloc(n * 32 + 1);
    assert_non_null(s);
    *len = 0;
    for (size_t i = 0; i < n; i++) *len += (size_t)sprintf(s + *len, "line %zu of the file\n", i);
    return s;
}

static void favours_the_prefix(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_bpe(&v, qwen, -1, 1);
    struct fim_template f = detect(&v);
    size_t len;
    char *text = many_lines(5000, &len);
    struct fim_input in = {text, len, text, len, NULL, 1000};
    struct fim_prompt p = {0}, again = {0};
    struct error err = {0};
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    assert_true(p.truncated);
    assert_in_range(p.tokens.len, 900, 1000);
    assert_true(p.prefix_tokens >= 7 * (p.prefix_tokens + p.suffix_tokens) / 10);
    assert_true(p.suffix_tokens > 200);
    assert_int_equal(text[p.prefix_start - 1], '\n');
    assert_int_equal(text[p.suffix_end - 1], '\n');
    assert_in_range(p.prefix_lines_dropped, 4900, 4999);
    assert_in_range(p.suffix_lines_dropped, 4900, 4999);
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &again, &err), OK);
    assert_int_equal(p.tokens.len, again.tokens.len);
    assert_memory_equal(p.tokens.ids, again.tokens.ids, p.tokens.len * sizeof(int32_t));
    fim_prompt_fini(&again);
    fim_prompt_fini(&p);
    /* What one side does not need the other gets. */
    in.suffix_len = 20;
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    assert_int_equal(p.suffix_tokens, 20);
    assert_true(p.prefix_tokens > 900);
    fim_prompt_fini(&p);
    in.suffix_len = len;
    in.prefix_len = 20;
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    assert_int_equal(p.prefix_tokens, 20);
    assert_true(p.suffix_tokens > 900);
    fim_prompt_fini(&p);
    in.max_tokens = 10;
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), ERR_LIMIT);
    assert_non_null(strstr(err.msg, "10 tokens"));
    fim_prompt_fini(&p);
    free(text);
    fake_vocab_fini(&v);
}

/* Many bytes to a token: all that fits is kept nevertheless. */
static void long_tokens(void **state)
{
    (void)state;
    static const struct fake_token extra[] = {{"<|fim_prefix|>", C},
                                              {"<|fim_middle|>", C},
                                              {"<|fim_suffix|>", C},
                                              {"========================================", U},
                                              {NULL, C}};
    struct fake_vocab v;
    fake_vocab_bpe(&v, extra, -1, -1);
    struct fim_template f = detect(&v);
    size_t len = 40 * 400;
    char *text = malloc(len);
    assert_non_null(text);
    memset(text, '=', len);
    struct fim_input in = {text, len, text, len, NULL, 4 + 200};
    struct fim_prompt p = {0};
    struct error err = {0};
    assert_int_equal(fim_build(&f, v.tokenizer, &in, &p, &err), OK);
    assert_in_range(p.prefix_tokens, 140, 150);
    assert_in_range(p.suffix_tokens, 40, 50);
    /* A cut inside one of the tokens leaves up to 39 tokens of one byte. */
    assert_in_range(len - p.prefix_start, 40 * 100, 40 * 150);
    assert_in_range(p.suffix_end, 40 * 20, 40 * 50);
    fim_prompt_fini(&p);
    free(text);
    fake_vocab_fini(&v);
}

static void any_budget_fits(void **state)
{
    (void)state;
    struct fake_vocab v;
    fake_vocab_spm(&v, llama, 0, 1);
    struct fim_template f = detect(&v);
    static const char text[] =
        "a\n\n<s>bé\n  \xE2\x82\xAC\xE2\x82\xAC\xFF\xFF\n\nlonger line here\nx\n";
    for (size_t max = 20; max < 130; max++) {
        for (size_t cut = 0; cut <= sizeof text - 1; cut += 3) {
            struct fim_input in = {text, cut, text + cut, sizeof text - 1 - cut, NULL, max};
            struct fim_prompt p = {0};
            struct error err = {0};
            if (fim_build(&f, v.tokenizer, &in, &p, &err)) fail_msg("%s", err.msg);
            assert_true(p.tokens.len <= max);
            assert_int_equal(p.truncated, p.prefix_start > 0 || p.suffix_end < in.suffix_len);
            fim_prompt_fini(&p);
        }
    }
    fake_vocab_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_family),
        cmocka_unit_test(stop_tokens),
        cmocka_unit_test(code_llama),
        cmocka_unit_test(code_llama_without_marks),
        cmocka_unit_test(parts_get_no_spaces),
        cmocka_unit_test(bos_as_the_metadata_says),
        cmocka_unit_test(ids_from_metadata),
        cmocka_unit_test(no_template),
        cmocka_unit_test(user_text_is_never_control),
        cmocka_unit_test(cuts_at_lines),
        cmocka_unit_test(favours_the_prefix),
        cmocka_unit_test(long_tokens),
        cmocka_unit_test(any_budget_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
