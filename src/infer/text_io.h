/* Between text and a session: prompts become tokens, generated tokens become whole characters. */
#ifndef HEARTH_INFER_TEXT_IO_H
#define HEARTH_INFER_TEXT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "text/tokenizer.h"

/* Appends the ids of a prompt to `out`, BOS in front where the model's metadata asks for it (and
 * the text does not bring its own, which it can only where `parse_special`). */
enum status prompt_encode(const struct tokenizer *t, const char *text, size_t len,
                          bool parse_special, struct token_list *out, struct error *err);

/* The same for a rendered chat template and its marks (chat_render). */
enum status prompt_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                                 const char *marks, struct token_list *out, struct error *err);

/* Tokens one by one to text. Models may split a character over several tokens; what is not whole
 * yet is held back, at most three bytes. Bytes that can be no part of UTF-8 pass as they are. */
struct text_stream {
    const struct tokenizer *tok;
    bool special; /* control tokens give their text */
    char held[4];
    size_t n_held;
};

void text_stream_init(struct text_stream *s, const struct tokenizer *tok, bool special);
/* Appends to `out` what the token made whole. ERR_NOMEM, ERR_LIMIT: `out` is unchanged. */
enum status text_stream_push(struct text_stream *s, int32_t token, struct buf *out);
/* Appends what is still held back, although it is no whole character. */
enum status text_stream_end(struct text_stream *s, struct buf *out);

/* Appends `text` with U+FFFD in place of each byte that is no part of valid UTF-8, for formats such
 * as JSON that know no other text. */
enum status text_append_valid(struct buf *out, const char *text, size_t len);

#endif
