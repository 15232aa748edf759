#include <stdlib.h>
#include <string.h>

#include "convert/tokenizer_draft.h"
#include "text/pretok.h"

/* The vocabulary of a tokenizer.json, the file of Hugging Face's `tokenizers`. */

static const char file_name[] = "tokenizer.json";

static enum status broken(const struct draft *d, const char *what, struct error *err)
{
    return error_set(err, ERR_FORMAT, "%s/%s: %s", d->folder, file_name, what);
}

static enum status unsupported(const struct draft *d, const char *what, const char *which,
                               struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "%s/%s: %s%s is not supported", d->folder, file_name, what,
                     which);
}

/* ---- parts ---- */

/* {"text": id, ...} */
static enum status read_vocab_object(struct draft *d, const json_t *vocab, struct error *err)
{
    const char *text;
    size_t len;
    json_t *id;
    enum status st = OK;
    if (!json_is_object(vocab) || json_object_size(vocab) == 0)
        return broken(d, "model.vocab is no table of tokens", err);
    void *it = json_object_iter((json_t *)vocab);
    for (; it && st == OK; it = json_object_iter_next((json_t *)vocab, it)) {
        text = json_object_iter_key(it);
        len = strlen(text); /* jansson takes no NUL in a key */
        id = json_object_iter_value(it);
        if (!json_is_integer(id)) return broken(d, "model.vocab has an id that is no whole number", err);
        st = draft_put(d, json_integer_value(id), (struct text_str){text, len}, TOKEN_NORMAL, 0, err);
    }
    return st;
}

/* Both halves with a space between. Spaces within them are written as GPT-2's alphabet does. */
static enum status join_merge(struct draft *d, struct text_str a, struct text_str b,
                              struct text_str *out, struct error *err)
{
    const struct text_str parts[] = {a, {" ", 1}, b};
    size_t n = 0;
    if (a.len + b.len > 2 * DRAFT_MAX_TOKEN_BYTES) return broken(d, "model.merges has an endless text", err);
    char *p = draft_alloc(d, 2 * (a.len + b.len) + 1);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < parts[i].len; k++) {
            if (i != 1 && parts[i].data[k] == ' ') p[n++] = '\xC4';
            p[n++] = i != 1 && parts[i].data[k] == ' ' ? '\xA0' : parts[i].data[k];
        }
    *out = (struct text_str){p, n};
    return OK;
}

/* ["a b", ...] or [["a", "b"], ...] */
static enum status read_merges(struct draft *d, const json_t *merges, struct error *err)
{
    enum status st = OK;
    if (!json_is_array(merges)) return broken(d, "model.merges is no list", err);
    for (size_t i = 0; i < json_array_size(merges) && st == OK; i++) {
        const json_t *m = json_array_get(merges, i);
        struct text_str line = draft_json_text(m);
        if (json_is_array(m)) {
            struct text_str a = draft_json_text(json_array_get(m, 0));
            struct text_str b = draft_json_text(json_array_get(m, 1));
            if (!a.data || !b.data || json_array_size(m) != 2)
                return broken(d, "model.merges has an entry that is no pair", err);
            st = join_merge(d, a, b, &line, err);
        } else if (!line.data) {
            return broken(d, "model.merges has an entry that is no text", err);
        }
        if (st == OK) st = draft_add_merge(d, line, err);
    }
    return st;
}

static bool is_byte_token(struct text_str s)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    return s.len == 6 && memcmp(s.data, "<0x", 3) == 0 && s.data[5] == '>' &&
           memchr(digits, s.data[3], sizeof digits - 1) && memchr(digits, s.data[4], sizeof digits - 1);
}

static void type_bytes(struct draft *d)
{
    for (size_t i = 0; i < d->n_tokens; i++)
        if (d->tokens[i].text.data && is_byte_token(d->tokens[i].text)) d->tokens[i].type = TOKEN_BYTE;
}

/* Whether a chain of normalizers or pre-tokenizers has one of this type; it is put in *found. */
static bool has_part(const json_t *j, const char *list_key, const char *type, const json_t **found)
{
    const json_t *list = json_object_get(j, list_key);
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *part = json_is_array(list) ? json_array_get(list, i) : j;
        if (strcmp(draft_json_type(part), type) != 0) continue;
        if (found) *found = part;
        return true;
    }
    return false;
}

static bool has_normalizer(const struct draft *d, const char *type, const json_t **found)
{
    return has_part(json_object_get(d->tokenizer, "normalizer"), "normalizers", type, found);
}

