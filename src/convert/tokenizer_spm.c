#include <string.h>

#include "convert/tokenizer_draft.h"
#include "convert/wire.h"

/* SentencePiece's model file: a protocol buffer, ModelProto of sentencepiece_model.proto. */

enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TRAINER_MODEL_TYPE = 3, TRAINER_SUFFIX_SPACE = 24, TRAINER_UNK = 40, TRAINER_BOS = 41,
       TRAINER_EOS = 42, TRAINER_PAD = 43 };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_MERGE_SPACES = 4,
       NORMALIZER_ESCAPE = 5 };
enum { MODEL_TYPE_UNIGRAM = 1, MODEL_TYPE_BPE = 2 };

struct spm_file {
    struct draft *d;
    const char *name;
    uint64_t model_type;
    bool prefix, merge_spaces, escape, suffix_space;
    int64_t ids[ROLE_COUNT]; /* of TrainerSpec */
};

static enum status broken(const struct spm_file *f, struct error *err)
{
    return error_set(err, ERR_FORMAT,
                     "%s/%s: no SentencePiece model (a file of the same name that holds lines of text is "
                     "tiktoken's: add tokenizer.json)",
                     f->d->folder, f->name);
}

static enum status read_piece(const struct spm_file *f, struct wire_field message, struct error *err)
{
    struct wire w = wire_open(message.bytes, message.len);
    struct wire_field v;
    struct text_str text = {"", 0};
    uint64_t type = TOKEN_NORMAL;
    float score = 0;
    while (wire_next(&w, &v)) {
        uint32_t bits = (uint32_t)v.value;
        if (v.number == PIECE_TEXT && v.type == WIRE_BYTES)
            text = (struct text_str){v.bytes, v.len};
        else if (v.number == PIECE_SCORE && v.type == WIRE_FIXED32)
            memcpy(&score, &bits, sizeof score);
        else if (v.number == PIECE_TYPE && v.type == WIRE_VARINT)
            type = v.value;
    }
    if (w.broken || type < TOKEN_NORMAL || type > TOKEN_BYTE) return broken(f, err);
    if (type == TOKEN_USER_DEFINED) {
        enum status st = draft_with_spaces(f->d, text, &text, err);
        if (st) return st;
    }
    /* The types have GGUF's numbers. */
    return draft_put(f->d, (int64_t)f->d->n_tokens, text, (enum token_type)type, score, err);
}

static void read_trainer(struct spm_file *f, struct wire *w)
{
    static const struct {
        uint32_t number;
        enum draft_role role;
    } ids[] = {{TRAINER_UNK, ROLE_UNK}, {TRAINER_BOS, ROLE_BOS}, {TRAINER_EOS, ROLE_EOS},
               {TRAINER_PAD, ROLE_PAD}};
    struct wire_field v;
    while (wire_next(w, &v)) {
        if (v.type != WIRE_VARINT) continue;
        if (v.number == TRAINER_MODEL_TYPE) f->model_type = v.value;
        if (v.number == TRAINER_SUFFIX_SPACE) f->suffix_space = v.value != 0;
        for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
            if (v.number == ids[i].number) f->ids[ids[i].role] = (int64_t)v.value;
    }
}

static void read_normalizer(struct spm_file *f, struct wire *w)
{
    struct wire_field v;
    while (wire_next(w, &v)) {
        if (v.number == NORMALIZER_CHARSMAP && v.type == WIRE_BYTES)
            f->d->charsmap = (struct text_str){v.bytes, v.len};
        if (v.type != WIRE_VARINT) continue;
        if (v.number == NORMALIZER_PREFIX) f->prefix = v.value != 0;
        if (v.number == NORMALIZER_MERGE_SPACES) f->merge_spaces = v.value != 0;
        if (v.number == NORMALIZER_ESCAPE) f->escape = v.value != 0;
    }
}

