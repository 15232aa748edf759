/* Template: sixteen keys or values of a page as floats, from each format of the KV cache. */

INLINE vf load_key(const uint8_t *k, size_t d, size_t lane)
{
    return vf_load_f16((const uint16_t *)k + d * KERN_KV_PAGE + lane);
}

INLINE vf load_value(const uint8_t *v, size_t hd, size_t j, size_t d)
{
    return vf_load_f16((const uint16_t *)v + j * hd + d);
}
