/* Template: sixteen keys or values of a page as floats, from each format of the KV cache.
 * kern_kv_read in kern/kv_format.c is the reference. */

/* Asks for bytes that the next page's step will read: a layer's part of a page is too short for the
 * processor to see them coming. */
INLINE void prefetch(const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 3);
}

/* The scales behind n numbers of `bits` bits for dimensions d.. of the 32 positions. */
INLINE const uint16_t *kv_scales(const uint8_t *data, size_t hd, size_t bits, size_t d)
{
    return (const uint16_t *)(data + hd * KERN_KV_PAGE * bits / 8) + d / 32 * KERN_KV_PAGE;
}

INLINE size_t kv_bits(const enum kern_kv_format f)
{
    return f == KERN_KV_Q8 ? 8 : 4;
}

/* For dimensions half .. half + 15 of positions lane .. lane + 15. */
INLINE vf key_scale(const enum kern_kv_format f, const uint8_t *k, size_t hd, size_t half,
                    size_t lane)
{
    if (f == KERN_KV_F16) return vf_zero();
    return vf_load_f16(kv_scales(k, hd, kv_bits(f), half) + lane);
}

/* Dimension d, which lies in half .. half + 15. */
INLINE vf load_key(const enum kern_kv_format f, const uint8_t *k, size_t half, size_t d, size_t lane,
                   vf scale)
{
    if (f == KERN_KV_F16) return vf_load_f16((const uint16_t *)k + d * KERN_KV_PAGE + lane);
    if (f == KERN_KV_Q8) return vf_mul(vf_load_i8(k + d * KERN_KV_PAGE + lane), scale);
    const uint8_t *p = k + (half / 32 * 16 + d - half) * KERN_KV_PAGE + lane;
    vf x = half & 16 ? vf_load_hi4(p) : vf_load_lo4(p);
    return vf_mul(vf_sub(x, vf_set1(8.0f)), scale);
}

/* Of the 32 positions, for dimensions d .. d + 31. */
INLINE void value_scales(const enum kern_kv_format f, const uint8_t *v, size_t hd, size_t d,
                         float *scale)
{
    if (f == KERN_KV_F16) return;
    const uint16_t *h = kv_scales(v, hd, kv_bits(f), d);
    vf_store(scale, vf_load_f16(h));
    vf_store(scale + 16, vf_load_f16(h + 16));
}

/* Dimensions d + 16 * half .. of position j; d is a multiple of 32. */
INLINE vf load_value(const enum kern_kv_format f, const uint8_t *v, size_t hd, size_t j, size_t d,
                     const int half, const float *scale)
{
    if (f == KERN_KV_F16) return vf_load_f16((const uint16_t *)v + j * hd + d + 16 * half);
    if (f == KERN_KV_Q8) return vf_mul(vf_load_i8(v + j * hd + d + 16 * half), vf_set1(scale[j]));
    const uint8_t *p = v + (j * hd + d) / 2;
    vf x = half ? vf_load_hi4(p) : vf_load_lo4(p);
    return vf_mul(vf_sub(x, vf_set1(8.0f)), vf_set1(scale[j]));
}
