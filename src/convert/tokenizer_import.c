#include "convert/tokenizer_import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tokenizer_draft.h"
#include "gguf/gguf_write.h"

#define KEY(name) "tokenizer.ggml." name

/* ---- reading ---- */

static enum status read_settings(struct draft *d, struct error *err)
{
    struct {
        const char *name;
        json_t **root;
    } files[] = {{"tokenizer.json", &d->tokenizer},
                 {"config.json", &d->config},
                 {"tokenizer_config.json", &d->tokenizer_config},
                 {"special_tokens_map.json", &d->special_map},
                 {"added_tokens.json", &d->added},
                 {"generation_config.json", &d->generation}};
    enum status st = OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && st == OK; i++)
        st = draft_read_json(d, files[i].name, files[i].root, err);
    if (st) return st;
    const json_t *size = draft_config(d, "vocab_size"), *types = draft_config(d, "type_vocab_size");
    if (json_is_integer(size)) {
        json_int_t n = json_integer_value(size);
        if (n < 0 || n > DRAFT_MAX_TOKENS)
            return error_set(err, ERR_LIMIT, "%s/config.json: a vocab_size of %lld is out of range",
                             d->folder, (long long)n);
        d->vocab_size = (size_t)n;
    }
    if (json_is_integer(types) && json_integer_value(types) >= 0 &&
        json_integer_value(types) < 1 << 16)
        d->token_types = json_integer_value(types);
    return OK;
}

/* SentencePiece's own file has the scores that tokenizer.json lost. A byte-level tokenizer.json is
 * no SentencePiece vocabulary, whatever lies beside it under that name. */
static const char *sentencepiece_file(const struct draft *d)
{
    static const char *const names[] = {"tokenizer.model", "spiece.model",
                                        "sentencepiece.bpe.model"};
    const json_t *model = json_object_get(d->tokenizer, "model");
    bool fallback = json_is_true(json_object_get(model, "byte_fallback"));
    if (d->tokenizer && !(strcmp(draft_json_type(model), "BPE") == 0 && fallback)) return NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (draft_has_file(d, names[i])) return names[i];
    return NULL;
}

static enum status read_vocabulary(struct draft *d, const char *pre, struct error *err)
{
    const char *spm = sentencepiece_file(d);
    if (spm) return draft_from_spm(d, spm, err);
    if (d->tokenizer) return draft_from_json(d, pre, err);
    if (draft_has_file(d, "vocab.txt")) return draft_from_vocab_txt(d, err);
    if (draft_has_file(d, "vocab.json") && draft_has_file(d, "merges.txt"))
        return draft_from_merges_txt(d, pre, err);
    return error_set(err, ERR_NOT_FOUND,
                     "%s has no tokenizer: none of tokenizer.json, tokenizer.model, spiece.model, "
                     "sentencepiece.bpe.model, vocab.txt, and vocab.json with merges.txt",
                     d->folder);
}

/* Conventions that no file tells (llama.cpp, conversion/). */
static void apply_conventions(struct draft *d)
{
    const json_t *prefix = json_object_get(d->tokenizer_config, "add_prefix_space");
    if (strncmp(d->arch, "gemma", 5) == 0)
        d->add_space_prefix = FLAG_NO;
    else if (strcmp(d->arch, "llama") == 0 && d->scored && json_is_boolean(prefix))
        d->add_space_prefix = json_is_true(prefix) ? FLAG_YES : FLAG_NO;
    if (strcmp(d->arch, "jina-bert-v2") == 0 && strcmp(d->model, "gpt2") == 0) d->token_types = 2;
}

static enum status read_all(struct draft *d, const char *pre, struct error *err)
{
    enum status st = read_settings(d, err);
    if (st == OK) st = read_vocabulary(d, pre, err);
    if (st == OK) st = draft_add_tokens(d, err);
    if (st == OK) st = draft_find_special(d, err);
    if (st == OK) st = draft_pad(d, err);
    if (st == OK) st = draft_find_templates(d, err);
    if (st == OK) apply_conventions(d);
    return st;
}

