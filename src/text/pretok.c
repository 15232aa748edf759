#include "text/pretok.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "text/utf8_int.h"

/* The expressions are those of the models' published tokenizer.json files, with three changes. The
 * case-insensitive contractions are spelled out, because (?i) under Unicode rules would also let
 * U+017F stand for s. Where a file chains a digit splitter, a byte-level splitter and so on, each is
 * one entry of the list. And where a search could start again inside a run it has already rejected,
 * (*SKIP) jumps over the run, which keeps it linear. */

#define CONTRACTION "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
#define TAIL        "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD        "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define GPT2        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)"
#define QWEN2       CONTRACTION "|" WORD "|\\p{N}|" SYMBOLS TAIL
#define LLAMA3      CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS TAIL
#define CASED_WORD                                                                                 \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define UPPER_WORD                                                                                 \
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
#define CASED_SYMBOLS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define CJK_DEEPSEEK  "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define CJK_KANA      "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
#define DEEPSEEK3                                                                                  \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"                                       \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" TAIL
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"

/* Letters that have case, as of the Unicode version that DeepSeek LLM was trained with. */
#define DEEPSEEK_LETTERS                                                                           \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"                 \
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"         \
    "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"                  \
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"                       \
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                 \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"                 \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}"                 \
    "\\x{1F59}\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}"         \
    "\\x{1FBE}\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}"                           \
    "\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}"                 \
    "\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}"          \
    "\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}"                  \
    "\\x{2145}-\\x{2149}\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}"         \
    "\\x{2CEB}-\\x{2CEE}\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}"                  \
    "\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}"                 \
    "\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}"                 \
    "\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}"         \
    "\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"

