/* Whether two models speak of the same tokens. */
#include <string.h>

#include "infer/infer_int.h"
#include "text/tokenizer.h"

static enum status check_tokens(const struct tokenizer *a, const struct tokenizer *b,
                                const char *other, struct error *err)
{
    size_t n = tokenizer_n_tokens(a);
    if (n != tokenizer_n_tokens(b))
        return error_set(err, ERR_INVALID,
                         "%s has another vocabulary: %zu tokens, the model has %zu; "
                         "choose one of the same family",
                         other, tokenizer_n_tokens(b), n);
    const struct text_str *x = tokenizer_source(a)->tokens, *y = tokenizer_source(b)->tokens;
    for (size_t i = 0; i < n; i++)
        if (x[i].len != y[i].len || memcmp(x[i].data, y[i].data, x[i].len) != 0)
            return error_set(err, ERR_INVALID,
                             "%s has another vocabulary: its token %zu is \"%.*s\", "
                             "the model's is \"%.*s\"; choose one of the same family",
                             other, i, (int)(y[i].len < 40 ? y[i].len : 40), y[i].data,
                             (int)(x[i].len < 40 ? x[i].len : 40), x[i].data);
    return OK;
}

enum status engine_same_vocab(const struct engine *a, const struct engine *b, const char *other,
                              struct error *err)
{
    if (a->tok != b->tok && a->tok && b->tok) return check_tokens(a->tok, b->tok, other, err);
    size_t n = model_info(a->model)->n_vocab, m = model_info(b->model)->n_vocab;
    if (a->tok == b->tok && n == m) return OK;
    return error_set(err, ERR_INVALID, "%s has another vocabulary: %zu tokens, the model has %zu",
                     other, m, n);
}
