/* Ids worked out by hand on small vocabularies, and what special tokens may and may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vocab_make.h"

static struct tokenizer *create(const struct made_vocab *m)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    if (tokenizer_create(&m->src, &t, &err)) fail_msg("%s", err.msg);
    return t;
}

/* Compares the ids of a text with a list that ends at -1. */
static void check(const struct tokenizer *t, const char *text, bool special, bool raw,
                  const int32_t *want)
{
    struct token_list ids = {0};
    struct error err = {0};
    enum status st = raw ? tokenizer_encode_raw(t, text, strlen(text), special, &ids, &err)
                         : tokenizer_encode(t, text, strlen(text), special, &ids, &err);
    assert_int_equal(st, OK);
    size_t n = 0;
    while (want[n] >= 0) n++;
    bool same = n == ids.len && (n == 0 || memcmp(ids.ids, want, n * sizeof *want) == 0);
    if (!same) {
        print_error("'%s':", text);
        for (size_t i = 0; i < ids.len; i++) print_error(" %d", ids.ids[i]);
        print_error(", not");
        for (size_t i = 0; i < n; i++) print_error(" %d", want[i]);
        print_error("\n");
    }
    token_list_fini(&ids);
    assert_true(same);
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})
#define CHECK(t, text, ...) check(t, text, false, false, IDS(__VA_ARGS__))
#define CHECK_SPECIAL(t, text, ...) check(t, text, true, false, IDS(__VA_ARGS__))

static void check_decode(const struct tokenizer *t, const int32_t *ids, bool special,
                         const char *want)
{
    size_t n = 0;
    while (ids[n] >= 0) n++;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(tokenizer_decode(t, ids, n, special, &out, NULL), OK);
    assert_string_equal(out.data ? out.data : "", want);
    buf_fini(&out);
}

/* ---- byte-level BPE ---- */

static void bpe_merges_by_rank(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    made_all_bytes(&m); /* ids 0 to 255 */
    int32_t ab = made_token(&m, "ab", TOKEN_NORMAL, 0);
    int32_t bc = made_token(&m, "bc", TOKEN_NORMAL, 0);
    int32_t abc = made_token(&m, "abc", TOKEN_NORMAL, 0);
    int32_t aa = made_token(&m, "aa", TOKEN_NORMAL, 0);
    int32_t space_a = made_token(&m, "\u0120a", TOKEN_NORMAL, 0);
    made_merge(&m, "b c");
    made_merge(&m, "a b");
    made_merge(&m, "a bc");
    made_merge(&m, "a a");
    made_merge(&m, "\u0120 a");
    struct tokenizer *t = create(&m);
    CHECK(t, "abc", abc);              /* b c outranks a b, then a bc */
    CHECK(t, "ab", ab);
    CHECK(t, "bcb", bc, 'b');
    CHECK(t, "aaa", aa, 'a');          /* of equal ranks the left pair first */
    CHECK(t, "aaaa", aa, aa);
    CHECK(t, "x abc", 'x', ' ', abc);  /* "b c" and "a bc" leave the space no a to merge with */
    CHECK(t, "x a", 'x', space_a);
    CHECK(t, "a\nb", 'a', '\n', 'b');  /* words do not merge across the pre-tokenizer's cuts */
    check(t, "", false, false, IDS(-1));
    check_decode(t, IDS(space_a, abc, '\n', 0xE9), false, " aabc\n\xE9");
    tokenizer_destroy(t);
    made_fini(&m);
}

static void bpe_ignore_merges(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "llama-bpe");
    made_all_bytes(&m);
    int32_t word = made_token(&m, "\u0120word", TOKEN_NORMAL, 0);
    int32_t control = made_token(&m, "stop", TOKEN_CONTROL, 0);
    struct tokenizer *t = create(&m);
    CHECK(t, " word", word);
    CHECK(t, "stop", 's', 't', 'o', 'p'); /* a whole word, but never a control token */
    CHECK_SPECIAL(t, "stop", control);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void bpe_bad_merges_do_nothing(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", NULL);
    made_all_bytes(&m);
    int32_t xy = made_token(&m, "xy", TOKEN_NORMAL, 0);
    made_token(&m, "pq", TOKEN_CONTROL, 0);
    const char *const bad[] = {"", " ", "x", "xy", "x nothere", "nothere y", "x z", "x ", " x", "p q",
                               "  ", "x  y"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) made_merge(&m, bad[i]);
    made_merge(&m, "x y");
    made_merge(&m, "x y");
    struct tokenizer *t = create(&m);
    CHECK(t, "xyxz", xy, 'x', 'z');
    CHECK(t, "pq", 'p', 'q');
    tokenizer_destroy(t);
    made_fini(&m);
}