const char *const pretok_byte_level = GPT2;

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct pretok_family families[] = {
    {"default", LIST("[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]")},

    {"gpt-2", LIST(GPT2)},
    {"phi-2", LIST(GPT2)},
    {"mpt", LIST(GPT2)},
    {"olmo", LIST(GPT2)},
    {"jais", LIST(GPT2)},
    {"trillion", LIST(GPT2)},
    {"granite-docling", LIST(GPT2)},
    {"exaone4", LIST(GPT2)},
    {"mellum", LIST(GPT2)},
    {"gigachat", LIST(GPT2)},
    {"a.x-4.0", LIST(GPT2)},
    {"modern-bert", LIST(GPT2)},
    {"jina-es", LIST(GPT2)},
    {"jina-de", LIST(GPT2)},
    {"jina-v2-es", LIST(GPT2)},
    {"jina-v2-de", LIST(GPT2)},
    {"jina-v1-en", LIST(GPT2), .add_sep = true},
    {"jina-v2-code", LIST(GPT2), .add_sep = true},
    {"roberta-bpe", LIST(GPT2), .add_sep = true},

    {"starcoder", LIST("\\p{N}", GPT2)},
    {"refact", LIST("\\p{N}", GPT2)},
    {"command-r", LIST("\\p{N}", GPT2)},
    {"smollm", LIST("\\p{N}", GPT2)},
    {"codeshell", LIST("\\p{N}", GPT2)},
    {"exaone", LIST("\\p{N}", GPT2)},
    {"minerva-7b", LIST("\\p{N}", GPT2)},
    {"mellum2", LIST("\\p{N}", GPT2)},

    {"falcon", LIST("[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]")},

    {"qwen2", LIST(QWEN2)},
    {"deepseek-r1-qwen", LIST(QWEN2)},
    {"megrez", LIST(QWEN2)},
    {"kormo", LIST(QWEN2)},
    {"f2llmv2", LIST(QWEN2)},
    {"stablelm2", LIST(QWEN2)},
    {"hunyuan", LIST(QWEN2)},
    {"solar-open", LIST(QWEN2)},
    {"grok-2", LIST(QWEN2)},
    {"laguna", LIST("[^\\n]+|\\n+", QWEN2)},
    {"ufakzeka", LIST(WORD "|\\p{N}|" SYMBOLS TAIL)},
    {"qwen35", LIST(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}|"
                                " ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" TAIL)},
    {"seed-coder",
     LIST(CONTRACTION "|" WORD "|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" TAIL)},
    {"bailingmoe", LIST("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" SYMBOLS
                        "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")},
    {"exaone-moe",
     LIST(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}|"
                      " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")},
    {"chameleon", LIST("<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", "\\p{N}",
                       "[\\p{P}!-/:-@\\[-`{-~]", GPT2), .add_bos = true},
    {"bailingmoe2", LIST("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" SYMBOLS
                         "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")},
    {"llada-moe", LIST("'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|" WORD "|\\p{N}|" SYMBOLS
                       "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")},

    {"llama-bpe", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"llama3", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"llama-v3", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"falcon3", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"falcon-h1", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"pixtral", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"midm-2.0", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"lfm2", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"jina-v5-nano", LIST(LLAMA3), .ignore_merges = true, .add_bos = true},
    {"dbrx", LIST(LLAMA3)},
    {"smaug-bpe", LIST(LLAMA3)},
    {"chatglm-bpe", LIST(LLAMA3)},
    {"glm4", LIST(LLAMA3), .ignore_merges = true},
    {"glm5", LIST(LLAMA3), .ignore_merges = true},
    {"jais-2", LIST(CONTRACTION "|" WORD "|\\p{N}{1,3}|" SYMBOLS
                    "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)|"
                    "\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}")},
    {"minicpm5", LIST("\\p{N}{1,3}", CONTRACTION "|" WORD "|\\p{N}+|" SYMBOLS TAIL),
     .ignore_merges = true},

    {"tekken", LIST(CASED_WORD "|" UPPER_WORD "|\\p{N}|" CASED_SYMBOLS TAIL),
     .ignore_merges = true, .add_bos = true},
    {"gpt-4o", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}{1,3}|"
                    CASED_SYMBOLS TAIL)},
    {"llama4", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}{1,3}|"
                    CASED_SYMBOLS TAIL)},
    {"talkie", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}{1,3}|"
                    CASED_SYMBOLS TAIL)},
    {"granite-embed-multi-97m", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION
                                     "?|\\p{N}{1,3}|" CASED_SYMBOLS TAIL), .ignore_merges = true},
    {"youtu",
     LIST("[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+|"
          "[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}\\x{FF1A}\\x{FF1B}\\x{FF0C}"
          "\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+|[\\x{3105}-\\x{312F}]+|" CJK_KANA,
          CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}|" CASED_SYMBOLS TAIL),
     .ignore_merges = true},
    {"kanana2", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}{1,3}|"
                     CASED_SYMBOLS TAIL)},
    {"minimax-m2", LIST(CASED_WORD CONTRACTION "?|" UPPER_WORD CONTRACTION "?|\\p{N}{1,3}|"
                        CASED_SYMBOLS TAIL)},

    {"deepseek-coder", LIST("[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_DEEPSEEK, "\\p{N}")},
    {"deepseek-llm",
     LIST("[\\r\\n]", "\\s?[" DEEPSEEK_LETTERS "]+",
          "\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}"
          "\\x{3000}-\\x{3002}]+",
          "\\s++(?:$|(*SKIP)(*FAIL))", CJK_DEEPSEEK, "\\p{N}+")},
    {"deepseek-v3", LIST("\\p{N}{1,3}", CJK_KANA, DEEPSEEK3)},
    {"hunyuan-dense", LIST("\\p{N}{1,3}", CJK_KANA, DEEPSEEK3)},
    {"hy_v4", LIST("\\p{N}{1,3}", CJK_KANA, DEEPSEEK3)},
    {"spark2_5", LIST("\\p{N}{1,3}", CJK_KANA,
                      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                      "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+|[\\r\\n]|"
                      "\\s+(?!\\S)|\\s+", "\\p{N}")},
    {"joyai-llm", LIST("\\p{N}{1,3}", CJK_KANA, DEEPSEEK3)},

    {"bloom", LIST(BLOOM)},
    {"poro-chat", LIST(BLOOM)},
    {"gpt3-finnish", LIST(BLOOM)},
    {"viking", LIST(BLOOM, "\\p{N}")},

    {"gemma4", LIST("[^\\n]+|\\n+")},
};

const struct pretok_family *pretok_at(size_t i)
{
    return i < sizeof families / sizeof families[0] ? &families[i] : NULL;
}

const struct pretok_family *pretok_find(const char *name)
{
    if (!name || !*name) return &families[0];
    const struct pretok_family *f;
    for (size_t i = 0; (f = pretok_at(i)); i++)
        if (strcmp(f->name, name) == 0) return f;
    return NULL;
}

enum { MAX_PATTERNS = 8, MAX_PATTERN_BYTES = 4096, MAX_HEAP_KIB = 64 * 1024 };

struct pretok {
    pcre2_general_context *memory;
    size_t n_codes;
    struct {
        pcre2_code *code;
        bool jit;
    } codes[MAX_PATTERNS];
};

static void *memory_get(size_t n, void *unused)
{
    (void)unused;
    return malloc(n);
}

static void memory_put(void *p, void *unused)
{
    (void)unused;
    free(p);
}

/* PCRE's \s also matches U+180E, which has not been White_Space since Unicode 6.3. */
static bool expand_spaces(const char *pattern, char *dst, size_t cap)
{
    size_t n = 0;
    for (const char *p = pattern; *p; p++) {
        const char *piece = p;
        size_t len = 1;
        if (p[0] == '\\' && p[1]) {
            bool space = p[1] == 's' || p[1] == 'S';
            piece = p[1] == 's' ? "\\p{White_Space}" : p[1] == 'S' ? "\\P{White_Space}" : p;
            len = space ? strlen(piece) : 2;
            p++;
        }
        if (len >= cap - n) return false;
        memcpy(dst + n, piece, len);
        n += len;
    }
    dst[n] = 0;
    return true;
}

static enum status add_code(struct pretok *p, const char *pattern, bool jit, struct error *err)
{
    char expanded[MAX_PATTERN_BYTES];
    if (p->n_codes == MAX_PATTERNS || !expand_spaces(pattern, expanded, sizeof expanded))
        return error_set(err, ERR_LIMIT, "a pre-tokenizer's expressions are too long");
    pcre2_compile_context *cc = pcre2_compile_context_create(p->memory);
    if (!cc) return error_set(err, ERR_NOMEM, "out of memory");
    int code;
    PCRE2_SIZE at;
    pcre2_code *re = pcre2_compile((PCRE2_SPTR)expanded, PCRE2_ZERO_TERMINATED,
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &code, &at, cc);
    pcre2_compile_context_free(cc);
    if (!re) {
        if (code == PCRE2_ERROR_NOMEMORY || code == 121 /* ERR21: malloc failed */)
            return error_set(err, ERR_NOMEM, "out of memory");
        char why[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return error_set(err, ERR_UNSUPPORTED,
                         "this PCRE2 does not accept a pre-tokenizer's expression (%s, at %zu); "
                         "version 10.40 or later is needed",
                         why, (size_t)at);
    }
    p->codes[p->n_codes].code = re;
    p->codes[p->n_codes].jit = jit && pcre2_jit_compile(re, PCRE2_JIT_COMPLETE) == 0;
    p->n_codes++;
    return OK;
}

enum status pretok_create(const struct pretok_family *family, bool jit, struct pretok **out,
                          struct error *err)
{
    *out = NULL;
    struct pretok *p = calloc(1, sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = OK;
    p->memory = pcre2_general_context_create(memory_get, memory_put, NULL);
    if (!p->memory) st = error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == OK && family->patterns[i]; i++)
        st = add_code(p, family->patterns[i], jit, err);
    if (st) {
        pretok_destroy(p);
        return st;
    }
    *out = p;
    return OK;
}

void pretok_destroy(struct pretok *p)
{
    if (!p) return;
    for (size_t i = 0; i < p->n_codes; i++) pcre2_code_free(p->codes[i].code);
    pcre2_general_context_free(p->memory);
    free(p);
}

void piece_list_fini(struct piece_list *l)
{
    free(l->ends);
    *l = (struct piece_list){0};
}

static enum status piece_list_add(struct piece_list *l, size_t end)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 256;
        uint32_t *ends = realloc(l->ends, cap * sizeof *ends);
        if (!ends) return ERR_NOMEM;
        l->ends = ends;
        l->cap = cap;
    }
    l->ends[l->len++] = (uint32_t)end;
    return OK;
}

