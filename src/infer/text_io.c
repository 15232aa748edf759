#include "infer/text_io.h"

#include <string.h>

static enum status encode(const struct tokenizer *t, const char *text, size_t len,
                          bool parse_special, const char *marks, struct token_list *out,
                          struct error *err)
{
    const struct vocab_source *src = tokenizer_source(t);
    size_t start = out->len;
    bool add_bos = src->add_bos && src->bos != TOKEN_NONE;
    if (add_bos && token_list_push(out, src->bos) != OK)
        return error_set(err, ERR_NOMEM, "no memory for a prompt of %zu bytes", len);
    enum status st = parse_special ? tokenizer_encode_marked(t, text, len, marks, out, err)
                                   : tokenizer_encode(t, text, len, false, out, err);
    if (st == OK && add_bos && out->len > start + 1 && out->ids[start + 1] == src->bos) {
        memmove(out->ids + start, out->ids + start + 1, (out->len - start - 1) * sizeof *out->ids);
        out->len--;
    }
    return st;
}

enum status prompt_encode(const struct tokenizer *t, const char *text, size_t len,
                          bool parse_special, struct token_list *out, struct error *err)
{
    return encode(t, text, len, parse_special, NULL, out, err);
}

enum status prompt_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                                 const char *marks, struct token_list *out, struct error *err)
{
    return encode(t, text, len, true, marks, out, err);
}

/* ---- UTF-8 (the Unicode standard's table 3-7) -------------------------------------------------
 */

/* Bytes that a sequence with this first byte has; 0 where none begins with it. */
static size_t sequence_bytes(unsigned char lead)
{
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Whether `next` may stand at place `at` (1 to 3) of a sequence. */
static bool continues(unsigned char lead, size_t at, unsigned char next)
{
    unsigned char low = 0x80, high = 0xbf;
    if (at == 1) {
        if (lead == 0xe0) low = 0xa0;
        if (lead == 0xed) high = 0x9f;
        if (lead == 0xf0) low = 0x90;
        if (lead == 0xf4) high = 0x8f;
    }
    return next >= low && next <= high;
}

/* How much of a sequence stands at p (n > 0 bytes): all of it (== *need), a beginning (< *need), or
 * 0 where the first byte is part of none. */
static size_t sequence_at(const char *p, size_t n, size_t *need)
{
    unsigned char lead = (unsigned char)p[0];
    *need = sequence_bytes(lead);
    if (*need == 0) return 0;
    size_t have = 1;
    while (have < *need && have < n) {
        if (!continues(lead, have, (unsigned char)p[have])) return 0;
        have++;
    }
    return have;
}

/* Length of an incomplete but so far valid sequence at the end of the text. */
static size_t incomplete_tail(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        if (((unsigned char)text[n - back] & 0xc0) == 0x80) continue;
        size_t need, have = sequence_at(text + n - back, back, &need);
        return have == back && have < need ? back : 0;
    }
    return 0;
}

enum status text_append_valid(struct buf *out, const char *text, size_t len)
{
    size_t start = 0, i = 0; /* [start, i) is valid and not yet appended */
    enum status st = OK;
    while (i < len && st == OK) {
        size_t need, have = sequence_at(text + i, len - i, &need);
        if (have > 0 && have == need) {
            i += have;
            continue;
        }
        st = buf_append(out, text + start, i - start);
        if (st == OK) st = buf_append(out, "\xef\xbf\xbd", 3);
        start = ++i;
    }
    return st == OK ? buf_append(out, text + start, i - start) : st;
}

/* ---- the stream -------------------------------------------------------------------------------
 */

void text_stream_init(struct text_stream *s, const struct tokenizer *tok, bool special)
{
    *s = (struct text_stream){.tok = tok, .special = special};
}

enum status text_stream_push(struct text_stream *s, int32_t token, struct buf *out)
{
    size_t n = tokenizer_piece(s->tok, token, s->special, NULL, 0);
    if (n == 0) return OK;
    enum status st = buf_reserve(out, s->n_held + n);
    if (st != OK) return st;
    char *p = out->data + out->len;
    memcpy(p, s->held, s->n_held);
    tokenizer_piece(s->tok, token, s->special, p + s->n_held, n);
    n += s->n_held;
    s->n_held = incomplete_tail(p, n);
    memcpy(s->held, p + n - s->n_held, s->n_held);
    out->len += n - s->n_held;
    out->data[out->len] = 0;
    return OK;
}

enum status text_stream_end(struct text_stream *s, struct buf *out)
{
    enum status st = buf_append(out, s->held, s->n_held);
    if (st == OK) s->n_held = 0;
    return st;
}