/* The loader guesses that a merge's result is the token after the last one's; here it never is. */
static void bpe_merges_in_another_order_than_tokens(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    made_all_bytes(&m);
    int32_t ab = made_token(&m, "ab", TOKEN_NORMAL, 0);
    int32_t zc = made_token(&m, "zc", TOKEN_NORMAL, 0);
    int32_t yc = made_token(&m, "yc", TOKEN_NORMAL, 0);
    int32_t yd = made_token(&m, "yd", TOKEN_NORMAL, 0);
    made_merge(&m, "a b");
    made_merge(&m, "y c"); /* the next token, "zc", ends alike */
    made_merge(&m, "z c");
    made_merge(&m, "y d"); /* the next token, "yc", begins alike */
    struct tokenizer *t = create(&m);
    CHECK(t, "abycyd", ab, yc, yd);
    CHECK(t, "zc", zc);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void bpe_missing_bytes_become_replacement(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    made_all_bytes(&m);
    m.types[0xC0] = TOKEN_USER_DEFINED; /* as in DeepSeek: the text U+00C0, not the byte */
    struct tokenizer *t = create(&m);
    assert_false(tokenizer_has_byte(t, 0xC0));
    assert_true(tokenizer_has_byte(t, 0xC1));
    CHECK(t, "\xC0", 0xEF, 0xBF, 0xBD);
    CHECK(t, "\u00C0", 0xC0);
    check_decode(t, IDS(0xC0), false, "\u00C0");
    tokenizer_destroy(t);
    made_fini(&m);
}

static void bpe_without_a_way_out_is_an_error(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "gpt-2");
    int32_t a = made_token(&m, "a", TOKEN_NORMAL, 0);
    struct tokenizer *t = create(&m);
    CHECK(t, "a", a);
    struct token_list ids = {0};
    struct error err = {0};
    token_list_push(&ids, 7);
    assert_int_equal(tokenizer_encode(t, "ab", 2, false, &ids, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "0x62"));
    assert_int_equal(ids.len, 1);
    token_list_fini(&ids);
    tokenizer_destroy(t);
    made_fini(&m);
}

/* ---- special tokens ---- */

static void specials_need_asking(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "qwen2");
    made_all_bytes(&m);
    int32_t eot = made_token(&m, "<|x|>", TOKEN_CONTROL, 0);
    int32_t user = made_token(&m, "<t>", TOKEN_USER_DEFINED, 0);
    int32_t unknown = made_token(&m, "<u>", TOKEN_UNKNOWN, 0);
    struct tokenizer *t = create(&m);
    CHECK(t, "<|x|>", '<', '|', 'x', '|', '>');
    CHECK_SPECIAL(t, "<|x|>", eot);
    CHECK(t, "a<t>b", 'a', user, 'b');
    CHECK_SPECIAL(t, "<t><t>", user, user);
    CHECK(t, "<u>", '<', 'u', '>');
    CHECK_SPECIAL(t, "<u>a<|x|>", unknown, 'a', eot);
    check_decode(t, IDS('a', eot, user, unknown), false, "a<t>");
    check_decode(t, IDS('a', eot, user, unknown), true, "a<|x|><t><u>");
    tokenizer_destroy(t);
    made_fini(&m);
}

