/* Template: packed units to vectors of unsigned weights with their scales (layout: kern/pack.h).
 * Included once per instruction set after its vector vocabulary. */

/* 32 columns of 16 rows: weight = d * w + m, per half of 16 columns where the type has two. */
struct wblock {
    vb w[16]; /* 8 of four bytes a lane; float types 16 of two int16 */
    vf d[2], m[2];
};

/* What the 32-column blocks of one unit share. */
struct wunit {
    vf d, m;
    uint8_t codes[256];
};

static inline __attribute__((always_inline)) void get_nibbles(const uint8_t *p, vb *w)
{
    const vb mask = vb_set1(15);
    for (int i = 0; i < 4; i++) {
        vb v = vb_load(p + 64 * i);
        w[2 * i] = vb_and(v, mask);
        w[2 * i + 1] = vb_and(vb_shr(v, 4), mask);
    }
}

static inline __attribute__((always_inline)) void get_pairs(const uint8_t *p, vb *w)
{
    const vb mask = vb_set1(3);
    for (int i = 0; i < 2; i++) {
        vb v = vb_load(p + 64 * i);
        w[4 * i] = vb_and(v, mask);
        w[4 * i + 1] = vb_and(vb_shr(v, 2), mask);
        w[4 * i + 2] = vb_and(vb_shr(v, 4), mask);
        w[4 * i + 3] = vb_and(vb_shr(v, 6), mask);
    }
}

/* w |= bit g of the plane, at position `to` (4 or 2). */
static inline __attribute__((always_inline)) void add_bits4(const uint8_t *p, vb *w)
{
    const vb mask = vb_set1(16);
    vb v = vb_load(p);
    w[0] = vb_or(w[0], vb_and(vb_shl(v, 4), mask));
    w[1] = vb_or(w[1], vb_and(vb_shl(v, 3), mask));
    w[2] = vb_or(w[2], vb_and(vb_shl(v, 2), mask));
    w[3] = vb_or(w[3], vb_and(vb_shl(v, 1), mask));
    w[4] = vb_or(w[4], vb_and(v, mask));
    w[5] = vb_or(w[5], vb_and(vb_shr(v, 1), mask));
    w[6] = vb_or(w[6], vb_and(vb_shr(v, 2), mask));
    w[7] = vb_or(w[7], vb_and(vb_shr(v, 3), mask));
}

static inline __attribute__((always_inline)) void add_bits2(const uint8_t *p, vb *w)
{
    const vb mask = vb_set1(4);
    vb v = vb_load(p);
    w[0] = vb_or(w[0], vb_and(vb_shl(v, 2), mask));
    w[1] = vb_or(w[1], vb_and(vb_shl(v, 1), mask));
    w[2] = vb_or(w[2], vb_and(v, mask));
    w[3] = vb_or(w[3], vb_and(vb_shr(v, 1), mask));
    w[4] = vb_or(w[4], vb_and(vb_shr(v, 2), mask));
    w[5] = vb_or(w[5], vb_and(vb_shr(v, 3), mask));
    w[6] = vb_or(w[6], vb_and(vb_shr(v, 4), mask));
    w[7] = vb_or(w[7], vb_and(vb_shr(v, 5), mask));
}

static inline __attribute__((always_inline)) void add_pairs4(const uint8_t *p, vb *w)
{
    const vb mask = vb_set1(48);
    for (int i = 0; i < 2; i++) {
        vb v = vb_load(p + 64 * i);
        w[4 * i] = vb_or(w[4 * i], vb_and(vb_shl(v, 4), mask));
        w[4 * i + 1] = vb_or(w[4 * i + 1], vb_and(vb_shl(v, 2), mask));
        w[4 * i + 2] = vb_or(w[4 * i + 2], vb_and(v, mask));
        w[4 * i + 3] = vb_or(w[4 * i + 3], vb_and(vb_shr(v, 2), mask));
    }
}

/* 192 bytes of six-bit codes to [16][16] bytes. */
static inline __attribute__((always_inline)) void get_six(const uint8_t *p, uint8_t *codes)
{
    const vb low = vb_set1(15), high = vb_set1(48);
    vb a = vb_load(p), b = vb_load(p + 64), h = vb_load(p + 128);
    vb_store(codes, vb_or(vb_and(a, low), vb_and(vb_shl(h, 4), high)));
    vb_store(codes + 64, vb_or(vb_and(b, low), vb_and(vb_shl(h, 2), high)));
    vb_store(codes + 128, vb_or(vb_and(vb_shr(a, 4), low), vb_and(h, high)));
    vb_store(codes + 192, vb_or(vb_and(vb_shr(b, 4), low), vb_and(vb_shr(h, 2), high)));
}

