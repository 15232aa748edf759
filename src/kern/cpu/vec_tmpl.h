/* Template: everything of a forward pass that is not a matrix product or attention. */

/* Fewer than 16 floats, the missing ones `pad`. */
static inline vf load_part(const float *p, size_t n, float pad)
{
    float t[16];
    for (size_t i = 0; i < 16; i++) t[i] = i < n ? p[i] : pad;
    return vf_load(t);
}

static inline void store_part(float *p, vf a, size_t n)
{
    float t[16];
    vf_store(t, a);
    memcpy(p, t, n * sizeof *p);
}

/* e^x to about 1 ulp: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' expf). e^0 is exactly 1;
 * below -87 the result is 0, above 88 it stays at e^88. */
static inline vf vf_exp(vf x)
{
    vf c = vf_max(vf_min(x, vf_set1(88.0f)), vf_set1(-87.0f));
    vi n = vf_round(vf_mul(c, vf_set1(1.44269504f)));
    vf nf = vi_to_vf(n);
    vf r = vf_fma(nf, vf_set1(-0.693359375f), c);
    r = vf_fma(nf, vf_set1(2.12194440e-4f), r);
    vf p = vf_set1(1.9875691500e-4f);
    p = vf_fma(p, r, vf_set1(1.3981999507e-3f));
    p = vf_fma(p, r, vf_set1(8.3334519073e-3f));
    p = vf_fma(p, r, vf_set1(4.1665795894e-2f));
    p = vf_fma(p, r, vf_set1(1.6666665459e-1f));
    p = vf_fma(p, r, vf_set1(5.0000001201e-1f));
    p = vf_fma(p, vf_mul(r, r), vf_add(r, vf_set1(1.0f)));
    return vf_zero_below(vf_scale2(p, n), x, -87.0f);
}

/* n vectors of 16 floats share a scale; value g of four goes to q + 4 * w * g. Infinities and NaNs,
 * which the row reports by itself, become some number. */
INLINE void quantize_block(const int n, const float *x, int8_t *q, float *scale, int32_t *neg_sum,
                           float *bias, size_t w)
{
    vf a[2], top = vf_zero();
    for (int i = 0; i < n; i++) {
        a[i] = vf_load(x + 16 * i);
        top = vf_max(vf_abs(a[i]), top);
    }
    float most = vf_hmax(top);
    int8_t bytes[32];
    bool usable = most > 0 && most <= FLT_MAX;
    vf inv = vf_set1(usable ? 127.0f / most : 0);
    vi sum = vi_zero();
    for (int i = 0; i < n; i++) {
        /* The maximum turns a NaN into a number. */
        vi v = vf_round(vf_max(vf_mul(a[i], inv), vf_set1(-127.0f)));
        vi_store_i8(bytes + 16 * i, v);
        sum = vi_add(sum, v);
    }
    int32_t s = vi_hsum(sum);
    *scale = usable ? most / 127.0f : 0;
    *neg_sum = -s;
    *bias = *scale * (float)s;
    for (int g = 0; g < 4 * n; g++) memcpy(q + 4 * w * (size_t)g, bytes + 4 * g, 4);
}

/* 32 floats to int16 within +-4095; value pair g goes to q + 2 * w * g. */
INLINE void quantize_block16(const float *x, int16_t *q, float *scale, size_t w)
{
    vf a[2] = {vf_load(x), vf_load(x + 16)};
    float most = vf_hmax(vf_max(vf_abs(a[1]), vf_max(vf_abs(a[0]), vf_zero())));
    int16_t words[32] = {0};
    bool usable = most > 1e-30f && most <= FLT_MAX;
    *scale = usable ? most / 4095.0f : 0;
    for (int i = 0; i < 2 && usable; i++)
        vi_store_i16(words + 16 * i, vf_round(vf_max(vf_mul(a[i], vf_set1(4095.0f / most)),
                                                     vf_set1(-4095.0f))));
    for (int g = 0; g < 16; g++) memcpy(q + 2 * w * (size_t)g, words + 2 * g, 4);
}

/* Row i's block b of a tile of w rows, n vectors of 16 (0: int16, two vectors). */
INLINE void quantize_at(const int n, const float *x, const struct kern_act_q *o, size_t w, size_t i,
                        size_t b)
{
    const size_t cols = n ? 16 * (size_t)n : 32, at = b * w + i;
    if (n)
        quantize_block(n, x, o->q + b * cols * w + 4 * i, o->scale + at, o->neg_sum + at,
                       o->bias + at, w);
    else
        quantize_block16(x, (int16_t *)o->q + b * cols * w + 2 * i, o->scale + at, w);
}

