/* A fill-in-the-middle prompt with other files of the repository in front, whole or not at all. */
#ifndef HEARTH_ASSIST_FIM_FILES_H
#define HEARTH_ASSIST_FIM_FILES_H

#include "assist/fim.h"

struct fim_file {
    const char *path; /* NUL-terminated; or NULL */
    const char *text;
    size_t len;
};

/* Appends the ids: the repository's name (or NULL) and the files, as the family marks them, then
 * the prompt for `in`, whose prefix ends with token *prefix_at of `out`. Families without a mark
 * for files get their texts one below the other. Nothing is cut: ERR_LIMIT, telling *needed tokens,
 * where it does not fit into in->max_tokens. */
enum status fim_build_files(const struct fim_template *f, const struct tokenizer *t,
                            const char *repo, const struct fim_file *files, size_t n_files,
                            const struct fim_input *in, struct token_list *out, size_t *prefix_at,
                            size_t *needed, struct error *err);

#endif
