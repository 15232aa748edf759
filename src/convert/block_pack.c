#include "convert/block_pack.h"

#include <math.h>
#include <string.h>

#include "quant/blocks.h"

enum { BLOCK = QUANT_SMALL_BLOCK };

/* True where all columns of every block share a group. */
static bool groups_fit(const struct hf_packed *p)
{
    for (uint64_t i = 0; i < p->in; i++)
        if (p->group[i] != p->group[i - i % BLOCK]) return false;
    return true;
}

uint32_t pack_type(const struct hf_view *parts, size_t n_parts, bool exact)
{
    int low = 0, high = 0;
    bool fit = true;
    for (size_t i = 0; i < n_parts; i++) {
        const struct hf_packed *p = &parts[i].src->packed;
        int min, max;
        if (!hf_view_is_packed_rows(&parts[i]) || p->in % BLOCK) return QUANT_F16;
        fit = fit && groups_fit(p);
        hf_packed_zeros(parts[i].src, &min, &max);
        if (-max < low) low = -max;
        if ((1 << p->bits) - 1 - min > high) high = (1 << p->bits) - 1 - min;
    }
    if (!fit) return exact ? QUANT_F16 : QUANT_Q8_0;
    if (low >= -8 && high <= 7) return QUANT_Q4_0;
    if (low >= -16 && high <= 15) return exact ? QUANT_Q5_0 : QUANT_Q4_1;
    if (low >= -128 && high <= 127) return QUANT_Q8_0;
    return exact ? QUANT_F16 : QUANT_Q8_0;
}

static void store_f16(uint8_t dst[2], uint16_t h)
{
    dst[0] = (uint8_t)h;
    dst[1] = (uint8_t)(h >> 8);
}

static void q4_0(struct block_q4_0 *b, const int16_t *q)
{
    for (int i = 0; i < 16; i++) b->qs[i] = (uint8_t)((q[i] + 8) | (q[i + 16] + 8) << 4);
}

static bool q4_1(struct block_q4_1 *b, const int16_t *q, float scale, int zero)
{
    uint16_t m = quant_f32_to_f16(-scale * (float)zero);
    store_f16(b->m, m);
    for (int i = 0; i < 16; i++) b->qs[i] = (uint8_t)((q[i] + zero) | (q[i + 16] + zero) << 4);
    return isfinite(quant_f16_to_f32(m));
}

static void q5_0(struct block_q5_0 *b, const int16_t *q)
{
    uint32_t high = 0;
    for (int i = 0; i < BLOCK; i++) high |= (uint32_t)((q[i] + 16) >> 4 & 1) << i;
    for (int i = 0; i < 4; i++) b->qh[i] = (uint8_t)(high >> 8 * i);
    for (int i = 0; i < 16; i++)
        b->qs[i] = (uint8_t)(((q[i] + 16) & 15) | ((q[i + 16] + 16) & 15) << 4);
}

/* The numbers as they are, where a byte holds them and they share a scale; false otherwise. */
static bool q8_0(struct block_q8_0 *b, const int16_t *q)
{
    for (int i = 0; i < BLOCK; i++) {
        if (q[i] < -128 || q[i] > 127) return false;
        b->qs[i] = (int8_t)q[i];
    }
    return true;
}

static bool pack_block(const struct hf_view *v, uint64_t row, uint64_t col, uint32_t type,
                       const int16_t *q, const float *floats, uint8_t *dst)
{
    const struct hf_packed *p = &v->src->packed;
    uint32_t group = p->group[col];
    float scale = hf_packed_scale(v->src, row, group);
    uint16_t h = quant_f32_to_f16(scale);
    store_f16(dst, h); /* every one of these blocks begins with it */
    if (!isfinite(quant_f16_to_f32(h))) return false;
    switch (type) {
    case QUANT_Q4_0:
        q4_0((struct block_q4_0 *)dst, q);
        return true;
    case QUANT_Q4_1:
        return q4_1((struct block_q4_1 *)dst, q, scale, hf_packed_zero(v->src, row, group));
    case QUANT_Q5_0:
        q5_0((struct block_q5_0 *)dst, q);
        return true;
    default:
        break;
    }
    bool one = true;
    for (int i = 1; i < BLOCK; i++) one = one && p->group[col + (uint64_t)i] == group;
    if (one && q8_0((struct block_q8_0 *)dst, q)) return true;
    return quant_find(QUANT_Q8_0)->encode(floats, NULL, dst, 1);
}

bool pack_row(const struct hf_view *v, uint64_t row, uint32_t type, int16_t *numbers,
              const float *floats, uint8_t *dst)
{
    uint64_t at = hf_view_packed_row(v, row);
    size_t bytes = quant_find(type)->block_bytes;
    hf_packed_row(v->src, at, numbers);
    for (uint64_t i = 0; i < v->cols; i += BLOCK, dst += bytes)
        if (!pack_block(v, at, i, type, numbers + i, floats + i, dst)) return false;
    return true;
}

void pack_mxfp4_row(const struct hf_source *s, uint64_t at, uint64_t cols, uint8_t *dst)
{
    for (uint64_t b = at / BLOCK; b < (at + cols) / BLOCK; b++) {
        struct block_mxfp4 *out = (struct block_mxfp4 *)dst;
        const uint8_t *in = s->data->data + 16 * b;
        out->e = s->scales->data[b];
        /* Theirs: neighbours share a byte. Ours: elements 16 apart do. */
        for (int i = 0; i < 16; i++) {
            int low = in[i / 2] >> 4 * (i % 2) & 15, high = in[8 + i / 2] >> 4 * (i % 2) & 15;
            out->qs[i] = (uint8_t)(low | high << 4);
        }
        dst += sizeof *out;
    }
}
