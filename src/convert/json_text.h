/* JSON as Python writes it. */
#ifndef HEARTH_CONVERT_JSON_TEXT_H
#define HEARTH_CONVERT_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* json_loadb, which refuses whole numbers beyond 64 bits, with those read as reals: transformers
 * writes 10^30 as a tokenizer's "model_max_length". NULL as json_loadb, with *why filled. */
json_t *json_text_parse(const char *text, size_t len, size_t flags, json_error_t *why);

#endif