static bool has_pre(const struct draft *d, const char *type, const json_t **found)
{
    return has_part(json_object_get(d->tokenizer, "pre_tokenizer"), "pretokenizers", type, found);
}

static enum draft_flag prefix_of(const struct draft *d)
{
    const json_t *meta = NULL;
    if (has_normalizer(d, "Prepend", NULL)) return FLAG_YES;
    if (!has_pre(d, "Metaspace", &meta)) return FLAG_NO;
    const char *scheme = json_string_value(json_object_get(meta, "prepend_scheme"));
    if (scheme) return strcmp(scheme, "never") != 0 ? FLAG_YES : FLAG_NO;
    return json_is_false(json_object_get(meta, "add_prefix_space")) ? FLAG_NO : FLAG_YES;
}

/* ---- BPE ---- */

/* SentencePiece's BPE as `tokenizers` holds it. Its scores are lost; the order of the merges is the
 * order of the scores, which is all that encoding asks of them. */
static enum status score_by_merges(struct draft *d, struct error *err)
{
    enum status st = OK;
    struct buf joined;
    buf_init(&joined, 4 * DRAFT_MAX_TOKEN_BYTES);
    for (size_t i = 0; i < d->n_tokens; i++) d->tokens[i].score = -(float)d->n_merges - 1;
    for (size_t i = d->n_merges; i-- > 0 && st == OK;) { /* of several merges the first counts */
        struct text_str m = d->merges[i];
        const char *space = m.len > 2 ? memchr(m.data + 1, ' ', m.len - 1) : NULL;
        int32_t id;
        if (!space) continue;
        size_t left = (size_t)(space - m.data);
        buf_clear(&joined);
        st = buf_append(&joined, m.data, left);
        if (st == OK) st = buf_append(&joined, space + 1, m.len - left - 1);
        if (st) {
            st = error_set(err, st, "a merge of %zu bytes does not fit", m.len);
            break;
        }
        st = draft_find(d, (struct text_str){joined.data, joined.len}, &id, err);
        if (st == OK && id >= 0) d->tokens[id].score = -(float)i;
    }
    buf_fini(&joined);
    d->n_merges = 0;
    return st;
}

static enum status read_sentencepiece_bpe(struct draft *d, const json_t *model, struct error *err)
{
    int32_t unk;
    d->model = "llama";
    d->scored = true;
    strcpy(d->pre, "default");
    d->add_space_prefix = prefix_of(d);
    type_bytes(d);
    enum status st = score_by_merges(d, err);
    if (st == OK) st = draft_find(d, draft_json_text(json_object_get(model, "unk_token")), &unk, err);
    if (st == OK && unk >= 0) d->tokens[unk].type = TOKEN_UNKNOWN;
    return st;
}

static bool has_affix(const json_t *model, const char *key)
{
    struct text_str s = draft_json_text(json_object_get(model, key));
    return s.data && s.len > 0;
}

static enum status read_bpe(struct draft *d, const json_t *model, const char *pre, struct error *err)
{
    if (has_affix(model, "continuing_subword_prefix") || has_affix(model, "end_of_word_suffix"))
        return unsupported(d, "a BPE that marks its words' beginnings or ends", "", err);
    enum status st = read_vocab_object(d, json_object_get(model, "vocab"), err);
    if (st == OK) st = read_merges(d, json_object_get(model, "merges"), err);
    if (st) return st;
    if (json_is_true(json_object_get(model, "byte_fallback"))) return read_sentencepiece_bpe(d, model, err);
    d->model = "gpt2";
    return draft_find_pre(d, pre, err);
}

/* ---- WordPiece ---- */

static bool is_off(const json_t *normalizer, const char *key)
{
    return json_is_false(json_object_get(normalizer, key));
}

static enum status read_wordpiece(struct draft *d, const json_t *model, struct error *err)
{
    const json_t *normalizer = NULL;
    struct text_str prefix = draft_json_text(json_object_get(model, "continuing_subword_prefix"));
    const json_t *longest = json_object_get(model, "max_input_chars_per_word");
    if (!has_pre(d, "BertPreTokenizer", NULL))
        return unsupported(d, "WordPiece with a pre-tokenizer other than BertPreTokenizer", "", err);
    if (!has_normalizer(d, "BertNormalizer", &normalizer) || is_off(normalizer, "clean_text") ||
        is_off(normalizer, "handle_chinese_chars"))
        return unsupported(d, "WordPiece that does not clean its text as BERT does", "", err);
    if (prefix.data && !draft_text_is(prefix, "##"))
        return unsupported(d, "WordPiece with a prefix other than ##", "", err);
    if (json_is_integer(longest) && json_integer_value(longest) != 100)
        return unsupported(d, "WordPiece with words of other than 100 characters", "", err);
    d->model = "bert";
    strcpy(d->pre, "default");
    return read_vocab_object(d, json_object_get(model, "vocab"), err);
}