static void longest_special_first(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "qwen2");
    made_all_bytes(&m);
    int32_t ab = made_token(&m, "[ab", TOKEN_USER_DEFINED, 0);
    int32_t abc = made_token(&m, "ab]c", TOKEN_USER_DEFINED, 0);
    int32_t b = made_token(&m, "]", TOKEN_USER_DEFINED, 0);
    struct tokenizer *t = create(&m);
    /* The longer one is taken everywhere first, although the shorter one begins earlier. */
    CHECK(t, "[ab]c", '[', abc);
    CHECK(t, "[ab]d", ab, b, 'd');
    CHECK(t, "]]", b, b);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void special_ids_by_text(void **unused)
{
    (void)unused;
    static const char *const sets[][3] = {
        {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
        {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
        {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},
        {"<\uFF5Cfim\u2581begin\uFF5C>", "<\uFF5Cfim\u2581hole\uFF5C>", "<\uFF5Cfim\u2581end\uFF5C>"},
        {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"},
        {"[PREFIX]", "[SUFFIX]", "[MIDDLE]"},
    };
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        struct made_vocab m;
        made_init(&m, "llama", NULL);
        made_all_bytes(&m);
        int32_t ids[3];
        for (size_t k = 0; k < 3; k++) ids[k] = made_token(&m, sets[i][k], TOKEN_USER_DEFINED, 0);
        struct tokenizer *t = create(&m);
        const struct vocab_source *s = tokenizer_source(t);
        assert_int_equal(s->fim_pre, ids[0]);
        assert_int_equal(s->fim_suf, ids[1]);
        assert_int_equal(s->fim_mid, ids[2]);
        assert_int_equal(s->fim_sep, TOKEN_NONE);
        assert_int_equal(tokenizer_type(t, ids[0]), TOKEN_CONTROL);
        tokenizer_destroy(t);
        made_fini(&m);
    }
}

static void metadata_beats_text(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "qwen2");
    made_all_bytes(&m);
    made_specials(&m);
    m.src.fim_pre = 65;
    m.src.fim_suf = 1 << 20; /* outside: as if absent */
    m.src.eos = -7;
    struct tokenizer *t = create(&m);
    const struct vocab_source *s = tokenizer_source(t);
    assert_int_equal(s->fim_pre, 65);
    assert_int_equal(s->fim_suf, tokenizer_find(t, "<|fim_suffix|>", 14));
    assert_int_equal(s->eos, TOKEN_NONE);
    assert_int_equal(s->eot, tokenizer_find(t, "<|im_end|>", 10));
    tokenizer_destroy(t);
    made_fini(&m);
}

static void end_tokens(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", "qwen2");
    made_all_bytes(&m);
    made_specials(&m);
    int32_t sep = made_token(&m, "<|file_sep|>", TOKEN_NORMAL, 0);
    int32_t end = made_token(&m, "<|end|>", TOKEN_CONTROL, 0);
    m.src.eos = made_token(&m, "<finish>", TOKEN_CONTROL, 0);
    struct tokenizer *t = create(&m);
    assert_true(tokenizer_is_end(t, m.src.eos));
    assert_true(tokenizer_is_end(t, sep));
    assert_true(tokenizer_is_end(t, end));
    assert_true(tokenizer_is_end(t, tokenizer_find(t, "<|endoftext|>", 13)));
    assert_true(tokenizer_is_end(t, tokenizer_find(t, "<|im_end|>", 10)));
    assert_false(tokenizer_is_end(t, tokenizer_find(t, "<|fim_prefix|>", 14)));
    assert_false(tokenizer_is_end(t, 'a'));
    assert_false(tokenizer_is_end(t, TOKEN_NONE));
    tokenizer_destroy(t);

    /* Where <|return|> and <|call|> end answers, <|end|> does not. */
    made_token(&m, "<|return|>", TOKEN_CONTROL, 0);
    made_token(&m, "<|call|>", TOKEN_CONTROL, 0);
    t = create(&m);
    assert_false(tokenizer_is_end(t, end));
    assert_int_equal(tokenizer_type(t, end), TOKEN_USER_DEFINED);
    tokenizer_destroy(t);
    made_fini(&m);
}

/* ---- SentencePiece ---- */

struct spm {
    struct made_vocab m;
    struct tokenizer *t;
    int32_t byte0, space, hello, world, space_world, lo, hel, he, ll;
};

static void spm_init(struct spm *s)
{
    struct made_vocab *m = &s->m;
    made_init(m, "llama", NULL);
    m->src.unk = made_token(m, "<unk>", TOKEN_UNKNOWN, 0);
    m->src.bos = made_token(m, "<s>", TOKEN_CONTROL, 0);
    m->src.eos = made_token(m, "</s>", TOKEN_CONTROL, 0);
    s->byte0 = 3;
    made_all_bytes(m);
    s->space = made_token(m, "\u2581", TOKEN_NORMAL, -50);
    for (const char *c = "helowrd<s>/"; *c; c++)
        made_token_bytes(m, c, 1, TOKEN_NORMAL, -100);
    s->lo = made_token(m, "lo", TOKEN_NORMAL, -3);
    s->hel = made_token(m, "hel", TOKEN_NORMAL, -2);
    s->he = made_token(m, "he", TOKEN_NORMAL, -4);
    s->ll = made_token(m, "ll", TOKEN_NORMAL, -5);
    s->hello = made_token(m, "hello", TOKEN_NORMAL, -6);
    s->world = made_token(m, "wo", TOKEN_NORMAL, -7);
    s->space_world = made_token(m, "\u2581wo", TOKEN_NORMAL, -8);
    made_token(m, "</", TOKEN_NORMAL, -9);
    made_token(m, "s>", TOKEN_NORMAL, -9);
    s->t = create(m);
}

static void spm_fini(struct spm *s)
{
    tokenizer_destroy(s->t);
    made_fini(&s->m);
}

static int32_t id_of(const struct tokenizer *t, const char *text)
{
    return tokenizer_find(t, text, strlen(text));
}

static void spm_merges_by_score(void **unused)
{
    (void)unused;
    struct spm s;
    spm_init(&s);
    const struct tokenizer *t = s.t;
    /* "lo" (-3) before "he" (-4); then "hel" has no l left, and "he"+"l" would need it. */
    CHECK(t, "helo", s.space, s.he, s.lo);
    /* h e l l o: "lo" first, "he", then "hel" (-2), then "hello". */
    CHECK(t, "hello", s.space, s.hello);
    CHECK(t, "wo wo", s.space_world, s.space_world);
    check(t, "wo wo", false, true, IDS(s.world, s.space_world));
    CHECK(t, " wo", s.space, s.space_world);
    CHECK(t, "lll", s.space, s.ll, id_of(t, "l")); /* of equal scores the left pair first */
    check(t, "", false, false, IDS(-1));
    spm_fini(&s);
}

static void spm_byte_fallback(void **unused)
{
    (void)unused;
    struct spm s;
    spm_init(&s);
    const struct tokenizer *t = s.t;
    CHECK(t, "\u00E9", s.space, s.byte0 + 0xC3, s.byte0 + 0xA9);
    CHECK(t, "\xFFhe", s.space, s.byte0 + 0xFF, s.he);
    CHECK(t, "\xE1 he", s.space, s.byte0 + 0xE1, s.space, s.he);
    CHECK(t, "\n", s.space, s.byte0 + '\n');
    /* A literal U+2581 is not a space. */
    CHECK(t, "\u2581wo", s.space, s.byte0 + 0xE2, s.byte0 + 0x96, s.byte0 + 0x81, s.world);
    check_decode(t, IDS(s.space, s.byte0 + 0xE2, s.byte0 + 0x96, s.byte0 + 0x81), false, "\u2581");
    spm_fini(&s);
}

static void spm_never_makes_control_tokens(void **unused)
{
    (void)unused;
    struct spm s;
    spm_init(&s);
    const struct tokenizer *t = s.t;
    CHECK(t, "</s>", s.space, id_of(t, "</"), id_of(t, "s>"));
    CHECK_SPECIAL(t, "</s>", 2);
    CHECK_SPECIAL(t, "he</s>he", s.space, s.he, 2, s.space, s.he);
    check(t, "he</s>he", true, true, IDS(s.he, 2, s.space, s.he));
    spm_fini(&s);
}

static void spm_decode_removes_the_prefix(void **unused)
{
    (void)unused;
    struct spm s;
    spm_init(&s);
    check_decode(s.t, IDS(s.space_world, s.space_world), false, "wo wo");
    check_decode(s.t, IDS(1, s.space_world, s.hello), false, "wohello");
    check_decode(s.t, IDS(1, s.space_world, 2, s.space_world), true, "<s>wo</s>wo");
    check_decode(s.t, IDS(s.byte0 + 'A', s.space_world), false, "A wo");
    char piece[8];
    assert_int_equal(tokenizer_piece(s.t, s.space_world, false, piece, sizeof piece), 3);
    assert_memory_equal(piece, " wo", 3);
    spm_fini(&s);
}

static void spm_without_prefix_or_bytes(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "llama", NULL);
    m.src.add_space_prefix = false;
    m.src.unk = made_token(&m, "<unk>", TOKEN_UNKNOWN, 0);
    int32_t a = made_token(&m, "a", TOKEN_NORMAL, 0);
    int32_t space = made_token(&m, "\u2581", TOKEN_NORMAL, 0);
    m.src.scores = NULL;
    struct tokenizer *t = create(&m);
    CHECK(t, "a a", a, space, a);
    CHECK(t, "b", 0);
    check_decode(t, IDS(space, a), false, " a");
    tokenizer_destroy(t);
    made_fini(&m);
}

