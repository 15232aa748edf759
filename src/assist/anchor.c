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

/* FNV-1a, 64 bits. */
static uint64_t mix(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

static uint64_t hash_context(const struct fim_input *in)
{
    uint64_t h = 14695981039346656037u;
    if (in->repository) h = mix(h, in->repository, strlen(in->repository) + 1);
    for (size_t i = 0; in->context && i < in->n_context; i++) {
        const struct context_item *c = &in->context[i];
        if (c->path) h = mix(h, c->path, strlen(c->path) + 1);
        h = mix(mix(h, &c->len, sizeof c->len), c->text, c->len);
    }
    return h;
}

enum status anchor_init(struct anchor *a, const struct fim_template *f, const struct tokenizer *t,
                        const struct fim_input *in, struct error *err)
{
    *a = (struct anchor){
        .point = in->prefix_len, .suffix_len = in->suffix_len, .context = hash_context(in)};
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
    if (a->context != hash_context(in)) return false;
    if (memcmp(a->text, in->prefix + a->prompt.prefix_start, a->head_len)) return false;
    if (a->tail_len && memcmp(a->text + a->head_len, in->suffix, a->tail_len)) return false;
    *typed = in->prefix_len - a->point;
    return true;
}

enum status anchor_follow(const struct fim_template *f, const struct tokenizer *t,
                          const char *typed, size_t len, struct token_list *out, const char **begin,
                          size_t *n_begin, struct error *err)
{
    size_t before = out->len;
    *begin = typed + len;
    *n_begin = 0;
    if (len == 0) return OK;
    enum status st = fim_encode(f, t, typed, len, out, err);
    if (st || out->len == before) return st;
    char piece[ANCHOR_TYPED_BYTES];
    size_t n = tokenizer_piece(t, out->ids[out->len - 1], false, piece, sizeof piece);
    if (n == 0 || n > len || n > sizeof piece || memcmp(piece, typed + len - n, n) != 0) return OK;
    out->len--;
    *begin = typed + len - n;
    *n_begin = n;
    return OK;
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