#define UNPACK static inline __attribute__((always_inline)) void

/* ---- types of 32 columns a unit --------------------------------------------------------------- */

UNPACK unit_d(const uint8_t *p, struct wunit *u)
{
    u->d = vf_load_f16((const uint16_t *)p);
}

UNPACK unit_dm(const uint8_t *p, struct wunit *u)
{
    u->d = vf_load_f16((const uint16_t *)p);
    u->m = vf_load_f16((const uint16_t *)(p + 32));
}

UNPACK block_q4_0(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    get_nibbles(p + 32, o->w);
    o->d[0] = u->d;
}

UNPACK block_q4_1(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    get_nibbles(p + 64, o->w);
    o->d[0] = u->d;
    o->m[0] = u->m;
}

UNPACK block_q5_0(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    get_nibbles(p + 96, o->w);
    add_bits4(p + 32, o->w);
    o->d[0] = u->d;
}

UNPACK block_q5_1(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    get_nibbles(p + 128, o->w);
    add_bits4(p + 64, o->w);
    o->d[0] = u->d;
    o->m[0] = u->m;
}

UNPACK block_q8_0(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    for (int g = 0; g < 8; g++) o->w[g] = vb_load(p + 32 + 64 * g);
    o->d[0] = o->d[1] = u->d;
}

/* ---- K-quants: 256 columns a unit ------------------------------------------------------------- */

UNPACK unit_k4(const uint8_t *p, struct wunit *u)
{
    u->d = vf_load_f16((const uint16_t *)p);
    u->m = vf_sub(vf_zero(), vf_load_f16((const uint16_t *)(p + 32)));
    get_six(p + 64, u->codes);
}

UNPACK block_q4_k(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_nibbles(p + 256 + 256 * j, o->w);
    o->d[0] = vf_mul(u->d, vf_load_u8(u->codes + 16 * j));
    o->m[0] = vf_mul(u->m, vf_load_u8(u->codes + 128 + 16 * j));
}

UNPACK block_q5_k(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_nibbles(p + 256 + 320 * j + 64, o->w);
    add_bits4(p + 256 + 320 * j, o->w);
    o->d[0] = vf_mul(u->d, vf_load_u8(u->codes + 16 * j));
    o->m[0] = vf_mul(u->m, vf_load_u8(u->codes + 128 + 16 * j));
}

UNPACK block_q6_k(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_nibbles(p + 288 + 384 * j + 128, o->w);
    add_pairs4(p + 288 + 384 * j, o->w);
    o->d[0] = vf_mul(u->d, vf_load_i8(p + 32 + 32 * j));
    o->d[1] = vf_mul(u->d, vf_load_i8(p + 32 + 32 * j + 16));
}

UNPACK unit_q2_k(const uint8_t *p, struct wunit *u)
{
    const vb low = vb_set1(15);
    u->d = vf_load_f16((const uint16_t *)p);
    u->m = vf_sub(vf_zero(), vf_load_f16((const uint16_t *)(p + 32)));
    for (int i = 0; i < 4; i++) vb_store(u->codes + 64 * i, vb_and(vb_load(p + 64 + 64 * i), low));
}

UNPACK block_q2_k(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    const vb low = vb_set1(15);
    uint8_t mins[64];
    get_pairs(p + 320 + 128 * j, o->w);
    vb_store(mins, vb_and(vb_shr(vb_load(p + 64 + j / 2 * 64), 4), low));
    for (int h = 0; h < 2; h++) {
        o->d[h] = vf_mul(u->d, vf_load_u8(u->codes + 32 * j + 16 * h));
        o->m[h] = vf_mul(u->m, vf_load_u8(mins + j % 2 * 32 + 16 * h));
    }
}

UNPACK unit_q3_k(const uint8_t *p, struct wunit *u)
{
    u->d = vf_load_f16((const uint16_t *)p);
    get_six(p + 32, u->codes);
}

UNPACK block_q3_k(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    const vf bias = vf_set1(32.0f);
    get_pairs(p + 224 + 192 * j + 64, o->w);
    add_bits2(p + 224 + 192 * j, o->w);
    for (int h = 0; h < 2; h++)
        o->d[h] = vf_mul(u->d, vf_sub(vf_load_u8(u->codes + 32 * j + 16 * h), bias));
}

/* ---- nibbles that stand for the values of a table ----------------------------------------------- */

static inline __attribute__((always_inline)) void get_values(const uint8_t *p, vb table, vb *w)
{
    get_nibbles(p, w);
    for (int g = 0; g < 8; g++) w[g] = vb_lookup(table, w[g]);
}

