#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/tokenizer_int.h"
#include "text/utf8_int.h"

enum { MAX_TOKENS = 1 << 24, MAX_MERGES = 1 << 26, MAX_TOKEN_BYTES = 1 << 20 };

static const struct vocab_kind *const kinds[] = {
    &vocab_byte_bpe, &vocab_char_bpe, &vocab_spm, &vocab_wordpiece, &vocab_unigram,
};

static const struct vocab_kind *find_kind(const char *model)
{
    for (size_t i = 0; model && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i]->name, model) == 0) return kinds[i];
    return NULL;
}

/* ---- lists and bytes ---- */

void token_list_fini(struct token_list *l)
{
    free(l->ids);
    *l = (struct token_list){0};
}

enum status token_list_push(struct token_list *l, int32_t id)
{
    if (l->len == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        if (cap > (size_t)1 << 31) return ERR_LIMIT;
        int32_t *ids = realloc(l->ids, cap * sizeof *ids);
        if (!ids) return ERR_NOMEM;
        l->ids = ids;
        l->cap = cap;
    }
    l->ids[l->len++] = id;
    return OK;
}

/* GPT-2's encoder.py: bytes_to_unicode. */
static bool byte_is_itself(unsigned b)
{
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

static unsigned byte_codepoint(unsigned b)
{
    if (byte_is_itself(b)) return b;
    if (b <= 0x20) return 0x100 + b;
    if (b <= 0xA0) return 0x121 + (b - 0x7F);
    return 0x143; /* 0xAD */
}

size_t byte_char(uint8_t byte, char dst[2])
{
    unsigned c = byte_codepoint(byte);
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    dst[0] = (char)(0xC0 | c >> 6);
    dst[1] = (char)(0x80 | (c & 0x3F));
    return 2;
}

int char_byte(uint32_t c)
{
    if (c >= 0x100 && c <= 0x120) return (int)(c - 0x100);
    if (c >= 0x121 && c <= 0x142) return (int)(c - 0x121 + 0x7F);
    if (c == 0x143) return 0xAD;
    return c < 0x100 && byte_is_itself(c) ? (int)c : -1;
}

/* The byte of a "<0xXX>" token, or -1. */
static int parse_byte_token(struct text_str s)
{
    static const char digits[] = "0123456789ABCDEF";
    if (s.len != 6 || memcmp(s.data, "<0x", 3) != 0 || s.data[5] != '>') return -1;
    const char *hi = memchr(digits, s.data[3], 16), *lo = memchr(digits, s.data[4], 16);
    return hi && lo ? (int)((hi - digits) << 4 | (lo - digits)) : -1;
}

enum status tokenizer_push_byte(const struct tokenizer *t, uint8_t byte, struct token_list *out,
                                struct error *err)
{
    enum status st = OK;
    if (t->byte_ids[byte] != TOKEN_NONE) {
        st = token_list_push(out, t->byte_ids[byte]);
    } else {
        if (t->unknown.len == 0)
            return error_set(err, ERR_UNSUPPORTED,
                             "the model's vocabulary has no token for byte 0x%02X", byte);
        for (size_t i = 0; i < t->unknown.len && st == OK; i++)
            st = token_list_push(out, t->unknown.ids[i]);
    }
    return st ? error_set(err, st, "out of memory") : OK;
}

/* ---- creation ---- */

static enum status check_source(const struct vocab_source *src, struct error *err)
{
    if (src->n_tokens == 0) return error_set(err, ERR_FORMAT, "the vocabulary has no tokens");
    if (src->n_tokens > MAX_TOKENS || src->n_merges > MAX_MERGES)
        return error_set(err, ERR_LIMIT, "a vocabulary of %zu tokens and %zu merges is too large",
                         src->n_tokens, src->n_merges);
    if (!src->tokens || (src->n_merges && !src->merges))
        return error_set(err, ERR_INVALID, "a vocabulary without its tokens or merges");
    for (size_t i = 0; i < src->n_tokens; i++)
        if (src->tokens[i].len > MAX_TOKEN_BYTES)
            return error_set(err, ERR_LIMIT, "token %zu is %zu bytes long", i, src->tokens[i].len);
    return OK;
}

static char *copy_string(const char *s)
{
    return strdup(s ? s : "");
}

static enum status copy_source(struct tokenizer *t, const struct vocab_source *src)
{
    size_t n = src->n_tokens;
    t->src = *src;
    t->src.merges = NULL;
    t->src.n_merges = 0;
    t->model = copy_string(src->model);
    t->pre = copy_string(src->pre);
    t->tokens = malloc(n * sizeof *t->tokens);
    t->types = malloc(n);
    if (!t->model || !t->pre || !t->tokens || !t->types) return ERR_NOMEM;
    memcpy(t->tokens, src->tokens, n * sizeof *t->tokens);
    if (src->types)
        for (size_t i = 0; i < n; i++)
            t->types[i] = src->types[i] >= TOKEN_NORMAL && src->types[i] <= TOKEN_BYTE
                              ? src->types[i] : TOKEN_NORMAL;
    else
        memset(t->types, TOKEN_NORMAL, n);
    if (t->kind->scored) {
        t->scores = calloc(n, sizeof *t->scores);
        if (!t->scores) return ERR_NOMEM;
        for (size_t i = 0; src->scores && i < n; i++)
            t->scores[i] = isnan(src->scores[i]) ? -INFINITY : src->scores[i];
    }
    t->src.model = t->model;
    t->src.pre = src->pre ? t->pre : NULL;
    t->src.tokens = t->tokens;
    t->src.types = t->types;
    t->src.scores = t->scores;
    return OK;
}

static int32_t find_typed(const struct tokenizer *t, const char *text, size_t len, bool byte_type)
{
    int32_t id = token_map_find(&t->map, text, len);
    if (id < 0) return TOKEN_NONE;
    bool good = byte_type ? t->types[id] == TOKEN_BYTE : token_is_text(t->types[id]);
    return good ? id : TOKEN_NONE;
}

static void find_byte_tokens(struct tokenizer *t)
{
    for (unsigned b = 0; b < 256; b++) {
        char text[8];
        if (t->kind->byte_level) {
            t->byte_ids[b] = find_typed(t, text, byte_char((uint8_t)b, text), false);
            continue;
        }
        static const char digits[] = "0123456789ABCDEF";
        memcpy(text, (char[]){'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'}, 6);
        t->byte_ids[b] = find_typed(t, text, 6, true);
        if (t->byte_ids[b] == TOKEN_NONE && b < 0x80 && b != ' ') {
            text[0] = (char)b;
            t->byte_ids[b] = find_typed(t, text, 1, false);
        }
    }
}

/* Byte-level vocabularies without an entry for every byte (most leave out those that UTF-8 never
 * has) get U+FFFD in its place, others their unknown token. */
static enum status find_unknown(struct tokenizer *t, struct error *err)
{
    struct token_list list = {0};
    bool byte_level = t->kind->byte_level;
    for (size_t i = 0; i < 3; i++)
        if (t->byte_ids[(unsigned char)UTF8_REPLACEMENT[i]] == TOKEN_NONE) byte_level = false;
    enum status st = OK;
    if (byte_level) {
        st = t->kind->encode(t, UTF8_REPLACEMENT, 3, false, &list, err);
    } else if (t->src.unk != TOKEN_NONE && t->types[t->src.unk] != TOKEN_CONTROL) {
        st = token_list_push(&list, t->src.unk);
        if (st) error_set(err, st, "out of memory");
    }
    if (st)
        token_list_fini(&list);
    else
        t->unknown = list;
    return st;
}

static enum status build(struct tokenizer *t, const struct vocab_source *src, const char *pre,
                         struct error *err)
{
    const struct pretok_family *family = NULL;
    if (t->kind->merges) {
        family = pretok_find(pre);
        if (!family)
            return error_set(err, ERR_UNSUPPORTED, "unknown pre-tokenizer '%s'", pre);
    }
    enum status st = copy_source(t, src);
    if (st) return error_set(err, st, "out of memory");
    if (family && family->ignore_merges) t->src.ignore_merges = true;
    if ((st = token_map_build(&t->map, t->tokens, t->src.n_tokens, err))) return st;
    if ((st = special_build(t, err))) return st;
    find_byte_tokens(t);
    t->space_id = find_typed(t, UTF8_LOWER_BLOCK, 3, false);
    if (family) {
        if ((st = merges_build(t, src, err))) return st;
        if ((st = pretok_create(family, true, &t->pretok, err))) return st;
    }
    if (t->kind->prepare && (st = t->kind->prepare(t, err))) return st;
    return find_unknown(t, err);
}

enum status tokenizer_create(const struct vocab_source *src, struct tokenizer **out,
                             struct error *err)
{
    *out = NULL;
    enum status st = check_source(src, err);
    if (st) return st;
    const struct vocab_kind *kind = find_kind(src->model);
    if (!kind)
        return error_set(err, ERR_UNSUPPORTED, "unknown tokenizer model '%s'",
                         src->model ? src->model : "");
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) return error_set(err, ERR_NOMEM, "out of memory");
    t->kind = kind;
    st = build(t, src, kind->pre ? kind->pre : src->pre, err);
    if (st) {
        tokenizer_destroy(t);
        return st;
    }
    *out = t;
    return OK;
}

