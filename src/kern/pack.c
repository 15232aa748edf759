#include "kern/pack.h"

#include <string.h>

#include "kern/kern.h"
#include "quant/blocks.h"
#include "quant/iq.h"

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

SPLIT(iq4_nl, split_nibbles32(b->qs, o->q);)
SPLIT(iq4_xs, quant_iq4_xs_scales(b, o->codes);
      for (int g = 0; g < 8; g++) split_nibbles32(b->qs + 16 * g, o->q + 32 * g);)

static void split_mxfp4(const uint8_t *bytes, struct pack_row *o)
{
    const struct block_mxfp4 *b = (const struct block_mxfp4 *)bytes;
    o->codes[0] = b->e;
    split_nibbles32(b->qs, o->q);
}

/* Kernels know no scale of 0x7f that is 0, and no eighth bit. */
static void split_nvfp4(const uint8_t *bytes, struct pack_row *o)
{
    const struct block_nvfp4 *b = (const struct block_nvfp4 *)bytes;
    for (int g = 0; g < 4; g++) {
        o->codes[g] = b->d[g] == 0x7f ? 0 : b->d[g] & 0x7f;
        for (int i = 0; i < 8; i++) {
            o->q[16 * g + i] = b->qs[8 * g + i] & 15;
            o->q[16 * g + 8 + i] = b->qs[8 * g + i] >> 4;
        }
    }
}

/* ---- types that others carry ------------------------------------------------------------------ */

