#include <string.h>

#include "convert/tokenizer_draft.h"

/* Vocabularies of before tokenizer.json: BERT's list of pieces, and GPT-2's table with its merges. */

/* The next line without its end; false after the last. */
static bool next_line(const struct buf *file, size_t *at, struct text_str *line)
{
    if (*at >= file->len) return false;
    const char *p = file->data + *at, *end = memchr(p, '\n', file->len - *at);
    size_t n = end ? (size_t)(end - p) : file->len - *at;
    *at += n + (end != NULL);
    if (n && p[n - 1] == '\r') n--;
    *line = (struct text_str){p, n};
    return true;
}

enum status draft_from_vocab_txt(struct draft *d, struct error *err)
{
    struct text_str line;
    d->source = "vocab.txt";
    d->model = "bert";
    strcpy(d->pre, "default");
    const json_t *lower = json_object_get(d->tokenizer_config, "do_lower_case");
    const json_t *strip = json_object_get(d->tokenizer_config, "strip_accents");
    d->lowercase = json_is_false(lower) ? FLAG_NO : FLAG_YES;
    if (json_is_boolean(strip)) d->strip_accents = json_is_true(strip) ? FLAG_YES : FLAG_NO;
    enum status st = draft_read_file(d, d->source, err);
    size_t at = 0;
    while (st == OK && next_line(&d->file, &at, &line))
        st = draft_put(d, (int64_t)d->n_tokens, line, TOKEN_NORMAL, 0, err);
    if (st == OK && d->n_tokens == 0)
        return error_set(err, ERR_FORMAT, "%s/%s: no tokens", d->folder, d->source);
    if (st == OK) d->add_bos = d->add_eos = FLAG_YES;
    return st;
}

enum status draft_from_merges_txt(struct draft *d, const char *pre, struct error *err)
{
    d->source = "vocab.json";
    d->model = "gpt2";
    enum status st = draft_read_json(d, d->source, &d->vocab_json, err);
    void *it = st == OK ? json_object_iter(d->vocab_json) : NULL;
    for (; it && st == OK; it = json_object_iter_next(d->vocab_json, it)) {
        const char *text = json_object_iter_key(it);
        const json_t *id = json_object_iter_value(it);
        if (!json_is_integer(id))
            return error_set(err, ERR_FORMAT, "%s/%s: an id that is no whole number", d->folder, d->source);
        st = draft_put(d, json_integer_value(id), (struct text_str){text, strlen(text)}, TOKEN_NORMAL,
                       0, err);
    }
    if (st == OK) st = draft_read_file(d, "merges.txt", err);
    struct text_str line;
    size_t at = 0;
    bool first = true;
    while (st == OK && next_line(&d->file, &at, &line)) {
        bool comment = first && line.len >= 8 && memcmp(line.data, "#version", 8) == 0;
        first = false;
        if (comment || line.len == 0) continue;
        st = draft_add_merge(d, line, err);
    }
    return st ? st : draft_guess_pre(d, pre, err);
}