/* ---- trying it ---- */

struct arrays {
    struct text_str *tokens;
    uint8_t *types;
    float *scores;
    int32_t fim[6];
};

static void arrays_fini(struct arrays *a)
{
    free(a->tokens);
    free(a->types);
    free(a->scores);
}

static enum status arrays_fill(const struct draft *d, struct arrays *a, struct error *err)
{
    size_t n = d->n_tokens;
    a->tokens = malloc(n * sizeof *a->tokens);
    a->types = malloc(n);
    a->scores = malloc(n * sizeof *a->scores);
    if (!a->tokens || !a->types || !a->scores) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        a->tokens[i] = d->tokens[i].text;
        a->types[i] = d->tokens[i].type;
        a->scores[i] = d->tokens[i].score;
    }
    return OK;
}

/* Builds the tokenizer as a reader of the file would: a vocabulary that none can be made from is an
 * error now and not when the model is loaded, and the fill-in-the-middle tokens are found on the
 * way. */
static enum status try_tokenizer(const struct draft *d, struct arrays *a, struct error *err)
{
    struct vocab_source s = {.model = d->model, .pre = d->pre};
    struct tokenizer *t = NULL;
    tokenizer_defaults(&s);
    s.n_tokens = d->n_tokens;
    s.tokens = a->tokens;
    s.types = a->types;
    s.scores = d->scored ? a->scores : NULL;
    s.merges = d->merges;
    s.n_merges = d->n_merges;
    s.charsmap = d->charsmap;
    enum status st = tokenizer_create(&s, &t, err);
    if (st) return error_prefix(err, "%s/%s", d->folder, d->source);
    const struct vocab_source *made = tokenizer_source(t);
    const int32_t fim[] = {made->fim_pre, made->fim_suf, made->fim_mid,
                           made->fim_pad, made->fim_rep, made->fim_sep};
    bool whole = fim[0] >= 0 && fim[1] >= 0 && fim[2] >= 0;
    for (size_t i = 0; i < 6; i++) a->fim[i] = whole ? fim[i] : TOKEN_NONE;
    tokenizer_destroy(t);
    return OK;
}

/* ---- writing ---- */

static enum status write_tokens(const struct draft *d, const struct arrays *a,
                                struct gguf_writer *w, struct error *err)
{
    size_t n = d->n_tokens > d->n_merges ? d->n_tokens : d->n_merges;
    struct gguf_str *strings = malloc(n * sizeof *strings);
    int32_t *types = malloc(d->n_tokens * sizeof *types);
    if (!strings || !types) {
        free(strings);
        free(types);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < d->n_tokens; i++) {
        strings[i] = (struct gguf_str){a->tokens[i].data, a->tokens[i].len};
        types[i] = a->types[i];
    }
    gguf_writer_strings(w, KEY("tokens"), strings, d->n_tokens);
    if (d->scored) gguf_writer_array(w, KEY("scores"), GGUF_F32, d->n_tokens, a->scores);
    gguf_writer_array(w, KEY("token_type"), GGUF_I32, d->n_tokens, types);
    for (size_t i = 0; i < d->n_merges; i++)
        strings[i] = (struct gguf_str){d->merges[i].data, d->merges[i].len};
    /* Readers tell a vocabulary without merges from a file that lost them. */
    if (d->n_merges || tokenizer_needs_merges(d->model))
        gguf_writer_strings(w, KEY("merges"), strings, d->n_merges);
    free(strings);
    free(types);
    return OK;
}

static void write_ids(const struct draft *d, const struct arrays *a, struct gguf_writer *w)
{
    static const char *const roles[ROLE_COUNT] = {
        KEY("bos_token_id"),       KEY("eos_token_id"),     KEY("unknown_token_id"),
        KEY("seperator_token_id"), KEY("padding_token_id"), KEY("cls_token_id"),
        KEY("mask_token_id"),      KEY("eot_token_id"),     KEY("eom_token_id"),
    };
    static const char *const fim[6] = {
        KEY("fim_pre_token_id"), KEY("fim_suf_token_id"), KEY("fim_mid_token_id"),
        KEY("fim_pad_token_id"), KEY("fim_rep_token_id"), KEY("fim_sep_token_id"),
    };
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (d->ids[i] >= 0) gguf_writer_u64(w, roles[i], GGUF_U32, (uint64_t)d->ids[i]);
    for (size_t i = 0; i < 6; i++)
        if (a->fim[i] >= 0) gguf_writer_u64(w, fim[i], GGUF_U32, (uint64_t)a->fim[i]);
}