struct matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
};

static int match_once(const struct pretok *p, size_t code, struct matcher *m, const char *subject,
                      size_t len, size_t start)
{
    PCRE2_SPTR s = (PCRE2_SPTR)subject;
    const pcre2_code *re = p->codes[code].code;
    if (p->codes[code].jit) {
        int rc = pcre2_jit_match(re, s, len, start, 0, m->data, m->context);
        if (rc != PCRE2_ERROR_JIT_STACKLIMIT) return rc;
    }
    return pcre2_match(re, s, len, start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, m->data, m->context);
}

/* Cuts the pieces of `in` by one expression. */
static enum status split_by(const struct pretok *p, size_t code, struct matcher *m,
                            const char *text, const struct piece_list *in, struct piece_list *out,
                            struct error *err)
{
    enum status st = OK;
    out->len = 0;
    size_t begin = 0;
    for (size_t i = 0; i < in->len && st == OK; i++) {
        const char *piece = text + begin;
        size_t len = in->ends[i] - begin, at = 0;
        while (st == OK && at < len) {
            int rc = match_once(p, code, m, piece, len, at);
            if (rc == PCRE2_ERROR_NOMATCH) break;
            if (rc == PCRE2_ERROR_NOMEMORY) return error_set(err, ERR_NOMEM, "out of memory");
            if (rc < 0)
                return error_set(err, ERR_LIMIT,
                                 "the pre-tokenizer gave up on a text of %zu bytes (PCRE2 error %d)",
                                 len, rc);
            const PCRE2_SIZE *span = pcre2_get_ovector_pointer(m->data);
            if (span[1] <= span[0]) break;
            if (span[0] > at) st = piece_list_add(out, begin + span[0]);
            if (st == OK) st = piece_list_add(out, begin + span[1]);
            at = span[1];
        }
        if (st == OK && at < len) st = piece_list_add(out, begin + len);
        begin = in->ends[i];
    }
    return st ? error_set(err, st, "out of memory") : OK;
}

