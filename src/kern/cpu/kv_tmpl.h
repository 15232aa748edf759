/* Template: keys and values on their way into the cache. */

/* Into halves' range; a NaN becomes the largest half, so that the cache never holds one. */
INLINE vf kv_clamp(vf x)
{
    return vf_max(vf_min(x, vf_set1(65504.0f)), vf_set1(-65504.0f));
}

static void kv_write_f16(bool keys, uint8_t *data, size_t hd, size_t at, const float *x)
{
    uint16_t half[KERN_HEAD_MAX], *to = (uint16_t *)data;
    if (!keys) {
        ops_f32_to_f16(to + at * hd, x, hd);
        return;
    }
    ops_f32_to_f16(half, x, hd);
    for (size_t d = 0; d < hd; d++) to[d * KERN_KV_PAGE + at] = half[d];
}

/* 32 numbers between `low` and `high` whose products with the returned scale are near x. The number
 * of largest magnitude becomes `extreme`, with its sign if that is negative. */
INLINE uint16_t kv_quantize(const float *x, float extreme, float low, float high, int8_t *q)
{
    vf a = kv_clamp(vf_load(x)), b = kv_clamp(vf_load(x + 16));
    float most = vf_hmax(vf_max(vf_abs(a), vf_abs(b)));
    if (extreme < 0 && vf_hmax(vf_max(a, b)) < most) most = -most;
    uint16_t half = quant_f32_to_f16(most / extreme);
    float scale = quant_f16_to_f32(half);
    vf inv = vf_set1(scale != 0 ? 1.0f / scale : 0.0f), l = vf_set1(low), h = vf_set1(high);
    vi_store_i8(q, vf_round(vf_max(vf_min(vf_mul(a, inv), h), l)));
    vi_store_i8(q + 16, vf_round(vf_max(vf_min(vf_mul(b, inv), h), l)));
    return half;
}

static void kv_write_q8(bool keys, uint8_t *data, size_t hd, size_t at, const float *x)
{
    uint16_t *scale = (uint16_t *)(data + hd * KERN_KV_PAGE);
    for (size_t d = 0; d < hd; d += 32) {
        int8_t q[32];
        scale[d / 32 * KERN_KV_PAGE + at] = kv_quantize(x + d, 127, -127, 127, q);
        if (keys)
            for (size_t i = 0; i < 32; i++) data[(d + i) * KERN_KV_PAGE + at] = (uint8_t)q[i];
        else
            memcpy(data + at * hd + d, q, 32);
    }
}

static void kv_write_q4(bool keys, uint8_t *data, size_t hd, size_t at, const float *x)
{
    uint16_t *scale = (uint16_t *)(data + hd * KERN_KV_PAGE / 2);
    for (size_t d = 0; d < hd; d += 32) {
        int8_t q[32];
        scale[d / 32 * KERN_KV_PAGE + at] = kv_quantize(x + d, -8, -8, 7, q);
        for (size_t i = 0; i < 16; i++) {
            uint8_t two = (uint8_t)((q[i] + 8) | (q[i + 16] + 8) << 4);
            data[keys ? (d / 2 + i) * KERN_KV_PAGE + at : (at * hd + d) / 2 + i] = two;
        }
    }
}

static void ops_kv_write(enum kern_kv_format f, bool keys, uint8_t *data, size_t hd, size_t at,
                         const float *x)
{
    switch (f) {
    case KERN_KV_F16: kv_write_f16(keys, data, hd, at, x); break;
    case KERN_KV_Q8: kv_write_q8(keys, data, hd, at, x); break;
    case KERN_KV_Q4: kv_write_q4(keys, data, hd, at, x); break;
    }
}

/* The Hadamard matrix of 16: -1 where row & column has an odd number of bits. */
#define H1(i, l) (0x6996 >> ((i) & (l)) & 1 ? -1.0f : 1.0f)
#define H4(i, l) H1(i, l), H1(i, l + 1), H1(i, l + 2), H1(i, l + 3)
#define H16(i)   {H4(i, 0), H4(i, 4), H4(i, 8), H4(i, 12)}
static const float hadamard[16][16] = {H16(0),  H16(1),  H16(2),  H16(3), H16(4),  H16(5),
                                       H16(6),  H16(7),  H16(8),  H16(9), H16(10), H16(11),
                                       H16(12), H16(13), H16(14), H16(15)};

INLINE vf hadamard_16(const float *x)
{
    vf sum = vf_zero();
    for (int i = 0; i < 16; i++) sum = vf_fma(vf_load(hadamard[i]), vf_set1(x[i]), sum);
    return sum;
}

static void ops_hadamard(float *x, size_t n)
{
    size_t block = n & (~n + 1);
    vf norm = vf_set1(1.0f / sqrtf((float)block));
    for (size_t i = 0; i < n; i += 16) vf_store(x + i, vf_mul(hadamard_16(x + i), norm));
    for (size_t step = 16; step < block; step *= 2)
        for (size_t b = 0; b < n; b += 2 * step)
            for (size_t i = b; i < b + step; i += 16) {
                vf p = vf_load(x + i), q = vf_load(x + i + step);
                vf_store(x + i, vf_add(p, q));
                vf_store(x + i + step, vf_sub(p, q));
            }
}
