#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "text/tokenizer_int.h"
#include "text/trie.h"
#include "text/utf8_int.h"

/* BERT's tokenizer (Devlin and others 2018; google-research/bert's tokenization.py): the text is
 * cleaned, lower-cased and stripped of accents, cut at white space, around punctuation and around
 * Chinese characters, and each word is covered from its front by the longest pieces there are.
 *
 * GGUF stores a piece that begins a word with U+2581 in front, and one that goes on without its "##"
 * (llama.cpp, conversion/bert.py). */

enum { MAX_WORD = 100 }; /* characters; a longer word is unknown (tokenization.py) */

struct wordpiece {
    struct trie trie;
    int32_t word_start; /* the trie's node after U+2581, or -1 */
};

struct word_state {
    const struct tokenizer *t;
    struct token_list *out;
    uint32_t chars[MAX_WORD];
    size_t n; /* MAX_WORD + 1: too long */
};

/* ---- pieces ---- */

static size_t put_utf8(uint32_t c, char *dst)
{
    return (size_t)utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)dst);
}

/* Bytes of the longest piece from `node` on, 0 where none matches; *id receives it. */
static size_t longest(const struct trie *t, int32_t node, const char *text, size_t len, int32_t *id)
{
    size_t best = 0;
    for (size_t i = 0; i < len && node >= 0; i++) {
        node = trie_step(t, node, (uint8_t)text[i]);
        if (node >= 0 && t->nodes[node].id >= 0) {
            best = i + 1;
            *id = t->nodes[node].id;
        }
    }
    return best;
}

static enum status push(struct word_state *w, int32_t id)
{
    return id == TOKEN_NONE ? OK : token_list_push(w->out, id);
}

static enum status end_word(struct word_state *w)
{
    if (w->n == 0) return OK;
    size_t n = w->n, before = w->out->len, len = 0;
    char text[4 * MAX_WORD];
    w->n = 0;
    if (n > MAX_WORD) return push(w, w->t->src.unk);
    for (size_t i = 0; i < n; i++) len += put_utf8(w->chars[i], text + len);
    const struct wordpiece *p = w->t->wordpiece;
    for (size_t at = 0; at < len;) {
        int32_t id = TOKEN_NONE, node = at ? 0 : p->word_start;
        size_t step = longest(&p->trie, node, text + at, len - at, &id);
        /* What begins with U+2581 in the vocabulary begins a word; only the character itself can be a
         * piece within one. */
        if (at && step > 3 && memcmp(text + at, UTF8_LOWER_BLOCK, 3) == 0)
            step = longest(&p->trie, node, text + at, 3, &id);
        if (step == 0) {
            w->out->len = before;
            return push(w, w->t->src.unk);
        }
        enum status st = push(w, id);
        if (st) return st;
        at += step;
    }
    return OK;
}

/* ---- characters ---- */

static bool is_chinese(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) ||
           /* tokenization.py has 0x2B820 here; the tokenizers of the published models this. */
           (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x2F800 && c <= 0x2FA1F);
}

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* Control, format and private-use characters are dropped, white space of the Latin-1 controls other
 * than these three among them. */
static bool is_dropped(uint32_t c)
{
    if (c == 0 || c == 0xFFFD) return true;
    if (c == '\t' || c == '\n' || c == '\r') return false;
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO;
}

static bool is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
               (c >= '{' && c <= '~');
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

static unsigned combining_class(uint32_t c)
{
    if (c < 0x300) return 0;
    return (unsigned)utf8proc_get_property((utf8proc_int32_t)c)->combining_class;
}

/* Adds a character to the word, in canonical order among the combining ones. */
static void add_char(struct word_state *w, uint32_t c)
{
    if (w->n >= MAX_WORD) {
        w->n = MAX_WORD + 1;
        return;
    }
    size_t i = w->n++;
    for (unsigned k = combining_class(c); k && i && combining_class(w->chars[i - 1]) > k; i--)
        w->chars[i] = w->chars[i - 1];
    w->chars[i] = c;
}

