#include <stdio.h>
#include <string.h>

#include "convert/tokenizer_draft.h"

/* Which tokens open, close and part a text, and which of them a tokenizer adds by itself. The rules are
 * those of gguf-py's SpecialVocab, so that a file says the same as one that llama.cpp's converter wrote:
 * the post-processor of tokenizer.json is heard before the flags of tokenizer_config.json, texts before
 * ids. What those leave open is taken from special_tokens_map.json, generation_config.json and the
 * SentencePiece file. */

struct special {
    struct draft *d;
    struct text_str named[ROLE_COUNT];
    bool extra[ROLE_COUNT]; /* of EOT and EOM: found below, and to be written */
};

static bool same(struct text_str a, struct text_str b)
{
    return a.data && b.data && a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void set_open(enum draft_flag *flag, enum draft_flag value)
{
    if (*flag == FLAG_OPEN) *flag = value;
}

static enum draft_flag flag_of(bool value)
{
    return value ? FLAG_YES : FLAG_NO;
}

static void read_names(struct special *s)
{
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_token", draft_role_names[i]);
        s->named[i] = draft_json_content(s->d->tokenizer_config, key);
        if (!s->named[i].data) s->named[i] = draft_json_content(s->d->special_map, key);
    }
    if (!s->named[ROLE_BOS].data) s->named[ROLE_BOS] = s->named[ROLE_CLS];
    if (!s->named[ROLE_EOS].data) s->named[ROLE_EOS] = s->named[ROLE_SEP];
}

/* ---- the post-processor ---- */

static struct text_str special_at(const json_t *list, size_t i)
{
    return draft_json_text(json_object_get(json_object_get(json_array_get(list, i), "SpecialToken"), "id"));
}

static struct text_str sequence_at(const json_t *list, size_t i)
{
    return draft_json_text(json_object_get(json_object_get(json_array_get(list, i), "Sequence"), "id"));
}

static void read_first(struct special *s, struct text_str first)
{
    struct text_str *bos = &s->named[ROLE_BOS], *cls = &s->named[ROLE_CLS];
    if (!same(first, *bos) && !same(first, *cls)) {
        if (!bos->data) *bos = first;
        if (!cls->data) *cls = first;
    }
    s->d->add_bos = flag_of(same(first, *bos) || same(first, *cls));
}

/* Where texts end with another token than EOS, that is EOS, and the other ends turns. */
static void read_last(struct special *s, struct text_str last)
{
    struct text_str *eos = &s->named[ROLE_EOS];
    if (!same(last, *eos)) {
        enum draft_role role = s->extra[ROLE_EOT] ? ROLE_EOM : ROLE_EOT;
        if (eos->data && !s->extra[role]) {
            s->named[role] = *eos;
            s->extra[role] = true;
        }
        *eos = last;
    }
    s->d->add_eos = FLAG_YES;
}

static bool parts(const struct special *s, struct text_str token)
{
    return same(token, s->named[ROLE_SEP]) || same(token, s->named[ROLE_EOS]);
}

/* What stands between the two texts of a pair, other than what ends the first. */
static void read_pair(struct special *s, const json_t *pair, struct text_str first, struct text_str last)
{
    size_t n = json_array_size(pair);
    if (n == 0) return;
    size_t begin = first.data && same(special_at(pair, 0), first) ? 1 : 0;
    size_t end = last.data && same(special_at(pair, n - 1), last) ? n - 1 : n;
    if (end < begin + 3 || !draft_text_is(sequence_at(pair, begin), "A") ||
        !draft_text_is(sequence_at(pair, end - 1), "B"))
        return;
    bool sep = parts(s, special_at(pair, begin + 1)) && !last.data;
    if (end - begin == 4 && parts(s, special_at(pair, begin + 2))) sep = true;
    s->d->add_sep = flag_of(sep);
    if (sep && !s->named[ROLE_SEP].data) s->named[ROLE_SEP] = s->named[ROLE_EOS];
}

static void read_template(struct special *s, const json_t *p)
{
    const json_t *single = json_object_get(p, "single");
    size_t n = json_array_size(single);
    struct text_str first = {0}, last = {0};
    if (n > 1) {
        first = special_at(single, 0);
        last = special_at(single, n - 1);
        if (first.data) read_first(s, first);
        if (last.data) read_last(s, last);
    }
    read_pair(s, json_object_get(p, "pair"), first, last);
}

/* {"cls": ["<s>", 0], "sep": ["</s>", 2]} */
static void read_wrapping(struct special *s, const json_t *p, bool sep)
{
    s->d->add_bos = s->d->add_eos = FLAG_YES;
    s->d->add_sep = flag_of(sep);
    if (!s->named[ROLE_CLS].data)
        s->named[ROLE_CLS] = draft_json_text(json_array_get(json_object_get(p, "cls"), 0));
    if (!s->named[ROLE_SEP].data)
        s->named[ROLE_SEP] = draft_json_text(json_array_get(json_object_get(p, "sep"), 0));
    if (!s->named[ROLE_BOS].data) s->named[ROLE_BOS] = s->named[ROLE_CLS];
    if (!s->named[ROLE_EOS].data) s->named[ROLE_EOS] = s->named[ROLE_SEP];
}

