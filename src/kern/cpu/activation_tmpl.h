/* Template: the functions of enum kern_activation. Exponents are carried with what rounding takes off
 * them: of e^-80 a last bit of 80 would be a hundred last bits. */

INLINE vf silu(vf g)
{
    vf e = vf_exp(vf_sub(vf_zero(), g));
    return vf_div(g, vf_add(vf_set1(1.0f), e));
}

/* x / (1 + e^-t) with t = 2 sqrt(2/pi) (x + 0.044715 x^3): the same as with the tangent. */
INLINE vf gelu_tanh(vf x)
{
    const double slope = 1.5957691216057308, cubic = 0.044715;
    const float a0 = (float)slope, a1 = (float)(slope - (double)a0);
    const float k0 = (float)cubic, k1 = (float)(cubic - (double)k0);
    vf one = vf_set1(1.0f), a = vf_set1(a0), k = vf_set1(k0);
    vf c = vf_min(vf_max(x, vf_set1(-12.0f)), vf_set1(12.0f));
    vf s = vf_mul(c, c), s1 = vf_fma(c, c, vf_sub(vf_zero(), s));
    vf m = vf_fma(k, s, one), m1 = vf_fma(k, s, vf_sub(one, m));
    m1 = vf_add(m1, vf_fma(k, s1, vf_mul(vf_set1(k1), s)));
    vf l = vf_mul(a, c), l1 = vf_fma(a, c, vf_sub(vf_zero(), l));
    l1 = vf_fma(vf_set1(a1), c, l1);
    vf t = vf_mul(l, m), t1 = vf_fma(l, m, vf_sub(vf_zero(), t));
    t1 = vf_add(t1, vf_fma(l, m1, vf_mul(l1, m)));
    return vf_div(x, vf_add(one, vf_exp_neg(t, t1)));
}

INLINE vf gelu_erf(vf x)
{
    vf tail = vf_normal_tail(vf_abs(x));
    return vf_mul(x, vf_pick(x, 0.0f, vf_sub(vf_set1(1.0f), tail), tail));
}

/* A NaN is the second operand's. */
INLINE vf relu(vf x) { return vf_max(vf_zero(), x); }

INLINE vf swiglu_oai(vf x)
{
    vf alpha = vf_set1(1.702f), c = vf_min(vf_set1(7.0f), x), z = vf_max(c, vf_set1(-64.0f));
    vf t = vf_mul(alpha, z), t1 = vf_fma(alpha, z, vf_sub(vf_zero(), t));
    return vf_div(c, vf_add(vf_set1(1.0f), vf_exp_neg(t, t1)));
}

INLINE vf act_value(const enum kern_activation f, vf x)
{
    switch (f) {
    case KERN_FN_SILU: return silu(x);
    case KERN_FN_GELU_TANH: return gelu_tanh(x);
    case KERN_FN_GELU_ERF: return gelu_erf(x);
    case KERN_FN_RELU: return relu(x);
    case KERN_FN_RELU2: return vf_mul(relu(x), relu(x));
    case KERN_FN_SWIGLU_OAI: return swiglu_oai(x);
    }
    return x;
}

INLINE vf act_product(const enum kern_activation f, vf gate, vf y)
{
    if (f == KERN_FN_SWIGLU_OAI) {
        y = vf_max(vf_set1(-7.0f), vf_min(vf_set1(7.0f), y));
        y = vf_add(y, vf_set1(1.0f));
    }
    return vf_mul(act_value(f, gate), y);
}

/* Without a gate, y itself. */
INLINE void act_run(const enum kern_activation f, float *y, const float *gate, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        vf a = vf_load(y + i);
        vf_store(y + i, gate ? act_product(f, vf_load(gate + i), a) : act_value(f, a));
    }
    if (i == n) return;
    vf a = load_part(y + i, n - i, 0);
    a = gate ? act_product(f, load_part(gate + i, n - i, 0), a) : act_value(f, a);
    store_part(y + i, a, n - i);
}

static void ops_activate(enum kern_activation f, float *y, size_t n)
{
    switch (f) {
    case KERN_FN_SILU: act_run(KERN_FN_SILU, y, NULL, n); break;
    case KERN_FN_GELU_TANH: act_run(KERN_FN_GELU_TANH, y, NULL, n); break;
    case KERN_FN_GELU_ERF: act_run(KERN_FN_GELU_ERF, y, NULL, n); break;
    case KERN_FN_RELU: act_run(KERN_FN_RELU, y, NULL, n); break;
    case KERN_FN_RELU2: act_run(KERN_FN_RELU2, y, NULL, n); break;
    case KERN_FN_SWIGLU_OAI: act_run(KERN_FN_SWIGLU_OAI, y, NULL, n); break;
    }
}

static void ops_gated(enum kern_activation f, float *y, const float *gate, size_t n)
{
    switch (f) {
    case KERN_FN_SILU: act_run(KERN_FN_SILU, y, gate, n); break;
    case KERN_FN_GELU_TANH: act_run(KERN_FN_GELU_TANH, y, gate, n); break;
    case KERN_FN_GELU_ERF: act_run(KERN_FN_GELU_ERF, y, gate, n); break;
    case KERN_FN_RELU: act_run(KERN_FN_RELU, y, gate, n); break;
    case KERN_FN_RELU2: act_run(KERN_FN_RELU2, y, gate, n); break;
    case KERN_FN_SWIGLU_OAI: act_run(KERN_FN_SWIGLU_OAI, y, gate, n); break;
    }
}

static void ops_silu_mul(float *y, const float *gate, size_t n)
{
    ops_gated(KERN_FN_SILU, y, gate, n);
}
