/* WordPiece and Unigram: ids worked out by hand on small vocabularies, what normalisation does to a text,
 * and what stands around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/charsmap.h"
#include "text/trie.h"
#include "vocab_make.h"

static struct tokenizer *create(const struct made_vocab *m)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    if (tokenizer_create(&m->src, &t, &err)) fail_msg("%s", err.msg);
    return t;
}

static void compare(const struct token_list *ids, const char *text, const int32_t *want)
{
    size_t n = 0;
    while (want[n] != -1) n++;
    bool same = n == ids->len && (n == 0 || memcmp(ids->ids, want, n * sizeof *want) == 0);
    if (same) return;
    print_error("'%s':", text);
    for (size_t i = 0; i < ids->len; i++) print_error(" %d", ids->ids[i]);
    fail_msg("not what was worked out");
}

static void check(const struct tokenizer *t, const char *text, bool special, const int32_t *want)
{
    struct token_list ids = {0};
    struct error err = {0};
    assert_int_equal(tokenizer_encode(t, text, strlen(text), special, &ids, &err), OK);
    compare(&ids, text, want);
    token_list_fini(&ids);
}

#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})
#define CHECK(t, text, ...) check(t, text, false, IDS(__VA_ARGS__))

/* ---- WordPiece ---- */

enum { W_PAD, W_UNK, W_CLS, W_SEP, W_UN, W_AFF, W_ABLE, W_CAFE, W_E, W_DOT, W_ZHONG, W_BAR, W_INNER_BAR,
       W_I, W_COUNT };

static void wordpiece_vocab(struct made_vocab *m, bool lowercase)
{
    static const char *const words[] = {"\u2581un", "aff", "able", "\u2581cafe", "\u2581e", "\u2581.",
                                        "\u2581\u4E2D", "\u2581\u2581", "\u2581", "\u2581i"};
    made_init(m, "bert", NULL);
    made_token(m, "[PAD]", TOKEN_CONTROL, 0);
    made_token(m, "[UNK]", TOKEN_CONTROL, 0);
    made_token(m, "[CLS]", TOKEN_CONTROL, 0);
    made_token(m, "[SEP]", TOKEN_CONTROL, 0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) made_token(m, words[i], TOKEN_NORMAL, 0);
    assert_int_equal(m->src.n_tokens, W_COUNT);
    m->src.unk = W_UNK;
    m->src.cls = W_CLS;
    m->src.sep = W_SEP;
    m->src.lowercase = m->src.strip_accents = lowercase;
    m->src.add_bos = m->src.add_eos = true;
}

static void wordpiece_pieces(void **unused)
{
    (void)unused;
    struct made_vocab m;
    wordpiece_vocab(&m, true);
    struct tokenizer *t = create(&m);
    CHECK(t, "unaffable", W_UN, W_AFF, W_ABLE);
    CHECK(t, "  UNaffable \t\n un", W_UN, W_AFF, W_ABLE, W_UN);
    CHECK(t, "aff", W_UNK);          /* goes on only */
    CHECK(t, "unun", W_UNK);         /* begins only; nothing of a word is kept that cannot be covered */
    CHECK(t, "unaffx un", W_UNK, W_UN);
    CHECK(t, "Caf\u00E9", W_CAFE);   /* composed */
    CHECK(t, "cafe\u0301", W_CAFE);  /* decomposed */
    CHECK(t, "e.e..", W_E, W_DOT, W_E, W_DOT, W_DOT);
    CHECK(t, "e\u4E2De", W_E, W_ZHONG, W_E);
    CHECK(t, "u\u200Dn", W_UN);      /* a format character is dropped */
    CHECK(t, "u\x01n", W_UN);
    CHECK(t, "u\xFFn", W_UN);        /* so is an invalid byte */
    CHECK(t, "u\uFFFDn", W_UN);
    CHECK(t, "e\u00A0e\u3000e", W_E, W_E, W_E);
    CHECK(t, "\u0130", W_I);         /* its dot is an accent */
    CHECK(t, "\u2581", W_BAR);
    CHECK(t, "un\u2581", W_UN, W_INNER_BAR);
    CHECK(t, "un\u2581un", W_UNK);   /* the word "un" goes on with no piece of that text */
    check(t, "", false, IDS(-1));
    check(t, " \n", false, IDS(-1));
    tokenizer_destroy(t);
    made_fini(&m);
}