void tokenizer_destroy(struct tokenizer *t)
{
    if (!t) return;
    if (t->kind->release) t->kind->release(t);
    pretok_destroy(t->pretok);
    merge_map_fini(&t->merges);
    token_map_fini(&t->map);
    token_list_fini(&t->unknown);
    free(t->specials);
    free(t->ends);
    free(t->scores);
    free(t->types);
    free(t->tokens);
    free(t->model);
    free(t->pre);
    free(t);
}

/* ---- encoding ---- */

static enum status encode(const struct tokenizer *t, const char *text, size_t len, bool prefix,
                          bool parse_special, const char *marks, struct token_list *out,
                          struct error *err)
{
    if (len > (size_t)1 << 30)
        return error_set(err, ERR_LIMIT, "a text of %zu bytes is longer than 1 GiB", len);
    size_t old_len = out->len;
    struct fragment_list parts = {0};
    enum status st = special_partition(t, text, len, parse_special, marks, &parts, err);
    for (size_t i = 0; i < parts.len && st == OK; i++) {
        struct fragment f = parts.items[i];
        if (f.id != TOKEN_NONE) {
            st = token_list_push(out, f.id);
            if (st) error_set(err, st, "out of memory");
            prefix = true;
            continue;
        }
        st = t->kind->encode(t, text + f.begin, f.len, prefix && t->src.add_space_prefix, out, err);
        prefix = false;
    }
    free(parts.items);
    if (st) out->len = old_len;
    return st;
}

