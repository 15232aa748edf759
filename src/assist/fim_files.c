#include "assist/fim_files.h"

#include <string.h>

static enum status put_id(struct token_list *out, int32_t id)
{
    return id == TOKEN_NONE ? OK : token_list_push(out, id);
}

static enum status put_file(const struct fim_template *f, const struct tokenizer *t,
                            const struct fim_file *file, struct token_list *out, struct error *err)
{
    enum status st = put_id(out, f->file);
    if (!st && file->path) st = fim_encode(f, t, file->path, strlen(file->path), out, err);
    if (!st && (file->path || f->file == TOKEN_NONE)) st = fim_encode(f, t, "\n", 1, out, err);
    if (!st) st = fim_encode(f, t, file->text, file->len, out, err);
    if (!st && file->len && file->text[file->len - 1] != '\n')
        st = fim_encode(f, t, "\n", 1, out, err);
    return st;
}

enum status fim_build_files(const struct fim_template *f, const struct tokenizer *t,
                            const char *repo, const struct fim_file *files, size_t n_files,
                            const struct fim_input *in, struct token_list *out, size_t *prefix_at,
                            size_t *needed, struct error *err)
{
    struct fim_prompt whole = {0};
    struct fim_input all = *in;
    size_t start = out->len;
    all.max_tokens = (size_t)1 << 24; /* nothing is cut; what is too long is an error */
    enum status st = fim_build(f, t, &all, &whole, err);
    size_t at = 0;
    if (!st && whole.tokens.len && whole.tokens.ids[0] == f->bos && f->bos != TOKEN_NONE)
        st = token_list_push(out, whole.tokens.ids[at++]);
    if (!st && repo && f->repo != TOKEN_NONE) {
        st = put_id(out, f->repo);
        if (!st) st = fim_encode(f, t, repo, strlen(repo), out, err);
        if (!st) st = fim_encode(f, t, "\n", 1, out, err);
    }
    for (size_t i = 0; i < n_files && !st; i++) st = put_file(f, t, &files[i], out, err);
    for (; at < whole.tokens.len && !st; at++) st = token_list_push(out, whole.tokens.ids[at]);
    *needed = out->len - start;
    /* Everything that was put in front of it moved it. */
    *prefix_at = out->len - whole.tokens.len + whole.prefix_at;
    if (!st && *needed > in->max_tokens)
        st = error_set(err, ERR_LIMIT,
                       "the text around the hole and the other files have %zu tokens, but %zu fit "
                       "beside the answer; nothing was cut",
                       *needed, in->max_tokens);
    fim_prompt_fini(&whole);
    return st;
}
