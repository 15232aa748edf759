/* Folders as Hugging Face has them, down to what each key must say; and folders that break their
 * formats' rules. compare_tokenizer.py compares whole trained ones with llama.cpp's converter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "convert/wire.h"
#include "folder_make.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"

#define K(name) "tokenizer.ggml." name

static struct gguf *import(const struct made_folder *f, const char *arch, const char *pre)
{
    struct error err = {0};
    struct gguf *g = folder_import(f, arch, pre, NULL, &err);
    if (!g) fail_msg("%s", err.msg);
    return g;
}

static void refused(const struct made_folder *f, const char *arch, enum status want,
                    const char *word)
{
    struct error err = {0};
    assert_null(folder_import(f, arch, NULL, NULL, &err));
    assert_int_equal(err.code, want);
    if (!strstr(err.msg, word)) fail_msg("'%s' does not say '%s'", err.msg, word);
}

static void has_str(const struct gguf *g, const char *key, const char *want)
{
    struct gguf_str s = {0};
    if (gguf_get_str(g, key, &s, NULL)) fail_msg("%s is missing", key);
    if (!gguf_str_eq(s, want)) fail_msg("%s is '%.*s', not '%s'", key, (int)s.len, s.data, want);
}

static void has_id(const struct gguf *g, const char *key, int64_t want)
{
    uint64_t v = 0;
    enum status st = gguf_get_u64(g, key, &v, NULL);
    if (want < 0 ? st != ERR_NOT_FOUND : st != OK || v != (uint64_t)want)
        fail_msg("%s is %lld, not %lld", key, st ? -1LL : (long long)v, (long long)want);
}

static void has_flag(const struct gguf *g, const char *key, int want)
{
    bool v = false;
    enum status st = gguf_get_bool(g, key, &v, NULL);
    if (want < 0 ? st != ERR_NOT_FOUND : st != OK || v != want)
        fail_msg("%s is %d, not %d", key, st ? -1 : v, want);
}

static void has_string_at(const struct gguf *g, const char *key, size_t at, const char *want)
{
    struct gguf_array a;
    struct gguf_str s = {0};
    uint64_t cursor = 0;
    assert_int_equal(gguf_get_array(g, key, &a, NULL), OK);
    for (size_t i = 0; i <= at; i++)
        if (!gguf_array_next_str(&a, &cursor, &s)) fail_msg("%s has no element %zu", key, at);
    if (!gguf_str_eq(s, want))
        fail_msg("%s[%zu] is '%.*s', not '%s'", key, at, (int)s.len, s.data, want);
}

static void has_token(const struct gguf *g, size_t id, const char *text, enum token_type type)
{
    struct gguf_array a;
    has_string_at(g, K("tokens"), id, text);
    assert_int_equal(gguf_get_array(g, K("token_type"), &a, NULL), OK);
    assert_int_equal(a.type, GGUF_I32);
    assert_true(id < a.count);
    assert_int_equal(gguf_array_i64(&a, id), type);
}

static double score(const struct gguf *g, size_t id)
{
    struct gguf_array a;
    assert_int_equal(gguf_get_array(g, K("scores"), &a, NULL), OK);
    assert_int_equal(a.type, GGUF_F32);
    return gguf_array_f64(&a, id);
}

/* The ids of a text by the imported vocabulary, with a list that ends at -1. */
static void encodes(const struct gguf *g, const char *text, const int32_t *want)
{
    struct vocab *v = NULL;
    struct token_list ids = {0};
    struct error err = {0};
    if (vocab_open(g, &v, &err)) fail_msg("%s", err.msg);
    assert_int_equal(tokenizer_encode(vocab_tokenizer(v), text, strlen(text), true, &ids, &err),
                     OK);
    for (size_t i = 0; i < ids.len || want[i] >= 0; i++)
        if (i >= ids.len || ids.ids[i] != want[i]) fail_msg("'%s': id %zu is another", text, i);
    token_list_fini(&ids);
    vocab_close(v);
}
#define IDS(...) ((const int32_t[]){__VA_ARGS__, -1})

/* ---- byte-level BPE ---- */

#define BYTE_LEVEL "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"use_regex\": true}"
#define FIM                                                                                        \
    "{\"id\": 5, \"content\": \"<fim_prefix>\", \"special\": true},"                               \
    "{\"id\": 6, \"content\": \"<fim_suffix>\", \"special\": true},"                               \
    "{\"id\": 7, \"content\": \"<fim_middle>\", \"special\": true}"

