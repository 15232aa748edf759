/* What a search found as JSON: one form for the command, the server and the tools of agents. */
#ifndef HEARTH_INDEX_ANSWER_JSON_H
#define HEARTH_INDEX_ANSWER_JSON_H

#include <jansson.h>

#include "index/index.h"

/* A string of any bytes: what is no UTF-8 becomes U+FFFD. NULL without memory. */
json_t *index_json_text(const char *s, size_t n);

/* {"hits": [{"path", "line", "end_line", "kind", "name", "scope", "language", "score", "text_score",
 * "vector_score", "ranks": [text, vector, name], "text"}], "late"} and the "note" where there is one; NULL without
 * memory. */
json_t *index_json_hits(const struct index_hits *h);
/* {"symbols": [{"path", "line", "end_line", "column", "name", "scope", "signature", "kind"}], "more"}. */
json_t *index_json_symbols(const struct index_symbols *s);

/* Adds the kind of that name ("function", ...) to the bits; ERR_INVALID where there is none. */
enum status index_json_kind(const char *name, uint64_t *bits, struct error *err);

#endif
