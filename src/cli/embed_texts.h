/* The texts that `embed` and `rerank` take: arguments, or the lines of a file. */
#ifndef HEARTH_CLI_EMBED_TEXTS_H
#define HEARTH_CLI_EMBED_TEXTS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "text/tokenizer.h"

struct embed_texts {
    struct buf file; /* what the lines point into */
    struct text_str *list;
    size_t n;
};

/* With `file` (may be NULL) each of its lines is a text, with a single argument "-" each line of
 * standard input, otherwise each argument. The arguments are borrowed. */
enum status embed_texts_read(struct embed_texts *t, const char *file, int argc, char **argv,
                             struct error *err);
void embed_texts_fini(struct embed_texts *t);

#endif