/* d * q - d * 1 as Q2_K: each scale and each minimum is 1. */
#define SPLIT_TERNARY(TYPE)                                                                        \
    SPLIT(TYPE, o->m = o->d; memset(o->codes, 0x11, 16); quant_##TYPE##_elements(b, o->q);)
SPLIT_TERNARY(tq1_0)
SPLIT_TERNARY(tq2_0)
/* As Q4_0: values plus 8. */
SPLIT(q1_0, memset(o->q, 0, 128);
      for (int i = 0; i < 4; i++) split_high32(b->qs + 4 * i, o->q + 32 * i);
      for (int i = 0; i < 128; i++) o->q[i] = (uint8_t)(o->q[i] / 8 + 7);)
SPLIT(q2_0, for (int i = 0; i < 64; i++) o->q[i] = (b->qs[i / 4] >> i % 4 * 2 & 3) + 7;)

#define SPLIT_CODED(TYPE)                                                                          \
    static void split_##TYPE(const uint8_t *bytes, struct pack_row *o)                             \
    {                                                                                              \
        struct quant_coded c;                                                                      \
        quant_##TYPE##_split((const struct block_##TYPE *)bytes, &c);                              \
        o->scale = c.d;                                                                            \
        memcpy(o->codes, c.scales, sizeof o->codes);                                               \
        memcpy(o->q, c.index, sizeof o->q);                                                        \
    }
SPLIT_CODED(iq1_s)
SPLIT_CODED(iq1_m)
SPLIT_CODED(iq2_xxs)
SPLIT_CODED(iq2_xs)
SPLIT_CODED(iq2_s)
SPLIT_CODED(iq3_xxs)
SPLIT_CODED(iq3_s)

/* ---- registry --------------------------------------------------------------------------------- */

#define CARRIED(TYPE, NAME, CARRIER, VALUES)                                                       \
    {.type = QUANT_##TYPE, .split = split_##NAME, .carrier = CARRIER, .values = VALUES}

static const struct pack_format formats[] = {
    {QUANT_F32, .elem_bytes = 4, .act = KERN_ACT_FLOAT},
    {QUANT_F16, .elem_bytes = 2, .act = KERN_ACT_INT16},
    {QUANT_BF16, .elem_bytes = 2, .act = KERN_ACT_INT16},
    {QUANT_Q4_0, 0, 32, SCALES_HALF, CODES_NONE, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32, split_q4_0},
    {QUANT_Q4_1, 0, 32, SCALES_HALF_MIN, CODES_NONE, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_q4_1},
    {QUANT_Q5_0, 0, 32, SCALES_HALF, CODES_NONE, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32, split_q5_0},
    {QUANT_Q5_1, 0, 32, SCALES_HALF_MIN, CODES_NONE, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32,
     split_q5_1},
    {QUANT_Q8_0, 0, 32, SCALES_HALF, CODES_NONE, PLANE_NONE, PLANE_BYTES, KERN_ACT_16, split_q8_0},
    {QUANT_Q2_K, 0, 256, SCALES_HALF_MIN, CODES_16, PLANE_NONE, PLANE_PAIRS, KERN_ACT_16,
     split_q2_k},
    {QUANT_Q3_K, 0, 256, SCALES_HALF, CODES_SIX, PLANE_BITS, PLANE_PAIRS, KERN_ACT_16, split_q3_k},
    {QUANT_Q4_K, 0, 256, SCALES_HALF_MIN, CODES_SIX, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_q4_k},
    {QUANT_Q5_K, 0, 256, SCALES_HALF_MIN, CODES_SIX, PLANE_BITS, PLANE_NIBBLES, KERN_ACT_32,
     split_q5_k},
    {QUANT_Q6_K, 0, 256, SCALES_HALF, CODES_16, PLANE_PAIRS, PLANE_NIBBLES, KERN_ACT_16, split_q6_k},
    {QUANT_IQ4_NL, 0, 32, SCALES_HALF, CODES_NONE, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_iq4_nl},
    {QUANT_IQ4_XS, 0, 256, SCALES_HALF, CODES_SIX_8, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32,
     split_iq4_xs},
    {QUANT_MXFP4, 0, 32, SCALES_NONE, CODES_1, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32, split_mxfp4},
    {QUANT_NVFP4, 0, 64, SCALES_NONE, CODES_4, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_16, split_nvfp4},
    {PACK_TABLE_32, 0, 256, SCALES_FLOAT, CODES_8, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_32, NULL,
     .has_table = true},
    {PACK_TABLE_16, 0, 256, SCALES_FLOAT, CODES_16, PLANE_NONE, PLANE_NIBBLES, KERN_ACT_16, NULL,
     .has_table = true},
    CARRIED(IQ1_S, iq1_s, PACK_TABLE_32, quant_iq1_values),
    CARRIED(IQ1_M, iq1_m, PACK_TABLE_16, quant_iq1_values),
    CARRIED(IQ2_XXS, iq2_xxs, PACK_TABLE_32, quant_iq2_values),
    CARRIED(IQ2_XS, iq2_xs, PACK_TABLE_16, quant_iq2_values),
    CARRIED(IQ2_S, iq2_s, PACK_TABLE_16, quant_iq2_values),
    CARRIED(IQ3_XXS, iq3_xxs, PACK_TABLE_32, quant_iq3_xxs_values),
    CARRIED(IQ3_S, iq3_s, PACK_TABLE_32, quant_iq3_s_values),
    CARRIED(TQ1_0, tq1_0, QUANT_Q2_K, NULL),
    CARRIED(TQ2_0, tq2_0, QUANT_Q2_K, NULL),
    CARRIED(Q1_0, q1_0, QUANT_Q4_0, NULL),
    CARRIED(Q2_0, q2_0, QUANT_Q4_0, NULL),
};

const struct pack_format *pack_format_find(uint32_t type)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].type == type) return &formats[i];
    return NULL;
}

const struct pack_format *pack_form_of(uint32_t type)
{
    const struct pack_format *f = pack_format_find(type);
    return f->carrier ? pack_format_find(f->carrier) : f;
}

bool kern_type_supported(const struct quant_traits *type)
{
    return pack_format_find(type->id) != NULL;
}

enum kern_act_format kern_act_format(const struct quant_traits *type, size_t n_cols)
{
    const struct pack_format *f = pack_format_find(type->id);
    return f && n_cols % 32 == 0 ? pack_form_of(type->id)->act : KERN_ACT_FLOAT;
}

static unsigned plane_bits(enum pack_plane plane)
{
    static const unsigned bits[] = {
        [PLANE_BITS] = 1, [PLANE_PAIRS] = 2, [PLANE_NIBBLES] = 4, [PLANE_BYTES] = 8};
    return bits[plane];
}

static size_t scales_bytes(enum pack_scales scales)
{
    return scales == SCALES_NONE ? 0 : scales == SCALES_HALF ? 32 : 64;
}

