#include "kern/cpu/cpu_tables.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* What CPUID promises counts only where the system saves the registers (XCR0). Bit numbers: Intel
 * SDM volume 2, CPUID; AMD APM volume 3, appendix E. */
static uint64_t xcr0(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (uint64_t)d << 32 | a;
}

struct leaf7 {
    unsigned b, c, d, a1; /* EBX, ECX, EDX of sub-leaf 0, EAX of sub-leaf 1 */
};

static struct leaf7 leaf7(void)
{
    struct leaf7 l = {0};
    unsigned a, b, c, d;
    if (__get_cpuid_count(7, 0, &a, &l.b, &l.c, &l.d) && a >= 1 &&
        __get_cpuid_count(7, 1, &l.a1, &b, &c, &d)) {}
    return l;
}

bool cpu_has_avx2(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    bool base = (c & 1u << 12) && (c & 1u << 28) && (c & 1u << 29); /* FMA, AVX, F16C */
    return base && (xcr0() & 6) == 6 && (leaf7().b & 1u << 5);
}

bool cpu_has_avxvnni(void)
{
    return cpu_has_avx2() && (leaf7().a1 & 1u << 4);
}

bool cpu_has_avx512(void)
{
    const unsigned need = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    struct leaf7 l = leaf7();
    return cpu_has_avx2() && (xcr0() & 0xe6) == 0xe6 && (l.b & need) == need && (l.c & 1u << 11);
}
#endif

bool cpu_always(void)
{
    return true;
}