/* ---- Unigram ---- */

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static enum status read_charsmap(struct draft *d, struct text_str text, struct error *err)
{
    char *p = draft_alloc(d, text.len / 4 * 3 + 3);
    uint32_t bits = 0;
    size_t n = 0, have = 0;
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < text.len; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0 && (text.data[i] == '=' || text.data[i] == '\n')) continue;
        if (digit < 0) return broken(d, "normalizer.precompiled_charsmap is no base64", err);
        bits = bits << 6 | (uint32_t)digit;
        if (++have % 4 == 0) {
            p[n++] = (char)(bits >> 16);
            p[n++] = (char)(bits >> 8);
            p[n++] = (char)bits;
        }
    }
    if (have % 4 == 3) p[n++] = (char)(bits >> 10);
    if (have % 4 >= 2) p[n++] = (char)(bits >> (have % 4 == 3 ? 2 : 4));
    d->charsmap = (struct text_str){p, n};
    return OK;
}

/* Of what can be in a chain, those that the format can tell. */
static enum status read_unigram_normalizer(struct draft *d, struct error *err)
{
    static const char *const known[] = {"", "Precompiled", "Replace", "Strip", "Prepend"};
    const json_t *normalizer = json_object_get(d->tokenizer, "normalizer");
    const json_t *list = json_object_get(normalizer, "normalizers"), *found = NULL;
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0; i < n; i++) {
        const char *type = draft_json_type(json_is_array(list) ? json_array_get(list, i) : normalizer);
        bool good = false;
        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) good |= strcmp(type, known[k]) == 0;
        if (!good) return unsupported(d, "Unigram with the normalizer ", type, err);
    }
    bool merges = has_normalizer(d, "Replace", NULL) || has_pre(d, "WhitespaceSplit", NULL);
    d->remove_extra_spaces = merges ? FLAG_YES : FLAG_NO;
    if (!has_normalizer(d, "Precompiled", &found)) return OK;
    struct text_str map = draft_json_text(json_object_get(found, "precompiled_charsmap"));
    return map.data ? read_charsmap(d, map, err) : OK;
}

static enum status read_unigram(struct draft *d, const json_t *model, struct error *err)
{
    const json_t *vocab = json_object_get(model, "vocab"), *unk = json_object_get(model, "unk_id");
    enum status st = OK;
    if (!json_is_array(vocab) || json_array_size(vocab) == 0)
        return broken(d, "model.vocab is no list of pieces", err);
    if (!has_pre(d, "Metaspace", NULL))
        return unsupported(d, "Unigram with a pre-tokenizer other than Metaspace", "", err);
    d->model = "t5";
    d->scored = true;
    strcpy(d->pre, "default");
    for (size_t i = 0; i < json_array_size(vocab) && st == OK; i++) {
        const json_t *pair = json_array_get(vocab, i), *score = json_array_get(pair, 1);
        struct text_str text = draft_json_text(json_array_get(pair, 0));
        if (!text.data || !json_is_number(score))
            return broken(d, "model.vocab has an entry that is no piece with its score", err);
        bool unknown = json_is_integer(unk) && json_integer_value(unk) == (json_int_t)i;
        st = draft_put(d, (int64_t)i, text, unknown ? TOKEN_UNKNOWN : TOKEN_NORMAL,
                       (float)json_number_value(score), err);
    }
    if (st) return st;
    if (json_is_true(json_object_get(model, "byte_fallback"))) type_bytes(d);
    d->add_space_prefix = prefix_of(d);
    return read_unigram_normalizer(d, err);
}

enum status draft_from_json(struct draft *d, const char *pre, struct error *err)
{
    const json_t *model = json_object_get(d->tokenizer, "model");
    const char *type = draft_json_type(model);
    d->source = file_name;
    if (!*type && json_object_get(model, "merges")) type = "BPE"; /* files of before 2021 */
    if (strcmp(type, "BPE") == 0) return read_bpe(d, model, pre, err);
    if (strcmp(type, "WordPiece") == 0) return read_wordpiece(d, model, err);
    if (strcmp(type, "Unigram") == 0) return read_unigram(d, model, err);
    return unsupported(d, "the kind of tokenizer ", *type ? type : "(none)", err);
}
