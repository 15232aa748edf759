#include "kern/pack.h"

#include <string.h>

#include "kern/kern.h"
#include "quant/blocks.h"

/* ---- blocks taken apart: the file formats of quant/blocks.h ------------------------------------ */

static void split_nibbles32(const uint8_t *qs, uint8_t *q)
{
    for (int i = 0; i < 16; i++) {
        q[i] = qs[i] & 15;
        q[i + 16] = qs[i] >> 4;
    }
}

/* Bit i of qh becomes bit 4 of q[i]: a byte is copied into eight, each keeps its own bit, and adding
 * 127 carries it to the top. */
static void split_high32(const uint8_t *qh, uint8_t *q)
{
    for (int i = 0; i < 4; i++) {
        uint64_t bits = (qh[i] * 0x0101010101010101u) & 0x8040201008040201u, low;
        bits = ((bits + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) >> 3;
        memcpy(&low, q + 8 * i, 8);
        low |= bits;
        memcpy(q + 8 * i, &low, 8);
    }
}

/* Each 32 bytes hold four runs of 32 values of two bits. */
static void split_pairs_k(const uint8_t *qs, uint8_t *q)
{
    for (int half = 0; half < 2; half++)
        for (int run = 0; run < 4; run++)
            for (int l = 0; l < 32; l++)
                q[128 * half + 32 * run + l] = qs[32 * half + l] >> (2 * run) & 3;
}

/* Run s of 32 values takes bit s of 32 bytes. */
static void split_bits_k(const uint8_t *bits, int shift, uint8_t *q)
{
    for (int s = 0; s < 8; s++)
        for (int l = 0; l < 32; l++) q[32 * s + l] |= (uint8_t)((bits[l] >> s & 1) << shift);
}

static void split_nibbles_k(const uint8_t *qs, uint8_t *q)
{
    for (int run = 0; run < 4; run++)
        for (int l = 0; l < 32; l++) {
            q[64 * run + l] = qs[32 * run + l] & 15;
            q[64 * run + 32 + l] = qs[32 * run + l] >> 4;
        }
}

static void split_codes_k4(const uint8_t *scales, uint8_t *codes)
{
    for (int j = 0; j < 8; j++) quant_k4_scale_min(scales, j, &codes[j], &codes[8 + j]);
}

/* Defines split_TYPE, whose body sees the block as b. */
#define SPLIT(TYPE, ...)                                                                           \
    static void split_##TYPE(const uint8_t *bytes, struct pack_row *o)                             \
    {                                                                                              \
        const struct block_##TYPE *b = (const struct block_##TYPE *)bytes;                         \
        o->d = quant_load_u16(b->d);                                                               \
        __VA_ARGS__                                                                                \
    }

SPLIT(q4_0, split_nibbles32(b->qs, o->q);)
SPLIT(q4_1, o->m = quant_load_u16(b->m); split_nibbles32(b->qs, o->q);)
SPLIT(q5_0, split_nibbles32(b->qs, o->q); split_high32(b->qh, o->q);)
SPLIT(q5_1, o->m = quant_load_u16(b->m); split_nibbles32(b->qs, o->q); split_high32(b->qh, o->q);)
SPLIT(q8_0, for (int i = 0; i < 32; i++) o->q[i] = (uint8_t)(b->qs[i] + 128);)
SPLIT(q2_k, o->m = quant_load_u16(b->dmin); memcpy(o->codes, b->scales, 16);
      split_pairs_k(b->qs, o->q);)
SPLIT(q3_k, int8_t scales[16]; quant_q3_k_scales(b->scales, scales);
      for (int i = 0; i < 16; i++) o->codes[i] = (uint8_t)(scales[i] + 32);
      split_pairs_k(b->qs, o->q); split_bits_k(b->hmask, 2, o->q);)
SPLIT(q4_k, o->m = quant_load_u16(b->dmin); split_codes_k4(b->scales, o->codes);
      split_nibbles_k(b->qs, o->q);)
SPLIT(q5_k, o->m = quant_load_u16(b->dmin); split_codes_k4(b->scales, o->codes);
      split_nibbles_k(b->qs, o->q); split_bits_k(b->qh, 4, o->q);)

static void split_q6_k(const uint8_t *bytes, struct pack_row *o)
{
    const struct block_q6_k *b = (const struct block_q6_k *)bytes;
    for (int half = 0; half < 2; half++)
        for (int run = 0; run < 4; run++) {
            const uint8_t *lo = b->ql + 64 * half + 32 * (run % 2), *hi = b->qh + 32 * half;
            for (int l = 0; l < 32; l++)
                o->q[128 * half + 32 * run + l] =
                    (uint8_t)((lo[l] >> (run / 2 * 4) & 15) | (hi[l] >> (2 * run) & 3) << 4);
        }
    memcpy(o->codes, b->scales, 16);
    o->d = quant_load_u16(b->d);
}

/* ---- registry --------------------------------------------------------------------------------- */

static const struct pack_format formats[] = {
    {QUANT_F32, .elem_bytes = 4, .act = KERN_ACT_FLOAT},
    {QUANT_F16, .elem_bytes = 2, .act = KERN_ACT_INT16},
    {QUANT_BF16, .elem_bytes = 2, .act = KERN_ACT_INT16},
    {QUANT_Q4_0, 0, 32, false, CODES_NONE, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_q4_0},
    {QUANT_Q4_1, 0, 32, true, CODES_NONE, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_q4_1},
    {QUANT_Q5_0, 0, 32, false, CODES_NONE, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32,
     split_q5_0},
    {QUANT_Q5_1, 0, 32, true, CODES_NONE, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32,
     split_q5_1},
    {QUANT_Q8_0, 0, 32, false, CODES_NONE, PLANE_NONE, PLANE_BYTES, KERN_ACT_16,
     split_q8_0},
    {QUANT_Q2_K, 0, 256, true, CODES_BYTES, PLANE_NONE, PLANE_PAIRS, KERN_ACT_16,
     split_q2_k},
    {QUANT_Q3_K, 0, 256, false, CODES_SIX, PLANE_BITS, PLANE_PAIRS, KERN_ACT_16,
     split_q3_k},
    {QUANT_Q4_K, 0, 256, true, CODES_SIX, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_q4_k},
    {QUANT_Q5_K, 0, 256, true, CODES_SIX, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32,
     split_q5_k},
    {QUANT_Q6_K, 0, 256, false, CODES_BYTES, PLANE_PAIRS, PLANE_NIBBLES, KERN_ACT_16,
     split_q6_k},
};

const struct pack_format *pack_format_find(uint32_t type)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].type == type) return &formats[i];
    return NULL;
}