static void write_flags(const struct draft *d, struct gguf_writer *w)
{
    const struct {
        const char *key;
        enum draft_flag flag;
    } flags[] = {
        {KEY("add_bos_token"), d->add_bos},
        {KEY("add_eos_token"), d->add_eos},
        {KEY("add_sep_token"), d->add_sep},
        {KEY("add_space_prefix"), d->add_space_prefix},
        {KEY("remove_extra_whitespaces"), d->remove_extra_spaces},
        {KEY("normalizer.lowercase"), d->lowercase},
        {KEY("normalizer.strip_accents"), d->strip_accents},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].flag != FLAG_OPEN)
            gguf_writer_bool(w, flags[i].key, flags[i].flag == FLAG_YES);
    if (d->charsmap.len)
        gguf_writer_array(w, KEY("precompiled_charsmap"), GGUF_U8, d->charsmap.len,
                          d->charsmap.data);
    if (d->token_types >= 0)
        gguf_writer_u64(w, KEY("token_type_count"), GGUF_U32, (uint64_t)d->token_types);
}

static void write_templates(const struct draft *d, struct gguf_writer *w)
{
    struct gguf_str names[DRAFT_MAX_TEMPLATES];
    size_t n = 0;
    for (size_t i = 0; i < d->n_templates; i++) {
        const struct draft_template *t = &d->templates[i];
        struct gguf_str text = {t->text.data, t->text.len};
        char key[128];
        if (strcmp(t->name, "default") == 0) {
            gguf_writer_bytes(w, "tokenizer.chat_template", text);
            continue;
        }
        snprintf(key, sizeof key, "tokenizer.chat_template.%s", t->name);
        gguf_writer_bytes(w, key, text);
        names[n++] = (struct gguf_str){t->name, strlen(t->name)};
    }
    if (n) gguf_writer_strings(w, "tokenizer.chat_templates", names, n);
}

static void tell(const struct draft *d, const struct arrays *a, struct tokenizer_import_info *info)
{
    snprintf(info->model, sizeof info->model, "%s", d->model);
    snprintf(info->pre, sizeof info->pre, "%s", d->pre);
    snprintf(info->source, sizeof info->source, "%s", d->source);
    info->n_tokens = d->n_tokens;
    info->n_padding = d->n_padding;
    info->n_merges = d->n_merges;
    info->n_templates = d->n_templates;
    info->fim_pre = a->fim[0];
    info->fim_suf = a->fim[1];
    info->fim_mid = a->fim[2];
}

enum status tokenizer_import(const char *folder, const char *arch,
                             const struct tokenizer_import_options *options, struct gguf_writer *w,
                             struct tokenizer_import_info *info, struct error *err)
{
    struct draft *d = malloc(sizeof *d);
    struct arrays a = {0};
    if (!d) return error_set(err, ERR_NOMEM, "out of memory");
    draft_init(d, folder, arch);
    enum status st = read_all(d, options ? options->pre : NULL, err);
    if (st == OK) st = arrays_fill(d, &a, err);
    if (st == OK) st = try_tokenizer(d, &a, err);
    if (st == OK) {
        gguf_writer_str(w, KEY("model"), d->model);
        gguf_writer_str(w, KEY("pre"), d->pre);
        st = write_tokens(d, &a, w, err);
    }
    if (st == OK) {
        write_ids(d, &a, w);
        write_flags(d, w);
        write_templates(d, w);
        if (info) tell(d, &a, info);
    }
    arrays_fini(&a);
    draft_fini(d);
    free(d);
    return st;
}
