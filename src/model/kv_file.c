#include "model/kv_file.h"

#include <string.h>

#include "kern/kern.h"
#include "model/model_int.h"

/* Changes whenever the arithmetic of a forward pass moves a bit of a key or value, or a page is
 * laid out otherwise. */
enum { KV_FORM_VERSION = 1 };

enum status kv_file_form(const struct kv_seq *s, struct kv_form *out, struct error *err)
{
    const struct kern_ops *ops;
    enum status st = kern_select(NULL, &ops, err);
    if (st) return st;
    const struct kv_layout *l = kv_seq_layout(s);
    *out = (struct kv_form){
        .version = KV_FORM_VERSION,
        .page_tokens = KERN_KV_PAGE,
        .n_layer = l->n_layer,
        .n_head_kv = l->n_head_kv,
        .head_dim = l->head_dim,
        .fused = strcmp(ops->name, "sse2") != 0,
        .page_bytes = l->page_bytes,
    };
    memcpy(out->type, l->type->name, strnlen(l->type->name, sizeof out->type));
    return OK;
}

size_t kv_file_pages(size_t n)
{
    return n / KERN_KV_PAGE + (n % KERN_KV_PAGE != 0);
}

const uint8_t *kv_file_page(const struct kv_seq *s, size_t i)
{
    return kv_seq_pages(s)[i];
}

enum status kv_file_begin(struct kv_seq *s, size_t n, struct error *err)
{
    kv_seq_truncate(s, 0);
    return kv_seq_reserve(s, n, err);
}

uint8_t *kv_file_fill(struct kv_seq *s, size_t i)
{
    return kv_seq_pages(s)[i];
}

void kv_file_done(struct kv_seq *s, size_t n)
{
    kv_seq_advance(s, n);
}