static void phi3_strips_behind_parsed_specials(void **unused)
{
    (void)unused;
    struct spm s;
    spm_init(&s);
    tokenizer_destroy(s.t);
    int32_t user = made_token(&s.m, "<|user|>", TOKEN_CONTROL, 0);
    s.m.src.strip_after_special = true;
    s.t = create(&s.m);
    CHECK_SPECIAL(s.t, "<|user|> \n he", user, s.space, s.he);
    CHECK_SPECIAL(s.t, "<s> he", 1, s.space, s.space, s.he);
    spm_fini(&s);
}

/* ---- characters ---- */

static void character_bpe(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gemma4", NULL);
    made_all_bytes(&m);
    made_characters(&m);
    int32_t a_b = made_token(&m, "a\u2581b", TOKEN_NORMAL, 0);
    int32_t space_b = made_token(&m, "\u2581b", TOKEN_NORMAL, 0);
    int32_t lines = made_token(&m, "\n\n", TOKEN_NORMAL, 0);
    made_merge(&m, "\u2581 b");
    made_merge(&m, "a \u2581b");
    struct tokenizer *t = create(&m);
    CHECK(t, "a b", a_b);
    CHECK(t, " b", space_b);
    CHECK(t, "\n\n", lines);
    CHECK(t, "\n\n\n", id_of(t, "\n"), id_of(t, "\n"), id_of(t, "\n"));
    CHECK(t, "\u00FC", 0xC3, 0xBC);
    CHECK(t, "\u2581b", 0xE2, 0x96, 0x81, id_of(t, "b"));
    check_decode(t, IDS(a_b, lines, 0xFF), false, "a b\n\n\xFF");
    tokenizer_destroy(t);
    made_fini(&m);
}

