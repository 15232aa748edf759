/* Template: functions of a vector. The polynomials without a named source are least-squares fits to the
 * relative error, weighted until it was level. */

/* e^x to about 1 ulp: 2^n times a polynomial on [-ln2/2, ln2/2] (Cephes' expf). e^0 is exactly 1;
 * below -87 the result is 0, above 88 it stays at e^88; of a NaN it is 0. */
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

/* e^-(x + low), where low is what x lacks to the exact exponent. */
static inline vf vf_exp_neg(vf x, vf low)
{
    vf e = vf_exp(vf_sub(vf_zero(), x));
    return vf_fma(e, vf_sub(vf_zero(), low), e);
}

/* tanh x to about 2 ulp: x + x^3 P(x^2) near 0, else 1 - 2 / (e^2x + 1). */
static inline vf vf_tanh(vf x)
{
    const float limit = 0.625f;
    vf one = vf_set1(1.0f), a = vf_abs(x), z = vf_mul(x, x);
    vf p = vf_set1(-5.704984069e-03f);
    p = vf_fma(p, z, vf_set1(2.063908428e-02f));
    p = vf_fma(p, z, vf_set1(-5.373971537e-02f));
    p = vf_fma(p, z, vf_set1(1.333144158e-01f));
    p = vf_fma(p, z, vf_set1(-3.333328068e-01f));
    vf near = vf_fma(vf_mul(p, z), x, x);
    vf far = vf_sub(one, vf_div(vf_set1(2.0f), vf_add(vf_exp(vf_add(a, a)), one)));
    return vf_pick(a, limit, vf_sign(far, x), near);
}

/* The share of a normal distribution above t >= 0, to about 3 ulp: e^(-t^2/2) / (t + 4) times a
 * polynomial in (t - 4) / (t + 4). Above 13.2 it is 0. */
static inline vf vf_normal_tail(vf t)
{
    t = vf_min(t, vf_set1(14.0f));
    vf inv = vf_div(vf_set1(1.0f), vf_add(t, vf_set1(4.0f)));
    vf u = vf_fma(vf_set1(-8.0f), inv, vf_set1(1.0f));
    vf p = vf_set1(-1.262709557e-04f);
    p = vf_fma(p, u, vf_set1(1.918491325e-04f));
    p = vf_fma(p, u, vf_set1(1.574872178e-03f));
    p = vf_fma(p, u, vf_set1(-3.517972771e-03f));
    p = vf_fma(p, u, vf_set1(-7.528755348e-03f));
    p = vf_fma(p, u, vf_set1(6.040446088e-02f));
    p = vf_fma(p, u, vf_set1(-1.865229011e-01f));
    p = vf_fma(p, u, vf_set1(3.871368766e-01f));
    p = vf_fma(p, u, vf_set1(-6.078966260e-01f));
    p = vf_fma(p, u, vf_set1(7.552851439e-01f));
    vf half = vf_set1(0.5f), s = vf_mul(t, t), low = vf_fma(t, t, vf_sub(vf_zero(), s));
    return vf_mul(vf_mul(p, inv), vf_exp_neg(vf_mul(s, half), vf_mul(low, half)));
}
