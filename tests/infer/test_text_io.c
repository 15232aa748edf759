/* Prompts to tokens, tokens to whole characters, over a byte vocabulary of 256 tokens and a few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "infer/text_io.h"

enum { N_BYTES = 256, BOS = 256, EOS, N_TOKENS };

/* Byte-level vocabularies write a byte as a printable character: itself, or one from U+0100 on. */
static struct tokenizer *byte_tokenizer(bool add_bos)
{
    static char names[N_TOKENS][8];
    static struct text_str tokens[N_TOKENS];
    static uint8_t types[N_TOKENS];
    unsigned next = 0x100;
    for (unsigned b = 0; b < N_BYTES; b++) {
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        unsigned c = plain ? b : next++;
        int n = c < 0x80 ? snprintf(names[b], 8, "%c", (char)c)
                         : snprintf(names[b], 8, "%c%c", (char)(0xc0 | c >> 6),
                                    (char)(0x80 | (c & 0x3f)));
        tokens[b] = (struct text_str){names[b], (size_t)n};
        types[b] = TOKEN_NORMAL;
    }
    tokens[BOS] = (struct text_str){"<s>", 3};
    tokens[EOS] = (struct text_str){"</s>", 4};
    types[BOS] = types[EOS] = TOKEN_CONTROL;
    struct vocab_source src = {.model = "gpt2",
                               .pre = "gpt-2",
                               .n_tokens = N_TOKENS,
                               .tokens = tokens,
                               .types = types,
                               .bos = BOS,
                               .eos = EOS,
                               .eot = TOKEN_NONE,
                               .unk = TOKEN_NONE,
                               .pad = TOKEN_NONE,
                               .fim_pre = TOKEN_NONE,
                               .fim_suf = TOKEN_NONE,
                               .fim_mid = TOKEN_NONE,
                               .fim_pad = TOKEN_NONE,
                               .fim_rep = TOKEN_NONE,
                               .fim_sep = TOKEN_NONE,
                               .add_bos = add_bos};
    struct tokenizer *t;
    struct error err;
    if (tokenizer_create(&src, &t, &err) != OK) fail_msg("%s", err.msg);
    return t;
}

/* ---- prompts ----------------------------------------------------------------------------------
 */

static void check_prompt(const struct tokenizer *t, const char *text, bool special, size_t n,
                         const int32_t *want)
{
    struct token_list list = {0};
    struct error err;
    assert_int_equal(prompt_encode(t, text, strlen(text), special, &list, &err), OK);
    assert_int_equal(list.len, n);
    if (n) assert_memory_equal(list.ids, want, n * sizeof *want);
    token_list_fini(&list);
}

static void bos_comes_first_where_the_model_asks_for_it(void **state)
{
    (void)state;
    struct tokenizer *t = byte_tokenizer(true);
    check_prompt(t, "ab", false, 3, (int32_t[]){BOS, 'a', 'b'});
    check_prompt(t, "", false, 1, (int32_t[]){BOS});
    /* A text that brings its own gets no second one, but only where control tokens are parsed. */
    check_prompt(t, "<s>a", true, 2, (int32_t[]){BOS, 'a'});
    check_prompt(t, "<s>", false, 4, (int32_t[]){BOS, '<', 's', '>'});
    tokenizer_destroy(t);
    t = byte_tokenizer(false);
    check_prompt(t, "ab", false, 2, (int32_t[]){'a', 'b'});
    check_prompt(t, "", false, 0, NULL);
    check_prompt(t, "<s>a", true, 2, (int32_t[]){BOS, 'a'});
    tokenizer_destroy(t);
}

static void a_prompt_is_appended(void **state)
{
    (void)state;
    struct tokenizer *t = byte_tokenizer(true);
    struct token_list list = {0};
    assert_int_equal(token_list_push(&list, BOS), OK);
    assert_int_equal(prompt_encode(t, "<s>x", 4, true, &list, NULL), OK);
    assert_int_equal(list.len, 3);
    assert_memory_equal(list.ids, ((int32_t[]){BOS, BOS, 'x'}), 3 * sizeof(int32_t));
    token_list_fini(&list);
    tokenizer_destroy(t);
}

/* ---- the stream -------------------------------------------------------------------------------
 */

/* Feeds the text byte by byte and writes what each step gave, separated by '|'. */
static void check_stream(const struct tokenizer *t, const char *text, const char *want)
{
    struct text_stream s;
    struct buf out, all;
    text_stream_init(&s, t, false);
    buf_init(&out, 1000);
    buf_init(&all, 1000);
    for (const char *p = text; *p; p++) {
        buf_clear(&out);
        assert_int_equal(text_stream_push(&s, (unsigned char)*p, &out), OK);
        assert_int_equal(buf_append(&all, out.data ? out.data : "", out.len), OK);
        assert_int_equal(buf_append_str(&all, "|"), OK);
    }
    buf_clear(&out);
    assert_int_equal(text_stream_end(&s, &out), OK);
    assert_int_equal(buf_append(&all, out.data ? out.data : "", out.len), OK);
    assert_string_equal(all.data, want);
    buf_fini(&out);
    buf_fini(&all);
}

