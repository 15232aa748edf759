/* Token healing: text to be continued may end inside what the model would write as one token. Its
 * last token is then left to the model, which may write any that begins with the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "infer/infer_int.h"
#include "text/tokenizer.h"

enum {
    MAX_PIECE = FORCED_MAX_PIECE,
    NO_BYTE = 256,
};

void forced_init(struct forced *f, const struct tokenizer *tok, size_t n_vocab,
                 uint16_t **first_bytes, const char *begin, size_t n)
{
    *f = (struct forced){.tok = tok, .left = begin, .n_left = n};
    if (n == 0) return;
    if (!*first_bytes) {
        uint16_t *first = *first_bytes = malloc(n_vocab * sizeof *first);
        for (size_t i = 0; first && i < n_vocab; i++) {
            unsigned char piece[MAX_PIECE];
            size_t len = tokenizer_piece(f->tok, (int32_t)i, false, (char *)piece, sizeof piece);
            first[i] = len > 0 && len <= sizeof piece ? *piece : NO_BYTE;
        }
    }
    f->first = *first_bytes; /* where there is no memory, every piece is looked at */
}

static bool agrees(const struct forced *f, int32_t token)
{
    char piece[MAX_PIECE];
    if (f->first && f->first[token] != (unsigned char)*f->left) return false;
    size_t n = tokenizer_piece(f->tok, token, false, piece, sizeof piece);
    if (n == 0 || n > sizeof piece) return false;
    return memcmp(piece, f->left, n < f->n_left ? n : f->n_left) == 0;
}

void forced_mask(const struct forced *f, float *logits, size_t n_vocab)
{
    if (f->n_left == 0) return;
    for (size_t i = 0; i < n_vocab; i++)
        if (!agrees(f, (int32_t)i)) logits[i] = -INFINITY;
}

size_t forced_rest(const struct forced *f, int32_t token, char rest[FORCED_MAX_PIECE])
{
    size_t n = tokenizer_piece(f->tok, token, false, rest, MAX_PIECE);
    if (n <= f->n_left || n > MAX_PIECE) return 0;
    memmove(rest, rest + f->n_left, n - f->n_left);
    return n - f->n_left;
}

void forced_take(struct forced *f, int32_t token)
{
    if (f->n_left == 0) return;
    size_t n = tokenizer_piece(f->tok, token, false, NULL, 0);
    if (n > f->n_left) n = f->n_left;
    f->left += n;
    f->n_left -= n;
}
