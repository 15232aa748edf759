/* Other files' text in front of a fill-in-the-middle prompt. */
#ifndef HEARTH_ASSIST_FIM_CONTEXT_H
#define HEARTH_ASSIST_FIM_CONTEXT_H

#include "assist/fim.h"

/* Appends the ids: the repository's name and the items that fit into in->context_tokens, of which
 * the last ones go before the others, in their order. Families with a mark for files get them as
 * files; others as comments of in->file_name's language, which belong into the prefix. */
enum status fim_context_encode(const struct fim_template *f, const struct tokenizer *t,
                               const struct fim_input *in, struct token_list *out,
                               struct error *err);

/* What begins a comment that ends with its line, by a file's name; "//" for unknown ones. */
const char *fim_comment(const char *path);

#endif
