#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/charsmap.h"
#include "text/tokenizer_int.h"
#include "text/trie.h"
#include "text/utf8_int.h"

/* SentencePiece's unigram language model (Kudo 2018): of all ways to cut the normalised text into
 * tokens the one whose scores, logarithms of probabilities, add up to the most. */

enum { MAX_PIECE = 1024 /* bytes of a token: what one place of a text can cost */ };
static const double unknown_penalty = 10.0; /* below the worst score (unigram_model.cc: kUnkPenalty) */

struct unigram {
    struct trie trie;
    struct charsmap charsmap;
    double unknown_score;
    bool crosses_words; /* some token has a space after another character */
    bool has_bytes;     /* byte fallback */
};

/* The best way to get to one place of the text. */
struct step {
    double score;
    uint32_t from;
    int32_t id; /* TOKEN_NONE: a character without a token */
};

struct unigram_state {
    const struct tokenizer *t;
    struct token_list *out;
    struct buf text;    /* normalised */
    struct step *steps; /* one more than the bytes of a word */
    size_t cap;
    struct error *err;
};

/* ---- normalisation ---- */

static enum status put(struct unigram_state *s, const char *p, size_t n)
{
    enum status st = buf_append(&s->text, p, n);
    return st ? error_set(s->err, st, "the normalised text does not fit: %s", status_name(st)) : OK;
}

/* Replaces what the table says, spaces by U+2581 and invalid bytes by U+FFFD. Extra spaces are those
 * at the ends and all but the first of a run. */
static enum status normalise(struct unigram_state *s, const char *in, size_t len, bool prefix)
{
    const struct unigram *u = s->t->unigram;
    bool merge = s->t->src.remove_extra_spaces;
    size_t pending = 0; /* spaces not written yet */
    bool begun = false;
    enum status st = OK;
    for (size_t i = 0; i < len && st == OK;) {
        size_t used = utf8_sequence(in + i, len - i);
        struct text_str from = used ? (struct text_str){in + i, len - i}
                                    : (struct text_str){UTF8_REPLACEMENT, 3};
        struct text_str r;
        size_t matched = charsmap_match(&u->charsmap, from.data, from.len, &r);
        if (matched == 0) r = (struct text_str){from.data, used ? used : from.len};
        i += !used ? 1 : matched ? matched : used;
        for (size_t k = 0; k < r.len && st == OK; k++) {
            if (r.data[k] == ' ') {
                pending++;
                continue;
            }
            size_t spaces = merge ? (begun ? pending > 0 : 0) : pending;
            if (!begun && prefix) spaces++;
            for (; spaces && st == OK; spaces--) st = put(s, UTF8_LOWER_BLOCK, 3);
            if (st == OK) st = put(s, r.data + k, 1);
            pending = 0;
            begun = true;
        }
    }
    if (merge) pending = 0;
    if (!begun && prefix && pending) pending++;
    for (; pending && st == OK; pending--) st = put(s, UTF8_LOWER_BLOCK, 3);
    return st;
}

/* ---- the best path ---- */

static void relax(struct step *to, double score, size_t from, int32_t id)
{
    if (score > to->score) *to = (struct step){score, (uint32_t)from, id};
}

static void find_path(struct unigram_state *s, const char *word, size_t len)
{
    const struct unigram *u = s->t->unigram;
    struct step *steps = s->steps;
    for (size_t i = 1; i <= len; i++) steps[i].score = -DBL_MAX;
    steps[0].score = 0;
    for (size_t at = 0, character; at < len; at += character) {
        character = utf8_sequence(word + at, len - at);
        if (!character) character = 1;
        bool covered = false;
        int32_t node = 0;
        for (size_t i = at; i < len; i++) {
            node = trie_step(&u->trie, node, (uint8_t)word[i]);
            if (node < 0) break;
            int32_t id = u->trie.nodes[node].id;
            if (id < 0) continue;
            if (i + 1 - at == character) covered = true;
            relax(&steps[i + 1], steps[at].score + s->t->scores[id], at, id);
        }
        if (!covered)
            relax(&steps[at + character], steps[at].score + u->unknown_score, at, TOKEN_NONE);
    }
}

static enum status push(struct unigram_state *s, int32_t id)
{
    enum status st = token_list_push(s->out, id);
    return st ? error_set(s->err, st, "out of memory") : OK;
}

/* Neighbouring characters without a token are one unknown token, or their bytes. */
static enum status push_unknown(struct unigram_state *s, const char *text, size_t len)
{
    const struct tokenizer *t = s->t;
    if (!t->unigram->has_bytes) return t->src.unk == TOKEN_NONE ? OK : push(s, t->src.unk);
    enum status st = OK;
    for (size_t i = 0; i < len && st == OK; i++)
        st = push(s, t->byte_ids[(unsigned char)text[i]]);
    return st;
}

