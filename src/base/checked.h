/* Size arithmetic on values from files and requests. True means "did not overflow". */
#ifndef HEARTH_BASE_CHECKED_H
#define HEARTH_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Rounds `a` up to a multiple of `align`, a power of two. */
static inline bool checked_align(uint64_t a, uint64_t align, uint64_t *out)
{
    uint64_t t;
    if (!checked_add(a, align - 1, &t)) return false;
    *out = t & ~(align - 1);
    return true;
}

#endif