static const char bpe[] =
    "{\"added_tokens\": [{\"id\": 4, \"content\": \"<eos>\", \"special\": true}, " FIM ","
    "  {\"id\": 8, \"content\": \"plain\u2581word\", \"special\": false},"
    "  {\"id\": 9, \"content\": \"<|looks|>\", \"special\": false}],"
    " \"normalizer\": null, \"pre_tokenizer\": " BYTE_LEVEL ","
    " \"post_processor\": {\"type\": \"ByteLevel\"},"
    " \"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"\u0120ab\": 3, "
    "\"\u0120\": 12},"
    "            \"merges\": [\"a b\", \"\u0120 ab\"]}}";

static void byte_level(void **unused)
{
    (void)unused;
    struct made_folder f;
    struct tokenizer_import_info info;
    struct error err = {0};
    folder_make(&f);
    folder_text(&f, "tokenizer.json", bpe);
    folder_text(&f, "config.json", "{\"vocab_size\": 16, \"bos_token_id\": 4}");
    folder_text(&f, "tokenizer_config.json",
                "{\"eos_token\": {\"content\": \"<eos>\"}, \"chat_template\": \"T\"}");
    struct gguf *g = folder_import(&f, "starcoder2", NULL, &info, &err);
    if (!g) fail_msg("%s", err.msg);
    has_str(g, K("model"), "gpt2");
    has_str(g, K("pre"), "gpt-2");
    has_token(g, 0, "a", TOKEN_NORMAL);
    has_token(g, 4, "<eos>", TOKEN_CONTROL);
    has_token(g, 8, "plain word", TOKEN_USER_DEFINED);
    has_token(g, 9, "<|looks|>", TOKEN_CONTROL);
    has_token(g, 10, "[PAD10]", TOKEN_UNUSED);
    has_token(g, 12, "\u0120", TOKEN_NORMAL);
    has_token(g, 15, "[PAD15]", TOKEN_UNUSED);
    has_string_at(g, K("merges"), 1, "\u0120 ab");
    has_id(g, K("bos_token_id"), 4);
    has_id(g, K("eos_token_id"), 4);
    has_id(g, K("padding_token_id"), -1);
    has_id(g, K("fim_pre_token_id"), 5);
    has_id(g, K("fim_suf_token_id"), 6);
    has_id(g, K("fim_mid_token_id"), 7);
    has_flag(g, K("add_bos_token"), false);
    has_flag(g, K("add_sep_token"), -1);
    has_str(g, "tokenizer.chat_template", "T");
    encodes(g, "ab ab<fim_prefix>", IDS(2, 3, 5));
    assert_string_equal(info.model, "gpt2");
    assert_string_equal(info.source, "tokenizer.json");
    assert_int_equal(info.n_tokens, 16);
    assert_int_equal(info.n_padding, 5);
    assert_int_equal(info.n_merges, 2);
    assert_int_equal(info.n_templates, 1);
    assert_int_equal(info.fim_mid, 7);
    gguf_close(g);
    folder_fini(&f);
}

static void bpe_with(const struct made_folder *f, const char *pre_tokenizer, const char *model,
                     const char *more)
{
    char text[4096];
    snprintf(text, sizeof text, "{\"pre_tokenizer\": %s, \"model\": {\"type\": \"BPE\", %s}%s}",
             pre_tokenizer, model, more);
    folder_text(f, "tokenizer.json", text);
}

#define AB "\"vocab\": {\"a\": 0, \"b\": 1, \"\u0120\": 2, \"a\u0120\": 3}, \"merges\": "

static void merges_as_pairs(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    bpe_with(&f, BYTE_LEVEL, AB "[[\"a\", \"\u0120\"], [\"b\", \" \"]]", "");
    struct gguf *g = import(&f, "x", NULL);
    has_string_at(g, K("merges"), 0, "a \u0120");
    has_string_at(g, K("merges"), 1, "b \u0120"); /* a space would part the line a second time */
    gguf_close(g);
    bpe_with(&f, BYTE_LEVEL, AB "[[\"a\"]]", "");
    refused(&f, "x", ERR_FORMAT, "merges");
    bpe_with(&f, BYTE_LEVEL, AB "[1]", "");
    refused(&f, "x", ERR_FORMAT, "merges");
    bpe_with(&f, BYTE_LEVEL, AB "{}", "");
    refused(&f, "x", ERR_FORMAT, "merges");
    folder_fini(&f);
}

