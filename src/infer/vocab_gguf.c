#include "infer/vocab_gguf.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/checked.h"
#include "gguf/gguf.h"
#include "text/tokenizer.h"

#define KEY(name) "tokenizer.ggml." name

enum { MAX_NAME = 64 };

struct vocab {
    struct tokenizer *tokenizer;
};

/* What the source points to while the tokenizer is built. */
struct arrays {
    struct text_str *tokens, *merges;
    float *scores;
    uint8_t *types;
    char model[MAX_NAME], pre[MAX_NAME];
};

/* A getter's status, with an absent key counting as fine. */
static enum status optional(enum status st)
{
    return st == ERR_NOT_FOUND ? OK : st;
}

static enum status read_name(const struct gguf *g, const char *key, char dst[MAX_NAME],
                             struct error *err)
{
    struct gguf_str s;
    enum status st = gguf_get_str(g, key, &s, err);
    if (st) return st;
    if (s.len >= MAX_NAME || memchr(s.data, 0, s.len))
        return error_set(err, ERR_FORMAT, "%s: %s is not a name", gguf_path(g), key);
    memcpy(dst, s.data, s.len);
    dst[s.len] = 0;
    return OK;
}

static enum status read_strings(const struct gguf *g, const char *key, struct text_str **out,
                                size_t *n, struct error *err)
{
    struct gguf_array a;
    enum status st = gguf_get_array(g, key, &a, err);
    if (st) return st;
    if (a.type != GGUF_STRING)
        return error_set(err, ERR_FORMAT, "%s: %s is not an array of strings", gguf_path(g), key);
    uint64_t bytes;
    if (!checked_mul(a.count, sizeof **out, &bytes) || bytes > SIZE_MAX)
        return error_set(err, ERR_LIMIT, "%s: %s has too many strings", gguf_path(g), key);
    struct text_str *list = malloc(bytes ? (size_t)bytes : 1);
    if (!list) return error_set(err, ERR_NOMEM, "out of memory");
    uint64_t cursor = 0;
    struct gguf_str s;
    size_t i = 0;
    while (i < a.count && gguf_array_next_str(&a, &cursor, &s))
        list[i++] = (struct text_str){s.data, s.len};
    *out = list;
    *n = i;
    return OK;
}

/* The array at `key` where there is one, else count 0; ERR_FORMAT where it is shorter than the list
 * of tokens. */
static enum status read_per_token(const struct gguf *g, const char *key, size_t n_tokens,
                                  struct gguf_array *a, struct error *err)
{
    *a = (struct gguf_array){0};
    enum status st = gguf_get_array(g, key, a, err);
    if (st) return optional(st);
    if (a->type == GGUF_STRING || a->type == GGUF_BOOL || a->count < n_tokens)
        return error_set(err, ERR_FORMAT, "%s: %s does not have a number for each of the %zu tokens",
                         gguf_path(g), key, n_tokens);
    return OK;
}

static enum status read_scores(const struct gguf *g, size_t n, float **out, struct error *err)
{
    struct gguf_array a;
    enum status st = read_per_token(g, KEY("scores"), n, &a, err);
    if (st || !a.data) return st;
    float *scores = malloc(n * sizeof *scores);
    if (!scores) return error_set(err, ERR_NOMEM, "out of memory");
    if (a.type == GGUF_F32)
        memcpy(scores, a.data, n * sizeof *scores);
    else
        for (size_t i = 0; i < n; i++) scores[i] = (float)gguf_array_f64(&a, i);
    *out = scores;
    return OK;
}

static enum status read_types(const struct gguf *g, size_t n, uint8_t **out, struct error *err)
{
    struct gguf_array a;
    enum status st = read_per_token(g, KEY("token_type"), n, &a, err);
    if (st || !a.data) return st;
    uint8_t *types = malloc(n);
    if (!types) return error_set(err, ERR_NOMEM, "out of memory");
    bool words = a.type == GGUF_I32 || a.type == GGUF_U32;
    for (size_t i = 0; i < n; i++) {
        int32_t word;
        if (words) memcpy(&word, a.data + i * sizeof word, sizeof word);
        int64_t type = words ? word : gguf_array_i64(&a, i);
        types[i] = type >= TOKEN_NORMAL && type <= TOKEN_BYTE ? (uint8_t)type : 0;
    }
    *out = types;
    return OK;
}

/* Special ids, each with the keys that may hold it, newest first. One outside the vocabulary, and a
 * converter's -1, count as absent. */
static const struct {
    size_t field;
    const char *keys[2];
} id_keys[] = {
    {offsetof(struct vocab_source, bos), {KEY("bos_token_id")}},
    {offsetof(struct vocab_source, eos), {KEY("eos_token_id")}},
    {offsetof(struct vocab_source, eot), {KEY("eot_token_id")}},
    {offsetof(struct vocab_source, unk), {KEY("unknown_token_id")}},
    {offsetof(struct vocab_source, pad), {KEY("padding_token_id")}},
    {offsetof(struct vocab_source, sep), {KEY("seperator_token_id")}}, /* llama.cpp's spelling */
    {offsetof(struct vocab_source, cls), {KEY("cls_token_id")}},
    {offsetof(struct vocab_source, mask), {KEY("mask_token_id")}},
    {offsetof(struct vocab_source, fim_pre), {KEY("fim_pre_token_id"), KEY("prefix_token_id")}},
    {offsetof(struct vocab_source, fim_suf), {KEY("fim_suf_token_id"), KEY("suffix_token_id")}},
    {offsetof(struct vocab_source, fim_mid), {KEY("fim_mid_token_id"), KEY("middle_token_id")}},
    {offsetof(struct vocab_source, fim_pad), {KEY("fim_pad_token_id")}},
    {offsetof(struct vocab_source, fim_rep), {KEY("fim_rep_token_id")}},
    {offsetof(struct vocab_source, fim_sep), {KEY("fim_sep_token_id")}},
};

