#include <string.h>

#include "text/tokenizer_int.h"

static enum status push(struct token_list *out, int32_t id, const char *name, struct error *err)
{
    if (id == TOKEN_NONE)
        return error_set(err, ERR_NOT_FOUND,
                         "the model puts %s around its texts, and its vocabulary has no such token",
                         name);
    enum status st = token_list_push(out, id);
    return st ? error_set(err, st, "out of memory") : OK;
}

enum status tokenizer_encode_wrapped(const struct tokenizer *t, struct text_str first,
                                     const struct text_str *second, bool parse_special,
                                     struct token_list *out, struct error *err)
{
    const struct vocab_source *s = &t->src;
    size_t old_len = out->len;
    enum status st = s->add_bos ? push(out, s->bos, "a BOS token", err) : OK;
    size_t begin = out->len;
    if (st == OK) st = tokenizer_encode(t, first.data, first.len, parse_special, out, err);
    if (st == OK && s->add_bos && out->len > begin && out->ids[begin] == s->bos) {
        memmove(out->ids + begin, out->ids + begin + 1, (out->len - begin - 1) * sizeof *out->ids);
        out->len--;
    }
    if (st == OK && second) {
        if (s->add_eos) st = push(out, s->eos, "an EOS token", err);
        if (st == OK && s->add_sep) st = push(out, s->sep, "a separator token", err);
        if (st == OK)
            st = tokenizer_encode(t, second->data, second->len, parse_special, out, err);
    }
    if (st == OK && s->add_eos) st = push(out, s->eos, "an EOS token", err);
    if (st) out->len = old_len;
    return st;
}
