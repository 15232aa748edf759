#include "assist/anchor.h"

#include <stdlib.h>
#include <string.h>

size_t anchor_point(const char *prefix, size_t len)
{
    size_t at = len;
    while (at > 0 && prefix[at - 1] != '\n') {
        if (len - at == ANCHOR_LINE_BYTES) return len;
        at--;
    }
    return at;
}

enum status anchor_init(struct anchor *a, const struct fim_template *f, const struct tokenizer *t,
                        const struct fim_input *in, struct error *err)
{
    *a = (struct anchor){.point = in->prefix_len, .suffix_len = in->suffix_len};
    enum status st = fim_build(f, t, in, &a->prompt, err);
    if (st) goto out;
    a->head_len = in->prefix_len - a->prompt.prefix_start;
    a->tail_len = a->prompt.suffix_end;
    a->text = malloc(a->head_len + a->tail_len + 1);
    if (in->file_name) a->file_name = strdup(in->file_name);
    if (!a->text || (in->file_name && !a->file_name)) {
        st = error_set(err, ERR_NOMEM, "no memory for a copy of the file");
        goto out;
    }
    if (a->head_len) memcpy(a->text, in->prefix + a->prompt.prefix_start, a->head_len);
    if (a->tail_len) memcpy(a->text + a->head_len, in->suffix, a->tail_len);
out:
    if (st) anchor_fini(a);
    return st;
}

void anchor_fini(struct anchor *a)
{
    fim_prompt_fini(&a->prompt);
    free(a->text);
    free(a->file_name);
    *a = (struct anchor){0};
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool anchor_fits(const struct anchor *a, const struct fim_input *in, size_t *typed)
{
    if (!a->text || in->prefix_len < a->point || in->prefix_len - a->point > ANCHOR_TYPED_BYTES)
        return false;
    if (in->suffix_len != a->suffix_len || !same_name(a->file_name, in->file_name)) return false;
    if (memcmp(a->text, in->prefix + a->prompt.prefix_start, a->head_len)) return false;
    if (a->tail_len && memcmp(a->text + a->head_len, in->suffix, a->tail_len)) return false;
    *typed = in->prefix_len - a->point;
    return true;
}

enum status anchor_count_dropped(struct anchor *a, const struct fim_template *f,
                                 const struct tokenizer *t, const struct fim_input *in,
                                 struct error *err)
{
    if (a->counted || !a->prompt.truncated) return OK;
    enum status st = fim_count_dropped(f, t, in, &a->prompt, &a->prefix_tokens_dropped,
                                       &a->suffix_tokens_dropped, err);
    a->counted = st == OK;
    return st;
}
