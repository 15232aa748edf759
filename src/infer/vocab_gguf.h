/* The tokenizer that a GGUF file describes. Keys: ggml's docs/gguf.md, "Tokenizer". */
#ifndef HEARTH_INFER_VOCAB_GGUF_H
#define HEARTH_INFER_VOCAB_GGUF_H

#include "base/status.h"

struct gguf;
struct tokenizer;
struct vocab;

/* A vocabulary-only file is enough. The tokens' texts stay in the file's mapping: `g` must outlive
 * the vocabulary. ERR_NOT_FOUND where the file has no vocabulary, ERR_UNSUPPORTED for a kind that is
 * not known, ERR_FORMAT for arrays of a wrong type or length; the message names file and key. */
enum status vocab_open(const struct gguf *g, struct vocab **out, struct error *err);
void vocab_close(struct vocab *v); /* NULL is fine */
const struct tokenizer *vocab_tokenizer(const struct vocab *v);

#endif