static size_t codes_bytes(enum pack_codes codes)
{
    return codes == CODES_SIX ? 192 : codes == CODES_SIX_8 ? 96 : (size_t)codes * 16;
}

static size_t unit_bytes(const struct pack_format *form)
{
    return scales_bytes(form->scales) + codes_bytes(form->codes) + (form->has_table ? 16 : 0) +
           form->unit / 32 * 64 * (plane_bits(form->high) + plane_bits(form->low));
}

size_t kern_panel_bytes(const struct quant_traits *type, size_t n_cols)
{
    const struct pack_format *form = pack_form_of(type->id);
    if (form->elem_bytes) return KERN_PANEL * n_cols * form->elem_bytes;
    return n_cols / form->unit * unit_bytes(form);
}

/* ---- packing ---------------------------------------------------------------------------------- */

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

/* The first n of twice as many numbers keep their low four bits in the low halves of bytes. */
static void put_low_halves(uint8_t *dst, int r, const uint8_t *codes, int n)
{
    for (int s = 0; s < n; s++)
        dst[s * 16 + r] = (uint8_t)((codes[s] & 15) | (codes[s + n] & 15) << 4);
}

static void codes_put(enum pack_codes kind, uint8_t *dst, int r, const uint8_t *codes)
{
    if (kind == CODES_SIX) {
        put_low_halves(dst, r, codes, 8);
        for (int i = 0; i < 16; i++)
            dst[128 + i % 4 * 16 + r] |= (uint8_t)((codes[i] >> 4 & 3) << (i / 4 * 2));
    } else if (kind == CODES_SIX_8) {
        put_low_halves(dst, r, codes, 4);
        for (int i = 0; i < 8; i++)
            dst[64 + i % 2 * 16 + r] |=
                (uint8_t)((codes[i] >> 4 & 3) << 2 * (i / 4 + 2 * (i / 2 % 2)));
    } else {
        for (int s = 0; s < (int)kind; s++) dst[s * 16 + r] = codes[s];
    }
}

/* Columns of the row from `q` on are the unit's. */
static void pack_unit_row(const struct pack_format *form, const struct pack_row *row,
                          const uint8_t *q, int r, uint8_t *unit)
{
    if (form->scales == SCALES_FLOAT) {
        memcpy(unit + 4 * r, &row->scale, 4);
    } else if (form->scales) {
        memcpy(unit + 2 * r, &row->d, 2);
        if (form->scales == SCALES_HALF_MIN) memcpy(unit + 32 + 2 * r, &row->m, 2);
    }
    unit += scales_bytes(form->scales);
    codes_put(form->codes, unit, r, row->codes);
    unit += codes_bytes(form->codes) + (form->has_table ? 16 : 0);
    for (uint32_t e = 0; e < form->unit; e += 32) {
        if (form->high) {
            plane_put(plane_bits(form->high), unit, r, q + e, plane_bits(form->low));
            unit += 64 * plane_bits(form->high);
        }
        plane_put(plane_bits(form->low), unit, r, q + e, 0);
        unit += 64 * plane_bits(form->low);
    }
}

static void table_put(const struct pack_format *form, const int8_t values[16], uint8_t *unit)
{
    uint8_t *table = unit + scales_bytes(form->scales) + codes_bytes(form->codes);
    for (int i = 0; i < 16; i++) table[i] = (uint8_t)(values[i] + 64);
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
    const struct pack_format *f = pack_format_find(type->id), *form = pack_form_of(type->id);
    memset(panel, 0, kern_panel_bytes(type, n_cols));
    if (form->elem_bytes) {
        pack_floats(form, rows, row_bytes, n_rows, n_cols, panel);
        return;
    }
    struct pack_row row = {0};
    size_t bytes = unit_bytes(form), units = type->block_elems / form->unit;
    for (size_t b = 0; b < n_cols / type->block_elems; b++, panel += units * bytes) {
        for (size_t r = 0; r < n_rows; r++) {
            f->split(rows + r * row_bytes + b * type->block_bytes, &row);
            for (size_t u = 0; u < units; u++)
                pack_unit_row(form, &row, row.q + u * form->unit, (int)r, panel + u * bytes);
        }
        for (size_t u = 0; u < units && form->has_table; u++)
            table_put(form, f->values, panel + u * bytes);
    }
}