/* A character after normalisation. */
static enum status take(struct word_state *w, uint32_t c)
{
    enum status st = OK;
    if (w->t->src.lowercase) {
        if (c == 0x130) { /* the only one whose lower case is two */
            add_char(w, 'i');
            c = 0x307;
        } else {
            c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
        }
    }
    if (!is_punctuation(c)) {
        add_char(w, c);
        return OK;
    }
    st = end_word(w);
    add_char(w, c);
    return st ? st : end_word(w);
}

static enum status add_codepoint(struct word_state *w, uint32_t c)
{
    enum status st = OK;
    if (is_dropped(c)) return OK;
    if (is_space(c)) return end_word(w);
    bool alone = is_chinese(c);
    if (alone) st = end_word(w);
    if (w->t->src.strip_accents) {
        utf8proc_int32_t parts[16];
        int boundary = 0;
        utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, parts, 16,
                                                     UTF8PROC_DECOMPOSE, &boundary);
        for (utf8proc_ssize_t i = 0; i < n && i < 16 && st == OK; i++)
            if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN) st = take(w, (uint32_t)parts[i]);
    } else if (st == OK) {
        st = take(w, c);
    }
    if (alone && st == OK) st = end_word(w);
    return st;
}

static enum status wordpiece_encode(const struct tokenizer *t, const char *text, size_t len,
                                    bool prefix, struct token_list *out, struct error *err)
{
    (void)prefix;
    struct word_state w = {.t = t, .out = out};
    enum status st = OK;
    for (size_t i = 0, step; i < len && st == OK; i += step) {
        unsigned char c = (unsigned char)text[i];
        step = 1;
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            add_char(&w, c);
            continue;
        }
        step = utf8_sequence(text + i, len - i);
        if (step)
            st = add_codepoint(&w, utf8_decode(text + i, step));
        else
            step = 1; /* an invalid byte is U+FFFD, which is dropped */
    }
    if (st == OK) st = end_word(&w);
    return st ? error_set(err, st, "out of memory") : OK;
}

/* ---- the kind ---- */

static enum status wordpiece_prepare(struct tokenizer *t, struct error *err)
{
    struct wordpiece *p = calloc(1, sizeof *p);
    int32_t *ids = malloc(t->src.n_tokens * sizeof *ids);
    enum status st = OK;
    size_t n = 0;
    t->wordpiece = p;
    if (!p || !ids) {
        st = error_set(err, ERR_NOMEM, "out of memory");
        goto out;
    }
    for (size_t id = 0; id < t->src.n_tokens; id++)
        if (token_is_text(t->types[id]) && t->tokens[id].len <= 4 * MAX_WORD + 3)
            ids[n++] = (int32_t)id;
    st = trie_build(&p->trie, t->tokens, ids, n, err);
    if (st) goto out;
    for (size_t i = 0; i < 3 && p->word_start >= 0; i++)
        p->word_start = trie_step(&p->trie, p->word_start, (uint8_t)UTF8_LOWER_BLOCK[i]);
    /* Files from before the converter wrote them. */
    if (t->src.bos == TOKEN_NONE) t->src.bos = t->src.cls;
    if (t->src.eos == TOKEN_NONE) t->src.eos = t->src.sep;
out:
    free(ids);
    return st;
}

static void wordpiece_release(struct tokenizer *t)
{
    if (t->wordpiece) trie_fini(&t->wordpiece->trie);
    free(t->wordpiece);
}

const struct vocab_kind vocab_wordpiece = {
    .name = "bert",
    .word_space = true,
    .lossy = true,
    .defaults = {.bos = 101, .eos = TOKEN_NONE, .unk = 100, .pad = 0, .sep = 102, .cls = TOKEN_NONE,
                 .mask = 103, .add_bos = true, .add_eos = true, .lowercase = true},
    .prepare = wordpiece_prepare,
    .encode = wordpiece_encode,
    .release = wordpiece_release,
};