static enum status read_model(struct spm_file *f, struct error *err)
{
    struct wire w = wire_open(f->d->file.data, f->d->file.len);
    struct wire_field v;
    enum status st = OK;
    while (st == OK && wire_next(&w, &v)) {
        if (v.type != WIRE_BYTES) continue;
        struct wire part = wire_open(v.bytes, v.len);
        if (v.number == MODEL_PIECES) st = read_piece(f, v, err);
        if (v.number == MODEL_TRAINER) read_trainer(f, &part);
        if (v.number == MODEL_NORMALIZER) read_normalizer(f, &part);
        if (part.broken) return broken(f, err);
    }
    if (st == OK && (w.broken || f->d->n_tokens == 0)) return broken(f, err);
    return st;
}

/* XLM-RoBERTa's models number the pieces as fairseq does: <s>, <pad>, </s>, <unk> first, the pieces from
 * the fourth on one further, <mask> last. */
static enum status realign(struct draft *d, struct error *err)
{
    static const struct {
        const char *text;
        enum token_type type;
        enum draft_role role;
    } first[] = {{"<s>", TOKEN_CONTROL, ROLE_BOS}, {"<pad>", TOKEN_CONTROL, ROLE_PAD},
                 {"</s>", TOKEN_CONTROL, ROLE_EOS}, {"<unk>", TOKEN_UNKNOWN, ROLE_UNK}};
    size_t n = d->n_tokens;
    enum status st = draft_grow(d, n < 3 ? 5 : n + 2, err);
    if (st) return st;
    if (n > 3) memmove(d->tokens + 4, d->tokens + 3, (n - 3) * sizeof *d->tokens);
    for (size_t i = 0; i < 4; i++) {
        d->tokens[i] = (struct draft_token){{first[i].text, strlen(first[i].text)}, 0, first[i].type, true};
        d->ids[first[i].role] = (int32_t)i;
    }
    d->tokens[d->n_tokens - 1] = (struct draft_token){{"<mask>", 6}, 0, TOKEN_CONTROL, true};
    d->ids[ROLE_MASK] = (int32_t)d->n_tokens - 1;
    d->ids[ROLE_CLS] = d->ids[ROLE_BOS];
    d->ids[ROLE_SEP] = d->ids[ROLE_EOS];
    d->add_bos = d->add_eos = FLAG_YES;
    d->sorted = false;
    return OK;
}

enum status draft_from_spm(struct draft *d, const char *name, struct error *err)
{
    struct spm_file f = {.d = d, .name = name, .model_type = MODEL_TYPE_UNIGRAM, .prefix = true,
                         .merge_spaces = true, .escape = true};
    /* What the proto gives where the file is silent. */
    for (size_t i = 0; i < ROLE_COUNT; i++) f.ids[i] = TOKEN_NONE;
    f.ids[ROLE_UNK] = 0;
    f.ids[ROLE_BOS] = 1;
    f.ids[ROLE_EOS] = 2;
    d->source = name;
    d->scored = true;
    strcpy(d->pre, "default");
    enum status st = draft_read_file(d, name, err);
    if (st == OK) st = read_model(&f, err);
    if (st) return st;
    bool unigram = f.model_type == MODEL_TYPE_UNIGRAM;
    if ((!unigram && f.model_type != MODEL_TYPE_BPE) || !f.escape || f.suffix_space)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s/%s: a SentencePiece model of whole words or characters, or one that marks "
                         "spaces otherwise than in front of words, is not supported",
                         d->folder, name);
    d->model = unigram ? "t5" : "llama";
    d->add_space_prefix = f.prefix ? FLAG_YES : FLAG_NO;
    if (unigram) d->remove_extra_spaces = f.merge_spaces ? FLAG_YES : FLAG_NO;
    if (!unigram) d->charsmap = (struct text_str){0}; /* llama.cpp's SPM has no place for it */
    if (strcmp(name, "sentencepiece.bpe.model") == 0) return realign(d, err);
    for (size_t i = 0; i < ROLE_COUNT; i++)
        if (f.ids[i] >= 0 && f.ids[i] < (int64_t)d->n_tokens) d->ids[i] = (int32_t)f.ids[i];
    return OK;
}
