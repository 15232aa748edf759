/* Metadata of a quantized file: what the input has, but for what no longer holds. */
#ifndef HEARTH_CONVERT_QUANTIZE_KEYS_H
#define HEARTH_CONVERT_QUANTIZE_KEYS_H

#include "convert/quantize.h"
#include "gguf/gguf.h"
#include "gguf/gguf_write.h"

/* Describes all keys to the writer, which keeps its own mistakes. */
enum status quantize_keys(const struct gguf *g, const struct quantize_request *rq,
                          struct gguf_writer *w, struct error *err);

/* What a mix's rules ask. Keys that are absent count as 0. */
void quantize_model_of(const struct gguf *g, struct quantize_model *m);

#endif
