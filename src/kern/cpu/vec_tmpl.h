/* Template: everything of a forward pass that is not a matrix product or attention. */

/* Up to 16 floats, the missing ones `pad`. */
static inline vf load_part(const float *p, size_t n, float pad)
{
    if (n >= 16) return vf_load(p);
    float t[16];
    for (size_t i = 0; i < 16; i++) t[i] = i < n ? p[i] : pad;
    return vf_load(t);
}

static inline void store_part(float *p, vf a, size_t n)
{
    float t[16];
    if (n >= 16) {
        vf_store(p, a);
        return;
    }
    vf_store(t, a);
    memcpy(p, t, n * sizeof *p);
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

/* The sum of (x - mean)^2. */
INLINE float sum_of_squares(const float *x, size_t n, float mean)
{
    vf s0 = vf_zero(), s1 = vf_zero(), m = vf_set1(mean);
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        vf a = vf_sub(vf_load(x + i), m), b = vf_sub(vf_load(x + i + 16), m);
        s0 = vf_fma(a, a, s0);
        s1 = vf_fma(b, b, s1);
    }
    for (; i < n; i += 16) {
        vf a = vf_sub(load_part(x + i, n - i, mean), m);
        s0 = vf_fma(a, a, s0);
    }
    return vf_hsum(vf_add(s0, s1));
}

static float sum_of(const float *x, size_t n)
{
    vf s0 = vf_zero(), s1 = vf_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) {
        s0 = vf_add(vf_load(x + i), s0);
        s1 = vf_add(vf_load(x + i + 16), s1);
    }
    for (; i < n; i += 16) s0 = vf_add(load_part(x + i, n - i, 0), s0);
    return vf_hsum(vf_add(s0, s1));
}

/* y = (x - mean) * k * w + b */
INLINE void norm_apply(float *y, const float *x, float mean, float k, const float *w, const float *b,
                       size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        const size_t have = n - i < 16 ? n - i : 16;
        vf a = vf_mul(vf_sub(load_part(x + i, have, 0), vf_set1(mean)), vf_set1(k));
        if (w) a = vf_mul(a, load_part(w + i, have, 0));
        if (b) a = vf_add(a, load_part(b + i, have, 0));
        store_part(y + i, a, have);
    }
}

static void ops_rms_norm(float *y, const float *x, const float *w, size_t n, float eps)
{
    float mean = sum_of_squares(x, n, 0) / (float)n;
    norm_apply(y, x, 0, 1.0f / sqrtf(mean + eps), w, NULL, n);
}

static void ops_layer_norm(float *y, const float *x, const float *w, const float *b, size_t n,
                           float eps)
{
    float mean = sum_of(x, n) / (float)n;
    float variance = sum_of_squares(x, n, mean) / (float)n;
    norm_apply(y, x, mean, 1.0f / sqrtf(variance + eps), w, b, n);
}

static void ops_l2_norm(float *y, const float *x, size_t n, float eps)
{
    float norm = sqrtf(sum_of_squares(x, n, 0));
    norm_apply(y, x, 0, 1.0f / (norm < eps ? eps : norm), NULL, NULL, n);
}

static void ops_add(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vf_store(y + i, vf_add(vf_load(y + i), vf_load(x + i)));
    for (; i < n; i++) y[i] += x[i];
}

static void ops_scale(float *y, float s, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vf_store(y + i, vf_mul(vf_load(y + i), vf_set1(s)));
    for (; i < n; i++) y[i] *= s;
}

static vf softcap(vf x, float cap)
{
    return vf_mul(vf_tanh(vf_mul(x, vf_set1(1 / cap))), vf_set1(cap));
}

static void ops_softcap(float *y, float cap, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) vf_store(y + i, softcap(vf_load(y + i), cap));
    if (i < n) store_part(y + i, softcap(load_part(y + i, n - i, 0), cap), n - i);
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

static void ops_dot_panels(float *out, const uint8_t *panels, size_t n_panels, const int8_t *q, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += q[i];
    for (size_t p = 0; p < n_panels; p++, panels += KERN_PANEL * n) {
        vi acc = vi_set1(-V_FULL_OFFSET * sum);
        for (size_t g = 0; g < n / 4; g++)
            acc = v_dot_full(acc, vb_load(panels + 64 * g), vi_load4(q + 4 * g));
        vf_store(out + KERN_PANEL * p, vi_to_vf(acc));
    }
}