static void pre_tokenizers(void **unused)
{
    (void)unused;
    static const struct {
        const char *arch, *chain, *want;
    } cases[] = {
        {"starcoder",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
         "\"individual_digits\": true}, " BYTE_LEVEL "]}",
         "starcoder"},
        {"granite",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
         "\"individual_digits\": true}, " BYTE_LEVEL "]}",
         "refact"},
        {"bert", BYTE_LEVEL, "roberta-bpe"},
        {"x", BYTE_LEVEL, "gpt-2"},
        {"x",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
         "{\"Regex\": \"\\\\d+\"}, \"behavior\": \"Isolated\"}, " BYTE_LEVEL "]}",
         NULL},
        {"x",
         "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": "
         "{\"Regex\": \"\\\\p{N}\"}, \"behavior\": \"MergedWithNext\"}, " BYTE_LEVEL "]}",
         NULL},
        {"x", "{\"type\": \"ByteLevel\", \"add_prefix_space\": true}", NULL},
        {"x", "{\"type\": \"Whitespace\"}", NULL},
        {"x", "null", NULL},
    };
    struct made_folder f;
    folder_make(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bpe_with(&f, cases[i].chain, AB "[]", "");
        if (cases[i].want) {
            struct gguf *g = folder_import(&f, cases[i].arch, NULL, NULL, NULL);
            assert_non_null(g);
            has_str(g, K("pre"), cases[i].want);
            gguf_close(g);
            continue;
        }
        refused(&f, cases[i].arch, ERR_UNSUPPORTED, "--pre");
        struct gguf *g = import(&f, cases[i].arch, "qwen2");
        has_str(g, K("pre"), "qwen2");
        gguf_close(g);
    }
    struct error err = {0};
    assert_null(folder_import(&f, "x", "no-such-thing", NULL, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    bpe_with(&f, BYTE_LEVEL, AB "[]", ", \"normalizer\": {\"type\": \"Lowercase\"}");
    refused(&f, "x", ERR_UNSUPPORTED, "Lowercase");
    folder_fini(&f);
}

/* ---- what a text is wrapped in ---- */

#define SPECIAL(id)  "{\"SpecialToken\": {\"id\": \"" id "\"}}"
#define SEQUENCE(id) "{\"Sequence\": {\"id\": \"" id "\"}}"

static void post_processors(void **unused)
{
    (void)unused;
    static const char vocab[] = AB "[]";
    static const char tokens[] =
        ", \"added_tokens\": [{\"id\": 4, \"content\": \"[C]\", \"special\": true},"
        "{\"id\": 5, \"content\": \"[S]\", \"special\": true}, {\"id\": 6, \"content\": \"[E]\", "
        "\"special\": true}]"
        ", \"post_processor\": %s";
    static const struct {
        const char *post, *config;
        int bos, eos, sep; /* flags, -1: absent */
        int bos_id, eos_id, sep_id, eot_id;
    } cases[] = {
        {"null", "{\"add_bos_token\": true, \"bos_token\": \"[C]\"}", 1, -1, -1, 4, -1, -1, -1},
        {"{\"type\": \"TemplateProcessing\", \"single\": [" SPECIAL("[C]") ", " SEQUENCE(
             "A") ", " SPECIAL("[S]") "],"
                                      "\"pair\": [" SPECIAL("[C]") ", " SEQUENCE("A") ", " SPECIAL(
                                          "[S]") ", " SEQUENCE("B") ", " SPECIAL("[S]") "]}",
         "{\"cls_token\": \"[C]\", \"sep_token\": \"[S]\"}", 1, 1, 0, 4, 5, 5, -1},
        {"{\"type\": \"TemplateProcessing\", \"single\": [" SPECIAL("[C]") ", " SEQUENCE(
             "A") "], \"pair\": [" SPECIAL("[C]") ", " SEQUENCE("A") ", " SPECIAL("[S]") ","
                                                                                         " " SEQUENCE(
                                                                                             "B") "]}",
         "{\"bos_token\": \"[C]\", \"sep_token\": \"[S]\"}", 1, -1, 1, 4, 5, 5, -1},
        {"{\"type\": \"TemplateProcessing\", \"single\": [" SEQUENCE("A") ", " SPECIAL("[E]") "]}",
         "{\"eos_token\": \"[S]\"}", -1, 1, -1, -1, 6, -1, 5},
        {"{\"type\": \"TemplateProcessing\", \"single\": [" SPECIAL("[C]") ", " SEQUENCE(
             "A") ", " SPECIAL("[S]") "],"
                                      "\"pair\": [" SPECIAL("[C]") ", " SEQUENCE("A") ", " SPECIAL(
                                          "[S]") ", " SPECIAL("[S]") ", " SEQUENCE("B") ","
                                                                                        " " SPECIAL("[S]") "]}",
         "{\"cls_token\": \"[C]\", \"sep_token\": \"[S]\"}", 1, 1, 1, 4, 5, 5, -1},
        {"{\"type\": \"RobertaProcessing\", \"cls\": [\"[C]\", 4], \"sep\": [\"[S]\", 5]}",
         "{\"add_bos_token\": false}", 1, 1, 1, 4, 5, 5, -1},
        {"{\"type\": \"BertProcessing\", \"cls\": [\"[C]\", 4], \"sep\": [\"[S]\", 5]}", "{}", 1, 1,
         0, 4, 5, 5, -1},
        {"{\"type\": \"Sequence\", \"processors\": [{\"type\": \"ByteLevel\"}, {\"type\": "
         "\"TemplateProcessing\","
         "\"single\": [" SPECIAL("[C]") ", " SEQUENCE("A") "]}]}",
         "{\"bos_token\": \"[C]\"}", 1, 0, -1, 4, -1, -1, -1},
    };
    struct made_folder f;
    folder_make(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char more[2048];
        snprintf(more, sizeof more, tokens, cases[i].post);
        bpe_with(&f, BYTE_LEVEL, vocab, more);
        folder_text(&f, "tokenizer_config.json", cases[i].config);
        struct gguf *g = import(&f, "x", NULL);
        has_flag(g, K("add_bos_token"), cases[i].bos);
        has_flag(g, K("add_eos_token"), cases[i].eos);
        has_flag(g, K("add_sep_token"), cases[i].sep);
        has_id(g, K("bos_token_id"), cases[i].bos_id);
        has_id(g, K("eos_token_id"), cases[i].eos_id);
        has_id(g, K("seperator_token_id"), cases[i].sep_id);
        has_id(g, K("eot_token_id"), cases[i].eot_id);
        gguf_close(g);
    }
    folder_fini(&f);
}

static void ids_of_other_files(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    bpe_with(&f, BYTE_LEVEL, AB "[]", "");
    folder_text(
        &f, "config.json",
        "{\"text_config\": {\"vocab_size\": 6, \"bos_token_id\": 1}, \"pad_token_id\": 99}");
    folder_text(&f, "special_tokens_map.json",
                "{\"unk_token\": \"b\", \"pad_token\": \"nowhere\"}");
    folder_text(&f, "generation_config.json", "{\"bos_token_id\": 0, \"eos_token_id\": [3, 2]}");
    struct gguf *g = import(&f, "x", NULL);
    has_id(g, K("bos_token_id"), 1);
    has_id(g, K("eos_token_id"), 3);
    has_id(g, K("unknown_token_id"), 1);
    has_id(g, K("padding_token_id"), -1); /* outside the vocabulary */
    has_token(g, 1, "b", TOKEN_CONTROL);
    has_token(g, 5, "[PAD5]", TOKEN_UNUSED);
    gguf_close(g);
    folder_fini(&f);
}

/* ---- WordPiece and Unigram ---- */

static const char wordpiece[] =
    "{\"added_tokens\": [{\"id\": 0, \"content\": \"[PAD]\", \"special\": true}],"
    "\"normalizer\": {\"type\": \"BertNormalizer\", \"clean_text\": true, "
    "\"handle_chinese_chars\": true,"
    "\"strip_accents\": %s, \"lowercase\": true}, \"pre_tokenizer\": {\"type\": "
    "\"BertPreTokenizer\"},"
    "\"model\": {\"type\": \"WordPiece\", \"continuing_subword_prefix\": \"%s\", "
    "\"max_input_chars_per_word\": %d,"
    "\"vocab\": {\"[PAD]\": 0, \"[UNK]\": 1, \"un\": 2, \"##do\": 3}}}";

static void wordpieces(void **unused)
{
    (void)unused;
    struct made_folder f;
    char text[2048];
    folder_make(&f);
    snprintf(text, sizeof text, wordpiece, "false", "##", 100);
    folder_text(&f, "tokenizer.json", text);
    folder_text(&f, "tokenizer_config.json", "{\"unk_token\": \"[UNK]\"}");
    folder_text(&f, "config.json", "{\"vocab_size\": 5, \"type_vocab_size\": 2}");
    struct gguf *g = import(&f, "bert", NULL);
    has_str(g, K("model"), "bert");
    has_token(g, 0, "[PAD]", TOKEN_CONTROL);
    has_token(g, 1, "[UNK]", TOKEN_CONTROL);
    has_token(g, 2, "\u2581un", TOKEN_NORMAL);
    has_token(g, 3, "do", TOKEN_NORMAL);
    has_token(g, 4, "\u2581[PAD4]", TOKEN_UNUSED);
    has_flag(g, K("normalizer.lowercase"), true);
    has_flag(g, K("normalizer.strip_accents"), false);
    has_id(g, K("token_type_count"), 2);
    encodes(g, "UNDO \u00DAndo", IDS(2, 3, 1));
    gguf_close(g);
    snprintf(text, sizeof text, wordpiece, "null", "@@", 100);
    folder_text(&f, "tokenizer.json", text);
    refused(&f, "bert", ERR_UNSUPPORTED, "##");
    snprintf(text, sizeof text, wordpiece, "null", "##", 50);
    folder_text(&f, "tokenizer.json", text);
    refused(&f, "bert", ERR_UNSUPPORTED, "100");
    folder_remove(&f, "tokenizer.json");
    folder_text(&f, "vocab.txt", "[PAD]\n[UNK]\r\nun\n##do\n");
    g = import(&f, "bert", NULL);
    has_flag(g, K("normalizer.strip_accents"), -1);
    encodes(g, "UNDO \u00DAndo", IDS(2, 3, 2, 3));
    gguf_close(g);
    folder_fini(&f);
}

static void unigrams(void **unused)
{
    (void)unused;
    struct made_folder f;
    struct gguf_array a;
    folder_make(&f);
    folder_text(
        &f, "tokenizer.json",
        "{\"normalizer\": {\"type\": \"Precompiled\", \"precompiled_charsmap\": \"BAAAAAAAAAAA\"},"
        "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
        "\"WhitespaceSplit\"},"
        "{\"type\": \"Metaspace\", \"prepend_scheme\": \"always\"}]},"
        "\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": [[\"<unk>\", 0], "
        "[\"\u2581a\", -1.5],"
        "[\"b\", -2]]}, \"added_tokens\": [{\"id\": 3, \"content\": \"<m>\", \"special\": true}]}");
    struct gguf *g = import(&f, "t5", NULL);
    has_str(g, K("model"), "t5");
    has_token(g, 0, "<unk>", TOKEN_UNKNOWN);
    has_token(g, 3, "<m>", TOKEN_CONTROL);
    assert_true(score(g, 1) == -1.5);
    has_flag(g, K("add_space_prefix"), true);
    has_flag(g, K("remove_extra_whitespaces"), true);
    assert_int_equal(gguf_get_array(g, K("precompiled_charsmap"), &a, NULL), OK);
    assert_int_equal(a.type, GGUF_U8);
    assert_int_equal(a.count, 9);
    assert_int_equal(a.data[0], 4);
    gguf_close(g);
    folder_text(
        &f, "tokenizer.json",
        "{\"normalizer\": {\"type\": \"NFKC\"}, \"pre_tokenizer\": {\"type\": \"Metaspace\"},"
        "\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]]}}");
    refused(&f, "t5", ERR_UNSUPPORTED, "NFKC");
    folder_fini(&f);
}

/* ---- SentencePiece ---- */

struct proto {
    unsigned char bytes[1024];
    size_t len;
};

static void put(struct proto *p, const void *bytes, size_t len)
{
    memcpy(p->bytes + p->len, bytes, len);
    p->len += len;
}

static void put_number(struct proto *p, unsigned field, unsigned value)
{
    unsigned tag = field << 3;
    if (tag >= 128)
        put(p, (unsigned char[]){(unsigned char)(tag | 0x80), (unsigned char)(tag >> 7)}, 2);
    else
        put(p, (unsigned char[]){(unsigned char)tag}, 1);
    put(p, (unsigned char[]){(unsigned char)value}, 1);
}

static void put_bytes(struct proto *p, unsigned field, const void *bytes, size_t len)
{
    put(p, (unsigned char[]){(unsigned char)(field << 3 | 2), (unsigned char)len}, 2);
    put(p, bytes, len);
}

static void put_piece(struct proto *p, const char *text, float score_value, unsigned type)
{
    struct proto piece = {.len = 0};
    put_bytes(&piece, 1, text, strlen(text));
    put(&piece, (unsigned char[]){2 << 3 | 5}, 1);
    put(&piece, &score_value, 4);
    if (type != 1) put_number(&piece, 3, type);
    put_bytes(p, 1, piece.bytes, piece.len);
}

static void put_pieces(struct proto *p, unsigned model_type, bool prefix)
{
    struct proto trainer = {.len = 0}, normalizer = {.len = 0};
    put_piece(p, "<unk>", 0, 2);
    put_piece(p, "<s>", 0, 3);
    put_piece(p, "</s>", 0, 3);
    put_piece(p, "<0x0A>", 0, 6);
    put_piece(p, "\u2581\u2581", 0, 4);
    put_piece(p, "ab", -1, 1);
    put_piece(p, "\u2581", -2, 1);
    put_piece(p, "a", -3, 1);
    put_piece(p, "b", -4, 1);
    put_number(&trainer, 3, model_type);
    put_number(&trainer, 40, 0);
    put_number(&trainer, 41, 1);
    put_number(&trainer, 42, 2);
    put_bytes(p, 2, trainer.bytes, trainer.len);
    put_number(&normalizer, 3, prefix);
    put_bytes(p, 3, normalizer.bytes, normalizer.len);
}

static void sentencepiece(void **unused)
{
    (void)unused;
    struct made_folder f;
    struct proto p = {.len = 0};
    folder_make(&f);
    put_pieces(&p, 2, true);
    folder_put(&f, "tokenizer.model", p.bytes, p.len);
    folder_text(&f, "config.json", "{\"vocab_size\": 12}");
    folder_text(&f, "added_tokens.json",
                "{\"<pad>\": 9, \"<past>\": 12}"); /* the last has no row */
    folder_text(&f, "tokenizer_config.json",
                "{\"added_tokens_decoder\": {\"10\": {\"content\": \"<x>\", \"special\": false}}, "
                "\"add_bos_token\": true,"
                "\"chat_template\": [{\"name\": \"default\", \"template\": \"D\"}, {\"name\": "
                "\"tool use\", \"template\": \"U\"}]}");
    struct gguf *g = import(&f, "llama", NULL);
    has_str(g, K("model"), "llama");
    has_token(g, 0, "<unk>", TOKEN_UNKNOWN);
    has_token(g, 2, "</s>", TOKEN_CONTROL);
    has_token(g, 3, "<0x0A>", TOKEN_BYTE);
    has_token(g, 4, "  ", TOKEN_USER_DEFINED);
    has_token(g, 9, "<pad>", TOKEN_CONTROL);
    has_token(g, 10, "<x>", TOKEN_USER_DEFINED);
    has_token(g, 11, "[PAD11]", TOKEN_UNUSED);
    assert_true(score(g, 5) == -1);
    assert_true(score(g, 10) == -1000);
    assert_true(score(g, 11) == -10000);
    has_id(g, K("unknown_token_id"), 0);
    has_id(g, K("bos_token_id"), 1);
    has_id(g, K("eos_token_id"), 2);
    has_flag(g, K("add_bos_token"), true);
    has_flag(g, K("add_space_prefix"), true);
    has_str(g, "tokenizer.chat_template", "D");
    has_str(g, "tokenizer.chat_template.tool_use", "U");
    has_string_at(g, "tokenizer.chat_templates", 0, "tool_use");
    encodes(g, "ab", IDS(6, 5));
    gguf_close(g);

    g = import(&f, "gemma2", NULL);
    has_flag(g, K("add_space_prefix"), false);
    gguf_close(g);
    put_piece(&p, "\u2581<PRE>", 0, 4);
    put_piece(&p, "\u2581<SUF>", 0, 4);
    put_piece(&p, "\u2581<MID>", 0, 4);
    folder_put(&f, "tokenizer.model", p.bytes, p.len);
    folder_remove(&f, "tokenizer_config.json");
    folder_remove(&f, "added_tokens.json");
    g = import(&f, "llama", NULL);
    has_token(g, 9, "\u2581<PRE>", TOKEN_CONTROL);
    has_id(g, K("fim_pre_token_id"), 9);
    has_id(g, K("fim_suf_token_id"), 10);
    has_id(g, K("fim_mid_token_id"), 11);
    gguf_close(g);
    p.len = 0;
    put_pieces(&p, 1, false);
    folder_put(&f, "tokenizer.model", p.bytes, p.len);
    g = import(&f, "x", NULL);
    has_str(g, K("model"), "t5");
    has_flag(g, K("add_space_prefix"), false);
    has_flag(g, K("remove_extra_whitespaces"), true);
    gguf_close(g);
    p.len = 0;
    put_pieces(&p, 3, false);
    folder_put(&f, "tokenizer.model", p.bytes, p.len);
    refused(&f, "llama", ERR_UNSUPPORTED, "tokenizer.model");
    folder_text(&f, "tokenizer.model", "IQ== 0\nIg== 1\n");
    refused(&f, "llama", ERR_FORMAT, "tiktoken");
    for (size_t cut = 1; cut < p.len;
         cut += 3) { /* every part of a file is an error or a smaller file */
        struct error err = {0};
        folder_put(&f, "tokenizer.model", p.bytes, cut);
        g = folder_import(&f, "llama", NULL, NULL, &err);
        assert_true(g || err.code == ERR_FORMAT || err.code == ERR_UNSUPPORTED);
        gguf_close(g);
    }
    folder_fini(&f);
}

static void wire_ends(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t len;
        int fields;
        bool broken;
    } cases[] = {
        {"", 0, 0, false},
        {"\x08\x96\x01", 3, 1, false},
        {"\x0A\x02"
         "ab",
         4, 1, false},
        {"\x0A\x03"
         "ab",
         4, 0, true},
        {"\x08\x96", 2, 0, true},
        {"\x0D"
         "abcd",
         5, 1, false},
        {"\x0D"
         "abc",
         4, 0, true},
        {"\x09"
         "abcdefg",
         8, 0, true},
        {"\x0B", 1, 0, true},
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11, 0, true},
        {"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 11, 0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct wire w = wire_open(cases[i].bytes, cases[i].len);
        struct wire_field f;
        int n = 0;
        while (wire_next(&w, &f)) n++;
        assert_int_equal(n, cases[i].fields);
        assert_int_equal(w.broken, cases[i].broken);
    }
    struct wire w = wire_open("\x08\x96\x01", 3);
    struct wire_field f;
    assert_true(wire_next(&w, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
}

/* Llama 2's and Gemma's tokenizer.json: merges, and no scores. */
static void sentencepiece_as_json(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    folder_text(&f, "tokenizer.json",
                "{\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
                "\"Prepend\", \"prepend\": \"\u2581\"},"
                "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, \"content\": "
                "\"\u2581\"}]}, \"pre_tokenizer\": null,"
                "\"model\": {\"type\": \"BPE\", \"unk_token\": \"<unk>\", \"byte_fallback\": true, "
                "\"vocab\": {\"<unk>\": 0,"
                "\"<0x0A>\": 1, \"a\": 2, \"b\": 3, \"c\": 4, \"bc\": 5, \"ab\": 6, \"abc\": 8, "
                "\"\u2581\": 7},"
                "\"merges\": [\"b c\", \"a b\", \"a bc\", \"ab c\"]}}");
    struct gguf *g = import(&f, "llama", NULL);
    has_str(g, K("model"), "llama");
    has_token(g, 0, "<unk>", TOKEN_UNKNOWN);
    has_token(g, 1, "<0x0A>", TOKEN_BYTE);
    assert_true(score(g, 5) > score(g, 6) && score(g, 6) > score(g, 2));
    has_flag(g, K("add_space_prefix"), true);
    has_id(g, K("bos_token_id"), -1);
    assert_int_equal(gguf_get_array(g, K("merges"), &(struct gguf_array){0}, NULL), ERR_NOT_FOUND);
    assert_true(score(g, 8) == -2); /* of two merges to one text the first counts */
    encodes(g, "abcb\n", IDS(7, 8, 3, 1));
    gguf_close(g);
    folder_fini(&f);
}

/* ---- the rest ---- */

static void vocab_and_merges(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    folder_text(&f, "vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2}");
    folder_text(&f, "merges.txt", "#version: 0.2\na b\n\n# b\n");
    refused(&f, "x", ERR_UNSUPPORTED, "--pre");
    struct gguf *g = import(&f, "qwen2", NULL);
    has_str(g, K("pre"), "qwen2");
    has_string_at(g, K("merges"), 0, "a b");
    has_string_at(g, K("merges"), 1, "# b"); /* no comment behind the first line */
    encodes(g, "abb", IDS(2, 1));
    gguf_close(g);
    folder_text(&f, "merges.txt", "#version: 0.2\n"); /* none is no mistake, and the file says so */
    g = import(&f, "qwen2", NULL);
    encodes(g, "ab", IDS(0, 1));
    gguf_close(g);
    folder_text(&f, "vocab.json", "{\"a\": \"0\"}");
    refused(&f, "qwen2", ERR_FORMAT, "vocab.json");
    folder_fini(&f);
}

static void template_files(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    bpe_with(&f, BYTE_LEVEL, AB "[]", "");
    folder_text(&f, "chat_template.json", "{\"chat_template\": \"json\"}");
    struct gguf *g = import(&f, "x", NULL);
    has_str(g, "tokenizer.chat_template", "json");
    gguf_close(g);
    folder_text(&f, "chat_template.jinja", "jinja");
    folder_text(&f, "additional_chat_templates/b-2.jinja", "B");
    folder_text(&f, "additional_chat_templates/e.jinja", "E");
    folder_text(&f, "additional_chat_templates/a.jinja", "A");
    folder_text(&f, "additional_chat_templates/d.jinja", "D");
    folder_text(&f, "additional_chat_templates/c.jinja", "C");
    folder_text(&f, "additional_chat_templates/readme.md", "no");
    g = import(&f, "x", NULL);
    has_str(g, "tokenizer.chat_template", "jinja");
    has_str(g, "tokenizer.chat_template.a", "A");
    has_str(g, "tokenizer.chat_template.b_2", "B");
    static const char *const names[] = {"a", "b_2", "c", "d", "e"};
    for (size_t i = 0; i < 5; i++) has_string_at(g, "tokenizer.chat_templates", i, names[i]);
    gguf_close(g);
    folder_fini(&f);
}

static void refusals(void **unused)
{
    (void)unused;
    struct made_folder f;
    folder_make(&f);
    refused(&f, "x", ERR_NOT_FOUND, "no tokenizer");
    folder_text(&f, "tokenizer.json", "{");
    refused(&f, "x", ERR_FORMAT, "tokenizer.json");
    folder_text(&f, "tokenizer.json", "[]");
    refused(&f, "x", ERR_FORMAT, "object");
    folder_text(&f, "tokenizer.json", "{}");
    refused(&f, "x", ERR_UNSUPPORTED, "kind");
    folder_text(&f, "tokenizer.json", "{\"model\": {\"type\": \"WordLevel\"}}");
    refused(&f, "x", ERR_UNSUPPORTED, "WordLevel");
    bpe_with(&f, BYTE_LEVEL, "\"vocab\": {\"a\": -1}, \"merges\": []", "");
    refused(&f, "x", ERR_FORMAT, "-1");
    bpe_with(&f, BYTE_LEVEL, "\"vocab\": {\"a\": 4000000000}, \"merges\": []", "");
    refused(&f, "x", ERR_FORMAT, "4000000000");
    bpe_with(&f, BYTE_LEVEL, "\"vocab\": {\"a\": 1.5}, \"merges\": []", "");
    refused(&f, "x", ERR_FORMAT, "whole number");
    bpe_with(&f, BYTE_LEVEL, "\"vocab\": {}, \"merges\": []", "");
    refused(&f, "x", ERR_FORMAT, "vocab");
    bpe_with(&f, BYTE_LEVEL, "\"end_of_word_suffix\": \"</w>\", " AB "[]", "");
    refused(&f, "x", ERR_UNSUPPORTED, "BPE");
    bpe_with(&f, BYTE_LEVEL, AB "[]", ", \"added_tokens\": [{\"content\": \"x\"}]");
    refused(&f, "x", ERR_FORMAT, "added token");
    bpe_with(&f, BYTE_LEVEL, AB "[]", "");
    folder_text(&f, "config.json", "{\"vocab_size\": 3}");
    refused(&f, "x", ERR_FORMAT, "3 tokens");
    folder_text(&f, "config.json", "{\"vocab_size\": 1000000000000}");
    refused(&f, "x", ERR_LIMIT, "vocab_size");
    folder_text(&f, "config.json", "{\"vocab_size\": -1}");
    refused(&f, "x", ERR_LIMIT, "vocab_size");
    folder_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_level),         cmocka_unit_test(merges_as_pairs),
        cmocka_unit_test(pre_tokenizers),     cmocka_unit_test(post_processors),
        cmocka_unit_test(ids_of_other_files), cmocka_unit_test(wordpieces),
        cmocka_unit_test(unigrams),           cmocka_unit_test(sentencepiece),
        cmocka_unit_test(wire_ends),          cmocka_unit_test(sentencepiece_as_json),
        cmocka_unit_test(vocab_and_merges),   cmocka_unit_test(template_files),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