enum status tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                             bool parse_special, struct token_list *out, struct error *err)
{
    return encode(t, text, len, true, parse_special, NULL, out, err);
}

enum status tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                                    const char *marks, struct token_list *out, struct error *err)
{
    return encode(t, text, len, true, true, marks, out, err);
}

enum status tokenizer_encode_raw(const struct tokenizer *t, const char *text, size_t len,
                                 bool parse_special, struct token_list *out, struct error *err)
{
    return encode(t, text, len, false, parse_special, NULL, out, err);
}

bool tokenizer_has_byte(const struct tokenizer *t, uint8_t byte)
{
    if (t->kind->lossy) return false;
    if (byte == ' ' && !t->kind->byte_level && t->space_id != TOKEN_NONE) return true;
    return t->byte_ids[byte] != TOKEN_NONE;
}

/* ---- decoding ---- */

/* Writes to dst when it is not NULL; returns the length either way. */
static size_t decode_byte_level(struct text_str s, char *dst)
{
    size_t n = 0;
    for (size_t i = 0, step; i < s.len; i += step) {
        step = utf8_sequence(s.data + i, s.len - i);
        int byte = step ? char_byte(utf8_decode(s.data + i, step)) : -1;
        if (!step) step = 1;
        if (byte >= 0) {
            if (dst) dst[n] = (char)byte;
            n++;
        } else {
            if (dst) memcpy(dst + n, s.data + i, step);
            n += step;
        }
    }
    return n;
}

static size_t decode_spaces(struct text_str s, char *dst)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len;) {
        bool space = s.len - i >= 3 && memcmp(s.data + i, UTF8_LOWER_BLOCK, 3) == 0;
        if (dst) dst[n] = space ? ' ' : s.data[i];
        n++;
        i += space ? 3 : 1;
    }
    return n;
}