static void characters_come_whole(void **state)
{
    (void)state;
    struct tokenizer *t = byte_tokenizer(false);
    check_stream(t, "ab", "a|b|");
    check_stream(t, "\xc3\xa9x", "|\xc3\xa9|x|");
    check_stream(t, "\xe2\x82\xac", "||\xe2\x82\xac|");
    check_stream(t, "\xf0\x9f\x98\x80!", "|||\xf0\x9f\x98\x80|!|");
    /* What can become no character is not waited for. */
    check_stream(t, "\x80z", "\x80|z|");
    check_stream(t, "\xffz", "\xff|z|");
    check_stream(t, "\xc3z", "|\xc3z|");
    check_stream(t, "\xe2\x82z", "||\xe2\x82z|");
    check_stream(t, "\xc0\xaf", "\xc0|\xaf|");          /* overlong */
    check_stream(t, "\xed\xa0\x80", "|\xed\xa0|\x80|"); /* a surrogate */
    check_stream(t, "\xf5\x80", "\xf5|\x80|");
    check_stream(t, "\xc3\xc3\xa9", "|\xc3|\xc3\xa9|");
    /* An end in the middle of one gives what there is. */
    check_stream(t, "a\xf0\x9f\x98", "a||||\xf0\x9f\x98");
    tokenizer_destroy(t);
}

static void control_tokens_show_only_on_request(void **state)
{
    (void)state;
    struct tokenizer *t = byte_tokenizer(false);
    for (int special = 0; special < 2; special++) {
        struct text_stream s;
        struct buf out;
        text_stream_init(&s, t, special);
        buf_init(&out, 100);
        assert_int_equal(text_stream_push(&s, 'a', &out), OK);
        assert_int_equal(text_stream_push(&s, EOS, &out), OK);
        assert_int_equal(text_stream_push(&s, N_TOKENS + 7, &out), OK); /* not in the vocabulary */
        assert_string_equal(out.data, special ? "a</s>" : "a");
        buf_fini(&out);
    }
    tokenizer_destroy(t);
}

static void a_full_buffer_loses_nothing(void **state)
{
    (void)state;
    struct tokenizer *t = byte_tokenizer(false);
    struct text_stream s;
    struct buf out;
    text_stream_init(&s, t, false);
    buf_init(&out, 2);
    assert_int_equal(text_stream_push(&s, 'a', &out), OK);
    assert_int_equal(text_stream_push(&s, 0xc3, &out), OK);
    assert_int_equal(text_stream_push(&s, 0xa9, &out), ERR_LIMIT);
    assert_string_equal(out.data, "a");
    assert_int_equal(s.n_held, 1);
    buf_clear(&out);
    assert_int_equal(text_stream_push(&s, 0xa9, &out), OK);
    assert_string_equal(out.data, "\xc3\xa9");
    buf_fini(&out);
    tokenizer_destroy(t);
}

/* ---- replacement ------------------------------------------------------------------------------
 */

#define R "\xef\xbf\xbd"

static void bytes_that_are_no_text_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xffz", "a" R "z"},
        {"\x80\x80", R R},
        {"\xc3", R},
        {"\xc3z", R "z"},
        {"\xe2\x82", R R},
        {"\xed\xa0\x80", R R R},
        {"\xf4\x90\x80\x80", R R R R},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xe0\x9f\xbf", R R R},
        {"\xf0\x8f\xbf\xbf", R R R R},
        {"ok\xc0\xafok", "ok" R R "ok"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_int_equal(buf_append_str(&out, "<"), OK);
        assert_int_equal(text_append_valid(&out, cases[i].in, strlen(cases[i].in)), OK);
        assert_string_equal(out.data + 1, cases[i].want);
        buf_fini(&out);
    }
    struct buf out;
    buf_init(&out, 4);
    assert_int_equal(text_append_valid(&out, "\xff\xff", 2), ERR_LIMIT);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bos_comes_first_where_the_model_asks_for_it),
        cmocka_unit_test(a_prompt_is_appended),
        cmocka_unit_test(characters_come_whole),
        cmocka_unit_test(control_tokens_show_only_on_request),
        cmocka_unit_test(a_full_buffer_loses_nothing),
        cmocka_unit_test(bytes_that_are_no_text_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