/* IQ4: values of all eight bits, plus 128. */
static const uint8_t iq4_table[16] = {QUANT_IQ4_VALUES(128)};
/* E2M1 doubled, plus 16. */
static const uint8_t fp4_table[16] = {QUANT_FP4_VALUES(16)};

UNPACK block_iq4_nl(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)j;
    get_values(p + 32, vb_table(iq4_table), o->w);
    o->d[0] = u->d;
}

/* The high bits of codes 0, 1, 4, 5 are where the lower half of a vector needs them; those of 2, 3, 6,
 * 7 come to its upper half by a load from 32 bytes before. */
UNPACK unit_iq4_xs(const uint8_t *p, struct wunit *u)
{
    static const uint8_t lower[64] = {[0 ... 31] = 48}, upper[64] = {[32 ... 63] = 48};
    const vb low = vb_set1(15), first = vb_load(lower), second = vb_load(upper);
    u->d = vf_load_f16((const uint16_t *)p);
    vb v = vb_load(p + 32), a = vb_load(p + 96), b = vb_load(p + 64);
    vb h0 = vb_or(vb_and(vb_shl(a, 4), first), vb_and(b, second));
    vb h4 = vb_or(vb_and(vb_shl(a, 2), first), vb_and(vb_shr(b, 2), second));
    vb_store(u->codes, vb_or(vb_and(v, low), h0));
    vb_store(u->codes + 64, vb_or(vb_and(vb_shr(v, 4), low), h4));
}

UNPACK block_iq4_xs(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_values(p + 128 + 256 * j, vb_table(iq4_table), o->w);
    o->d[0] = vf_mul(u->d, vf_sub(vf_load_u8(u->codes + 16 * j), vf_set1(32.0f)));
}

UNPACK unit_none(const uint8_t *p, struct wunit *u)
{
    (void)p;
    (void)u;
}

UNPACK block_mxfp4(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)u;
    (void)j;
    get_values(p + 16, vb_table(fp4_table), o->w);
    o->d[0] = vf_load_e8m0_half(p);
}

/* Two blocks a unit: the scales of four times 16 columns come first. */
UNPACK block_nvfp4(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    (void)u;
    get_values(p + 64 + 256 * j, vb_table(fp4_table), o->w);
    for (int h = 0; h < 2; h++) o->d[h] = vf_load_e4m3_half(p + 32 * j + 16 * h);
}

UNPACK unit_float(const uint8_t *p, struct wunit *u)
{
    u->d = vf_load((const float *)p);
}

UNPACK block_table_32(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_values(p + 208 + 256 * j, vb_table(p + 192), o->w);
    o->d[0] = vf_mul(u->d, vf_load_u8(p + 64 + 16 * j));
}

UNPACK block_table_16(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)
{
    get_values(p + 336 + 256 * j, vb_table(p + 320), o->w);
    for (int h = 0; h < 2; h++) o->d[h] = vf_mul(u->d, vf_load_u8(p + 64 + 32 * j + 16 * h));
}

/* ---- F16, BF16: int16 with a scale for each 32 columns, made on the way -------------------------- */

/* 14 bits and sign: 32 products with activations of 12 bits and sign fit 32 bits, and the rounding
 * is finer than that of the halves themselves for all but values far below the block's largest.
 * Halves of either kind are ordered as their bits are; a NaN is above all others and shows in d. */
#define DEFINE_HALVES(NAME, LOAD)                                                                  \
    UNPACK block_##NAME(const uint8_t *p, const struct wunit *u, int j, struct wblock *o)          \
    {                                                                                              \
        const vb magnitude = vb_set16(0x7fff);                                                     \
        (void)u;                                                                                   \
        (void)j;                                                                                   \
        vb m = vb_and(vb_load(p), magnitude);                                                      \
        for (int k = 1; k < 16; k++) m = vb_max16(vb_and(vb_load(p + 64 * k), magnitude), m);      \
        uint16_t tops[32];                                                                         \
        vb_store((uint8_t *)tops, m);                                                              \
        vf a = LOAD(tops), b = LOAD(tops + 16), top = vf_max(a, b);                                \
        vf inv = vf_zero_below(vf_div(vf_set1(16383.0f), top), top, 1e-30f);                       \
        o->d[0] = vf_mul(vf_add(top, vf_mul(vf_zero(), vf_add(a, b))), vf_set1(1.0f / 16383.0f));  \
        for (int k = 0; k < 16; k++) {                                                             \
            const uint16_t *x = (const uint16_t *)p + 32 * k;                                      \
            o->w[k] = v_pair16(vf_round(vf_mul(LOAD(x), inv)), vf_round(vf_mul(LOAD(x + 16), inv))); \
        }                                                                                          \
    }
DEFINE_HALVES(f16, vf_load_f16)
DEFINE_HALVES(bf16, vf_load_bf16)