static enum status encode_word(struct unigram_state *s, const char *word, size_t len)
{
    if (len + 1 > s->cap) {
        size_t cap = len + 1 < 256 ? 256 : len + 1 + len / 4;
        free(s->steps);
        s->cap = 0;
        s->steps = malloc(cap * sizeof *s->steps);
        if (!s->steps) return error_set(s->err, ERR_NOMEM, "out of memory");
        s->cap = cap;
    }
    find_path(s, word, len);
    /* Turn the path's links around: from an end to the next, in place of where it came from. */
    size_t at = len, next = 0;
    int32_t id = TOKEN_NONE;
    for (;;) {
        struct step here = s->steps[at];
        s->steps[at].from = (uint32_t)next;
        s->steps[at].id = id;
        if (at == 0) break;
        id = here.id;
        next = at;
        at = here.from;
    }
    enum status st = OK;
    for (size_t i = 0; i < len && st == OK;) {
        size_t end = s->steps[i].from;
        int32_t token = s->steps[i].id;
        while (token == TOKEN_NONE && end < len && s->steps[end].id == TOKEN_NONE)
            end = s->steps[end].from;
        st = token == TOKEN_NONE ? push_unknown(s, word + i, end - i) : push(s, token);
        i = end;
    }
    return st;
}

/* Where no token reaches over a space, each word is a text of its own, which keeps sums short and
 * their rounding independent of what stands before. */
static enum status encode_words(struct unigram_state *s)
{
    const char *text = s->text.data;
    size_t len = s->text.len;
    enum status st = OK;
    for (size_t begin = 0, end; begin < len && st == OK; begin = end) {
        const char *hit = NULL;
        if (!s->t->unigram->crosses_words && len - begin > 1)
            hit = memmem(text + begin + 1, len - begin - 1, UTF8_LOWER_BLOCK, 3);
        end = hit ? (size_t)(hit - text) : len;
        st = encode_word(s, text + begin, end - begin);
    }
    return st;
}

static enum status unigram_encode(const struct tokenizer *t, const char *text, size_t len,
                                  bool prefix, struct token_list *out, struct error *err)
{
    struct unigram_state s = {.t = t, .out = out, .err = err};
    buf_init(&s.text, (size_t)1 << 30);
    enum status st = normalise(&s, text, len, prefix);
    if (st == OK) st = encode_words(&s);
    buf_fini(&s.text);
    free(s.steps);
    return st;
}

/* ---- the kind ---- */

static bool has_inner_space(struct text_str s)
{
    return s.len > 3 && memmem(s.data + 1, s.len - 1, UTF8_LOWER_BLOCK, 3);
}

static enum status unigram_prepare(struct tokenizer *t, struct error *err)
{
    struct unigram *u = calloc(1, sizeof *u);
    int32_t *ids = malloc(t->src.n_tokens * sizeof *ids);
    enum status st = OK;
    size_t n = 0;
    float lowest = FLT_MAX;
    t->unigram = u;
    if (!u || !ids) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    for (size_t id = 0; id < t->src.n_tokens; id++) {
        if (!token_is_text(t->types[id])) continue;
        if (t->tokens[id].len > MAX_PIECE) {
            st = error_set(err, ERR_LIMIT, "token %zu is %zu bytes long", id, t->tokens[id].len);
            goto out;
        }
        if (!isfinite(t->scores[id])) t->scores[id] = -1e9f;
        if (t->types[id] == TOKEN_NORMAL && t->scores[id] < lowest) lowest = t->scores[id];
        if (has_inner_space(t->tokens[id])) u->crosses_words = true;
        ids[n++] = (int32_t)id;
    }
    u->unknown_score = (n ? (double)lowest : 0) - unknown_penalty;
    u->has_bytes = true;
    for (size_t b = 0; b < 256; b++)
        if (t->byte_ids[b] == TOKEN_NONE || t->types[t->byte_ids[b]] != TOKEN_BYTE)
            u->has_bytes = false;
    st = charsmap_open(t->src.charsmap, &u->charsmap, err);
    if (st == OK) st = trie_build(&u->trie, t->tokens, ids, n, err);
out:
    free(ids);
    return st;
}

static void unigram_release(struct tokenizer *t)
{
    if (t->unigram) trie_fini(&t->unigram->trie);
    free(t->unigram);
}

const struct vocab_kind vocab_unigram = {
    .name = "t5",
    .scored = true,
    .prefixed = true,
    .lossy = true,
    .defaults = {.bos = TOKEN_NONE, .eos = 1, .unk = 2, .pad = 0, .sep = TOKEN_NONE,
                 .cls = TOKEN_NONE, .mask = TOKEN_NONE, .add_eos = true},
    .prepare = unigram_prepare,
    .encode = unigram_encode,
    .release = unigram_release,
};