bool kern_type_supported(const struct quant_traits *type)
{
    return pack_format_find(type->id) != NULL;
}

enum kern_act_format kern_act_format(const struct quant_traits *type, size_t n_cols)
{
    const struct pack_format *f = pack_format_find(type->id);
    return f && n_cols % 32 == 0 ? f->act : KERN_ACT_FLOAT;
}

size_t kern_panel_bytes(const struct quant_traits *type, size_t n_cols)
{
    return KERN_PANEL * (n_cols / type->block_elems) * type->block_bytes;
}

/* ---- packing ---------------------------------------------------------------------------------- */

static unsigned plane_bits(enum pack_plane plane)
{
    static const unsigned bits[] = {
        [PLANE_BITS] = 1, [PLANE_PAIRS] = 2, [PLANE_NIBBLES] = 4, [PLANE_BYTES] = 8};
    return bits[plane];
}

/* Writes 32 values of row r, shifted right by `shift`, to a plane: four columns are one 32-bit word
 * all along, and values stay inside their bytes. */
static inline void plane_put(unsigned bits, uint8_t *dst, int r, const uint8_t *q, unsigned shift)
{
    uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
    unsigned groups = 8 / bits;
    for (unsigned i = 0; i < bits; i++) {
        uint32_t word = 0;
        for (unsigned j = 0; j < groups; j++) {
            uint32_t v;
            memcpy(&v, q + 4 * (i * groups + j), 4);
            word |= (v >> shift & mask) << (j * bits);
        }
        memcpy(dst + 64 * i + 4 * r, &word, 4);
    }
}

static void codes_put(enum pack_codes kind, uint8_t *dst, int r, const uint8_t *codes)
{
    if (kind == CODES_BYTES) {
        for (int s = 0; s < 16; s++) dst[s * 16 + r] = codes[s];
    } else if (kind == CODES_SIX) {
        for (int s = 0; s < 8; s++)
            dst[s * 16 + r] = (uint8_t)((codes[s] & 15) | (codes[s + 8] & 15) << 4);
        for (int i = 0; i < 16; i++)
            dst[128 + i % 4 * 16 + r] |= (uint8_t)((codes[i] >> 4 & 3) << (i / 4 * 2));
    }
}

static void pack_unit_row(const struct pack_format *f, const struct pack_row *row, int r,
                          uint8_t *unit)
{
    memcpy(unit + 2 * r, &row->d, 2);
    unit += 32;
    if (f->has_min) {
        memcpy(unit + 2 * r, &row->m, 2);
        unit += 32;
    }
    codes_put(f->codes, unit, r, row->codes);
    unit += f->codes == CODES_BYTES ? 256 : f->codes == CODES_SIX ? 192 : 0;
    for (uint32_t e = 0; e < f->unit; e += 32) {
        if (f->high) {
            plane_put(plane_bits(f->high), unit, r, row->q + e, plane_bits(f->low));
            unit += 64 * plane_bits(f->high);
        }
        plane_put(plane_bits(f->low), unit, r, row->q + e, 0);
        unit += 64 * plane_bits(f->low);
    }
}

static void pack_floats(const struct pack_format *f, const uint8_t *rows, size_t row_bytes,
                        size_t n_rows, size_t n_cols, uint8_t *panel)
{
    size_t w = f->elem_bytes;
    for (size_t r = 0; r < n_rows; r++)
        for (size_t k = 0; k < n_cols; k++)
            memcpy(panel + (k * KERN_PANEL + r) * w, rows + r * row_bytes + k * w, w);
}

void kern_pack_panel(const struct quant_traits *type, const uint8_t *rows, size_t row_bytes,
                     size_t n_rows, size_t n_cols, uint8_t *panel)
{
    const struct pack_format *f = pack_format_find(type->id);
    memset(panel, 0, kern_panel_bytes(type, n_cols));
    if (f->elem_bytes) {
        pack_floats(f, rows, row_bytes, n_rows, n_cols, panel);
        return;
    }
    struct pack_row row = {0};
    size_t unit_bytes = KERN_PANEL * (size_t)type->block_bytes;
    for (size_t u = 0; u < n_cols / f->unit; u++)
        for (size_t r = 0; r < n_rows; r++) {
            f->split(rows + r * row_bytes + u * type->block_bytes, &row);
            pack_unit_row(f, &row, (int)r, panel + u * unit_bytes);
        }
}