/* All blocks of a tile of w rows, row by row within a block: what they write lies together. */
INLINE void quantize_tile(const int n, const float *x, size_t stride, size_t n_cols,
                          const struct kern_act_q *o, size_t w)
{
    const size_t cols = n ? 16 * (size_t)n : 32;
    /* The blocks' maxima skip a NaN, but 0 * x is NaN for it and for an infinity. */
    vf broken[KERN_TILE_MAX];
    for (size_t i = 0; i < w; i++) broken[i] = vf_zero();
    for (size_t b = 0; b < n_cols / cols; b++)
        for (size_t i = 0; i < w; i++) {
            const float *block = x + i * stride + b * cols;
            quantize_at(n, block, o, w, i, b);
            for (size_t c = 0; c < cols; c += 16)
                broken[i] = vf_fma(vf_load(block + c), vf_zero(), broken[i]);
        }
    for (size_t i = 0; i < w; i++)
        if (isnan(vf_hsum(broken[i]))) o->scale[i] = NAN; /* shows in the logits */
}

static void ops_act_quantize(struct kern_act *act, enum kern_act_format format, size_t tile0,
                             size_t tile1)
{
    const struct kern_act_q *o = &act->fmt[format];
    size_t n = act->n_cols, ns = n / (format == KERN_ACT_16 ? 16 : 32);
    for (size_t t = tile0; t < tile1; t++) {
        size_t r0 = t * KERN_TILE_MAX, left = act->n_rows - r0, at = r0 * ns;
        size_t w = left < KERN_TILE_MAX ? left : KERN_TILE_MAX;
        const float *x = act->f32 + r0 * act->f32_stride;
        struct kern_act_q tile = {o->q + r0 * n * (format == KERN_ACT_INT16 ? 2 : 1),
                                  o->scale + at, o->neg_sum + at, o->bias + at};
        if (format == KERN_ACT_INT16)
            quantize_tile(0, x, act->f32_stride, n, &tile, w);
        else if (format == KERN_ACT_16)
            quantize_tile(1, x, act->f32_stride, n, &tile, w);
        else
            quantize_tile(2, x, act->f32_stride, n, &tile, w);
    }
}

static void ops_rms_norm(float *y, const float *x, const float *wt, size_t n, float eps)
{
    vf s0 = vf_zero(), s1 = vf_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        vf a = vf_load(x + i), b = vf_load(x + i + 16);
        s0 = vf_fma(a, a, s0);
        s1 = vf_fma(b, b, s1);
    }
    for (; i < n; i += 16) {
        vf a = load_part(x + i, n - i, 0);
        s0 = vf_fma(a, a, s0);
    }
    float mean = vf_hsum(vf_add(s0, s1)) / (float)n;
    vf k = vf_set1(1.0f / sqrtf(mean + eps));
    for (i = 0; i + 16 <= n; i += 16)
        vf_store(y + i, vf_mul(vf_mul(vf_load(x + i), k), vf_load(wt + i)));
    if (i < n)
        store_part(y + i, vf_mul(vf_mul(load_part(x + i, n - i, 0), k), load_part(wt + i, n - i, 0)),
                   n - i);
}

static void ops_add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vf_store(y + i, vf_add(vf_load(y + i), vf_load(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

INLINE vf silu(vf g)
{
    vf e = vf_exp(vf_sub(vf_zero(), g));
    return vf_div(g, vf_add(vf_set1(1.0f), e));
}

static void ops_silu_mul(float *y, const float *gate, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vf_store(y + i, vf_mul(silu(vf_load(gate + i)), vf_load(y + i)));
    if (i < n)
        store_part(y + i,
                   vf_mul(silu(load_part(gate + i, n - i, 0)), load_part(y + i, n - i, 0)), n - i);
}

static void ops_rope(float *x, const float *cs, size_t n_dims, bool neox)
{
    size_t half = n_dims / 2, step = neox ? half : 1, stride = neox ? 1 : 2;
    for (size_t i = 0; i < half; i++) {
        float *p = x + i * stride, c = cs[2 * i], s = cs[2 * i + 1];
        float a = p[0], b = p[step];
        p[0] = a * c - b * s;
        p[step] = a * s + b * c;
    }
}

/* Values outside the half range become the largest half, so that the cache never holds infinities. */
static void ops_f32_to_f16(uint16_t *dst, const float *src, size_t n)
{
    const vf top = vf_set1(65504.0f), bottom = vf_set1(-65504.0f);
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        vf_store_f16(dst + i, vf_max(vf_min(vf_load(src + i), top), bottom));
    if (i < n) {
        uint16_t t[16];
        vf_store_f16(t, vf_max(vf_min(load_part(src + i, n - i, 0), top), bottom));
        memcpy(dst + i, t, (n - i) * sizeof *t);
    }
}
