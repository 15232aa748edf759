/* What the bytes of the KV cache mean, in plain C. */
#include "kern/kern.h"

enum { BLOCK = 32 }; /* dimensions that share a scale */

static size_t format_bits(enum kern_kv_format f)
{
    return f == KERN_KV_F16 ? 16 : f == KERN_KV_Q8 ? 8 : 4;
}

size_t kern_kv_bytes(enum kern_kv_format f, size_t head_dim)
{
    size_t numbers = head_dim * KERN_KV_PAGE * format_bits(f) / 8;
    if (f == KERN_KV_F16) return numbers;
    return head_dim % BLOCK ? 0 : numbers + head_dim / BLOCK * KERN_KV_PAGE * sizeof(uint16_t);
}

/* The number before scaling. */
static int stored(enum kern_kv_format f, bool keys, const uint8_t *data, size_t hd, size_t at,
                  size_t d)
{
    if (f == KERN_KV_Q8) return (int8_t)data[keys ? d * KERN_KV_PAGE + at : at * hd + d];
    size_t row = d / BLOCK * 16 + d % 16;
    uint8_t two = data[keys ? row * KERN_KV_PAGE + at : at * hd / 2 + row];
    return (d % BLOCK < 16 ? two & 15 : two >> 4) - 8;
}

void kern_kv_read(enum kern_kv_format f, bool keys, const uint8_t *data, size_t head_dim, size_t at,
                  float *x)
{
    const uint16_t *half = (const uint16_t *)data;
    const uint16_t *scale = (const uint16_t *)(data + head_dim * KERN_KV_PAGE * format_bits(f) / 8);
    for (size_t d = 0; d < head_dim; d++)
        x[d] = f == KERN_KV_F16
                   ? quant_f16_to_f32(half[keys ? d * KERN_KV_PAGE + at : at * head_dim + d])
                   : (float)stored(f, keys, data, head_dim, at, d) *
                         quant_f16_to_f32(scale[d / BLOCK * KERN_KV_PAGE + at]);
}
