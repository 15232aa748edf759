/* The bytes of a sequence's pages, to be kept in a file and put back. What is in them is known to
 * the model alone; `struct kv_form` says when two sequences mean the same by the same bytes. */
#ifndef HEARTH_MODEL_KV_FILE_H
#define HEARTH_MODEL_KV_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct kv_pool;
struct kv_seq;
struct model;

/* Compared and written as bytes: no padding. */
struct kv_form {
    uint32_t version; /* KERN_NUMERIC_VERSION */
    uint32_t page_tokens;
    uint32_t n_layer, n_head_kv, head_dim, v_dim;
    uint32_t long_context; /* whether positions turn as in long contexts */
    uint32_t fused;        /* whether kernels fuse multiply and add, which moves last bits */
    uint64_t page_bytes;
    char type[16]; /* of the cache: its name, zeros behind it */
};

enum status kv_file_form(const struct model *m, const struct kv_seq *s, struct kv_form *out,
                         struct error *err);
/* Pages that n positions take. */
size_t kv_file_pages(size_t n);
/* Copies page i of a sequence's first n positions to `out`, page_bytes long and 64-byte aligned.
 * Places behind the n positions hold zeros there: what else the memory was used for stays in it. */
enum status kv_file_copy(const struct kv_seq *s, size_t n, size_t i, uint8_t *out,
                         struct error *err);

/* A page of the pool that no sequence holds, with one reference (model.h), to be filled; UINT32_MAX
 * where none is free. And the bytes of a held page. */
uint32_t kv_file_take_page(struct kv_pool *p);
uint8_t *kv_file_page(struct kv_pool *p, uint32_t page);

/* Empties the sequence and makes room for n positions, whose pages are then filled through
 * kv_file_fill and counted by kv_file_done; kv_seq_truncate to 0 instead gives up. */
enum status kv_file_begin(struct kv_seq *s, size_t n, struct error *err);
uint8_t *kv_file_fill(struct kv_seq *s, size_t i);
void kv_file_done(struct kv_seq *s, size_t n);

#endif