static void read_post_processor(struct special *s)
{
    const json_t *post = json_object_get(s->d->tokenizer, "post_processor");
    const json_t *list = json_object_get(post, "processors");
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    for (size_t i = 0; i < n; i++) {
        const json_t *p = json_is_array(list) ? json_array_get(list, i) : post;
        const char *type = draft_json_type(p);
        if (strcmp(type, "ByteLevel") == 0) {
            set_open(&s->d->add_bos, FLAG_NO);
            set_open(&s->d->add_eos, FLAG_NO);
        } else if (strcmp(type, "RobertaProcessing") == 0) {
            read_wrapping(s, p, true);
        } else if (strcmp(type, "BertProcessing") == 0) {
            read_wrapping(s, p, false);
        } else if (strcmp(type, "TemplateProcessing") == 0) {
            read_template(s, p);
        }
    }
}

/* ---- ids and flags ---- */

static void read_flags(struct special *s)
{
    struct draft *d = s->d;
    struct {
        const char *key;
        enum draft_flag *flag;
    } flags[] = {{"add_bos_token", &d->add_bos}, {"add_eos_token", &d->add_eos},
                 {"add_sep_token", &d->add_sep}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const json_t *j = json_object_get(d->tokenizer_config, flags[i].key);
        if (json_is_boolean(j)) set_open(flags[i].flag, flag_of(json_is_true(j)));
    }
}

/* An id, or the first of a list of them; TOKEN_NONE for anything else. */
static int32_t id_of(const struct draft *d, const json_t *j)
{
    if (json_is_array(j)) j = json_array_get(j, 0);
    if (!json_is_integer(j)) return TOKEN_NONE;
    json_int_t id = json_integer_value(j);
    return id >= 0 && id < (json_int_t)d->n_tokens ? (int32_t)id : TOKEN_NONE;
}

static enum status find_id(struct special *s, enum draft_role role, struct error *err)
{
    struct draft *d = s->d;
    char key[32];
    int32_t id;
    snprintf(key, sizeof key, "%s_token_id", draft_role_names[role]);
    enum status st = draft_find(d, s->named[role], &id, err);
    if (st) return st;
    if (id < 0 && json_is_integer(draft_config(d, key))) id = id_of(d, draft_config(d, key));
    if (id < 0 && d->ids[role] < 0) id = id_of(d, json_object_get(d->generation, key));
    if (id < 0 && d->ids[role] < 0) id = id_of(d, draft_config(d, key));
    if (id >= 0) d->ids[role] = id;
    return OK;
}

/* ---- normalisation that the reader is told ---- */

static void read_normalizer(struct draft *d, const json_t *n)
{
    const char *type = draft_json_type(n);
    const json_t *list = json_object_get(n, "normalizers");
    const json_t *lower = json_object_get(n, "lowercase"), *strip = json_object_get(n, "strip_accents");
    if (strcmp(type, "Lowercase") == 0) d->lowercase = FLAG_YES;
    if (strcmp(type, "StripAccents") == 0) d->strip_accents = FLAG_YES;
    if (strcmp(type, "BertNormalizer") == 0) {
        if (json_is_boolean(lower)) d->lowercase = flag_of(json_is_true(lower));
        if (json_is_boolean(strip)) d->strip_accents = flag_of(json_is_true(strip));
    }
    if (strcmp(type, "Sequence") != 0) return;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(draft_json_type(json_array_get(list, i)), "Sequence") != 0)
            read_normalizer(d, json_array_get(list, i));
}

enum status draft_find_special(struct draft *d, struct error *err)
{
    struct special s = {.d = d};
    enum status st = OK;
    read_names(&s);
    read_post_processor(&s);
    read_flags(&s);
    for (size_t i = 0; i < ROLE_EOT && st == OK; i++) st = find_id(&s, (enum draft_role)i, err);
    for (size_t i = ROLE_EOT; i < ROLE_COUNT && st == OK; i++)
        if (s.extra[i]) st = find_id(&s, (enum draft_role)i, err);
    read_normalizer(d, json_object_get(d->tokenizer, "normalizer"));
    /* IBM's and Hugging Face's code models of this size are no different from others, but that their
     * files ask for a BOS which they were not trained with (llama.cpp, conversion/llama.py). */
    if (strcmp(d->arch, "llama") == 0 && d->vocab_size == 49152) d->add_bos = FLAG_NO;
    return st;
}