static size_t decode_token(const struct tokenizer *t, int32_t id, bool special, char *dst)
{
    struct text_str s = t->tokens[id];
    int byte;
    switch ((enum token_type)t->types[id]) {
    case TOKEN_CONTROL:
    case TOKEN_UNKNOWN:
        if (!special) return 0;
        break;
    case TOKEN_USER_DEFINED: break;
    case TOKEN_BYTE:
        byte = parse_byte_token(s);
        if (byte < 0) break;
        if (dst) *dst = (char)byte;
        return 1;
    case TOKEN_NORMAL:
    case TOKEN_UNUSED:
        return t->kind->byte_level ? decode_byte_level(s, dst) : decode_spaces(s, dst);
    }
    if (dst) memcpy(dst, s.data, s.len);
    return s.len;
}

size_t tokenizer_piece(const struct tokenizer *t, int32_t id, bool special, char *dst, size_t cap)
{
    if (id < 0 || (size_t)id >= t->src.n_tokens) return 0;
    /* No decoding makes a text longer. */
    if (t->tokens[id].len <= cap) return decode_token(t, id, special, dst);
    size_t len = decode_token(t, id, special, NULL);
    if (len <= cap) decode_token(t, id, special, dst);
    return len;
}

enum status tokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n, bool special,
                             struct buf *out, struct error *err)
{
    size_t old_len = out->len;
    enum status st = OK;
    bool strip = t->kind->word_space || (t->kind->prefixed && t->src.add_space_prefix);
    bool after_special = true;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (size_t)ids[i] >= t->src.n_tokens) {
            st = error_set(err, ERR_INVALID, "token id %d at index %zu is outside the vocabulary of %zu",
                           ids[i], i, t->src.n_tokens);
            break;
        }
        st = buf_reserve(out, t->tokens[ids[i]].len);
        if (st) {
            error_set(err, st, "the text does not fit: %s", status_name(st));
            break;
        }
        char *dst = out->data + out->len;
        size_t len = decode_token(t, ids[i], special, dst);
        enum token_type type = t->types[ids[i]];
        bool is_text = token_is_text(type) || type == TOKEN_BYTE;
        if (strip && after_special && is_text && len && dst[0] == ' ') memmove(dst, dst + 1, --len);
        after_special = !is_text;
        out->len += len;
        out->data[out->len] = 0;
    }
    if (st) {
        out->len = old_len;
        if (out->data) out->data[old_len] = 0;
    }
    return st;
}

/* ---- questions ---- */

size_t tokenizer_n_tokens(const struct tokenizer *t)
{
    return t->src.n_tokens;
}

enum token_type tokenizer_type(const struct tokenizer *t, int32_t id)
{
    return id < 0 || (size_t)id >= t->src.n_tokens ? TOKEN_UNUSED : (enum token_type)t->types[id];
}

int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t len)
{
    return token_map_find(&t->map, text, len);
}

const struct vocab_source *tokenizer_source(const struct tokenizer *t)
{
    return &t->src;
}

void tokenizer_defaults(struct vocab_source *s)
{
    static const struct vocab_defaults none = {
        .bos = TOKEN_NONE, .eos = TOKEN_NONE, .unk = TOKEN_NONE, .pad = TOKEN_NONE,
        .sep = TOKEN_NONE, .cls = TOKEN_NONE, .mask = TOKEN_NONE,
    };
    const struct vocab_kind *kind = find_kind(s->model);
    const struct vocab_defaults *d = kind ? &kind->defaults : &none;
    const struct pretok_family *f = kind && kind->merges ? pretok_find(s->pre) : NULL;
    s->bos = d->bos;
    s->eos = d->eos;
    s->unk = d->unk;
    s->pad = d->pad;
    s->sep = d->sep;
    s->cls = d->cls;
    s->mask = d->mask;
    s->eot = TOKEN_NONE;
    s->fim_pre = s->fim_suf = s->fim_mid = s->fim_pad = s->fim_rep = s->fim_sep = TOKEN_NONE;
    s->add_bos = d->add_bos || (f && f->add_bos);
    s->add_eos = d->add_eos;
    s->add_sep = f && f->add_sep;
    s->add_space_prefix = d->add_space_prefix;
    s->remove_extra_spaces = false;
    s->lowercase = s->strip_accents = d->lowercase;
}

bool tokenizer_needs_merges(const char *model)
{
    const struct vocab_kind *kind = find_kind(model);
    return kind && kind->merges;
}
