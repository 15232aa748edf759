#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tokenizer_draft.h"

/* Tokens that were added to a vocabulary after its training. Special ones become control tokens, which
 * running text never gives; the others user-defined ones, which are matched before anything else. */

static const float added_score = -1000.0f; /* as llama.cpp's converter writes */

/* Some models do not mark tokens as special that are (llama.cpp's does_token_look_special). */
static bool looks_special(struct text_str s)
{
    static const char *const texts[] = {"<pad>", "<mask>", "<2mass>", "[@BOS@]"};
    static const struct {
        const char *begin, *end;
    } brackets[] = {{"<|", "|>"}, {"<\uFF5C", "\uFF5C>"}, {"<unused", ">"}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (draft_text_is(s, texts[i])) return true;
    for (size_t i = 0; i < sizeof brackets / sizeof brackets[0]; i++) {
        size_t a = strlen(brackets[i].begin), b = strlen(brackets[i].end);
        if (s.len >= a && s.len >= b && memcmp(s.data, brackets[i].begin, a) == 0 &&
            memcmp(s.data + s.len - b, brackets[i].end, b) == 0)
            return true;
    }
    return false;
}

enum status draft_with_spaces(struct draft *d, struct text_str text, struct text_str *out,
                              struct error *err)
{
    *out = text;
    if (!memmem(text.data, text.len, "\u2581", 3)) return OK;
    char *p = draft_alloc(d, text.len);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    size_t n = 0;
    for (size_t i = 0; i < text.len;) {
        bool space = text.len - i >= 3 && memcmp(text.data + i, "\u2581", 3) == 0;
        p[n++] = space ? ' ' : text.data[i];
        i += space ? 3 : 1;
    }
    *out = (struct text_str){p, n};
    return OK;
}

/* One past what the model has rows for is left out: Gemma 3's small models lack the image token. */
static enum status add(struct draft *d, int64_t id, struct text_str text, bool special,
                       struct error *err)
{
    if (!text.data || id < 0)
        return error_set(err, ERR_FORMAT, "%s: an added token without its text or id", d->folder);
    if (d->vocab_size && id >= (int64_t)d->vocab_size) return OK;
    bool known = id < (int64_t)d->n_tokens && d->tokens[id].text.data;
    bool unknown = known && d->tokens[id].type == TOKEN_UNKNOWN;
    special = special || looks_special(text);
    enum status st = OK;
    struct text_str stored = text;
    if (!special) st = draft_with_spaces(d, text, &stored, err);
    /* A Unigram's pieces keep their scores; SentencePiece's BPE is told that these are no words. */
    bool kept = known && strcmp(d->model, "t5") == 0;
    float score = kept ? d->tokens[id].score : d->scored && !unknown ? added_score : 0;
    if (st == OK)
        st = draft_put(d, id, stored,
                       unknown && special ? TOKEN_UNKNOWN : special ? TOKEN_CONTROL : TOKEN_USER_DEFINED,
                       score, err);
    if (st == OK) d->tokens[id].added = true;
    return st;
}

static enum status from_tokenizer(struct draft *d, struct error *err)
{
    const json_t *list = json_object_get(d->tokenizer, "added_tokens");
    enum status st = OK;
    for (size_t i = 0; i < json_array_size(list) && st == OK; i++) {
        const json_t *t = json_array_get(list, i), *id = json_object_get(t, "id");
        if (!json_is_integer(id))
            return error_set(err, ERR_FORMAT, "%s/tokenizer.json: an added token without an id", d->folder);
        st = add(d, json_integer_value(id), draft_json_content(t, "content"),
                 json_is_true(json_object_get(t, "special")), err);
    }
    return st;
}

/* {"id": {"content": text, "special": bool}, ...} */
static enum status from_config(struct draft *d, struct error *err)
{
    json_t *table = json_object_get(d->tokenizer_config, "added_tokens_decoder");
    enum status st = OK;
    if (!json_is_object(table)) return OK;
    void *it = json_object_iter(table);
    for (; it && st == OK; it = json_object_iter_next(table, it)) {
        const json_t *t = json_object_iter_value(it);
        char *end;
        errno = 0;
        long long id = strtoll(json_object_iter_key(it), &end, 10);
        if (errno || *end || end == json_object_iter_key(it))
            return error_set(err, ERR_FORMAT, "%s/tokenizer_config.json: an added token's id is no number",
                             d->folder);
        /* tokenizer.json, where there is one, has been heard. */
        if (d->tokenizer && id >= 0 && id < (long long)d->n_tokens && d->tokens[id].added) continue;
        st = add(d, id, draft_json_content(t, "content"), json_is_true(json_object_get(t, "special")),
                 err);
    }
    return st;
}

/* {"text": id, ...} */
static enum status from_table(struct draft *d, struct error *err)
{
    enum status st = OK;
    if (!d->added) return OK;
    void *it = json_object_iter(d->added);
    for (; it && st == OK; it = json_object_iter_next(d->added, it)) {
        const char *text = json_object_iter_key(it);
        const json_t *id = json_object_iter_value(it);
        if (!json_is_integer(id))
            return error_set(err, ERR_FORMAT, "%s/added_tokens.json: an id that is no whole number",
                             d->folder);
        st = add(d, json_integer_value(id), (struct text_str){text, strlen(text)}, false, err);
    }
    return st;
}

static enum status mark(struct draft *d, struct text_str text, struct error *err)
{
    int32_t id;
    enum status st = draft_find(d, text, &id, err);
    if (st || id < 0) return st;
    if (d->tokens[id].type == TOKEN_NORMAL || d->tokens[id].type == TOKEN_USER_DEFINED)
        d->tokens[id].type = TOKEN_CONTROL;
    d->tokens[id].added = true;
    return OK;
}

/* What a file names as its BOS, EOS and so on is special, whatever the list says. */
static enum status mark_named(struct draft *d, const json_t *object, struct error *err)
{
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    enum status st = OK;
    for (size_t i = 0; i < ROLE_COUNT && st == OK; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_token", draft_role_names[i]);
        st = mark(d, draft_json_content(object, key), err);
    }
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(object, lists[k]);
        for (size_t i = 0; i < json_array_size(list) && st == OK; i++) {
            const json_t *t = json_array_get(list, i);
            st = mark(d, draft_json_text(json_is_object(t) ? json_object_get(t, "content") : t), err);
        }
    }
    return st;
}