static void read_ids(const struct gguf *g, struct vocab_source *s)
{
    for (size_t i = 0; i < sizeof id_keys / sizeof id_keys[0]; i++) {
        int32_t *id = (int32_t *)((char *)s + id_keys[i].field);
        for (size_t k = 0; k < 2 && id_keys[i].keys[k]; k++) {
            uint64_t v;
            if (gguf_get_u64(g, id_keys[i].keys[k], &v, NULL) || v >= s->n_tokens) continue;
            *id = (int32_t)v;
            break;
        }
    }
}

/* No key says that a model's special tokens take the white space behind them with them; of those
 * that llama.cpp runs, the Phi-3 family's do. */
static bool is_phi3(const struct gguf *g)
{
    struct gguf_str s;
    if (gguf_get_str(g, "general.name", &s, NULL)) return false;
    for (size_t i = 0; i + 4 <= s.len; i++)
        if (strncasecmp(s.data + i, "phi3", 4) == 0 ||
            (i + 5 <= s.len && strncasecmp(s.data + i, "phi-3", 5) == 0))
            return true;
    return false;
}

static enum status read_flags(const struct gguf *g, struct vocab_source *s, struct error *err)
{
    enum status st = optional(gguf_get_bool(g, KEY("normalizer.lowercase"), &s->lowercase, err));
    if (st) return st;
    s->strip_accents = s->lowercase;
    const struct {
        const char *key;
        bool *flag;
    } flags[] = {
        {KEY("normalizer.strip_accents"), &s->strip_accents},
        {KEY("add_bos_token"), &s->add_bos},
        {KEY("add_eos_token"), &s->add_eos},
        {KEY("add_sep_token"), &s->add_sep},
        {KEY("add_space_prefix"), &s->add_space_prefix},
        {KEY("remove_extra_whitespaces"), &s->remove_extra_spaces},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && st == OK; i++)
        st = optional(gguf_get_bool(g, flags[i].key, flags[i].flag, err));
    return st;
}

/* Stays in the file's mapping. */
static enum status read_charsmap(const struct gguf *g, struct vocab_source *s, struct error *err)
{
    struct gguf_array a;
    enum status st = gguf_get_array(g, KEY("precompiled_charsmap"), &a, err);
    if (st) return optional(st);
    if (a.type != GGUF_U8 && a.type != GGUF_I8)
        return error_set(err, ERR_FORMAT, "%s: %s is not an array of bytes", gguf_path(g),
                         KEY("precompiled_charsmap"));
    s->charsmap = (struct text_str){(const char *)a.data, (size_t)a.count};
    return OK;
}

static enum status read_source(const struct gguf *g, struct arrays *a, struct vocab_source *s,
                               struct error *err)
{
    enum status st = read_name(g, KEY("model"), a->model, err);
    if (st) return st;
    s->model = a->model;
    st = read_name(g, KEY("pre"), a->pre, err);
    if (st && st != ERR_NOT_FOUND) return st;
    s->pre = st ? NULL : a->pre;
    if ((st = read_strings(g, KEY("tokens"), &a->tokens, &s->n_tokens, err))) return st;
    s->tokens = a->tokens;
    if ((st = optional(read_strings(g, KEY("merges"), &a->merges, &s->n_merges, err)))) return st;
    s->merges = a->merges;
    if ((st = read_scores(g, s->n_tokens, &a->scores, err))) return st;
    s->scores = a->scores;
    if ((st = read_types(g, s->n_tokens, &a->types, err))) return st;
    s->types = a->types;
    if (tokenizer_needs_merges(s->model) && !a->merges)
        return error_set(err, ERR_FORMAT, "%s: %s is missing", gguf_path(g), KEY("merges"));
    tokenizer_defaults(s);
    read_ids(g, s);
    s->strip_after_special = is_phi3(g);
    if ((st = read_charsmap(g, s, err))) return st;
    return read_flags(g, s, err);
}

enum status vocab_open(const struct gguf *g, struct vocab **out, struct error *err)
{
    *out = NULL;
    struct arrays a = {0};
    struct vocab_source s = {0};
    struct vocab *v = calloc(1, sizeof *v);
    enum status st;
    if (!v) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    st = read_source(g, &a, &s, err);
    if (st) goto out;
    st = tokenizer_create(&s, &v->tokenizer, err);
    if (st) {
        error_prefix(err, "%s", gguf_path(g));
        goto out;
    }
    *out = v;
out:
    free(a.tokens);
    free(a.merges);
    free(a.scores);
    free(a.types);
    if (st) free(v);
    return st;
}

void vocab_close(struct vocab *v)
{
    if (!v) return;
    tokenizer_destroy(v->tokenizer);
    free(v);
}

const struct tokenizer *vocab_tokenizer(const struct vocab *v)
{
    return v->tokenizer;
}