/* ---- questions ---- */

static void pieces_and_bounds(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", NULL);
    made_all_bytes(&m);
    int32_t word = made_token(&m, "\u0120\u0120ab\u010A", TOKEN_NORMAL, 0);
    int32_t odd = made_token(&m, "\u4E2D\xFFx", TOKEN_NORMAL, 0); /* outside the byte alphabet */
    struct tokenizer *t = create(&m);
    char dst[8] = "zzzzzzz";
    assert_int_equal(tokenizer_piece(t, word, false, dst, 4), 5);
    assert_string_equal(dst, "zzzzzzz");
    assert_int_equal(tokenizer_piece(t, word, false, dst, 5), 5);
    assert_memory_equal(dst, "  ab\nzz", 7);
    assert_int_equal(tokenizer_piece(t, word, false, NULL, 0), 5);
    assert_int_equal(tokenizer_piece(t, odd, false, dst, sizeof dst), 5);
    assert_memory_equal(dst, "\u4E2D\xFFx", 5);
    assert_int_equal(tokenizer_piece(t, -1, true, dst, sizeof dst), 0);
    assert_int_equal(tokenizer_piece(t, odd + 1, true, dst, sizeof dst), 0);
    assert_int_equal(tokenizer_n_tokens(t), (size_t)odd + 1);
    assert_int_equal(tokenizer_find(t, "nothing", 7), TOKEN_NONE);
    assert_int_equal(tokenizer_find(t, "", 0), TOKEN_NONE);
    assert_int_equal(tokenizer_type(t, odd + 1), TOKEN_UNUSED);

    struct buf out;
    struct error err = {0};
    buf_init(&out, 3);
    assert_int_equal(buf_append_str(&out, "k"), OK);
    assert_int_equal(tokenizer_decode(t, IDS('a', word), 2, false, &out, &err), ERR_LIMIT);
    assert_string_equal(out.data, "k");
    assert_int_equal(tokenizer_decode(t, IDS('a', odd + 1), 2, false, &out, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "index 1"));
    assert_string_equal(out.data, "k");
    buf_fini(&out);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void last_duplicate_wins(void **unused)
{
    (void)unused;
    struct made_vocab m;
    made_init(&m, "gpt2", NULL);
    made_all_bytes(&m);
    made_token(&m, "xy", TOKEN_NORMAL, 0);
    int32_t second = made_token(&m, "xy", TOKEN_NORMAL, 0);
    int32_t other_a = made_token(&m, "a", TOKEN_NORMAL, 0);
    made_merge(&m, "x y");
    struct tokenizer *t = create(&m);
    CHECK(t, "xya", second, other_a);
    tokenizer_destroy(t);
    made_fini(&m);
}

static bool default_add_bos(const char *model, const char *pre)
{
    struct vocab_source s = {.model = model, .pre = pre};
    tokenizer_defaults(&s);
    return s.add_bos;
}

static void models_and_pre_tokenizers(void **unused)
{
    (void)unused;
    struct made_vocab m;
    struct tokenizer *t;
    struct error err = {0};
    made_init(&m, "rwkv", NULL);
    made_all_bytes(&m);
    assert_int_equal(tokenizer_create(&m.src, &t, &err), ERR_UNSUPPORTED);
    assert_null(t);
    assert_non_null(strstr(err.msg, "'rwkv'"));
    m.src.model = "gpt2";
    m.src.pre = "no-such-thing";
    assert_int_equal(tokenizer_create(&m.src, &t, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "'no-such-thing'"));
    m.src.model = NULL;
    assert_int_equal(tokenizer_create(&m.src, &t, &err), ERR_UNSUPPORTED);
    m.src.model = "llama"; /* has no pre-tokenizer to get wrong */
    assert_int_equal(tokenizer_create(&m.src, &t, &err), OK);
    tokenizer_destroy(t);
    assert_true(default_add_bos("gpt2", "llama-bpe"));
    assert_false(default_add_bos("gpt2", "qwen2"));
    assert_false(default_add_bos("gpt2", "no-such-thing"));
    assert_false(default_add_bos("gpt2", NULL));
    assert_true(default_add_bos("llama", "default"));
    assert_true(default_add_bos("gemma4", NULL));
    assert_true(default_add_bos("bert", NULL));
    assert_false(default_add_bos("t5", NULL));
    assert_false(default_add_bos(NULL, "llama-bpe"));
    made_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bpe_merges_by_rank),
        cmocka_unit_test(bpe_ignore_merges),
        cmocka_unit_test(bpe_bad_merges_do_nothing),
        cmocka_unit_test(bpe_merges_in_another_order_than_tokens),
        cmocka_unit_test(bpe_missing_bytes_become_replacement),
        cmocka_unit_test(bpe_without_a_way_out_is_an_error),
        cmocka_unit_test(specials_need_asking),
        cmocka_unit_test(longest_special_first),
        cmocka_unit_test(special_ids_by_text),
        cmocka_unit_test(metadata_beats_text),
        cmocka_unit_test(end_tokens),
        cmocka_unit_test(spm_merges_by_score),
        cmocka_unit_test(spm_byte_fallback),
        cmocka_unit_test(spm_never_makes_control_tokens),
        cmocka_unit_test(spm_decode_removes_the_prefix),
        cmocka_unit_test(spm_without_prefix_or_bytes),
        cmocka_unit_test(phi3_strips_behind_parsed_specials),
        cmocka_unit_test(character_bpe),
        cmocka_unit_test(pieces_and_bounds),
        cmocka_unit_test(last_duplicate_wins),
        cmocka_unit_test(models_and_pre_tokenizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