static void wordpiece_cased(void **unused)
{
    (void)unused;
    struct made_vocab m;
    wordpiece_vocab(&m, false);
    int32_t big = made_token(&m, "\u2581Caf\u00E9", TOKEN_NORMAL, 0);
    struct tokenizer *t = create(&m);
    CHECK(t, "Caf\u00E9", big);
    CHECK(t, "Un", W_UNK);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void wordpiece_long_words(void **unused)
{
    (void)unused;
    struct made_vocab m;
    struct token_list ids = {0};
    char text[102];
    wordpiece_vocab(&m, true);
    int32_t first = made_token(&m, "\u2581x", TOKEN_NORMAL, 0);
    int32_t next = made_token(&m, "x", TOKEN_NORMAL, 0);
    struct tokenizer *t = create(&m);
    memset(text, 'x', sizeof text);
    assert_int_equal(tokenizer_encode(t, text, 100, false, &ids, NULL), OK);
    assert_int_equal(ids.len, 100);
    assert_int_equal(ids.ids[0], first);
    assert_int_equal(ids.ids[99], next);
    ids.len = 0;
    assert_int_equal(tokenizer_encode(t, text, 101, false, &ids, NULL), OK);
    compare(&ids, "x 101 times", IDS(W_UNK));
    token_list_fini(&ids);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void wordpiece_decodes(void **unused)
{
    (void)unused;
    struct made_vocab m;
    struct buf out;
    wordpiece_vocab(&m, true);
    struct tokenizer *t = create(&m);
    buf_init(&out, 100);
    const int32_t ids[] = {W_CLS, W_UN, W_AFF, W_E, W_SEP};
    assert_int_equal(tokenizer_decode(t, ids, 5, false, &out, NULL), OK);
    assert_string_equal(out.data, "unaff e");
    assert_false(tokenizer_has_byte(t, 'e'));
    buf_fini(&out);
    tokenizer_destroy(t);
    made_fini(&m);
}

/* ---- Unigram ---- */

static void unigram_vocab(struct made_vocab *m)
{
    made_init(m, "t5", NULL);
    m->src.unk = made_token(m, "<unk>", TOKEN_UNKNOWN, 0); /* 0 */
    m->src.eos = made_token(m, "</s>", TOKEN_CONTROL, 0);  /* 1 */
    made_token(m, "\u2581", TOKEN_NORMAL, -3);             /* 2 */
    made_token(m, "a", TOKEN_NORMAL, -4);                  /* 3 */
    made_token(m, "b", TOKEN_NORMAL, -4);                  /* 4 */
    made_token(m, "ab", TOKEN_NORMAL, -5);                 /* 5 */
    made_token(m, "\u2581a", TOKEN_NORMAL, -6);            /* 6 */
    made_token(m, "abb", TOKEN_NORMAL, -20);               /* 7 */
    made_token(m, "xy", TOKEN_NORMAL, -20);                /* 8 */
    m->src.add_space_prefix = true;
    m->src.remove_extra_spaces = true;
    m->src.add_eos = true;
}

static void unigram_best_path(void **unused)
{
    (void)unused;
    struct made_vocab m;
    unigram_vocab(&m);
    struct tokenizer *t = create(&m);
    CHECK(t, "a", 6);
    CHECK(t, "ab", 2, 5);       /* -3 -5 beats -6 -4 */
    CHECK(t, "abb", 2, 5, 4);   /* -12 beats -3 -20: not the longest piece */
    CHECK(t, "  a   b ", 6, 2, 4);
    CHECK(t, "azzb", 6, 0, 4);  /* unknown characters are one token */
    CHECK(t, "\u4E2D\u6587", 2, 0);
    CHECK(t, "xyx", 2, 8, 0);   /* no piece is as bad as an unknown character */
    CHECK(t, "a\xFF" "b", 6, 0, 4);
    check(t, "", false, IDS(-1));
    check(t, "   ", false, IDS(-1));
    tokenizer_destroy(t);

    m.src.remove_extra_spaces = false;
    t = create(&m);
    CHECK(t, " a ", 2, 6, 2);
    tokenizer_destroy(t);
    m.src.add_space_prefix = false;
    t = create(&m);
    CHECK(t, "ab b", 5, 2, 4);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void unigram_over_spaces(void **unused)
{
    (void)unused;
    struct made_vocab m;
    unigram_vocab(&m);
    int32_t both = made_token(&m, "a\u2581b", TOKEN_NORMAL, -1);
    struct tokenizer *t = create(&m);
    CHECK(t, "a b", 2, both);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void unigram_bytes(void **unused)
{
    (void)unused;
    struct made_vocab m;
    unigram_vocab(&m);
    int32_t first = (int32_t)m.src.n_tokens;
    made_all_bytes(&m);
    struct tokenizer *t = create(&m);
    CHECK(t, "az", 6, first + 'z');
    CHECK(t, "\u00E9", 2, first + 0xC3, first + 0xA9);
    tokenizer_destroy(t);
    made_fini(&m);
}

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (char)(v >> 8 * i);
}

/* A table of one-byte keys: the root's children lie at their own bytes, their values 256 behind. */
static size_t make_map(char *blob, const char *keys, const char *const *values)
{
    enum { UNITS = 512 };
    size_t end = 4 + 4 * UNITS;
    memset(blob, 0, end);
    put_u32(blob, 4 * UNITS);
    for (size_t i = 0; keys[i]; i++) {
        uint32_t c = (unsigned char)keys[i];
        put_u32(blob + 4 + 4 * c, c | 0x100 | 256 << 10);
        put_u32(blob + 4 + 4 * (c + 256), 0x80000000u | (uint32_t)(end - 4 - 4 * UNITS));
        memcpy(blob + end, values[i], strlen(values[i]) + 1);
        end += strlen(values[i]) + 1;
    }
    return end;
}

static void unigram_charsmap(void **unused)
{
    (void)unused;
    char blob[4096];
    struct made_vocab m;
    unigram_vocab(&m);
    size_t len = make_map(blob, "AB-\t", (const char *const[]){"a", "ab", "", " "});
    m.src.charsmap = (struct text_str){blob, len};
    struct tokenizer *t = create(&m);
    CHECK(t, "A", 6);
    CHECK(t, "B", 2, 5);
    CHECK(t, "a-b", 2, 5);
    CHECK(t, "a\t-\tb", 6, 2, 4);
    tokenizer_destroy(t);

    static const size_t wrong[] = {1, 3, 4, 2051, 2052};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error err = {0};
        m.src.charsmap.len = wrong[i];
        assert_int_equal(tokenizer_create(&m.src, &t, &err), ERR_FORMAT);
        assert_null(t);
    }
    m.src.charsmap.len = len;
    blob[len - 1] = 'x'; /* the last replacement has no end */
    assert_int_equal(tokenizer_create(&m.src, &t, NULL), ERR_FORMAT);
    made_fini(&m);
}

/* Tables whose offsets lead anywhere. */
static void hostile_charsmaps(void **unused)
{
    (void)unused;
    uint64_t state = 99;
    for (int round = 0; round < 3000; round++) {
        size_t units = 1 + random_below(&state, 300), len = 4 + 4 * units + 1 + random_below(&state, 20);
        char *blob = malloc(len), text[300];
        struct charsmap map;
        for (size_t i = 0; i < len; i++) blob[i] = (char)random_next(&state);
        for (size_t i = 0; i < sizeof text; i++) text[i] = (char)random_next(&state);
        for (size_t i = 0; i < units; i++) /* children that exist */
            put_u32(blob + 4 + 4 * i, (uint32_t)(random_next(&state) & 0x800007FF) |
                                          (uint32_t)random_below(&state, units) << 10);
        put_u32(blob, (uint32_t)(4 * units));
        blob[len - 1] = 0;
        assert_int_equal(charsmap_open((struct text_str){blob, len}, &map, NULL), OK);
        for (size_t at = 0; at < sizeof text; at++) {
            struct text_str r = {0};
            size_t n = charsmap_match(&map, text + at, sizeof text - at, &r);
            assert_true(n <= sizeof text - at);
            if (n) assert_true(r.data >= blob && r.data + r.len < blob + len);
        }
        free(blob);
    }
}

static void refuses_long_pieces(void **unused)
{
    (void)unused;
    char text[1026];
    struct made_vocab m;
    struct tokenizer *t = NULL;
    struct error err = {0};
    memset(text, 'a', sizeof text);
    unigram_vocab(&m);
    made_token_bytes(&m, text, 1025, TOKEN_NORMAL, -1);
    assert_int_equal(tokenizer_create(&m.src, &t, &err), ERR_LIMIT);
    assert_null(t);
    made_fini(&m);
}

/* ---- what stands around texts ---- */

static void wraps(void **unused)
{
    (void)unused;
    struct made_vocab m;
    struct token_list ids = {0};
    struct error err = {0};
    const struct text_str one = {"un", 2}, two = {"e", 1};
    wordpiece_vocab(&m, true);
    struct tokenizer *t = create(&m);
    assert_int_equal(tokenizer_encode_wrapped(t, one, NULL, false, &ids, &err), OK);
    compare(&ids, "single", IDS(W_CLS, W_UN, W_SEP)); /* BOS and EOS are not named: CLS and SEP */
    ids.len = 0;
    assert_int_equal(tokenizer_encode_wrapped(t, one, &two, false, &ids, &err), OK);
    compare(&ids, "pair", IDS(W_CLS, W_UN, W_SEP, W_E, W_SEP));
    ids.len = 0;
    const struct text_str with = {"[CLS]un", 7};
    assert_int_equal(tokenizer_encode_wrapped(t, with, NULL, true, &ids, &err), OK);
    compare(&ids, "BOS in the text", IDS(W_CLS, W_UN, W_SEP));
    tokenizer_destroy(t);

    m.src.add_sep = true; /* RoBERTa's pairs */
    t = create(&m);
    ids.len = 0;
    assert_int_equal(tokenizer_encode_wrapped(t, one, &two, false, &ids, &err), OK);
    compare(&ids, "pair with two separators", IDS(W_CLS, W_UN, W_SEP, W_SEP, W_E, W_SEP));
    tokenizer_destroy(t);

    m.src.sep = TOKEN_NONE;
    t = create(&m);
    assert_int_equal(tokenizer_encode_wrapped(t, one, NULL, false, &ids, &err), ERR_NOT_FOUND);
    assert_int_equal(ids.len, 6); /* as it was */
    token_list_fini(&ids);
    tokenizer_destroy(t);
    made_fini(&m);
}

/* ---- the tree ---- */

static void trie_walks(void **unused)
{
    (void)unused;
    static const struct text_str tokens[] = {{"ab", 2}, {"", 0}, {"abc", 3}, {"ab", 2}, {"\xFF", 1}, {"b", 1}};
    int32_t ids[] = {0, 1, 2, 3, 4, 5};
    struct trie t = {0};
    assert_int_equal(trie_build(&t, tokens, ids, 6, NULL), OK);
    int32_t a = trie_step(&t, 0, 'a'), ab = trie_step(&t, a, 'b'), abc = trie_step(&t, ab, 'c');
    assert_int_equal(t.nodes[0].id, -1);
    assert_int_equal(t.nodes[a].id, -1);
    assert_int_equal(t.nodes[ab].id, 3);
    assert_int_equal(t.nodes[abc].id, 2);
    assert_int_equal(t.nodes[trie_step(&t, 0, 0xFF)].id, 4);
    assert_int_equal(trie_step(&t, abc, 'd'), -1);
    assert_int_equal(trie_step(&t, 0, 'c'), -1);
    assert_int_equal(t.n, 6);
    trie_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wordpiece_pieces),     cmocka_unit_test(wordpiece_cased),
        cmocka_unit_test(wordpiece_long_words), cmocka_unit_test(wordpiece_decodes),
        cmocka_unit_test(unigram_best_path),    cmocka_unit_test(unigram_over_spaces),
        cmocka_unit_test(unigram_bytes),        cmocka_unit_test(unigram_charsmap),
        cmocka_unit_test(hostile_charsmaps),    cmocka_unit_test(refuses_long_pieces),
        cmocka_unit_test(wraps),                cmocka_unit_test(trie_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