enum status draft_add_tokens(struct draft *d, struct error *err)
{
    /* Only what was read from tokenizer.json has the numbers of its added tokens in any case; a
     * SentencePiece vocabulary's come from the configuration first, as in llama.cpp. */
    enum status st = OK;
    if (!d->tokenizer) st = from_table(d, err);
    if (st == OK) st = from_tokenizer(d, err);
    if (st == OK) st = from_config(d, err);
    if (st == OK) st = mark_named(d, d->tokenizer_config, err);
    if (st == OK) st = mark_named(d, d->special_map, err);
    return st;
}

/* BERT's pieces as llama.cpp stores them: see text/wordpiece.c. */
static enum status mark_words(struct draft *d, struct error *err)
{
    for (size_t i = 0; i < d->n_tokens; i++) {
        struct draft_token *t = &d->tokens[i];
        if (t->type == TOKEN_CONTROL || t->type == TOKEN_USER_DEFINED) continue;
        if (t->text.len >= 2 && memcmp(t->text.data, "##", 2) == 0) {
            t->text = (struct text_str){t->text.data + 2, t->text.len - 2};
            continue;
        }
        char *p = draft_alloc(d, t->text.len + 3);
        if (!p) return error_set(err, ERR_NOMEM, "out of memory");
        memcpy(p, "\u2581", 3);
        memcpy(p + 3, t->text.data, t->text.len);
        t->text = (struct text_str){p, t->text.len + 3};
    }
    d->sorted = false;
    return OK;
}

enum status draft_pad(struct draft *d, struct error *err)
{
    if (d->vocab_size && d->n_tokens > d->vocab_size)
        return error_set(err, ERR_FORMAT,
                         "%s/%s has a token with id %zu, and config.json says that the model has %zu "
                         "tokens",
                         d->folder, d->source, d->n_tokens - 1, d->vocab_size);
    enum status st = draft_grow(d, d->vocab_size, err);
    for (size_t i = 0; i < d->n_tokens && st == OK; i++) {
        if (d->tokens[i].text.data) continue;
        char text[32];
        int n = snprintf(text, sizeof text, "[PAD%zu]", i);
        st = draft_copy(d, text, (size_t)n, &d->tokens[i].text, err);
        d->tokens[i].type = TOKEN_UNUSED;
        d->tokens[i].score = d->scored ? -10000.0f : 0;
        d->n_padding++;
    }
    d->sorted = false;
    return st == OK && strcmp(d->model, "bert") == 0 ? mark_words(d, err) : st;
}