static enum status split_valid(const struct pretok *p, const char *text, size_t len,
                               struct piece_list *out, struct error *err)
{
    struct piece_list other = {0};
    struct matcher m = {0};
    enum status st = piece_list_add(out, len);
    m.context = pcre2_match_context_create(p->memory);
    m.data = pcre2_match_data_create(1, p->memory);
    if (st || !m.context || !m.data) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    /* Every expression of the registry is linear in the text; more steps than this mean a mistake in
     * one of them, to be reported rather than waited for. */
    uint64_t steps = 1000000 + (uint64_t)len * 64;
    pcre2_set_match_limit(m.context, steps > UINT32_MAX ? UINT32_MAX : (uint32_t)steps);
    pcre2_set_heap_limit(m.context, MAX_HEAP_KIB);
    for (size_t i = 0; i < p->n_codes && st == OK; i++) {
        st = split_by(p, i, &m, text, out, &other, err);
        struct piece_list t = *out;
        *out = other;
        other = t;
    }
out:
    pcre2_match_data_free(m.data);
    pcre2_match_context_free(m.context);
    piece_list_fini(&other);
    return st;
}

/* A copy of the text with U+FFFD for every invalid byte. `holes` receives the offsets in the copy
 * just after each replacement. */
static enum status sanitize(const char *text, size_t len, char **copy, size_t *copy_len,
                            struct piece_list *holes)
{
    char *dst = malloc(len * 3);
    if (!dst) return ERR_NOMEM;
    size_t n = 0;
    enum status st = OK;
    for (size_t i = 0; i < len && st == OK;) {
        size_t good = utf8_valid_prefix(text + i, len - i);
        memcpy(dst + n, text + i, good);
        n += good;
        i += good;
        if (i == len) break;
        memcpy(dst + n, UTF8_REPLACEMENT, 3);
        n += 3;
        i++;
        st = piece_list_add(holes, n);
    }
    if (st) {
        free(dst);
        return st;
    }
    *copy = dst;
    *copy_len = n;
    return OK;
}

enum status pretok_split(const struct pretok *p, const char *text, size_t len,
                         struct piece_list *out, struct error *err)
{
    out->len = 0;
    if (len == 0) return OK;
    if (len > (size_t)1 << 30)
        return error_set(err, ERR_LIMIT, "a text of %zu bytes is longer than 1 GiB", len);
    if (utf8_valid_prefix(text, len) == len) return split_valid(p, text, len, out, err);

    struct piece_list holes = {0};
    char *copy = NULL;
    size_t copy_len = 0;
    enum status st = sanitize(text, len, &copy, &copy_len, &holes);
    if (st == OK)
        st = split_valid(p, copy, copy_len, out, err);
    else
        error_set(err, st, "out of memory");
    for (size_t i = 0, h = 0; st == OK && i < out->len; i++) {
        while (h < holes.len && holes.ends[h] <= out->ends[i]) h++;
        out->ends[i] -= (uint32_t)(2 * h);
    }
    free(copy);
    piece_list_fini(&holes);
    return st;
}
